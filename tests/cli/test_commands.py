"""The command line: what it prints, what it writes, its exit codes, and how it refuses bad input."""

from __future__ import annotations

import argparse
import inspect
import json
import re
import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest

import lrjax
from lrjax.cli import _parser
from lrjax.cli._main import parser
from lrjax.cli._parser import OPTIMIZERS
from lrjax.engine import _program
from tests.catalogue import CATALOGUE


def small_sweep(*more):
    return ("sweep", "mine.py:tiny", "--learning-rate", "0.01,0.1", "--progress=none", *more)


# What it prints and writes


def test_find_prints_the_answer_last_and_writes_picture_and_data(call, here):
    code, out, err = call("find", "mine.py:tiny", "--directory", "out", "--progress=none")
    assert code == 0
    assert err == ""
    sweep = lrjax.load(here / "out")
    assert {6.31e-6, 1.0} <= set(sweep.points["learning_rate"].tolist())
    assert sweep.steps == 30
    lines = out.splitlines()
    assert lines[0] == "mine.py:tiny: a line"
    assert lines[1] == "adam, learning rates that are searched, 3 seeds, 30 steps"
    assert "wrote sweep.npz, sweep.json, sweep.png in out" in lines
    assert any(line.startswith("on the test data, at the chosen point: ") for line in lines)
    assert out.endswith(f"\n{sweep.answer.recommendation}\n")
    assert out.endswith(f"\n{sweep.summary()}\n")
    assert sorted(path.name for path in (here / "out").glob("sweep*")) == [
        "sweep.json",
        "sweep.npz",
        "sweep.png",
    ]
    image = plt.imread(here / "out" / "sweep.png")
    assert image.shape[0] > 400
    assert image.shape[1] > 1000
    assert np.ptp(image) > 0


def test_find_takes_range_points_seeds_steps_and_optimizer(call, here):
    arguments = ("--minimum", "0.01", "--maximum", "1", "--points", "3", "--seeds", "2", "--steps", "7")
    code, out, _ = call(
        "find", "mine.py:tiny", *arguments, "--optimizer", "sgd", "--directory", "out", "--progress=none"
    )
    assert code == 0
    sweep = lrjax.load(here / "out")
    rates = sweep.points["learning_rate"]
    assert {0.01, 0.1, 1.0} <= set(rates.tolist())
    assert (rates.min(), rates.max()) == (0.01, 1.0)
    assert sweep.steps == 7
    assert (sweep.stopped_at[:, :2] != 0).all()
    assert out.splitlines()[1] == "sgd, learning rates that are searched, 2 seeds, 7 steps"


@pytest.mark.parametrize(
    ("budget", "kept"), [("2000", "2000 member-steps"), ("1.5h", "5400 s"), ("90s", "90 s")]
)
def test_find_takes_a_budget_in_member_steps_or_time(call, here, budget, kept):
    range_ = ("--minimum", "0.01", "--maximum", "1", "--seeds", "1", "--set", "b1=0.8")
    code, _, _ = call(
        "find", "mine.py:tiny", *range_, "--budget", budget, "--directory", "out", "--progress=none"
    )
    sweep = lrjax.load(here / "out")
    assert code == 0
    assert sweep.settings["search"]["budget"] == kept
    assert set(sweep.points["b1"].tolist()) == {0.8}


def test_sweep_of_a_range_and_another_hyperparameter(call, here):
    code, out, _ = call(
        "sweep",
        "mine.py:tiny",
        "--learning-rate",
        "1e-3:0.1:3",
        "--set",
        "b1=0.5,0.9",
        "--set",
        "nesterov=true,False",
        "--set",
        "mu_dtype=none",
        "--seeds",
        "2",
        "--directory",
        "out",
        "--progress=none",
    )
    assert code == 0
    sweep = lrjax.load(here / "out")
    np.testing.assert_allclose(np.unique(sweep.points["learning_rate"]), [1e-3, 1e-2, 1e-1])
    assert sweep.points["b1"].tolist() == [0.5, 0.5, 0.9, 0.9] * 3
    assert sweep.points["nesterov"].tolist() == [True, False] * 6
    assert sweep.points["mu_dtype"].tolist() == [None] * 12
    assert sweep.metrics["loss"].shape == (12, 2, 30)
    assert out.splitlines()[-1].startswith("Use learning_rate = 0.1, b1 = ")


