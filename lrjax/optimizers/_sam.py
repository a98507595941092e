"""SAM: gradients from where the loss is worst nearby."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import OptState, Params, ScalarLike, Updates
from lrjax.learning_rate import keep_rate_settings
from lrjax.schedules import schedulable
from lrjax.transform import (
    GradientTransformation,
    apply_updates,
    check_transformation,
    require_params,
    with_extra_args_support,
)


class SAMState(NamedTuple):
    """The state of SAM.

    Attributes:
      steps_since_sync: int32 scalar, the adversary's steps since the parameters moved.
      opt_state: The state of the optimizer.
      adv_state: The state of the adversary.
      cache: The parameters that the adversary left, or None in opaque mode.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.sam(lrjax.sgd(0.1), lrjax.sgd(0.05))
      >>> int(tx.init(jnp.zeros(2)).steps_since_sync)
      0
    """

    steps_since_sync: jax.Array
    opt_state: OptState
    adv_state: OptState
    cache: Params | None


@schedulable
def sam(
    optimizer: Any,
    adv_optimizer: Any,
    sync_period: ScalarLike = 2,
    reset_state: bool = True,
    opaque_mode: bool = False,
    batch_axis_name: str | None = None,
) -> GradientTransformation:
    r"""Sharpness-aware minimization: an adversary climbs, and the gradient up there moves the parameters.

    From $\theta$ the adversary takes $k - 1$ steps uphill to $\tilde\theta$; then the optimizer moves
    $\theta$ by what it makes of $\nabla f(\tilde\theta)$. The paper's rule is $k = 2$ with
    `adv_optimizer=lrjax.chain(lrjax.normalize(), lrjax.sgd(rho))`, by which
    $\tilde\theta = \theta + \rho \nabla f(\theta) / \|\nabla f(\theta)\|$.

    Args:
      optimizer: What moves the parameters: anything with `init` and `update`.
      adv_optimizer: The adversary, an optimizer whose updates are taken uphill.
      sync_period: $k$ >= 1: one step in $k$ is the optimizer's. Static in opaque mode.
      reset_state: Whether the adversary begins anew, schedules included, after each of the optimizer's
        steps. A rate set by `set_learning_rate` or `scale_learning_rate` stays. Static.
      opaque_mode: Whether one call of `update` takes all $k$ steps, so that nothing else sees the
        adversary's parameters; False for one step a call. Static.
      batch_axis_name: In opaque mode, the name of the axis over which gradients are averaged. Static.

    Returns:
      A `GradientTransformation` with a `SAMState`, whose `update` needs `params`. In opaque mode it
      takes `grad_fn=`, a function of parameters and the number of the adversary's step; without one,
      gradients are those of `value_fn=`, which `lrjax.trial` passes.

    Note:
      Between the optimizer's steps the parameters are the adversary's: evaluate where
      `steps_since_sync` is 0. With `sync_period=1` this is the optimizer itself. (optax's then goes on
      from the parameters before the last, and drops every other update. A gradient that is not finite
      spoils its updates for good, as they are multiplied by 0 rather than left out.)

    Raises:
      TypeError: If an argument is of the wrong kind; from `update`, if there is no gradient function
        in opaque mode.
      ValueError: If `sync_period` is less than 1; from `update`, if `params` is missing.

    References:
      Foret et al., Sharpness-Aware Minimization for Efficiently Improving Generalization, 2010.01412,
      2020.

    Example:
      >>> import jax, jax.numpy as jnp, lrjax
      >>> adversary = lrjax.chain(lrjax.normalize(), lrjax.sgd(0.5))
      >>> tx = lrjax.sam(lrjax.sgd(0.25), adversary)
      >>> params = jnp.array(1.0)
      >>> state, seen = tx.init(params), []
      >>> for _ in range(2):
      ...     updates, state = tx.update(jax.grad(jnp.square)(params), state, params)
      ...     params = lrjax.apply_updates(params, updates)
      ...     seen.append(float(params))
      >>> seen
      [1.5, 0.25]
    """
    check_transformation("sam", "optimizer", optimizer)
    check_transformation("sam", "adv_optimizer", adv_optimizer)
    _check.boolean("sam", "reset_state", reset_state)
    _check.boolean("sam", "opaque_mode", opaque_mode)
    if opaque_mode:
        sync_period = _check.integer("sam", "sync_period", sync_period, low=1)
    else:
        _check.number("sam", "sync_period", sync_period, low=1)
    outer, adversary = with_extra_args_support(optimizer), with_extra_args_support(adv_optimizer)

    def init(params: Params) -> SAMState:
        return SAMState(
            steps_since_sync=jnp.zeros((), jnp.int32),
            opt_state=outer.init(params),
            adv_state=adversary.init(params),
            cache=None if opaque_mode else params,
        )

    def climb(g: Updates, state: OptState, params: Params, extra: dict[str, Any]) -> tuple[Updates, OptState]:
        updates, state = adversary.update(g, state, params, **extra)
        return jax.tree.map(jnp.negative, updates), state

    def begun_anew(params: Params, state: OptState) -> OptState:
        return keep_rate_settings(adversary.init(params), state) if reset_state else state

    def transparent(
        updates: Updates, state: SAMState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, SAMState]:
        require_params("sam.update", params, "going back to them")
        due = state.steps_since_sync >= sync_period - 1
        cache = _where(state.steps_since_sync == 0, params, state.cache)
        up, adv_state = climb(updates, state.adv_state, params, extra)
        wide_updates = jax.tree.map(_tree.wide, updates)
        down, opt_state = outer.update(wide_updates, state.opt_state, cache, **extra)

        def back_and_down(u: Any, c: Any, p: Any) -> jax.Array:
            return _tree.wide(c) - _tree.wide(p) + _tree.wide(u)

        moved = _tree.cast_like(jax.tree.map(back_and_down, down, cache, params), updates)
        new_state = SAMState(
            steps_since_sync=jnp.where(due, 0, _tree.next_count(state.steps_since_sync)),
            opt_state=_where(due, opt_state, state.opt_state),
            adv_state=_where(due, begun_anew(cache, state.adv_state), adv_state),
            cache=cache,
        )
        return _where(due, moved, up), new_state

    def opaque(
        updates: Updates,
        state: SAMState,
        params: Params | None = None,
        *,
        grad_fn: Callable[[Params, int], Updates] | None = None,
        **extra: Any,
    ) -> tuple[Updates, SAMState]:
        require_params("sam.update", params, "the adversary")
        gradient = _gradient_function(grad_fn, extra.get("value_fn"))
        g, adv_state, there = updates, state.adv_state, params
        for i in range(int(sync_period) - 1):
            up, adv_state = climb(g, adv_state, there, extra)
            there = apply_updates(there, up)
            g = gradient(there, i)
            g = g if batch_axis_name is None else jax.lax.pmean(g, batch_axis_name)
        steps, opt_state = outer.update(g, state.opt_state, params, **extra)
        return _tree.cast_like(steps, updates), SAMState(
            steps_since_sync=jnp.zeros((), jnp.int32),
            opt_state=opt_state,
            adv_state=begun_anew(params, adv_state),
            cache=None,
        )

    return GradientTransformation(init, opaque if opaque_mode else transparent)


def _gradient_function(grad_fn: Any, value_fn: Any) -> Callable[[Params, int], Updates]:
    if grad_fn is not None:
        return grad_fn
    _check.signal("sam", "grad_fn", "a function from parameters and a step to gradients", value_fn)
    return lambda params, step: jax.grad(value_fn)(params)


def _where(condition: jax.Array, if_true: Any, if_false: Any) -> Any:
    return jax.tree.map(lambda x, y: jnp.where(condition, x, y), if_true, if_false)
