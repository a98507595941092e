"""Plans that were measured, so that the same program need not be measured again.

They are kept for the process, and beside JAX's persistent compilation cache where there is one
(`jax_compilation_cache_dir`): who keeps programs there wants to wait once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import jax

from lrjax.results import Plan

_NAME = "lrjax-plans.json"
_known: dict[str, Plan] = {}


def key(program: str, *settings: object) -> str:
    """What tells a choice from others: the text of a member's step, the device's kind, the members."""
    kind = jax.devices()[0].device_kind
    return hashlib.sha256(
        json.dumps([program, kind, jax.__version__, *map(str, settings)]).encode()
    ).hexdigest()


def recall(name: str) -> Plan | None:
    """The plan that was chosen for a key, or None."""
    if name not in _known:
        stored = _read().get(name)
        if stored is not None:
            with contextlib.suppress(TypeError):  # another version's
                _known[name] = Plan(**stored)
    plan = _known.get(name)
    return plan and dataclasses.replace(plan, why=f"{plan.why} in an earlier sweep of the same program")


def remember(name: str, plan: Plan) -> None:
    """Keeps a choice."""
    _known[name] = plan
    path = _path()
    if path is None:
        return
    # A cache that cannot be written is no cache; it is nothing to stop for.
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{_NAME}.{os.getpid()}")
        partial.write_text(json.dumps({**_read(), name: dataclasses.asdict(plan)}, indent=1))
        partial.replace(path)


def _path() -> Path | None:
    directory = jax.config.values.get("jax_compilation_cache_dir")
    return Path(directory) / _NAME if directory and "://" not in directory else None


def _read() -> dict[str, Any]:
    path = _path()
    if path is None:
        return {}
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
