"""Rows of line searches and of L-BFGS.

A search needs a function; the laws have only gradients. Each row searches the function that has the
given gradient at the given parameters, and bends upwards from there.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax

import lrjax
from lrjax import _tree
from tests.catalogue.row import RATE, Row
from tests.oracles import quasi_newton

BACKTRACKING = {
    "max_backtracking_steps": (20.0, 1.0),
    "slope_rtol": (1e-4, 0.5),
    "decrease_factor": (0.75, 0.5),
    "increase_factor": (1.5, 4.0),
    "max_learning_rate": (1.0, 0.25),
    "atol": (0.0, 40.0),
    "rtol": (0.0, 20.0),
}
ZOOM = {
    "max_linesearch_steps": (20.0, 1.0),
    "max_learning_rate": (16.0, 0.125),
    "tol": (0.0, 40.0),
    "increase_factor": (2.0, 6.0),
    "slope_rtol": (1e-4, 0.5),
    "curv_rtol": (0.125, 0.9),
    "approx_dec_rtol": (1e-6, 1e-3),
    "stepsize_precision": (1e-5, 1e-3),
}
WIDE = "kept in float32 for half-precision parameters, as every number of a search"


def _on_a_bowl(library: Any, tx: Any, curvature: float) -> Any:
    """The search as a transformation of gradients alone."""

    @jax.jit  # a loop outside jit is compiled anew at every step
    def searched(updates: Any, state: Any, params: Any) -> Any:
        def f(x: Any) -> jax.Array:
            def leaf(g: Any, at: Any, p: Any) -> jax.Array:
                d = _tree.wide(at) - _tree.wide(p)
                return jnp.sum(_tree.wide(g) * d + curvature * (d**2 / 2 + d**4 / 16))

            return 1 + sum(jax.tree.leaves(jax.tree.map(leaf, updates, x, params)), jnp.float32(0))

        down = jax.tree.map(jnp.negative, updates)
        return tx.update(down, state, params, value=jnp.float32(1), grad=updates, value_fn=f)

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> Any:
        return searched(updates, state, params)

    return library.GradientTransformationExtraArgs(tx.init, update)


def _backtracking(library: Any, max_backtracking_steps: Any, **numbers: Any) -> Any:
    tx = library.scale_by_backtracking_linesearch(max_backtracking_steps, **numbers)
    return _on_a_bowl(library, tx, 4.0)


def _zoom(library: Any, max_linesearch_steps: Any, **numbers: Any) -> Any:
    return _on_a_bowl(library, library.scale_by_zoom_linesearch(max_linesearch_steps, **numbers), 0.25)


search_row = functools.partial(
    Row, descends=True, needs_params=True, complex_numbers=False, wide_scalars=True
)

# Optax keeps steps of negative curvature, of which random gradients are full; and where the product of
# a step and the change of its gradient happens to be near zero, its rounding decides everything.
quasi_newton_row = functools.partial(
    Row,
    needs_params=True,
    float32_rtol=None,
    departures={"curvature": "steps of non-positive curvature are left out"},
)

ROWS: tuple[Row, ...] = (
    search_row(
        "scale_by_backtracking_linesearch",
        "scale_by_backtracking_linesearch",
        functools.partial(_backtracking, lrjax),
        numbers=BACKTRACKING,
        required=("max_backtracking_steps",),
        optax=functools.partial(_backtracking, optax),
        wide_fields=("learning_rate", "value", "decrease_error"),
        departures=dict.fromkeys(("learning_rate", "value", "decrease_error"), WIDE),
        quadratic={},
    ),
    search_row(
        "scale_by_zoom_linesearch",
        "scale_by_zoom_linesearch",
        functools.partial(_zoom, lrjax),
        numbers=ZOOM,
        required=("max_linesearch_steps",),
        idle=("approx_dec_rtol", "stepsize_precision"),
        optax=functools.partial(_zoom, optax),
        wide_fields=("learning_rate", "value", "grad"),
        departures=dict.fromkeys(("learning_rate", "value", "grad"), WIDE),
        quadratic={"max_learning_rate": 0.5},  # the bowl is flatter than the quadratic
    ),
    quasi_newton_row(
        "scale_by_lbfgs",
        "scale_by_lbfgs",
        lambda: lrjax.scale_by_lbfgs(memory_size=3),
        oracle=functools.partial(quasi_newton.scale_by_lbfgs, memory_size=3),
    ),
    quasi_newton_row(
        "scale_by_lbfgs[not scaled]",
        "scale_by_lbfgs",
        lambda: lrjax.scale_by_lbfgs(memory_size=3, scale_init_precond=False),
        oracle=functools.partial(quasi_newton.scale_by_lbfgs, memory_size=3, scale_init_precond=False),
    ),
    quasi_newton_row(
        "lbfgs[rate]",
        "lbfgs",
        lambda learning_rate: lrjax.lbfgs(learning_rate, memory_size=3, linesearch=None),
        numbers={"learning_rate": RATE},
        required=("learning_rate",),
        oracle=functools.partial(quasi_newton.lbfgs, memory_size=3),
        descends=True,
        complex_numbers=False,
        quadratic={"learning_rate": 0.5},
    ),
)
