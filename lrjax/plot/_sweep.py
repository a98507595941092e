"""Pictures of a sweep: loss against learning rate, and the training curves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lrjax.answer import Answer, final_losses
from lrjax.plot import _style
from lrjax.results import SweepData

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_LABELS = 8  # of the lines of a basin, in its legend


def sweep_figure(data: SweepData, answer: Answer) -> Axes:
    """A figure with the basin on the left and the training curves on the right.

    Args:
      data: A sweep's measurements.
      answer: What they mean.

    Returns:
      The basin's `Axes`; the figure is its `figure`.

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
    _check_rates(data)
    figure, (left, right) = _style.pyplot().subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    figure.get_layout_engine().set(wspace=0.05)
    basin(data, answer, left)
    curves(data, answer, right)
    return left


def basin(data: SweepData, answer: Answer, ax: Axes | None = None) -> Axes:
    """Final loss against learning rate, on log axes.

    The line is the median over seeds, the band reaches from the worst to the best seed that
    trained, crosses at the top mark points where a seed diverged or ended worse than it began. The
    plateau is shaded and the chosen rate marked. Where other hyperparameters vary too, each of
    their combinations is a line.

    Args:
      data: A sweep's measurements.
      answer: What they mean.
      ax: Where to draw; None makes a figure.

    Returns:
      The `Axes`.

    Raises:
      ImportError: If matplotlib is not installed.
      ValueError: If the sweep was not over learning rates.

    Example:
      >>> import lrjax
      >>> task = lrjax.tasks.load("quadratic-deep")
      >>> grid = {"learning_rate": [0.01, 0.03]}
      >>> sweep = lrjax.sweep(task.trial(lrjax.sgd), grid, task.data, steps=20, progress=False)
      >>> lrjax.plot.basin(sweep, sweep.answer).get_xscale()
      'log'
    """
    _check_rates(data)
    ax = _style.axes(ax)
    final, initial, judged_by = final_losses(data)
    rates = data.points[data.name].astype(float)
    lines = _lines(data)
    for position, (label, members) in enumerate(lines):
        order = members[np.argsort(rates[members])]
        shade = _style.colormap("cividis")(position / max(1, len(lines) - 1) * 0.85)
        colour = _style.LINE if len(lines) == 1 else shade
        named = len(lines) <= _MOST_LABELS or answer.index in members
        _one_basin(ax, rates, final, answer, order, colour, label if named else "_")
    _mark_answer(ax, answer)
    ax.set_xscale("log")
    span = rates.max() / rates.min()
    margin = span**0.04 if span > 1 else 3.0
    ax.set_xlim(rates.min() / margin, rates.max() * margin)
    if answer.index is None:
        ax.set_yticks([])
        ax.text(0.5, 0.5, "no rate trained", ha="center", color=_style.FAILED, transform=ax.transAxes)
    else:
        _loss_scale(ax, np.where(answer.failed, np.nan, final), _median(initial))
    _mark_failures(ax, rates, answer)
    ax.set_xlabel(data.name.replace("_", " "))
    ax.set_ylabel(f"{judged_by} after {data.steps} steps")
    _style.legend(ax)
    return ax


def curves(data: SweepData, answer: Answer, ax: Axes | None = None) -> Axes:
    """Loss against step, a line a point (the median over seeds), coloured by learning rate.

    Held-out losses where there are any, else training losses.

    Args:
      data: A sweep's measurements.
      answer: What they mean.
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
      >>> len(lrjax.plot.curves(sweep, sweep.answer).lines)  # a line a point, and the chosen one
      3
    """
    ax = _style.axes(ax)
    held_out = "loss" in data.held_out
    steps = data.held_out_steps if held_out else data.recorded_steps
    nothing = np.full((*data.diverged_at.shape, len(steps)), np.nan)
    losses = (data.held_out if held_out else data.metrics).get("loss", nothing)
    positions, label, colours = _colour_scale(data)
    medians = np.array([_median_while_all_run(point) for point in losses])
    for index in np.argsort(positions, kind="stable"):
        ax.plot(steps, medians[index], color=colours.to_rgba(positions[index]), linewidth=1.1, alpha=0.9)
    if answer.index is not None:
        ax.plot(
            steps,
            medians[answer.index],
            color=_style.CHOSEN,
            linewidth=2.4,
            label=f"chosen, {_name(data, answer)}",
        )
        _style.legend(ax)
    start = _median(losses[..., 0])
    _loss_scale(ax, np.where(medians > start + 3 * abs(start), np.nan, medians), start)
    ax.set_xlabel("step")
    ax.set_ylabel("held-out loss" if held_out else "training loss")
    ax.figure.colorbar(colours, ax=ax, label=label, pad=0.02)
    return ax


