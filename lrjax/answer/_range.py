"""What a range test says: a rate, how sure it is, and where training stops being stable."""

from __future__ import annotations

import dataclasses

import numpy as np

from lrjax.answer._paired import fell
from lrjax.answer._suggestions import RULES, smoothed, trimmed

_DECAY = 0.98  # of the average that published rules are applied to, as fastai does
_LEAST = 20  # finite points below which a curve is too short
_LEAST_PER_DECADE = 5.0
_START = 10  # one part in so many of the ramp tells where the loss begins
_NARROW = 40  # one part in so many of the ramp, on each side, is averaged
_TOLD = 4.0  # standard errors that a fall must exceed to be one: of curves of noise alone, 1 to 2 % do
_BELOW = 6.0  # how far below the rate of the lowest loss is suggested; from benchmarks/answer_quality.py


@dataclasses.dataclass(frozen=True, eq=False)
class RangeAnswer:
    """What a range test says.

    Attributes:
      suggestion: The rate, or None where the curves do not tell one.
      reason: Why there is none, one sentence; "" if there is one.
      interval: The lowest and highest of the suggestion and those of single seeds; from constant rates, as
        far below and above as the length of training may move it. None without one, or with one seed.
      stable_edge: The highest rate below which the mean loss stayed under its start; None if it
        stayed there to the end of the ramp, or never fell.
      suggestions: What each published rule suggests, by name: the median over seeds; a rule that says
        nothing for more than half of the seeds is left out.
      agreement: Decades between the lowest and the highest suggestion of the published rules; NaN for
        fewer than two.
      at_the_end: Whether the loss was still the lowest at the highest rates that were tried, so that the
        suggestion is bounded by the ramp.
      unclear: Whether there is no suggestion because the loss fell by no more than chance explains.

    Example:
      >>> RangeAnswer(0.1, "", (0.08, 0.12), 1.0, {"valley": 0.1}, float("nan")).suggestion
      0.1
    """

    suggestion: float | None
    reason: str
    interval: tuple[float, float] | None
    stable_edge: float | None
    suggestions: dict[str, float]
    agreement: float
    at_the_end: bool = False
    unclear: bool = False


