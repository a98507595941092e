"""How a sweep was made: versions, device, plan, ledger, settings and command."""

from __future__ import annotations

import datetime
from importlib import metadata
from typing import Any

from lrjax.report import _text
from lrjax.report._view import View

_NOT_RECORDED = "not recorded"
_ELSEWHERE = (
    "versions",
    "device",
    "host",
    "absent",
    "schedules",
    "search",
    "command",
)  # settings that stand elsewhere, or are long


def made(view: View, command: str | None, plotly: str) -> str:
    """The page's last section, as HTML."""
    parts = []
    command = view.data.settings.get("command") if command is None else command
    if command is not None:
        parts.append(f"<h3>Command</h3><pre>{_text.escape(command)}</pre>")
    search = view.data.settings.get("search")
    if search:
        parts.append("<h3>Search</h3>" + _course(search))
    parts += [
        "<h3>Settings</h3>" + _list(_settings(view)),
        "<h3>Versions and device</h3>" + _list(_machine(view)),
        f"<h3>Plan</h3><pre>{_text.escape(view.data.plan.summary())}</pre>",
        "<h3>Ledger</h3>" + _list(_ledger(view)),
        f"<p>This file was written on {datetime.date.today().isoformat()} by lrjax "
        f"{_text.escape(_own_version())}; its charts are drawn by plotly.js, as the Python package plotly "
        f"{_text.escape(plotly)} holds it.</p>",
    ]
    return "".join(parts)


def _own_version() -> str:
    try:
        return metadata.version("lrjax")
    except metadata.PackageNotFoundError:  # it stands in a folder on the path
        return "of unknown version"


def _settings(view: View) -> dict[str, str]:
    data = view.data
    found = {
        "learning rate's name": data.name,
        "points": f"{view.points:,}",
        "steps per member": f"{data.steps:,}",
        "seeds": view.seeds_in_words,
    }
    for name, value in data.settings.items():
        if name not in _ELSEWHERE and name not in found:
            found[name.replace("_", " ")] = _plain(value)
    return found if data.settings else {**found, "others": _NOT_RECORDED}


def _course(search: dict[str, Any]) -> str:
    """What a search did, step by step."""
    items = "".join(f"<li>{_text.escape(line)}</li>" for line in search["course"])
    budget = f"<p>Budget: {_text.escape(search['budget'])}.</p>" if search.get("budget") else ""
    unfinished = f"<p>{_text.escape(search['unfinished'])}</p>" if search.get("unfinished") else ""
    return f"<ol>{items}</ol>{budget}{unfinished}"


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value).lstrip("_")


def _machine(view: View) -> dict[str, str]:
    settings = view.data.settings
    versions = settings.get("versions") or {}
    found = {
        name: versions.get(name, _NOT_RECORDED) for name in ("lrjax", "jax", "jaxlib", "numpy", "python")
    }
    return found | {name: str(settings.get(name, _NOT_RECORDED)) for name in ("device", "host")}


def _ledger(view: View) -> dict[str, str]:
    cost = view.data.cost
    share = cost.member_steps_used / max(1, cost.member_steps_full)
    saved = f"{cost.member_steps_saved:,} (about {_seconds(cost.seconds_saved)})"
    if cost.member_steps_saved < 0:  # points were begun anew, and none was dropped
        saved = f"none: {-cost.member_steps_saved:,} more than without"
    return {
        "member-steps used": f"{cost.member_steps_used:,} of {cost.member_steps_full:,} ({share:.0%})",
        "member-steps saved": saved,
        "member-steps wasted": f"{cost.member_steps_wasted:,} (about {_seconds(cost.seconds_wasted)})",
        "member-steps reused": f"{cost.member_steps_reused:,}",
        "running": _seconds(cost.seconds_running),
        "compiling": _seconds(cost.seconds_compiling),
        "probing": _seconds(cost.seconds_probing),
    }


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s"


def _list(entries: dict[str, str]) -> str:
    inner = "".join(
        f"<div><dt>{_text.escape(name)}</dt><dd>{_text.escape(value)}</dd></div>"
        for name, value in entries.items()
    )
    return f'<dl class="facts">{inner}</dl>'
