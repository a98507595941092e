"""Curvature: the diagonal against jax.hessian, and vSGD on the noisy quadratic that it is made for."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrjax
from lrjax.optimizers import _curvature


def _loss(params: Any) -> Any:
    """A loss whose Hessian couples everything."""
    x = jnp.concatenate([params["a"].ravel(), params["b"]])
    return jnp.sum(jnp.tanh(jnp.outer(x, x)) ** 2) + jnp.sum(x**2)


PARAMS = {"a": jnp.array([[0.5, -1.0], [0.25, 0.75]]), "b": jnp.array([1.5, -0.5])}
GRADS = jax.grad(_loss)(PARAMS)


def _true_diagonal() -> Any:
    flat, unravel = jax.flatten_util.ravel_pytree(PARAMS)
    return unravel(jnp.diag(jax.hessian(lambda x: _loss(unravel(x)))(flat)))


def _assert_close(actual: Any, expected: Any, rtol: float) -> None:
    jax.tree.map(lambda a, e: np.testing.assert_allclose(a, e, rtol=rtol), actual, expected)


@pytest.mark.parametrize("at_once", [256, 4])
def test_the_diagonal_is_the_hessians(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_curvature, "_AT_ONCE", at_once)  # fewer than there are parameters: in pieces
    tx = lrjax.scale_by_becker_lecun(damping=0.25)
    updates, _ = tx.update(GRADS, tx.init(PARAMS), PARAMS, value_fn=_loss)
    expected = jax.tree.map(lambda g, h: g / (jnp.abs(h) + 0.25), GRADS, _true_diagonal())
    _assert_close(updates, expected, 1e-4)
    given, _ = tx.update(GRADS, tx.init(PARAMS), hessian_diag=_true_diagonal())
    _assert_close(given, expected, 1e-6)


def test_random_signs_give_the_diagonal_in_the_mean_and_differ_from_step_to_step() -> None:
    tx = lrjax.scale_by_becker_lecun(damping=1.0, samples=4000)
    state = tx.init(PARAMS)
    first, state = tx.update(GRADS, state, PARAMS, value_fn=_loss)
    second, _ = tx.update(GRADS, state, PARAMS, value_fn=_loss)
    expected = jax.tree.map(lambda g, h: g / (jnp.abs(h) + 1.0), GRADS, _true_diagonal())
    _assert_close(first, expected, 0.1)
    assert not np.array_equal(first["a"], second["a"])


def test_vsgd_lowers_its_rate_where_gradients_are_noise_alone() -> None:
    """A quadratic with noisy gradients: the rate begins near one over the curvature, and falls like 1 / t."""
    curvatures = jnp.array([0.1, 1.0, 10.0])
    tx = lrjax.vsgd()

    def step(carry: Any, noise: jax.Array) -> Any:
        x, state = carry
        grads = curvatures * (x - noise)
        updates, state = tx.update(grads, state, x, hessian_diag=curvatures)
        return (lrjax.apply_updates(x, updates), state), x

    noise = jax.random.normal(jax.random.key(0), (4000, 3))
    start = jnp.full(3, 50.0)
    _, visited = jax.jit(lambda: jax.lax.scan(step, (start, tx.init(start)), noise))()
    assert np.all(np.abs(visited[60]) < 5)  # at any curvature, and without a rate
    late = np.sqrt(np.mean(np.asarray(visited[-1000:]) ** 2, axis=0))
    assert np.all(late < 0.2)  # the gradients' own noise is 1: a rate of 1 / h would stay there


def test_it_trains_as_a_trial_does() -> None:
    trial = lrjax.trial(lambda key: PARAMS, lambda p, batch: _loss(p), lrjax.becker_lecun)
    hyperparams = {"learning_rate": 0.5, "damping": 0.5}
    state = trial.init(jax.random.key(0), hyperparams)
    losses = []
    for _ in range(20):
        metrics, state = jax.jit(trial.update)(state, None, hyperparams)
        losses.append(float(metrics["loss"]))
    assert losses[-1] < 0.05 * losses[0]


@pytest.mark.parametrize("make", [lrjax.scale_by_becker_lecun, lrjax.vsgd], ids=lambda f: f.__name__)
def test_a_missing_signal_is_named(make: Any) -> None:
    tx = make()
    with pytest.raises(TypeError, match=r"\(value_fn=\.\.\.\)` must be .*or `hessian_diag`.*got None"):
        tx.update(GRADS, tx.init(PARAMS), PARAMS)


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: lrjax.becker_lecun(1.0, damping=0.0), "damping"),
        (lambda: lrjax.becker_lecun(1.0, samples=0), "samples"),
        (lambda: lrjax.vsgd(init_steps=1.0), "init_steps"),
        (lambda: lrjax.vsgd(overestimate=0.5), "overestimate"),
        (lambda: lrjax.vsgd(eps=0.0), "eps"),
    ],
)
def test_numbers_out_of_range_are_named(make: Any, argument: str) -> None:
    with pytest.raises(ValueError, match=rf"\({argument}=\.\.\.\)"):
        make()
