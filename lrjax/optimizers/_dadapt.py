"""D-Adaptation: Adam that finds its learning rate from how its gradients agree."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import Pair, Params, ScalarLike, ScalarOrSchedule, Updates
from lrjax.learning_rate import scale_by_learning_rate
from lrjax.optimizers._distance import adam_correction, larger_estimate
from lrjax.optimizers._rate import next_rate
from lrjax.schedules import as_schedule, schedulable
from lrjax.transform import GradientTransformation, require_params


class DAdaptAdamWState(NamedTuple):
    """The state of D-Adaptation.

    Attributes:
      exp_avg: First moments of scaled gradients, shaped like the parameters, in at least float32.
      exp_avg_sq: Second moments of gradients, likewise.
      grad_sum: The average of scaled gradients, likewise.
      estim_lr: float32 scalar, the estimate $d$ of the distance to the solution.
      numerator_weighted: float32 scalar, the average of how gradients agree with their sum.
      count: int32 scalar, the number of updates so far.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> state, rate_state = lrjax.dadapt_adamw().init(jnp.zeros(2))
      >>> round(float(state.estim_lr), 9)
      1e-06
    """

    exp_avg: Params
    exp_avg_sq: Params
    grad_sum: Params
    estim_lr: jax.Array
    numerator_weighted: jax.Array
    count: jax.Array


@schedulable
def dadapt_adamw(
    learning_rate: ScalarOrSchedule = 1.0,
    betas: Pair = (0.9, 0.999),
    eps: ScalarLike = 1e-8,
    estim_lr0: ScalarLike = 1e-6,
    weight_decay: ScalarLike = 0.0,
    *,
    bias_correction: bool = True,
) -> GradientTransformation:
    r"""D-Adaptation for AdamW: the step size is an estimate $d_t$ of the distance to the solution.

    With $\gamma_t = d_t \eta_t \sqrt{1 - \beta_2^t} / (1 - \beta_1^t)$ and $\beta_3 = \sqrt{\beta_2}$:
    $m$, $s$ and $r$ are averages, with decays $\beta_1$, $\beta_3$ and $\beta_3$, of $\gamma_t g_t$, of
    $\gamma_t g_t$ and of $\gamma_t \langle g_t, s_t / (\sqrt{v_t} + \epsilon) \rangle$;
    $d_{t+1} = \max\left(d_t, \frac{r_{t+1}}{(1 - \beta_3) \|s_{t+1}\|_1}\right)$, and
    $\theta_{t+1} = \theta_t - m_{t+1} / (\sqrt{v_{t+1}} + \epsilon) - \gamma_t \lambda \theta_t$.

    Args:
      learning_rate: $\eta$, a factor on the estimate: a number, a tracer, a `Schedule` or a
        callable of the step. 1 is what the method is made for; a warmup from 0 is fine.
      betas: $(\beta_1, \beta_2)$ in [0, 1).
      eps: $\epsilon$ > 0.
      estim_lr0: $d_0$ > 0, below the distance to the solution.
      weight_decay: $\lambda$ >= 0, decoupled.
      bias_correction: Whether $\gamma_t$ has Adam's correction, as in optax. The authors' code has
        it off by default: $\gamma_t = d_t \eta_t$. Static.

    Returns:
      A `GradientTransformation` whose state is `(DAdaptAdamWState, ScaleByLearningRateState)`, and
      whose `update` needs `params`.

    Note:
      While no gradient has entered $s$, at a first rate of 0 or after zero gradients, the estimate
      stays as it is. (optax's becomes NaN there and remains it.)

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range; from `update`, if `params` is missing.

    References:
      Defazio and Mishchenko, Learning-Rate-Free Learning by D-Adaptation, 2301.07733, 2023.

    Example:
      >>> import jax, jax.numpy as jnp, lrjax
      >>> tx = lrjax.dadapt_adamw()
      >>> params = jnp.array(1.0)
      >>> state = tx.init(params)
      >>> step = jax.jit(tx.update)
      >>> for _ in range(200):
      ...     updates, state = step(jax.grad(jnp.square)(params), state, params)
      ...     params = lrjax.apply_updates(params, updates)
      >>> bool(abs(params) < 0.1), bool(state[0].estim_lr > 0.01)
      (True, True)
    """
    beta1, beta2 = _check.pair("dadapt_adamw", "betas", betas, low=0, high=1, open_high=True)
    _check.number("dadapt_adamw", "eps", eps, low=0, open_low=True)
    _check.number("dadapt_adamw", "estim_lr0", estim_lr0, low=0, open_low=True)
    _check.number("dadapt_adamw", "weight_decay", weight_decay, low=0)
    _check.boolean("dadapt_adamw", "bias_correction", bias_correction)
    beta3 = beta2**0.5
    rest = (1 - beta2) / (1 + beta3)  # 1 - beta3 without cancellation
    owner = scale_by_learning_rate(as_schedule("dadapt_adamw", "learning_rate", learning_rate))

    def init(params: Params) -> tuple[Any, ...]:
        zeros = _tree.zeros_like(params, _tree.wide_dtype)
        state = DAdaptAdamWState(
            exp_avg=zeros,
            exp_avg_sq=_tree.zeros_like(params, _tree.wide_real),
            grad_sum=zeros,
            estim_lr=jnp.asarray(estim_lr0, jnp.float32),
            numerator_weighted=jnp.zeros((), jnp.float32),
            count=jnp.zeros((), jnp.int32),
        )
        return state, owner.init(params)

    def update(
        updates: Updates, state: tuple[Any, ...], params: Params | None = None, **extra: Any
    ) -> tuple[Updates, tuple[Any, ...]]:
        require_params("dadapt_adamw.update", params, "weight decay")
        old, rate_state = state
        eta, rate_state = next_rate(owner, rate_state, extra)
        t = _tree.next_count(old.count)
        d = old.estim_lr.astype(eta.dtype)
        gamma = d * eta * (adam_correction(beta1, beta2, t) if bias_correction else 1)

        def over_root(x: jax.Array, v: jax.Array) -> jax.Array:
            return x / (jnp.sqrt(v) + eps)

        agreement = _tree.vdot(updates, jax.tree.map(over_root, old.grad_sum, old.exp_avg_sq))
        scaled = jax.tree.map(lambda g: _tree.multiply(_tree.wide(g), gamma), updates)
        m = _tree.moment(beta1, scaled, old.exp_avg)
        v = _tree.second_moment(beta2, updates, old.exp_avg_sq)
        s = jax.tree.map(lambda g, s: beta3 * s + rest * g, scaled, old.grad_sum)
        r = beta3 * old.numerator_weighted + rest * gamma * agreement
        d_next = larger_estimate(d, r, rest * _tree.sum_of_magnitudes(s))

        def step(m: jax.Array, v: jax.Array, p: Any) -> jax.Array:
            return -over_root(m, v) - _tree.multiply(weight_decay * _tree.wide(p), gamma)

        steps = _tree.cast_like(jax.tree.map(step, m, v, params), updates)
        new = DAdaptAdamWState(
            exp_avg=_tree.cast_like(m, old.exp_avg),
            exp_avg_sq=_tree.cast_like(v, old.exp_avg_sq),
            grad_sum=_tree.cast_like(s, old.grad_sum),
            estim_lr=d_next.astype(jnp.float32),
            numerator_weighted=r.astype(jnp.float32),
            count=t,
        )
        return steps, (new, rate_state)

    return GradientTransformation(init, update)
