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
        "acprop",
        "adabelief",
        "adabound",
        "adadelta",
        "adafactor",
        "adagrad",
        "adagrad_rda",
        "adam",
        "adamax",
        "adamaxw",
        "adamp",
        "adamw",
        "adan",
        "adaptive_revision",
        "ademamix",
        "adopt",
        "amsgrad",
        "averaged_sgd",
        "becker_lecun",
        "amsbound",
        "cautious",
        "chain",  # of an ingredient and `scale_by_learning_rate`
        "cocob",
        "dadapt_adagrad",
        "dadapt_adamw",
        "dadapt_sgd",
        "gi_adam",
        "dog",
        "dowg",
        "fromage",
        "full_matrix_adagrad",
        "galore",
        "lamb",
        "lars",
        "lbfgs",
        "mars",
        "ldog",
        "lion",
        "madgrad",
        "mechanize",
        "momo",
        "momo_adam",
        "muon",
        "nadam",
        "nadamw",
        "noisy_sgd",
        "novograd",
        "optimistic_adam",
        "optimistic_adam_v2",
        "optimistic_gradient_descent",
        "polyak_sgd",
        "prodigy",
        "proximal_adagrad",
        "radam",
        "rmsprop",
        "rprop",
        "sam",
        "scale_by_cocob",
        "scale_by_learning_rate",  # where the sign is flipped, once
        "scale_by_madgrad",
        "schedule_free",
        "schedule_free_adamw",
        "schedule_free_radam",
        "schedule_free_sgd",
        "scale_by_backtracking_linesearch",
        "scale_by_zoom_linesearch",
        "sgd",
        "shampoo",
        "sign_sgd",
        "signum",
        "simplified_ademamix",
        "sm3",
        "vsgd",
        "sophia",
        "stable_adamw",
        "soap",
        "yogi",
    }
    uphill = {
        "MultiSteps",
        "adaptive_grad_clip",
        "add_decayed_weights",
        "add_noise",
        "apply_every",
        "apply_if_finite",
        "centralize",
        "cautious",  # with downhill=False
        "chain",  # of nothing
        "clip",
        "clip_by_block_rms",
        "clip_by_global_norm",
        "conditionally_mask",
        "conditionally_transform",
        "delayed",
        "elastic_averaging",
        "ema",
        "exponential_average",
        "flatten",
        "freeze",
        "hutchinson_estimator_diag_hessian",
        "grokfast",
        "grokfast_ma",
        "identity",
        "keep_params_nonnegative",
        "lookahead",
        "masked",
        "normalize_by_update_norm",
        "scale",
        "scale_by_acprop",
        "scale_by_adabound",
        "scale_by_adadelta",
        "scale_by_adam",
        "scale_by_adamax",
        "scale_by_adan",
        "scale_by_adaptive_revision",
        "scale_by_ademamix",
        "scale_by_adopt",
        "scale_by_amsgrad",
        "scale_by_becker_lecun",
        "scale_by_belief",
        "scale_by_distance_over_gradients",
        "scale_by_dog",
        "scale_by_dowg",
        "scale_by_factored_rms",
        "scale_by_galore",
        "scale_by_gi_adam",
        "measure_with_ema",
        "monitor",
        "multi_transform",
        "named_chain",
        "normalize",
        "partition",
        "polyak_average",
        "polynomial_averaging",
        "reduce_on_plateau",
        "scale_by_lbfgs",
        "scale_by_learning_rate",  # with flip_sign=False, or without a rate
        "scale_by_lion",
        "scale_by_mars",
        "scale_by_muon",
        "scale_by_novograd",
        "scale_by_optimistic_gradient",
        "scale_by_param_block_norm",
        "scale_by_param_block_rms",
        "scale_by_polyak",
        "scale_by_radam",
        "scale_by_rms",
        "scale_by_rprop",
        "scale_by_rss",
        "scale_by_shampoo",
        "scale_by_sign",
        "scale_by_simplified_ademamix",
        "scale_by_sm3",
        "scale_by_soap",
        "scale_by_stddev",
        "scale_by_trust_ratio",
        "scale_by_vsgd",
        "scale_by_yogi",
        "scale_by_schedule",
        "selective_transform",
        "set_to_zero",
        "snapshot",
        "split_real_and_imaginary",
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
        first, state = tx.update(grads, tx.init(params), params)
        second, _ = tx.update(grads, state, params)
        both = jax.tree.map(jnp.add, first, second)  # some methods rest at one of them
        signs = {int(jnp.sign(jnp.vdot(*pair))) for pair in _leaf_pairs(both, grads)}
        expected = {-1} if row.descends else {1}
        assert signs - {0} <= expected if row.waits else signs == expected, row.name
        found[row.descends].add(row.public)
    assert found == {True: downhill, False: uphill}


@pytest.mark.parametrize("row", rows(quadratic=lambda quadratic: quadratic is not None))
def test_recipe_finds_the_minimum_of_a_quadratic(row: Row) -> None:
    no_decay = {name: 0.0 for name in row.numbers if name.startswith("weight_decay")}
    tx = row.tx(**{**no_decay, **row.quadratic})

    def loss(x: jax.Array) -> jax.Array:
        return 0.5 * jnp.sum(CURVATURES * x**2)

    @jax.jit
    def train(x: jax.Array) -> jax.Array:
        def step(carry: Any, _: None) -> Any:
            x, state = carry
            value, grad = jax.value_and_grad(loss)(x)
            updates, state = tx.update(grad, state, x, value=value)
            return (lrjax.apply_updates(x, updates), state), None

        return jax.lax.scan(step, (x, tx.init(x)), None, length=400)[0][0]

    assert loss(train(START)) < 1e-3 * loss(START)


def test_every_recipe_is_tried_on_the_quadratic() -> None:
    recipes = {row.public for row in CATALOGUE if row.descends} - {"chain", "scale_by_learning_rate"}
    assert recipes == {row.public for row in CATALOGUE if row.quadratic is not None}


@pytest.mark.parametrize(
    "row", rows(numbers=lambda n: "learning_rate" in n, rates=bool, rests_at_rate_zero=bool)
)
def test_rate_zero_is_the_identity(row: Row) -> None:
    params, grads = params_tree(), gradients()
    trajectory, _ = take_steps(row.tx(learning_rate=0.0), params, grads)
    for updates in trajectory:
        moved = lrjax.apply_updates(params, updates)
        jax.tree.map(np.testing.assert_array_equal, moved, params)


def _leaf_pairs(a: Any, b: Any) -> list[tuple[jax.Array, jax.Array]]:
    return list(zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))
