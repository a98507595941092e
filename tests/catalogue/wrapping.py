"""Rows of what wraps an optimizer."""

from __future__ import annotations

import functools
from typing import Any

import optax
import optax.contrib

import lrjax
from tests.catalogue.row import DECAY, RATE, Row, row
from tests.oracles import papers, wrappers

# From 1e-6 on, the default, the decay would say nothing before the thousandth step.
MECHANIC = {
    "learning_rate": (1.0, 0.5),
    "weight_decay": (1e-2, 0.25),
    "eps": (1e-8, 1e-2),
    "s_init": (1 / 64, 1 / 8),
}
SAM = {"learning_rate": RATE, "rho": (1 / 64, 1 / 8), "sync_period": (2.0, 3.0)}
SCALARS = "kept in float32: in half precision the scales do not grow"


def _mechanized(optimizers: Any, wrappers: Any, learning_rate: Any, **numbers: Any) -> Any:
    return wrappers.mechanize(optimizers.sgd(learning_rate), **numbers)


def _papers(optimizers: Any, wrappers: Any, learning_rate: Any, rho: Any, sync_period: Any) -> Any:
    adversary = optimizers.chain(wrappers.normalize(), optimizers.scale(-rho))
    return wrappers.sam(optimizers.sgd(learning_rate), adversary, sync_period)


def _optaxs_sam(learning_rate: Any, rho: Any, sync_period: Any) -> Any:
    """It fails on keywords that it does not know."""
    init, update = _papers(optax, optax.contrib, learning_rate, rho, int(sync_period))
    return optax.GradientTransformation(init, lambda u, s, p=None: update(u, s, p))


def _parts(optimizers: Any, wrappers: Any, decay: Any) -> Any:
    return wrappers.split_real_and_imaginary(optimizers.trace(decay))


GALORE = {"update_proj_gap": (2.0, 3.0), "scale": (0.5, 0.25)}
# The comparison with optax, which projects the longer side, is on square matrices, in a test of its own.
galore_row = functools.partial(
    row,
    static={"rank": 2},
    optax=None,
    complex_numbers=False,
    steps=4,
    oracle_shape=(4, 5),
    float32_rtol=3e-6,  # measured 1.4e-6: singular vectors turn by a few ulp over the gap of their values
)

ROWS: tuple[Row, ...] = (
    row("normalize", oracle=wrappers.normalize),
    Row(
        "mechanize",
        "mechanize",
        functools.partial(_mechanized, lrjax, lrjax),
        numbers=MECHANIC,
        required=("learning_rate", "s_init"),
        optax=functools.partial(_mechanized, optax, optax.contrib),
        oracle=wrappers.mechanize,
        descends=True,
        needs_params=True,
        must_follow=True,
        steps=8,
        more_fields=("delta",),
        wide_fields=("m", "r", "s", "v"),
        departures=dict.fromkeys(("m", "r", "s", "v"), SCALARS),
        # The way is a small difference of parameters, and the scales are float32 in float64 too.
        compiled_rtol=1e-5,
        float32_rtol=1e-4,
        float64_rtol=2e-6,
        optax_float32_rtol=1e-4,
        optax_float64_rtol=2e-6,
        quadratic={"s_init": 1e-3},
    ),
    Row(
        "sam",
        "sam",
        functools.partial(_papers, lrjax, lrjax),
        numbers=SAM,
        required=tuple(SAM),
        optax=_optaxs_sam,
        oracle=wrappers.sam,
        descends=True,
        needs_params=True,
        rests_at_rate_zero=False,
        steps=4,
        # On the way back the rounding of the parameters is undone, of which a step is a small part.
        compiled_rtol=1e-5,
        float32_rtol=1e-4,
        quadratic={"learning_rate": 0.5, "rho": 1e-3},
    ),
    Row(
        "split_real_and_imaginary",
        "split_real_and_imaginary",
        functools.partial(_parts, lrjax, lrjax),
        numbers={"decay": (0.9, 0.5)},
        required=("decay",),
        optax=functools.partial(_parts, optax, optax.contrib),
        oracle=papers.trace,
    ),
    galore_row(
        "scale_by_galore",
        oracle=functools.partial(wrappers.scale_by_galore, rank=2),
        numbers=GALORE,
        required=tuple(GALORE),
    ),
    galore_row(
        "galore",
        oracle=functools.partial(wrappers.galore, rank=2),
        numbers={"learning_rate": RATE, **GALORE, **DECAY},
        required=("learning_rate", *GALORE, "weight_decay"),
        descends=True,
        needs_params=True,
        quadratic={"learning_rate": 0.05},
    ),
)
