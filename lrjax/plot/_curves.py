"""The training curves of a sweep, coloured by learning rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lrjax.answer import REGIMES, Answer, point_regime
from lrjax.plot import _points, _style
from lrjax.results import SweepData

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Dash = tuple[float, tuple[float, ...] | None]

_SOLID: Dash = (0, None)
_REGIMES: dict[str, Dash] = {  # good, slow and unknown ones are solid lines
    "flat": (0, (1, 4)),
    "too low": (0, (1, 1.4)),
    "oscillating": (0, (6, 1.5, 1, 1.5)),
    "unstable": (0, (3, 1.5)),
    "diverged": (0, (8, 2.5)),
    "non-finite": (0, (3, 1, 1, 1, 1, 1)),
}
_ENDS = {  # of a curve, where dashes tell hyperparameters apart
    "flat": "_",
    "too low": "v",
    "oscillating": "D",
    "unstable": "^",
    "diverged": "s",
    "non-finite": "P",
}
_COMBINATIONS: tuple[Dash, ...] = (_SOLID, (0, (5, 2)), (0, (1, 1.4)), (0, (6, 1.5, 1, 1.5)))
_FEW = 20  # curves that are drawn in full strength


def curves(data: SweepData, answer: Answer, ax: Axes | None = None) -> Axes:
    """Loss against step, a line a point (the median over seeds), coloured by learning rate.

    Held-out losses where there are any, else training losses. A curve ends where one of its seeds does,
    with a cross if that diverged. Dashes tell curves apart whose regime is not good or slow.

    Where other hyperparameters vary too, dashes are for up to four of their combinations, and marks at the
    ends for the regimes; of more combinations those curves are drawn that belong to the best point's, which
    the title names.

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
      >>> ax = lrjax.plot.curves(sweep, sweep.answer)
      >>> len(ax.collections[0].get_segments()), ax.get_legend().get_texts()[0].get_text()
      (2, 'chosen: 0.03')
    """
    ax = _style.axes(ax)
    from matplotlib.ticker import MaxNLocator

    steps, losses, held_out = _losses(data)
    groups, title = _drawn(data, answer)
    medians = np.array([_while_all_run(point) for point in losses])
    start = _style.median(losses[..., 0]) if losses.shape[-1] else float("nan")
    members = np.sort(np.concatenate([group for _, group in groups]))
    drawn = medians[members]
    _style.loss_scale(ax, np.where(drawn > _style.ceiling(drawn, start), np.nan, drawn), start)
    if not np.isfinite(drawn).any():
        ax.set_yticks([])
    _limit_steps(ax, steps)
    positions, label, colours = _colour_scale(data)
    order = members[np.argsort(positions[members], kind="stable")]
    dashes = _dashes(answer, groups)
    _lines(ax, steps, medians, order, [dashes[i] for i in order], colours.to_rgba(positions))
    if answer.index is not None:
        ax.plot(
            steps,
            medians[answer.index],
            color=_style.CHOSEN,
            linewidth=2.4,
            linestyle=dashes[answer.index],
            label=f"chosen: {_points.chosen_text(data, answer)}",
        )
    ends = {i: end for i in order if (end := _end(ax, steps, medians[i])) is not None}
    _legend_of_dashes(ax, answer, groups, ends, colours.to_rgba(positions))
    _crosses(ax, [ends[i] for i in ends if (data.diverged_at[i] >= 0).any()])
    ax.set_xlabel("step")
    ax.set_ylabel("held-out loss" if held_out else "training loss")
    _style.legend(ax, title, beside_bar=True)
    # Inside the axes' own box: beside it the layout would leave room for what other axes hold on their right.
    place = ax.inset_axes((1.02, 0, 0.035, 1))
    ticks = MaxNLocator(integer=True) if colours.norm.vmin == 0 else None  # of points by their numbers
    bar = ax.figure.colorbar(colours, cax=place, label=label, ticks=ticks)
    if answer.index is not None:
        bar.ax.axhline(positions[answer.index], color=_style.CHOSEN, linewidth=2.4)
    return ax


def _losses(data: SweepData) -> tuple[np.ndarray, np.ndarray, bool]:
    """Steps, losses `[points, seeds, records]`, and whether they are held-out ones."""
    held_out = "loss" in data.held_out
    steps = data.held_out_steps if held_out else data.recorded_steps
    nothing = np.full((*data.diverged_at.shape, len(steps)), np.nan)
    return steps, (data.held_out if held_out else data.metrics).get("loss", nothing), held_out


def _drawn(data: SweepData, answer: Answer) -> tuple[list[tuple[str, np.ndarray]], str]:
    """The combinations whose curves are drawn, as the legend calls them, and its title."""
    everything = [("", np.arange(len(data.diverged_at)))]
    groups = _points.combinations(data) if _points.rates_of(data) is not None else everything
    if len(groups) <= len(_COMBINATIONS):
        labels, title = _points.legend_of(data, groups)
        return [(label, members) for label, (_, members) in zip(labels, groups, strict=True)], title
    best = next((group for group in groups if answer.index in group[1]), groups[0])
    return [best], f"at {best[0]}, one of {len(groups)} combinations"


def _while_all_run(losses: np.ndarray) -> np.ndarray:
    """The median over the seeds that began, up to where the first of them went non-finite."""
    began = np.isfinite(losses).any(axis=1)
    losses = losses[began] if began.any() else losses
    ended = np.logical_or.accumulate(~np.isfinite(losses).all(axis=0))
    return np.where(ended, np.nan, np.median(losses, axis=0))


def _dashes(answer: Answer, groups: list[tuple[str, np.ndarray]]) -> dict[int, Dash]:
    if len(groups) > 1:
        return {i: _COMBINATIONS[place] for place, (_, group) in enumerate(groups) for i in group}
    return {i: _REGIMES.get(point_regime(answer.regimes[i]), _SOLID) for i in groups[0][1]}


def _lines(
    ax: Axes, steps: np.ndarray, medians: np.ndarray, order: np.ndarray, dashes: list[Dash], colours: Any
) -> None:
    """All curves as one artist, the thinner and paler the more there are."""
    from matplotlib.collections import LineCollection

    crowd = max(1.0, len(order) / _FEW) ** 0.5
    segments = [np.column_stack((steps, medians[i]))[np.isfinite(medians[i])] for i in order]
    collection = LineCollection(
        segments,
        colors=colours[order],
        linestyles=dashes,
        linewidths=max(0.5, 1.3 / crowd),
        alpha=max(0.35, 0.95 / crowd),
    )
    ax.add_collection(collection, autolim=False)


def _end(ax: Axes, steps: np.ndarray, curve: np.ndarray) -> tuple[float, float] | None:
    """Where a curve leaves the picture or ends."""
    known = np.flatnonzero(np.isfinite(curve))
    if not len(known):
        return None
    top = ax.get_ylim()[1]
    above = known[curve[known] > top]
    if not len(above):
        return float(steps[known[-1]]), float(curve[known[-1]])
    after = int(above[0])
    if after == 0:
        return float(steps[0]), top
    low, high = curve[after - 1], curve[after]
    scale = np.log if ax.get_yscale() == "log" else float
    share = (scale(top) - scale(low)) / (scale(high) - scale(low))
    return float(steps[after - 1] + share * (steps[after] - steps[after - 1])), top


def _crosses(ax: Axes, ends: list[tuple[float, float]]) -> None:
    if ends:
        x, y = zip(*ends, strict=True)
        size, strength = (6, 1.0) if len(ends) <= _FEW else (3.5, 0.6)
        look: dict[str, Any] = {"color": "black", "alpha": strength, "markersize": size}
        ax.plot(x, y, "x", label="a seed diverged", zorder=4, clip_on=False, **look)


def _legend_of_dashes(
    ax: Axes,
    answer: Answer,
    groups: list[tuple[str, np.ndarray]],
    ends: dict[int, tuple[float, float]],
    colours: Any,
) -> None:
    """A line in the legend for each combination, or for each regime that needs telling."""
    regimes = {i: point_regime(answer.regimes[i]) for _, group in groups for i in group}
    found = [label for label in REGIMES if label in _REGIMES and label in regimes.values()]
    if len(groups) == 1:
        for label in found:
            ax.plot([], [], color=_style.FAILED, linestyle=_REGIMES[label], linewidth=1.3, label=label)
        return
    for (label, _), dash in zip(groups, _COMBINATIONS, strict=False):
        ax.plot([], [], color=_style.FAILED, linestyle=dash, linewidth=1.3, label=label)
    for label in found:
        members = [i for i in ends if regimes[i] == label]
        ax.plot([], [], _ENDS[label], color=_style.FAILED, markersize=5, label=label)
        for i in members:
            ax.plot(*ends[i], _ENDS[label], color=colours[i], markersize=5, zorder=3, clip_on=False)


def _colour_scale(data: SweepData) -> tuple[np.ndarray, str, Any]:
    """What each point is coloured by, its name, and the colours."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm, Normalize

    rates = _points.rates_of(data)
    if rates is not None and (rates > 0).all():
        margin = 1.0 if np.ptp(rates) > 0 else 2.0
        norm: Any = LogNorm(rates.min() / margin, rates.max() * margin)
        return rates, _points.words(data.name), ScalarMappable(norm, _style.rate_colours())
    positions = np.arange(len(data.diverged_at), dtype=float)
    norm = Normalize(0, max(1, len(positions) - 1))
    return positions, "point", ScalarMappable(norm, _style.rate_colours())


def _limit_steps(ax: Axes, steps: np.ndarray) -> None:
    if len(steps):
        margin = 0.03 * max(1, steps[-1] - steps[0])
        ax.set_xlim(steps[0] - margin, steps[-1] + margin)
