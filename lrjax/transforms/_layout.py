"""Other arrangements of the same tree."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from lrjax._types import OptState, Params, Updates
from lrjax.transform import GradientTransformation, check_transformation, with_extra_args_support


def flatten(inner: Any) -> GradientTransformation:
    """Applies a transformation to all leaves joined into one vector.

    Many small leaves then cost one operation each step instead of one per leaf. A transformation
    that looks at shapes or at single leaves sees one vector.

    Args:
      inner: The transformation: anything with `init` and `update`.

    Returns:
      A `GradientTransformation` with the state of `inner` on a vector. Leaves of several dtypes are
      joined in the widest; updates come out in the gradients' dtypes.

    Raises:
      TypeError: If `inner` has no `init` and `update`.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.flatten(lrjax.trace(0.9))
      >>> params = {"w": jnp.zeros((2, 2)), "b": jnp.zeros(3)}
      >>> tx.init(params).trace.shape
      (7,)
    """
    check_transformation("flatten", "inner", inner)
    inner = with_extra_args_support(inner)

    def init(params: Params) -> OptState:
        return inner.init(_join(params))

    def update(updates: Updates, state: OptState, params: Params | None = None, **extra: Any) -> Any:
        joined = None if params is None else _join(params)
        vector, state = inner.update(_join(updates), state, joined, **extra)
        return _split(vector, updates), state

    return GradientTransformation(init, update)


def _join(tree: Params) -> jax.Array:
    leaves = [jnp.ravel(x) for x in jax.tree.leaves(tree)]
    return jnp.concatenate(leaves) if leaves else jnp.zeros(0)


def _split(vector: jax.Array, like: Updates) -> Updates:
    leaves, structure = jax.tree.flatten(like)
    parts, begin = [], 0
    for x in leaves:
        part = vector[begin : begin + jnp.size(x)]
        parts.append(part.reshape(jnp.shape(x)).astype(jnp.result_type(x)))
        begin += jnp.size(x)
    return jax.tree.unflatten(structure, parts)
