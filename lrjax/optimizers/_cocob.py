"""COCOB: a bet on every coordinate, and no learning rate."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import MaskTree, Params, ScalarLike, ScalarOrSchedule, Updates
from lrjax.learning_rate import scale_by_learning_rate
from lrjax.schedules import as_schedule, schedulable
from lrjax.transform import GradientTransformation, chain, require_params
from lrjax.transforms import add_decayed_weights


class COCOBState(NamedTuple):
    """The state of COCOB; all but the first in at least float32.

    Attributes:
      init_particles: The first parameters.
      cumulative_gradients: The sum of negative gradients, shaped like the parameters.
      scale: The largest magnitude of a gradient so far, likewise.
      subgradients: The sum of magnitudes, likewise.
      reward: What was won so far, likewise.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> lrjax.scale_by_cocob().init(jnp.zeros(2)).reward
      Array([0., 0.], dtype=float32)
    """

    init_particles: Params
    cumulative_gradients: Params
    scale: Params
    subgradients: Params
    reward: Params


@schedulable
def scale_by_cocob(alpha: ScalarLike = 100.0, eps: ScalarLike = 1e-8) -> GradientTransformation:
    r"""COCOB's updates, which point downhill.

    For each coordinate, with $L$ the largest and $G$ the sum of $|g|$ so far, $C$ the sum of $-g$, and
    the reward $R_t = \max(R_{t-1} - g_t (\theta_t - \theta_0), 0)$:
    $\theta_{t+1} = \theta_0 + \frac{C}{L \max(G + L, \alpha L)} (L + R)$.

    Args:
      alpha: $\alpha$ > 0: the first steps bet $1 / \alpha$.
      eps: The least $L$, > 0.

    Returns:
      A `GradientTransformation` with a `COCOBState`, whose `update` needs `params`.

    Raises:
      TypeError: If an argument is not one real number.
      ValueError: If it is out of its range; from `update`, if `params` is missing.

    References:
      Orabona and Tommasi, Training Deep Networks without Learning Rates Through Coin Betting,
      1705.07795, 2017.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.scale_by_cocob(alpha=4.0)
      >>> params = jnp.array(2.0)
      >>> float(tx.update(jnp.array(0.5), tx.init(params), params)[0])
      -0.25
    """
    return _scale_by_cocob("scale_by_cocob", alpha, eps)


@schedulable
def cocob(
    learning_rate: ScalarOrSchedule = 1.0,
    alpha: ScalarLike = 100.0,
    eps: ScalarLike = 1e-8,
    weight_decay: ScalarLike = 0.0,
    mask: MaskTree | None = None,
) -> GradientTransformation:
    r"""COCOB: gradient descent without a learning rate, by coin betting.

    The rule is that of `scale_by_cocob`, with gradients $\eta_t (g_t + \lambda \theta_t)$. As the method
    does not see the scale of gradients, a constant $\eta > 0$ changes nothing.

    Args:
      learning_rate: $\eta$, a factor on gradients: a number, a tracer, a `Schedule` or a callable of
        the step.
      alpha: $\alpha$ > 0: the first steps bet $1 / \alpha$.
      eps: The least largest gradient, > 0.
      weight_decay: $\lambda$ >= 0, an $\ell_2$ penalty.
      mask: A tree of bools, True where parameters decay, or a callable that makes one. Static.

    Returns:
      A `GradientTransformation` whose `update` needs `params`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range; from `update`, if `params` is missing.

    References:
      Orabona and Tommasi, Training Deep Networks without Learning Rates Through Coin Betting,
      1705.07795, 2017.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.cocob(alpha=4.0)
      >>> params = jnp.array(2.0)
      >>> float(tx.update(jnp.array(0.5), tx.init(params), params)[0])
      -0.25
    """
    _check.number("cocob", "weight_decay", weight_decay, low=0)
    rate = as_schedule("cocob", "learning_rate", learning_rate)
    return chain(
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(rate, flip_sign=False),
        _scale_by_cocob("cocob", alpha, eps),
    )


def _scale_by_cocob(call: str, alpha: ScalarLike, eps: ScalarLike) -> GradientTransformation:
    """COCOB's updates; errors name the public function the user called."""
    _check.number(call, "alpha", alpha, low=0, open_low=True)
    _check.number(call, "eps", eps, low=0, open_low=True)

    def init(params: Params) -> COCOBState:
        zeros = _tree.zeros_like(params, _tree.wide_dtype)
        return COCOBState(
            init_particles=params,
            cumulative_gradients=zeros,
            scale=_tree.full_like(params, eps, _tree.wide_dtype),
            subgradients=zeros,
            reward=zeros,
        )

    def update(
        updates: Updates, state: COCOBState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, COCOBState]:
        del extra
        require_params(f"{call}.update", params, "what was won since the first ones")
        g = jax.tree.map(_tree.wide, updates)
        gone = jax.tree.map(lambda p, p0: _tree.wide(p) - _tree.wide(p0), params, state.init_particles)
        largest = jax.tree.map(lambda big, g: jnp.maximum(big, jnp.abs(g)), state.scale, g)
        total = jax.tree.map(lambda total, g: total + jnp.abs(g), state.subgradients, g)
        reward = jax.tree.map(lambda r, g, x: jnp.maximum(r - g * x, 0), state.reward, g, gone)
        against = jax.tree.map(lambda c, g: c - g, state.cumulative_gradients, g)

        def step(x: jax.Array, c: jax.Array, big: jax.Array, total: jax.Array, r: jax.Array) -> jax.Array:
            return c / (big * jnp.maximum(total + big, alpha * big)) * (big + r) - x

        steps = jax.tree.map(step, gone, against, largest, total, reward)
        new_state = COCOBState(
            init_particles=state.init_particles,
            cumulative_gradients=_tree.cast_like(against, state.cumulative_gradients),
            scale=_tree.cast_like(largest, state.scale),
            subgradients=_tree.cast_like(total, state.subgradients),
            reward=_tree.cast_like(reward, state.reward),
        )
        return _tree.cast_like(steps, updates), new_state

    return GradientTransformation(init, update)
