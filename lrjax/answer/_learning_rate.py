"""Which learning rate: the answer to a sweep, from measured numbers alone."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np

from lrjax.answer._ledger import Rung, ledger
from lrjax.results import SweepData

_TOLERANCE = 0.02  # of the best score; the plateau's margin is this or the seeds' spread, if larger
_SAME_ORDER = 0.5  # rank correlation below which a rung says little about a later one


@dataclasses.dataclass(frozen=True, eq=False)
class Answer:
    """What a sweep says about the learning rate.

    Attributes:
      learning_rate: The best rate, or None if no rate trained.
      point: All hyperparameters at the best point; empty if no rate trained.
      index: The best point's index, or None.
      score: The best point's median over seeds of what `judged_by` names; NaN without one.
      judged_by: What the rates were compared by.
      scores: The same median for every point, `[points]`; infinity where half of the seeds or more
        failed (went non-finite, or ended worse than they began), and for a point that an allocation
        dropped: its last loss is of an earlier step, and no match for those of the end. Only where no
        point that was trained on has a score, those dropped last have.
      failed: bool `[points, seeds]`, which members failed. Being dropped is no failure.
      plateau: The lowest and highest of the neighbouring rates that do as well as the best, up to
        2 % of its score or the standard deviation over its seeds, whichever is larger; or None.
      divergence_edge: The lowest rate from which on every rate fails for at least half of the
        seeds, or None if the highest rate still trains.
      recommendation: One sentence.
      warnings: What is wrong with the question, a sentence each.

    Example:
      >>> import lrjax
      >>> task = lrjax.tasks.load("quadratic-deep")
      >>> grid = {"learning_rate": [0.01, 0.03]}
      >>> sweep = lrjax.sweep(task.trial(lrjax.sgd), grid, task.data, steps=20, progress=False)
      >>> sweep.answer.learning_rate, sweep.answer.divergence_edge
      (0.03, None)
    """

    learning_rate: float | None
    point: dict[str, Any]
    index: int | None
    score: float
    judged_by: str
    scores: np.ndarray
    failed: np.ndarray
    plateau: tuple[float, float] | None
    divergence_edge: float | None
    recommendation: str
    warnings: tuple[str, ...]


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
    final, _, _ = final_losses(data)
    final = np.where((data.diverged_at >= 0) | interrupted(data), np.nan, final)
    history, kept = [(step, losses) for step, losses, _ in data.rungs], [kept for _, _, kept in data.rungs]
    return ledger(history, kept, final)


def judge(data: SweepData) -> Answer:
    """Chooses the learning rate by the median final loss over seeds, lower rates first among equals.

    Args:
      data: A sweep's measurements.

    Returns:
      An `Answer`.

    Example:
      >>> import numpy as np, lrjax
      >>> def loss(x, batch):
      ...     return (x - batch.mean()) ** 2
      >>> run = lrjax.trial(lambda key: np.float32(1.0), loss, lrjax.sgd)
      >>> data = lrjax.batches(np.zeros(4), batch_size=4)
      >>> sweep = lrjax.sweep(run, {"learning_rate": [0.01, 0.1, 1.5]}, data, steps=20, progress=False)
      >>> round(lrjax.answer.judge(sweep).learning_rate, 3)
      0.1
    """
    final, initial, judged_by = final_losses(data)
    unmeasured = (data.stopped_at >= 0) & np.isnan(final)
    dropped = dropped_at(data)
    worse = (final > initial) & (dropped < 0)[:, None]  # early in training that may yet come right
    failed = ~unmeasured & (~np.isfinite(final) | worse | (data.diverged_at >= 0))
    scores = _among_equals(np.median(np.where(failed | unmeasured, np.inf, final), axis=1), dropped)
    rates = _rates(data)
    best = _best(scores, rates)
    if best is None:
        return _no_answer(data, judged_by, scores, failed, rates, bool(unmeasured.all()))
    line = _line(data, best, rates)
    margin = max(_TOLERANCE * abs(scores[best]), _spread(final[best], failed[best]))
    plateau = _plateau(rates, scores, line, best, margin)
    edge = _edge(rates, failed, line)
    warnings = _warnings(data, judged_by, rates, line, best, plateau)
    return Answer(
        learning_rate=None if rates is None else float(rates[best]),
        point={name: _item(values[best]) for name, values in data.points.items()},
        index=best,
        score=float(scores[best]),
        judged_by=judged_by,
        scores=scores,
        failed=failed,
        plateau=plateau,
        divergence_edge=edge,
        recommendation=_recommendation(data, judged_by, best, scores[best], plateau, edge),
        warnings=warnings,
    )


def _among_equals(scores: np.ndarray, dropped: np.ndarray) -> np.ndarray:
    """The scores of the points that were trained furthest among those that have one; infinity for others."""
    reached = np.where(dropped < 0, np.inf, dropped)
    scored = np.isfinite(scores)
    furthest = reached[scored].max(initial=-np.inf)
    return np.where(scored & (reached == furthest), scores, np.inf)


def _no_answer(
    data: SweepData,
    judged_by: str,
    scores: np.ndarray,
    failed: np.ndarray,
    rates: np.ndarray | None,
    nothing_measured: bool,
) -> Answer:
    lowest = "" if rates is None or nothing_measured else f" Try rates below {rates.min():.3g}."
    if nothing_measured:
        verdict = "The sweep was stopped before anything was measured."
        warnings = [verdict]
    else:
        verdict = "Every point failed."
        detail = "at least half of the seeds went non-finite or ended worse than they began, at every point"
        warnings = [*_interruption(data), f"Everything diverged: {detail}.{lowest}"]
    return Answer(
        learning_rate=None,
        point={},
        index=None,
        score=float("nan"),
        judged_by=judged_by,
        scores=scores,
        failed=failed,
        plateau=None,
        divergence_edge=None if rates is None or nothing_measured else float(rates.min()),
        recommendation=f"No learning rate can be recommended. {verdict}{lowest}",
        warnings=tuple(warnings),
    )


def _rates(data: SweepData) -> np.ndarray | None:
    """The learning rate of each point, or None if the sweep was not over one."""
    values = data.points.get(data.name)
    return None if values is None or values.dtype == object else values.astype(float)


def _best(scores: np.ndarray, rates: np.ndarray | None) -> int | None:
    if not np.isfinite(scores).any():
        return None
    order = np.arange(len(scores)) if rates is None else np.argsort(rates, kind="stable")
    return int(order[np.argmin(scores[order])])


def _line(data: SweepData, best: int, rates: np.ndarray | None) -> np.ndarray:
    """The points that differ from the best in their rate only, in order of rate."""
    if rates is None:
        return np.array([best])
    same = np.ones(len(rates), bool)
    for name, values in data.points.items():
        if name != data.name:
            same &= np.array([_item(v) == _item(values[best]) for v in values])
    chosen = np.flatnonzero(same)
    return chosen[np.argsort(rates[chosen], kind="stable")]


def _spread(final: np.ndarray, failed: np.ndarray) -> float:
    kept = final[~failed]
    return float(np.std(kept, ddof=1)) if len(kept) > 1 else 0.0


def _plateau(
    rates: np.ndarray | None, scores: np.ndarray, line: np.ndarray, best: int, margin: float
) -> tuple[float, float] | None:
    if rates is None:
        return None
    position = int(np.flatnonzero(line == best)[0])
    good = scores[line] <= scores[best] + margin
    low = position - sum(1 for _ in itertools.takewhile(bool, good[:position][::-1]))
    high = position + sum(1 for _ in itertools.takewhile(bool, good[position + 1 :]))
    return float(rates[line[low]]), float(rates[line[high]])


def _edge(rates: np.ndarray | None, failed: np.ndarray, line: np.ndarray) -> float | None:
    if rates is None:
        return None
    failing = list(itertools.takewhile(lambda index: failed[index].mean() >= 0.5, line[::-1]))
    return float(rates[failing[-1]]) if failing else None


def _warnings(
    data: SweepData,
    judged_by: str,
    rates: np.ndarray | None,
    line: np.ndarray,
    best: int,
    plateau: tuple[float, float] | None,
) -> tuple[str, ...]:
    warnings = _interruption(data)
    if rates is not None and plateau is not None and len(line) > 1:
        if plateau == (rates[line[0]], rates[line[-1]]):
            warnings.append("All rates do as well as each other: try a wider grid, or train longer.")
        elif best == line[0]:
            warnings.append(
                f"The best rate, {rates[best]:.3g}, is the lowest tried: extend the grid downwards."
            )
        elif best == line[-1]:
            warnings.append(
                f"The best rate, {rates[best]:.3g}, is the highest tried: extend the grid upwards."
            )
    at = dropped_at(data)[best]
    if at >= 0:
        warnings.append(
            f"All points that were trained on failed; the best, dropped at step {at}, is what is left."
        )
    warnings += _allocation_warnings(data)
    if judged_by == "training loss":
        warnings.append("Rates were compared by training loss: pass held-out data with `evaluate_on`.")
    return tuple(warnings)


def _allocation_warnings(data: SweepData) -> list[str]:
    if not data.rungs:
        return []
    warnings = []
    if data.settings.get("horizon") is None and not _constant_rates(data):
        warnings.append(
            "Rungs compared points whose schedules, if they have any, were cut off there, which favours some "
            "rates: name the hyperparameter that is the schedule's length with `horizon`."
        )
    for rung in rungs(data):
        if rung.rank_correlation < _SAME_ORDER:
            warnings.append(
                f"The rung at step {rung.step} ordered the points otherwise than they were later (rank "
                f"correlation {rung.rank_correlation:.2f}): train longer before points are judged."
            )
    return warnings


def _constant_rates(data: SweepData) -> bool:
    """Whether it is known that no member's rate changes while it trains."""
    rates = data.metrics.get("learning_rate")
    return rates is not None and bool(np.all((rates == rates[..., :1]) | np.isnan(rates)))


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
    stopped = (data.stopped_at >= 0) & (data.stopped_at < data.steps)
    return stopped & (dropped_at(data) < 0)[:, None] & ~_out_of_patience(data)


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


def _interruption(data: SweepData) -> list[str]:
    stopped = data.stopped_at[interrupted(data)]
    if not len(stopped):
        return []
    return [f"The sweep was interrupted; some members stand at step {stopped.min()} of {data.steps}."]


def _recommendation(
    data: SweepData,
    judged_by: str,
    best: int,
    score: float,
    plateau: tuple[float, float] | None,
    edge: float | None,
) -> str:
    chosen = (
        ", ".join(f"{name} = {_text(values[best])}" for name, values in data.points.items())
        or "the only point"
    )
    seeds = data.diverged_at.shape[1]
    text = f"Use {chosen}: median {judged_by} {score:.4g} over {seeds} seed{'s' * (seeds != 1)}"
    if plateau is not None and plateau[0] < plateau[1]:
        text += f"; rates from {plateau[0]:.3g} to {plateau[1]:.3g} do as well"
    if edge is not None:
        text += f"; from {edge:.3g} on training fails"
    return text + "."


def _text(value: Any) -> str:
    value = _item(value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _item(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
