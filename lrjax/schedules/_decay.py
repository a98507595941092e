"""Schedules that move one way, as closed forms of the step.

Steps count from 0, the first update. Every number may be a tracer, horizons included.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from lrjax import _check
from lrjax._types import ScalarLike
from lrjax.schedules import _arguments, _clock, _shapes
from lrjax.schedules._schedule import Schedule, as_schedule, from_closed_form


def constant_schedule(value: ScalarLike) -> Schedule:
    r"""The same value at every step: $\eta_t = \eta$.

    Args:
      value: The value; a number, a 0-d array or a tracer.

    Returns:
      A `Schedule`.

    Raises:
      TypeError: If `value` is not one real number.
      ValueError: If it is not finite.

    Example:
      >>> import lrjax
      >>> round(float(lrjax.constant_schedule(0.1)(1000)), 6)
      0.1
    """
    _arguments.finite("constant_schedule", value=value)
    return as_schedule("constant_schedule", "value", value)


def linear_schedule(
    init_value: ScalarLike,
    end_value: ScalarLike,
    transition_steps: ScalarLike,
    transition_begin: ScalarLike = 0,
) -> Schedule:
    r"""A straight line from one value to another, constant before and after.

    $\eta_t = \eta_0 (1 - p) + \eta_e\, p$ with $p = \min(\max(t - b, 0), T) / T$. Goodfellow, Bengio and
    Courville (Deep Learning, 2016, section 8.3.1) decay so until step $\tau = T$, to about a hundredth.

    Args:
      init_value: $\eta_0$, the value up to step `transition_begin`.
      end_value: $\eta_e$, the value from step `transition_begin + transition_steps` on.
      transition_steps: $T$ in steps, >= 0. With 0 the value stays `init_value`.
      transition_begin: $b$ in steps, >= 0.

    Returns:
      A `Schedule`, exact at both ends.

    Raises:
      TypeError: If an argument is not one real number.
      ValueError: If one is not finite, or a number of steps is negative.

    Example:
      >>> import lrjax
      >>> schedule = lrjax.linear_schedule(1.0, 0.5, transition_steps=10)
      >>> float(schedule(0)), float(schedule(5)), float(schedule(99))
      (1.0, 0.75, 0.5)
    """
    call = "linear_schedule"
    _arguments.finite(call, init_value=init_value, end_value=end_value)
    _arguments.nonnegative(call, transition_steps=transition_steps, transition_begin=transition_begin)

    def at(count: Any) -> jax.Array:
        done, left = _clock.progress(count, transition_begin, transition_steps)
        return _clock.scalar(init_value) * left + _clock.scalar(end_value) * done

    return from_closed_form(at)


def cosine_decay_schedule(
    init_value: ScalarLike,
    decay_steps: ScalarLike,
    alpha: ScalarLike = 0.0,
    exponent: ScalarLike = 1.0,
) -> Schedule:
    r"""Half a cosine from a value down to a fraction of it, constant afterwards.

    $\eta_t = \eta_0 \left((1 - \alpha) c^e + \alpha\right)$ with
    $c = \tfrac12 (1 + \cos(\pi \min(t, T) / T))$, computed as $\sin^2(\tfrac\pi2 (T - t) / T)$,
    which keeps its digits down to the last step.

    Args:
      init_value: $\eta_0$, the value at step 0.
      decay_steps: $T$ in steps, > 0; from there on the value is `alpha * init_value`.
      alpha: $\alpha$, the final value as a fraction of the first.
      exponent: $e$, > 0; above 1 the decay comes earlier.

    Returns:
      A `Schedule`.

    Raises:
      TypeError: If an argument is not one real number.
      ValueError: If one is not finite or out of its range.

    References:
      Loshchilov and Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, 1608.03983, 2016.

    Example:
      >>> import lrjax
      >>> schedule = lrjax.cosine_decay_schedule(1.0, decay_steps=10)
      >>> round(float(schedule(5)), 6), float(schedule(10))
      (0.5, 0.0)
    """
    call = "cosine_decay_schedule"
    _arguments.finite(call, init_value=init_value, alpha=alpha)
    _arguments.positive(call, decay_steps=decay_steps, exponent=exponent)
    factor = _shapes.between(1.0, alpha, _shapes.to_the_power(_shapes.cosine, exponent))

    def at(count: Any) -> jax.Array:
        return _clock.scalar(init_value) * factor(*_clock.progress(count, 0, decay_steps))

    return from_closed_form(at)


def exponential_decay(
    init_value: ScalarLike,
    transition_steps: ScalarLike,
    decay_rate: ScalarLike,
    transition_begin: ScalarLike = 0,
    staircase: bool = False,
    end_value: ScalarLike | None = None,
) -> Schedule:
    r"""Decay by a factor every so many steps: $\eta_t = \eta_0\, r^{(t - b) / T}$.

    With $T$ the length of training, `decay_rate` is the total decay; with $T = 1$ it is the
    decay per step.

    Args:
      init_value: $\eta_0$, the value up to step `transition_begin`.
      transition_steps: $T$ in steps, >= 0. With 0 the value stays `init_value`.
      decay_rate: $r$, >= 0, the factor per $T$ steps; above 1 the value grows. With 0 the value
        stays `init_value`.
      transition_begin: $b$ in steps, >= 0.
      staircase: Whether the exponent is rounded down to an integer. Static.
      end_value: Where to stop: a lower bound if `decay_rate` < 1, else an upper bound.

    Returns:
      A `Schedule`.

    Raises:
      TypeError: If an argument is not one real number, or `staircase` not a bool.
      ValueError: If one is not finite or out of its range.

    Example:
      >>> import lrjax
      >>> schedule = lrjax.exponential_decay(1.0, transition_steps=10, decay_rate=0.25)
      >>> round(float(schedule(5)), 6), round(float(schedule(10)), 6)
      (0.5, 0.25)
    """
    call = "exponential_decay"
    _arguments.finite(call, init_value=init_value)
    _arguments.nonnegative(
        call, transition_steps=transition_steps, decay_rate=decay_rate, transition_begin=transition_begin
    )
    _check.boolean(call, "staircase", staircase)
    if end_value is not None:
        _arguments.finite(call, end_value=end_value)

    def at(count: Any) -> jax.Array:
        now, begin, span = _clock.alike(count, transition_begin, transition_steps)
        done = jnp.maximum(now - begin, 0)
        safe = jnp.where(span > 0, span, 1)
        periods = done // safe if staircase else done.astype(jnp.float32) / safe.astype(jnp.float32)
        moves = (span > 0) & (_clock.scalar(decay_rate) > 0)
        decayed = _shapes.repeated(decay_rate, periods)
        value = _clock.scalar(init_value) * jnp.where(moves, decayed, 1.0)
        if end_value is None:
            return value
        end = _clock.scalar(end_value)
        bounded = jnp.where(_clock.scalar(decay_rate) < 1, jnp.maximum(value, end), jnp.minimum(value, end))
        return jnp.where(moves, bounded, value)

    return from_closed_form(at)
