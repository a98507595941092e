"""Schedules made of pieces: steps down, and lines or cosines between given values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from lrjax import _check
from lrjax._types import ScalarLike
from lrjax.schedules import _arguments, _clock, _shapes
from lrjax.schedules._schedule import Schedule, from_closed_form

Scales: TypeAlias = Mapping[Any, ScalarLike] | Sequence[tuple[ScalarLike, ScalarLike]]


def piecewise_constant_schedule(
    init_value: ScalarLike, boundaries_and_scales: Scales | None = None
) -> Schedule:
    r"""Constant pieces: at each boundary the value is multiplied by a factor.

    $\eta_t = \eta_0 \prod_{b_i \le t} f_i$. The factors compound; pieces with values of their own
    are `join_schedules([first, second, ...], boundaries)`.

    Args:
      init_value: $\eta_0$, the value before the first boundary.
      boundaries_and_scales: A dict of $b_i$ (steps, >= 0) to $f_i$ (>= 0), or a sequence of such
        pairs: a tracer cannot be the key of a dict. None for no boundaries.

    Returns:
      A `Schedule`.

    Raises:
      TypeError: If an argument is not one real number.
      ValueError: If one is not finite or out of its range.

    Example:
      >>> import lrjax
      >>> schedule = lrjax.piecewise_constant_schedule(1.0, {10: 0.5, 20: 0.5})
      >>> [float(schedule(t)) for t in (9, 10, 20)]
      [1.0, 0.5, 0.25]
    """
    call = "piecewise_constant_schedule"
    _arguments.finite(call, init_value=init_value)
    pairs = _pairs(call, boundaries_and_scales)

    def at(count: Any) -> jax.Array:
        value = jnp.full(jnp.shape(count), init_value, jnp.float32)
        for boundary, scale in pairs:
            now, start = _clock.alike(count, boundary)
            value *= jnp.where(now >= start, _clock.scalar(scale), 1.0)
        return value

    return from_closed_form(at)


def piecewise_interpolate_schedule(
    interpolate_type: str, init_value: ScalarLike, boundaries_and_scales: Scales | None = None
) -> Schedule:
    r"""Lines or half cosines between values that are multiplied at each boundary.

    At $b_i$ the value is $v_i = \eta_0 f_1 \cdots f_i$; in between, with
    $q = (t - b_i) / (b_{i+1} - b_i)$, it is $v_i + (v_{i+1} - v_i)\, q$ or
    $v_{i+1} + \tfrac12 (v_i - v_{i+1})(1 + \cos \pi q)$. After the last boundary it is constant.

    Args:
      interpolate_type: "linear" or "cosine". Static.
      init_value: $\eta_0$, the value at step 0.
      boundaries_and_scales: A dict of $b_i$ (steps, >= 0) to $f_i$ (>= 0), or a sequence of such
        pairs in increasing order: a tracer cannot be the key of a dict. None for no boundaries.

    Returns:
      A `Schedule`.

    Raises:
      TypeError: If an argument is not one real number.
      ValueError: If one is not finite or out of its range, or pairs are not in order.

    Example:
      >>> import lrjax
      >>> schedule = lrjax.piecewise_interpolate_schedule("linear", 1.0, {10: 2.0, 20: 0.25})
      >>> [float(schedule(t)) for t in (0, 5, 10, 15, 99)]
      [1.0, 1.5, 2.0, 1.25, 0.5]
    """
    call = "piecewise_interpolate_schedule"
    _arguments.one_of(call, "interpolate_type", interpolate_type, ("linear", "cosine"))
    _arguments.finite(call, init_value=init_value)
    pairs = _pairs(call, boundaries_and_scales)

    def at(count: Any) -> jax.Array:
        values = [_clock.scalar(init_value)]
        for _, scale in pairs:
            values.append(values[-1] * _clock.scalar(scale))
        return interpolated(count, [boundary for boundary, _ in pairs], values, interpolate_type)

    return from_closed_form(at)


def interpolated(count: Any, boundaries: Sequence[Any], values: Sequence[Any], shape: str) -> jax.Array:
    """From the first value at step 0 to one more at each boundary (not decreasing), then the last."""
    curve = _shapes.falling(shape)
    result = jnp.full(jnp.shape(count), values[-1], jnp.float32)
    starts = [0, *boundaries[:-1]]
    for i in reversed(range(len(boundaries))):
        now, start, end = _clock.alike(count, starts[i], boundaries[i])
        share = curve(*_clock.progress(now, start, end - start))
        result = jnp.where(now < end, _shapes.mix(values[i], values[i + 1], share), result)
    return result


def step_schedule(init_value: ScalarLike, step_size: ScalarLike, gamma: ScalarLike = 0.1) -> Schedule:
    r"""Multiply by a factor every so many steps: $\eta_t = \eta_0\, \gamma^{\lfloor t / s \rfloor}$.

    Args:
      init_value: $\eta_0$, the value of the first `step_size` steps.
      step_size: $s$ in steps, > 0.
      gamma: $\gamma$, >= 0.

    Returns:
      A `Schedule`.

    Raises:
      TypeError: If an argument is not one real number.
      ValueError: If one is not finite or out of its range.

    Example:
      >>> import lrjax
      >>> schedule = lrjax.step_schedule(1.0, step_size=30, gamma=0.5)
      >>> [float(schedule(t)) for t in (0, 29, 30, 60)]
      [1.0, 1.0, 0.5, 0.25]
    """
    call = "step_schedule"
    _arguments.finite(call, init_value=init_value)
    _arguments.positive(call, step_size=step_size)
    _arguments.nonnegative(call, gamma=gamma)

    def at(count: Any) -> jax.Array:
        index, _ = _clock.cycle(count, step_size)
        return _clock.scalar(init_value) * _shapes.repeated(gamma, index)

    return from_closed_form(at)


def multistep_schedule(
    init_value: ScalarLike, milestones: Sequence[ScalarLike], gamma: ScalarLike = 0.1
) -> Schedule:
    r"""Multiply by a factor at each milestone: $\eta_t = \eta_0\, \gamma^{\#\{m \le t\}}$.

    Args:
      init_value: $\eta_0$, the value before the first milestone.
      milestones: Steps, >= 0, in any order; one that is named twice counts twice. Their number is
        static.
      gamma: $\gamma$, >= 0.

    Returns:
      A `Schedule`.

    Raises:
      TypeError: If an argument is not one real number.
      ValueError: If one is not finite or out of its range.

    Example:
      >>> import lrjax
      >>> schedule = lrjax.multistep_schedule(1.0, milestones=[30, 80], gamma=0.5)
      >>> [float(schedule(t)) for t in (29, 30, 80)]
      [1.0, 0.5, 0.25]
    """
    call = "multistep_schedule"
    _arguments.finite(call, init_value=init_value)
    _arguments.nonnegative(call, gamma=gamma)
    milestones = tuple(milestones)
    for i, milestone in enumerate(milestones):
        _clock.check_steps(call, f"milestones[{i}]", milestone)

    def at(count: Any) -> jax.Array:
        passed = jnp.zeros(jnp.shape(count), jnp.int32)
        for milestone in milestones:
            now, start = _clock.alike(count, milestone)
            passed += (now >= start).astype(jnp.int32)
        return _clock.scalar(init_value) * _shapes.repeated(gamma, passed)

    return from_closed_form(at)


def constant_factor_schedule(
    value: ScalarLike, factor: ScalarLike = 1 / 3, transition_steps: ScalarLike = 5
) -> Schedule:
    r"""A fraction of the value at first, then the value: $\eta f$ for $t < n$, afterwards $\eta$.

    Args:
      value: $\eta$, the value from step `transition_steps` on.
      factor: $f$, by which it is multiplied before.
      transition_steps: $n$ in steps, >= 0.

    Returns:
      A `Schedule`.

    Raises:
      TypeError: If an argument is not one real number.
      ValueError: If one is not finite or out of its range.

    Example:
      >>> import lrjax
      >>> schedule = lrjax.constant_factor_schedule(1.0, factor=0.5, transition_steps=10)
      >>> float(schedule(9)), float(schedule(10))
      (0.5, 1.0)
    """
    call = "constant_factor_schedule"
    _arguments.finite(call, value=value, factor=factor)
    _arguments.nonnegative(call, transition_steps=transition_steps)

    def at(count: Any) -> jax.Array:
        now, end = _clock.alike(count, transition_steps)
        return _clock.scalar(value) * jnp.where(now < end, _clock.scalar(factor), 1.0)

    return from_closed_form(at)


def _pairs(call: str, scales: Scales | None) -> list[tuple[ScalarLike, ScalarLike]]:
    """The boundaries and factors, checked, in order."""
    argument = "boundaries_and_scales"
    try:
        if isinstance(scales, Mapping):
            pairs = sorted(scales.items(), key=lambda pair: pair[0])
        else:
            pairs = [(boundary, scale) for boundary, scale in scales or ()]
    except (TypeError, ValueError) as error:
        expected = "a dict of steps to factors, or pairs of both"
        raise _check.fail_type(call, argument, expected, _check.describe(scales)) from error
    for i, (boundary, scale) in enumerate(pairs):
        _clock.check_steps(call, f"{argument}[{i}]", boundary)
        _check.number(call, f"{argument}[{i}]", scale, low=0)
    _arguments.ordered(call, argument, [boundary for boundary, _ in pairs])
    return pairs
