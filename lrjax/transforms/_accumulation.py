"""Gradients of several micro-batches made into one update."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import OptState, Params, ScalarLike, ScalarOrSchedule, Updates
from lrjax.transform import GradientTransformation, check_transformation, with_extra_args_support
from lrjax.transforms._gate import gated, nothing


class MultiStepsState(NamedTuple):
    """The state of `MultiSteps`.

    Attributes:
      mini_step: int32 scalar, the number of micro-batches gathered.
      gradient_step: int32 scalar, the number of updates applied.
      inner_opt_state: The state of the wrapped optimizer.
      acc_grads: Mean or sum of the gradients gathered, shaped like the parameters.
      skip_state: What `should_skip_update_fn` told of the last micro-batch, or `()`.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> state = lrjax.MultiSteps(lrjax.sgd(0.1), every_k_schedule=4).init(jnp.zeros(2))
      >>> int(state.mini_step), int(state.gradient_step)
      (0, 0)
    """

    mini_step: jax.Array
    gradient_step: jax.Array
    inner_opt_state: Any
    acc_grads: Params
    skip_state: Any = ()


class ApplyEvery(NamedTuple):
    """The state of `apply_every`.

    Attributes:
      count: int32 scalar, the number of updates gathered.
      grad_acc: The sum of the updates gathered, shaped like the parameters, in at least float32.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> int(lrjax.apply_every(4).init(jnp.zeros(2)).count)
      0
    """

    count: jax.Array
    grad_acc: Params


class MultiSteps:
    r"""Gathers the gradients of $k$ micro-batches and hands their mean to the optimizer once.

    $\bar g \leftarrow \bar g + (g - \bar g) / (j + 1)$ on micro-batch $j = 0, 1, \ldots, k - 1$; the
    updates are zero, and the optimizer is not computed, on all but the last. Its schedules step once
    per update applied. What was gathered is forgotten after each update, NaN included: a micro-batch
    that was not finite costs one update if the optimizer refuses it (`apply_if_finite`), and nothing
    if it is skipped (`skip_not_finite`).

    Args:
      opt: The optimizer: anything with `init` and `update`.
      every_k_schedule: $k$ >= 1, or a callable of the number of updates applied that returns it.
      use_grad_mean: Whether to hand on the mean (the default) or the sum. Static.
      should_skip_update_fn: `should_skip_update_fn(updates, gradient_step, params) ->
        (should_skip, skip_state)`; a micro-batch that is skipped is as if it had not come. Static.
      accumulator_dtype: The dtype gradients are gathered in; None for the parameters'. Parameters
        that are complex, or wider than float32, keep theirs. Static.

    Attributes:
      init: Makes the state, a `MultiStepsState`.
      update: Gives the updates and the new state; `init, update = tx` unpacks both.
      inner_opt: The wrapped optimizer.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If `every_k_schedule` is a number below 1.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.MultiSteps(lrjax.sgd(0.5), every_k_schedule=2)
      >>> state = tx.init(jnp.array(0.0))
      >>> first, state = tx.update(jnp.array(1.0), state)
      >>> second, state = tx.update(jnp.array(3.0), state)
      >>> float(first), float(second), bool(tx.has_updated(state))
      (0.0, -1.0, True)
    """

    def __init__(
        self,
        opt: Any,
        every_k_schedule: ScalarOrSchedule,
        use_grad_mean: bool = True,
        should_skip_update_fn: Callable[..., tuple[Any, Any]] | None = None,
        accumulator_dtype: Any = jnp.float32,
    ) -> None:
        check_transformation("MultiSteps", "opt", opt)
        _check.boolean("MultiSteps", "use_grad_mean", use_grad_mean)
        if not callable(every_k_schedule):
            _check.number("MultiSteps", "every_k_schedule", every_k_schedule, low=1)
        if should_skip_update_fn is not None and not callable(should_skip_update_fn):
            expected, got = "a function or None", _check.describe(should_skip_update_fn)
            raise _check.fail_type("MultiSteps", "should_skip_update_fn", expected, got)
        inner = with_extra_args_support(opt)

        def init(params: Params) -> MultiStepsState:
            zero = jnp.zeros((), jnp.int32)
            skip_state = ()
            if should_skip_update_fn is not None:
                _, skip_state = should_skip_update_fn(params, zero, params)
            gathered = _tree.zeros_like(params, lambda p: _accumulator(p, accumulator_dtype))
            return MultiStepsState(zero, zero, inner.init(params), gathered, skip_state)

        def update(
            updates: Updates, state: MultiStepsState, params: Params | None = None, **extra: Any
        ) -> tuple[Updates, MultiStepsState]:
            step, j = state.gradient_step, state.mini_step
            k = every_k_schedule(step) if callable(every_k_schedule) else every_k_schedule
            skip, skip_state = jnp.array(False), ()
            if should_skip_update_fn is not None:
                skip, skip_state = should_skip_update_fn(updates, step, params)

            def gather(g: Any, acc: jax.Array) -> jax.Array:
                a = _tree.wide(acc)
                more = a + ((_tree.wide(g) - a) / (j + 1) if use_grad_mean else _tree.wide(g))
                return jnp.where(skip, acc, more.astype(acc.dtype))

            gathered = jax.tree.map(gather, updates, state.acc_grads)
            due = (j >= k - 1) & ~skip
            applied, inner_state = gated(
                due,
                lambda: inner.update(
                    _tree.cast_like(gathered, updates), state.inner_opt_state, params, **extra
                ),
                nothing(updates),
                state.inner_opt_state,
            )
            return applied, MultiStepsState(
                mini_step=jnp.where(due, 0, jnp.where(skip, j, _tree.next_count(j))),
                gradient_step=jnp.where(due, _tree.next_count(step), step),
                inner_opt_state=inner_state,
                acc_grads=jax.tree.map(lambda acc: jnp.where(due, 0, acc), gathered),
                skip_state=skip_state,
            )

        self.init, self.update, self.inner_opt = init, update, inner

    def __iter__(self) -> Iterator[Callable[..., Any]]:
        yield self.init
        yield self.update

    def has_updated(self, state: MultiStepsState | OptState) -> jax.Array:
        """Whether the last update was applied, as a bool scalar.

        Args:
          state: The state that the last `update` returned.
        """
        return (state.mini_step == 0) & (state.gradient_step > 0)

    def gradient_transformation(self) -> GradientTransformation:
        """The same pair as a plain `GradientTransformation`."""
        return GradientTransformation(self.init, self.update)


def skip_not_finite(
    updates: Updates, gradient_step: ScalarLike, params: Params | None
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Skips micro-batches with a gradient that is not finite; for `MultiSteps`.

    Args:
      updates: The gradients of a micro-batch.
      gradient_step: The number of updates applied; not used.
      params: The parameters; not used.

    Returns:
      Whether to skip, and a dict of `should_skip` (the same) and `num_not_finite`, an int32 scalar:
      how many elements are not finite.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> skip, told = lrjax.skip_not_finite(jnp.array([1.0, jnp.nan]), 0, None)
      >>> bool(skip), int(told["num_not_finite"])
      (True, 1)
    """
    del gradient_step, params
    counts = [jnp.sum(~jnp.isfinite(u), dtype=jnp.int32) for u in jax.tree.leaves(updates)]
    number = sum(counts, jnp.zeros((), jnp.int32))
    skip = number > 0
    return skip, {"should_skip": skip, "num_not_finite": number}


