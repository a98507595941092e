"""The top of the page: the answer."""

from __future__ import annotations

import math

import numpy as np

from lrjax.answer import absent, dropped_at
from lrjax.report import _text
from lrjax.report._view import View, why_no_rate


def headline(view: View) -> str:
    """What to use, how sure that is, and what to mend, as HTML."""
    cards = "".join(
        f"<div><dt>{_text.escape(name)}</dt><dd>{_text.escape(value)}"
        f"<small>{_text.escape(about)}</small></dd></div>"
        for name, value, about in _cards(view)
    )
    return (
        f'<p class="recommendation">{_text.escape(view.answer.recommendation)}</p>'
        f'<dl class="cards">{cards}</dl>{_warnings(view)}'
    )


def _cards(view: View) -> list[tuple[str, str, str]]:
    """Name, value, and what it means, or why there is none."""
    answer = view.answer
    none = why_no_rate(view)
    rate = _text.number(answer.learning_rate)
    cards = [(view.data.name.replace("_", " "), rate, none or _where(view))]
    cards.append(("90 % interval", _span(answer.interval), none or _why_no_interval(view)))
    cards.append(("plateau", _span(answer.plateau), none or _width(view)))
    cards.append(("divergence edge", _text.number(answer.divergence_edge), _edge(view, none)))
    return [*cards, _sensitivity(view, none), _alike(view, none)]


def _where(view: View) -> str:
    seeds = int((~absent(view.data))[view.answer.index].sum())
    return f"median {view.answer.judged_by} {view.answer.score:.4g} over {_text.count(seeds, 'seed')}"


def _edge(view: View, none: str) -> str:
    if view.answer.divergence_edge is not None:
        return "from this rate on training fails"
    if none:
        return none
    highest = int(np.argmax(view.data.points[view.data.name]))
    if dropped_at(view.data)[highest] >= 0:
        return "not known: the highest rate was dropped early"
    return "the highest rate still trains"


def _width(view: View) -> str:
    if not view.answer.plateau_decades > 0:
        return "no neighbouring rate does as well"
    return f"{view.answer.plateau_decades:.2g} decades wide; rates in it do as well"


def _why_no_interval(view: View) -> str:
    if view.answer.interval is not None:
        return "where the best rate lies, as far as the seeds tell"
    if len(set(view.data.points[view.data.name].tolist())) == 1:
        return "no other rate was tried"
    return "one seed does not tell" if view.seeds == 1 else "the seeds do not tell"


def _sensitivity(view: View, none: str) -> tuple[str, str, str]:
    about = "loss that a rate costs which is off: the mean over the rates"
    known = math.isfinite(view.answer.sensitivity)
    return "sensitivity", _text.number(view.answer.sensitivity), about if known else none or "not known"


def _alike(view: View, none: str) -> tuple[str, str, str]:
    alike = len(view.answer.indistinguishable)
    if not alike:
        return "not told apart", "-", none or "nothing to compare"
    about = "the best alone: one seed tells no more" if view.seeds == 1 else "the best alone"
    if alike > 1:
        about = "the best, and what the seeds do not tell from it"
    return "not told apart", f"{alike} of {_text.count(view.points, 'point')}", about


def _span(ends: tuple[float, float] | None) -> str:
    if ends is None:
        return "-"
    low, high = map(_text.number, ends)
    return low if low == high else f"{low} to {high}"


def _warnings(view: View) -> str:
    if not view.answer.warnings:
        return ""
    items = "".join(f"<li>{_text.escape(warning)}</li>" for warning in view.answer.warnings)
    title = "Warning" if len(view.answer.warnings) == 1 else "Warnings"
    return f'<aside class="warnings"><h3>{title}</h3><ul>{items}</ul></aside>'
