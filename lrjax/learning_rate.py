"""The learning rate has one owner: the state of `scale_by_learning_rate`.

The rate just used can be read from any optimizer state, pinned, released and rescaled, through any
nesting of transformations.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import OptState, Params, ScalarLike, ScalarOrSchedule, Updates
from lrjax.schedules import (
    HeldOutState,
    JoinSchedulesState,
    MultiplicativeScheduleState,
    RepeatState,
    Schedule,
    ScheduleState,
    as_schedule,
    start,
    unset,
)
from lrjax.transform import GradientTransformation, identity


class ScaledScheduleState(NamedTuple):
    """The state of a schedule and the factor on it.

    Attributes:
      factor: float32 scalar, what `scale_learning_rate` has multiplied the schedule by.
      inner_state: The schedule's own state.

    Example:
      >>> import lrjax
      >>> state = lrjax.scale_by_learning_rate(0.1).init(0.0)
      >>> float(state.schedule_state.factor)
      1.0
    """

    factor: jax.Array
    inner_state: Any


class ScaleByLearningRateState(NamedTuple):
    """The state that owns the learning rate.

    Attributes:
      schedule_state: A `ScaledScheduleState`.
      learning_rate: float32 scalar, the rate just used; before the first update the rate of step
        0, or NaN if the schedule is driven by metrics.
      override: float32 scalar, the rate to use instead of the schedule's, or NaN for none
        (-infinity while JAX's `jax_debug_nans` is on; any value that is not finite means none).

    Example:
      >>> import lrjax
      >>> round(float(lrjax.scale_by_learning_rate(0.1).init(0.0).learning_rate), 6)
      0.1
    """

    schedule_state: ScaledScheduleState
    learning_rate: jax.Array
    override: jax.Array

    unset_where_not_finite = ("override",)  # a sweep does not take these for divergence


def scale_by_learning_rate(
    learning_rate: ScalarOrSchedule | Schedule | None = None, *, flip_sign: bool = True
) -> GradientTransformation:
    r"""Multiplies updates by the learning rate, and turns them downhill: $u \leftarrow -\eta_t u$.

    Args:
      learning_rate: $\eta$: a number, a 0-d array, a tracer, a `Schedule` or a callable of the
        step. None leaves updates as they are, sign included.
      flip_sign: Whether to multiply by $-\eta$ (the default) or $+\eta$. Static.

    Returns:
      A `GradientTransformation` whose state is a `ScaleByLearningRateState`. Updates keep their
      dtype: the product is taken in float32 or wider and rounded once.

    Raises:
      TypeError: If `learning_rate` is none of these.
      ValueError: If it is a number that is not finite.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.scale_by_learning_rate(lrjax.linear_schedule(1.0, 0.0, transition_steps=2))
      >>> state = tx.init(jnp.array(0.0))
      >>> updates, state = tx.update(jnp.array(4.0), state)
      >>> updates, state = tx.update(jnp.array(4.0), state)
      >>> float(updates), float(lrjax.get_learning_rate(state))
      (-2.0, 0.5)
    """
    _check.boolean("scale_by_learning_rate", "flip_sign", flip_sign)
    if learning_rate is None:
        return identity()
    schedule = as_schedule("scale_by_learning_rate", "learning_rate", learning_rate)
    sign = -1 if flip_sign else 1

    def init(params: Params) -> ScaleByLearningRateState:
        first = unset() if schedule.closed_form is None else schedule.at(jnp.zeros((), jnp.int32))
        return ScaleByLearningRateState(
            schedule_state=ScaledScheduleState(_float32(1.0), start(schedule, params)),
            learning_rate=_float32(first),
            override=_float32(unset()),
        )

    def update(
        updates: Updates, state: ScaleByLearningRateState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, ScaleByLearningRateState]:
        del params
        factor, inner_state = state.schedule_state
        value, inner_state = schedule.update(inner_state, **{"updates": updates, **extra})
        rate = jnp.where(jnp.isfinite(state.override), state.override, _float32(value) * factor)

        def scale(u: Any) -> jax.Array:
            x = _tree.wide(u)
            return (sign * rate.astype(jnp.finfo(x.dtype).dtype) * x).astype(jnp.result_type(u))

        scaled = jax.tree.map(scale, updates)
        return scaled, ScaleByLearningRateState(
            ScaledScheduleState(factor, inner_state), rate, state.override
        )

    return GradientTransformation(init, update)


def get_learning_rate(opt_state: OptState) -> jax.Array:
    """The learning rate that the last update used.

    Args:
      opt_state: The state of an optimizer, however deeply nested, with one rate in it.

    Returns:
      The rate as a float32 scalar (stacked if the state is). Before the first update: the rate of
      step 0, NaN if it is driven by metrics.

    Raises:
      ValueError: If the state holds no rate, or several; then the message lists where.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> round(float(lrjax.get_learning_rate(lrjax.adam(1e-3).init(jnp.zeros(2)))), 6)
      0.001
    """
    rates = get_learning_rates(opt_state)
    if len(rates) != 1:
        found = "none" if not rates else f"{len(rates)}: {', '.join(rates)}; see `get_learning_rates`"
        expected = "an optimizer state with one learning rate"
        raise _check.fail("get_learning_rate", "opt_state", expected, found)
    return next(iter(rates.values()))


def get_learning_rates(opt_state: OptState) -> dict[str, jax.Array]:
    """Every learning rate in an optimizer state.

    Args:
      opt_state: The state of an optimizer, however deeply nested.

    Returns:
      A dict of path in the state to the rate last used there, in the state's order.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> list(lrjax.get_learning_rates(lrjax.adam(1e-3).init(jnp.zeros(2))))
      ['[1]']
    """
    leaves = jax.tree_util.tree_flatten_with_path(opt_state, is_leaf=_owns_rate)[0]
    return {
        jax.tree_util.keystr(path) or ".": leaf.learning_rate for path, leaf in leaves if _owns_rate(leaf)
    }


def set_learning_rate(opt_state: OptState, learning_rate: ScalarLike | None) -> OptState:
    """Pins the learning rate from the next update on, or releases it.

    While the rate is pinned the schedule's clock runs on; released, training continues at the
    rate the schedule has then.

    Args:
      opt_state: The state of an optimizer, however deeply nested. Every rate in it is set.
      learning_rate: The rate to use, a finite number or a tracer, or None to hand back to the
        schedule.

    Returns:
      The new state; the one passed in is not changed.

    Raises:
      TypeError: If `learning_rate` is not one real number or None.
      ValueError: If it is not finite, or the state holds no rate.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.sgd(0.1)
      >>> state = lrjax.set_learning_rate(tx.init(jnp.array(0.0)), 0.5)
      >>> updates, state = tx.update(jnp.array(1.0), state)
      >>> float(updates)
      -0.5
    """
    if learning_rate is not None:
        _check.number("set_learning_rate", "learning_rate", learning_rate)
    pinned = unset() if learning_rate is None else learning_rate

    def pin(state: ScaleByLearningRateState) -> ScaleByLearningRateState:
        override = jnp.broadcast_to(_float32(pinned), jnp.shape(state.override))
        return state._replace(override=override)

    return _map_rates("set_learning_rate", pin, opt_state)


def scale_learning_rate(opt_state: OptState, factor: ScalarLike) -> OptState:
    """Multiplies the learning rate by a factor from the next update on, schedule and all.

    Args:
      opt_state: The state of an optimizer, however deeply nested. Every rate in it is scaled.
      factor: The factor, >= 0, a number or a tracer. Factors of several calls multiply. A pinned
        rate stays as it is.

    Returns:
      The new state; the one passed in is not changed.

    Raises:
      TypeError: If `factor` is not one real number.
      ValueError: If it is negative or not finite, or the state holds no rate.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.sgd(0.5)
      >>> state = lrjax.scale_learning_rate(tx.init(jnp.array(0.0)), 0.5)
      >>> updates, state = tx.update(jnp.array(1.0), state)
      >>> float(updates)
      -0.25
    """
    _check.number("scale_learning_rate", "factor", factor, low=0)

    def rescale(state: ScaleByLearningRateState) -> ScaleByLearningRateState:
        scaled = state.schedule_state.factor * _float32(factor)
        return state._replace(schedule_state=state.schedule_state._replace(factor=scaled))

    return _map_rates("scale_learning_rate", rescale, opt_state)


def keep_rate_settings(opt_state: OptState, earlier: OptState) -> OptState:
    """A state begun anew, with the rates' overrides and factors that an earlier one had."""

    def keep(new: Any, old: Any) -> Any:
        if not _owns_rate(new):
            return new
        schedule_state = new.schedule_state._replace(factor=old.schedule_state.factor)
        return new._replace(schedule_state=schedule_state, override=old.override)

    return jax.tree.map(keep, opt_state, earlier, is_leaf=_owns_rate)


def get_steps(opt_state: OptState) -> dict[str, jax.Array]:
    """The step of every schedule in an optimizer state: how many values it has given out.

    Args:
      opt_state: The state of an optimizer, however deeply nested.

    Returns:
      A dict of path in the state to an int32 count. Schedules inside of a joined or repeated one go
      by its step, and what metrics alone drive has none.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.adam(lrjax.linear_schedule(1.0, 0.0, transition_steps=10))
      >>> [int(step) for step in lrjax.get_steps(tx.init(jnp.zeros(2))).values()]
      [0]
    """
    leaves = jax.tree_util.tree_flatten_with_path(opt_state, is_leaf=_is_clock)[0]
    return {jax.tree_util.keystr(path) or ".": leaf.count for path, leaf in leaves if _is_clock(leaf)}


def set_step(opt_state: OptState, step: ScalarLike) -> OptState:
    """Sets every schedule in an optimizer state to a step, as if it had given out so many values.

    What metrics have done stays as it is, and so do other counts, such as that of Adam's bias
    correction.

    Args:
      opt_state: The state of an optimizer, however deeply nested.
      step: The step of the next update, >= 0, a whole number or a tracer.

    Returns:
      The new state; the one passed in is not changed.

    Raises:
      TypeError: If `step` is not one real number.
      ValueError: If it is negative or not finite, or the state holds no schedule that has a step, or
        a `multiplicative_schedule`, whose value all steps before have made.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.sgd(lrjax.linear_schedule(1.0, 0.0, transition_steps=10))
      >>> state = lrjax.set_step(tx.init(jnp.array(0.0)), 5)
      >>> updates, state = tx.update(jnp.array(1.0), state)
      >>> float(updates)
      -0.5
    """
    _check.number("set_step", "step", step, low=0)
    if not get_steps(opt_state):
        raise _check.fail(
            "set_step", "opt_state", "an optimizer state with a schedule that has a step", "none"
        )

    if any(map(_is_product, jax.tree.leaves(opt_state, is_leaf=_is_product))):
        expected = "without a `multiplicative_schedule` (its `at` is a schedule whose step can be set)"
        raise _check.fail("set_step", "opt_state", expected, "one")

    def move(state: Any) -> Any:
        return state._replace(count=jnp.broadcast_to(jnp.asarray(step, jnp.int32), jnp.shape(state.count)))

    return jax.tree.map(lambda x: move(x) if _is_clock(x) else x, opt_state, is_leaf=_is_clock)


def observe(opt_state: OptState, value: ScalarLike) -> OptState:
    """Hands a held-out metric to every schedule that waits for one.

    Those are the schedules made with `held_out=True`. They judge it at the next update. A trial that
    `lrjax.trial` made does this after each held-out evaluation of a sweep.

    Args:
      opt_state: The state of an optimizer or of a schedule, however deeply nested.
      value: The metric, a number or a tracer.

    Returns:
      The new state; the one passed in is not changed, and returned as it is if nothing waits.

    Raises:
      TypeError: If `value` is not one number.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> schedule = 0.5 * lrjax.plateau_schedule(factor=0.5, patience=1, held_out=True)
      >>> tx = lrjax.sgd(schedule)
      >>> state = tx.init(jnp.array(0.0))
      >>> for loss in (2.0, 2.0):
      ...     state = lrjax.observe(state, loss)
      ...     _, state = tx.update(jnp.array(1.0), state)
      >>> float(lrjax.get_learning_rate(state))
      0.25
    """
    if jnp.shape(value) != ():
        raise _check.fail_type("observe", "value", "one number", _check.describe(value))

    def hand(state: HeldOutState) -> HeldOutState:
        observed = jnp.broadcast_to(_float32(value), jnp.shape(state.observed))
        return state._replace(observed=observed, fresh=jnp.ones_like(state.fresh))

    def waits(x: Any) -> bool:
        return isinstance(x, HeldOutState)

    return jax.tree.map(lambda x: hand(x) if waits(x) else x, opt_state, is_leaf=waits)


def _map_rates(call: str, change: Any, opt_state: OptState) -> OptState:
    if not get_learning_rates(opt_state):
        raise _check.fail(call, "opt_state", "an optimizer state with a learning rate in it", "none")
    return jax.tree.map(lambda x: change(x) if _owns_rate(x) else x, opt_state, is_leaf=_owns_rate)


def _is_clock(x: Any) -> bool:
    return isinstance(x, (ScheduleState, JoinSchedulesState, RepeatState)) or _is_product(x)


def _is_product(x: Any) -> bool:
    return isinstance(x, MultiplicativeScheduleState)


def _owns_rate(x: Any) -> bool:
    return isinstance(x, ScaleByLearningRateState)


def _float32(x: Any) -> jax.Array:
    return jnp.asarray(x, jnp.float32)
