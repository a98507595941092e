"""The picture of a range test: loss against the rate that climbs, with every suggestion."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lrjax.answer import RangeAnswer, range_course
from lrjax.plot import _style
from lrjax.results import RangeTestData

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MARKS = {"steep": "v", "minimum": "s", "valley": "D", "slide": "^"}


def ramp(data: RangeTestData, answer: RangeAnswer, ax: Axes | None = None) -> Axes:
    """The loss of every seed against the rate, their average, and what is suggested.

    A thin line is a seed, the thick one what the suggestion is read from: the average over seeds and
    neighbouring rates. The suggestion is marked with a star and its interval over seeds is shaded; the
    published rules are marks along the axis; a dotted line shows where the loss is above its start for good.

    Args:
      data: A range test's measurements.
      answer: What they mean.
      ax: Where to draw; None makes a figure.

    Returns:
      The `Axes`.

    Raises:
      ImportError: If matplotlib is not installed.

    Example:
      >>> import lrjax
      >>> task = lrjax.tasks.load("quadratic-deep")
      >>> test = lrjax.range_test(task.trial(lrjax.sgd), task.data, minimum=1e-5, progress=False)
      >>> lrjax.plot.ramp(test, test.answer).get_xlabel()
      'learning rate'
    """
    ax = _style.axes(ax)
    rates, losses = data.learning_rates, data.losses if data.held_out is None else data.held_out
    for seed, curve in enumerate(losses):
        label = "_" if seed else f"{len(losses)} seeds" if len(losses) > 1 else "one seed"
        ax.plot(rates, curve, color=_style.LINE, linewidth=0.7, alpha=0.35, label=label)
    course = range_course(losses)
    ax.plot(rates[: len(course)], course, color=_style.LINE, linewidth=2.0, label="average")
    if answer.interval is not None:
        ax.axvspan(
            *answer.interval, color=_style.CHOSEN, alpha=0.12, linewidth=0, label="interval over seeds"
        )
    if answer.suggestion is not None:
        ax.axvline(answer.suggestion, color=_style.CHOSEN, linestyle="--", linewidth=1.2)
        height = float(np.interp(np.log(answer.suggestion), np.log(rates[: len(course)]), course))
        label = f"suggested: {answer.suggestion:.3g}"
        ax.plot(answer.suggestion, height, "*", color=_style.CHOSEN, markersize=14, label=label, zorder=5)
    for name, rate in answer.suggestions.items():
        ax.plot(
            rate,
            0.03,
            _MARKS.get(name, "o"),
            color=_style.FAILED,
            markersize=6,
            transform=ax.get_xaxis_transform(),
            label=f"{name}: {rate:.2g}",
        )
    if answer.stable_edge is not None:
        label = f"above its start from {answer.stable_edge:.2g}"
        ax.axvline(answer.stable_edge, color=_style.FAILED, linestyle=":", linewidth=1.4, label=label)
    ax.set_xscale("log")
    ax.set_xlim(rates[0], rates[-1])
    low, start = np.nanmin(course), float(course[0])
    margin = max(start - low, 1e-12 + 0.05 * abs(start))
    ax.set_ylim(low - 0.25 * margin, start + 0.6 * margin)
    ax.set_xlabel(data.name.replace("_", " "))
    ax.set_ylabel("training loss" if data.held_out is None else "held-out loss")
    _style.legend(ax)
    return ax
