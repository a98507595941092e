"""Names for the kinds of values that pass through lrjax."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import jax
import numpy as np

Params: TypeAlias = Any
"""A pytree of arrays: what is trained."""

Updates: TypeAlias = Any
"""A pytree shaped like the parameters: gradients on the way in, steps on the way out."""

OptState: TypeAlias = Any
"""A pytree of arrays: what an optimizer remembers."""

ScalarLike: TypeAlias = jax.Array | np.ndarray | np.number | float | int
"""One number: a Python number, a NumPy scalar, a 0-d array or a tracer."""

Pair: TypeAlias = tuple[ScalarLike, ScalarLike]
"""Two numbers."""

ScalarOrSchedule: TypeAlias = ScalarLike | Callable[[Any], Any]
"""A learning rate: a number, a `Schedule`, or any callable of the step."""

MaskTree: TypeAlias = Any
"""A pytree of bools (a prefix of the parameters' tree), or a callable that makes one from it."""

Metrics: TypeAlias = Mapping[str, jax.Array]
"""What one training step or one evaluation measured, by name."""
