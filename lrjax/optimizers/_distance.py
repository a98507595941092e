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


def limited_growth(d: jax.Array, estimate: jax.Array, growth_rate: ScalarLike | None) -> jax.Array:
    """The new estimate, held to a multiple of the old one where a growth rate is given."""
    return estimate if growth_rate is None else jnp.minimum(estimate, growth_rate * d)
