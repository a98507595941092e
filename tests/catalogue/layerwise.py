"""Rows of what looks at the norms of whole leaves."""

from __future__ import annotations

import functools

from tests.catalogue.row import ADAM, DECAY, HALF_WIDE, RATE, Row, adam_row, matrices, row

NORM_DECAY = {"weight_decay": (1e-2, 0.25)}
LARS = {"trust_coefficient": (0.25, 0.5), "eps": (0.0, 0.25), "momentum": (0.9, 0.5)}
NOVOGRAD = {"b1": (0.9, 0.5), "b2": (0.25, 0.75), "eps_root": (0.0, 0.25)}

# A norm sums what rounding did to every coordinate.
norm_row = functools.partial(row, compiled_rtol=2e-6, float32_rtol=2e-6, optax_float32_rtol=3e-6)
novograd_row = functools.partial(
    norm_row,
    float64_rtol=1e-6,
    optax_float64_rtol=1e-6,
    edge={"b1": 0.0, "b2": 0.0, "eps": 0.0},
    wide_fields=("nu",),
    departures={"nu": HALF_WIDE},
    needs_params=True,
)

ROWS: tuple[Row, ...] = (
    norm_row(
        "scale_by_trust_ratio",
        numbers={"min_norm": (0.0, 4.0), "trust_coefficient": (1.0, 0.5), "eps": (0.0, 0.25)},
        needs_params=True,
        parameters_follow=False,
    ),
    norm_row(
        "scale_by_param_block_norm",
        numbers={"min_scale": (1e-3, 4.0)},
        needs_params=True,
        parameters_follow=False,
    ),
    norm_row(
        "scale_by_param_block_rms",
        numbers={"min_scale": (1e-3, 4.0)},
        needs_params=True,
        parameters_follow=False,
    ),
    norm_row("normalize_by_update_norm", numbers={"scale_factor": (1.0, 0.5), "eps": (1e-6, 0.25)}),
    adam_row(
        "lamb",
        numbers={"learning_rate": RATE, **ADAM, "eps": (1e-6, 1e-2), **DECAY},
        required=("learning_rate", "weight_decay"),
        descends=True,
        needs_params=True,
        quadratic={"learning_rate": 0.02},
    ),
    adam_row(
        "lamb",
        "masked",
        static={"mask": matrices},
        numbers={"learning_rate": RATE, **ADAM, "eps": (1e-6, 1e-2), **DECAY},
        required=("learning_rate", "weight_decay"),
        oracle=None,
        descends=True,
        needs_params=True,
        quadratic={"learning_rate": 0.02},
    ),
    norm_row(
        "lars",
        numbers={"learning_rate": RATE, **NORM_DECAY, **LARS},
        required=("learning_rate", "weight_decay"),
        descends=True,
        needs_params=True,
        quadratic={"learning_rate": 0.02, "trust_coefficient": 1.0, "momentum": 0.0},
    ),
    norm_row(
        "lars",
        "nesterov masked",
        static={"nesterov": True, "weight_decay_mask": matrices, "trust_ratio_mask": matrices},
        numbers={"learning_rate": RATE, **NORM_DECAY, **LARS},
        required=("learning_rate", "weight_decay"),
        oracle=None,
        descends=True,
        needs_params=True,
        quadratic={"learning_rate": 0.1},
    ),
    norm_row(
        "fromage",
        numbers={"learning_rate": RATE, "min_norm": (1e-6, 4.0)},
        required=("learning_rate",),
        descends=True,
        needs_params=True,
        quadratic={"learning_rate": 0.05},
    ),
    novograd_row("scale_by_novograd", numbers={**NOVOGRAD, "eps": (1e-8, 0.25), **DECAY}),
    novograd_row(
        "scale_by_novograd",
        "mu bfloat16",
        static={"mu_dtype": "bfloat16"},
        numbers={**NOVOGRAD, "eps": (1e-8, 0.25), **DECAY},
        oracle=None,
        complex_numbers=False,
        compiled_rtol=1e-2,
        optax_float32_rtol=3e-2,
        optax_float64_rtol=3e-2,
    ),
    novograd_row(
        "novograd",
        numbers={"learning_rate": RATE, **NOVOGRAD, "eps": (1e-6, 0.25), **DECAY},
        required=("learning_rate", "weight_decay"),
        descends=True,
        quadratic={"learning_rate": 0.002},
    ),
)
