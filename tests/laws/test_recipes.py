"""Recipes descend; ingredients keep optax's sign."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrjax
from tests.catalogue import CATALOGUE, Row, rows
from tests.running import gradients, params_tree, take_steps

CURVATURES = jnp.array([1.0, 0.3, 0.1])
START = jnp.array([1.0, -1.0, 0.5])


def test_sign_convention() -> None:
    """The whole list: these point downhill, everything else along the gradient, as in optax."""
    downhill = {
        "adadelta",
        "adagrad",
        "adam",
        "adamw",
        "chain",  # of an ingredient and `scale_by_learning_rate`
        "lbfgs",
        "lion",
        "rmsprop",
        "scale_by_backtracking_linesearch",
        "scale_by_learning_rate",  # where the sign is flipped, once
        "scale_by_zoom_linesearch",
        "sgd",
    }
    uphill = {
        "MultiSteps",
        "adaptive_grad_clip",
        "add_decayed_weights",
        "apply_every",
        "apply_if_finite",
        "centralize",
        "chain",  # of nothing
        "clip",
        "clip_by_block_rms",
        "clip_by_global_norm",
        "conditionally_mask",
        "conditionally_transform",
        "ema",
        "flatten",
        "freeze",
        "identity",
        "keep_params_nonnegative",
        "lookahead",
        "masked",
        "measure_with_ema",
        "monitor",
        "multi_transform",
        "named_chain",
        "partition",
        "reduce_on_plateau",
        "scale_by_adadelta",
        "scale_by_adam",
        "scale_by_lbfgs",
        "scale_by_learning_rate",  # with flip_sign=False, or without a rate
        "scale_by_lion",
        "scale_by_rms",
        "scale_by_rss",
        "scale_by_schedule",
        "scale_by_stddev",
        "selective_transform",
        "set_to_zero",
        "snapshot",
        "stateless",
        "stateless_with_tree_map",
        "trace",
        "with_extra_args_support",
        "zero_nans",
    }
    found: dict[bool, set[str]] = {True: set(), False: set()}
    for row in CATALOGUE:
        tx, grads = row.tx(), gradients()[0]
        params = jax.tree.map(jnp.zeros_like, grads)
        updates, _ = tx.update(grads, tx.init(params), params)
        signs = {int(jnp.sign(jnp.vdot(*pair))) for pair in _leaf_pairs(updates, grads)}
        expected = {-1} if row.descends else {1}
        assert signs - {0} <= expected if row.waits else signs == expected, row.name
        found[row.descends].add(row.public)
    assert found == {True: downhill, False: uphill}


@pytest.mark.parametrize("row", rows(quadratic=lambda quadratic: quadratic is not None))
def test_recipe_finds_the_minimum_of_a_quadratic(row: Row) -> None:
    tx = row.tx(**{"weight_decay": 0.0, **row.quadratic} if "weight_decay" in row.numbers else row.quadratic)

    def loss(x: jax.Array) -> jax.Array:
        return 0.5 * jnp.sum(CURVATURES * x**2)

    @jax.jit
    def train(x: jax.Array) -> jax.Array:
        def step(carry: Any, _: None) -> Any:
            x, state = carry
            updates, state = tx.update(jax.grad(loss)(x), state, x)
            return (lrjax.apply_updates(x, updates), state), None

        return jax.lax.scan(step, (x, tx.init(x)), None, length=400)[0][0]

    assert loss(train(START)) < 1e-3 * loss(START)


def test_every_recipe_is_tried_on_the_quadratic() -> None:
    recipes = {row.public for row in CATALOGUE if row.descends} - {"chain", "scale_by_learning_rate"}
    assert recipes == {row.public for row in CATALOGUE if row.quadratic is not None}


@pytest.mark.parametrize("row", rows(numbers=lambda numbers: "learning_rate" in numbers))
def test_rate_zero_is_the_identity(row: Row) -> None:
    params, grads = params_tree(), gradients()
    trajectory, _ = take_steps(row.tx(learning_rate=0.0), params, grads)
    for updates in trajectory:
        moved = lrjax.apply_updates(params, updates)
        jax.tree.map(np.testing.assert_array_equal, moved, params)


def _leaf_pairs(a: Any, b: Any) -> list[tuple[jax.Array, jax.Array]]:
    return list(zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))
