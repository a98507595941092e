"""What pictures ask about a sweep's points: which hyperparameters vary, and how their values are written."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from lrjax._values import identity, name_of, ordered, plain, shortened
from lrjax.answer import Answer, final_losses
from lrjax.results import SweepData

_LONGEST_NAME = 32  # letters of an axis' label


def rates_of(data: SweepData) -> np.ndarray | None:
    """The learning rate of each point, or None if the sweep was not over one."""
    values = data.points.get(data.name)
    return None if values is None or values.dtype == object else values.astype(float)


def varying(data: SweepData) -> list[str]:
    """The hyperparameters of which there is more than one value."""
    return [name for name, values in data.points.items() if len({identity(value) for value in values}) > 1]


def fails(data: SweepData, answer: Answer) -> np.ndarray:
    """Which points failed for at least half of the seeds that were measured, bool `[points]`."""
    measured = answer.failed | np.isfinite(final_losses(data)[0])
    return answer.failed.any(axis=1) & (2 * answer.failed.sum(axis=1) >= measured.sum(axis=1))


def why_none(answer: Answer) -> str:
    """Why there is no best point, in a few words."""
    if answer.failed.any():
        return "no point trained"
    return "the rate makes no difference" if np.isfinite(answer.scores).any() else "nothing was measured"


def combinations(data: SweepData) -> list[tuple[str, np.ndarray]]:
    """The points of each combination of the hyperparameters other than the rate, and what it is called.

    Numbers come in their order, anything else in that of the grid; the label is "" if there is but one.
    """
    names = [name for name in varying(data) if name != data.name]
    ranks = [ordered(data.points[name])[1] for name in names]
    groups: dict[tuple[int, ...], list[int]] = {}
    for index in range(len(data.diverged_at)):
        groups.setdefault(tuple(int(rank[index]) for rank in ranks), []).append(index)
    return [(point_text(data, members[0], names), np.array(members)) for _, members in sorted(groups.items())]


def legend_of(data: SweepData, groups: list[tuple[str, np.ndarray]]) -> tuple[list[str], str]:
    """What a legend calls each combination, and a title that names their hyperparameters if it does not.

    Of several hyperparameters the values alone, in the order of the title: names in every line leave no room.
    """
    names = [name for name in varying(data) if name != data.name]
    if len(names) < 2 or len(groups) < 2:
        return [label for label, _ in groups], ""
    columns = [value_texts(data.points[name]) for name in names]
    labels = [", ".join(column[members[0]] for column in columns) for _, members in groups]
    return labels, f"lines: {', '.join(names)}"


def point_text(data: SweepData, index: int, names: list[str]) -> str:
    """Some of a point's hyperparameters, as `name=value, ...`."""
    return ", ".join(f"{name}={value_texts(data.points[name])[index]}" for name in names)


def chosen_text(data: SweepData, answer: Answer) -> str:
    """The chosen rate, or where there is none the chosen point."""
    if answer.learning_rate is not None:
        return f"{answer.learning_rate:.3g}"
    return "" if answer.index is None else point_text(data, answer.index, list(data.points))


def value_texts(values: Iterable[Any]) -> list[str]:
    """Hyperparameters' values: in full if five digits do, else with as few as tell them apart, three or more.

    0.9999 is no 1, whatever stands beside it.
    """
    values = [plain(value) for value in values]
    count = len({identity(value) for value in values})
    written = [[_text(value, digits) for value in values] for digits in (3, 4, 5, 6, 17)]
    return next((texts for texts in written if len(set(texts)) == count), written[-1])


def _text(value: Any, digits: int) -> str:
    if not isinstance(value, float):
        return name_of(value)
    full = f"{value:.5g}"
    return full if float(full) == value else f"{value:.{digits}g}"


def words(name: str) -> str:
    """A hyperparameter's name as it is read, as far as an axis has room for it."""
    return shortened(name.replace("_", " "), _LONGEST_NAME)
