"""Rows of what optax keeps in `contrib`."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
import optax.contrib

import lrjax
from tests.catalogue.row import BIAS_CORRECTION, DECAY, HALF_WIDE, RATE, Row, row
from tests.oracles import contrib as oracles

# What estimates a distance does so in float32, whatever the parameters are.
SCALAR = "a scalar, kept in float32"
NEW_FACTOR = (1.0, 0.5)
# From 1e-6 on, the default, parameters near 1 move by a few units of their last place: the distance
# covered is then mostly rounding, in whatever order it is computed.
PRODIGY = {
    "learning_rate": NEW_FACTOR,
    "b1": (0.9, 0.75),
    "b2": (0.999, 0.9),
    "eps": (1e-8, 1e-2),
    "estim_lr0": (1e-2, 1e-1),
    "estim_lr_coef": (1.0, 4.0),
    **DECAY,
}
DADAPT = {name: PRODIGY[name] for name in ("learning_rate", "b1", "b2", "eps", "estim_lr0", "weight_decay")}
DOG = {"init_value": (1e-2, 1e-1), "eps": (1e-8, 0.25)}
DOWG = {"init_estim_sq_dist": (1e-4, 1e-2), "eps": (1e-4, 1e-2)}
ADEMAMIX = {
    "b1": (0.9, 0.75),
    "b2": (0.999, 0.9),
    "b3": (0.9999, 0.5),
    "eps": (1e-8, 1e-2),
    "eps_root": (0.0, 1e-2),
}
SIMPLIFIED = {
    "b1": (0.99, 0.75),
    "b2": (0.95, 0.75),
    "alpha": (0.0, 0.5),
    "eps": (1e-8, 1e-2),
    "eps_root": (0.0, 1e-2),
}
ACPROP = {"b1": (0.9, 0.5), "b2": (0.999, 0.9), "eps": (1e-16, 1e-2), "eps_root": (1e-16, 1e-2)}
ADOPT = {"b1": (0.9, 0.75), "b2": (0.9999, 0.75), "eps": (1e-6, 2.0)}
# Where every gradient is above eps, the method does not see the scale of gradients, and so no rate.
COCOB = {"alpha": (100.0, 4.0), "eps": (0.5, 2.0)}
# Rates of which the one caps the first step and the other does not.
MOMO = {"learning_rate": (0.25, 0.125), "lower_bound": (0.0, 0.5)}
MOMO_ADAM = {
    **MOMO,
    "b1": (0.9, 0.5),
    "b2": (0.999, 0.9),
    "eps": (1e-8, 1e-2),
}
MADGRAD = {"learning_rate": RATE, "momentum": (0.9, 0.5), "eps": (1e-6, 1e-2)}
FREE = {"learning_rate": RATE, "b1": (0.9, 0.75)}
WARMUP = {"warmup_steps": (2.0, 4.0), "weight_lr_power": (2.0, 0.5)}


def _paired(function: Callable[..., Any], **static: Any) -> Callable[..., Any]:
    """The recipe with `betas` as two numbers."""
    return lambda *, b1, b2, **numbers: function(betas=(b1, b2), **static, **numbers)


def _begun(function: Callable[..., Any], kind: str) -> Callable[..., Any]:
    """DoG with the number of its first step as a keyword."""
    return lambda *, init_value, **numbers: function(init_step=(kind, init_value), **numbers)


def _made(made: Row, make: Callable[..., Any]) -> Row:
    """The row with another way to make the transformation from the same numbers."""
    return dataclasses.replace(made, make=make)


def paired_row(public: str, mode: str = "", *, static: Any = None, **fields: Any) -> Row:
    static = static or {}
    if "optax" not in fields:
        fields["optax"] = _paired(getattr(optax.contrib, public), **static)
    made = row(public, mode, static=static, **fields)
    return _made(made, _paired(getattr(lrjax, public), **static))


def dog_row(public: str, kind: str, **fields: Any) -> Row:
    # optax has the ingredients in a private module
    theirs = getattr(optax.contrib, public, None)
    oracle = functools.partial(getattr(oracles, public), kind=kind)
    made = row(public, kind, optax=theirs and _begun(theirs, kind), oracle=oracle, **fields)
    return _made(made, _begun(getattr(lrjax, public), kind))


estimate_rows: dict[str, Any] = {
    "rate_beside": True,
    "steps": 8,
    "descends": True,
    "needs_params": True,
    "complex_numbers": False,
    "oracle_steps": 60,
    # What the estimate is computed from is a small difference of large numbers, and itself it is float32.
    "compiled_rtol": 1e-5,
    "float32_rtol": 1e-4,
    "float64_rtol": 1e-6,
    "optax_float32_rtol": 1e-3,
    "optax_float64_rtol": 1e-5,
    "wide_fields": ("estim_lr", "exp_avg", "exp_avg_sq", "grad_sum", "numerator_weighted"),
    "departures": {
        "exp_avg": HALF_WIDE,
        "exp_avg_sq": HALF_WIDE,
        "grad_sum": HALF_WIDE,
        "estim_lr": SCALAR,
        "numerator_weighted": SCALAR,
    },
}
# Where it grows faster, so does its rounding: measured, 7.5e-6 in 60 steps.
growing_rows = {**estimate_rows, "float64_rtol": 1e-5}
distance_rows = {
    "oracle_steps": 60,
    "needs_params": True,
    "steps": 8,
    "compiled_rtol": 1e-5,
    "float32_rtol": 1e-5,
    "float64_rtol": 1e-6,
    "optax_float32_rtol": 1e-5,
    "optax_float64_rtol": 1e-6,
}
dog_wide = {
    "wide_fields": ("max_dist", "sum_sq_norm_grads"),
    "departures": {"max_dist": SCALAR, "sum_sq_norm_grads": SCALAR},
}
dowg_wide = {
    "wide_fields": ("estim_sq_dist", "weighted_sq_norm_grads"),
    "departures": {"estim_sq_dist": SCALAR, "weighted_sq_norm_grads": SCALAR},
}
ademamix_row = functools.partial(
    row,
    optax_float32_rtol=BIAS_CORRECTION,
    edge={"b1": 0.0, "b2": 0.0, "b3": 0.0},
    wide_fields=("m2", "nu"),
    departures={"m2": HALF_WIDE, "nu": HALF_WIDE},
)
simplified_row = functools.partial(
    row,
    optax_float32_rtol=BIAS_CORRECTION,
    edge={"b1": 0.0, "b2": 0.0},
    wide_fields=("n",),
    departures={"n": HALF_WIDE},
)
acprop_row = functools.partial(
    row,
    float32_rtol=3e-6,
    optax_float32_rtol=BIAS_CORRECTION,
    edge={"b1": 0.0, "b2": 0.0},
    wide_fields=("nu",),
    departures={"nu": HALF_WIDE},
)
adopt_row = functools.partial(
    row,
    optax_float32_rtol=1e-4,  # optax's 1 - b2 is off by 1.6e-4 at the default
    edge={"b1": 0.0, "b2": 0.0},
    steps=8,
    complex_numbers=False,
    wide_fields=("nu",),
    departures={"nu": HALF_WIDE},
)
cocob_row = functools.partial(
    row,
    oracle_steps=60,
    descends=True,
    needs_params=True,
    complex_numbers=False,
    float32_rtol=1e-4,
    optax_float32_rtol=1e-4,
    compiled_rtol=1e-4,
    wide_fields=("cumulative_gradients", "reward", "scale", "subgradients"),
    departures=dict.fromkeys(("cumulative_gradients", "reward", "scale", "subgradients"), HALF_WIDE),
)


def _unshifted(name: str) -> Callable[..., Any]:
    """optax's MADGRAD, which adds eps to the rate, at the rate that this makes the one given."""
    make = getattr(optax.contrib, name)
    return lambda learning_rate, eps=1e-6, **numbers: make(learning_rate - eps, eps=eps, **numbers)


