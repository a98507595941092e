"""Rates read from the loss itself: how far it is above what it can become, over the slope."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import ScalarLike
from lrjax.schedules import _clock, _driven
from lrjax.schedules._schedule import Schedule

_LOSS = "pass `value=loss` to the optimizer's `update`"


class PolyakState(NamedTuple):
    """The state of Polyak's rate.

    Attributes:
      bound: float32 scalar, what the next rate may not exceed.

    Example:
      >>> import lrjax
      >>> float(lrjax.polyak_schedule(max_learning_rate=2.0).init().bound)
      2.0
    """

    bound: jax.Array


class L4State(NamedTuple):
    """The state of L4.

    Attributes:
      lowest: float32 scalar, the lowest loss so far, slowly forgotten.
      count: int32 scalar, the number of values already given out.

    Example:
      >>> import lrjax
      >>> int(lrjax.l4_schedule().init().count)
      0
    """

    lowest: jax.Array
    count: jax.Array


def polyak_schedule(
    max_learning_rate: ScalarLike = 1.0,
    scaling: ScalarLike = 1.0,
    f_min: ScalarLike = 0.0,
    eps: ScalarLike = 0.0,
    growth: ScalarLike | None = None,
) -> Schedule:
    r"""Polyak's rate, bounded as in SPS: $\eta_t = \min(a\,(f_t - f^*)^+ / (\|g_t\|^2 + \epsilon),\, b_t)$.

    $b_t = \eta_{max}$, or with `growth` $b_t = \rho\, \eta_{t-1}$: the rate then rises by at most
    that factor a step (a rate of 0 leaves the bound as it is). The value is a rate, not a factor: it
    has the units of loss over squared gradient.

    Args:
      max_learning_rate: $\eta_{max}$ > 0; with `growth` the bound of the first step.
      scaling: $a$ > 0; SPS's $c$ is $1 / a$.
      f_min: $f^*$, the loss that can be reached: 0 where training data can be fitted.
      eps: $\epsilon$ >= 0.
      growth: $\rho$ >= 1, or None for a bound that stays. SPS takes $2^{b/n}$ for batches of
        $b$ of $n$ examples.

    Returns:
      A `Schedule` whose `update` needs `value=` (the loss) and `grad_norm=` or `grad=`. With zero
      gradients it gives the bound.

    Raises:
      TypeError: If an argument is not one real number; from `update`, if a signal is missing.
      ValueError: If a number is out of its range.

    References:
      Polyak, Introduction to Optimization, 1987.
      Loizou et al., Stochastic Polyak Step-size for SGD, 2002.10542, 2020.

    Example:
      >>> import lrjax
      >>> init, update = lrjax.polyak_schedule()
      >>> float(update(init(), value=2.0, grad_norm=2.0)[0])
      0.5
    """
    call = "polyak_schedule"
    _check.number(call, "max_learning_rate", max_learning_rate, low=0, open_low=True)
    _check.number(call, "scaling", scaling, low=0, open_low=True)
    _check.number(call, "f_min", f_min)
    _check.number(call, "eps", eps, low=0)
    if growth is not None:
        _check.number(call, "growth", growth, low=1)

    def init() -> PolyakState:
        return PolyakState(_clock.scalar(max_learning_rate))

    def update(state: PolyakState, **signals: Any) -> tuple[jax.Array, PolyakState]:
        loss = _clock.scalar(_driven.signal(call, signals, "value", _LOSS))
        above = _clock.scalar(scaling) * jnp.maximum(loss - _clock.scalar(f_min), 0)
        slope = jnp.square(_norm(call, signals)) + _clock.scalar(eps)
        step = jnp.where(slope > 0, above / jnp.where(slope > 0, slope, 1), state.bound)
        rate = jnp.minimum(step, state.bound)
        if growth is None:
            return rate, state
        return rate, PolyakState(jnp.where(rate > 0, rate * _clock.scalar(growth), state.bound))

    return Schedule(init, update)


def l4_schedule(
    fraction: ScalarLike = 0.15,
    gamma: ScalarLike = 0.9,
    first_gamma: ScalarLike = 0.75,
    timescale: ScalarLike = 1000.0,
    max_learning_rate: ScalarLike = 1.0,
) -> Schedule:
    r"""L4: the rate that would bring a linear loss a fraction of the way to its lowest value.

    $\eta_t = \alpha\, (L_t - \gamma \ell_t)^+ / g_t^\top v_t$, with $v_t$ the direction of the
    optimizer, $\ell_t = \min(\ell_{t-1}, L_t)$ and, after each step,
    $\ell \leftarrow (1 + 1/\tau)\, \ell$. For losses that are not negative.

    Args:
      fraction: $\alpha$ in (0, 1).
      gamma: $\gamma$ in [0, 1], the share of the lowest loss that is aimed at.
      first_gamma: $\gamma_0$ in (0, 1]: $\ell_0 = \gamma_0 L_0$.
      timescale: $\tau$ > 0 in steps, over which the lowest loss is forgotten.
      max_learning_rate: The upper bound, > 0; also the rate where $g^\top v$ is not positive.

    Returns:
      A `Schedule` whose `update` needs `value=` (the loss) and `grad=`, in an optimizer, which
      hands it the direction. The value is a rate, not a factor.

    Raises:
      TypeError: If an argument is not one real number; from `update`, if a signal is missing.
      ValueError: If a number is out of its range.

    Note:
      The paper has no upper bound and averages gradients before it multiplies them.

    References:
      Rolinek and Martius, L4: Practical loss-based stepsize adaptation for deep learning,
        1802.05074, 2018.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.sgd(lrjax.l4_schedule())
      >>> grads = jnp.array([3.0, 4.0])
      >>> updates, state = tx.update(grads, tx.init(grads), value=10.0, grad=grads)
      >>> round(float(lrjax.get_learning_rate(state)), 6)  # 0.15 * (10 - 0.9 * 7.5) / 25
      0.0195
    """
    call = "l4_schedule"
    _check.number(call, "fraction", fraction, low=0, high=1, open_low=True, open_high=True)
    _check.number(call, "gamma", gamma, low=0, high=1)
    _check.number(call, "first_gamma", first_gamma, low=0, high=1, open_low=True)
    _check.number(call, "timescale", timescale, low=0, open_low=True)
    _check.number(call, "max_learning_rate", max_learning_rate, low=0, open_low=True)

    def init() -> L4State:
        return L4State(_driven.zero(), _driven.none_yet())

    def update(state: L4State, **signals: Any) -> tuple[jax.Array, L4State]:
        loss = _clock.scalar(_driven.signal(call, signals, "value", _LOSS))
        gradient, direction = slope_and_direction(call, signals)
        first = _clock.scalar(first_gamma) * loss
        lowest = jnp.where(state.count == 0, first, jnp.minimum(state.lowest, loss))
        slope = _clock.scalar(_tree.vdot(gradient, direction))
        wanted = _clock.scalar(fraction) * jnp.maximum(loss - _clock.scalar(gamma) * lowest, 0)
        bound = _clock.scalar(max_learning_rate)
        rate = jnp.where(slope > 0, jnp.minimum(wanted / jnp.where(slope > 0, slope, 1), bound), bound)
        forgotten = lowest * (1 + 1 / _clock.scalar(timescale))
        return rate, L4State(forgotten, _tree.next_count(state.count))

    return Schedule(init, update)


def slope_and_direction(call: str, signals: dict[str, Any]) -> tuple[Any, Any]:
    """The gradient, and the direction that the rate is about to scale."""
    gradient = _driven.signal(call, signals, "grad", "pass `grad=grads` to the optimizer's `update`")
    direction = _driven.signal(call, signals, "updates", "use the schedule as an optimizer's learning rate")
    return gradient, direction


def _norm(call: str, signals: dict[str, Any]) -> jax.Array:
    if signals.get("grad_norm") is None and signals.get("grad") is not None:
        return _clock.scalar(_tree.norm(signals["grad"]))
    remedy = "pass `grad_norm=` or `grad=grads` to the optimizer's `update`"
    return _clock.scalar(_driven.signal(call, signals, "grad_norm", remedy))
