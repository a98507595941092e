"""Trees made like another: of zeros, in other dtypes, at random; and what optimizers average."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import ScalarLike


def zeros_like(tree: Any, dtype: Any = None) -> Any:
    """Zeros in the shapes of a tree.

    Args:
      tree: A pytree of arrays.
      dtype: The dtype, or None for each leaf's own.

    Returns:
      The new tree.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> lrjax.tree.zeros_like({"a": jnp.ones(2)})
      {'a': Array([0., 0.], dtype=float32)}
    """
    return _tree.full_like(tree, 0, dtype)


def ones_like(tree: Any, dtype: Any = None) -> Any:
    """Ones in the shapes of a tree.

    Args:
      tree: A pytree of arrays.
      dtype: The dtype, or None for each leaf's own.

    Returns:
      The new tree.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> lrjax.tree.ones_like({"a": jnp.zeros(2)})
      {'a': Array([1., 1.], dtype=float32)}
    """
    return _tree.full_like(tree, 1, dtype)


def full_like(tree: Any, fill_value: ScalarLike, dtype: Any = None) -> Any:
    """One value in the shapes of a tree.

    Args:
      tree: A pytree of arrays.
      fill_value: The value of every element.
      dtype: The dtype, or None for each leaf's own.

    Returns:
      The new tree.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> lrjax.tree.full_like({"a": jnp.zeros(2)}, 3.0)
      {'a': Array([3., 3.], dtype=float32)}
    """
    return _tree.full_like(tree, fill_value, dtype)


def cast(tree: Any, dtype: Any) -> Any:
    """A tree in another dtype.

    Args:
      tree: A pytree of arrays.
      dtype: The dtype, or None to leave them as they are.

    Returns:
      The new tree.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> lrjax.tree.cast({"a": jnp.ones(2)}, jnp.bfloat16)["a"].dtype
      dtype(bfloat16)
    """
    return tree if dtype is None else jax.tree.map(lambda x: jnp.asarray(x).astype(dtype), tree)


def cast_like(tree: Any, other_tree: Any) -> Any:
    """A tree in the dtypes of another.

    Args:
      tree: A pytree of arrays.
      other_tree: Another of the same structure.

    Returns:
      The new tree.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> lrjax.tree.cast_like({"a": jnp.ones(2)}, {"a": jnp.ones(2, jnp.bfloat16)})["a"].dtype
      dtype(bfloat16)
    """
    return _tree.cast_like(jax.tree.map(jnp.asarray, tree), other_tree)


def size(tree: Any) -> int:
    """The number of elements.

    Args:
      tree: A pytree of arrays.

    Returns:
      A Python int.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> lrjax.tree.size({"a": jnp.zeros((2, 3)), "b": jnp.zeros(())})
      7
    """
    return sum(jnp.size(x) for x in jax.tree.leaves(tree))


def split_key_like(rng_key: jax.Array, target_tree: Any) -> Any:
    """A random key for each leaf.

    Args:
      rng_key: The key to split.
      target_tree: A pytree.

    Returns:
      A tree of keys of the same structure.

    Example:
      >>> import jax, lrjax
      >>> sorted(lrjax.tree.split_key_like(jax.random.key(0), {"a": 1.0, "b": 2.0}))
      ['a', 'b']
    """
    leaves, structure = jax.tree.flatten(target_tree)
    return jax.tree.unflatten(structure, list(jax.random.split(rng_key, len(leaves))) if leaves else [])


def random_like(
    rng_key: jax.Array,
    target_tree: Any,
    sampler: Callable[..., jax.Array] = jax.random.normal,
    dtype: Any = None,
) -> Any:
    """Random numbers in the shapes of a tree.

    Args:
      rng_key: The key; each leaf draws from one of its own.
      target_tree: A pytree of arrays.
      sampler: `sampler(key, shape, dtype)`.
      dtype: The dtype, or None for each leaf's own.

    Returns:
      The new tree.

    Example:
      >>> import jax, jax.numpy as jnp, lrjax
      >>> lrjax.tree.random_like(jax.random.key(0), {"a": jnp.zeros((2, 3))})["a"].shape
      (2, 3)
    """
    keys = split_key_like(rng_key, target_tree)
    return jax.tree.map(
        lambda x, key: sampler(key, jnp.shape(x), dtype or jnp.result_type(x)), target_tree, keys
    )


def update_moment(updates: Any, moments: Any, decay: ScalarLike, order: int) -> Any:
    r"""One step of an exponential moving average of powers: $\beta m + (1 - \beta) u^k$.

    Args:
      updates: $u$, a pytree of arrays.
      moments: $m$, another of the same structure.
      decay: $\beta$ in [0, 1].
      order: $k$, >= 1. Static.

    Returns:
      The new average, in the dtypes of the old one.

    Raises:
      TypeError: If a number is of the wrong kind.
      ValueError: If it is out of its range.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> float(lrjax.tree.update_moment(jnp.array(2.0), jnp.array(0.0), decay=0.75, order=2))
      1.0
    """
    _check.number("tree.update_moment", "decay", decay, low=0, high=1)
    order = _check.integer("tree.update_moment", "order", order, low=1)
    powers = jax.tree.map(lambda u: _tree.wide(u) ** order, updates)
    return cast_like(_tree.moment(decay, powers, moments), moments)


def update_moment_per_elem_norm(updates: Any, moments: Any, decay: ScalarLike, order: int) -> Any:
    r"""One step of an average of powers of magnitudes: $\beta m + (1 - \beta) |u|^k$, real for complex $u$.

    Args:
      updates: $u$, a pytree of arrays.
      moments: $m$, another of the same structure.
      decay: $\beta$ in [0, 1].
      order: $k$, >= 1. Static.

    Returns:
      The new average, in the dtypes of the old one.

    Note:
      In optax odd powers of real numbers keep their sign.

    Raises:
      TypeError: If a number is of the wrong kind.
      ValueError: If it is out of its range.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> moment = jnp.array(0.0)
      >>> float(lrjax.tree.update_moment_per_elem_norm(jnp.array(3.0 + 4.0j), moment, decay=0.75, order=2))
      6.25
    """
    call = "tree.update_moment_per_elem_norm"
    _check.number(call, "decay", decay, low=0, high=1)
    order = _check.integer(call, "order", order, low=1)

    def power(u: Any) -> jax.Array:
        x = _tree.wide(u)
        return jnp.abs(x) ** order if order % 2 else _tree.square(x) ** (order // 2)

    return cast_like(_tree.moment(decay, jax.tree.map(power, updates), moments), moments)


def update_infinity_moment(updates: Any, moments: Any, decay: ScalarLike, eps: ScalarLike) -> Any:
    r"""One step of a maximum that fades: $\max(|u| + \epsilon, \beta m)$.

    Args:
      updates: $u$, a pytree of arrays.
      moments: $m$, another of the same structure.
      decay: $\beta$ in [0, 1].
      eps: $\epsilon$ >= 0.

    Returns:
      The new maximum, in the dtypes of the old one.

    Raises:
      TypeError: If a number is of the wrong kind.
      ValueError: If it is out of its range.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> moment = jnp.array([1.0, 4.0])
      >>> lrjax.tree.update_infinity_moment(jnp.array([-3.0, 1.0]), moment, decay=0.5, eps=0.0)
      Array([3., 2.], dtype=float32)
    """
    _check.number("tree.update_infinity_moment", "decay", decay, low=0, high=1)
    _check.number("tree.update_infinity_moment", "eps", eps, low=0)

    def leaf(u: Any, m: Any) -> jax.Array:
        return jnp.maximum(jnp.abs(_tree.wide(u)) + eps, decay * _tree.wide(m))

    return cast_like(jax.tree.map(leaf, updates, moments), moments)


def bias_correction(moment: Any, decay: ScalarLike, count: Any) -> Any:
    r"""An average that began at zero, corrected for it: $m / (1 - \beta^t)$.

    Args:
      moment: $m$, a pytree of arrays.
      decay: $\beta$ in [0, 1).
      count: $t$ >= 1, an integer scalar.

    Returns:
      The corrected average, in its dtypes. The divisor is computed without cancellation.

    Raises:
      TypeError: If `decay` is not one real number.
      ValueError: If it is out of its range.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> float(lrjax.tree.bias_correction(jnp.array(1.0), decay=0.5, count=1))
      2.0
    """
    _check.number("tree.bias_correction", "decay", decay, low=0, high=1, open_high=True)
    divisor = _tree.one_minus_power(decay, jnp.asarray(count))
    return jax.tree.map(lambda m: _tree.divide(_tree.wide(m), divisor).astype(jnp.result_type(m)), moment)
