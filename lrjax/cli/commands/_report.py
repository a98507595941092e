"""`lrjax report DIR`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import lrjax
from lrjax.cli._console import FOUND, Console
from lrjax.cli._parser import BadInput, add_output
from lrjax.cli._work import Result, about

_EXPORTS = {
    "csv": ("sweep.csv", "members.csv"),
    "json": ("export.json",),
    "tensorboard": ("tensorboard",),
}


def add(commands: Any) -> None:
    """Adds the command."""
    report = commands.add_parser(
        "report",
        help="write the page of a stored sweep, and tables for other programs",
        description="Writes the HTML report of a sweep that `lrjax find`, `lrjax sweep` or `Sweep.save` "
        "stored, and on request its numbers for other programs.",
        epilog="exit codes: 0 it is written, 2 bad input, 3 another error",
    )
    report.add_argument("directory", metavar="DIR", help="where the sweep is stored")
    report.add_argument("--output", metavar="FILE", help="the page (default: report.html in DIR)")
    report.add_argument("--title", metavar="TEXT", help="the page's heading")
    report.add_argument(
        "--export",
        action="append",
        choices=sorted(_EXPORTS),
        default=[],
        help="also write to DIR: "
        + "; ".join(f"{kind}: {', '.join(to)}" for kind, to in _EXPORTS.items())
        + "; may be repeated",
    )
    add_output(report)
    report.set_defaults(run=_run)


def _run(options: argparse.Namespace, console: Console) -> Result:
    directory = Path(options.directory)
    sweep = lrjax.load(directory)
    if not isinstance(sweep, lrjax.Sweep):
        raise BadInput(f"DIR must hold a sweep, got {directory}, which holds a range test")
    console.detail(f"read {sweep.diverged_at.size} members from {directory}")
    files = [str(sweep.report(options.output or directory / "report.html", title=options.title))]
    for kind in dict.fromkeys(options.export):
        paths = [directory / name for name in _EXPORTS[kind]]
        if kind == "csv":
            sweep.to_csv(paths[0])
            sweep.to_csv(paths[1], rows="members")
        elif kind == "json":
            sweep.to_json(paths[0])
        else:
            sweep.to_tensorboard(paths[0])
        files += map(str, paths)
    console.tell(f"wrote {', '.join(files)}\n")
    console.answer(sweep.answer.recommendation)
    return FOUND, {"directory": str(directory), "files": files, **about(sweep)}
