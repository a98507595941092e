"""Rows of what puts transformations together."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import optax

import lrjax
from tests.catalogue.row import (
    RATE,
    Row,
    matrices,
)
from tests.oracles import papers


def _times(factor: Any) -> Callable[[Any, Any], Any]:
    return lambda updates, params: jax.tree.map(lambda u: (factor * u).astype(u.dtype), updates)


def _old_style(decay: Any) -> lrjax.GradientTransformation:
    """A transformation whose `update` takes no extra keywords, as optax's have it."""
    init, update = lrjax.trace(decay)
    return lrjax.GradientTransformation(init, lambda u, s, p=None: update(u, s, p))


def _fed(make: Callable[..., Any], values: tuple[float, ...]) -> Callable[..., Any]:
    """A transformation that needs `value=`, given one value after another."""

    def fed(**numbers: Any) -> Any:
        inner = make(**numbers)
        course = jax.numpy.asarray(values, "float32")

        def init(params: Any) -> Any:
            return jax.numpy.zeros((), "int32"), inner.init(params)

        def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> Any:
            count, inner_state = state
            value = course[jax.numpy.minimum(count, len(values) - 1)]
            updates, inner_state = inner.update(updates, inner_state, params, **{**extra, "value": value})
            return updates, (count + 1, inner_state)

        return lrjax.GradientTransformation(init, update)

    return fed


PLATEAU_WIDE = {
    "scale": "float32 whatever the parameters: in bfloat16 slow improvement is none",
    "best_value": "the same",
    "avg_value": "the same",
}


ROWS: tuple[Row, ...] = (
    Row(
        "chain",
        "chain",
        lambda decay, learning_rate: lrjax.chain(
            lrjax.trace(decay), lrjax.scale_by_learning_rate(learning_rate)
        ),
        numbers={"decay": (0.9, 0.5), "learning_rate": RATE},
        required=("decay", "learning_rate"),
        optax=lambda decay, learning_rate: optax.chain(
            optax.trace(decay), optax.scale_by_learning_rate(learning_rate)
        ),
        oracle=lambda gradients, theta, *, decay, learning_rate: papers.momentum_descent(
            gradients, theta, learning_rate=learning_rate, momentum=decay
        ),
        descends=True,
    ),
    Row("chain[empty]", "chain", lrjax.chain, oracle=papers.identity),  # optax refuses it
    Row(
        "masked",
        "masked",
        lambda decay: lrjax.masked(lrjax.trace(decay), matrices),
        numbers={"decay": (0.9, 0.5)},
        required=("decay",),
        optax=lambda decay: optax.masked(optax.trace(decay), matrices),
    ),
    Row(
        "reduce_on_plateau",
        "reduce_on_plateau",
        _fed(lrjax.reduce_on_plateau, (4.0, 4.0, 4.0)),
        numbers={
            "factor": (0.5, 0.25),
            "patience": (1, 2),
            "cooldown": (0, 1),
            "accumulation_size": (1, 2),
            "min_scale": (0.0, 0.75),
        },
        optax=_fed(optax.contrib.reduce_on_plateau, (4.0, 4.0, 4.0)),
        wide_fields=("scale", "best_value", "avg_value"),
        departures=PLATEAU_WIDE,
    ),
    Row(
        "reduce_on_plateau[tolerances]",
        "reduce_on_plateau",
        _fed(functools.partial(lrjax.reduce_on_plateau, 0.5, 1), (4.0, 3.5, 3.0)),
        numbers={"rtol": (0.0625, 0.5), "atol": (0.0, 1.0)},
        optax=_fed(functools.partial(optax.contrib.reduce_on_plateau, 0.5, 1), (4.0, 3.5, 3.0)),
        wide_fields=("scale", "best_value", "avg_value"),
        departures=PLATEAU_WIDE,
    ),
    Row(
        "stateless",
        "stateless",
        lambda factor: lrjax.stateless(_times(factor)),
        numbers={"factor": (0.5, 0.25)},
        required=("factor",),
        optax=lambda factor: optax.stateless(_times(factor)),
        oracle=papers.scale,
    ),
    Row(
        "stateless_with_tree_map",
        "stateless_with_tree_map",
        lambda factor: lrjax.stateless_with_tree_map(lambda u, p: (factor * u).astype(u.dtype)),
        numbers={"factor": (0.5, 0.25)},
        required=("factor",),
        optax=lambda factor: optax.stateless_with_tree_map(lambda u, p: (factor * u).astype(u.dtype)),
        oracle=papers.scale,
    ),
    Row(
        "with_extra_args_support",
        "with_extra_args_support",
        lambda decay: lrjax.with_extra_args_support(_old_style(decay)),
        numbers={"decay": (0.9, 0.5)},
        required=("decay",),
        optax=lambda decay: optax.with_extra_args_support(optax.trace(decay)),
        oracle=papers.trace,
    ),
)
