"""For transformations of one's own: counts that do not wrap round, and norms with gradients at zero."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import ScalarLike


def safe_increment(count: Any) -> jax.Array:
    """A count plus one, which stays at the largest of its dtype instead of wrapping round.

    Args:
      count: An array, or a number, of integers or floats.

    Returns:
      The new count, in the same dtype.

    Raises:
      TypeError: If `count` is of another kind.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> int(lrjax.safe_increment(jnp.int32(4))), int(lrjax.safe_increment(jnp.int8(127)))
      (5, 127)
    """
    count = jnp.asarray(count)
    if jnp.issubdtype(count.dtype, jnp.integer):
        last = jnp.iinfo(count.dtype).max
    elif jnp.issubdtype(count.dtype, jnp.floating):
        last = jnp.finfo(count.dtype).max
    else:
        raise _check.fail_type("safe_increment", "count", "integers or floats", _check.describe(count))
    return jnp.where(count < jnp.asarray(last, count.dtype), count + 1, count)


def safe_int32_increment(count: Any) -> jax.Array:
    """Optax's older name for `safe_increment`.

    Args:
      count: An array, or a number, of integers or floats.

    Returns:
      The new count, in the same dtype.

    Raises:
      TypeError: If `count` is of another kind.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> int(lrjax.safe_int32_increment(jnp.int32(2**31 - 1))) == 2**31 - 1
      True
    """
    return safe_increment(count)


def safe_norm(
    x: Any,
    min_norm: ScalarLike,
    ord: int | float | str | None = None,
    axis: int | tuple[int, ...] | None = None,
    keepdims: bool = False,
) -> jax.Array:
    r"""A norm of at least some size, $\max(\|x\|, s)$, whose gradient is 0 where $\|x\| \le s$.

    Args:
      x: An array.
      min_norm: $s$ >= 0.
      ord: The order, as in `jax.numpy.linalg.norm`. Static.
      axis: The axis, or the two axes of matrices, or None for all. Static.
      keepdims: Whether these axes stay, with size 1. Static.

    Returns:
      The norm, in the real dtype of `x`. It neither overflows nor vanishes on the way, and its gradient
      is no NaN at zero.

    Raises:
      TypeError: If `min_norm` is not one real number.
      ValueError: If it is negative.

    Example:
      >>> import jax, jax.numpy as jnp, lrjax
      >>> float(lrjax.safe_norm(jnp.array([3.0, 4.0]), min_norm=1.0))
      5.0
      >>> jax.grad(lrjax.safe_norm)(jnp.zeros(2), 0.0)
      Array([0., 0.], dtype=float32)
    """
    _check.number("safe_norm", "min_norm", min_norm, low=0)

    def measure(y: jax.Array) -> jax.Array:
        return jnp.linalg.norm(y, ord=ord, axis=axis, keepdims=True)

    size = _at_least(min_norm, measure, x, axis, counts=ord == 0)
    return size if keepdims else jnp.squeeze(size, axis=axis)


def safe_root_mean_squares(x: Any, min_rms: ScalarLike) -> jax.Array:
    r"""A root mean square of at least some size, whose gradient is 0 where it is no larger.

    $\max\left(\sqrt{\frac{1}{n} \sum_i |x_i|^2}, s\right)$.

    Args:
      x: An array.
      min_rms: $s$ >= 0.

    Returns:
      The root, a scalar in the real dtype of `x`. It neither overflows nor vanishes on the way, and its
      gradient is no NaN at zero.

    Raises:
      TypeError: If `min_rms` is not one real number.
      ValueError: If it is negative.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> float(lrjax.safe_root_mean_squares(jnp.array([1.0, -7.0]), min_rms=0.5))
      5.0
    """
    _check.number("safe_root_mean_squares", "min_rms", min_rms, low=0)
    root = math.sqrt(max(jnp.size(x), 1))

    def measure(y: jax.Array) -> jax.Array:
        return jnp.sqrt(jnp.sum(_tree.square(y), keepdims=True)) / root

    return jnp.squeeze(_at_least(min_rms, measure, x, None))


def _at_least(
    least: ScalarLike, measure: Callable[[jax.Array], jax.Array], x: Any, axis: Any, counts: bool = False
) -> jax.Array:
    """`max(measure(x), least)`, its axes kept; the measure grows with its argument, or counts."""
    dtype = jnp.result_type(x, 0.0)  # integers as floats
    wide = _tree.wide(jnp.asarray(x, dtype))
    largest = jnp.max(jnp.abs(wide), axis=axis, keepdims=True, initial=0)
    unit = jnp.ones_like(largest) if counts else jax.lax.stop_gradient(_tree.unit_for(largest))
    small = measure(wide / unit) * unit <= least
    # What is not returned has a gradient too: at one it is finite.
    size = measure(jnp.where(small, 1, wide / unit)) * unit
    return jnp.where(small, least, size).astype(jnp.finfo(dtype).dtype)
