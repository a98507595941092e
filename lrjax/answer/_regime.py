"""What a training curve shows of its learning rate: too low, good, too high, and by which evidence.

All that is measured is relative to how far the curve fell and how much it jumps, so that a loss may be
scaled, shifted or negative.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from lrjax.results import SweepData

REGIMES = (  # from the mildest to the worst
    *("good", "slow", "unknown", "too low", "flat"),
    *("oscillating", "unstable", "diverged", "non-finite"),
)
_WINDOWS = 20  # parts of a curve, whose medians show where it goes
_LEAST = 8  # points below which nothing is said
_FLAT = 3.0  # standard errors that a fall must exceed
_STRAIGHT = 0.35  # share of the fall in the last half from which on a curve goes on falling: too low
_FALLING = 0.05  # share of the fall in the last quarter from which on training is slow
_FAR = 0.5  # share of the reference's fall below which a rate that still falls is too low
_JUMPS = 0.25  # of the fall: a rise of the median over the lowest before that makes training unstable
_WAVES = 0.15  # of the fall: a spread in the last quarter that makes a curve oscillate
_ABOVE = 0.5  # of the fall, or of the noise where nothing fell, above the start: diverged


class Regime(NamedTuple):
    """A label for a training curve, and what speaks for it.

    Attributes:
      label: "non-finite", "diverged", "unstable", "oscillating", "flat", "too low", "slow" or "good"; or
        "unknown" of a curve that is too short.
      evidence: One sentence.
      fall: How far the loss fell from its start to the lowest part of the curve; 0 if it did not.
      noise: The standard deviation of the loss between neighbouring records.

    Example:
      >>> Regime("good", "it fell by 2 and then kept still", 2.0, 0.01).label
      'good'
    """

    label: str
    evidence: str
    fall: float
    noise: float


def regime(losses: np.ndarray, *, reference: float | None = None) -> Regime:
    """Labels a training curve.

    The curve is cut in up to 20 parts, whose medians are compared. With $f$ the fall from the first part (or
    from the first record, where the loss jumped or fell within that part) to the lowest and $s$ the standard
    deviation between neighbouring records, the first of these that holds is the label:

    - non-finite: a value is NaN or infinite.
    - diverged: the last part is above the first by more than $f / 2$ and more than $3 s$.
    - unstable: a part is above the lowest before it by more than $f / 4$ and more than $3 s$.
    - flat: $f$ is at most three of its standard errors.
    - oscillating: the standard deviation between neighbours in the last quarter exceeds $0.15 f$ and is more
      than twice that of the first quarter: it swings ever more.
    - too low: more than 0.35 of the fall came in the second half; or the loss still falls and has come
      less than half as far as `reference` says it can.
    - oscillating: the spread of the last quarter around its course exceeds $0.15 f$ and is larger than half
      of that in the first quarter: it does not settle.
    - slow: more than 0.05 of the fall came in the last quarter.
    - good: what is left.

    Args:
      losses: The loss at equally spaced steps, `[records]`; NaN where training had ended.
      reference: A loss that can be reached, the best rate's for instance; None if none is known.

    Returns:
      A `Regime`.

    Raises:
      ValueError: If `losses` is not one curve.

    Example:
      >>> import numpy as np
      >>> steps = np.arange(200)
      >>> regime(np.exp(-steps / 20)).label, regime(np.exp(-steps / 2000)).label
      ('good', 'too low')
    """
    losses = np.asarray(losses, float)
    if losses.ndim != 1:
        raise ValueError(f"`regime(losses=...)` must be one curve, got an array of shape {losses.shape}")
    bad = np.flatnonzero(~np.isfinite(losses))
    if len(bad):
        kept = losses[: bad[0]]
        noise = _noise(kept)
        return Regime("non-finite", f"record {bad[0]} of {len(losses)} is not finite", _fall(kept), noise)
    if len(losses) < _LEAST:
        return Regime("unknown", f"{len(losses)} records are too few", _fall(losses), _noise(losses))
    parts = _parts(losses)
    noise, size = _noise(losses), len(losses) / len(parts)
    start = _start(losses, parts, noise)
    fall = max(0.0, float(start - parts.min()))
    error = 1.2533 * noise * np.sqrt(2 / size)  # of the difference of two medians
    of_fall = error if start == parts[0] else np.hypot(noise, error / np.sqrt(2))  # or of a record and one

    def found(label: str, evidence: str) -> Regime:
        return Regime(label, evidence, fall, noise)

    above = float(parts[-1] - start)
    if above > max(_ABOVE * fall, _FLAT * noise):
        return found("diverged", f"it ended {above:.3g} above its start, having fallen by {fall:.3g}")
    rises = parts - np.minimum(np.minimum.accumulate(parts), start)
    worst = int(np.argmax(rises))
    if rises[worst] > max(_JUMPS * fall, _FLAT * noise):
        at = int(worst * size)
        return found("unstable", f"it rose by {rises[worst]:.3g} until record {at}; it fell by {fall:.3g}")
    if fall <= _FLAT * of_fall:
        return found("flat", f"it fell by {fall:.3g}, which its noise of {noise:.3g} explains")
    quarter = len(losses) // 4
    grown = _noise(losses[-quarter:])
    if grown > max(_WAVES * fall, 2 * _noise(losses[:quarter])):
        return found(
            "oscillating", f"it swings by {grown:.3g} at the end, and ever more; it fell by {fall:.3g}"
        )
    second = float(parts[len(parts) // 2] - parts[-1]) / fall
    last = float(parts[-1 - max(1, len(parts) // 4)] - parts[-1]) / fall
    falls = last * fall > _FLAT * error and last > _FALLING
    if second * fall > _FLAT * error and second > _STRAIGHT:
        return found("too low", f"{second:.0%} of its fall came in the second half")
    if falls and reference is not None and fall < _FAR * (start - reference):
        share = fall / (start - reference)
        return found("too low", f"it still falls, and came {share:.0%} of the way to {reference:.3g}")
    early, late = _spread(losses[:quarter]), _spread(losses[-quarter:])
    if late > max(_WAVES * fall, early / 2):
        return found("oscillating", f"it swings by {late:.3g} at the end; it fell by {fall:.3g}")
    if falls:
        return found("slow", f"{last:.0%} of its fall came in the last quarter")
    return found("good", f"it fell by {fall:.3g}, {last:.0%} of it in the last quarter")


def regimes(data: SweepData) -> np.ndarray:
    """The labels of all training curves of a sweep.

    Args:
      data: A sweep's measurements.

    Returns:
      str `[points, seeds]`: labels of `regime`, with the lowest loss that a curve ended with as a reference.
      Curves end where members were stopped; those of members that diverged are "non-finite", or "diverged"
      where their loss blew up and stayed finite. Without a training loss all are "unknown".

    Example:
      >>> import lrjax
      >>> task = lrjax.tasks.load("quadratic-deep")
      >>> grid = {"learning_rate": [0.01, 10.0]}
      >>> sweep = lrjax.sweep(task.trial(lrjax.sgd), grid, task.data, steps=100, progress=False)
      >>> regimes(sweep).ravel().tolist()
      ['good', 'non-finite']
    """
    labels = np.full(data.diverged_at.shape, "unknown", object)
    if "loss" not in data.metrics:
        return labels
    curves, steps = data.metrics["loss"].astype(float), data.recorded_steps
    gone, stopped = data.diverged_at >= 0, data.stopped_at >= 0
    ends = np.where(stopped, data.stopped_at, data.steps)
    whole = curves[~gone & ~stopped]
    whole = whole[np.isfinite(whole).all(axis=1)]
    tail = max(1, curves.shape[-1] // 10)
    reference = float(whole[:, -tail:].mean(axis=1).min()) if len(whole) else None
    for who in np.ndindex(labels.shape):
        if gone[who]:
            labels[who] = "diverged" if data.causes[who] == "blow-up" else "non-finite"
        else:
            labels[who] = regime(curves[who][steps < ends[who]], reference=reference).label
    return labels


def point_regime(labels: Iterable[str]) -> str:
    """The label of a point, from those of its seeds.

    Args:
      labels: Labels of `regime`.

    Returns:
      The most frequent of those that are known, the worst of several; "unknown" if none is.

    Example:
      >>> point_regime(["good", "slow", "slow", "unknown", "unknown", "unknown"])
      'slow'
      >>> point_regime(["good", "diverged"])
      'diverged'
    """
    seen = [label for label in labels if label != "unknown"]
    return max(seen, key=lambda label: (seen.count(label), REGIMES.index(label)), default="unknown")


def regimes_text(labels: Iterable[str]) -> str:
    """The labels of a point's seeds in words, with how many have each if they differ, the worst first.

    Args:
      labels: Labels of `regime`; "unknown" counts only where no other is known.

    Returns:
      One label, or several with counts.

    Example:
      >>> regimes_text(["good", "good"]), regimes_text(["good", "diverged", "good"])
      ('good', 'diverged 1, good 2')
    """
    counts = collections.Counter(label for label in labels if label != "unknown")
    if not counts:
        return "unknown"
    if len(counts) == 1:
        return next(iter(counts))
    worst_first = sorted(counts, key=REGIMES.index, reverse=True)
    return ", ".join(f"{label} {counts[label]}" for label in worst_first)


def _parts(losses: np.ndarray) -> np.ndarray:
    """The medians of equal parts of a curve."""
    count = max(4, min(_WINDOWS, len(losses) // 4))
    return np.array([np.median(part) for part in np.array_split(losses, count)])


def _start(losses: np.ndarray, parts: np.ndarray, noise: float) -> float:
    """Where a curve begins: its first part, unless the first record, before any update, clearly differs."""
    first = float(losses[0])
    return first if abs(parts[0] - first) > _FLAT * noise else float(parts[0])


def _fall(losses: np.ndarray) -> float:
    if len(losses) < _LEAST:
        return float(losses[0] - losses.min()) if len(losses) else float("nan")
    parts = _parts(losses)
    return max(0.0, _start(losses, parts, _noise(losses)) - float(parts.min()))


def _noise(losses: np.ndarray) -> float:
    """The standard deviation of independent jumps, from second differences: a smooth course has none."""
    if len(losses) < 3:
        return float("nan")
    return float(np.median(np.abs(np.diff(losses, 2))) * 1.4826 / np.sqrt(6))


def _spread(losses: np.ndarray) -> float:
    """The standard deviation around a straight line."""
    t = np.arange(len(losses))
    return float(np.std(losses - np.polyval(np.polyfit(t, losses, 1), t))) if len(losses) > 2 else 0.0
