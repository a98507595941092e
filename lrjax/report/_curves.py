"""The chart of losses while members trained."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from lrjax.answer import REGIMES, point_regime
from lrjax.plot import _style
from lrjax.report import _library, _text
from lrjax.report._figure import Control, Figure, layout, loss_axis, loss_scale, median
from lrjax.report._view import View

_MOST_RECORDS = 200  # of a line
_MOST_POINTS = 60
_MOST_MEMBERS = 240  # lines of single seeds


class _Losses(NamedTuple):
    """Curves of one kind, "held-out" or "training": `[points, seeds, steps]`, and how many were recorded."""

    kind: str
    steps: np.ndarray
    values: np.ndarray
    recorded: int


def curves(view: View) -> Figure | None:
    """A line for each point and for each of its seeds; None if nothing was recorded."""
    kinds = _kinds(view)
    if not kinds:
        return None
    points = _some_points(view)
    seeds = min(view.seeds, max(1, _MOST_MEMBERS // len(points))) if view.seeds > 1 else 0
    places = _places(view)
    colours = dict(zip(points.tolist(), _library.colours(places[points].tolist()), strict=True))
    order = sorted(points.tolist(), key=lambda index: (index == view.answer.index, places[index]))
    data = []
    for losses in kinds:
        for index in order:
            data += _traces(view, losses, index, seeds, colours[index], shown=losses is kinds[0])
    data += [_colour_bar(view)] if view.points > 1 else []
    scales = {losses.kind: _scale(losses) for losses in kinds}
    last = max(float(losses.steps[-1]) for losses in kinds)
    x = {"title": "step", "range": [-0.02 * last - 0.05, 1.02 * last + 0.05], "tickformat": ",d"}
    return Figure(
        name="curves",
        title="Training curves",
        caption=_caption(view, kinds, points, seeds),
        data=data,
        layout=layout(x, loss_axis(scales[kinds[0].kind])),
        scales=scales,
        controls=tuple(_controls(view, kinds, points, seeds, scales)),
    )


def _kinds(view: View) -> list[_Losses]:
    """Held-out losses first, since points are judged by them."""
    data = view.data
    kinds = []
    for kind, steps, metrics in (
        ("held-out", data.held_out_steps, data.held_out),
        ("training", data.recorded_steps, data.metrics),
    ):
        if "loss" in metrics and np.isfinite(metrics["loss"]).any():
            some = _some(len(steps), _MOST_RECORDS)
            kinds.append(_Losses(kind, steps[some], metrics["loss"][..., some].astype(float), len(steps)))
    return kinds


def _some(count: int, most: int) -> np.ndarray:
    """Evenly spaced places in a row, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))


def _some_points(view: View) -> np.ndarray:
    """The points that are drawn: along the axis, and the chosen one."""
    order = np.argsort(view.axis.values, kind="stable")
    some = order[_some(len(order), _MOST_POINTS)]
    best = view.answer.index
    return some if best is None or best in some else np.append(some, best)


def _places(view: View) -> np.ndarray:
    """Where each point is among the colours, in [0, 1]."""
    values = np.log(view.axis.values) if view.axis.log else view.axis.values
    span = float(np.ptp(values))
    return (values - values.min()) / span if span > 0 else np.zeros(len(values))


def _scale(losses: _Losses) -> dict[str, Any]:
    start = median(losses.values[..., 0])
    medians = np.array([_median_while_all_run(point) for point in losses.values])
    shown = np.where(medians > _style.ceiling(medians, start), np.nan, medians)
    return loss_scale(shown, start, f"{losses.kind} loss")


def _median_while_all_run(curves: np.ndarray) -> np.ndarray:
    """The median over the seeds that were begun, up to where the first of them ends."""
    begun = np.isfinite(curves).any(axis=1)
    return np.median(curves[begun], axis=0) if begun.any() else np.full(curves.shape[1], np.nan)


