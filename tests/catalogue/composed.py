"""Rows of what puts transformations together."""

from __future__ import annotations

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
