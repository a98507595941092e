"""Compiling: what was compiled before is not compiled again, and how long JAX spends on it.

A sweep books the seconds apart from running. What it compiles itself is timed by the wall; JAX's own count
is of the many small programs beside, such as those that stack members or draw random bits.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Any

import jax

_PARTS = (
    "/jax/core/compile/jaxpr_trace_duration",
    "/jax/core/compile/jaxpr_to_mlir_module_duration",
    "/jax/core/compile/backend_compile_duration",
)
_MOST = 64  # programs that are kept; a search of several sweeps uses the same few again and again
_total = 0.0
_kept: OrderedDict[str, Any] = OrderedDict()


def seconds() -> float:
    """Seconds so far, in this process."""
    return _total


def compiled(lowered: Any, arguments: Any) -> Any:
    """The executable of a lowered function; the one there is if the same text was compiled before.

    Args:
      lowered: What `jax.jit(..., keep_unused=True).lower(...)` gave: the text must show every argument.
      arguments: What it was lowered for; they say on which devices it runs.
    """
    text = lowered.as_text()
    if "callback" in text:  # which calls back a function of this process: the text does not say which
        return lowered.compile()
    places = sorted({str(x.sharding) for x in jax.tree.leaves(arguments) if isinstance(x, jax.Array)})
    about = f"{lowered.in_tree} {lowered.out_tree} {places} {jax.config.values['jax_default_device']} {text}"
    key = hashlib.sha256(about.encode()).hexdigest()
    program = _kept.pop(key, None) or lowered.compile()
    _kept[key] = program  # as the newest
    while len(_kept) > _MOST:
        _kept.popitem(last=False)
    return program


def _listen(event: str, duration_secs: float, **_: Any) -> None:
    global _total
    if event in _PARTS:
        _total += duration_secs


jax.monitoring.register_event_duration_secs_listener(_listen)
