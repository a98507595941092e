"""Schedules that rise and fall for ever."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from lrjax._types import ScalarLike
from lrjax.schedules import _arguments, _clock, _shapes
from lrjax.schedules._schedule import Schedule, from_closed_form

_MODES = ("triangular", "triangular2", "exp_range")


def cyclic_schedule(
    base_value: ScalarLike,
    max_value: ScalarLike,
    step_size_up: ScalarLike = 2000,
    step_size_down: ScalarLike | None = None,
    mode: str = "triangular",
    gamma: ScalarLike = 1.0,
) -> Schedule:
    r"""Straight up and straight down, again and again.

    $\eta_t = b + (M - b)\, x_t\, S$, where $x_t$ rises from 0 to 1 in `step_size_up` steps and falls
    back in `step_size_down`. In cycle $c = 1, 2, \dots$ the scale $S$ is 1 ("triangular"),
    $2^{1 - c}$ ("triangular2") or $\gamma^t$ ("exp_range"). The inverse cycle of a momentum is the
    same schedule with `base_value` the larger of the two.

    Args:
      base_value: $b$, the value at the start of each cycle.
      max_value: $M$, the value at the top of the first.
      step_size_up: Steps up, > 0.
      step_size_down: Steps down, > 0. None for as many as up.
      mode: "triangular", "triangular2" or "exp_range". Static.
      gamma: $\gamma$, >= 0; used with "exp_range" only.

    Returns:
      A `Schedule`.

    Raises:
      TypeError: If an argument is not one real number.
      ValueError: If one is not finite or out of its range.

    References:
      Smith, Cyclical Learning Rates for Training Neural Networks, 1506.01186, 2015.

    Example:
      >>> import lrjax
      >>> schedule = lrjax.cyclic_schedule(0.0, 1.0, step_size_up=4, mode="triangular2")
      >>> [float(schedule(t)) for t in (0, 2, 4, 8, 12)]
      [0.0, 0.5, 1.0, 0.0, 0.5]
    """
    call = "cyclic_schedule"
    step_size_down = step_size_up if step_size_down is None else step_size_down
    _arguments.finite(call, base_value=base_value, max_value=max_value)
    _arguments.positive(call, step_size_up=step_size_up, step_size_down=step_size_down)
    _arguments.one_of(call, "mode", mode, _MODES)
    _arguments.nonnegative(call, gamma=gamma)
    whole = _clock.add(step_size_up, step_size_down)

    def at(count: Any) -> jax.Array:
        now, up, down, period = _clock.alike(count, step_size_up, step_size_down, whole)
        index, done = _clock.cycle(now, period)
        height = jnp.where(done < up, _clock.share(done, up), _clock.share(period - done, down))
        if mode == "triangular2":
            height *= jnp.exp2(-index.astype(jnp.float32))
        elif mode == "exp_range":
            height *= _shapes.repeated(gamma, jnp.maximum(now, 0))
        return _shapes.mix(max_value, base_value, height)

    return from_closed_form(at)
