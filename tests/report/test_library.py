"""The charting library that a report holds."""

from __future__ import annotations

import sys

import pytest

from lrjax.report import _library, report_html
from tests.report.sweeps import usual


def test_the_library_is_in_the_page_and_cannot_end_its_script():
    text, version = _library.plotly_js()
    assert len(text) > 1e6
    assert "</script" not in text.lower()
    assert int(version.split(".")[0]) >= 6
    sweep = usual()
    assert text in report_html(sweep, sweep.answer)


def test_without_plotly_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly", None)
    sweep = usual()
    with pytest.raises(ImportError, match=r"lrjax\[report\]"):
        report_html(sweep, sweep.answer)


def test_colours_go_from_dark_to_bright_and_stay_visible_on_white():
    shades = [tuple(map(int, colour[4:-1].split(","))) for colour in _library.colours([0.0, 0.5, 1.0])]
    luminance = [0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b in shades]
    assert luminance == sorted(luminance)
    assert luminance[-1] < 200
