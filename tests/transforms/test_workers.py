"""Workers over a member axis against a loop over workers, and gradients that come late."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrjax

WORKERS, STEPS = 4, 60
RANDOM = np.random.default_rng(9)
NOISE = RANDOM.normal(size=(STEPS, WORKERS, 3))
CURVATURES = np.array([1.0, 0.5, 2.0])
START = np.array([2.0, -1.0, 0.5])


def _simulate(elasticity: float, period: float) -> tuple[Any, Any]:
    """Every worker's parameters and centre after each update, in float64."""
    tx = lrjax.elastic_averaging(lrjax.sgd(0.125), elasticity, period, axis_name="workers")

    def worker(noise: jax.Array) -> Any:
        def step(carry: Any, n: jax.Array) -> Any:
            x, state = carry
            updates, state = tx.update(jnp.asarray(CURVATURES) * (x - n), state, x)
            x = lrjax.apply_updates(x, updates)
            return (x, state), (x, state.center)

        x = jnp.asarray(START)
        return jax.lax.scan(step, (x, tx.init(x)), noise)[1]

    with jax.enable_x64(True):
        together = jax.jit(jax.vmap(worker, in_axes=1, out_axes=1, axis_name="workers"))
        return jax.tree.map(np.asarray, together(jnp.asarray(NOISE)))


@pytest.mark.parametrize("period", [1, 3])
@pytest.mark.parametrize("elasticity", [0.0, 0.225])
def test_workers_over_an_axis_are_the_papers_loop(elasticity: float, period: int) -> None:
    xs, center = np.tile(START, (WORKERS, 1)), START
    visited, centers = _simulate(elasticity, period)
    for t in range(STEPS):
        gradients = CURVATURES * (xs - NOISE[t])
        pulls = elasticity * (xs - center) if t % period == 0 else np.zeros_like(xs)
        xs, center = xs - 0.125 * gradients - pulls, center + pulls.sum(axis=0)
        np.testing.assert_allclose(visited[t], xs, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(centers[t], np.tile(center, (WORKERS, 1)), rtol=1e-6, atol=1e-9)


def test_the_centre_is_less_noisy_than_the_workers() -> None:
    visited, centers = _simulate(0.225, 1)
    spread = np.mean((visited[30:]) ** 2)
    assert np.mean(centers[30:] ** 2) < 0.5 * spread


def test_workers_may_be_swept_over_elasticity() -> None:
    def last(elasticity: jax.Array) -> Any:
        tx = lrjax.elastic_averaging(lrjax.sgd(1.0), elasticity, axis_name="workers")

        def worker(g: jax.Array) -> Any:
            x = jnp.zeros(())
            state = tx.init(x)
            for _ in range(2):
                updates, state = tx.update(g, state, x)
                x = lrjax.apply_updates(x, updates)
            return state.center

        return jax.vmap(worker, axis_name="workers")(jnp.array([-1.0, -3.0]))

    np.testing.assert_allclose(jax.vmap(last)(jnp.array([0.0, 0.25])), [[0.0, 0.0], [1.0, 1.0]])


@pytest.mark.parametrize("steps", [0, 1, 5])
def test_late_gradients_are_the_earlier_ones(steps: int) -> None:
    late, plain = lrjax.delayed(lrjax.adam(0.5), steps), lrjax.adam(0.5)
    params = jnp.zeros(3)
    state, plain_state = late.init(params), plain.init(params)
    expected = []
    for t in range(12):
        g = jnp.asarray(NOISE[t, 0], jnp.float32)
        updates, plain_state = plain.update(g, plain_state)
        expected.append(updates)
        got, state = late.update(g, state)
        np.testing.assert_array_equal(got, expected[t - steps] if t >= steps else jnp.zeros(3))


def test_what_comes_late_must_be_slower() -> None:
    """The stability edge of gradient descent falls from 2 / h to 1 / h where gradients are one step old."""

    def last(rate: float, steps: int) -> float:
        tx = lrjax.delayed(lrjax.sgd(rate), steps)

        def step(carry: Any, _: None) -> Any:
            x, state = carry
            updates, state = tx.update(x, state, x)
            return (lrjax.apply_updates(x, updates), state), None

        x = jnp.ones(())
        return abs(float(jax.lax.scan(step, (x, tx.init(x)), None, length=400)[0][0]))

    assert last(1.9, 0) < 1e-3
    assert last(0.9, 1) < 1e-3
    assert last(1.1, 1) > 1e3


@pytest.mark.parametrize(
    ("make", "error", "argument"),
    [
        (lambda: lrjax.elastic_averaging(lrjax.sgd(1.0), 1.5), ValueError, "elasticity"),
        (lambda: lrjax.elastic_averaging(lrjax.sgd(1.0), 0.5, period=0), ValueError, "period"),
        (lambda: lrjax.elastic_averaging(3, 0.5), TypeError, "inner"),
        (lambda: lrjax.delayed(lrjax.sgd(1.0), -1), ValueError, "steps"),
        (lambda: lrjax.delayed(lrjax.sgd(1.0), 1.5), TypeError, "steps"),  # pyright: ignore[reportArgumentType]
    ],
)
def test_bad_arguments_are_named(make: Any, error: Any, argument: str) -> None:
    with pytest.raises(error, match=rf"\({argument}=\.\.\.\)"):
        make()
