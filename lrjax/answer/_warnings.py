"""What is wrong with a sweep's question, a sentence each."""

from __future__ import annotations

import numpy as np

from lrjax.answer._measured import dropped_at, final_losses, interrupted, rungs
from lrjax.answer._paired import within_noise
from lrjax.results import SweepData

_SAME_ORDER = 0.5  # rank correlation below which a rung says little about a later one
_ORDERED = 5  # points from which on an order is one: of fewer, chance makes any
_MOVED = 0.01  # of what the best rate moved the loss by
_MUCH = 0.1  # of the loss before training: a fall that is more than a beginning
_COARSE = ("bfloat16", "float16")
_FALLING = ("too low", "slow")


def interruption(data: SweepData) -> list[str]:
    """That members could have trained on."""
    stopped = data.stopped_at[interrupted(data)]
    if not len(stopped):
        return []
    return [f"The sweep was interrupted; some members stand at step {stopped.min()} of {data.steps}."]


def of_search(data: SweepData) -> list[str]:
    """That a search would have tried more."""
    unfinished = data.settings.get("search", {}).get("unfinished", "")
    more = " Raise `budget`." if unfinished.startswith(("the budget", "the time")) else ""
    return [f"The search is not finished: {unfinished}.{more}"] if unfinished else []


def of_grid(
    rates: np.ndarray | None, line: np.ndarray, best: int, plateau: tuple[float, float] | None
) -> list[str]:
    """That the grid is too narrow; `line` holds the points along the rate, in its order."""
    if rates is None or plateau is None or len(line) < 2:
        return []
    if plateau == (rates[line[0]], rates[line[-1]]):
        return ["All rates do as well as each other: try a wider grid, or train longer."]
    if best == line[0]:
        return [f"The best rate, {rates[best]:.3g}, is the lowest tried: extend the grid downwards."]
    if best == line[-1]:
        return [f"The best rate, {rates[best]:.3g}, is the highest tried: extend the grid upwards."]
    return []


def of_allocation(data: SweepData, best: int) -> list[str]:
    """That rungs judged what they could not tell."""
    warnings = []
    at = dropped_at(data)[best]
    if at >= 0:
        warnings.append(
            f"All points that were trained on failed; the best, dropped at step {at}, is what is left."
        )
    if not data.rungs:
        return warnings
    if data.settings.get("horizon") is None and not _constant_rates(data):
        warnings.append(
            "Rungs compared points whose schedules, if they have any, were cut off there, which favours some "
            "rates: name the hyperparameter that is the schedule's length with `horizon`."
        )
    for rung in rungs(data):
        if rung.kept >= _ORDERED and rung.rank_correlation < _SAME_ORDER:
            warnings.append(
                f"The rung at step {rung.step} ordered the points otherwise than they were later (rank "
                f"correlation {rung.rank_correlation:.2f}): train longer before points are judged."
            )
    return warnings


def of_seeds(
    failed: np.ndarray, measured: np.ndarray, scored: np.ndarray, alike: int, best: int
) -> list[str]:
    """That the seeds are too few, fail, or move losses more than rates do.

    Args:
      failed: Which members failed, `[points, seeds]`.
      measured: Which were trained.
      scored: Which points have a score, `[points]`.
      alike: How many points the seeds do not tell from the best, itself included.
      best: The chosen point.
    """
    warnings = []
    lost, seeds = int(failed[best].sum()), int(measured[best].sum())
    if lost:
        warnings.append(f"{lost} of {seeds} seeds failed at the best point.")
    others = int(scored.sum())
    if seeds == 1 and others > 1:
        warnings.append("One seed was trained, which may be luck: train three or more with `seeds`.")
    elif alike > 2 and 2 * alike > others:
        warnings.append(
            f"The seeds' noise hides the differences between {alike} of {others} points: more seeds tell "
            "them apart."
        )
    return warnings


def of_curves(data: SweepData, regimes: np.ndarray, best: int, rates: np.ndarray | None) -> list[str]:
    """That training was too short, too noisy, or that numbers are too coarse for small updates."""
    warnings = []
    labels = [label for label in regimes[best] if label != "unknown"]
    falling = [label for label in labels if label in _FALLING]
    if 2 * len(falling) > len(labels):
        warnings.append(
            f"The loss still falls at the end ({falling[0]}), even at the best rate: longer training may "
            "favour another one."
        )
    if labels and 2 * labels.count("flat") > len(labels) and not _learned(data, best):
        warnings.append(
            "Even at the best rate the training loss did not fall by more than its noise: train longer, or "
            "with larger batches, before you trust the answer."
        )
    if rates is not None and (lost := _rounded_away(data)):
        flat = np.flatnonzero((regimes == "flat").all(axis=1) & (rates < rates[best]))
        if len(flat):
            still = rates[[index for index in flat if not _moved(data, index, rates[flat], flat, best)]]
            warnings.append(f"Rates up to {still.max():.3g} did not move the loss, and {lost}")
    return warnings


def _learned(data: SweepData, best: int) -> bool:
    """Whether held-out losses, which are not of single batches, fell by much, and the seeds agree on it."""
    final, initial, judged_by = final_losses(data)
    before, after = initial[best], final[best]
    if judged_by == "training loss" or within_noise(before, after):
        return False
    both = np.isfinite(before) & np.isfinite(after)
    return both.sum() > 1 and bool(np.median((before - after)[both]) > _MUCH * abs(np.median(before[both])))


def _moved(data: SweepData, index: np.intp, rates: np.ndarray, flat: np.ndarray, best: int) -> bool:
    """Whether a rate moved the loss beside the lowest one: batches are the same, so that is no noise."""
    losses = data.metrics["loss"].astype(float)
    beside = losses[flat[np.argmin(rates)]]
    gaps = [np.median(losses[point] - beside, axis=0) for point in (index, best)]
    known = np.flatnonzero(np.isfinite(gaps[0]) & np.isfinite(gaps[1]))
    return bool(len(known) and abs(gaps[0][known[-1]]) > _MOVED * abs(gaps[1][known[-1]]))


def of_no_difference(data: SweepData, verdict: str) -> list[str]:
    """That no rate can be told from another, and that numbers may be too coarse for it."""
    lost = _rounded_away(data)
    return (
        [verdict, f"{lost[0].upper()}{lost[1:]}"] if lost and "same at every rate" in verdict else [verdict]
    )


def _rounded_away(data: SweepData) -> str:
    """What is lost in the dtypes of the state, half a sentence; "" if nothing is."""
    coarse = [dtype for dtype in data.settings.get("dtypes", ()) if dtype in _COARSE]
    if not coarse:
        return ""
    return (
        f"part of the state is {coarse[0]}, in which updates that are small beside the weights are rounded "
        "away: keep the parameters in float32."
    )


def of_judging(judged_by: str) -> list[str]:
    """That there is no held-out data."""
    if judged_by != "training loss":
        return []
    return ["Rates were compared by training loss: pass held-out data with `evaluate_on`."]


def _constant_rates(data: SweepData) -> bool:
    """Whether it is known that no member's rate changes while it trains."""
    rates = data.metrics.get("learning_rate")
    return rates is not None and bool(np.all((rates == rates[..., :1]) | np.isnan(rates)))
