"""Whether the rate can matter at all."""

from __future__ import annotations

from typing import Any

import numpy as np

from lrjax._values import identity
from lrjax.answer._measured import dropped_at, final_losses
from lrjax.results import SweepData

_EQUAL = 2.5e-7  # of the larger loss, two units in the last place of float32: plans may round otherwise


def hopeless(data: SweepData) -> str:
    """Why no rate can be told from another, whatever is tried.

    Args:
      data: A sweep's measurements.

    Returns:
      A sentence: that half of the members or more had no finite loss before any update and none at the end,
      that no loss was measured after an update, or that at least two rates were trained to the end and all
      that were have the same losses at every step. "" otherwise.

    Example:
      >>> import numpy as np, lrjax
      >>> run = lrjax.trial(lambda key: np.float32(1.0), lambda x, batch: 0 * x + 1, lrjax.sgd)
      >>> data = lrjax.batches(np.zeros(4), batch_size=4)
      >>> sweep = lrjax.sweep(run, {"learning_rate": [0.01, 0.1]}, data, steps=20, progress=False)
      >>> hopeless(sweep)
      'The loss is the same at every rate: the trial does not depend on it, or all rates are far too low.'
    """
    final, initial, judged_by = final_losses(data)
    begun = data.stopped_at != 0
    never = ~np.isfinite(initial) & ~np.isfinite(final)
    if begun.any() and never[begun].mean() >= 0.5:
        which = "The loss" if never[begun].all() else "The loss of half of the members or more"
        return f"{which} is not finite before any update, which no rate mends."
    if judged_by == "training loss" and not (data.recorded_steps > 0).any():
        return "No loss was measured after an update: pass held-out data with `evaluate_on`, or train longer."
    lines = lines_of(data)
    told = [_differs(data, line) for line in lines]
    if False in told and True not in told:
        why = "the trial does not depend on it, or all rates are far too low"
        return f"The loss is the same at every rate: {why}."
    return ""


def lines_of(data: SweepData) -> list[np.ndarray]:
    """The points that differ in their rate alone, in order of rate; none if there are no rates.

    Args:
      data: A sweep's measurements.

    Example:
      >>> import lrjax
      >>> task = lrjax.tasks.load("quadratic-deep")
      >>> grid = {"learning_rate": [0.03, 0.01], "momentum": [0.0, 0.5]}
      >>> sweep = lrjax.sweep(task.trial(lrjax.sgd), grid, task.data, steps=20, progress=False)
      >>> [line.tolist() for line in lines_of(sweep)]
      [[2, 0], [3, 1]]
    """
    rates = data.points.get(data.name)
    if rates is None or rates.dtype == object:
        return []
    found: dict[Any, list[int]] = {}
    others = [[identity(v) for v in values] for name, values in data.points.items() if name != data.name]
    for index in range(len(rates)):
        found.setdefault(tuple(column[index] for column in others), []).append(index)
    return [np.array(line)[np.argsort(rates[line], kind="stable")] for line in found.values()]


def _differs(data: SweepData, line: np.ndarray) -> bool | None:
    """Whether members of a line that were trained to the end differ; None if there are no two to compare."""
    line = line[dropped_at(data)[line] < 0]
    whole = (data.stopped_at[line] < 0) & (data.diverged_at[line] < 0)
    if not len(line) or len(set(data.points[data.name][line[whole.any(axis=1)]].tolist())) < 2:
        return None
    if (data.diverged_at[line] >= 0).any():
        return True
    compared = False
    for table, steps in ((data.metrics, data.recorded_steps), (data.held_out, data.held_out_steps)):
        if "loss" not in table:
            continue
        losses = np.where(whole[..., None], table["loss"][line].astype(float), np.nan)[..., steps > 0]
        several = np.isfinite(losses).sum(axis=0) >= 2
        low = np.where(np.isfinite(losses), losses, np.inf).min(axis=0)[several]
        high = np.where(np.isfinite(losses), losses, -np.inf).max(axis=0)[several]
        if (high - low > _EQUAL * np.maximum(abs(low), abs(high))).any():
            return True
        compared |= bool(several.any())
    return False if compared else None
