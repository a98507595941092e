"""lrjax's transformations compose in optax, and optax's in lrjax."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest

import lrjax
from tests.catalogue import Row, rows
from tests.running import assert_close, assert_equal, gradients, params_tree

STILL = params_tree()


def _updates(row: Row, tx: Any) -> list[Any]:
    """The updates of every step; the parameters stay, so that halving one step halves no other."""
    state, trajectory = tx.init(STILL), []
    signals = {"value": jnp.array(1.0), **row.signals}
    for g in gradients():
        updates, state = tx.update(g, state, STILL, **signals)
        trajectory.append(updates)
    return trajectory


@functools.cache
def _halved(row: Row) -> list[Any]:
    """Half the updates, which is what `scale(0.5)` behind it makes of them."""
    return jax.tree.map(lambda x: x / 2, _updates(row, row.tx()))


@pytest.mark.parametrize("row", rows())
def test_it_composes_in_optax_chain(row: Row) -> None:
    assert_equal(_updates(row, optax.chain(row.tx(), optax.scale(0.5))), _halved(row))


@pytest.mark.parametrize("row", rows())
def test_optax_transformations_compose_with_it_in_chain(row: Row) -> None:
    expected = _halved(row)
    assert_equal(_updates(row, lrjax.chain(row.tx(), optax.scale(0.5))), expected)
    assert_equal(_updates(row, lrjax.chain(optax.identity(), row.tx(), optax.scale(0.5))), expected)


@pytest.mark.parametrize("row", rows(optax=lambda counterpart: counterpart is not None))
def test_optaxs_counterpart_runs_in_chain_as_alone(row: Row) -> None:
    theirs = row.optax(**row.typical)
    assert_equal(
        _updates(row, lrjax.chain(theirs)),
        _updates(row, optax.with_extra_args_support(theirs)),
    )


def test_extra_keywords_reach_the_optax_transformation_that_takes_them() -> None:
    seen: list[Any] = []

    def update(updates: Any, state: Any, params: Any = None, *, value: Any, **extra: Any) -> Any:
        seen.append((value, extra))
        return updates, state

    taking = optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)
    tx = lrjax.chain(optax.scale(0.5), lrjax.sgd(1.0), taking)
    tx.update({"w": 1.0}, tx.init({"w": 1.0}), value=3.0, grad=None)
    assert seen == [(3.0, {"grad": None})]


def test_recipes_run_inside_optaxs_wrappers() -> None:
    """MultiSteps traces `update` under `lax.cond`, which insists on a state of stable types."""
    tx = optax.MultiSteps(lrjax.adam(0.1), every_k_schedule=2)
    params = jnp.array([1.0, -2.0])
    state = tx.init(params)
    first, state = tx.update(jnp.array([1.0, 3.0]), state, params)
    second, state = tx.update(jnp.array([3.0, 1.0]), state, params)
    assert_equal(first, jnp.zeros(2))
    assert_close(second, jnp.array([-0.1, -0.1]), 1e-6)
    finite = optax.apply_if_finite(lrjax.adamw(0.1), max_consecutive_errors=3)
    updates, _ = finite.update(jnp.array([jnp.nan, 1.0]), finite.init(params), params)
    assert_equal(updates, jnp.zeros(2))
