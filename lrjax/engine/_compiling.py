"""Seconds that JAX spends on tracing and compiling, whoever asks for it.

A sweep books them apart from running. What it compiles itself is timed by the wall; this counts the many
small programs beside, such as those that stack members or draw random bits.
"""

from __future__ import annotations

from typing import Any

import jax

_PARTS = (
    "/jax/core/compile/jaxpr_trace_duration",
    "/jax/core/compile/jaxpr_to_mlir_module_duration",
    "/jax/core/compile/backend_compile_duration",
)
_total = 0.0


def seconds() -> float:
    """Seconds so far, in this process."""
    return _total


def _listen(event: str, duration_secs: float, **_: Any) -> None:
    global _total
    if event in _PARTS:
        _total += duration_secs


jax.monitoring.register_event_duration_secs_listener(_listen)
