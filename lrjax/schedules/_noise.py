"""Noise on a schedule."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

from lrjax import _check
from lrjax._types import ScalarLike, ScalarOrSchedule
from lrjax.schedules import _arguments, _clock
from lrjax.schedules._schedule import Schedule, as_schedule, from_closed_form


def noisy_schedule(
    schedule: ScalarOrSchedule,
    key: jax.Array,
    limit: ScalarLike = 0.67,
    scale: ScalarLike = 1.0,
    distribution: str = "normal",
    begin: ScalarLike = 0,
    end: ScalarLike | None = None,
) -> Schedule:
    r"""A schedule times $1 + \varepsilon_t$ with random $|\varepsilon_t| \le \ell$.

    The noise of a step depends on the key and the step alone, so a run that is resumed or repeated
    meets the same.

    Args:
      schedule: What is made noisy: a `Schedule`, a number or a callable of the step.
      key: A key of `jax.random`.
      limit: $\ell$, > 0. Above 1 the value may become negative.
      scale: The standard deviation, > 0, of the normal that is drawn from within the limits; used with
        "normal" only.
      distribution: "normal" or "uniform". Static.
      begin: The first step with noise, >= 0.
      end: The first step without it again, >= `begin`. None for noise to the last.

    Returns:
      A `Schedule`; it has a closed form if `schedule` does.

    Raises:
      TypeError: If an argument is not one real number, or `key` no key.
      ValueError: If one is not finite or out of its range.

    Example:
      >>> import jax
      >>> import lrjax
      >>> schedule = lrjax.noisy_schedule(1.0, jax.random.key(0), limit=0.1, begin=10)
      >>> float(schedule(9)), 0.9 < float(schedule(10)) < 1.1
      (1.0, True)
    """
    call = "noisy_schedule"
    inner = as_schedule(call, "schedule", schedule)
    _arguments.positive(call, limit=limit, scale=scale)
    _arguments.one_of(call, "distribution", distribution, ("normal", "uniform"))
    _arguments.nonnegative(call, begin=begin)
    if end is not None:
        _arguments.nonnegative(call, end=end)
        _arguments.ordered(call, "end", [begin, end])
    key = _checked_key(call, key)

    def factor_at(count: jax.Array) -> jax.Array:
        own = jax.random.fold_in(key, count.astype(jnp.uint32))
        bound = _clock.scalar(limit)
        if distribution == "uniform":
            noise = bound * jax.random.uniform(own, (), jnp.float32, -1.0, 1.0)
        else:
            spread = _clock.scalar(scale)
            noise = spread * jax.random.truncated_normal(
                own, -bound / spread, bound / spread, (), jnp.float32
            )
            noise = jnp.clip(noise, -bound, bound)  # the product may round beyond
        now, start = _clock.alike(count, begin)
        noisy = now >= start
        if end is not None:
            now, stop = _clock.alike(count, end)
            noisy &= now < stop
        return 1 + jnp.where(noisy, noise, 0.0)

    def factor(count: Any) -> jax.Array:
        counts = _clock.steps(count)
        return jax.vmap(factor_at)(counts.ravel()).reshape(counts.shape)

    return inner * from_closed_form(factor)


def _checked_key(call: str, key: Any) -> jax.Array:
    expected = "one key of `jax.random`"
    if not isinstance(key, (jax.Array, Tracer)):
        raise _check.fail_type(call, "key", expected, _check.describe(key))
    if not jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        if key.dtype != jnp.uint32 or key.ndim != 1:
            raise _check.fail_type(call, "key", expected, _check.describe(key))
        key = jax.random.wrap_key_data(key)
    if key.ndim:
        raise _check.fail_type(call, "key", expected, _check.describe(key))
    return key
