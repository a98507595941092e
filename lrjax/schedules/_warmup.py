"""Schedules that rise before they fall."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from lrjax import _check
from lrjax._types import ScalarLike
from lrjax.schedules import _arguments, _clock, _shapes
from lrjax.schedules._decay import exponential_decay
from lrjax.schedules._schedule import Schedule, from_closed_form


def warmup_schedule(
    peak_value: ScalarLike,
    warmup_steps: ScalarLike,
    init_value: ScalarLike = 0.0,
    shape: str = "linear",
    first_step: ScalarLike = 0,
) -> Schedule:
    r"""A rise to a value, constant afterwards.

    With $q = \min(t + f, w) / w$ the value moves from $\eta_0$ to $\eta_p$ by a fraction $q$ ("linear"),
    $\tfrac12 (1 - \cos \pi q)$ ("cosine"), $1 - \sqrt{1 - q}$ ("sqrt") or
    $\ln(1 + qw) / \ln(1 + w)$ ("log").

    Args:
      peak_value: $\eta_p$, the value from step `warmup_steps - first_step` on.
      warmup_steps: $w$ in steps, >= 0.
      init_value: $\eta_0$, where the rise starts.
      shape: "linear", "cosine", "sqrt" or "log". Static.
      first_step: $f$, >= 0, the number of the first update. With 0 that update has the rate
        `init_value`, so with `init_value=0` it does nothing; with 1 it has one of $w$ parts of the rise.

    Returns:
      A `Schedule`.

    Raises:
      TypeError: If an argument is not one real number.
      ValueError: If one is not finite or out of its range.

    References:
      Goyal et al., Accurate, Large Minibatch SGD, 1706.02677, 2017.

    Example:
      >>> import lrjax
      >>> schedule = lrjax.warmup_schedule(1.0, warmup_steps=4, first_step=1)
      >>> [float(schedule(t)) for t in (0, 1, 3, 9)]
      [0.25, 0.5, 1.0, 1.0]
    """
    call = "warmup_schedule"
    _arguments.finite(call, peak_value=peak_value, init_value=init_value)
    _arguments.nonnegative(call, warmup_steps=warmup_steps, first_step=first_step)
    _arguments.one_of(call, "shape", shape, ("linear", "cosine", "sqrt", "log"))

    def at(count: Any) -> jax.Array:
        now, first, warmup = _clock.alike(count, first_step, warmup_steps)
        now, begin = jnp.maximum(now, 0), -first  # moved up, the last count would not fit an int32
        done, left = _clock.progress(now, begin, warmup)
        rises = now - warmup < begin
        if shape == "log":
            passed, whole = (x.astype(jnp.float32) for x in (jnp.maximum(now - begin, 0), warmup))
            share = _clock.share(jnp.log1p(passed), jnp.log1p(whole))
        else:
            share = _shapes.rising(shape)(done, left)
        return _shapes.mix(peak_value, init_value, jnp.where(rises, share, 1.0))

    return from_closed_form(at)


def warmup_constant_schedule(
    init_value: ScalarLike, peak_value: ScalarLike, warmup_steps: ScalarLike
) -> Schedule:
    r"""A linear rise to a value, constant afterwards.

    $\eta_t = \eta_0 + (\eta_p - \eta_0) \min(t, w) / w$.

    Args:
      init_value: $\eta_0$, the value of the first update. With 0 the first update does nothing.
      peak_value: $\eta_p$, the value from step `warmup_steps` on.
      warmup_steps: $w$ in steps, >= 0. With 0 the value is `peak_value` from the first.

    Returns:
      A `Schedule`.

    Raises:
      TypeError: If an argument is not one real number.
      ValueError: If one is not finite, or `warmup_steps` negative.

    Example:
      >>> import lrjax
      >>> schedule = lrjax.warmup_constant_schedule(0.0, 1.0, warmup_steps=4)
      >>> [float(schedule(t)) for t in (0, 1, 4, 9)]
      [0.0, 0.25, 1.0, 1.0]
    """
    call = "warmup_constant_schedule"
    _arguments.finite(call, init_value=init_value, peak_value=peak_value)
    _arguments.nonnegative(call, warmup_steps=warmup_steps)

    def at(count: Any) -> jax.Array:
        return _shapes.staged(count, [_rise(init_value, peak_value, warmup_steps)], peak_value)

    return from_closed_form(at)


def warmup_polynomial_decay_schedule(
    init_value: ScalarLike,
    peak_value: ScalarLike,
    warmup_steps: ScalarLike,
    decay_steps: ScalarLike,
    end_value: ScalarLike = 0.0,
    power: ScalarLike = 1.0,
) -> Schedule:
    r"""A linear rise to a peak, then a power of the time that is left: with power 1 a line down.

    For $t < w$: $\eta_t = \eta_0 + (\eta_p - \eta_0)\, t / w$; afterwards
    $\eta_t = \eta_e + (\eta_p - \eta_e) \left(1 - \min(t - w, T - w) / (T - w)\right)^P$.

    Args:
      init_value: $\eta_0$, the value of the first update. With 0 the first update does nothing.
      peak_value: $\eta_p$, the value at step `warmup_steps`.
      warmup_steps: $w$ in steps, >= 0.
      decay_steps: $T$ in steps, > `warmup_steps`: the length of the whole schedule, the warmup
        included.
      end_value: $\eta_e$, the value from step `decay_steps` on.
      power: $P$, > 0.

    Returns:
      A `Schedule`, exact at both ends.

    Raises:
      TypeError: If an argument is not one real number.
      ValueError: If one is not finite or out of its range.

    References:
      Bergsma et al., Straight to Zero: Why Linearly Decaying the Learning Rate to Zero Works Best for
      LLMs, 2502.15938, 2025.

    Example:
      >>> import lrjax
      >>> schedule = lrjax.warmup_polynomial_decay_schedule(0.0, 1.0, warmup_steps=10, decay_steps=30)
      >>> [float(schedule(t)) for t in (0, 5, 10, 20, 30)]
      [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    call = "warmup_polynomial_decay_schedule"
    _arguments.finite(call, init_value=init_value, peak_value=peak_value, end_value=end_value)
    _arguments.nonnegative(call, warmup_steps=warmup_steps)
    _arguments.positive(call, decay_steps=decay_steps, power=power)
    _arguments.beyond(call, "decay_steps", decay_steps, "warmup_steps", warmup_steps)
    falling = _shapes.to_the_power(_shapes.linear, power)
    return _rise_and_fall(init_value, peak_value, warmup_steps, decay_steps, end_value, falling)


def warmup_exponential_decay_schedule(
    init_value: ScalarLike,
    peak_value: ScalarLike,
    warmup_steps: ScalarLike,
    transition_steps: ScalarLike,
    decay_rate: ScalarLike,
    transition_begin: ScalarLike = 0,
    staircase: bool = False,
    end_value: ScalarLike | None = None,
) -> Schedule:
    r"""A linear rise to a peak, then decay by a factor every so many steps.

    For $t < w$: $\eta_t = \eta_0 + (\eta_p - \eta_0)\, t / w$; afterwards `exponential_decay` of
    $\eta_p$ at step $t - w$.

    Args:
      init_value: $\eta_0$, the value of the first update. With 0 the first update does nothing.
      peak_value: $\eta_p$, the value at step `warmup_steps`.
      warmup_steps: $w$ in steps, >= 0.
      transition_steps: In steps, >= 0. With 0 the value stays `peak_value`.
      decay_rate: The factor per `transition_steps`, >= 0. With 0 the value stays `peak_value`.
      transition_begin: How long to stay at the peak, in steps, >= 0.
      staircase: Whether the exponent is rounded down to an integer. Static.
      end_value: Where to stop: a lower bound if `decay_rate` < 1, else an upper bound.

    Returns:
      A `Schedule`.

    Raises:
      TypeError: If an argument is not one real number, or `staircase` not a bool.
      ValueError: If one is not finite or out of its range.

    Example:
      >>> import lrjax
      >>> schedule = lrjax.warmup_exponential_decay_schedule(
      ...     0.0, 1.0, warmup_steps=4, transition_steps=10, decay_rate=0.25
      ... )
      >>> [round(float(schedule(t)), 6) for t in (0, 2, 4, 9, 14)]
      [0.0, 0.5, 1.0, 0.5, 0.25]
    """
    call = "warmup_exponential_decay_schedule"
    _arguments.finite(call, init_value=init_value, peak_value=peak_value)
    _arguments.nonnegative(
        call,
        warmup_steps=warmup_steps,
        transition_steps=transition_steps,
        decay_rate=decay_rate,
        transition_begin=transition_begin,
    )
    _check.boolean(call, "staircase", staircase)
    if end_value is not None:
        _check.number(call, "end_value", end_value)
    decay = exponential_decay(
        peak_value, transition_steps, decay_rate, transition_begin, staircase, end_value
    )
    rise = warmup_constant_schedule(init_value, peak_value, warmup_steps)

    def at(count: Any) -> jax.Array:
        now, warmup = _clock.alike(count, warmup_steps)
        return jnp.where(now < warmup, rise.at(now), decay.at(jnp.maximum(now - warmup, 0)))

    return from_closed_form(at)


def warmup_cosine_decay_schedule(
    init_value: ScalarLike,
    peak_value: ScalarLike,
    warmup_steps: ScalarLike,
    decay_steps: ScalarLike,
    end_value: ScalarLike = 0.0,
    exponent: ScalarLike = 1.0,
) -> Schedule:
    r"""A linear rise to a peak, then half a cosine down to the end value.

    For $t < w$: $\eta_t = \eta_0 + (\eta_p - \eta_0)\, t / w$; afterwards
    $\eta_t = \eta_e + (\eta_p - \eta_e)\, c^e$ with
    $c = \tfrac12 (1 + \cos(\pi \min(t - w, T - w) / (T - w)))$.

    Args:
      init_value: $\eta_0$, the value of the first update. With 0 the first update does nothing.
      peak_value: $\eta_p$, the value at step `warmup_steps`.
      warmup_steps: $w$ in steps, >= 0.
      decay_steps: $T$ in steps, > `warmup_steps`: the length of the whole schedule, the warmup
        included.
      end_value: $\eta_e$, the value from step `decay_steps` on.
      exponent: $e$, > 0; above 1 the decay comes earlier.

    Returns:
      A `Schedule`.

    Raises:
      TypeError: If an argument is not one real number.
      ValueError: If one is not finite or out of its range.

    References:
      Loshchilov and Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, 1608.03983, 2016.
      Goyal et al., Accurate, Large Minibatch SGD, 1706.02677, 2017 (the warmup).

    Example:
      >>> import lrjax
      >>> schedule = lrjax.warmup_cosine_decay_schedule(0.0, 1.0, warmup_steps=10, decay_steps=30)
      >>> [round(float(schedule(t)), 6) for t in (0, 5, 10, 20, 30)]
      [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    call = "warmup_cosine_decay_schedule"
    _arguments.finite(call, init_value=init_value, peak_value=peak_value, end_value=end_value)
    _arguments.nonnegative(call, warmup_steps=warmup_steps)
    _arguments.positive(call, decay_steps=decay_steps, exponent=exponent)
    _arguments.beyond(call, "decay_steps", decay_steps, "warmup_steps", warmup_steps)
    falling = _shapes.to_the_power(_shapes.cosine, exponent)
    return _rise_and_fall(init_value, peak_value, warmup_steps, decay_steps, end_value, falling)


def _rise(first: ScalarLike, peak: ScalarLike, steps: ScalarLike) -> _shapes.Stage:
    return steps, _shapes.between(peak, first, _shapes.rising("linear"))


def _rise_and_fall(
    first: ScalarLike,
    peak: ScalarLike,
    warmup_steps: ScalarLike,
    decay_steps: ScalarLike,
    last: ScalarLike,
    falling: _shapes.Shape,
) -> Schedule:
    """A line up to the peak, then a shape down to the last value, which is there at `decay_steps`."""

    def at(count: Any) -> jax.Array:
        now, warmup, horizon = _clock.alike(count, warmup_steps, decay_steps)
        stages = [_rise(first, peak, warmup), (horizon - warmup, _shapes.between(peak, last, falling))]
        return _shapes.staged(now, stages, last)

    return from_closed_form(at)
