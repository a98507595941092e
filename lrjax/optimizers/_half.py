"""Methods whose first steps half-precision parameters are too coarse for."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _tree
from lrjax._types import OptState, Params, Updates
from lrjax.transform import GradientTransformation


class HalfPrecisionState(NamedTuple):
    """Where half-precision parameters would be: the last part of the state of a method that measures its way.

    Attributes:
      params: The parameters in at least float32, of which those that are trained are the rounded ones.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> state = lrjax.dog().init(jnp.ones(2, jnp.bfloat16))
      >>> state[-1].params.dtype
      dtype('float32')
    """

    params: Params


def followed_in_float32(tx: GradientTransformation) -> GradientTransformation:
    """The transformation, for half-precision parameters with a `HalfPrecisionState` behind its states.

    Such parameters do not move by a step below their last digit, and a method that measures how far they
    have come would never make a longer one. It is shown where they would be without rounding, and they
    follow from rounding to rounding. Parameters that are elsewhere, set by hand say, are believed.

    Args:
      tx: One whose state is a tuple.
    """

    def init(params: Params) -> OptState:
        state = tx.init(params)
        if not _tree.any_half(params):
            return state
        # arrays of its own, so that a caller may donate both
        return (*state, HalfPrecisionState(jax.tree.map(lambda p: jnp.array(p, _tree.wide_dtype(p)), params)))

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, OptState]:
        *inner, last = state
        if not isinstance(last, HalfPrecisionState):
            return tx.update(updates, state, params, **extra)
        if params is None:
            return tx.update(updates, tuple(inner), None, **extra)  # which names what is missing

        exact = jax.tree.map(_unrounded, params, last.params)
        steps, new = tx.update(jax.tree.map(_tree.wide, updates), tuple(inner), exact, **extra)
        moved = _tree.cast_like(jax.tree.map(jnp.add, exact, steps), exact)
        way = jax.tree.map(lambda m, p, u: m - _tree.wide(p) if _is_half(p) else u, moved, params, steps)
        return _tree.cast_like(way, updates), (*new, HalfPrecisionState(moved))

    return GradientTransformation(init, update)


def _unrounded(p: Any, wide: jax.Array) -> jax.Array:
    """Where the parameter would be, as far as what it is is the rounding of that."""
    if not _is_half(p):
        return p
    x, limits = _tree.wide(p), jnp.finfo(jnp.result_type(p))
    near = jnp.abs(x - wide) <= float(limits.eps) * jnp.abs(x) + float(limits.tiny)
    return jnp.where(near, wide, x)


def _is_half(p: Any) -> bool:
    return _tree.wide_dtype(p) != jnp.result_type(p)
