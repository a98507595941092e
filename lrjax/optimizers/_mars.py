"""MARS: AdamW on gradients whose variance is reduced by how they change."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import MaskTree, Params, ScalarLike, ScalarOrSchedule, Updates
from lrjax.learning_rate import scale_by_learning_rate
from lrjax.optimizers._adam import ScaleByAdamState, adam_scaling
from lrjax.schedules import as_schedule, schedulable
from lrjax.transform import GradientTransformation, chain
from lrjax.transforms import add_decayed_weights


class ScaleByMarsState(NamedTuple):
    """The state of MARS.

    Attributes:
      adam: Adam's moments, of corrected gradients: a `ScaleByAdamState`.
      last_grad: The gradient before, shaped like the parameters, in at least float32.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> int(lrjax.scale_by_mars().init(jnp.zeros(2)).adam.count)
      0
    """

    adam: ScaleByAdamState
    last_grad: Params


def scale_by_mars(
    b1: ScalarLike = 0.95,
    b2: ScalarLike = 0.99,
    eps: ScalarLike = 1e-8,
    gamma: ScalarLike = 0.025,
    max_norm: ScalarLike = 1.0,
) -> GradientTransformation:
    r"""MARS's scaling of updates.

    $c_t = g_t + \gamma \frac{\beta_1}{1 - \beta_1} (g_t - g_{t-1})$, of each leaf shortened to the norm $n$
    where it is longer; the update is Adam's, of $c_t$ in the place of the gradient. At the first step
    $c_t = g_t$.

    Args:
      b1: $\beta_1$ in [0, 1), the decay of the first moment.
      b2: $\beta_2$ in [0, 1), the decay of the second moment.
      eps: $\epsilon$ >= 0, outside the root.
      gamma: $\gamma$ >= 0, how far gradients are corrected; 0 for none.
      max_norm: $n$ > 0.

    Returns:
      A `GradientTransformation` with a `ScaleByMarsState`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range.

    Note:
      This is the paper's MARS-approx: $g_{t-1}$ is the gradient of the batch before, not that of this
      batch at the parameters before.

    References:
      Yuan et al., MARS: Unleashing the Power of Variance Reduction for Training Large Models,
      2411.10438, 2024.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.scale_by_mars()
      >>> grads = jnp.array([3.0, -0.5])
      >>> tx.update(grads, tx.init(grads))[0].round(4)
      Array([ 1., -1.], dtype=float32)
    """
    return _scale_by_mars("scale_by_mars", b1, b2, eps, gamma, max_norm)


@schedulable
def mars(
    learning_rate: ScalarOrSchedule,
    b1: ScalarLike = 0.95,
    b2: ScalarLike = 0.99,
    eps: ScalarLike = 1e-8,
    gamma: ScalarLike = 0.025,
    max_norm: ScalarLike = 1.0,
    weight_decay: ScalarLike = 0.0,
    mask: MaskTree | None = None,
) -> GradientTransformation:
    r"""MARS-AdamW: $\theta_{t+1} = \theta_t - \eta_t (u_t + \lambda \theta_t)$, with `scale_by_mars`'s $u_t$.

    The usual rate is 3e-3.

    Args:
      learning_rate: $\eta$: a number, a tracer, a `Schedule` or a callable of the step.
      b1: $\beta_1$ in [0, 1).
      b2: $\beta_2$ in [0, 1).
      eps: $\epsilon$ >= 0, outside the root.
      gamma: $\gamma$ >= 0, how far gradients are corrected.
      max_norm: $n$ > 0, the longest corrected gradient of a leaf.
      weight_decay: $\lambda$ >= 0, decoupled.
      mask: A tree of bools, True where parameters decay, or a callable that makes one. Static.

    Returns:
      A `GradientTransformation` whose `update` needs `params`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range; from `update`, if `params` is missing.

    References:
      Yuan et al., MARS: Unleashing the Power of Variance Reduction for Training Large Models,
      2411.10438, 2024.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.mars(0.5)
      >>> params = jnp.array([3.0, -0.5])
      >>> tx.update(params, tx.init(params), params)[0].round(4)
      Array([-0.5,  0.5], dtype=float32)
    """
    _check.number("mars", "weight_decay", weight_decay, low=0)
    return chain(
        _scale_by_mars("mars", b1, b2, eps, gamma, max_norm),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(as_schedule("mars", "learning_rate", learning_rate)),
    )


def _scale_by_mars(
    call: str, b1: ScalarLike, b2: ScalarLike, eps: ScalarLike, gamma: ScalarLike, max_norm: ScalarLike
) -> GradientTransformation:
    """MARS's scaling; errors name the public function the user called."""
    _check.number(call, "gamma", gamma, low=0)
    _check.number(call, "max_norm", max_norm, low=0, open_low=True)
    adam = adam_scaling(call, b1, b2, eps, 0.0, None, False)

    def init(params: Params) -> ScaleByMarsState:
        state: Any = adam.init(params)
        return ScaleByMarsState(state, _tree.zeros_like(params, _tree.wide_dtype))

    def update(
        updates: Updates, state: ScaleByMarsState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, ScaleByMarsState]:
        factor = gamma * b1 / (1 - b1)

        def correct(g: Any, last: jax.Array) -> jax.Array:
            x = _tree.wide(g)
            c = jnp.where(state.adam.count == 0, x, x + factor * (x - last))
            return _tree.divide(c, jnp.maximum(_tree.norm([c]) / max_norm, 1))

        corrected = jax.tree.map(correct, updates, state.last_grad)
        direction, adam_state = adam.update(corrected, state.adam, params, **extra)
        last = _tree.cast_like(jax.tree.map(_tree.wide, updates), state.last_grad)
        new: Any = adam_state
        return _tree.cast_like(direction, updates), ScaleByMarsState(new, last)

    return GradientTransformation(init, update)
