"""Rows of methods that optax does not have."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax

import lrjax
from tests.catalogue.row import (
    DECAY,
    RATE,
    Row,
    row,
)
from tests.oracles import beyond, papers

beyond_row = functools.partial(row, optax=None, oracle_steps=60)
# What estimates are computed from is a small difference of large numbers.
estimate_row = functools.partial(
    beyond_row,
    steps=8,
    descends=True,
    needs_params=True,
    complex_numbers=False,
    compiled_rtol=1e-5,
    float32_rtol=1e-4,
    float64_rtol=1e-6,
)
# From 1e-6 on, parameters near 1 move by a few units of their last place, and what they move is rounding.
DADAPT = {"learning_rate": (1.0, 0.5), "momentum": (0.0, 0.5), "estim_lr0": (1e-2, 1e-1), **DECAY}
# Gradients that disagree, as the laws' do, never reach it; a test of its own does.
GROWTH: dict[str, Any] = {"growth_rate": (1.5, 1.125)}
FREE = {"learning_rate": RATE, "b1": (0.9, 0.75), "b2": (0.999, 0.9), "eps": (1e-8, 1e-2), **DECAY}

MOMENTS = {"b1": (0.9, 0.75), "b2": (0.999, 0.9), "eps": (1e-8, 1e-2)}
BOUNDED = {**MOMENTS, "gamma": (0.25, 0.5), "final_scale": (4.0, 0.5)}
MARS = {**MOMENTS, "gamma": (0.025, 0.25), "max_norm": (1.0, 4.0)}
SHAMPOO = {"eps": (1e-4, 0.25), "precondition_frequency": (1.0, 2.0)}
SOAP = {**MOMENTS, "b2": (0.95, 0.75), "precondition_frequency": (1.0, 2.0)}

recipe: dict[str, Any] = {"required": ("learning_rate",), "descends": True}
decaying: dict[str, Any] = {
    "required": ("learning_rate", "weight_decay"),
    "descends": True,
    "needs_params": True,
}
adam_row = functools.partial(beyond_row, edge={"b1": 0.0, "b2": 0.0})


def matrix_row(public: str, **fields: Any) -> Row:
    """A row of a method that decomposes matrices."""
    made = beyond_row(
        public,
        complex_numbers=False,
        oracle_shape=(4, 5),
        compiled_rtol=1e-4,
        # Gradients over three decades make matrices over six: float32 has no digit of their roots.
        float32_rtol=None,
        float64_rtol=1e-6,
        **fields,
    )
    return dataclasses.replace(made, make=functools.partial(_compiled, made.make))


def _compiled(make: Callable[..., Any], **numbers: Any) -> Any:
    """The transformation with its update compiled: outside `jit` a `cond` is compiled anew at every step."""
    init, update = make(**numbers)
    compiled = jax.jit(lambda u, s, p: update(u, s, p))
    return lrjax.GradientTransformation(init, lambda u, s, p=None, **extra: compiled(u, s, p))


def _cautious_sgd(learning_rate: Any, momentum: Any, **numbers: Any) -> Any:
    return lrjax.cautious(lrjax.sgd(learning_rate, momentum), **numbers)


def _cautious_trace(momentum: Any, **numbers: Any) -> Any:
    return lrjax.cautious(lrjax.trace(momentum), downhill=False, **numbers)


ROWS: tuple[Row, ...] = (
    estimate_row(
        "dadapt_sgd",
        numbers=DADAPT,
        required=("estim_lr0",),
        finite_on_a_line=False,
        must_follow=True,
        quadratic={"estim_lr0": 1e-3},
    ),
    estimate_row(
        "dadapt_sgd",
        "growth",
        compiled_rtol=1e-5,  # the estimate multiplies rounding: 57 times in float64
        numbers={**DADAPT, **GROWTH},
        required=("estim_lr0", "growth_rate"),
        idle=("growth_rate",),
        finite_on_a_line=False,
        must_follow=True,
        quadratic={"estim_lr0": 1e-3},
    ),
    estimate_row(
        "dadapt_adagrad",
        numbers={**DADAPT, "eps": (1e-8, 1e-2), "initial_accumulator_value": (1e-6, 0.5), **GROWTH},
        required=("estim_lr0", "growth_rate"),
        idle=("growth_rate",),
        finite_on_a_line=False,
        must_follow=True,
        quadratic={"estim_lr0": 1e-3},
    ),
    estimate_row(
        "ldog",
        numbers={"learning_rate": (1.0, 0.5), "reps_rel": (1e-2, 1e-1), "eps": (1e-8, 0.25), **DECAY},
        required=("reps_rel", "weight_decay"),
        must_follow=True,
        quadratic={"reps_rel": 1e-3},
    ),
    beyond_row(
        "polynomial_averaging",
        numbers={"gamma": (8.0, 1.0)},
        idle=("gamma",),  # it is in the state alone
        oracle=lambda gradients, theta, *, gamma: papers.identity(gradients, theta),
        needs_params=True,
    ),
    estimate_row(
        "schedule_free_radam",
        numbers={**FREE, "weight_lr_power": (2.0, 0.5)},
        required=("learning_rate", "weight_decay"),
        waits=True,
        must_follow=True,
        quadratic={"learning_rate": 0.5},
    ),
    estimate_row(
        "schedule_free_radam",
        "loud",
        static={"silent_sgd_phase": False},
        numbers={**FREE, "weight_lr_power": (2.0, 0.5)},
        required=("learning_rate", "weight_decay"),
        idle=("weight_lr_power",),  # the first rates are the largest
        must_follow=True,
        quadratic={"learning_rate": 0.5},
    ),
    beyond_row(
        "adafactor",
        "relative step",
        static={"relative_step": True},
        numbers={
            "decay_rate": (0.8, 0.5),
            "decay_offset": (0.0, -3.0),
            "eps": (1e-30, 1e-2),
            "clipping_threshold": (1.0, 0.5),
        },
        oracle=beyond.adafactor_relative_step,
        descends=True,
        needs_params=True,
        compiled_rtol=3e-6,
        float32_rtol=3e-6,
        float64_rtol=1e-6,  # the step itself is float32
    ),
    matrix_row("scale_by_shampoo", numbers=SHAMPOO, steps=4),
    matrix_row(
        "shampoo",
        numbers={"learning_rate": RATE, "momentum": (0.9, 0.5), **SHAMPOO, **DECAY},
        **decaying,
        steps=4,  # the roots of the first three are their own
        quadratic={"learning_rate": 0.1},
    ),
    matrix_row("scale_by_soap", numbers=SOAP, waits=True, edge={"b1": 0.0, "b2": 0.0, "eps": 0.0}, steps=4),
    matrix_row(
        "soap",
        numbers={"learning_rate": RATE, **SOAP, **DECAY},
        **decaying,
        waits=True,
        steps=4,
        quadratic={"learning_rate": 0.05},
    ),
    Row(
        "cautious",
        "cautious",
        _cautious_sgd,
        numbers={"learning_rate": RATE, "momentum": (0.9, 0.5), "min_share": (1e-3, 1.0)},
        required=("learning_rate", "momentum"),
        oracle=beyond.cautious,
        oracle_steps=60,
        descends=True,
        waits=True,
        quadratic={"learning_rate": 0.1},
    ),
    Row(
        "cautious[ingredient]",
        "cautious",
        _cautious_trace,
        numbers={"momentum": (0.9, 0.5), "min_share": (1e-3, 1.0)},
        required=("momentum",),
        waits=True,
    ),
    beyond_row(
        "grokfast_ma",
        static={"window": 2},
        numbers={"factor": (5.0, 0.5)},
        float32_rtol=3e-6,  # what is added may cancel most of a gradient
    ),
    beyond_row("grokfast", numbers={"decay": (0.98, 0.5), "factor": (2.0, 0.5)}, edge={"decay": 0.0}),
    beyond_row(
        "stable_adamw",
        numbers={"learning_rate": RATE, **MOMENTS, **DECAY},
        **decaying,
        edge={"b1": 0.0, "b2": 0.0},
        quadratic={"learning_rate": 0.05},
    ),
    adam_row("scale_by_adabound", numbers=BOUNDED),
    adam_row("scale_by_adabound", "amsbound", static={"amsbound": True}, numbers=BOUNDED),
    adam_row(
        "adabound",
        numbers={"learning_rate": RATE, **BOUNDED},
        **recipe,
        quadratic={"learning_rate": 0.01, "final_scale": 10.0},
    ),
    adam_row(
        "amsbound",
        numbers={"learning_rate": RATE, **BOUNDED},
        **recipe,
        quadratic={"learning_rate": 0.01, "final_scale": 10.0},
    ),
    beyond_row(
        "adamp",
        # A threshold that everything is below, so that the ratio has its say.
        numbers={
            "learning_rate": RATE,
            **MOMENTS,
            **DECAY,
            "delta": (100.0, 1e-3),
            "decay_ratio": (0.1, 0.5),
        },
        **decaying,
        complex_numbers=False,
        oracle_shape=(4, 5),
        quadratic={"learning_rate": 0.05},
    ),
    adam_row("scale_by_mars", numbers=MARS),
    adam_row(
        "mars",
        numbers={"learning_rate": RATE, **MARS, **DECAY},
        **decaying,
        quadratic={"learning_rate": 0.05},
    ),
    adam_row("scale_by_gi_adam", numbers=MOMENTS),
    adam_row(
        "gi_adam",
        numbers={"learning_rate": RATE, **MOMENTS},
        **recipe,
        quadratic={"learning_rate": 0.05, "b2": 0.99},
    ),
)
