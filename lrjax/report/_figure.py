"""A chart as plain values, and what charts share: their look, their loss axis, what switches them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from lrjax.report import _text

_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_GRID = "#e4e7eb"
_INK = "#1f2933"
_TICKS = {"log": 4, "linear": 8}  # at most; more of a log axis would be 0.7, 0.8 and 0.9, one on the other


class Control(NamedTuple):
    """Something to tick beside a chart.

    Attributes:
      facet: What it chooses by: a trace shows if, of each facet its `meta` has and that has controls, the
        value is ticked. The facet "log" is the scale of the loss axis.
      value: The value of that facet.
      text: What stands beside it.
      ticked: Whether it is at first.
      single: Whether one of its facet is ticked at a time.
    """

    facet: str
    value: str
    text: str
    ticked: bool = True
    single: bool = False


class Figure(NamedTuple):
    """A chart.

    Attributes:
      name: Its identifier in the page.
      title: Its heading.
      caption: What it shows, in sentences.
      data: Its traces.
      layout: Its axes and margins.
      scales: The ranges of its loss axis ("log" and "linear") and the axis' `title`, by the value that is
        ticked of the facet "losses"; the only one without such a facet. Empty if nothing is to be switched.
      controls: What switches it.
    """

    name: str
    title: str
    caption: str
    data: list[dict[str, Any]]
    layout: dict[str, Any]
    scales: dict[str, dict[str, Any]]
    controls: tuple[Control, ...] = ()


def layout(x: dict[str, Any], y: dict[str, Any], **more: Any) -> dict[str, Any]:
    """What is laid out alike in all charts."""
    return {
        "xaxis": line_axis(**x),
        "yaxis": line_axis(**y),
        "font": {"family": _FONT, "size": 13, "color": _INK},
        "paper_bgcolor": "#ffffff",
        "plot_bgcolor": "#ffffff",
        "height": 460,
        "margin": {"l": 76, "r": 24, "t": 56, "b": 60},
        "hovermode": "closest",
        "hoverlabel": {
            "align": "left",
            "bgcolor": "#ffffff",
            "bordercolor": "#7b8794",
            "font": {"family": _FONT, "color": _INK, "size": 12},
        },
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"},
        **more,
    }


def line_axis(title: str = "", **more: Any) -> dict[str, Any]:
    """An axis with a line along it and a pale grid."""
    return {
        "title": {"text": _text.in_chart(title), "standoff": 12},
        "showline": True,
        "linecolor": "#52606d",
        "gridcolor": _GRID,
        "ticks": "outside",
        "tickcolor": "#52606d",
        "zeroline": False,
        "automargin": True,
        **more,
    }


def loss_scale(shown: np.ndarray, start: float, title: str, below: float = 1) -> dict[str, Any]:
    """The ranges of a loss axis; the top stays near the loss that training began with.

    There are `below` margins under the lowest loss. `log` is None where a loss is not positive, both are
    where there is none. `ticks` is how many numbers stand beside it, either way.
    """
    values = shown[np.isfinite(shown)]
    if not len(values):
        return {"title": title, "log": None, "linear": None, "ticks": _TICKS}
    low, high = float(values.min()), float(values.max())
    high = max(high, start) if np.isfinite(start) else high
    margin = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
    log = log_range(low, high, above=2, below=below) if low > 0 else None
    linear = _text.numbers([low - below * margin, high + 2 * margin], 6)
    return {"title": title, "log": log, "linear": linear, "ticks": _TICKS}


def log_range(low: float, high: float, above: float = 1, below: float = 1) -> list[float]:
    """The range of a logarithmic axis, with so many margins at its ends."""
    margin = 0.05 * np.log10(high / low) or 0.1
    return _text.numbers([np.log10(low) - below * margin, np.log10(high) + above * margin], 6)


def loss_axis(scale: dict[str, Any]) -> dict[str, Any]:
    """A loss axis as it is at first: logarithmic if it can be."""
    return {
        "title": scale["title"],
        "type": "linear" if scale["log"] is None else "log",
        "range": scale["log"] or scale["linear"],
        "tickformat": "~g",
        "nticks": scale["ticks"]["linear" if scale["log"] is None else "log"],
    }


def median(values: np.ndarray) -> float:
    """That of what is finite, or NaN."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")
