"""Updates on some steps only: which are refused, which are let through, what is computed."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lrjax
from tests.running import assert_close

NAN, FINE = jnp.array([jnp.nan, 1.0]), jnp.array([0.5, -2.0])
INF = jnp.array([1.0, jnp.inf])


def _run(tx: Any, grads: list[Any]) -> tuple[np.ndarray, Any]:
    state, trajectory = tx.init(jnp.zeros(2)), []
    for g in grads:
        updates, state = tx.update(g, state)
        trajectory.append(np.asarray(updates))
    return np.stack(trajectory), state


@pytest.mark.parametrize("max_errors", [0, 1, 2, jnp.int32(2)])
def test_apply_if_finite_counts_and_gives_up_as_optaxs(max_errors: Any) -> None:
    grads = [FINE, NAN, INF, FINE, NAN, NAN, NAN, NAN, FINE]
    ours, state = _run(lrjax.apply_if_finite(lrjax.trace(0.5), max_errors), grads)
    theirs, optax_state = _run(optax.apply_if_finite(optax.trace(0.5), int(max_errors)), grads)
    np.testing.assert_array_equal(ours, theirs)
    assert {n: int(getattr(state, n)) for n in state._fields[:3]} == {
        n: int(getattr(optax_state, n)) for n in state._fields[:3]
    }
    assert int(state.total_notfinite) == 6


def test_a_refused_update_leaves_the_optimizer_as_it_was() -> None:
    tx = lrjax.apply_if_finite(lrjax.adam(0.1), 5)
    clean, clean_state = _run(tx, [FINE, FINE])
    given, state = _run(tx, [FINE, NAN, FINE])
    np.testing.assert_array_equal(given[[0, 2]], clean)
    assert_close(state.inner_state, clean_state.inner_state, 0)


def test_members_of_a_vmap_are_refused_one_by_one() -> None:
    tx = lrjax.apply_if_finite(lrjax.sgd(1.0), 5)
    grads = jnp.stack([NAN, FINE])
    updates, state = jax.vmap(lambda g: tx.update(g, tx.init(g)))(grads)
    np.testing.assert_array_equal(updates, [[0.0, 0.0], -FINE])
    np.testing.assert_array_equal(state.last_finite, [False, True])


@pytest.mark.parametrize("compiled", [True, False], ids=["jit", "eager"])
@pytest.mark.parametrize("wrapper", ["conditionally_transform", "conditionally_mask", "apply_if_finite"])
def test_what_is_not_taken_is_not_computed(wrapper: str, compiled: bool) -> None:
    ran: list[int] = []

    def counted(updates: Any, state: Any, params: Any = None) -> Any:
        jax.debug.callback(lambda: ran.append(1))
        return updates, state

    inner = lrjax.GradientTransformation(lambda params: (), counted)
    argument = 5 if wrapper == "apply_if_finite" else lambda step: step % 2 == 1
    tx = getattr(lrjax, wrapper)(inner, argument)
    state, update = tx.init(FINE), jax.jit(tx.update) if compiled else tx.update
    for g in (NAN, FINE, NAN, FINE):
        _, state = update(g, state)
    jax.effects_barrier()
    assert len(ran) == 2


@pytest.mark.parametrize("wrapper", ["conditionally_transform", "conditionally_mask"])
def test_the_condition_sees_extra_keywords_on_request(wrapper: str) -> None:
    def low(step: Any, value: Any, **extra: Any) -> Any:
        return value < 1.0

    tx = getattr(lrjax, wrapper)(lrjax.sgd(1.0), low, forward_extra_args=True)
    outcome = {
        value: tx.update(FINE, tx.init(FINE), value=jnp.array(value), grad=FINE)[0] for value in (0.5, 2.0)
    }
    np.testing.assert_array_equal(outcome[0.5], -FINE)
    expected = FINE if wrapper == "conditionally_transform" else jnp.zeros(2)
    np.testing.assert_array_equal(outcome[2.0], expected)


def test_the_inner_transformation_sees_extra_keywords() -> None:
    def update(updates: Any, state: Any, params: Any = None, *, value: Any, **extra: Any) -> Any:
        return updates * value, state

    inner = lrjax.GradientTransformation(lambda params: (), update)
    for tx in (
        lrjax.apply_if_finite(inner, 1),
        lrjax.conditionally_mask(inner, lambda step: step < 5),
        lrjax.MultiSteps(inner, 1),
        lrjax.flatten(inner),
        lrjax.partition({"a": inner}, "a"),
        lrjax.named_chain(("a", inner)),
    ):
        updates, _ = tx.update(FINE, tx.init(FINE), FINE, value=jnp.array(2.0))
        np.testing.assert_array_equal(updates, 2 * FINE)


def test_a_foreign_transformation_that_widens_is_held_to_the_gradients_dtype() -> None:
    params = jnp.ones(2, "bfloat16")
    for tx in (lrjax.apply_if_finite(optax.sgd(jnp.float32(0.1)), 3), lrjax.MultiSteps(optax.adam(0.1), 1)):
        updates, state = tx.update(params, tx.init(params), params)
        assert updates.dtype == jnp.bfloat16
        tx.update(params, state, params)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: lrjax.apply_if_finite(lrjax.sgd, 2), r"`apply_if_finite\(inner=...\)`.*call it"),
        (lambda: lrjax.apply_if_finite(lrjax.sgd(1), -1), r"max_consecutive_errors=...\)`.*>= 0, got -1.0"),
        (lambda: lrjax.conditionally_mask(lrjax.sgd(1), True), r"should_transform_fn=...\)`.*got True"),
        (lambda: lrjax.conditionally_transform(3, lambda s: s), r"`conditionally_transform\(inner=...\)`"),
    ],
)
def test_a_bad_argument_is_named(make: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        make()
