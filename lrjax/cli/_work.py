"""What commands share: trials, sweeps and where they are, pictures, what machines are told of a sweep."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import itertools
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lrjax
from lrjax import _check
from lrjax.cli._console import FOUND, INTERRUPTED, NO_RATE, Console
from lrjax.cli._parser import DEFAULT_OPTIMIZER, OPTIMIZERS, BadInput, progress

Result = tuple[int, dict[str, Any]]  # an exit code, and what machines are told


def trial_of(task: lrjax.tasks.Task, chosen: str | None) -> tuple[str, lrjax.Trial]:
    """A task's trial, and what its optimizer is called."""
    if isinstance(task.trial, lrjax.Trial):
        if chosen is not None:
            raise BadInput("--optimizer cannot be set: the task brings its own")
        return "the task's own optimizer", task.trial
    if not callable(task.trial):
        expected = "a Trial or a function from an optimizer to one"
        raise BadInput(str(_check.fail("tasks.Task", "trial", expected, _check.describe(task.trial))))
    name = chosen or DEFAULT_OPTIMIZER
    return name, task.trial(OPTIMIZERS[name])


def introduce(
    options: argparse.Namespace,
    console: Console,
    task: lrjax.tasks.Task,
    optimizer: str,
    rates: str,
    steps: int,
) -> None:
    """Says what will be trained."""
    console.tell(f"{options.task}: {task.summary}" if task.summary else options.task)
    seeds = f"{options.seeds} seed{'s' * (options.seeds != 1)}"
    console.tell(f"{optimizer}, {rates}, {seeds}, {steps} step{'s' * (steps != 1)}")


def run_sweep(
    options: argparse.Namespace,
    console: Console,
    rates: str,
    train: Callable[..., lrjax.Sweep],
) -> Result:
    """Trains a task, writes data and picture, prints the table and, last, the answer.

    Args:
      options: What was typed.
      console: Where to say it.
      rates: Which learning rates, in words.
      train: Gets the trial, the data and what else all searches take.
    """
    task = lrjax.tasks.load(options.task)
    optimizer, trial = trial_of(task, options.optimizer)
    steps = task.steps if options.steps is None else options.steps
    introduce(options, console, task, optimizer, rates, steps)

    def in_directory(directory: Path) -> lrjax.Sweep:
        console.detail(f"training in {directory}")
        return train(
            trial,
            task.data,
            steps=steps,
            seeds=options.seeds,
            evaluate_on=task.validation,
            test_on=task.test,
            key=options.key,
            directory=directory,
            progress=progress(options),
        )

    usual = f"runs/{options.command}-{short(options.task)}"
    sweep, directory = _stored(in_directory, options.directory, usual)
    command = shlex.join(["lrjax", *options.typed])
    sweep.settings.update(task=options.task, optimizer=optimizer, command=command)
    sweep.save(directory)
    console.written(directory)
    files = ["sweep.npz", "sweep.json", *draw(sweep, directory / "sweep.png", console)]
    _details(sweep, console)
    console.tell(f"wrote {', '.join(files)} in {directory}\n")
    console.tell(sweep.summary().removesuffix(sweep.answer.recommendation).rstrip("\n") + "\n")
    console.answer(sweep.answer.recommendation)
    where = {"task": options.task, "optimizer": optimizer, "directory": str(directory), "files": files}
    return code_of(sweep), {**where, **about(sweep)}


def code_of(sweep: lrjax.Sweep) -> int:
    """The exit code for a sweep."""
    at_the_end = (sweep.stopped_at >= sweep.steps).any()  # before the last evaluation
    if at_the_end or _interrupted(sweep):
        return INTERRUPTED
    return FOUND if sweep.answer.index is not None else NO_RATE


def _interrupted(sweep: lrjax.Sweep) -> bool:
    """Whether members could have trained on, or a search was ended between its stages."""
    between = sweep.settings.get("search", {}).get("unfinished", "").startswith("interrupted")
    return between or bool(lrjax.answer.interrupted(sweep).any())


def about(sweep: lrjax.Sweep) -> dict[str, Any]:
    """What machines are told of a sweep: all but the curves."""
    return {
        "answer": lrjax.export.answer_json(sweep.answer),
        "name": sweep.name,
        "points": lrjax.export.points_json(sweep),
        "steps": sweep.steps,
        "seeds": sweep.diverged_at.shape[1],
        "interrupted": _interrupted(sweep),
        "plan": str(sweep.plan),
        "cost": dataclasses.asdict(sweep.cost),
    }


def draw(measured: lrjax.Sweep | lrjax.RangeTest, file: Path, console: Console) -> list[str]:
    """Draws the picture; where it cannot it says so, and nothing measured is lost."""
    try:
        import matplotlib

        matplotlib.use("Agg")
    except ImportError:
        console.warn("no picture: it needs matplotlib, pip install 'lrjax[plot]'")
        return []
    figure: Any = measured.plot().figure
    try:
        figure.savefig(file, dpi=150)
    except OSError as error:
        console.warn(f"no picture: {error}")
        return []
    return [file.name]


def short(task: str) -> str:
    """A task's name as part of a file's."""
    return task.rpartition("/")[2].replace(".py:", "-")


def _stored(train: Callable[[Path], lrjax.Sweep], given: str | None, usual: str) -> tuple[lrjax.Sweep, Path]:
    """A sweep and where it is: where asked, or the first usual place that is free or holds it already."""
    if given is not None:
        return train(Path(given)), Path(given)
    for number in itertools.count(1):
        directory = Path(usual if number == 1 else f"{usual}-{number}")
        with contextlib.suppress(lrjax.results.AnotherSweep):
            return train(directory), directory
    raise AssertionError("numbers do not end")


def span(rates: Sequence[float]) -> str:
    """Learning rates in words."""
    if len(rates) == 1:
        return f"learning rate {rates[0]:.3g}"
    return f"{len(rates)} learning rates from {min(rates):.3g} to {max(rates):.3g}"


def _details(sweep: lrjax.Sweep, console: Console) -> None:
    """How it was run."""
    console.detail(f"plan: {sweep.plan.summary()}")
    machine = [sweep.settings.get("device"), sweep.settings.get("host")]
    versions = [f"{name} {version}" for name, version in sweep.settings.get("versions", {}).items()]
    console.detail(", ".join(str(part) for part in (*machine, *versions) if part))
