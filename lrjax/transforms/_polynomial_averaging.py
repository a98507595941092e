"""An average of parameters in which the latest count more and more, as DoG's paper needs it."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import OptState, Params, ScalarLike, Updates
from lrjax.transform import GradientTransformation, apply_updates, require_params


class PolynomialAveragingState(NamedTuple):
    """The state of `polynomial_averaging`.

    Attributes:
      count: int32 scalar, the number of updates so far.
      average: The average, shaped like the parameters, in at least float32.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> int(lrjax.polynomial_averaging().init(jnp.zeros(2)).count)
      0
    """

    count: jax.Array
    average: Params


def polynomial_averaging(gamma: ScalarLike = 8.0) -> GradientTransformation:
    r"""Keeps a polynomial-decay average of the parameters: the last link of a chain.

    $\bar\theta_t = \bar\theta_{t-1} + \frac{1 + \gamma}{t + \gamma} (\theta_t - \bar\theta_{t-1})$, where
    $\theta_t$ is what the updates of step $t = 1, 2, \dots$ lead to. Updates pass as they are. Read
    the average by `polynomial_averaging_eval_params`.

    Args:
      gamma: $\gamma$ >= 0; 0 is the plain mean, and the average spans about the last
        $t / (1 + \gamma)$ steps.

    Returns:
      A `GradientTransformation` with a `PolynomialAveragingState`, whose `update` needs `params`.

    Raises:
      TypeError: If `gamma` is not one real number.
      ValueError: If it is out of its range; from `update`, if `params` is missing.

    References:
      Shamir and Zhang, Stochastic Gradient Descent for Non-smooth Optimization, 1212.1824, 2012.
      Ivgi, Hinder and Carmon, DoG is SGD's Best Friend: A Parameter-Free Dynamic Step Size
      Schedule, 2302.12022, 2023.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.chain(lrjax.dog(), lrjax.polynomial_averaging())
      >>> params = jnp.array([3.0, 4.0])
      >>> updates, state = tx.update(params, tx.init(params), params)
      >>> params = lrjax.apply_updates(params, updates)
      >>> bool((lrjax.polynomial_averaging_eval_params(state, params) == params).all())
      True
    """
    _check.number("polynomial_averaging", "gamma", gamma, low=0)

    def init(params: Params) -> PolynomialAveragingState:
        # an array of its own, so that a caller may donate both
        average = jax.tree.map(lambda p: jnp.array(p, _tree.wide_dtype(p)), params)
        return PolynomialAveragingState(jnp.zeros((), jnp.int32), average)

    def update(
        updates: Updates, state: PolynomialAveragingState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, PolynomialAveragingState]:
        del extra
        require_params("polynomial_averaging.update", params, "the average")
        t = _tree.next_count(state.count)
        share = (1 + gamma) / (t.astype(jnp.result_type(float)) + gamma)

        def move(average: jax.Array, p: Any) -> jax.Array:
            return average + _tree.multiply(_tree.wide(p) - average, share)

        average = jax.tree.map(move, state.average, apply_updates(params, updates))
        return updates, PolynomialAveragingState(t, _tree.cast_like(average, state.average))

    return GradientTransformation(init, update)


def polynomial_averaging_eval_params(state: OptState, params: Params) -> Params:
    """The parameters to evaluate at: the average that `polynomial_averaging` keeps.

    Args:
      state: A state with one `PolynomialAveragingState` in it, that of a chain for instance.
      params: The parameters that are trained.

    Returns:
      The average, in the parameters' dtypes.

    Raises:
      ValueError: If the state has none in it, or more than one.

    References:
      Ivgi, Hinder and Carmon, DoG is SGD's Best Friend: A Parameter-Free Dynamic Step Size
      Schedule, 2302.12022, 2023.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.polynomial_averaging(gamma=0.0)
      >>> params = jnp.array(1.0)
      >>> state = tx.init(params)
      >>> for _ in range(3):  # through 2, 3 and 4
      ...     updates, state = tx.update(jnp.array(1.0), state, params)
      ...     params = lrjax.apply_updates(params, updates)
      >>> float(lrjax.polynomial_averaging_eval_params(state, params))
      3.0
    """

    def holds(x: Any) -> bool:
        return isinstance(x, PolynomialAveragingState)

    found = [x for x in jax.tree.leaves(state, is_leaf=holds) if holds(x)]
    if len(found) != 1:
        expected = "a state with one `PolynomialAveragingState` in it"
        raise _check.fail("polynomial_averaging_eval_params", "state", expected, len(found) or "none")
    return _tree.cast_like(found[0].average, params)
