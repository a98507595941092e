"""Updates put right: NaN removed, parameters kept at or above zero, gradients centred."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _tree
from lrjax._types import OptState, Params, Updates
from lrjax.transform import GradientTransformation, require_params, stateless


class ZeroNansState(NamedTuple):
    """The state of `zero_nans`.

    Attributes:
      found_nan: A tree shaped like the parameters, of bool scalars: whether the last updates had a
        NaN there.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> lrjax.zero_nans().init({"w": jnp.zeros(2)})
      ZeroNansState(found_nan={'w': Array(False, dtype=bool)})
    """

    found_nan: Any


def zero_nans() -> GradientTransformation:
    """Replaces NaN by zero, and tells where some were.

    Returns:
      A `GradientTransformation` with a `ZeroNansState`.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.zero_nans()
      >>> updates, state = tx.update(jnp.array([1.0, jnp.nan]), tx.init(jnp.zeros(2)))
      >>> updates, bool(state.found_nan)
      (Array([1., 0.], dtype=float32), True)
    """

    def init(params: Params) -> ZeroNansState:
        return ZeroNansState(jax.tree.map(lambda p: jnp.array(False), params))

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, ZeroNansState]:
        del state, params, extra
        found = jax.tree.map(lambda u: jnp.any(jnp.isnan(u)), updates)
        return jax.tree.map(lambda u: jnp.where(jnp.isnan(u), 0, u), updates), ZeroNansState(found)

    return GradientTransformation(init, update)


def keep_params_nonnegative() -> GradientTransformation:
    r"""Shortens updates so that no parameter falls below zero: $u \leftarrow \max(u, -\theta)$.

    In a chain it stands last, after `scale_by_learning_rate`. A parameter that is below zero moves
    up to zero at least.

    Returns:
      A stateless `GradientTransformation` whose `update` needs `params`; leaves are real.

    Raises:
      ValueError: From `update`, if `params` is missing.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.keep_params_nonnegative()
      >>> params = jnp.array([1.0, 1.0])
      >>> tx.update(jnp.array([-3.0, 0.5]), tx.init(params), params)[0]
      Array([-1. ,  0.5], dtype=float32)
    """

    def shorten(updates: Updates, params: Params | None) -> Updates:
        require_params("keep_params_nonnegative.update", params, "keeping them at or above zero")

        def leaf(u: Any, p: Any) -> jax.Array:
            # NaN compares false: it passes, to be seen by who looks for it.
            below = _tree.wide(p) + _tree.wide(u) < 0
            return jnp.where(below, -_tree.wide(p), _tree.wide(u)).astype(jnp.result_type(u))

        return jax.tree.map(leaf, updates, params)

    return stateless(shorten)


def centralize() -> GradientTransformation:
    r"""Subtracts from each leaf of two or more axes its mean over all axes but the first.

    $g_i \leftarrow g_i - \frac1n \sum_j g_{ij}$; leaves of fewer axes stay as they are.

    Returns:
      A stateless `GradientTransformation`.

    References:
      Yong, Huang, Hua and Zhang, Gradient Centralization: A New Optimization Technique for Deep
      Neural Networks, 2004.01461, 2020.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.centralize()
      >>> grads = jnp.array([[1.0, 3.0], [4.0, 8.0]])
      >>> tx.update(grads, tx.init(grads))[0]
      Array([[-1.,  1.],
             [-2.,  2.]], dtype=float32)
    """

    def leaf(g: Any) -> Any:
        if jnp.ndim(g) < 2:
            return g
        x = _tree.wide(g)
        mean = jnp.mean(x, axis=tuple(range(1, x.ndim)), keepdims=True)
        return (x - mean).astype(jnp.result_type(g))

    return stateless(lambda updates, params: jax.tree.map(leaf, updates))
