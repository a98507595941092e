"""Proof on request: members of a sweep trained again, alone, and compared step by step.

What is shared with the engine is how a trial's state is taken apart, not how members are run: there is one
compiled step of one member, called from a Python loop.

A sweep and a loop round differently in every step, and training amplifies some of that: near the edge of
stability, or where Adam meets a gradient that is zero but for rounding, and takes a full step along it. How
far is measured by twins, each of which is moved by one unit in the last place, at random, before every step.
One such twin alone, or a nudge at the start only, misses most of these events.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lrjax import _check
from lrjax.answer import judge
from lrjax.data import Data, as_data
from lrjax.engine import _points, _preflight, member_key
from lrjax.engine._member import Arrays, Member
from lrjax.results import SweepData
from lrjax.trials import Trial

_TOLERANCE = 1e-5  # of a metric's scale
_STRICT = 50  # steps for which no more than that is allowed, unless rounding alone carries further
_TWINS = 8  # of a member, that round otherwise
_TIMES = 10  # what a member may be away from itself alone, in units of what its twins are
_JUMPS = 3  # records in a row that must be out, of a metric that may jump as an accuracy does
_SUSTAINED = 20  # steps in a row for which a loss must be blown up
_BEYOND = 50  # steps for which a member is trained on that should have diverged
_MOST_READINGS = 4  # columns of an older file in which None may mean that a point has no such hyperparameter

Who = tuple[int, int]  # point, seed index


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
    if not isinstance(trial, Trial):
        raise _check.fail_type(call, "trial", "a `lrjax.Trial`", _check.describe(trial))
    if "key" not in sweep.settings:
        raise _check.fail(call, "sweep", "one that says by which key it was run", "one of an older version")
    steps = sweep.steps if steps is None else _check.integer(call, "steps", steps, low=1)
    chosen = _chosen(sweep, members)
    made: dict[Any, Data] = {}

    def source(hyperparams: Mapping[str, Any]) -> Data:
        key = repr(hyperparams)
        if key not in made:
            made[key] = as_data(call, "data", data(**hyperparams) if of_data else data)
        return made[key]

    precision = jax.config.values["jax_default_matmul_precision"] or "highest"
    with jax.default_matmul_precision(precision), jax.debug_nans(False), jax.debug_infs(False):
        readings = [_Reading(sweep, trial, source, of_data, absent).alone for absent in _absences(sweep)]
        return Verification(tuple(_verified(sweep, who, steps, readings) for who in chosen))


class _Alone(NamedTuple):
    """A point that is trained alone: its compiled functions, its numbers and its data."""

    member: Member
    start: Callable[..., Arrays]
    step: Callable[..., tuple[Arrays, jax.Array, jax.Array]]
    observe: Callable[..., Arrays] | None
    numbers: dict[str, jax.Array]
    data: Data


class _Reading:
    """A sweep's points; `absent` says by name which of them have no such hyperparameter."""

    def __init__(
        self,
        sweep: SweepData,
        trial: Trial,
        source: Callable[[Mapping[str, Any]], Data],
        of_data: Sequence[str],
        absent: Mapping[str, Collection[int]],
    ) -> None:
        self._sweep, self._trial, self._source = sweep, trial, source
        self._points = [
            {
                name: values[index]
                for name, values in sweep.points.items()
                if index not in absent.get(name, ())
            }
            for index in range(len(sweep.diverged_at))
        ]
        for name in of_data:
            if any(name not in point for point in self._points):
                expected = f"a function of hyperparameters of the sweep, {', '.join(map(repr, sweep.points))}"
                raise _check.fail("verify", "data", expected, f"one of {name!r}")
        self._groups = _points.group(self._points, trial.static, of_data)
        self._compiled: dict[int, tuple[Any, ...]] = {}

    def alone(self, point: int) -> _Alone:
        """A point by itself; points that share a program share what is compiled."""
        number, group = next((n, g) for n, g in enumerate(self._groups) if point in g.members)
        position = group.members.index(point)
        if number not in self._compiled:
            data = self._source(group.of_data)
            member = self._member(group, position, data)
            observes = self._trial.observe is not None and bool(self._sweep.held_out)
            self._compiled[number] = (data, member, *_compiled(member, observes))
        data, member, start, step, observe = self._compiled[number]
        numbers = {name: jnp.asarray(values[position]) for name, values in group.numeric.items()}
        return _Alone(member, start, step, observe, numbers, data)

    def _member(self, group: _points.Group, position: int, data: Data) -> Member:
        """What a member does, once a step of this point has been traced."""
        single = group._replace(
            members=(group.members[position],),
            numeric={name: values[position : position + 1] for name, values in group.numeric.items()},
        )
        batch = jax.eval_shape(lambda batch: batch, data(0))
        key = member_key(self._sweep.settings["key"], 0)
        (checked,) = _preflight.check_points(self._trial, [single], key, [batch], [])
        if set(checked.names) != set(self._sweep.metrics):
            expected = f"the one of the sweep, which measures {', '.join(map(repr, self._sweep.metrics))}"
            got = f"one that measures {', '.join(map(repr, checked.names))}"
            raise _check.fail("verify", "trial", expected, got)
        member = Member(self._trial, group.static, checked.frame, data, checked.names)
        member.held_out_names = tuple(self._sweep.held_out)
        return member


