"""What was measured as a log directory of TensorBoard, a run for each member."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lrjax._values import name_of, ordered
from lrjax.answer import Answer, final_losses, final_values
from lrjax.export._columns import hyperparameter
from lrjax.export._events import FILE, Events
from lrjax.results import SweepData


def to_tensorboard(data: SweepData, answer: Answer, directory: str | os.PathLike[str]) -> Path:
    """A sweep as a log directory of TensorBoard: a run for each member, and its HParams table.

    Args:
      data: A sweep's measurements.
      answer: What they mean.
      directory: Where to; see `lrjax.Sweep.to_tensorboard`.

    Returns:
      The directory's path.

    Raises:
      ImportError: If tensorboardX is not installed.
      FileExistsError: If the directory holds anything but an earlier export.
      OSError: If it cannot be written.

    Example:
      >>> import tempfile, lrjax
      >>> task = lrjax.tasks.load("quadratic-deep")
      >>> grid = {"learning_rate": [0.01, 0.03]}
      >>> sweep = lrjax.sweep(task.trial(lrjax.sgd), grid, task.data, steps=20, progress=False)
      >>> with tempfile.TemporaryDirectory() as directory:
      ...     made = lrjax.export.to_tensorboard(sweep, sweep.answer, directory)
      ...     sorted(path.name for path in made.iterdir())
      ['events.out.tfevents.0.lrjax', 'point-0', 'point-1']
    """
    try:
        import tensorboardX  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "TensorBoard's files need tensorboardX: pip install 'lrjax[tensorboard]'"
        ) from error
    target = Path(os.path.abspath(directory))
    if target.exists() and not _ours(target):
        expected = "a new directory, an empty one or an earlier export's"
        raise FileExistsError(f"`to_tensorboard(directory=...)` must be {expected}, got {directory}")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as partial:
        made = Path(partial) / "new"
        _Logs(data, answer).write(made)
        if target.exists():
            target.replace(Path(partial) / "old")
        made.replace(target)
    return Path(directory)


def _ours(directory: Path) -> bool:
    """Whether a directory holds nothing but what an earlier export wrote."""
    return directory.is_dir() and all(file.name == FILE for file in directory.rglob("*") if not file.is_dir())


class _Logs:
    """A sweep's event files."""

    def __init__(self, data: SweepData, answer: Answer):
        self._data, self._answer = data, answer
        self._hyperparameters = {name: _one_kind(hyperparameter(data, name)) for name in data.points}
        self._ends = self._final()

    def write(self, directory: Path) -> None:
        """Writes all of them, each complete."""
        points, seeds = self._data.diverged_at.shape
        now, width = time.time(), len(str(points - 1))
        with Events(directory, now) as events:
            domains = {
                name: ordered(value for value in values if value is not None)[0]
                for name, values in self._hyperparameters.items()
            }
            events.experiment(domains, [*self._ends, "diverged_at", "stopped_at"])
        for member in np.ndindex(points, seeds):
            group = f"point-{member[0]:0{width}d}"
            with Events(directory / group / f"seed-{member[1]}", now) as events:
                values = {name: column[member[0]] for name, column in self._hyperparameters.items()}
                known = {name: value for name, value in values.items() if value is not None}
                events.session(group, known, self._status(member))
                for step, tags in self._curves(member):
                    events.scalars(step, tags)
                last = self._last(member)
                ends = {tag: float(x[member]) for tag, x in self._ends.items() if np.isfinite(x[member])}
                for tag in ("diverged_at", "stopped_at"):
                    if (step := int(getattr(self._data, tag)[member])) >= 0:
                        ends[tag] = float(step)
                events.scalars(last, ends)
                events.text("outcome", self._outcome(member))

    def _final(self) -> dict[str, np.ndarray]:
        """What the HParams table compares, by tag, `[points, seeds]`; NaN where a member has none."""
        data = self._data
        final = {"final/loss": final_losses(data)[0]}
        for kind, metrics, done in (
            ("train", data.metrics, data.recorded_steps + 1),
            ("held_out", data.held_out, data.held_out_steps),
        ):
            for name, values in metrics.items():
                final[f"final/{kind}/{name}"] = final_values(values, done, data.stopped_at)
        return final | {f"test/{name}": values for name, values in data.test.items()}

    def _curves(self, member: tuple[int, ...]) -> Iterator[tuple[int, dict[str, float]]]:
        """What was measured of a member at each step while it ran, in order."""
        data, last = self._data, self._last(member)
        found: dict[int, dict[str, float]] = {}
        for kind, metrics, steps, end in (
            ("train", data.metrics, data.recorded_steps, last - (data.diverged_at[member] < 0)),
            ("held_out", data.held_out, data.held_out_steps, last),
        ):
            for name, values in metrics.items():
                for step, value in zip(steps.tolist(), values[member].tolist(), strict=True):
                    if step <= end:
                        found.setdefault(step, {})[f"{kind}/{name}"] = value
        yield from sorted(found.items())

    def _last(self, member: tuple[int, ...]) -> int:
        """How many updates a member was given."""
        ends = [int(at[member]) for at in (self._data.diverged_at, self._data.stopped_at) if at[member] >= 0]
        return min([*ends, self._data.steps])

    def _status(self, member: tuple[int, ...]) -> str:
        if self._answer.failed[member]:
            return "STATUS_FAILURE"
        return "STATUS_SUCCESS" if np.isfinite(self._ends["final/loss"][member]) else "STATUS_UNKNOWN"

    def _outcome(self, member: tuple[int, ...]) -> str:
        data = self._data
        if (at := data.diverged_at[member]) >= 0:
            where = f" in {data.leaves[member]}" if data.leaves[member] else ""
            return f"diverged at step {at} ({data.causes[member] or 'cause not known'}{where})"
        if (at := data.stopped_at[member]) >= 0:
            return f"stopped before step {at} of {data.steps}"
        return "trained to the end"


def _one_kind(values: np.ndarray) -> list[Any]:
    """A hyperparameter's values as TensorBoard takes them: numbers, bools or text; None for none."""
    found = []
    for value in values.tolist():
        if isinstance(value, float) and value != value:
            found.append(None)
        elif values.dtype == object:
            found.append(name_of(value))
        else:
            found.append(value if isinstance(value, bool) else float(value))
    return found
