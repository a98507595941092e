"""Arithmetic of trees, leaf by leaf or over all leaves together."""

from __future__ import annotations

import builtins
from typing import Any

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import ScalarLike


def add(tree_x: Any, tree_y: Any, *other_trees: Any) -> Any:
    """The sum of two or more trees.

    Args:
      tree_x: A pytree of arrays.
      tree_y: Another of the same structure.
      *other_trees: More of them.

    Returns:
      The sum.

    Example:
      >>> import lrjax
      >>> lrjax.tree.add({"a": 1.0}, {"a": 2.0}, {"a": 3.0})
      {'a': 6.0}
    """
    return jax.tree.map(lambda *xs: builtins.sum(xs[1:], xs[0]), tree_x, tree_y, *other_trees)


def sub(tree_x: Any, tree_y: Any) -> Any:
    """The difference of two trees.

    Args:
      tree_x: A pytree of arrays.
      tree_y: Another of the same structure.

    Returns:
      The first minus the second.

    Example:
      >>> import lrjax
      >>> lrjax.tree.sub({"a": 3.0}, {"a": 1.0})
      {'a': 2.0}
    """
    return jax.tree.map(lambda x, y: x - y, tree_x, tree_y)


def mul(tree_x: Any, tree_y: Any) -> Any:
    """The product of two trees, element by element.

    Args:
      tree_x: A pytree of arrays.
      tree_y: Another of the same structure.

    Returns:
      The product.

    Example:
      >>> import lrjax
      >>> lrjax.tree.mul({"a": 3.0}, {"a": 2.0})
      {'a': 6.0}
    """
    return jax.tree.map(lambda x, y: x * y, tree_x, tree_y)


def div(tree_x: Any, tree_y: Any) -> Any:
    """The quotient of two trees, element by element.

    Args:
      tree_x: A pytree of arrays.
      tree_y: Another of the same structure.

    Returns:
      The first over the second.

    Example:
      >>> import lrjax
      >>> lrjax.tree.div({"a": 3.0}, {"a": 2.0})
      {'a': 1.5}
    """
    return jax.tree.map(lambda x, y: x / y, tree_x, tree_y)


def scale(scalar: ScalarLike, tree: Any) -> Any:
    """A multiple of a tree.

    Args:
      scalar: The factor.
      tree: A pytree of arrays.

    Returns:
      The product.

    Example:
      >>> import lrjax
      >>> lrjax.tree.scale(2.0, {"a": 3.0})
      {'a': 6.0}
    """
    return jax.tree.map(lambda x: scalar * x, tree)


def add_scale(tree_x: Any, scalar: ScalarLike, tree_y: Any) -> Any:
    """A tree plus a multiple of another.

    Args:
      tree_x: A pytree of arrays.
      scalar: The factor of the second.
      tree_y: Another of the same structure.

    Returns:
      `tree_x + scalar * tree_y`, in the dtypes of their sum without the factor: a strongly typed
      factor widens nothing.

    Example:
      >>> import lrjax
      >>> float(lrjax.tree.add_scale({"a": 1.0}, 2.0, {"a": 3.0})["a"])
      7.0
    """

    def leaf(x: Any, y: Any) -> jax.Array:
        return (x + jnp.asarray(scalar * y)).astype(jnp.result_type(x, y))

    return jax.tree.map(leaf, tree_x, tree_y)


def where(condition: Any, tree_x: Any, tree_y: Any) -> Any:
    """One tree where a condition holds, another elsewhere.

    Args:
      condition: A bool scalar or array that fits every leaf.
      tree_x: A pytree of arrays.
      tree_y: Another of the same structure.

    Returns:
      The selection.

    Example:
      >>> import lrjax
      >>> float(lrjax.tree.where(True, {"a": 1.0}, {"a": 2.0})["a"])
      1.0
    """
    return jax.tree.map(lambda x, y: jnp.where(condition, x, y), tree_x, tree_y)


def clip(tree: Any, min_value: ScalarLike | None = None, max_value: ScalarLike | None = None) -> Any:
    """A tree with every element between two bounds.

    Args:
      tree: A pytree of arrays.
      min_value: The lower bound, or None.
      max_value: The upper bound, or None.

    Returns:
      The clipped tree.

    Example:
      >>> import lrjax
      >>> float(lrjax.tree.clip({"a": 3.0}, -1.0, 1.0)["a"])
      1.0
    """
    return jax.tree.map(lambda x: jnp.clip(x, min_value, max_value), tree)


def vdot(tree_x: Any, tree_y: Any) -> jax.Array:
    """The inner product of two trees, the first conjugated.

    Args:
      tree_x: A pytree of arrays.
      tree_y: Another of the same structure.

    Returns:
      A scalar, in at least float32.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> float(lrjax.tree.vdot({"a": jnp.array([1.0, 2.0])}, {"a": jnp.array([3.0, 4.0])}))
      11.0
    """
    products = jax.tree.map(lambda x, y: jnp.vdot(_tree.wide(x), _tree.wide(y)), tree_x, tree_y)
    return builtins.sum(jax.tree.leaves(products), jnp.zeros((), jnp.float32))


