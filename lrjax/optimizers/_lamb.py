"""LAMB: Adam whose step is as long, in each layer, as that layer's parameters."""

from __future__ import annotations

from lrjax import _check
from lrjax._types import MaskTree, ScalarLike, ScalarOrSchedule
from lrjax.learning_rate import scale_by_learning_rate
from lrjax.optimizers._adam import adam_scaling
from lrjax.schedules import as_schedule, schedulable
from lrjax.transform import GradientTransformation, chain
from lrjax.transforms import add_decayed_weights, scale_by_trust_ratio


@schedulable
def lamb(
    learning_rate: ScalarOrSchedule,
    b1: ScalarLike = 0.9,
    b2: ScalarLike = 0.999,
    eps: ScalarLike = 1e-6,
    eps_root: ScalarLike = 0.0,
    weight_decay: ScalarLike = 0.0,
    mask: MaskTree | None = None,
) -> GradientTransformation:
    r"""LAMB: Adam with decay, scaled leaf by leaf to the size of the parameters.

    $\theta_{t+1} = \theta_t - \eta_t \frac{\|\theta_t\|}{\|u_t\|} u_t$,
    $u_t = \hat m_t / (\sqrt{\hat v_t + \bar\epsilon} + \epsilon) + \lambda \theta_t$, the norms of one
    leaf at a time (the ratio is 1 where one of them is 0). The usual rate is 1e-3 to 1e-2.

    Args:
      learning_rate: $\eta$: a number, a tracer, a `Schedule` or a callable of the step.
      b1: $\beta_1$ in [0, 1).
      b2: $\beta_2$ in [0, 1).
      eps: $\epsilon$ >= 0, outside the root.
      eps_root: $\bar\epsilon$ >= 0, inside the root.
      weight_decay: $\lambda$ >= 0.
      mask: A tree of bools, True where parameters decay, or a callable that makes one. Static.

    Returns:
      A `GradientTransformation` whose `update` needs `params`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range; from `update`, if `params` is missing.

    References:
      You et al., Large Batch Optimization for Deep Learning: Training BERT in 76 minutes,
      1904.00962, 2019.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.lamb(0.5)
      >>> params = jnp.array([3.0, 4.0])
      >>> tx.update(jnp.array([0.0, 2.0]), tx.init(params), params)[0].round(4) + 0.0
      Array([ 0. , -2.5], dtype=float32)
    """
    _check.number("lamb", "weight_decay", weight_decay, low=0)
    return chain(
        adam_scaling("lamb", b1, b2, eps, eps_root, None, False),
        add_decayed_weights(weight_decay, mask),
        scale_by_trust_ratio(),
        scale_by_learning_rate(as_schedule("lamb", "learning_rate", learning_rate)),
    )
