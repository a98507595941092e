"""Schedules made of a user's function of the step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from lrjax import _check, _tree
from lrjax._types import ScalarLike
from lrjax.schedules import _arguments, _clock
from lrjax.schedules._schedule import Schedule, as_schedule, from_closed_form


class MultiplicativeScheduleState(NamedTuple):
    """The state of a schedule whose value is multiplied at every step.

    Attributes:
      count: int32 scalar, the number of values already given out.
      value: float32 scalar, the last one, or the first before that.

    Example:
      >>> import lrjax
      >>> float(lrjax.multiplicative_schedule(0.5, lambda count: 0.9).init().value)
      0.5
    """

    count: jax.Array
    value: jax.Array


def lambda_schedule(value: ScalarLike, function: Callable[[Any], Any]) -> Schedule:
    r"""A value times a function of the step: $\eta_t = \eta f(t)$.

    Args:
      value: $\eta$.
      function: $f$, from the step (an integer array) to one number; written in `jax.numpy`.

    Returns:
      A `Schedule`.

    Raises:
      TypeError: If `value` is not one real number, or `function` cannot be called.
      ValueError: If `value` is not finite.

    Example:
      >>> import lrjax
      >>> schedule = lrjax.lambda_schedule(2.0, lambda count: 0.5**count)
      >>> [float(schedule(t)) for t in range(3)]
      [2.0, 1.0, 0.5]
    """
    call = "lambda_schedule"
    _arguments.finite(call, value=value)
    factor = _factor(call, function)

    def at(count: Any) -> jax.Array:
        return _clock.scalar(value) * factor.at(_clock.steps(count))

    return from_closed_form(at)


def multiplicative_schedule(value: ScalarLike, function: Callable[[Any], Any]) -> Schedule:
    r"""The last value times a function of the step: $\eta_0 = \eta$, $\eta_t = \eta_{t-1} f(t)$.

    `update` costs one multiplication. `schedule.at(count)` multiplies `count` factors; where `count`
    is a tracer it has forward-mode derivatives only.

    Args:
      value: $\eta$, the value at step 0.
      function: $f$, from the step (an integer array, from 1) to one number; written in `jax.numpy`.

    Returns:
      A `Schedule`.

    Raises:
      TypeError: If `value` is not one real number, or `function` cannot be called.
      ValueError: If `value` is not finite.

    Example:
      >>> import lrjax
      >>> schedule = lrjax.multiplicative_schedule(2.0, lambda count: 1 / count)
      >>> [float(schedule(t)) for t in range(4)]
      [2.0, 2.0, 1.0, 0.3333333432674408]
    """
    call = "multiplicative_schedule"
    _arguments.finite(call, value=value)
    factor = _factor(call, function)

    def advance(step: jax.Array, last: jax.Array) -> jax.Array:
        return _clock.settled(last * factor.at(step))

    def at(count: Any) -> jax.Array:
        counts = _clock.steps(count).astype(jnp.int32)
        first = jnp.full(counts.shape, value, jnp.float32)
        if counts.size == 0:
            return first
        stop = counts.max() if isinstance(count, Tracer) else int(np.clip(np.max(count), 0, 2**31 - 2))

        def body(step: Any, last: jax.Array) -> jax.Array:
            step = jnp.asarray(step, jnp.int32)
            return jnp.where(step <= counts, advance(step, last), last)

        return jax.lax.fori_loop(1, stop + 1, body, first)

    def init() -> MultiplicativeScheduleState:
        return MultiplicativeScheduleState(jnp.zeros((), jnp.int32), _clock.scalar(value))

    def update(
        state: MultiplicativeScheduleState, **signals: Any
    ) -> tuple[jax.Array, MultiplicativeScheduleState]:
        del signals
        begun = state.count > 0
        last = jnp.where(begun, advance(jnp.maximum(state.count, 1), state.value), state.value)
        return last, MultiplicativeScheduleState(_tree.next_count(state.count), last)

    return Schedule(init, update, at, running=True)


def _factor(call: str, function: Any) -> Schedule:
    if not callable(function):
        raise _check.fail_type(call, "function", "a callable of the step", _check.describe(function))
    return as_schedule(call, "function", function)
