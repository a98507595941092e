"""Warmups whose length follows from Adam's second decay rate."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp

from lrjax import _check
from lrjax._types import ScalarLike
from lrjax.schedules import _arguments, _clock
from lrjax.schedules._schedule import Schedule, from_closed_form


def untuned_warmup_schedule(value: ScalarLike, b2: ScalarLike = 0.999, rule: str = "linear") -> Schedule:
    r"""The warmup that Adam's $\beta_2$ asks for, with nothing to tune.

    With $s = t + 1$ the value is $\eta\,\omega$: $\omega = \min\left(1, \tfrac{1 - \beta_2}{2} s\right)$
    ("linear"), $1 - e^{-(1 - \beta_2) s}$ ("exponential"), or RAdam's rectification ("radam"): with
    $\rho_\infty = \tfrac{2}{1 - \beta_2} - 1$ and
    $\rho = \rho_\infty - \tfrac{2 s \beta_2^s}{1 - \beta_2^s}$,
    $\omega = \sqrt{\tfrac{(\rho - 4)(\rho - 2) \rho_\infty}{(\rho_\infty - 4)(\rho_\infty - 2) \rho}}$ where
    $\rho > 4$, else 0.

    Args:
      value: $\eta$, what it rises to.
      b2: $\beta_2$ in [0, 1); for "radam" in (0.6, 1), where it is defined.
      rule: "linear", "exponential" or "radam". Static.

    Returns:
      A `Schedule`.

    Raises:
      TypeError: If an argument is not one real number.
      ValueError: If one is not finite or out of its range.

    References:
      Ma and Yarats, On the Adequacy of Untuned Warmup for Adaptive Optimization, 1910.04209, 2019.
      Liu et al., On the Variance of the Adaptive Learning Rate and Beyond, 1908.03265, 2019.

    Example:
      >>> import lrjax
      >>> schedule = lrjax.untuned_warmup_schedule(1.0, b2=0.5)
      >>> [float(schedule(t)) for t in (0, 1, 2, 3, 99)]
      [0.25, 0.5, 0.75, 1.0, 1.0]
    """
    call = "untuned_warmup_schedule"
    _arguments.finite(call, value=value)
    _arguments.one_of(call, "rule", rule, ("linear", "exponential", "radam"))
    low = 0.6 if rule == "radam" else 0.0
    _check.number(call, "b2", b2, low=low, high=1, open_low=rule == "radam", open_high=True)

    def at(count: Any) -> jax.Array:
        step = jnp.maximum(_clock.steps(count), 0).astype(jnp.float32) + 1
        if rule == "radam":
            factor = _rectification(step, b2)
        elif rule == "linear":
            factor = jnp.minimum(_clock.settled(_rest(b2) * step) / 2, 1.0)
        else:
            factor = -jnp.expm1(-_clock.settled(_rest(b2) * step))
        return _clock.scalar(value) * factor

    return from_closed_form(at)


def _rest(b2: ScalarLike) -> jax.Array:
    """1 - b2; of a Python number in float64, since near 1 float32 has few digits of it."""
    return _clock.scalar(1 - b2 if isinstance(b2, (float, int)) else 1 - _clock.scalar(b2))


def _rectification(step: jax.Array, b2: ScalarLike) -> jax.Array:
    """RAdam's factor, without the difference of two numbers near 2 / (1 - b2) that defines it.

    With b2 = e^-l and g(x) = 1/x - 1/(e^x - 1), rho = 1 - 2 g(l) + 2 s g(s l).
    """
    rest = _rest(b2)
    rate = _clock.scalar(-math.log(b2)) if isinstance(b2, (float, int)) else -jnp.log1p(-rest)
    limit = 2 / rest - 1
    rho = 1 - 2 * _gap(rate) + 2 * step * _gap(_clock.settled(rate * step))
    works = rho > 4
    rho = jnp.where(works, rho, 5.0)
    squared = (rho - 4) / (limit - 4) * ((rho - 2) / (limit - 2)) * (limit / rho)
    return jnp.where(works, jnp.minimum(jnp.sqrt(squared), 1.0), 0.0)


def _gap(x: jax.Array) -> jax.Array:
    """1/x - 1/(e^x - 1) for x > 0: a series near 0, where both terms are large."""
    small = x < 0.5
    far = jnp.where(small, 1.0, x)
    near = jnp.where(small, x, 0.0)
    y = near * near
    series = 0.5 - near * (1 / 12 - y * (1 / 720 - y * (1 / 30240 - y / 1209600)))
    # e^-x / (1 - e^-x) rather than 1 / (e^x - 1), which overflows on the way to its gradient.
    return jnp.where(small, series, 1 / far + jnp.exp(-far) / jnp.expm1(-far))
