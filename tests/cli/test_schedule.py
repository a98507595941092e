"""`lrjax schedule`: a preview from the command line."""

from __future__ import annotations

import json
import sys

import pytest

from lrjax import cli

COSINE = "warmup_cosine_decay_schedule(0, 1e-3, 100, 1000)"


def test_it_shows_warns_and_draws(tmp_path, capsys):
    out = tmp_path / "s.png"
    assert cli.main(["schedule", COSINE, "--steps", "1000", "--out", str(out)]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[2].split() == ["100", "0.001"]
    assert any(line.startswith("warning: zero first rate") for line in shown)
    assert shown[-1] == f"written: {out}"
    assert out.stat().st_size > 1000


def test_a_place_that_cannot_be_written_is_another_error(capsys):
    assert cli.main(["schedule", "warmup(5)", "--steps", "10", "--out", "/proc/none/s.png"]) == 3
    assert "/proc/none" in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["matplotlib", "matplotlib.pyplot"])
def test_without_matplotlib_the_extra_is_named(missing, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)
    assert cli.main(["schedule", "warmup(5)", "--steps", "10", "--out", "s.png"]) == 3
    assert "lrjax[plot]" in capsys.readouterr().err
    assert cli.main(["schedule", "warmup(5)", "--steps", "10"]) == 0


def test_json_holds_numbers_and_warnings(capsys):
    assert cli.main(["schedule", COSINE, "--steps", "1000", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["values"][1] == {"step": 100, "value": 0.001}
    assert [warning["name"] for warning in found["warnings"]] == ["zero first rate"]
    assert found["written"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["__import__('os').getcwd()", "--steps", "10"], "is not allowed"),
        (["cosine_schedule(1)", "--steps", "10"], "did you mean"),
        (["warmup(-1)", "--steps", "10"], "`warmup(steps=...)` must be"),
        (["warmup(paces=1)", "--steps", "10"], "paces"),
        (["warmup(5)", "--steps", "0"], "must be an integer >= 1, got 0"),
        (["plateau_schedule()", "--steps", "10"], "driven by metrics"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_two(arguments, message, capsys):
    assert cli.main(["schedule", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("lrjax: error: ")
    assert error.count("\n") == 1
