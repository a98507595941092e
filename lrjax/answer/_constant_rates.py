"""What rates say that stay as they are, trained beside the ramp of a range test."""

from __future__ import annotations

import dataclasses

import numpy as np

from lrjax import _check
from lrjax.answer._ledger import scores
from lrjax.answer._paired import fell, fell_beyond_chance
from lrjax.answer._range import RangeAnswer

_SHARE = 0.99  # of the greatest fall: rates whose loss fell by less have no part in the suggestion
# The power of the length of training by which the best rate falls; from benchmarks/answer_quality.py.
_SLOWER = 0.6
_SLOWER_IF_IT_DECAYS = 0.3
_LONGEST = 100.0  # times as long, beyond which nothing is known of either
_NEXT = 1.2  # times the lowest rate that could be tried, up to which none lies between
_ENOUGH = 3  # seeds from which on chance is known well enough to tell a fall from it


def judge_constant_rates(
    ramp: RangeAnswer,
    curves: np.ndarray,
    rates: np.ndarray,
    losses: np.ndarray,
    longer: float,
    decays: bool = False,
    lowest: float | None = None,
) -> RangeAnswer:
    r"""Suggests a rate from the losses of short trainings, each with a rate of its own that stays.

    A ramp mixes the rate with the time at which it is tried; these trainings do not. With $f_i$ how far
    the median over seeds lies at rate $\eta_i$ below that of the ramp's start, and $f$ the greatest of them,
    the rates that do as well as the best one are averaged:

    $$\ln \hat\eta = \sum_i w_i \ln \eta_i / \sum_i w_i, \quad w_i = \max(0, f_i / f - 0.99)$$

    A training that is $r$ times as long wants a lower rate. Where it becomes unstable does not hang on its
    length; where the noise that a rate leaves is what limits it, the best rate falls as $1 / r$. In between,
    $\hat\eta / r^{0.6}$ is suggested; for a rate that decays, whose noise goes with it, $\hat\eta / r^{0.3}$.
    Which of these it is the short trainings do not tell. So the interval reaches from $r^{0.6}$ times below
    the lowest of what the seeds suggest to as many times above the highest. More than a hundred times is
    taken for a hundred.

    Nothing is suggested where all rates failed; where the losses did not fall by more than chance explains
    (Student's t, paired, 99 %; of fewer than three seeds of a ramp that fell, 95 % or a fall of 2 %); and
    where the lowest rate of the ramp does as well as the best one: then it may be too high itself, or the
    loss falls whatever the rate is.

    Args:
      ramp: What the ramp says.
      curves: Its losses, `[seeds, steps]`.
      rates: The constant rates, `[rates]`, increasing.
      losses: What each of them came to for the same seeds, `[rates, seeds]`; whatever is not finite failed.
      longer: How many times as long the training is that a rate is suggested for, $r$; at least 1.
      decays: Whether the rate is to decay in it to little of what is suggested.
      lowest: The lowest rate that could have been tried; None if it was.

    Returns:
      The ramp's answer with another suggestion and interval, or with a reason why there is none.

    Raises:
      ValueError: If the shapes do not fit, or `longer` is less than 1.

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
    rates, curves, losses = np.asarray(rates, float), np.asarray(curves, float), np.asarray(losses, float)
    if curves.ndim != 2 or not len(rates) or losses.shape != (len(rates), len(curves)):
        got = f"shapes {losses.shape}, {curves.shape} and {rates.shape}"
        expected = "[rates, seeds] beside curves [seeds, steps] and rates [rates]"
        raise _check.fail("judge_constant_rates", "losses", expected, got)
    _check.number("judge_constant_rates", "longer", longer, low=1.0)
    losses = np.where(np.isfinite(losses), losses, np.inf)
    before = _starts(curves)

    def nothing(reason: str) -> RangeAnswer:
        return dataclasses.replace(ramp, suggestion=None, reason=reason, interval=None, at_the_end=False)

    if not np.isfinite(scores(losses)).any():
        return nothing(f"Half of the seeds or more failed at every constant rate from {rates[0]:.3g} on.")
    weights = constant_weights(curves, losses)
    after = _where_others_are_lowest(losses)
    strict = ramp.unclear or len(before) >= _ENOUGH
    if not weights.any() or not (fell_beyond_chance if strict else fell)(before, after):
        begin = (
            f"{ramp.reason.removesuffix('.')}; nor did it fall" if ramp.reason else "The loss did not fall"
        )
        return nothing(f"{begin} at constant rates by more than chance explains.")
    if weights[0] and (lowest is None or rates[0] <= _NEXT * lowest):
        return nothing(
            f"At the lowest constant rate, {rates[0]:.3g}, the loss falls as far as at any other: lower "
            "`minimum`, if it hangs on the rate at all."
        )
    longer = min(longer, _LONGEST)
    reach = longer**_SLOWER
    lower = longer**_SLOWER_IF_IT_DECAYS if decays else reach
    suggestion = _center(rates, weights) / lower
    each = [
        _center(rates, own) / lower
        for seed in range(len(before))
        if (own := constant_weights(curves[[seed]], losses[:, [seed]])).any()
    ]
    return dataclasses.replace(
        ramp,
        suggestion=suggestion,
        reason="",
        interval=(min(*each, suggestion) / reach, max(*each, suggestion) * reach) if len(each) > 1 else None,
        at_the_end=bool(weights[-1]),
        unclear=False,
    )


def constant_weights(curves: np.ndarray, losses: np.ndarray) -> np.ndarray:
    """Which constant rates do as well as the best one, and how much each of them counts.

    Args:
      curves: The ramp's losses, `[seeds, steps]`.
      losses: What each rate came to, `[rates, seeds]`; whatever is not finite failed.

    Returns:
      `[rates]`: 0.01 for the best, less for others, 0 for those whose loss fell less than 0.99 times as far;
      all 0 where none fell.

    Example:
      >>> import numpy as np
      >>> curves, losses = np.ones((1, 20)), np.array([[0.5], [0.001], [0.0]])
      >>> constant_weights(curves, losses).round(3).tolist()
      [0.0, 0.009, 0.01]
    """
    falls = np.nanmedian(_starts(curves)) - scores(losses)
    return np.maximum(falls / falls.max() - _SHARE, 0) if falls.max() > 0 else np.zeros(len(falls))


def _starts(curves: np.ndarray) -> np.ndarray:
    """Where the loss of each seed begins: the mean of the ramp's first tenth, to be compared with means."""
    return curves[:, : max(3, curves.shape[1] // 10)].mean(axis=1)


def _where_others_are_lowest(losses: np.ndarray) -> np.ndarray:
    """Each seed's loss at the rate that is best for the other ones; one seed's own lowest."""
    if losses.shape[1] == 1:
        return losses.min(axis=0)
    others = [scores(np.delete(losses, seed, axis=1)) for seed in range(losses.shape[1])]
    return losses[np.argmin(others, axis=1), np.arange(losses.shape[1])]


def _center(rates: np.ndarray, weights: np.ndarray) -> float:
    """The average of the rates, in proportion to their logarithms."""
    return float(np.exp(np.average(np.log(rates), weights=weights)))
