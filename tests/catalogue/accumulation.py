"""Rows of what makes one update of several gradients."""

from __future__ import annotations

import functools
from typing import Any

import optax

import lrjax
from tests.catalogue.row import HALF_WIDE, Row, row
from tests.oracles import wrappers

K = {"decay": (0.9, 0.5), "every_k_schedule": (2.0, 3.0)}


def _ours(decay: Any, every_k_schedule: Any, **static: Any) -> Any:
    return lrjax.MultiSteps(lrjax.ema(decay, debias=False), every_k_schedule, **static)


def _optaxs(decay: Any, every_k_schedule: Any, **static: Any) -> Any:
    tx = optax.MultiSteps(optax.ema(decay, debias=False), int(every_k_schedule), **static)
    return tx.gradient_transformation()


def _one_more_each(step: Any) -> Any:
    return step + 1


multi_row = functools.partial(
    Row,
    departures={"acc_grads": "float64 gradients are gathered in float64; optax rounds them to float32"},
    optax_float64_rtol=1e-6,
)

ROWS: tuple[Row, ...] = (
    multi_row(
        "MultiSteps",
        "MultiSteps",
        _ours,
        numbers=K,
        required=("decay", "every_k_schedule"),
        optax=_optaxs,
        oracle=wrappers.multi_steps,
        waits=True,
    ),
    multi_row(
        "MultiSteps[sum]",
        "MultiSteps",
        functools.partial(_ours, use_grad_mean=False),
        numbers=K,
        required=("decay", "every_k_schedule"),
        optax=functools.partial(_optaxs, use_grad_mean=False),
        oracle=functools.partial(wrappers.multi_steps, use_grad_mean=False),
        waits=True,
    ),
    multi_row(
        "MultiSteps[growing]",
        "MultiSteps",
        lambda decay: lrjax.MultiSteps(lrjax.ema(decay, debias=False), _one_more_each),
        numbers={"decay": (0.9, 0.5)},
        required=("decay",),
        optax=lambda decay: optax.MultiSteps(
            optax.ema(decay, debias=False), _one_more_each
        ).gradient_transformation(),
        oracle=wrappers.growing_multi_steps,
    ),
    multi_row(
        "MultiSteps[skip not finite]",
        "MultiSteps",
        functools.partial(_ours, should_skip_update_fn=lrjax.skip_not_finite),
        numbers=K,
        required=("decay", "every_k_schedule"),
        optax=functools.partial(_optaxs, should_skip_update_fn=optax.skip_not_finite),
        oracle=wrappers.multi_steps,
        waits=True,
    ),
    multi_row(  # optax keeps the squared norm in half precision; a test of its own compares the rest
        "MultiSteps[skip large]",
        "MultiSteps",
        functools.partial(
            _ours,
            should_skip_update_fn=functools.partial(lrjax.skip_large_updates, max_squared_norm=150.0),
        ),
        numbers=K,
        required=("decay", "every_k_schedule"),
        oracle=functools.partial(wrappers.multi_steps, skip_above=150.0),
        waits=True,
    ),
    Row(
        "MultiSteps[parameters' dtype]",
        "MultiSteps",
        functools.partial(_ours, accumulator_dtype=None),
        numbers=K,
        required=("decay", "every_k_schedule"),
        optax=functools.partial(_optaxs, accumulator_dtype=None),
        oracle=wrappers.multi_steps,
        waits=True,
    ),
    row(
        "apply_every",
        numbers={"k": (2.0, 3.0)},
        required=("k",),
        optax=lambda k: optax.apply_every(int(k)),
        oracle=wrappers.apply_every,
        wide_fields=("grad_acc",),
        departures={"grad_acc": HALF_WIDE},
        waits=True,
    ),
)
