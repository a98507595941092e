"""Polynomials of the time that is left."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from lrjax import _check
from lrjax._types import ScalarLike
from lrjax.schedules import _arguments, _clock, _shapes
from lrjax.schedules._schedule import Schedule, from_closed_form


def polynomial_schedule(
    init_value: ScalarLike,
    end_value: ScalarLike,
    power: ScalarLike,
    transition_steps: ScalarLike,
    transition_begin: ScalarLike = 0,
    *,
    cycle: bool = False,
) -> Schedule:
    r"""A power of the time that is left, from one value to another.

    $\eta_t = \eta_e + (\eta_0 - \eta_e)(1 - p)^P$ with $p = \min(\max(t - b, 0), T) / T$. With
    `cycle` the horizon grows to the next multiple of $T$, so the value jumps up after each:
    $T \to T \lceil (t - b) / T \rceil$.

    Args:
      init_value: $\eta_0$, the value up to step `transition_begin`.
      end_value: $\eta_e$, the value from step `transition_begin + transition_steps` on.
      power: $P$, > 0; 1 is a straight line.
      transition_steps: $T$ in steps, >= 0. With 0 the value stays `init_value`.
      transition_begin: $b$ in steps, >= 0.
      cycle: Whether to start again, lower each time. Static.

    Returns:
      A `Schedule`, exact at both ends.

    Raises:
      TypeError: If an argument is not one real number, or `cycle` not a bool.
      ValueError: If one is not finite or out of its range.

    Example:
      >>> import lrjax
      >>> schedule = lrjax.polynomial_schedule(1.0, 0.0, power=2, transition_steps=10)
      >>> float(schedule(0)), float(schedule(5)), float(schedule(99))
      (1.0, 0.25, 0.0)
    """
    call = "polynomial_schedule"
    _arguments.finite(call, init_value=init_value, end_value=end_value)
    _arguments.positive(call, power=power)
    _arguments.nonnegative(call, transition_steps=transition_steps, transition_begin=transition_begin)
    _check.boolean(call, "cycle", cycle)

    def at(count: Any) -> jax.Array:
        if cycle:
            left = _left_of_cycles(count, transition_begin, transition_steps)
        else:
            _, left = _clock.progress(count, transition_begin, transition_steps)
        return _shapes.mix(init_value, end_value, _shapes.raised(left, power))

    return from_closed_form(at)


def _left_of_cycles(count: Any, begin: ScalarLike, total: ScalarLike) -> jax.Array:
    """The fraction left of a span that is as many totals long as have begun."""
    now, start, span = _clock.alike(count, begin, total)
    passed = jnp.maximum(now - start, 0)
    _, done = _clock.cycle(passed, span)
    rest = jnp.where(done > 0, span - done, 0)
    started = (passed > 0) & (span > 0)
    horizon = passed.astype(jnp.float32) + rest.astype(jnp.float32)
    return jnp.where(started, _clock.share(rest, jnp.where(started, horizon, 1.0)), 1.0)


def linear_factor_schedule(
    value: ScalarLike,
    start_factor: ScalarLike = 1 / 3,
    end_factor: ScalarLike = 1.0,
    transition_steps: ScalarLike = 5,
) -> Schedule:
    r"""A straight line between two fractions of the value.

    $\eta_t = \eta \left(s + (e - s) \min(t, n) / n\right)$.

    Args:
      value: $\eta$.
      start_factor: $s$, the fraction of it at step 0.
      end_factor: $e$, the fraction from step `transition_steps` on.
      transition_steps: $n$ in steps, >= 0. With 0 the fraction stays `start_factor`.

    Returns:
      A `Schedule`, exact at both ends.

    Raises:
      TypeError: If an argument is not one real number.
      ValueError: If one is not finite or out of its range.

    Example:
      >>> import lrjax
      >>> schedule = lrjax.linear_factor_schedule(2.0, start_factor=0.5, transition_steps=4)
      >>> float(schedule(0)), float(schedule(2)), float(schedule(4))
      (1.0, 1.5, 2.0)
    """
    call = "linear_factor_schedule"
    _arguments.finite(call, value=value, start_factor=start_factor, end_factor=end_factor)
    _arguments.nonnegative(call, transition_steps=transition_steps)

    def at(count: Any) -> jax.Array:
        _, left = _clock.progress(count, 0, transition_steps)
        return _clock.scalar(value) * _shapes.mix(start_factor, end_factor, left)

    return from_closed_form(at)
