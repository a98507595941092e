"""LARS: momentum whose step is as long, in each layer, as that layer's parameters."""

from __future__ import annotations

from lrjax import _check
from lrjax._types import MaskTree, ScalarLike, ScalarOrSchedule
from lrjax.learning_rate import scale_by_learning_rate
from lrjax.optimizers._sgd import trace
from lrjax.schedules import as_schedule, schedulable
from lrjax.transform import GradientTransformation, chain
from lrjax.transforms import add_decayed_weights, masked, trust_ratio


@schedulable
def lars(
    learning_rate: ScalarOrSchedule,
    weight_decay: ScalarLike = 0.0,
    weight_decay_mask: MaskTree = True,
    trust_coefficient: ScalarLike = 0.001,
    eps: ScalarLike = 0.0,
    trust_ratio_mask: MaskTree = True,
    momentum: ScalarLike = 0.9,
    nesterov: bool = False,
) -> GradientTransformation:
    r"""LARS: gradients scaled leaf by leaf to the size of the parameters, then momentum.

    $u_t = g_t + \lambda \theta_t$,
    $v_t = \mu v_{t-1} - \eta_t \kappa \frac{\|\theta_t\|}{\|u_t\| + \epsilon} u_t$,
    $\theta_{t+1} = \theta_t + v_t$, the norms of one leaf at a time (the ratio is 1 where one of them
    is 0). The usual rate is 0.1 to 10.

    Args:
      learning_rate: $\eta$: a number, a tracer, a `Schedule` or a callable of the step.
      weight_decay: $\lambda$ >= 0.
      weight_decay_mask: A tree of bools, True where parameters decay, or a callable that makes
        one. Static.
      trust_coefficient: $\kappa$ >= 0.
      eps: $\epsilon$ >= 0.
      trust_ratio_mask: A tree of bools, True where gradients are scaled, or a callable that makes
        one. Biases and normalisations are often left out. Static.
      momentum: $\mu$ in [0, 1].
      nesterov: Whether the momentum looks ahead. Static.

    Returns:
      A `GradientTransformation` whose `update` needs `params`.

    Note:
      The paper divides by $\|g_t\| + \lambda \|\theta_t\|$; optax, followed here, by
      $\|g_t + \lambda \theta_t\|$.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range; from `update`, if `params` is missing.

    References:
      You, Gitman and Ginsburg, Large Batch Training of Convolutional Networks, 1708.03888, 2017.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.lars(0.5, trust_coefficient=0.1)
      >>> params = jnp.array([3.0, 4.0])
      >>> tx.update(jnp.array([0.0, 2.0]), tx.init(params), params)[0]
      Array([ 0.  , -0.25], dtype=float32)
    """
    _check.number("lars", "weight_decay", weight_decay, low=0)
    _check.number("lars", "momentum", momentum, low=0, high=1)
    _check.boolean("lars", "nesterov", nesterov)
    return chain(
        add_decayed_weights(weight_decay, weight_decay_mask),
        masked(trust_ratio("lars", 0.0, trust_coefficient, eps), trust_ratio_mask),
        scale_by_learning_rate(as_schedule("lars", "learning_rate", learning_rate)),
        trace(momentum, nesterov),
    )
