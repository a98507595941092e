"""Proof on request: members of a sweep trained again, alone, and compared step by step.

A sweep and a loop round differently in every step, and training amplifies some of that: near the edge of
stability, or where Adam meets a gradient that is zero but for rounding, and takes a full step along it. How
far is measured by twins, each of which is moved by one unit in the last place, at random, before every step.
One such twin alone, or a nudge at the start only, misses most of these events.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lrjax import _check
from lrjax.answer import judge
from lrjax.engine._member import Arrays
from lrjax.results import SweepData
from lrjax.search import _alone
from lrjax.search._alone import TOLERANCE, Alone, Course, Who, deviations
from lrjax.trials import Trial

_STRICT = 50  # steps for which no more than that is allowed, unless rounding alone carries further
_TWINS = 8  # of a member, that round otherwise
_TIMES = 10  # what a member may be away from itself alone, in units of what its twins are
_JUMPS = 3  # records in a row that must be out, of a metric that may jump as an accuracy does


class Verified(NamedTuple):
    """How a member of a sweep compares with itself trained alone.

    Attributes:
      point: The point's index.
      seed: The seed's index.
      steps: Recorded steps that were compared.
      first: The first step out of tolerance, -1 for none.
      deviation: The largest deviation of the loss, relative to the largest loss until then; infinite
        where only one of the two is finite.
      others: The same for each other metric.
      diverged_at: The step at which the sweep says that it diverged, -1 for never.
      alone_diverged_at: The step at which it diverged alone, -1 for not until what was compared.
      passed: Whether it is what it would be alone.

    Example:
      >>> Verified(0, 0, 20, -1, 1e-7, {}, -1, -1, True).summary()
      'point 0, seed 0: 20 steps, largest deviation 1e-07: as alone'
    """

    point: int
    seed: int
    steps: int
    first: int
    deviation: float
    others: dict[str, float]
    diverged_at: int
    alone_diverged_at: int
    passed: bool

    def summary(self) -> str:
        """A line of text."""
        text = f"point {self.point}, seed {self.seed}: {self.steps} steps, "
        text += f"largest deviation {self.deviation:.2g}: "
        parts = []
        if self.first >= 0:
            parts.append(f"differs from step {self.first} on")
        if self.diverged_at >= 0 or self.alone_diverged_at >= 0:
            steps = (
                "never" if at < 0 else f"at step {at}" for at in (self.diverged_at, self.alone_diverged_at)
            )
            parts.append("diverged {} in the sweep, {} alone".format(*steps))
        if self.passed:
            parts = ["as alone", *parts]
        return text + "; ".join(parts)


class Verification(NamedTuple):
    """How members of a sweep compare with themselves trained alone; made by `Sweep.verify`.

    Attributes:
      members: A `Verified` for each.

    Example:
      >>> verification = Verification((Verified(0, 0, 20, -1, 1e-7, {}, -1, -1, True),))
      >>> verification.passed
      True
    """

    members: tuple[Verified, ...]

    @property
    def passed(self) -> bool:
        """Whether all of them are what they would be alone."""
        return all(member.passed for member in self.members)

    def summary(self) -> str:
        """A few lines of text."""
        right = sum(member.passed for member in self.members)
        lines = [f"{right} of {len(self.members)} members are what they are alone"]
        lines += [f"  {member.summary()}" for member in self.members]
        early = [m for m in self.members if m.first >= 0 and m.steps and m.first <= 1]
        if early and len(early) == len(self.members):
            lines.append("  all differ from their start: other data, another trial, or another key?")
        return "\n".join(lines)

    def __str__(self) -> str:
        """The same as `summary`."""
        return self.summary()


def verify(
    sweep: SweepData,
    trial: Trial,
    data: Any,
    of_data: Sequence[str],
    members: int | Sequence[Who] = 3,
    steps: int | None = None,
) -> Verification:
    """Trains members of a sweep again, alone; see `Sweep.verify`.

    Args:
      sweep: What the sweep measured.
      trial: What it trained.
      data: What it trained on, or a function of hyperparameters that gives it.
      of_data: The names of these.
      members: How many, or which: pairs of a point's and a seed's index.
      steps: How many steps of them; None for all.

    Returns:
      A `Verification`.
    """
    call = "verify"
    _alone.check_sweep(call, sweep, trial)
    steps = sweep.steps if steps is None else _check.integer(call, "steps", steps, low=1)
    chosen = _chosen(sweep, members)
    with _alone.pinned():
        readings = _alone.readings(call, sweep, trial, data, of_data)
        return Verification(tuple(_verified(sweep, who, steps, readings) for who in chosen))


def _chosen(sweep: SweepData, members: Any) -> list[Who]:
    """Which members are trained again."""
    points, seeds = sweep.diverged_at.shape
    if not isinstance(members, Sequence) or isinstance(members, str):
        return _spread(sweep, _check.integer("verify", "members", members, low=1))
    chosen = []
    for pair in members:
        expected = f"a number, or pairs of a point below {points} and a seed below {seeds}"
        if not isinstance(pair, Sequence) or len(pair) != 2:
            raise _check.fail_type("verify", "members", expected, _check.describe(pair))
        p, s = (_check.integer("verify", "members", index) for index in pair)
        if p >= points or s >= seeds:
            raise _check.fail("verify", "members", expected, (p, s))
        _alone.check_determined("verify", "members", sweep, (p, s))
        chosen.append((p, s))
    return chosen


def _spread(sweep: SweepData, count: int) -> list[Who]:
    """Members that trained, spread over the rates, the best point among them."""
    best = judge(sweep).index
    rates = sweep.points.get(sweep.name)
    points, seeds = sweep.diverged_at.shape
    order = [*range(points)] if rates is None or rates.dtype == object else np.argsort(rates, kind="stable")
    unknown = _alone.undetermined(sweep)
    losses = sweep.metrics.get("loss", np.zeros((points, seeds, 0)))
    begun = {(p, s) for p in range(points) for s in range(seeds) if np.isfinite(losses[p, s]).any()}
    able = [[(int(p), s) for s in range(seeds) if (p, s) in begun - unknown] for p in order]
    able = [members for members in able if members]
    if not able:
        raise _check.fail("verify", "sweep", "one with members that trained", "one without")
    if count >= len(able):
        rounds = [members[s] for s in range(seeds) for members in able if s < len(members)]
        return rounds[:count]
    places = [round(place) for place in np.linspace(0, len(able) - 1, count)]
    at = [place for place, members in enumerate(able) if members[0][0] == best]
    if at and at[0] not in places:
        places[int(np.argmin([abs(place - at[0]) for place in places]))] = at[0]
    return [able[place][number % len(able[place])] for number, place in enumerate(places)]


def _verified(sweep: SweepData, who: Who, steps: int, readings: Sequence[_alone.Reading]) -> Verified:
    """The comparison under the reading of the points that agrees for longest."""

    def attempt(alone: Alone) -> tuple[int, Verified]:
        verified = _compare(sweep, who, steps, alone)
        return verified.first, verified

    return _alone.best_reading(readings, who[0], attempt)


class _Curve(NamedTuple):
    """Metrics `[steps, metrics]`, and the first step that met or made a number that is not finite, or -1."""

    metrics: np.ndarray
    diverged_at: int


def _compare(sweep: SweepData, who: Who, steps: int, alone: Alone) -> Verified:
    diverged_at, stopped_at = int(sweep.diverged_at[who]), int(sweep.stopped_at[who])
    length = min([steps, sweep.steps, *(at for at in (diverged_at, stopped_at) if at >= 0)])
    reached = diverged_at if 0 <= diverged_at < steps else -1
    beyond = _alone.with_room(sweep, length) if reached >= 0 else length
    (curve,) = _train(sweep, who, alone, length, beyond)
    verified = _judged(sweep, who, length, reached, alone.member.names, curve, [])
    if verified.passed:
        return verified
    # Only where something is out does it matter how far rounding alone carries a member.
    twins = _train(sweep, who, alone, length, beyond, twins=_TWINS)
    return _judged(sweep, who, length, reached, alone.member.names, curve, twins)


def _judged(
    sweep: SweepData,
    who: Who,
    length: int,
    reached: int,
    names: Sequence[str],
    curve: _Curve,
    twins: Sequence[_Curve],
) -> Verified:
    """What was measured for `length` steps, and a divergence (or -1), against the curve of a plain loop."""
    compared = np.flatnonzero(sweep.recorded_steps < length)
    at = sweep.recorded_steps[compared]
    firsts, largest = [], {}
    for index, name in enumerate(names):
        own = curve.metrics[:length, index]
        recorded = np.array(own)
        recorded[at] = sweep.metrics[name][who][compared]
        deviation = deviations(own, recorded)
        spread = np.max([deviations(own, twin.metrics[:length, index]) for twin in twins], 0, initial=0.0)
        spread = np.maximum.accumulate(np.broadcast_to(spread, own.shape))
        amplified = (spread > TOLERANCE) | (np.arange(length) >= _STRICT)
        allowed = np.where(amplified, np.maximum(TOLERANCE, _TIMES * spread), TOLERANCE)
        firsts += list(at[_lasting((deviation > allowed)[at], 1 if name == "loss" else _JUMPS)][:1])
        largest[name] = float(deviation.max(initial=0.0))
    ends = [twin.diverged_at for twin in twins if twin.diverged_at >= 0]
    margin = 1 + max((abs(end - curve.diverged_at) for end in ends), default=0)
    if (reached >= 0) != (curve.diverged_at >= 0) or abs(curve.diverged_at - reached) > margin:
        firsts.append(reached if reached >= 0 else curve.diverged_at)
    return Verified(
        point=who[0],
        seed=who[1],
        steps=len(compared),
        first=int(min(firsts, default=-1)),
        deviation=largest.pop("loss"),
        others=largest,
        diverged_at=reached,
        alone_diverged_at=curve.diverged_at,
        passed=not firsts,
    )


def _train(
    sweep: SweepData, who: Who, alone: Alone, length: int, beyond: int, twins: int = 0
) -> list[_Curve]:
    """A plain loop for `length` steps, and on to a divergence that should come: of a member or its twins."""
    course = Course(sweep, who, alone)
    runs = [course.begin() for _ in range(max(1, twins))]
    for step in course.steps(runs, beyond, _nudged if twins else None):
        if step >= length and all(run.diverged_at >= 0 for run in runs):
            break
    width = len(alone.member.names)
    return [_Curve(np.reshape(run.rows, (-1, width)), run.diverged_at) for run in runs]


@jax.jit
def _nudged(arrays: Arrays, twin: int, step: int) -> Arrays:
    """A state each of whose numbers is the next larger or the next smaller one, at random."""
    key = jax.random.fold_in(jax.random.key(twin, impl="threefry2x32"), step)

    def nudge(number: int, x: jax.Array) -> jax.Array:
        if not jnp.issubdtype(x.dtype, jnp.floating):
            return x
        up = jax.random.bernoulli(jax.random.fold_in(key, number), shape=x.shape)
        return jnp.nextafter(x, jnp.where(up, jnp.inf, -jnp.inf).astype(x.dtype))

    return [nudge(number, x) for number, x in enumerate(arrays)]


def _lasting(out: np.ndarray, records: int) -> np.ndarray:
    """Where at least so many records in a row begin to be out (all of them where there are fewer)."""
    records = max(1, min(records, len(out)))
    windows = np.lib.stride_tricks.sliding_window_view(out, records) if len(out) else out[:, None]
    return np.flatnonzero(windows.all(axis=-1))
