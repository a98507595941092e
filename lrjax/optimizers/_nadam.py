"""NAdam and NAdamW: Adam with Nesterov's momentum."""

from __future__ import annotations

from typing import Any

from lrjax import _check
from lrjax._types import MaskTree, ScalarLike, ScalarOrSchedule
from lrjax.learning_rate import scale_by_learning_rate
from lrjax.optimizers._adam import adam_scaling
from lrjax.schedules import as_schedule, schedulable
from lrjax.transform import GradientTransformation, chain
from lrjax.transforms import add_decayed_weights


@schedulable
def nadam(
    learning_rate: ScalarOrSchedule,
    b1: ScalarLike = 0.9,
    b2: ScalarLike = 0.999,
    eps: ScalarLike = 1e-8,
    eps_root: ScalarLike = 0.0,
    mu_dtype: Any = None,
    *,
    nesterov: bool = True,
) -> GradientTransformation:
    r"""NAdam: Adam with Nesterov's momentum.

    $\theta_{t+1} = \theta_t - \eta_t \bar m_t / (\sqrt{\hat v_t + \bar\epsilon} + \epsilon)$ with Adam's
    $m, v$ and $\bar m_t = \beta_1 m_t / (1 - \beta_1^{t+1}) + (1 - \beta_1) g_t / (1 - \beta_1^t)$.
    The usual rate is 1e-3.

    Args:
      learning_rate: $\eta$: a number, a tracer, a `Schedule` or a callable of the step.
      b1: $\beta_1$ in [0, 1).
      b2: $\beta_2$ in [0, 1).
      eps: $\epsilon$ >= 0, outside the root.
      eps_root: $\bar\epsilon$ >= 0, inside the root.
      mu_dtype: The dtype of the first moment; None for the parameters'. Static.
      nesterov: Whether to look ahead; without it this is `adam`. Static.

    Returns:
      A `GradientTransformation`.

    Note:
      $\beta_1$ is constant, as in optax. PyTorch's NAdam warms it up by a momentum decay.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range.

    References:
      Dozat, Incorporating Nesterov Momentum into Adam, 2016.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.nadam(0.25, b1=0.5)
      >>> grads = jnp.array([3.0, -0.01])
      >>> tx.update(grads, tx.init(grads))[0].round(4)
      Array([-0.3333,  0.3333], dtype=float32)
    """
    return chain(
        adam_scaling("nadam", b1, b2, eps, eps_root, mu_dtype, nesterov),
        scale_by_learning_rate(as_schedule("nadam", "learning_rate", learning_rate)),
    )


@schedulable
def nadamw(
    learning_rate: ScalarOrSchedule,
    b1: ScalarLike = 0.9,
    b2: ScalarLike = 0.999,
    eps: ScalarLike = 1e-8,
    eps_root: ScalarLike = 0.0,
    mu_dtype: Any = None,
    weight_decay: ScalarLike = 1e-4,
    mask: MaskTree | None = None,
    *,
    nesterov: bool = True,
) -> GradientTransformation:
    r"""NAdam with decoupled weight decay.

    $\theta_{t+1} = \theta_t - \eta_t \left(\bar m_t / (\sqrt{\hat v_t + \bar\epsilon} + \epsilon)
    + \lambda \theta_t\right)$, with the moments of `nadam`. The decay is multiplied by the learning
    rate.

    Args:
      learning_rate: $\eta$: a number, a tracer, a `Schedule` or a callable of the step.
      b1: $\beta_1$ in [0, 1).
      b2: $\beta_2$ in [0, 1).
      eps: $\epsilon$ >= 0, outside the root.
      eps_root: $\bar\epsilon$ >= 0, inside the root.
      mu_dtype: The dtype of the first moment; None for the parameters'. Static.
      weight_decay: $\lambda$ >= 0.
      mask: A tree of bools, True where parameters decay, or a callable that makes one. Static.
      nesterov: Whether to look ahead; without it this is `adamw`. Static.

    Returns:
      A `GradientTransformation` whose `update` needs `params`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range; from `update`, if `params` is missing.

    References:
      Dozat, Incorporating Nesterov Momentum into Adam, 2016.
      Loshchilov and Hutter, Decoupled Weight Decay Regularization, 1711.05101, 2017.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.nadamw(0.1, weight_decay=0.5)
      >>> params = jnp.array(2.0)
      >>> round(float(tx.update(jnp.array(0.0), tx.init(params), params)[0]), 6)
      -0.1
    """
    _check.number("nadamw", "weight_decay", weight_decay, low=0)
    return chain(
        adam_scaling("nadamw", b1, b2, eps, eps_root, mu_dtype, nesterov),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(as_schedule("nadamw", "learning_rate", learning_rate)),
    )
