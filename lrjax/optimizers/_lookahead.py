"""Lookahead: a fast optimizer, and slow parameters that follow it."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import Params, ScalarLike, Updates
from lrjax.learning_rate import keep_rate_settings
from lrjax.transform import (
    GradientTransformation,
    apply_updates,
    check_transformation,
    require_params,
    with_extra_args_support,
)


class LookaheadParams(NamedTuple):
    """The two sets of parameters of `lookahead`.

    Attributes:
      fast: What gradients are taken at, and the optimizer moves.
      slow: What is evaluated.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> params = lrjax.LookaheadParams.init_synced(jnp.array(1.0))
      >>> float(params.fast), float(params.slow)
      (1.0, 1.0)
    """

    fast: Params
    slow: Params

    @classmethod
    def init_synced(cls, params: Params) -> LookaheadParams:
        """Both sets equal to `params`."""
        return cls(fast=params, slow=params)


class LookaheadState(NamedTuple):
    """The state of `lookahead`.

    Attributes:
      fast_state: The state of the fast optimizer.
      steps_since_sync: int32 scalar, its steps since the slow parameters moved.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.lookahead(lrjax.sgd(0.1), sync_period=5, slow_step_size=0.5)
      >>> int(tx.init(lrjax.LookaheadParams.init_synced(jnp.zeros(2))).steps_since_sync)
      0
    """

    fast_state: Any
    steps_since_sync: jax.Array


def lookahead(
    fast_optimizer: Any, sync_period: ScalarLike, slow_step_size: ScalarLike, reset_state: bool = False
) -> GradientTransformation:
    r"""Moves slow parameters towards the fast ones every $k$ steps, and the fast ones back to them.

    $\phi \leftarrow \phi + \alpha (\theta_k - \phi)$, $\theta_0 \leftarrow \phi$, where $\theta_k$ is
    what $k$ steps of the fast optimizer made of $\theta_0$.

    Args:
      fast_optimizer: The fast optimizer: anything with `init` and `update`.
      sync_period: $k$, its steps between two moves of the slow parameters, >= 1.
      slow_step_size: $\alpha$ in [0, 1].
      reset_state: Whether the fast optimizer begins anew, schedules included, after each move of the
        slow parameters. A rate set by `set_learning_rate` or `scale_learning_rate` stays. Static.

    Returns:
      A `GradientTransformation` with a `LookaheadState`. `init` and `update` take `LookaheadParams`,
      gradients are shaped like the fast ones, and updates are `LookaheadParams`, to be applied as
      they are.

    Raises:
      TypeError: If an argument is of the wrong kind; from `init` and `update`, if the parameters are
        not `LookaheadParams`.
      ValueError: If a number is out of its range; from `update`, if `params` is missing.

    References:
      Zhang, Lucas, Hinton and Ba, Lookahead Optimizer: k steps forward, 1 step back, 1907.08610, 2019.

    Example:
      >>> import jax, jax.numpy as jnp, lrjax
      >>> tx = lrjax.lookahead(lrjax.sgd(0.25), sync_period=2, slow_step_size=0.5)
      >>> params = lrjax.LookaheadParams.init_synced(jnp.array(1.0))
      >>> state = tx.init(params)
      >>> for _ in range(2):
      ...     grads = jax.grad(jnp.square)(params.fast)
      ...     updates, state = tx.update(grads, state, params)
      ...     params = lrjax.apply_updates(params, updates)
      >>> float(params.fast), float(params.slow)
      (0.625, 0.625)
    """
    check_transformation("lookahead", "fast_optimizer", fast_optimizer)
    _check.number("lookahead", "sync_period", sync_period, low=1)
    _check.number("lookahead", "slow_step_size", slow_step_size, low=0, high=1)
    _check.boolean("lookahead", "reset_state", reset_state)
    fast = with_extra_args_support(fast_optimizer)

    def init(params: Any) -> LookaheadState:
        _require_both("lookahead.init", params)
        return LookaheadState(fast.init(params.fast), jnp.zeros((), jnp.int32))

    def update(
        updates: Updates, state: LookaheadState, params: Any = None, **extra: Any
    ) -> tuple[LookaheadParams, LookaheadState]:
        require_params("lookahead.update", params, "moving the slow ones")
        _require_both("lookahead.update", params)
        updates, fast_state = fast.update(updates, state.fast_state, params.fast, **extra)
        due = state.steps_since_sync >= sync_period - 1

        def slow_step(u: Any, theta: Any, phi: Any) -> jax.Array:
            gap = _tree.wide(theta) + _tree.wide(u) - _tree.wide(phi)
            return jnp.where(due, slow_step_size * gap, 0)

        def fast_step(u: Any, step: jax.Array, theta: Any, phi: Any) -> jax.Array:
            return jnp.where(due, _tree.wide(phi) + step - _tree.wide(theta), _tree.wide(u))

        slow = jax.tree.map(slow_step, updates, params.fast, params.slow)
        back = jax.tree.map(fast_step, updates, slow, params.fast, params.slow)
        both = LookaheadParams(_tree.cast_like(back, updates), _tree.cast_like(slow, updates))
        if reset_state:
            anew = keep_rate_settings(fast.init(apply_updates(params.fast, both.fast)), fast_state)
            fast_state = jax.tree.map(lambda new, old: jnp.where(due, new, old), anew, fast_state)
        since = jnp.where(due, 0, _tree.next_count(state.steps_since_sync))
        return both, LookaheadState(fast_state, since)

    return GradientTransformation(init, update)


def _require_both(call: str, params: Any) -> None:
    # By its fields, so that another library's class of the same name serves.
    if getattr(params, "_fields", None) != LookaheadParams._fields:
        expected = "`LookaheadParams` (see `LookaheadParams.init_synced`)"
        raise _check.fail_type(call, "params", expected, _check.describe(params))
