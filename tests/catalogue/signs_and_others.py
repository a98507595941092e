"""Rows of signs, step sizes from losses, games, noise and sublinear memory."""

from __future__ import annotations

import functools
from typing import Any

import optax

from tests.catalogue.row import ADAM, HALF_WIDE, RATE, Row, adam_row, row
from tests.oracles import papers

RPROP = {
    "eta_minus": (0.5, 0.25),
    "eta_plus": (1.2, 1.5),
    "min_step_size": (1e-6, 1 / 80),
    "max_step_size": (50.0, 1 / 48),
}
OPTIMISM = {"alpha": (1.0, 0.5), "beta": (1.0, 0.5)}
POLYAK = {"f_min": (0.0, 0.5), "max_learning_rate": (1.0, 1 / 64), "eps": (0.0, 1.0)}
SM3 = {"b1": (0.9, 0.5), "b2": (1.0, 0.75), "eps": (1e-8, 0.25)}
NOISE = {"eta": (0.01, 0.25), "gamma": (0.55, 2.0)}
FACTORED = {"decay_rate": (0.8, 0.5), "step_offset": (0.0, -3.0), "epsilon": (1e-30, 0.25)}
ADAFACTOR = {"decay_rate": (0.8, 0.5), "decay_offset": (0.0, -3.0), "eps": (1e-30, 0.25)}
CLIPPED = {"clipping_threshold": (1.0, 0.5)}

rprop_row = functools.partial(
    row,
    complex_numbers=False,
    wide_fields=("step_sizes", "prev_updates"),
    departures={
        "step_sizes": HALF_WIDE,
        "prev_updates": HALF_WIDE,
        "updates": "optax's are those of the gradient before; what they should be is in its state",
    },
)
loss_row = functools.partial(row, signals={"value": 2.0}, compiled_rtol=2e-6, float32_rtol=2e-6)
sm3_row = functools.partial(
    row, edge={}, wide_fields=("mu",), departures={"mu": HALF_WIDE}, oracle_shape=(4, 5)
)
factored_row = functools.partial(
    row,
    optax_float64_rtol=1e-6,  # optax's decay is float32 there too
    optax_float32_rtol=3e-6,
    float32_rtol=3e-6,
    compiled_rtol=3e-6,
    wide_fields=("v", "v_col", "v_row"),
    departures={"v": HALF_WIDE, "v_row": HALF_WIDE, "v_col": HALF_WIDE},
    oracle_shape=(4, 5),
)
noise_row = functools.partial(row, oracle=None, complex_numbers=False, rests_at_zero_gradient=False)


def _in_time(name: str) -> Any:
    """optax's Rprop with the updates that it computes at a step, and would hand out at the next one."""

    def make(**numbers: Any) -> Any:
        inner = optax.scale_by_rprop(**numbers)

        def update(g: Any, state: Any, params: Any = None) -> Any:
            _, state = inner.update(g, state, params)
            return state.prev_updates, state

        timely = optax.GradientTransformation(inner.init, update)
        return timely if name == "scale_by_rprop" else optax.chain(timely, optax.scale(-1.0))

    return make


def _deprecated(*args: Any, **keywords: Any) -> Any:
    """optax's `optimistic_adam`, without its warning."""
    adam = {name: keywords[name] for name in ("b1", "b2", "eps", "eps_root") if name in keywords}
    rate = keywords["learning_rate"]
    return optax.chain(
        optax.scale_by_adam(**adam, nesterov=True),
        optax.scale_by_optimistic_gradient(alpha=rate, beta=keywords.get("optimism", rate)),
        optax.scale_by_learning_rate(1.0),
    )


