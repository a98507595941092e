"""A member of a sweep trained again, alone: what it is made of, and a plain loop over its steps.

What is shared with the engine is how a trial's state is taken apart, not how members are run: there is one
compiled step of one member, called from a Python loop.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from lrjax import _check
from lrjax.data import Data, as_data
from lrjax.engine import _points, _preflight, member_key
from lrjax.engine._member import Arrays, Member
from lrjax.results import SweepData
from lrjax.trials import Trial

SUSTAINED = 20  # steps in a row for which a loss must be blown up
TOLERANCE = 1e-5  # of a metric's scale
_BEYOND = 50  # steps for which a member is trained on that should have diverged
_MOST_READINGS = 4  # columns of an older file in which None may mean that a point has no such hyperparameter

Who = tuple[int, int]  # point, seed index
Step = Callable[..., tuple[Any, ...]]
Found = TypeVar("Found")


class Alone(NamedTuple):
    """A point that is trained alone: its compiled functions, its numbers and its data.

    Attributes:
      member: The functions, not compiled.
      start: `start(key, numbers) -> arrays`.
      step: `step(arrays, batch, numbers) -> (arrays, metrics, good, ...)`.
      observe: `observe(arrays, held_out) -> arrays`, or None.
      numbers: Its hyperparameters that are numbers.
      data: What it trains on.
    """

    member: Member
    start: Callable[..., Arrays]
    step: Step
    observe: Callable[..., Arrays] | None
    numbers: dict[str, jax.Array]
    data: Data


Reading = Callable[[int], Alone]


def plain_step(member: Member) -> Step:
    """A step, and whether what was finite still is."""

    def step(arrays: Arrays, batch: Any, numbers: Mapping[str, Any]) -> tuple[Any, ...]:
        new, metrics = member.step(arrays, batch, numbers)
        return new, metrics, member.good(new, arrays)

    return step


def check_sweep(call: str, sweep: SweepData, trial: Any) -> None:
    """Requires a trial, and a sweep whose members can be trained again; `call` is what the user called."""
    if not isinstance(trial, Trial):
        raise _check.fail_type(call, "trial", "a `lrjax.Trial`", _check.describe(trial))
    if "key" not in sweep.settings:
        raise _check.fail(call, "sweep", "one that says by which key it was run", "one of an older version")


def readings(
    call: str,
    sweep: SweepData,
    trial: Trial,
    data: Any,
    of_data: Sequence[str],
    step: Callable[[Member], Step] = plain_step,
) -> list[Reading]:
    """What a sweep's points may be, each a function from a point's index to that point alone.

    There is one, unless an older file leaves open which points have no such hyperparameter.

    Args:
      call: What the user called.
      sweep: What the sweep measured.
      trial: What it trained.
      data: What it trained on, or a function of hyperparameters that gives it.
      of_data: The names of these.
      step: Makes the step that is compiled.
    """
    made: dict[Any, Data] = {}

    def source(hyperparams: Mapping[str, Any]) -> Data:
        key = repr(hyperparams)
        if key not in made:
            made[key] = as_data(call, "data", data(**hyperparams) if of_data else data)
        return made[key]

    return [
        _SweepPoints(call, sweep, trial, source, of_data, step, absent).alone for absent in _absences(sweep)
    ]


def best_reading(
    choices: Sequence[Reading], point: int, attempt: Callable[[Alone], tuple[int, Found]]
) -> Found:
    """What comes of an attempt under the reading that agrees with the sweep for longest.

    Args:
      choices: The readings.
      point: The point's index.
      attempt: Gives the first step that does not agree, or -1, and what is asked for.
    """
    found: list[tuple[int, Found]] = []
    problem: Exception | None = None
    for reading in choices:
        try:
            alone = reading(point)
        except Exception as error:
            if len(choices) == 1:
                raise
            problem = problem or error
            continue
        found.append(attempt(alone))
        if found[-1][0] < 0:
            return found[-1][1]
    if not found:
        assert problem is not None
        raise problem
    return max(found, key=lambda each: each[0])[1]


@contextlib.contextmanager
def pinned() -> Iterator[None]:
    """The configuration under which sweeps run."""
    precision = jax.config.values["jax_default_matmul_precision"] or "highest"
    with jax.default_matmul_precision(precision), jax.debug_nans(False), jax.debug_infs(False):
        yield


class _SweepPoints:
    """A sweep's points; `absent` says by name which of them have no such hyperparameter."""

    def __init__(
        self,
        call: str,
        sweep: SweepData,
        trial: Trial,
        source: Callable[[Mapping[str, Any]], Data],
        of_data: Sequence[str],
        step: Callable[[Member], Step],
        absent: Mapping[str, Collection[int]],
    ) -> None:
        self._call, self._sweep, self._trial = call, sweep, trial
        self._source, self._step = source, step
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
                raise _check.fail(call, "data", expected, f"one of {name!r}")
        self._groups = _points.group(self._points, trial.static, of_data)
        self._compiled: dict[int, tuple[Any, ...]] = {}

    def alone(self, point: int) -> Alone:
        """A point by itself; points that share a program share what is compiled."""
        number, group = next((n, g) for n, g in enumerate(self._groups) if point in g.members)
        position = group.members.index(point)
        if number not in self._compiled:
            data = self._source(group.of_data)
            member = self._member(group, position, data)
            observes = self._trial.observe is not None and bool(self._sweep.held_out)
            observe = jax.jit(member.observe) if observes else None
            self._compiled[number] = (
                data,
                member,
                jax.jit(member.start),
                jax.jit(self._step(member)),
                observe,
            )
        data, member, start, step, observe = self._compiled[number]
        numbers = {name: jnp.asarray(values[position]) for name, values in group.numeric.items()}
        return Alone(member, start, step, observe, numbers, data)

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
            raise _check.fail(self._call, "trial", expected, got)
        member = Member(self._trial, group.static, checked.frame, data, checked.names)
        member.held_out_names = tuple(self._sweep.held_out)
        return member


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


