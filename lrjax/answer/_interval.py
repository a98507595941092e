"""Where the best rate lies, as far as the seeds tell."""

from __future__ import annotations

import numpy as np

_LEVEL = 0.9
_DRAWS = 2000
_DEEP = 4.0  # margins above the best within which rates are in its basin


def interval(
    rates: np.ndarray,
    losses: np.ndarray,
    best: int,
    margin: float,
    answered: int | None = None,
    tried: np.ndarray | None = None,
) -> tuple[float, float] | None:
    r"""The 90 % interval of the best rate.

    Losses of one seed rise and fall together, so a seed's mean over rates is taken off; what is left of
    each loss over its rate's mean is noise, whose standard deviation $s$ is pooled over the basin. Mean
    losses are drawn anew from normal distributions with deviations $s / \sqrt{n}$, for $n$ seeds; the
    interval holds the rates that are the best in nine of ten draws, and half of the way, in $\ln \eta$, to
    their neighbours, between which nothing was tried. The best and the answered rate are always among them.

    Args:
      rates: Rates in increasing order, `[rates]`.
      losses: What members ended with, `[rates, seeds]`; NaN where nothing was trained, infinity where a
        member failed.
      best: The place of the rate with the lowest score.
      margin: What counts as equal. The basin is made of the neighbours of the best up to four of these
        above it.
      answered: The place of the rate that is answered; None for the best.
      tried: All rates that were tried, in increasing order, those among them that an allocation dropped and
        `losses` does not hold; None for `rates`.

    Returns:
      The lowest and the highest rate; None where there are fewer than two seeds, or two rates.

    Example:
      >>> import numpy as np
      >>> rates = np.geomspace(0.001, 1.0, 7)
      >>> losses = np.log10(rates / 0.03)[:, None] ** 2 + np.array([[0.0, 0.1, -0.1]])
      >>> low, high = interval(rates, losses, 3, 0.1)
      >>> round(low, 3), round(high, 3)
      (0.018, 0.056)
    """
    counts = np.isfinite(losses).sum(axis=1)
    tried = rates if tried is None else tried
    if counts[best] < 2 or len(tried) < 2:
        return None
    places, means = basin(losses, best, margin)
    spread = _noise(losses[places])
    draws = np.random.default_rng(0).standard_normal((_DRAWS, len(places)))
    drawn = means[places] + draws * spread / np.sqrt(counts[places])
    outside = int(_DRAWS * (1 - _LEVEL) / 2)
    lowest = np.sort(places[np.argmin(drawn, axis=1)])  # of rates that are exactly equal the first,
    highest = np.sort(places[-1 - np.argmin(drawn[:, ::-1], axis=1)])  # and the last
    # The best rate has the lowest median, which need not be the lowest mean.
    held = (best,) if answered is None else (best, answered)
    low, high = min(lowest[outside], *held), max(highest[-1 - outside], *held)
    lower = tried[tried < rates[low]].max(initial=tried[0])
    higher = tried[tried > rates[high]].min(initial=tried[-1])
    return float(np.sqrt(lower * rates[low])), float(np.sqrt(rates[high] * higher))


def basin(losses: np.ndarray, best: int, margin: float) -> tuple[np.ndarray, np.ndarray]:
    """The places around the best rate that neither fail nor lie on the cliff, and the mean losses of all.

    A mean is that of the best rate and the mean difference from it over the seeds that both have: a search
    gives more seeds to some rates than to others. With several seeds, rates with one do not count.
    Arguments are those of `interval`.
    """
    counts = np.isfinite(losses).sum(axis=1)
    means = np.array([mean_beside(row, losses[best]) for row in losses])
    whole = (counts >= min(2, counts[best])) & ~np.isinf(losses).any(axis=1)
    return _around(whole & (means <= means[best] + _DEEP * margin), best), means


def mean_beside(losses: np.ndarray, best: np.ndarray) -> float:
    """The mean of a row of losses, from what it is beside the best row over the seeds that both have."""
    shared = np.isfinite(losses) & np.isfinite(best)
    if not shared.any():
        return float("inf")
    return float(best[np.isfinite(best)].mean() + (losses[shared] - best[shared]).mean())


def _around(inside: np.ndarray, place: int) -> np.ndarray:
    """The places next to each other that are inside, `place` among them."""
    inside = inside.copy()
    inside[place] = True
    outside = np.flatnonzero(~inside)
    below, above = outside[outside < place], outside[outside > place]
    first = below[-1] + 1 if len(below) else 0
    last = above[0] if len(above) else len(inside)
    return np.arange(first, last)


def _noise(losses: np.ndarray) -> float:
    """The standard deviation of a loss once its rate's and its seed's means are taken off."""
    known = np.isfinite(losses)
    if len(losses) == 1:
        return float(np.std(losses[known], ddof=1))
    rest = np.where(known, losses, 0.0)
    for _ in range(10):  # with gaps the two means are found in turns
        for axis in (1, 0):
            count = np.maximum(known.sum(axis=axis, keepdims=True), 1)
            rest = np.where(known, rest - rest.sum(axis=axis, keepdims=True) / count, 0.0)
    freedom = known.sum() - len(losses) - known.any(axis=0).sum() + 1
    return float(np.sqrt((rest**2).sum() / max(1, freedom)))
