"""Whether a metric has improved, by a margin that means the same for metrics of any sign."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from lrjax import _check
from lrjax._types import ScalarLike
from lrjax.schedules import _arguments, _clock

MARGINS: dict[str, Callable[[jax.Array, jax.Array], jax.Array | float]] = {
    "progress": lambda best, initial: jnp.abs(initial - best),
    "rel": lambda best, initial: jnp.abs(best),
    "abs": lambda best, initial: 1.0,
}


def check(call: str, mode: str, threshold: ScalarLike, threshold_mode: str) -> None:
    """Requires known modes and a threshold that is not negative."""
    _arguments.one_of(call, "mode", mode, ("min", "max"))
    _arguments.one_of(call, "threshold_mode", threshold_mode, tuple(MARGINS))
    _check.number(call, "threshold", threshold, low=0)


def beats(
    value: jax.Array,
    best: jax.Array,
    initial: jax.Array,
    threshold: ScalarLike,
    threshold_mode: str,
    offset: ScalarLike = 0.0,
) -> jax.Array:
    """Whether `value` lies below `best` by more than the margin and `offset`; a NaN never does."""
    margin = _clock.scalar(threshold) * MARGINS[threshold_mode](best, initial)
    return value < best - margin - _clock.scalar(offset)
