"""Hypergradient descent: the rate itself descends."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import Params, ScalarLike
from lrjax.schedules import _clock, _driven
from lrjax.schedules._polyak import slope_and_direction
from lrjax.schedules._schedule import Schedule


class HypergradientState(NamedTuple):
    """The state of hypergradient descent.

    Attributes:
      scale: float32 scalar, the factor.
      direction: Shaped like the parameters, the direction of the last update.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> lrjax.hypergradient_schedule().init(jnp.ones(2)).direction
      Array([0., 0.], dtype=float32)
    """

    scale: jax.Array
    direction: Params


def hypergradient_schedule(
    step_size: ScalarLike = 1e-2,
    *,
    normalized: bool = True,
    min_scale: ScalarLike = 0.0,
    max_scale: ScalarLike | None = None,
) -> Schedule:
    r"""A factor that rises while gradients point where the last update went, and falls otherwise.

    The derivative of the loss with respect to the last rate is $-g_t^\top u_{t-1}$, with $u$ the
    optimizer's direction. Normalized: $s_t = s_{t-1} (1 + \beta \cos(g_t, u_{t-1}))$; otherwise
    $s_t = s_{t-1} + \beta\, g_t^\top u_{t-1}$.

    Args:
      step_size: $\beta$ >= 0, < 1 if normalized. Not normalized, on a rate $\eta$, it is the
        paper's $\beta / \eta$.
      normalized: Whether the two are compared by their angle alone. Static.
      min_scale: The factor's lower bound, >= 0.
      max_scale: The factor's upper bound, or None for none.

    Returns:
      A `Schedule` whose state has the shape of the parameters and whose `update` needs `grad=`, in
      an optimizer, which hands it the direction. Multiply it by a rate.

    Raises:
      TypeError: If an argument is of the wrong kind; from `update`, if a signal is missing.
      ValueError: If a number is out of its range.

    References:
      Baydin et al., Online Learning Rate Adaptation with Hypergradient Descent, 1703.04782, 2017.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.sgd(0.5 * lrjax.hypergradient_schedule(step_size=0.5))
      >>> grads, rates = jnp.array([1.0, 1.0]), []
      >>> state = tx.init(grads)
      >>> for sign in (1, 1, -1):
      ...     updates, state = tx.update(sign * grads, state, grad=sign * grads)
      ...     rates.append(round(float(lrjax.get_learning_rate(state)), 6))
      >>> rates
      [0.5, 0.75, 0.375]
    """
    call = "hypergradient_schedule"
    _check.boolean(call, "normalized", normalized)
    if normalized:
        _check.number(call, "step_size", step_size, low=0, high=1, open_high=True)
    else:
        _check.number(call, "step_size", step_size, low=0)
    _check.number(call, "min_scale", min_scale, low=0)
    if max_scale is not None:
        _check.number(call, "max_scale", max_scale, low=0, open_low=True)

    def init(params: Params) -> HypergradientState:
        return HypergradientState(_driven.one(), _tree.zeros_like(params))

    def update(state: HypergradientState, **signals: Any) -> tuple[jax.Array, HypergradientState]:
        g, u = slope_and_direction(call, signals)
        product, beta = _clock.scalar(_tree.vdot(g, state.direction)), _clock.scalar(step_size)
        if normalized:
            size = _clock.scalar(_tree.norm(g) * _tree.norm(state.direction))
            cosine = jnp.where(size > 0, product / jnp.where(size > 0, size, 1), 0)
            scale = state.scale * (1 + beta * cosine)
        else:
            scale = state.scale + beta * product
        scale = jnp.maximum(scale, _clock.scalar(min_scale))
        if max_scale is not None:
            scale = jnp.minimum(scale, _clock.scalar(max_scale))
        return scale, HypergradientState(scale, _tree.cast_like(u, state.direction))

    return Schedule(init, update, takes_params=True)
