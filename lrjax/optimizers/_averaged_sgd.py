"""Bottou's averaged stochastic gradient descent, with its own schedule."""

from __future__ import annotations

from lrjax import _check
from lrjax._types import ScalarLike, ScalarOrSchedule
from lrjax.learning_rate import scale_by_learning_rate
from lrjax.schedules import as_schedule, bottou_schedule, schedulable
from lrjax.transform import GradientTransformation, chain
from lrjax.transforms import add_decayed_weights, averaged, mean_weight


@schedulable
def averaged_sgd(
    learning_rate: ScalarOrSchedule,
    weight_decay: ScalarLike = 1e-4,
    power: ScalarLike = 0.75,
    start: ScalarLike = 0,
) -> GradientTransformation:
    r"""Averaged SGD: gradient descent with a slowly falling rate, and the mean of what it visits.

    $\theta_{t+1} = \theta_t - \gamma_t (g_t + \lambda \theta_t)$ with
    $\gamma_t = \gamma_0 / (1 + \gamma_0 \lambda t)^a$ at step $t = 0, 1, \dots$; the average is that of
    `polyak_average`. Evaluate at `averaged_params(state)`.

    Args:
      learning_rate: $\gamma_0$ >= 0, which `lrjax.science.bottou_initial_rate` finds on a sample. A
        `Schedule` or a callable of the step takes the place of $\gamma_t$.
      weight_decay: $\lambda$ >= 0, the strength of the penalty $\frac\lambda2 \|\theta\|^2$, which the
        schedule is made for. With 0 the rate stays.
      power: $a$ >= 0: 3/4 where the average is used, 1 where the parameters themselves are.
      start: How many first updates the average leaves out, >= 0. Bottou takes one pass over the data.

    Returns:
      A `GradientTransformation` with a `ParameterAverageState`, whose `update` needs `params`.

    Note:
      PyTorch's `ASGD` with its `t0` is `start = t0 + 1` here. The rate is in float32.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range; from `update`, if `params` is missing.

    References:
      Bottou, Stochastic Gradient Descent Tricks, 2012.
      Xu, Towards Optimal One Pass Large Scale Learning with Averaged SGD, 1107.2490, 2011.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.averaged_sgd(0.5, weight_decay=0.0)
      >>> params = jnp.array(8.0)
      >>> state = tx.init(params)
      >>> for _ in range(2):
      ...     updates, state = tx.update(params, state, params)
      ...     params = lrjax.apply_updates(params, updates)
      >>> float(params), float(lrjax.averaged_params(state))
      (2.0, 3.0)
    """
    call = "averaged_sgd"
    _check.number(call, "weight_decay", weight_decay, low=0)
    _check.number(call, "power", power, low=0)
    _check.number(call, "start", start, low=0)
    if not callable(learning_rate):
        _check.number(call, "learning_rate", learning_rate, low=0)
        learning_rate = bottou_schedule(learning_rate, weight_decay, power)
    descent = chain(
        add_decayed_weights(weight_decay),
        scale_by_learning_rate(as_schedule(call, "learning_rate", learning_rate)),
    )
    return averaged(call, descent, lambda t: mean_weight(t, start))
