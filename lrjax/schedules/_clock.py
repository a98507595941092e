"""Steps as numbers: integers are subtracted and reduced before they become floats.

A float32 holds integers exactly only up to 2**24. A schedule that turns the step into a float first
is off by whole steps later; one that subtracts first is off by a rounding error at any step.
"""

from __future__ import annotations

import numbers
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from lrjax import _check
from lrjax._types import ScalarLike

_LARGEST = np.iinfo(np.int32).max


def steps(value: Any) -> jax.Array:
    """A number of steps as int32 if it is a whole number that fits, else as float32.

    A float of Python or NumPy counts as a whole number if it is one; an array keeps its kind. A
    traced integer that does not fit stays at the largest int32, as the step count itself does.
    """
    if isinstance(value, (numbers.Integral, float, np.floating)) and not isinstance(value, Tracer):
        number = float(value)
        value = int(number) if number.is_integer() and abs(number) <= _LARGEST else number
    elif isinstance(value, (np.ndarray, jax.Array)) and _may_overflow(value.dtype):
        if isinstance(value, Tracer):
            value = jnp.clip(value, max(-_LARGEST, jnp.iinfo(value.dtype).min), _LARGEST)
        elif np.any(np.abs(np.asarray(value, np.float64)) > _LARGEST):
            value = np.asarray(value, np.float32)
    kind = jnp.int32 if jnp.issubdtype(jnp.result_type(value), jnp.integer) else jnp.float32
    return jnp.asarray(value, kind)


def alike(*values: Any) -> tuple[jax.Array, ...]:
    """Numbers of steps in one dtype: int32 if all are whole, else float32."""
    counts = [steps(value) for value in values]
    whole = all(count.dtype == jnp.int32 for count in counts)
    return tuple(counts if whole else (count.astype(jnp.float32) for count in counts))


def check_steps(call: str, argument: str, value: ScalarLike, *, positive: bool = False) -> None:
    """Requires a number of steps: >= 0, or > 0; it may be a tracer."""
    _check.number(call, argument, value, low=0, open_low=positive)


def passed(count: Any, begin: ScalarLike, total: ScalarLike) -> tuple[jax.Array, jax.Array]:
    """Steps done and steps left at `count` of a span of `total` steps from `begin`, both clipped."""
    now, start, span = alike(count, begin, total)
    done = jnp.clip(now - start, 0, span)
    return done, span - done


def progress(count: Any, begin: ScalarLike, total: ScalarLike) -> tuple[jax.Array, jax.Array]:
    """Fractions done and left of a span: each accurate near its own zero, together 1.

    A span of no steps stays at its beginning: (0, 1).
    """
    done, left = (x.astype(jnp.float32) for x in passed(count, begin, total))
    span = steps(total).astype(jnp.float32)
    safe = jnp.where(span > 0, span, 1.0)
    return settled(done / safe), settled(jnp.where(span > 0, left / safe, 1.0))


def add(first: ScalarLike, second: ScalarLike) -> ScalarLike:
    """The sum of two numbers of steps; of traced ones it stays at the largest int32."""
    known = _check.known(first), _check.known(second)
    if known[0] is not None and known[1] is not None:
        return known[0] + known[1]
    a, b = alike(first, second)
    return a + (jnp.minimum(b, _LARGEST - a) if a.dtype == jnp.int32 else b)


def cycle(count: Any, period: ScalarLike) -> tuple[jax.Array, jax.Array]:
    """Which of many cycles of equal length a step lies in (from 0), and the steps done in it."""
    now, span = alike(count, period)
    now, span = jnp.maximum(now, 0), jnp.where(span > 0, span, 1)
    index = jax.lax.stop_gradient(now // span)
    return index, now - index * span


def share(part: jax.Array, whole: Any) -> jax.Array:
    """A part of a whole as a fraction in [0, 1]; of nothing it is 0."""
    part, whole = scalar(part), scalar(whole)
    return settled(jnp.where(whole > 0, jnp.clip(part / jnp.where(whole > 0, whole, 1.0), 0.0, 1.0), 0.0))


def settled(x: jax.Array) -> jax.Array:
    """The value as computed so far, which XLA may not regroup with what comes after.

    Left alone it turns `rate * (step / 10)` into `(rate * step) * 0.1` in one program and not in
    another, and the same schedule differs in its last digit between a run and its vectorised twin.
    """
    return jax.lax.optimization_barrier(x)


def scalar(value: ScalarLike) -> jax.Array:
    """A value of a schedule as a float32 scalar."""
    return jnp.asarray(value, jnp.float32)


def _may_overflow(dtype: Any) -> bool:
    return bool(jnp.issubdtype(dtype, jnp.integer)) and jnp.iinfo(dtype).max > _LARGEST
