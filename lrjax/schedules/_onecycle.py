"""One cycle: up to a high rate, then down to a very low one."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from lrjax import _check
from lrjax._types import ScalarLike
from lrjax.schedules import _arguments, _clock, _shapes
from lrjax.schedules._piecewise import interpolated
from lrjax.schedules._schedule import Schedule, from_closed_form

_BELOW = 2_147_483_520  # the largest float32 that is an int32


def linear_onecycle_schedule(
    transition_steps: ScalarLike,
    peak_value: ScalarLike,
    pct_start: ScalarLike = 0.3,
    pct_final: ScalarLike = 0.85,
    div_factor: ScalarLike = 25.0,
    final_div_factor: ScalarLike = 1e4,
) -> Schedule:
    r"""One cycle of straight lines: up, back down, then lower still.

    From $\eta_p / d$ at step 0 to $\eta_p$ at $\lfloor s T \rfloor$, to $\eta_p / d$ at
    $\lfloor f T \rfloor$, to $\eta_p / (d\, d_e)$ at $T$, constant afterwards. However short the
    training, the rise takes at least a step, and so does the way back while steps are left.

    Args:
      transition_steps: $T$ in steps, > 0.
      peak_value: $\eta_p$, the highest value.
      pct_start: $s$ in [0, 1]: where the peak is. With 0 the schedule begins at it.
      pct_final: $f$ in [`pct_start`, 1]: where the first value is reached again.
      div_factor: $d$, > 0; the first value is `peak_value / div_factor`.
      final_div_factor: $d_e$, > 0; the last is `peak_value / (div_factor * final_div_factor)`.

    Returns:
      A `Schedule`.

    Raises:
      TypeError: If an argument is not one real number.
      ValueError: If one is not finite or out of its range.

    References:
      Smith and Topin, Super-Convergence: Very Fast Training of Neural Networks Using Large Learning
      Rates, 1708.07120, 2017.

    Example:
      >>> import lrjax
      >>> schedule = lrjax.linear_onecycle_schedule(20, 1.0, pct_start=0.5, div_factor=2.0)
      >>> [round(float(schedule(t)), 6) for t in (0, 5, 10, 17, 20)]
      [0.5, 0.75, 1.0, 0.5, 5e-05]
    """
    call = "linear_onecycle_schedule"
    _arguments.positive(
        call, transition_steps=transition_steps, div_factor=div_factor, final_div_factor=final_div_factor
    )
    _arguments.finite(call, peak_value=peak_value)
    _arguments.fractions(call, pct_start=pct_start, pct_final=pct_final)
    _arguments.ordered(call, "pct_final", [pct_start, pct_final])

    def at(count: Any) -> jax.Array:
        total, top = _rise(transition_steps, pct_start)
        back = jnp.clip(_part(transition_steps, pct_final), jnp.minimum(top + 1, total), total)
        peak = _clock.scalar(peak_value)
        low = peak / _clock.scalar(div_factor)
        values = [low, peak, low, low / _clock.scalar(final_div_factor)]
        return interpolated(count, [top, back, total], values, "linear")

    return from_closed_form(at)


def cosine_onecycle_schedule(
    transition_steps: ScalarLike,
    peak_value: ScalarLike,
    pct_start: ScalarLike = 0.3,
    div_factor: ScalarLike = 25.0,
    final_div_factor: ScalarLike = 1e4,
) -> Schedule:
    r"""One cycle of two half cosines: up, then down.

    From $\eta_p / d$ at step 0 to $\eta_p$ at $\lfloor s T \rfloor$, to $\eta_p / (d\, d_e)$ at $T$,
    constant afterwards. However short the training, the rise takes at least a step.

    Args:
      transition_steps: $T$ in steps, > 0.
      peak_value: $\eta_p$, the highest value.
      pct_start: $s$ in [0, 1]: where the peak is. With 0 the schedule begins at it; with 1 it rises
        up to step $T$, where it drops to the last value.
      div_factor: $d$, > 0; the first value is `peak_value / div_factor`.
      final_div_factor: $d_e$, > 0; the last is `peak_value / (div_factor * final_div_factor)`.

    Returns:
      A `Schedule`.

    Raises:
      TypeError: If an argument is not one real number.
      ValueError: If one is not finite or out of its range.

    References:
      Smith and Topin, Super-Convergence: Very Fast Training of Neural Networks Using Large Learning
      Rates, 1708.07120, 2017.

    Example:
      >>> import lrjax
      >>> schedule = lrjax.cosine_onecycle_schedule(20, 1.0, pct_start=0.5, div_factor=2.0)
      >>> [round(float(schedule(t)), 6) for t in (0, 5, 10, 20)]
      [0.5, 0.75, 1.0, 5e-05]
    """
    call = "cosine_onecycle_schedule"
    _arguments.positive(
        call, transition_steps=transition_steps, div_factor=div_factor, final_div_factor=final_div_factor
    )
    _arguments.finite(call, peak_value=peak_value)
    _arguments.fractions(call, pct_start=pct_start)

    def at(count: Any) -> jax.Array:
        total, top = _rise(transition_steps, pct_start)
        peak = _clock.scalar(peak_value)
        low = peak / _clock.scalar(div_factor)
        return interpolated(count, [top, total], [low, peak, low / _clock.scalar(final_div_factor)], "cosine")

    return from_closed_form(at)


def _part(total: ScalarLike, fraction: ScalarLike) -> jax.Array:
    """A fraction of a number of steps, rounded down."""
    known = _check.known(total), _check.known(fraction)
    if known[0] is not None and known[1] is not None:
        return _clock.steps(float(int(known[0] * known[1])))
    span = _clock.steps(total)
    part = jnp.floor(span.astype(jnp.float32) * _clock.scalar(fraction))
    return jnp.minimum(part, _BELOW).astype(jnp.int32) if span.dtype == jnp.int32 else part


def _rise(total: ScalarLike, fraction: ScalarLike) -> tuple[jax.Array, jax.Array]:
    """The whole length and the length of the rise, which is a step at least if there is to be one."""
    span, part = _clock.alike(total, _part(total, fraction))
    part = jnp.where(_clock.scalar(fraction) > 0, jnp.maximum(part, 1), part)
    return span, jnp.minimum(part, span)


def onecycle_schedule(
    max_value: ScalarLike,
    total_steps: ScalarLike,
    pct_start: ScalarLike = 0.3,
    anneal_strategy: str = "cos",
    div_factor: ScalarLike = 25.0,
    final_div_factor: ScalarLike = 1e4,
    three_phase: bool = False,
) -> Schedule:
    r"""One cycle as PyTorch counts it: the last of $N$ updates has the lowest rate.

    From $\eta_m / d$ at step 0 to $\eta_m$ at $sN - 1$, to $\eta_m / (d\, d_e)$ at $N - 1$. In three
    phases it is back at $\eta_m / d$ at $2sN - 2$ before it falls further. Phases end between steps
    where these are not whole. Where $sN \le 1$ leaves no time for the rise, the first step is the
    rise. `onecycle_momentum_schedule` is the partner that moves the other way.

    Args:
      max_value: $\eta_m$, the highest value.
      total_steps: $N$, the number of updates, > 0. From there on the value stays the lowest.
      pct_start: $s$ in [0, 1]. With 0 there is no rise, with 1 no descent before step $N$.
      anneal_strategy: "cos" or "linear". Static.
      div_factor: $d$, > 0; the first value is `max_value / div_factor`.
      final_div_factor: $d_e$, > 0; the lowest is `max_value / (div_factor * final_div_factor)`.
      three_phase: Whether to fall to the first value first. Static.

    Returns:
      A `Schedule`.

    Raises:
      TypeError: If an argument is not one real number, or `three_phase` not a bool.
      ValueError: If one is not finite or out of its range.

    References:
      Smith and Topin, Super-Convergence: Very Fast Training of Neural Networks Using Large Learning
      Rates, 1708.07120, 2017.

    Example:
      >>> import lrjax
      >>> schedule = lrjax.onecycle_schedule(1.0, total_steps=10, pct_start=0.5, div_factor=2.0)
      >>> [round(float(schedule(t)), 6) for t in (0, 2, 4, 9)]
      [0.5, 0.75, 1.0, 5e-05]
    """
    call = "onecycle_schedule"
    _arguments.finite(call, max_value=max_value)
    _arguments.positive(
        call, total_steps=total_steps, div_factor=div_factor, final_div_factor=final_div_factor
    )
    _check_phases(call, pct_start, anneal_strategy, three_phase)

    def at(count: Any) -> jax.Array:
        peak = _clock.scalar(max_value)
        low = peak / _clock.scalar(div_factor)
        values = low, peak, low / _clock.scalar(final_div_factor)
        return _cycle(count, total_steps, pct_start, anneal_strategy, three_phase, values)

    return from_closed_form(at)


def onecycle_momentum_schedule(
    total_steps: ScalarLike,
    base_momentum: ScalarLike = 0.85,
    max_momentum: ScalarLike = 0.95,
    pct_start: ScalarLike = 0.3,
    anneal_strategy: str = "cos",
    three_phase: bool = False,
) -> Schedule:
    r"""The momentum that goes with `onecycle_schedule`: low while the rate is high.

    From `max_momentum` at step 0 to `base_momentum` where the rate peaks and back, in the phases of
    `onecycle_schedule`; in the third of three phases it stays.

    Args:
      total_steps: $N$, the number of updates, > 0.
      base_momentum: The lowest momentum.
      max_momentum: The first and last.
      pct_start: As for the rate.
      anneal_strategy: "cos" or "linear". Static.
      three_phase: As for the rate. Static.

    Returns:
      A `Schedule`.

    Raises:
      TypeError: If an argument is not one real number, or `three_phase` not a bool.
      ValueError: If one is not finite or out of its range.

    References:
      Smith and Topin, Super-Convergence: Very Fast Training of Neural Networks Using Large Learning
      Rates, 1708.07120, 2017.

    Example:
      >>> import lrjax
      >>> schedule = lrjax.onecycle_momentum_schedule(total_steps=10, pct_start=0.5)
      >>> [round(float(schedule(t)), 6) for t in (0, 2, 4, 9)]
      [0.95, 0.9, 0.85, 0.95]
    """
    call = "onecycle_momentum_schedule"
    _arguments.positive(call, total_steps=total_steps)
    _arguments.finite(call, base_momentum=base_momentum, max_momentum=max_momentum)
    _check_phases(call, pct_start, anneal_strategy, three_phase)

    def at(count: Any) -> jax.Array:
        values = max_momentum, base_momentum, max_momentum
        return _cycle(count, total_steps, pct_start, anneal_strategy, three_phase, values)

    return from_closed_form(at)


def _check_phases(call: str, pct_start: ScalarLike, anneal_strategy: str, three_phase: bool) -> None:
    _arguments.fractions(call, pct_start=pct_start)
    _arguments.one_of(call, "anneal_strategy", anneal_strategy, ("cos", "linear"))
    _check.boolean(call, "three_phase", three_phase)


def _cycle(
    count: Any,
    total: ScalarLike,
    pct_start: ScalarLike,
    anneal_strategy: str,
    three_phase: bool,
    values: tuple[ScalarLike, ScalarLike, ScalarLike],
) -> jax.Array:
    """From the first value to the second and (by way of the first, in three phases) to the third."""
    first, peak, last = values
    curve = _shapes.falling("cosine" if anneal_strategy == "cos" else "linear")
    now, span = _clock.alike(count, total)
    ended = now >= span
    rest = jnp.maximum(span - 1 - now, 0).astype(jnp.float32)
    now, end = jnp.maximum(now, 0).astype(jnp.float32), jnp.maximum(span - 1, 0).astype(jnp.float32)
    fraction = _clock.scalar(pct_start)
    top = _clock.settled(fraction * span.astype(jnp.float32)) - 1
    short = (fraction > 0) & (top <= 0)
    top = jnp.where(short, jnp.minimum(end / (3 if three_phase else 2), 1.0), top)
    rises = (fraction > 0) & ((now <= top) | (now <= 0)) & ~ended

    def between(start: Any, stop: Any, left: jax.Array) -> jax.Array:
        return _shapes.mix(start, stop, curve(1 - left, left))

    up = between(peak, first, _clock.share(now, top))  # read backwards: what is done is what is left
    if not three_phase:
        return jnp.where(rises, up, between(peak, last, _clock.share(rest, end - top)))
    back = 2 * top
    returns = (now <= back) & ~ended
    down = between(peak, first, _clock.share(back - now, back - top))
    tail = between(first, last, _clock.share(rest, end - back))
    return jnp.where(rises, up, jnp.where(returns, down, tail))
