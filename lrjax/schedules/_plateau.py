"""Schedules that come down when a metric no longer improves."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import ScalarLike
from lrjax.schedules import _better, _clock, _driven
from lrjax.schedules._schedule import Schedule


class PlateauState(NamedTuple):
    """The state of a plateau schedule.

    Attributes:
      scale: float32 scalar, the factor.
      best_value: float32 scalar, the best metric so far (negated for `mode="max"`).
      initial_value: float32 scalar, the first metric that was finite (negated likewise).
      judged: int32 scalar, how many finite metrics were judged.
      plateau_count: int32 scalar, how many in a row were no better.
      cooldown_count: int32 scalar, how many more are let pass before counting again.
      count: int32 scalar, how many have been averaged since the last was judged.
      avg_value: float32 scalar, their average.

    Example:
      >>> import lrjax
      >>> float(lrjax.plateau_schedule().init().scale)
      1.0
    """

    scale: jax.Array
    best_value: jax.Array
    initial_value: jax.Array
    judged: jax.Array
    plateau_count: jax.Array
    cooldown_count: jax.Array
    count: jax.Array
    avg_value: jax.Array


class PlateauCooldownState(NamedTuple):
    """The state of a schedule that cools down once a metric no longer improves.

    Attributes:
      scale: float32 scalar, the factor; 0 when training may stop.
      since: int32 scalar, the number of updates since the cooldown began; -1 before.
      plateau: The `PlateauState` that watches the metric; its own factor says whether it has fired.

    Example:
      >>> import lrjax
      >>> int(lrjax.plateau_cooldown_schedule(100).init().since)
      -1
    """

    scale: jax.Array
    since: jax.Array
    plateau: PlateauState


def plateau_schedule(
    factor: ScalarLike = 0.1,
    patience: ScalarLike = 10,
    *,
    mode: str = "min",
    threshold: ScalarLike = 1e-4,
    threshold_mode: str = "progress",
    cooldown: ScalarLike = 0,
    min_scale: ScalarLike = 0.0,
    eps: ScalarLike = 0.0,
    accumulation_size: ScalarLike = 1,
    held_out: bool = False,
) -> Schedule:
    r"""A factor that is reduced each time a metric has not improved for a while.

    A metric $m$ improves on the best one $m^*$ if $m < m^* - \tau d$, where $d$ is what was gained
    since the beginning, $|m_0 - m^*|$ ("progress"), or $|m^*|$ ("rel"), or 1 ("abs"): a margin that
    means the same for metrics of any sign. After `patience` in a row that do not improve,
    $s \leftarrow \max(f s, s_{min})$.

    Multiply it by a rate, or by another schedule: `0.1 * plateau_schedule()`,
    `warmup(100) * cosine * plateau_schedule()`.

    Args:
      factor: $f$ in (0, 1).
      patience: How many metrics in a row without improvement lead to a reduction, >= 1. That is
        optax's and Keras's count; PyTorch's `patience=p` is `p + 1` here.
      mode: "min" if smaller metrics are better, "max" if larger ones are. Static.
      threshold: $\tau$ >= 0.
      threshold_mode: "progress", "rel" or "abs". PyTorch's and optax's ratio is "rel" (for positive
        metrics), Keras's `min_delta` is "abs". Static.
      cooldown: How many metrics after a reduction are not counted, >= 0. Keras counts from the
        last of them: its `cooldown=c` is `c - 1` here.
      min_scale: $s_{min}$ >= 0, the factor's lower bound.
      eps: A reduction by no more than this, >= 0, is not made.
      accumulation_size: How many metrics are averaged into one, >= 1: for noisy training losses.
      held_out: Whether the metrics are held-out ones, handed over by `lrjax.observe` (a sweep does
        so after each evaluation), instead of `value=` at every update. Static.

    Returns:
      A `Schedule` whose state is a `PlateauState`, in a `HeldOutState` if `held_out`.

    Raises:
      TypeError: If an argument is of the wrong kind; from `update`, if `value` is missing.
      ValueError: If a number is out of its range, or a mode unknown.

    Note:
      PyTorch and optax ask for a ratio, by which a constant -1.0 improves at every step. A metric
      that is not finite counts as no improvement.

    Example:
      >>> import lrjax
      >>> init, update = 0.5 * lrjax.plateau_schedule(factor=0.5, patience=2)
      >>> state, rates = init(), []
      >>> for loss in (3.0, 2.0, 2.0, 2.0, 1.0):
      ...     rate, state = update(state, value=loss)
      ...     rates.append(float(rate))
      >>> rates
      [0.5, 0.5, 0.5, 0.25, 0.25]
    """
    call = "plateau_schedule"
    judge = judge_plateau(
        call,
        factor,
        patience,
        mode=mode,
        threshold=threshold,
        threshold_mode=threshold_mode,
        cooldown=cooldown,
        min_scale=min_scale,
        eps=eps,
        accumulation_size=accumulation_size,
    )
    return _driven.follows_value(call, first_plateau, judge, held_out)


def adaptive_schedule(
    factor: ScalarLike = 0.2,
    patience: ScalarLike = 5,
    *,
    mode: str = "min",
    tol: ScalarLike = 1e-3,
    min_scale: ScalarLike = 0.0,
    held_out: bool = False,
) -> Schedule:
    r"""scikit-learn's "adaptive": a factor that falls when metrics stop gaining `tol` on the best.

    A metric counts as a gain if $m \le m^* - \tau$; the best $m^*$ follows every smaller metric, so
    that slow improvement, by less than $\tau$ each time, is a plateau too.

    Args:
      factor: The factor of one reduction in (0, 1); scikit-learn divides by 5.
      patience: How many metrics in a row without gain lead to a reduction, >= 1: the
        `n_iter_no_change` of `SGDClassifier`; `MLPClassifier`'s `n` is `n + 1` here.
      mode: "min" if smaller metrics are better, "max" if larger ones are. Static.
      tol: $\tau$ >= 0, in the metric's units.
      min_scale: The factor's lower bound, >= 0.
      held_out: Whether the metrics come from `lrjax.observe` instead of `value=`. Static.

    Returns:
      A `Schedule` whose state is a `PlateauState`, in a `HeldOutState` if `held_out`.

    Raises:
      TypeError: If an argument is of the wrong kind; from `update`, if `value` is missing.
      ValueError: If a number is out of its range, or `mode` unknown.

    References:
      Pedregosa et al., Scikit-learn: Machine Learning in Python, JMLR 12, 2011.

    Example:
      >>> import lrjax
      >>> init, update = lrjax.adaptive_schedule(patience=2)
      >>> state, factors = init(), []
      >>> for loss in (1.0, 0.9999, 0.9998):
      ...     factor, state = update(state, value=loss)
      ...     factors.append(round(float(factor), 6))
      >>> factors
      [1.0, 1.0, 0.2]
    """
    call = "adaptive_schedule"
    _check.number(call, "tol", tol, low=0)
    judge = judge_plateau(
        call, factor, patience, mode=mode, threshold=tol, min_scale=min_scale, follow_all=True
    )
    return _driven.follows_value(call, first_plateau, judge, held_out)


def plateau_cooldown_schedule(
    steps: ScalarLike,
    patience: ScalarLike = 10,
    *,
    mode: str = "min",
    threshold: ScalarLike = 1e-4,
    threshold_mode: str = "progress",
    accumulation_size: ScalarLike = 1,
    held_out: bool = False,
) -> Schedule:
    r"""A factor that is 1 until a metric no longer improves, then falls on a line to 0, and stays.

    Once the factor is 0 updates do nothing and training may stop: `get_learning_rate(state) == 0`.

    Args:
      steps: The length of the cooldown in updates, > 0.
      patience: How many metrics in a row without improvement begin it, >= 1.
      mode: "min" if smaller metrics are better, "max" if larger ones are. Static.
      threshold: By how much a metric must improve, >= 0; see `plateau_schedule`.
      threshold_mode: "progress", "rel" or "abs"; see `plateau_schedule`. Static.
      accumulation_size: How many metrics are averaged into one, >= 1.
      held_out: Whether the metrics come from `lrjax.observe` instead of `value=`; the cooldown
        itself moves at every update. Static.

    Returns:
      A `Schedule` whose state is a `PlateauCooldownState`, in a `HeldOutState` if `held_out`.

    Raises:
      TypeError: If an argument is of the wrong kind; from `update`, if `value` is missing.
      ValueError: If a number is out of its range, or a mode unknown.

    Example:
      >>> import lrjax
      >>> init, update = lrjax.plateau_cooldown_schedule(4, patience=2)
      >>> state, factors = init(), []
      >>> for loss in (2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0):
      ...     factor, state = update(state, value=loss)
      ...     factors.append(float(factor))
      >>> factors
      [1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    """
    call = "plateau_cooldown_schedule"
    _clock.check_steps(call, "steps", steps, positive=True)
    watch = judge_plateau(
        call,
        0.5,  # any factor: what counts is that the metric has been at rest
        patience,
        mode=mode,
        threshold=threshold,
        threshold_mode=threshold_mode,
        accumulation_size=accumulation_size,
    )

    def init() -> PlateauCooldownState:
        return PlateauCooldownState(_driven.one(), jnp.full((), -1, jnp.int32), first_plateau())

    def judge(state: PlateauCooldownState, value: jax.Array) -> PlateauCooldownState:
        return state._replace(plateau=watch(state.plateau, value))

    def tick(state: PlateauCooldownState) -> PlateauCooldownState:
        begun = state.plateau.scale < 1
        since = jnp.where(begun, _tree.next_count(state.since), state.since)
        _, left = _clock.progress(jnp.maximum(since, 0), 0, steps)
        return state._replace(scale=left, since=since)

    return _driven.follows_value(call, init, judge, held_out, tick)


def first_plateau() -> PlateauState:
    return PlateauState(
        scale=_driven.one(),
        best_value=_driven.zero(),
        initial_value=_driven.zero(),
        judged=_driven.none_yet(),
        plateau_count=_driven.none_yet(),
        cooldown_count=_driven.none_yet(),
        count=_driven.none_yet(),
        avg_value=_driven.zero(),
    )


def judge_plateau(
    call: str,
    factor: ScalarLike,
    patience: ScalarLike,
    *,
    mode: str,
    threshold: ScalarLike,
    threshold_mode: str = "abs",
    cooldown: ScalarLike = 0,
    min_scale: ScalarLike = 0.0,
    eps: ScalarLike = 0.0,
    accumulation_size: ScalarLike = 1,
    follow_all: bool = False,
    offset: ScalarLike = 0.0,
) -> Callable[[PlateauState, jax.Array], PlateauState]:
    """What a metric does to the state; with `follow_all` the best follows every smaller metric."""
    _driven.check_factor(call, factor)
    _check.number(call, "patience", patience, low=1)
    _better.check(call, mode, threshold, threshold_mode)
    _check.number(call, "cooldown", cooldown, low=0)
    _check.number(call, "min_scale", min_scale, low=0)
    _check.number(call, "eps", eps, low=0)
    _check.number(call, "accumulation_size", accumulation_size, low=1)

    def judge(state: PlateauState, value: jax.Array) -> PlateauState:
        value = -value if mode == "max" else value
        count = _tree.next_count(state.count)
        average = state.avg_value + (value - state.avg_value) / count.astype(jnp.float32)
        waiting = state._replace(count=count, avg_value=average)
        judged = decide(state, average)
        ready = count >= _clock.steps(accumulation_size)
        return jax.tree.map(lambda new, old: jnp.where(ready, new, old), judged, waiting)

    def decide(state: PlateauState, value: jax.Array) -> PlateauState:
        best, finite, first = state.best_value, jnp.isfinite(value), state.judged == 0
        if follow_all:  # a gain of exactly the threshold counts
            gains = value <= best - _clock.scalar(threshold)
        else:
            gains = _better.beats(value, best, state.initial_value, threshold, threshold_mode, offset)
        better = finite & (first | gains)
        lower = finite & (first | (value < best)) if follow_all else better
        resting = state.cooldown_count > 0
        at_rest = jnp.where(better | resting, 0, _tree.next_count(state.plateau_count))
        reduce = at_rest >= _clock.steps(patience)
        reduced = jnp.maximum(state.scale * _clock.scalar(factor), _clock.scalar(min_scale))
        changes = reduce & (state.scale - reduced > _clock.scalar(eps))
        left = jnp.maximum(state.cooldown_count - 1, 0)
        return PlateauState(
            scale=jnp.where(changes, reduced, state.scale),
            best_value=jnp.where(lower, value, best),
            initial_value=jnp.where(finite & first, value, state.initial_value),
            judged=jnp.where(finite, _tree.next_count(state.judged), state.judged),
            plateau_count=jnp.where(reduce, 0, at_rest),
            cooldown_count=jnp.where(reduce, _driven.whole(cooldown), left),
            count=_driven.none_yet(),
            avg_value=_driven.zero(),
        )

    return judge
