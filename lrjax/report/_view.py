"""What all parts of a report look at: final losses, the axis points lie along, what a point is called."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lrjax._values import as_text
from lrjax.answer import Answer, absent, dropped_at, failures, final_losses, regimes_text
from lrjax.plot._points import why_none
from lrjax.report import _text
from lrjax.results import SweepData

_SEEDS_NAMED = 10  # losses that are listed where a point is pointed at


class Axis(NamedTuple):
    """What points are laid out along.

    Attributes:
      name: The hyperparameter, or None if it is just their number.
      title: The same for people.
      values: float `[points]`.
      log: Whether the axis is logarithmic.
    """

    name: str | None
    title: str
    values: np.ndarray
    log: bool


class View(NamedTuple):
    """A sweep as the report sees it.

    Attributes:
      data: The measurements.
      answer: What they mean.
      final: Final losses, `[points, seeds]`.
      initial: First losses, `[points, seeds]`.
      judged_by: What the final losses are.
      dropped: The step at which each point was dropped, or -1, `[points]`.
      axis: What points are laid out along.
      about: Each point in a few lines, for charts.
    """

    data: SweepData
    answer: Answer
    final: np.ndarray
    initial: np.ndarray
    judged_by: str
    dropped: np.ndarray
    axis: Axis
    about: list[str]

    @property
    def points(self) -> int:
        """How many there are."""
        return self.data.diverged_at.shape[0]

    @property
    def seeds(self) -> int:
        """Members per point, at most."""
        return self.data.diverged_at.shape[1]

    @property
    def seeds_in_words(self) -> str:
        """Their number; of a search, which gives some points more, the lowest and the highest."""
        fewest = int((~absent(self.data)).sum(axis=1).min())
        return f"{self.seeds:,}" if fewest == self.seeds else f"{fewest:,} to {self.seeds:,}"


def view(data: SweepData, answer: Answer) -> View:
    """Looks a sweep over once."""
    final, initial, judged_by = final_losses(data)
    dropped = dropped_at(data)
    about = [_about(data, answer, final, judged_by, int(dropped[i]), i) for i in range(len(final))]
    return View(data, answer, final, initial, judged_by, dropped, axis(data), about)


def axis(data: SweepData) -> Axis:
    """The learning rate; without one the first number that varies; without that the points' number."""
    varying = [name for name, values in data.points.items() if len(set(values.tolist())) > 1]
    for name in (data.name, *varying):
        values = data.points.get(name)
        if values is not None and values.dtype != object and np.isfinite(values.astype(float)).all():
            values = values.astype(float)
            positive = bool((values > 0).all())
            log = positive and (name == data.name or values.max() >= 10 * values.min())
            return Axis(name, name.replace("_", " "), values, log)
    return Axis(None, "point", np.arange(len(data.diverged_at), dtype=float), False)


def why_no_rate(view: View) -> str:
    """Why there is no rate and nothing that comes with one; "" if there is."""
    if view.answer.index is None:
        return why_none(view.answer)
    if view.answer.learning_rate is None:
        return f"the sweep was not over {view.data.name.replace('_', ' ')}"
    return ""


def label(data: SweepData, index: int, without: str | None = None) -> str:
    """A point's hyperparameters in one line, but for one of them."""
    return ", ".join(
        f"{name} = {as_text(values[index])}" for name, values in data.points.items() if name != without
    )


def _about(
    data: SweepData, answer: Answer, final: np.ndarray, judged_by: str, dropped: int, index: int
) -> str:
    lines = [f"{name} = {as_text(values[index])}" for name, values in data.points.items()]
    lines.append(f"{judged_by}: {_text.median_and_range(final[index])}")
    if len(final[index]) > 1:
        each = [
            "failed" if f else _text.number(x)
            for x, f in zip(final[index], answer.failed[index], strict=True)
        ]
        more = f" and {len(each) - _SEEDS_NAMED} more" if len(each) > _SEEDS_NAMED else ""
        lines.append(f"by seed: {', '.join(each[:_SEEDS_NAMED])}{more}")
    lines.append(f"regime: {regimes_text(answer.regimes[index])}")
    lines += failures(data, answer, index)
    lines += [f"dropped at step {dropped}"] if dropped >= 0 else []
    first, *others = map(_text.in_chart, lines or ["the only point"])
    return "<br>".join([f"<b>{first}</b>", *others])
