"""What came of a sweep's decisions: how many points each kept, and how far its order lasted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Rung(NamedTuple):
    """What came of one decision.

    Attributes:
      step: Updates before it.
      entered: How many points trained until then.
      kept: How many of them trained on.
      rank_correlation: Spearman's, between the points' order here and at the next rung, or at the end
        after the last one; NaN if fewer than three points were measured at both.

    Example:
      >>> Rung(100, 9, 3, 0.5).kept
      3
    """

    step: int
    entered: int
    kept: int
    rank_correlation: float


def rank_correlation(earlier: np.ndarray, later: np.ndarray) -> float:
    """Whether an early rung orders the points as a later one does.

    Only points that trained until the later rung are compared. These are the better ones, among which
    the order is harder to tell, so the number is usually lower than it would be for all points.

    Args:
      earlier: Losses at the earlier rung, `[points, seeds]`: infinite of those that failed, NaN of those that
        were not measured.
      later: Those at the later one, of the same shape.

    Returns:
      Spearman's correlation of the medians over seeds, in [-1, 1], equals sharing their mean rank. NaN if
      fewer than three points finished both, or all of them are equal at one.

    Example:
      >>> import numpy as np
      >>> round(rank_correlation(np.array([[4.0], [2.0], [1.0]]), np.array([[2.0], [3.0], [1.0]])), 3)
      0.5
    """
    a, b = medians(earlier), medians(later)
    both = np.isfinite(a) & np.isfinite(b)
    if both.sum() < 3:
        return math.nan
    a, b = _ranks(a[both]), _ranks(b[both])
    a, b = a - a.mean(), b - b.mean()
    scale = math.sqrt((a @ a) * (b @ b))
    return float(np.clip(a @ b / scale, -1, 1)) if scale > 0 else math.nan


def ledger(
    history: Sequence[tuple[int, np.ndarray]], kept: Sequence[np.ndarray], final: np.ndarray | None = None
) -> list[Rung]:
    """What came of every decision of a sweep.

    Args:
      history: Step and losses `[points, seeds]` at each rung, oldest first; NaN for points that did not
        train any more.
      kept: The decision at each, bool `[points]`.
      final: Losses at the end, `[points, seeds]`, whatever it holds for points that were stopped; None
        if the end was not reached.

    Returns:
      A `Rung` for each.

    Example:
      >>> import numpy as np
      >>> losses = np.array([[1.0], [2.0], [3.0], [4.0]])
      >>> final = np.array([[0.3], [0.2], [0.4], [4.0]])
      >>> ledger([(100, losses)], [np.array([True, True, True, False])], final)
      [Rung(step=100, entered=4, kept=3, rank_correlation=0.5)]
    """
    at_rungs: list[np.ndarray | None] = [losses for _, losses in history]
    later = [*at_rungs, final][1:]
    found = []
    given_up = np.zeros(len(kept[0]) if kept else 0, bool)
    for (step, losses), going_on, after in zip(history, kept, later, strict=True):
        measured = ~np.isnan(losses).all(axis=1)
        # The losses of points that failed stay infinite at every later rung, to which they did not come.
        entered = int((measured & ~(given_up & ~np.isfinite(losses).any(axis=1))).sum())
        given_up |= measured & ~going_on
        # Of a point that was stopped, `final` may hold what was known before: no second measurement.
        rank = math.nan if after is None else rank_correlation(losses[going_on], after[going_on])
        found.append(Rung(step, entered, int(going_on.sum()), rank))
    return found


def medians(losses: np.ndarray) -> np.ndarray:
    """What points are compared by: the median over the seeds that were measured.

    Args:
      losses: `[points, seeds]`, infinite of those that failed, NaN of those that were not measured.

    Returns:
      `[points]`: infinite where half of the measured seeds or more failed, NaN where none was measured.

    Example:
      >>> import numpy as np
      >>> medians(np.array([[1.0, 3.0, np.nan], [1.0, np.inf, np.inf], [np.nan, np.nan, np.nan]])).tolist()
      [2.0, inf, nan]
    """
    measured = ~np.isnan(losses).all(axis=1)
    found = np.full(len(losses), np.nan)
    found[measured] = np.nanmedian(losses[measured], axis=1)
    return found


def scores(losses: np.ndarray) -> np.ndarray:
    """What points are compared by: the median over seeds, infinity where half of them or more failed.

    Args:
      losses: `[points, seeds]`; whatever is not finite has failed.

    Returns:
      float64 `[points]`.

    Example:
      >>> import numpy as np
      >>> scores(np.array([[3.0, 1.0, np.inf], [1.0, np.inf, np.inf]])).tolist()
      [3.0, inf]
    """
    losses = np.asarray(losses, float)
    return np.median(np.where(np.isfinite(losses), losses, np.inf), axis=1)


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, equals sharing their mean."""
    ordered = np.sort(values)
    return (np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right") + 1) / 2
