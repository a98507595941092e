"""The commands, one file each: what is beside this file and has a function `add` is one.

`add(commands)` adds a parser by `commands.add_parser(name, ...)` and sets its `run`: a function of the
options and a `Console` that returns an exit code and a dict for `--json`.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any


def add_all(commands: Any) -> None:
    """Adds every command, in the order of their files' names."""
    for module in sorted(module.name for module in pkgutil.iter_modules(__path__)):
        importlib.import_module(f"{__name__}.{module}").add(commands)
