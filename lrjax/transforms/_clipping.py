"""Bounds on the size of updates: elementwise, over the whole tree, by leaf, by unit."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import Params, ScalarLike, Updates
from lrjax.transform import GradientTransformation, require_params, stateless


def global_norm(updates: Updates) -> jax.Array:
    r"""The Euclidean norm of all leaves together: $\sqrt{\sum_i |u_i|^2}$.

    Args:
      updates: A pytree of arrays.

    Returns:
      A scalar in at least float32. Squares do not overflow: leaves are divided by their largest
      magnitude first.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> float(lrjax.global_norm({"w": jnp.array([3.0]), "b": jnp.array(4.0)}))
      5.0
    """
    return _tree.norm(updates)


def clip(max_delta: ScalarLike) -> GradientTransformation:
    r"""Clips every element: $u \leftarrow \min(\max(u, -\Delta), \Delta)$.

    Args:
      max_delta: $\Delta$ >= 0.

    Returns:
      A stateless `GradientTransformation`. NaN stays NaN; leaves are real.

    Raises:
      TypeError: If `max_delta` is not one real number.
      ValueError: If it is negative or not finite.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.clip(1.0)
      >>> grads = jnp.array([-3.0, 0.5])
      >>> tx.update(grads, tx.init(grads))[0]
      Array([-1. ,  0.5], dtype=float32)
    """
    _check.number("clip", "max_delta", max_delta, low=0)

    def leaf(u: Any) -> jax.Array:
        return jnp.clip(_tree.wide(u), -max_delta, max_delta).astype(jnp.result_type(u))

    return stateless(lambda updates, params: jax.tree.map(leaf, updates))


def clip_by_global_norm(max_norm: ScalarLike) -> GradientTransformation:
    r"""Shortens the whole tree to a norm: $u \leftarrow u \min(1, c / \|u\|)$.

    Args:
      max_norm: $c$ >= 0.

    Returns:
      A stateless `GradientTransformation`. The norm is that of `global_norm`: it does not
      overflow, and zero gradients stay zero also where `max_norm` is 0.

    Raises:
      TypeError: If `max_norm` is not one real number.
      ValueError: If it is negative or not finite.

    References:
      Pascanu, Mikolov and Bengio, On the difficulty of training Recurrent Neural Networks,
      1211.5063, 2012.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.clip_by_global_norm(1.0)
      >>> grads = jnp.array([3.0, 4.0])
      >>> tx.update(grads, tx.init(grads))[0]
      Array([0.6, 0.8], dtype=float32)
    """
    _check.number("clip_by_global_norm", "max_norm", max_norm, low=0)

    def shorten(updates: Updates, params: Params | None) -> Updates:
        del params
        size = _tree.norm(updates)
        return jax.tree.map(lambda u: _shortened(u, size, max_norm), updates)

    return stateless(shorten)


def clip_by_block_rms(threshold: ScalarLike) -> GradientTransformation:
    r"""Shrinks each leaf to a root mean square: $u \leftarrow u \min(1, d / \mathrm{RMS}(u))$.

    Args:
      threshold: $d$ >= 0.

    Returns:
      A stateless `GradientTransformation`.

    Raises:
      TypeError: If `threshold` is not one real number.
      ValueError: If it is negative or not finite.

    References:
      Shazeer and Stern, Adafactor: Adaptive Learning Rates with Sublinear Memory Cost,
      1804.04235, 2018.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.clip_by_block_rms(0.5)
      >>> grads = {"large": jnp.array([2.0, 2.0]), "small": jnp.array([0.1])}
      >>> tx.update(grads, tx.init(grads))[0]
      {'large': Array([0.5, 0.5], dtype=float32), 'small': Array([0.1], dtype=float32)}
    """
    _check.number("clip_by_block_rms", "threshold", threshold, low=0)

    def leaf(u: Any) -> jax.Array:
        rms = _tree.norm(u) / max(jnp.size(u), 1) ** 0.5
        return _shortened(u, rms, threshold)

    return stateless(lambda updates, params: jax.tree.map(leaf, updates))


def adaptive_grad_clip(
    clipping: ScalarLike, eps: ScalarLike = 1e-3, axis: int | tuple[int, ...] | None = None
) -> GradientTransformation:
    r"""Shortens each unit of a leaf to a fraction of its parameters' norm.

    $g_i \leftarrow g_i \min\left(1, \lambda \max(\|\theta_i\|, \epsilon) / \|g_i\|\right)$, where $i$
    runs over units: what feeds one output. A leaf of at most one axis longer than 1 is one unit; of
    two or three axes the first, and of more all but the last, are summed over.

    Args:
      clipping: $\lambda$ >= 0.
      eps: $\epsilon$ > 0, so that parameters that start at zero can move.
      axis: The axes to sum over, for every leaf; None for the rule above. Static.

    Returns:
      A stateless `GradientTransformation` whose `update` needs `params`.

    Raises:
      TypeError: If a number is not one real number.
      ValueError: If a number is out of its range; from `update`, if `params` is missing.

    References:
      Brock, De, Smith and Simonyan, High-Performance Large-Scale Image Recognition Without
      Normalization, 2102.06171, 2021.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.adaptive_grad_clip(0.5)
      >>> params, grads = jnp.array([3.0, 4.0]), jnp.array([6.0, 8.0])
      >>> tx.update(grads, tx.init(params), params)[0]
      Array([1.5, 2. ], dtype=float32)
    """
    _check.number("adaptive_grad_clip", "clipping", clipping, low=0)
    _check.number("adaptive_grad_clip", "eps", eps, low=0, open_low=True)

    def shorten(updates: Updates, params: Params | None) -> Updates:
        require_params("adaptive_grad_clip.update", params, "clipping relative to them")

        def leaf(g: Any, p: Any) -> jax.Array:
            bound = clipping * jnp.maximum(_unitwise_norm(p, axis), eps)
            return _shortened(g, _unitwise_norm(g, axis), bound)

        return jax.tree.map(leaf, updates, params)

    return stateless(shorten)


def _shortened(u: Any, size: jax.Array, bound: Any) -> jax.Array:
    """`u` scaled from `size` to `bound` where it is larger; a size of zero never is."""
    x = _tree.wide(u)
    real = jnp.finfo(x.dtype).dtype
    larger = size > bound
    safe = jnp.where(larger, size, 1).astype(real)
    return jnp.where(larger, x / safe * jnp.asarray(bound, real), x).astype(jnp.result_type(u))


def _unitwise_norm(x: Any, axis: int | tuple[int, ...] | None) -> jax.Array:
    """The norm of each unit, with the summed axes kept, without overflow."""
    x = jnp.abs(_tree.wide(x))
    if axis is None and sum(n > 1 for n in x.shape) > 1:
        axis = 0 if x.ndim <= 3 else tuple(range(x.ndim - 1))
    largest = jnp.max(x, axis=axis, keepdims=True, initial=0)
    unit = jnp.where((largest > 0) & jnp.isfinite(largest), largest, 1)
    return unit * jnp.sqrt(jnp.sum((x / unit) ** 2, axis=axis, keepdims=True))
