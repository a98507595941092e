"""The parser, the options that commands share, and how their values are written."""

from __future__ import annotations

import argparse
import ast
import itertools
from collections.abc import Sequence
from typing import Any, NoReturn

import lrjax
from lrjax.search import log_spaced

_RECIPES = """
    acprop adabelief adabound adadelta adafactor adagrad adagrad_rda adam adamax adamaxw adamp adamw
    adan adaptive_revision ademamix adopt amsbound amsgrad becker_lecun dadapt_adagrad dadapt_adamw
    dadapt_sgd dog dowg fromage full_matrix_adagrad galore gi_adam lamb lars ldog lion madgrad mars
    momo momo_adam muon nadam nadamw noisy_sgd novograd optimistic_adam_v2
    optimistic_gradient_descent prodigy proximal_adagrad radam rmsprop rprop sgd shampoo sign_sgd
    signum simplified_ademamix sm3 soap sophia stable_adamw vsgd yogi
"""
OPTIMIZERS = {name: getattr(lrjax, name) for name in _RECIPES.split()}
DEFAULT_OPTIMIZER = "adam"


class BadInput(Exception):
    """What the user typed cannot be used; the message is one line."""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, like all others, and that takes no shortened options."""

    def __init__(self, *arguments: Any, **options: Any):
        super().__init__(*arguments, allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{message} (see `{self.prog} --help`)")


def add_output(parser: argparse.ArgumentParser) -> None:
    """How much to say, and to whom."""
    parser.add_argument(
        "--json",
        action="store_true",
        help="print one JSON object and nothing else; progress and errors go to standard error",
    )
    level = parser.add_mutually_exclusive_group()
    level.add_argument("-q", "--quiet", action="store_true", help="print the answer alone, no progress")
    level.add_argument(
        "-v", "--verbose", action="store_true", help="say on standard error what is done, how and why"
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")


def add_training(parser: argparse.ArgumentParser, seeds: int, steps: str = "the task's") -> None:
    """What to train, how long, and where to put it."""
    parser.add_argument("task", metavar="TASK", help="a built-in task (see `lrjax tasks`) or file.py:name")
    parser.add_argument(
        "--optimizer",
        choices=sorted(OPTIMIZERS),
        metavar="NAME",
        help=f"sgd, adamw, muon, ...: a recipe of lrjax (default: {DEFAULT_OPTIMIZER}, or the task's own)",
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
    parser.add_argument("--steps", type=int, metavar="N", help=f"updates per run (default: {steps})")
    parser.add_argument(
        "--key", type=int, default=0, metavar="N", help="base of all random keys (default: 0)"
    )
    parser.add_argument(
        "--directory",
        metavar="DIR",
        help="where picture and data go (default: runs/COMMAND-TASK, with a number behind it if another "
        "sweep is there); the same command again goes on there",
    )
    parser.add_argument(
        "--progress",
        choices=("auto", "bar", "lines", "none"),
        default="auto",
        help="on standard error: a bar, lines as in a log, or nothing (default: a bar on a terminal, "
        "else lines)",
    )
    add_output(parser)


def progress(options: argparse.Namespace) -> Any:
    """What `progress=` a search gets."""
    if options.quiet:
        return False
    return {"auto": True, "none": False}.get(options.progress, options.progress)


def ends(options: argparse.Namespace) -> tuple[Any, Any]:
    """The lowest and the highest rate, None where none is given."""
    given = [end for end in (options.minimum, options.maximum) if end is not None]
    if not all(low < high for low, high in itertools.pairwise([0.0, *given, float("inf")])):
        got = " and ".join(f"{end:g}" for end in given)
        raise BadInput(f"--minimum and --maximum must be 0 < minimum < maximum < inf, got {got}")
    return options.minimum, options.maximum


def rates(text: str) -> list[float]:
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


def settings(texts: Sequence[str]) -> dict[str, list[Any]]:
    """Hyperparameters from `NAME=VALUES` texts."""
    found: dict[str, list[Any]] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        if not name.isidentifier() or not equals or not values:
            raise BadInput(f"--set must be NAME=VALUES, such as b2=0.99,0.999, got {text!r}")
        if name == "learning_rate":
            raise BadInput("--set learning_rate is not for here: `lrjax sweep` has --learning-rate")
        if name in found:
            raise BadInput(f"--set {name} is given twice; list its values with commas")
        found[name] = [value(part) for part in values.split(",")]
    return found


def single_settings(texts: Sequence[str], why: str) -> dict[str, Any]:
    """Hyperparameters from `NAME=VALUE` texts; `why` says why there may be one value only."""
    found = settings(texts)
    for name, values in found.items():
        if len(values) > 1:
            raise BadInput(f"--set {name} must be one value: {why}")
    return {name: values[0] for name, values in found.items()}


def value(text: str) -> Any:
    """A number, true, false, none, or the text itself."""
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    return found if isinstance(found, (int, float)) else text
