"""A trial whose rate climbs from step to step, or stays, with its own schedule set aside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import jaxpr_as_fun

from lrjax.answer import medians
from lrjax.learning_rate import set_step
from lrjax.results import SweepData
from lrjax.trials import Trial

_RATE = "learning_rate"  # what a trial records of the rate in use
_FACTOR = "its schedule's factor"
STEP = "the step of its schedules"
_LOW = 0.1  # of a schedule's highest rate: one that ends lower has decayed
_SAME = 1e-2  # factors closer than this are one: a rate in bfloat16 is rounded by up to 0.4 %
_STEADY = 1e-5  # factors that differ by less are a number of the trial's, no schedule, however slow


class _Climb(NamedTuple):
    state: Any
    step: jax.Array


def climbing(trial: Trial, name: str, rates: np.ndarray | None, divides: bool) -> Trial:
    """A trial whose rate is another one at every step, or the same.

    Args:
      trial: What is trained.
      name: The hyperparameter that climbs.
      rates: Its values, `[steps]`; None for that which the trial is given, at every step.
      divides: Whether to divide them by what the trial's schedule makes of them, so that the rate in use is
        the ramp's. `in_proportion` says whether that can be done.

    Returns:
      The trial.
    """

    def at(step: int | jax.Array, hyperparams: Mapping[str, Any]) -> jax.Array:
        if rates is None:
            return jnp.asarray(hyperparams[name], jnp.float32)
        return jnp.asarray(rates, jnp.float32)[step]

    def init(key: jax.Array, hyperparams: Mapping[str, Any]) -> _Climb:
        return _Climb(trial.init(key, {**hyperparams, name: at(0, hyperparams)}), jnp.int32(0))

    def update(climb: _Climb, batch: Any, hyperparams: Mapping[str, Any]) -> tuple[Any, _Climb]:
        rate, told = at(climb.step, hyperparams), {}

        def in_use(rate: jax.Array) -> jax.Array:
            return trial.update(climb.state, batch, {**hyperparams, name: rate})[0][_RATE]

        # Of this update only the recorded rate is used, and compilers drop the rest of it, unless it prints
        # or calls back: that must not be done twice.
        if divides and not (first := jax.make_jaxpr(in_use)(rate)).effects:
            factor = jaxpr_as_fun(first)(rate)[0] / rate
            rate, told = jnp.where(factor == 0, rate, rate / factor), {_FACTOR: factor}
        metrics, state = trial.update(climb.state, batch, {**hyperparams, name: rate})
        return {**metrics, **told}, _Climb(state, climb.step + 1)

    judge, hear = trial.evaluate, trial.observe

    def evaluate(climb: _Climb, batch: Any) -> Any:
        assert judge is not None
        return judge(climb.state, batch)

    def observe(climb: _Climb, metrics: Any) -> _Climb:
        assert hear is not None
        return climb._replace(state=hear(climb.state, metrics))

    return Trial(
        init,
        update,
        None if judge is None else evaluate,
        None if hear is None else observe,
        trial.static,
    )


def in_proportion(probed: SweepData, low: float, high: float) -> bool | None:
    """Whether the rate that a trial records is its hyperparameter times something.

    Args:
      probed: A sweep of two points, at the lowest and the highest rate.
      low: The lowest rate.
      high: The highest.

    Returns:
      None if the trial records no rate, or one that does not hang on the hyperparameter.
    """
    recorded = probed.metrics.get(_RATE)
    if recorded is None:
        return None
    slow, fast = recorded[:, 0].astype(float)
    moved = np.flatnonzero(np.isfinite(slow) & np.isfinite(fast) & (slow != fast))
    if not len(moved):
        return None
    first = moved[0]  # later a schedule that losses drive may be elsewhere
    return bool(np.isclose(fast[first] * low, slow[first] * high, rtol=_SAME, atol=0))


def at_steps(trial: Trial, hyperparams: Mapping[str, Any]) -> Trial | None:
    """A trial whose schedules begin at a step of their own: not to be trained, but to see its rate.

    Args:
      trial: The trial.
      hyperparams: Hyperparameters that it takes.

    Returns:
      A trial that takes one hyperparameter more, the step, named `STEP`. None where the state holds no
      schedule whose step can be set.
    """

    def init(key: jax.Array, hyperparams: Mapping[str, Any]) -> Any:
        own = dict(hyperparams)
        step = own.pop(STEP)
        return set_step(trial.init(key, own), step)

    def update(state: Any, batch: Any, hyperparams: Mapping[str, Any]) -> tuple[Any, Any]:
        return trial.update(state, batch, {name: x for name, x in hyperparams.items() if name != STEP})

    def attempt(key: jax.Array) -> None:
        init(key, {**hyperparams, STEP: 0})

    try:
        jax.eval_shape(attempt, jax.random.key(0))
    except ValueError:
        return None
    return Trial(init, update, static=trial.static)


def comes_down(found: SweepData) -> bool:
    """Whether the last of the rates that trials made by `at_steps` told is below a tenth of the highest."""
    rates = found.metrics[_RATE][:, 0, 0].astype(float)
    return bool(rates[-1] < _LOW * np.nanmax(rates))


def factors(found: SweepData, rates: np.ndarray) -> tuple[np.ndarray, np.ndarray | None, bool]:
    """What the trial's own schedule makes of the rates: the rate in use over the hyperparameter.

    Args:
      found: The ramp's measurements.
      rates: Its rates.

    Returns:
      The rates, in the hyperparameter's units where the rate in use is a fixed multiple of it.
      The median over the seeds that still ran, `[steps]`, NaN where none did; None where it does not change.
      And whether the ramp was divided by it and the rates in use were the ramp's, but where they were 0: a
      schedule may begin as a multiple of the hyperparameter and end at a number of its own.
    """
    used = medians(found.metrics[_RATE][0].astype(float).T)
    if _FACTOR not in found.metrics:
        made, divided = used / rates, False
    else:
        made = medians(found.metrics[_FACTOR][0].astype(float).T)
        moves = np.isfinite(used) & (made != 0)
        divided = bool((np.abs(used - rates)[moves] < _SAME * rates[moves]).all())
    known = made[np.isfinite(made)]
    if (np.abs(known - 1) < _SAME).all():
        return rates, None, divided
    number = float(np.median(known))
    if divided and number > 0 and (np.abs(known - number) < _STEADY * number).all():
        return rates / number, None, False
    return rates, made, divided


def ended(schedule: np.ndarray | None) -> int | None:
    """From which step on a schedule is 0 to the end, having begun; None if it is not."""
    if schedule is None or not (on := np.flatnonzero(np.nan_to_num(schedule))).size:
        return None
    off = int(on[-1]) + 1
    return off if (schedule[off:] == 0).any() else None
