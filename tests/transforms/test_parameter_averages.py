"""Averages of parameters: against the sums written out, PyTorch's ASGD, and in half precision."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrjax
from tests.oracles import article

STEPS = 60
RANDOM = np.random.default_rng(3)
START = RANDOM.normal(size=4)
GRADIENTS = RANDOM.normal(size=(STEPS, 4))


def _run(tx: Any, dtype: Any = np.float64) -> tuple[np.ndarray, list[np.ndarray]]:
    """The parameters after every update, and the averages."""
    params = jnp.asarray(START, dtype)
    state, visited, means = tx.init(params), [], []
    np.testing.assert_array_equal(lrjax.averaged_params(state), params)
    for g in GRADIENTS:
        updates, state = tx.update(jnp.asarray(g, dtype), state, params)
        params = lrjax.apply_updates(params, updates)
        visited.append(np.asarray(params, np.float64))
        means.append(np.asarray(lrjax.averaged_params(state), np.float64))
    return np.stack(visited), means


@pytest.mark.parametrize("start", [0, 1, 20])
def test_polyaks_average_is_the_mean_of_what_was_visited(start: int) -> None:
    with jax.enable_x64(True):
        visited, means = _run(lrjax.polyak_average(lrjax.sgd(0.125), start))
    for t, mean in enumerate(means, start=1):
        expected = visited[start:t].mean(axis=0) if t > start else visited[t - 1]
        np.testing.assert_allclose(mean, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.999])
def test_the_exponential_average_is_kingma_and_bas(decay: float) -> None:
    with jax.enable_x64(True):
        visited, means = _run(lrjax.exponential_average(lrjax.sgd(0.125), decay))
    sum_ = np.zeros(4)
    for t, (theta, mean) in enumerate(zip(visited, means, strict=True), start=1):
        sum_ = decay * sum_ + (1 - decay) * theta
        np.testing.assert_allclose(mean, sum_ / (1 - decay**t), rtol=1e-10, atol=1e-12)


NUMBERS = {"learning_rate": 0.5, "weight_decay": 0.25, "power": 0.75}


@pytest.mark.parametrize("start", [1, 10])
def test_averaged_sgd_is_bottous(start: int) -> None:
    with jax.enable_x64(True):
        visited, means = _run(lrjax.averaged_sgd(**NUMBERS, start=start))
    run = article.averaged_sgd_run(GRADIENTS, START, **NUMBERS, start=start)
    for theta, mean, (_, expected, expected_mean) in zip(visited, means, run, strict=True):
        np.testing.assert_allclose(theta, expected, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(mean, expected_mean, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("start", [1, 10])
def test_the_transcription_is_pytorchs(start: int) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    theta = torch.tensor(START, dtype=torch.float64, requires_grad=True)
    rates = {"lr": NUMBERS["learning_rate"], "lambd": NUMBERS["weight_decay"], "alpha": NUMBERS["power"]}
    optimizer = torch.optim.ASGD([theta], t0=start - 1, **rates)
    run = article.averaged_sgd_run(GRADIENTS, START, **NUMBERS, start=start)
    for g, (_, expected, expected_mean) in zip(GRADIENTS, run, strict=True):
        theta.grad = torch.tensor(g)
        optimizer.step()
        # PyTorch keeps rate and weight in float32.
        np.testing.assert_allclose(theta.detach().numpy(), expected, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(optimizer.state[theta]["ax"].numpy(), expected_mean, rtol=1e-6, atol=1e-6)


def test_a_schedule_takes_the_place_of_bottous() -> None:
    tx, params = lrjax.averaged_sgd(lrjax.linear_schedule(1.0, 0.0, 2), weight_decay=0.0), jnp.array(0.0)
    state, taken = tx.init(params), []
    for _ in range(3):
        updates, state = tx.update(jnp.array(1.0), state, params)
        taken.append(float(updates))
    assert taken == [-1.0, -0.5, 0.0]


def test_the_rate_is_read_and_set() -> None:
    tx, params = lrjax.averaged_sgd(0.5, weight_decay=1.0, power=1.0), jnp.array(0.0)
    state = lrjax.set_learning_rate(tx.init(params), 2.0)
    updates, state = tx.update(jnp.array(1.0), state, params)
    assert float(updates) == -2.0
    assert float(lrjax.get_learning_rate(state)) == 2.0


def test_an_average_of_half_precision_parameters_does_not_stall() -> None:
    """In bfloat16 the thousandth part of a gap is lost."""
    tx = lrjax.exponential_average(lrjax.sgd(1.0), decay=0.999)
    params = jnp.zeros((), jnp.bfloat16)

    def step(carry: Any, g: Any) -> Any:
        params, state = carry
        updates, state = tx.update(g, state, params)
        return (lrjax.apply_updates(params, updates), state), None

    grads = jnp.zeros(2000, jnp.bfloat16).at[0].set(-1.0)
    (params, state), _ = jax.lax.scan(step, (params, tx.init(params)), grads)
    assert float(params) == 1.0
    np.testing.assert_allclose(lrjax.averaged_params(state), 1.0, rtol=1e-4)


def test_it_trains_under_other_wrappers_and_the_average_is_found() -> None:
    tx = lrjax.chain(lrjax.clip(1.0), lrjax.polyak_average(lrjax.adam(0.25)))
    params = {"w": jnp.ones(2)}
    _, state = tx.update({"w": jnp.ones(2)}, tx.init(params), params)
    np.testing.assert_allclose(lrjax.averaged_params(state)["w"], 0.75, rtol=1e-6)


def test_no_average_and_several_are_counted() -> None:
    with pytest.raises(ValueError, match=r"`averaged_params\(opt_state=\.\.\.\)`.*got one with none"):
        lrjax.averaged_params(lrjax.sgd(1.0).init(jnp.zeros(2)))
    both = lrjax.partition(
        {"a": lrjax.polyak_average(lrjax.sgd(1.0)), "b": lrjax.exponential_average(lrjax.sgd(1.0))},
        {"x": "a", "y": "b"},
    )
    with pytest.raises(ValueError, match="got one with 2"):
        lrjax.averaged_params(both.init({"x": jnp.zeros(2), "y": jnp.zeros(2)}))


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: lrjax.polyak_average(lrjax.sgd(1.0), start=-1), "start"),
        (lambda: lrjax.exponential_average(lrjax.sgd(1.0), decay=1.0), "decay"),
        (lambda: lrjax.averaged_sgd(-1.0), "learning_rate"),
        (lambda: lrjax.averaged_sgd(1.0, weight_decay=-1.0), "weight_decay"),
        (lambda: lrjax.averaged_sgd(1.0, power=-1.0), "power"),
        (lambda: lrjax.averaged_sgd(1.0, start=-1.0), "start"),
    ],
)
def test_numbers_out_of_range_are_named(make: Any, argument: str) -> None:
    with pytest.raises(ValueError, match=rf"\({argument}=\.\.\.\)"):
        make()
