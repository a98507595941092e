"""Rows of methods that optax does not have."""

from __future__ import annotations

import functools
from typing import Any

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
)
