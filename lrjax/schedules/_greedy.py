"""GreedyLR: down when a metric no longer improves, up while it does."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import ScalarLike
from lrjax.schedules import _better, _clock, _driven
from lrjax.schedules._schedule import Schedule


class GreedyState(NamedTuple):
    """The state of GreedyLR.

    Attributes:
      scale: float32 scalar, the factor.
      best_value: float32 scalar, the best metric so far (negated for `mode="max"`).
      initial_value: float32 scalar, the first metric that was finite (negated likewise).
      judged: int32 scalar, how many finite metrics were judged.
      bad_count: int32 scalar, how many in a row were no better.
      good_count: int32 scalar, how many in a row were better.
      cooldown_count: int32 scalar, how many more are let pass after a reduction.
      warmup_count: int32 scalar, how many more are let pass after a rise.
      reset_count: int32 scalar, how many reductions at the lower bound there were.
      count: int32 scalar, how many metrics have come in.
      window: float32 `[window]`, the last of them.

    Example:
      >>> import lrjax
      >>> float(lrjax.greedy_schedule().init().scale)
      1.0
    """

    scale: jax.Array
    best_value: jax.Array
    initial_value: jax.Array
    judged: jax.Array
    bad_count: jax.Array
    good_count: jax.Array
    cooldown_count: jax.Array
    warmup_count: jax.Array
    reset_count: jax.Array
    count: jax.Array
    window: jax.Array


def greedy_schedule(
    factor: ScalarLike = 0.95,
    patience: ScalarLike = 10,
    *,
    mode: str = "min",
    threshold: ScalarLike = 1e-6,
    threshold_mode: str = "abs",
    cooldown: ScalarLike = 0,
    warmup: ScalarLike = 0,
    min_scale: ScalarLike = 1e-2,
    max_scale: ScalarLike = 10.0,
    window: int = 1,
    reset: ScalarLike = 500,
    held_out: bool = False,
) -> Schedule:
    r"""GreedyLR: a factor that falls when a metric no longer improves and rises while it does.

    After more than `patience` metrics in a row that are no better, $s \leftarrow \max(f s, s_{min})$;
    after more than `patience` that are, $s \leftarrow \min(s / f, s_{max})$.

    Args:
      factor: $f$ in (0, 1).
      patience: How many metrics in a row are waited for, >= 0; the next one moves the factor.
      mode: "min" if smaller metrics are better, "max" if larger ones are. Static.
      threshold: By how much a metric must be better, >= 0.
      threshold_mode: "abs", "rel" or "progress"; see `plateau_schedule`. Static.
      cooldown: How many metrics after a reduction are not counted, >= 0.
      warmup: How many metrics after a rise are not counted, >= 0.
      min_scale: $s_{min}$ > 0, the lower bound; transformers has an absolute `min_lr`, 1e-3.
      max_scale: $s_{max}$ >= `min_scale`, the upper bound; transformers has `max_lr`, 1.0.
      window: How many of the last metrics are averaged before they are judged, >= 1. Static.
      reset: After how many reductions at the lower bound all starts again from 1, >= 1.
      held_out: Whether the metrics come from `lrjax.observe` instead of `value=`. Static.

    Returns:
      A `Schedule` whose state is a `GreedyState`, in a `HeldOutState` if `held_out`.

    Raises:
      TypeError: If an argument is of the wrong kind; from `update`, if `value` is missing.
      ValueError: If a number is out of its range, or a mode unknown.

    References:
      Subramanian and Ganapathiraman, GreedyLR: A Novel Adaptive Learning Rate Scheduler,
        2512.14527, 2025.

    Example:
      >>> import lrjax
      >>> init, update = lrjax.greedy_schedule(factor=0.5, patience=1)
      >>> state, factors = init(), []
      >>> for loss in (4.0, 3.0, 2.0, 2.0, 2.0):
      ...     factor, state = update(state, value=loss)
      ...     factors.append(float(factor))
      >>> factors
      [1.0, 2.0, 2.0, 2.0, 1.0]
    """
    call = "greedy_schedule"
    _driven.check_factor(call, factor)
    _check.number(call, "patience", patience, low=0)
    _better.check(call, mode, threshold, threshold_mode)
    _check.number(call, "cooldown", cooldown, low=0)
    _check.number(call, "warmup", warmup, low=0)
    _check.number(call, "min_scale", min_scale, low=0, open_low=True)
    _check.number(call, "max_scale", max_scale, low=0, open_low=True)
    low, high = _check.known(min_scale), _check.known(max_scale)
    if low is not None and high is not None and high < low:
        raise _check.fail(call, "max_scale", f"at least min_scale={low:g}", f"{high:g}")
    _check.integer(call, "window", window, low=1)
    _check.number(call, "reset", reset, low=1)

    def init() -> GreedyState:
        return GreedyState(
            scale=_driven.one(),
            best_value=_driven.zero(),
            initial_value=_driven.zero(),
            judged=_driven.none_yet(),
            bad_count=_driven.none_yet(),
            good_count=_driven.none_yet(),
            cooldown_count=_driven.none_yet(),
            warmup_count=_driven.none_yet(),
            reset_count=_driven.none_yet(),
            count=_driven.none_yet(),
            window=jnp.zeros(window, jnp.float32),
        )

    def judge(state: GreedyState, value: jax.Array) -> GreedyState:
        value = -value if mode == "max" else value
        metrics = state.window.at[state.count % window].set(value)
        count = _tree.next_count(state.count)
        average = jnp.sum(metrics) / jnp.minimum(count, window)
        passing = (state.cooldown_count > 0) | (state.warmup_count > 0)
        finite = jnp.isfinite(average)
        gains = _better.beats(average, state.best_value, state.initial_value, threshold, threshold_mode)
        better = finite & ((state.judged == 0) | gains)
        good = jnp.where(passing | ~better, 0, state.good_count + 1)
        bad = jnp.where(passing | better, 0, state.bad_count + 1)
        limit = _clock.steps(patience)
        rises, falls = good > limit, bad > limit
        lowest = _clock.scalar(min_scale)
        fallen = jnp.maximum(state.scale * _clock.scalar(factor), lowest)
        risen = jnp.minimum(state.scale / _clock.scalar(factor), _clock.scalar(max_scale))
        scale = jnp.where(falls, jnp.minimum(fallen, state.scale), state.scale)
        scale = jnp.where(rises, jnp.maximum(risen, state.scale), scale)
        resets = jnp.where(falls & (scale <= lowest), state.reset_count + 1, state.reset_count)
        resets = jnp.where(rises, 0, resets)
        cooling = jnp.maximum(state.cooldown_count - 1, 0)
        warming = jnp.where(state.cooldown_count > 0, state.warmup_count, state.warmup_count - 1)
        moved = GreedyState(
            scale=scale,
            best_value=jnp.where(better & ~passing, average, state.best_value),
            initial_value=jnp.where(finite & (state.judged == 0), average, state.initial_value),
            judged=jnp.where(finite & ~passing, _tree.next_count(state.judged), state.judged),
            bad_count=jnp.where(falls, 0, bad),
            good_count=jnp.where(rises, 0, good),
            cooldown_count=jnp.where(falls, _driven.whole(cooldown), cooling),
            warmup_count=jnp.where(rises, _driven.whole(warmup), jnp.maximum(warming, 0)),
            reset_count=resets,
            count=count,
            window=metrics,
        )
        again = init()._replace(cooldown_count=moved.cooldown_count)
        starts = falls & (resets >= _clock.steps(reset))
        return jax.tree.map(lambda new, old: jnp.where(starts, new, old), again, moved)

    return _driven.follows_value(call, init, judge, held_out)
