"""GI-Adam: Adam whose second moment begins at the first gradient's square."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from lrjax import _tree
from lrjax._types import Params, ScalarLike, ScalarOrSchedule, Updates
from lrjax.learning_rate import scale_by_learning_rate
from lrjax.optimizers._adam import ScaleByAdamState, adam_scaling
from lrjax.schedules import as_schedule, schedulable
from lrjax.transform import GradientTransformation, chain


def scale_by_gi_adam(
    b1: ScalarLike = 0.9, b2: ScalarLike = 0.999, eps: ScalarLike = 1e-8
) -> GradientTransformation:
    r"""GI-Adam's scaling of updates: Adam's, from $v_0 = g_1^2$ on.

    The second moment is divided by $1 - \beta_2^t$ all the same, so that the first steps are shorter by
    about $\sqrt{1 - \beta_2^t}$: a warmup that the method brings along. Without the division they would
    be as long as Adam's, and nothing gained.

    Args:
      b1: $\beta_1$ in [0, 1), the decay of the first moment.
      b2: $\beta_2$ in [0, 1), the decay of the second moment.
      eps: $\epsilon$ >= 0, outside the root.

    Returns:
      A `GradientTransformation` with a `ScaleByAdamState`.

    Note:
      The authors take $v_0$ from a batch of its own, before the first step; here it is the first step's.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range.

    References:
      Kalra and Barkeshli, Why Warmup the Learning Rate? Underlying Mechanisms and Improvements,
      2406.09405, 2024.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.scale_by_gi_adam(b2=0.99)
      >>> grads = jnp.array([3.0, -0.5])
      >>> tx.update(grads, tx.init(grads))[0].round(3) * 10
      Array([ 1., -1.], dtype=float32)
    """
    return _scale_by_gi_adam("scale_by_gi_adam", b1, b2, eps)


@schedulable
def gi_adam(
    learning_rate: ScalarOrSchedule,
    b1: ScalarLike = 0.9,
    b2: ScalarLike = 0.999,
    eps: ScalarLike = 1e-8,
) -> GradientTransformation:
    r"""GI-Adam: $\theta_{t+1} = \theta_t - \eta_t u_t$, with the $u_t$ of `scale_by_gi_adam`.

    It warms itself up over about $1 / (1 - \beta_2)$ steps. The usual rate is 1e-3.

    Args:
      learning_rate: $\eta$: a number, a tracer, a `Schedule` or a callable of the step.
      b1: $\beta_1$ in [0, 1).
      b2: $\beta_2$ in [0, 1).
      eps: $\epsilon$ >= 0, outside the root.

    Returns:
      A `GradientTransformation`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range.

    References:
      Kalra and Barkeshli, Why Warmup the Learning Rate? Underlying Mechanisms and Improvements,
      2406.09405, 2024.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.gi_adam(1.0, b2=0.99)
      >>> grads = jnp.array([3.0, -0.5])
      >>> tx.update(grads, tx.init(grads))[0].round(3) * 10
      Array([-1.,  1.], dtype=float32)
    """
    return chain(
        _scale_by_gi_adam("gi_adam", b1, b2, eps),
        scale_by_learning_rate(as_schedule("gi_adam", "learning_rate", learning_rate)),
    )


def _scale_by_gi_adam(call: str, b1: ScalarLike, b2: ScalarLike, eps: ScalarLike) -> GradientTransformation:
    """GI-Adam's scaling; errors name the public function the user called."""
    adam = adam_scaling(call, b1, b2, eps, 0.0, None, False)

    def update(
        updates: Updates, state: ScaleByAdamState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, Any]:
        def begin(g: Any, v: jax.Array) -> jax.Array:
            return jnp.where(state.count == 0, _tree.square(_tree.wide(g)), v).astype(v.dtype)

        begun = state._replace(nu=jax.tree.map(begin, updates, state.nu))
        return adam.update(updates, begun, params, **extra)

    return GradientTransformation(adam.init, update)
