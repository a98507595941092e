"""Parts of the tree: who sees what, who holds state, and what is said of labels."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lrjax
from tests.catalogue.row import BIAS_CORRECTION
from tests.running import assert_close, take_steps

PARAMS = {"layer": {"w": jnp.ones((2, 2)), "b": jnp.ones(2)}, "head": jnp.ones(2)}
GRADS = jax.tree.map(lambda p: 3 * p, PARAMS)


def _first(tree: Any) -> Any:
    return jax.tree.map(lambda x: float(x.ravel()[0]), tree)


@pytest.mark.parametrize(
    "labels",
    [
        {"layer": {"w": "slow", "b": "slow"}, "head": "fast"},
        {"layer": "slow", "head": "fast"},
        lambda tree: {"layer": "slow", "head": "fast"},
    ],
    ids=["full", "prefix", "callable"],
)
def test_each_leaf_has_the_transformation_of_its_label(labels: Any) -> None:
    results = []
    for library in (lrjax, optax):
        tx = library.partition({"slow": library.trace(0.5), "fast": library.sgd(1.0)}, labels)
        results.append(take_steps(tx, PARAMS, [GRADS, GRADS])[0])
    assert_close(results[0], results[1], 0)
    assert _first(results[0][1]) == {"layer": {"w": 4.5, "b": 4.5}, "head": -3.0}


def test_norms_are_taken_over_each_part_alone() -> None:
    tx = lrjax.partition({"a": lrjax.clip_by_global_norm(1.0), "b": lrjax.identity()}, {"x": "a", "y": "b"})
    grads = {"x": jnp.array([3.0, 4.0]), "y": jnp.array([100.0])}
    updates, _ = tx.update(grads, tx.init(grads))
    np.testing.assert_allclose(updates["x"], [0.6, 0.8], rtol=1e-6)


def test_frozen_parameters_have_no_state_and_do_not_move() -> None:
    mask = {"layer": True, "head": False}
    tx = lrjax.selective_transform(lrjax.adamw(0.1), freeze_mask=mask)
    state = tx.init(PARAMS)
    assert max(np.ndim(x) for x in jax.tree.leaves(state)) == 1, "moments of the head alone"
    updates, _ = tx.update(GRADS, state, PARAMS)
    assert _first(updates["layer"]) == {"w": 0.0, "b": 0.0}
    theirs = optax.selective_transform(
        optax.adamw(0.1), freeze_mask={"layer": {"w": True, "b": True}, "head": False}
    )
    expected, _ = theirs.update(GRADS, theirs.init(PARAMS), PARAMS)
    assert_close(updates, expected, BIAS_CORRECTION)


@pytest.mark.parametrize("mask", [True, jnp.array(True), {"layer": {"w": True, "b": False}, "head": False}])
def test_freeze_is_optaxs(mask: Any) -> None:
    ours, theirs = lrjax.freeze(mask), optax.freeze(mask)
    expected = theirs.update(GRADS, theirs.init(PARAMS), PARAMS)[0]
    assert_close(ours.update(GRADS, ours.init(PARAMS), PARAMS)[0], expected, 0)


def test_freezing_hides_nan() -> None:
    tx = lrjax.freeze(True)
    np.testing.assert_array_equal(tx.update(jnp.array([jnp.nan]), tx.init(jnp.zeros(1)))[0], [0.0])


def test_named_chain_is_a_chain_with_names() -> None:
    links = {
        "clip": lrjax.clip(1.0),
        "adam": lrjax.scale_by_adam(),
        "rate": lrjax.scale_by_learning_rate(0.1),
    }
    named, plain = lrjax.named_chain(*links.items()), lrjax.chain(*links.values())
    given, state = take_steps(named, PARAMS, [GRADS] * 3)
    expected, plain_state = take_steps(plain, PARAMS, [GRADS] * 3)
    assert_close(given, expected, 0)
    assert list(state) == list(links)
    assert_close(state["adam"], plain_state[1], 0)


def test_flatten_joins_leaves_of_several_dtypes_and_gives_theirs_back() -> None:
    params = {
        "half": jnp.ones(3, "bfloat16"),
        "single": jnp.ones((2, 2)),
        "none": None,
        "scalar": jnp.ones(()),
    }
    tx = lrjax.flatten(lrjax.clip_by_global_norm(1.0))
    updates, _ = tx.update(params, tx.init(params), params)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), updates) == jax.tree.map(
        lambda x: (x.shape, x.dtype), params
    )
    np.testing.assert_allclose(updates["single"], np.full((2, 2), 8**-0.5), rtol=1e-6)


def test_flatten_trains_as_each_leaf_alone() -> None:
    grads = [jax.tree.map(lambda g, i=i: (i + 1) * g, GRADS) for i in range(3)]
    alone, _ = take_steps(lrjax.adam(0.1), PARAMS, grads)
    joined, _ = take_steps(lrjax.flatten(lrjax.adam(0.1)), PARAMS, grads)
    assert_close(joined, alone, 0)


def test_masks_of_extra_keywords_follow_the_parts() -> None:
    seen: list[Any] = []

    def update(updates: Any, state: Any, params: Any = None, *, grad: Any = None) -> Any:
        seen.append(grad)
        return updates, state

    spy = lrjax.GradientTransformation(lambda params: (), update)
    tx = lrjax.partition({"a": spy}, {"layer": "a", "head": "a"}, mask_compatible_extra_args=True)
    tx.update(GRADS, tx.init(PARAMS), PARAMS, grad=GRADS)
    tx = lrjax.partition(
        {"a": spy, "b": lrjax.identity()}, {"layer": "b", "head": "a"}, mask_compatible_extra_args=True
    )
    tx.update(GRADS, tx.init(PARAMS), PARAMS, grad=GRADS)
    assert_close(seen[0], GRADS, 0)
    assert seen[1]["layer"] == lrjax.MaskedNode()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: lrjax.partition({"a": lrjax.sgd(1)}, {"layer": "a", "head": "b"}).init(PARAMS),
            r"`partition\(param_labels=...\)` must be a tree of labels among 'a', got 'b'",
        ),
        (
            lambda: lrjax.multi_transform({"a": lrjax.sgd}, "a"),
            r"`multi_transform\(transforms\['a'\]=...\)` must be a gradient transformation.*call it",
        ),
        (lambda: lrjax.named_chain(lrjax.sgd(1)), r"`named_chain\(args\[0\]=...\)` must be a pair of a name"),
        (
            lambda: lrjax.named_chain(("a", lrjax.sgd(1)), ("a", lrjax.sgd(1))),
            r"`named_chain\(args\[1\]=...\)` must be a name that has not come before, got 'a'",
        ),
        (
            lambda: lrjax.named_chain(("a", lrjax.clip(1.0))).update(PARAMS, {"b": ()}),
            r"`named_chain.update\(state=...\)` must be the dict of states .* of a, got b",
        ),
        (lambda: lrjax.flatten(lrjax.sgd), r"`flatten\(inner=...\)`.*call it"),
        (lambda: lrjax.selective_transform(1, freeze_mask=True), r"`selective_transform\(optimizer=...\)`"),
    ],
)
def test_a_bad_argument_is_named(make: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        make()
