"""What a sweep or a range test measured: plain arrays, and how they are stored.

A stored sweep is a directory with `sweep.npz` (the arrays) and `sweep.json` (everything else, and the
version of the format); a stored range test one with `range-test.json`. Loading executes nothing.
"""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from lrjax import _check
from lrjax._files import write_whole
from lrjax._values import as_json

FORMAT = 2
RANGE_TEST_FORMAT = 1
_RANGE_TEST = "range-test.json"
_METRICS = ("metrics", "held_out", "test")
_ARRAYS = ("recorded_steps", "held_out_steps", "diverged_at", "stopped_at", "causes", "leaves")


class AnotherSweep(ValueError):
    """A directory holds checkpoints of a sweep that was asked for otherwise.

    Example:
      >>> from lrjax.results import AnotherSweep
      >>> issubclass(AnotherSweep, ValueError)
      True
    """


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a sweep took.

    Attributes:
      member_steps_used: Training steps computed, summed over members.
      member_steps_full: Those of the full grid: points x seeds x steps.
      seconds_compiling: Seconds spent tracing and compiling.
      seconds_probing: Seconds spent choosing how to run.
      seconds_running: Seconds spent training and evaluating.
      member_steps_wasted: Those of the used ones that members took which were given up later (diverged,
        or dropped by an allocation), and those that were taken again with another horizon.
      member_steps_reused: Those of the used ones that a directory held already.

    Example:
      >>> from lrjax.results import Cost
      >>> cost = Cost(100, 400, 1.0, 0.0, 2.0)
      >>> cost.member_steps_saved, cost.seconds_saved
      (300, 6.0)
    """

    member_steps_used: int
    member_steps_full: int
    seconds_compiling: float
    seconds_probing: float
    seconds_running: float
    member_steps_wasted: int = 0
    member_steps_reused: int = 0

    def __add__(self, other: Cost) -> Cost:
        """Both together."""
        pairs = zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)
        return Cost(*(one + another for one, another in pairs))

    @property
    def member_steps_saved(self) -> int:
        """Training steps of the full grid that were not computed."""
        return self.member_steps_full - self.member_steps_used

    @property
    def seconds_saved(self) -> float:
        """What they would have taken at the measured speed."""
        return self._seconds(self.member_steps_saved)

    @property
    def seconds_wasted(self) -> float:
        """What the wasted steps took at the measured speed."""
        return self._seconds(self.member_steps_wasted)

    def _seconds(self, member_steps: int) -> float:
        return self.seconds_running * member_steps / max(1, self.member_steps_used)


@dataclasses.dataclass(frozen=True)
class Plan:
    """How the members of a sweep are run, and why so.

    Attributes:
      members: "pool" (each member is a program run of its own, from one thread per core),
        "sequential" (the same, one after the other), "vmap" (all members in one program), "unrolled"
        (all in one program, written out one by one), "mapped" (one after the other in one program).
      steps: "scan" (a chunk of steps is one loop in the program), "unrolled" (a few steps are written
        out in a program without a loop), "dispatch" (each step is a program run).
      width: Members per seed that one program trains at most; None for all.
      lean: Whether members are trained without a copy of their state to go back to.
      canonical: Whether convolutions, and contractions over several dimensions, are rewritten to the
        form that the CPU is fast at inside of loops.
      devices: Devices that the members are laid out over.
      threads: Threads that run programs at the same time.
      why: What spoke for it.
      measured: Seconds per member-step of every plan that was tried, by its name.

    Example:
      >>> from lrjax.results import Plan
      >>> str(Plan("vmap"))
      'vmap/scan'
    """

    members: str
    steps: str = "scan"
    width: int | None = None
    lean: bool = False
    canonical: bool = False
    devices: int = 1
    threads: int = 1
    why: str = ""
    measured: dict[str, float] = dataclasses.field(default_factory=dict)

    @property
    def alone(self) -> bool:
        """Whether each member runs in a program of its own."""
        return self.members in ("pool", "sequential")

    def __str__(self) -> str:
        """Its short name."""
        parts = [self.members, self.steps, *([str(self.width)] if self.width else [])]
        return "/".join(parts) + (" on " + str(self.devices) + " devices" if self.devices > 1 else "")

    def summary(self) -> str:
        """What was chosen, why, and what was measured: a few lines of text."""
        extras = [f"{self.threads} threads"] if self.threads > 1 else []
        extras += ["lean"] * self.lean + ["canonical form"] * self.canonical
        lines = [f"{self}{' (' + ', '.join(extras) + ')' if extras else ''}: {self.why}"]
        lines += [
            f"  {name}: {1e6 * seconds:.4g} us per member-step" for name, seconds in self.measured.items()
        ]
        return "\n".join(lines)


@dataclasses.dataclass(frozen=True, eq=False)
class SweepData:
    """What a sweep measured.

    Attributes:
      points: Each hyperparameter's value at each point, `[points]`.
      metrics: Training metrics by name, float32 `[points, seeds, records]`, each measured on the
        step's batch before the step; NaN where a member no longer ran.
      recorded_steps: int `[records]`, the steps (from 0) that `metrics` holds.
      held_out: Metrics on the held-out data by name, float32 `[points, seeds, evaluations]`; empty
        without held-out data.
      held_out_steps: int `[evaluations]`, how many updates came before each; the first is 0.
      test: Metrics on the test data after the last step by name, float32 `[points, seeds]`; empty
        without test data.
      diverged_at: int `[points, seeds]`, the step at which a member went non-finite, -1 for never.
      stopped_at: int `[points, seeds]`, the step before which a member was stopped, -1 for never.
      cost: What it took.
      plan: How the members were run, why so, and what was measured to choose.
      name: The hyperparameter that is the learning rate.
      steps: Updates per member.
      causes: str `[points, seeds]`, what was first not finite of a member that diverged: "loss",
        "gradient", "parameters" (any part of its state), or "blow-up" of a loss that stayed finite.
      leaves: str `[points, seeds]`, where: the path of the first leaf that was not finite.
      rungs: For each time an allocation chose: the step, the losses `[points, seeds]` it chose by, and
        which points it kept, `[points]`.
      settings: How the sweep was asked for, as far as that is not in `points`: key, order, ...; and where
        it ran: `versions` by name, `device`, `host`.
      states: The trials' states that were asked for: "final" or "best" -> (point, seed index) -> state.
        They are not stored with the rest.

    Example:
      >>> import lrjax
      >>> task = lrjax.tasks.load("quadratic-deep")
      >>> grid = {"learning_rate": [0.01, 0.03]}
      >>> sweep = lrjax.sweep(task.trial(lrjax.sgd), grid, task.data, steps=20, progress=False)
      >>> isinstance(sweep, lrjax.results.SweepData), sweep.diverged_at.tolist()
      (True, [[-1], [-1]])
    """

    points: dict[str, np.ndarray]
    metrics: dict[str, np.ndarray]
    recorded_steps: np.ndarray
    held_out: dict[str, np.ndarray]
    held_out_steps: np.ndarray
    test: dict[str, np.ndarray]
    diverged_at: np.ndarray
    stopped_at: np.ndarray
    cost: Cost
    plan: Plan
    name: str
    steps: int
    causes: np.ndarray
    leaves: np.ndarray
    rungs: tuple[tuple[int, np.ndarray, np.ndarray], ...] = ()
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    states: dict[str, dict[tuple[int, int], Any]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, eq=False)
class RangeTestData:
    """What a range test measured.

    Attributes:
      learning_rates: float64 `[steps]`, the rates of the ramp, lowest first.
      losses: float32 `[seeds, steps]`, the training loss before the update at each rate; NaN where a
        seed no longer ran.
      held_out: float32 `[seeds, steps]`, the held-out loss after that update; None without held-out data.
      diverged_at: int `[seeds]`, the step at which a seed went non-finite or blew up, -1 for never.
      name: The hyperparameter that moved.
      hyperparams: The other hyperparameters.
      cost: What it took, all in all.
      plan: How the seeds were run.
      schedule: float64 `[steps]`, by what the trial's own schedule multiplies the rate; NaN where no seed
        ran. None where that does not change, or where the trial does not record its rate.
      set_aside: Whether the ramp was divided by it, so that `learning_rates` are the rates in use.
      constant_rates: float64 `[rates]`, those that were trained beside the ramp, each from the beginning and
        for as many steps as it has, increasing; None without.
      constant_losses: float32 `[rates, seeds]`, the held-out loss after that; without held-out data the mean
        of the last fifth of the training losses. NaN where a member failed.
      training_steps: Updates of the training that a rate is suggested for.
      decays: Whether the trial's own schedule takes the rate below a tenth of its highest by the last one.

    Example:
      >>> import lrjax
      >>> task = lrjax.tasks.load("quadratic-deep")
      >>> test = lrjax.range_test(task.trial(lrjax.sgd), task.data, minimum=1e-5, progress=False)
      >>> isinstance(test, lrjax.results.RangeTestData), test.losses.shape
      (True, (5, 100))
    """

    learning_rates: np.ndarray
    losses: np.ndarray
    held_out: np.ndarray | None
    diverged_at: np.ndarray
    name: str
    hyperparams: dict[str, Any]
    cost: Cost
    plan: Plan
    schedule: np.ndarray | None = None
    set_aside: bool = False
    constant_rates: np.ndarray | None = None
    constant_losses: np.ndarray | None = None
    training_steps: int | None = None
    decays: bool = False


def write(data: SweepData, path: str | os.PathLike[str]) -> None:
    """Stores a result in a directory, which is made if it is not there.

    Each file appears whole or not at all.

    Raises:
      OSError: If the directory cannot be written.
    """
    directory = Path(path)
    arrays: dict[str, np.ndarray] = {}
    points: dict[str, Any] = {}
    for name, values in data.points.items():
        if values.dtype == object:
            points[name] = [as_json(value) for value in values]
        else:
            points[name] = None
            arrays[f"points/{name}"] = values
    for field in _METRICS:
        arrays.update({f"{field}/{name}": values for name, values in getattr(data, field).items()})
    for field in _ARRAYS:
        arrays[field] = getattr(data, field)
    for number, (_, losses, kept) in enumerate(data.rungs):
        arrays |= {f"rungs/{number}/losses": losses, f"rungs/{number}/kept": kept}
    about = {
        "format": FORMAT,
        "name": data.name,
        "steps": data.steps,
        "plan": dataclasses.asdict(data.plan),
        "rungs": [step for step, _, _ in data.rungs],
        "settings": data.settings,
        "cost": dataclasses.asdict(data.cost),
        "points": points,
    }
    text = json.dumps(about, indent=2) + "\n"
    write_whole(
        {
            directory / "sweep.npz": lambda file: np.savez_compressed(file, allow_pickle=False, **arrays),
            directory / "sweep.json": text,
        }
    )


def read(path: str | os.PathLike[str]) -> SweepData:
    """The result stored in a directory.

    Raises:
      FileNotFoundError: If there is none.
      ValueError: If it is damaged, or of a format this version does not know.
    """
    directory = Path(path)
    if not (directory / "sweep.json").is_file() or not (directory / "sweep.npz").is_file():
        raise FileNotFoundError(
            f"`load(path=...)` must be a directory with sweep.json and sweep.npz, or with {_RANGE_TEST}, "
            f"got {directory}"
        )
    try:
        about = json.loads((directory / "sweep.json").read_text())
        found = about["format"]
    except (ValueError, TypeError, KeyError) as error:
        raise _check.fail(
            "load", "path", "a stored sweep", f"a damaged {directory / 'sweep.json'}"
        ) from error
    if found not in (1, FORMAT):
        expected = f"a sweep stored in a format up to {FORMAT}"
        raise _check.fail("load", "path", expected, f"format {found} at {directory}")
    try:
        # NumPy would take for a pickle what is no archive, and say how to run it.
        if not zipfile.is_zipfile(directory / "sweep.npz"):
            raise ValueError("sweep.npz is no archive")
        # Opened here, since NumPy leaves its file open when that is no archive.
        with (directory / "sweep.npz").open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = dict(archive)
        if found == 1:
            _from_format_1(about, arrays)
        points = {
            name: arrays[f"points/{name}"] if values is None else _object_array(values)
            for name, values in about["points"].items()
        }
        rungs = tuple(
            (step, arrays[f"rungs/{number}/losses"], arrays[f"rungs/{number}/kept"])
            for number, step in enumerate(about["rungs"])
        )
        stored: dict[str, Any] = {field: arrays[field] for field in _ARRAYS}
        stored |= {field: _under(field, arrays) for field in _METRICS}
        stored |= {field: about[field] for field in ("name", "steps", "settings")}
        cost, plan = Cost(**about["cost"]), Plan(**about["plan"])
        data = SweepData(points=points, rungs=rungs, cost=cost, plan=plan, **stored)
        _check_shapes(data)
        return data
    except Exception as error:  # a zip or an array cut short raises whatever its reader meets first
        raise _check.fail(
            "load", "path", "a stored sweep", f"a damaged one at {directory}: {error}"
        ) from error


def _check_shapes(data: SweepData) -> None:
    """Raises if arrays do not belong together, as where a machine went down between the two files."""
    members = data.diverged_at.shape
    points = members[:1]
    records, evaluations = data.recorded_steps.shape, data.held_out_steps.shape
    expected = [(f"points/{name}", values, points) for name, values in data.points.items()]
    expected += [(f"metrics/{name}", values, (*members, *records)) for name, values in data.metrics.items()]
    expected += [(f"held_out/{name}", one, (*members, *evaluations)) for name, one in data.held_out.items()]
    expected += [(f"test/{name}", values, members) for name, values in data.test.items()]
    expected += [(field, getattr(data, field), members) for field in ("stopped_at", "causes", "leaves")]
    for _, losses, kept in data.rungs:
        expected += [("rungs", losses, members), ("rungs", kept, points)]
    for name, values, shape in expected:
        if values.shape != shape:
            raise ValueError(f"{name} has the shape {values.shape}, not {shape}")


def _from_format_1(about: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Adds what format 1 did not hold."""
    about["plan"] = {"members": "vmap", "why": f"stored as {about['plan']}"}
    about |= {"rungs": [], "settings": {}}
    nothing = np.full(arrays["diverged_at"].shape, "")
    arrays |= {"causes": nothing, "leaves": nothing}


