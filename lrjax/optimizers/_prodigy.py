"""Prodigy: Adam that finds its learning rate from how far it has come."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import Pair, Params, ScalarLike, ScalarOrSchedule, Updates
from lrjax.learning_rate import scale_by_learning_rate
from lrjax.optimizers._distance import adam_correction, larger_estimate
from lrjax.optimizers._half import followed_in_float32
from lrjax.optimizers._rate import next_rate
from lrjax.schedules import as_schedule, schedulable
from lrjax.transform import GradientTransformation, require_params


class ProdigyState(NamedTuple):
    """The state of Prodigy.

    Attributes:
      exp_avg: First moments of scaled gradients, shaped like the parameters, in at least float32.
      exp_avg_sq: Second moments of scaled gradients, likewise.
      grad_sum: The weighted sum of gradients, likewise.
      params0: The first parameters.
      estim_lr: float32 scalar, the estimate $d$ of the distance to the solution.
      numerator_weighted: float32 scalar, the weighted sum of how far gradients lead back.
      count: int32 scalar, the number of updates so far.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> state, rate_state = lrjax.prodigy().init(jnp.zeros(2))
      >>> round(float(state.estim_lr), 9)
      1e-06
    """

    exp_avg: Params
    exp_avg_sq: Params
    grad_sum: Params
    params0: Params
    estim_lr: jax.Array
    numerator_weighted: jax.Array
    count: jax.Array


@schedulable
def prodigy(
    learning_rate: ScalarOrSchedule = 1.0,
    betas: Pair = (0.9, 0.999),
    beta3: ScalarLike | None = None,
    eps: ScalarLike = 1e-8,
    estim_lr0: ScalarLike = 1e-6,
    estim_lr_coef: ScalarLike = 1.0,
    weight_decay: ScalarLike = 0.0,
    safeguard_warmup: bool = False,
    *,
    bias_correction: bool = True,
) -> GradientTransformation:
    r"""Prodigy: Adam whose step size is an estimate $d_t$ of the distance to the solution.

    With $\gamma_t = \eta_t \sqrt{1 - \beta_2^t} / (1 - \beta_1^t)$: $m$ and $v$ average $d_t g_t$ and
    $d_t^2 g_t^2$; $r_{t+1} = \beta_3 r_t + \frac{d_t}{d_0} \gamma_t d_t \langle g_t, \theta_0 - \theta_t
    \rangle$, $s_{t+1} = \beta_3 s_t + \frac{d_t}{d_0} \gamma_t d_t g_t$,
    $d_{t+1} = \max(d_t, c\, r_{t+1} / \|s_{t+1}\|_1)$, and
    $\theta_{t+1} = \theta_t - \gamma_t d_t \left(m_{t+1} / (\sqrt{v_{t+1}} + d_{t+1} \epsilon)
    + \lambda \theta_t\right)$.

    Args:
      learning_rate: $\eta$, a factor on the estimate: a number, a tracer, a `Schedule` or a
        callable of the step. 1 is what the method is made for; a schedule from 1 to 0 helps, and
        a warmup from 0 is fine.
      betas: $(\beta_1, \beta_2)$ in [0, 1).
      beta3: $\beta_3$ in [0, 1); None for $\sqrt{\beta_2}$.
      eps: $\epsilon$ >= 0.
      estim_lr0: $d_0$ > 0. It must be below the distance to the solution.
      estim_lr_coef: $c$ > 0, the factor to try first where the estimate is too large or small.
      weight_decay: $\lambda$ >= 0, decoupled.
      safeguard_warmup: Whether to leave $\gamma_t$ out of $s$, so that a warmup does not inflate
        the estimate. Static.
      bias_correction: Whether $\gamma_t$ has Adam's correction, as in optax. The authors' code has
        it off by default: $\gamma_t = \eta_t$. Static.

    Returns:
      A `GradientTransformation` whose state is `(ProdigyState, ScaleByLearningRateState)`, and
      whose `update` needs `params`.

    Note:
      While no gradient has entered $s$, at a first rate of 0 or after zero gradients, the estimate
      stays as it is. (optax's becomes NaN there and remains it.) Half-precision parameters, which the first
      steps are too short for, are followed in float32 (a `HalfPrecisionState` behind the others).

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range; from `update`, if `params` is missing.

    References:
      Mishchenko and Defazio, Prodigy: An Expeditiously Adaptive Parameter-Free Learner, 2306.06101, 2023.

    Example:
      >>> import jax, jax.numpy as jnp, lrjax
      >>> tx = lrjax.prodigy()
      >>> params = jnp.array(1.0)
      >>> state = tx.init(params)
      >>> step = jax.jit(tx.update)
      >>> for _ in range(100):
      ...     updates, state = step(jax.grad(jnp.square)(params), state, params)
      ...     params = lrjax.apply_updates(params, updates)
      >>> bool(abs(params) < 0.1), bool(state[0].estim_lr > 0.01)
      (True, True)
    """
    beta1, beta2 = _check.pair("prodigy", "betas", betas, low=0, high=1, open_high=True)
    if beta3 is not None:
        _check.number("prodigy", "beta3", beta3, low=0, high=1, open_high=True)
    _check.number("prodigy", "eps", eps, low=0)
    _check.number("prodigy", "estim_lr0", estim_lr0, low=0, open_low=True)
    _check.number("prodigy", "estim_lr_coef", estim_lr_coef, low=0, open_low=True)
    _check.number("prodigy", "weight_decay", weight_decay, low=0)
    _check.boolean("prodigy", "safeguard_warmup", safeguard_warmup)
    _check.boolean("prodigy", "bias_correction", bias_correction)
    fade = beta2**0.5 if beta3 is None else beta3
    owner = scale_by_learning_rate(as_schedule("prodigy", "learning_rate", learning_rate))

    def init(params: Params) -> tuple[Any, ...]:
        zeros = _tree.zeros_like(params, _tree.wide_dtype)
        state = ProdigyState(
            exp_avg=zeros,
            exp_avg_sq=_tree.zeros_like(params, _tree.wide_real),
            grad_sum=zeros,
            params0=params,
            estim_lr=jnp.asarray(estim_lr0, jnp.float32),
            numerator_weighted=jnp.zeros((), jnp.float32),
            count=jnp.zeros((), jnp.int32),
        )
        return state, owner.init(params)

    def update(
        updates: Updates, state: tuple[Any, ...], params: Params | None = None, **extra: Any
    ) -> tuple[Updates, tuple[Any, ...]]:
        require_params("prodigy.update", params, "the distance from the first ones")
        old, rate_state = state
        eta, rate_state = next_rate(owner, rate_state, extra)
        t = _tree.next_count(old.count)
        d = old.estim_lr.astype(eta.dtype)
        gamma_d = d * eta * (adam_correction(beta1, beta2, t) if bias_correction else 1)
        weight = d / estim_lr0

        dg = jax.tree.map(lambda g: _tree.multiply(_tree.wide(g), d), updates)
        m = _tree.moment(beta1, dg, old.exp_avg)
        v = _tree.second_moment(beta2, dg, old.exp_avg_sq)
        entering = weight * (d if safeguard_warmup else gamma_d)
        s = jax.tree.map(
            lambda s, g: fade * s + _tree.multiply(_tree.wide(g), entering), old.grad_sum, updates
        )
        way_back = jax.tree.map(lambda p0, p: _tree.wide(p0) - _tree.wide(p), old.params0, params)
        r = fade * old.numerator_weighted + weight * gamma_d * _tree.vdot(updates, way_back)
        d_next = larger_estimate(d, estim_lr_coef * r, _tree.sum_of_magnitudes(s))

        def step(m: jax.Array, v: jax.Array, p: Any) -> jax.Array:
            root = jnp.sqrt(v) + (d_next * eps).astype(v.dtype)
            scaled = jnp.where(root > 0, m / jnp.where(root > 0, root, 1), 0)
            return _tree.multiply(scaled + weight_decay * _tree.wide(p), -gamma_d)

        steps = _tree.cast_like(jax.tree.map(step, m, v, params), updates)
        new = ProdigyState(
            exp_avg=_tree.cast_like(m, old.exp_avg),
            exp_avg_sq=_tree.cast_like(v, old.exp_avg_sq),
            grad_sum=_tree.cast_like(s, old.grad_sum),
            params0=old.params0,
            estim_lr=d_next.astype(jnp.float32),
            numerator_weighted=r.astype(jnp.float32),
            count=t,
        )
        return steps, (new, rate_state)

    return followed_in_float32(GradientTransformation(init, update))
