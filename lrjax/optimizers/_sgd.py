"""Stochastic gradient descent, with the heavy-ball and Nesterov's momentum."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax

from lrjax import _check, _tree
from lrjax._types import Params, ScalarLike, ScalarOrSchedule, Updates
from lrjax.learning_rate import scale_by_learning_rate
from lrjax.schedules import as_schedule, schedulable
from lrjax.transform import GradientTransformation, chain, identity


class TraceState(NamedTuple):
    """The state of momentum.

    Attributes:
      trace: A tree shaped like the parameters, the decaying sum of gradients.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> lrjax.trace(decay=0.9).init(jnp.zeros(2)).trace.shape
      (2,)
    """

    trace: Params


def trace(decay: ScalarLike, nesterov: bool = False, accumulator_dtype: Any = None) -> GradientTransformation:
    r"""Momentum: a decaying sum of gradients.

    $m_t = g_t + \mu m_{t-1}$; the update is $m_t$, or $g_t + \mu m_t$ with Nesterov's look-ahead.
    The sum is not damped: a constant gradient $g$ ends at $g / (1 - \mu)$.

    Args:
      decay: $\mu$ in [0, 1].
      nesterov: Whether to look ahead. Static.
      accumulator_dtype: The dtype $m$ is stored in; None for the parameters'. Static.

    Returns:
      A `GradientTransformation` with a `TraceState`.

    Raises:
      TypeError: If `decay` is not one real number, or `nesterov` not a bool.
      ValueError: If `decay` is out of its range.

    References:
      Polyak, Some methods of speeding up the convergence of iteration methods, 1964.
      Sutskever et al., On the importance of initialization and momentum in deep learning, 2013.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.trace(decay=0.5)
      >>> state = tx.init(jnp.array(0.0))
      >>> _, state = tx.update(jnp.array(1.0), state)
      >>> float(tx.update(jnp.array(1.0), state)[0])
      1.5
    """
    _check.number("trace", "decay", decay, low=0, high=1)
    _check.boolean("trace", "nesterov", nesterov)

    def init(params: Params) -> TraceState:
        return TraceState(_tree.zeros_like(params, accumulator_dtype))

    def update(
        updates: Updates, state: TraceState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, TraceState]:
        del params, extra

        def add(g: Any, m: Any) -> jax.Array:
            return _tree.wide(g) + decay * _tree.wide(m)

        m = jax.tree.map(add, updates, state.trace)
        step = jax.tree.map(add, updates, m) if nesterov else m
        return _tree.cast_like(step, updates), TraceState(_tree.cast_like(m, state.trace))

    return GradientTransformation(init, update)


@schedulable
def sgd(
    learning_rate: ScalarOrSchedule,
    momentum: ScalarLike | None = None,
    nesterov: bool = False,
    accumulator_dtype: Any = None,
) -> GradientTransformation:
    r"""Stochastic gradient descent: $\theta_{t+1} = \theta_t - \eta_t m_t$, $m_t = g_t + \mu m_{t-1}$.

    Args:
      learning_rate: $\eta$: a number, a tracer, a `Schedule` or a callable of the step.
      momentum: $\mu$ in [0, 1], or None for plain gradient descent.
      nesterov: Whether to look ahead; the step is then $g_t + \mu m_t$. Static.
      accumulator_dtype: The dtype $m$ is stored in; None for the parameters'. Static.

    Returns:
      A `GradientTransformation`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range.

    References:
      Robbins and Monro, A Stochastic Approximation Method, 1951.
      Sutskever et al., On the importance of initialization and momentum in deep learning, 2013.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.sgd(0.5, momentum=0.9)
      >>> params = jnp.array([1.0, 2.0])
      >>> updates, state = tx.update(params, tx.init(params))
      >>> lrjax.apply_updates(params, updates)
      Array([0.5, 1. ], dtype=float32)
    """
    if momentum is not None:
        _check.number("sgd", "momentum", momentum, low=0, high=1)
    _check.boolean("sgd", "nesterov", nesterov)
    return chain(
        identity() if momentum is None else trace(momentum, nesterov, accumulator_dtype),
        scale_by_learning_rate(as_schedule("sgd", "learning_rate", learning_rate)),
    )
