"""The picture of what a sweep cost, and what was saved."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lrjax.plot import _style
from lrjax.results import SweepData

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_THICK = 0.5  # of a bar, where one row is 1
_ROW = 0.24  # from one label above a bar to the next


class _Part(NamedTuple):
    name: str
    amount: float
    colour: str
    hatch: str = ""


class _Bar(NamedTuple):
    name: str
    unit: str
    parts: tuple[_Part, ...]


def ledger(data: SweepData, ax: Axes | None = None) -> Axes:
    """What a sweep took, as bars whose parts are labelled with amounts and shares.

    The first bar is the member-steps of the full grid: those whose members were kept, those wasted on
    members that diverged or were dropped, those saved. The second, of a sweep that went on from a directory,
    is the used ones: computed now, or reused. The last is the seconds: running, compiling, probing.

    Args:
      data: A sweep's measurements.
      ax: Where to draw; None makes a figure.

    Returns:
      The `Axes`.

    Raises:
      ImportError: If matplotlib is not installed.

    Example:
      >>> import lrjax
      >>> task = lrjax.tasks.load("quadratic-deep")
      >>> grid = {"learning_rate": [0.01, 0.03]}
      >>> sweep = lrjax.sweep(task.trial(lrjax.sgd), grid, task.data, steps=20, progress=False)
      >>> lrjax.plot.ledger(sweep).texts[-1].get_text()
      'kept 40 (100 %)'
    """
    bars = _bars(data)
    ax = _style.axes(ax, 0.8 + 1.1 * len(bars))
    room = _style.letters(ax)
    height = 0.0
    ticks = []
    for bar in reversed(bars):
        ticks.append(height)
        height += 0.5 * _THICK + _ROW * (_draw(ax, bar, height, room) + 1) + 0.5 * _THICK
    ax.set_yticks(ticks, [_title(bar) for bar in reversed(bars)], fontsize=_style.TEXT)
    ax.set_ylim(-0.5 * _THICK - 0.1, height - 0.5 * _THICK)
    ax.set_xlim(0, 100)
    ax.set_xlabel("share in %")
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
    ax.tick_params(axis="y", length=0)
    return ax


def _bars(data: SweepData) -> list[_Bar]:
    cost = data.cost
    kept = max(0, cost.member_steps_used - cost.member_steps_wasted)
    bars = [
        _Bar(
            "member-steps",
            "",
            (
                _Part("kept", kept, _style.LINE),
                _Part("wasted", cost.member_steps_wasted, _style.GOLD, "///"),
                _Part("saved", max(0, cost.member_steps_saved), "0.9"),
            ),
        )
    ]
    if cost.member_steps_reused:
        now = max(0, cost.member_steps_used - cost.member_steps_reused)
        parts = (
            _Part("computed now", now, _style.LINE),
            _Part("reused", cost.member_steps_reused, _style.PALE, ".."),
        )
        bars.append(_Bar("of the used ones", "", parts))
    parts = (
        _Part("running", cost.seconds_running, _style.LINE),
        _Part("compiling", cost.seconds_compiling, _style.GOLD, "///"),
        _Part("probing", cost.seconds_probing, _style.PALE, ".."),
    )
    bars.append(_Bar("seconds", " s", parts))
    return bars


def _draw(ax: Axes, bar: _Bar, height: float, room: int) -> int:
    """One bar with its labels; returns how many of them stand above it."""
    whole = sum(part.amount for part in bar.parts) or 1.0
    outside: list[tuple[float, str]] = []
    left = 0.0
    for part in bar.parts:
        share = part.amount / whole
        if share <= 0:
            continue
        look = {"color": part.colour, "edgecolor": "white", "hatch": part.hatch, "linewidth": 0.6}
        ax.barh(height, 100 * share, _THICK, 100 * left, **look)
        label = f"{part.name} {_amount(part.amount)}{bar.unit} ({_percent(share)} %)"
        if len(label) + 2 <= share * room:
            dark = part.colour == _style.LINE
            ax.text(
                100 * (left + share / 2),
                height,
                label,
                ha="center",
                va="center",
                fontsize=_style.TEXT,
                color="white" if dark else "black",
                bbox=None
                if dark
                else {"facecolor": part.colour, "edgecolor": "none", "boxstyle": "square,pad=0.3"},
            )
        else:
            outside.append((100 * (left + share / 2), label))
        left += share
    for row, (at, label) in enumerate(_rows(outside)):
        _above(ax, at, label, height + 0.5 * _THICK, row)
    return len(outside)


def _rows(outside: list[tuple[float, str]]) -> list[tuple[float, str]]:
    """Labels from the lowest row to the highest, so that no line to a bar runs through another label.

    Those of the left half extend to the right, and the rightmost of them is the lowest; the others
    extend to the left, and the leftmost is the lowest.
    """
    return [one for one in reversed(outside) if one[0] < 50] + [one for one in outside if one[0] >= 50]


def _above(ax: Axes, at: float, label: str, top: float, row: int) -> None:
    up = top + _ROW * (row + 0.6)
    ax.plot([at, at], [top - 0.25 * _THICK, up], color="black", linewidth=0.6, clip_on=False)
    ax.text(
        at,
        up,
        f" {label}" if at < 50 else f"{label} ",
        ha="left" if at < 50 else "right",
        va="center",
        fontsize=_style.TEXT,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
    )


def _title(bar: _Bar) -> str:
    whole = sum(part.amount for part in bar.parts)
    return f"{bar.name}\n{_amount(whole)}{bar.unit}"


def _amount(number: float) -> str:
    if isinstance(number, int):
        return f"{number:,}"
    return f"{number:.3g}" if number < 1000 else f"{number:,.0f}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f}" if share >= 0.01 else "<1"
