"""The picture of a sweep over two hyperparameters: the score of each pair of values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lrjax import _check
from lrjax._values import identity, ordered, shortened
from lrjax.answer import Answer
from lrjax.plot import _points, _style
from lrjax.results import SweepData

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_TICKS = 12  # along an axis; of more values, some are named
_LONGEST_VALUE = 16  # letters of one along an axis
_MOST_NUMBERS = (7, 8)  # columns and rows up to which scores are written into their cells
_DECADE = 10.0  # how many times the lowest score the highest is, from which on colours are logarithmic


def heat_map(
    data: SweepData, answer: Answer, ax: Axes | None = None, x: str | None = None, y: str | None = None
) -> Axes:
    """The score over two hyperparameters, a cell for each pair of values.

    The darker, the better. The star is the best cell; outlined are those on its plateau, and those that the
    seeds do not tell from it. Hatched are those where at least half of the seeds failed, dotted those that
    an allocation dropped or that were not measured. Cells stay blank where there is no point. Values may be
    of any kind. If more than two hyperparameters vary, it is at the best point's values of the others,
    which the title names.

    Args:
      data: A sweep's measurements.
      answer: What they mean.
      ax: Where to draw; None makes a figure.
      x: The hyperparameter from left to right; None for the rate, or the first that varies.
      y: The one from bottom to top; None for the first other that varies.

    Returns:
      The `Axes`.

    Raises:
      ImportError: If matplotlib is not installed.
      ValueError: If fewer than two hyperparameters vary, or `x` or `y` is none of them.

    Example:
      >>> import lrjax
      >>> task = lrjax.tasks.load("quadratic-deep")
      >>> grid = {"learning_rate": [0.01, 0.03], "momentum": [0.0, 0.5]}
      >>> sweep = lrjax.sweep(task.trial(lrjax.sgd), grid, task.data, steps=20, progress=False)
      >>> ax = lrjax.plot.heat_map(sweep, sweep.answer)
      >>> ax.get_xlabel(), ax.get_ylabel(), [tick.get_text() for tick in ax.get_yticklabels()]
      ('learning rate', 'momentum', ['0', '0.5'])
    """
    x, y = _directions(data, x, y)
    ax = _style.axes(ax)
    columns, column = ordered(data.points[x])
    rows, row = ordered(data.points[y])
    drawn, title = _slice(data, answer, x, y)
    colours = _fill(ax, answer, drawn, column, row, (len(rows), len(columns)))
    _hatch(ax, answer, _points.fails(data, answer), drawn, column, row)
    _outline(ax, _as_good(data, answer, drawn), column, row)
    if answer.index is not None:
        ax.plot(
            column[answer.index],
            row[answer.index] + (0.27 if _numbered(columns, rows) else 0),
            "*",
            color=_style.CHOSEN,
            markeredgecolor="white",
            markeredgewidth=0.8,
            markersize=_star(columns, rows),
            label=f"best: {_points.point_text(data, answer.index, [x, y])}",
            zorder=5,
        )
    if colours is not None and _numbered(columns, rows):
        _write_scores(ax, answer, drawn, column, row, colours)
    _ticks(ax, columns, rows)
    ax.set_xlabel(_points.words(x))
    ax.set_ylabel(_points.words(y))
    _style.legend(ax, title, beside_bar=True)
    if colours is None:
        _style.say(ax, "no point trained")
    else:
        ax.figure.colorbar(colours, ax=ax, label=f"median {answer.judged_by}", pad=0.02)
    return ax


def _directions(data: SweepData, x: str | None, y: str | None) -> tuple[str, str]:
    names = _points.varying(data)
    if len(names) < 2:
        got = f"one of {', '.join(names)}" if names else "one of a single point"
        raise _check.fail("heat_map", "data", "a sweep over at least two hyperparameters", got)
    for argument, name in (("x", x), ("y", y)):
        if name is not None and name not in names:
            expected = f"one of those that vary, {', '.join(map(repr, names))}"
            raise _check.fail("heat_map", argument, expected, repr(name))
    if x is not None and x == y:
        raise _check.fail("heat_map", "y", "another hyperparameter than `x`", repr(y))
    names.sort(key=lambda name: name != data.name)
    x = x or next(name for name in names if name != y)
    return x, y or next(name for name in names if name != x)


def _slice(data: SweepData, answer: Answer, x: str, y: str) -> tuple[np.ndarray, str]:
    """The points that differ from the best, or the first, in nothing but `x` and `y`; and how to say so."""
    others = [name for name in _points.varying(data) if name not in (x, y)]
    at = answer.index or 0
    same = np.ones(len(data.diverged_at), bool)
    for name in others:
        values = data.points[name]
        same &= np.array([identity(value) == identity(values[at]) for value in values])
    return np.flatnonzero(same), f"at {_points.point_text(data, at, others)}" if others else ""


def _fill(
    ax: Axes,
    answer: Answer,
    drawn: np.ndarray,
    column: np.ndarray,
    row: np.ndarray,
    shape: tuple[int, int],
) -> Any:
    """Colours the cells that have a score; returns what a colour bar needs, or None without any."""
    from matplotlib.colors import LogNorm, Normalize

    table = np.full(shape, np.nan)
    table[row[drawn], column[drawn]] = answer.scores[drawn]
    known = table[np.isfinite(table)]
    ax.set_xlim(-0.5, shape[1] - 0.5)
    ax.set_ylim(-0.5, shape[0] - 0.5)
    if not len(known):
        return None
    low, high = known.min(), known.max()
    by_ratio = low > 0 and high > _DECADE * low
    norm = LogNorm(low, high) if by_ratio else Normalize(low, high if high > low else low + 1.0)
    edges = (np.arange(shape[1] + 1) - 0.5, np.arange(shape[0] + 1) - 0.5)
    return ax.pcolormesh(*edges, np.ma.masked_invalid(table), norm=norm, cmap="cividis", rasterized=True)


def _hatch(
    ax: Axes, answer: Answer, fails: np.ndarray, drawn: np.ndarray, column: np.ndarray, row: np.ndarray
) -> None:
    """Marks the cells without a score: failed, or not comparable."""
    from matplotlib.collections import PolyCollection

    without = drawn[~np.isfinite(answer.scores[drawn])]
    for members, hatch, label in (
        (without[fails[without]], "////", "fails"),
        (without[~fails[without]], "..", "dropped or not measured"),
    ):
        if len(members):
            corners = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)])
            cells = [corners + np.array((column[i], row[i])) for i in members]
            collection = PolyCollection(
                cells, facecolor="0.95", edgecolor="0.55", linewidth=0.5, hatch=hatch, label=label
            )
            ax.add_collection(collection, autolim=False)


def _as_good(data: SweepData, answer: Answer, drawn: np.ndarray) -> np.ndarray:
    """The points on the plateau, and those that are not told from the best."""
    good = set(answer.indistinguishable)
    rates = _points.rates_of(data)
    if rates is not None and answer.plateau is not None:
        low, high = answer.plateau
        line = next(members for _, members in _points.combinations(data) if answer.index in members)
        good |= {int(i) for i in line if low <= rates[i] <= high}
    return np.array(sorted(good & set(drawn.tolist())), int)


def _outline(ax: Axes, members: np.ndarray, column: np.ndarray, row: np.ndarray) -> None:
    """A line around the cells, where they border on others."""
    from matplotlib.collections import LineCollection

    if len(members) < 2:
        return
    inside = {(int(column[i]), int(row[i])) for i in members}
    sides = []
    for c, r in inside:
        left, right, bottom, top = c - 0.5, c + 0.5, r - 0.5, r + 0.5
        for neighbour, ends in (
            ((c - 1, r), [(left, bottom), (left, top)]),
            ((c + 1, r), [(right, bottom), (right, top)]),
            ((c, r - 1), [(left, bottom), (right, bottom)]),
            ((c, r + 1), [(left, top), (right, top)]),
        ):
            if neighbour not in inside:
                sides.append(ends)
    for colour, width in (("white", 3.6), (_style.CHOSEN, 2.0)):  # seen on dark cells and on pale ones
        ax.add_collection(
            LineCollection(sides, colors=colour, linewidths=width, capstyle="projecting", clip_on=False),
            autolim=False,
        )
    ax.plot([], [], color=_style.CHOSEN, linewidth=2.0, label="not told from the best")


def _write_scores(
    ax: Axes, answer: Answer, drawn: np.ndarray, column: np.ndarray, row: np.ndarray, colours: Any
) -> None:
    for i in drawn[np.isfinite(answer.scores[drawn])]:
        dark = np.dot(colours.to_rgba(answer.scores[i])[:3], (0.3, 0.6, 0.1)) < 0.5
        ax.text(
            float(column[i]),
            float(row[i]) - (0.12 if i == answer.index else 0.0),
            f"{answer.scores[i]:#.3g}".rstrip("."),
            ha="center",
            va="center",
            fontsize=_style.TEXT - 1,
            color="white" if dark else "black",
        )


def _numbered(columns: list[Any], rows: list[Any]) -> bool:
    return len(columns) <= _MOST_NUMBERS[0] and len(rows) <= _MOST_NUMBERS[1]


def _star(columns: list[Any], rows: list[Any]) -> float:
    if _numbered(columns, rows):
        return 9.0
    return float(np.clip(220 / max(len(columns), len(rows)), 7, 14))


def _ticks(ax: Axes, columns: list[Any], rows: list[Any]) -> None:
    """The values themselves; those that would not fit side by side stand upright."""
    texts, shown = _names(columns), _some(len(columns))
    apart = _style.letters(ax, beside_bar=True) * (shown[1] if len(shown) > 1 else 1) / len(columns)
    upright = max(len(texts[i]) for i in shown) + 2 > apart
    ax.set_xticks(shown, [texts[i] for i in shown], rotation=90 if upright else 0, fontsize=_style.TEXT)
    texts, shown = _names(rows), _some(len(rows))
    ax.set_yticks(shown, [texts[i] for i in shown], fontsize=_style.TEXT)


def _names(values: list[Any]) -> list[str]:
    return [shortened(text, _LONGEST_VALUE) for text in _points.value_texts(values)]


def _some(count: int) -> list[int]:
    return list(range(0, count, -(-count // _MOST_TICKS)))