def test_a_range_test_prints_its_suggestion_last_and_writes_picture_and_data(call, here):
    command = (
        "range-test",
        "mine.py:tiny",
        "--optimizer",
        "sgd",
        "--minimum",
        "1e-4",
        "--seeds",
        "3",
        "--progress=none",
    )
    code, out, err = call(*command, "--set", "momentum=0.5")
    assert (code, err) == (0, "")
    directory = here / "runs" / "range-test-mine-tiny"
    test = lrjax.load(directory)
    assert test.losses.shape == (3, 100)
    assert test.hyperparams == {"momentum": 0.5}
    assert test.training_steps == 30  # the task's own
    assert test.constant_losses.shape[1] == 3
    assert "wrote range-test.json, range-test.png in runs/range-test-mine-tiny" in out.splitlines()
    assert out.endswith(f"\n{test.summary()}\n")
    assert plt.imread(directory / "range-test.png").shape[0] > 400
    assert call(*command, "--ramp-only")[0] == 0
    assert lrjax.load(here / "runs" / "range-test-mine-tiny-2").constant_rates is None
    assert call(*command, "--training-steps", "0", "--ramp-only")[0] == 2
    code, out, _ = call(*command, "--steps", "10")
    assert code == 1
    assert "No learning rate can be suggested. The ramp is too short" in out.splitlines()[-1]
    code, _, err = call(*command, "--set", "momentum=0.5,0.9")
    assert code == 2
    assert "--set momentum must be one value" in err


@pytest.mark.parametrize(
    ("text", "rates"),
    [("0.1", [0.1]), ("1e-3,1e-2, .1", [0.001, 0.01, 0.1]), ("1:4:3", [1, 2, 4]), ("0.3,0.1", [0.3, 0.1])],
)
def test_forms_of_the_learning_rate(text, rates):
    np.testing.assert_allclose(_parser.rates(text), rates, rtol=1e-12)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("False", False),
        ("none", None),
        ("3", 3),
        ("-0.5", -0.5),
        ("1e-3", 1e-3),
        ("bfloat16", "bfloat16"),
        ("[1]", "[1]"),
        ("__import__('os')", "__import__('os')"),
    ],
)
def test_forms_of_a_setting(text, value):
    found = _parser.value(text)
    assert found == value
    assert type(found) is type(value)


def test_the_default_directory_is_named_after_command_and_task(call, here):
    assert call(*small_sweep("--steps", "3"))[0] == 0
    assert (here / "runs" / "sweep-mine-tiny" / "sweep.json").is_file()


def test_the_key_changes_where_members_start(call, here):
    def starts(key):
        arguments = (
            "--learning-rate",
            "0.01",
            "--steps",
            "3",
            "--seeds",
            "2",
            "--key",
            key,
            "--progress=none",
        )
        status, out, _ = call("sweep", "mine.py:random_start", *arguments)
        assert status == 0
        directory = re.search(r"^wrote .* in (\S+)$", out, re.MULTILINE)[1]
        return directory, lrjax.load(here / directory).metrics["start"][0, :, 0]

    (first, zero), (second, one) = starts(0), starts(1)
    assert len({*zero, *one}) == 4
    assert (first, second) == ("runs/sweep-mine-random_start", "runs/sweep-mine-random_start-2")
    assert starts(1)[0] == second  # it is the same sweep, and goes on there
    np.testing.assert_array_equal(starts(1)[1], one)


def without_timings(text):
    return re.sub(r"\d+\.\d s (running|compiling)", r"\1", text)


def test_a_rerun_prints_the_same(call, here):
    first, again = call(*small_sweep("--seeds", "2")), call(*small_sweep("--seeds", "2"))
    assert without_timings(first[1]) == without_timings(again[1])
    assert first[0] == again[0] == 0