def write_range_test(data: RangeTestData, path: str | os.PathLike[str]) -> None:
    """Stores a range test in a directory, which is made if it is not there; the file appears whole.

    Raises:
      OSError: If the directory cannot be written.
    """
    about = {
        "format": RANGE_TEST_FORMAT,
        "name": data.name,
        "hyperparams": {name: as_json(value) for name, value in data.hyperparams.items()},
        "plan": dataclasses.asdict(data.plan),
        "cost": dataclasses.asdict(data.cost),
        "learning_rates": data.learning_rates.tolist(),
        "losses": _nulls(data.losses),
        "held_out": None if data.held_out is None else _nulls(data.held_out),
        "diverged_at": data.diverged_at.tolist(),
        "schedule": None if data.schedule is None else _nulls(data.schedule[None])[0],
        "set_aside": data.set_aside,
        "constant_rates": None if data.constant_rates is None else data.constant_rates.tolist(),
        "constant_losses": None if data.constant_losses is None else _nulls(data.constant_losses),
        "training_steps": data.training_steps,
        "decays": data.decays,
    }
    write_whole({Path(path) / _RANGE_TEST: json.dumps(about) + "\n"})


def holds_range_test(path: str | os.PathLike[str]) -> bool:
    """Whether a directory holds a range test."""
    return (Path(path) / _RANGE_TEST).is_file()


