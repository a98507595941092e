"""Grokfast: gradients with their slow part amplified."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import Params, ScalarLike, Updates
from lrjax.transform import GradientTransformation


class GrokfastState(NamedTuple):
    """The state of `grokfast`.

    Attributes:
      count: int32 scalar, the number of updates so far.
      slow: The average of gradients, shaped like the parameters, in at least float32.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> int(lrjax.grokfast().init(jnp.zeros(2)).count)
      0
    """

    count: jax.Array
    slow: Params


class GrokfastMAState(NamedTuple):
    """The state of `grokfast_ma`.

    Attributes:
      count: int32 scalar, the number of updates so far.
      gradients: The last ones, the newest at the end, with one leading axis, in at least float32.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> lrjax.grokfast_ma(window=3).init(jnp.zeros(2)).gradients.shape
      (3, 2)
    """

    count: jax.Array
    gradients: Params


def grokfast(decay: ScalarLike = 0.98, factor: ScalarLike = 2.0) -> GradientTransformation:
    r"""Adds to gradients a multiple of their average: the first link of a chain.

    $h_t = \alpha h_{t-1} + (1 - \alpha) g_t$ from $h_1 = g_1$ on, and the update is
    $g_t + \lambda h_t$.

    Args:
      decay: $\alpha$ in [0, 1).
      factor: $\lambda$ >= 0.

    Returns:
      A `GradientTransformation` with a `GrokfastState`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range.

    References:
      Lee, Kang, Kim and Lee, Grokfast: Accelerated Grokking by Amplifying Slow Gradients, 2405.20233,
      2024.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.chain(lrjax.grokfast(decay=0.5, factor=2.0), lrjax.sgd(1.0))
      >>> state = tx.init(jnp.array(0.0))
      >>> first, state = tx.update(jnp.array(1.0), state)
      >>> second, state = tx.update(jnp.array(3.0), state)
      >>> float(first), float(second)
      (-3.0, -7.0)
    """
    _check.number("grokfast", "decay", decay, low=0, high=1, open_high=True)
    _check.number("grokfast", "factor", factor, low=0)

    def init(params: Params) -> GrokfastState:
        return GrokfastState(jnp.zeros((), jnp.int32), _tree.zeros_like(params, _tree.wide_dtype))

    def update(
        updates: Updates, state: GrokfastState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, GrokfastState]:
        del params, extra

        def average(g: Any, h: jax.Array) -> jax.Array:
            x = _tree.wide(g)
            return jnp.where(state.count == 0, x, decay * h + (1 - decay) * x)

        slow = jax.tree.map(average, updates, state.slow)
        amplified = jax.tree.map(lambda g, h: _tree.wide(g) + factor * h, updates, slow)
        new_state = GrokfastState(_tree.next_count(state.count), _tree.cast_like(slow, state.slow))
        return _tree.cast_like(amplified, updates), new_state

    return GradientTransformation(init, update)


def grokfast_ma(window: int = 100, factor: ScalarLike = 5.0) -> GradientTransformation:
    r"""Adds to gradients a multiple of the mean of the last ones: the first link of a chain.

    From the $w$-th gradient on the update is $g_t + \frac{\lambda}{w} \sum_{i=0}^{w-1} g_{t-i}$; those
    before pass as they are.

    Args:
      window: $w$ >= 1, in gradients, as many as are kept. Static.
      factor: $\lambda$ >= 0.

    Returns:
      A `GradientTransformation` with a `GrokfastMAState`.

    Note:
      `grokfast`, by a moving average, keeps one tree in the place of $w$.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range.

    References:
      Lee, Kang, Kim and Lee, Grokfast: Accelerated Grokking by Amplifying Slow Gradients, 2405.20233,
      2024.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.chain(lrjax.grokfast_ma(window=2, factor=2.0), lrjax.sgd(1.0))
      >>> state = tx.init(jnp.array(0.0))
      >>> first, state = tx.update(jnp.array(1.0), state)
      >>> second, state = tx.update(jnp.array(3.0), state)
      >>> float(first), float(second)
      (-1.0, -7.0)
    """
    window = _check.integer("grokfast_ma", "window", window, low=1)
    _check.number("grokfast_ma", "factor", factor, low=0)

    def init(params: Params) -> GrokfastMAState:
        def room(p: Any) -> jax.Array:
            return jnp.zeros((window, *jnp.shape(p)), _tree.wide_dtype(p))

        return GrokfastMAState(jnp.zeros((), jnp.int32), jax.tree.map(room, params))

    def update(
        updates: Updates, state: GrokfastMAState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, GrokfastMAState]:
        del params, extra
        count = _tree.next_count(state.count)
        line = jax.tree.map(_tree.push, state.gradients, updates)

        def amplify(g: Any, line: jax.Array) -> jax.Array:
            slow = jnp.where(count >= window, jnp.mean(line, axis=0), 0)
            return (_tree.wide(g) + factor * slow).astype(jnp.result_type(g))

        return jax.tree.map(amplify, updates, line), GrokfastMAState(count, line)

    return GradientTransformation(init, update)
