"""What methods share that estimate the distance to the solution."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from lrjax import _tree
from lrjax._types import ScalarLike


def adam_correction(b1: ScalarLike, b2: ScalarLike, t: jax.Array) -> jax.Array:
    """Both of Adam's bias corrections as one factor on the step."""
    return jnp.sqrt(_tree.one_minus_power(b2, t)) / _tree.one_minus_power(b1, t)


def larger_estimate(d: jax.Array, numerator: jax.Array, denominator: jax.Array) -> jax.Array:
    """The old estimate or the quotient, whichever is larger; the old one where there is no quotient."""
    known = denominator > 0
    return jnp.maximum(d, jnp.where(known, numerator / jnp.where(known, denominator, 1), d))
