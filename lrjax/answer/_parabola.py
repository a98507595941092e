"""A parabola through a basin of losses: a second opinion on where the best rate lies."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lrjax.answer._interval import basin, mean_beside

_LEAST = 4  # points: three determine the curve, and say nothing about how well it fits
_DRAWS = 500
_LEVEL = 0.9


class Parabola(NamedTuple):
    """A parabola in the logarithm of the rate.

    Attributes:
      vertex: The rate at its lowest point.
      interval: The 90 % interval of the vertex, over seeds drawn anew, at most the rates it goes through;
        None with one seed.
      r_squared: The share of the losses' variance that it explains, at most 1.

    Example:
      >>> Parabola(0.01, (0.008, 0.013), 0.97).vertex
      0.01
    """

    vertex: float
    interval: tuple[float, float] | None
    r_squared: float


def parabola(rates: np.ndarray, losses: np.ndarray, best: int, margin: float) -> Parabola | None:
    r"""Fits $a + b x + c x^2$, $x = \ln \eta$, to the mean losses in the basin around the best rate.

    The basin is what `interval` takes: the neighbours of the best rate that neither failed nor lie on the
    cliff. Between the rates that were tried, losses are no parabola, so its vertex is no better a choice than
    the best rate itself: it is a measure of how much the losses look like a basin at all.

    Args:
      rates: Rates in increasing order, `[rates]`.
      losses: What members ended with, `[rates, seeds]`; NaN where nothing was trained, infinity where a
        member failed.
      best: The place of the chosen rate.
      margin: What counts as equal; the basin reaches up to four of these above the best.

    Returns:
      A `Parabola`; None where there are fewer than four points, all losses are equal, or the curve is not
      the lowest between the points: it opens downwards, or has its vertex outside.

    Example:
      >>> import numpy as np
      >>> rates = np.geomspace(0.001, 1.0, 7)
      >>> losses = np.log10(rates / 0.03)[:, None] ** 2 + np.array([[0.0, 0.1, -0.1]])
      >>> found = parabola(rates, losses, 3, 0.3)
      >>> round(found.vertex, 4), round(found.r_squared, 4)
      (0.03, 1.0)
    """
    places, means = basin(losses, best, margin)
    if len(places) < _LEAST or np.ptp(means[places]) == 0:
        return None
    x = np.log(rates[places])
    center = x.mean()
    curve = np.polyfit(x - center, means[places], 2)
    vertex = _lowest(curve, x - center)
    if not (x[0] < center + vertex < x[-1]):
        return None
    rest = means[places] - np.polyval(curve, x - center)
    total = ((means[places] - means[places].mean()) ** 2).sum()
    r_squared = float(1 - (rest**2).sum() / total)
    vertices = _drawn(x - center, losses[places], int(np.flatnonzero(places == best)[0]))
    ends = None
    if vertices is not None:
        low, high = np.exp(center + np.quantile(vertices, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2]))
        ends = float(low), float(high)
    return Parabola(float(np.exp(center + vertex)), ends, r_squared)


def _lowest(curve: np.ndarray, x: np.ndarray) -> float:
    """Where a parabola is the lowest between the ends of `x`."""
    if curve[0] > 0:
        return float(np.clip(-curve[1] / (2 * curve[0]), x[0], x[-1]))
    return float(min(x[0], x[-1], key=lambda end: np.polyval(curve, end)))


def _drawn(x: np.ndarray, losses: np.ndarray, best: int) -> np.ndarray | None:
    """Where the parabolas of seeds that are drawn with replacement are the lowest; None with one seed."""
    seeds = np.flatnonzero(np.isfinite(losses[best]))
    if len(seeds) < 2:
        return None
    random, found = np.random.default_rng(0), []
    for _ in range(_DRAWS):
        drawn = losses[:, random.choice(seeds, size=len(seeds))]
        means = np.array([mean_beside(row, drawn[best]) for row in drawn])
        if np.isfinite(means).all():  # a rate with few seeds may have none of those drawn
            found.append(_lowest(np.polyfit(x, means, 2), x))
    return np.array(found) if found else None
