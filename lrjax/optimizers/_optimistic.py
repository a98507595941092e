"""Optimistic descent: the gradient, and how it has changed."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import Params, ScalarLike, ScalarOrSchedule, Updates
from lrjax.learning_rate import scale_by_learning_rate
from lrjax.optimizers._adam import adam_scaling
from lrjax.optimizers._rate import next_rate
from lrjax.schedules import as_schedule, schedulable
from lrjax.transform import GradientTransformation, chain


class ScaleByOptimisticGradientState(NamedTuple):
    """The state of optimistic descent.

    Attributes:
      is_initial_step: bool scalar, whether there is no gradient yet to compare with.
      previous_gradient: The last gradient, shaped like the parameters.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> bool(lrjax.scale_by_optimistic_gradient().init(jnp.zeros(2)).is_initial_step)
      True
    """

    is_initial_step: jax.Array
    previous_gradient: Params


def scale_by_optimistic_gradient(alpha: ScalarLike = 1.0, beta: ScalarLike = 1.0) -> GradientTransformation:
    r"""Extrapolates from the last two gradients: $u_t = (\alpha + \beta) g_t - \beta g_{t-1}$, $g_0 = g_1$.

    Args:
      alpha: $\alpha$ >= 0, the weight of the gradient.
      beta: $\beta$ >= 0, the weight of its change.

    Returns:
      A `GradientTransformation` with a `ScaleByOptimisticGradientState`.

    Raises:
      TypeError: If an argument is not one real number.
      ValueError: If it is out of its range.

    References:
      Mokhtari, Ozdaglar and Pattathil, A Unified Analysis of Extra-gradient and Optimistic Gradient
      Methods for Saddle Point Problems: Proximal Point Approach, 1901.08511, 2019.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.scale_by_optimistic_gradient()
      >>> first, state = tx.update(jnp.array(1.0), tx.init(jnp.array(0.0)))
      >>> second, state = tx.update(jnp.array(3.0), state)
      >>> float(first), float(second)
      (1.0, 5.0)
    """
    return _scale_by_optimistic_gradient("scale_by_optimistic_gradient", alpha, beta)


@schedulable
def optimistic_gradient_descent(
    learning_rate: ScalarOrSchedule, alpha: ScalarLike = 1.0, beta: ScalarLike = 1.0
) -> GradientTransformation:
    r"""Optimistic gradient descent, for games and saddle points.

    $\theta_{t+1} = \theta_t - \eta_t \left(\alpha g_t + \beta (g_t - g_{t-1})\right)$, with $g_0 = g_1$.
    It converges on bilinear games, where gradient descent circles.

    Args:
      learning_rate: $\eta$: a number, a tracer, a `Schedule` or a callable of the step.
      alpha: $\alpha$ >= 0, the weight of the gradient.
      beta: $\beta$ >= 0, the weight of its change.

    Returns:
      A `GradientTransformation`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range.

    References:
      Mokhtari, Ozdaglar and Pattathil, A Unified Analysis of Extra-gradient and Optimistic Gradient
      Methods for Saddle Point Problems: Proximal Point Approach, 1901.08511, 2019.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.optimistic_gradient_descent(0.5)
      >>> first, state = tx.update(jnp.array(1.0), tx.init(jnp.array(0.0)))
      >>> second, state = tx.update(jnp.array(3.0), state)
      >>> float(first), float(second)
      (-0.5, -2.5)
    """
    call = "optimistic_gradient_descent"
    return chain(
        _scale_by_optimistic_gradient(call, alpha, beta),
        scale_by_learning_rate(as_schedule(call, "learning_rate", learning_rate)),
    )


@schedulable
def optimistic_adam(
    learning_rate: ScalarOrSchedule,
    optimism: ScalarLike | None = None,
    b1: ScalarLike = 0.9,
    b2: ScalarLike = 0.999,
    eps: ScalarLike = 1e-8,
    eps_root: ScalarLike = 0.0,
    mu_dtype: Any = None,
    *,
    nesterov: bool = True,
) -> GradientTransformation:
    r"""Optimistic Adam with the weight of the change in absolute units; see `optimistic_adam_v2`.

    $\theta_{t+1} = \theta_t - \eta_t d_t - o (d_t - d_{t-1})$, where $d_t$ is Adam's direction and
    $d_0 = d_1$.

    Args:
      learning_rate: $\eta$: a number, a tracer, a `Schedule` or a callable of the step.
      optimism: $o$ >= 0; None for $\eta_t$.
      b1: $\beta_1$ in [0, 1).
      b2: $\beta_2$ in [0, 1).
      eps: $\epsilon$ >= 0, outside the root.
      eps_root: $\bar\epsilon$ >= 0, inside the root.
      mu_dtype: The dtype of the first moment; None for the parameters'. Static.
      nesterov: Whether Adam uses Dozat's NAdam look-ahead. Static.

    Returns:
      A `GradientTransformation`.

    Note:
      optax deprecates this form, and takes no schedules here. With $o$ given, learning rate 0 does
      not stop it.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range.

    References:
      Daskalakis et al., Training GANs with Optimism, 1711.00141, 2017.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.optimistic_adam(0.5, optimism=0.25)
      >>> grads = jnp.array([3.0, -0.01])
      >>> tx.update(grads, tx.init(grads))[0].round(2)
      Array([-0.74,  0.74], dtype=float32)
    """
    call = "optimistic_adam"
    adam = adam_scaling(call, b1, b2, eps, eps_root, mu_dtype, nesterov)
    owner = scale_by_learning_rate(as_schedule(call, "learning_rate", learning_rate))
    if optimism is None:
        return chain(adam, scale_by_optimistic_gradient(), owner)
    _check.number(call, "optimism", optimism, low=0)

    def init(params: Params) -> tuple[Any, ...]:
        return adam.init(params), _no_gradient_yet(params), owner.init(params)

    def update(
        updates: Updates, state: tuple[Any, ...], params: Params | None = None, **extra: Any
    ) -> tuple[Updates, tuple[Any, ...]]:
        adam_state, memory, rate_state = state
        d, adam_state = adam.update(updates, adam_state, params)
        eta, rate_state = next_rate(owner, rate_state, extra)
        steps, memory = _extrapolate(d, memory, -eta, -jnp.asarray(optimism, eta.dtype))
        return steps, (adam_state, memory, rate_state)

    return GradientTransformation(init, update)


@schedulable
def optimistic_adam_v2(
    learning_rate: ScalarOrSchedule,
    *,
    alpha: ScalarLike = 1.0,
    beta: ScalarLike = 1.0,
    b1: ScalarLike = 0.9,
    b2: ScalarLike = 0.999,
    eps: ScalarLike = 1e-8,
    eps_root: ScalarLike = 0.0,
    mu_dtype: Any = None,
    nesterov: bool = True,
) -> GradientTransformation:
    r"""Optimistic Adam, for games and saddle points.

    $\theta_{t+1} = \theta_t - \eta_t \left(\alpha d_t + \beta (d_t - d_{t-1})\right)$, where $d_t$ is
    Adam's direction and $d_0 = d_1$.

    Args:
      learning_rate: $\eta$: a number, a tracer, a `Schedule` or a callable of the step.
      alpha: $\alpha$ >= 0, the weight of the direction.
      beta: $\beta$ >= 0, the weight of its change.
      b1: $\beta_1$ in [0, 1).
      b2: $\beta_2$ in [0, 1).
      eps: $\epsilon$ >= 0, outside the root.
      eps_root: $\bar\epsilon$ >= 0, inside the root.
      mu_dtype: The dtype of the first moment; None for the parameters'. Static.
      nesterov: Whether Adam uses Dozat's NAdam look-ahead. Static.

    Returns:
      A `GradientTransformation`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range.

    References:
      Daskalakis et al., Training GANs with Optimism, 1711.00141, 2017.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.optimistic_adam_v2(0.5, nesterov=False)
      >>> grads = jnp.array([3.0, -0.01])
      >>> tx.update(grads, tx.init(grads))[0].round(4)
      Array([-0.5,  0.5], dtype=float32)
    """
    call = "optimistic_adam_v2"
    return chain(
        adam_scaling(call, b1, b2, eps, eps_root, mu_dtype, nesterov),
        _scale_by_optimistic_gradient(call, alpha, beta),
        scale_by_learning_rate(as_schedule(call, "learning_rate", learning_rate)),
    )


def _scale_by_optimistic_gradient(call: str, alpha: ScalarLike, beta: ScalarLike) -> GradientTransformation:
    """The extrapolation; errors name the public function the user called."""
    _check.number(call, "alpha", alpha, low=0)
    _check.number(call, "beta", beta, low=0)

    def update(
        updates: Updates, state: ScaleByOptimisticGradientState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, ScaleByOptimisticGradientState]:
        del params, extra
        return _extrapolate(updates, state, alpha, beta)

    return GradientTransformation(_no_gradient_yet, update)


def _no_gradient_yet(params: Params) -> ScaleByOptimisticGradientState:
    return ScaleByOptimisticGradientState(jnp.ones((), bool), _tree.zeros_like(params))


def _extrapolate(
    updates: Updates, state: ScaleByOptimisticGradientState, alpha: ScalarLike, beta: ScalarLike
) -> tuple[Updates, ScaleByOptimisticGradientState]:
    def leaf(g: Any, last: Any) -> Any:
        x = _tree.wide(g)
        step = alpha * x + beta * (x - jnp.where(state.is_initial_step, x, _tree.wide(last)))
        return step.astype(jnp.result_type(g))

    steps = jax.tree.map(leaf, updates, state.previous_gradient)
    remembered = _tree.cast_like(jax.tree.map(_tree.wide, updates), state.previous_gradient)
    return steps, ScaleByOptimisticGradientState(jnp.zeros((), bool), remembered)
