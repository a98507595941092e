"""What all pictures share: colours, axes, where the legend stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CHOSEN = "#d55e00"  # vermilion and blue: told apart by colour-blind readers, and in grey
LINE = "#0072b2"
FAILED = "#555555"


def axes(ax: Axes | None) -> Axes:
    """The axes to draw on, made if there are none."""
    return pyplot().subplots(figsize=(6, 4.2), layout="constrained")[1] if ax is None else ax


def pyplot() -> Any:
    """matplotlib.pyplot, or an error that names the extra."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("drawing needs matplotlib: pip install 'lrjax[plot]'") from error
    return plt


def colormap(name: str) -> Any:
    """A colour map by name."""
    import matplotlib

    return matplotlib.colormaps[name]


def legend(ax: Axes) -> None:
    """Above the axes, where it covers nothing, and no wider than they are."""
    handles, labels = ax.get_legend_handles_labels()
    longest = max(map(len, labels), default=0)
    ax.legend(
        handles,
        labels,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=max(1, min(4, 68 // (longest + 8))),
        fontsize=8,
        frameon=False,
        columnspacing=1.2,
        borderaxespad=0.2,
    )
