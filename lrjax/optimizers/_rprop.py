"""Rprop: step sizes of their own for every coordinate, moved by signs alone."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import Params, ScalarLike, ScalarOrSchedule, Updates
from lrjax.learning_rate import scale_by_learning_rate
from lrjax.optimizers._rate import next_rate
from lrjax.schedules import as_schedule, schedulable
from lrjax.transform import GradientTransformation


class ScaleByRpropState(NamedTuple):
    """The state of Rprop.

    Attributes:
      step_sizes: One step size per coordinate, shaped like the parameters, real, in at least
        float32; in `rprop`, relative to the learning rate.
      prev_updates: The last update, likewise; 0 where a sign has just changed.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> lrjax.scale_by_rprop(0.5).init(jnp.zeros(2)).step_sizes
      Array([0.5, 0.5], dtype=float32)
    """

    step_sizes: Params
    prev_updates: Params


def scale_by_rprop(
    learning_rate: ScalarLike,
    eta_minus: ScalarLike = 0.5,
    eta_plus: ScalarLike = 1.2,
    min_step_size: ScalarLike = 1e-6,
    max_step_size: ScalarLike = 50.0,
) -> GradientTransformation:
    r"""Rprop's updates: $u_t = \Delta_t \operatorname{sign}(g_t)$, a step size for every coordinate.

    Where the sign of the gradient stays, $\Delta_t = \min(\eta^+ \Delta_{t-1}, \Delta_{max})$. Where it
    changes, $\Delta_t = \max(\eta^- \Delta_{t-1}, \Delta_{min})$, the coordinate rests for this step,
    and at the next one it moves by the new size. Gradients should be those of all the data.

    Args:
      learning_rate: $\Delta_0$ >= 0, the first step size.
      eta_minus: $\eta^-$ in (0, 1].
      eta_plus: $\eta^+$ >= 1.
      min_step_size: $\Delta_{min}$ >= 0.
      max_step_size: $\Delta_{max}$ >= 0.

    Returns:
      A `GradientTransformation` with a `ScaleByRpropState`.

    Note:
      optax's updates come one step late: they are those of the gradient before.

    Raises:
      TypeError: If an argument is not one real number.
      ValueError: If it is out of its range.

    References:
      Riedmiller and Braun, A direct adaptive method for faster backpropagation learning: the RPROP
      algorithm, 1993.
      Igel and Hüsken, Empirical evaluation of the improved Rprop learning algorithms, 2003.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.scale_by_rprop(0.5)
      >>> first, state = tx.update(jnp.array(3.0), tx.init(jnp.array(0.0)))
      >>> second, state = tx.update(jnp.array(0.1), state)
      >>> round(float(first), 4), round(float(second), 4)
      (0.5, 0.6)
    """
    call = "scale_by_rprop"
    _check.number(call, "learning_rate", learning_rate, low=0)
    _check_arguments(call, eta_minus, eta_plus, min_step_size, max_step_size)

    def update(
        updates: Updates, state: ScaleByRpropState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, ScaleByRpropState]:
        del params, extra
        state = _adapt(updates, state, eta_minus, eta_plus, min_step_size, max_step_size)
        return _tree.cast_like(state.prev_updates, updates), state

    return GradientTransformation(lambda params: _begin(params, learning_rate), update)


@schedulable
def rprop(
    learning_rate: ScalarOrSchedule,
    eta_minus: ScalarLike = 0.5,
    eta_plus: ScalarLike = 1.2,
    min_step_size: ScalarLike = 1e-6,
    max_step_size: ScalarLike = 50.0,
) -> GradientTransformation:
    r"""Rprop: $\theta_{t+1} = \theta_t - u_t$, with the $u_t$ of `scale_by_rprop`.

    The step sizes are held relative to the learning rate, $\Delta_t = \eta_t s_t$ with $s_0 = 1$: at a
    constant rate that is Rprop started at $\Delta_0 = \eta$, and a schedule moves all of them
    together. The usual rate is 1e-2; as step sizes find their own way, little depends on it.

    Args:
      learning_rate: $\eta$ >= 0: a number, a tracer, a `Schedule` or a callable of the step.
      eta_minus: $\eta^-$ in (0, 1].
      eta_plus: $\eta^+$ >= 1.
      min_step_size: $\Delta_{min}$ >= 0. At $\eta_t = 0$ nothing moves all the same.
      max_step_size: $\Delta_{max}$ >= 0.

    Returns:
      A `GradientTransformation`.

    Note:
      optax's updates come one step late, and it takes no schedules here.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range.

    References:
      Riedmiller and Braun, A direct adaptive method for faster backpropagation learning: the RPROP
      algorithm, 1993.
      Igel and Hüsken, Empirical evaluation of the improved Rprop learning algorithms, 2003.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.rprop(0.5)
      >>> first, state = tx.update(jnp.array(3.0), tx.init(jnp.array(0.0)))
      >>> second, state = tx.update(jnp.array(0.1), state)
      >>> round(float(first), 4), round(float(second), 4)
      (-0.5, -0.6)
    """
    _check_arguments("rprop", eta_minus, eta_plus, min_step_size, max_step_size)
    owner = scale_by_learning_rate(as_schedule("rprop", "learning_rate", learning_rate))

    def init(params: Params) -> tuple[Any, ...]:
        return _begin(params, 1.0), owner.init(params)

    def update(
        updates: Updates, state: tuple[Any, ...], params: Params | None = None, **extra: Any
    ) -> tuple[Updates, tuple[Any, ...]]:
        del params
        eta, rate_state = next_rate(owner, state[1], extra)
        moves = eta > 0
        unit = jnp.where(moves, eta, 1)
        low, high = jnp.where(moves, min_step_size / unit, 0), jnp.where(moves, max_step_size / unit, jnp.inf)
        relative = _adapt(updates, state[0], eta_minus, eta_plus, low, high)
        steps = jax.tree.map(lambda u: _tree.multiply(u, -eta), relative.prev_updates)
        return _tree.cast_like(steps, updates), (relative, rate_state)

    return GradientTransformation(init, update)


def _check_arguments(
    call: str,
    eta_minus: ScalarLike,
    eta_plus: ScalarLike,
    min_step_size: ScalarLike,
    max_step_size: ScalarLike,
) -> None:
    _check.number(call, "eta_minus", eta_minus, low=0, high=1, open_low=True)
    _check.number(call, "eta_plus", eta_plus, low=1)
    _check.number(call, "min_step_size", min_step_size, low=0)
    _check.number(call, "max_step_size", max_step_size, low=0)


def _begin(params: Params, step_size: ScalarLike) -> ScaleByRpropState:
    return ScaleByRpropState(
        step_sizes=_tree.full_like(params, step_size, _tree.wide_real),
        prev_updates=_tree.zeros_like(params, _tree.wide_real),
    )


def _adapt(
    updates: Updates,
    state: ScaleByRpropState,
    eta_minus: ScalarLike,
    eta_plus: ScalarLike,
    low: ScalarLike,
    high: ScalarLike,
) -> ScaleByRpropState:
    """The next step sizes, and the next updates along the gradient."""
    same = jax.tree.map(lambda g, last: jnp.sign(_tree.wide(g)) * jnp.sign(last), updates, state.prev_updates)

    def resize(same: jax.Array, size: jax.Array) -> jax.Array:
        resized = jnp.clip(size * jnp.where(same > 0, eta_plus, eta_minus), low, high)
        return jnp.where(same == 0, size, resized)

    sizes = jax.tree.map(resize, same, state.step_sizes)
    moves = jax.tree.map(
        lambda same, g, size: jnp.where(same < 0, 0, size * jnp.sign(_tree.wide(g))), same, updates, sizes
    )
    return ScaleByRpropState(
        _tree.cast_like(sizes, state.step_sizes), _tree.cast_like(moves, state.prev_updates)
    )
