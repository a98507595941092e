"""A rate may be a schedule everywhere, and optax's methods that take none follow it too."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrjax

HALVED = lrjax.linear_schedule(0.5, 0.25, transition_steps=1)
GRADIENT = jnp.array([1.0, -2.0])


def _two_updates(tx: Any, **signals: Any) -> tuple[jax.Array, jax.Array]:
    params = jnp.zeros(2)
    first, state = tx.update(GRADIENT, tx.init(params), params, **signals)
    second, _ = tx.update(GRADIENT, state, params, **signals)
    return first, second


@pytest.mark.parametrize("make", [lrjax.rprop, lrjax.sm3, lrjax.optimistic_adam], ids=lambda f: f.__name__)
@pytest.mark.parametrize("rate", [HALVED, HALVED.at], ids=["schedule", "callable"])
def test_a_schedule_scales_each_update(make: Any, rate: Any) -> None:
    constant, moving = _two_updates(make(0.5)), _two_updates(make(rate))
    np.testing.assert_allclose(moving[0], constant[0], rtol=1e-6)
    np.testing.assert_allclose(moving[1], constant[1] / 2, rtol=1e-6)


def test_a_schedule_caps_polyaks_step() -> None:
    first, second = _two_updates(lrjax.polyak_sgd(HALVED), value=1e6)
    np.testing.assert_allclose(first, -0.5 * GRADIENT)
    np.testing.assert_allclose(second, -0.25 * GRADIENT)


def test_setting_the_rate_moves_all_of_rprops_step_sizes() -> None:
    tx, params = lrjax.rprop(0.5), jnp.zeros(2)
    _, state = tx.update(GRADIENT, tx.init(params), params)
    pinned, _ = tx.update(GRADIENT, lrjax.set_learning_rate(state, 0.25), params)
    np.testing.assert_allclose(pinned, -0.25 * 1.2 * jnp.sign(GRADIENT), rtol=1e-6)


def test_rprops_bounds_are_absolute_whatever_the_rate_is() -> None:
    tx, params = lrjax.rprop(0.5, max_step_size=0.55), jnp.zeros(2)
    _, state = tx.update(GRADIENT, tx.init(params), params)
    second, _ = tx.update(GRADIENT, state, params)
    np.testing.assert_allclose(second, -0.55 * jnp.sign(GRADIENT), rtol=1e-6)


def test_adafactors_relative_step_is_a_callable() -> None:
    tx = lrjax.adafactor(lambda t: jnp.minimum(1e-2, 1 / jnp.sqrt(t + 1)))
    params = jnp.array([3.0, -3.0])
    updates, state = tx.update(params, tx.init(params), params)
    np.testing.assert_allclose(updates, -1e-2 * params, rtol=1e-5)
    assert float(lrjax.get_learning_rate(state)) == np.float32(1e-2)


@pytest.mark.parametrize("make", [lrjax.polyak_sgd, lrjax.momo, lrjax.momo_adam], ids=lambda f: f.__name__)
def test_a_missing_loss_is_named(make: Any) -> None:
    tx, params = make(), jnp.zeros(2)
    with pytest.raises(TypeError, match=r"`\w+\.update\(value=\.\.\.\)` must be the loss of this step"):
        tx.update(GRADIENT, tx.init(params), params)


def test_noise_has_the_variance_it_should_and_its_key_repeats_it() -> None:
    tx, zeros = lrjax.add_noise(eta=0.25, gamma=1.0, key=3), jnp.zeros(100_000)
    first, state = tx.update(zeros, tx.init(zeros))
    second, _ = tx.update(zeros, state)
    assert float(jnp.std(first)) == pytest.approx(0.5, rel=0.02)
    assert float(jnp.std(second)) == pytest.approx(0.5 / np.sqrt(2), rel=0.02)
    assert abs(float(jnp.vdot(first, second))) / (0.25 * 70_000) < 0.02
    again, _ = lrjax.add_noise(0.25, 1.0, jax.random.key(3)).update(zeros, tx.init(zeros))
    np.testing.assert_array_equal(first, again)


def test_noise_takes_one_key() -> None:
    with pytest.raises(ValueError, match=r"`add_noise\(seed=\.\.\.\)` must be None where `key` is given"):
        lrjax.add_noise(0.1, 0.5, 0, seed=1)
    with pytest.raises(TypeError, match=r"`noisy_sgd\(key=\.\.\.\)` must be a typed random key"):
        lrjax.noisy_sgd(0.1, key=0.5)  # pyright: ignore[reportArgumentType]
