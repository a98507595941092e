"""The schedule: a pure pair whose output is one number, and arithmetic of such pairs."""

from __future__ import annotations

import dataclasses
import math
import operator
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lrjax import _check, _tree
from lrjax._types import Params, ScalarLike, ScalarOrSchedule
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


class CombinedScheduleState(NamedTuple):
    """The state of an arithmetic of schedules that depends on more than time.

    Attributes:
      inner_states: The states of the schedules, in their order; a number has none.

    Example:
      >>> import lrjax
      >>> schedule = 0.1 * lrjax.plateau_schedule()
      >>> [type(state).__name__ for state in schedule.init().inner_states]
      ['PlateauState', 'tuple']
    """

    inner_states: tuple[Any, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Schedule:
    """A pure pair `(init, update)` that gives one number per step.

    `init() -> state`, and `update(state, **signals) -> (value, state)`. Signals are what the
    training step knows (`value=`, `grad_norm=`, ...); a schedule ignores those it does not use.
    The schedule can be unpacked, `init, update = schedule`. To JAX's pytrees it is opaque.

    A schedule that depends on time alone also has a closed form: `schedule.at(count)`, or
    `schedule(count)`, is its value at step `count` (0 is the first update), so that it serves
    wherever a plain callable of the step is asked for.

    Schedules, numbers (NumPy's and traced ones too) and callables of the step combine by `+`, `-`,
    `*` and `/`; the value is that of the arithmetic, at every step. All operands move together.

    Attributes:
      init: Makes the state.
      update: Gives the next value (a float32 scalar) and the new state.
      closed_form: The value as a function of the step, or None if it depends on more than time.
      takes_params: Whether `init` needs the parameters, `init(params)`, because the state has
        their shape.
      running: Whether each value is made from the one before, so that `update` is cheap and
        `closed_form` takes as many operations as there are steps.

    Example:
      >>> import lrjax
      >>> schedule = lrjax.linear_schedule(1.0, 0.0, transition_steps=4)
      >>> init, update = schedule
      >>> value, state = update(init())
      >>> value, state = update(state)
      >>> float(value), float(schedule(1)), float((0.5 * schedule)(1))
      (0.75, 0.75, 0.375)
    """

    init: Callable[..., Any]
    update: Callable[..., tuple[jax.Array, Any]]
    closed_form: Callable[[Any], jax.Array] | None = None
    takes_params: bool = False
    running: bool = False

    __array_ufunc__ = None  # NumPy's scalars leave the arithmetic to the schedule

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

    def scale(self, factor: ScalarOrSchedule) -> Schedule:
        """The schedule times a factor, the same as `schedule * factor`.

        Args:
          factor: A number, a schedule or a callable of the step.
        """
        return combined(operator.mul, self, _operand("Schedule.scale", "factor", factor))

    def offset(self, amount: ScalarOrSchedule) -> Schedule:
        """The schedule plus an amount, the same as `schedule + amount`.

        Args:
          amount: A number, a schedule or a callable of the step.
        """
        return combined(operator.add, self, _operand("Schedule.offset", "amount", amount))

    def clip(self, minimum: ScalarLike | None = None, maximum: ScalarLike | None = None) -> Schedule:
        """The schedule kept between two bounds.

        Args:
          minimum: The lower bound, or None for none.
          maximum: The upper bound, or None for none; at least `minimum`.

        Raises:
          TypeError: If a bound is not one real number.
          ValueError: If a bound is not finite, or `maximum` is below `minimum`.
        """
        call = "Schedule.clip"
        for name, bound in (("minimum", minimum), ("maximum", maximum)):
            if bound is not None:
                _check.number(call, name, bound)
        known = [None if bound is None else _check.known(bound) for bound in (minimum, maximum)]
        if known[0] is not None and known[1] is not None and known[1] < known[0]:
            raise _check.fail(call, "maximum", f"at least minimum={known[0]:g}", f"{known[1]:g}")
        low, high = (None if bound is None else _clock.scalar(bound) for bound in (minimum, maximum))
        return combined(lambda value: jnp.clip(value, low, high), self)

    def __mul__(self, other: Any) -> Schedule:
        return combined(operator.mul, self, _operand("Schedule.__mul__", "other", other))

    def __rmul__(self, other: Any) -> Schedule:
        return self * other

    def __add__(self, other: Any) -> Schedule:
        return combined(operator.add, self, _operand("Schedule.__add__", "other", other))

    def __radd__(self, other: Any) -> Schedule:
        return self + other

    def __sub__(self, other: Any) -> Schedule:
        return combined(operator.sub, self, _operand("Schedule.__sub__", "other", other))

    def __rsub__(self, other: Any) -> Schedule:
        return combined(operator.sub, _operand("Schedule.__rsub__", "other", other), self)

    def __truediv__(self, other: Any) -> Schedule:
        return combined(operator.truediv, self, _operand("Schedule.__truediv__", "other", other))

    def __rtruediv__(self, other: Any) -> Schedule:
        return combined(operator.truediv, _operand("Schedule.__rtruediv__", "other", other), self)

    def __neg__(self) -> Schedule:
        return combined(operator.neg, self)


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


def combined(function: Callable[..., Any], *parts: Schedule) -> Schedule:
    """The schedule whose value is a function of the values that several have at the same step."""
    closed = None
    if all(part.closed_form is not None for part in parts):
        closed = from_closed_form(lambda count: function(*(part.at(count) for part in parts)))
    running = any(part.running for part in parts)
    if closed is not None and not running:
        return closed

    def init(params: Params | None = None) -> CombinedScheduleState:
        return CombinedScheduleState(tuple(start(part, params) for part in parts))

    def update(state: CombinedScheduleState, **signals: Any) -> tuple[jax.Array, CombinedScheduleState]:
        pairs = zip(parts, state.inner_states, strict=True)
        values, inner = zip(*(part.update(inner, **signals) for part, inner in pairs), strict=True)
        value = function(*(_clock.scalar(value) for value in values))
        return value, CombinedScheduleState(inner)

    at = None if closed is None else closed.closed_form
    return Schedule(init, update, at, any(part.takes_params for part in parts), running)


def start(schedule: Schedule, params: Params | None) -> Any:
    """The schedule's first state; the parameters are for those that ask for them."""
    return schedule.init(params) if schedule.takes_params else schedule.init()


def first_values(schedule: Schedule, steps: int) -> np.ndarray:
    """The values of the first steps of a schedule that depends on time alone, as float64."""
    if not schedule.running:
        return np.asarray(jax.jit(schedule.at)(np.arange(steps, dtype=np.int32)), np.float64)

    def step(state: Any, _: None) -> tuple[Any, jax.Array]:
        value, state = schedule.update(state)
        return state, value

    return np.asarray(jax.lax.scan(step, schedule.init(), length=steps)[1], np.float64)


def unset() -> float:
    """What stands where no value is yet: NaN, or -infinity where JAX is told to stop at any NaN."""
    return -math.inf if jax.config.values["jax_debug_nans"] else math.nan


def _operand(call: str, argument: str, value: Any) -> Schedule:
    """A schedule, or what becomes one; a number needs no state."""
    schedule = as_schedule(call, argument, value)
    if callable(value):
        return schedule
    number = _clock.scalar(value)
    return Schedule(lambda: (), lambda state, **signals: (number, state), schedule.closed_form)


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


def as_timed(call: str, argument: str, value: ScalarOrSchedule | Schedule) -> Schedule:
    """The same, of what depends on time alone.

    Args:
      call: The public function the user called, for the error message.
      argument: The argument's name there.
      value: What was passed.

    Raises:
      TypeError: If `value` is none of these, or a schedule that metrics drive.
      ValueError: If it is a number that is not finite.
    """
    schedule = as_schedule(call, argument, value)
    if schedule.closed_form is None:
        expected = "one that depends on time alone"
        raise _check.fail_type(call, argument, expected, "one that is driven by metrics")
    return schedule


def _scalar(call: str, argument: str, count: Any, value: Any) -> jax.Array:
    """The value of a user's callable: one number per step."""
    if jnp.shape(value) not in ((), jnp.shape(count)):
        got = f"one that returns shape {jnp.shape(value)}"
        raise _check.fail_type(call, argument, "a callable that returns one number per step", got)
    return jnp.broadcast_to(jnp.asarray(value), jnp.shape(count))
