"""Yogi: Adam whose second moment moves by steps of one size, whatever it is."""

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


def scale_by_yogi(
    b1: ScalarLike = 0.9,
    b2: ScalarLike = 0.999,
    eps: ScalarLike = 1e-3,
    eps_root: ScalarLike = 0.0,
    initial_accumulator_value: ScalarLike = 1e-6,
) -> GradientTransformation:
    r"""Yogi's scaling of updates.

    $m_t = \beta_1 m_{t-1} + (1 - \beta_1) g_t$,
    $v_t = v_{t-1} - (1 - \beta_2) \operatorname{sign}(v_{t-1} - |g_t|^2) |g_t|^2$; both are debiased
    as in Adam, and the update is $\hat m_t / (\sqrt{\hat v_t + \bar\epsilon} + \epsilon)$.

    Args:
      b1: $\beta_1$ in [0, 1), the decay of the first moment.
      b2: $\beta_2$ in [0, 1), the decay of the second moment.
      eps: $\epsilon$ > 0, outside the root.
      eps_root: $\bar\epsilon$ >= 0, inside the root.
      initial_accumulator_value: $m_0 = v_0$ >= 0. As $m_0$ is not 0, the first steps move a little
        where gradients are 0 too.

    Returns:
      A `GradientTransformation` with a `ScaleByAdamState`.

    Raises:
      TypeError: If an argument is not one real number.
      ValueError: If it is out of its range.

    References:
      Zaheer et al., Adaptive Methods for Nonconvex Optimization, NeurIPS 2018.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.scale_by_yogi(initial_accumulator_value=0.0)
      >>> grads = jnp.array(3.0)
      >>> round(float(tx.update(grads, tx.init(grads))[0]), 4)
      0.9997
    """
    return _scale_by_yogi("scale_by_yogi", b1, b2, eps, eps_root, initial_accumulator_value)


@schedulable
def yogi(
    learning_rate: ScalarOrSchedule, b1: ScalarLike = 0.9, b2: ScalarLike = 0.999, eps: ScalarLike = 1e-3
) -> GradientTransformation:
    r"""Yogi: $\theta_{t+1} = \theta_t - \eta_t \hat m_t / (\sqrt{\hat v_t} + \epsilon)$.

    The moments are those of `scale_by_yogi`, started at 1e-6. The usual rate is 1e-2.

    Args:
      learning_rate: $\eta$: a number, a tracer, a `Schedule` or a callable of the step.
      b1: $\beta_1$ in [0, 1).
      b2: $\beta_2$ in [0, 1).
      eps: $\epsilon$ > 0.

    Returns:
      A `GradientTransformation`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range.

    References:
      Zaheer et al., Adaptive Methods for Nonconvex Optimization, NeurIPS 2018.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.yogi(0.5)
      >>> grads = jnp.array(3.0)
      >>> round(float(tx.update(grads, tx.init(grads))[0]), 3)
      -0.5
    """
    return chain(
        _scale_by_yogi("yogi", b1, b2, eps, 0.0, 1e-6),
        scale_by_learning_rate(as_schedule("yogi", "learning_rate", learning_rate)),
    )


def _scale_by_yogi(
    call: str,
    b1: ScalarLike,
    b2: ScalarLike,
    eps: ScalarLike,
    eps_root: ScalarLike,
    initial_accumulator_value: ScalarLike,
) -> GradientTransformation:
    """Yogi's scaling; errors name the public function the user called."""
    _check.number(call, "b1", b1, low=0, high=1, open_high=True)
    _check.number(call, "b2", b2, low=0, high=1, open_high=True)
    _check.number(call, "eps", eps, low=0, open_low=True)
    _check.number(call, "eps_root", eps_root, low=0)
    _check.number(call, "initial_accumulator_value", initial_accumulator_value, low=0)

    def init(params: Params) -> ScaleByAdamState:
        return ScaleByAdamState(
            count=jnp.zeros((), jnp.int32),
            mu=_tree.full_like(params, initial_accumulator_value),
            nu=_tree.full_like(params, initial_accumulator_value, _tree.wide_real),
        )

    def update(
        updates: Updates, state: ScaleByAdamState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, ScaleByAdamState]:
        del params, extra
        t = _tree.next_count(state.count)
        m = _tree.moment(b1, updates, state.mu)

        def towards(g: Any, v: jax.Array) -> jax.Array:
            square = _tree.square(_tree.wide(g))
            return v - (1 - b2) * jnp.sign(v - square) * square

        v = jax.tree.map(towards, updates, state.nu)
        m_hat, v_hat = _tree.debias(m, b1, t), _tree.debias(v, b2, t)
        step = jax.tree.map(lambda m, v: m / (jnp.sqrt(v + eps_root) + eps), m_hat, v_hat)
        new_state = ScaleByAdamState(t, _tree.cast_like(m, state.mu), _tree.cast_like(v, state.nu))
        return _tree.cast_like(step, updates), new_state

    return GradientTransformation(init, update)
