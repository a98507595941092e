"""Micro-batches: what is computed, what a bad one costs, and whose clock ticks."""

from __future__ import annotations

import functools
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lrjax
from tests.running import assert_close, gradients, params_tree, take_steps

NAN = jnp.array([jnp.nan, 1.0])
FINE = jnp.array([0.5, -2.0])


def _updates(tx: Any, grads: list[Any], params: Any = None) -> tuple[list[Any], Any]:
    params = jnp.zeros(2) if params is None else params
    state, trajectory = tx.init(params), []
    for g in grads:
        updates, state = tx.update(g, state, params)
        trajectory.append(updates)
    return trajectory, state


def _counting(inner: Any) -> tuple[lrjax.GradientTransformation, list[int]]:
    """The transformation, and a list that grows whenever its update is really run."""
    ran: list[int] = []
    init, update = inner

    def counted(updates: Any, state: Any, params: Any = None, **extra: Any) -> Any:
        jax.debug.callback(lambda: ran.append(1))
        return update(updates, state, params, **extra)

    return lrjax.GradientTransformation(init, counted), ran


def test_the_optimizer_is_computed_only_when_an_update_is_due() -> None:
    inner, ran = _counting(lrjax.adam(0.1))
    tx = lrjax.MultiSteps(inner, every_k_schedule=4)
    update = jax.jit(tx.update)
    state = tx.init(jnp.zeros(2))
    for step in range(8):
        _, state = update(FINE, state)
        jax.effects_barrier()
        assert len(ran) == (step + 1) // 4


def test_a_bad_micro_batch_is_skipped_without_a_trace() -> None:
    tx = lrjax.MultiSteps(lrjax.adam(0.1), 2, should_skip_update_fn=lrjax.skip_not_finite)
    clean, clean_state = _updates(tx, [FINE, 3 * FINE])
    given, state = _updates(tx, [FINE, NAN, 3 * FINE])
    assert_close(given[-1], clean[-1], 0)
    np.testing.assert_array_equal(given[1], np.zeros(2))
    assert_close(state._replace(skip_state=()), clean_state._replace(skip_state=()), 0)


def test_a_bad_micro_batch_costs_one_update_where_the_optimizer_refuses_it() -> None:
    """Optax multiplies what it gathered by zero, and NaN times zero stays NaN for ever."""
    tx = lrjax.MultiSteps(lrjax.apply_if_finite(lrjax.adam(0.1), 3), every_k_schedule=2)
    given, state = _updates(tx, [NAN, FINE, FINE, FINE])
    np.testing.assert_array_equal(np.stack(given[:3]), np.zeros((3, 2)))
    assert_close(given[3], lrjax.adam(0.1).update(FINE, lrjax.adam(0.1).init(FINE))[0], 1e-6)
    assert all(np.all(np.isfinite(x)) for x in jax.tree.leaves(state.acc_grads))
    assert int(state.gradient_step) == 2


def test_without_protection_what_was_gathered_is_still_forgotten() -> None:
    given, state = _updates(lrjax.MultiSteps(lrjax.identity(), 2), [NAN, FINE, FINE, FINE])
    assert np.isnan(given[1][0])
    np.testing.assert_array_equal(given[3], FINE)
    given, state = _updates(lrjax.apply_every(2), [NAN, FINE, FINE, FINE])
    assert np.isnan(given[1][0])
    np.testing.assert_array_equal(given[3], 2 * FINE)
    assert np.all(np.isfinite(state.grad_acc))


def test_schedules_step_once_per_update_applied() -> None:
    schedule = lrjax.linear_schedule(1.0, 0.0, transition_steps=4)
    tx = lrjax.MultiSteps(lrjax.sgd(schedule), every_k_schedule=3)
    params, state = jnp.zeros(()), tx.init(jnp.zeros(()))
    rates = []
    for _ in range(9):
        updates, state = tx.update(jnp.ones(()), state, params)
        rates.append(float(updates))
    assert rates == [0, 0, -1.0, 0, 0, -0.75, 0, 0, -0.5]
    assert float(lrjax.get_learning_rate(state)) == 0.5


def test_has_updated_is_true_after_an_update_and_at_no_other_time() -> None:
    tx = lrjax.MultiSteps(lrjax.sgd(0.1), 2)
    state, seen = tx.init(jnp.zeros(2)), []
    for _ in range(5):
        seen.append(bool(tx.has_updated(state)))
        _, state = tx.update(FINE, state)
    assert seen == [False, False, True, False, True]


def test_it_is_a_pair_and_gives_a_plain_one() -> None:
    tx = lrjax.MultiSteps(lrjax.sgd(0.1), 2)
    init, update = tx
    assert tx.gradient_transformation() == lrjax.GradientTransformation(init, update)
    assert jax.tree.leaves(tx) == [tx], "opaque to pytrees, as schedules are"
    assert tx.inner_opt.init(jnp.zeros(2))[0] == lrjax.EmptyState()


