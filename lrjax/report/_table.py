"""The table of all points; the page's script sorts it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from lrjax._values import as_text
from lrjax.answer import failures, held_out_values, mark, regimes_text
from lrjax.report import _text
from lrjax.report._figure import median
from lrjax.report._view import View

_MARKS = {"*": ("chosen", "★ chosen", 0), "~": ("plateau", "plateau", 1), "": ("", "", 3)}
_ALIKE = ("alike", "not told apart", 2)  # from the best one, which is off the plateau


class _Column(NamedTuple):
    """A column: its title; for each point what it shows and is sorted by; whether that is words."""

    title: str
    shown: Sequence[str]
    sorted_by: Sequence[float | str | None]  # None comes last
    words: bool = False


def table(view: View) -> str:
    """Every point in a row, as HTML."""
    standing = [_standing(view, index) for index in range(view.points)]
    regimes = [regimes_text(view.answer.regimes[index]) for index in range(view.points)]
    columns = [
        _Column("point", [str(i) for i in range(view.points)], list(range(view.points))),
        _Column("", [text for _, text, _ in standing], [order for _, _, order in standing]),
        *(_setting(name, values) for name, values in view.data.points.items()),
        *_losses(view),
        _Column("regime", regimes, regimes, words=True),
        _failed(view),
    ]
    if view.data.rungs:
        at = [int(step) if step >= 0 else None for step in view.dropped]
        columns.append(_Column("dropped at step", ["" if step is None else f"{step:,}" for step in at], at))
    head = "".join(_head(column) for column in columns)
    rows = "".join(_row(columns, index, standing[index][0]) for index in range(view.points))
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="All points">'
        f'<table id="points"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _standing(view: View, index: int) -> tuple[str, str, int]:
    """A row's class, the word for it, and its place when sorted."""
    sign = mark(view.data, view.answer, index)
    return _ALIKE if not sign and index in view.answer.indistinguishable else _MARKS[sign]


def _setting(name: str, values: np.ndarray) -> _Column:
    shown = [as_text(value) for value in values]
    numeric = values.dtype != object
    return _Column(name, shown, _text.numbers(values, 17) if numeric else shown, not numeric)


def _losses(view: View) -> list[_Column]:
    metrics = {view.judged_by: view.final}
    metrics |= {
        f"held-out {name}": held_out_values(view.data, name) for name in view.data.held_out if name != "loss"
    }
    metrics |= {f"test {name}": values.astype(float) for name, values in view.data.test.items()}
    columns = []
    for title, values in metrics.items():
        medians = [median(row) for row in values]
        columns.append(_Column(title, [_text.number(x, 4) for x in medians], _text.numbers(medians, 17)))
    if view.seeds > 1:
        ranges = [_text.median_and_range(row) for row in view.final]
        columns[0] = columns[0]._replace(title=f"{view.judged_by} [range]", shown=ranges)
    return columns


def _failed(view: View) -> _Column:
    texts = [", ".join(failures(view.data, view.answer, index)) for index in range(view.points)]
    counts = view.answer.failed.sum(axis=1).tolist()
    return _Column("failed", texts, counts, words=True)


def _head(column: _Column) -> str:
    title = _text.escape(column.title) or '<span class="unseen">standing</span>'
    kind = "number" if all(not isinstance(value, str) for value in column.sorted_by) else "text"
    align = ' class="word"' if column.words else ""
    return f'<th scope="col" data-kind="{kind}"{align}><button type="button">{title}</button></th>'


def _row(columns: Sequence[_Column], index: int, kind: str) -> str:
    cells = "".join(_cell(column.shown[index], column.sorted_by[index], column.words) for column in columns)
    return f'<tr class="{kind}">{cells}</tr>' if kind else f"<tr>{cells}</tr>"


def _cell(shown: str, sorted_by: Any, words: bool) -> str:
    by = "" if sorted_by is None else _text.escape(sorted_by)
    kind = ' class="word"' if words else ""
    return f'<td{kind} data-by="{by}">{_text.escape(shown)}</td>'
