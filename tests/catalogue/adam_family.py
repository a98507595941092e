"""Rows of Adam's relatives."""

from __future__ import annotations

import functools

from tests.catalogue.row import ADAM, DECAY, HALF_WIDE, RATE, Row, adam_row, matrices, row

# `eps` and `eps_root` are both added at every step, so their others may be as large as Adam's.
BELIEF = {"b1": (0.9, 0.75), "b2": (0.999, 0.9), "eps": (1e-16, 1e-2), "eps_root": (1e-16, 1e-2)}
ADAMAX = {"b1": (0.9, 0.75), "b2": (0.999, 0.25), "eps": (1e-8, 1e-2)}
ADAN = {
    "b1": (0.98, 0.75),
    "b2": (0.92, 0.5),
    "b3": (0.99, 0.9),
    "eps": (1e-8, 1e-2),
    "eps_root": (1e-8, 1e-2),
}
LOOK_AHEAD = {"look_ahead": (0.92, 0.25)}
RADAM = {**ADAM, "threshold": (5.0, 7.0)}
YOGI = {"b1": (0.9, 0.75), "b2": (0.999, 0.9), "eps": (1e-3, 1e-2)}

belief_row = functools.partial(adam_row, float32_rtol=3e-6)
adamax_row = functools.partial(adam_row, edge={"b1": 0.0, "b2": 0.0, "eps": 0.0})
adan_row = functools.partial(
    row,
    optax_float32_rtol=2e-5,
    edge={"b1": 0.0, "b2": 0.0, "b3": 0.0},
    wide_fields=("n",),
    departures={"n": HALF_WIDE},
)
amsgrad_row = functools.partial(
    adam_row, wide_fields=("nu", "nu_max"), departures={"nu": HALF_WIDE, "nu_max": HALF_WIDE}
)
# Eight steps: from the sixth on the second moment is used. optax's rho, in float32 the small
# difference of numbers near 2000, is off by 1e-4 there.
# optax's 1 - b2**t is off by 1e-5, in a difference of numbers near 2 / (1 - b2) = 2000.
radam_row = functools.partial(adam_row, steps=8, optax_float32_rtol=5e-3)
# The first moment starts above 0, by definition: on the real line.
yogi_row = functools.partial(
    adam_row, rests_at_zero_gradient=False, complex_numbers=False, edge={"b1": 0.0, "b2": 0.0}
)

recipe = {"required": ("learning_rate",), "descends": True}
decaying = {"required": ("learning_rate", "weight_decay"), "descends": True, "needs_params": True}

ROWS: tuple[Row, ...] = (
    belief_row("scale_by_belief", numbers=BELIEF),
    belief_row("scale_by_belief", "nesterov", static={"nesterov": True}, numbers=BELIEF),
    belief_row(
        "adabelief", numbers={"learning_rate": RATE, **BELIEF}, **recipe, quadratic={"learning_rate": 0.05}
    ),
    belief_row(
        "adabelief",
        "nesterov",
        static={"nesterov": True},
        numbers={"learning_rate": RATE, **BELIEF},
        **recipe,
        quadratic={"learning_rate": 0.05},
    ),
    adamax_row("scale_by_adamax", numbers=ADAMAX),
    adamax_row(
        "adamax", numbers={"learning_rate": RATE, **ADAMAX}, **recipe, quadratic={"learning_rate": 0.05}
    ),
    adamax_row(
        "adamaxw",
        numbers={"learning_rate": RATE, **ADAMAX, **DECAY},
        **decaying,
        quadratic={"learning_rate": 0.05},
    ),
    adamax_row(
        "adamaxw",
        "masked",
        static={"mask": matrices},
        numbers={"learning_rate": RATE, **ADAMAX, **DECAY},
        **decaying,
        oracle=None,
        quadratic={"learning_rate": 0.05},
    ),
    adan_row("scale_by_adan", numbers={**ADAN, "eps_root": (0.0, 1e-2)}),
    adan_row("scale_by_adan", "look ahead", numbers={**ADAN, **LOOK_AHEAD}, optax=None),
    adan_row(
        "adan",
        numbers={"learning_rate": RATE, **ADAN, **DECAY},
        **decaying,
        quadratic={"learning_rate": 0.05},
    ),
    adan_row(
        "adan",
        "look ahead masked",
        static={"mask": matrices},
        numbers={"learning_rate": RATE, **ADAN, **DECAY, **LOOK_AHEAD},
        **decaying,
        optax=None,
        oracle=None,
        quadratic={"learning_rate": 0.05},
    ),
    amsgrad_row("scale_by_amsgrad", numbers=ADAM),
    amsgrad_row(
        "scale_by_amsgrad",
        "paper",
        static={"bias_correction_mu": False, "bias_correction_nu": False},
        numbers=ADAM,
    ),
    amsgrad_row(
        "amsgrad", numbers={"learning_rate": RATE, **ADAM}, **recipe, quadratic={"learning_rate": 0.05}
    ),
    amsgrad_row(
        "amsgrad",
        "paper",
        static={"bias_correction_mu": False, "bias_correction_nu": False},
        numbers={"learning_rate": RATE, **ADAM},
        **recipe,
        quadratic={"learning_rate": 0.01},
    ),
    adam_row("nadam", numbers={"learning_rate": RATE, **ADAM}, **recipe, quadratic={"learning_rate": 0.05}),
    adam_row(
        "nadamw",
        numbers={"learning_rate": RATE, **ADAM, **DECAY},
        **decaying,
        quadratic={"learning_rate": 0.05},
    ),
    radam_row("scale_by_radam", numbers=RADAM),
    radam_row("scale_by_radam", "nesterov", static={"nesterov": True}, numbers=RADAM),
    radam_row("radam", numbers={"learning_rate": RATE, **RADAM}, **recipe, quadratic={"learning_rate": 0.1}),
    radam_row(
        "radam",
        "nesterov",
        static={"nesterov": True},
        numbers={"learning_rate": RATE, **RADAM},
        **recipe,
        quadratic={"learning_rate": 0.1},
    ),
    yogi_row(
        "scale_by_yogi", numbers={**YOGI, "eps_root": (0.0, 1e-2), "initial_accumulator_value": (1e-6, 0.5)}
    ),
    yogi_row("yogi", numbers={"learning_rate": RATE, **YOGI}, **recipe, quadratic={"learning_rate": 0.05}),
)
