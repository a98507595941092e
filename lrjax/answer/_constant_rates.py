"""What rates say that stay as they are, trained beside the ramp of a range test."""

from __future__ import annotations

import dataclasses

import numpy as np

from lrjax.answer._ledger import scores
from lrjax.answer._paired import fell, fell_beyond_chance
from lrjax.answer._range import RangeAnswer, range_starts

_SHARE = 0.99  # of the greatest fall: rates whose loss fell by less have no part in the suggestion
# The power of the length of training by which the best rate falls; from benchmarks/answer_quality.py.
_SLOWER = 0.6
_SLOWER_IF_IT_DECAYS = 0.3
_LONGEST = 100.0  # times as long, beyond which nothing is known of either


def judge_constant_rates(
    ramp: RangeAnswer,
    curves: np.ndarray,
    rates: np.ndarray,
    losses: np.ndarray,
    longer: float,
    decays: bool = False,
) -> RangeAnswer:
    r"""Suggests a rate from the losses of short trainings, each with a rate of its own that stays.

    A ramp mixes the rate with the time at which it is tried; these trainings do not. With $f_i$ how far
    the median over seeds fell at rate $\eta_i$ from the ramp's start, and $f$ the greatest of them, the rates
    that do as well as the best one are averaged:

    $$\ln \hat\eta = \sum_i w_i \ln \eta_i / \sum_i w_i, \quad w_i = \max(0, f_i / f - 0.99)$$

    A training that is $r$ times as long wants a lower rate. Where it becomes unstable does not hang on its
    length; where the noise that a rate leaves is what limits it, the best rate falls as $1 / r$. In between,
    $\hat\eta / r^{0.6}$ is suggested; for a rate that decays, whose noise goes with it, $\hat\eta / r^{0.3}$.
    Which of these it is the short trainings do not tell. So the interval reaches from $r^{0.6}$ times below
    the lowest of what the seeds suggest to as many times above the highest. More than a hundred times is
    taken for a hundred.

    Args:
      ramp: What the ramp says.
      curves: Its losses, `[seeds, steps]`.
      rates: The constant rates, `[rates]`, increasing.
      losses: What each of them came to for the same seeds, `[rates, seeds]`; whatever is not finite failed.
      longer: How many times as long the training is that a rate is suggested for, $r$; at least 1.
      decays: Whether the rate is to decay in it to little of what is suggested.

    Returns:
      The ramp's answer with another suggestion and interval; without one, if the losses did not fall at
      constant rates.

    Example:
      >>> import numpy as np
      >>> from lrjax.answer import judge_range
      >>> ramp = np.geomspace(1e-5, 10.0, 121)
      >>> curves = (1 / (1 + ramp / 0.01) + ramp**2)[None]
      >>> rates = np.array([0.001, 0.01, 0.1, 1.0])
      >>> losses = np.array([[0.9], [0.5], [0.1], [0.8]])
      >>> round(judge_constant_rates(judge_range(ramp, curves), curves, rates, losses, 10.0).suggestion, 4)
      0.0251
    """
    losses = np.where(np.isfinite(losses), np.asarray(losses, float), np.inf)
    before = range_starts(curves)

    def nothing(reason: str) -> RangeAnswer:
        return dataclasses.replace(ramp, suggestion=None, reason=reason, interval=None, at_the_end=False)

    came_to = scores(losses)
    if not np.isfinite(came_to).any():
        return nothing(f"Half of the seeds or more failed at every constant rate from {rates[0]:.3g} on.")
    falls = np.nanmedian(before) - came_to
    after = _where_others_are_lowest(losses)
    by_chance = not (fell_beyond_chance(before, after) if ramp.unclear else fell(before, after, surely=True))
    if by_chance or not falls.max() > 0:
        return nothing(ramp.reason or "At constant rates the loss did not fall by more than chance explains.")
    longer = min(longer, _LONGEST)
    lower = longer ** (_SLOWER_IF_IT_DECAYS if decays else _SLOWER)
    suggestion = _center(rates, falls) / lower
    each = [
        _center(rates, start - own) / lower
        for start, own in zip(before, losses.T, strict=True)
        if own.min() < start
    ]
    reach = longer**_SLOWER
    return dataclasses.replace(
        ramp,
        suggestion=suggestion,
        reason="",
        interval=(min(*each, suggestion) / reach, max(*each, suggestion) * reach) if len(each) > 1 else None,
        at_the_end=int(np.argmin(came_to)) == len(rates) - 1,
        unclear=False,
    )


def _where_others_are_lowest(losses: np.ndarray) -> np.ndarray:
    """Each seed's loss at the rate that is best for the other ones; one seed's own lowest."""
    if losses.shape[1] == 1:
        return losses.min(axis=0)
    others = [scores(np.delete(losses, seed, axis=1)) for seed in range(losses.shape[1])]
    return losses[np.argmin(others, axis=1), np.arange(losses.shape[1])]


def _center(rates: np.ndarray, falls: np.ndarray) -> float:
    """The average of the rates whose loss fell as far as the best one's."""
    weights = np.maximum(falls / falls.max() - _SHARE, 0)
    return float(np.exp(np.average(np.log(rates), weights=weights)))
