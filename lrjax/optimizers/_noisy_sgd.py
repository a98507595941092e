"""Stochastic gradient descent with noise that fades."""

from __future__ import annotations

import jax

from lrjax._types import ScalarLike, ScalarOrSchedule
from lrjax.learning_rate import scale_by_learning_rate
from lrjax.schedules import as_schedule, schedulable
from lrjax.transform import GradientTransformation, chain
from lrjax.transforms import noise


@schedulable
def noisy_sgd(
    learning_rate: ScalarOrSchedule,
    eta: ScalarLike = 0.01,
    gamma: ScalarLike = 0.55,
    key: jax.Array | int | None = None,
    *,
    seed: int | None = None,
) -> GradientTransformation:
    r"""Gradient descent with noise that fades.

    $\theta_{t+1} = \theta_t - \alpha_t (g_t + n_t)$, $n_t \sim \mathcal N(0, \eta / t^\gamma)$,
    $t = 1, 2, \dots$ The usual rates are those of `sgd`.

    Args:
      learning_rate: $\alpha$: a number, a tracer, a `Schedule` or a callable of the step.
      eta: $\eta$ >= 0, the variance at the first update. The paper tries 0.01, 0.3 and 1.
      gamma: $\gamma$ >= 0, how fast the variance fades.
      key: A typed random key or an integer seed; None for the seed 0. Runs with the same key see
        the same noise.
      seed: optax's older name for an integer `key`.

    Returns:
      A `GradientTransformation`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range, or both `key` and `seed` are given.

    References:
      Neelakantan et al., Adding Gradient Noise Improves Learning for Very Deep Networks,
      1511.06807, 2015.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.noisy_sgd(0.5, eta=0.0, key=0)
      >>> float(tx.update(jnp.array(2.0), tx.init(0.0))[0])
      -1.0
    """
    return chain(
        noise("noisy_sgd", eta, gamma, key, seed),
        scale_by_learning_rate(as_schedule("noisy_sgd", "learning_rate", learning_rate)),
    )
