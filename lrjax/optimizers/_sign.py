"""Descent along signs: of the gradient, or of its average."""

from __future__ import annotations

from typing import Any

from lrjax import _check
from lrjax._types import ScalarLike, ScalarOrSchedule
from lrjax.learning_rate import scale_by_learning_rate
from lrjax.schedules import as_schedule, schedulable
from lrjax.transform import GradientTransformation, chain
from lrjax.transforms import ema, scale_by_sign


def sign_sgd(learning_rate: ScalarOrSchedule) -> GradientTransformation:
    r"""Descent along the sign of the gradient: $\theta_{t+1} = \theta_t - \eta_t \operatorname{sign}(g_t)$.

    Every coordinate moves by the rate itself; the usual rate is 1e-4 to 1e-3.

    Args:
      learning_rate: $\eta$: a number, a tracer, a `Schedule` or a callable of the step.

    Returns:
      A `GradientTransformation`.

    Raises:
      TypeError: If `learning_rate` is of the wrong kind.
      ValueError: If it is a number that is not finite.

    References:
      Bernstein et al., signSGD: Compressed Optimisation for Non-Convex Problems, 1802.04434, 2018.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.sign_sgd(0.5)
      >>> tx.update(jnp.array([3.0, -0.01]), tx.init(jnp.zeros(2)))[0]
      Array([-0.5,  0.5], dtype=float32)
    """
    return chain(
        scale_by_sign(),
        scale_by_learning_rate(as_schedule("sign_sgd", "learning_rate", learning_rate)),
    )


@schedulable
def signum(
    learning_rate: ScalarOrSchedule, beta: ScalarLike = 0.9, accumulator_dtype: Any = None
) -> GradientTransformation:
    r"""Descent along the sign of averaged gradients.

    $\theta_{t+1} = \theta_t - \eta_t \operatorname{sign}(m_t)$,
    $m_t = \beta m_{t-1} + (1 - \beta) g_t$. The usual rate is 1e-4 to 1e-3.

    Args:
      learning_rate: $\eta$: a number, a tracer, a `Schedule` or a callable of the step.
      beta: $\beta$ in [0, 1), the decay of the average.
      accumulator_dtype: The dtype $m$ is stored in; None for the parameters'. Static.

    Returns:
      A `GradientTransformation`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range.

    References:
      Bernstein et al., signSGD: Compressed Optimisation for Non-Convex Problems, 1802.04434, 2018.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.signum(0.5)
      >>> state = tx.init(jnp.zeros(()))
      >>> _, state = tx.update(jnp.array(3.0), state)
      >>> float(tx.update(jnp.array(-1.0), state)[0])
      -0.5
    """
    _check.number("signum", "beta", beta, low=0, high=1, open_high=True)
    return chain(
        ema(beta, debias=False, accumulator_dtype=accumulator_dtype),
        scale_by_sign(),
        scale_by_learning_rate(as_schedule("signum", "learning_rate", learning_rate)),
    )