def _compiled(member: Member, observes: bool) -> tuple[Any, Any, Any]:
    def step(arrays: Arrays, batch: Any, numbers: Mapping[str, Any]) -> Any:
        new, metrics = member.step(arrays, batch, numbers)
        return new, metrics, member.good(new, arrays)

    return jax.jit(member.start), jax.jit(step), jax.jit(member.observe) if observes else None


def _absences(sweep: SweepData) -> list[dict[str, list[int]]]:
    """Which points lack which hyperparameters; all that may be so, of a sweep that does not say it.

    Columns do not tell `None` from what is not in a point, and older files hold nothing else.
    """
    if "absent" in sweep.settings:
        return [sweep.settings["absent"]]
    nones = {name: [p for p, v in enumerate(values) if v is None] for name, values in sweep.points.items()}
    nones = {name: which for name, which in nones.items() if which}
    if len(nones) > _MOST_READINGS:
        return [nones, {}]
    sizes = range(len(nones), -1, -1)
    chosen = [names for size in sizes for names in itertools.combinations(nones, size)]
    return [{name: nones[name] for name in names} for names in chosen]


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
        if (p, s) in _undetermined(sweep):
            expected = (
                "members whose stage was completed: of others, a file this old does not tell the horizon"
            )
            raise _check.fail("verify", "members", expected, (p, s))
        chosen.append((p, s))
    return chosen


def _spread(sweep: SweepData, count: int) -> list[Who]:
    """Members that trained, spread over the rates, the best point among them."""
    best = judge(sweep).index
    rates = sweep.points.get(sweep.name)
    points, seeds = sweep.diverged_at.shape
    order = [*range(points)] if rates is None or rates.dtype == object else np.argsort(rates, kind="stable")
    unknown = _undetermined(sweep)
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


def _stage(sweep: SweepData, who: Who) -> int | None:
    """The length of the schedule that a member's curve was measured with; None if it is not known."""
    if sweep.settings.get("horizon") is None:
        return sweep.steps
    if "schedules" in sweep.settings:
        known = sweep.settings["schedules"][who[0]][who[1]]
        return known if known >= 0 else None
    for step, losses, kept in sweep.rungs:
        if (not kept[who[0]] and not np.isnan(losses[who])) or (
            sweep.diverged_at[who] >= 0 and np.isinf(losses[who]) and sweep.diverged_at[who] < step
        ):
            return step
    stopped = (sweep.stopped_at >= 0) & (sweep.stopped_at < sweep.steps)
    survivors = sweep.rungs[-1][2] if sweep.rungs else np.ones(len(stopped), bool)
    return None if stopped[survivors].any() else sweep.steps


def _undetermined(sweep: SweepData) -> set[Who]:
    points, seeds = sweep.diverged_at.shape
    return {(p, s) for p in range(points) for s in range(seeds) if _stage(sweep, (p, s)) is None}


def _verified(
    sweep: SweepData, who: Who, steps: int, readings: Sequence[Callable[[int], _Alone]]
) -> Verified:
    """The comparison under the reading of the points that agrees for longest."""
    found: list[Verified] = []
    problem: Exception | None = None
    for reading in readings:
        try:
            alone = reading(who[0])
        except Exception as error:
            if len(readings) == 1:
                raise
            problem = problem or error
            continue
        found.append(_compare(sweep, who, steps, alone))
        if found[-1].passed:
            return found[-1]
    if not found:
        assert problem is not None
        raise problem
    return max(found, key=lambda verified: verified.first)


class _Curve(NamedTuple):
    """Metrics `[steps, metrics]`, and the first step that met or made a number that is not finite, or -1."""

    metrics: np.ndarray
    diverged_at: int


