"""AdamP: Adam that does not lengthen weights whose length has no meaning."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import Params, ScalarLike, ScalarOrSchedule, Updates
from lrjax.learning_rate import scale_by_learning_rate
from lrjax.optimizers._adam import adam_scaling
from lrjax.schedules import as_schedule, schedulable
from lrjax.transform import GradientTransformation, chain, require_params


@schedulable
def adamp(
    learning_rate: ScalarOrSchedule,
    b1: ScalarLike = 0.9,
    b2: ScalarLike = 0.999,
    eps: ScalarLike = 1e-8,
    weight_decay: ScalarLike = 1e-2,
    delta: ScalarLike = 0.1,
    decay_ratio: ScalarLike = 0.1,
) -> GradientTransformation:
    r"""AdamP: Adam's steps, of scale-invariant weights only what turns them.

    $\theta_{t+1} = \theta_t - \eta_t (p_t + \lambda_t \theta_t)$, where $p_t$ is Adam's update. Where the
    gradient is all but at right angles to the weights, $|\cos(g_t, \theta_t)| < \delta / \sqrt{n}$, as it is
    where a normalization follows, $p_t$ loses what it has along them and $\lambda_t = r \lambda$;
    elsewhere $\lambda_t = \lambda$. It is asked of the $n$ weights that lead to an output (along the
    last axis), of all outputs together; then of the whole leaf; and of no leaf of fewer than two axes.

    Args:
      learning_rate: $\eta$: a number, a tracer, a `Schedule` or a callable of the step.
      b1: $\beta_1$ in [0, 1).
      b2: $\beta_2$ in [0, 1).
      eps: $\epsilon$ >= 0, outside the root.
      weight_decay: $\lambda$ >= 0, decoupled.
      delta: $\delta$ >= 0.
      decay_ratio: $r$ >= 0, the part of the decay that scale-invariant weights keep.

    Returns:
      A `GradientTransformation` whose `update` needs `params`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range; from `update`, if `params` is missing.

    Note:
      PyTorch has outputs along the first axis, flax and haiku along the last.

    References:
      Heo et al., AdamP: Slowing Down the Slowdown for Momentum Optimizers on Scale-invariant Weights,
      2006.08217, 2020.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.adamp(0.5, weight_decay=0.0)
      >>> params, grads = jnp.array([[1.0], [1.0]]), jnp.array([[3.0], [-3.1]])
      >>> tx.update(grads, tx.init(params), params)[0].round(4)
      Array([[-0.5],
             [ 0.5]], dtype=float32)
    """
    call = "adamp"
    _check.number(call, "weight_decay", weight_decay, low=0)
    _check.number(call, "delta", delta, low=0)
    _check.number(call, "decay_ratio", decay_ratio, low=0)
    return chain(
        _turned(adam_scaling(call, b1, b2, eps, 0.0, None, False), weight_decay, delta, decay_ratio),
        scale_by_learning_rate(as_schedule(call, "learning_rate", learning_rate)),
    )


def _turned(
    adam: GradientTransformation, weight_decay: ScalarLike, delta: ScalarLike, decay_ratio: ScalarLike
) -> GradientTransformation:
    """Adam's direction without what lengthens scale-invariant weights, and the decay."""

    def update(
        updates: Updates, state: Any, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, Any]:
        require_params("adamp.update", params, "their direction")
        direction, state = adam.update(jax.tree.map(_tree.wide, updates), state, params, **extra)

        def leaf(p: jax.Array, g: Any, weights: Any) -> jax.Array:
            theta, ratio = _tree.wide(weights), jnp.ones((), p.dtype)
            if p.ndim > 1 and p.size > 0:
                by_output = (-1, p.shape[-1])
                is_free, turned = _projected(p, _tree.wide(g), theta, by_output, delta)
                layer_is_free, layer_turned = _projected(p, _tree.wide(g), theta, (-1, 1), delta)
                p = jnp.where(is_free, turned, jnp.where(layer_is_free, layer_turned, p))
                ratio = jnp.where(is_free | layer_is_free, decay_ratio, ratio)
            return (p + _tree.multiply(theta, weight_decay * ratio)).astype(jnp.result_type(g))

        return jax.tree.map(leaf, direction, updates, params), state

    return GradientTransformation(adam.init, update)


def _projected(
    p: jax.Array, g: jax.Array, theta: jax.Array, shape: tuple[int, int], delta: ScalarLike
) -> tuple[jax.Array, jax.Array]:
    """Whether the weights of every column are scale-invariant, and the direction as it is then."""
    columns = theta.reshape(shape)

    def along(x: jax.Array) -> jax.Array:
        return jnp.sum(unit * x.reshape(shape), axis=0)

    def length(x: jax.Array) -> jax.Array:
        return jnp.sqrt(jnp.sum(_tree.square(x), axis=0))

    size = length(columns)
    unit = jnp.where(size > 0, columns / jnp.where(size > 0, size, 1), 0)
    # |cos| < delta / sqrt(n), multiplied out
    threshold = delta / columns.shape[0] ** 0.5 * length(g.reshape(shape))
    is_free = jnp.all(jnp.abs(along(g)) < threshold)
    return is_free, (p.reshape(shape) - unit * along(p)).reshape(p.shape)
