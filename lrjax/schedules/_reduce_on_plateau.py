"""optax's transformation that scales updates down on a plateau."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import Params, ScalarLike, Updates
from lrjax.schedules import _clock, _driven
from lrjax.schedules._plateau import PlateauState, judge_plateau
from lrjax.transform import GradientTransformation


class ReduceLROnPlateauState(NamedTuple):
    """The state of `reduce_on_plateau`.

    Attributes:
      scale: float32 scalar, the factor on updates.
      best_value: float32 scalar, the best value so far; infinite before the first.
      plateau_count: int32 scalar, how many values in a row were no better.
      cooldown_count: int32 scalar, how many more are let pass before counting again.
      count: int32 scalar, how many have been averaged since the last was judged.
      avg_value: float32 scalar, their average.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> float(lrjax.reduce_on_plateau().init(jnp.zeros(2)).scale)
      1.0
    """

    scale: jax.Array
    best_value: jax.Array
    plateau_count: jax.Array
    cooldown_count: jax.Array
    count: jax.Array
    avg_value: jax.Array

    unset_where_not_finite = ("best_value",)  # a sweep does not take these for divergence


def reduce_on_plateau(
    factor: ScalarLike = 0.1,
    patience: ScalarLike = 10,
    rtol: ScalarLike = 1e-4,
    atol: ScalarLike = 0.0,
    cooldown: ScalarLike = 0,
    accumulation_size: ScalarLike = 1,
    min_scale: ScalarLike = 0.0,
) -> GradientTransformation:
    r"""Scales updates by a factor that is reduced when a value has not improved for a while.

    A value $v$ improves on the best one $v^*$ if $v < v^* - \rho |v^*| - \alpha$. As a learning-rate
    schedule, with more options, it is `plateau_schedule`.

    Args:
      factor: What the scale is multiplied by, in (0, 1).
      patience: How many values in a row without improvement lead to a reduction, >= 1.
      rtol: $\rho$ in [0, 1].
      atol: $\alpha$ >= 0; one of the two must be positive.
      cooldown: How many values after a reduction are not counted, >= 0.
      accumulation_size: How many values are averaged into one, >= 1.
      min_scale: The scale's lower bound, >= 0.

    Returns:
      A `GradientTransformation` whose `update` needs `value=`.

    Raises:
      TypeError: If an argument is not one real number; from `update`, if `value` is missing.
      ValueError: If a number is out of its range.

    Note:
      optax asks for $v < (1 - \rho) v^* - \alpha$, by which a constant below zero improves for ever,
      and keeps the state in the parameters' dtype; here it is float32.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.chain(lrjax.sgd(1.0), lrjax.reduce_on_plateau(factor=0.5, patience=1))
      >>> grads = jnp.array(1.0)
      >>> state = tx.init(grads)
      >>> for value in (2.0, 2.0):
      ...     updates, state = tx.update(grads, state, value=value)
      >>> float(updates)
      -0.5
    """
    call = "reduce_on_plateau"
    _check.number(call, "rtol", rtol, low=0, high=1)
    _check.number(call, "atol", atol, low=0)
    if _check.known(rtol) == 0 and _check.known(atol) == 0:
        raise _check.fail(call, "atol", "greater than 0 where rtol is 0", 0)
    judge = judge_plateau(
        call,
        factor,
        patience,
        mode="min",
        threshold=rtol,
        threshold_mode="rel",
        offset=atol,
        cooldown=cooldown,
        min_scale=min_scale,
        accumulation_size=accumulation_size,
    )

    def init(params: Params) -> ReduceLROnPlateauState:
        del params
        none = _driven.none_yet()
        best = jnp.full((), jnp.inf, jnp.float32)
        return ReduceLROnPlateauState(_driven.one(), best, none, none, none, _driven.zero())

    def update(
        updates: Updates, state: ReduceLROnPlateauState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, ReduceLROnPlateauState]:
        del params
        value = _driven.signal(call, extra, "value", "pass `value=loss` to `update`")
        known = jnp.isfinite(state.best_value)
        before = PlateauState(
            **{**state._asdict(), "best_value": jnp.where(known, state.best_value, 0)},
            initial_value=_driven.zero(),  # not asked for
            judged=known.astype(jnp.int32),
        )
        after = judge(before, _clock.scalar(value))
        best = jnp.where(after.judged > 0, after.best_value, jnp.inf)
        fields = {name: getattr(after, name) for name in ReduceLROnPlateauState._fields}

        def scale(u: Any) -> jax.Array:
            x = _tree.wide(u)
            return (after.scale.astype(jnp.finfo(x.dtype).dtype) * x).astype(jnp.result_type(u))

        return jax.tree.map(scale, updates), ReduceLROnPlateauState(**{**fields, "best_value": best})

    return GradientTransformation(init, update)
