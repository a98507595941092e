"""StableAdamW: AdamW with Adafactor's clipping of updates."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import MaskTree, Params, ScalarLike, ScalarOrSchedule, Updates
from lrjax.learning_rate import scale_by_learning_rate
from lrjax.optimizers._adam import ScaleByAdamState, adam_scaling
from lrjax.schedules import as_schedule, schedulable
from lrjax.transform import GradientTransformation, chain
from lrjax.transforms import add_decayed_weights


@schedulable
def stable_adamw(
    learning_rate: ScalarOrSchedule,
    b1: ScalarLike = 0.9,
    b2: ScalarLike = 0.99,
    eps: ScalarLike = 1e-6,
    weight_decay: ScalarLike = 1e-2,
    mask: MaskTree | None = None,
) -> GradientTransformation:
    r"""StableAdamW: AdamW whose steps are shorter where gradients outgrow their second moment.

    $\theta_{t+1} = \theta_t - \frac{\eta_t}{\max(1, \rho_t)} \left(\hat m_t / (\sqrt{\hat v_t} + \epsilon)
    + \lambda \theta_t\right)$ with Adam's debiased moments and, of one leaf at a time, $\rho_t =
    \sqrt{\mathrm{mean}(g_t^2 / \max(\hat v_t, \epsilon^2))}$. The usual rate is 1e-3; clipping by the norm is
    not needed.

    Args:
      learning_rate: $\eta$: a number, a tracer, a `Schedule` or a callable of the step.
      b1: $\beta_1$ in [0, 1).
      b2: $\beta_2$ in [0, 1).
      eps: $\epsilon$ > 0.
      weight_decay: $\lambda$ >= 0, multiplied by the shortened rate.
      mask: A tree of bools, True where parameters decay, or a callable that makes one. Static.

    Returns:
      A `GradientTransformation` whose `update` needs `params`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range; from `update`, if `params` is missing.

    References:
      Wortsman et al., Stable and Low-Precision Training for Large-Scale Vision-Language Models,
      2304.13013, 2023.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.stable_adamw(0.5, b2=0.75, weight_decay=0.0)
      >>> params = jnp.array([3.0, -0.5])
      >>> tx.update(params, tx.init(params), params)[0].round(4)
      Array([-0.5,  0.5], dtype=float32)
    """
    call = "stable_adamw"
    _check.number(call, "eps", eps, low=0, open_low=True)
    _check.number(call, "weight_decay", weight_decay, low=0)
    adam = adam_scaling(call, b1, b2, eps, 0.0, None, False)
    return chain(
        _shortened(adam, add_decayed_weights(weight_decay, mask), b2, eps),
        scale_by_learning_rate(as_schedule(call, "learning_rate", learning_rate)),
    )


def _shortened(
    adam: GradientTransformation, decay: GradientTransformation, b2: ScalarLike, eps: ScalarLike
) -> GradientTransformation:
    """Adam's direction and the decay, each leaf over what its gradient is too large by."""

    def init(params: Params) -> tuple[Any, Any]:
        return adam.init(params), decay.init(params)

    def update(
        updates: Updates, state: tuple[Any, Any], params: Params | None = None, **extra: Any
    ) -> tuple[Updates, tuple[ScaleByAdamState, Any]]:
        direction, adam_state = adam.update(jax.tree.map(_tree.wide, updates), state[0], params, **extra)
        direction, decay_state = decay.update(direction, state[1], params, **extra)

        def shorten(u: jax.Array, g: Any, v_hat: jax.Array) -> jax.Array:
            scaled = _tree.wide(g) / jnp.maximum(jnp.sqrt(v_hat), eps)
            shorter = _tree.divide(u, jnp.maximum(_tree.root_mean_square(scaled), 1))
            return shorter.astype(jnp.result_type(g))

        steps = jax.tree.map(shorten, direction, updates, _tree.debias(adam_state.nu, b2, adam_state.count))
        return steps, (adam_state, decay_state)

    return GradientTransformation(init, update)
