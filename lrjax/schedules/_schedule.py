"""The schedule: a pure pair whose output is one number."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import ScalarOrSchedule
from lrjax.schedules import _clock


class ScheduleState(NamedTuple):
    """The state of a schedule that depends on time alone.

    Attributes:
      count: int32 scalar, the number of values already given out.

    Example:
      >>> import lrjax
      >>> int(lrjax.constant_schedule(0.1).init().count)
      0
    """

    count: jax.Array


@dataclasses.dataclass(frozen=True, eq=False)
class Schedule:
    """A pure pair `(init, update)` that gives one number per step.

    `init() -> state`, and `update(state, **signals) -> (value, state)`. Signals are what the
    training step knows (`value=`, `grad_norm=`, ...); a schedule ignores those it does not use.
    The schedule can be unpacked, `init, update = schedule`. To JAX's pytrees it is opaque.

    A schedule that depends on time alone also has a closed form: `schedule.at(count)`, or
    `schedule(count)`, is its value at step `count` (0 is the first update), so that it serves
    wherever a plain callable of the step is asked for.

    Attributes:
      init: Makes the state.
      update: Gives the next value (a float32 scalar) and the new state.
      closed_form: The value as a function of the step, or None if it depends on more than time.

    Example:
      >>> import lrjax
      >>> schedule = lrjax.linear_schedule(1.0, 0.0, transition_steps=4)
      >>> init, update = schedule
      >>> value, state = update(init())
      >>> value, state = update(state)
      >>> float(value), float(schedule(1))
      (0.75, 0.75)
    """

    init: Callable[[], Any]
    update: Callable[..., tuple[jax.Array, Any]]
    closed_form: Callable[[Any], jax.Array] | None = None

    def at(self, count: Any) -> jax.Array:
        """The value at a step, as float32 of `count`'s shape.

        Args:
          count: The step, or an array of steps; 0 is the first update.

        Raises:
          TypeError: If the schedule depends on more than time.
        """
        if self.closed_form is None:
            raise TypeError(
                "`Schedule.at(count)` needs a schedule that depends on time alone; this one is driven by "
                "metrics: call `update(state, **signals)`"
            )
        return self.closed_form(count)

    def __call__(self, count: Any) -> jax.Array:
        return self.at(count)

    def __iter__(self) -> Iterator[Callable[..., Any]]:
        yield self.init
        yield self.update


def from_closed_form(closed_form: Callable[[Any], Any]) -> Schedule:
    """The schedule whose value at step `count` is `closed_form(count)`."""

    def at(count: Any) -> jax.Array:
        # Settled: what a caller multiplies the value by must not reach back into the schedule.
        return _clock.settled(jnp.asarray(closed_form(count)).astype(jnp.float32))

    def init() -> ScheduleState:
        return ScheduleState(count=jnp.zeros((), jnp.int32))

    def update(state: ScheduleState, **signals: Any) -> tuple[jax.Array, ScheduleState]:
        del signals
        return at(state.count), ScheduleState(count=_tree.next_count(state.count))

    return Schedule(init, update, at)


def as_schedule(call: str, argument: str, value: ScalarOrSchedule | Schedule) -> Schedule:
    """A number, a schedule or a callable of the step, as a schedule.

    Args:
      call: The public function the user called, for the error message.
      argument: The argument's name there.
      value: What was passed.

    Raises:
      TypeError: If `value` is none of these.
      ValueError: If it is a number that is not finite.
    """
    if isinstance(value, Schedule):
        return value
    if callable(value):
        return from_closed_form(lambda count: _scalar(call, argument, count, value(count)))
    _check.number(call, argument, value)
    return from_closed_form(lambda count: jnp.full(jnp.shape(count), value, jnp.float32))


def _scalar(call: str, argument: str, count: Any, value: Any) -> jax.Array:
    """The value of a user's callable: one number per step."""
    if jnp.shape(value) not in ((), jnp.shape(count)):
        got = f"one that returns shape {jnp.shape(value)}"
        raise _check.fail_type(call, argument, "a callable that returns one number per step", got)
    return jnp.broadcast_to(jnp.asarray(value), jnp.shape(count))
