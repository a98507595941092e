"""The chart of an allocation: which points it kept at each rung."""

from __future__ import annotations

from typing import Any

import numpy as np

from lrjax.answer import losses_at_the_end, medians, rungs
from lrjax.plot import _style
from lrjax.report import _text
from lrjax.report._figure import Control, Figure, layout, loss_axis, loss_scale, median
from lrjax.report._view import View

_MOST_LINES = 200
_MOST_MARKS = 8  # steps that are written along the axis


def halving(view: View) -> Figure | None:
    """Every point's loss at each rung until it was dropped; None without an allocation."""
    data = view.data
    if not data.rungs:
        return None
    losses = np.array([medians(at_rung) for _, at_rung, _ in data.rungs]).T  # [points, rungs]
    end = np.where(view.dropped < 0, medians(losses_at_the_end(data)), np.nan)
    steps = [step for step, _, _ in data.rungs] + [data.steps]
    courses = np.column_stack([losses, end])
    courses[~np.isfinite(courses)] = np.nan
    order = np.argsort(view.dropped < 0, kind="stable")  # those that trained on above the others
    measured = [index for index in order if np.isfinite(courses[index]).any()]
    drawn = measured[-_MOST_LINES:]
    traces = [_course(view, steps, courses[index], index) for index in drawn]
    traces += [_dropped(view, steps, courses, drawn)]
    far_above = courses > _style.ceiling(courses, median(view.initial))
    scale = loss_scale(np.where(far_above, np.nan, courses), float("nan"), "loss at the rung")
    above = " Losses far above that before training are beyond the top." if far_above.any() else ""
    few = len(steps) <= _MOST_MARKS
    marks = {"tickvals": steps, "ticktext": [f"{step:,}" for step in steps]} if few else {}
    most = f" {len(drawn)} of {view.points} points are drawn." if len(drawn) < len(measured) else ""
    return Figure(
        name="halving",
        title="What the allocation kept",
        caption="A line is a point, with its median loss at each rung and at the end; a cross is where it "
        f"was dropped.{above}{most}",
        data=traces,
        layout=layout({"title": "step", "type": "log", **marks}, loss_axis(scale)),
        scales={"": scale},
        controls=(Control("log", "", "log loss axis"),) if scale["log"] is not None else (),
    )


def _course(view: View, steps: list[int], course: np.ndarray, index: int) -> dict[str, Any]:
    chosen, kept = index == view.answer.index, view.dropped[index] < 0
    colour = _style.CHOSEN if chosen else _style.LINE if kept else "#9aa5b1"
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "x": steps,
        "y": _text.numbers(course),
        "text": view.about[index],
        "hovertemplate": "step %{x:,d}: %{y:.4g}<br>%{text}<extra></extra>",
        "line": {"color": colour, "width": 3 if chosen else 1.5},
        "marker": {"color": colour, "size": 6},
        "name": "chosen",
        "showlegend": bool(chosen),
    }


def _dropped(view: View, steps: list[int], courses: np.ndarray, drawn: list[int]) -> dict[str, Any]:
    gone = [index for index in drawn if view.dropped[index] in steps]
    last = [steps.index(int(view.dropped[index])) for index in gone]
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [steps[place] for place in last],
        "y": _text.numbers(courses[gone, last]),
        "text": [view.about[index] for index in gone],
        "hovertemplate": "%{text}<extra></extra>",
        "marker": {"symbol": "x", "size": 9, "color": _style.FAILED},
        "name": "dropped",
    }


def rung_table(view: View) -> str:
    """What came of each decision, as HTML."""
    rows = []
    for rung in rungs(view.data):
        rank = "-" if np.isnan(rung.rank_correlation) else f"{rung.rank_correlation:.2f}"
        cells = (f"{rung.step:,}", f"{rung.entered:,}", f"{rung.kept:,}", rank)
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    heads = ("step", "points that entered", "points kept", "rank correlation with what came later")
    head = "".join(f'<th scope="col">{text}</th>' for text in heads)
    return f'<table class="small"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
