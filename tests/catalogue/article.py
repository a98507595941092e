"""Rows of what the sources of the field's introductions describe and optax lacks."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp

import lrjax
from tests.catalogue.row import RATE, Row
from tests.catalogue.row import row as any_row
from tests.oracles import article, papers

row = functools.partial(any_row, oracle_steps=60)

MOMENTUM = {"decay": (0.9, 0.5)}
COMPOSITE = {
    "learning_rate": RATE,
    "l1": (0.25, 0.5),
    "initial_accumulator_value": (0.0, 0.5),
    "eps": (1e-7, 1e-2),
}
composite = {
    "required": ("learning_rate",),
    "descends": True,
    "needs_params": True,
    "complex_numbers": False,
    "optax": None,
    "float32_rtol": 3e-6,  # what is below the penalty goes, and the difference to it cancels
    "compiled_rtol": 3e-6,
}
ball = {
    **composite,
    "rests_at_rate_zero": False,  # what is outside comes in
    "rests_at_zero_gradient": False,
    "float32_rtol": 2e-5,  # the multiplier comes from sums over all parameters
    "compiled_rtol": 2e-5,
    "float64_rtol": 1e-9,
}


def _exponential(decay: Any, beta: Any) -> Any:
    return lrjax.exponential_average(lrjax.trace(beta), decay)


def _elastic(decay: Any, elasticity: Any, period: Any) -> Any:
    return lrjax.elastic_averaging(lrjax.trace(decay), elasticity, period)


def _late(decay: Any) -> Any:
    return lrjax.delayed(lrjax.trace(decay), steps=1)


def _loss(params: Any) -> Any:
    """A loss whose curvature is that of `tests.oracles.article.curvature`, for any tree."""
    return sum((jnp.sum(x**4 / 12 + x**2 / 2) for x in jax.tree.leaves(params)), jnp.zeros(()))


def _polyak(decay: Any, start: Any) -> Any:
    return lrjax.polyak_average(lrjax.trace(decay), start)


REVISION = {"initial_accumulator_value": (1.0, 0.25)}
DAMPING = {"damping": (0.02, 0.5)}
VSGD = {"init_steps": (2.0, 3.0), "overestimate": (2.0, 4.0), "eps": (1e-8, 1e-2)}
curved = {
    "signals": {"value_fn": _loss},
    "needs_params": True,
    "complex_numbers": False,
    "optax": None,
}

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
        oracle_steps=60,
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
        oracle_steps=60,
        oracle=lambda gradients, theta, *, decay, beta: papers.trace(gradients, theta, decay=beta),
    ),
    row("proximal_adagrad", numbers=COMPOSITE, **composite, quadratic={"learning_rate": 0.5, "l1": 0.0}),
    row(
        "proximal_adagrad",
        "l1 ball",
        static={"ball": "l1"},
        numbers={**COMPOSITE, "radius": (1.0, 0.5)},
        **ball,
        quadratic={"learning_rate": 0.5, "l1": 0.0},
    ),
    row(
        "proximal_adagrad",
        "l2 ball",
        static={"ball": "l2"},
        numbers={**COMPOSITE, "radius": (1.0, 0.5)},
        **ball,
        quadratic={"learning_rate": 0.5, "l1": 0.0},
    ),
    row(
        "adagrad_rda",
        numbers=COMPOSITE,
        **composite,
        rests_at_rate_zero=False,  # the rate scales the parameters themselves
        quadratic={"learning_rate": 1.0, "l1": 0.0},
    ),
    row(
        "full_matrix_adagrad",
        numbers={"learning_rate": RATE, "eps": (1e-7, 1e-2)},
        required=("learning_rate",),
        descends=True,
        complex_numbers=False,
        rests_at_zero_gradient=False,  # to rounding: eigenvectors mix all parameters
        optax=None,
        quadratic={"learning_rate": 0.5},
        edge={"eps": 0.0},
        compiled_rtol=1e-4,  # directions of the smallest eigenvalues carry the rounding of the largest
        float32_rtol=None,
        float64_rtol=1e-6,
    ),
    row("scale_by_adaptive_revision", numbers=REVISION, optax=None),
    row(
        "adaptive_revision",
        numbers={"learning_rate": RATE, **REVISION},
        required=("learning_rate",),
        descends=True,
        optax=None,
        quadratic={"learning_rate": 0.5},
    ),
    row("scale_by_becker_lecun", numbers=DAMPING, **curved),
    row(
        "becker_lecun",
        numbers={"learning_rate": RATE, **DAMPING},
        required=("learning_rate",),
        descends=True,
        quadratic={"learning_rate": 0.25},
        **curved,
    ),
    row(
        "becker_lecun",
        "sampled",
        static={"samples": 2},
        numbers={"learning_rate": RATE, **DAMPING},
        required=("learning_rate",),
        descends=True,
        oracle=article.becker_lecun,  # diagonal: random signs cancel
        quadratic={"learning_rate": 0.25},
        **curved,
    ),
    row("scale_by_vsgd", numbers=VSGD, waits=True, steps=5, **curved, float32_rtol=1e-5),
    row(
        "vsgd",
        numbers={"learning_rate": (1.0, 0.5), **VSGD},
        descends=True,
        waits=True,
        steps=5,
        quadratic={"learning_rate": 1.0},
        **curved,
        float32_rtol=1e-5,
    ),
    Row(
        "elastic_averaging",
        "elastic_averaging",
        _elastic,
        numbers={**MOMENTUM, "elasticity": (0.25, 0.5), "period": (1.0, 2.0)},
        required=("decay", "elasticity", "period"),
        needs_params=True,
        oracle_steps=60,
        oracle=article.elastic_averaging,
    ),
    Row(
        "delayed",
        "delayed",
        _late,
        numbers=MOMENTUM,
        required=("decay",),
        waits=True,
        steps=4,
        oracle_steps=60,
        oracle=functools.partial(article.delayed, steps=1),
    ),
)