def _one_basin(
    ax: Axes, rates: np.ndarray, final: np.ndarray, answer: Answer, order: np.ndarray, colour: Any, label: str
) -> None:
    trained = np.where(answer.failed, np.nan, final)[order]
    some = np.isfinite(trained).any(axis=1)
    if not some.any():
        return
    x, y = rates[order][some], trained[some]
    ax.plot(x, np.nanmedian(y, axis=1), marker="o", markersize=4, color=colour, label=label)
    ax.fill_between(x, np.nanmin(y, axis=1), np.nanmax(y, axis=1), color=colour, alpha=0.2, linewidth=0)


def _mark_answer(ax: Axes, answer: Answer) -> None:
    if answer.plateau is not None and answer.plateau[0] < answer.plateau[1]:
        low, high = answer.plateau
        ax.axvspan(low, high, color=_style.CHOSEN, alpha=0.1, linewidth=0, label="does as well")
    if answer.learning_rate is not None:
        ax.axvline(answer.learning_rate, color=_style.CHOSEN, linestyle="--", linewidth=1.2)
        label = f"chosen: {answer.learning_rate:.3g}"
        ax.plot(
            answer.learning_rate, answer.score, "*", color=_style.CHOSEN, markersize=14, label=label, zorder=5
        )


def _mark_failures(ax: Axes, rates: np.ndarray, answer: Answer) -> None:
    bad = rates[answer.failed.any(axis=1)]
    if len(bad):
        height = np.full(len(bad), 0.97)
        ax.plot(
            bad,
            height,
            "x",
            color=_style.FAILED,
            markersize=7,
            transform=ax.get_xaxis_transform(),
            label="a seed failed",
            clip_on=False,
        )


def _lines(data: SweepData) -> list[tuple[str, np.ndarray]]:
    """The points of each combination of the other hyperparameters, with a label."""
    others = [name for name in data.points if name != data.name]
    several = data.diverged_at.shape[1] > 1
    labels = ["median, range over seeds" if several else "one seed"] * len(data.points[data.name])
    if others:
        labels = [", ".join(f"{name}={data.points[name][i]}" for name in others) for i in range(len(labels))]
    return [(label, np.flatnonzero(np.array(labels) == label)) for label in dict.fromkeys(labels)]


def _colour_scale(data: SweepData) -> tuple[np.ndarray, str, Any]:
    """What each point is coloured by, its name, and the colours."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm, Normalize

    rates = data.points.get(data.name)
    if rates is not None and rates.dtype != object and (rates.astype(float) > 0).all():
        positions, label = rates.astype(float), data.name.replace("_", " ")
        margin = 1.0 if np.ptp(positions) > 0 else 2.0
        norm: Any = LogNorm(positions.min() / margin, positions.max() * margin)
    else:
        positions, label = np.arange(data.diverged_at.shape[0], dtype=float), "point"
        norm = Normalize(0, max(1, len(positions) - 1))
    return positions, label, ScalarMappable(norm, _style.colormap("viridis"))


def _median_while_all_run(losses: np.ndarray) -> np.ndarray:
    """The median over seeds up to where the first of them went non-finite."""
    return np.median(losses, axis=0)


def _median(losses: np.ndarray) -> float:
    known = losses[np.isfinite(losses)]
    return float(np.median(known)) if len(known) else float("nan")


def _check_rates(data: SweepData) -> None:
    if data.name not in data.points or data.points[data.name].dtype == object:
        got = f"one over {', '.join(data.points) or 'nothing'} (`lrjax.plot.curves` draws it)"
        raise ValueError(f"`basin(data=...)` must be a sweep over {data.name!r}, got {got}")


def _loss_scale(ax: Axes, shown: np.ndarray, start: float) -> None:
    """A log axis for positive losses; the top stays near the loss that training began with."""
    values = shown[np.isfinite(shown)]
    if not len(values):
        return
    low, high = values.min(), max(values.max(), start if np.isfinite(start) else values.max())
    if low > 0:
        ax.set_yscale("log")
        ax.set_ylim(low / 1.3, high * 1.8)
    elif high > low:
        ax.set_ylim(low - 0.05 * (high - low), high + 0.15 * (high - low))


def _name(data: SweepData, answer: Answer) -> str:
    if answer.learning_rate is not None:
        return f"{data.name.replace('_', ' ')} {answer.learning_rate:.3g}"
    return ", ".join(f"{name} {value}" for name, value in answer.point.items())
