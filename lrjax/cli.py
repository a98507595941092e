"""The command line: `lrjax find`, `lrjax sweep`, `lrjax range-test`, `lrjax schedule`, `lrjax tasks`."""

from __future__ import annotations

import argparse
import ast
import contextlib
import itertools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import lrjax
from lrjax.search import log_spaced

OPTIMIZERS = {
    "adadelta": lrjax.adadelta,
    "adagrad": lrjax.adagrad,
    "adam": lrjax.adam,
    "adamw": lrjax.adamw,
    "lion": lrjax.lion,
    "rmsprop": lrjax.rmsprop,
    "sgd": lrjax.sgd,
}
_DEFAULT_OPTIMIZER = "adam"
_EXIT_CODES = "exit codes: 0 a rate was found, 1 every rate failed, 2 bad input or an error, 130 interrupted"


class BadInput(Exception):
    """What the user typed cannot be used; the message is one line."""


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, like all others."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"lrjax: error: {message} (see `{self.prog} --help`)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
      arguments: What was typed after `lrjax`; None for the process's own arguments.

    Returns:
      The exit code: 0 if a learning rate was found (or there was nothing to find), 1 if every rate
      failed, 2 on bad input, 130 if interrupted.
    """
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except KeyboardInterrupt:
        print("lrjax: interrupted before anything was measured", file=sys.stderr)
        return 130
    except Exception as error:  # a task file of the user's may raise anything
        if options.debug:
            raise
        print(f"lrjax: error: {_one_line(error)}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="lrjax", description="Finds and compares learning rates for models written in JAX.")
    parser.add_argument("--version", action="version", version=f"lrjax {lrjax.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_find(commands)
    _add_sweep(commands)
    _add_range_test(commands)
    _add_schedule(commands)
    tasks = commands.add_parser(
        "tasks", help="list the built-in tasks", description="Lists the built-in tasks."
    )
    tasks.set_defaults(run=_tasks, debug=False)
    return parser


def _add_find(commands: Any) -> None:
    find = commands.add_parser(
        "find",
        help="find a learning rate for a task",
        description="Finds a learning rate: trains rates at equal ratios side by side, several seeds "
        "each, chooses on validation data and reports on test data.",
        epilog=_EXIT_CODES,
    )
    _add_common(find, seeds=3)
    find.add_argument(
        "--minimum", type=float, default=1e-5, metavar="RATE", help="lowest rate (default: 1e-5)"
    )
    find.add_argument("--maximum", type=float, default=1.0, metavar="RATE", help="highest rate (default: 1)")
    find.add_argument("--points", type=int, default=21, metavar="N", help="how many rates (default: 21)")
    find.set_defaults(run=_find)


def _add_sweep(commands: Any) -> None:
    sweep = commands.add_parser(
        "sweep",
        help="train a grid of learning rates and other hyperparameters",
        description="Trains every point of a grid with every seed, all in one compiled program.",
        epilog=_EXIT_CODES,
    )
    _add_common(sweep, seeds=1)
    sweep.add_argument(
        "--learning-rate",
        required=True,
        metavar="RATES",
        help="LOW:HIGH:COUNT for rates at equal ratios, or a list such as 1e-3,3e-3,1e-2",
    )
    sweep.set_defaults(run=_sweep)


def _add_range_test(commands: Any) -> None:
    test = commands.add_parser(
        "range-test",
        help="train once while the rate climbs, and suggest a rate",
        description="Trains while the learning rate climbs from step to step, several seeds side by side, "
        "and suggests a rate from the losses. Quick, and rougher than `lrjax find`.",
        epilog=_EXIT_CODES.replace("every rate failed", "the curves tell none"),
    )
    _add_common(test, seeds=5)
    test.add_argument(
        "--minimum", type=float, default=1e-7, metavar="RATE", help="lowest rate (default: 1e-7)"
    )
    test.add_argument("--maximum", type=float, default=10.0, metavar="RATE", help="highest (default: 10)")
    test.set_defaults(run=_range_test)


def _add_schedule(commands: Any) -> None:
    schedule = commands.add_parser(
        "schedule",
        help="show a schedule before training",
        description="Shows a schedule's values over a run, warns of what is often not meant, and draws it.",
        epilog="exit codes: 0 the schedule was shown, 2 bad input or an error",
    )
    schedule.add_argument(
        "expression",
        metavar="EXPRESSION",
        help="names of schedules, numbers and + - * /, such as "
        '"warmup_cosine_decay_schedule(0, 1e-3, 100, 1000)"',
    )
    schedule.add_argument("--steps", type=int, required=True, metavar="N", help="the length of the run")
    schedule.add_argument("--out", metavar="FILE", help="write a picture, or with .csv every value")
    schedule.add_argument("--debug", action="store_true", help="show where an error comes from")
    schedule.set_defaults(run=_schedule)


def _schedule(options: argparse.Namespace) -> int:
    print("\n".join(lrjax.plot.preview_schedule(options.expression, options.steps, options.out)))
    return 0


def _add_common(parser: argparse.ArgumentParser, seeds: int) -> None:
    parser.add_argument("task", metavar="TASK", help="a built-in task (see `lrjax tasks`) or file.py:name")
    parser.add_argument(
        "--optimizer", choices=sorted(OPTIMIZERS), help=f"default: {_DEFAULT_OPTIMIZER}, or the task's own"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUES",
        help="another hyperparameter of the optimizer, such as b2=0.99,0.999; may be repeated",
    )
    parser.add_argument(
        "--seeds", type=int, default=seeds, metavar="N", help=f"seeds per point (default: {seeds})"
    )
    parser.add_argument("--steps", type=int, metavar="N", help="updates per run (default: the task's)")
    parser.add_argument(
        "--key", type=int, default=0, metavar="N", help="base of all random keys (default: 0)"
    )
    parser.add_argument(
        "--directory",
        metavar="DIR",
        help="where picture and data go (default: runs/COMMAND-TASK, with a number behind it if another "
        "sweep is there); the same command again goes on there",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")


def _tasks(options: argparse.Namespace) -> int:
    del options
    summaries = lrjax.tasks.summaries()
    width = max(map(len, summaries))
    for name, summary in summaries.items():
        print(f"{name.ljust(width)}  {summary}")
    return 0


def _find(options: argparse.Namespace) -> int:
    if not 0 < options.minimum < options.maximum < float("inf"):
        got = f"{options.minimum:g} and {options.maximum:g}"
        raise BadInput(f"--minimum and --maximum must be 0 < minimum < maximum < inf, got {got}")
    if options.points < 2:
        raise BadInput(f"--points must be at least 2, got {options.points}")
    return _run("find", options, log_spaced(options.minimum, options.maximum, options.points))


def _sweep(options: argparse.Namespace) -> int:
    return _run("sweep", options, _rates(options.learning_rate))


def _range_test(options: argparse.Namespace) -> int:
    """Trains the ramp, writes data and picture, prints what it suggests last."""
    if not 0 < options.minimum < options.maximum < float("inf"):
        got = f"{options.minimum:g} and {options.maximum:g}"
        raise BadInput(f"--minimum and --maximum must be 0 < minimum < maximum < inf, got {got}")
    several = [name for name, values in _settings(options.set).items() if len(values) > 1]
    if several:
        raise BadInput(f"--set {several[0]} must be one value: a range test moves the learning rate alone")
    task = lrjax.tasks.load(options.task)
    optimizer, trial = _trial(task, options.optimizer)
    steps = 100 if options.steps is None else options.steps
    print(f"{options.task}: {task.summary}" if task.summary else options.task)
    seeds = f"{options.seeds} seed{'s' * (options.seeds != 1)}"
    print(f"{optimizer}, {options.minimum:.3g} to {options.maximum:.3g}, {seeds}, {steps} steps", flush=True)
    directory = _new_directory(options.directory, f"runs/range-test-{_short(options.task)}")
    test = lrjax.range_test(
        trial,
        task.data,
        minimum=options.minimum,
        maximum=options.maximum,
        steps=steps,
        seeds=options.seeds,
        hyperparams={name: values[0] for name, values in _settings(options.set).items()},
        key=options.key,
        progress=not options.quiet,
    )
    test.save(directory)
    files = ["range-test.json", *_draw(test, directory, "range-test.png")]
    print(f"wrote {', '.join(files)} in {directory}\n")
    print(test.summary())
    return 0 if test.suggestion is not None else 1


def _new_directory(given: str | None, usual: str) -> Path:
    """Where asked, or the first usual place without a range test; proved to be writable before training."""
    places = (Path(usual if number == 1 else f"{usual}-{number}") for number in itertools.count(1))
    free = next(place for place in places if not lrjax.results.holds_range_test(place))
    return lrjax.results.check_writable("range_test", "directory", given or free)


def _short(task: str) -> str:
    """A task's name as part of a file's."""
    return task.rpartition("/")[2].replace(".py:", "-")


def _run(command: str, options: argparse.Namespace, rates: list[float]) -> int:
    """Trains the grid, writes data and picture, prints the table and, last, the answer."""
    grid = {"learning_rate": rates, **_settings(options.set)}
    task = lrjax.tasks.load(options.task)
    optimizer, trial = _trial(task, options.optimizer)
    steps = task.steps if options.steps is None else options.steps
    name = _short(options.task)
    print(f"{options.task}: {task.summary}" if task.summary else options.task)
    print(
        f"{optimizer}, {_span(rates)}, {options.seeds} seed{'s' * (options.seeds != 1)}, {steps} steps",
        flush=True,
    )

    def train(directory: Path) -> lrjax.Sweep:
        return lrjax.sweep(
            trial,
            grid,
            task.data,
            steps=steps,
            seeds=options.seeds,
            evaluate_on=task.validation,
            test_on=task.test,
            key=options.key,
            directory=directory,
            progress=not options.quiet,
        )

    sweep, directory = _stored(train, options.directory, f"runs/{command}-{name}")
    files = ["sweep.npz", "sweep.json", *_draw(sweep, directory, "sweep.png")]
    print(f"wrote {', '.join(files)} in {directory}\n")
    print(sweep.summary())
    if (sweep.stopped_at >= 0).any():
        return 130
    return 0 if sweep.answer.index is not None else 1


def _stored(train: Callable[[Path], lrjax.Sweep], given: str | None, usual: str) -> tuple[lrjax.Sweep, Path]:
    """A sweep and where it is: where asked, or the first usual place that is free or holds it already."""
    if given is not None:
        return train(Path(given)), Path(given)
    for number in itertools.count(1):
        directory = Path(usual if number == 1 else f"{usual}-{number}")
        with contextlib.suppress(lrjax.results.AnotherSweep):
            return train(directory), directory
    raise AssertionError("numbers do not end")


def _span(rates: list[float]) -> str:
    if len(rates) == 1:
        return f"learning rate {rates[0]:.3g}"
    return f"{len(rates)} learning rates from {min(rates):.3g} to {max(rates):.3g}"


def _trial(task: lrjax.tasks.Task, chosen: str | None) -> tuple[str, lrjax.Trial]:
    if isinstance(task.trial, lrjax.Trial):
        if chosen is not None:
            raise BadInput("--optimizer cannot be set: the task brings its own")
        return "the task's own optimizer", task.trial
    name = chosen or _DEFAULT_OPTIMIZER
    return name, task.trial(OPTIMIZERS[name])


def _draw(measured: lrjax.Sweep | lrjax.RangeTest, directory: Path, name: str) -> list[str]:
    """Draws the picture; where it cannot it says so, and nothing measured is lost."""
    try:
        import matplotlib

        matplotlib.use("Agg")
    except ImportError:
        print("no picture: it needs matplotlib, pip install 'lrjax[plot]'", file=sys.stderr)
        return []
    figure: Any = measured.plot().figure
    try:
        figure.savefig(directory / name, dpi=150)
    except OSError as error:
        print(f"no picture: {error}", file=sys.stderr)
        return []
    return [name]


def _rates(text: str) -> list[float]:
    """Rates from `LOW:HIGH:COUNT` or a list with commas."""
    try:
        if ":" not in text:
            return [float(part) for part in text.split(",")]
        low, high, count = text.split(":")
        ends, number = (float(low), float(high)), int(count)
    except ValueError as error:
        raise BadInput(
            f"--learning-rate must be LOW:HIGH:COUNT or numbers with commas, got {text!r}"
        ) from error
    if not 0 < ends[0] < ends[1] < float("inf") or number < 2:
        raise BadInput(f"--learning-rate LOW:HIGH:COUNT must be 0 < LOW < HIGH and COUNT >= 2, got {text!r}")
    return log_spaced(*ends, number)


def _settings(texts: Sequence[str]) -> dict[str, list[Any]]:
    """Hyperparameters from `NAME=VALUES` texts."""
    settings: dict[str, list[Any]] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        if not name.isidentifier() or not equals or not values:
            raise BadInput(f"--set must be NAME=VALUES, such as b2=0.99,0.999, got {text!r}")
        if name == "learning_rate":
            raise BadInput("--set learning_rate is not for here: `lrjax sweep` has --learning-rate")
        if name in settings:
            raise BadInput(f"--set {name} is given twice; list its values with commas")
        settings[name] = [_value(part) for part in values.split(",")]
    return settings


def _value(text: str) -> Any:
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    return value if isinstance(value, (int, float)) else text


def _one_line(error: BaseException) -> str:
    """The error's first line with its notes, named unless it is one of lrjax's own."""
    first = str(error).strip().partition("\n")[0]
    notes = " ".join(f"({note})" for note in getattr(error, "__notes__", ()) if "\n" not in note)
    own = isinstance(error, BadInput) or first.startswith("`") or isinstance(error, (OSError, ImportError))
    return " ".join(filter(None, [first if own else f"{type(error).__name__}: {first}", notes]))
