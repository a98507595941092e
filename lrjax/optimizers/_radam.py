"""RAdam: Adam that waits until the variance of its step is known."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import Params, ScalarLike, ScalarOrSchedule, Updates
from lrjax.learning_rate import scale_by_learning_rate
from lrjax.optimizers._adam import ScaleByAdamState
from lrjax.schedules import as_schedule, schedulable
from lrjax.transform import GradientTransformation, chain


def scale_by_radam(
    b1: ScalarLike = 0.9,
    b2: ScalarLike = 0.999,
    eps: ScalarLike = 1e-8,
    eps_root: ScalarLike = 0.0,
    threshold: ScalarLike = 5.0,
    *,
    nesterov: bool = False,
) -> GradientTransformation:
    r"""RAdam's scaling of updates.

    With Adam's debiased moments, $\rho_\infty = 2 / (1 - \beta_2) - 1$ and
    $\rho_t = \rho_\infty - 2 t \beta_2^t / (1 - \beta_2^t)$, the update is
    $r_t \hat m_t / (\sqrt{\hat v_t + \bar\epsilon} + \epsilon)$,
    $r_t^2 = \frac{(\rho_t - 4)(\rho_t - 2) \rho_\infty}{(\rho_\infty - 4)(\rho_\infty - 2) \rho_t}$, where
    $\rho_t$ has reached the threshold, and $\hat m_t$ before.

    Args:
      b1: $\beta_1$ in [0, 1), the decay of the first moment.
      b2: $\beta_2$ in [0, 1), the decay of the second moment. At 0.6 and below $\rho_t$ never
        passes 4, and updates are never scaled.
      eps: $\epsilon$ >= 0, outside the root.
      eps_root: $\bar\epsilon$ >= 0, inside the root.
      threshold: The $\rho_t$ from which on the second moment is used, >= 4.
      nesterov: Whether to use Dozat's NAdam look-ahead. Static.

    Returns:
      A `GradientTransformation` with a `ScaleByAdamState`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range.

    References:
      Liu et al., On the Variance of the Adaptive Learning Rate and Beyond, 1908.03265, 2019.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.scale_by_radam()
      >>> grads = jnp.array([3.0, -0.5])
      >>> tx.update(grads, tx.init(grads))[0].round(4)
      Array([ 3. , -0.5], dtype=float32)
    """
    return _scale_by_radam("scale_by_radam", b1, b2, eps, eps_root, threshold, nesterov)


@schedulable
def radam(
    learning_rate: ScalarOrSchedule,
    b1: ScalarLike = 0.9,
    b2: ScalarLike = 0.999,
    eps: ScalarLike = 1e-8,
    eps_root: ScalarLike = 0.0,
    threshold: ScalarLike = 5.0,
    *,
    nesterov: bool = False,
) -> GradientTransformation:
    r"""Rectified Adam: $\theta_{t+1} = \theta_t - \eta_t u_t$, with the $u_t$ of `scale_by_radam`.

    It warms itself up: the first steps, five with the defaults, are momentum's, the next ones
    short. The usual rate is 1e-3.

    Args:
      learning_rate: $\eta$: a number, a tracer, a `Schedule` or a callable of the step.
      b1: $\beta_1$ in [0, 1).
      b2: $\beta_2$ in [0, 1).
      eps: $\epsilon$ >= 0, outside the root.
      eps_root: $\bar\epsilon$ >= 0, inside the root.
      threshold: The $\rho_t$ from which on the second moment is used, >= 4: the paper's is 4,
        optax's and PyTorch's 5.
      nesterov: Whether to use Dozat's NAdam look-ahead. Static.

    Returns:
      A `GradientTransformation`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range.

    References:
      Liu et al., On the Variance of the Adaptive Learning Rate and Beyond, 1908.03265, 2019.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.radam(0.5)
      >>> grads = jnp.array([3.0, -0.5])
      >>> tx.update(grads, tx.init(grads))[0].round(4)
      Array([-1.5 ,  0.25], dtype=float32)
    """
    return chain(
        _scale_by_radam("radam", b1, b2, eps, eps_root, threshold, nesterov),
        scale_by_learning_rate(as_schedule("radam", "learning_rate", learning_rate)),
    )


def _scale_by_radam(
    call: str,
    b1: ScalarLike,
    b2: ScalarLike,
    eps: ScalarLike,
    eps_root: ScalarLike,
    threshold: ScalarLike,
    nesterov: bool,
) -> GradientTransformation:
    """RAdam's scaling; errors name the public function the user called."""
    _check.number(call, "b1", b1, low=0, high=1, open_high=True)
    _check.number(call, "b2", b2, low=0, high=1, open_high=True)
    _check.number(call, "eps", eps, low=0)
    _check.number(call, "eps_root", eps_root, low=0)
    _check.number(call, "threshold", threshold, low=4)
    _check.boolean(call, "nesterov", nesterov)

    def init(params: Params) -> ScaleByAdamState:
        return ScaleByAdamState(
            count=jnp.zeros((), jnp.int32),
            mu=_tree.zeros_like(params),
            nu=_tree.zeros_like(params, _tree.wide_real),
        )

    def update(
        updates: Updates, state: ScaleByAdamState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, ScaleByAdamState]:
        del params, extra
        t = _tree.next_count(state.count)
        m = _tree.moment(b1, updates, state.mu)
        v = _tree.second_moment(b2, updates, state.nu)
        m_hat = _tree.debias_ahead(m, updates, b1, t) if nesterov else _tree.debias(m, b1, t)
        known, r = rectification(b2, t, threshold)

        def scale(m: jax.Array, v: jax.Array) -> jax.Array:
            return jnp.where(known, _tree.multiply(m, r) / (jnp.sqrt(v + eps_root) + eps), m)

        step = jax.tree.map(scale, m_hat, _tree.debias(v, b2, t))
        new_state = ScaleByAdamState(t, _tree.cast_like(m, state.mu), _tree.cast_like(v, state.nu))
        return _tree.cast_like(step, updates), new_state

    return GradientTransformation(init, update)


