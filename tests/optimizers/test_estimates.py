"""Faults that parameter-free and schedule-free methods are known for, and that are none here."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrjax

CURVATURES = jnp.array([1.0, 0.3, 0.1])
START = jnp.array([1.0, -1.0, 0.5])
ADAPTIVE = [lrjax.prodigy, lrjax.dadapt_adamw]


def _loss(x: jax.Array) -> jax.Array:
    return 0.5 * jnp.sum(CURVATURES * x.astype(jnp.float32) ** 2)


def _train(tx: Any, steps: int, start: jax.Array = START) -> tuple[jax.Array, Any]:
    @jax.jit
    def run() -> Any:
        def step(carry: Any, _: None) -> Any:
            x, state = carry
            value, grad = jax.value_and_grad(_loss)(x)
            updates, state = tx.update(grad, state, x, value=value)
            return (lrjax.apply_updates(x, updates), state), None

        return jax.lax.scan(step, (start, tx.init(start)), None, length=steps)[0]

    return run()


@pytest.mark.parametrize("make", ADAPTIVE, ids=lambda f: f.__name__)
def test_a_warmup_from_zero_trains(make: Any) -> None:
    x, (state, _) = _train(make(lambda t: jnp.minimum(t / 20, 1)), 400)
    assert np.isfinite(float(state.estim_lr))
    assert _loss(x) < 1e-2 * _loss(START)


@pytest.mark.parametrize("make", ADAPTIVE, ids=lambda f: f.__name__)
def test_zero_gradients_at_first_do_no_harm(make: Any) -> None:
    tx, params = make(), START
    state = tx.init(params)
    for _ in range(3):
        updates, state = tx.update(jnp.zeros(3), state, params)
        np.testing.assert_array_equal(updates, np.zeros(3))
    assert float(state[0].estim_lr) == np.float32(1e-6)
    for _ in range(3):
        updates, state = tx.update(jnp.ones(3), state, params)
        assert np.all(np.isfinite(updates))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("make", ADAPTIVE, ids=lambda f: f.__name__)
def test_the_estimate_grows_in_half_precision_once_it_can_be_felt(make: Any, dtype: str) -> None:
    x, state = _train(make(estim_lr0=1e-2), 400, START.astype(dtype))
    assert state[0].estim_lr.dtype == jnp.float32
    assert _loss(x) < 0.05 * _loss(START)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("make", [lrjax.prodigy, lrjax.dog, lrjax.ldog], ids=lambda f: f.__name__)
def test_half_precision_parameters_move_with_defaults(make: Any, dtype: str) -> None:
    """Their first steps are a thousandth of the last digit of these, which are followed in float32."""
    start = START.astype(dtype)
    x, state = _train(make(), 1000, start)
    assert x.dtype == start.dtype
    assert _loss(x) < 1e-3 * _loss(START)
    limits = jnp.finfo(dtype)
    rounding = {"rtol": float(limits.eps), "atol": float(limits.tiny)}
    np.testing.assert_allclose(state[-1].params, x.astype(jnp.float32), **rounding)


def test_float32_leaves_beside_half_precision_ones_lose_no_digit() -> None:
    tx = lrjax.dog()
    both = {"half": jnp.ones(2, jnp.bfloat16), "wide": 3 * START}
    alone = {"half": jnp.ones(2), "wide": 3 * START}
    ours, _ = tx.update(both, tx.init(both), both)
    theirs, _ = tx.update(alone, tx.init(alone), alone)
    np.testing.assert_allclose(ours["wide"], theirs["wide"], rtol=1e-6)


def test_half_precision_parameters_that_are_set_by_hand_are_believed() -> None:
    tx, params = lrjax.dog(), START.astype(jnp.bfloat16)
    _, state = tx.update(params, tx.init(params), params)
    elsewhere = params + 1
    updates, state = tx.update(params, state, elsewhere)
    moved = lrjax.apply_updates(elsewhere, updates).astype(jnp.float32)
    np.testing.assert_allclose(state[-1].params, moved, rtol=1e-2)
    np.testing.assert_allclose(state[1].max_dist, 3**0.5, rtol=1e-2)


@pytest.mark.parametrize("make", [lrjax.momo, lrjax.momo_adam], ids=lambda f: f.__name__)
def test_momos_decay_shrinks_the_step_too(make: Any) -> None:
    """The update minimises model + decay exactly: (params - tau d) / (1 + eta lambda)."""
    params, grad, eta, decay = jnp.array([2.0, -1.0]), jnp.array([0.5, 1.0]), 0.5, 0.8
    plain, _ = make(eta).update(grad, make(eta).init(params), params, value=1e6)
    tx = make(eta, weight_decay=decay)
    decayed, _ = tx.update(grad, tx.init(params), params, value=1e6)
    np.testing.assert_allclose(params + decayed, (params + plain) / (1 + eta * decay), rtol=1e-6)


@pytest.mark.parametrize("make", [lrjax.schedule_free_sgd, lrjax.schedule_free_adamw], ids=["sgd", "adamw"])
def test_schedule_frees_average_begins_with_the_first_step_that_was_taken(make: Any) -> None:
    """A first rate of 0 has weight 0: after the second step the average is where that one led."""
    tx = make(lambda t: 0.5 * jnp.minimum(t, 1))
    params = START
    state = tx.init(params)
    for _ in range(2):
        updates, state = tx.update(params, state, params)
        params = lrjax.apply_updates(params, updates)
    np.testing.assert_allclose(lrjax.schedule_free_eval_params(state, params), state.z, rtol=1e-5)


def test_schedule_frees_warmup_has_the_authors_rates() -> None:
    tx, params = lrjax.schedule_free_sgd(0.8, warmup_steps=4), START
    state = tx.init(params)
    rates = []
    for _ in range(5):
        _, state = tx.update(params, state, params)
        rates.append(float(lrjax.get_learning_rate(state)))
    np.testing.assert_allclose(rates, [0.2, 0.4, 0.6, 0.8, 0.8], rtol=1e-6)
    assert float(state.max_lr) == np.float32(0.8)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_schedule_free_does_not_come_to_rest_in_half_precision(dtype: str) -> None:
    """The average that is kept beside half-precision parameters is float32's to their rounding."""
    tx, steps = lrjax.schedule_free_sgd(0.05), 2000
    x, state = _train(tx, steps, START.astype(dtype))
    wide, wide_state = _train(tx, steps)
    average = lrjax.schedule_free_eval_params(state, x.astype(jnp.float32))
    expected = lrjax.schedule_free_eval_params(wide_state, wide)
    np.testing.assert_allclose(average, expected, atol=3 * float(jnp.finfo(dtype).eps))


def test_a_pinned_rate_reaches_schedule_frees_weights() -> None:
    tx, params = lrjax.schedule_free_sgd(0.5), START
    state = lrjax.set_learning_rate(tx.init(params), 2.0)
    _, state = tx.update(params, state, params)
    assert float(state.max_lr) == 2.0


@pytest.mark.parametrize("b2", [0.9999, 0.99999])
def test_bias_corrections_do_not_cancel(b2: float) -> None:
    """With one gradient for ever every debiased second moment is its square, from the first step on."""
    for tx in (lrjax.scale_by_belief(b1=0.0, b2=b2, eps=0.0, eps_root=1e-30), lrjax.scale_by_amsgrad(b2=b2)):
        grads = jnp.array([3.0])
        updates, _ = tx.update(grads, tx.init(grads))
        assert np.all(np.isfinite(updates))
    tx = lrjax.scale_by_amsgrad(b1=0.0, b2=b2)
    state = tx.init(jnp.zeros(1))
    for _ in range(5):
        updates, state = tx.update(jnp.array([3.0]), state)
        np.testing.assert_allclose(updates, [1.0], rtol=2e-6)
