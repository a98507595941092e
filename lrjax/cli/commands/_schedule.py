"""`lrjax schedule EXPRESSION`."""

from __future__ import annotations

import argparse
from typing import Any

import lrjax
from lrjax.cli._console import FOUND, Console
from lrjax.cli._parser import BadInput, add_output
from lrjax.cli._work import Result


def add(commands: Any) -> None:
    """Adds the command."""
    schedule = commands.add_parser(
        "schedule",
        help="show a schedule before training",
        description="Shows a schedule's values over a run, warns of what is often not meant, and draws it.",
        epilog="exit codes: 0 the schedule was shown, 2 bad input, 3 another error",
    )
    schedule.add_argument(
        "expression",
        metavar="EXPRESSION",
        help="names of schedules, numbers and + - * /, such as "
        '"warmup_cosine_decay_schedule(0, 1e-3, 100, 1000)"',
    )
    schedule.add_argument("--steps", type=int, required=True, metavar="N", help="the length of the run")
    schedule.add_argument("--out", metavar="FILE", help="write a picture, or with .csv every value")
    add_output(schedule)
    schedule.set_defaults(run=_run)


def _run(options: argparse.Namespace, console: Console) -> Result:
    try:
        found = lrjax.plot.preview_schedule(options.expression, options.steps, options.out)
    except (ValueError, TypeError) as error:  # all of them are about what was typed
        raise BadInput(str(error)) from error
    console.answer("\n".join(found.lines()))
    return FOUND, {
        "expression": options.expression,
        "steps": options.steps,
        "values": [
            {"step": step, "value": value} for step, value in zip(found.steps, found.values, strict=True)
        ],
        "warnings": [{"name": name, "message": message} for name, message in found.warnings.items()],
        "written": found.written or None,
    }
