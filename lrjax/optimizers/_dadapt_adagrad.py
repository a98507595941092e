"""D-Adaptation for AdaGrad."""

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


class DAdaptAdaGradState(NamedTuple):
    """The state of D-Adaptation for AdaGrad.

    Attributes:
      init_params: The first parameters, in at least float32.
      grad_sum: The sum of scaled gradients, likewise.
      sum_of_squares: The sum of squared gradients, likewise.
      estim_lr: float32 scalar, the estimate $d$ of the distance to the solution.
      weighted_squares: float32 scalar, the sum of squared norms of scaled gradients.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> state, rate_state = lrjax.dadapt_adagrad().init(jnp.zeros(2))
      >>> round(float(state.estim_lr), 9)
      1e-06
    """

    init_params: Params
    grad_sum: Params
    sum_of_squares: Params
    estim_lr: jax.Array
    weighted_squares: jax.Array


@schedulable
def dadapt_adagrad(
    learning_rate: ScalarOrSchedule = 1.0,
    momentum: ScalarLike = 0.0,
    eps: ScalarLike = 1e-8,
    estim_lr0: ScalarLike = 1e-6,
    initial_accumulator_value: ScalarLike = 1e-6,
    weight_decay: ScalarLike = 0.0,
    growth_rate: ScalarLike | None = None,
) -> GradientTransformation:
    r"""D-Adaptation for AdaGrad: the step size is an estimate $d_t$ of the distance to the solution.

    With $a_{t+1} = a_t + g_t^2$, $A_t = \sqrt{a_t} + \epsilon$, $\lambda_t = d_t \eta_t$ and
    $s_{t+1} = s_t + \lambda_t g_t$, products and quotients by coordinate:
    $d_{t+1} = \max\left(d_t, \frac{\|s_{t+1}\|^2_{1/A_{t+1}} - \sum_{i \le t} \lambda_i^2
    \|g_i\|^2_{1/A_{i+1}}}{\|s_{t+1}\|_1}\right)$, $z_{t+1} = \theta_0 - s_{t+1} / A_{t+1}$ and
    $\theta_{t+1} = \beta \theta_t + (1 - \beta) z_{t+1}$.

    Args:
      learning_rate: $\eta$, a factor on the estimate: a number, a tracer, a `Schedule` or a
        callable of the step. 1 is what the method is made for; a warmup from 0 is fine.
      momentum: $\beta$ in [0, 1).
      eps: $\epsilon$ >= 0, outside the root.
      estim_lr0: $d_0$ > 0, below the distance to the solution, by the largest coordinate.
      initial_accumulator_value: $a_0$ > 0. The paper's is the square of the largest gradient there
        can be, the authors' code has 1e-6.
      weight_decay: $\lambda$ >= 0, added to the gradient as $\lambda \theta$.
      growth_rate: The factor >= 1 by which the estimate grows in one step at most, or None.

    Returns:
      A `GradientTransformation` whose state is `(DAdaptAdaGradState, ScaleByLearningRateState)`, and
      whose `update` needs `params`.

    Note:
      As in the authors' code the sum over $i$ has the squares of step $i$ in it, and the quotient is
      twice the paper's, which bounds the distance from below. Its authors recommend their Adam.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range; from `update`, if `params` is missing.

    References:
      Defazio and Mishchenko, Learning-Rate-Free Learning by D-Adaptation, 2301.07733, 2023.

    Example:
      >>> import jax, jax.numpy as jnp, lrjax
      >>> tx = lrjax.dadapt_adagrad(estim_lr0=1e-3)
      >>> params = jnp.array(1.0)
      >>> state = tx.init(params)
      >>> step = jax.jit(tx.update)
      >>> for _ in range(200):
      ...     updates, state = step(jax.grad(jnp.square)(params), state, params)
      ...     params = lrjax.apply_updates(params, updates)
      >>> bool(abs(params) < 0.5), bool(state[0].estim_lr > 0.01)
      (True, True)
    """
    call = "dadapt_adagrad"
    _check.number(call, "momentum", momentum, low=0, high=1, open_high=True)
    _check.number(call, "eps", eps, low=0)
    _check.number(call, "estim_lr0", estim_lr0, low=0, open_low=True)
    _check.number(call, "initial_accumulator_value", initial_accumulator_value, low=0, open_low=True)
    _check.number(call, "weight_decay", weight_decay, low=0)
    if growth_rate is not None:
        _check.number(call, "growth_rate", growth_rate, low=1)
    owner = scale_by_learning_rate(as_schedule(call, "learning_rate", learning_rate))

    def init(params: Params) -> tuple[Any, ...]:
        state = DAdaptAdaGradState(
            # an array of its own, so that a caller may donate both
            init_params=jax.tree.map(lambda p: jnp.array(p, _tree.wide_dtype(p)), params),
            grad_sum=_tree.zeros_like(params, _tree.wide_dtype),
            sum_of_squares=_tree.full_like(params, initial_accumulator_value, _tree.wide_real),
            estim_lr=jnp.asarray(estim_lr0, jnp.float32),
            weighted_squares=jnp.zeros((), jnp.float32),
        )
        return state, owner.init(params)

    def update(
        updates: Updates, state: tuple[Any, ...], params: Params | None = None, **extra: Any
    ) -> tuple[Updates, tuple[Any, ...]]:
        require_params(f"{call}.update", params, "the way back from momentum")
        old, rate_state = state
        eta, rate_state = next_rate(owner, rate_state, extra)
        d = old.estim_lr.astype(eta.dtype)
        lam = d * eta

        def over_root(x: jax.Array, a: jax.Array) -> jax.Array:
            return x / (jnp.sqrt(a) + eps)

        def weighted(x: Params) -> jax.Array:
            """The squared norm, each coordinate over its root."""
            return _tree.vdot(x, jax.tree.map(over_root, x, a))

        g = jax.tree.map(lambda g, p: _tree.wide(g) + weight_decay * _tree.wide(p), updates, params)
        a = jax.tree.map(lambda g, a: a + _tree.square(g), g, old.sum_of_squares)
        step = jax.tree.map(lambda g: _tree.multiply(g, lam), g)
        s = jax.tree.map(jnp.add, old.grad_sum, step)
        squares = old.weighted_squares + weighted(step)
        estimate = larger_estimate(d, weighted(s) - squares, _tree.sum_of_magnitudes(s))
        d_next = limited_growth(d, estimate, growth_rate)

        def move(x0: jax.Array, s: jax.Array, a: jax.Array, p: Any) -> Any:
            # beta theta + (1 - beta) z - theta
            return (1 - momentum) * (x0 - over_root(s, a) - _tree.wide(p))

        moves = jax.tree.map(move, old.init_params, s, a, params)
        new = DAdaptAdaGradState(
            init_params=old.init_params,
            grad_sum=_tree.cast_like(s, old.grad_sum),
            sum_of_squares=_tree.cast_like(a, old.sum_of_squares),
            estim_lr=d_next.astype(jnp.float32),
            weighted_squares=squares.astype(jnp.float32),
        )
        return _tree.cast_like(moves, updates), (new, rate_state)

    return GradientTransformation(init, update)
