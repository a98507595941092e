"""Schedules that fall like a power of the step."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from lrjax import _check
from lrjax._types import ScalarLike
from lrjax.schedules import _arguments, _clock
from lrjax.schedules._schedule import Schedule, from_closed_form


def inverse_time_decay(
    init_value: ScalarLike,
    transition_steps: ScalarLike,
    decay_rate: ScalarLike,
    transition_begin: ScalarLike = 0,
    staircase: bool = False,
) -> Schedule:
    r"""Decay like one over the time: $\eta_t = \eta_0 / (1 + r\,(t - b) / T)$.

    Args:
      init_value: $\eta_0$, the value up to step `transition_begin`.
      transition_steps: $T$ in steps, > 0.
      decay_rate: $r$, >= 0: after $T$ steps the value is $\eta_0 / (1 + r)$.
      transition_begin: $b$ in steps, >= 0.
      staircase: Whether $(t - b) / T$ is rounded down to an integer. Static.

    Returns:
      A `Schedule`.

    Raises:
      TypeError: If an argument is not one real number, or `staircase` not a bool.
      ValueError: If one is not finite or out of its range.

    Example:
      >>> import lrjax
      >>> schedule = lrjax.inverse_time_decay(1.0, transition_steps=10, decay_rate=1.0)
      >>> float(schedule(0)), float(schedule(10)), float(schedule(30))
      (1.0, 0.5, 0.25)
    """
    call = "inverse_time_decay"
    _arguments.finite(call, init_value=init_value)
    _arguments.positive(call, transition_steps=transition_steps)
    _arguments.nonnegative(call, decay_rate=decay_rate, transition_begin=transition_begin)
    _check.boolean(call, "staircase", staircase)

    def at(count: Any) -> jax.Array:
        now, begin, span = _clock.alike(count, transition_begin, transition_steps)
        done = jnp.maximum(now - begin, 0)
        index, _ = _clock.cycle(done, span)
        periods = _float(index) if staircase else _float(done) / _float(jnp.where(span > 0, span, 1))
        return _clock.scalar(init_value) / (1 + _clock.scalar(decay_rate) * _clock.settled(periods))

    return from_closed_form(at)


def inverse_sqrt_schedule(
    peak_value: ScalarLike,
    warmup_steps: ScalarLike,
    timescale: ScalarLike | None = None,
    init_value: ScalarLike = 0.0,
    shift: ScalarLike = 0,
) -> Schedule:
    r"""A linear rise, then decay like one over the square root of the step.

    For $t \ge w$: $\eta_t = \eta_p / \sqrt{1 + (t - w + s) / \tau}$; before, a straight line from
    $\eta_0$ to that value at $w$. With $\tau = w$ and $s = 0$ this is $\eta_p \sqrt{w / t}$.

    Args:
      peak_value: $\eta_p$, the value at step `warmup_steps` if `shift` is 0.
      warmup_steps: $w$ in steps, >= 0.
      timescale: $\tau$ in steps, > 0. None takes `warmup_steps`, or 10,000 where that is 0.
      init_value: $\eta_0$, the value of the first update. With 0 the first update does nothing.
      shift: $s$ in steps, >= 0: how far along the decay it begins.

    Returns:
      A `Schedule`.

    Raises:
      TypeError: If an argument is not one real number.
      ValueError: If one is not finite or out of its range.

    References:
      Vaswani et al., Attention Is All You Need, 1706.03762, 2017.
      Raffel et al., Exploring the Limits of Transfer Learning, 1910.10683, 2019.

    Example:
      >>> import lrjax
      >>> schedule = lrjax.inverse_sqrt_schedule(1.0, warmup_steps=100)
      >>> float(schedule(50)), float(schedule(100)), float(schedule(400))
      (0.5, 1.0, 0.5)
    """
    call = "inverse_sqrt_schedule"
    _arguments.finite(call, peak_value=peak_value, init_value=init_value)
    _arguments.nonnegative(call, warmup_steps=warmup_steps, shift=shift)
    if timescale is not None:
        _arguments.positive(call, timescale=timescale)

    def at(count: Any) -> jax.Array:
        now, warmup = _clock.alike(count, warmup_steps)
        scale = _float(warmup) if timescale is None else _clock.scalar(timescale)
        scale = jnp.where(scale > 0, scale, 10_000.0)
        along = _float(jnp.maximum(now - warmup, 0)) + _clock.scalar(shift)
        falling = _clock.scalar(peak_value) / jnp.sqrt(1 + _clock.settled(along / scale))
        done, left = _clock.progress(count, 0, warmup_steps)
        top = _clock.scalar(peak_value) / jnp.sqrt(1 + _clock.settled(_clock.scalar(shift) / scale))
        return jnp.where(now < warmup, _clock.scalar(init_value) * left + top * done, falling)

    return from_closed_form(at)


def noam_schedule(model_size: ScalarLike, warmup_steps: ScalarLike, scale: ScalarLike = 1.0) -> Schedule:
    r"""The Transformer's rate: a linear rise, then one over the square root of the step.

    $\eta_t = c\, d^{-1/2} \min\left((t + 1)^{-1/2}, (t + 1)\, w^{-3/2}\right)$: the paper counts steps from
    1, so the first update is not zero.

    Args:
      model_size: $d$, the width of the model, > 0.
      warmup_steps: $w$ in steps, > 0; the peak, $c / \sqrt{d w}$, is the value at $t = w - 1$.
      scale: $c$.

    Returns:
      A `Schedule`.

    Raises:
      TypeError: If an argument is not one real number.
      ValueError: If one is not finite or out of its range.

    References:
      Vaswani et al., Attention Is All You Need, 1706.03762, 2017, equation 3.

    Example:
      >>> import lrjax
      >>> schedule = lrjax.noam_schedule(model_size=4, warmup_steps=4)
      >>> float(schedule(0)), float(schedule(3)), float(schedule(15))
      (0.0625, 0.25, 0.125)
    """
    call = "noam_schedule"
    _arguments.positive(call, model_size=model_size, warmup_steps=warmup_steps)
    _arguments.finite(call, scale=scale)

    def at(count: Any) -> jax.Array:
        now = _float(jnp.maximum(_clock.steps(count), 0)) + 1
        warmup = _float(_clock.steps(warmup_steps))
        peak = _clock.scalar(scale) / jnp.sqrt(_clock.scalar(model_size)) / jnp.sqrt(warmup)
        factor = jnp.minimum(now / warmup, jnp.sqrt(warmup / now))
        return peak * _clock.settled(factor)

    return from_closed_form(at)


def bottou_schedule(init_value: ScalarLike, regularization: ScalarLike, power: ScalarLike = 1.0) -> Schedule:
    r"""The rate for a strongly convex loss: $\eta_t = \gamma_0 / (1 + \gamma_0 \lambda t)^a$.

    Args:
      init_value: $\gamma_0$, the value at step 0, >= 0.
      regularization: $\lambda$, >= 0, the strength of the loss's quadratic penalty.
      power: $a$, >= 0: 1 for the iterate itself, 3/4 where iterates are averaged.

    Returns:
      A `Schedule`.

    Raises:
      TypeError: If an argument is not one real number.
      ValueError: If one is not finite or out of its range.

    References:
      Bottou, Stochastic Gradient Descent Tricks, 2012.
      Xu, Towards Optimal One Pass Large Scale Learning with Averaged SGD, 1107.2490, 2011.

    Example:
      >>> import lrjax
      >>> schedule = lrjax.bottou_schedule(0.5, regularization=0.01)
      >>> float(schedule(0)), float(schedule(200))
      (0.5, 0.25)
    """
    _arguments.nonnegative(
        "bottou_schedule", init_value=init_value, regularization=regularization, power=power
    )

    def at(count: Any) -> jax.Array:
        speed = _clock.scalar(init_value) * _clock.scalar(regularization)
        return _clock.scalar(init_value) * _fallen(_clock.settled(speed * _time(count)), power)

    return from_closed_form(at)


def robbins_monro_schedule(
    init_value: ScalarLike, power: ScalarLike = 0.5, timescale: ScalarLike = 1.0
) -> Schedule:
    r"""Decay like a power of the step: $\eta_t = \eta_0\,(1 + t / \tau)^{-a}$.

    With $a$ in $(1/2, 1]$ the rates sum to infinity and their squares do not, which is what
    stochastic approximation asks for. With $\tau = 1$ it is $\eta_0$ over a power of the number of
    the step counted from 1.

    Args:
      init_value: $\eta_0$, the value at step 0.
      power: $a$, >= 0.
      timescale: $\tau$ in steps, > 0.

    Returns:
      A `Schedule`.

    Raises:
      TypeError: If an argument is not one real number.
      ValueError: If one is not finite or out of its range.

    References:
      Robbins and Monro, A Stochastic Approximation Method, 1951.

    Example:
      >>> import lrjax
      >>> schedule = lrjax.robbins_monro_schedule(1.0, power=0.5)
      >>> float(schedule(0)), float(schedule(3))
      (1.0, 0.5)
    """
    call = "robbins_monro_schedule"
    _arguments.finite(call, init_value=init_value)
    _arguments.nonnegative(call, power=power)
    _arguments.positive(call, timescale=timescale)

    def at(count: Any) -> jax.Array:
        scale = _clock.scalar(timescale)
        along = _time(count) / jnp.where(scale > 0, scale, 1.0)
        return _clock.scalar(init_value) * _fallen(_clock.settled(along), power)

    return from_closed_form(at)


def power_schedule(
    max_value: ScalarLike,
    batch_size: ScalarLike,
    tokens_per_step: ScalarLike,
    amplitude: ScalarLike = 4.6,
    exponent: ScalarLike = -0.51,
) -> Schedule:
    r"""A power of the tokens seen, under a ceiling: $\eta_t = \min(\eta_{max}, \beta\, a\, n^b)$.

    $n = t\,\cdot$ `tokens_per_step`. The law does not ask how long training will be; a warmup is
    joined in front, a decay to zero behind.

    Args:
      max_value: $\eta_{max}$, the ceiling, and the value at step 0, > 0.
      batch_size: $\beta$, sequences in a batch, > 0.
      tokens_per_step: Tokens in a batch, > 0.
      amplitude: $a$, > 0.
      exponent: $b$, < 0.

    Returns:
      A `Schedule`.

    Raises:
      TypeError: If an argument is not one real number.
      ValueError: If one is not finite or out of its range.

    References:
      Shen et al., Power Scheduler: A Batch Size and Token Number Agnostic Learning Rate Scheduler,
      2408.13359, 2024.

    Example:
      >>> import lrjax
      >>> schedule = lrjax.power_schedule(0.02, batch_size=128, tokens_per_step=128 * 4096)
      >>> round(float(schedule(0)), 6), round(float(schedule(10_000)), 6)
      (0.02, 0.006501)
    """
    call = "power_schedule"
    _arguments.positive(
        call,
        max_value=max_value,
        batch_size=batch_size,
        tokens_per_step=tokens_per_step,
        amplitude=amplitude,
    )
    _check.number(call, "exponent", exponent, high=0, open_high=True)

    def at(count: Any) -> jax.Array:
        now = _time(count)
        # Powers multiplied rather than logarithms added: those are large, and so are their roundings.
        first = _clock.scalar(batch_size) * _clock.scalar(amplitude)
        first *= jnp.power(_clock.scalar(tokens_per_step), _clock.scalar(exponent))
        law = _clock.settled(first) * jnp.power(jnp.maximum(now, 1.0), _clock.scalar(exponent))
        return jnp.where(now > 0, jnp.minimum(_clock.scalar(max_value), law), _clock.scalar(max_value))

    return from_closed_form(at)


def _fallen(x: jax.Array, power: ScalarLike) -> jax.Array:
    """(1 + x)^-power."""
    return _clock.settled(jnp.power(1 + x, -_clock.scalar(power)))


def _time(count: Any) -> jax.Array:
    return _float(jnp.maximum(_clock.steps(count), 0))


def _float(x: Any) -> jax.Array:
    return jnp.asarray(x).astype(jnp.float32)
