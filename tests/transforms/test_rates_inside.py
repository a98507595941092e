"""The learning rate is read, set and scaled through every wrapper, and the wrapped optimizer obeys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lrjax

PARAMS = {"w": jnp.array([1.0, -2.0]), "b": jnp.array([3.0])}
GRADS = jax.tree.map(jnp.ones_like, PARAMS)


def _always(step: Any) -> Any:
    return step >= 0


WRAPPERS: dict[str, Callable[[Any], Any]] = {
    "chain": lambda tx: lrjax.chain(lrjax.clip(10.0), tx),
    "named_chain": lambda tx: lrjax.named_chain(("clip", lrjax.clip(10.0)), ("inner", tx)),
    "masked": lambda tx: lrjax.masked(tx, True),
    "partition": lambda tx: lrjax.partition({"a": tx}, "a"),
    "multi_transform": lambda tx: lrjax.multi_transform({"a": tx}, "a"),
    "selective_transform": lambda tx: lrjax.selective_transform(tx, freeze_mask=False),
    "flatten": lrjax.flatten,
    "apply_if_finite": lambda tx: lrjax.apply_if_finite(tx, 3),
    "conditionally_transform": lambda tx: lrjax.conditionally_transform(tx, _always),
    "conditionally_mask": lambda tx: lrjax.conditionally_mask(tx, _always),
    "MultiSteps": lambda tx: lrjax.MultiSteps(tx, 1),
    "with_extra_args_support": lrjax.with_extra_args_support,
    "monitor": lambda tx: lrjax.chain(tx, lrjax.monitor({"norm": lrjax.global_norm})),
    "optax.chain": lambda tx: optax.chain(optax.clip(10.0), tx),
    "optax.MultiSteps": lambda tx: optax.MultiSteps(tx, 1),
    "optax.apply_if_finite": lambda tx: optax.apply_if_finite(tx, 3),
    "optax.partition": lambda tx: optax.partition({"a": tx}, "a"),
    "all together": lambda tx: lrjax.MultiSteps(
        lrjax.apply_if_finite(
            lrjax.named_chain(("clip", lrjax.clip(10.0)), ("parts", lrjax.partition({"a": tx}, "a"))), 3
        ),
        1,
    ),
}


def _step(tx: Any, state: Any) -> tuple[float, Any]:
    updates, state = tx.update(GRADS, state, PARAMS)
    np.testing.assert_array_equal(updates["w"], [updates["b"][0]] * 2)
    return float(updates["b"][0]), state


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_the_rate_is_read_set_released_and_scaled(wrap: Callable[[Any], Any]) -> None:
    tx = wrap(lrjax.sgd(lrjax.linear_schedule(1.0, 0.0, transition_steps=8)))
    state = tx.init(PARAMS)
    assert float(lrjax.get_learning_rate(state)) == 1.0
    update, state = _step(tx, state)
    assert (update, float(lrjax.get_learning_rate(state))) == (-1.0, 1.0)
    update, state = _step(tx, lrjax.set_learning_rate(state, 0.25))
    assert (update, float(lrjax.get_learning_rate(state))) == (-0.25, 0.25)
    update, state = _step(tx, lrjax.set_learning_rate(state, None))
    assert update == -0.75, "released, it is where its schedule is"
    update, state = _step(tx, lrjax.scale_learning_rate(state, 2.0))
    assert (update, float(lrjax.get_learning_rate(state))) == (-1.25, 1.25)


@pytest.mark.parametrize("reset_state", [False, True])
def test_the_rate_inside_lookahead(reset_state: bool) -> None:
    tx = lrjax.lookahead(lrjax.sgd(0.5), 2, 0.5, reset_state)
    params = lrjax.LookaheadParams.init_synced(PARAMS)
    state = lrjax.set_learning_rate(tx.init(params), 0.25)
    for _ in range(5):  # two moves of the slow parameters on the way
        updates, state = tx.update(GRADS, state, params)
    assert float(updates.fast["b"][0]) == -0.25
    assert float(lrjax.get_learning_rate(state)) == 0.25


def test_each_part_has_its_own_rate() -> None:
    tx = lrjax.partition({"slow": lrjax.sgd(0.25), "fast": lrjax.adam(1.0)}, {"w": "slow", "b": "fast"})
    state = tx.init(PARAMS)
    assert sorted(map(float, lrjax.get_learning_rates(state).values())) == [0.25, 1.0]
    with pytest.raises(ValueError, match=r"2: .*slow.*fast|2: .*fast.*slow"):
        lrjax.get_learning_rate(state)
    updates, state = tx.update(GRADS, lrjax.scale_learning_rate(state, 0.5), PARAMS)
    np.testing.assert_allclose(updates["w"], [-0.125] * 2, rtol=1e-6)
    np.testing.assert_allclose(updates["b"], [-0.5], rtol=1e-6)


def test_the_rate_survives_steps_that_are_not_taken() -> None:
    tx = lrjax.MultiSteps(lrjax.apply_if_finite(lrjax.sgd(0.5), 3), 2)
    state = lrjax.set_learning_rate(tx.init(PARAMS), 0.25)
    bad = jax.tree.map(lambda g: g * jnp.nan, GRADS)
    for grads in (GRADS, bad, GRADS, GRADS):
        updates, state = tx.update(grads, state, PARAMS)
    assert float(updates["b"][0]) == -0.25
