"""Leaves as matrices: which axes are rows, which are columns, and which make a batch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from lrjax import _check

_FIELDS = ("reduction_axis", "output_axis")


class Axes:
    """Dimension numbers, or None, as a leaf of a tree."""

    def __init__(self, numbers: Any):
        self.numbers = numbers


def axes_of(given: Any, tree: Any, default: Any) -> Any:
    """A tree of `Axes` for every leaf that is there; without any given, `default` for those with two axes."""
    if given is None:
        return jax.tree.map(lambda leaf: Axes(default if jnp.ndim(leaf) == 2 else None), tree)
    return spread(given, tree, lambda numbers, leaf: Axes(numbers))


def spread(given: Any, tree: Any, f: Callable[[Any, Any], Any]) -> Any:
    """`f(numbers, leaf)` over a tree, of which that of the numbers, or what makes it, may be a prefix."""
    numbers = given(tree) if callable(given) else given
    return jax.tree.map(
        lambda n, part: jax.tree.map(lambda leaf: f(n, leaf), part), numbers, tree, is_leaf=is_numbers
    )


def is_numbers(x: Any) -> bool:
    """Whether these are dimension numbers, of any method, or None."""
    return x is None or getattr(x, "_fields", None) == _FIELDS


def matrix_axes(call: str, axes: Axes, ndim: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The axes of rows and columns of a leaf, counted from the front."""
    numbers = axes.numbers
    if numbers is None or ndim == 0:
        expected = "axes of a matrix for every leaf that Muon moves"
        raise _check.fail(
            call, "weight_dimension_numbers", expected, f"{numbers} for a leaf with {ndim} axes"
        )

    def positive(a: int | tuple[int, ...]) -> tuple[int, ...]:
        axes = (a,) if isinstance(a, int) else a
        if not all(-ndim <= axis < ndim for axis in axes):
            raise _check.fail(call, "weight_dimension_numbers", f"axes of a leaf with {ndim}", numbers)
        return tuple(axis % ndim for axis in axes)

    rows, columns = positive(numbers.reduction_axis), positive(numbers.output_axis)
    if set(rows) & set(columns):
        raise _check.fail(call, "weight_dimension_numbers", "axes that differ", numbers)
    return rows, columns


def size(x: Any, axes: tuple[int, ...]) -> int:
    """How many elements there are along some axes."""
    return math.prod(jnp.shape(x)[axis] for axis in axes)


def folded(call: str, x: jax.Array, axes: Axes) -> tuple[jax.Array, Callable[[jax.Array], jax.Array]]:
    """A leaf as matrices `[..., rows, columns]`, and what makes a leaf of such matrices again."""
    rows, columns = matrix_axes(call, axes, x.ndim)
    batch = tuple(a for a in range(x.ndim) if a not in (*rows, *columns))
    order = (*batch, *rows, *columns)
    turned = x.transpose(order)
    matrices = turned.reshape((*turned.shape[: len(batch)], size(x, rows), size(x, columns)))

    def unfold(made: jax.Array) -> jax.Array:
        return made.reshape(turned.shape).transpose(sorted(range(x.ndim), key=order.__getitem__))

    return matrices, unfold