madgrad_row = functools.partial(
    row,
    rate_beside=True,
    descends=True,
    needs_params=True,
    required=("learning_rate",),
    edge={"momentum": 0.0, "eps": 0.0},
    # A step is a small difference: of parameters, and of a sum over a root.
    compiled_rtol=1e-5,
    float32_rtol=1e-5,
    optax_float32_rtol=1e-5,
    optax_float64_rtol=1e-6,  # optax's root of the step is float32 there
    wide_fields=("grad_sum_sq", "s"),
    departures={"grad_sum_sq": HALF_WIDE, "s": HALF_WIDE, "learning_rate": "optax adds eps to it"},
)
momo_row = functools.partial(
    row,
    signals={"value": 2.0},
    rate_beside=True,
    steps=8,
    descends=True,
    needs_params=True,
    complex_numbers=False,
    oracle_steps=60,
    # The model of the loss is a small difference of scalars, which are float32 in float64 too.
    compiled_rtol=1e-5,
    float32_rtol=1e-4,
    float64_rtol=3e-6,  # measured 2e-6
    optax_float32_rtol=1e-4,
    optax_float64_rtol=1e-4,
)
free_row = functools.partial(
    row,
    oracle_steps=60,
    descends=True,
    needs_params=True,
    more_fields=("x",),
    must_follow=True,
    complex_numbers=False,
    compiled_rtol=3e-6,
    float32_rtol=1e-5,
    float64_rtol=1e-6,
    optax_float32_rtol=1e-4,
    optax_float64_rtol=1e-6,
)
FREE_WIDE = {
    "b1": SCALAR,
    "max_lr": SCALAR,
    "weight_sum": SCALAR,
    "z": "in bfloat16 small steps are lost",
}


