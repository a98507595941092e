"""What methods share that keep a square matrix for each side of a matrix of parameters."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from lrjax import _tree
from lrjax._types import ScalarLike


def is_small_matrix(leaf: Any, longest: int) -> bool:
    """Whether the leaf has two axes and neither is longer than what square matrices are kept for."""
    shape = jnp.shape(leaf)
    return len(shape) == 2 and max(shape) <= longest


class Sides:
    """The shapes of what is kept for one leaf: two square matrices, of one element where the leaf has none.

    Not of none: checkpoints of Orbax hold no array without elements.
    """

    def __init__(self, leaf: Any, longest: int) -> None:
        is_matrix = is_small_matrix(leaf, longest)
        self.dtype = _tree.wide_real(leaf)
        self.lengths = jnp.shape(leaf) if is_matrix else (1, 1)
        self.rest = (1,) if is_matrix else jnp.shape(leaf)

    def identities(self, value: ScalarLike) -> tuple[jax.Array, jax.Array]:
        """Both matrices, with the value on their diagonals."""
        left, right = (jnp.asarray(value, self.dtype) * jnp.eye(n, dtype=self.dtype) for n in self.lengths)
        return left, right


def due(count: jax.Array, frequency: ScalarLike) -> jax.Array:
    """Whether what is costly is computed at the step after `count` others: the first, and every so many."""
    return count % jnp.asarray(frequency) == 0


def field(kind: type[Any], leaves: Any, name: str) -> Any:
    """One field of a tree whose leaves are of the kind."""
    return jax.tree.map(lambda leaf: getattr(leaf, name), leaves, is_leaf=lambda x: isinstance(x, kind))
