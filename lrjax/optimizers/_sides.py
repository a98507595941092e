"""What methods share that keep a square matrix for each axis of a tensor of parameters."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp

from lrjax import _tree
from lrjax._types import ScalarLike


class Sides:
    """The axes of one leaf that have a matrix: those not longer than `longest`, of two or more.

    No matrix at all is an empty tuple: checkpoints of Orbax hold no array without elements.

    Attributes:
      axes: Which they are.
      lengths: How long they are.
      gradients_to_span: After how many gradients each of their matrices can be regular.
      dtype: The dtype of the matrices.
    """

    def __init__(self, leaf: Any, longest: int) -> None:
        shape, size = jnp.shape(leaf), jnp.size(leaf)
        is_tensor = len(shape) >= 2 and size > 0
        self.axes = tuple(a for a, n in enumerate(shape) if n <= longest) if is_tensor else ()
        self.lengths = tuple(shape[a] for a in self.axes)
        self.gradients_to_span = max((math.ceil(n * n / size) for n in self.lengths), default=0)
        self.dtype = _tree.wide_real(leaf)

    def identities(self, value: ScalarLike) -> tuple[jax.Array, ...]:
        """The matrices, with the value on their diagonals."""
        return tuple(jnp.asarray(value, self.dtype) * jnp.eye(n, dtype=self.dtype) for n in self.lengths)

    def squares(self, x: jax.Array) -> tuple[jax.Array, ...]:
        """What the leaf's slices have in common along each axis: the sums of their products."""
        flat = [_unfolded(x, a) for a in self.axes]
        return tuple((y @ y.T).astype(self.dtype) for y in flat)

    def turned(self, x: jax.Array, matrices: tuple[jax.Array, ...]) -> jax.Array:
        """The leaf with each matrix applied along its axis."""
        for axis, matrix in zip(self.axes, matrices, strict=True):
            moved = jnp.moveaxis(x, axis, 0)
            x = jnp.moveaxis((matrix @ _unfolded(x, axis)).reshape(moved.shape), 0, axis)
        return x


def due(count: jax.Array, frequency: ScalarLike) -> jax.Array:
    """Whether what is costly is computed at the step after `count` others: the first, and every so many."""
    return count % jnp.asarray(frequency) == 0


def _unfolded(x: jax.Array, axis: int) -> jax.Array:
    """The leaf as a matrix whose rows are its slices along an axis."""
    return jnp.moveaxis(x, axis, 0).reshape(x.shape[axis], -1)
