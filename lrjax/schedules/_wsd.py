"""Schedules in stages: a rise, a long constant middle, a descent that can start at any time."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from lrjax._types import ScalarLike
from lrjax.schedules import _arguments, _clock, _shapes
from lrjax.schedules._schedule import Schedule, from_closed_form


def wsd_schedule(
    peak_value: ScalarLike,
    warmup_steps: ScalarLike,
    stable_steps: ScalarLike,
    decay_steps: ScalarLike,
    init_value: ScalarLike = 0.0,
    end_value: ScalarLike = 0.0,
    decay: str = "linear",
    warmup: str = "linear",
) -> Schedule:
    r"""Warmup, stable, decay: a rise, a constant, a descent.

    In the decay, with $q$ the fraction of it that is done, $\eta_t = \eta_e + (\eta_p - \eta_e)\, h(q)$
    with $h = 1 - q$ ("linear"), $\tfrac12 (1 + \cos \pi q)$ ("cosine"), $1 - \sqrt q$ ("sqrt"),
    $1 - q^2$ ("square") or $2^{1 - q} - 1$ ("exponential"). The warmup is
    $\eta_0 + (\eta_p - \eta_0)\, h(1 - q)$.

    Args:
      peak_value: $\eta_p$, the value of the stable stage.
      warmup_steps: Steps of the rise, >= 0.
      stable_steps: Steps at the peak, >= 0.
      decay_steps: Steps of the descent, >= 0.
      init_value: $\eta_0$, the value of the first update. With 0 the first update does nothing.
      end_value: $\eta_e$, the value from `warmup_steps + stable_steps + decay_steps` on.
      decay: "linear", "cosine", "sqrt", "square" or "exponential". Static.
      warmup: One of the same. Static.

    Returns:
      A `Schedule`, exact at both ends.

    Raises:
      TypeError: If an argument is not one real number.
      ValueError: If one is not finite or out of its range.

    References:
      Hu et al., MiniCPM: Unveiling the Potential of Small Language Models, 2404.06395, 2024.
      Haegele et al., Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations,
      2405.18392, 2024 (the decay "sqrt").

    Example:
      >>> import lrjax
      >>> schedule = lrjax.wsd_schedule(1.0, warmup_steps=2, stable_steps=6, decay_steps=4)
      >>> [float(schedule(t)) for t in (0, 1, 2, 8, 10, 12)]
      [0.0, 0.5, 1.0, 1.0, 0.5, 0.0]
    """
    call = "wsd_schedule"
    _arguments.finite(call, peak_value=peak_value, init_value=init_value, end_value=end_value)
    _arguments.nonnegative(
        call, warmup_steps=warmup_steps, stable_steps=stable_steps, decay_steps=decay_steps
    )
    _arguments.one_of(call, "decay", decay, tuple(_shapes.SHAPES))
    _arguments.one_of(call, "warmup", warmup, tuple(_shapes.SHAPES))

    def at(count: Any) -> jax.Array:
        stages = [
            (warmup_steps, _shapes.between(peak_value, init_value, _shapes.rising(warmup))),
            (stable_steps, _shapes.between(peak_value, peak_value, _shapes.linear)),
            (decay_steps, _shapes.between(peak_value, end_value, _shapes.falling(decay))),
        ]
        return _shapes.staged(count, stages, end_value)

    return from_closed_form(at)


def tri_stage_schedule(
    peak_value: ScalarLike,
    warmup_steps: ScalarLike,
    hold_steps: ScalarLike,
    decay_steps: ScalarLike,
    init_scale: ScalarLike = 0.01,
    final_scale: ScalarLike = 0.01,
) -> Schedule:
    r"""A linear rise, a constant, an exponential descent.

    From $s_0 \eta_p$ to $\eta_p$ in the warmup; in the decay, with $q$ the fraction done,
    $\eta_p\, s_f^q$; afterwards $s_f \eta_p$.

    Args:
      peak_value: $\eta_p$, the value while it is held.
      warmup_steps: Steps of the rise, >= 0.
      hold_steps: Steps at the peak, >= 0.
      decay_steps: Steps of the descent, >= 0.
      init_scale: $s_0$, >= 0, the first value as a fraction of the peak.
      final_scale: $s_f$, > 0, the last value as a fraction of the peak.

    Returns:
      A `Schedule`.

    Raises:
      TypeError: If an argument is not one real number.
      ValueError: If one is not finite or out of its range.

    References:
      Park et al., SpecAugment, 1904.08779, 2019.

    Example:
      >>> import lrjax
      >>> schedule = lrjax.tri_stage_schedule(1.0, 4, 6, 10, init_scale=0.5, final_scale=0.25)
      >>> [round(float(schedule(t)), 6) for t in (0, 2, 4, 10, 15, 20)]
      [0.5, 0.75, 1.0, 1.0, 0.5, 0.25]
    """
    call = "tri_stage_schedule"
    _arguments.finite(call, peak_value=peak_value)
    _arguments.nonnegative(
        call,
        warmup_steps=warmup_steps,
        hold_steps=hold_steps,
        decay_steps=decay_steps,
        init_scale=init_scale,
    )
    _arguments.positive(call, final_scale=final_scale)

    def at(count: Any) -> jax.Array:
        stages = [
            (warmup_steps, _shapes.between(1.0, init_scale, _shapes.rising("linear"))),
            (hold_steps, _shapes.between(1.0, 1.0, _shapes.linear)),
            (decay_steps, lambda done, left: _shapes.repeated(final_scale, done)),
        ]
        return _clock.scalar(peak_value) * _shapes.staged(count, stages, final_scale)

    return from_closed_form(at)


def infinite_schedule(
    peak_value: ScalarLike,
    constant_value: ScalarLike,
    end_value: ScalarLike,
    warmup_steps: ScalarLike,
    cooldown_steps: ScalarLike,
    constant_steps: ScalarLike,
    anneal_steps: ScalarLike,
    init_value: ScalarLike = 0.0,
) -> Schedule:
    r"""A rate that can be held for as long as data arrive, and annealed whenever a model is wanted.

    A linear rise to $\eta_p$; half a cosine down to $\eta_c$; $\eta_c$; then, with $q$ the fraction of
    the last stage that is done, $\eta_c (\eta_e / \eta_c)^q$.

    Args:
      peak_value: $\eta_p$, the value after the warmup.
      constant_value: $\eta_c$, the value that is held, > 0.
      end_value: $\eta_e$, the value after the annealing, > 0.
      warmup_steps: Steps of the rise, >= 0.
      cooldown_steps: Steps of the cosine, >= 0.
      constant_steps: Steps that it is held, >= 0.
      anneal_steps: Steps of the last descent, >= 0.
      init_value: The value of the first update. With 0 the first update does nothing.

    Returns:
      A `Schedule`.

    Raises:
      TypeError: If an argument is not one real number.
      ValueError: If one is not finite or out of its range.

    References:
      Ibrahim et al., Simple and Scalable Strategies to Continually Pre-train Large Language Models,
      2403.08763, 2024.
      Singh et al., Beyond Cosine Decay: On the Effectiveness of Infinite Learning Rate Schedule for
      Continual Pre-training, 2503.02844, 2025.

    Example:
      >>> import lrjax
      >>> schedule = lrjax.infinite_schedule(1.0, 0.5, 0.125, 2, 4, 10, 8)
      >>> [round(float(schedule(t)), 6) for t in (0, 2, 4, 6, 16, 20, 24)]
      [0.0, 1.0, 0.75, 0.5, 0.5, 0.25, 0.125]
    """
    call = "infinite_schedule"
    _arguments.finite(call, peak_value=peak_value, init_value=init_value)
    _arguments.positive(call, constant_value=constant_value, end_value=end_value)
    _arguments.nonnegative(
        call,
        warmup_steps=warmup_steps,
        cooldown_steps=cooldown_steps,
        constant_steps=constant_steps,
        anneal_steps=anneal_steps,
    )

    def annealed(done: jax.Array, left: jax.Array) -> jax.Array:
        return jnp.power(_clock.scalar(constant_value), left) * jnp.power(_clock.scalar(end_value), done)

    def at(count: Any) -> jax.Array:
        stages = [
            (warmup_steps, _shapes.between(peak_value, init_value, _shapes.rising("linear"))),
            (cooldown_steps, _shapes.between(peak_value, constant_value, _shapes.cosine)),
            (constant_steps, _shapes.between(constant_value, constant_value, _shapes.linear)),
            (anneal_steps, annealed),
        ]
        return _shapes.staged(count, stages, end_value)

    return from_closed_form(at)
