"""What a range test's curve suggests: the published rules, each a pure function of one curve.

A curve is the loss at each of the rates of a ramp, lowest rate first. Rules return a rate of the ramp
(`minimum` a tenth of one), or None where a curve is too short for them. They neither smooth nor cut: do that
first, with `smoothed` and `trimmed`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

_WINDOW = 15  # points apart that `slide` compares
_SAME_SLOPE = 0.005  # loss per point: slopes that differ by less are the same to `slide`


def smoothed(losses: np.ndarray, decay: float) -> np.ndarray:
    r"""The exponential moving average of curves, corrected for its start.

    $$m_t = \beta m_{t-1} + (1 - \beta) \ell_t, \quad \hat{m}_t = m_t / (1 - \beta^{t+1}), \quad m_{-1} = 0$$

    Args:
      losses: `[..., steps]`; from the first value that is not finite on, so is the average.
      decay: $\beta$, in [0, 1).

    Returns:
      float64 of the same shape.

    References:
      Kingma & Ba, *Adam: A Method for Stochastic Optimization*, arXiv:1412.6980 (2014), for the correction.

    Example:
      >>> import numpy as np
      >>> smoothed(np.array([2.0, 2.0, 5.0]), decay=0.5).round(3).tolist()
      [2.0, 2.0, 3.714]
    """
    losses = np.asarray(losses, float)
    average, result = np.zeros(losses.shape[:-1]), np.empty_like(losses)
    for t in range(losses.shape[-1]):
        average = decay * average + (1 - decay) * losses[..., t]
        result[..., t] = average / (1 - decay ** (t + 1))
    return result


def trimmed(rates: np.ndarray, losses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A curve without its first tenth and its last five points, up to the first that is not finite.

    What fastai does before it applies a rule.

    Args:
      rates: `[steps]`.
      losses: `[steps]`.

    Returns:
      Rates and losses that are left, perhaps none.

    Example:
      >>> import numpy as np
      >>> rates, losses = trimmed(np.geomspace(1e-5, 1.0, 20), np.arange(20.0))
      >>> losses.tolist()
      [2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0]
    """
    first = len(losses) // 10
    last = max(first, len(losses) - 5)
    rates, losses = rates[first:last], losses[first:last]
    bad = np.flatnonzero(~np.isfinite(losses))
    end = int(bad[0]) if len(bad) else len(losses)
    return rates[:end], losses[:end]


def steep(rates: np.ndarray, losses: np.ndarray) -> float | None:
    r"""The rate from which the loss falls the most per unit of $\ln \eta$ to the next.

    Args:
      rates: `[steps]`, increasing.
      losses: `[steps]`, finite.

    Returns:
      A rate, or None of fewer than two points.

    References:
      Smith, *Cyclical Learning Rates for Training Neural Networks*, arXiv:1506.01186 (2015), for the test;
      the rule is fastai's, whose slope others take per unit of the rate, which favours the lowest rates.

    Example:
      >>> import numpy as np
      >>> steep(np.array([0.001, 0.01, 0.1, 1.0]), np.array([2.0, 1.9, 1.0, 0.9]))
      0.01
    """
    if len(losses) < 2:
        return None
    slopes = np.diff(losses) / np.diff(np.log(rates))
    return float(rates[int(np.argmin(slopes))])


def minimum(rates: np.ndarray, losses: np.ndarray) -> float | None:
    """A tenth of the rate at which the loss is the lowest.

    Args:
      rates: `[steps]`.
      losses: `[steps]`, finite.

    Returns:
      A rate, or None of no points.

    Example:
      >>> import numpy as np
      >>> round(minimum(np.array([0.01, 0.1, 1.0]), np.array([2.0, 1.0, 3.0])), 6)
      0.01
    """
    return float(rates[int(np.argmin(losses))]) / 10 if len(losses) else None


def valley(rates: np.ndarray, losses: np.ndarray) -> float | None:
    """A rate half-way through the longest decline.

    The decline is the longest subsequence in which the loss falls, which other points may interrupt, the
    first of several. Of its length $L$, as if it had been without interruption, the rate at
    $[L / 3] + [L / 6]$ is taken, as fastai does; the first rate where that lies before it.

    Args:
      rates: `[steps]`.
      losses: `[steps]`, finite.

    Returns:
      A rate, or None of fewer than two points.

    Example:
      >>> import numpy as np
      >>> rates = np.array([1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0])
      >>> valley(rates, np.array([4.0, 3.0, 3.5, 2.0, 1.0, 9.0]))  # 4, 3, 2, 1
      0.001
    """
    if len(losses) < 2:
        return None
    lengths = np.ones(len(losses), int)
    for i in range(1, len(losses)):
        higher = losses[:i] > losses[i]
        lengths[i] = 1 + int(lengths[:i].max(initial=0, where=higher))
    end = int(np.argmax(lengths))
    length = int(lengths[end])
    return float(rates[max(0, end - length + length // 3 + length // 6)])


def slide(rates: np.ndarray, losses: np.ndarray) -> float | None:
    """A rate before the interval at the end over which the slope changes.

    A window of 15 points moves down from the end as long as the slopes at its two ends differ by more than
    0.005 per point; the rate is that at the lower end of the last such window. The threshold is absolute, so
    that what it says depends on the scale of the loss.

    Args:
      rates: `[steps]`.
      losses: `[steps]`, finite.

    Returns:
      A rate, or None of 15 points or fewer.

    Example:
      >>> import numpy as np
      >>> rates = np.geomspace(1e-4, 1.0, 41)
      >>> losses = np.where(rates < 0.1, 1.0, 30 * (rates - 0.1) + 1.0)
      >>> round(slide(rates, losses), 3)
      0.003
    """
    if len(losses) <= _WINDOW:
        return None
    slopes = np.gradient(losses)
    last = len(losses) - 1 - _WINDOW
    differ = np.abs(slopes[_WINDOW:] - slopes[:-_WINDOW]) > _SAME_SLOPE  # by the window's lower end
    same = np.flatnonzero(~differ)
    lower = int(same[-1]) + 1 if len(same) else 0
    return float(rates[min(lower, last)])


RULES: dict[str, Callable[[np.ndarray, np.ndarray], float | None]] = {
    "steep": steep,
    "minimum": minimum,
    "valley": valley,
    "slide": slide,
}