@pytest.mark.parametrize("k", [1, 2, 5])
def test_k_micro_batches_are_one_batch(k: int) -> None:
    """The mean of the parts' gradients is the whole's: the same training, up to rounding."""
    random = np.random.default_rng(3)
    x = jnp.asarray(random.normal(size=(k * 8, 2)), jnp.float32)
    y = x @ jnp.array([1.0, -2.0])

    def loss(w: jax.Array, rows: slice) -> jax.Array:
        return jnp.mean((x[rows] @ w - y[rows]) ** 2)

    tx, big = lrjax.MultiSteps(lrjax.adam(0.1), k), lrjax.adam(0.1)
    w, w_big = jnp.zeros(2), jnp.zeros(2)
    state, big_state = tx.init(w), big.init(w_big)
    for _ in range(3):
        for part in range(k):
            updates, state = tx.update(jax.grad(loss)(w, slice(8 * part, 8 * part + 8)), state, w)
            w = lrjax.apply_updates(w, updates)
        updates, big_state = big.update(jax.grad(loss)(w_big, slice(None)), big_state, w_big)
        w_big = lrjax.apply_updates(w_big, updates)
    np.testing.assert_allclose(w, w_big, rtol=1e-5)


def test_large_updates_are_skipped_as_in_optax() -> None:
    for limit in (1.0, 4.25, 5.0):
        skip, told = lrjax.skip_large_updates(FINE, 0, None, max_squared_norm=limit)
        optax_skip, optax_told = optax.skip_large_updates(FINE, 0, None, max_squared_norm=limit)
        assert bool(skip) == bool(optax_skip) == bool(told["should_skip"])
        assert float(told["norm_squared"]) == float(optax_told["norm_squared"])
    assert bool(lrjax.skip_large_updates(NAN, 0, None, max_squared_norm=1e30)[0])
    assert bool(lrjax.skip_large_updates(jnp.array([1e30]), 0, None, max_squared_norm=1e38)[0])
    halves = jnp.array([300.0, 0.0], "float16")
    assert not bool(lrjax.skip_large_updates(halves, 0, None, max_squared_norm=1e5)[0])
    assert float(lrjax.skip_large_updates(halves, 0, None, max_squared_norm=1e5)[1]["norm_squared"]) == 9e4


def test_skipping_large_updates_trains_as_in_optax() -> None:
    fine = gradients(steps=6)
    grads = [jax.tree.map(lambda g, i=i: 100 * g if i in (1, 3) else g, g) for i, g in enumerate(fine)]
    trained = []
    for library in (lrjax, optax):
        skip = functools.partial(library.skip_large_updates, max_squared_norm=1000.0)
        tx = library.MultiSteps(library.trace(0.9), 2, should_skip_update_fn=skip)
        trained.append(take_steps(tx, params_tree(), grads)[0])
    assert_close(trained[0], trained[1], 1e-6)
    assert [bool(np.any(u["weight"] != 0)) for u in trained[0]] == [False, False, True, False, False, True]


def test_gathering_in_half_precision_is_wide_unless_told_otherwise() -> None:
    """1 + 63 times 2**-8 in bfloat16 stays 1 when every sum is rounded."""
    grads = [jnp.ones(1, "bfloat16")] + [jnp.full(1, 2.0**-8, "bfloat16")] * 63
    for tx in (lrjax.MultiSteps(lrjax.identity(), 64, use_grad_mean=False), lrjax.apply_every(64)):
        given, _ = _updates(tx, grads, jnp.zeros(1, "bfloat16"))
        assert given[-1].dtype == jnp.bfloat16
        assert float(given[-1][0]) == 1.25  # 1.246 rounded
    narrow = lrjax.MultiSteps(lrjax.identity(), 64, use_grad_mean=False, accumulator_dtype="bfloat16")
    given, state = _updates(narrow, grads, jnp.zeros(1, "float32"))
    assert state.acc_grads.dtype == jnp.bfloat16
    assert float(given[-1][0]) == 1.0


def test_the_number_of_micro_batches_can_change_from_update_to_update() -> None:
    schedule = lrjax.join_schedules([lrjax.constant_schedule(1), lrjax.constant_schedule(3)], [2])
    tx = lrjax.MultiSteps(lrjax.identity(), schedule)
    given, _ = _updates(tx, [FINE] * 8)
    assert [bool(np.any(u != 0)) for u in given] == [True, True, False, False, True, False, False, True]


def test_it_trains_in_a_scan_with_one_trace_and_foreign_optimizers() -> None:
    for inner in (optax.adamw(0.1), optax.contrib.schedule_free(optax.sgd(0.1), 0.1, 0.9), lrjax.lion(0.1)):
        tx = lrjax.MultiSteps(inner, 2)
        chex.clear_trace_counter()
        update = jax.jit(chex.assert_max_traces(tx.update, n=1))
        trajectory, _ = take_steps(tx, params_tree(), gradients(steps=4), update=update)
        assert np.any(trajectory[1]["weight"] != 0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: lrjax.MultiSteps(lrjax.sgd, 2), r"`MultiSteps\(opt=...\)`.*call it"),
        (lambda: lrjax.MultiSteps(lrjax.sgd(1), 0), r"`MultiSteps\(every_k_schedule=...\)`.*>= 1, got 0.0"),
        (lambda: lrjax.MultiSteps(lrjax.sgd(1), 2, 1), r"`MultiSteps\(use_grad_mean=...\)`.*got 1"),
        (lambda: lrjax.MultiSteps(lrjax.sgd(1), 2, True, 3), r"`MultiSteps\(should_skip_update_fn=...\)`"),
        (lambda: lrjax.apply_every(0), r"`apply_every\(k=...\)`.*>= 1, got 0.0"),
    ],
)
def test_a_bad_argument_is_named(make: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        make()
