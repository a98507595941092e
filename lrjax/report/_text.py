"""Values as text for people, as HTML and as JSON that a page can hold."""

from __future__ import annotations

import html
import json
import math
from typing import Any

import numpy as np

from lrjax._values import encodable, shortened


def escape(value: object) -> str:
    """Text that is text in HTML, too, and in an attribute."""
    return html.escape(encodable(str(value)))


def in_chart(value: object, longest: int = 80) -> str:
    """Text that is text in a chart, which reads some tags, entities and formulas; cut where it is long."""
    text = " ".join(str(value).split())
    return html.escape(encodable(shortened(text, longest)), quote=False).replace("$", "&#36;")


def short(number: float) -> str:
    """A number in two digits, 100 as that and not as 1e+02."""
    return f"{float(f'{number:.2g}'):g}"


def embedded(value: Any) -> str:
    """JSON that a `<script>` can hold, whatever text is in it: it has no `<`, `>`, `&`, only ASCII."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def numbers(values: Any, digits: int = 4) -> Any:
    """An array as lists for JSON, with so many digits; what is not finite becomes None."""
    if np.ndim(values):
        return [numbers(value, digits) for value in values]
    return float(f"{values:.{digits}g}") if math.isfinite(values) else None


def number(value: float | None, digits: int = 3) -> str:
    """A number as people read it; "-" for None and what is not finite."""
    return "-" if value is None or not math.isfinite(value) else f"{value:.{digits}g}"


def count(number: int, what: str) -> str:
    """A number of things."""
    return f"{number:,} {what}{'s' * (number != 1)}"


def median_and_range(values: np.ndarray) -> str:
    """The median of what is finite, and from where to where it reaches."""
    known = values[np.isfinite(values)]
    if not len(known):
        return "-"
    return f"{np.median(known):.4g}" + (f" [{known.min():.3g}, {known.max():.3g}]" if len(known) > 1 else "")
