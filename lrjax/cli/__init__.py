"""The command line: `lrjax COMMAND`; each command is one file of `lrjax.cli.commands`."""

from lrjax.cli._main import main

__all__ = ["main"]
