"""Rates that stay as they are, trained beside the ramp of a range test, each from the beginning."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from lrjax.answer import scores
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
    job: Job, lowest: float | None, bounds: tuple[float, float], train: Callable[[Job], SweepData]
) -> Beside:
    """Trains rates around the one at which a ramp's loss is the lowest, further if the best is at an end.

    Args:
      job: What to train: its only point is that of the ramp, without the rate.
      lowest: The rate; None where the ramp does not tell it: then rates from one bound to the other.
      bounds: The lowest and the highest rate that may be tried.
      train: Trains a job to its end.
    """
    if lowest is None:
        rates = first_rates(*bounds)
    else:
        low, high = bracket(lowest / _BELOW, lowest * _ABOVE, *bounds)
        rates = first_rates(low, high, max(2, 1 + round(math.log10(high / low) / FINE)))
    tried = Beside(np.empty(0), np.empty((0, job.seeds), np.float32), [])
    while rates:
        found = train(job._replace(points=[{**job.points[0], job.name: rate} for rate in rates]))
        every = np.concatenate([tried.rates, rates])
        all_losses = np.concatenate([tried.losses, _came_to(found)])
        order = np.argsort(every)
        tried = Beside(every[order], all_losses[order], [*tried.costs, found.cost])
        losses = scores(tried.losses)
        best = int(np.argmin(losses)) if np.isfinite(losses).any() else None
        known = np.ones(len(losses), bool)
        rates = [] if lowest is None else missing(tried.rates, known, best, FINE, bounds)
    return tried


def _came_to(found: SweepData) -> np.ndarray:
    """The losses at the end, `[rates, seeds]`."""
    if "loss" in found.held_out:
        losses = found.held_out["loss"][..., -1]
    else:
        every = found.metrics["loss"]
        losses = every[..., -max(1, every.shape[-1] // _LAST) :].mean(axis=-1)
    return np.where((found.diverged_at < 0) & np.isfinite(losses), losses, np.nan).astype(np.float32)
