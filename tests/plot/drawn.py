"""What was written into a picture: for tests that texts neither overlap nor leave it."""

from __future__ import annotations

import itertools

import matplotlib as mpl
from matplotlib.text import Text
from matplotlib.transforms import Bbox

SLACK = 1.0  # pixels by which boxes may touch: they are a little larger than what is in them


def texts_of(figure) -> list[tuple[str, Bbox]]:
    """Every text that drawing the figure with Agg writes, with its box in pixels."""
    mpl.use("Agg")
    found: dict[int, tuple[str, Bbox]] = {}
    draw = Text.draw

    def note(text, renderer, *arguments, **options):
        if text.get_visible() and text.get_text().strip():
            found[id(text)] = (text.get_text(), Text.get_window_extent(text, renderer))  # without its arrow
        return draw(text, renderer, *arguments, **options)

    Text.draw = note
    try:
        figure.canvas.draw()
    finally:
        Text.draw = draw
    return list(found.values())


def assert_tidy(figure) -> None:
    """Requires that no two texts overlap and that none leaves the figure."""
    texts = texts_of(figure)
    assert texts, "nothing is written"
    whole = figure.bbox
    for text, box in texts:
        inside = box.x0 >= -SLACK and box.y0 >= -SLACK
        inside &= box.x1 <= whole.x1 + SLACK and box.y1 <= whole.y1 + SLACK
        assert inside, f"{text!r} leaves the figure"
    for (text, box), (other, another) in itertools.combinations(texts, 2):
        wide = min(box.x1, another.x1) - max(box.x0, another.x0)
        high = min(box.y1, another.y1) - max(box.y0, another.y0)
        assert wide <= SLACK or high <= SLACK, f"{text!r} and {other!r} overlap"