def stage(sweep: SweepData, who: Who) -> int | None:
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


def undetermined(sweep: SweepData) -> set[Who]:
    """The members of an older file whose schedule's length is not known."""
    points, seeds = sweep.diverged_at.shape
    return {(p, s) for p in range(points) for s in range(seeds) if stage(sweep, (p, s)) is None}


def check_determined(call: str, argument: str, sweep: SweepData, who: Who) -> None:
    """Requires that it is known how long a member's schedule was."""
    if who in undetermined(sweep):
        expected = "members whose stage was completed: of others, a file this old does not tell the horizon"
        raise _check.fail(call, argument, expected, who)


class Course:
    """A member's way: where it starts, and what it is given and told at each step.

    Attributes:
      numbers: Its hyperparameters that are numbers, a horizon scaled to its stage.
    """

    def __init__(self, sweep: SweepData, who: Who, alone: Alone) -> None:
        self._sweep, self._who, self._alone = sweep, who, alone
        self.numbers = dict(alone.numbers)
        horizon, length = sweep.settings.get("horizon"), stage(sweep, who)
        if horizon in self.numbers and length is not None:
            full = np.asarray(self.numbers[horizon])
            scaled = np.asarray(full * (length / sweep.steps))
            whole = np.issubdtype(full.dtype, np.integer)
            self.numbers[horizon] = jnp.asarray((np.rint(scaled) if whole else scaled).astype(full.dtype))
        own_order = alone.data.per_seed and sweep.settings["order"] == "per-seed"
        self._seed = sweep.settings.get("first_seed", 0) + who[1]
        self._order = self._seed if own_order else 0

    def begin(self) -> Run:
        """The member before its first step."""
        settings = self._sweep.settings
        start = self._alone.start(member_key(settings["key"], self._seed), self.numbers)
        return Run(start, self._alone.member.names.index("loss"), settings.get("blow_up"))

    def steps(
        self, runs: Sequence[Run], stop: int, moved: Callable[[Arrays, int, int], Arrays] | None = None
    ) -> Iterator[int]:
        """Takes runs through the steps until `stop`; yields each after it is taken.

        Args:
          runs: The member, and others like it.
          stop: How many steps.
          moved: `moved(arrays, number of the run, step)` changes a run's state before a step.
        """
        for step in range(stop):
            batch = self._alone.data(step, self._order)
            for number, run in enumerate(runs):
                run.arrays = self._told(run.arrays, step)
                if moved is not None:
                    run.arrays = moved(run.arrays, number, step)
                run.arrays, metrics, good, *run.seen = self._alone.step(run.arrays, batch, self.numbers)
                run.enter(np.asarray(metrics), bool(good))
            yield step

    def _told(self, arrays: Arrays, step: int) -> Arrays:
        """The state that has been told what the sweep measured on held-out data before this step."""
        sweep, observe = self._sweep, self._alone.observe
        if observe is None or not step or step % sweep.settings["evaluate_every"]:
            return arrays
        column = int(np.searchsorted(sweep.held_out_steps, step))
        told = [values[(*self._who, column)] for values in sweep.held_out.values()]
        return observe(arrays, jnp.asarray(np.array(told, np.float32)))


class Run:
    """A member that is trained alone.

    Attributes:
      arrays: Its state.
      rows: Its metrics, one row a step.
      loss: Which of them is the loss.
      seen: What else its last step gave.
      diverged_at: The first step that met or made a number that is not finite, or at which its loss had been
        blown up for long; -1 before that.
    """

    def __init__(self, arrays: Arrays, loss: int, blow_up: float | None) -> None:
        self.arrays = arrays
        self.rows: list[np.ndarray] = []
        self.seen: list[Any] = []
        self.diverged_at = -1
        self.loss, self._blow_up = loss, blow_up
        self._lowest, self._over = np.inf, 0

    def enter(self, metrics: np.ndarray, good: bool) -> None:
        """Takes down a step; `good` says whether the state after it is finite."""
        self.rows.append(metrics)
        loss, first = float(metrics[self.loss]), float(self.rows[0][self.loss])
        self._lowest = min(self._lowest, loss)
        yardstick = max(abs(first), first - self._lowest)
        over = self._blow_up is not None and yardstick > 0 and loss > first + self._blow_up * yardstick
        self._over = self._over + 1 if over else 0
        if self.diverged_at < 0 and (not good or not np.isfinite(loss) or self._over >= SUSTAINED):
            self.diverged_at = len(self.rows) - 1


def with_room(sweep: SweepData, length: int) -> int:
    """For how many steps a member is trained that should diverge after `length`: it may take some more."""
    return min(sweep.steps, length + 1 + max(_BEYOND, length // 10))


def deviations(reference: np.ndarray, other: np.ndarray) -> np.ndarray:
    """How far a curve is from a reference, relative to the reference's largest value until then."""
    a, b = reference.astype(float), other.astype(float)
    scale = np.maximum.accumulate(np.where(np.isfinite(a), abs(a), 0.0))
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = np.where(a == b, 0.0, abs(a - b) / scale)
    neither = ~np.isfinite(a) & ~np.isfinite(b)
    return np.where(neither, 0.0, np.where(np.isfinite(a) & np.isfinite(b), relative, np.inf))
