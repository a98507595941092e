"""Rows of what asks the loss for its curvature."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax
import optax.contrib

import lrjax
from tests.catalogue.row import DECAY, HALF_WIDE, RATE, Row, row
from tests.oracles import contrib as oracles

# Numbers with which some coordinates have more curvature than eps, and some steps are clipped.
SOPHIA = {
    "learning_rate": RATE,
    "b1": (0.75, 0.5),
    "b2": (0.75, 0.5),
    "eps": (0.5, 1.0),
    "gamma": (0.5, 0.25),
    "update_interval": (2.0, 3.0),
    "clip_threshold": (2.0, 0.5),
    **DECAY,
}


def _quadratic(params: Any) -> Any:
    """Curvatures 1, 2, 4, 8, 1, ...: random signs estimate a diagonal Hessian exactly."""
    total = jnp.zeros(())
    for x in jax.tree.leaves(params):
        curvatures = 2.0 ** (jnp.arange(x.size) % 4).reshape(x.shape)
        total += jnp.sum(curvatures.astype(x.dtype) * x * x / 2)
    return total


def _times_gradient(tx: Any, obj_fn: Any) -> Any:
    """The estimate times the gradient, for which the laws of updates hold."""

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> Any:
        diagonal, state = tx.update(updates, state, params, **{"obj_fn": obj_fn, **extra})
        return jax.tree.map(jnp.multiply, diagonal, updates), state

    return lrjax.GradientTransformation(tx.init, update)


def _optaxs(**numbers: Any) -> Any:
    """With a key of the same kind."""
    estimator = optax.contrib.hutchinson_estimator_diag_hessian(jax.random.key(0))
    return optax.contrib.sophia(hessian_diagonal_fn=estimator, **numbers)


ROWS: tuple[Row, ...] = (
    Row(
        "hutchinson_estimator_diag_hessian",
        "hutchinson_estimator_diag_hessian",
        lambda: _times_gradient(lrjax.hutchinson_estimator_diag_hessian(), _quadratic),
        optax=lambda: _times_gradient(
            optax.contrib.hutchinson_estimator_diag_hessian(jax.random.key(0)), _quadratic
        ),
        oracle=oracles.hutchinson_estimator_diag_hessian,
        signals={"obj_fn": _quadratic},
        needs_params=True,
        complex_numbers=False,
    ),
    row(
        "sophia",
        signals={"obj_fn": _quadratic},
        descends=True,
        needs_params=True,
        complex_numbers=False,
        steps=6,
        optax_float32_rtol=2e-5,
        wide_fields=("nu",),
        departures={"nu": HALF_WIDE},
        optax=_optaxs,
        oracle=lambda gradients, theta, *, obj_fn, **numbers: oracles.sophia(gradients, theta, **numbers),
        numbers=SOPHIA,
        required=tuple(SOPHIA),
        quadratic={"learning_rate": 0.125, "eps": 0.05},
    ),
)
