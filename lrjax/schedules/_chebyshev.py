"""The rates that are best for a quadratic whose spectrum is known."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lrjax._types import ScalarLike
from lrjax.schedules import _arguments, _clock
from lrjax.schedules._schedule import Schedule, from_closed_form

_BITS = 30  # the largest power of 2 in an int32
_MASKS = (0x55555555, 0x33333333, 0x0F0F0F0F, 0x00FF00FF, 0x0000FFFF)
_HALVES = tuple(zip((1, 2, 4, 8, 16), map(np.uint32, _MASKS), strict=True))


def chebyshev_schedule(
    min_curvature: ScalarLike,
    max_curvature: ScalarLike,
    total_steps: ScalarLike,
    order: str = "fractal",
) -> Schedule:
    r"""The steps that solve a quadratic in $T$ updates: the inverse roots of a Chebyshev polynomial.

    With $m$ and $M$ the ends of the spectrum and $j$ the place in the order,
    $\eta_j = 1 / \left(\tfrac{M + m}{2} - \tfrac{M - m}{2} \cos \tfrac{(j + 1/2) \pi}{T}\right)$. Some
    steps are far beyond $2 / M$; the fractal order keeps their products bounded. After $T$ steps it
    starts again.

    Args:
      min_curvature: $m$, > 0: the rates lie below $1 / m$.
      max_curvature: $M$, >= `min_curvature`: the rates lie above $1 / M$.
      total_steps: $T$ in steps, > 0. For the fractal order a power of 2: any other is taken as the
        next one, and one beyond $2^{30}$ as that.
      order: "fractal", or "decreasing" for $j = t$. Static.

    Returns:
      A `Schedule`.

    Raises:
      TypeError: If an argument is not one real number.
      ValueError: If one is not finite or out of its range.

    References:
      Agarwal, Goel and Zhang, Acceleration via Fractal Learning Rate Schedules, 2103.01338, 2021.

    Example:
      >>> import lrjax
      >>> schedule = lrjax.chebyshev_schedule(0.1, 1.0, total_steps=4)
      >>> [round(float(schedule(t)), 3) for t in range(4)]
      [7.449, 1.035, 2.647, 1.385]
    """
    call = "chebyshev_schedule"
    _arguments.positive(
        call, min_curvature=min_curvature, max_curvature=max_curvature, total_steps=total_steps
    )
    _arguments.one_of(call, "order", order, ("fractal", "decreasing"))
    _arguments.ordered(call, "max_curvature", [min_curvature, max_curvature])

    def at(count: Any) -> jax.Array:
        span = _clock.steps(total_steps)
        if order == "fractal":
            place, span = _fractal(_clock.steps(count), span)
        else:
            _, place = _clock.cycle(count, span)
        angle = _clock.share(place.astype(jnp.float32) + 0.5, span) * (jnp.pi / 2)
        low, high = _clock.scalar(min_curvature), _clock.scalar(max_curvature)
        return 1 / (low * jnp.square(jnp.cos(angle)) + high * jnp.square(jnp.sin(angle)))

    return from_closed_form(at)


def _fractal(count: jax.Array, total: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Where a step stands in the fractal order of a power of 2, and that power.

    The order of 2 n is that of n with each j followed by its mirror image 2 n - 1 - j, which has every
    bit the other way. So bit i of the place, from the highest down, is the parity of the step's bits
    up to i.
    """
    whole = jnp.clip(jnp.ceil(total), 1, 2**_BITS).astype(jnp.int32)
    width = 32 - jax.lax.clz(whole - 1)
    bits = jnp.maximum(count.astype(jnp.int32), 0).astype(jnp.uint32)
    for shift in (1, 2, 4, 8, 16):  # the parities of all bits below
        bits ^= bits << shift
    for shift, mask in _HALVES:  # from the last bit to the first
        bits = ((bits >> shift) & mask) | ((bits & mask) << shift)
    place = (bits >> 1) >> (31 - width).astype(jnp.uint32)  # in two: a shift by 32 is not defined
    return place.astype(jnp.int32), 1 << width