def test_a_task_with_its_own_optimizer(call):
    code, out, err = call("sweep", "mine.py:own", "--learning-rate", "0.1,0.2", "--progress=none")
    assert code == 0
    assert out.splitlines()[:2] == [
        "mine.py:own",
        "the task's own optimizer, 2 learning rates from 0.1 to 0.2, 1 seed, 10 steps",
    ]
    assert "warning: Rates were compared by training loss" in out
    assert err == ""


def test_progress_goes_to_standard_error(call):
    code, out, err = call(*small_sweep()[:-1])
    assert code == 0
    assert "30/30 steps" in err
    assert "2/2 alive" in err
    assert "alive" not in out


def test_tasks_lists_all_of_them(call):
    code, out, err = call("tasks")
    assert code == 0
    assert err == ""
    assert [line.split()[0] for line in out.splitlines()] == list(lrjax.tasks.names())
    for summary in lrjax.tasks.summaries().values():
        assert summary in out


def test_version(call):
    assert call("--version") == (0, f"lrjax {lrjax.__version__}\n", "")


def commands():
    whole = parser()
    (subparsers,) = (a for a in whole._actions if isinstance(a, argparse._SubParsersAction))
    return {(): whole, **{(name,): sub for name, sub in subparsers.choices.items()}}


NOT_OFFERED = {
    "averaged_sgd": "evaluated at the average",
    "cocob": "has no rate to choose",
    "lbfgs": "finds its rate by a search",
    "optimistic_adam": "has another name",
    "schedule_free_adamw": "evaluated at the average",
    "schedule_free_radam": "evaluated at the average",
    "schedule_free_sgd": "evaluated at the average",
}


def test_every_recipe_with_a_rate_to_choose_is_offered():
    recipes = {row.public for row in CATALOGUE if row.descends and not row.public.startswith("scale_by_")}
    first = {name: next(iter(inspect.signature(getattr(lrjax, name)).parameters), "") for name in recipes}
    with_rate = {name for name, argument in first.items() if argument == "learning_rate"}
    assert with_rate == set(OPTIMIZERS) | set(NOT_OFFERED)
    assert not set(OPTIMIZERS) & set(NOT_OFFERED)


@pytest.mark.parametrize("command", commands(), ids=lambda c: c[0] if c else "lrjax")
def test_help_names_every_option_and_command(call, command):
    code, out, err = call(*command, "--help")
    assert code == 0
    assert err == ""
    for action in commands()[command]._actions:
        for option in action.option_strings:
            assert option in out
        assert action.help is not argparse.SUPPRESS
    if not command:
        names = {name for (name,) in set(commands()) - {()}}
        assert names == {"completion", "find", "range-test", "report", "schedule", "sweep", "tasks"}
        assert all(name in out for name in names)
    elif command[0] in ("find", "sweep", "range-test", "schedule"):
        assert ("EXPRESSION" if command == ("schedule",) else "TASK") in out
        assert "exit codes" in out


# Exit codes


def test_exit_code_1_when_every_rate_failed(call, here):
    code, out, err = call(
        "sweep",
        "mine.py:tiny",
        "--optimizer",
        "sgd",
        "--learning-rate",
        "1e3,1e4",
        "--steps",
        "60",
        "--progress=none",
    )
    assert code == 1
    assert err == ""
    assert out.splitlines()[-1].startswith("No learning rate can be recommended.")
    assert (here / "runs" / "sweep-mine-tiny" / "sweep.png").is_file()


def test_exit_code_130_after_an_interrupt_with_what_was_measured(call, here):
    code, out, _ = call("sweep", "mine.py:interrupted", "--learning-rate", "0.01,0.1", "--progress=none")
    assert code == 130
    assert "warning: The sweep was interrupted; some members stand at step 20 of 40." in out
    assert out.splitlines()[-1].startswith("Use learning_rate = 0.1")
    assert (lrjax.load(here / "runs" / "sweep-mine-interrupted").stopped_at == 20).all()


def test_exit_code_130_before_anything_was_measured(call):
    code, _, err = call("sweep", "mine.py:interrupted_at_once", "--learning-rate", "0.1", "--progress=none")
    assert (code, err) == (130, "lrjax: interrupted before anything was measured\n")


