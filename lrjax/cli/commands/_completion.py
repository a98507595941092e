"""`lrjax completion SHELL`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import lrjax
from lrjax.cli._console import FOUND, Console
from lrjax.cli._parser import add_output
from lrjax.cli._work import Result

_INSTALL = {
    "bash": 'bash: eval "$(lrjax completion bash)" in ~/.bashrc',
    "tcsh": "tcsh: lrjax completion tcsh > ~/.lrjax.tcsh, and source that in ~/.tcshrc",
    "zsh": "zsh: lrjax completion zsh > DIR/_lrjax for a DIR in $fpath",
}


def add(commands: Any) -> None:
    """Adds the command."""
    completion = commands.add_parser(
        "completion",
        help="print a script that completes commands, options and tasks in a shell",
        description="Prints a script that completes commands, options and tasks in a shell.",
        epilog="; ".join(_INSTALL.values()),
    )
    completion.add_argument("shell", choices=sorted(_INSTALL), help="for which shell")
    add_output(completion)
    completion.set_defaults(run=_run)


def _run(options: argparse.Namespace, console: Console) -> Result:
    try:
        import shtab
    except ImportError as error:
        raise ImportError("completion needs shtab: pip install 'lrjax[completion]'") from error
    for action in _actions(options.parser):
        if action.dest == "task":
            action.complete = _tasks()
        elif action.dest == "directory":
            action.complete = shtab.DIRECTORY
        elif action.dest in ("output", "out"):
            action.complete = shtab.FILE
    script = shtab.complete(options.parser, options.shell)
    console.answer(script.rstrip("\n"))
    return FOUND, {"shell": options.shell, "script": script}


def _actions(parser: argparse.ArgumentParser) -> Iterator[Any]:
    """The options and arguments of a parser and of all commands below it."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)


def _tasks() -> dict[str, Any]:
    """How a shell completes a task: the built-in ones, and files."""
    names = " ".join(lrjax.tasks.names())
    bash = f'_lrjax_tasks() {{ compgen -W "{names}" -- "$1"; compgen -f -X "!*.py" -- "$1"; }}'
    zsh = f"_lrjax_tasks() {{ compadd {names}; _files -g '*.py' -S ':' }}"
    return {
        "bash": "_lrjax_tasks",
        "zsh": "_lrjax_tasks",
        "tcsh": "f",
        "preamble": {"bash": bash, "zsh": zsh},
    }
