"""`lrjax find TASK`."""

from __future__ import annotations

import argparse
from typing import Any

import lrjax
from lrjax.cli._console import EXIT_CODES, Console
from lrjax.cli._parser import BadInput, add_training, ends, settings
from lrjax.cli._work import Result, run_sweep
from lrjax.search import log_spaced


def add(commands: Any) -> None:
    """Adds the command."""
    find = commands.add_parser(
        "find",
        help="find a learning rate for a task",
        description="Finds a learning rate: trains rates at equal ratios side by side, several seeds "
        "each, chooses on validation data and reports on test data.",
        epilog=EXIT_CODES,
    )
    add_training(find, seeds=3)
    find.add_argument(
        "--minimum", type=float, default=1e-5, metavar="RATE", help="lowest rate (default: 1e-5)"
    )
    find.add_argument("--maximum", type=float, default=1.0, metavar="RATE", help="highest rate (default: 1)")
    find.add_argument("--points", type=int, default=21, metavar="N", help="how many rates (default: 21)")
    find.set_defaults(run=_run)


def _run(options: argparse.Namespace, console: Console) -> Result:
    low, high = ends(options)
    if options.points < 2:
        raise BadInput(f"--points must be at least 2, got {options.points}")
    rates, others = log_spaced(low, high, options.points), settings(options.set)

    def train(trial: lrjax.Trial, data: Any, **shared: Any) -> lrjax.Sweep:
        if others:
            return lrjax.sweep(trial, {"learning_rate": rates, **others}, data, **shared)
        span = {"minimum": low, "maximum": high, "points": options.points}
        return lrjax.find_learning_rate(trial, data, **span, **shared)

    return run_sweep(options, console, rates, train)
