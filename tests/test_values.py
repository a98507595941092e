"""Values by name, told apart, as JSON."""

from __future__ import annotations

import functools
import json

import numpy as np
import pytest

import lrjax
from lrjax._values import as_json, as_text, encodable, identity, name_of, ordered, strict
from lrjax.report import report_html
from tests.measured import several


class Rule:
    def __call__(self, step):
        return step


class Named(Rule):
    def __repr__(self):
        return "Named(0.5)"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (len, "len"),
        (lambda step: step, "lambda"),
        (np.tanh, "tanh"),
        (functools.partial(len), "partial len"),
        (Rule(), "Rule"),
        (Named(), "Named(0.5)"),
        (Rule().__call__, "__call__"),
        (lrjax.constant_schedule(0.1), "Schedule"),
        (np.float32, "float32"),
        (None, "None"),
        (True, "True"),
        ("auto", "auto"),
        (3, "3"),
        (np.int32(3), "3"),
    ],
)
def test_names(value, text):
    assert name_of(value) == as_text(value) == text
    assert json.dumps(as_json(value)) in (json.dumps(text), "null", "true", "3")


def test_floats_have_as_many_digits_as_asked():
    assert as_text(0.123456) == "0.1235"
    assert as_text(np.float32(0.5), digits=3) == "0.5"


def test_a_callable_has_one_name_everywhere(tmp_path):
    sweep = several([len, lambda step: step], "warmup")
    sweep.save(tmp_path)
    said = [
        sweep.answer.recommendation,
        *sweep.summary().splitlines()[2:12],
        report_html(sweep, sweep.answer),
        *(text.get_text() for text in sweep.plot(kind="heat map").get_yticklabels()),
        lrjax.load(tmp_path).summary(),
    ]
    assert all("len" in text or "lambda" in text for text in said)
    assert not any("<function" in text or " at 0x" in text or "<lambda>" in text for text in said)
    assert "warmup = len" in sweep.answer.recommendation


def test_values_are_told_apart():
    assert len({identity(value) for value in (1, 1.0, True, "1", None, [1], [1])}) == 6
    distinct, places = ordered([3, 1, 2.0, 1])
    assert distinct == [1, 2.0, 3]
    assert places.tolist() == [2, 0, 1, 0]
    assert ordered(["b", "a", "b"])[0] == ["b", "a"]


def test_strict_json_has_nothing_that_is_not_finite():
    given = {
        "array": np.array([[1.0, np.nan], [np.inf, -np.inf]]),
        "short": np.float32(0.1),
        "shorts": np.array([0.1, 3e38], np.float32),
        "text": np.array(["a", "b"]),
        "objects": np.array([None, len, 1.5], object),
        "flags": np.array([True]),
        "inside": [(float("nan"), {"x": np.int64(2)})],
        3: None,
    }
    assert strict(given) == {
        "array": [[1.0, None], [None, None]],
        "short": 0.1,
        "shorts": [0.1, 3e38],
        "text": ["a", "b"],
        "objects": [None, "len", 1.5],
        "flags": [True],
        "inside": [[None, {"x": 2}]],
        "3": None,
    }


def test_halves_of_characters_are_replaced():
    assert encodable("a\ud800é") == "a?é"
