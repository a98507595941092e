"""The chart of two hyperparameters: how well each pair of their values does."""

from __future__ import annotations

from typing import Any

import numpy as np

from lrjax.plot import _style
from lrjax.report import _library, _text
from lrjax.report._figure import Figure, layout
from lrjax.report._view import View

_MOST_TEXTS = 16  # columns up to which a cell shows its number
_MOST_MARKS = 14  # values that are written along an axis
_MARGIN = {"l": 76, "r": 24, "t": 24, "b": 60}
_MOST_VALUES = 100  # more are no grid: every point has its own


def heat_maps(view: View) -> list[Figure]:
    """One for each other number that takes several values, as many as make a grid with the axis."""
    data, along = view.data, view.axis.name
    others = [
        name
        for name, values in data.points.items()
        if name != along and values.dtype != object and 1 < len(np.unique(values)) <= _MOST_VALUES
    ]
    if along is None or len(np.unique(view.axis.values)) < 2:
        return []
    return [_heat_map(view, along, name) for name in others if _is_grid(view, name)]


def _is_grid(view: View, name: str) -> bool:
    """Whether values of the two meet more than once each; those of a random search do not."""
    values = view.data.points[name]
    pairs = {*zip(view.axis.values.tolist(), values.tolist(), strict=True)}
    return len(pairs) > max(len(np.unique(view.axis.values)), len(np.unique(values)))


def _heat_map(view: View, along: str, name: str) -> Figure:
    columns, of_column = np.unique(view.axis.values, return_inverse=True)
    rows, of_row = np.unique(view.data.points[name], return_inverse=True)
    scores = np.full((len(rows), len(columns)), np.nan)
    texts = np.full(scores.shape, "", object)
    about = np.full(scores.shape, "", object)
    order = np.argsort(view.answer.scores, kind="stable")[::-1]  # the best of a cell comes last, and stays
    for index in order:
        cell = of_row[index], of_column[index]
        score = view.answer.scores[index]
        scores[cell] = score if np.isfinite(score) else np.nan
        texts[cell] = _word(view, index)
        about[cell] = view.about[index]
    known = scores[np.isfinite(scores)]
    log = bool(len(known)) and known.min() > 0 and known.max() > 3 * known.min()
    shown = np.log10(scores) if log else scores
    data: list[dict[str, Any]] = [
        {
            "type": "heatmap",
            "z": _text.numbers(shown, 5),
            "text": texts.tolist(),
            "customdata": about.tolist(),
            "hovertemplate": "%{customdata}<extra></extra>",
            "texttemplate": "%{text}" if len(columns) <= _MOST_TEXTS else "",
            "colorscale": _library.colour_scale(),
            "xgap": 1,
            "ygap": 1,
            "hoverongaps": True,
            "colorbar": _bar(view, known, log),
            "name": "",
        }
    ]
    x = {"title": view.axis.title, **_marks(columns), "showgrid": False}
    y = {"title": name.replace("_", " "), **_marks(rows), "showgrid": False}
    best = view.answer.index
    frame = [] if best is None else [_frame(int(of_column[best]), int(of_row[best]))]
    more = set(view.data.points) - {along, name}
    of_several = " Where several points share a cell, it shows the best of them." if more else ""
    height = min(640, 180 + 42 * len(rows))
    return Figure(
        name=f"heat-{list(view.data.points).index(name)}",
        title=_capital(f"{view.axis.title} and {name.replace('_', ' ')}"),
        caption=f"A cell is the {view.judged_by}, the median over seeds: the darker, the better; the chosen "
        f"one is framed. Grey cells hold points that failed or were dropped, or none.{of_several}",
        data=data,
        layout=layout(x, y, height=max(300, height), plot_bgcolor="#cbd2d9", shapes=frame, margin=_MARGIN),
        scales={},
    )


def _word(view: View, index: int) -> str:
    """A cell's number, or why it has none."""
    if np.isfinite(view.answer.scores[index]):
        return f"{view.answer.scores[index]:.3g}"
    if view.dropped[index] >= 0:
        return "dropped"
    return "failed" if view.answer.failed[index].any() else "-"


def _frame(column: int, row: int) -> dict[str, Any]:
    """Around a cell."""
    ends = {"x0": column - 0.5, "x1": column + 0.5, "y0": row - 0.5, "y1": row + 0.5}
    return {"type": "rect", **ends, "line": {"color": _style.CHOSEN, "width": 4}}


def _marks(values: np.ndarray) -> dict[str, Any]:
    """An axis of cells, named by their values."""
    every = -(-len(values) // _MOST_MARKS)
    places = list(range(0, len(values), every))
    return {"tickvals": places, "ticktext": [f"{values[place]:.3g}" for place in places]}


def _bar(view: View, known: np.ndarray, log: bool) -> dict[str, Any]:
    bar: dict[str, Any] = {
        "title": {"text": _text.in_chart(view.judged_by), "side": "right"},
        "thickness": 14,
        "outlinewidth": 0,
    }
    if log:
        marks = np.linspace(np.log10(known.min()), np.log10(known.max()), 5)
        bar |= {"tickvals": marks.tolist(), "ticktext": [_text.short(10**mark) for mark in marks]}
    return bar


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
