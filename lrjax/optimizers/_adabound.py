"""AdaBound and AMSBound: Adam whose step sizes close in on those of gradient descent."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import Params, ScalarLike, ScalarOrSchedule, Updates
from lrjax.learning_rate import scale_by_learning_rate
from lrjax.optimizers._adam import ScaleByAdamState
from lrjax.optimizers._amsgrad import ScaleByAmsgradState
from lrjax.optimizers._distance import adam_correction
from lrjax.schedules import as_schedule, schedulable
from lrjax.transform import GradientTransformation, chain


def scale_by_adabound(
    b1: ScalarLike = 0.9,
    b2: ScalarLike = 0.999,
    eps: ScalarLike = 1e-8,
    gamma: ScalarLike = 1e-3,
    final_scale: ScalarLike = 100.0,
    *,
    amsbound: bool = False,
) -> GradientTransformation:
    r"""AdaBound's scaling of updates.

    With Adam's moments, not debiased, and their correction
    $c_t = \sqrt{1 - \beta_2^t} / (1 - \beta_1^t)$, the update is
    $\mathrm{clip}\left(\frac{c_t}{\sqrt{v_t} + \epsilon}, s \left(1 - \frac{1}{\gamma t + 1}\right),
    s \left(1 + \frac{1}{\gamma t}\right)\right) m_t$: Adam at first, momentum in the end.

    Args:
      b1: $\beta_1$ in [0, 1), the decay of the first moment.
      b2: $\beta_2$ in [0, 1), the decay of the second moment.
      eps: $\epsilon$ >= 0.
      gamma: $\gamma$ > 0, the speed at which the bounds close in.
      final_scale: $s$ > 0, where they meet.
      amsbound: Whether $v_t$ is the largest second moment so far. Static.

    Returns:
      A `GradientTransformation` with a `ScaleByAdamState`, or with `amsbound` a
      `ScaleByAmsgradState`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range.

    References:
      Luo, Xiong, Liu and Sun, Adaptive Gradient Methods with Dynamic Bound of Learning Rate,
      1902.09843, 2019.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.scale_by_adabound(gamma=1.0, final_scale=2.0)
      >>> grads = jnp.array([3.0, -0.01])
      >>> tx.update(grads, tx.init(grads))[0].round(4)
      Array([ 1.   , -0.004], dtype=float32)
    """
    _check.boolean("scale_by_adabound", "amsbound", amsbound)
    return _scale_by_adabound("scale_by_adabound", b1, b2, eps, gamma, final_scale, amsbound)


@schedulable
def adabound(
    learning_rate: ScalarOrSchedule,
    b1: ScalarLike = 0.9,
    b2: ScalarLike = 0.999,
    eps: ScalarLike = 1e-8,
    gamma: ScalarLike = 1e-3,
    final_scale: ScalarLike = 100.0,
) -> GradientTransformation:
    r"""AdaBound: $\theta_{t+1} = \theta_t - \eta_t u_t$, with the $u_t$ of `scale_by_adabound`.

    The usual rate is 1e-3. In the end it is momentum with the rate $\eta_t s$: the authors'
    `final_lr` is $s$ times their rate.

    Args:
      learning_rate: $\eta$: a number, a tracer, a `Schedule` or a callable of the step.
      b1: $\beta_1$ in [0, 1).
      b2: $\beta_2$ in [0, 1).
      eps: $\epsilon$ >= 0.
      gamma: $\gamma$ > 0, the speed at which the bounds close in.
      final_scale: $s$ > 0, where they meet.

    Returns:
      A `GradientTransformation`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range.

    Note:
      The paper's algorithm divides the rate by $\sqrt t$ besides, its code does not: use a schedule.

    References:
      Luo, Xiong, Liu and Sun, Adaptive Gradient Methods with Dynamic Bound of Learning Rate,
      1902.09843, 2019.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.adabound(0.5, gamma=1.0, final_scale=2.0)
      >>> grads = jnp.array([3.0, -0.01])
      >>> tx.update(grads, tx.init(grads))[0].round(4)
      Array([-0.5  ,  0.002], dtype=float32)
    """
    return chain(
        _scale_by_adabound("adabound", b1, b2, eps, gamma, final_scale, False),
        scale_by_learning_rate(as_schedule("adabound", "learning_rate", learning_rate)),
    )


@schedulable
def amsbound(
    learning_rate: ScalarOrSchedule,
    b1: ScalarLike = 0.9,
    b2: ScalarLike = 0.999,
    eps: ScalarLike = 1e-8,
    gamma: ScalarLike = 1e-3,
    final_scale: ScalarLike = 100.0,
) -> GradientTransformation:
    r"""AMSBound: AdaBound with the largest second moment so far; see `adabound`.

    Args:
      learning_rate: $\eta$: a number, a tracer, a `Schedule` or a callable of the step.
      b1: $\beta_1$ in [0, 1).
      b2: $\beta_2$ in [0, 1).
      eps: $\epsilon$ >= 0.
      gamma: $\gamma$ > 0, the speed at which the bounds close in.
      final_scale: $s$ > 0, where they meet.

    Returns:
      A `GradientTransformation`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range.

    References:
      Luo, Xiong, Liu and Sun, Adaptive Gradient Methods with Dynamic Bound of Learning Rate,
      1902.09843, 2019.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.amsbound(0.5, gamma=1.0, final_scale=2.0)
      >>> grads = jnp.array([3.0, -0.01])
      >>> tx.update(grads, tx.init(grads))[0].round(4)
      Array([-0.5  ,  0.002], dtype=float32)
    """
    return chain(
        _scale_by_adabound("amsbound", b1, b2, eps, gamma, final_scale, True),
        scale_by_learning_rate(as_schedule("amsbound", "learning_rate", learning_rate)),
    )


def _scale_by_adabound(
    call: str,
    b1: ScalarLike,
    b2: ScalarLike,
    eps: ScalarLike,
    gamma: ScalarLike,
    final_scale: ScalarLike,
    amsbound: bool,
) -> GradientTransformation:
    """AdaBound's scaling; errors name the public function the user called."""
    _check.number(call, "b1", b1, low=0, high=1, open_high=True)
    _check.number(call, "b2", b2, low=0, high=1, open_high=True)
    _check.number(call, "eps", eps, low=0)
    _check.number(call, "gamma", gamma, low=0, open_low=True)
    _check.number(call, "final_scale", final_scale, low=0, open_low=True)

    def init(params: Params) -> Any:
        zeros = _tree.zeros_like(params, _tree.wide_real)
        state = ScaleByAdamState(jnp.zeros((), jnp.int32), _tree.zeros_like(params), zeros)
        return ScaleByAmsgradState(*state, nu_max=zeros) if amsbound else state

    def update(
        updates: Updates, state: Any, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, Any]:
        del params, extra
        t = _tree.next_count(state.count)
        m = _tree.moment(b1, updates, state.mu)
        v = _tree.second_moment(b2, updates, state.nu)
        used = jax.tree.map(jnp.maximum, state.nu_max, v) if amsbound else v
        correction = adam_correction(b1, b2, t)
        closing = gamma * t.astype(jnp.result_type(float))
        low, high = final_scale * closing / (closing + 1), final_scale * (1 + 1 / closing)

        def scale(g: Any, m: jax.Array, v: jax.Array) -> jax.Array:
            size = correction.astype(v.dtype) / (jnp.sqrt(v) + eps)
            return (m * jnp.clip(size, low.astype(v.dtype), high.astype(v.dtype))).astype(jnp.result_type(g))

        new = ScaleByAdamState(t, _tree.cast_like(m, state.mu), _tree.cast_like(v, state.nu))
        if amsbound:
            new = ScaleByAmsgradState(*new, nu_max=_tree.cast_like(used, state.nu_max))
        return jax.tree.map(scale, updates, m, used), new

    return GradientTransformation(init, update)