def _warmed_up(learning_rate: Any, warmup_steps: Any, **numbers: Any) -> Any:
    def rate(count: Any) -> Any:
        return learning_rate * jnp.minimum((count + 1) / warmup_steps, 1)

    return lrjax.schedule_free(lrjax.sgd(rate), rate, **numbers)


# An iteration that drives every singular value to 1 drives small ones up, rounding and all.
muon_row = functools.partial(
    row,
    oracle_steps=60,
    complex_numbers=False,
    steps=8,
    oracle_shape=(4, 5),
    compiled_rtol=1e-4,
    float32_rtol=1e-3,
    float64_rtol=1e-9,
    optax_float32_rtol=1e-3,
    optax_float64_rtol=1e-6,  # optax's coefficients are float32 there
)
MUON = {"beta": (0.95, 0.5), "eps": (1e-8, 0.25)}


def _axes(tree: Any) -> Any:
    """Axes for every leaf: of a vector the one axis is the rows', and columns there are none."""
    vector = lrjax.MuonDimensionNumbers(0, ())
    return jax.tree.map(lambda x: lrjax.MuonDimensionNumbers() if x.ndim == 2 else vector, tree)


MUON_ADAM = {
    "adam_b1": (0.9, 0.75),
    "adam_b2": (0.999, 0.9),
    "adam_eps_root": (0.0, 1e-2),
    "adam_weight_decay": (1e-2, 0.25),
}


