"""`lrjax sweep TASK`."""

from __future__ import annotations

import argparse
from typing import Any

import lrjax
from lrjax.cli._console import EXIT_CODES, Console
from lrjax.cli._parser import add_training, rates, settings
from lrjax.cli._work import Result, run_sweep, span


def add(commands: Any) -> None:
    """Adds the command."""
    sweep = commands.add_parser(
        "sweep",
        help="train a grid of learning rates and other hyperparameters",
        description="Trains every point of a grid with every seed, all in one compiled program.",
        epilog=EXIT_CODES,
    )
    add_training(sweep, seeds=1)
    sweep.add_argument(
        "--learning-rate",
        required=True,
        metavar="RATES",
        help="LOW:HIGH:COUNT for rates at equal ratios, or a list such as 1e-3,3e-3,1e-2",
    )
    sweep.set_defaults(run=_run)


def _run(options: argparse.Namespace, console: Console) -> Result:
    grid = {"learning_rate": rates(options.learning_rate), **settings(options.set)}

    def train(trial: lrjax.Trial, data: Any, **shared: Any) -> lrjax.Sweep:
        return lrjax.sweep(trial, grid, data, **shared)

    return run_sweep(options, console, span(grid["learning_rate"]), train)
