"""Whether seeds tell two points apart: a test of paired differences."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class _Quantiles(NamedTuple):
    """Student's t, one-sided, for 1 to 10 degrees of freedom, and for infinitely many."""

    few: tuple[float, ...]
    normal: float


_95 = _Quantiles((6.3138, 2.9200, 2.3534, 2.1318, 2.0150, 1.9432, 1.8946, 1.8595, 1.8331, 1.8125), 1.6449)
_99 = _Quantiles((31.8205, 6.9646, 4.5407, 3.7469, 3.3649, 3.1427, 2.9980, 2.8965, 2.8214, 2.7638), 2.3263)
_TELLING = 0.02  # of a loss: a fall that nobody takes for chance


def within_noise(losses: np.ndarray, best: np.ndarray) -> bool:
    r"""Whether a point's seeds do not tell it from the best one's.

    With $d_s$ the difference of the losses for seed $s$, which both points share, and $t$ the 95 %
    quantile of Student's distribution, one-sided, with $n - 1$ degrees of freedom:

    $$\bar{d} \le t_{n-1} \, \mathrm{std}(d) / \sqrt{n}$$

    The quantile matters for few seeds: it is 6.3 for two and 2.9 for three. With 2 in its place, one in
    seven (two seeds) and one in eleven (three) of the points that equal the best would be dropped. The
    best is the lowest of many, which is luck in part, so a point that equals it is kept less often than
    the 95 % say: about 85 % of the time among nine equal ones.

    Args:
      losses: The point's losses, `[seeds]`.
      best: Those of the best point, `[seeds]`.

    Returns:
      False if fewer than two seeds are finite for both: the noise of the difference is then unknown.

    Example:
      >>> import numpy as np
      >>> best = np.array([1.0, 2.0, 3.0])
      >>> within_noise(best + [0.1, -0.1, 0.2], best), within_noise(best + [0.1, 0.1, 0.12], best)
      (True, False)
    """
    return _alike(losses, best, _95)


def fell(before: np.ndarray, after: np.ndarray, surely: bool = False) -> bool:
    """Whether losses fell, by 2 % in the median or by what the seeds tell from chance.

    Args:
      before: A loss of each seed, `[seeds]`.
      after: A later one.
      surely: Whether chance may pass for a fall once in a hundred times, not in twenty.

    Returns:
      Of one seed, of which nothing is known of chance, whether its loss fell at all.

    Example:
      >>> import numpy as np
      >>> before = np.array([5.0, 5.0, 5.0])
      >>> fell(before, before - [0.001, -0.001, 0.001]), fell(before, before - [0.01, 0.011, 0.012])
      (False, True)
    """
    both = np.isfinite(before) & np.isfinite(after)
    if not both.any():
        return True
    fall = float(np.median(before[both] - after[both]))
    if both.sum() < 2:
        return fall > 0
    relative = fall > _TELLING * abs(float(np.median(before[both])))
    return relative or not _alike(before, after, _99 if surely else _95)


def fell_beyond_chance(before: np.ndarray, after: np.ndarray) -> bool:
    """Whether losses fell by more than chance explains once in a hundred times, however far they fell.

    Args:
      before: A loss of each seed, `[seeds]`.
      after: A later one.

    Returns:
      False of one seed, of which nothing is known of chance.

    Example:
      >>> import numpy as np
      >>> before, after = np.array([5.0, 4.0, 6.0]), np.array([4.0, 5.0, 2.0])
      >>> fell(before, after, surely=True), fell_beyond_chance(before, after)
      (True, False)
    """
    return np.isfinite(before - after).sum() > 1 and not _alike(before, after, _99)


def _alike(losses: np.ndarray, best: np.ndarray, quantiles: _Quantiles) -> bool:
    both = np.isfinite(losses) & np.isfinite(best)
    n = int(both.sum())
    if n < 2:
        return False
    d = losses[both].astype(float) - best[both].astype(float)
    return bool(d.mean() <= _quantile(quantiles, n - 1) * d.std(ddof=1) / np.sqrt(n))


def _quantile(quantiles: _Quantiles, nu: int) -> float:
    if nu <= len(quantiles.few):
        return quantiles.few[nu - 1]
    # Abramowitz & Stegun 26.7.5: from 11 degrees on, two terms err by less than 0.001 at 95 %, 0.006 at 99 %.
    z = quantiles.normal
    return z + (z**3 + z) / (4 * nu) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * nu**2)
