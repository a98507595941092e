"""An update that is taken on some steps only, and computed on those only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

from lrjax._types import OptState, Updates


def gated(
    open_: Any, run: Callable[[], tuple[Updates, OptState]], otherwise: Updates, state: OptState
) -> tuple[Updates, OptState]:
    """`run()` where `open_` holds, else `otherwise` and the state as it was.

    One branch is computed. What `run` returns is held to the dtypes of the other branch, since the
    two must agree and a transformation of another library may widen.

    Args:
      open_: A bool scalar.
      run: The inner update.
      otherwise: A tree shaped like the updates.
      state: The inner state.
    """

    def through() -> tuple[Updates, OptState]:
        updates, new_state = run()
        return jax.tree.map(_as, updates, otherwise), jax.tree.map(_as, new_state, state)

    def around() -> tuple[Updates, OptState]:
        return jax.tree.map(jnp.asarray, otherwise), jax.tree.map(jnp.asarray, state)

    if not isinstance(open_, Tracer):
        return through() if open_ else around()  # outside jit `cond` would be compiled at every step
    return jax.lax.cond(open_, through, around)


def nothing(updates: Updates) -> Updates:
    """Zeros of the updates' shapes and dtypes."""
    # Unlike `zeros`, `zeros_like` knows the mesh axes that a value varies over, which `cond` compares.
    return jax.tree.map(lambda u: jnp.zeros_like(u, jnp.result_type(u)), updates)


def _as(x: Any, like: Any) -> jax.Array:
    x, like = jnp.asarray(x), jnp.asarray(like)
    return x if x.dtype == like.dtype else x.astype(like.dtype)