def judge_range(rates: np.ndarray, losses: np.ndarray) -> RangeAnswer:
    r"""Suggests a rate from the losses of a ramp.

    Curves are averaged over neighbouring rates, and over seeds. The suggestion is a sixth of the rate at
    which that average is the lowest. It does not depend on scale, shift or sign of the loss, or on single
    points. Full trainings with a constant rate want less than that for adaptive methods; those with a rate
    that comes down to zero, and plain descent, want more: a ramp does not show how a rate does in the end.

    There is no suggestion of curves that are too short, that are not finite at first or from early on, that
    fall by no more than four standard errors, that fall by less than 2 % and not for all seeds alike
    (Student's t, paired, 99 %), or whose lowest point is in the first tenth: they rise from the lowest rate
    on.

    Args:
      rates: The rates of the ramp, `[steps]`, increasing.
      losses: The losses, `[seeds, steps]`; NaN where a seed no longer ran.

    Returns:
      A `RangeAnswer`.

    Raises:
      ValueError: If the shapes do not fit.

    References:
      Smith, *Cyclical Learning Rates for Training Neural Networks*, arXiv:1506.01186 (2015).

    Example:
      >>> import numpy as np
      >>> rates = np.geomspace(1e-5, 10.0, 121)
      >>> losses = 1 / (1 + (rates / 0.01)) + rates**2
      >>> answer = judge_range(rates, losses[None])
      >>> 0.01 < answer.suggestion < answer.stable_edge < 2
      True
    """
    rates, losses = np.asarray(rates, float), np.asarray(losses, float)
    if losses.ndim != 2 or rates.shape != losses.shape[1:]:
        got = f"shapes {rates.shape} and {losses.shape}"
        raise ValueError(f"`judge_range(losses=...)` must be [seeds, steps] beside rates [steps], got {got}")
    published = _published(rates, losses)
    decades = np.log10(list(published.values()) or [np.nan])
    agreement = float(np.ptp(decades)) if len(published) > 1 else float("nan")

    def answer(reason: str, unclear: bool = False) -> RangeAnswer:
        return RangeAnswer(None, reason, None, None, published, agreement, unclear=unclear)

    finite = _while_most_run(losses)
    if len(rates) < _LEAST or len(rates) / max(np.log10(rates[-1] / rates[0]), 1e-9) < _LEAST_PER_DECADE:
        span = f"{len(rates)} steps over {np.log10(rates[-1] / rates[0]):.2g} decades"
        return answer(f"The ramp is too short, with {span}: take more steps.")
    if not finite:
        return answer("Half of the seeds or more had no finite loss before any update: no rate mends that.")
    if finite < _LEAST:
        since = f"from a rate of {rates[finite - 1]:.3g} on"
        return answer(f"Half of the seeds or more were not finite {since}: lower `minimum`.")
    curve, noise = _course(losses[:, :finite])
    start, lowest = _start(losses[:, :finite]), int(np.argmin(curve))
    falls, rises = start - curve[lowest] > _TOLD * noise, curve.max() - start > _TOLD * noise
    if falls and lowest < len(rates) // _START:
        return answer("The loss rises from the lowest rates on: lower `minimum`.")
    if not falls:
        fall = f"{start - curve[lowest]:.3g}, no more than four times its standard error, {noise:.3g}"
        reason = f"The loss did not fall by more than its noise explains: it fell by {fall}."
        if rises:
            since = rates[int(np.argmax(curve - start > _TOLD * noise))]
            reason = f"{reason[:-1]}, and rises from {since:.2g} on: lower `minimum`, or take more steps."
        return answer(reason, unclear=True)
    before, after = _of_seeds(losses[:, :finite])
    if not fell(before, after, surely=True):
        reason = f"The loss fell by {start - curve[lowest]:.3g}, and not for all seeds alike: by chance."
        return answer(reason, unclear=True)
    edge = None
    above = np.flatnonzero(curve[lowest:] > start)
    if len(above):
        edge = float(rates[lowest + above[0]])
    elif finite < len(rates):
        edge = float(rates[finite])
    found = [_of_one(rates, one) for one in losses]
    each = [rate for rate in found if rate is not None]
    suggestion = _suggested(rates, curve)
    interval = (min(*each, suggestion), max(*each, suggestion)) if len(each) > 1 else None
    end = finite == len(rates) and lowest >= len(rates) - max(1, len(rates) // _NARROW)
    return RangeAnswer(suggestion, "", interval, edge, published, agreement, end)


def range_course(losses: np.ndarray) -> np.ndarray:
    """The curve that a range test's suggestion is read from.

    Args:
      losses: `[seeds, steps]`; NaN where a seed no longer ran.

    Returns:
      The average over seeds and neighbouring rates, up to where half of the seeds or more no longer ran;
      empty where they never had a finite loss.

    Example:
      >>> import numpy as np
      >>> range_course(np.array([[1.0, 2.0, 3.0, np.nan], [3.0, 4.0, 5.0, 6.0]])).tolist()
      [2.5, 3.0, 3.5]
    """
    losses = np.asarray(losses, float)
    finite = _while_most_run(losses)
    return _course(losses[:, :finite])[0] if finite else np.empty(0)


def _of_seeds(losses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the loss of each seed begins, and what it is where the average of the others is the lowest.

    Where the average of all is the lowest, it is so by luck in part.
    """
    reach = max(1, losses.shape[1] // _NARROW)
    after = np.empty(len(losses))
    for seed in range(len(losses)):
        others = np.delete(losses, seed, axis=0) if len(losses) > 1 else losses
        lowest = int(np.argmin(_course(others)[0]))
        after[seed] = losses[seed, max(0, lowest - reach) : lowest + reach + 1].mean()
    return _starts(losses), after


def _of_one(rates: np.ndarray, losses: np.ndarray) -> float | None:
    """What one seed suggests."""
    bad = np.flatnonzero(~np.isfinite(losses))
    kept = losses[None, : bad[0] if len(bad) else len(losses)]
    if kept.shape[1] < _LEAST:
        return None
    curve, _ = _course(kept)
    start = _start(kept)
    return _suggested(rates, curve) if curve.min() < start else None


def _suggested(rates: np.ndarray, curve: np.ndarray) -> float:
    return float(rates[int(np.argmin(curve))] / _BELOW)


def _start(losses: np.ndarray) -> float:
    """Where the loss begins: the average over seeds of the medians over their first tenths."""
    return float(np.nanmean(_starts(losses)))


def _starts(losses: np.ndarray) -> np.ndarray:
    """Where the loss of each seed begins, NaN where it is not finite from early on."""
    return np.median(losses[:, : max(3, losses.shape[1] // _START)], axis=1)


def _while_most_run(losses: np.ndarray) -> int:
    """Steps until half of the seeds or more have met a loss that is not finite."""
    ended = np.mean(np.logical_or.accumulate(~np.isfinite(losses), axis=1), axis=0) >= 0.5
    return int(np.argmax(ended)) if ended.any() else losses.shape[1]


def _course(losses: np.ndarray) -> tuple[np.ndarray, float]:
    """The average over seeds and neighbouring rates, and the standard error of a fall to it from the start.

    Seeds that end earlier than most are left out from there on, and what sets one apart from the start is
    taken off all, so that the average does not jump where one ends. The noise is that of the first half: near
    the edge a loss jumps for other reasons.
    """
    ended = np.logical_or.accumulate(~np.isfinite(losses), axis=1)
    apart = _starts(losses) - _start(losses)
    mean = np.nanmean(np.where(ended, np.nan, losses - apart[:, None]), axis=0)
    reach = max(1, len(mean) // _NARROW)
    width = 2 * reach + 1
    weights = np.convolve(np.ones(len(mean)), np.ones(width), "same")
    curve = np.convolve(mean, np.ones(width), "same") / weights
    jumps = np.diff(mean[: max(4, len(mean) // 2)], 2)
    first = max(3, len(mean) // _START)
    of_fall = np.sqrt(1 / width + np.pi / 2 / first)  # of a mean of some, and of a median of the first ones
    return curve, float(np.median(np.abs(jumps)) * 1.4826 / np.sqrt(6) * of_fall)


def _published(rates: np.ndarray, losses: np.ndarray) -> dict[str, float]:
    """The median over seeds of what each published rule says."""
    curves = [trimmed(rates, one) for one in smoothed(losses, _DECAY)]
    found: dict[str, float] = {}
    for name, rule in RULES.items():
        said = [rate for curve in curves if (rate := rule(*curve)) is not None]
        if 2 * len(said) >= len(curves):
            found[name] = float(np.exp(np.median(np.log(said))))
    return found
