"""Checks of arguments: concrete values that are wrong raise, tracers pass.

Every message has one form: the call, the argument, what was expected, what came.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import jax
import numpy as np
from jax.core import Tracer


def fail(call: str, argument: str, expected: str, got: object) -> ValueError:
    """The error for a value out of range (the caller raises it)."""
    return ValueError(f"`{call}({argument}=...)` must be {expected}, got {got}")


def fail_type(call: str, argument: str, expected: str, got: object) -> TypeError:
    """The error for a value of the wrong kind (the caller raises it)."""
    return TypeError(f"`{call}({argument}=...)` must be {expected}, got {got}")


def describe(value: object) -> str:
    """A short text for any value, for the end of an error message."""
    if isinstance(value, (jax.Array, np.ndarray)):
        return f"an array of shape {tuple(value.shape)} and dtype {value.dtype}"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}... ({type(value).__name__})"


def number(
    call: str,
    argument: str,
    value: Any,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    open_low: bool = False,
    open_high: bool = False,
) -> None:
    """Requires one finite real number in the range; of a tracer only the shape is checked.

    Args:
      call: The public function the user called.
      argument: The argument's name there.
      value: What was passed.
      low: The smallest value allowed.
      high: The largest value allowed.
      open_low: Whether `low` itself is excluded.
      open_high: Whether `high` itself is excluded.

    Raises:
      TypeError: If `value` is not one real number.
      ValueError: If it is concrete and not finite or out of range.
    """
    expected = _range_text(low, high, open_low, open_high)
    if isinstance(value, (jax.Array, np.ndarray, np.generic)):
        if value.ndim != 0:
            hint = " (to train many values at once use `lrjax.sweep` or `jax.vmap`)"
            raise fail_type(call, argument, expected, describe(value) + hint)
        if not _is_real(value.dtype):
            raise fail_type(call, argument, expected, describe(value))
    elif isinstance(value, bool) or not isinstance(value, (int, float)):
        raise fail_type(call, argument, expected, describe(value))
    if isinstance(value, Tracer):
        return
    x = float(value)
    inside = (x > low if open_low else x >= low) and (x < high if open_high else x <= high)
    if not math.isfinite(x) or not inside:
        raise fail(call, argument, expected, x)


def pair(call: str, argument: str, value: Any, **limits: Any) -> tuple[Any, Any]:
    """Requires two numbers, each as `number` does, and returns them."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise fail_type(call, argument, "two numbers", describe(value))
    for part in value:
        number(call, argument, part, **limits)
    return value[0], value[1]


def known(value: Any) -> float | None:
    """The number as a Python float if it is concrete, None if it is a tracer."""
    return None if isinstance(value, Tracer) else float(value)


def integer(call: str, argument: str, value: Any, *, low: int = 0) -> int:
    """Requires a concrete int32 of at least `low` and returns it as a Python int."""
    expected = f"an integer >= {low}"
    try:
        result = operator.index(value)
    except TypeError as error:  # also jax's errors for tracers and floating arrays
        raise fail_type(call, argument, expected, describe(value)) from error
    if isinstance(value, (bool, np.bool_)):
        raise fail_type(call, argument, expected, describe(value))
    if result < low:
        raise fail(call, argument, expected, result)
    if result >= 2**31:
        raise fail(call, argument, "an integer < 2**31", result)
    return result


def boolean(call: str, argument: str, value: Any) -> None:
    """Requires a concrete bool: an argument that selects structure."""
    if not isinstance(value, (bool, np.bool_)):
        raise fail_type(call, argument, "True or False (it is static)", describe(value))


def signal(call: str, name: str, meaning: str, value: Any) -> None:
    """Requires a signal of the training step in a call of `update`."""
    if value is None:
        expected = f"{meaning} (`tx.update(grads, state, params, {name}={name})`)"
        raise fail_type(f"{call}.update", name, expected, None)


def _is_real(dtype: Any) -> bool:
    return bool(jax.numpy.issubdtype(dtype, np.floating) or jax.numpy.issubdtype(dtype, np.integer))


def _range_text(low: float, high: float, open_low: bool, open_high: bool) -> str:
    if low == -math.inf and high == math.inf:
        return "one finite number"
    if high == math.inf:
        return f"one number {'>' if open_low else '>='} {low:g}"
    if low == -math.inf:
        return f"one number {'<' if open_high else '<='} {high:g}"
    return f"one number in {'(' if open_low else '['}{low:g}, {high:g}{')' if open_high else ']'}"
