"""From what was typed to an exit code."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import lrjax
from lrjax.cli._console import BAD_INPUT, ERROR, NOBODY_READS, Console
from lrjax.cli._parser import BadInput, Parser
from lrjax.cli.commands import add_all


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
      arguments: What was typed after `lrjax`; None for the process's own arguments.

    Returns:
      The exit code: 0 if a learning rate was found (or what else was asked for is done), 1 if none can be
      recommended, 2 on bad input, 3 after another error, 130 if interrupted, 141 if nobody reads the output.
    """
    typed = list(sys.argv[1:] if arguments is None else arguments)
    console = Console(json="--json" in typed)
    try:
        options = parser().parse_args(typed)
        options.typed = typed
        console.set_level(getattr(options, "quiet", False), getattr(options, "verbose", False))
    except BadInput as error:
        return console.fail(_one_line(error), BAD_INPUT)
    try:
        with console.own_output():
            code, about = options.run(options, console)
        console.finish({"command": options.command, "exit_code": code, **about})
        return code
    except KeyboardInterrupt:
        return console.interrupted()
    except BrokenPipeError:
        with contextlib.suppress(OSError, ValueError):  # so that nothing is said at exit either
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NOBODY_READS
    except Exception as error:  # a task file of the user's may raise anything
        if getattr(options, "debug", False):
            traceback.print_exc()
        return console.fail(_one_line(error), BAD_INPUT if _is_of_input(error) else ERROR)


def parser() -> Parser:
    """The parser of the whole command line."""
    made = Parser(
        prog="lrjax",
        description="Finds and compares learning rates for models written in JAX.",
        epilog="`lrjax COMMAND --help` explains a command.",
    )
    made.add_argument("--version", action="version", version=f"lrjax {lrjax.__version__}")
    made.set_defaults(parser=made)  # for completion
    add_all(made.add_subparsers(title="commands", dest="command", required=True, metavar="COMMAND"))
    return made


def _is_of_input(error: Exception) -> bool:
    """Whether an error is about what was asked for: lrjax's own messages say so, before any training."""
    own = str(error).startswith("`") and not hasattr(error, "sweep") and not isinstance(error, ImportError)
    return isinstance(error, BadInput) or own


def _one_line(error: BaseException) -> str:
    """The error's first line with its notes, named unless it is one of lrjax's own."""
    first = str(error).strip().partition("\n")[0]
    notes = " ".join(f"({note})" for note in _notes(error) if "\n" not in note)
    own = isinstance(error, BadInput) or first.startswith("`") or isinstance(error, (OSError, ImportError))
    return " ".join(filter(None, [first if own else f"{type(error).__name__}: {first}", notes]))


def _notes(error: BaseException) -> Sequence[Any]:
    return getattr(error, "__notes__", ())
