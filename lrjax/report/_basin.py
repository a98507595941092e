"""The chart of final losses against the learning rate."""

from __future__ import annotations

from typing import Any

import numpy as np

from lrjax.answer import steps_text
from lrjax.plot import _style
from lrjax.report import _library, _text
from lrjax.report._figure import Control, Figure, layout, line_axis, log_range, loss_axis, loss_scale, median
from lrjax.report._view import View, label, why_no_rate

_MOST_LABELS = 8  # lines that the legend names
_LONGEST_NAME = 36  # characters of one
_DENSE = 100  # points from which on marks are small
_MIDDLE = {"x": 0.5, "y": 0.5, "xref": "paper", "yref": "paper", "showarrow": False, "font": {"size": 16}}


def basin(view: View) -> Figure:
    """Every point's final losses along the axis, with the answer drawn in."""
    trained = np.where(view.answer.failed, np.nan, view.final)
    steps = steps_text(view.data, view.answer.index)
    below = 1 if view.answer.interval is None else 3  # which stands there
    shown = np.where(_far_above(view, trained)[:, None], np.nan, trained)
    scale = loss_scale(shown, median(view.initial), f"{view.judged_by} after {steps}", below)
    controls = [Control("kind", "seed", "each seed")] if view.seeds > 1 else []
    controls += [Control("log", "", "log loss axis")] if scale["log"] is not None else []
    data = [*_answer(view), *_lines(view, trained), *_failures(view), *_chosen(view)]
    axes: dict[str, Any] = {"yaxis2": line_axis(range=[0, 1], overlaying="y", visible=False, fixedrange=True)}
    y = loss_axis(scale)
    if not np.isfinite(trained).any():
        data.append({"type": "scatter", "x": [None], "y": [None], "showlegend": False})  # for y2 to lie over
        axes["annotations"] = [{"text": why_no_rate(view), **_MIDDLE}]
        y |= {"range": [0, 1], "showticklabels": False, "ticks": ""}
    return Figure(
        name="basin",
        title=f"Loss against {view.axis.title}",
        caption=_caption(view, int(_far_above(view, trained).sum())),
        data=data,
        layout=layout(_x(view), y, **axes),
        scales={"": scale},
        controls=tuple(controls),
    )


def _x(view: View) -> dict[str, Any]:
    interval = view.answer.interval if view.axis.name == view.data.name else None
    values = [*view.axis.values.tolist(), *(interval or ())]
    low, high = min(values), max(values)
    if view.axis.log:
        ends = log_range(low, high)
        return {
            "title": view.axis.title,
            "type": "log",
            "range": ends,
            "tickformat": "~g",
            **_marks(high / low),
        }
    margin = 0.04 * (high - low) or 0.5
    ends = _text.numbers([low - margin, high + margin], 6)
    whole = {"tickformat": "d", "dtick": -(-len(values) // 12)} if view.axis.name is None else {}
    return {"title": view.axis.title, "range": ends, **whole}


def _marks(ratio: float) -> dict[str, Any]:
    """Marks of a logarithmic axis: at decades, at 1, 2 and 5, or, where neither fits, wherever it likes."""
    if 100 <= ratio <= 1e8:
        return {"dtick": 1, "minor": {"ticks": "outside"}}
    return {"dtick": "D2"} if 5 <= ratio < 100 else {}


def _far_above(view: View, trained: np.ndarray) -> np.ndarray:
    """Points that were dropped at losses which would leave no room on the axis for the others."""
    last = np.array([median(row) for row in trained])
    return (view.dropped >= 0) & (last > _style.ceiling(trained, median(view.initial)))


def _caption(view: View, above: int) -> str:
    parts = ["The line is the median over seeds, dots are seeds." if view.seeds > 1 else "A dot is a point."]
    others = [name for name in view.data.points if name != view.axis.name]
    if others and view.axis.name is not None:
        parts.append(f"A line for each combination of {', '.join(others)}.")
    if view.answer.failed.any():
        parts.append("Crosses at the top mark points where a seed failed.")
    if (view.dropped >= 0).any():
        beyond = f"; {above} of them lie{'s' * (above == 1)} far above" if above else ""
        parts.append(f"Circles are points that the allocation dropped, at the loss they had by then{beyond}.")
    return " ".join([*parts, "Point at a mark for its hyperparameters, losses and regime."])


def _lines(view: View, trained: np.ndarray) -> list[dict[str, Any]]:
    groups = _groups(view)
    shades = [_style.LINE] if len(groups) == 1 else _library.colours(np.linspace(0, 1, len(groups)).tolist())
    traces = []
    for (name, members), colour in zip(groups, shades, strict=True):
        order = members[np.argsort(view.axis.values[members], kind="stable")]
        order = order[np.isfinite(trained[order]).any(axis=1) & (view.dropped[order] < 0)]
        if not len(order):
            continue
        if view.seeds > 1:
            traces.append(_seeds(view, trained, order, colour))
        named = len(groups) <= _MOST_LABELS or view.answer.index in members
        traces.append(_medians(view, trained, order, colour) | {"name": name, "showlegend": named})
    early = np.flatnonzero((view.dropped >= 0) & np.isfinite(trained).any(axis=1))
    if len(early):
        hollow = {"symbol": "circle-open", "size": 8, "color": _style.FAILED}
        which = {"mode": "markers", "marker": hollow, "name": "median when dropped"}
        traces.append(_medians(view, trained, early, _style.FAILED) | which)
    return traces


def _medians(view: View, trained: np.ndarray, order: np.ndarray, colour: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers" if view.axis.name is None else "lines+markers",
        "x": view.axis.values[order].tolist(),
        "y": _text.numbers(np.nanmedian(trained[order], axis=1), 5),
        "text": [view.about[index] for index in order],
        "hovertemplate": "%{text}<extra></extra>",
        "line": {"color": colour, "width": 2},
        "marker": {"color": colour, "size": 7 if view.points < _DENSE else 3},
    }


def _seeds(view: View, trained: np.ndarray, order: np.ndarray, colour: str) -> dict[str, Any]:
    points, seeds = np.nonzero(np.isfinite(trained[order]))
    members = order[points]
    return {
        "type": "scatter",
        "mode": "markers",
        "x": view.axis.values[members].tolist(),
        "y": _text.numbers(trained[members, seeds], 5),
        "text": [
            f"seed {seed}: {trained[point, seed]:.4g}<br>{view.about[point]}"
            for point, seed in zip(members, seeds, strict=True)
        ],
        "hovertemplate": "%{text}<extra></extra>",
        "marker": {"color": colour, "size": 5 if view.points < _DENSE else 3, "opacity": 0.45},
        "showlegend": False,
        "meta": {"kind": "seed"},
    }


def _groups(view: View) -> list[tuple[str, np.ndarray]]:
    """The points of each combination of the other hyperparameters, with a name for the legend."""
    alone = "median over seeds" if view.seeds > 1 else "one seed"
    if view.axis.name is None:
        return [(alone, np.arange(view.points))]
    columns = [values.tolist() for name, values in view.data.points.items() if name != view.axis.name]
    members: dict[tuple[str, ...], list[int]] = {}  # by their values in full, since names may be cut
    for index in range(view.points):
        members.setdefault(tuple(repr(column[index]) for column in columns), []).append(index)
    return [
        (_text.in_chart(label(view.data, of[0], view.axis.name) or alone, _LONGEST_NAME), np.array(of))
        for of in members.values()
    ]


def _failures(view: View) -> list[dict[str, Any]]:
    bad = np.flatnonzero(view.answer.failed.any(axis=1))
    if not len(bad):
        return []
    every = np.mean(view.answer.failed[bad], axis=1) == 1
    # The legend's thin cross is as wide as lines are on average: where all of most are 0, it cannot be seen.
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "x": view.axis.values[bad].tolist(),
            "y": [0.965] * len(bad),
            "yaxis": "y2",
            "text": [view.about[index] for index in bad],
            "hovertemplate": "%{text}<extra></extra>",
            "marker": {
                "symbol": ["x" if all_of_them else "x-thin" for all_of_them in every],
                "color": _style.FAILED,
                "line": {"color": _style.FAILED, "width": [1 if all_of_them else 2 for all_of_them in every]},
                "size": 9,
            },
            "name": "a seed failed" if view.seeds > 1 else "failed",
        }
    ]


