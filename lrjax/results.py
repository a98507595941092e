"""What a sweep measured: plain arrays, and how they are stored.

A stored result is a directory with `sweep.npz` (the arrays) and `sweep.json` (everything else, and the
version of the format). Loading one executes nothing.
"""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lrjax import _check

FORMAT = 1
_METRICS = ("metrics", "held_out", "test")


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a sweep took.

    Attributes:
      member_steps_used: Training steps computed, summed over members.
      member_steps_full: Those of the full grid: points x seeds x steps.
      seconds_compiling: Seconds spent tracing and compiling.
      seconds_probing: Seconds spent choosing how to run.
      seconds_running: Seconds spent training and evaluating.

    Example:
      >>> from lrjax.results import Cost
      >>> Cost(100, 100, 1.0, 0.0, 2.0).seconds_running
      2.0
    """

    member_steps_used: int
    member_steps_full: int
    seconds_compiling: float
    seconds_probing: float
    seconds_running: float


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
      plan: How the members were run.
      name: The hyperparameter that is the learning rate.
      steps: Updates per member.

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
    plan: str
    name: str
    steps: int


def write(data: SweepData, path: str | os.PathLike[str]) -> None:
    """Stores a result in a directory, which is made if it is not there.

    Each file appears whole or not at all.

    Raises:
      OSError: If the directory cannot be written.
    """
    directory = Path(path)
    directory.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, np.ndarray] = {}
    points: dict[str, Any] = {}
    for name, values in data.points.items():
        if values.dtype == object:
            points[name] = [_as_json(value) for value in values]
        else:
            points[name] = None
            arrays[f"points/{name}"] = values
    for field in _METRICS:
        arrays.update({f"{field}/{name}": values for name, values in getattr(data, field).items()})
    for field in ("recorded_steps", "held_out_steps", "diverged_at", "stopped_at"):
        arrays[field] = getattr(data, field)
    about = {
        "format": FORMAT,
        "name": data.name,
        "steps": data.steps,
        "plan": data.plan,
        "cost": dataclasses.asdict(data.cost),
        "points": points,
    }
    text = json.dumps(about, indent=2) + "\n"
    contents: dict[str, Callable[[Any], object]] = {
        "sweep.npz": lambda file: np.savez_compressed(file, allow_pickle=False, **arrays),
        "sweep.json": lambda file: file.write(text.encode()),
    }
    temporaries = {name: directory / f".{name}.{os.getpid()}" for name in contents}
    try:
        for name, temporary in temporaries.items():
            with temporary.open("wb") as file:
                contents[name](file)
        for name, temporary in temporaries.items():  # both are whole: now they replace the old ones
            temporary.replace(directory / name)
    finally:
        for temporary in temporaries.values():
            temporary.unlink(missing_ok=True)


def read(path: str | os.PathLike[str]) -> SweepData:
    """The result stored in a directory.

    Raises:
      FileNotFoundError: If there is none.
      ValueError: If it is damaged, or of a format this version does not know.
    """
    directory = Path(path)
    if not (directory / "sweep.json").is_file() or not (directory / "sweep.npz").is_file():
        raise FileNotFoundError(
            f"`load(path=...)` must be a directory with sweep.json and sweep.npz, got {directory}"
        )
    try:
        about = json.loads((directory / "sweep.json").read_text())
        found = about["format"]
    except (ValueError, TypeError, KeyError) as error:
        raise _check.fail(
            "load", "path", "a stored sweep", f"a damaged {directory / 'sweep.json'}"
        ) from error
    if found != FORMAT:
        raise _check.fail(
            "load", "path", f"a sweep stored in format {FORMAT}", f"format {found} at {directory}"
        )
    try:
        # Opened here, since NumPy leaves its file open when that is no archive.
        with (directory / "sweep.npz").open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = dict(stored)
        points = {
            name: arrays[f"points/{name}"] if values is None else _object_array(values)
            for name, values in about["points"].items()
        }
        return SweepData(
            points=points,
            recorded_steps=arrays["recorded_steps"],
            held_out_steps=arrays["held_out_steps"],
            diverged_at=arrays["diverged_at"],
            stopped_at=arrays["stopped_at"],
            cost=Cost(**about["cost"]),
            plan=about["plan"],
            name=about["name"],
            steps=about["steps"],
            **{field: _under(field, arrays) for field in _METRICS},
        )
    except Exception as error:  # a zip or an array cut short raises whatever its reader meets first
        raise _check.fail(
            "load", "path", "a stored sweep", f"a damaged one at {directory}: {error}"
        ) from error


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


def _as_json(value: Any) -> Any:
    if value is None or isinstance(value, (bool, str, int, float)):
        return value
    return getattr(value, "__qualname__", repr(value))


def _under(field: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name.removeprefix(f"{field}/"): x for name, x in arrays.items() if name.startswith(f"{field}/")}
