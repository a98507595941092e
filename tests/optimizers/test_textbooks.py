"""What textbooks and overviews print is what an argument here gives."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrjax

CURVATURES = np.array([1.0, 0.25, 4.0])
START = np.array([1.0, -1.0, 0.5])
STEPS = 60


def _train(tx: Any, start: np.ndarray) -> np.ndarray:
    """Parameters at which gradients of a quadratic were taken, in float64."""
    with jax.enable_x64(True):
        x, curvatures = jnp.asarray(start), jnp.asarray(CURVATURES)
        state, visited = tx.init(x), []
        for _ in range(STEPS):
            visited.append(np.asarray(x))
            updates, state = tx.update(curvatures * x, state, x)
            x = lrjax.apply_updates(x, updates)
    return np.stack(visited)


RATE = 2.0**-6


def test_goodfellows_rmsprop() -> None:
    """Deep Learning, algorithm 8.5: delta inside the root."""
    theta, r, visited = START, np.zeros(3), []
    for _ in range(STEPS):
        visited.append(theta)
        g = CURVATURES * theta
        r = 0.9 * r + 0.1 * g * g
        theta = theta - RATE / np.sqrt(1e-6 + r) * g
    np.testing.assert_allclose(_train(lrjax.rmsprop(RATE, 0.9, eps=1e-6), START), visited, rtol=1e-6)


@pytest.mark.parametrize("alpha", [0.5, 0.9])
def test_goodfellows_rmsprop_with_nesterov_momentum(alpha: float) -> None:
    """Deep Learning, algorithm 8.6, which has no delta; gradients at theta + alpha v."""
    theta, v, r, visited = START, np.zeros(3), np.zeros(3), []
    for _ in range(STEPS):
        ahead = theta + alpha * v
        visited.append(ahead)
        g = CURVATURES * ahead
        r = 0.9 * r + 0.1 * g * g
        v = alpha * v - RATE / np.sqrt(r) * g
        theta = theta + v
    tx = lrjax.rmsprop(RATE, 0.9, eps=0.0, momentum=alpha, nesterov=True)
    np.testing.assert_allclose(_train(tx, START), visited, rtol=1e-6, atol=1e-9)


def test_ruders_amsgrad() -> None:
    """The largest raw second moment, and nothing debiased."""
    theta, m, v, largest, visited = START, np.zeros(3), np.zeros(3), np.zeros(3), []
    for _ in range(STEPS):
        visited.append(theta)
        g = CURVATURES * theta
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        largest = np.maximum(largest, v)
        theta = theta - RATE * m / (np.sqrt(largest) + 1e-8)
    tx = lrjax.amsgrad(RATE, bias_correction_mu=False, bias_correction_nu=False)
    np.testing.assert_allclose(_train(tx, START), visited, rtol=1e-6, atol=1e-9)


def test_goodfellows_linear_decay() -> None:
    first, last, tau = 0.1, 0.001, 50
    schedule = lrjax.linear_schedule(first, last, transition_steps=tau)
    for k in (0, 1, 25, 49, 50, 1000):
        part = min(k, tau) / tau
        np.testing.assert_allclose(float(schedule(k)), (1 - part) * first + part * last, rtol=1e-6)


def test_the_variance_of_gradient_noise_is_ruders() -> None:
    """At steps t = 0, 1, ...: eta / (1 + t)**gamma, over many parameters."""
    tx, zeros = lrjax.add_noise(eta=0.3, gamma=0.55, key=0), jnp.zeros(200_000)
    state = tx.init(zeros)
    for t in range(4):
        noise, state = tx.update(zeros, state)
        np.testing.assert_allclose(float(jnp.var(noise)), 0.3 / (1 + t) ** 0.55, rtol=0.02)
