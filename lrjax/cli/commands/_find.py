"""`lrjax find TASK`."""

from __future__ import annotations

import argparse
import datetime
import re
from typing import Any

import lrjax
from lrjax.cli._console import EXIT_CODES, Console
from lrjax.cli._parser import BadInput, add_training, ends, single_settings
from lrjax.cli._work import Result, run_sweep

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours"}


def add(commands: Any) -> None:
    """Adds the command."""
    find = commands.add_parser(
        "find",
        help="find a learning rate for a task",
        description="Finds a learning rate: a range test tells where to look, rates there are trained with "
        "several seeds, then what is missing around the best one. Chooses on validation data and reports on "
        "test data.",
        epilog=EXIT_CODES,
    )
    add_training(find, seeds=3)
    find.add_argument("--minimum", type=float, metavar="RATE", help="no lower rate is tried")
    find.add_argument("--maximum", type=float, metavar="RATE", help="no higher rate is tried")
    find.add_argument(
        "--points",
        type=int,
        metavar="N",
        help="how many rates are tried first (default: one every 0.4 decades)",
    )
    find.add_argument(
        "--budget",
        metavar="STEPS|TIME",
        help="member-steps, such as 50000, or a time, such as 90s, 10m or 1.5h, after which nothing new "
        "begins (default: what 25 rates take)",
    )
    find.set_defaults(run=_run)


def _run(options: argparse.Namespace, console: Console) -> Result:
    low, high = ends(options)
    if options.points is not None and options.points < 2:
        raise BadInput(f"--points must be at least 2, got {options.points}")
    asked: dict[str, Any] = {
        "minimum": low,
        "maximum": high,
        "points": options.points,
        "budget": _budget(options.budget),
        "hyperparams": single_settings(
            options.set, "a search is over the learning rate alone; use `lrjax sweep`"
        ),
    }

    def train(trial: lrjax.Trial, data: Any, **shared: Any) -> lrjax.Sweep:
        return lrjax.find_learning_rate(trial, data, **asked, **shared)

    return run_sweep(options, console, "learning rates that are searched", train)


def _budget(text: str | None) -> int | datetime.timedelta | None:
    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip())
    if found is None or (not found[2] and not found[1].isdecimal()) or not float(found[1]):
        raise BadInput(f"--budget must be member-steps or a time such as 90s, 10m, 1.5h, got {text!r}")
    if found[2]:
        return datetime.timedelta(**{_UNITS[found[2]]: float(found[1])})
    return int(found[1])
