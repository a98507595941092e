"""What goes where: --json, --quiet, --verbose, progress, and exit codes for every way to end."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys

import pytest

import lrjax
from lrjax.cli import _main
from lrjax.search import _progress
from tests.cli.test_commands import small_sweep

RANGE_TEST = ("range-test", "mine.py:tiny", "--optimizer", "sgd", "--minimum", "1e-4", "--progress=none")
NOISY = """
import numpy as np
import lrjax
from mine import make, DATA

print("loading")


def noisy():
    def f(step):
        print("batch", step)
        return {"x": np.float32(1.0), "y": np.float32(2.0)}

    return lrjax.tasks.Task(make, lrjax.from_function(f, on_device=False), steps=5)


def failing():
    def f(step):
        if step >= 3:
            raise ValueError("the disk is gone")
        return {"x": np.float32(1.0), "y": np.float32(2.0)}

    return lrjax.tasks.Task(make, lrjax.from_function(f, on_device=False), steps=5)
"""


@pytest.fixture
def noisy(here):
    (here / "noisy.py").write_text(NOISY)
    return here


def strictly(text):
    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    assert text.endswith("\n")
    assert text.count("\n") == 1
    return json.loads(text, parse_constant=refuse)


# JSON


def test_json_of_a_sweep_is_its_answer_and_what_was_written(call, here):
    code, out, err = call(*small_sweep("--json", "--set", "nesterov=true,false", "--directory", "out"))
    assert (code, err) == (0, "")
    found, sweep = strictly(out), lrjax.load(here / "out")
    assert found["exit_code"] == 0
    assert (found["command"], found["task"], found["optimizer"]) == ("sweep", "mine.py:tiny", "adam")
    assert found["answer"] == lrjax.export.answer_json(sweep.answer)
    assert found["points"][1] == {"learning_rate": 0.01, "nesterov": False}
    assert found["directory"] == "out"
    assert found["files"] == ["sweep.npz", "sweep.json", "sweep.png"]
    assert all((here / "out" / name).is_file() for name in found["files"])
    assert (found["steps"], found["seeds"], found["interrupted"]) == (30, 1, False)
    assert found["cost"]["member_steps_used"] == 4 * 30


def test_json_of_find(call):
    code, out, _ = call(
        *("find", "mine.py:tiny", "--minimum", "0.01", "--maximum", "1", "--progress=none", "--json")
    )
    found = strictly(out)
    assert code == found["exit_code"] == 0
    assert {0.01, 1.0} <= {point["learning_rate"] for point in found["points"]}
    assert found["answer"]["parabola"] is None or found["answer"]["parabola"]["vertex"] > 0


def test_json_of_a_range_test_with_and_without_a_suggestion(call, here):
    code, out, _ = call(*RANGE_TEST, "--json", "--set", "momentum=0.5")
    found, test = strictly(out), lrjax.load(here / "runs" / "range-test-mine-tiny")
    assert code == found["exit_code"] == 0
    assert found["answer"]["suggestion"] == test.suggestion
    assert found["hyperparams"] == {"momentum": 0.5}
    assert found["training_steps"] == test.training_steps
    code, out, _ = call(*RANGE_TEST, "--json", "--steps", "10")
    found = strictly(out)
    assert code == found["exit_code"] == 1
    assert found["answer"]["suggestion"] is None
    assert found["answer"]["reason"].startswith("The ramp is too short")


def test_json_of_the_tasks(call):
    found = strictly(call("tasks", "--json")[1])
    assert {task["name"]: task["summary"] for task in found["tasks"]} == lrjax.tasks.summaries()


def test_json_when_every_rate_failed(call):
    code, out, _ = call(
        *("sweep", "mine.py:tiny", "--optimizer", "sgd", "--learning-rate", "1e3,1e4"),
        *("--steps", "60", "--progress=none", "--json"),
    )
    found = strictly(out)
    assert code == found["exit_code"] == 1
    assert found["answer"]["learning_rate"] is None
    assert found["answer"]["scores"] == [None, None]


@pytest.mark.parametrize(
    "arguments",
    [
        ("find", "digit", "--json"),
        ("sweep", "mine.py:tiny", "--json"),
        ("sweep", "mine.py:tiny", "--learning-rate", "fast", "--json"),
        ("seek", "--json"),
        ("find", "mine.py:tiny", "--json", "--quiet", "--verbose"),
    ],
)
def test_json_of_bad_input_is_the_error(call, arguments):
    code, out, err = call(*arguments)
    found = strictly(out)
    assert code == found["exit_code"] == 2
    assert err == f"lrjax: error: {found['error']}\n"


def test_json_stands_alone_whatever_a_task_prints(call, noisy):
    code, out, err = call("sweep", "noisy.py:noisy", "--learning-rate", "0.1", "--json", "--progress=lines")
    assert code == strictly(out)["exit_code"] == 0
    assert "loading\n" in err
    assert "batch 4\n" in err
    assert "5/5 steps" in err


# Quiet and verbose


def test_quiet_prints_the_answer_alone(call, here):
    code, out, err = call(*small_sweep("--quiet", "--directory", "out"))
    assert (code, err) == (0, "")
    assert out == lrjax.load(here / "out").answer.recommendation + "\n"
    code, out, err = call(*RANGE_TEST, "-q")
    assert (code, err) == (0, "")
    assert out.startswith("Begin with a learning rate of ")
    assert out.count("\n") == 1
    assert call("tasks", "-q")[1].split() == list(lrjax.tasks.names())


def test_quiet_hides_no_error(call):
    code, out, err = call("find", "digit", "--quiet")
    assert (code, out) == (2, "")
    assert err.startswith("lrjax: error: ")


def test_verbose_says_how_and_why_on_standard_error(call, here):
    code, out, err = call(*small_sweep("--verbose", "--directory", "out"))
    assert code == 0
    assert err.startswith("training in out\nplan: ")
    assert f"jax {lrjax.load(here / 'out').settings['versions']['jax']}" in err
    usual = call(*small_sweep("--directory", "out"))[1]
    assert [line for line in out.splitlines() if "running" not in line] == [
        line for line in usual.splitlines() if "running" not in line
    ]


# Progress


def test_progress_is_lines_in_a_log_and_a_bar_on_request(call):
    for progress, returns in (("auto", False), ("lines", False), ("bar", True)):
        _, out, err = call(*small_sweep()[:-1], f"--progress={progress}", "--directory", progress)
        assert ("\r" in err) == returns
        assert "30/30 steps" in err
        assert "alive" not in out


class Terminal:
    def __init__(self, stream):
        self._stream = stream

    def isatty(self):
        return True

    def __getattr__(self, name):
        return getattr(self._stream, name)


def test_progress_is_a_bar_on_a_terminal(call, monkeypatch):
    monkeypatch.setattr(_progress.sys, "stderr", Terminal(sys.stderr))
    assert _progress._can_draw()


@pytest.mark.parametrize("seconds", [0.01, 100])
def test_lines_come_ten_times_or_every_minute(seconds, capsys, monkeypatch):
    now = itertools.count(0, seconds)
    monkeypatch.setattr(_progress.time, "monotonic", lambda: next(now))
    points = [{"learning_rate": 0.1}]
    told = lrjax.engine.Progress("training", 0.0, 0, 2, 2, None, float("nan"))
    with _progress.progress_bar("lines", 1000, points, "learning_rate", "range_test") as show:
        show(told._replace(phase="checking point 1 of 9"))
        for step in range(1, 1001):
            show(told._replace(fraction=step / 1000, best=0, loss=0.5))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == (10 if seconds < 1 else 1001)
    assert lines[-1].startswith("range test: 100% 1000/1000 steps [")
    assert lines[-1].endswith("<00:00, 2/2 alive, best 0.5 at 0.1]")
    assert not any("\r" in line for line in lines)
    if seconds == 100:
        assert lines[0] == "range test:   0% 0/1000 steps [01:40<?, checking point 1 of 9, 2/2 alive]"


def test_other_progress_is_refused():
    refused = _progress.progress_bar("loud", 1, [], "learning_rate")
    with pytest.raises(ValueError, match=r"`sweep\(progress=...\)` must be True, False, 'bar' or"), refused:
        pass


# Exit codes


def test_exit_code_3_after_an_error_that_is_not_of_the_input(call, noisy, monkeypatch):
    code, _, err = call("sweep", "noisy.py:failing", "--learning-rate", "0.1", "--progress=none")
    assert code == 3
    assert err.startswith("lrjax: error: ValueError: the disk is gone")
    assert err.count("\n") == 1
    monkeypatch.setitem(sys.modules, "sklearn", None)
    code, _, err = call("find", "digits", "--progress=none")
    assert code == 3
    assert "lrjax[tasks]" in err
    monkeypatch.setitem(sys.modules, "orbax.checkpoint", None)
    code, _, err = call("sweep", "mine.py:tiny", "--learning-rate", "0.1", "--progress=none")
    assert code == 3
    assert "lrjax[store]" in err


def test_exit_code_130_in_json(call):
    code, out, err = call("sweep", "mine.py:interrupted", "--learning-rate", "0.01,0.1", "--json")
    found = strictly(out)
    assert code == found["exit_code"] == 130
    assert found["interrupted"] is True
    assert found["answer"]["learning_rate"] == 0.1
    code, out, err = call("sweep", "mine.py:interrupted_at_once", "--learning-rate", "0.1", "--json")
    assert code == strictly(out)["exit_code"] == 130
    assert err == "lrjax: interrupted before anything was measured\n"


def test_a_reader_that_goes_away_is_no_error(here):
    reads, writes = os.pipe()
    os.close(reads)
    done = subprocess.run(
        [sys.executable, "-m", "lrjax", "tasks"],
        stdout=writes,
        stderr=subprocess.PIPE,
        timeout=300,
        check=False,
    )
    os.close(writes)
    assert done.returncode == 141
    assert done.stderr == b""


# Commands are files


def test_a_command_is_added_by_one_file(call, monkeypatch, tmp_path):
    folder = tmp_path / "commands"
    folder.mkdir()
    (folder / "_greet.py").write_text(
        "def add(commands):\n"
        "    commands.add_parser('greet', help='greet').set_defaults(\n"
        "        run=lambda options, console: (console.answer('hello') or 0, {'said': 'hello'}))\n"
    )
    monkeypatch.setattr(lrjax.cli.commands, "__path__", [*lrjax.cli.commands.__path__, str(folder)])
    monkeypatch.delitem(sys.modules, "lrjax.cli.commands._greet", raising=False)
    assert call("greet") == (0, "hello\n", "")
    assert "greet" in _main.parser().format_help()


def test_options_are_not_shortened(call):
    code, _, err = call("find", "mine.py:tiny", "--max", "2")
    assert code == 2
    assert "unrecognized arguments: --max 2" in err
