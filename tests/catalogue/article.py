"""Rows of what the sources of the field's introductions describe and optax lacks."""

from __future__ import annotations

from typing import Any

import lrjax
from tests.catalogue.row import Row, row
from tests.oracles import papers

MOMENTUM = {"decay": (0.9, 0.5)}


def _exponential(decay: Any, beta: Any) -> Any:
    return lrjax.exponential_average(lrjax.trace(beta), decay)


def _polyak(decay: Any, start: Any) -> Any:
    return lrjax.polyak_average(lrjax.trace(decay), start)


ROWS: tuple[Row, ...] = (
    row(
        "averaged_sgd",
        numbers={
            "learning_rate": (1 / 64, 1 / 32),
            "weight_decay": (0.25, 0.5),
            "power": (0.75, 1.0),
            "start": (0.0, 2.0),
        },
        required=("learning_rate",),
        idle=("start",),  # the average stands beside the updates
        rates=0,  # the rate falls from the number given
        descends=True,
        needs_params=True,
        optax=None,
        quadratic={"learning_rate": 0.5},
        edge={"weight_decay": 0.0},
        float64_rtol=1e-6,  # the rate in use is float32
        float32_rtol=2e-6,
    ),
    Row(
        "polyak_average",
        "polyak_average",
        _polyak,
        numbers={**MOMENTUM, "start": (0.0, 2.0)},
        required=("decay", "start"),
        idle=("start",),
        needs_params=True,
        oracle=lambda gradients, theta, *, decay, start: papers.trace(gradients, theta, decay=decay),
    ),
    Row(
        "exponential_average",
        "exponential_average",
        _exponential,
        numbers={"decay": (0.999, 0.5), "beta": (0.9, 0.5)},
        required=("decay", "beta"),
        idle=("decay",),
        edge={"decay": 0.0},
        needs_params=True,
        oracle=lambda gradients, theta, *, decay, beta: papers.trace(gradients, theta, decay=beta),
    ),
)
