"""Back-off from loss spikes: down at once, back up slowly."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import ScalarLike
from lrjax.schedules import _clock, _driven
from lrjax.schedules._schedule import Schedule

_LEAST = 1e-6  # of the mean, below which differences are rounding


class SpikeBackoffState(NamedTuple):
    """The state of the back-off from loss spikes.

    Attributes:
      scale: float32 scalar, the factor.
      mean: float32 scalar, the running mean of the losses.
      variance: float32 scalar, their running variance.
      count: int32 scalar, how many losses were averaged.
      cooldown_count: int32 scalar, for how many more updates no spike is looked for.

    Example:
      >>> import lrjax
      >>> float(lrjax.spike_backoff_schedule().init().scale)
      1.0
    """

    scale: jax.Array
    mean: jax.Array
    variance: jax.Array
    count: jax.Array
    cooldown_count: jax.Array


def spike_backoff_schedule(
    factor: ScalarLike = 0.5,
    threshold: ScalarLike = 6.0,
    recovery_steps: ScalarLike = 100,
    *,
    decay: ScalarLike = 0.98,
    warmup: ScalarLike = 20,
    cooldown: ScalarLike = 10,
    min_scale: ScalarLike = 0.01,
) -> Schedule:
    r"""A factor that is reduced at once where the loss jumps, and then recovers step by step.

    A loss is a spike if it is not finite or $L_t > \mu + z \sigma$, with $\mu$ and $\sigma$ the
    running mean and deviation of the losses before it. At a spike $s \leftarrow \max(f s, s_{min})$;
    otherwise $s \leftarrow \min(1, s f^{-1/r})$, so that one spike is made up for after $r$ steps.
    A spike enters the mean only as the largest loss that would be none.

    Args:
      factor: $f$ in (0, 1).
      threshold: $z$ > 0, in standard deviations.
      recovery_steps: $r$ in steps, > 0.
      decay: The decay of the running mean and variance in [0, 1).
      warmup: How many losses are averaged before one can be a spike, >= 1.
      cooldown: For how many steps after a back-off there is no other, >= 0: a spike lasts.
      min_scale: $s_{min}$ >= 0, the factor's lower bound.

    Returns:
      A `Schedule` whose `update` needs `value=`, the training loss of the step. Multiply it by a
      rate.

    Raises:
      TypeError: If an argument is not one real number; from `update`, if `value` is missing.
      ValueError: If a number is out of its range.

    Example:
      >>> import lrjax
      >>> init, update = lrjax.spike_backoff_schedule(recovery_steps=2, warmup=3)
      >>> state, factors = init(), []
      >>> for loss in (1.0, 1.1, 0.9, 1.0, 50.0, 1.0, 1.0):
      ...     factor, state = update(state, value=loss)
      ...     factors.append(round(float(factor), 3))
      >>> factors
      [1.0, 1.0, 1.0, 1.0, 0.5, 0.707, 1.0]
    """
    call = "spike_backoff_schedule"
    _driven.check_factor(call, factor)
    _check.number(call, "threshold", threshold, low=0, open_low=True)
    _clock.check_steps(call, "recovery_steps", recovery_steps, positive=True)
    _check.number(call, "decay", decay, low=0, high=1, open_high=True)
    _check.number(call, "warmup", warmup, low=1)
    _check.number(call, "cooldown", cooldown, low=0)
    _check.number(call, "min_scale", min_scale, low=0)

    def init() -> SpikeBackoffState:
        none = _driven.none_yet()
        return SpikeBackoffState(_driven.one(), _driven.zero(), _driven.zero(), none, none)

    def judge(state: SpikeBackoffState, value: jax.Array) -> SpikeBackoffState:
        spread = state.variance > 0  # the slope of a root at 0 is infinite
        deviation = jnp.where(spread, jnp.sqrt(jnp.where(spread, state.variance, 1)), 0)
        deviation = jnp.maximum(deviation, _LEAST * jnp.abs(state.mean))
        limit = state.mean + _clock.scalar(threshold) * deviation
        known = state.count >= _clock.steps(warmup)
        jumps = ~jnp.isfinite(value) | (known & (value > limit))
        resting = state.cooldown_count > 0
        spike = jumps & ~resting

        # Early on the plain mean, later the running one; Welford's rule with the weight w.
        used = jnp.where(jumps, limit, value)
        count = jnp.where(jnp.isfinite(value) | known, _tree.next_count(state.count), state.count)
        w = jnp.maximum(1 / jnp.maximum(count, 1).astype(jnp.float32), 1 - _clock.scalar(decay))
        moved = used - state.mean
        keep = ~jnp.isfinite(value) & ~known  # nothing is known by which to replace it
        mean = jnp.where(keep, state.mean, state.mean + w * moved)
        variance = jnp.where(keep, state.variance, (1 - w) * (state.variance + w * moved * moved))

        lowest, f = _clock.scalar(min_scale), _clock.scalar(factor)
        fallen = jnp.minimum(jnp.maximum(state.scale * f, lowest), state.scale)
        risen = jnp.minimum(state.scale * jnp.power(f, -1 / _clock.scalar(recovery_steps)), 1)
        return SpikeBackoffState(
            scale=jnp.where(spike, fallen, jnp.where(jumps, state.scale, risen)),
            mean=mean,
            variance=variance,
            count=count,
            cooldown_count=jnp.where(
                spike, _driven.whole(cooldown), jnp.maximum(state.cooldown_count - 1, 0)
            ),
        )

    return _driven.follows_value(call, init, judge, held_out=False)
