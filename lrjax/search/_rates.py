"""Which rates a search tries next, from what is known of those that were tried.

Pure functions of numbers. Distances are in decades, powers of ten.
"""

from __future__ import annotations

import math

import numpy as np

COARSE, FINE = 0.4, 0.2  # how far apart rates are tried, first and around the best
_ALIKE = 0.05  # distances that differ by less are one
_AWAY = 5  # rates tried below those that all failed, or above those of which none learned anything
_WIDE = 2.0  # decades of rates as good as the best after which the search does not look further outside


def first_rates(low: float, high: float, points: int | None = None) -> list[float]:
    """Rates at equal ratios that cover a range, its ends included.

    Args:
      low: The lowest rate, > 0.
      high: The highest rate, > `low`.
      points: How many; None for one every 0.4 decades.

    Example:
      >>> first_rates(1e-4, 1e-2)
      [0.0001, 0.000251, 0.000631, 0.00158, 0.00398, 0.01]
    """
    if points is None:
        points = max(2, 1 + round(math.log10(high / low) / COARSE))
    inner = np.geomspace(low, high, points)[1:-1]
    return list(dict.fromkeys([low, *(_neat(rate) for rate in inner), high]))


def bracket(
    low: float, high: float, minimum: float | None = None, maximum: float | None = None
) -> tuple[float, float]:
    """A range to begin in, rounded to the rates that searches try, and within bounds.

    Args:
      low: Its lower end, > 0.
      high: Its upper end, > `low`.
      minimum: The lowest rate that may be tried; None for no such bound.
      maximum: The highest; None for no such bound.

    Example:
      >>> bracket(0.0002, 0.05), bracket(0.0002, 0.05, maximum=0.03)
      ((0.0001, 0.0631), (0.0001, 0.03))
    """
    low = _neat(10 ** (COARSE * math.floor(math.log10(low) / COARSE + 1e-6)))
    high = _neat(10 ** (COARSE * math.ceil(math.log10(high) / COARSE - 1e-6)))
    if maximum is not None and high > maximum:
        low, high = min(low, maximum / 10**_WIDE), maximum
    if minimum is not None and low < minimum:
        low, high = minimum, max(high, minimum * 10**_WIDE)
    return low, high if maximum is None else min(high, maximum)


def missing(
    rates: np.ndarray,
    known: np.ndarray,
    best: int | None,
    spacing: float,
    bounds: tuple[float, float],
    plateau: tuple[float, float] | None = None,
) -> list[float]:
    """The rates without which it is not known whether the best one is the best.

    The best rate must have been trained to the end. It needs a neighbour at most `spacing` away on each side
    that was, too, or failed: dropped points are trained again, gaps are halved, and outside of what was
    tried two rates are tried at a time. Where no rate trained, dropped ones are trained again, the highest
    first, and then lower ones are tried.

    Args:
      rates: The rates that were tried, `[rates]`.
      known: Which of them were trained to the end or failed, `[rates]`; the others were dropped.
      best: The best rate's index; None where all failed.
      spacing: Decades.
      bounds: The lowest and the highest rate that may be tried.
      plateau: The lowest and highest of the rates that do as well as the best. Where they reach over two
        decades to an end of what was tried, rates outside would not tell more.

    Returns:
      Rates to train, increasing; none if nothing is missing.

    Example:
      >>> import numpy as np
      >>> missing(np.array([0.01, 0.03, 0.1]), np.array([True] * 3), 2, 0.5, (1e-6, 10.0))
      [0.316, 1.0]
    """
    x, ends = np.log10(rates), (math.log10(bounds[0]), math.log10(bounds[1]))
    if best is None:
        if not known.all():
            return sorted(rates[~known].tolist())[-_AWAY:]
        if x.min() - ends[0] <= _ALIKE:
            return []
        below = [x.min() - COARSE * step for step in range(1, _AWAY + 1)]
        return _as_rates(below, rates, bounds, ends)
    wanted: list[float] = [] if known[best] else [x[best]]
    for side, end in zip((-1, 1), ends, strict=True):
        away = side * (x - x[best])
        if side * (end - x[best]) <= _ALIKE:
            continue
        nearest = away[known & (away > 0)].min(initial=math.inf)
        if nearest <= spacing + _ALIKE:
            continue
        dropped = away[~known & (away > 0) & (away <= spacing + _ALIKE)]
        if len(dropped):
            wanted.append(x[best] + side * dropped.max())
        elif nearest < math.inf:
            wanted.append(x[best] + side * min(spacing, nearest / 2))
        elif not _is_wide(plateau, rates, side):
            wanted += [x[best] + side * spacing, x[best] + 2 * side * spacing]
    return _as_rates(wanted, rates, bounds, ends)


def higher(rates: np.ndarray, bounds: tuple[float, float]) -> list[float]:
    """Rates above those that were tried.

    Args:
      rates: The rates that were tried, `[rates]`.
      bounds: The lowest and the highest rate that may be tried.

    Returns:
      Rates to train, increasing; none at the bound.

    Example:
      >>> import numpy as np
      >>> higher(np.array([0.01, 0.03, 0.1]), (1e-6, 1.0))
      [0.251, 0.631, 1.0]
    """
    x, ends = np.log10(rates), (math.log10(bounds[0]), math.log10(bounds[1]))
    if ends[1] - x.max() <= _ALIKE:
        return []
    return _as_rates([x.max() + COARSE * step for step in range(1, _AWAY + 1)], rates, bounds, ends)


def _is_wide(plateau: tuple[float, float] | None, rates: np.ndarray, side: int) -> bool:
    if plateau is None:
        return False
    at_the_end = plateau[0] <= rates.min() if side < 0 else plateau[1] >= rates.max()
    return at_the_end and math.log10(plateau[1] / plateau[0]) >= _WIDE


def _as_rates(
    wanted: list[float], tried: np.ndarray, bounds: tuple[float, float], ends: tuple[float, float]
) -> list[float]:
    """Rates from their logarithms: those tried before and the bounds exactly, others neat."""
    found = set()
    for x in wanted:
        if x <= ends[0] + _ALIKE or x >= ends[1] - _ALIKE:
            found.add(bounds[0] if x <= ends[0] + _ALIKE else bounds[1])
            continue
        distances = np.abs(np.log10(tried) - x)
        place = int(np.argmin(distances))
        found.add(float(tried[place]) if distances[place] < _ALIKE / 10 else _neat(10**x))
    return sorted(found)


def _neat(rate: float) -> float:
    """A rate with three digits; powers of ten, and what lies whole steps from them, exactly."""
    x = math.log10(rate)
    near = FINE * round(x / FINE)
    return float(f"{10 ** (near if abs(x - near) < _ALIKE / 10 else x):.3g}")