def _traces(
    view: View, losses: _Losses, index: int, seeds: int, colour: str, shown: bool
) -> list[dict[str, Any]]:
    middle = _median_while_all_run(losses.values[index])
    lines = [("median", "median", point_regime(view.answer.regimes[index]), middle)]
    for seed in range(seeds):
        label = str(view.answer.regimes[index, seed])
        lines.append(("seed", f"seed {seed}", label, losses.values[index, seed]))
    chosen = index == view.answer.index
    colour = _style.CHOSEN if chosen else colour
    thick = (3.0 if chosen else 1.5, 1.6 if chosen else 0.9)
    return [
        {
            "type": "scatter",
            "mode": "lines" if np.isfinite(values).sum() > 1 else "markers",
            "x": losses.steps.tolist(),
            "y": _text.numbers(values),
            "line": {"color": colour, "width": thick[kind == "seed"]},
            "marker": {"color": colour, "size": 5},
            "meta": {
                "kind": kind,
                "regime": label,
                "losses": losses.kind,
                "about": view.about[index] if view.seeds == 1 else f"{name}: {label}<br>{view.about[index]}",
            },
            "hovertemplate": "step %{x:,d}: %{y:.4g}<br>%{meta.about}<extra></extra>",
            "visible": shown and kind == "median",
            "showlegend": chosen and kind == "median",
            "name": _text.in_chart(_name(view)),
        }
        for kind, name, label, values in lines
    ]


def _name(view: View) -> str:
    rate = view.answer.learning_rate
    return "chosen" if rate is None else f"chosen: {rate:.3g}"


def _colour_bar(view: View) -> dict[str, Any]:
    """A trace of nothing: it carries the bar that explains the colours."""
    values = np.log10(view.axis.values) if view.axis.log else view.axis.values
    low, high = float(values.min()), float(values.max())
    marks = np.linspace(low, high, 5)
    if view.axis.log and high - low >= 2:
        marks = np.arange(np.ceil(low - 1e-9), high + 1e-9, max(1, round((high - low) / 6)))
    elif view.axis.name is None:
        marks = np.unique(marks.round())
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [None],
        "y": [None],
        "showlegend": False,
        "hoverinfo": "skip",
        "marker": {
            "color": [low],
            "cmin": low,
            "cmax": high if high > low else low + 1,
            "colorscale": _library.colour_scale(),
            "showscale": True,
            "colorbar": {
                "title": {"text": _text.in_chart(view.axis.title), "side": "right"},
                "tickvals": marks.tolist(),
                "ticktext": [_text.short(10**mark if view.axis.log else mark) for mark in marks],
                "thickness": 14,
                "outlinewidth": 0,
            },
        },
    }


def _controls(
    view: View, kinds: list[_Losses], points: np.ndarray, seeds: int, scales: dict[str, dict[str, Any]]
) -> list[Control]:
    found = []
    if len(kinds) > 1:
        found += [
            Control("losses", losses.kind, f"{losses.kind} loss", losses is kinds[0], single=True)
            for losses in kinds
        ]
    if seeds:
        found += [Control("kind", "median", "median over seeds"), Control("kind", "seed", "each seed", False)]
    if any(scale["log"] is not None for scale in scales.values()):
        found.append(Control("log", "", "log loss axis"))
    drawn = view.answer.regimes[points].ravel().tolist()
    seen = {*drawn, *(point_regime(view.answer.regimes[index]) for index in points)}
    labels = [label for label in REGIMES if label in seen]
    if len(labels) > 1:
        found += [Control("regime", label, f"{label} ({drawn.count(label)})") for label in labels]
    return found


def _caption(view: View, kinds: list[_Losses], points: np.ndarray, seeds: int) -> str:
    parts = [f"Lines are coloured by {view.axis.title}; the chosen one is orange."]
    if view.seeds > 1:
        parts.append("A median ends where the first of its seeds does.")
    if len(points) < view.points:
        parts.append(f"{len(points)} of {view.points} points are drawn, evenly spaced and the chosen one.")
    if 0 < seeds < view.seeds:
        parts.append(f"Of each point, {seeds} of {view.seeds} seeds are.")
    thinned = [losses for losses in kinds if len(losses.steps) < losses.recorded]
    parts += [
        f"A line of {losses.kind} losses holds {len(losses.steps)} of {losses.recorded:,} records."
        for losses in thinned
    ]
    return " ".join(parts)
