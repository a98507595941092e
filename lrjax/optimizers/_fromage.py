"""Fromage: steps of a fixed relative length in every layer."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from lrjax import _tree
from lrjax._types import Params, ScalarLike, ScalarOrSchedule, Updates
from lrjax.learning_rate import scale_by_learning_rate
from lrjax.optimizers._rate import next_rate
from lrjax.schedules import as_schedule, schedulable
from lrjax.transform import EmptyState, GradientTransformation, require_params
from lrjax.transforms import trust_ratio


@schedulable
def fromage(learning_rate: ScalarOrSchedule, min_norm: ScalarLike = 1e-6) -> GradientTransformation:
    r"""Fromage: every leaf turns by the same angle, and keeps its length.

    $\theta_{t+1} = \frac{1}{\sqrt{1 + \eta_t^2}} \left(\theta_t - \eta_t
    \frac{\|\theta_t\|}{\|g_t\|} g_t\right)$, the norms of one leaf at a time. The usual rate is 1e-2.

    Args:
      learning_rate: $\eta$: a number, a tracer, a `Schedule` or a callable of the step.
      min_norm: The least norm, >= 0.

    Returns:
      A `GradientTransformation` whose `update` needs `params`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range; from `update`, if `params` is missing.

    References:
      Bernstein et al., On the distance between two neural networks and the stability of learning,
      2002.03432, 2020.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.fromage(0.75)
      >>> params = jnp.array(4.0)
      >>> round(float(tx.update(jnp.array(2.0), tx.init(params), params)[0]), 4)
      -3.2
    """
    scaling = trust_ratio("fromage", min_norm, 1.0, 0.0)
    owner = scale_by_learning_rate(as_schedule("fromage", "learning_rate", learning_rate))

    def init(params: Params) -> tuple[Any, ...]:
        return scaling.init(params), owner.init(params), EmptyState()

    def update(
        updates: Updates, state: tuple[Any, ...], params: Params | None = None, **extra: Any
    ) -> tuple[Updates, tuple[Any, ...]]:
        require_params("fromage.update", params, "the trust ratio")
        # Wide: the step is rounded once, when it is whole.
        scaled, _ = scaling.update(jax.tree.map(_tree.wide, updates), state[0], params)
        eta, rate_state = next_rate(owner, state[1], extra)
        hypotenuse = jnp.sqrt(1 + eta**2)
        along = -eta / hypotenuse
        shrink = -(eta**2) / (hypotenuse * (1 + hypotenuse))  # 1 / hypotenuse - 1 without cancellation

        def step(u: Any, p: Any) -> jax.Array:
            return _tree.multiply(u, along) + _tree.multiply(_tree.wide(p), shrink)

        steps = _tree.cast_like(jax.tree.map(step, scaled, params), updates)
        return steps, (state[0], rate_state, state[2])

    return GradientTransformation(init, update)
