"""The charting library: plotly.js, as the Python package holds it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_BRIGHTEST = 0.88  # of viridis: its yellow end is hard to see on white


def plotly_js() -> tuple[str, str]:
    """The library's text, safe to stand in a `<script>`, and the version of the package it is from.

    Raises:
      ImportError: If plotly is not installed.
    """
    plotly = _plotly()
    from plotly.offline import get_plotlyjs

    return get_plotlyjs().replace("</script", "<\\/script"), plotly.__version__


def colours(positions: Sequence[float]) -> list[str]:
    """Colours of viridis for positions in [0, 1], dark for low ones."""
    _plotly()
    from plotly.colors import sample_colorscale

    return [
        str(colour)
        for colour in sample_colorscale("Viridis", [_BRIGHTEST * position for position in positions])
    ]


def colour_scale() -> list[list[Any]]:
    """The same colours as a chart takes them."""
    stops = [i / 10 for i in range(11)]
    return [[stop, colour] for stop, colour in zip(stops, colours(stops), strict=True)]


def _plotly() -> Any:
    try:
        import plotly
    except ImportError as error:
        raise ImportError("a report needs plotly: pip install 'lrjax[report]'") from error
    return plotly
