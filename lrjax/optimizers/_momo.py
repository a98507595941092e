"""MoMo: momentum and Adam whose step is no longer than a model of the loss allows."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import Params, ScalarLike, ScalarOrSchedule, Updates
from lrjax.learning_rate import scale_by_learning_rate
from lrjax.optimizers._rate import next_rate
from lrjax.schedules import as_schedule, schedulable
from lrjax.transform import GradientTransformation, require_params


class MomoState(NamedTuple):
    """The state of MoMo.

    Attributes:
      exp_avg: Averaged gradients, shaped like the parameters, in at least float32.
      barf: float32 scalar, the averaged loss.
      gamma: float32 scalar, the averaged inner product of gradients and parameters.
      lb: float32 scalar, the lower bound of the loss.
      count: int32 scalar, the number of updates so far.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> state, rate_state = lrjax.momo().init(jnp.zeros(2))
      >>> float(state.lb)
      0.0
    """

    exp_avg: Params
    barf: jax.Array
    gamma: jax.Array
    lb: jax.Array
    count: jax.Array


class MomoAdamState(NamedTuple):
    """The state of MoMo-Adam.

    Attributes:
      exp_avg: Averaged gradients, shaped like the parameters, in at least float32.
      exp_avg_sq: Averaged squares, likewise.
      barf: float32 scalar, the averaged loss.
      gamma: float32 scalar, the averaged inner product of gradients and parameters.
      lb: float32 scalar, the lower bound of the loss.
      count: int32 scalar, the number of updates so far.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> state, rate_state = lrjax.momo_adam().init(jnp.zeros(2))
      >>> float(state.lb)
      0.0
    """

    exp_avg: Params
    exp_avg_sq: Params
    barf: jax.Array
    gamma: jax.Array
    lb: jax.Array
    count: jax.Array


@schedulable
def momo(
    learning_rate: ScalarOrSchedule = 1.0,
    beta: ScalarLike = 0.9,
    lower_bound: ScalarLike = 0.0,
    weight_decay: ScalarLike = 0.0,
    adapt_lower_bound: bool = False,
) -> GradientTransformation:
    r"""MoMo: momentum with a step that a model of the loss limits.

    $m$, $\bar f$ and $\bar\gamma$ average $g_t$, the loss and $\langle g_t, \theta_t \rangle$ with decay
    $\beta$, started at the first ones. With $a_t = 1 + \eta_t \lambda$,
    $\tau_t = \min\left(\eta_t, \frac{[a_t (\bar f - f^* - \bar\gamma) + \langle m, \theta_t \rangle]_+}
    {\|m\|^2}\right)$ and $\theta_{t+1} = (\theta_t - \tau_t m) / a_t$. `update` takes the loss as
    `value=`; `lrjax.trial` passes it.

    Args:
      learning_rate: $\eta$ >= 0, the largest step: a number, a tracer, a `Schedule` or a callable of
        the step. It may be far larger than momentum's.
      beta: $\beta$ in [0, 1).
      lower_bound: $f^*$, the least loss, or a bound of it.
      weight_decay: $\lambda$ >= 0.
      adapt_lower_bound: Whether $f^*$ is estimated on the way, from `lower_bound` up. Static.

    Returns:
      A `GradientTransformation` whose state is `(MomoState, ScaleByLearningRateState)`, and whose
      `update` needs `params` and `value=`.

    Note:
      In optax the decay does not divide $\tau_t m$ by $a_t$; here it does, as in the paper. optax
      takes any $\|m\|^2$ below float32's eps for 0.

    Raises:
      TypeError: If an argument is of the wrong kind; from `update`, if `value` is missing.
      ValueError: If a number is out of its range; from `update`, if `params` is missing.

    References:
      Schaipp et al., MoMo: Momentum Models for Adaptive Learning Rates, 2305.07583, 2023.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.momo()
      >>> params = jnp.array([3.0, 4.0])
      >>> tx.update(params, tx.init(params), params, value=12.5)[0]
      Array([-1.5, -2. ], dtype=float32)
    """
    _check.number("momo", "beta", beta, low=0, high=1, open_high=True)
    _check_model("momo", lower_bound, weight_decay, adapt_lower_bound)
    owner = scale_by_learning_rate(as_schedule("momo", "learning_rate", learning_rate))

    def init(params: Params) -> tuple[Any, ...]:
        zero = jnp.zeros((), jnp.float32)
        state = MomoState(
            exp_avg=_tree.zeros_like(params, _tree.wide_dtype),
            barf=zero,
            gamma=zero,
            lb=jnp.asarray(lower_bound, jnp.float32),
            count=jnp.zeros((), jnp.int32),
        )
        return state, owner.init(params)

    def update(
        updates: Updates,
        state: tuple[Any, ...],
        params: Params | None = None,
        *,
        value: Any = None,
        **extra: Any,
    ) -> tuple[Updates, tuple[Any, ...]]:
        require_params("momo.update", params, "the model of the loss")
        _check.signal("momo", "value", "the loss of this step", value)
        old, rate_state = state
        eta, rate_state = next_rate(owner, rate_state, {"value": value, **extra})
        decay = jnp.where(old.count == 0, 0, jnp.asarray(beta, eta.dtype))
        m = jax.tree.map(
            lambda g, m: _tree.multiply(m, decay) + _tree.multiply(_tree.wide(g), 1 - decay),
            updates,
            old.exp_avg,
        )
        f = decay * old.barf + (1 - decay) * _tree.wide(value)
        gamma = decay * old.gamma + (1 - decay) * _tree.vdot(updates, params)
        square = _tree.vdot(m, m)
        tau, lb = _step_size(
            eta, eta, f, gamma, _tree.vdot(m, params), square, 1.0, old.lb, lower_bound,
            weight_decay, adapt_lower_bound,
        )  # fmt: skip
        steps = _shrink_and_step(updates, params, m, tau, eta * weight_decay)
        new = MomoState(
            exp_avg=_tree.cast_like(m, old.exp_avg),
            barf=f.astype(jnp.float32),
            gamma=gamma.astype(jnp.float32),
            lb=lb.astype(jnp.float32),
            count=_tree.next_count(old.count),
        )
        return steps, (new, rate_state)

    return GradientTransformation(init, update)


@schedulable
def momo_adam(
    learning_rate: ScalarOrSchedule = 1e-2,
    b1: ScalarLike = 0.9,
    b2: ScalarLike = 0.999,
    eps: ScalarLike = 1e-8,
    lower_bound: ScalarLike = 0.0,
    weight_decay: ScalarLike = 0.0,
    adapt_lower_bound: bool = False,
) -> GradientTransformation:
    r"""MoMo-Adam: Adam with a step that a model of the loss limits.

    $m$, $\bar f$ and $\bar\gamma$ average $g_t$, the loss and $\langle g_t, \theta_t \rangle$ with decay
    $\beta_1$, $v$ squares with $\beta_2$; $D_t = \epsilon + \sqrt{v / (1 - \beta_2^t)}$,
    $\rho_t = 1 - \beta_1^t$, $a_t = 1 + \eta_t \lambda$. Then $\tau_t = \min\left(\frac{\eta_t}{\rho_t},
    \frac{[a_t (\bar f - \rho_t f^* - \bar\gamma) + \langle m, \theta_t \rangle]_+}
    {\langle m, D_t^{-1} m \rangle}\right)$ and $\theta_{t+1} = (\theta_t - \tau_t D_t^{-1} m) / a_t$.
    `update` takes the loss as `value=`; `lrjax.trial` passes it.

    Args:
      learning_rate: $\eta$ >= 0, the largest step: a number, a tracer, a `Schedule` or a callable of
        the step. It may be far larger than Adam's.
      b1: $\beta_1$ in [0, 1).
      b2: $\beta_2$ in [0, 1).
      eps: $\epsilon$ > 0.
      lower_bound: $f^*$, the least loss, or a bound of it.
      weight_decay: $\lambda$ >= 0.
      adapt_lower_bound: Whether $f^*$ is estimated on the way, from `lower_bound` up. Static.

    Returns:
      A `GradientTransformation` whose state is `(MomoAdamState, ScaleByLearningRateState)`, and
      whose `update` needs `params` and `value=`.

    Note:
      In optax the decay does not divide the step by $a_t$; here it does, as in the paper. optax takes
      any denominator below float32's eps for 0.

    Raises:
      TypeError: If an argument is of the wrong kind; from `update`, if `value` is missing.
      ValueError: If a number is out of its range; from `update`, if `params` is missing.

    References:
      Schaipp et al., MoMo: Momentum Models for Adaptive Learning Rates, 2305.07583, 2023.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.momo_adam(0.5)
      >>> params = jnp.array([3.0, -4.0])
      >>> tx.update(params, tx.init(params), params, value=12.5)[0].round(4)
      Array([-0.5,  0.5], dtype=float32)
    """
    _check.number("momo_adam", "b1", b1, low=0, high=1, open_high=True)
    _check.number("momo_adam", "b2", b2, low=0, high=1, open_high=True)
    _check.number("momo_adam", "eps", eps, low=0, open_low=True)
    _check_model("momo_adam", lower_bound, weight_decay, adapt_lower_bound)
    owner = scale_by_learning_rate(as_schedule("momo_adam", "learning_rate", learning_rate))

    def init(params: Params) -> tuple[Any, ...]:
        zero = jnp.zeros((), jnp.float32)
        state = MomoAdamState(
            exp_avg=_tree.zeros_like(params, _tree.wide_dtype),
            exp_avg_sq=_tree.zeros_like(params, _tree.wide_real),
            barf=zero,
            gamma=zero,
            lb=jnp.asarray(lower_bound, jnp.float32),
            count=jnp.zeros((), jnp.int32),
        )
        return state, owner.init(params)

    def update(
        updates: Updates,
        state: tuple[Any, ...],
        params: Params | None = None,
        *,
        value: Any = None,
        **extra: Any,
    ) -> tuple[Updates, tuple[Any, ...]]:
        require_params("momo_adam.update", params, "the model of the loss")
        _check.signal("momo_adam", "value", "the loss of this step", value)
        old, rate_state = state
        eta, rate_state = next_rate(owner, rate_state, {"value": value, **extra})
        t = _tree.next_count(old.count)
        m = _tree.moment(b1, updates, old.exp_avg)
        v = _tree.second_moment(b2, updates, old.exp_avg_sq)
        f = b1 * old.barf + (1 - b1) * _tree.wide(value)
        gamma = b1 * old.gamma + (1 - b1) * _tree.vdot(updates, params)
        scaled = jax.tree.map(lambda m, v: m / (eps + jnp.sqrt(v)), m, _tree.debias(v, b2, t))
        rho = _tree.one_minus_power(b1, t)
        tau, lb = _step_size(
            eta, eta / rho, f, gamma, _tree.vdot(m, params), _tree.vdot(m, scaled), rho, old.lb,
            lower_bound, weight_decay, adapt_lower_bound,
        )  # fmt: skip
        steps = _shrink_and_step(updates, params, scaled, tau, eta * weight_decay)
        new = MomoAdamState(
            exp_avg=_tree.cast_like(m, old.exp_avg),
            exp_avg_sq=_tree.cast_like(v, old.exp_avg_sq),
            barf=f.astype(jnp.float32),
            gamma=gamma.astype(jnp.float32),
            lb=lb.astype(jnp.float32),
            count=t,
        )
        return steps, (new, rate_state)

    return GradientTransformation(init, update)


def _check_model(
    call: str, lower_bound: ScalarLike, weight_decay: ScalarLike, adapt_lower_bound: bool
) -> None:
    _check.number(call, "lower_bound", lower_bound)
    _check.number(call, "weight_decay", weight_decay, low=0)
    _check.boolean(call, "adapt_lower_bound", adapt_lower_bound)


def _step_size(
    eta: jax.Array,
    longest: jax.Array,
    f: jax.Array,
    gamma: jax.Array,
    inner: jax.Array,
    square: jax.Array,
    rho: ScalarLike,
    lb: jax.Array,
    lower_bound: ScalarLike,
    weight_decay: ScalarLike,
    adapt_lower_bound: bool,
) -> tuple[jax.Array, jax.Array]:
    """How far to go along the averaged gradient, and the next lower bound."""
    a = 1 + eta * weight_decay
    here = lb
    if adapt_lower_bound:  # the paper's section on it: a bound that the model has passed is halved
        cap = a * (f - gamma) + inner
        here = jnp.where(cap < a * rho * lb, jnp.maximum(cap / (2 * rho * a), lower_bound), lb)
    known = square > 0
    wanted = jnp.maximum(a * (f - rho * here - gamma) + inner, 0) / jnp.where(known, square, 1)
    tau = jnp.minimum(longest, jnp.where(known, wanted, 0))
    if adapt_lower_bound:
        lb = jnp.maximum(((f + inner - gamma) - tau * square / 2) / rho, lower_bound)
    return tau, lb


def _shrink_and_step(
    updates: Updates, params: Params, direction: Any, tau: jax.Array, decay: jax.Array
) -> Updates:
    """`(params - tau * direction) / (1 + decay) - params`, in the updates' dtype."""

    def leaf(p: Any, d: jax.Array) -> jax.Array:
        return _tree.divide(-_tree.multiply(_tree.wide(p), decay) - _tree.multiply(d, tau), 1 + decay)

    return _tree.cast_like(jax.tree.map(leaf, params, direction), updates)