def rectification(b2: ScalarLike, t: jax.Array, threshold: ScalarLike) -> tuple[jax.Array, jax.Array]:
    """Whether the second moment is to be used at step `t`, and the factor on the step then."""
    rho_inf = jnp.asarray(2 / (1 - b2) - 1, jnp.result_type(float))  # of a Python number in float64
    rho = _degrees_of_freedom(rho_inf, b2, t)
    known = rho >= threshold
    rho, rho_inf = jnp.where(known, rho, 8), jnp.where(known, rho_inf, 8)  # what is not used stays finite
    r = (rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)
    return known, jnp.sqrt(r)


def _degrees_of_freedom(rho_inf: jax.Array, b2: ScalarLike, t: jax.Array) -> jax.Array:
    r"""$\rho_t$; early on, where it is the small difference of large numbers, by a form without one.

    With $l = -\log \beta_2$ and Langevin's function $L(y) = \coth y - 1/y$ it is
    $t + L(l/2) - t L(t l/2)$.
    """
    steps = t.astype(rho_inf.dtype)
    still_there = _tree.one_minus_power(b2, t)
    late = rho_inf - 2 * steps * (1 - still_there) / still_there
    rate = -_tree.log_of(b2)
    early = steps + _langevin(rate / 2) - steps * _langevin(steps * rate / 2)
    return jnp.where(steps * rate < 0.5, early, late)


def _langevin(y: jax.Array) -> jax.Array:
    r"""$\coth y - 1/y$ for $0 \le y \le 1/4$, by its series, without cancellation."""
    y = jnp.minimum(y, 0.25)
    z = y * y
    coefficients = (1 / 3, -1 / 45, 2 / 945, -1 / 4725, 2 / 93555, -1382 / 638512875)
    return y * jnp.polyval(jnp.asarray(coefficients[::-1], y.dtype), z)
