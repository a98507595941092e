"""The page around the parts: one file that asks no network for anything."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib import resources
from typing import NamedTuple

from lrjax.report import _text
from lrjax.report._figure import Control, Figure


class Section(NamedTuple):
    """A part of the page: its identifier, its heading, and its content as HTML."""

    name: str
    title: str
    content: str


def page(
    title: str, subtitle: str, sections: Sequence[Section], figures: Sequence[Figure], library: str
) -> str:
    """The whole file.

    Args:
      title: Its heading.
      subtitle: The line below it.
      sections: Its parts, in order.
      figures: The charts whose places are in the parts.
      library: The charting library's text.
    """
    style, script = _static("report.css"), _static("report.js")
    scripts = [library, script] if figures else [script]
    charts = {
        figure.name: {"data": figure.data, "layout": figure.layout, "scales": figure.scales}
        for figure in figures
    }
    body = "".join(
        f'<section id="{section.name}"><h2>{_text.escape(section.title)}</h2>{section.content}</section>\n'
        for section in sections
    )
    links = "".join(f'<a href="#{section.name}">{_text.escape(section.title)}</a>' for section in sections)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_policy(scripts)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="lrjax">
<title>{_text.escape(title)}</title>
<style>{style}</style>
</head>
<body>
<header>
<h1>{_text.escape(title)}</h1>
<p>{_text.escape(subtitle)}</p>
<nav aria-label="Parts of this page">{links}</nav>
</header>
<main>
<noscript><p>The charts need JavaScript. The table of all points shows the same numbers.</p></noscript>
{body}</main>
<script type="application/json" id="charts">{_text.embedded(charts)}</script>
{"".join(f"<script>{text}</script>" for text in scripts)}
</body>
</html>
"""


def place(figure: Figure, below: str = "") -> str:
    """Where a chart goes, with what switches it, and what stands below it."""
    controls = "".join(_group(figure, facet) for facet in dict.fromkeys(c.facet for c in figure.controls))
    return (
        f'<figure id="figure-{figure.name}"><div class="controls">{controls}</div>'
        f'<div class="chart" id="{figure.name}" role="img" aria-label="{_text.escape(figure.title)}"></div>'
        f"<figcaption>{_text.escape(figure.caption)}</figcaption></figure>{below}"
    )


_LEGENDS = {"losses": "Losses", "kind": "Show", "regime": "Regimes (members)", "log": "Axis"}


def _group(figure: Figure, facet: str) -> str:
    controls = [control for control in figure.controls if control.facet == facet]
    inner = "".join(_control(figure, control) for control in controls)
    return f"<fieldset><legend>{_LEGENDS[facet]}</legend>{inner}</fieldset>"


def _control(figure: Figure, control: Control) -> str:
    kind = "radio" if control.single else "checkbox"
    return (
        f'<label><input type="{kind}" name="{figure.name}-{control.facet}" data-figure="{figure.name}" '
        f'data-facet="{control.facet}" value="{_text.escape(control.value)}"'
        f"{' checked' if control.ticked else ''}>{_text.escape(control.text)}</label>"
    )


def _policy(scripts: Sequence[str]) -> str:
    """Runs these scripts and no others, and loads nothing."""
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts]
    allowed = " ".join(f"'sha256-{text}'" for text in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def _static(name: str) -> str:
    return (resources.files("lrjax.report") / name).read_text(encoding="utf-8")
