"""Transformations that are applied on some steps only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import OptState, Params, ScalarLike, Updates
from lrjax.transform import GradientTransformation, check_transformation, with_extra_args_support
from lrjax.transforms._gate import gated, nothing


class ApplyIfFiniteState(NamedTuple):
    """The state of `apply_if_finite`.

    Attributes:
      notfinite_count: int32 scalar, how many updates in a row, up to now, were not finite.
      last_finite: bool scalar, whether the last updates were finite.
      total_notfinite: int32 scalar, how many updates were not finite so far.
      inner_state: The state of the transformation.

    Example:
      >>> import lrjax
      >>> tx = lrjax.apply_if_finite(lrjax.identity(), max_consecutive_errors=3)
      >>> int(tx.init(0.0).total_notfinite)
      0
    """

    notfinite_count: jax.Array
    last_finite: jax.Array
    total_notfinite: jax.Array
    inner_state: Any


class ConditionallyTransformState(NamedTuple):
    """The state of `conditionally_transform`.

    Attributes:
      inner_state: The state of the transformation.
      step: int32 scalar, the number of updates so far, applied or not.

    Example:
      >>> import lrjax
      >>> tx = lrjax.conditionally_transform(lrjax.identity(), lambda step: step < 10)
      >>> int(tx.init(0.0).step)
      0
    """

    inner_state: Any
    step: jax.Array


class ConditionallyMaskState(NamedTuple):
    """The state of `conditionally_mask`.

    Attributes:
      step: int32 scalar, the number of updates so far, applied or not.
      inner_state: The state of the transformation.

    Example:
      >>> import lrjax
      >>> tx = lrjax.conditionally_mask(lrjax.identity(), lambda step: step < 10)
      >>> int(tx.init(0.0).step)
      0
    """

    step: jax.Array
    inner_state: Any


def apply_if_finite(inner: Any, max_consecutive_errors: ScalarLike) -> GradientTransformation:
    """Skips updates that are not finite, up to a number in a row.

    Where any element is NaN or infinite, the updates become zero and the inner state stays as it
    was; it is not even computed. After `max_consecutive_errors` such updates in a row the next one
    is let through, so that training that is lost shows.

    Args:
      inner: The transformation: anything with `init` and `update`.
      max_consecutive_errors: >= 0, how many updates in a row are skipped.

    Returns:
      A `GradientTransformation` with an `ApplyIfFiniteState`.

    Raises:
      TypeError: If `inner` has no `init` and `update`, or the number is not one real number.
      ValueError: If the number is negative.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.apply_if_finite(lrjax.sgd(1.0), max_consecutive_errors=3)
      >>> state = tx.init(jnp.array(0.0))
      >>> updates, state = tx.update(jnp.array(jnp.nan), state)
      >>> float(updates), bool(state.last_finite), int(state.notfinite_count)
      (0.0, False, 1)
    """
    check_transformation("apply_if_finite", "inner", inner)
    _check.number("apply_if_finite", "max_consecutive_errors", max_consecutive_errors, low=0)
    inner = with_extra_args_support(inner)

    def init(params: Params) -> ApplyIfFiniteState:
        none = jnp.zeros((), jnp.int32)
        return ApplyIfFiniteState(none, jnp.array(True), none, inner.init(params))

    def update(
        updates: Updates, state: ApplyIfFiniteState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, ApplyIfFiniteState]:
        leaves = [jnp.all(jnp.isfinite(u)) for u in jax.tree.leaves(updates)]
        finite = jnp.all(jnp.stack(leaves)) if leaves else jnp.array(True)
        in_a_row = jnp.where(finite, 0, _tree.next_count(state.notfinite_count))
        total = jnp.where(finite, state.total_notfinite, _tree.next_count(state.total_notfinite))
        changed, inner_state = gated(
            finite | (in_a_row > max_consecutive_errors),
            lambda: inner.update(updates, state.inner_state, params, **extra),
            nothing(updates),
            state.inner_state,
        )
        return changed, ApplyIfFiniteState(in_a_row, finite, total, inner_state)

    return GradientTransformation(init, update)


def conditionally_transform(
    inner: Any, should_transform_fn: Callable[..., Any], forward_extra_args: bool = False
) -> GradientTransformation:
    """Applies a transformation on some steps; on the others updates pass as they are.

    The inner state moves, and is computed, only on the steps where the transformation applies.

    Args:
      inner: The transformation: anything with `init` and `update`.
      should_transform_fn: `should_transform_fn(step) -> bool scalar`, with `step` an int32 scalar
        that counts updates from 0, applied or not.
      forward_extra_args: Whether it receives the extra keywords of the update, too. Static.

    Returns:
      A `GradientTransformation` with a `ConditionallyTransformState`.

    Raises:
      TypeError: If an argument is of the wrong kind.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.conditionally_transform(lrjax.clip(1.0), lambda step: step < 1)
      >>> state = tx.init(jnp.array(0.0))
      >>> first, state = tx.update(jnp.array(3.0), state)
      >>> second, state = tx.update(jnp.array(3.0), state)
      >>> float(first), float(second)
      (1.0, 3.0)
    """
    inner, due = _conditional("conditionally_transform", inner, should_transform_fn, forward_extra_args)

    def init(params: Params) -> ConditionallyTransformState:
        return ConditionallyTransformState(inner.init(params), jnp.zeros((), jnp.int32))

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, ConditionallyTransformState]:
        changed, inner_state = gated(
            due(state.step, extra),
            lambda: inner.update(updates, state.inner_state, params, **extra),
            updates,
            state.inner_state,
        )
        return changed, ConditionallyTransformState(inner_state, _tree.next_count(state.step))

    return GradientTransformation(init, update)


def conditionally_mask(
    inner: Any, should_transform_fn: Callable[..., Any], forward_extra_args: bool = False
) -> GradientTransformation:
    """Applies a transformation on some steps; on the others updates become zero.

    The inner state moves, and is computed, only on the steps where the transformation applies.

    Args:
      inner: The transformation: anything with `init` and `update`.
      should_transform_fn: `should_transform_fn(step) -> bool scalar`, with `step` an int32 scalar
        that counts updates from 0, applied or not.
      forward_extra_args: Whether it receives the extra keywords of the update, too. Static.

    Returns:
      A `GradientTransformation` with a `ConditionallyMaskState`.

    Raises:
      TypeError: If an argument is of the wrong kind.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.conditionally_mask(
      ...     lrjax.sgd(1.0), lambda step, value: value > 0.5, forward_extra_args=True
      ... )
      >>> state = tx.init(jnp.array(0.0))
      >>> updates, state = tx.update(jnp.array(3.0), state, value=jnp.array(0.1))
      >>> float(updates)
      0.0
    """
    inner, due = _conditional("conditionally_mask", inner, should_transform_fn, forward_extra_args)

    def init(params: Params) -> ConditionallyMaskState:
        return ConditionallyMaskState(jnp.zeros((), jnp.int32), inner.init(params))

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, ConditionallyMaskState]:
        changed, inner_state = gated(
            due(state.step, extra),
            lambda: inner.update(updates, state.inner_state, params, **extra),
            nothing(updates),
            state.inner_state,
        )
        return changed, ConditionallyMaskState(_tree.next_count(state.step), inner_state)

    return GradientTransformation(init, update)


def _conditional(
    call: str, inner: Any, condition: Callable[..., Any], forward_extra_args: bool
) -> tuple[GradientTransformation, Callable[[jax.Array, dict[str, Any]], Any]]:
    """The inner transformation, and whether it is due, from checked arguments."""
    check_transformation(call, "inner", inner)
    if not callable(condition):
        expected = "a function of the step"
        raise _check.fail_type(call, "should_transform_fn", expected, _check.describe(condition))
    _check.boolean(call, "forward_extra_args", forward_extra_args)

    def due(step: jax.Array, extra: dict[str, Any]) -> Any:
        return condition(step, **extra) if forward_extra_args else condition(step)

    return with_extra_args_support(inner), due
