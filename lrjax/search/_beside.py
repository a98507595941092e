"""Rates that stay as they are, trained beside the ramp of a range test, each from the beginning."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from lrjax.answer import constant_weights, scores
from lrjax.engine import Job
from lrjax.results import Cost, SweepData
from lrjax.search._rates import FINE, bracket, first_rates, missing

_BELOW, _ABOVE = 25.0, 16.0  # times the rate of the ramp's lowest loss, between which rates are tried first
_LAST = 5  # one part in so many of the steps tells what a rate came to


class Beside(NamedTuple):
    """What constant rates came to.

    Attributes:
      rates: float64 `[rates]`, increasing.
      losses: float32 `[rates, seeds]`, NaN where a member failed.
      costs: What they took.
    """

    rates: np.ndarray
    losses: np.ndarray
    costs: list[Cost]


def constant_rates(
    job: Job,
    curves: np.ndarray,
    lowest: float | None,
    bounds: tuple[float, float],
    train: Callable[[Job], SweepData],
) -> Beside:
    """Trains rates around the one at which a ramp's loss is the lowest.

    More are tried, two at a time, while one at an end of them does as well as the best; lower ones, where all
    failed.

    Args:
      job: What to train: its only point is that of the ramp, without the rate.
      curves: The ramp's losses, `[seeds, steps]`.
      lowest: The rate; None where the ramp does not tell it: then rates from one bound to the other are
        trained, and no more.
      bounds: The lowest and the highest rate that may be tried.
      train: Trains a job to its end.

    Returns:
      All rates that were trained, and what they came to.
    """
    if lowest is None:
        return _trained(job, first_rates(*bounds), train)
    low, high = bracket(lowest / _BELOW, lowest * _ABOVE, *bounds)
    tried = _trained(job, first_rates(low, high, max(2, 1 + round(math.log10(high / low) / FINE))), train)
    while rates := _outside(tried, curves, bounds):
        more = _trained(job, rates, train)
        order = np.argsort([*tried.rates, *more.rates])
        tried = Beside(
            np.concatenate([tried.rates, more.rates])[order],
            np.concatenate([tried.losses, more.losses])[order],
            [*tried.costs, *more.costs],
        )
    return tried


def _outside(tried: Beside, curves: np.ndarray, bounds: tuple[float, float]) -> list[float]:
    """Rates beyond an end of those that were tried, where the best may be; none at the bounds."""
    known = np.ones(len(tried.rates), bool)
    if not np.isfinite(scores(tried.losses)).any():
        return missing(tried.rates, known, None, FINE, bounds)
    good = np.flatnonzero(constant_weights(curves, tried.losses))
    ends = {int(good[0]), int(good[-1])} if len(good) else set()
    return sorted({rate for end in ends for rate in missing(tried.rates, known, end, FINE, bounds)})


def _trained(job: Job, rates: list[float], train: Callable[[Job], SweepData]) -> Beside:
    found = train(job._replace(points=[{**job.points[0], job.name: rate} for rate in rates]))
    return Beside(np.array(rates), _came_to(found), [found.cost])


def _came_to(found: SweepData) -> np.ndarray:
    """The losses at the end, `[rates, seeds]`."""
    if "loss" in found.held_out:
        losses = found.held_out["loss"][..., -1]
    else:
        every = found.metrics["loss"]
        losses = every[..., -max(1, every.shape[-1] // _LAST) :].mean(axis=-1)
    return np.where((found.diverged_at < 0) & np.isfinite(losses), losses, np.nan).astype(np.float32)
