"""D-Adaptation for gradient descent: a step length from how the gradients agree."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import Params, ScalarLike, ScalarOrSchedule, Updates
from lrjax.learning_rate import scale_by_learning_rate
from lrjax.optimizers._distance import larger_estimate, limited_growth
from lrjax.optimizers._rate import next_rate
from lrjax.schedules import as_schedule, schedulable
from lrjax.transform import GradientTransformation, require_params


class DAdaptSGDState(NamedTuple):
    """The state of D-Adaptation for gradient descent.

    Attributes:
      z: Where gradient descent without momentum is, shaped like the parameters, in at least float32.
      grad_sum: The sum of scaled gradients, likewise.
      estim_lr: float32 scalar, the estimate $d$ of the distance to the solution.
      numerator_weighted: float32 scalar, the sum of how gradients agree with their sum.
      first_norm: float32 scalar, the norm of the first gradient that was not 0; 0 before it came.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> state, rate_state = lrjax.dadapt_sgd().init(jnp.zeros(2))
      >>> round(float(state.estim_lr), 9)
      1e-06
    """

    z: Params
    grad_sum: Params
    estim_lr: jax.Array
    numerator_weighted: jax.Array
    first_norm: jax.Array


@schedulable
def dadapt_sgd(
    learning_rate: ScalarOrSchedule = 1.0,
    momentum: ScalarLike = 0.0,
    estim_lr0: ScalarLike = 1e-6,
    weight_decay: ScalarLike = 0.0,
    growth_rate: ScalarLike | None = None,
) -> GradientTransformation:
    r"""D-Adaptation for gradient descent: the step is an estimate $d_t$ of the distance to the solution.

    With $\lambda_t = d_t \eta_t / \|g_0\|$: $s_{t+1} = s_t + \lambda_t g_t$,
    $z_{t+1} = z_t - \lambda_t g_t$, $d_{t+1} = \max\left(d_t, \frac{2 \sum_{i \le t} \lambda_i \langle
    g_i, s_i \rangle}{\|s_{t+1}\|}\right)$ and $\theta_{t+1} = \beta \theta_t + (1 - \beta) z_{t+1}$.

    Args:
      learning_rate: $\eta$, a factor on the estimate: a number, a tracer, a `Schedule` or a
        callable of the step. 1 is what the method is made for; a warmup from 0 is fine.
      momentum: $\beta$ in [0, 1).
      estim_lr0: $d_0$ > 0, below the distance to the solution.
      weight_decay: $\lambda$ >= 0, added to the gradient as $\lambda \theta$.
      growth_rate: The factor >= 1 by which the estimate grows in one step at most, or None.

    Returns:
      A `GradientTransformation` whose state is `(DAdaptSGDState, ScaleByLearningRateState)`, and
      whose `update` needs `params`.

    Note:
      The factor 2 is that of the paper's experiments and of the authors' code; its theory has 1.
      Gradients of 0 before the first other one leave everything where it is. The rate that is found never
      falls again: full batches of a small network diverged without momentum, and trained with 0.9.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range; from `update`, if `params` is missing.

    References:
      Defazio and Mishchenko, Learning-Rate-Free Learning by D-Adaptation, 2301.07733, 2023.

    Example:
      >>> import jax, jax.numpy as jnp, lrjax
      >>> tx = lrjax.dadapt_sgd()
      >>> params = jnp.array(1.0)
      >>> state = tx.init(params)
      >>> step = jax.jit(tx.update)
      >>> for _ in range(100):
      ...     updates, state = step(jax.grad(jnp.square)(params), state, params)
      ...     params = lrjax.apply_updates(params, updates)
      >>> bool(abs(params) < 0.1), bool(state[0].estim_lr > 0.1)
      (True, True)
    """
    call = "dadapt_sgd"
    _check.number(call, "momentum", momentum, low=0, high=1, open_high=True)
    _check.number(call, "estim_lr0", estim_lr0, low=0, open_low=True)
    _check.number(call, "weight_decay", weight_decay, low=0)
    if growth_rate is not None:
        _check.number(call, "growth_rate", growth_rate, low=1)
    owner = scale_by_learning_rate(as_schedule(call, "learning_rate", learning_rate))

    def init(params: Params) -> tuple[Any, ...]:
        state = DAdaptSGDState(
            # an array of its own, so that a caller may donate both
            z=jax.tree.map(lambda p: jnp.array(p, _tree.wide_dtype(p)), params),
            grad_sum=_tree.zeros_like(params, _tree.wide_dtype),
            estim_lr=jnp.asarray(estim_lr0, jnp.float32),
            numerator_weighted=jnp.zeros((), jnp.float32),
            first_norm=jnp.zeros((), jnp.float32),
        )
        return state, owner.init(params)

    def update(
        updates: Updates, state: tuple[Any, ...], params: Params | None = None, **extra: Any
    ) -> tuple[Updates, tuple[Any, ...]]:
        require_params(f"{call}.update", params, "the way back from momentum")
        old, rate_state = state
        eta, rate_state = next_rate(owner, rate_state, extra)
        d = old.estim_lr.astype(eta.dtype)
        g = jax.tree.map(lambda g, p: _tree.wide(g) + weight_decay * _tree.wide(p), updates, params)
        first_norm = jnp.where(old.first_norm > 0, old.first_norm, _tree.norm(g))
        known = first_norm > 0
        lam = jnp.where(known, d * eta / jnp.where(known, first_norm, 1), 0)

        step = jax.tree.map(lambda g: _tree.multiply(g, lam), g)
        numerator = old.numerator_weighted + _tree.vdot(step, old.grad_sum)
        s = jax.tree.map(jnp.add, old.grad_sum, step)
        z = jax.tree.map(jnp.subtract, old.z, step)
        d_next = limited_growth(d, larger_estimate(d, 2 * numerator, _tree.norm(s)), growth_rate)

        # beta theta + (1 - beta) z - theta
        moves = jax.tree.map(lambda z, p: (1 - momentum) * (z - _tree.wide(p)), z, params)
        new = DAdaptSGDState(
            z=_tree.cast_like(z, old.z),
            grad_sum=_tree.cast_like(s, old.grad_sum),
            estim_lr=d_next.astype(jnp.float32),
            numerator_weighted=numerator.astype(jnp.float32),
            first_norm=first_norm.astype(jnp.float32),
        )
        return _tree.cast_like(moves, updates), (new, rate_state)

    return GradientTransformation(init, update)
