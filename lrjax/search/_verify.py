"""Proof on request: members of a sweep trained again, alone, and compared step by step.

What is shared with the engine is how a trial's state is taken apart, not how members are run: there is one
compiled step of one member, called from a Python loop.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
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
_STRICT = 50  # steps for which a member that trains has no more than that
_TWIN = 10  # times the divergence of a twin is allowed later
_JUMPS = 3  # records in a row that must be out, of a metric that may jump as an accuracy does
_SUSTAINED = 20  # steps in a row for which a loss must be blown up
_BEYOND = 50  # steps for which a member is trained on that should have diverged
_MOST_READINGS = 4  # columns in which None may mean that a point has no such hyperparameter

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
            steps = ("never" if at < 0 else f"at step {at}" for at in (self.diverged_at, self.alone_diverged_at))
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
        readings = [
            functools.lru_cache(maxsize=None)(_Reading(sweep, trial, source, of_data, absent).alone)
            for absent in _absences(sweep)
        ]
        return Verification(tuple(_verified(sweep, who, steps, readings) for who in chosen))


class _Alone(NamedTuple):
    """A point that is trained alone: its compiled functions, its numbers and its data."""

    member: Member
    start: Callable[..., Arrays]
    step: Callable[..., tuple[Arrays, jax.Array, jax.Array]]
    observe: Callable[..., Arrays]
    numbers: dict[str, jax.Array]
    data: Data


class _Reading:
    """A sweep's points, where None in some columns means that a point has no such hyperparameter."""

    def __init__(
        self,
        sweep: SweepData,
        trial: Trial,
        source: Callable[[Mapping[str, Any]], Data],
        of_data: Sequence[str],
        absent: frozenset[str],
    ) -> None:
        self._sweep, self._trial, self._source = sweep, trial, source
        self._points = [
            {
                name: values[index]
                for name, values in sweep.points.items()
                if not (name in absent and values[index] is None)
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
            self._compiled[number] = (data, member, *_compiled(member))
        data, member, *functions = self._compiled[number]
        numbers = {name: jnp.asarray(values[position]) for name, values in group.numeric.items()}
        if self._sweep.settings.get("horizon") in numbers:
            name = self._sweep.settings["horizon"]
            numbers[name] = _scaled(group.numeric[name][position], 1.0)
        return _Alone(member, *functions, numbers, data)

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


def _compiled(member: Member) -> tuple[Any, Any, Any]:
    def step(arrays: Arrays, batch: Any, numbers: Mapping[str, Any]) -> Any:
        new, metrics = member.step(arrays, batch, numbers)
        return new, metrics, member.good(new, arrays)

    return jax.jit(member.start), jax.jit(step), jax.jit(member.observe)


def _absences(sweep: SweepData) -> list[frozenset[str]]:
    """What None may mean: in which columns it stands for a hyperparameter that a point does not have.

    A sweep's columns do not tell `None` from what is not in a point.
    """
    open_ones = [name for name, values in sweep.points.items() if any(value is None for value in values)]
    if len(open_ones) > _MOST_READINGS:
        return [frozenset(open_ones), frozenset()]
    sizes = range(len(open_ones), -1, -1)
    return [frozenset(names) for size in sizes for names in itertools.combinations(open_ones, size)]


def _chosen(sweep: SweepData, members: Any) -> list[Who]:
    """Which members are trained again; some that trained at all, spread over the rates, the best among them."""
    points, seeds = sweep.diverged_at.shape
    if not isinstance(members, Sequence):
        count = _check.integer("verify", "members", members, low=1)
        return _spread(sweep, count)
    chosen = []
    for pair in members:
        expected = f"a number, or pairs of a point below {points} and a seed below {seeds}"
        if not isinstance(pair, Sequence) or len(pair) != 2:
            raise _check.fail_type("verify", "members", expected, _check.describe(pair))
        p, s = (_check.integer("verify", "members", index) for index in pair)
        if p >= points or s >= seeds:
            raise _check.fail("verify", "members", expected, (p, s))
        if (p, s) in _undetermined(sweep):
            expected = "members whose stage was completed: their schedule's horizon is not known otherwise"
            raise _check.fail("verify", "members", expected, (p, s))
        chosen.append((p, s))
    return chosen


def _spread(sweep: SweepData, count: int) -> list[Who]:
    answer = judge(sweep)
    rates = sweep.points.get(sweep.name)
    points, seeds = sweep.diverged_at.shape
    numeric = rates is not None and rates.dtype != object
    order = list(map(int, np.argsort(rates, kind="stable") if numeric else np.arange(points)))
    loss = sweep.metrics.get("loss", np.zeros((points, seeds, 0)))
    trained = np.isfinite(loss[..., :1]).any(axis=-1)
    for who in _undetermined(sweep):
        trained[who] = False
    if count >= points:
        everyone = [(p, s) for s in range(seeds) for p in order if trained[p, s]]
        return everyone[:count]
    places = [round(place) for place in np.linspace(0, points - 1, count)]
    if answer.index is not None:
        best = order.index(answer.index)
        places[int(np.argmin([abs(place - best) for place in places]))] = best
    found = [(order[place], number % seeds) for number, place in enumerate(places)]
    return [who for who in found if trained[who]] or [(p, s) for p in order for s in range(seeds)][:1]


def _stage(sweep: SweepData, who: Who) -> int | None:
    """The length of the schedule that a member's curve was measured with; None if it is not known."""
    if sweep.settings.get("horizon") is None:
        return sweep.steps
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


def _scaled(value: np.generic, share: float) -> jax.Array:
    """A horizon for a share of all steps; an integer stays one."""
    scaled = np.asarray(value * share)
    return jnp.asarray((np.rint(scaled) if np.issubdtype(value.dtype, np.integer) else scaled).astype(value.dtype))


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
    diverged_at = int(sweep.diverged_at[who])
    stopped_at = int(sweep.stopped_at[who])
    length = min(steps, sweep.steps, *([diverged_at] if diverged_at >= 0 else []))
    length = min(length, stopped_at) if stopped_at >= 0 else length
    reached = diverged_at if 0 <= diverged_at < steps else -1
    beyond = min(sweep.steps, length + 1 + max(_BEYOND, length // 10)) if reached >= 0 else length
    curve = _train(sweep, who, alone, length, beyond, nudged=False)
    twin = _train(sweep, who, alone, length, beyond, nudged=True)

    compared = np.flatnonzero(sweep.recorded_steps < length)
    at = sweep.recorded_steps[compared]
    names = alone.member.names
    loss = names.index("loss")
    trains = diverged_at < 0 and length > 0 and bool(curve.metrics[length - 1, loss] <= curve.metrics[0, loss])
    allowed = _deviations(curve.metrics[:length, loss], twin.metrics[:length, loss])
    allowed = np.maximum(_TOLERANCE, _TWIN * np.maximum.accumulate(allowed))
    if trains:
        allowed[:_STRICT] = _TOLERANCE
    first, largest = length, {}
    for index, name in enumerate(names):
        recorded = np.array(curve.metrics[:length, index])
        recorded[at] = sweep.metrics[name][who][compared]
        deviation = _deviations(curve.metrics[:length, index], recorded)
        limit = allowed
        if index != loss:
            twins = _deviations(curve.metrics[:length, index], twin.metrics[:length, index])
            limit = np.maximum(allowed, _TWIN * np.maximum.accumulate(twins))
        out = at[_lasting((deviation > limit)[at], 1 if index == loss else _JUMPS)]
        first = min([first, *out[:1]])
        largest[name] = float(deviation.max(initial=0.0))
    first = -1 if first == length else int(first)
    if first < 0 and curve.diverged_at >= 0 and reached < 0:
        first = curve.diverged_at
    if reached >= 0:
        moved = max(1, _TWIN * abs(twin.diverged_at - curve.diverged_at) if twin.diverged_at >= 0 else 1)
        same = curve.diverged_at >= 0 and abs(curve.diverged_at - reached) <= moved
        first = first if same or first >= 0 else reached
    return Verified(
        point=who[0],
        seed=who[1],
        steps=len(compared),
        first=first,
        deviation=largest.pop("loss"),
        others=largest,
        diverged_at=reached,
        alone_diverged_at=curve.diverged_at,
        passed=first < 0,
    )


def _train(sweep: SweepData, who: Who, alone: _Alone, length: int, beyond: int, *, nudged: bool) -> _Curve:
    """A plain loop: for `length` steps, and on to a divergence that should come."""
    settings, (point, seed) = sweep.settings, who
    data, member, numbers = alone.data, alone.member, dict(alone.numbers)
    horizon = settings.get("horizon")
    stage = _stage(sweep, who)
    if horizon in numbers and stage is not None:
        numbers[horizon] = _scaled(np.asarray(numbers[horizon])[()], stage / sweep.steps)
    of_data = seed if data.per_seed and settings["order"] == "per-seed" else 0
    loss = member.names.index("loss")
    arrays = alone.start(member_key(settings["key"], seed), numbers)
    rows, diverged_at, blown = [], -1, _BlowUp(settings.get("blow_up"))
    for step in range(beyond):
        if nudged and step < 2:  # twice, since zeros cannot be nudged
            arrays = _nudge(arrays)
        if step and step % settings["evaluate_every"] == 0 and sweep.held_out:
            told = _held_out(sweep, who, step)
            arrays = arrays if told is None or not alone_observes(member) else alone.observe(arrays, told)
        arrays, metrics, good = alone.step(arrays, data(step, of_data), numbers)
        rows.append(np.asarray(metrics))
        if diverged_at < 0:
            finite = bool(good) and bool(np.isfinite(rows[-1][loss]))
            if not finite or blown.reached(float(rows[-1][loss])):
                diverged_at = step
        if diverged_at >= 0 and step >= length:
            break
    return _Curve(np.stack(rows) if rows else np.zeros((0, len(member.names)), np.float32), diverged_at)


