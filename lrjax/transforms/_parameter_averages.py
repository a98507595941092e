"""Averages of the parameters that an optimizer visits, kept beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import OptState, Params, ScalarLike, Updates
from lrjax.transform import (
    GradientTransformation,
    apply_updates,
    check_transformation,
    require_params,
    with_extra_args_support,
)


class ParameterAverageState(NamedTuple):
    """The state of an optimizer whose parameters are averaged.

    Attributes:
      count: int32 scalar, the number of updates so far.
      average: The average, shaped like the parameters, in at least float32.
      inner_state: The optimizer's own state.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> lrjax.polyak_average(lrjax.sgd(0.5)).init(jnp.ones(2)).average
      Array([1., 1.], dtype=float32)
    """

    count: jax.Array
    average: Params
    inner_state: OptState


def polyak_average(inner: Any, start: ScalarLike = 0) -> GradientTransformation:
    r"""Keeps the mean of the parameters beside an optimizer, whose updates stay as they are.

    $\bar\theta_t = \bar\theta_{t-1} + \mu_t (\theta_t - \bar\theta_{t-1})$ with
    $\mu_t = 1 / \max(1, t - s)$: the mean of $\theta_{s+1}, \dots, \theta_t$, and up to then $\theta_t$
    itself. Evaluate at `averaged_params(state)`.

    Args:
      inner: The optimizer: anything with `init` and `update`.
      start: $s$ >= 0, how many first updates are left out, where the parameters still travel.

    Returns:
      A `GradientTransformation` with a `ParameterAverageState`, whose `update` needs `params`. It has
      to be the last link of a chain: it averages the parameters that its own updates lead to.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If `start` is out of its range; from `update`, if `params` is missing.

    References:
      Polyak and Juditsky, Acceleration of Stochastic Approximation by Averaging, 1992.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.polyak_average(lrjax.sgd(1.0))
      >>> params = jnp.array(0.0)
      >>> state = tx.init(params)
      >>> for _ in range(3):
      ...     updates, state = tx.update(jnp.array(-1.0), state, params)
      ...     params = lrjax.apply_updates(params, updates)
      >>> float(params), float(lrjax.averaged_params(state))
      (3.0, 2.0)
    """
    _check.number("polyak_average", "start", start, low=0)
    return averaged("polyak_average", inner, lambda t: mean_weight(t, start))


def exponential_average(inner: Any, decay: ScalarLike = 0.999) -> GradientTransformation:
    r"""Keeps a debiased moving average of the parameters beside an optimizer, whose updates stay as they are.

    $\bar\theta_t = \beta \bar\theta_{t-1} + (1 - \beta) \theta_t$ from zero, divided by $1 - \beta^t$; it
    is kept already divided. Evaluate at `averaged_params(state)`.

    Args:
      inner: The optimizer: anything with `init` and `update`.
      decay: $\beta$ in [0, 1): later parameters weigh more; about $1 / (1 - \beta)$ of them count.

    Returns:
      A `GradientTransformation` with a `ParameterAverageState`, whose `update` needs `params`. It has
      to be the last link of a chain: it averages the parameters that its own updates lead to.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If `decay` is out of its range; from `update`, if `params` is missing.

    References:
      Kingma and Ba, Adam: A Method for Stochastic Optimization, 1412.6980, 2014, section 7.2.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.exponential_average(lrjax.sgd(1.0), decay=0.5)
      >>> params = jnp.array(0.0)
      >>> state = tx.init(params)
      >>> for _ in range(2):
      ...     updates, state = tx.update(jnp.array(-3.0), state, params)
      ...     params = lrjax.apply_updates(params, updates)
      >>> float(params), float(lrjax.averaged_params(state))
      (6.0, 5.0)
    """
    _check.number("exponential_average", "decay", decay, low=0, high=1, open_high=True)
    return averaged("exponential_average", inner, lambda t: (1 - decay) / _tree.one_minus_power(decay, t))


def averaged_params(opt_state: OptState) -> Params:
    """The parameters to evaluate at: the average in the state of an optimizer.

    Args:
      opt_state: The state of an optimizer, however deeply nested, with one average of parameters in it
        (`polyak_average`, `exponential_average`, `averaged_sgd`).

    Returns:
      The average, in at least float32; before the first update, the first parameters.

    Raises:
      ValueError: If the state holds no average of parameters, or several.

    References:
      Bottou, Stochastic Gradient Descent Tricks, 2012.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> state = lrjax.exponential_average(lrjax.adam(1e-3)).init({"w": jnp.ones(2)})
      >>> lrjax.averaged_params(state)
      {'w': Array([1., 1.], dtype=float32)}
    """
    found = [x for x in jax.tree.leaves(opt_state, is_leaf=_is_average) if _is_average(x)]
    if len(found) != 1:
        expected = "a state with one average of parameters (`polyak_average`, `exponential_average`)"
        raise _check.fail("averaged_params", "opt_state", expected, f"one with {len(found) or 'none'}")
    return found[0].average


def mean_weight(t: jax.Array, start: ScalarLike) -> jax.Array:
    """The weight of the newest in the mean of all but the first `start`."""
    return 1 / jnp.maximum(t.astype(jnp.result_type(float)) - start, 1)


def averaged(call: str, inner: Any, weight_of: Callable[[jax.Array], Any]) -> GradientTransformation:
    """An optimizer with an average that moves by the weight of update number t; errors name `call`."""
    check_transformation(call, "inner", inner)
    inner = with_extra_args_support(inner)

    def init(params: Params) -> ParameterAverageState:
        def copy(p: Any) -> jax.Array:
            return jnp.array(p, _tree.wide_dtype(p))  # arrays of its own, so that a caller may donate both

        return ParameterAverageState(jnp.zeros((), jnp.int32), jax.tree.map(copy, params), inner.init(params))

    def update(
        updates: Updates, state: ParameterAverageState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, ParameterAverageState]:
        require_params(f"{call}.update", params, "the average")
        updates, inner_state = inner.update(updates, state.inner_state, params, **extra)
        t = _tree.next_count(state.count)
        mu = weight_of(t)

        def leaf(mean: jax.Array, p: Any) -> jax.Array:
            return mean + _tree.multiply(p.astype(mean.dtype) - mean, mu)

        average = jax.tree.map(leaf, state.average, apply_updates(params, updates))
        return updates, ParameterAverageState(t, average, inner_state)

    return GradientTransformation(init, update)


def _is_average(x: Any) -> bool:
    return isinstance(x, ParameterAverageState)
