"""What users hand in that no paper thinks of."""

from __future__ import annotations

import inspect
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrjax
from tests.catalogue import CATALOGUE, Row, rows
from tests.running import take_steps

# Their functions, or their axes, are the row's own: what they make of such leaves is its affair.
FOREIGN = {"adaptive_grad_clip[axis]", "monitor", "snapshot", "scale_by_muon", "scale_by_muon[adaptive]"}
TREES: dict[str, Any] = {
    "nothing but empty leaves": {"vector": jnp.zeros(0), "matrix": jnp.zeros((0, 3))},
    "all kinds of leaves": {
        "empty": [jnp.zeros((0, 3)), jnp.zeros((2, 0))],
        "numbers": (jnp.ones(()), jnp.ones((1, 1)), None),
        "four axes": jnp.ones((2, 1, 2, 3)),
        "matrix": jnp.ones((2, 3)),
    },
}


@pytest.mark.parametrize("row", rows(name=lambda name: name not in FOREIGN))
def test_leaves_of_any_shape_pass(row: Row) -> None:
    def both(tree: Any) -> Any:
        tx = row.tx()
        state = tx.init(tree)
        updates, new_state = tx.update(tree, state, tree)
        return updates, state, new_state

    for name, tree in TREES.items():
        updates, state, new_state = jax.eval_shape(both, tree)
        assert jax.tree.map(jnp.shape, updates) == jax.tree.map(jnp.shape, tree), name
        assert jax.tree.map(jnp.shape, new_state) == jax.tree.map(jnp.shape, state), name


# Their rows hand the number to another function, which names it.
HANDED_ON = {"measure_with_ema", "schedule_free"}
FUNCTIONS = {row.public for row in CATALOGUE if inspect.isfunction(getattr(lrjax, row.public))}
INFINITE = {"increase_factor", "curv_rtol"}  # to begin every search anew; to ask for no flatness


@pytest.mark.parametrize("public", sorted(FUNCTIONS - HANDED_ON))
def test_bad_numbers_are_named_as_the_call_has_them(public: str) -> None:
    arguments = inspect.signature(getattr(lrjax, public)).parameters
    for row in CATALOGUE:
        for name in set(row.numbers) & set(arguments) if row.public == public else ():
            infinite = () if name in INFINITE else (math.inf,)
            for bad in (math.nan, *infinite, "1", [1.0], np.ones(2), True, 1j):
                with pytest.raises((TypeError, ValueError), match=rf"`{public}\({name}=\.\.\.\)` must"):
                    row.tx(**{name: bad})


@pytest.mark.parametrize("numbers", [(0, 5), (-3, 1)])
def test_axes_that_a_leaf_does_not_have_are_named(numbers: tuple[int, int]) -> None:
    tx = lrjax.scale_by_muon(weight_dimension_numbers=lrjax.MuonDimensionNumbers(*numbers))
    for leaf in (jnp.ones((2, 2)), jnp.ones(())):
        with pytest.raises(ValueError, match=r"weight_dimension_numbers=\.\.\..*axes"):
            tx.update(leaf, tx.init(leaf))


@pytest.mark.parametrize("size", [1e-30, 1e-12, 1e12])
def test_cautious_sees_signs_where_products_would_vanish(size: float) -> None:
    grads = [jnp.array([1.0, -2.0, 0.5]) * size] * 2
    tx = lrjax.sgd(1e-3, momentum=0.9)
    np.testing.assert_array_equal(
        take_steps(lrjax.cautious(tx), jnp.zeros(3), grads)[0], take_steps(tx, jnp.zeros(3), grads)[0]
    )


def test_stable_adamw_takes_an_eps_whose_square_vanishes() -> None:
    grads = [jnp.array([0.0, 1.0])] * 3
    updates, _ = take_steps(lrjax.stable_adamw(0.1, eps=1e-25, weight_decay=0.0), jnp.zeros(2), grads)
    np.testing.assert_allclose(updates, [[0.0, -0.1]] * 3, rtol=1e-5)
