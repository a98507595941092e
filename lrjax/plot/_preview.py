"""What `lrjax schedule` says and draws of a schedule written as text."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from lrjax import schedules
from lrjax.plot import _style
from lrjax.plot._schedule import schedule as draw_schedule
from lrjax.schedules import Schedule, check_schedule, schedule_from_text

_LINES = 11  # of the table
_NOT_FOR_USERS = ("as_schedule", "as_timed", "schedule_from_text")


def schedule_names() -> dict[str, Callable[..., Schedule]]:
    """Every public function that makes a schedule.

    Returns:
      Name to function.

    Example:
      >>> import lrjax
      >>> "warmup_cosine_decay_schedule" in lrjax.plot.schedule_names()
      True
    """
    functions = {name: getattr(schedules, name) for name in schedules.__all__ if name not in _NOT_FOR_USERS}
    return {name: f for name, f in functions.items() if _makes_schedule(f)}


class Preview(NamedTuple):
    """What a schedule does over a run.

    Attributes:
      steps: Some steps of the run, `[shown]`, its first and last among them.
      values: The schedule's values there.
      warnings: What `check_schedule` finds, name to sentence.
      written: The file that was written, or "".

    Example:
      >>> import lrjax
      >>> lrjax.plot.preview_schedule("0.5 * linear_schedule(1, 0, 4)", steps=4).lines()
      ['step  value', '   0  0.5', '   1  0.375', '   2  0.25', '   3  0.125']
    """

    steps: np.ndarray
    values: np.ndarray
    warnings: dict[str, str]
    written: str = ""

    def lines(self) -> list[str]:
        """All of it as text."""
        width = max(len("step"), len(str(self.steps[-1])))
        lines = [f"{'step':>{width}}  value"]
        lines += [
            f"{step:>{width}}  {value:.6g}" for step, value in zip(self.steps, self.values, strict=True)
        ]
        lines += [f"warning: {name}: {sentence}" for name, sentence in self.warnings.items()]
        return [*lines, f"written: {self.written}"] if self.written else lines


def preview_schedule(text: str, steps: int, out: str | Path | None = None) -> Preview:
    """What a schedule does over a run, once its picture or table is written.

    Args:
      text: The schedule, as `lrjax.schedules.schedule_from_text` reads it.
      steps: The length of the run in updates, > 0.
      out: Where to write: a picture, or with the ending `.csv` every step and its value; None for nothing.

    Returns:
      A `Preview`.

    Raises:
      ImportError: If a picture is asked for and matplotlib is not installed.
      ValueError: If the text describes no schedule, or one that is driven by metrics.
      TypeError: If a schedule in the text is called with what it does not take.

    Example:
      >>> import lrjax
      >>> lrjax.plot.preview_schedule("0.5 * linear_schedule(1, 0, 4)", steps=4).values.tolist()
      [0.5, 0.375, 0.25, 0.125]
    """
    one = schedule_from_text(text, schedule_names())
    if one.closed_form is None:
        raise ValueError("the schedule is driven by metrics: it has no values before training")
    found = check_schedule(one, steps)
    shown = np.unique(np.linspace(0, steps - 1, _LINES).round().astype(np.int32))
    values = np.asarray(jax.jit(one.at)(shown))
    if out is not None:
        _write(one, text.strip(), steps, Path(out))
    return Preview(shown, values, found, "" if out is None else str(out))


def _write(one: Schedule, name: str, steps: int, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".csv":
        counts = np.arange(steps, dtype=np.int32)
        table = np.column_stack([counts, np.asarray(jax.jit(one.at)(counts))])
        np.savetxt(path, table, delimiter=",", header="step,value", comments="", fmt=["%d", "%.9g"])
        return
    _style.without_screen()
    figure: Any = draw_schedule({name: one}, steps).figure
    figure.savefig(path, dpi=150)


def _makes_schedule(function: Any) -> bool:
    return inspect.isfunction(function) and str(inspect.signature(function).return_annotation) == "Schedule"
