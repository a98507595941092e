"""What the members of a sweep ended with, and what became of those that did not get there."""

from __future__ import annotations

from typing import Any

import numpy as np

from lrjax._values import plain
from lrjax.answer._ledger import Rung, ledger
from lrjax.results import SweepData


def final_losses(data: SweepData) -> tuple[np.ndarray, np.ndarray, str]:
    """What members are compared by: their final loss, their first one, and its name.

    Args:
      data: A sweep's measurements.

    Returns:
      Final losses and first losses, `[points, seeds]`, and what the final ones are.
      "held-out loss": the last. "best held-out loss", of a sweep with `patience`: the lowest after
      training began, of members that stopped early and of those that did not. "training loss", without
      held-out data: the mean over the last tenth of the recorded steps. Of a member that was stopped it
      is the last one before that, NaN if there is none.

    Example:
      >>> import lrjax
      >>> task = lrjax.tasks.load("quadratic-deep")
      >>> grid = {"learning_rate": [0.01, 0.03]}
      >>> sweep = lrjax.sweep(task.trial(lrjax.sgd), grid, task.data, steps=20, progress=False)
      >>> final, first, name = lrjax.answer.final_losses(sweep)
      >>> final.shape, bool((final < first).all()), name
      ((2, 1), True, 'training loss')
    """
    if "loss" in data.held_out:
        losses = data.held_out["loss"].astype(float)
        if data.settings.get("patience") is not None:
            return held_out_values(data, "loss"), losses[..., 0], "best held-out loss"
        final = final_values(losses, data.held_out_steps, data.stopped_at)
        return final, losses[..., 0], "held-out loss"
    nothing = np.full((*data.diverged_at.shape, len(data.recorded_steps)), np.nan)
    losses = data.metrics.get("loss", nothing).astype(float)
    tail = max(1, losses.shape[-1] // 10)
    final = final_values(losses, data.recorded_steps + 1, data.stopped_at, tail)
    return final, losses[..., 0], "training loss"


def final_values(curves: np.ndarray, steps: np.ndarray, stopped_at: np.ndarray, tail: int = 1) -> np.ndarray:
    """The mean of the last values of each curve; of a stopped member, the last before it was stopped.

    Args:
      curves: What was measured, `[points, seeds, records]`.
      steps: How many updates were begun before each record, `[records]`.
      stopped_at: How many updates a member got before it was stopped, or -1, `[points, seeds]`.
      tail: How many values the mean is over.

    Returns:
      `[points, seeds]`; NaN for a member that was stopped before anything was known of its training.

    Example:
      >>> import numpy as np
      >>> curves = np.array([[[4.0, 2.0, np.nan]], [[4.0, 3.0, 1.0]]])
      >>> final_values(curves, np.array([0, 10, 20]), np.array([[15], [-1]])).ravel().tolist()
      [2.0, 1.0]
    """
    final = curves[..., -tail:].mean(axis=-1)
    for member in zip(*np.nonzero(stopped_at >= 0), strict=True):
        known = curves[member][(steps > 0) & (steps <= stopped_at[member])]
        final[member] = known[-tail:].mean() if len(known) else np.nan
    return final


def held_out_values(data: SweepData, name: str) -> np.ndarray:
    """A held-out metric where members are judged: at their last evaluation, or with `patience` their best.

    Args:
      data: A sweep's measurements.
      name: The metric.

    Returns:
      float `[points, seeds]`; NaN where nothing is known.

    Example:
      >>> import numpy as np, lrjax
      >>> task = lrjax.tasks.load("quadratic-deep")
      >>> sweep = lrjax.sweep(
      ...     task.trial(lrjax.sgd), {"learning_rate": [0.01]}, task.data, steps=20,
      ...     evaluate_on=task.validation, progress=False,
      ... )
      >>> bool(held_out_values(sweep, "loss") == sweep.held_out["loss"][..., -1])
      True
    """
    values = data.held_out[name].astype(float)
    if data.settings.get("patience") is None:
        return final_values(values, data.held_out_steps, data.stopped_at)
    losses = np.where(data.held_out_steps > 0, data.held_out["loss"], np.nan)
    best = np.argmin(np.where(np.isnan(losses), np.inf, losses), axis=-1)[..., None]
    measured = np.isfinite(losses).any(axis=-1)
    return np.where(measured, np.take_along_axis(values, best, axis=-1)[..., 0], np.nan)


def point_at(data: SweepData, index: int) -> dict[str, Any]:
    """A point's own hyperparameters by name: points of one sweep may differ in their names.

    Example:
      >>> import lrjax
      >>> task = lrjax.tasks.load("quadratic-deep")
      >>> grid = [{"learning_rate": 0.01}, {"learning_rate": 0.01, "momentum": 0.9}]
      >>> sweep = lrjax.sweep(task.trial(lrjax.sgd), grid, task.data, steps=20, progress=False)
      >>> point_at(sweep, 0)
      {'learning_rate': 0.01}
    """
    others = data.settings.get("absent", {})
    return {
        name: plain(values[index])
        for name, values in data.points.items()
        if index not in others.get(name, ())
    }


def dropped_at(data: SweepData) -> np.ndarray:
    """The step at which an allocation dropped each point, -1 for never, int `[points]`.

    Example:
      >>> import numpy as np, lrjax
      >>> task = lrjax.tasks.load("quadratic-deep")
      >>> sweep = lrjax.sweep(
      ...     task.trial(lrjax.sgd), {"learning_rate": [0.001, 0.03]}, task.data, steps=20,
      ...     allocation=lrjax.top_k(1, first=10, neighbours=0), evaluate_on=task.validation, progress=False,
      ... )
      >>> dropped_at(sweep).tolist()
      [10, -1]
    """
    dropped = np.full(len(data.diverged_at), -1)
    for step, losses, kept in data.rungs:
        stood = ~np.isnan(losses).all(axis=1)
        dropped = np.where(stood & ~kept & (dropped < 0), step, dropped)
    return dropped


def rungs(data: SweepData) -> list[Rung]:
    """What came of each decision of a sweep's allocation.

    Example:
      >>> import lrjax
      >>> task = lrjax.tasks.load("quadratic-deep")
      >>> sweep = lrjax.sweep(
      ...     task.trial(lrjax.sgd), {"learning_rate": [0.001, 0.03]}, task.data, steps=20,
      ...     allocation=lrjax.top_k(1, first=10, neighbours=0), evaluate_on=task.validation, progress=False,
      ... )
      >>> rungs(sweep)
      [Rung(step=10, entered=2, kept=1, rank_correlation=nan)]
    """
    history, kept = [(step, losses) for step, losses, _ in data.rungs], [kept for _, _, kept in data.rungs]
    return ledger(history, kept, losses_at_the_end(data))


def losses_at_the_end(data: SweepData) -> np.ndarray:
    """Final losses as those of rungs are kept: infinite of members that failed, NaN of those not measured.

    Args:
      data: A sweep's measurements.

    Returns:
      float `[points, seeds]`.

    Example:
      >>> import numpy as np, lrjax
      >>> task = lrjax.tasks.load("quadratic-deep")
      >>> grid = {"learning_rate": [0.01, 10.0]}
      >>> sweep = lrjax.sweep(task.trial(lrjax.sgd), grid, task.data, steps=20, progress=False)
      >>> np.isinf(losses_at_the_end(sweep)).ravel().tolist()
      [False, True]
    """
    final, _, _ = final_losses(data)
    final = np.where(np.isfinite(final) & (data.diverged_at < 0), final, np.inf)
    return np.where(absent(data) | interrupted(data), np.nan, final)


def absent(data: SweepData) -> np.ndarray:
    """Members that a search never meant to train: it gives some points more seeds than others.

    Args:
      data: A sweep's measurements.

    Returns:
      bool `[points, seeds]`; none of a sweep that is not a search's.

    Example:
      >>> import lrjax
      >>> task = lrjax.tasks.load("quadratic-deep")
      >>> grid = {"learning_rate": [0.01, 0.03]}
      >>> sweep = lrjax.sweep(task.trial(lrjax.sgd), grid, task.data, steps=20, progress=False)
      >>> bool(absent(sweep).any())
      False
    """
    return (data.stopped_at == 0) & ("search" in data.settings)


def interrupted(data: SweepData) -> np.ndarray:
    """Members that could have trained on: neither an allocation nor their patience stopped them.

    Args:
      data: A sweep's measurements.

    Returns:
      bool `[points, seeds]`.

    Example:
      >>> import lrjax
      >>> task = lrjax.tasks.load("quadratic-deep")
      >>> grid = {"learning_rate": [0.01, 0.03]}
      >>> sweep = lrjax.sweep(task.trial(lrjax.sgd), grid, task.data, steps=20, progress=False)
      >>> interrupted(sweep).tolist()
      [[False], [False]]
    """
    stopped = (data.stopped_at >= 0) & (data.stopped_at < data.steps) & ~absent(data)
    return stopped & (dropped_at(data) < 0)[:, None] & ~_out_of_patience(data)


def steps_text(data: SweepData, index: int | None) -> str:
    """After how many steps a point was judged, in words: all, unless it was dropped or interrupted.

    Args:
      data: A sweep's measurements.
      index: The point; None for all steps.

    Returns:
      "100 steps", "40 of 100 steps", or "at most 100 steps" of a sweep with `patience`.

    Example:
      >>> import lrjax
      >>> task = lrjax.tasks.load("quadratic-deep")
      >>> grid = {"learning_rate": [0.01, 0.03]}
      >>> sweep = lrjax.sweep(task.trial(lrjax.sgd), grid, task.data, steps=20, progress=False)
      >>> steps_text(sweep, 1)
      '20 steps'
    """
    if index is not None:
        cut = interrupted(data)[index] | ((dropped_at(data)[index] >= 0) & (data.stopped_at[index] > 0))
        if cut.any():
            return f"{data.stopped_at[index][cut].min()} of {data.steps} steps"
    most = "" if data.settings.get("patience") is None else "at most "
    return f"{most}{data.steps} step{'s' * (data.steps != 1)}"


def _out_of_patience(data: SweepData) -> np.ndarray:
    """Members whose held-out loss had not improved for as many evaluations as `patience` says."""
    patience = data.settings.get("patience")
    if patience is None or "loss" not in data.held_out:
        return np.zeros(data.stopped_at.shape, bool)
    best = np.full(data.stopped_at.shape, np.inf)
    since = np.zeros(data.stopped_at.shape, int)
    for step, losses in zip(data.held_out_steps, np.moveaxis(data.held_out["loss"], -1, 0), strict=True):
        counted = step <= data.stopped_at
        since = np.where(counted, np.where(losses < best, 0, since + 1), since)
        best = np.fmin(best, losses)
    return since >= patience
