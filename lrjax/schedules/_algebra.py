"""What makes a schedule of another: a warmup in front, a cooldown behind, the same again."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import Params, ScalarLike, ScalarOrSchedule
from lrjax.schedules import _arguments, _clock, _shapes
from lrjax.schedules._schedule import Schedule, as_schedule, from_closed_form, start
from lrjax.schedules._warmup import warmup_constant_schedule


class CooldownState(NamedTuple):
    """The state of a cooldown that a signal starts.

    Attributes:
      since: int32 scalar, the number of updates since the cooldown began; -1 before.
      inner_state: The schedule's own state.

    Example:
      >>> import lrjax
      >>> int(lrjax.cooldown(lrjax.constant_schedule(0.1), steps=10).init().since)
      -1
    """

    since: jax.Array
    inner_state: Any


class RepeatState(NamedTuple):
    """The state of a repeated schedule that depends on more than time.

    Attributes:
      count: int32 scalar, the number of values already given out.
      inner_state: The schedule's own state.

    Example:
      >>> import lrjax
      >>> int(lrjax.repeat(lrjax.plateau_schedule(), steps=10).init().count)
      0
    """

    count: jax.Array
    inner_state: Any


def warmup(steps: ScalarLike, init_value: ScalarLike = 0.0) -> Schedule:
    r"""A factor that rises on a straight line to 1 and stays there: to be multiplied by a schedule.

    $s_t = s_0 + (1 - s_0) \min(t, w) / w$.

    Args:
      steps: $w$ in steps, >= 0; with 0 the factor is 1 from the first update on.
      init_value: $s_0$, the factor of the first update. With 0 the first update does nothing.

    Returns:
      A `Schedule`.

    Raises:
      TypeError: If an argument is not one real number.
      ValueError: If one is not finite, or `steps` negative.

    References:
      Goyal et al., Accurate, Large Minibatch SGD, 1706.02677, 2017.

    Example:
      >>> import lrjax
      >>> schedule = lrjax.warmup(4) * lrjax.constant_schedule(0.5)
      >>> [float(schedule(t)) for t in (0, 2, 4, 99)]
      [0.0, 0.25, 0.5, 0.5]
    """
    _clock.check_steps("warmup", "steps", steps)
    _check.number("warmup", "init_value", init_value)
    return warmup_constant_schedule(init_value, 1.0, steps)


def cooldown(
    schedule: ScalarOrSchedule,
    steps: ScalarLike,
    begin: ScalarLike | None = None,
    end_value: ScalarLike = 0.0,
    shape: str = "linear",
) -> Schedule:
    r"""Any schedule, brought down at its end: $\eta_t = s_t\, (f_e + (1 - f_e)\, c(q))$.

    $q = \min(\max(t - b, 0), C) / C$ is how much of the cooldown is done, and $c$ falls from 1 to 0:
    $1 - q$ ("linear"), $\tfrac12 (1 + \cos \pi q)$ ("cosine"), $1 - \sqrt q$ ("sqrt"), $1 - q^2$
    ("square") or $2^{1 - q} - 1$ ("exponential"). The schedule itself runs on below the factor.

    Args:
      schedule: What is brought down: a `Schedule`, a number or a callable of the step.
      steps: $C$, the length of the cooldown in steps, > 0.
      begin: $b$ in steps, >= 0: where it begins. None for when a signal says so: the first update
        that receives `cooldown=True` (a bool, which may be traced) is the last at full height.
      end_value: $f_e$, the factor after the cooldown.
      shape: "linear", "cosine", "sqrt", "square" or "exponential". Static.

    Returns:
      A `Schedule`; it has a closed form if `schedule` has and `begin` is given.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range, or `shape` unknown.

    References:
      Hägele et al., Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations,
        2405.18392, 2024.

    Example:
      >>> import lrjax
      >>> schedule = lrjax.cooldown(0.5, steps=4, begin=10)
      >>> [float(schedule(t)) for t in (0, 10, 12, 14, 99)]
      [0.5, 0.5, 0.25, 0.0, 0.0]
    """
    inner = as_schedule("cooldown", "schedule", schedule)
    _clock.check_steps("cooldown", "steps", steps, positive=True)
    _check.number("cooldown", "end_value", end_value)
    _arguments.one_of("cooldown", "shape", shape, tuple(_shapes.SHAPES))

    def factor(count: Any, first: ScalarLike) -> jax.Array:
        falls = _shapes.between(1.0, end_value, _shapes.falling(shape))
        return falls(*_clock.progress(count, first, steps))

    if begin is not None:
        _clock.check_steps("cooldown", "begin", begin)
        return inner * from_closed_form(lambda count: factor(count, begin))

    def init(params: Params | None = None) -> CooldownState:
        return CooldownState(jnp.full((), -1, jnp.int32), start(inner, params))

    def update(state: CooldownState, **signals: Any) -> tuple[jax.Array, CooldownState]:
        value, inner_state = inner.update(state.inner_state, **signals)
        begins = jnp.asarray(signals.get("cooldown", False), bool)
        since = jnp.where(state.since < 0, jnp.where(begins, 0, -1), _tree.next_count(state.since))
        return _clock.scalar(value) * _clock.settled(factor(since, 0)), CooldownState(since, inner_state)

    return Schedule(init, update, takes_params=inner.takes_params)


def repeat(schedule: ScalarOrSchedule, steps: ScalarLike) -> Schedule:
    r"""A schedule that starts again every so many steps: $\eta_t = s_{t \bmod T}$.

    One that is driven by metrics forgets them when it starts again.

    Args:
      schedule: A `Schedule`, a number or a callable of the step.
      steps: $T$, the length of one round in steps, > 0.

    Returns:
      A `Schedule`; it has a closed form if `schedule` has.

    Raises:
      TypeError: If an argument is of the wrong kind, or `schedule` needs the parameters to start.
      ValueError: If `steps` is not finite or not positive.

    Example:
      >>> import lrjax
      >>> schedule = lrjax.repeat(lrjax.linear_schedule(1.0, 0.0, transition_steps=4), steps=4)
      >>> [float(schedule(t)) for t in (0, 2, 3, 4, 6)]
      [1.0, 0.5, 0.25, 1.0, 0.5]
    """
    inner = as_schedule("repeat", "schedule", schedule)
    _clock.check_steps("repeat", "steps", steps, positive=True)
    if inner.takes_params:
        expected = "a schedule that starts without the parameters"
        raise _check.fail_type("repeat", "schedule", expected, "one whose state has their shape")

    closed = None
    if inner.closed_form is not None:
        closed = from_closed_form(lambda count: inner.at(_clock.cycle(count, steps)[1]))
        if not inner.running:
            return closed

    def init() -> RepeatState:
        return RepeatState(jnp.zeros((), jnp.int32), inner.init())

    def update(state: RepeatState, **signals: Any) -> tuple[jax.Array, RepeatState]:
        begins = _clock.cycle(state.count, steps)[0] != _clock.cycle(state.count - 1, steps)[0]
        first = jax.tree.map(lambda new, old: jnp.where(begins, new, old), inner.init(), state.inner_state)
        value, inner_state = inner.update(first, **signals)
        return value, RepeatState(_tree.next_count(state.count), inner_state)

    return Schedule(init, update, None if closed is None else closed.closed_form, running=inner.running)
