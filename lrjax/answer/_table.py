"""A sweep as text: one row a point, then the answer."""

from __future__ import annotations

import numpy as np

from lrjax._values import as_text
from lrjax.answer._learning_rate import Answer
from lrjax.answer._measured import absent, dropped_at, final_losses, held_out_values, rungs
from lrjax.answer._regime import regimes_text
from lrjax.results import SweepData


def summary(data: SweepData, answer: Answer) -> str:
    """A table of all points and the answer below it.

    Args:
      data: A sweep's measurements.
      answer: What they mean.

    Returns:
      Lines of text. `*` marks the chosen point, `~` the others on the plateau; losses are
      medians over seeds with the range in brackets, of a point that an allocation dropped the last.
      The regime is what the training curves show, with how many seeds show each if they differ. Of
      members that diverged the cause stands in brackets, unless it is just their loss.

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
    return ["", *data.points, f"{answer.judged_by} [range]", *_others(data), "regime", "failed"]


def failures(data: SweepData, answer: Answer, index: int) -> list[str]:
    """What went wrong with a point's members, a few words for each kind.

    Args:
      data: A sweep's measurements.
      answer: What they mean.
      index: The point.

    Returns:
      Texts such as "1/3 diverged (gradient)", none if all members trained to the end.

    Example:
      >>> import lrjax
      >>> task = lrjax.tasks.load("quadratic-deep")
      >>> grid = {"learning_rate": [0.01, 1e30]}
      >>> sweep = lrjax.sweep(task.trial(lrjax.sgd), grid, task.data, steps=20, progress=False)
      >>> [failures(sweep, sweep.answer, index) for index in (0, 1)]
      [[], ['1/1 diverged']]
    """
    begun = ~absent(data)[index]
    seeds = int(begun.sum())
    final, _, _ = final_losses(data)
    gone = data.diverged_at[index] >= 0
    worse = answer.failed[index] & ~gone & np.isfinite(final[index])
    undefined = answer.failed[index] & ~gone & ~worse
    unmeasured = begun & ~answer.failed[index] & np.isnan(final[index])
    counts = {
        " diverged" + _causes(data.causes[index][gone]): gone,
        " worse than at the start": worse,
        " not finite": undefined,
        " not measured": unmeasured,
    }
    return [f"{which.sum()}/{seeds}{text}" for text, which in counts.items() if which.any()]


def mark(data: SweepData, answer: Answer, index: int) -> str:
    """How a point stands: "*" for the chosen one, "~" for others on the plateau, else nothing.

    Args:
      data: A sweep's measurements.
      answer: What they mean.
      index: The point.

    Returns:
      At most one character.

    Example:
      >>> import lrjax
      >>> task = lrjax.tasks.load("quadratic-deep")
      >>> grid = {"learning_rate": [0.01, 0.03]}
      >>> sweep = lrjax.sweep(task.trial(lrjax.sgd), grid, task.data, steps=20, progress=False)
      >>> [mark(sweep, sweep.answer, index) for index in (0, 1)]
      ['', '*']
    """
    if index == answer.index:
        return "*"
    if answer.plateau is None or any(
        data.points[name][index] != value for name, value in answer.point.items() if name != data.name
    ):
        return ""
    low, high = answer.plateau
    return "~" if low <= data.points[data.name][index] <= high else ""


def _row(data: SweepData, answer: Answer, index: int) -> list[str]:
    final, _, _ = final_losses(data)
    others = [_median(held_out_values(data, name)[index]) for name in _others(data)]
    at = dropped_at(data)[index]
    dropped = [f"dropped at step {at}"] if at >= 0 else []
    return [
        mark(data, answer, index),
        *(as_text(values[index], digits=3) for values in data.points.values()),
        _range(final[index]),
        *others,
        regimes_text(answer.regimes[index]),
        ", ".join(failures(data, answer, index) + dropped),
    ]


def _causes(causes: np.ndarray) -> str:
    """Why members diverged, in brackets; nothing for a loss, which is what one thinks of."""
    named = [cause for cause in ("gradient", "parameters", "blow-up") if cause in causes]
    return f" ({', '.join(named)})" if named else ""


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
    if answer.interval is not None:
        low, high = answer.interval
        alike, scored = len(answer.indistinguishable), int(np.isfinite(answer.scores).sum())
        text = f"the best rate lies between {low:.3g} and {high:.3g} (90 %)"
        if alike > 1:
            text += f"; the seeds do not tell {alike - 1} of the other {scored - 1} points from the best one"
        lines.append(text)
    if answer.index is not None and answer.index != answer.best:
        lines.append(
            "of these the chosen one does best together with the rates around it: the lowest may be luck"
        )
    if answer.parabola is not None:
        lowest, fit = answer.parabola.vertex, answer.parabola.r_squared
        lines.append(f"a parabola through the losses around it is lowest at {lowest:.3g} (R² {fit:.2f})")
    if answer.index is not None and data.test:
        measured = ", ".join(f"{name} {_median(values[answer.index])}" for name, values in data.test.items())
        lines.append(f"on the test data, at the chosen point: {measured}")
    cost = data.cost
    counts = [int(count) for count in (~absent(data)).sum(axis=1)]
    seeds = _count(max(counts), "seed")
    if min(counts) < max(counts):
        seeds = f"{min(counts)} to {seeds}"
    size = " x ".join((_count(len(counts), "point"), seeds, _count(data.steps, "step")))
    probing = f", {cost.seconds_probing:.1f} s probing" if cost.seconds_probing >= 0.05 else ""
    lines.append(
        f"{size} as {data.plan}: "
        f"{cost.seconds_running:.1f} s running, {cost.seconds_compiling:.1f} s compiling{probing}"
    )
    course = [f"  {line}" for line in data.settings.get("search", {}).get("course", ())]
    if course:
        lines += ["the search:", *course]
    return [*lines, *_ledger(data), "", answer.recommendation]


def _ledger(data: SweepData) -> list[str]:
    """What an allocation saved, and what came of each of its decisions."""
    if not data.rungs:
        return []
    cost = data.cost
    share = cost.member_steps_used / max(1, cost.member_steps_full)
    saved = cost.member_steps_saved  # < 0 where points were begun anew and none was dropped
    lines = [
        f"allocation: {cost.member_steps_used} of {cost.member_steps_full} member-steps used ({share:.0%}), "
        f"{f'{saved} saved' if saved >= 0 else f'{-saved} more than without'}, "
        f"{cost.member_steps_wasted} wasted"
    ]
    for rung in rungs(data):
        rank = rung.rank_correlation
        order = "" if np.isnan(rank) else f", rank correlation with what came later {rank:.2f}"
        lines.append(f"  step {rung.step}: {rung.entered} -> {_count(rung.kept, 'point')}{order}")
    return lines


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
