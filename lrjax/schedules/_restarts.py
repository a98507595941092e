"""Cosines that start again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from lrjax import _check
from lrjax._types import ScalarLike
from lrjax.schedules import _arguments, _clock, _shapes
from lrjax.schedules._join import join_schedules
from lrjax.schedules._schedule import Schedule, from_closed_form
from lrjax.schedules._warmup import warmup_cosine_decay_schedule

_DECAYS = ("peak", "amplitude", "both")


def sgdr_schedule(cosine_kwargs: Iterable[Mapping[str, ScalarLike]]) -> Schedule:
    r"""Warm restarts, each cycle with numbers of its own.

    Each cycle is a `warmup_cosine_decay_schedule`; the next begins where its `decay_steps` end.

    Args:
      cosine_kwargs: The arguments of `warmup_cosine_decay_schedule` for each cycle, at least one.

    Returns:
      A `Schedule`.

    Raises:
      TypeError: If a cycle is no mapping, lacks an argument or has an unknown one.
      ValueError: If there is no cycle, or a number is out of its range.

    References:
      Loshchilov and Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, 1608.03983, 2016.

    Example:
      >>> import lrjax
      >>> cycle = dict(init_value=0.0, peak_value=1.0, warmup_steps=2, decay_steps=10)
      >>> schedule = lrjax.sgdr_schedule([cycle, cycle | {"peak_value": 0.5}])
      >>> [round(float(schedule(t)), 6) for t in (0, 2, 6, 10, 12, 20)]
      [0.0, 1.0, 0.5, 0.0, 0.5, 0.0]
    """
    cycles = list(cosine_kwargs)
    if not cycles:
        raise _check.fail("sgdr_schedule", "cosine_kwargs", "at least one cycle", "none")
    parts, boundaries = [], []
    for i, cycle in enumerate(cycles):
        if not isinstance(cycle, Mapping):
            expected = "a mapping of arguments of `warmup_cosine_decay_schedule`"
            raise _check.fail_type("sgdr_schedule", f"cosine_kwargs[{i}]", expected, _check.describe(cycle))
        parts.append(warmup_cosine_decay_schedule(**cycle))
        boundaries.append(_clock.add(boundaries[-1] if boundaries else 0, cycle["decay_steps"]))
    return join_schedules(parts, boundaries[:-1])


def cosine_restarts_schedule(
    init_value: ScalarLike,
    first_decay_steps: ScalarLike,
    cycle_multiplier: ScalarLike = 1.0,
    decay_rate: ScalarLike = 1.0,
    end_value: ScalarLike = 0.0,
    *,
    decays: str = "peak",
    cycle_limit: ScalarLike | None = None,
) -> Schedule:
    r"""Half a cosine down, again and again, each longer and lower than the last.

    Cycle $i = 0, 1, \dots$ has $T_i = T_0 m^i$ steps. With $c$ the steps done in it and
    $h = \tfrac12 (1 + \cos \pi c / T_i)$, its value is

    * $\eta_e + (r^i \eta_0 - \eta_e)\, h$ where the peak decays,
    * $\eta_e + r^i (\eta_0 - \eta_e)\, h$ where the amplitude decays,
    * $r^i \left(\eta_e + (\eta_0 - \eta_e)\, h\right)$ where both ends decay.

    Args:
      init_value: $\eta_0$, the value at step 0.
      first_decay_steps: $T_0$ in steps, > 0.
      cycle_multiplier: $m$, >= 1. Cycles begin at exact steps if this is a whole number; else their
        beginnings are rounded in float32.
      decay_rate: $r$, >= 0.
      end_value: $\eta_e$, what a cycle falls towards; it restarts instead of reaching it.
      decays: "peak", "amplitude" or "both". Static.
      cycle_limit: How many cycles, >= 0; afterwards the value is what the last one fell towards.
        None for no limit.

    Returns:
      A `Schedule`.

    Raises:
      TypeError: If an argument is not one real number.
      ValueError: If one is not finite or out of its range.

    References:
      Loshchilov and Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, 1608.03983, 2016.

    Example:
      >>> import lrjax
      >>> schedule = lrjax.cosine_restarts_schedule(1.0, 10, cycle_multiplier=2, decay_rate=0.5)
      >>> [round(float(schedule(t)), 6) for t in (0, 5, 10, 20, 30)]
      [1.0, 0.5, 0.5, 0.25, 0.25]
    """
    call = "cosine_restarts_schedule"
    _arguments.finite(call, init_value=init_value, end_value=end_value)
    _arguments.positive(call, first_decay_steps=first_decay_steps)
    _check.number(call, "cycle_multiplier", cycle_multiplier, low=1)
    _arguments.nonnegative(call, decay_rate=decay_rate)
    _arguments.one_of(call, "decays", decays, _DECAYS)
    if cycle_limit is not None:
        _arguments.nonnegative(call, cycle_limit=cycle_limit)

    def value(index: jax.Array, share: jax.Array) -> jax.Array:
        first, last = _clock.scalar(init_value), _clock.scalar(end_value)
        shrunk = _shapes.repeated(decay_rate, index)
        if decays == "peak":
            return _shapes.mix(first * shrunk, last, share)
        if decays == "amplitude":
            return last + (first - last) * shrunk * share
        return shrunk * _shapes.mix(first, last, share)

    def at(count: Any) -> jax.Array:
        index, left = _growing_cycle(count, first_decay_steps, cycle_multiplier)
        now = value(index, _shapes.cosine(1 - left, left))
        if cycle_limit is None:
            return now
        limit = _clock.scalar(cycle_limit)
        return jnp.where(index < limit, now, value(jnp.maximum(limit - 1, 0), jnp.zeros_like(left)))

    return from_closed_form(at)


def hard_restarts_schedule(
    peak_value: ScalarLike,
    warmup_steps: ScalarLike,
    decay_steps: ScalarLike,
    cycles: ScalarLike = 1,
    init_value: ScalarLike = 0.0,
    end_value: ScalarLike = 0.0,
) -> Schedule:
    r"""A linear rise, then a fixed number of equal cosines in the time that is left.

    With $p = (t - w) / (T - w)$ the value is
    $\eta_e + \tfrac12 (\eta_p - \eta_e)(1 + \cos(\pi\,(np \bmod 1)))$, and $\eta_e$ from $T$ on.

    Args:
      peak_value: $\eta_p$, the value at step `warmup_steps` and at each restart.
      warmup_steps: $w$ in steps, >= 0.
      decay_steps: $T$ in steps, > `warmup_steps`: the length of the whole schedule, the warmup
        included.
      cycles: $n$, > 0; of a number that is not whole the last cycle is cut off.
      init_value: The value of the first update. With 0 the first update does nothing.
      end_value: $\eta_e$, the value from step `decay_steps` on.

    Returns:
      A `Schedule`.

    Raises:
      TypeError: If an argument is not one real number.
      ValueError: If one is not finite or out of its range.

    References:
      Loshchilov and Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, 1608.03983, 2016.

    Example:
      >>> import lrjax
      >>> schedule = lrjax.hard_restarts_schedule(1.0, warmup_steps=4, decay_steps=24, cycles=2)
      >>> [round(float(schedule(t)), 6) for t in (2, 4, 9, 14, 19, 24)]
      [0.5, 1.0, 0.5, 1.0, 0.5, 0.0]
    """
    call = "hard_restarts_schedule"
    _arguments.finite(call, peak_value=peak_value, init_value=init_value, end_value=end_value)
    _arguments.nonnegative(call, warmup_steps=warmup_steps)
    _arguments.positive(call, decay_steps=decay_steps, cycles=cycles)
    _arguments.beyond(call, "decay_steps", decay_steps, "warmup_steps", warmup_steps)

    def at(count: Any) -> jax.Array:
        now, warmup, horizon = _clock.alike(count, warmup_steps, decay_steps)
        done, left = _clock.progress(now, 0, warmup)
        rising = _clock.scalar(init_value) * left + _clock.scalar(peak_value) * done
        left = _left_of_equal_cycles(now - warmup, horizon - warmup, cycles)
        share = jnp.where(now < horizon, _shapes.cosine(1 - left, left), 0.0)
        return jnp.where(now < warmup, rising, _shapes.mix(peak_value, end_value, share))

    return from_closed_form(at)


def _growing_cycle(count: Any, first: ScalarLike, multiplier: ScalarLike) -> tuple[jax.Array, jax.Array]:
    """The cycle (from 0) a step lies in, and the fraction of it that is left."""
    now, span = _clock.alike(count, first)
    now, span = jnp.maximum(now, 0), jnp.where(span > 0, span, 1)
    m = jnp.maximum(_clock.scalar(multiplier), 1.0)
    equal, whole = m == 1, m == jnp.round(m)

    index, done = _clock.cycle(now, span)
    index, left = index.astype(jnp.float32), _clock.share(span - done, span)

    growth = jnp.where(equal, 2.0, m)
    time, length = now.astype(jnp.float32), span.astype(jnp.float32)
    # t >= T0 (m^i - 1) / (m - 1) solved for i. It may be one off: the search begins below.
    guess = jnp.log1p(time * (growth - 1) / length) / jnp.log(growth)
    guess = jax.lax.stop_gradient(jnp.maximum(jnp.floor(guess) - 2, 0.0))
    later, left_later = _search_cycle(guess, time, length, growth)
    if now.dtype == jnp.int32:  # sums of whole steps: exact
        exact = _search_cycle(guess, now, span, jnp.where(whole, growth, 2.0).astype(jnp.int32))
        later, left_later = (jnp.where(whole, a, b) for a, b in zip(exact, (later, left_later), strict=True))
    return jnp.where(equal, index, later), jnp.where(equal, left, left_later)


def _search_cycle(
    guess: jax.Array, now: jax.Array, span: jax.Array, growth: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The cycle and the fraction left, searched upwards from a guess at most three too low."""
    largest = jnp.iinfo(jnp.int32).max if now.dtype == jnp.int32 else 1e30
    power = jnp.power(growth, guess.astype(now.dtype))
    start = span * ((power - 1) // (growth - 1) if now.dtype == jnp.int32 else (power - 1) / (growth - 1))
    length, long = span * power, span.astype(jnp.float32) * power.astype(jnp.float32)
    number = guess
    for _ in range(3):
        fits = length <= largest - start
        end = jnp.where(fits, start + length, largest)
        begun = fits & (now >= end)
        number = number + begun
        start = jnp.where(begun, end, start)
        longer = jnp.where(length <= largest // growth, length * growth, largest)
        length, long = jnp.where(begun, longer, length), jnp.where(begun, long * growth, long)
    done = now - start
    # A length beyond int32 is known in float32 only, and its end is never reached.
    rest = jnp.where(length < largest, (length - done).astype(jnp.float32), long - done)
    return number, _clock.share(rest, long)


def _left_of_equal_cycles(now: jax.Array, span: jax.Array, cycles: ScalarLike) -> jax.Array:
    """1 - (cycles * now / span) mod 1, for whole cycles without the rounding of the product."""
    number = _clock.scalar(cycles)
    now, span = jnp.maximum(now, 0), jnp.where(span > 0, span, 1)
    progress = now.astype(jnp.float32) / span.astype(jnp.float32)
    whole = jax.lax.stop_gradient(jnp.floor(number))
    index = jax.lax.stop_gradient(jnp.floor(whole * progress))
    # As int32 the products may wrap around; their difference, about one span at most, comes out right.
    rest = whole.astype(now.dtype) * now - index.astype(now.dtype) * span
    rest = jnp.where(
        rest < 0, rest + span, jnp.where(rest >= span, rest - span, rest)
    )  # if index was one off
    left = (span - rest).astype(jnp.float32) / span.astype(jnp.float32) - (number - whole) * progress
    return _clock.settled(left - jax.lax.stop_gradient(jnp.ceil(left) - 1))
