"""The top of the page: the answer."""

from __future__ import annotations

import math

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
    edge = "from this rate on training fails"
    if answer.divergence_edge is None:
        edge = none or "the highest rate still trains"
    cards.append(("divergence edge", _text.number(answer.divergence_edge), edge))
    return [*cards, _sensitivity(view, none), _alike(view, none)]


def _where(view: View) -> str:
    return f"median {view.answer.judged_by} {view.answer.score:.4g} over {_text.count(view.seeds, 'seed')}"


def _width(view: View) -> str:
    if not view.answer.plateau_decades > 0:
        return "no neighbouring rate does as well"
    return f"{view.answer.plateau_decades:.2g} decades wide; rates in it do as well"


def _why_no_interval(view: View) -> str:
    if view.answer.interval is not None:
        return "where the best rate lies"
    return "one seed tells nothing of noise" if view.seeds == 1 else "too few points that trained"


def _sensitivity(view: View, none: str) -> tuple[str, str, str]:
    value = view.answer.sensitivity
    about = none or "too few points that trained"
    if math.isfinite(value):
        about = "how much worse a rate does that is off"
    return "sensitivity", _text.number(value), about


def _alike(view: View, none: str) -> tuple[str, str, str]:
    alike = len(view.answer.indistinguishable)
    if not alike:
        return "as good as the best", "-", none or "too few seeds to tell"
    about = "the best and what cannot be told from it" if alike > 1 else "the best alone"
    return "as good as the best", f"{alike} of {_text.count(view.points, 'point')}", about


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
