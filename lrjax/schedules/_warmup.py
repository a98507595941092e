"""Schedules that rise before they fall."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from lrjax import _check
from lrjax._types import ScalarLike
from lrjax.schedules import _clock
from lrjax.schedules._decay import cosine_factor
from lrjax.schedules._schedule import Schedule, from_closed_form


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
    _check.number(call, "init_value", init_value)
    _check.number(call, "peak_value", peak_value)
    _clock.check_steps(call, "warmup_steps", warmup_steps)
    _clock.check_steps(call, "decay_steps", decay_steps, positive=True)
    _check.number(call, "end_value", end_value)
    _check.number(call, "exponent", exponent, low=0, open_low=True)
    warmup, decay = _check.known(warmup_steps), _check.known(decay_steps)
    if warmup is not None and decay is not None and warmup >= decay:
        expected = f"greater than warmup_steps={warmup:g} (it counts them in)"
        raise _check.fail(call, "decay_steps", expected, f"{decay:g}")

    def at(count: Any) -> jax.Array:
        first, peak, end = (_clock.scalar(x) for x in (init_value, peak_value, end_value))
        done, left = _clock.progress(count, 0, warmup_steps)
        now, warmup, horizon = _clock.alike(count, warmup_steps, decay_steps)
        factor = cosine_factor(now, warmup, horizon - warmup, exponent)
        return jnp.where(now < warmup, first * left + peak * done, end + (peak - end) * factor)

    return from_closed_form(at)
