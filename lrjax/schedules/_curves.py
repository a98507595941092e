"""Single descents with shapes of their own."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from lrjax._types import ScalarLike
from lrjax.schedules import _arguments, _clock, _shapes
from lrjax.schedules._schedule import Schedule, from_closed_form


def tanh_decay(
    init_value: ScalarLike,
    decay_steps: ScalarLike,
    end_value: ScalarLike = 0.0,
    lower: ScalarLike = -7.0,
    upper: ScalarLike = 3.0,
) -> Schedule:
    r"""Fall along a hyperbolic tangent: late, then quickly.

    For $t < T$, $\eta_t = \eta_e + \tfrac12 (\eta_0 - \eta_e)(1 - \tanh(l (1 - p) + u p))$ with
    $p = t / T$; afterwards $\eta_e$. At step 0 it is $\eta_0$ up to $1 + \tanh l$.

    Args:
      init_value: $\eta_0$.
      decay_steps: $T$ in steps, > 0.
      end_value: $\eta_e$, the value from step `decay_steps` on.
      lower: $l$, < `upper`: where on the curve it starts.
      upper: $u$: where on the curve it ends.

    Returns:
      A `Schedule`.

    Raises:
      TypeError: If an argument is not one real number.
      ValueError: If one is not finite or out of its range.

    References:
      Hsueh et al., Stochastic Gradient Descent with Hyperbolic-Tangent Decay on Classification,
      1806.01593, 2018.

    Example:
      >>> import lrjax
      >>> schedule = lrjax.tanh_decay(1.0, decay_steps=10)
      >>> [round(float(schedule(t)), 3) for t in (0, 5, 7, 9, 10)]
      [1.0, 0.982, 0.5, 0.018, 0.0]
    """
    call = "tanh_decay"
    _arguments.finite(call, init_value=init_value, end_value=end_value, lower=lower, upper=upper)
    _arguments.positive(call, decay_steps=decay_steps)
    _arguments.beyond(call, "upper", upper, "lower", lower)

    def at(count: Any) -> jax.Array:
        done, left = _clock.progress(count, 0, decay_steps)
        x = _clock.scalar(lower) * left + _clock.scalar(upper) * done
        share = jnp.where(left > 0, jax.nn.sigmoid(-2 * x), 0.0)  # (1 - tanh x) / 2 without cancellation
        return _shapes.mix(init_value, end_value, share)

    return from_closed_form(at)


def k_decay(
    init_value: ScalarLike,
    decay_steps: ScalarLike,
    k: ScalarLike = 1.0,
    end_value: ScalarLike = 0.0,
    shape: str = "cosine",
    power: ScalarLike = 1.0,
) -> Schedule:
    r"""A cosine or polynomial whose progress $p = t / T$ is raised to a power: $p \to p^k$.

    $\eta_t = \eta_e + (\eta_0 - \eta_e)\, h$ with $h = \tfrac12 (1 + \cos \pi p^k)$, or
    $h = (1 - p^k)^P$.

    Args:
      init_value: $\eta_0$, the value at step 0.
      decay_steps: $T$ in steps, > 0.
      k: $k$, > 0; above 1 the value stays high for longer.
      end_value: $\eta_e$, the value from step `decay_steps` on.
      shape: "cosine" or "polynomial". Static.
      power: $P$, > 0; used with "polynomial" only.

    Returns:
      A `Schedule`.

    Raises:
      TypeError: If an argument is not one real number.
      ValueError: If one is not finite or out of its range.

    References:
      Zhang and Li, k-decay: A New Method for Learning Rate Schedule, 2004.05909, 2020.

    Example:
      >>> import lrjax
      >>> schedule = lrjax.k_decay(1.0, decay_steps=8, k=2.0, shape="polynomial")
      >>> [round(float(schedule(t)), 6) for t in (0, 4, 6, 8)]
      [1.0, 0.75, 0.4375, 0.0]
    """
    call = "k_decay"
    _arguments.finite(call, init_value=init_value, end_value=end_value)
    _arguments.positive(call, decay_steps=decay_steps, k=k, power=power)
    _arguments.one_of(call, "shape", shape, ("cosine", "polynomial"))

    def at(count: Any) -> jax.Array:
        _, left = _clock.progress(count, 0, decay_steps)
        inside = left < 1
        rest = -jnp.expm1(_clock.scalar(k) * jnp.log1p(-jnp.where(inside, left, 0.0)))  # 1 - p^k
        rest = jnp.where(inside, rest, 1.0)
        if shape == "cosine":
            return _shapes.mix(init_value, end_value, _shapes.cosine(1 - rest, rest))
        return _shapes.mix(init_value, end_value, _shapes.raised(rest, power))

    return from_closed_form(at)


def rex_schedule(init_value: ScalarLike, decay_steps: ScalarLike, end_value: ScalarLike = 0.0) -> Schedule:
    r"""A reflected exponential: slow at first, then steeper than a line.

    $\eta_t = \eta_e + (\eta_0 - \eta_e)\,\frac{1 - p}{1/2 + (1 - p) / 2}$ with $p = \min(t, T) / T$.

    Args:
      init_value: $\eta_0$, the value at step 0.
      decay_steps: $T$ in steps, > 0.
      end_value: $\eta_e$, the value from step `decay_steps` on.

    Returns:
      A `Schedule`, exact at both ends.

    Raises:
      TypeError: If an argument is not one real number.
      ValueError: If one is not finite or out of its range.

    References:
      Chen et al., REX: Revisiting Budgeted Training with an Improved Schedule, 2107.04197, 2021.

    Example:
      >>> import lrjax
      >>> schedule = lrjax.rex_schedule(1.0, decay_steps=9)
      >>> float(schedule(0)), float(schedule(6)), float(schedule(9))
      (1.0, 0.5, 0.0)
    """
    call = "rex_schedule"
    _arguments.finite(call, init_value=init_value, end_value=end_value)
    _arguments.positive(call, decay_steps=decay_steps)

    def at(count: Any) -> jax.Array:
        _, left = _clock.progress(count, 0, decay_steps)
        return _shapes.mix(init_value, end_value, 2 * left / (1 + left))

    return from_closed_form(at)


def flat_cosine_schedule(
    value: ScalarLike,
    total_steps: ScalarLike,
    pct_start: ScalarLike = 0.75,
    final_div_factor: ScalarLike = 1e5,
) -> Schedule:
    r"""Constant for most of the training, then half a cosine.

    With $p = \min(t, T) / T$ and $s$ the fraction that is flat: $\eta$ for $p < s$, then a half
    cosine to $\eta / d$ at $p = 1$.

    Args:
      value: $\eta$.
      total_steps: $T$ in steps, > 0.
      pct_start: $s$ in [0, 1].
      final_div_factor: $d$, > 0; from step `total_steps` on the value is `value / final_div_factor`.

    Returns:
      A `Schedule`.

    Raises:
      TypeError: If an argument is not one real number.
      ValueError: If one is not finite or out of its range.

    References:
      Howard and Gugger, fastai: A Layered API for Deep Learning, 2002.04688, 2020.

    Example:
      >>> import lrjax
      >>> schedule = lrjax.flat_cosine_schedule(1.0, total_steps=40, final_div_factor=2.0)
      >>> [round(float(schedule(t)), 6) for t in (0, 29, 35, 40)]
      [1.0, 1.0, 0.75, 0.5]
    """
    call = "flat_cosine_schedule"
    _arguments.finite(call, value=value)
    _arguments.positive(call, total_steps=total_steps, final_div_factor=final_div_factor)
    _arguments.fractions(call, pct_start=pct_start)

    def at(count: Any) -> jax.Array:
        done, left = _clock.progress(count, 0, total_steps)
        tail = 1 - _clock.scalar(pct_start)
        falls = (tail > 0) & (done > _clock.scalar(pct_start))
        share = jnp.where(falls, _clock.share(left, jnp.where(falls, tail, 1.0)), 1.0)
        share = jnp.where(left > 0, share, 0.0)
        first = _clock.scalar(value)
        return _shapes.mix(first, first / _clock.scalar(final_div_factor), _shapes.cosine(1 - share, share))

    return from_closed_form(at)