def _compare(sweep: SweepData, who: Who, steps: int, alone: _Alone) -> Verified:
    diverged_at, stopped_at = int(sweep.diverged_at[who]), int(sweep.stopped_at[who])
    length = min([steps, sweep.steps, *(at for at in (diverged_at, stopped_at) if at >= 0)])
    reached = diverged_at if 0 <= diverged_at < steps else -1
    beyond = min(sweep.steps, length + 1 + max(_BEYOND, length // 10)) if reached >= 0 else length
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
        deviation = _deviations(own, recorded)
        spread = np.max([_deviations(own, twin.metrics[:length, index]) for twin in twins], 0, initial=0.0)
        spread = np.maximum.accumulate(np.broadcast_to(spread, own.shape))
        amplified = (spread > _TOLERANCE) | (np.arange(length) >= _STRICT)
        allowed = np.where(amplified, np.maximum(_TOLERANCE, _TIMES * spread), _TOLERANCE)
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
    sweep: SweepData, who: Who, alone: _Alone, length: int, beyond: int, twins: int = 0
) -> list[_Curve]:
    """A plain loop for `length` steps, and on to a divergence that should come: of a member or its twins."""
    settings, (point, seed) = sweep.settings, who
    numbers, stage = dict(alone.numbers), _stage(sweep, who)
    if settings.get("horizon") in numbers and stage is not None:
        full = np.asarray(numbers[settings["horizon"]])
        scaled = np.asarray(full * (stage / sweep.steps))
        whole = np.issubdtype(full.dtype, np.integer)
        numbers[settings["horizon"]] = jnp.asarray((np.rint(scaled) if whole else scaled).astype(full.dtype))
    own_order = alone.data.per_seed and settings["order"] == "per-seed"
    start = alone.start(member_key(settings["key"], seed), numbers)
    loss = alone.member.names.index("loss")
    runs = [_Run(start, loss, settings.get("blow_up")) for _ in range(max(1, twins))]
    for step in range(beyond):
        batch = alone.data(step, seed if own_order else 0)
        for number, run in enumerate(runs):
            if alone.observe is not None and step and step % settings["evaluate_every"] == 0:
                column = int(np.searchsorted(sweep.held_out_steps, step))
                told = [values[point, seed, column] for values in sweep.held_out.values()]
                run.arrays = alone.observe(run.arrays, jnp.asarray(np.array(told, np.float32)))
            if twins:
                run.arrays = _nudged(run.arrays, number, step)
            run.arrays, metrics, good = alone.step(run.arrays, batch, numbers)
            run.enter(np.asarray(metrics), bool(good))
        if step >= length and all(run.diverged_at >= 0 for run in runs):
            break
    width = len(alone.member.names)
    return [_Curve(np.reshape(run.rows, (-1, width)), run.diverged_at) for run in runs]


class _Run:
    """A member that is trained alone: its state, its metrics, and whether it has diverged."""

    def __init__(self, arrays: Arrays, loss: int, blow_up: float | None) -> None:
        self.arrays = arrays
        self.rows: list[np.ndarray] = []
        self.diverged_at = -1
        self._loss, self._blow_up = loss, blow_up
        self._lowest, self._over = np.inf, 0

    def enter(self, metrics: np.ndarray, good: bool) -> None:
        """Takes down a step; `good` says whether the state after it is finite."""
        self.rows.append(metrics)
        loss, first = float(metrics[self._loss]), float(self.rows[0][self._loss])
        self._lowest = min(self._lowest, loss)
        yardstick = max(abs(first), first - self._lowest)
        over = self._blow_up is not None and yardstick > 0 and loss > first + self._blow_up * yardstick
        self._over = self._over + 1 if over else 0
        if self.diverged_at < 0 and (not good or not np.isfinite(loss) or self._over >= _SUSTAINED):
            self.diverged_at = len(self.rows) - 1


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


def _deviations(reference: np.ndarray, other: np.ndarray) -> np.ndarray:
    """How far a curve is from a reference, relative to the reference's largest value until then."""
    a, b = reference.astype(float), other.astype(float)
    scale = np.maximum.accumulate(np.where(np.isfinite(a), abs(a), 0.0))
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = np.where(a == b, 0.0, abs(a - b) / scale)
    neither = ~np.isfinite(a) & ~np.isfinite(b)
    return np.where(neither, 0.0, np.where(np.isfinite(a) & np.isfinite(b), relative, np.inf))


def _lasting(out: np.ndarray, records: int) -> np.ndarray:
    """Where at least so many records in a row begin to be out (all of them where there are fewer)."""
    records = max(1, min(records, len(out)))
    windows = np.lib.stride_tricks.sliding_window_view(out, records) if len(out) else out[:, None]
    return np.flatnonzero(windows.all(axis=-1))
