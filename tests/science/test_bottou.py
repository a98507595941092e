"""Bottou's initial rate: against his search written out on plain arrays, and at its edges."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import lrjax
from lrjax.science import bottou_initial_rate

RANDOM = np.random.default_rng(5)
X = RANDOM.normal(size=(64, 3)).astype(np.float32)
Y = (np.sign(X @ np.array([1.0, -2.0, 0.5]) + 0.3 * RANDOM.normal(size=64))).astype(np.float32)
DECAY = 0.01


def _loss(w: Any, batch: Any) -> Any:
    """The squared hinge with Bottou's penalty."""
    x, y = batch
    return jnp.mean(jnp.maximum(0, 1 - y * (x @ w)) ** 2) + DECAY / 2 * jnp.sum(w**2)


def _sample(scale: float = 1.0) -> list[Any]:
    return [(scale * X[i : i + 1], Y[i : i + 1]) for i in range(len(X))]


def _trial(optimizer: Any = lrjax.sgd, evaluate: bool = True) -> Any:
    if evaluate:
        return lrjax.trial(lambda key: jnp.zeros(3), _loss, optimizer)
    return lrjax.trial(lambda key: jnp.zeros(3), lambda w, batch, key: _loss(w, batch), optimizer)


def _written_out(scale: float, start: float, factor: float) -> float:
    """One example at a time, in float64."""
    x, y = scale * X.astype(np.float64), Y.astype(np.float64)

    def cost(eta: float) -> float:
        w = np.zeros(3)
        for i in range(len(x)):
            margin = max(0.0, 1 - y[i] * (x[i] @ w))
            w = w - eta * (-2 * margin * y[i] * x[i] + DECAY * w)
        mean = np.mean(np.maximum(0, 1 - y * (x @ w)) ** 2) + DECAY / 2 * np.sum(w**2)
        return mean if np.isfinite(mean) else np.inf

    rates = [start * factor**k for k in range(-20, 21)]
    with np.errstate(over="ignore", invalid="ignore"):
        costs = [cost(eta) for eta in rates]
    i = 20
    if costs[i] < costs[i + 1] or np.isinf(costs[i]):
        while costs[i] < costs[i + 1] or np.isinf(costs[i]):
            i -= 1
        return rates[i]
    while costs[i + 1] < costs[i]:
        i += 1
    return rates[i]


@pytest.mark.parametrize("scale", [0.03, 1.0, 20.0])
@pytest.mark.parametrize(("start", "factor"), [(1.0, 2.0), (0.125, 4.0)])
def test_it_is_the_search_written_out(scale: float, start: float, factor: float) -> None:
    expected = _written_out(scale, start, factor)
    found = bottou_initial_rate(_trial(), _sample(scale), start=start, factor=factor)
    assert found == pytest.approx(expected, rel=1e-6)


def test_a_trial_without_evaluation_is_judged_by_the_loss_of_its_steps() -> None:
    assert bottou_initial_rate(_trial(evaluate=False), _sample()) == bottou_initial_rate(_trial(), _sample())


def test_it_is_a_function_of_its_arguments() -> None:
    assert len({bottou_initial_rate(_trial(), iter(_sample()), key=0) for _ in range(2)}) == 1


def test_a_rate_by_another_name_and_other_hyperparameters() -> None:
    def optimizer(gamma: Any, momentum: Any) -> Any:
        return lrjax.sgd(gamma, momentum=momentum)

    plain = bottou_initial_rate(_trial(), _sample())
    same = bottou_initial_rate(_trial(optimizer), _sample(), {"momentum": 0.0}, name="gamma")
    slower = bottou_initial_rate(_trial(optimizer), _sample(), {"momentum": 0.9}, name="gamma")
    assert same == plain
    assert slower < plain


def test_a_state_with_leaves_that_are_no_arrays() -> None:
    def init(key: Any, hyperparams: Any) -> Any:
        return {"w": jnp.zeros(3), "activation": jnp.tanh}

    def update(state: Any, batch: Any, hyperparams: Any) -> Any:
        w = state["w"]
        return {"loss": _loss(w, batch)}, {**state, "w": w - hyperparams["learning_rate"] * w}

    with pytest.raises(ValueError, match=r"max_passes=\.\.\.\).*still does at rates.*got 5"):
        bottou_initial_rate(
            lrjax.Trial(init, lambda s, b, h: ({"loss": -h["learning_rate"]}, update(s, b, h)[1])),
            _sample()[:2],
            max_passes=5,
        )


@pytest.mark.parametrize(
    ("changes", "error", "argument"),
    [
        ({"sample": []}, ValueError, "sample"),
        ({"start": 0.0}, ValueError, "start"),
        ({"factor": 1.0}, ValueError, "factor"),
        ({"max_passes": 1}, ValueError, "max_passes"),
        ({"key": "a"}, TypeError, "key"),
        ({"trial": 3}, TypeError, "trial"),
        ({"name": "nonsense"}, TypeError, "optimizer"),
    ],
)
def test_bad_arguments_are_named(changes: dict[str, Any], error: Any, argument: str) -> None:
    arguments = {"trial": _trial(), "sample": _sample()[:2], **changes}
    with pytest.raises(error, match=rf"\({argument}=\.\.\.\)"):
        bottou_initial_rate(**arguments)
