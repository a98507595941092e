"""Rules that follow a metric, in plain Python floats: what each library does, one a function.

Each returns the factor (or rate) after every metric. None of them is lrjax's code.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def torch_plateau(
    losses: Sequence[float],
    *,
    factor: float = 0.1,
    patience: int = 10,
    mode: str = "min",
    threshold: float = 1e-4,
    threshold_mode: str = "rel",
    cooldown: int = 0,
    min_lr: float = 0.0,
    eps: float = 1e-8,
) -> list[float]:
    """PyTorch 2.13, `ReduceLROnPlateau`, on a rate of 1."""

    def better(a: float, best: float) -> bool:
        if mode == "min" and threshold_mode == "rel":
            return a < best * (1 - threshold)
        if mode == "min":
            return a < best - threshold
        return a > best * (1 + threshold) if threshold_mode == "rel" else a > best + threshold

    rate, best, bad, wait, rates = 1.0, math.inf if mode == "min" else -math.inf, 0, 0, []
    for loss in losses:
        if better(loss, best):
            best, bad = loss, 0
        else:
            bad += 1
        if wait > 0:
            wait, bad = wait - 1, 0
        if bad > patience:
            lower = max(rate * factor, min_lr)
            if rate - lower > eps:
                rate = lower
            wait, bad = cooldown, 0
        rates.append(rate)
    return rates


def keras_plateau(
    losses: Sequence[float],
    *,
    factor: float = 0.1,
    patience: int = 10,
    mode: str = "min",
    min_delta: float = 1e-4,
    cooldown: int = 0,
    min_lr: float = 0.0,
) -> list[float]:
    """Keras 3, the callback `ReduceLROnPlateau`, on a rate of 1."""
    sign = 1 if mode == "min" else -1
    rate, best, wait, resting, rates = 1.0, math.inf, 0, 0, []
    for loss in losses:
        if resting > 0:
            resting, wait = resting - 1, 0
        if sign * loss < best - min_delta:
            best, wait = sign * loss, 0
        elif resting <= 0:
            wait += 1
            if wait >= patience and rate > min_lr:
                rate, resting, wait = max(rate * factor, min_lr), cooldown, 0
        rates.append(rate)
    return rates


def sklearn_adaptive(
    losses: Sequence[float], *, n_iter_no_change: int = 5, tol: float = 1e-3, divisor: float = 5.0
) -> list[float]:
    """scikit-learn's `SGDClassifier(learning_rate="adaptive")`, on a rate of 1, without its stop."""
    rate, best, stuck, rates = 1.0, math.inf, 0, []
    for loss in losses:
        stuck = stuck + 1 if loss > best - tol else 0
        best = min(best, loss)
        if stuck >= n_iter_no_change:
            rate, stuck = rate / divisor, 0
        rates.append(rate)
    return rates


def greedy(
    losses: Sequence[float],
    *,
    factor: float = 0.95,
    patience: int = 10,
    mode: str = "min",
    threshold: float = 1e-6,
    threshold_mode: str = "abs",
    cooldown: int = 0,
    warmup: int = 0,
    min_lr: float = 1e-2,
    max_lr: float = 10.0,
    window: int = 1,
    reset: int = 500,
) -> list[float]:
    """GreedyLR as transformers 5 has it, on a rate of 1."""
    sign, rates = (1.0 if mode == "min" else -1.0), []
    rate, best, good, bad, cooling, warming, left, seen = 1.0, math.inf, 0, 0, 0, 0, reset, []
    for loss in losses:
        seen.append(loss)
        seen = seen[-window:]
        metric = sign * sum(seen) / len(seen)
        margin = threshold * (abs(best) if threshold_mode == "rel" and math.isfinite(best) else 1.0)
        if cooling > 0:
            cooling, good, bad = cooling - 1, 0, 0
        elif warming > 0:
            warming, good, bad = warming - 1, 0, 0
        else:
            if metric < best - margin:
                best, good, bad = metric, good + 1, 0
            else:
                good, bad = 0, bad + 1
            if good > patience:
                rate, left, warming, good = max(rate, min(rate / factor, max_lr)), reset, warmup, 0
            elif bad > patience:
                rate = min(rate, max(rate * factor, min_lr))
                if rate <= min_lr:
                    left -= 1
                    if left <= 0:
                        rate, best, good, warming, left, seen = 1.0, math.inf, 0, 0, reset, []
                cooling, bad = cooldown, 0
        rates.append(rate)
    return rates


def spike_backoff(
    losses: Sequence[float],
    *,
    factor: float,
    threshold: float,
    recovery_steps: float,
    decay: float,
    warmup: int,
    cooldown: int,
    min_scale: float,
) -> list[float]:
    """The rule of `spike_backoff_schedule`'s docstring."""
    scale, mean, variance, seen, rest, scales = 1.0, 0.0, 0.0, 0, 0, []
    for loss in losses:
        limit = mean + threshold * max(math.sqrt(variance), 1e-6 * abs(mean))
        jump = not math.isfinite(loss) or (seen >= warmup and loss > limit)
        if jump and rest == 0:
            scale, rest = min(scale, max(scale * factor, min_scale)), cooldown
        else:
            rest = max(rest - 1, 0)
            if not jump:
                scale = min(1.0, scale * factor ** (-1 / recovery_steps))
        x = limit if jump else loss
        if math.isfinite(loss) or seen >= warmup:
            seen += 1
            w = max(1 / seen, 1 - decay)
            mean, variance = mean + w * (x - mean), (1 - w) * (variance + w * (x - mean) ** 2)
        scales.append(scale)
    return scales


def polyak(losses, norms, *, max_learning_rate, scaling=1.0, f_min=0.0, eps=0.0, growth=None) -> list[float]:
    """Loizou et al. 2020, SPS_max, with its smoothed bound."""
    bound, rates = max_learning_rate, []
    for loss, norm in zip(losses, norms, strict=True):
        rate = min(scaling * max(loss - f_min, 0) / (norm**2 + eps), bound)
        bound = bound if growth is None else growth * rate
        rates.append(rate)
    return rates


def l4(losses, slopes, *, fraction, gamma, first_gamma, timescale, max_learning_rate) -> list[float]:
    """Rolinek and Martius 2018, algorithm 1, with a bound; `slopes` are gradient times direction."""
    lowest, rates = None, []
    for loss, slope in zip(losses, slopes, strict=True):
        lowest = first_gamma * loss if lowest is None else min(lowest, loss)
        wanted = fraction * max(loss - gamma * lowest, 0)
        rates.append(min(wanted / slope, max_learning_rate) if slope > 0 else max_learning_rate)
        lowest *= 1 + 1 / timescale
    return rates
