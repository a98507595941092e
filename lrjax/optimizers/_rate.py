"""Methods that must know the learning rate before they can say where to go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from lrjax.learning_rate import ScaleByLearningRateState
from lrjax.transform import GradientTransformation


def next_rate(
    owner: GradientTransformation, state: ScaleByLearningRateState, signals: Mapping[str, Any]
) -> tuple[jax.Array, ScaleByLearningRateState]:
    """The rate of this step, as wide as JAX's floats are, and the new state of its owner."""
    _, state = owner.update((), state, **signals)
    return state.learning_rate.astype(jnp.result_type(float)), state
