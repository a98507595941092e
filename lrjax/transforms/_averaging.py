"""Averages over time: of updates, and of parameters."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import Params, ScalarLike, Updates
from lrjax.transform import GradientTransformation


class EmaState(NamedTuple):
    """The state of `ema`.

    Attributes:
      count: int32 scalar, the number of updates so far.
      ema: The average, not debiased, shaped like the parameters.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> int(lrjax.ema(0.9).init(jnp.zeros(2)).count)
      0
    """

    count: jax.Array
    ema: Params


def ema(decay: ScalarLike, debias: bool = True, accumulator_dtype: Any = None) -> GradientTransformation:
    r"""Replaces updates by their exponential moving average.

    $m_t = \beta m_{t-1} + (1 - \beta) u_t$; the updates are $m_t / (1 - \beta^t)$, or $m_t$ where
    not debiased. (`trace` sums without the factor $1 - \beta$.)

    Args:
      decay: $\beta$ in [0, 1).
      debias: Whether to divide by $1 - \beta^t$. Static.
      accumulator_dtype: The dtype of the average; None for the parameters'. Static.

    Returns:
      A `GradientTransformation` with an `EmaState`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If `decay` is out of its range.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.ema(0.5)
      >>> state = tx.init(jnp.array(0.0))
      >>> first, state = tx.update(jnp.array(3.0), state)
      >>> second, state = tx.update(jnp.array(6.0), state)
      >>> float(first), float(second)
      (3.0, 5.0)
    """
    _check.number("ema", "decay", decay, low=0, high=1, open_high=True)
    _check.boolean("ema", "debias", debias)

    def init(params: Params) -> EmaState:
        return EmaState(jnp.zeros((), jnp.int32), _tree.zeros_like(params, accumulator_dtype))

    def update(
        updates: Updates, state: EmaState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, EmaState]:
        del params, extra
        t = _tree.next_count(state.count)
        m = _tree.moment(decay, updates, state.ema)
        average = m
        if debias:
            correction = _tree.one_minus_power(decay, t)
            average = jax.tree.map(lambda x: _tree.divide(x, correction), m)
        return _tree.cast_like(average, updates), EmaState(t, _tree.cast_like(m, state.ema))

    return GradientTransformation(init, update)


def incremental_update(new_tensors: Params, old_tensors: Params, step_size: ScalarLike) -> Params:
    r"""Moves an average of parameters towards the new ones: $\bar\theta + \alpha (\theta - \bar\theta)$.

    Args:
      new_tensors: $\theta$, a pytree of arrays.
      old_tensors: $\bar\theta$, a pytree of the same structure.
      step_size: $\alpha$ in [0, 1].

    Returns:
      The new average, in the dtypes of the old one.

    Raises:
      TypeError: If `step_size` is not one real number.
      ValueError: If it is out of its range, or the structures differ.

    References:
      Polyak and Juditsky, Acceleration of Stochastic Approximation by Averaging, 1992.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> float(lrjax.incremental_update(jnp.array(1.0), jnp.array(0.0), step_size=0.25))
      0.25
    """
    _check.number("incremental_update", "step_size", step_size, low=0, high=1)

    def leaf(new: Any, old: Any) -> jax.Array:
        average: Any = step_size * _tree.wide(new) + (1 - step_size) * _tree.wide(old)
        return average.astype(jnp.result_type(old))

    return jax.tree.map(leaf, new_tensors, old_tensors)


def periodic_update(
    new_tensors: Params, old_tensors: Params, steps: ScalarLike, update_period: ScalarLike
) -> Params:
    """Takes over the new parameters every so many steps, and keeps the old ones between.

    Args:
      new_tensors: The parameters that are trained, a pytree of arrays.
      old_tensors: The slow copy, a pytree of the same structure.
      steps: The number of the step, >= 0; new parameters are taken where the period divides it.
      update_period: The period in steps, >= 1.

    Returns:
      The new copy, in the dtypes of the old one.

    Raises:
      TypeError: If a number is not one real number.
      ValueError: If a number is out of its range, or the structures differ.

    References:
      Mnih et al., Playing Atari with Deep Reinforcement Learning, 1312.5602, 2013.
      Grill et al., Bootstrap Your Own Latent, 2006.07733, 2020.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> new, old = jnp.array(1.0), jnp.array(0.0)
      >>> [float(lrjax.periodic_update(new, old, steps, update_period=3)) for steps in range(4)]
      [1.0, 0.0, 0.0, 1.0]
    """
    _check.number("periodic_update", "steps", steps, low=0)
    _check.number("periodic_update", "update_period", update_period, low=1)
    due = jnp.asarray(steps) % jnp.asarray(update_period) == 0
    return jax.tree.map(
        lambda new, old: jnp.where(due, jnp.asarray(new).astype(jnp.result_type(old)), old),
        new_tensors,
        old_tensors,
    )
