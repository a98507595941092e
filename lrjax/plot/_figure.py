"""Which pictures of a sweep stand in one figure, and one of them by its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from lrjax import _check
from lrjax._values import ordered
from lrjax.answer import Answer
from lrjax.plot import _points, _style
from lrjax.plot._basin import basin
from lrjax.plot._brackets import brackets
from lrjax.plot._curves import curves
from lrjax.plot._heat_map import heat_map
from lrjax.plot._ledger import ledger
from lrjax.results import SweepData

if TYPE_CHECKING:
    from matplotlib.axes import Axes

KINDS: dict[str, Callable[[SweepData, Answer, Any], Any]] = {
    "basin": basin,
    "curves": curves,
    "heat map": heat_map,
    "brackets": brackets,
    "ledger": lambda data, answer, ax: ledger(data, ax),
}
_MAP = 3  # values of each of two hyperparameters from which on a map shows more than lines do


def sweep_figure(data: SweepData, answer: Answer) -> Axes:
    """A figure with the pictures that suit a sweep.

    On the left the basin, or the heat map where exactly two hyperparameters vary with three values or more
    each; beside it the training curves; below them the brackets of an allocation. A sweep over neither has
    the curves alone.

    Args:
      data: A sweep's measurements.
      answer: What they mean.

    Returns:
      The first picture's `Axes`; the figure is its `figure`.

    Raises:
      ImportError: If matplotlib is not installed.

    Example:
      >>> import lrjax
      >>> task = lrjax.tasks.load("quadratic-deep")
      >>> grid = {"learning_rate": [0.01, 0.03]}
      >>> sweep = lrjax.sweep(task.trial(lrjax.sgd), grid, task.data, steps=20, progress=False)
      >>> ax = lrjax.plot.sweep_figure(sweep, sweep.answer)
      >>> [panel.get_xlabel() for panel in ax.figure.axes[:2]]
      ['learning rate', 'step']
    """
    first = _first(data)
    upper = [first] if first == "curves" else [first, "curves"]
    rows = [upper, ["brackets"] * len(upper)] if data.rungs else [upper]
    figure, panels = _style.pyplot().subplot_mosaic(
        rows, figsize=(5.5 * len(upper), 4.2 + 3.4 * (len(rows) - 1)), layout="constrained"
    )
    figure.get_layout_engine().set(wspace=0.02, hspace=0.03)
    for kind, ax in panels.items():
        KINDS[kind](data, answer, ax)
    return panels[first]


def draw(data: SweepData, answer: Answer, ax: Axes | None = None, kind: str | None = None) -> Axes:
    """One picture of a sweep by its name, or the figure that suits it.

    Args:
      data: A sweep's measurements.
      answer: What they mean.
      ax: Where to draw one picture; None makes a figure.
      kind: "basin", "curves", "heat map", "brackets" or "ledger"; None for all that suit the sweep, or, if
        `ax` is given, for the first of them.

    Returns:
      The picture's `Axes`, of a figure with several the first's.

    Raises:
      ImportError: If matplotlib is not installed.
      ValueError: If `kind` is none of these, or the sweep is not one that it shows.

    Example:
      >>> import lrjax
      >>> task = lrjax.tasks.load("quadratic-deep")
      >>> grid = {"learning_rate": [0.01, 0.03]}
      >>> sweep = lrjax.sweep(task.trial(lrjax.sgd), grid, task.data, steps=20, progress=False)
      >>> lrjax.plot.draw(sweep, sweep.answer, kind="curves").get_xlabel()
      'step'
    """
    if kind is not None and kind not in list(KINDS):
        expected = f"one of {', '.join(map(repr, KINDS))}, or None"
        raise _check.fail("plot", "kind", expected, _check.describe(kind))
    if kind is None and ax is None:
        return sweep_figure(data, answer)
    return KINDS[kind or _first(data)](data, answer, ax)


def _first(data: SweepData) -> str:
    names = _points.varying(data)
    values = [len(ordered(data.points[name])[0]) for name in names]
    if len(names) == 2 and np.min(values) >= _MAP:
        return "heat map"
    return "curves" if _points.rates_of(data) is None else "basin"
