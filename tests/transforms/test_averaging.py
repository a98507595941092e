"""Averages of updates and of parameters, and repairs of updates."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lrjax
from tests.running import assert_close

OLD = {"w": jnp.array([1.0, -2.0]), "none": None}
NEW = {"w": jnp.array([3.0, 6.0]), "none": None}


@pytest.mark.parametrize("step_size", [0.0, 0.25, 1.0, jnp.float32(0.3)])
def test_incremental_update_is_optaxs(step_size: Any) -> None:
    ours = lrjax.incremental_update(NEW, OLD, step_size)
    assert_close(ours, optax.incremental_update(NEW, OLD, step_size), 1e-7)


def test_an_average_keeps_its_own_dtype_and_is_computed_wide() -> None:
    old, new = jnp.array([256.0], "bfloat16"), jnp.array([258.0])
    average = lrjax.incremental_update(new, old, 0.75)
    assert (average.dtype, float(average[0])) == (jnp.bfloat16, 258.0)  # 257.5, rounded once
    assert lrjax.periodic_update(new, old, 0, 1).dtype == jnp.bfloat16


def test_periodic_update_is_optaxs_and_traces() -> None:
    for step in range(7):
        expected = optax.periodic_update(NEW, OLD, jnp.int32(step), 3)
        assert_close(lrjax.periodic_update(NEW, OLD, step, 3), expected, 0)
        assert_close(jax.jit(lrjax.periodic_update)(NEW, OLD, step, 3), expected, 0)


def test_ema_in_its_first_steps_is_the_mean_where_decay_is_near_one() -> None:
    """1 - 0.9999**t in float32 would be off by 1.7e-4."""
    tx = lrjax.ema(0.9999)
    state = tx.init(jnp.zeros(()))
    for value in (1.0, 2.0, 6.0):
        updates, state = tx.update(jnp.array(value), state)
    weights = 0.9999 ** np.array([2.0, 1.0, 0.0])
    assert float(updates) == pytest.approx(weights @ [1.0, 2.0, 6.0] / weights.sum(), rel=1e-6)


def test_zero_nans_tells_where_they_were() -> None:
    grads = {"a": jnp.array([jnp.nan, 1.0]), "b": jnp.array([jnp.inf]), "c": jnp.array([1j * jnp.nan])}
    tx = lrjax.zero_nans()
    updates, state = tx.update(grads, tx.init(grads))
    np.testing.assert_array_equal(updates["a"], [0.0, 1.0])
    np.testing.assert_array_equal(updates["b"], [np.inf])
    np.testing.assert_array_equal(updates["c"], [0.0])
    assert {n: bool(x) for n, x in state.found_nan.items()} == {"a": True, "b": False, "c": True}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_parameters_stay_at_or_above_zero(dtype: str) -> None:
    random = np.random.default_rng(5)
    params = jnp.asarray(random.uniform(size=200), dtype)
    updates = jnp.asarray(random.normal(size=200), dtype)
    tx = lrjax.keep_params_nonnegative()
    new = lrjax.apply_updates(params, tx.update(updates, tx.init(params), params)[0])
    assert float(jnp.min(new)) == 0.0
    below = jnp.array([-0.5, -0.5])
    moved = lrjax.apply_updates(below, tx.update(jnp.array([-1.0, 2.0]), (), below)[0])
    np.testing.assert_array_equal(moved, [0.0, 1.5])


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 3, 4)], ids=str)
def test_centralize_is_optaxs(shape: tuple[int, ...]) -> None:
    grads = jnp.asarray(np.random.default_rng(2).normal(size=shape), jnp.float32)
    ours = lrjax.centralize().update(grads, ())[0]
    np.testing.assert_allclose(ours, optax.centralize().update(grads, optax.EmptyState())[0], atol=2e-7)


# lookahead


def _both(params: Any) -> Any:
    return lrjax.LookaheadParams.init_synced(params)


def test_lookahead_holds_the_slow_parameters_until_they_move() -> None:
    tx = lrjax.lookahead(lrjax.sgd(0.25), sync_period=3, slow_step_size=0.5)
    params = _both(jnp.array(1.0))
    state, slow = tx.init(params), []
    for _ in range(6):
        updates, state = tx.update(2 * params.fast, state, params)
        params = lrjax.apply_updates(params, updates)
        slow.append(float(params.slow))
    assert slow == [1.0, 1.0, 0.5625, 0.5625, 0.5625, 0.5625**2]


def test_a_reset_keeps_the_rate_that_was_set_and_restarts_its_schedule() -> None:
    schedule = lrjax.linear_schedule(1.0, 0.0, transition_steps=4)
    tx = lrjax.lookahead(lrjax.sgd(schedule), 2, 0.5, reset_state=True)
    params = _both(jnp.array(1.0))
    state = lrjax.scale_learning_rate(tx.init(params), 0.5)
    rates = []
    for step in range(6):
        if step == 4:
            state = lrjax.set_learning_rate(state, 0.125)
        _, state = tx.update(jnp.array(0.0), state, params)
        rates.append(float(lrjax.get_learning_rate(state)))
    assert rates[0] == 0.5
    assert rates[4] == 0.125
    assert float(state.fast_state[1].override) == 0.125
    assert float(state.fast_state[1].schedule_state.factor) == 0.5
    assert int(state.fast_state[1].schedule_state.inner_state.count) == 0


def test_lookahead_says_what_its_parameters_are() -> None:
    tx = lrjax.lookahead(lrjax.sgd(0.1), 2, 0.5)
    with pytest.raises(TypeError, match=r"`lookahead.init\(params=...\)` must be `LookaheadParams`"):
        tx.init(jnp.zeros(2))
    optaxs = optax.LookaheadParams.init_synced(jnp.zeros(2))
    updates, _ = tx.update(jnp.ones(2), tx.init(optaxs), optaxs)
    assert optax.apply_updates(optaxs, optax.LookaheadParams(*updates)).fast.shape == (2,)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: lrjax.lookahead(lrjax.sgd, 2, 0.5), r"`lookahead\(fast_optimizer=...\)`.*call it"),
        (lambda: lrjax.lookahead(lrjax.sgd(1), 0, 0.5), r"`lookahead\(sync_period=...\)`.*>= 1"),
        (lambda: lrjax.lookahead(lrjax.sgd(1), 2, 1.5), r"`lookahead\(slow_step_size=...\)`.*\[0, 1\]"),
        (lambda: lrjax.incremental_update(NEW, OLD, 2.0), r"`incremental_update\(step_size=...\)`"),
        (lambda: lrjax.periodic_update(NEW, OLD, 1, 0), r"`periodic_update\(update_period=...\)`"),
        (lambda: lrjax.scale_by_schedule(0.1), r"`scale_by_schedule\(step_size_fn=...\)`.*got 0.1"),
        (
            lambda: lrjax.scale_by_schedule(lrjax.Schedule(lambda: (), lambda s: (1.0, s))),
            r"`scale_by_schedule\(step_size_fn=...\)`.*driven by metrics",
        ),
    ],
)
def test_a_bad_argument_is_named(make: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        make()
