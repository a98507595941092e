"""Arithmetic that several transformations share: precision, counting, bias correction.

Half-precision leaves are computed in float32: in bfloat16 the factor 0.999 rounds to 1, and in
float16 a squared gradient below 2e-4 vanishes. What is stored, and what comes out, keeps the dtype
it is declared with.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lrjax._types import ScalarLike

_LAST_COUNT = np.iinfo(np.int32).max


@jax.tree_util.register_static
class ParamsPlaceholder:
    """Stands for a whole tree of parameters, to see where a state keeps trees like it.

    Attributes:
      is_half: Whether some of them are half-precision.
    """

    def __init__(self, is_half: bool = False) -> None:
        self.is_half = is_half

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ParamsPlaceholder)

    def __hash__(self) -> int:
        return hash(ParamsPlaceholder)


def wide(x: Any) -> jax.Array:
    """The leaf in the dtype it is computed in: float32 for half precision, else its own."""
    x = jnp.asarray(x)
    return x.astype(jnp.float32) if _is_half(x.dtype) else x


def wide_dtype(x: Any) -> Any:
    """The dtype a leaf is computed in."""
    return jnp.float32 if _is_half(jnp.result_type(x)) else jnp.result_type(x)


def any_half(params: Any) -> bool:
    """Whether a leaf is half-precision."""
    if isinstance(params, ParamsPlaceholder):
        return params.is_half
    return any(wide_dtype(p) != jnp.result_type(p) for p in jax.tree.leaves(params))


def wide_real(x: Any) -> Any:
    """The dtype of squared magnitudes of a leaf: real, at least float32."""
    real = jnp.finfo(jnp.result_type(x)).dtype
    return jnp.float32 if _is_half(real) else real


def square(x: jax.Array) -> jax.Array:
    """Squared magnitude, real also for complex leaves."""
    if jnp.issubdtype(x.dtype, jnp.complexfloating):
        return jnp.real(x) ** 2 + jnp.imag(x) ** 2
    return x * x


def full_like(params: Any, value: ScalarLike, dtype: Any = None) -> Any:
    """A tree shaped like `params`, filled with `value`, strongly typed.

    Args:
      params: A pytree of arrays.
      value: The value of every element.
      dtype: A dtype, a function from a leaf to its dtype, or None for the leaf's own.
    """

    def leaf(p: Any) -> jax.Array:
        chosen: Any = dtype(p) if callable(dtype) and not isinstance(dtype, type) else dtype
        return jnp.full(jnp.shape(p), value, chosen or jnp.result_type(p))

    return jax.tree.map(leaf, params)


def zeros_like(params: Any, dtype: Any = None) -> Any:
    """A tree shaped like `params`, filled with zeros; see `full_like`."""
    return full_like(params, 0, dtype)


def next_count(count: jax.Array) -> jax.Array:
    """The step count plus one, staying at the largest int32 instead of wrapping round."""
    return jnp.where(count < _LAST_COUNT, count + 1, count)


def one_minus_power(base: ScalarLike, count: jax.Array) -> jax.Array:
    """`1 - base**count` without cancellation, for `base` in [0, 1) and `count` >= 1.

    Near `base = 1` the plain form loses every digit that matters: in float32 it is off by 1.7e-4
    at 0.9999. The logarithm of a Python number is taken in float64 before it is rounded.
    """
    return -jnp.expm1(count.astype(jnp.result_type(float)) * log_of(base))


def log_of(base: ScalarLike) -> Any:
    """The logarithm of a number in [0, 1), to its last digit near 1 too."""
    if isinstance(base, (float, int, np.number, np.ndarray)):
        return math.log(base) if base > 0 else -math.inf
    return jnp.log1p(jnp.asarray(base, jnp.result_type(float)) - 1)


def divide(x: jax.Array, divisor: jax.Array) -> jax.Array:
    """The leaf over a scalar, in the leaf's dtype."""
    return x / divisor.astype(jnp.finfo(x.dtype).dtype)


def multiply(x: Any, factor: Any) -> jax.Array:
    """The leaf times a scalar, in the leaf's dtype."""
    return x * factor.astype(jnp.finfo(x.dtype).dtype)


