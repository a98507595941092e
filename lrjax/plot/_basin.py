"""The picture of a sweep over learning rates: final loss against rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lrjax.answer import Answer, dropped_at, final_losses, steps_text
from lrjax.plot import _points, _style
from lrjax.results import SweepData

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_NAMED = 8  # lines that the legend names; of more, some
_MOST_DOTS = 60  # points of a line that are drawn as dots
_CROSSES = 0.14  # share of the axis, at the top, that crosses stand in
_TOP = 0.965  # of its height, where a row of marks stands at the top
_INTERVAL = 0.1  # share of it, at the bottom, that the interval stands in


def basin(data: SweepData, answer: Answer, ax: Axes | None = None) -> Axes:
    """Final loss against learning rate, on log axes.

    The line is the median over seeds, the band reaches from the worst to the best seed that trained. The
    star is the chosen rate, the bar at the bottom its interval; the plateau is shaded, and hatched is where
    training fails from some rate on. Crosses at the top mark points where a seed diverged or ended worse
    than it began; hollow marks are points that an allocation dropped, at their last loss, or as hollow
    triangles at the top if that is far above what training began with.

    Where other hyperparameters vary too, each of their combinations is a line, with crosses of its colour;
    plateau, interval and edge are those of the best one's. Of more than eight lines the legend names the
    best one's and some of the others, in order of shade.

    Args:
      data: A sweep's measurements.
      answer: What they mean.
      ax: Where to draw; None makes a figure.

    Returns:
      The `Axes`.

    Raises:
      ImportError: If matplotlib is not installed.
      ValueError: If the sweep was not over learning rates.

    Example:
      >>> import lrjax
      >>> task = lrjax.tasks.load("quadratic-deep")
      >>> grid = {"learning_rate": [0.01, 0.03]}
      >>> sweep = lrjax.sweep(task.trial(lrjax.sgd), grid, task.data, steps=20, progress=False)
      >>> lrjax.plot.basin(sweep, sweep.answer).get_xscale()
      'log'
    """
    rates = _points.rates_of(data)
    if rates is None:
        got = f"one over {', '.join(data.points) or 'nothing'} (`lrjax.plot.curves` draws it)"
        raise ValueError(f"`basin(data=...)` must be a sweep over {data.name!r}, got {got}")
    ax = _style.axes(ax)
    final, initial, judged_by = final_losses(data)
    lines = _points.combinations(data)
    trained, dropped = np.where(answer.failed, np.nan, final), dropped_at(data) >= 0
    start = _style.median(initial)
    above = dropped & (_medians(trained) > _style.ceiling(trained, start))
    named = _named(lines, answer)
    labels, title = _points.legend_of(data, lines)
    for place, (_, members) in enumerate(lines):
        order = members[np.argsort(rates[members], kind="stable")]
        colour = _colour(place, len(lines))
        text = (labels[place] or _seeds(data)) if place in named else "_"
        stayed, gone = order[~dropped[order]], order[dropped[order] & ~above[order]]
        _one_line(ax, rates[stayed], trained[stayed], place, colour, text)
        _dropped(ax, rates[gone], trained[gone], place, colour)
        _crosses(ax, rates[order][answer.failed[order].any(axis=1)], place, len(lines), colour)
        _far_above(ax, rates[order[above[order]]], colour)
    if (dropped & ~above & np.isfinite(trained).any(axis=1)).any():
        ax.plot([], [], "o", color=_style.FAILED, fillstyle="none", markersize=5, label="dropped: last loss")
    if above.any():
        ax.plot([], [], "^", color=_style.FAILED, fillstyle="none", markersize=5, label="dropped, far above")
    if answer.failed.any():
        ax.plot([], [], "x", color=_style.FAILED, markersize=7, label="a seed failed")
    if len(named) < len(lines):
        ax.plot([], [], " ", label=f"+ {len(lines) - len(named)} more")
    _style.rate_limits(ax, rates)
    _mark_answer(ax, answer)
    if answer.index is None:
        _style.say(ax, _points.why_none(answer))
    if not np.isfinite(trained).any():
        ax.set_yticks([])
    else:
        shown = np.where(above[:, None], np.nan, trained)
        _style.loss_scale(ax, shown, start, 0.05 if answer.interval is None else _INTERVAL, _CROSSES)
    ax.set_xlabel(_points.words(data.name))
    ax.set_ylabel(f"{judged_by} after {steps_text(data, answer.index)}")
    _style.legend(ax, title)
    return ax


def _one_line(ax: Axes, x: np.ndarray, y: np.ndarray, place: int, colour: Any, label: str) -> None:
    some = np.isfinite(y).any(axis=1)
    if not some.any():
        return
    x, y = x[some], y[some]
    marker = _style.MARKERS[place % len(_style.MARKERS)] if len(x) <= _MOST_DOTS else None
    ax.plot(x, np.nanmedian(y, axis=1), marker=marker, markersize=4, linewidth=1.4, color=colour, label=label)
    ax.fill_between(x, np.nanmin(y, axis=1), np.nanmax(y, axis=1), color=colour, alpha=0.2, linewidth=0)


def _dropped(ax: Axes, x: np.ndarray, y: np.ndarray, place: int, colour: Any) -> None:
    """Points whose last losses are of an earlier step, and hence not on the line."""
    some = np.isfinite(y).any(axis=1)
    if some.any():
        marker = _style.MARKERS[place % len(_style.MARKERS)]
        size = 4 if some.sum() <= _MOST_DOTS else 2
        ax.plot(
            x[some], np.nanmedian(y[some], axis=1), marker, color=colour, fillstyle="none", markersize=size
        )


def _far_above(ax: Axes, rates: np.ndarray, colour: Any) -> None:
    """Dropped points whose last loss would leave no room on the axis for the others."""
    ax.plot(
        rates,
        np.full(len(rates), _TOP),
        "^",
        color=colour,
        fillstyle="none",
        markersize=5 if len(rates) <= _MOST_DOTS else 3,
        transform=ax.get_xaxis_transform(),
        label="_",
    )


def _medians(losses: np.ndarray) -> np.ndarray:
    return np.array([_style.median(row) for row in losses])


def _crosses(ax: Axes, rates: np.ndarray, place: int, lines: int, colour: Any) -> None:
    """Points where a seed failed, those of each line at a height of its own."""
    height = 1 - _CROSSES * (place + 1) / (lines + 1)
    ax.plot(
        rates,
        np.full(len(rates), max(height, _TOP) if lines == 1 else height),
        "x",
        color=_style.FAILED if lines == 1 else colour,
        markersize=7 if lines <= 3 and len(rates) <= _MOST_DOTS else 4,
        transform=ax.get_xaxis_transform(),
        label="_",
    )


def _mark_answer(ax: Axes, answer: Answer) -> None:
    if answer.plateau is not None and answer.plateau[0] < answer.plateau[1]:
        low, high = answer.plateau
        ax.axvspan(low, high, color=_style.CHOSEN, alpha=0.1, linewidth=0, label="does as well")
    if answer.learning_rate is not None:
        ax.axvline(answer.learning_rate, color=_style.CHOSEN, linestyle="--", linewidth=1.2)
        label = f"chosen: {answer.learning_rate:.3g}"
        ax.plot(
            answer.learning_rate, answer.score, "*", color=_style.CHOSEN, markersize=14, label=label, zorder=5
        )
    if answer.interval is not None:
        ax.plot(
            answer.interval,
            [0.035, 0.035],
            color="black",
            linewidth=1.6,
            marker="|",
            markersize=8,
            markeredgewidth=1.6,
            transform=ax.get_xaxis_transform(),
            label="90 % interval",
        )
    if answer.divergence_edge is not None:
        edge = answer.divergence_edge
        ax.axvspan(
            edge,
            ax.get_xlim()[1],
            facecolor="0.93",
            edgecolor="0.75",
            hatch="///",
            linewidth=0,
            zorder=0,
            label=f"fails from {edge:.3g} on",
        )
        ax.axvline(edge, color=_style.FAILED, linestyle=":", linewidth=1.4)


def _named(lines: list[tuple[str, np.ndarray]], answer: Answer) -> set[int]:
    """Which lines the legend names: of many the ends, some between, and the best point's."""
    if len(lines) <= _MOST_NAMED:
        return set(range(len(lines)))
    best = {place for place, (_, members) in enumerate(lines) if answer.index in members}
    return {round(place) for place in np.linspace(0, len(lines) - 1, 4)} | best


def _colour(place: int, lines: int) -> Any:
    return _style.LINE if lines == 1 else _style.colormap("cividis")(place / (lines - 1) * 0.85)


def _seeds(data: SweepData) -> str:
    return "median, range over seeds" if data.diverged_at.shape[1] > 1 else "one seed"
