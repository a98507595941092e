"""Curves between two values, as functions of the fractions of a span that are done and left.

Each falls from 1 to 0 and is written so that it keeps its digits near 0, where most of the meaning
of a decaying rate lies. None has an infinite or undefined gradient.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from lrjax._types import ScalarLike
from lrjax.schedules import _clock

Shape: TypeAlias = Callable[[jax.Array, jax.Array], jax.Array]
"""A function of the fractions done and left."""

Stage: TypeAlias = tuple[ScalarLike, Shape]
"""A length in steps, and the value within it."""


def mix(first: Any, last: Any, share: jax.Array) -> jax.Array:
    """The first value where its share is 1, the last where it is 0: exact at both ends."""
    return _clock.scalar(first) * share + _clock.scalar(last) * (1 - share)


def raised(base: jax.Array, exponent: ScalarLike) -> jax.Array:
    """A number >= 0 to a power > 0; at 0, where the slope may be infinite, its gradient is 0."""
    inside = base > 0
    power = jnp.power(jnp.where(inside, base, 1.0), _clock.scalar(exponent))
    return _clock.settled(jnp.where(inside, power, 0.0))


def repeated(factor: ScalarLike, times: jax.Array) -> jax.Array:
    """A factor >= 0 to the power of how often it applies, >= 0; 0 to the power 0 is 1.

    Of a Python number, what float32 rounds away is put back: 0.999 repeated ten thousand times
    would show it.
    """
    base, times = _clock.scalar(factor), _clock.settled(times.astype(jnp.float32))
    inside = base > 0
    power = jnp.power(jnp.where(inside, base, 1.0), times)
    if isinstance(factor, (float, int)) and (rounded := float(np.float32(factor))) > 0:
        power *= jnp.exp(times * math.log(factor / rounded))
    return _clock.settled(jnp.where(inside, power, jnp.where(times > 0, 0.0, 1.0)))


def linear(done: jax.Array, left: jax.Array) -> jax.Array:
    """A straight line."""
    del done
    return left


def cosine(done: jax.Array, left: jax.Array) -> jax.Array:
    """Half a cosine, (1 + cos(pi q)) / 2."""
    del done
    return jnp.square(jnp.sin(math.pi / 2 * left))


def sqrt(done: jax.Array, left: jax.Array) -> jax.Array:
    """One less the root of q, steep at the start."""
    inside = done > 0
    root = jnp.where(inside, jnp.sqrt(jnp.where(inside, done, 1.0)), 0.0)
    return left / (1 + root)


def square(done: jax.Array, left: jax.Array) -> jax.Array:
    """One less the square of q, steep at the end."""
    return left * (1 + done)


def exponential(done: jax.Array, left: jax.Array) -> jax.Array:
    """Twice (1/2)^q, less 1: an exponential that reaches 0."""
    del done
    return jnp.expm1(math.log(2) * left)


SHAPES: dict[str, Shape] = {
    "linear": linear,
    "cosine": cosine,
    "sqrt": sqrt,
    "square": square,
    "exponential": exponential,
}


def falling(shape: str) -> Shape:
    """The curve of that name from 1 to 0."""
    return SHAPES[shape]


def rising(shape: str) -> Shape:
    """The curve of that name from 0 to 1: the falling one read backwards."""
    return lambda done, left: SHAPES[shape](left, done)


def to_the_power(shape: Shape, exponent: ScalarLike) -> Shape:
    """The curve raised to a power > 0."""
    return lambda done, left: raised(shape(done, left), exponent)


def between(first: Any, last: Any, shape: Shape) -> Shape:
    """The values between a first one, where the shape is 1, and a last one, where it is 0."""
    return lambda done, left: mix(first, last, shape(done, left))


def staged(count: Any, stages: Sequence[Stage], last: Any) -> jax.Array:
    """One stage after another, then a last value.

    Args:
      count: The step.
      stages: For each its length in steps, and its value as a function of the fractions done and left.
      last: The value after all of them.
    """
    begin: ScalarLike = 0
    rows = []
    for length, value in stages:
        end = _clock.add(begin, length)
        now, stop = _clock.alike(count, end)
        rows.append((now < stop, value(*_clock.progress(count, begin, length))))
        begin = end
    result = _clock.scalar(last)
    for inside, value in reversed(rows):
        result = jnp.where(inside, value, result)
    return result
