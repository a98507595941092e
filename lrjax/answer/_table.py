"""A sweep as text: one row a point, then the answer."""

from __future__ import annotations

from typing import Any

import numpy as np

from lrjax.answer._learning_rate import Answer, final_losses, final_values
from lrjax.results import SweepData


def summary(data: SweepData, answer: Answer) -> str:
    """A table of all points and the answer below it.

    Args:
      data: A sweep's measurements.
      answer: What they mean.

    Returns:
      Lines of text. `*` marks the chosen point, `~` the others on the plateau; losses are
      medians over seeds with the range in brackets.

    Example:
      >>> import lrjax
      >>> task = lrjax.tasks.load("quadratic-deep")
      >>> grid = {"learning_rate": [0.01, 0.03]}
      >>> sweep = lrjax.sweep(task.trial(lrjax.sgd), grid, task.data, steps=20, progress=False)
      >>> lrjax.answer.summary(sweep, sweep.answer).splitlines()[-1][:24]
      'Use learning_rate = 0.03'
    """
    rows = [_header(data, answer), *(_row(data, answer, i) for i in range(len(answer.scores)))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join([*lines, "", *_footer(data, answer)])


def _header(data: SweepData, answer: Answer) -> list[str]:
    return ["", *data.points, f"{answer.judged_by} [range]", *_others(data), "failed"]


def _row(data: SweepData, answer: Answer, index: int) -> list[str]:
    seeds = data.diverged_at.shape[1]
    final, _, _ = final_losses(data)
    finals = [
        final_values(data.held_out[name], data.held_out_steps, data.stopped_at) for name in _others(data)
    ]
    others = [_median(values[index]) for values in finals]
    gone = data.diverged_at[index] >= 0
    worse = answer.failed[index] & ~gone & np.isfinite(final[index])
    undefined = answer.failed[index] & ~gone & ~worse
    unmeasured = ~answer.failed[index] & np.isnan(final[index])
    counts = {
        " diverged": gone,
        " worse than at the start": worse,
        " not finite": undefined,
        " not measured": unmeasured,
    }
    verdict = ", ".join(f"{which.sum()}/{seeds}{text}" for text, which in counts.items() if which.any())
    return [
        _mark(data, answer, index),
        *map(_point_cells(data, index), data.points),
        _range(final[index]),
        *others,
        verdict,
    ]


def _point_cells(data: SweepData, index: int) -> Any:
    def cell(name: str) -> str:
        value = data.points[name][index]
        return f"{value:.3g}" if isinstance(value, (float, np.floating)) else str(value)

    return cell


def _mark(data: SweepData, answer: Answer, index: int) -> str:
    if index == answer.index:
        return "*"
    if answer.plateau is None or any(
        data.points[name][index] != value for name, value in answer.point.items() if name != data.name
    ):
        return ""
    low, high = answer.plateau
    return "~" if low <= data.points[data.name][index] <= high else ""


def _others(data: SweepData) -> list[str]:
    return [name for name in data.held_out if name != "loss"]


def _median(values: np.ndarray) -> str:
    values = values[np.isfinite(values)]
    return f"{np.median(values):.4g}" if len(values) else "-"


def _range(values: np.ndarray) -> str:
    values = values[np.isfinite(values)]
    if not len(values):
        return "-"
    low, high = f"{values.min():.3g}", f"{values.max():.3g}"
    return f"{np.median(values):.4g}" + (f" [{low}, {high}]" if len(values) > 1 else "")


def _footer(data: SweepData, answer: Answer) -> list[str]:
    lines = [f"warning: {warning}" for warning in answer.warnings]
    if answer.index is not None and data.test:
        measured = ", ".join(f"{name} {_median(values[answer.index])}" for name, values in data.test.items())
        lines.append(f"on the test data, at the chosen point: {measured}")
    points, seeds = data.diverged_at.shape
    cost = data.cost
    lines.append(
        f"{points} points x {seeds} seeds x {data.steps} steps as {data.plan}: "
        f"{cost.seconds_running:.1f} s running, {cost.seconds_compiling:.1f} s compiling"
    )
    return [*lines, "", answer.recommendation]