def test_an_interrupt_in_the_last_step_of_a_range_test_loses_nothing(call, here):
    code, _, err = call(
        "range-test", "mine.py:interrupted_at_the_end", "--steps", "40", "--seeds", "1", "--progress=none"
    )
    directory = "runs/range-test-mine-interrupted_at_the_end"
    assert (code, err) == (130, f"lrjax: interrupted; what was measured is in {directory}\n")
    assert np.isfinite(lrjax.load(here / directory).losses).all()


@pytest.mark.parametrize("command", ["range-test", "sweep"])
def test_an_interrupt_while_the_picture_is_drawn_loses_nothing(call, here, monkeypatch, command):
    def plot(measured):
        raise KeyboardInterrupt

    monkeypatch.setattr(lrjax.RangeTest, "plot", plot)
    monkeypatch.setattr(lrjax.Sweep, "plot", plot)
    rates = ("--learning-rate", "0.01,0.1") if command == "sweep" else ("--minimum", "1e-4")
    code, _, err = call(command, "mine.py:tiny", *rates, "--progress=none")
    assert (code, err) == (130, f"lrjax: interrupted; what was measured is in runs/{command}-mine-tiny\n")
    lrjax.load(here / "runs" / f"{command}-mine-tiny")


def test_without_matplotlib_everything_but_the_picture_is_there(call, here, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, out, err = call(*small_sweep("--directory", "out"))
    assert code == 0
    assert err == "no picture: it needs matplotlib, pip install 'lrjax[plot]'\n"
    assert "wrote sweep.npz, sweep.json in out" in out
    assert sorted(path.name for path in (here / "out").glob("sweep*")) == ["sweep.json", "sweep.npz"]


# Bad input


SWEEP = ("sweep", "mine.py:tiny", "--learning-rate")
RATE = "`sweep(grid['learning_rate']=...)` must be finite numbers > 0"
UNWRITABLE = "`sweep(directory=...)` must be a directory that can be written, got"
BAD = {
    # The task.
    "unknown task": (("find", "digit"), "did you mean 'digits'?"),
    "unlike any task": (("find", "resnet"), "must be one of digits, "),
    "missing file": (("find", "nowhere.py:tiny"), "must be a file that exists, got 'nowhere.py'"),
    "name not in file": (("find", "mine.py:tyni"), "tiny"),
    "no task": (
        ("find", "mine.py:number"),
        "must be a `Task` or a function of no arguments that returns one, got 3",
    ),
    "function with arguments": (("find", "mine.py:loss"), "`loss(params, batch)`"),
    "function that returns no task": (("find", "mine.py:X"), "must be a `Task`"),
    "syntax error": (("find", "broken.py:tiny"), "SyntaxError"),
    "file that raises": (("find", "raising.py:tiny"), "RuntimeError: two lines"),
    "task without a trial": (("find", "mine.py:no_trial"), "`tasks.Task(trial=...)` must be a Trial or"),
    "batch larger than data": (
        ("find", "mine.py:greedy"),
        "`batches(batch_size=...)` must be at most the number of examples, 24, got 25",
    ),
    "raw data": (("find", "mine.py:raw"), "wrap them in `lrjax.batches`"),
    "leaves of different length": (
        ("find", "mine.py:ragged"),
        "as many examples each, got 24 at ['x'], 23 at ['y']",
    ),
    "ragged validation": (
        ("find", "mine.py:ragged_validation"),
        "`find_learning_rate(evaluate_on=...)` must be arrays",
    ),
    "trial without a loss": (("find", "mine.py:no_loss"), "'loss' among them, got only 'cost'"),
    "loss that is no scalar": (("find", "mine.py:vector_loss"), "got shape (8,) and dtype float32"),
    # Rates.
    "zero": ((*SWEEP, "0,0.1"), f"{RATE} (in float32), got 0.0"),
    "negative": ((*SWEEP[:2], "--learning-rate=-0.1,0.1"), RATE),
    "negative alone": ((*SWEEP, "-0.1"), RATE),
    "negative first, as typed": ((*SWEEP, "-0.1,0.1"), "--learning-rate"),
    "nan": ((*SWEEP, "nan,0.1"), f"{RATE} (in float32), got nan"),
    "infinite": ((*SWEEP, "0.1,inf"), f"{RATE} (in float32), got inf"),
    "duplicates": ((*SWEEP, "0.1,0.2,0.1"), "got learning_rate=0.1 twice"),
    "duplicates in float32": ((*SWEEP, "0.1,0.10000000001"), "twice"),
    "garbage": (
        (*SWEEP, "fast"),
        "--learning-rate must be LOW:HIGH:COUNT or numbers with commas, got 'fast'",
    ),
    "no rates": ((*SWEEP, ""), "--learning-rate must be"),
    "trailing comma": ((*SWEEP, "0.1,"), "--learning-rate must be"),
    "range without a count": ((*SWEEP, "0.1:1"), "--learning-rate must be"),
    "range with too much": ((*SWEEP, "0.1:1:3:4"), "--learning-rate must be"),
    "range of one": ((*SWEEP, "0.1:1:1"), "COUNT >= 2"),
    "range upside down": ((*SWEEP, "1:0.1:3"), "0 < LOW < HIGH"),
    "range from zero": ((*SWEEP, "0:1:3"), "0 < LOW < HIGH"),
    "range to infinity": ((*SWEEP, "1:inf:3"), "0 < LOW < HIGH"),
    "range of nan": ((*SWEEP, "nan:1:3"), "0 < LOW < HIGH"),
    "range too narrow": ((*SWEEP, "1:1.00000001:3"), "differ (in float32)"),
    "minimum zero": (
        ("find", "mine.py:tiny", "--minimum", "0"),
        "--minimum and --maximum must be 0 < minimum",
    ),
    "minimum nan": (("find", "mine.py:tiny", "--minimum", "nan"), "--minimum and --maximum must be"),
    "maximum infinite": (("find", "mine.py:tiny", "--maximum", "inf"), "--minimum and --maximum must be"),
    "maximum below minimum": (
        ("find", "mine.py:tiny", "--minimum", "1e-5", "--maximum", "1e-6"),
        "--minimum and --maximum must be",
    ),
    "maximum garbage": (
        ("find", "mine.py:tiny", "--maximum", "big"),
        "argument --maximum: invalid float value: 'big'",
    ),
    "budget without a unit": (
        ("find", "mine.py:tiny", "--budget", "1.5"),
        "--budget must be member-steps or",
    ),
    "budget zero": (("find", "mine.py:tiny", "--budget", "0s"), "--budget must be member-steps or a time"),
    "budget too small": (("find", "mine.py:tiny", "--budget", "20"), "must be at least"),
    "several values": (("find", "mine.py:tiny", "--set", "b1=0.8,0.9"), "use `lrjax sweep`"),
    "one point": (("find", "mine.py:tiny", "--points", "1"), "--points must be at least 2, got 1"),
    # Counts.
    "steps 0": ((*SWEEP, "0.1", "--steps", "0"), "`sweep(steps=...)` must be an integer >= 1, got 0"),
    "steps -5": ((*SWEEP, "0.1", "--steps", "-5"), "`sweep(steps=...)` must be an integer >= 1, got -5"),
    "steps 1.5": ((*SWEEP, "0.1", "--steps", "1.5"), "argument --steps: invalid int value: '1.5'"),
    "seeds 0": ((*SWEEP, "0.1", "--seeds", "0"), "`sweep(seeds=...)` must be an integer >= 1, got 0"),
    "key -1": ((*SWEEP, "0.1", "--key", "-1"), "`sweep(key=...)` must be an integer >= 0, got -1"),
    # The optimizer.
    "unknown optimizer": ((*SWEEP, "0.1", "--optimizer", "adamx"), "invalid choice: 'adamx'"),
    "optimizer without it": (
        (*SWEEP, "0.1", "--optimizer", "sgd", "--set", "b2=0.9"),
        "takes the hyperparameter 'b2', got sgd, which takes learning_rate, momentum",
    ),
    "out of range": (
        (*SWEEP, "0.1", "--set", "b1=0.9,1.5"),
        "`adam(b1=...)` must be one number in [0, 1), got 1.5 (at the point learning_rate=0.1, b1=1.5)",
    ),
    "of another kind": (
        (*SWEEP, "0.1", "--set", "b1=much"),
        "`adam(b1=...)` must be one number in [0, 1), got 'much'",
    ),
    "set nan": ((*SWEEP, "0.1", "--set", "b1=1e999"), "`sweep(grid['b1']=...)` must be finite numbers"),
    "set without value": (
        (*SWEEP, "0.1", "--set", "b1"),
        "--set must be NAME=VALUES, such as b2=0.99,0.999, got 'b1'",
    ),
    "set nothing": ((*SWEEP, "0.1", "--set", "b1="), "--set must be NAME=VALUES"),
    "set no name": ((*SWEEP, "0.1", "--set", "=3"), "--set must be NAME=VALUES"),
    "set twice": ((*SWEEP, "0.1", "--set", "b1=0.9", "--set", "b1=0.8"), "--set b1 is given twice"),
    "set the rate": ((*SWEEP, "0.1", "--set", "learning_rate=1"), "--learning-rate"),
    "optimizer of a task with its own": (
        ("sweep", "mine.py:own", "--learning-rate", "0.1", "--optimizer", "sgd"),
        "--optimizer cannot be set: the task brings its own",
    ),
    # Where to.
    "directory that is a file": ((*SWEEP, "0.1", "--directory", "mine.py"), f"{UNWRITABLE} mine.py"),
    "directory below a file": ((*SWEEP, "0.1", "--directory", "mine.py/x"), f"{UNWRITABLE} mine.py/x"),
    # The command itself.
    "no command": ((), "COMMAND"),
    "unknown command": (("seek",), "invalid choice: 'seek'"),
    "no task given": (("find",), "TASK"),
    "no rates given": (("sweep", "mine.py:tiny"), "--learning-rate"),
    "unknown option": (("find", "mine.py:tiny", "--fast"), "unrecognized arguments: --fast"),
}


@pytest.fixture
def no_training(monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("a member was started")

    monkeypatch.setattr(_program.Programs, "_compile", refuse)


def other_files(directory):
    (directory / "broken.py").write_text("def tiny(:\n    pass\n")
    (directory / "raising.py").write_text("raise RuntimeError('two\\nlines')\n")


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_exit_code_2(call, here, case):
    other_files(here)
    arguments, expected = BAD[case]
    code, _, err = call(*arguments)
    assert code == 2
    assert err.startswith("lrjax: error: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    assert "Traceback" not in err
    assert expected in err


def test_debug_shows_the_traceback(call):
    code, _, err = call(*SWEEP, "0.1", "--steps", "0", "--debug")
    assert code == 2  # as without it; Python's own would be 1, which says that no rate can be recommended
    assert err.startswith("Traceback")
    assert err.splitlines()[-1].startswith("lrjax: error: `sweep(steps=...)`")
    code, out, _ = call(*SWEEP, "0.1", "--steps", "0", "--debug", "--json")
    assert json.loads(out)["exit_code"] == code == 2


# As a user runs it


def process(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "lrjax", *arguments], capture_output=True, text=True, timeout=300, check=False
    )


def test_a_process_finds_a_rate_and_agrees_with_the_library(call, here):
    done = process(*small_sweep("--directory", "there"))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    code, out, _ = call(*small_sweep("--directory", "here"))
    assert code == 0
    assert without_timings(done.stdout) == without_timings(out).replace("in here", "in there")
    theirs, ours = lrjax.load(here / "there"), lrjax.load(here / "here")
    np.testing.assert_array_equal(theirs.metrics["loss"], ours.metrics["loss"])


def test_a_process_refuses_in_one_line(here):
    other_files(here)
    done = process("find", "broken.py:tiny")
    assert done.returncode == 2
    assert done.stdout == ""
    assert re.fullmatch(r"lrjax: error: `tasks\.load\(task=\.\.\.\)` must be .*SyntaxError.*\n", done.stderr)