ROWS: tuple[Row, ...] = (
    row(
        "scale",
        numbers={"step_size": (0.5, 0.25)},
        required=("step_size",),
        oracle=lambda gradients, theta, *, step_size: papers.scale(gradients, theta, factor=step_size),
    ),
    row("scale_by_sign"),
    row(
        "sign_sgd",
        numbers={"learning_rate": RATE},
        required=("learning_rate",),
        descends=True,
        quadratic={"learning_rate": 0.01},
    ),
    row(
        "signum",
        # The first gradient must outvote a later one, as in Lion.
        numbers={"learning_rate": RATE, "beta": (0.9, 0.25)},
        required=("learning_rate",),
        steps=8,
        descends=True,
        quadratic={"learning_rate": 0.005},
    ),
    rprop_row(
        "scale_by_rprop",
        optax=_in_time("scale_by_rprop"),
        numbers={"learning_rate": RATE, **RPROP},
        required=("learning_rate",),
        rates=0,
        steps=8,
    ),
    rprop_row(
        "rprop",
        optax=_in_time("rprop"),
        numbers={"learning_rate": RATE, **RPROP},
        required=("learning_rate",),
        steps=8,
        descends=True,
        quadratic={"learning_rate": 0.05},
    ),
    noise_row("add_noise", static={"key": 0}, numbers=NOISE, required=("eta", "gamma")),
    noise_row(
        "noisy_sgd",
        static={"key": 0},
        numbers={"learning_rate": RATE, **NOISE},
        required=("learning_rate",),
        descends=True,
        quadratic={"learning_rate": 0.05, "gamma": 2.0},
    ),
    row("scale_by_optimistic_gradient", numbers=OPTIMISM),
    row(
        "optimistic_gradient_descent",
        numbers={"learning_rate": RATE, **OPTIMISM},
        required=("learning_rate",),
        descends=True,
        quadratic={"learning_rate": 0.25},
    ),
    adam_row(
        "optimistic_adam",
        numbers={"learning_rate": RATE, **ADAM},
        required=("learning_rate",),
        optax=_deprecated,
        descends=True,
        quadratic={"learning_rate": 0.05},
    ),
    adam_row(
        "optimistic_adam",
        "optimism",
        numbers={"learning_rate": RATE, "optimism": (1 / 64, 1 / 32), **ADAM},
        required=("learning_rate", "optimism"),
        optax=_deprecated,
        rests_at_rate_zero=False,
        descends=True,
        quadratic={"learning_rate": 0.05},
    ),
    adam_row(
        "optimistic_adam_v2",
        numbers={"learning_rate": RATE, **OPTIMISM, **ADAM},
        required=("learning_rate",),
        descends=True,
        quadratic={"learning_rate": 0.05},
    ),
    loss_row("scale_by_polyak", numbers=POLYAK),
    loss_row("scale_by_polyak", "sps+", static={"variant": "sps+"}, numbers=POLYAK),
    loss_row(
        "polyak_sgd",
        numbers={**POLYAK, "scaling": (1.0, 0.5)},
        descends=True,
        quadratic={"max_learning_rate": 10.0},
    ),
    sm3_row("scale_by_sm3", numbers=SM3),
    sm3_row(
        "sm3",
        numbers={"learning_rate": RATE, "momentum": (0.9, 0.5)},
        required=("learning_rate",),
        descends=True,
        quadratic={"learning_rate": 0.5},
    ),
    factored_row("scale_by_factored_rms", numbers=FACTORED),
    factored_row("scale_by_factored_rms", "matrices", static={"min_dim_size_to_factor": 2}, numbers=FACTORED),
    factored_row("scale_by_factored_rms", "plain", static={"factored": False}, numbers=FACTORED),
    factored_row(
        "adafactor",
        numbers={"learning_rate": RATE, **ADAFACTOR, **CLIPPED},
        required=("learning_rate",),
        descends=True,
        needs_params=True,
        quadratic={"learning_rate": 0.02},
    ),
    factored_row(
        "adafactor",
        "matrices decay",
        static={"min_dim_size_to_factor": 2},
        numbers={"learning_rate": RATE, **ADAFACTOR, **CLIPPED, "weight_decay_rate": (1e-3, 0.25)},
        required=("learning_rate", "weight_decay_rate"),
        rests_at_rate_zero=False,
        descends=True,
        needs_params=True,
        quadratic={"learning_rate": 0.02},
    ),
    factored_row(
        "adafactor",
        "no rate momentum",
        numbers={**ADAFACTOR, **CLIPPED, "momentum": (0.9, 0.5)},
        required=("momentum",),
        oracle=None,  # the average is float32 whatever the parameters are
        complex_numbers=False,
        descends=True,
        needs_params=True,
    ),
    factored_row(
        "adafactor",
        "absolute",
        static={"multiply_by_parameter_scale": False, "clipping_threshold": None},
        numbers={"learning_rate": RATE, **ADAFACTOR},
        required=("learning_rate",),
        descends=True,
        quadratic={"learning_rate": 0.01},
    ),
)
