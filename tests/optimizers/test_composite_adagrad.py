"""Composite steps, dual averaging and the full matrix: what they are for."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrjax
from tests.oracles import article

RANDOM = np.random.default_rng(11)
X = RANDOM.normal(size=(200, 6))
TRUTH = np.array([2.0, -1.0, 0.0, 0.0, 0.0, 0.0])
Y = X @ TRUTH + 0.1 * RANDOM.normal(size=200)


def _train(tx: Any, steps: int = 600) -> np.ndarray:
    """Least squares without its penalty: that is the optimizer's."""
    gram, slope = jnp.asarray(X.T @ X / 200, jnp.float32), jnp.asarray(X.T @ Y / 200, jnp.float32)

    @jax.jit
    def run() -> Any:
        def step(carry: Any, _: None) -> Any:
            w, state = carry
            updates, state = tx.update(gram @ w - slope, state, w)
            return (lrjax.apply_updates(w, updates), state), None

        w = jnp.zeros(6)
        return jax.lax.scan(step, (w, tx.init(w)), None, length=steps)[0][0]

    return np.asarray(run())


def _lasso(l1: float) -> np.ndarray:
    """The minimum with the penalty, by cyclic coordinate descent in float64."""
    gram, slope, w = X.T @ X / 200, X.T @ Y / 200, np.zeros(6)
    for _ in range(500):
        for i in range(6):
            rest = slope[i] - gram[i] @ w + gram[i, i] * w[i]
            w[i] = np.sign(rest) * max(abs(rest) - l1, 0) / gram[i, i]
    return w


@pytest.mark.parametrize("make", [lrjax.proximal_adagrad, lrjax.adagrad_rda], ids=lambda f: f.__name__)
def test_a_penalty_is_met_with_exact_zeros(make: Any) -> None:
    # Dual averaging comes near like one over the root of the step; the lasso's support is exact sooner.
    w = _train(make(1.0, l1=0.3), steps=3000)
    np.testing.assert_allclose(w, _lasso(0.3), atol=0.05)
    np.testing.assert_array_equal(w == 0, TRUTH == 0)


@pytest.mark.parametrize(("ball", "order"), [("l1", 1), ("l2", 2)])
def test_a_ball_is_never_left(ball: Any, order: int) -> None:
    w = _train(lrjax.proximal_adagrad(0.5, ball=ball, radius=0.75))
    np.testing.assert_allclose(np.linalg.norm(w, order), 0.75, rtol=1e-5)  # the minimum lies outside


@pytest.mark.parametrize("ball", ["l1", "l2"])
@pytest.mark.parametrize("seed", range(5))
def test_the_nearest_point_of_a_ball_over_many_magnitudes(ball: Any, seed: int) -> None:
    """Scales over ten decades: the multiplier is found from far away too."""
    random = np.random.default_rng(seed)
    g, theta = 10.0 ** random.uniform(-5, 5, size=8), random.normal(size=8)
    numbers: dict[str, Any] = {"learning_rate": 0.5, "l1": 0.0, "ball": ball, "radius": 0.25}
    with jax.enable_x64(True):
        tx = lrjax.proximal_adagrad(**numbers)
        params = {"a": jnp.asarray(theta[:3]), "b": jnp.asarray(theta[3:].reshape(5, 1))}
        grads = {"a": jnp.asarray(g[:3]), "b": jnp.asarray(g[3:].reshape(5, 1))}
        updates, _ = tx.update(grads, tx.init(params), params)
        actual = np.concatenate([np.ravel(x) for x in jax.tree.leaves(updates)])
    numbers |= {"initial_accumulator_value": 0.0, "eps": 1e-7}
    (expected,) = article.proximal_adagrad([g], theta, **numbers)
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-12)


def test_the_full_matrix_does_not_see_how_axes_are_turned() -> None:
    turn, _ = np.linalg.qr(np.random.default_rng(2).normal(size=(4, 4)))
    with jax.enable_x64(True):
        tx = lrjax.full_matrix_adagrad(0.5, eps=1e-3)
        plain, turned = tx.init(jnp.zeros(4)), tx.init(jnp.zeros(4))
        for g in RANDOM.normal(size=(8, 4)):
            updates, plain = tx.update(jnp.asarray(g), plain)
            other, turned = tx.update(jnp.asarray(turn @ g), turned)
            np.testing.assert_allclose(other, turn @ np.asarray(updates), atol=1e-6)


def test_the_full_matrix_is_the_diagonal_one_where_gradients_take_turns() -> None:
    full, diagonal = lrjax.full_matrix_adagrad(0.5), lrjax.adagrad(0.5, 0.0)
    one, other = full.init(jnp.zeros(3)), diagonal.init(jnp.zeros(3))
    for i in range(9):
        g = jnp.zeros(3).at[i % 3].set(1.0 + i)
        updates, one = full.update(g, one)
        expected, other = diagonal.update(g, other)
        np.testing.assert_allclose(updates, expected, rtol=1e-5, atol=1e-6)


def test_too_many_parameters_are_named() -> None:
    tx = lrjax.full_matrix_adagrad(0.5, max_size=4)
    expected = r"`full_matrix_adagrad\(max_size=\.\.\.\)` must be at least the number of parameters, 6, got 4"
    with pytest.raises(ValueError, match=expected):
        tx.init({"a": jnp.zeros((2, 2)), "b": jnp.zeros(2)})


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: lrjax.proximal_adagrad(1.0, l1=-1.0), "l1"),
        (lambda: lrjax.proximal_adagrad(1.0, ball="l3"), "ball"),  # pyright: ignore[reportArgumentType]
        (lambda: lrjax.proximal_adagrad(1.0, radius=0.0), "radius"),
        (lambda: lrjax.proximal_adagrad(1.0, eps=0.0), "eps"),
        (lambda: lrjax.adagrad_rda(1.0, l1=-1.0), "l1"),
        (lambda: lrjax.full_matrix_adagrad(1.0, eps=-1.0), "eps"),
    ],
)
def test_numbers_out_of_range_are_named(make: Any, argument: str) -> None:
    with pytest.raises(ValueError, match=rf"\({argument}=\.\.\.\)"):
        make()
