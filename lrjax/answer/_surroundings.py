"""Which of several rates that do alike: the one that does well with its neighbours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_WIDTH = 0.2  # decades, the standard deviation of the weights; tuned in benchmarks/answer_quality.py


def best_surrounded(rates: np.ndarray, scores: np.ndarray, among: Sequence[int]) -> int:
    r"""The point whose score, averaged with those around it, is the lowest.

    The lowest score of several that noise does not tell apart is luck in part, and next to a cliff one
    lucky rate is a bad choice. The average at $x_i = \log_{10} \eta_i$ has the weights
    $\exp(-(x_j - x_i)^2 / 2 w^2)$ with $w = 0.2$ decades.

    Args:
      rates: `[points]`, > 0.
      scores: `[points]`; those that are not finite have no weight.
      among: The points to choose from.

    Returns:
      One of `among`, the lowest rate among equals.

    Example:
      >>> import numpy as np
      >>> rates = np.array([0.01, 0.016, 0.025, 0.04, 0.063])
      >>> best_surrounded(rates, np.array([0.52, 0.51, 0.51, 0.50, 0.90]), [0, 1, 2, 3])
      1
    """
    x, scored = np.log10(rates), np.isfinite(scores)
    order = sorted(among, key=lambda index: rates[index])
    weights = np.exp(-(((x[None, scored] - x[order, None]) / _WIDTH) ** 2) / 2)
    averages = weights @ scores[scored] / weights.sum(axis=1)
    return int(order[np.argmin(averages)])
