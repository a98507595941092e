"""Rows of what is applied on some steps only."""

from __future__ import annotations

import functools
from typing import Any

import optax

import lrjax
from tests.catalogue.row import Row
from tests.oracles import papers, wrappers


def _tolerant(library: Any, decay: Any, max_consecutive_errors: Any) -> Any:
    return library.apply_if_finite(library.trace(decay), max_consecutive_errors)


def _up_to(library: Any, wrapper: str, decay: Any, limit: Any) -> Any:
    return getattr(library, wrapper)(library.trace(decay), lambda step: step < limit)


ROWS: tuple[Row, ...] = (
    Row(
        "apply_if_finite",
        "apply_if_finite",
        functools.partial(_tolerant, lrjax),
        numbers={"decay": (0.9, 0.5), "max_consecutive_errors": (2.0, 5.0)},
        required=("decay", "max_consecutive_errors"),
        idle=("max_consecutive_errors",),
        optax=functools.partial(_tolerant, optax),
        oracle=lambda gradients, theta, *, decay, max_consecutive_errors: papers.trace(
            gradients, theta, decay=decay
        ),
    ),
    Row(
        "conditionally_transform",
        "conditionally_transform",
        functools.partial(_up_to, lrjax, "conditionally_transform"),
        numbers={"decay": (0.9, 0.5), "limit": (2.0, 1.0)},
        required=("decay", "limit"),
        optax=functools.partial(_up_to, optax, "conditionally_transform"),
        oracle=functools.partial(wrappers.up_to, after=lambda g: g),
    ),
    Row(
        "conditionally_mask",
        "conditionally_mask",
        functools.partial(_up_to, lrjax, "conditionally_mask"),
        numbers={"decay": (0.9, 0.5), "limit": (2.0, 1.0)},
        required=("decay", "limit"),
        optax=functools.partial(_up_to, optax, "conditionally_mask"),
        oracle=functools.partial(wrappers.up_to, after=lambda g: 0 * g),
    ),
)
