"""AdaMax: Adam with the largest gradient of late in the place of the second moment."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import MaskTree, Params, ScalarLike, ScalarOrSchedule, Updates
from lrjax.learning_rate import scale_by_learning_rate
from lrjax.optimizers._adam import ScaleByAdamState
from lrjax.schedules import as_schedule, schedulable
from lrjax.transform import GradientTransformation, chain
from lrjax.transforms import add_decayed_weights


def scale_by_adamax(
    b1: ScalarLike = 0.9, b2: ScalarLike = 0.999, eps: ScalarLike = 1e-8
) -> GradientTransformation:
    r"""AdaMax's scaling of updates.

    $m_t = \beta_1 m_{t-1} + (1 - \beta_1) g_t$, $u_t = \max(\beta_2 u_{t-1}, |g_t| + \epsilon)$;
    the update is $m_t / ((1 - \beta_1^t) u_t)$.

    Args:
      b1: $\beta_1$ in [0, 1), the decay of the first moment.
      b2: $\beta_2$ in [0, 1], the decay of the largest gradient.
      eps: $\epsilon$ >= 0. The paper has none; the update is 0 where $u_t$ is.

    Returns:
      A `GradientTransformation` with a `ScaleByAdamState`, whose `nu` is $u$.

    Raises:
      TypeError: If an argument is not one real number.
      ValueError: If it is out of its range.

    References:
      Kingma and Ba, Adam: A Method for Stochastic Optimization, 1412.6980, 2014 (section 7.1).

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.scale_by_adamax()
      >>> grads = jnp.array([3.0, -0.01])
      >>> tx.update(grads, tx.init(grads))[0].round(4)
      Array([ 1., -1.], dtype=float32)
    """
    return _scale_by_adamax("scale_by_adamax", b1, b2, eps)


@schedulable
def adamax(
    learning_rate: ScalarOrSchedule, b1: ScalarLike = 0.9, b2: ScalarLike = 0.999, eps: ScalarLike = 1e-8
) -> GradientTransformation:
    r"""AdaMax: $\theta_{t+1} = \theta_t - \eta_t m_t / ((1 - \beta_1^t) u_t)$.

    The moments are those of `scale_by_adamax`. The usual rate is 2e-3.

    Args:
      learning_rate: $\eta$: a number, a tracer, a `Schedule` or a callable of the step.
      b1: $\beta_1$ in [0, 1).
      b2: $\beta_2$ in [0, 1].
      eps: $\epsilon$ >= 0.

    Returns:
      A `GradientTransformation`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range.

    References:
      Kingma and Ba, Adam: A Method for Stochastic Optimization, 1412.6980, 2014 (section 7.1).

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.adamax(0.5)
      >>> grads = jnp.array([3.0, -0.01])
      >>> tx.update(grads, tx.init(grads))[0].round(4)
      Array([-0.5,  0.5], dtype=float32)
    """
    return chain(
        _scale_by_adamax("adamax", b1, b2, eps),
        scale_by_learning_rate(as_schedule("adamax", "learning_rate", learning_rate)),
    )


@schedulable
def adamaxw(
    learning_rate: ScalarOrSchedule,
    b1: ScalarLike = 0.9,
    b2: ScalarLike = 0.999,
    eps: ScalarLike = 1e-8,
    weight_decay: ScalarLike = 1e-4,
    mask: MaskTree | None = None,
) -> GradientTransformation:
    r"""AdaMax with decoupled weight decay.

    $\theta_{t+1} = \theta_t - \eta_t \left(m_t / ((1 - \beta_1^t) u_t) + \lambda \theta_t\right)$, with
    the moments of `scale_by_adamax`. The decay is multiplied by the learning rate.

    Args:
      learning_rate: $\eta$: a number, a tracer, a `Schedule` or a callable of the step.
      b1: $\beta_1$ in [0, 1).
      b2: $\beta_2$ in [0, 1].
      eps: $\epsilon$ >= 0.
      weight_decay: $\lambda$ >= 0.
      mask: A tree of bools, True where parameters decay, or a callable that makes one. Static.

    Returns:
      A `GradientTransformation` whose `update` needs `params`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range; from `update`, if `params` is missing.

    References:
      Kingma and Ba, Adam: A Method for Stochastic Optimization, 1412.6980, 2014 (section 7.1).
      Loshchilov and Hutter, Decoupled Weight Decay Regularization, 1711.05101, 2017.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.adamaxw(0.1, weight_decay=0.5)
      >>> params = jnp.array(2.0)
      >>> round(float(tx.update(jnp.array(0.0), tx.init(params), params)[0]), 6)
      -0.1
    """
    _check.number("adamaxw", "weight_decay", weight_decay, low=0)
    return chain(
        _scale_by_adamax("adamaxw", b1, b2, eps),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(as_schedule("adamaxw", "learning_rate", learning_rate)),
    )


def _scale_by_adamax(call: str, b1: ScalarLike, b2: ScalarLike, eps: ScalarLike) -> GradientTransformation:
    """AdaMax's scaling; errors name the public function the user called."""
    _check.number(call, "b1", b1, low=0, high=1, open_high=True)
    _check.number(call, "b2", b2, low=0, high=1)
    _check.number(call, "eps", eps, low=0)

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
        u = jax.tree.map(lambda g, u: jnp.maximum(b2 * u, jnp.abs(_tree.wide(g)) + eps), updates, state.nu)

        def scale(m: jax.Array, u: jax.Array) -> jax.Array:
            return jnp.where(u > 0, m / jnp.where(u > 0, u, 1), 0)

        step = jax.tree.map(scale, _tree.debias(m, b1, t), u)
        new_state = ScaleByAdamState(t, _tree.cast_like(m, state.mu), _tree.cast_like(u, state.nu))
        return _tree.cast_like(step, updates), new_state

    return GradientTransformation(init, update)
