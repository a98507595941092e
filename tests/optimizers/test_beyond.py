"""What the laws do not show of methods that optax does not have."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrjax
from tests.running import take_steps

ADAPTIVE = [lrjax.dadapt_sgd, lrjax.dadapt_adagrad]
START = jnp.array([1.0, -1.0, 0.5])


def _estimates(tx: Any, gradients: list[Any]) -> list[float]:
    params, state = jnp.zeros_like(gradients[0]), tx.init(jnp.zeros_like(gradients[0]))
    found = []
    for g in gradients:
        updates, state = tx.update(g, state, params)
        params = lrjax.apply_updates(params, updates)
        found.append(float(state[0].estim_lr))
    return found


@pytest.mark.parametrize("make", ADAPTIVE, ids=lambda f: f.__name__)
def test_the_estimate_grows_by_the_growth_rate_at_most(make: Any) -> None:
    gradients = [jnp.array([1.0, -2.0])] * 12
    free, held = _estimates(make(), gradients), _estimates(make(growth_rate=1.0625), gradients)
    assert free[-1] > 1.0625**13 * 1e-6
    np.testing.assert_array_less(np.divide(held[1:], held[:-1]), 1.0625 * (1 + 1e-6))
    assert held[-1] / held[-2] == pytest.approx(1.0625)


@pytest.mark.parametrize("make", ADAPTIVE, ids=lambda f: f.__name__)
def test_a_warmup_from_zero_and_zero_gradients_at_first_do_no_harm(make: Any) -> None:
    tx = make(lambda t: jnp.minimum(t / 20, 1))
    state, params = tx.init(START), START
    step = jax.jit(tx.update)
    for t in range(400):
        updates, state = step(jnp.zeros(3) if t < 3 else 2 * params, state, params)
        params = lrjax.apply_updates(params, updates)
    assert float(state[0].estim_lr) > 1e-3
    assert jnp.sum(params**2) < 0.2 * jnp.sum(START**2)


def test_polynomial_averaging_is_the_papers_average() -> None:
    random = np.random.default_rng(0)
    steps = random.normal(size=(30, 4))
    x, average = np.zeros(4), np.zeros(4)
    for t, step in enumerate(steps, start=1):
        x = x + step
        average = average + 9 / (t + 8) * (x - average)
    with jax.enable_x64(True):
        params = jnp.zeros(4)
        updates, state = take_steps(lrjax.polynomial_averaging(), params, list(jnp.asarray(steps)))
        np.testing.assert_array_equal(np.stack(updates), steps)
        got = lrjax.polynomial_averaging_eval_params(state, params)
    np.testing.assert_allclose(got, average, rtol=1e-12)


def test_the_average_moves_where_bfloat16_does_not_and_is_found_in_any_state() -> None:
    tx = lrjax.chain(lrjax.ldog(), lrjax.polynomial_averaging(gamma=0.0))
    params = jnp.ones(2, jnp.bfloat16)
    state = tx.init(params)
    assert state[-1].average.dtype == jnp.float32
    assert lrjax.polynomial_averaging_eval_params(state, params).dtype == jnp.bfloat16
    with pytest.raises(ValueError, match="one `PolynomialAveragingState` in it, got none"):
        lrjax.polynomial_averaging_eval_params(lrjax.dog().init(params), params)


def test_adafactor_has_one_rate() -> None:
    with pytest.raises(ValueError, match=r"learning_rate.*None beside `relative_step`"):
        lrjax.adafactor(0.1, relative_step=True)


def _trained_on_batches(tx: Any, steps: int) -> tuple[np.ndarray, Any]:
    """Parameters after every step on least squares, one example at a time; and the examples."""
    random = np.random.default_rng(3)
    inputs = random.normal(size=(steps, 4))
    examples = inputs, inputs @ random.normal(size=4)

    @jax.jit
    def step(x: Any, state: Any, a: Any, b: Any) -> Any:
        def f(x: Any) -> jax.Array:
            return 0.5 * (a @ x - b) ** 2

        value, grad = jax.value_and_grad(f)(x)
        updates, state = tx.update(grad, state, x, value=value, grad=grad, value_fn=f)
        return lrjax.apply_updates(x, updates), state

    x = jnp.ones(4)
    state, course = tx.init(x), []
    for a, b in zip(*examples, strict=True):
        x, state = step(x, state, a, b)
        course.append(np.asarray(x))
    return np.stack(course), examples


def _course(examples: Any, rate_of: Any) -> np.ndarray:
    """The same by NumPy, with the rate from the loss, the gradient and the rate before."""
    x, rate, course = np.ones(4), None, []
    for a, b in zip(*examples, strict=True):
        g = (a @ x - b) * a
        rate = rate_of(lambda y, a=a, b=b: 0.5 * (a @ y - b) ** 2, x, g, rate)
        x = x - rate * g
        course.append(x)
    return np.stack(course)


def test_sps_max_with_smoothing_is_a_schedule() -> None:
    """Loizou et al., 2020: the bound of a rate is a multiple of the rate before; c = 1/2, f* = 0."""

    def rate_of(f: Any, x: Any, g: Any, last: Any) -> Any:
        return min(f(x) / (0.5 * g @ g), 0.25 if last is None else 2 ** (1 / 8) * last)

    with jax.enable_x64(True):
        schedule = lrjax.polyak_schedule(0.25, scaling=2.0, growth=2 ** (1 / 8))
        course, examples = _trained_on_batches(lrjax.sgd(schedule), 60)
    np.testing.assert_allclose(course, _course(examples, rate_of), rtol=1e-5)  # the rate is float32


def test_alig_is_polyak_sgd_with_eps() -> None:
    """Berrada, Zisserman and Kumar, 2019, algorithm 1."""

    def rate_of(f: Any, x: Any, g: Any, last: Any) -> Any:
        return min(f(x) / (g @ g + 1e-5), 0.125)

    with jax.enable_x64(True):
        course, examples = _trained_on_batches(lrjax.polyak_sgd(0.125, eps=1e-5, variant="sps+"), 60)
    np.testing.assert_allclose(course, _course(examples, rate_of), rtol=1e-10)


def test_alig_with_momentum_is_nesterovs_behind_it() -> None:
    """The same, section 4: v = mu v - gamma g, and x moves by mu v - gamma g."""
    with jax.enable_x64(True):
        step = lrjax.polyak_sgd(0.125, eps=1e-5, variant="sps+")
        course, examples = _trained_on_batches(lrjax.chain(step, lrjax.trace(0.9, nesterov=True)), 60)
    x, v = np.ones(4), np.zeros(4)
    for (a, b), got in zip(zip(*examples, strict=True), course, strict=True):
        g = (a @ x - b) * a
        down = min(0.5 * (a @ x - b) ** 2 / (g @ g + 1e-5), 0.125) * g
        v = 0.9 * v - down
        x = x + 0.9 * v - down
        np.testing.assert_allclose(got, x, rtol=1e-9)


def test_gi_adam_is_adam_with_a_warmup_where_gradients_stay() -> None:
    grads = [jnp.array([3.0, -1e-3])] * 50
    ours, _ = take_steps(lrjax.scale_by_gi_adam(b2=0.99), jnp.zeros(2), grads)
    adam, _ = take_steps(lrjax.scale_by_adam(b2=0.99), jnp.zeros(2), grads)
    warmup = np.sqrt(1 - 0.99 ** np.arange(1, 51))
    np.testing.assert_allclose(ours, warmup[:, None] * np.stack(adam), rtol=1e-4)  # eps beside 1e-3


def test_sls_is_a_backtracking_search_that_grows() -> None:
    """Vaswani et al., 2019, algorithm 1 with the second way to reset: c = 0.1, 0.9, 2^(b/n)."""

    def rate_of(f: Any, x: Any, g: Any, last: Any) -> Any:
        rate = min(2 ** (1 / 8) * (1.0 if last is None else last), 10.0)
        while f(x - rate * g) > f(x) - 0.1 * rate * g @ g:
            rate *= 0.9
        return rate

    with jax.enable_x64(True):
        search = lrjax.scale_by_backtracking_linesearch(
            100, slope_rtol=0.1, decrease_factor=0.9, increase_factor=2 ** (1 / 8), max_learning_rate=10.0
        )
        course, examples = _trained_on_batches(lrjax.chain(lrjax.sgd(1.0), search), 30)
    np.testing.assert_allclose(course, _course(examples, rate_of), rtol=1e-9)
