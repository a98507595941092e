"""AdaGrad: steps scaled by the root of the sum of all squared gradients."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import Params, ScalarLike, ScalarOrSchedule, Updates
from lrjax.learning_rate import scale_by_learning_rate
from lrjax.schedules import as_schedule, schedulable
from lrjax.transform import GradientTransformation, chain


class ScaleByRssState(NamedTuple):
    """The state of AdaGrad.

    Attributes:
      sum_of_squares: Shaped like the parameters, real, in at least float32.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> lrjax.scale_by_rss(1.0).init(jnp.zeros(2)).sum_of_squares
      Array([1., 1.], dtype=float32)
    """

    sum_of_squares: Params


def scale_by_rss(
    initial_accumulator_value: ScalarLike = 0.1, eps: ScalarLike = 1e-7
) -> GradientTransformation:
    r"""Scales updates by the root of the sum of their squares so far.

    $s_t = s_{t-1} + |g_t|^2$; the update is $g_t / \sqrt{s_t + \epsilon}$, and 0 where $s_t = 0$.

    Args:
      initial_accumulator_value: $s_0$ >= 0.
      eps: $\epsilon$ >= 0, inside the root.

    Returns:
      A `GradientTransformation` with a `ScaleByRssState`.

    Note:
      The sum is kept in float32 for half-precision parameters (optax keeps the parameters'
      dtype): a growing sum in bfloat16 soon stops growing.

    Raises:
      TypeError: If an argument is not one real number.
      ValueError: If it is out of its range.

    References:
      Duchi, Hazan and Singer, Adaptive Subgradient Methods for Online Learning, JMLR 12, 2011.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.scale_by_rss(initial_accumulator_value=0.0)
      >>> grads = jnp.array([3.0, -0.5])
      >>> tx.update(grads, tx.init(grads))[0].round(4)
      Array([ 1., -1.], dtype=float32)
    """
    return _scale_by_rss("scale_by_rss", initial_accumulator_value, eps)


@schedulable
def adagrad(
    learning_rate: ScalarOrSchedule, initial_accumulator_value: ScalarLike = 0.1, eps: ScalarLike = 1e-7
) -> GradientTransformation:
    r"""AdaGrad: $\theta_{t+1} = \theta_t - \eta_t g_t / \sqrt{s_t + \epsilon}$, $s_t = s_{t-1} + |g_t|^2$.

    Args:
      learning_rate: $\eta$: a number, a tracer, a `Schedule` or a callable of the step.
      initial_accumulator_value: $s_0$ >= 0. optax's default is 0.1; the paper's and PyTorch's 0.
      eps: $\epsilon$ >= 0, inside the root; PyTorch has it outside.

    Returns:
      A `GradientTransformation`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range.

    References:
      Duchi, Hazan and Singer, Adaptive Subgradient Methods for Online Learning, JMLR 12, 2011.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.adagrad(0.5, initial_accumulator_value=0.0)
      >>> grads = jnp.array([3.0, -0.5])
      >>> tx.update(grads, tx.init(grads))[0].round(4)
      Array([-0.5,  0.5], dtype=float32)
    """
    return chain(
        _scale_by_rss("adagrad", initial_accumulator_value, eps),
        scale_by_learning_rate(as_schedule("adagrad", "learning_rate", learning_rate)),
    )


def _scale_by_rss(
    call: str, initial_accumulator_value: ScalarLike, eps: ScalarLike
) -> GradientTransformation:
    """AdaGrad's scaling; errors name the public function the user called."""
    _check.number(call, "initial_accumulator_value", initial_accumulator_value, low=0)
    _check.number(call, "eps", eps, low=0)

    def init(params: Params) -> ScaleByRssState:
        return ScaleByRssState(_tree.full_like(params, initial_accumulator_value, _tree.wide_real))

    def update(
        updates: Updates, state: ScaleByRssState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, ScaleByRssState]:
        del params, extra
        s = jax.tree.map(lambda g, s: s + _tree.square(_tree.wide(g)), updates, state.sum_of_squares)

        def scale(g: Any, s: jax.Array) -> jax.Array:
            root = jnp.sqrt(jnp.where(s > 0, s, 1) + eps)
            return jnp.where(s > 0, _tree.wide(g) / root, 0).astype(jnp.result_type(g))

        return jax.tree.map(scale, updates, s), ScaleByRssState(_tree.cast_like(s, state.sum_of_squares))

    return GradientTransformation(init, update)
