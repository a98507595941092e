"""Decay of parameters towards zero."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import MaskTree, Params, ScalarLike, Updates
from lrjax.transform import GradientTransformation, require_params, stateless
from lrjax.transforms._masking import masked


def add_decayed_weights(
    weight_decay: ScalarLike = 0.0, mask: MaskTree | None = None
) -> GradientTransformation:
    r"""Adds a multiple of the parameters to the updates: $u \leftarrow u + \lambda \theta$.

    Placed after an adaptive scaling this is decoupled weight decay; before it, an $\ell_2$ penalty.

    Args:
      weight_decay: $\lambda$, >= 0.
      mask: A tree of bools, True where parameters decay, or a callable that makes one; None for
        all. Static.

    Returns:
      A stateless `GradientTransformation` whose `update` needs `params`.

    Raises:
      TypeError: If `weight_decay` is not one real number.
      ValueError: If it is negative or not finite; from `update`, if `params` is missing.

    References:
      Loshchilov and Hutter, Decoupled Weight Decay Regularization, 1711.05101, 2017.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.add_decayed_weights(0.5)
      >>> params = jnp.array(2.0)
      >>> float(tx.update(jnp.array(1.0), tx.init(params), params)[0])
      2.0
    """
    _check.number("add_decayed_weights", "weight_decay", weight_decay, low=0)

    def decay(updates: Updates, params: Params | None) -> Any:
        require_params("add_decayed_weights.update", params, "weight decay")

        def leaf(u: Any, p: Any) -> jax.Array:
            return (_tree.wide(u) + weight_decay * _tree.wide(p)).astype(jnp.result_type(u))

        return jax.tree.map(leaf, updates, params)

    tx = stateless(decay)
    return tx if mask is None else masked(tx, mask)