def sum(tree: Any, associative_reduction: bool = False) -> Any:
    """The sum of all elements.

    Args:
      tree: A pytree of arrays.
      associative_reduction: Whether to add the leaves' sums in pairs. Static.

    Returns:
      A scalar; 0 for an empty tree.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> float(lrjax.tree.sum({"a": jnp.array([1.0, 2.0]), "b": jnp.array(4.0)}))
      7.0
    """
    sums = [jnp.sum(x) for x in jax.tree.leaves(tree)]
    if not associative_reduction:
        return builtins.sum(sums)
    while len(sums) > 1:
        odd = sums[-1:] if len(sums) % 2 else []
        sums = [a + b for a, b in zip(sums[::2], sums[1::2], strict=False)] + odd
    return sums[0] if sums else 0


def max(tree: Any) -> jax.Array:
    """The largest element.

    Args:
      tree: A pytree of arrays.

    Returns:
      A scalar; minus infinity for an empty tree.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> float(lrjax.tree.max({"a": jnp.array([1.0, 2.0]), "b": jnp.array(-4.0)}))
      2.0
    """
    largest = [jnp.max(x) for x in jax.tree.leaves(tree) if jnp.size(x)]
    return jnp.max(jnp.stack(largest)) if largest else jnp.array(-jnp.inf)


def min(tree: Any) -> jax.Array:
    """The smallest element.

    Args:
      tree: A pytree of arrays.

    Returns:
      A scalar; infinity for an empty tree.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> float(lrjax.tree.min({"a": jnp.array([1.0, 2.0]), "b": jnp.array(-4.0)}))
      -4.0
    """
    smallest = [jnp.min(x) for x in jax.tree.leaves(tree) if jnp.size(x)]
    return jnp.min(jnp.stack(smallest)) if smallest else jnp.array(jnp.inf)


def norm(tree: Any, ord: int | str | float | None = None, squared: bool = False) -> jax.Array:
    """The norm of all leaves together.

    Args:
      tree: A pytree of arrays.
      ord: None or 2 for the Euclidean norm, 1 for the sum of magnitudes, "inf" or infinity for the
        largest. Static.
      squared: Whether to square it. Static.

    Returns:
      A scalar, in at least float32. The Euclidean norm does not overflow where its square does.

    Raises:
      ValueError: If `ord` is none of these.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tree = {"a": jnp.array([3.0]), "b": jnp.array([-4.0])}
      >>> [float(lrjax.tree.norm(tree, ord)) for ord in (2, 1, "inf")]
      [5.0, 7.0, 4.0]
    """
    magnitudes = [jnp.abs(_tree.wide(x)) for x in jax.tree.leaves(tree)]
    if ord is None or ord == 2:
        size = _tree.norm(tree)
    elif ord == 1:
        size = builtins.sum((jnp.sum(x) for x in magnitudes), jnp.zeros((), jnp.float32))
    elif ord in ("inf", float("inf")):
        largest = [jnp.max(x, initial=0) for x in magnitudes]
        size = jnp.max(jnp.stack(largest)) if largest else jnp.zeros((), jnp.float32)
    else:
        raise _check.fail("tree.norm", "ord", 'None, 1, 2, "inf" or infinity', _check.describe(ord))
    return size**2 if squared else size


def conj(tree: Any) -> Any:
    """The complex conjugate of every leaf.

    Args:
      tree: A pytree of arrays.

    Returns:
      The conjugated tree.

    Example:
      >>> import lrjax
      >>> complex(lrjax.tree.conj({"a": 1 + 2j})["a"])
      (1-2j)
    """
    return jax.tree.map(jnp.conj, tree)


def real(tree: Any) -> Any:
    """The real part of every leaf.

    Args:
      tree: A pytree of arrays.

    Returns:
      The real tree.

    Example:
      >>> import lrjax
      >>> float(lrjax.tree.real({"a": 1 + 2j})["a"])
      1.0
    """
    return jax.tree.map(jnp.real, tree)


def allclose(
    a: Any, b: Any, rtol: ScalarLike = 1e-5, atol: ScalarLike = 1e-8, equal_nan: bool = False
) -> jax.Array:
    """Whether two trees are equal up to a tolerance.

    Args:
      a: A pytree of arrays.
      b: Another of the same structure.
      rtol: How far elements may be apart, relative to `b`.
      atol: How far they may be apart beyond that.
      equal_nan: Whether NaN equals NaN. Static.

    Returns:
      A bool scalar.

    Example:
      >>> import lrjax
      >>> bool(lrjax.tree.allclose({"a": 1.0}, {"a": 1.0 + 1e-7}))
      True
    """
    same = jax.tree.map(lambda x, y: jnp.allclose(x, y, rtol, atol, equal_nan), a, b)
    leaves = jax.tree.leaves(same)
    return jnp.all(jnp.stack(leaves)) if leaves else jnp.array(True)
