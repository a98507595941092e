"""lrjax against the papers, in float64 (scalar state stays float32 there) and in float32."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrjax
from tests.catalogue import Row, rows, seldom

WITH_ORACLE = rows(oracle=lambda oracle: oracle is not None)


def _problem(shape: tuple[int, ...] = (5,), steps: int = 40) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(7)
    theta = random.normal(size=shape)
    # Magnitudes over three decades, so that eps, roots and averages all have something to do.
    gradients = random.normal(size=(steps, *shape)) * np.array([1e-2, 0.1, 1.0, 3.0, 10.0])
    # float32 holds them exactly: what differs in the end is arithmetic, not input.
    return theta.astype(np.float32).astype(np.float64), gradients.astype(np.float32).astype(np.float64)


def _lrjax_updates(row: Row, numbers: dict[str, float], dtype: object) -> np.ndarray:
    theta, gradients = _problem(row.oracle_shape, row.oracle_steps)
    tx = row.make(**numbers)
    params = jnp.asarray(theta, dtype)
    state = tx.init(params)
    updates = []
    for g in gradients:
        u, state = tx.update(jnp.asarray(g, dtype), state, params)
        params = lrjax.apply_updates(params, u) if row.parameters_follow else params
        updates.append(np.asarray(u))
        assert u.dtype == dtype
    return np.stack(updates)


def _oracle_updates(row: Row, numbers: dict[str, float]) -> np.ndarray:
    theta, gradients = _problem(row.oracle_shape, row.oracle_steps)
    return np.stack(list(row.oracle(gradients, theta, **numbers)))


def _assert_close(actual: np.ndarray, expected: np.ndarray, rtol: float) -> None:
    """Per coordinate, relative to the coordinate's largest update."""
    error, size = np.max(np.abs(actual - expected), axis=0), np.max(np.abs(expected), axis=0)
    assert np.all(error <= rtol * size), f"largest errors {error} of {size}, allowed {rtol}"


@pytest.mark.parametrize("which", ["others", *seldom("typical")])
@pytest.mark.parametrize("row", WITH_ORACLE)
def test_float64_trajectory_is_the_papers(row: Row, which: str) -> None:
    numbers = getattr(row, which)
    with jax.enable_x64(True):
        actual = _lrjax_updates(row, numbers, jnp.float64)
    _assert_close(actual, _oracle_updates(row, numbers), row.float64_rtol)


@pytest.mark.parametrize("which", ["typical", *seldom("others")])
@pytest.mark.parametrize(
    "row",
    rows(
        slow=lambda row: row.optax is not None,  # those are held against optax in float32
        oracle=lambda oracle: oracle is not None,
        float32_rtol=lambda rtol: rtol is not None,
    ),
)
def test_float32_trajectory_is_the_papers(row: Row, which: str) -> None:
    numbers = getattr(row, which)
    actual = _lrjax_updates(row, numbers, jnp.float32)
    _assert_close(actual, _oracle_updates(row, numbers), row.float32_rtol)


def test_a_rate_that_float32_rounds_costs_one_rounding_and_no_more() -> None:
    theta, gradients = _problem()
    with jax.enable_x64(True):
        tx = lrjax.sgd(0.1)
        actual, _ = tx.update(jnp.asarray(gradients[0]), tx.init(theta))
    expected = -float(np.float32(0.1)) * gradients[0]
    np.testing.assert_allclose(actual, expected, rtol=1e-15)


def test_adam_stays_the_papers_for_thousands_of_steps() -> None:
    """A constant gradient from step to step: m_hat and v_hat are then exactly g and g**2 at every t."""
    tx = lrjax.adam(1.0, b1=0.9, b2=0.9999)

    def step(state, _):
        updates, state = tx.update(jnp.array([3.0, -0.01]), state)
        return state, updates

    _, updates = jax.jit(lambda: jax.lax.scan(step, tx.init(jnp.zeros(2)), None, length=20_000))()
    np.testing.assert_allclose(updates, np.tile([-1.0, 1.0], (20_000, 1)), rtol=2e-4)
    np.testing.assert_allclose(updates[:100], np.tile([-1.0, 1.0], (100, 1)), rtol=5e-6)
