"""Rows of averages over time."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import optax

import lrjax
from tests.catalogue.row import BFLOAT16, BIAS_CORRECTION, Row, row
from tests.oracles import wrappers

DECAY = {"decay": (0.9, 0.5)}
LOOKAHEAD = {**DECAY, "sync_period": (2.0, 3.0), "slow_step_size": (0.5, 0.25)}


class WithSlow(NamedTuple):
    """The state of a lookahead, with its slow parameters."""

    lookahead: Any
    slow: Any


def _fast_alone(library: Any, decay: Any, sync_period: Any, slow_step_size: Any, **static: Any) -> Any:
    """Lookahead as a transformation of the fast parameters, which is what the laws look at."""
    tx = library.lookahead(library.trace(decay), sync_period, slow_step_size, **static)

    def init(params: Any) -> WithSlow:
        return WithSlow(tx.init(library.LookaheadParams.init_synced(params)), params)

    def update(updates: Any, state: WithSlow, params: Any = None, **extra: Any) -> Any:
        both = None if params is None else library.LookaheadParams(params, state.slow)
        updates, inner = tx.update(updates, state.lookahead, both)
        return updates.fast, WithSlow(inner, lrjax.apply_updates(state.slow, updates.slow))

    return library.GradientTransformationExtraArgs(init, update)


def _unchanged(updates: Any) -> Any:
    return updates


def _optaxs(decay: Any, sync_period: Any, slow_step_size: Any, **static: Any) -> Any:
    return _fast_alone(optax, decay, int(sync_period), slow_step_size, **static)


ROWS: tuple[Row, ...] = (
    row(
        "ema",
        numbers=DECAY,
        required=("decay",),
        oracle=wrappers.ema,
        edge={"decay": 0.0},
        optax_float32_rtol=BIAS_CORRECTION,
    ),
    row(
        "ema",
        "not debiased",
        static={"debias": False},
        numbers=DECAY,
        required=("decay",),
        oracle=functools.partial(wrappers.ema, debias=False),
    ),
    row(
        "ema",
        "accumulator bfloat16",
        static={"accumulator_dtype": "bfloat16"},
        numbers=DECAY,
        required=("decay",),
        oracle=None,
        complex_numbers=False,
        departures={"rounding": "the average is given out before it is rounded to the accumulator"},
        compiled_rtol=BFLOAT16,
        optax_float32_rtol=3 * BFLOAT16,
        optax_float64_rtol=3 * BFLOAT16,
    ),
    row(
        "measure_with_ema",
        static={"measure": _unchanged},
        numbers=DECAY,
        required=("decay",),
        oracle=wrappers.ema,
        edge={"decay": 0.0},
        optax_float32_rtol=BIAS_CORRECTION,
    ),
    Row(
        "lookahead",
        "lookahead",
        functools.partial(_fast_alone, lrjax),
        numbers=LOOKAHEAD,
        required=tuple(LOOKAHEAD),
        optax=_optaxs,
        oracle=wrappers.lookahead,
        needs_params=True,
    ),
    Row(
        "lookahead[reset]",
        "lookahead",
        functools.partial(_fast_alone, lrjax, reset_state=True),
        numbers=LOOKAHEAD,
        required=tuple(LOOKAHEAD),
        optax=functools.partial(_optaxs, reset_state=True),
        oracle=functools.partial(wrappers.lookahead, reset_state=True),
        needs_params=True,
    ),
)
