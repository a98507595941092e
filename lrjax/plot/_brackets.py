"""The picture of an allocation: which points trained how far, and where they were dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lrjax import _check
from lrjax.answer import Answer, Rung, dropped_at, rungs
from lrjax.plot import _points, _style
from lrjax.results import SweepData

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FEW = 4  # rungs that are all labelled
_LABEL = 10.0  # points from one label to the next
_LEFT = 0.85  # of the axes' height, what the legend leaves


class _Look(NamedTuple):
    colour: str
    marker: str
    label: str


_ENDS = {
    "finished": _Look(_style.LINE, "o", "trained to the end"),
    "dropped": _Look(_style.GOLD, "s", "dropped"),
    "diverged": _Look("black", "x", "diverged"),
    "stopped": _Look(_style.PALE, "^", "stopped early"),
}


def brackets(data: SweepData, answer: Answer, ax: Axes | None = None) -> Axes:
    """How far each point trained under an allocation, and where it was dropped.

    A bar is a point; points of the same rate stand side by side. A dashed line is a rung, where the
    allocation decided; beside it stands how many points came there and how many trained on (of more than
    four rungs only where these differ). A point has diverged if at least half of its seeds have; stopped
    early are those that ran out of patience or were interrupted.

    Args:
      data: A sweep's measurements.
      answer: What they mean.
      ax: Where to draw; None makes a figure.

    Returns:
      The `Axes`.

    Raises:
      ImportError: If matplotlib is not installed.
      ValueError: If the sweep has no rungs: it had no allocation, or ended before the first decision.

    Example:
      >>> import lrjax
      >>> task = lrjax.tasks.load("quadratic-deep")
      >>> sweep = lrjax.sweep(
      ...     task.trial(lrjax.sgd), {"learning_rate": [0.001, 0.03]}, task.data, steps=20,
      ...     allocation=lrjax.top_k(1, first=10, neighbours=0), evaluate_on=task.validation, progress=False,
      ... )
      >>> ax = lrjax.plot.brackets(sweep, sweep.answer)
      >>> [text.get_text() for text in ax.texts]
      ['2 → 1']
    """
    if not data.rungs:
        raise _check.fail("brackets", "data", "a sweep with an allocation that decided", "one without rungs")
    ax = _style.axes(ax)
    ends, reached = _outcomes(data)
    places = _places(ax, data)
    each = _style.letters(ax) / len(places)  # how wide a bar may be, in letters
    for name, look in _ENDS.items():
        members = np.flatnonzero(ends == name)
        if not len(members):
            continue
        ax.vlines(
            places[members], 0, reached[members], look.colour, linewidth=float(np.clip(2 * each, 0.6, 2.2))
        )
        ax.plot(
            places[members],
            reached[members],
            look.marker,
            color=look.colour,
            markersize=float(np.clip(3.2 * each, 2.5, 6)),
            label=f"{look.label} ({len(members)})",
            clip_on=False,
            zorder=3,
        )
    if answer.index is not None:
        ax.plot(
            places[answer.index],
            reached[answer.index],
            "*",
            color=_style.CHOSEN,
            markersize=14,
            label=f"chosen: {_points.chosen_text(data, answer)}",
            zorder=5,
            clip_on=False,
        )
    ax.set_ylim(0, data.steps * 1.05)
    _rungs(ax, data)
    ax.set_ylabel("steps trained")
    _style.legend(ax)
    return ax


def _outcomes(data: SweepData) -> tuple[np.ndarray, np.ndarray]:
    """How each point ended, and the step that the last of its seeds reached."""
    reached = np.where(data.stopped_at >= 0, data.stopped_at, data.steps)
    reached = np.where(data.diverged_at >= 0, np.minimum(reached, data.diverged_at), reached).max(axis=1)
    ends = np.where(reached < data.steps, "stopped", "finished").astype(object)
    ends[dropped_at(data) >= 0] = "dropped"
    gone, ran = (data.diverged_at >= 0).sum(axis=1), (data.stopped_at != 0).sum(axis=1)
    ends[(gone > 0) & (2 * gone >= ran)] = "diverged"
    return ends, reached


def _places(ax: Axes, data: SweepData) -> np.ndarray:
    """Where each point's bar stands: at its rate, or beside it where others have the same."""
    rates = _points.rates_of(data)
    if rates is None:
        ax.set_xlabel("point")
        ax.set_xlim(-0.5, len(data.diverged_at) - 0.5)
        return np.arange(len(data.diverged_at), dtype=float)
    ax.set_xlabel(_points.words(data.name))
    distinct, counts = np.unique(rates, return_counts=True)
    apart = np.diff(np.log(distinct)).min() if len(distinct) > 1 else np.log(2.0)
    places = np.log(rates)
    for rate, count in zip(distinct, counts, strict=True):
        beside = (np.arange(count) - (count - 1) / 2) * 0.8 * apart / counts.max()
        places[rates == rate] += beside
    _style.rate_limits(ax, np.exp(places))
    return np.exp(places)


def _rungs(ax: Axes, data: SweepData) -> None:
    """Dashed lines, with how many points came and stayed, to the right of the axes."""
    decided = rungs(data)
    for rung in decided:
        ax.axhline(rung.step, color=_style.FAILED, linestyle="--", linewidth=0.8, zorder=0)
    height = _LEFT * ax.get_position().height * ax.figure.get_figure(root=True).get_figheight() * 72
    named = _worth_naming(decided, max(2, int(height / _LABEL)))
    steps = np.array([rung.step / ax.get_ylim()[1] for rung in named])
    for rung, step, shown in zip(named, steps, _apart(steps, _LABEL / height), strict=True):
        ax.annotate(
            f"{rung.entered} → {rung.kept}",
            xy=(1, step),
            xytext=(1.035, shown),
            xycoords="axes fraction",
            textcoords="axes fraction",
            va="center",
            fontsize=_style.TEXT,
            arrowprops={
                "arrowstyle": "-",
                "color": _style.FAILED,
                "linewidth": 0.6,
                "shrinkA": 1,
                "shrinkB": 0,
            },
            annotation_clip=False,
        )


def _worth_naming(decided: list[Rung], most: int) -> list[Rung]:
    """The rungs that get a label: of more than a few those that dropped points, and the most at that."""
    by_most = sorted(decided, key=lambda rung: (rung.kept - rung.entered, rung.step))
    if len(decided) > _FEW:
        by_most = [rung for rung in by_most if rung.kept < rung.entered] or by_most[:1]
    return sorted(by_most[:most], key=lambda rung: rung.step)


def _apart(heights: np.ndarray, gap: float) -> np.ndarray:
    """Increasing heights, moved so that neighbours are a gap apart and all lie between 0 and 1."""
    moved = heights.astype(float)
    for i in range(1, len(moved)):
        moved[i] = max(moved[i], moved[i - 1] + gap)
    highest = 1.0
    for i in range(len(moved) - 1, -1, -1):
        moved[i] = min(moved[i], highest)
        highest = moved[i] - gap
    return moved