ROWS: tuple[Row, ...] = (
    _made(
        muon_row("scale_by_muon", numbers=MUON, optax=None),
        lambda **numbers: lrjax.scale_by_muon(weight_dimension_numbers=_axes, **numbers),
    ),
    _made(
        muon_row(
            "scale_by_muon",
            "adaptive",
            numbers=MUON,
            optax=None,
            oracle=functools.partial(oracles.scale_by_muon, adaptive=True),
        ),
        lambda **numbers: lrjax.scale_by_muon(adaptive=True, weight_dimension_numbers=_axes, **numbers),
    ),
    muon_row(
        "muon",
        numbers={"learning_rate": RATE, **MUON, **DECAY, **MUON_ADAM},
        required=("learning_rate", "weight_decay", "adam_weight_decay"),
        rates=2,
        descends=True,
        needs_params=True,
        wide_fields=("nu",),
        departures={"nu": HALF_WIDE},
        quadratic={"learning_rate": 0.05},
    ),
    muon_row(
        "muon",
        "consistent adam rate",
        numbers={
            "learning_rate": RATE,
            "adam_learning_rate": (1 / 64, 1 / 16),
            "consistent_rms": (0.2, 0.5),
            **MUON,
            **DECAY,
        },
        required=("learning_rate", "weight_decay", "adam_learning_rate", "consistent_rms"),
        rates=2,
        descends=True,
        needs_params=True,
        rests_at_rate_zero=False,
        wide_fields=("nu",),
        departures={"nu": HALF_WIDE},
        quadratic={"adam_learning_rate": 0.05},
    ),
    paired_row(
        "prodigy",
        numbers=PRODIGY,
        required=("b1", "b2", "estim_lr0"),
        **estimate_rows,
        more_fields=("params",),
        must_follow=True,
        quadratic={"estim_lr0": 1e-3},
    ),
    paired_row(
        "prodigy",
        "beta3 safeguard",
        static={"safeguard_warmup": True},
        # A factor at which the estimate grows from the first steps on, and so depends on beta3.
        numbers={**PRODIGY, "estim_lr_coef": (16.0, 1.0), "beta3": (0.99, 0.5)},
        required=("b1", "b2", "beta3", "estim_lr0", "estim_lr_coef"),
        **growing_rows,
        more_fields=("params",),
        must_follow=True,
        quadratic={"estim_lr0": 1e-3},
    ),
    paired_row(
        "prodigy",
        "authors",
        static={"bias_correction": False},
        numbers=PRODIGY,
        required=("b1", "b2", "estim_lr0"),
        optax=None,
        **growing_rows,
        more_fields=("params",),
        must_follow=True,
        quadratic={"estim_lr0": 1e-3},
    ),
    paired_row(
        "dadapt_adamw",
        finite_on_a_line=False,
        numbers=DADAPT,
        required=("b1", "b2", "estim_lr0"),
        **estimate_rows,
        quadratic={"estim_lr0": 1e-3},
    ),
    paired_row(
        "dadapt_adamw",
        "authors",
        finite_on_a_line=False,
        static={"bias_correction": False},
        numbers=DADAPT,
        required=("b1", "b2", "estim_lr0"),
        optax=None,
        **growing_rows,
        quadratic={"estim_lr0": 1e-3},
    ),
    dog_row("scale_by_dog", "heuristic", numbers=DOG, required=("init_value",), **distance_rows, **dog_wide),
    dog_row("scale_by_dog", "distance", numbers=DOG, required=("init_value",), **distance_rows, **dog_wide),
    dog_row(
        "dog",
        "heuristic",
        numbers={"learning_rate": NEW_FACTOR, **DOG, **DECAY},
        required=("init_value", "weight_decay"),
        descends=True,
        **distance_rows,
        **dog_wide,
        more_fields=("params",),
        must_follow=True,
        quadratic={"init_value": 1e-3},
    ),
    dog_row(
        "dog",
        "learning_rate",
        numbers={"learning_rate": NEW_FACTOR, "init_value": (1 / 64, 1 / 8), "eps": (1e-8, 0.25)},
        required=("init_value",),
        descends=True,
        **distance_rows,
        **dog_wide,
        more_fields=("params",),
        must_follow=True,
        quadratic={"init_value": 0.1},
    ),
    row("scale_by_dowg", numbers=DOWG, optax=None, **distance_rows, **dowg_wide),
    row(
        "dowg",
        numbers={"learning_rate": NEW_FACTOR, **DOWG, **DECAY},
        required=("weight_decay",),
        descends=True,
        **distance_rows,
        **dowg_wide,
        quadratic={"init_estim_sq_dist": 1e-3},
    ),
    row(
        "scale_by_distance_over_gradients",
        required=("reps_rel",),
        complex_numbers=False,
        wide_fields=("max_dist",),
        departures={"max_dist": SCALAR},
        numbers={"reps_rel": (1e-2, 1e-1), "eps": (1e-8, 0.25), "global_scale": (1.0, 0.5)},
        **distance_rows,
    ),
    ademamix_row("scale_by_ademamix", numbers={**ADEMAMIX, "alpha": (6.0, 0.5)}),
    ademamix_row(
        "ademamix",
        numbers={"learning_rate": RATE, **ADEMAMIX, "alpha": (5.0, 0.5), **DECAY},
        required=("learning_rate", "weight_decay"),
        descends=True,
        needs_params=True,
        quadratic={"learning_rate": 0.05, "b3": 0.99, "alpha": 0.5},
    ),
    simplified_row("scale_by_simplified_ademamix", numbers=SIMPLIFIED),
    simplified_row(
        "simplified_ademamix",
        numbers={"learning_rate": RATE, **SIMPLIFIED, **DECAY},
        required=("learning_rate", "weight_decay"),
        descends=True,
        needs_params=True,
        quadratic={"learning_rate": 0.01, "b1": 0.9},
    ),
    acprop_row("scale_by_acprop", numbers=ACPROP),
    acprop_row(
        "acprop",
        numbers={"learning_rate": RATE, **ACPROP, **DECAY},
        required=("learning_rate", "weight_decay"),
        descends=True,
        needs_params=True,
        quadratic={"learning_rate": 0.01, "b2": 0.9, "eps": 1e-2},
    ),
    adopt_row("scale_by_adopt", numbers=ADOPT),
    adopt_row(
        "scale_by_adopt",
        "nesterov no clipping",
        static={"nesterov": True, "use_clipping": False},
        numbers=ADOPT,
    ),
    adopt_row(
        "adopt",
        numbers={"learning_rate": RATE, **ADOPT},
        required=("learning_rate",),
        descends=True,
        quadratic={"learning_rate": 0.02, "b2": 0.99},
    ),
    cocob_row("scale_by_cocob", numbers=COCOB, quadratic={"alpha": 10.0}),
    cocob_row(
        "cocob",
        numbers={"learning_rate": NEW_FACTOR, **COCOB, **DECAY},
        required=("weight_decay",),
        quadratic={"alpha": 10.0},
    ),
    madgrad_row(
        "scale_by_madgrad",
        numbers=MADGRAD,
        optax=_unshifted("scale_by_madgrad"),
        quadratic={"learning_rate": 0.5},
    ),
    madgrad_row(
        "madgrad",
        numbers={**MADGRAD, **DECAY},
        optax=_unshifted("madgrad"),
        quadratic={"learning_rate": 0.5},
    ),
    momo_row(
        "momo",
        numbers={**MOMO, "beta": (0.9, 0.25), **DECAY},
        optax=None,
        quadratic={"learning_rate": 1.0, "beta": 0.5},
    ),
    momo_row(
        "momo",
        "no decay, adaptive bound",
        static={"adapt_lower_bound": True},
        numbers={**MOMO, "beta": (0.9, 0.25)},
        float32_rtol=None,  # its rounding decides, from the 40th step on, whether the bound is lowered
        wide_fields=("barf", "exp_avg", "gamma", "lb"),
        departures={"exp_avg": HALF_WIDE, "barf": SCALAR, "gamma": SCALAR, "lb": SCALAR},
        quadratic={"learning_rate": 1.0, "beta": 0.5},
    ),
    momo_row(
        "momo_adam",
        numbers={**MOMO_ADAM, **DECAY},
        optax=None,
        quadratic={"learning_rate": 0.05},
    ),
    momo_row(
        "momo_adam",
        "no decay, adaptive bound",
        static={"adapt_lower_bound": True},
        numbers=MOMO_ADAM,
        wide_fields=("barf", "exp_avg", "exp_avg_sq", "gamma", "lb"),
        departures={
            "exp_avg": HALF_WIDE,
            "exp_avg_sq": HALF_WIDE,
            "barf": SCALAR,
            "gamma": SCALAR,
            "lb": SCALAR,
        },
        quadratic={"learning_rate": 0.05},
    ),
    _made(
        free_row(
            "schedule_free",
            numbers=FREE,
            required=("learning_rate",),
            optax=lambda learning_rate, **numbers: optax.contrib.schedule_free(
                optax.sgd(learning_rate), learning_rate, **numbers
            ),
            wide_fields=("b1", "max_lr", "weight_sum", "z"),
            departures=FREE_WIDE,
            quadratic={"learning_rate": 0.5},
        ),
        lambda learning_rate, **numbers: lrjax.schedule_free(
            lrjax.sgd(learning_rate), learning_rate, **numbers
        ),
    ),
    _made(
        free_row(
            "schedule_free",
            "warmup",
            numbers={**FREE, **WARMUP},
            required=("learning_rate", "warmup_steps"),
            optax=None,
            quadratic={"learning_rate": 0.5},
        ),
        _warmed_up,
    ),
    free_row(
        "schedule_free_sgd",
        numbers={**FREE, **DECAY},
        required=("learning_rate", "weight_decay"),
        wide_fields=("b1", "max_lr", "weight_sum", "z"),
        departures=FREE_WIDE,
        quadratic={"learning_rate": 0.5},
    ),
    free_row(
        "schedule_free_sgd",
        "warmup",
        numbers={**FREE, **WARMUP},
        required=("learning_rate", "warmup_steps"),
        optax=None,
        quadratic={"learning_rate": 0.5},
    ),
    free_row(
        "schedule_free_adamw",
        numbers={**FREE, "b2": (0.999, 0.9), "eps": (1e-8, 1e-2), **DECAY},
        required=("learning_rate", "weight_decay"),
        wide_fields=("b1", "max_lr", "nu", "weight_sum", "z"),
        departures={**FREE_WIDE, "nu": HALF_WIDE},
        quadratic={"learning_rate": 0.05},
    ),
    free_row(
        "schedule_free_adamw",
        "warmup",
        numbers={**FREE, "b2": (0.999, 0.9), "eps": (1e-8, 1e-2), **DECAY, **WARMUP},
        required=("learning_rate", "warmup_steps"),
        optax=None,
        quadratic={"learning_rate": 0.05},
    ),
)
