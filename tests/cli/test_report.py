"""`lrjax report`: the page of a stored sweep, and its numbers for other programs."""

from __future__ import annotations

import html
import json

import pytest

import lrjax
from tests.export.sweeps import ramp, usual


@pytest.fixture(autouse=True)
def light(monkeypatch):
    """A charting library of one line in place of one of megabytes."""
    monkeypatch.setattr("lrjax.report._library.plotly_js", lambda: ("var Plotly;", "6.0"))


@pytest.fixture
def stored(here):
    sweep = usual()
    sweep.save(here / "out")
    return sweep


def files(directory):
    return sorted(path.name for path in directory.iterdir())


def test_the_page_is_beside_the_sweep_and_the_answer_is_printed_last(call, here, stored):
    code, out, err = call("report", "out", "--title", "Mine")
    assert (code, err) == (0, "")
    assert out == f"wrote out/report.html\n\n{stored.answer.recommendation}\n"
    page = (here / "out" / "report.html").read_text()
    assert "<h1>Mine</h1>" in page
    assert stored.answer.recommendation in page
    assert files(here / "out") == ["report.html", "sweep.json", "sweep.npz"]


def test_the_page_goes_where_it_is_asked_to(call, here, stored):
    assert call("report", "out", "--output", "pages/one.html")[0] == 0
    assert files(here / "pages") == ["one.html"]
    assert files(here / "out") == ["sweep.json", "sweep.npz"]


def test_the_page_of_a_run_of_the_command_line_says_by_which_command_on_what(call, here):
    typed = (
        "sweep",
        "mine.py:tiny",
        "--optimizer",
        "sgd",
        "--learning-rate",
        "0.01, 0.1",
        "--directory",
        "a b",
    )
    for _ in range(2):  # the second reads back what is stored
        assert call(*typed, "--progress=none")[0] == 0
    settings = lrjax.load(here / "a b").settings
    assert (settings["task"], settings["optimizer"]) == ("mine.py:tiny", "sgd")
    assert call("report", "a b")[0] == 0
    page = html.unescape((here / "a b" / "report.html").read_text())
    quoted = "--learning-rate '0.01, 0.1' --directory 'a b' --progress=none"
    command = f"lrjax sweep mine.py:tiny --optimizer sgd {quoted}"
    assert f"<h3>Command</h3><pre>{command}</pre>" in page
    assert "<dt>optimizer</dt><dd>sgd</dd>" in page


def test_exports_are_those_of_the_sweep(call, here, stored):
    kinds = ("--export", "csv", "--export", "json", "--export", "tensorboard")
    for _ in range(2):  # a second time replaces them
        code, out, err = call("report", "out", *kinds, "--json")
        assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["files"] == [
        f"out/{name}" for name in ("report.html", "sweep.csv", "members.csv", "export.json", "tensorboard")
    ]
    assert found["answer"]["learning_rate"] == stored.answer.learning_rate
    out = here / "out"
    for name, rows in (("sweep.csv", "records"), ("members.csv", "members")):
        assert (out / name).read_bytes() == stored.to_csv(here / "want.csv", rows).read_bytes()
    assert (out / "export.json").read_bytes() == stored.to_json(here / "want.json").read_bytes()
    assert (out / "tensorboard" / "point-4" / "seed-1").is_dir()
    assert lrjax.load(out).answer.recommendation == stored.answer.recommendation


def test_quiet_and_verbose(call, stored):
    assert call("report", "out", "-q") == (0, f"{stored.answer.recommendation}\n", "")
    assert call("report", "out", "-v")[2] == "read 10 members from out\n"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("report",), "DIR"),
        (("report", "nowhere"), "`load(path=...)` must be a directory with sweep.json and sweep.npz"),
        (("report", "out", "--output", "out"), "`report(path=...)` must be a file to write"),
        (("report", "out", "--export", "xlsx"), "invalid choice: 'xlsx'"),
        (("report", "ramp"), "DIR must hold a sweep, got ramp, which holds a range test"),
        (("report", "damaged"), "damaged"),
    ],
)
def test_bad_input(call, here, stored, arguments, expected):
    ramp(hyperparams={}).save(here / "ramp")
    (here / "damaged").mkdir()
    (here / "damaged" / "sweep.json").write_text("{")
    (here / "damaged" / "sweep.npz").write_text("")
    code, out, err = call(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("lrjax: error: ")
    assert err.count("\n") == 1
    assert expected in err


def test_without_plotly_the_extra_is_named(call, stored, monkeypatch):
    def missing():
        raise ImportError("a report needs plotly: pip install 'lrjax[report]'")

    monkeypatch.setattr("lrjax.report._library.plotly_js", missing)
    assert call("report", "out") == (
        3,
        "",
        "lrjax: error: a report needs plotly: pip install 'lrjax[report]'\n",
    )
