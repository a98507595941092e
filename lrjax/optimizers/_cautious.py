"""Cautious optimizers: no step where it disagrees with the gradient."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import OptState, Params, ScalarLike, Updates
from lrjax.schedules import schedulable
from lrjax.transform import GradientTransformation, check_transformation, with_extra_args_support


@schedulable
def cautious(inner: Any, min_share: ScalarLike = 1e-3, *, downhill: bool = True) -> GradientTransformation:
    r"""Leaves out what of an optimizer's steps does not point downhill for the gradient of the step.

    $u \leftarrow u \cdot \mathbb 1[u g < 0] / \max(s, s_0)$, where $s$ is the share of a leaf's coordinates
    that agree. It makes a difference for optimizers with momentum.

    Args:
      inner: The optimizer: anything with `init` and `update`. Decay that is not to be left out comes
        after: `chain(cautious(scale_by_adam(), downhill=False), add_decayed_weights(...), ...)`.
      min_share: $s_0$ in (0, 1].
      downhill: Whether the updates of `inner` are those of a recipe, which point downhill; False for
        an ingredient, whose point along the gradient. Static.

    Returns:
      A `GradientTransformation` whose state is that of `inner`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If `min_share` is out of its range.

    References:
      Liang, Chen, Liu and Liu, Cautious Optimizers: Improving Training with One Line of Code,
      2411.16085, 2024.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.cautious(lrjax.sgd(0.5, momentum=0.5))
      >>> state = tx.init(jnp.zeros(2))
      >>> _, state = tx.update(jnp.array([4.0, 1.0]), state)
      >>> tx.update(jnp.array([-1.0, 1.0]), state)[0]  # momentum would take [-0.5, -0.75]
      Array([-0.  , -1.5], dtype=float32)
    """
    check_transformation("cautious", "inner", inner)
    _check.number("cautious", "min_share", min_share, low=0, high=1, open_low=True)
    _check.boolean("cautious", "downhill", downhill)
    wrapped = with_extra_args_support(inner)

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, OptState]:
        steps, state = wrapped.update(updates, state, params, **extra)

        def leaf(u: Any, g: Any) -> jax.Array:
            x = _tree.wide(u)
            rise = jnp.real(jnp.conj(jnp.sign(x)) * jnp.sign(_tree.wide(g)))  # a product may vanish
            agrees = rise < 0 if downhill else rise > 0
            share = jnp.maximum(jnp.mean(agrees, dtype=rise.dtype), min_share)
            return _tree.multiply(x, agrees / share).astype(jnp.result_type(u))

        return jax.tree.map(leaf, steps, updates), state

    return GradientTransformation(wrapped.init, update)
