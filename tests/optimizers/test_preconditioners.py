"""Shampoo and SOAP on leaves of any number of axes, with and without axes that are too long."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrjax
from tests.oracles import beyond
from tests.running import take_steps

STEPS = 30
SHAMPOO = {"eps": 1e-4, "precondition_frequency": 2}
SOAP = {"b1": 0.9, "b2": 0.75, "eps": 1e-8, "precondition_frequency": 2}
METHODS = [
    pytest.param(lrjax.scale_by_shampoo, beyond.scale_by_shampoo, SHAMPOO, id="shampoo"),
    pytest.param(lrjax.scale_by_soap, beyond.scale_by_soap, SOAP, id="soap"),
]


def _gradients(shape: tuple[int, ...], seed: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(STEPS, *shape))


def _updates(tx: Any, gradients: np.ndarray) -> np.ndarray:
    with jax.enable_x64(True):
        params = jnp.zeros(gradients.shape[1:])
        return np.stack(take_steps(tx, params, list(jnp.asarray(gradients)), update=jax.jit(tx.update))[0])


@pytest.mark.parametrize(
    ("shape", "longest"), [((3, 2, 4), 9), ((2, 3, 1, 2), 9), ((3, 5), 3), ((5, 3), 3), ((3, 5, 2), 3)]
)
@pytest.mark.parametrize(("make", "oracle", "numbers"), METHODS)
def test_tensors_have_a_matrix_for_each_axis_that_is_not_too_long(
    make: Any, oracle: Any, numbers: Any, shape: tuple[int, ...], longest: int
) -> None:
    gradients = _gradients(shape)
    updates = _updates(make(**numbers, max_dimension=longest), gradients)
    expected = np.stack(list(oracle(gradients, np.zeros(shape), **numbers, longest=longest)))
    np.testing.assert_allclose(updates, expected, rtol=0, atol=1e-9 * np.abs(expected).max())


@pytest.mark.parametrize("shape", [(), (5,), (5, 6)])
def test_leaves_without_an_axis_that_is_short_enough_are_adagrads_and_adams(shape: tuple[int, ...]) -> None:
    gradients = _gradients(shape)
    shampoo = _updates(lrjax.scale_by_shampoo(0.25, max_dimension=4), gradients)
    np.testing.assert_allclose(
        shampoo, gradients / np.sqrt(0.25 + np.cumsum(gradients**2, axis=0)), rtol=1e-9
    )
    soap = _updates(lrjax.scale_by_soap(0.9, 0.75, max_dimension=4), gradients)
    adam = _updates(lrjax.scale_by_adam(0.9, 0.75), gradients[1:])
    np.testing.assert_allclose(soap[1:], adam, rtol=1e-6)  # corrections of the bias are float32


@pytest.mark.parametrize(("shape", "longest"), [((3, 5), 9), ((3, 5), 3), ((3, 2, 4), 3)])
def test_shampoos_steps_have_no_unit_however_many_axes_are_left_out(
    shape: tuple[int, ...], longest: int
) -> None:
    gradients = _gradients(shape)
    tx = lrjax.scale_by_shampoo(1e-12, max_dimension=longest)
    np.testing.assert_allclose(_updates(tx, 1000 * gradients)[5:], _updates(tx, gradients)[5:], rtol=1e-4)


@pytest.mark.parametrize("shape", [(2, 40), (40, 2), (2, 3, 20)])
def test_shampoos_first_steps_are_no_longer_for_what_the_first_gradient_did_not_span(
    shape: tuple[int, ...],
) -> None:
    """With roots of the first step alone what is new would be divided by roots of eps."""
    gradients = 100 * _gradients(shape)
    lengths = np.linalg.norm(_updates(lrjax.scale_by_shampoo(), gradients).reshape(STEPS, -1), axis=1)
    assert np.all(lengths < 1.5 * lengths[0])


@pytest.mark.parametrize("make", [lrjax.scale_by_shampoo, lrjax.scale_by_soap])
@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 0, 3), (), (1, 1)])
def test_empty_leaves_and_numbers_pass(make: Any, shape: tuple[int, ...]) -> None:
    updates, _ = take_steps(make(), jnp.zeros(shape), [jnp.ones(shape)] * 3)
    assert {u.shape for u in updates} == {shape}
    assert all(np.all(np.isfinite(u)) for u in updates)
