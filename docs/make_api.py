"""Writes api.md beside this file: every public name, with the first line of its docstring.

Run: python docs/make_api.py
"""

from __future__ import annotations

import inspect
from pathlib import Path
from types import ModuleType
from typing import Any

import lrjax

PAGE = Path(__file__).with_name("api.md")
ROOMS = {
    "search": "Range test, sweep, search",
    "trials": "Trials",
    "data": "Data",
    "optimizers": "Optimizers",
    "schedules": "Schedules",
    "learning_rate": "The learning rate of an optimizer",
    "transforms": "Transformations",
    "transform": "The protocol",
}
MODULES = ("answer", "compat", "export", "plot", "report", "results", "science", "tasks", "tree")
OPENING = """\
# Every public name

Signatures, rules, units, errors and examples are in the docstrings: `help(lrjax.adam)`. Names that end in
`State` hold what an optimizer, a transformation or a schedule remembers. `lrjax.contrib` has the names that
optax's has; each is here as well. This page is made by `python docs/make_api.py`.
"""


def page() -> str:
    """The page's text."""
    flat: dict[str, dict[str, Any]] = {}
    for name in lrjax.__all__:
        value = getattr(lrjax, name)
        if not isinstance(value, ModuleType) and not name.startswith("_") and callable(value):
            flat.setdefault(value.__module__.split(".")[1], {})[name] = value
    parts = [OPENING]
    for room in sorted(flat, key=list(ROOMS).index):
        parts.append(section(ROOMS[room], "lrjax", flat[room]))
    for name in MODULES:
        module = getattr(lrjax, name)
        parts.append(section(f"`lrjax.{name}`", f"lrjax.{name}", members(module)))
    return "\n".join(parts)


def members(module: ModuleType) -> dict[str, Any]:
    """What a module offers: the functions and classes in `__all__`, or else those that it defines."""
    names = getattr(module, "__all__", None) or [name for name in vars(module) if name[0] != "_"]
    values = {name: getattr(module, name) for name in names}
    room = module.__name__
    return {
        name: value for name, value in values.items() if getattr(value, "__module__", "").startswith(room)
    }


def section(title: str, prefix: str, named: dict[str, Any]) -> str:
    """A heading and a table; states below it, in a line."""
    states = sorted(name for name in named if name.endswith("State"))
    lines = [f"## {title}", ""]
    if len(states) < len(named):
        lines += ["| Name | What it is |", "|---|---|"]
    for name in sorted(set(named) - set(states), key=lambda name: (name.lower(), name)):
        lines.append(f"| `{prefix}.{name}` | {summary(named[name])} |")
    if states:
        lines += ["", f"States: {', '.join(f'`{name}`' for name in states)}."]
    return "\n".join([*lines, ""])


def summary(value: Any) -> str:
    """The first paragraph's first line, fit for a table."""
    return (inspect.getdoc(value) or "").partition("\n")[0].replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page())
