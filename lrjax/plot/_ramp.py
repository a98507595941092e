"""The picture of a range test: loss against the rate that climbs, with every suggestion."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lrjax.answer import RangeAnswer, range_course, scores
from lrjax.plot import _points, _style
from lrjax.results import RangeTestData

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MARKS = {"steep": "v", "minimum": "s", "valley": "D", "slide": "^"}
_MOST_CURVES = 12  # seeds that are drawn; of more, the range
_TOP = 0.96  # of the axis' height, where rates that failed are marked
_MARGIN = 1.5  # times below a suggestion that lies below the ramp, where the axis begins
_ROW = 0.055  # of the axis' height, for each published rule


def ramp(data: RangeTestData, answer: RangeAnswer, ax: Axes | None = None) -> Axes:
    """The loss of every seed against the rate, their average, and what is suggested.

    A thin line is a seed (of more than twelve the range is shaded), the thick one the average over seeds and
    neighbouring rates; points are what constant rates came to, the median over seeds. The suggestion, which
    is read from these if there are any, is marked with a star and its interval is shaded; each of the
    published rules has a row of its own along the bottom; hatched is where the loss is above its start for
    good. Where nothing is suggested, the title says why.

    Args:
      data: A range test's measurements.
      answer: What they mean.
      ax: Where to draw; None makes a figure.

    Returns:
      The `Axes`.

    Raises:
      ImportError: If matplotlib is not installed.

    Example:
      >>> import lrjax
      >>> task = lrjax.tasks.load("quadratic-deep")
      >>> test = lrjax.range_test(task.trial(lrjax.sgd), task.data, minimum=1e-5, progress=False)
      >>> lrjax.plot.ramp(test, test.answer).get_xlabel()
      'learning rate'
    """
    ax = _style.axes(ax)
    rates, losses = data.learning_rates, data.losses if data.held_out is None else data.held_out
    course = range_course(losses)
    rows = _ROW * len(answer.suggestions)
    _seeds(ax, rates, losses)
    ax.plot(rates[: len(course)], course, color=_style.LINE, linewidth=2.0, label="average")
    stayed = _constant_rates(ax, data)
    ax.set_xscale("log")
    lowest = rates[0] if answer.suggestion is None else min(rates[0], answer.suggestion / _MARGIN)
    ax.set_xlim(lowest, rates[-1])
    _limit_losses(ax, course, stayed[1], answer, rows)
    if not np.isfinite(losses).any():
        ax.set_yticks([])
    _mark_suggestion(ax, *(stayed if len(stayed[0]) else (rates[: len(course)], course)), answer, rows)
    _mark_rules(ax, answer, rows)
    _mark_edge(ax, rates, answer)
    ax.set_xlabel(_points.words(data.name))
    ax.set_ylabel("training loss" if data.held_out is None else "held-out loss")
    _style.legend(ax, f"No suggestion: {answer.reason}" if answer.suggestion is None else "")
    return ax


def _seeds(ax: Axes, rates: np.ndarray, losses: np.ndarray) -> None:
    if len(losses) > _MOST_CURVES:
        finite = np.isfinite(losses)
        low = np.where(finite, losses, np.inf).min(axis=0)
        high = np.where(finite, losses, -np.inf).max(axis=0)
        some = finite.any(axis=0)
        label = f"range of {len(losses)} seeds"
        ax.fill_between(
            rates[some], low[some], high[some], color=_style.LINE, alpha=0.2, linewidth=0, label=label
        )
        return
    for seed, curve in enumerate(losses):
        label = "_" if seed else f"{len(losses)} seeds" if len(losses) > 1 else "one seed"
        ax.plot(rates, curve, color=_style.LINE, linewidth=0.7, alpha=0.35, label=label)


def _constant_rates(ax: Axes, data: RangeTestData) -> tuple[np.ndarray, np.ndarray]:
    """The rates of which half of the seeds came to a loss, and the medians over seeds; perhaps none."""
    if data.constant_rates is None or data.constant_losses is None:
        return np.empty(0), np.empty(0)
    losses = scores(data.constant_losses)
    some = np.isfinite(losses)
    rates = data.constant_rates
    if some.any():
        label = "constant rates"
        ax.plot(rates[some], losses[some], "o-", color="black", markersize=4, linewidth=1.0, label=label)
    if not some.all():
        top = np.full((~some).sum(), _TOP)
        across = ax.get_xaxis_transform()
        label = "failed"
        ax.plot(rates[~some], top, "x", color=_style.FAILED, markersize=5, transform=across, label=label)
    return rates[some], losses[some]


def _limit_losses(ax: Axes, course: np.ndarray, stayed: np.ndarray, answer: RangeAnswer, rows: float) -> None:
    """From below the lowest average to a little above the start; the rules' rows come below that.

    Where nothing is suggested, the loss may only rise: then up to as far above its start as that is above 0.
    """
    known = course[np.isfinite(course)]
    if not len(known):
        return
    low, start = float(np.concatenate([known, stayed]).min()), float(known[0])
    margin = max(start - low, 1e-12 + 0.05 * abs(start))
    bottom, top = low - 0.25 * margin, start + 0.6 * margin
    if answer.suggestion is None:
        top = max(top, min(float(known.max()), start + abs(start)))
    ax.set_ylim(bottom - (top - bottom) * rows / (1 - rows), top)
    ax.set_yticks([tick for tick in ax.get_yticks() if bottom <= tick <= top])


def _mark_suggestion(
    ax: Axes, rates: np.ndarray, course: np.ndarray, answer: RangeAnswer, rows: float
) -> None:
    if answer.interval is not None:
        low, high = answer.interval
        ax.axvspan(low, high, rows, color=_style.CHOSEN, alpha=0.15, linewidth=0.8, label="interval")
    if answer.suggestion is not None:
        label = f"suggested: {answer.suggestion:.3g}"
        line = {"color": _style.CHOSEN, "linestyle": "--", "linewidth": 1.2}
        if not rates[0] <= answer.suggestion <= rates[-1]:  # where no loss is known
            ax.axvline(answer.suggestion, rows, label=label, **line)
            return
        ax.axvline(answer.suggestion, rows, **line)
        height = float(np.interp(np.log(answer.suggestion), np.log(rates), course))
        ax.plot(answer.suggestion, height, "*", color=_style.CHOSEN, markersize=14, label=label, zorder=5)


def _mark_rules(ax: Axes, answer: RangeAnswer, rows: float) -> None:
    """One row a rule, its name beside its mark, on the side where there is room."""
    low, high = ax.get_xlim()
    for row, (name, rate) in enumerate(reversed(answer.suggestions.items())):
        height = (row + 0.55) * _ROW
        share = np.log(rate / low) / np.log(high / low)
        shown = float(np.clip(rate, low, high))  # a tenth of a rate may lie below the ramp
        ax.plot(
            shown,
            height,
            _MARKS.get(name, "o"),
            color="black",
            markersize=5,
            transform=ax.get_xaxis_transform(),
            clip_on=False,
            zorder=3,
        )
        ax.annotate(
            f"{name} {rate:.2g}",
            (shown, height),
            xytext=(6 if share < 0.6 else -6, 0),
            xycoords=ax.get_xaxis_transform(),
            textcoords="offset points",
            ha="left" if share < 0.6 else "right",
            va="center",
            fontsize=_style.TEXT,
        )
    if rows:
        bottom, top = ax.get_ylim()
        end = bottom + rows * (top - bottom)
        ax.axhspan(bottom, end, color="white", linewidth=0, zorder=2.2)  # a seed may fall below the average
        ax.axhline(end, color=_style.FAILED, linewidth=0.5, alpha=0.5, zorder=2.3)


def _mark_edge(ax: Axes, rates: np.ndarray, answer: RangeAnswer) -> None:
    if answer.stable_edge is not None:
        ax.axvspan(
            answer.stable_edge,
            rates[-1],
            _ROW * len(answer.suggestions),
            facecolor="0.93",
            edgecolor="0.75",
            hatch="///",
            linewidth=0,
            zorder=0,
            label=f"above its start from {answer.stable_edge:.2g}",
        )