def read_range_test(path: str | os.PathLike[str]) -> RangeTestData:
    """The range test stored in a directory.

    Raises:
      ValueError: If it is damaged, or of a format this version does not know.
    """
    file = Path(path) / _RANGE_TEST
    try:
        about = json.loads(file.read_text())
        found = about["format"]
    except (ValueError, TypeError, KeyError) as error:
        raise _check.fail("load", "path", "a stored range test", f"a damaged {file}") from error
    if found != RANGE_TEST_FORMAT:
        expected = f"a range test stored in format {RANGE_TEST_FORMAT}"
        raise _check.fail("load", "path", expected, f"format {found} at {file}")
    try:
        held_out, schedule = about["held_out"], about.get("schedule")
        losses = np.array(about["losses"], np.float32)
        constant_rates = constant_losses = None
        if about.get("constant_rates") is not None:
            constant_rates = np.array(about["constant_rates"], float)
            constant_losses = np.array(about["constant_losses"], np.float32)
            if constant_losses.shape != (len(constant_rates), len(losses)):
                raise ValueError(f"constant losses of shape {constant_losses.shape}")
        return RangeTestData(
            learning_rates=np.array(about["learning_rates"], float),
            losses=losses,
            held_out=None if held_out is None else np.array(held_out, np.float32),
            diverged_at=np.array(about["diverged_at"], int),
            name=about["name"],
            hyperparams=about["hyperparams"],
            cost=Cost(**about["cost"]),
            plan=Plan(**about["plan"]),
            schedule=None if schedule is None else np.array(schedule, float),
            set_aside=bool(about.get("set_aside", False)),
            constant_rates=constant_rates,
            constant_losses=constant_losses,
            training_steps=None if constant_rates is None else int(about["training_steps"]),
            decays=bool(about.get("decays", False)),
        )
    except (ValueError, TypeError, KeyError) as error:
        raise _check.fail("load", "path", "a stored range test", f"a damaged {file}: {error}") from error


def _nulls(table: np.ndarray) -> list[list[float | None]]:
    """Numbers as JSON has them: it knows no NaN and no infinity."""
    return [[float(x) if np.isfinite(x) else None for x in row] for row in table]


def check_writable(call: str, argument: str, path: str | os.PathLike[str]) -> Path:
    """Makes a directory and proves that files can be written there.

    Raises:
      OSError: If not; the message names the call and the path.
    """
    directory = Path(path)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        got = f"{directory} ({error.strerror or error})"
        raise type(error)(
            f"`{call}({argument}=...)` must be a directory that can be written, got {got}"
        ) from error
    return directory


def as_column(values: list[Any]) -> np.ndarray:
    """One hyperparameter's values: float64 or int64 if all are numbers, else objects."""
    if all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values):
        return np.array(values)
    return _object_array(values)


def _object_array(values: list[Any]) -> np.ndarray:
    column = np.empty(len(values), object)
    column[:] = values
    return column


def _under(field: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name.removeprefix(f"{field}/"): x for name, x in arrays.items() if name.startswith(f"{field}/")}