def cast_like(tree: Any, like: Any) -> Any:
    """The tree with each leaf in the dtype of its counterpart."""
    return jax.tree.map(lambda x, y: x.astype(jnp.result_type(y)), tree, like)


def field(kind: type[Any], leaves: Any, name: str) -> Any:
    """One field of a tree whose leaves are tuples of the kind: what a function of leaves made several of."""
    return jax.tree.map(lambda leaf: getattr(leaf, name), leaves, is_leaf=lambda x: isinstance(x, kind))


def push(line: jax.Array, newest: Any) -> jax.Array:
    """The last values of a leaf, along a leading axis, with the newest at the end and without the oldest.

    Everything moves up: a slot to write to would depend on a count that stops at its end.
    """
    return jnp.concatenate([line[1:], jnp.asarray(newest, line.dtype)[None]])


def moment(decay: ScalarLike, values: Any, previous: Any) -> Any:
    """The exponential moving average `decay * previous + (1 - decay) * values`, computed wide."""
    return jax.tree.map(lambda x, m: decay * wide(m) + (1 - decay) * wide(x), values, previous)


def second_moment(decay: ScalarLike, values: Any, previous: Any) -> Any:
    """The exponential moving average of the squared magnitudes, computed wide."""
    return jax.tree.map(lambda x, v: decay * wide(v) + (1 - decay) * square(wide(x)), values, previous)


def debias(moments: Any, decay: ScalarLike, count: jax.Array) -> Any:
    """Averages that started at zero, freed of that start: `moments / (1 - decay**count)`."""
    correction = one_minus_power(decay, count)
    return jax.tree.map(lambda m: divide(m, correction), moments)


def debias_ahead(moments: Any, values: Any, decay: ScalarLike, count: jax.Array) -> Any:
    """The debiased average one step ahead, as if the newest value came again (Dozat's NAdam, 2016)."""
    now, ahead = one_minus_power(decay, count), one_minus_power(decay, next_count(count))

    def leaf(m: jax.Array, x: Any) -> Any:
        return decay * divide(m, ahead) + (1 - decay) * divide(wide(x), now)

    return jax.tree.map(leaf, moments, values)


def norm(tree: Any) -> jax.Array:
    """The Euclidean norm of all leaves together, in at least float32, without overflow."""
    leaves = [wide(x) for x in jax.tree.leaves(tree)]
    if not leaves:
        return jnp.zeros((), jnp.float32)
    largest = jnp.max(jnp.stack([jnp.max(jnp.abs(x), initial=0) for x in leaves]))
    unit = unit_for(largest)
    total = jnp.stack([jnp.sum(square(x / unit)) for x in leaves]).sum()
    return unit * jnp.sqrt(total)


def unit_for(largest: jax.Array) -> jax.Array:
    """A divisor of numbers up to `largest` whose squares are to be summed without overflow.

    Near the end of the range it is less than the largest: compilers divide by multiplying with the inverse,
    which would be subnormal there, and is flushed to zero.
    """
    most = float(jnp.finfo(largest.dtype).max) ** 0.75
    return jnp.where((largest > 0) & jnp.isfinite(largest), jnp.minimum(largest, most), 1)


def vdot(x: Any, y: Any) -> jax.Array:
    """The real inner product of two trees, in at least float32."""
    products = jax.tree.map(lambda a, b: jnp.real(jnp.sum(jnp.conj(wide(a)) * wide(b))), x, y)
    return _total(jax.tree.leaves(products))


def sum_of_magnitudes(tree: Any) -> jax.Array:
    """The sum of all absolute values, in at least float32."""
    return _total([jnp.sum(jnp.abs(wide(x))) for x in jax.tree.leaves(tree)])


def _total(numbers: list[jax.Array]) -> jax.Array:
    return jnp.stack(numbers).sum() if numbers else jnp.zeros((), jnp.float32)


def root_mean_square(x: Any) -> jax.Array:
    """The root of the mean squared magnitude of one leaf, in at least float32, without overflow."""
    return norm([x]) / math.sqrt(max(jnp.size(x), 1))


def _is_half(dtype: Any) -> bool:
    return jnp.issubdtype(dtype, jnp.floating) and jnp.finfo(dtype).bits < 32
