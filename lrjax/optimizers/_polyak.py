"""Polyak's step size: as long as the gap to the optimum asks for."""

from __future__ import annotations

from typing import Any, Literal

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import Params, ScalarLike, ScalarOrSchedule, Updates
from lrjax.optimizers._sgd import sgd
from lrjax.schedules import as_schedule, schedulable
from lrjax.transform import EmptyState, GradientTransformation, chain


def scale_by_polyak(
    f_min: ScalarLike = 0.0,
    max_learning_rate: ScalarOrSchedule = 1.0,
    eps: ScalarLike = 0.0,
    variant: Literal["sps", "sps+"] = "sps",
) -> GradientTransformation:
    r"""Scales updates by Polyak's step size.

    $u = \min\left(\frac{f - f^*}{\|g\|^2 + \epsilon}, \gamma_t\right) g$, the norm over all leaves, and 0
    where the denominator is 0. `update` takes the loss as `value=`.

    Args:
      f_min: $f^*$, the least loss that can be reached, or a lower bound of it.
      max_learning_rate: $\gamma$ >= 0, the largest step size: a number, a tracer, a `Schedule` or a
        callable of the step.
      eps: $\epsilon$ >= 0.
      variant: "sps", or "sps+" that takes a loss below $f^*$ for $f^*$, where "sps" would climb. Static.

    Returns:
      A `GradientTransformation` whose `update` needs `value=`. Its state is empty, or the
      schedule's own.

    Note:
      optax takes any $\|g\|^2$ below float32's eps, 1.2e-7, for 0, and so never comes nearer.

    Raises:
      TypeError: If an argument is of the wrong kind; from `update`, if `value` is missing.
      ValueError: If a number is out of its range, or `variant` is unknown.

    References:
      Polyak, Introduction to Optimization, 1987 (section 1.4).
      Loizou et al., Stochastic Polyak Step-size for SGD, 2002.10542, 2020.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.scale_by_polyak()
      >>> grads = jnp.array([3.0, 4.0])
      >>> tx.update(grads, tx.init(grads), value=12.5)[0]
      Array([1.5, 2. ], dtype=float32)
    """
    return _scale_by_polyak("scale_by_polyak", f_min, max_learning_rate, eps, variant)


@schedulable
def polyak_sgd(
    max_learning_rate: ScalarOrSchedule = 1.0,
    scaling: ScalarOrSchedule = 1.0,
    f_min: ScalarLike = 0.0,
    eps: ScalarLike = 0.0,
    variant: Literal["sps", "sps+"] = "sps",
) -> GradientTransformation:
    r"""Gradient descent with Polyak's step size.

    $\theta_{t+1} = \theta_t - \min\left(\frac{f - f^*}{\|s_t g_t\|^2 + \epsilon}, \gamma_t\right) s_t g_t$.
    Where the loss can reach a known $f^*$, for instance 0 in models that fit every example, no
    learning rate has to be found. `update` takes the loss as `value=`; `lrjax.trial` passes it.

    Args:
      max_learning_rate: $\gamma$ >= 0, the largest step size: a number, a tracer, a `Schedule` or a
        callable of the step.
      scaling: $s$, what gradients are multiplied by before the step size is taken from them,
        likewise. (As in optax; a step that $\gamma$ does not cap is divided by it.)
      f_min: $f^*$, the least loss that can be reached, or a lower bound of it.
      eps: $\epsilon$ >= 0.
      variant: "sps", or "sps+" that takes a loss below $f^*$ for $f^*$, where "sps" would climb. Static.

    Returns:
      A `GradientTransformation` whose `update` needs `value=`.

    Raises:
      TypeError: If an argument is of the wrong kind; from `update`, if `value` is missing.
      ValueError: If a number is out of its range, or `variant` is unknown.

    References:
      Polyak, Introduction to Optimization, 1987 (section 1.4).
      Loizou et al., Stochastic Polyak Step-size for SGD, 2002.10542, 2020.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.polyak_sgd()
      >>> params = jnp.array([3.0, 4.0])
      >>> tx.update(params, tx.init(params), value=12.5)[0]
      Array([-1.5, -2. ], dtype=float32)
    """
    return chain(
        sgd(as_schedule("polyak_sgd", "scaling", scaling)),
        _scale_by_polyak("polyak_sgd", f_min, max_learning_rate, eps, variant),
    )


def _scale_by_polyak(
    call: str, f_min: ScalarLike, max_learning_rate: ScalarOrSchedule, eps: ScalarLike, variant: str
) -> GradientTransformation:
    """Polyak's scaling; errors name the public function the user called."""
    _check.number(call, "f_min", f_min)
    _check.number(call, "eps", eps, low=0)
    if variant not in ("sps", "sps+"):
        raise _check.fail(call, "variant", "one of 'sps', 'sps+'", repr(variant))
    gamma: Any = max_learning_rate
    is_number = not callable(gamma)
    if is_number:
        _check.number(call, "max_learning_rate", gamma, low=0)
    largest = as_schedule(call, "max_learning_rate", max_learning_rate)

    def init(params: Params) -> Any:
        del params
        return EmptyState() if is_number else largest.init()

    def update(
        updates: Updates, state: Any, params: Params | None = None, *, value: Any = None, **extra: Any
    ) -> tuple[Updates, Any]:
        del params
        _check.signal(call, "value", "the loss of this step", value)
        cap = gamma
        if not is_number:
            cap, state = largest.update(state, value=value, **extra)
        gap = _tree.wide(value) - f_min
        gap = jnp.maximum(gap, 0) if variant == "sps+" else gap
        denominator = _tree.square(_tree.norm(updates)) + eps
        known = denominator > 0
        size = jnp.where(known, jnp.minimum(gap / jnp.where(known, denominator, 1), cap), 0)
        scaled = jax.tree.map(lambda u: _tree.multiply(_tree.wide(u), size), updates)
        return _tree.cast_like(scaled, updates), state

    return GradientTransformation(init, update)
