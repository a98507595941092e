"""`lrjax tasks`."""

from __future__ import annotations

import argparse
from typing import Any

import lrjax
from lrjax.cli._console import FOUND, Console
from lrjax.cli._parser import add_output
from lrjax.cli._work import Result


def add(commands: Any) -> None:
    """Adds the command."""
    tasks = commands.add_parser(
        "tasks", help="list the built-in tasks", description="Lists the built-in tasks."
    )
    add_output(tasks)
    tasks.set_defaults(run=_run)


def _run(options: argparse.Namespace, console: Console) -> Result:
    summaries = lrjax.tasks.summaries()
    width = max(map(len, summaries))
    for name, summary in summaries.items():
        console.answer(name if options.quiet else f"{name.ljust(width)}  {summary}")
    return FOUND, {"tasks": [{"name": name, "summary": summary} for name, summary in summaries.items()]}