def _answer(view: View) -> list[dict[str, Any]]:
    """Plateau, interval and edge, which are of rates, behind the lines."""
    answer = view.answer
    if view.axis.name != view.data.name:
        return []
    traces = []
    if answer.plateau is not None and answer.plateau[0] < answer.plateau[1]:
        low, high = answer.plateau
        traces.append(
            _upright([low, low, high, high], [0, 1, 1, 0])
            | {"fill": "toself", "fillcolor": "rgba(213, 94, 0, 0.10)", "line": {"width": 0}}
            | {"name": f"plateau: {low:.3g} to {high:.3g}"}
        )
    if answer.interval is not None:
        low, high = answer.interval
        traces.append(
            _upright([low, high], [0.025, 0.025])
            | {"mode": "lines+markers", "line": {"color": _style.CHOSEN, "width": 3}}
            | {"marker": {"symbol": "line-ns-open", "size": 12, "color": _style.CHOSEN}}
            | {"name": f"90 % interval: {low:.3g} to {high:.3g}"}
        )
    if answer.divergence_edge is not None:
        edge = answer.divergence_edge
        traces.append(
            _upright([edge, edge], [0, 1])
            | {"line": {"color": _style.FAILED, "dash": "dot", "width": 2}, "name": f"fails from {edge:.3g}"}
        )
    return traces


def _upright(x: list[float], y: list[float]) -> dict[str, Any]:
    """A trace whose heights are parts of the chart's."""
    return {"type": "scatter", "mode": "lines", "x": x, "y": y, "yaxis": "y2", "hoverinfo": "skip"}


def _chosen(view: View) -> list[dict[str, Any]]:
    answer = view.answer
    if answer.index is None:
        return []
    x = float(view.axis.values[answer.index])
    line = _upright([x, x], [0, 1]) | {"line": {"color": _style.CHOSEN, "dash": "dash", "width": 1.5}}
    star = {
        "type": "scatter",
        "mode": "markers",
        "x": [x],
        "y": _text.numbers([answer.score], 5),
        "text": [view.about[answer.index]],
        "hovertemplate": "%{text}<extra></extra>",
        "marker": {
            "symbol": "star",
            "size": 17,
            "color": _style.CHOSEN,
            "line": {"color": "#fff", "width": 1},
        },
        "name": "chosen" if view.axis.name is None else f"chosen: {x:.3g}",
    }
    return [line | {"showlegend": False}, star]