def skip_large_updates(
    updates: Updates, gradient_step: ScalarLike, params: Params | None, max_squared_norm: ScalarLike
) -> tuple[jax.Array, dict[str, jax.Array]]:
    r"""Skips micro-batches with $\|g\|^2$ of a bound or more, or not a number; for `MultiSteps`.

    Args:
      updates: The gradients of a micro-batch.
      gradient_step: The number of updates applied; not used.
      params: The parameters; not used.
      max_squared_norm: The bound, > 0; set it by `functools.partial`.

    Returns:
      Whether to skip, and a dict of `should_skip` (the same) and `norm_squared`, a float32 scalar
      that is infinite where the square overflows.

    Example:
      >>> import functools, jax.numpy as jnp, lrjax
      >>> skip = functools.partial(lrjax.skip_large_updates, max_squared_norm=100.0)
      >>> tx = lrjax.MultiSteps(lrjax.sgd(0.1), 2, should_skip_update_fn=skip)
      >>> state = tx.init(jnp.array(0.0))
      >>> _, state = tx.update(jnp.array(1e30), state)
      >>> int(state.mini_step), bool(state.skip_state["should_skip"])
      (0, True)
    """
    del gradient_step, params
    squared = (_tree.norm(updates) ** 2).astype(jnp.float32)
    skip = ~(squared < max_squared_norm)
    return skip, {"should_skip": skip, "norm_squared": squared}


def apply_every(k: ScalarLike = 1) -> GradientTransformation:
    """Sums updates, and gives the sum every `k` steps and zero between.

    What stands before it in a chain still runs at every step; `MultiSteps` wraps a whole optimizer.

    Args:
      k: The number of steps, >= 1.

    Returns:
      A `GradientTransformation` with an `ApplyEvery` state.

    Note:
      The sum is kept in float32 for half-precision parameters (optax keeps the parameters' dtype),
      and forgotten after each update even where it is NaN.

    Raises:
      TypeError: If `k` is not one real number.
      ValueError: If it is below 1.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.apply_every(2)
      >>> state = tx.init(jnp.array(0.0))
      >>> first, state = tx.update(jnp.array(1.0), state)
      >>> second, state = tx.update(jnp.array(3.0), state)
      >>> float(first), float(second)
      (0.0, 4.0)
    """
    _check.number("apply_every", "k", k, low=1)

    def init(params: Params) -> ApplyEvery:
        return ApplyEvery(jnp.zeros((), jnp.int32), _tree.zeros_like(params, _widened))

    def update(
        updates: Updates, state: ApplyEvery, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, ApplyEvery]:
        del params, extra
        due = state.count >= k - 1
        total = jax.tree.map(lambda g, acc: (acc + _tree.wide(g)).astype(acc.dtype), updates, state.grad_acc)
        given = jax.tree.map(lambda acc: jnp.where(due, acc, 0), total)
        kept = jax.tree.map(lambda acc: jnp.where(due, 0, acc), total)
        count = jnp.where(due, 0, _tree.next_count(state.count))
        return _tree.cast_like(given, updates), ApplyEvery(count, kept)

    return GradientTransformation(init, update)


def _accumulator(p: Any, dtype: Any) -> Any:
    """The dtype to gather in: a half-precision one for real leaves as it is, others as a floor."""
    own = jnp.result_type(p)
    if dtype is None:
        return own
    real = jnp.issubdtype(own, jnp.floating)
    return jnp.dtype(dtype) if real and jnp.finfo(dtype).bits < 32 else jnp.promote_types(dtype, own)


def _widened(x: Any) -> Any:
    return _tree.wide(x).dtype
