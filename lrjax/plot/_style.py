"""What all pictures share: colours, axes, the scale of losses, where the legend stands."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from lrjax._values import shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colours: told apart by colour-blind readers; those of one picture also differ in grey.
CHOSEN = "#d55e00"
LINE = "#0072b2"
PALE = "#56b4e9"
GOLD = "#e69f00"
FAILED = "#555555"

TEXT = 8  # points; of all that is written into a picture
MARKERS = "os^DvP<>"  # of lines that are to be told apart without colours
_PER_INCH = 16  # letters of that size
_BESIDE_BAR = 0.85  # of the axes' width, what a colour bar leaves of it
_WIDEST_RATE = 12  # letters that a rate on an axis takes at most, with what is left between two
_LEAST_FALL = 0.05  # of the start's size, that an axis of losses shows
_ABOUT_LOG = 2.0  # how many times the lowest loss the highest is, from which on the axis is logarithmic


def axes(ax: Axes | None, height: float = 4.2) -> Axes:
    """The axes to draw on, made if there are none, 6 inches wide."""
    return pyplot().subplots(figsize=(6, height), layout="constrained")[1] if ax is None else ax


def pyplot() -> Any:
    """matplotlib.pyplot, or an error that names the extra."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("drawing needs matplotlib: pip install 'lrjax[plot]'") from error
    return plt


def without_screen() -> None:
    """Has pictures drawn into files alone, as where there may be no screen."""
    pyplot().switch_backend("agg")


def colormap(name: str) -> Any:
    """A colour map by name."""
    import matplotlib

    return matplotlib.colormaps[name]


def rate_colours() -> Any:
    """Viridis without its end, which is too pale for lines on white."""
    from matplotlib.colors import ListedColormap

    return ListedColormap(colormap("viridis")(np.linspace(0, 0.92, 256)))


def letters(ax: Axes, beside_bar: bool = False) -> int:
    """How many letters of a legend are as wide as the axes, once a colour bar stands beside them or not."""
    inches = ax.get_position().width * ax.figure.get_figure(root=True).get_figwidth()
    return int(inches * _PER_INCH * (_BESIDE_BAR if beside_bar else 1))


def legend(ax: Axes, title: str = "", beside_bar: bool = False) -> None:
    """Above the axes, where it covers nothing, and no wider than they are."""
    handles, labels = ax.get_legend_handles_labels()
    if not handles and not title:
        return
    room = letters(ax, beside_bar)
    labels = [shortened(" ".join(label.split()), max(20, room - 6)) for label in labels]
    ax.legend(
        handles,
        labels,
        title="\n".join(textwrap.wrap(title, room)) or None,
        title_fontsize=TEXT,
        alignment="left",
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=_columns(labels, room),
        fontsize=TEXT,
        frameon=False,
        columnspacing=1.2,
        borderaxespad=0.2,
    )


def _columns(labels: list[str], room: int) -> int:
    """The most columns in which the labels fit; each is as wide as its longest label and its handle."""
    for columns in range(min(4, len(labels)), 1, -1):
        parts = np.array_split([len(label) for label in labels], columns)
        if sum(int(part.max()) + 8 for part in parts) <= room:
            return columns
    return 1


def ceiling(losses: np.ndarray, start: float) -> float:
    """The highest loss that an axis makes room for: above its start by as much as the best one fell.

    By three times that on an axis that will be logarithmic, where it takes less room. Whether losses are
    positive does not matter. Where none fell it is three times the start's size above it.
    """
    known = losses[np.isfinite(losses)]
    low = float(known.min()) if len(known) else start
    if not low < start:
        return start + 3 * abs(start)
    times = 3 if 0 < _ABOUT_LOG * low < start else 1
    return start + times * max(start - low, _LEAST_FALL * abs(start))


def loss_scale(ax: Axes, shown: np.ndarray, start: float, below: float = 0.05, above: float = 0.12) -> None:
    """Limits around the losses that leave the shares `below` and `above` of the axis free.

    The axis is logarithmic where losses are positive and differ by much; its top stays near the loss that
    training began with.
    """
    values = shown[np.isfinite(shown)]
    if not len(values):
        return
    low, high = float(values.min()), float(max(values.max(), start if np.isfinite(start) else values.max()))
    if low > 0 and high > _ABOUT_LOG * low:
        ax.set_yscale("log")
        bottom, top = (np.exp(end) for end in _around(np.log(low), np.log(high), below, above))
    elif high > low:
        bottom, top = _around(low, high, below, above)
    else:
        around = abs(low) or 1.0
        bottom, top = low - 0.1 * around, high + 0.1 * around
    ax.set_ylim(bottom, top)


def _around(low: float, high: float, below: float, above: float) -> tuple[float, float]:
    whole = (high - low) / (1 - below - above)
    return low - below * whole, high + above * whole


def rate_limits(ax: Axes, rates: np.ndarray) -> None:
    """A log axis that begins and ends a little outside of all rates; of less than a decade it names rates."""
    low, high = rates.min(), rates.max()
    margin = (high / low) ** 0.04 if high > low else 3.0
    ax.set_xscale("log")
    ax.set_xlim(low / margin, high * margin)
    if high < 10 * low:
        room = letters(ax) / np.log(high / low * margin**2)  # letters per e-fold
        named: list[float] = []
        for rate in np.unique(rates):
            if not named or np.log(rate / named[-1]) * room > _WIDEST_RATE:
                named.append(float(rate))
        ax.set_xticks(named, [f"{rate:.3g}" for rate in named])
        ax.set_xticks([], minor=True)


def say(ax: Axes, text: str) -> None:
    """A few words in a picture that shows little, above its middle, where a line that is level would lie."""
    look = {"facecolor": "white", "edgecolor": "none", "pad": 3}
    ax.text(0.5, 0.7, text, ha="center", va="center", color=FAILED, transform=ax.transAxes, bbox=look)


def median(losses: np.ndarray) -> float:
    """The median of what is finite; NaN of nothing."""
    known = losses[np.isfinite(losses)]
    return float(np.median(known)) if len(known) else float("nan")
