"""Schedule-Free: averaging in the place of a schedule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import OptState, Params, ScalarLike, ScalarOrSchedule, Updates
from lrjax.learning_rate import get_learning_rate, scale_by_learning_rate
from lrjax.optimizers._radam import rectification
from lrjax.optimizers._rmsprop import scale_by_rms
from lrjax.optimizers._schedule import scale_by_schedule
from lrjax.optimizers._sgd import sgd
from lrjax.schedules import Schedule, as_schedule, schedulable
from lrjax.transform import (
    GradientTransformation,
    chain,
    check_transformation,
    require_params,
    with_extra_args_support,
)
from lrjax.transforms import add_decayed_weights


class ScheduleFreeState(NamedTuple):
    """The state of Schedule-Free.

    Attributes:
      b1: float32 scalar, the interpolation.
      weight_sum: float32 scalar, the sum of the weights of the average.
      step_count: int32 scalar, the number of the next update, from 1 on.
      max_lr: float32 scalar, the largest learning rate so far.
      base_optimizer_state: The state of the optimizer that moves `z`.
      z: Where that optimizer is, shaped like the parameters, in `state_dtype`.
      x: The average in float32, or None for parameters in float32 and wider, from which it follows.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> float(lrjax.schedule_free_sgd().init(jnp.zeros(2)).weight_sum)
      0.0
    """

    b1: jax.Array
    weight_sum: jax.Array
    step_count: jax.Array
    max_lr: jax.Array
    base_optimizer_state: OptState
    z: Params
    x: Params | None = None


@schedulable
def schedule_free(
    base_optimizer: Any,
    learning_rate: ScalarOrSchedule,
    b1: ScalarLike = 0.9,
    weight_lr_power: ScalarLike = 2.0,
    state_dtype: Any = None,
) -> GradientTransformation:
    r"""Makes an optimizer schedule-free: gradients are taken between its place and the average.

    The optimizer moves $z$; the average is $x_{t+1} = (1 - c_t) x_t + c_t z_{t+1}$ with
    $c_t = w_t / \sum_{i \le t} w_i$, $w_t = (\max_{i \le t} \gamma_i)^p$; and the parameters, at which
    gradients are taken, are $y_t = \beta_1 x_t + (1 - \beta_1) z_t$. Evaluate at $x$:
    `schedule_free_eval_params`.

    Args:
      base_optimizer: The optimizer that moves $z$, without momentum: anything with `init` and
        `update`.
      learning_rate: $\gamma$, the rate that `base_optimizer` has: a number, a tracer, or a schedule
        that depends on time alone.
      b1: $\beta_1$ in (0, 1], the place of momentum.
      weight_lr_power: $p$ >= 0.
      state_dtype: The dtype of $z$; None for the parameters', and float32 for half precision. Static.

    Returns:
      A `GradientTransformation` with a `ScheduleFreeState`, whose `update` needs `params`.

    Note:
      Half-precision parameters round $y$, and soon by more than the average moves: then $x$ is kept in
      float32 beside $z$. The weights use the rate of the step itself. (optax's use that of the step
      after, and its half-precision averages come to rest.)

    Raises:
      TypeError: If an argument is of the wrong kind, or `learning_rate` is driven by metrics.
      ValueError: If a number is out of its range; from `update`, if `params` is missing.

    References:
      Defazio et al., The Road Less Scheduled, 2405.15682, 2024.

    Example:
      >>> import jax, jax.numpy as jnp, lrjax
      >>> tx = lrjax.schedule_free(lrjax.sgd(0.5), 0.5)
      >>> params = jnp.array(1.0)
      >>> state = tx.init(params)
      >>> for _ in range(50):
      ...     updates, state = tx.update(params, state, params)
      ...     params = lrjax.apply_updates(params, updates)
      >>> bool(abs(lrjax.schedule_free_eval_params(state, params)) < 0.05)
      True
    """
    check_transformation("schedule_free", "base_optimizer", base_optimizer)
    schedule = as_schedule("schedule_free", "learning_rate", learning_rate)
    if schedule.closed_form is None:
        expected = "a number or a schedule that depends on time alone"
        raise _check.fail_type("schedule_free", "learning_rate", expected, "one driven by metrics")

    def rate_of(state: ScheduleFreeState, base_state: OptState) -> jax.Array:
        del base_state
        return schedule.at(state.step_count - 1)

    return _schedule_free("schedule_free", base_optimizer, rate_of, b1, weight_lr_power, state_dtype)


@schedulable
def schedule_free_sgd(
    learning_rate: ScalarOrSchedule = 1.0,
    warmup_steps: ScalarLike | None = None,
    b1: ScalarLike = 0.9,
    weight_decay: ScalarLike | None = None,
    weight_lr_power: ScalarLike = 2.0,
    state_dtype: Any = None,
) -> GradientTransformation:
    r"""Schedule-Free gradient descent: $z_{t+1} = z_t - \gamma_t (g_t + \lambda y_t)$; see `schedule_free`.

    Args:
      learning_rate: $\gamma$: a number, a tracer, a `Schedule` or a callable of the step. Rates are
        ten to fifty times those of momentum.
      warmup_steps: The steps over which the rate rises to its value, as $(t + 1) / n$ at step
        $t = 0, 1, \dots$, as in the authors' code; None for none.
      b1: $\beta_1$ in (0, 1].
      weight_decay: $\lambda$ >= 0, taken at $y$, or None.
      weight_lr_power: $p$ >= 0, the power of the largest rate so far in the weights of the average.
      state_dtype: The dtype of $z$; see `schedule_free`. Static.

    Returns:
      A `GradientTransformation` with a `ScheduleFreeState`, whose `update` needs `params`. Evaluate
      at `schedule_free_eval_params(state, params)`.

    Note:
      optax's warmup begins at a rate of 0 that its average takes for a whole step's.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range; from `update`, if `params` is missing.

    References:
      Defazio et al., The Road Less Scheduled, 2405.15682, 2024.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.schedule_free_sgd(0.5)
      >>> params = jnp.array(2.0)
      >>> updates, state = tx.update(jnp.array(1.0), tx.init(params), params)
      >>> float(updates), float(state.z)
      (-0.5, 1.5)
    """
    call = "schedule_free_sgd"
    optimizer = sgd(_warmed_up(call, learning_rate, warmup_steps))
    if weight_decay is not None:
        _check.number(call, "weight_decay", weight_decay, low=0)
        optimizer = chain(add_decayed_weights(weight_decay), optimizer)
    return _schedule_free(call, optimizer, _rate_just_used, b1, weight_lr_power, state_dtype)


@schedulable
def schedule_free_adamw(
    learning_rate: ScalarOrSchedule = 0.0025,
    warmup_steps: ScalarLike | None = None,
    b1: ScalarLike = 0.9,
    b2: ScalarLike = 0.999,
    eps: ScalarLike = 1e-8,
    weight_decay: ScalarLike = 0.0,
    weight_lr_power: ScalarLike = 2.0,
    state_dtype: Any = None,
) -> GradientTransformation:
    r"""Schedule-Free AdamW; see `schedule_free`.

    $z_{t+1} = z_t - \gamma_t \left(g_t / (\sqrt{\hat v_t} + \epsilon) + \lambda y_t\right)$ with Adam's
    debiased second moment $\hat v$.

    Args:
      learning_rate: $\gamma$: a number, a tracer, a `Schedule` or a callable of the step. Rates are
        one to ten times those of AdamW with a schedule.
      warmup_steps: The steps over which the rate rises to its value, as $(t + 1) / n$ at step
        $t = 0, 1, \dots$, as in the authors' code; None for none.
      b1: $\beta_1$ in (0, 1].
      b2: $\beta_2$ in [0, 1).
      eps: $\epsilon$ >= 0.
      weight_decay: $\lambda$ >= 0, taken at $y$.
      weight_lr_power: $p$ >= 0, the power of the largest rate so far in the weights of the average.
      state_dtype: The dtype of $z$; see `schedule_free`. Static.

    Returns:
      A `GradientTransformation` with a `ScheduleFreeState`, whose `update` needs `params`. Evaluate
      at `schedule_free_eval_params(state, params)`.

    Note:
      optax's warmup begins at a rate of 0 that its average takes for a whole step's.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range; from `update`, if `params` is missing.

    References:
      Defazio et al., The Road Less Scheduled, 2405.15682, 2024.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.schedule_free_adamw(0.5)
      >>> params = jnp.array([2.0, 1.0])
      >>> updates, state = tx.update(jnp.array([3.0, -2.0]), tx.init(params), params)
      >>> state.z.round(4)
      Array([1.5, 1.5], dtype=float32)
    """
    call = "schedule_free_adamw"
    _check.number(call, "b2", b2, low=0, high=1, open_high=True)
    _check.number(call, "eps", eps, low=0)
    _check.number(call, "weight_decay", weight_decay, low=0)
    optimizer = chain(
        scale_by_rms(b2, eps, eps_in_sqrt=False, bias_correction=True),
        add_decayed_weights(weight_decay),
        scale_by_learning_rate(_warmed_up(call, learning_rate, warmup_steps)),
    )
    return _schedule_free(call, optimizer, _rate_just_used, b1, weight_lr_power, state_dtype)


@schedulable
def schedule_free_radam(
    learning_rate: ScalarOrSchedule = 0.0025,
    b1: ScalarLike = 0.9,
    b2: ScalarLike = 0.999,
    eps: ScalarLike = 1e-8,
    weight_decay: ScalarLike = 0.0,
    weight_lr_power: ScalarLike = 2.0,
    silent_sgd_phase: bool = True,
    state_dtype: Any = None,
) -> GradientTransformation:
    r"""Schedule-Free RAdam, which warms itself up; see `schedule_free`.

    $z_{t+1} = z_t - \gamma_t r_t \left(g_t / (\sqrt{\hat v_t} + \epsilon) + \lambda y_t\right)$ with Adam's
    debiased second moment $\hat v$ and the rectification $r_t$ of `scale_by_radam` (threshold 4). The
    weights of the average are those of the rate $\gamma_t r_t$.

    Args:
      learning_rate: $\gamma$: a number, a tracer, a `Schedule` or a callable of the step. Rates are
        one to ten times those of AdamW with a schedule.
      b1: $\beta_1$ in (0, 1].
      b2: $\beta_2$ in [0, 1). At 0.6 and below the variance is never known, and nothing moves where
        the first phase is silent.
      eps: $\epsilon$ >= 0.
      weight_decay: $\lambda$ >= 0, taken at $y$.
      weight_lr_power: $p$ >= 0, the power of the largest rate so far in the weights of the average.
      silent_sgd_phase: Whether nothing moves until the variance is known, the authors' default;
        otherwise these steps, four with the default $\beta_2$, are $z_{t+1} = z_t - \gamma_t (g_t +
        \lambda y_t)$. Static.
      state_dtype: The dtype of $z$; see `schedule_free`. Static.

    Returns:
      A `GradientTransformation` with a `ScheduleFreeState`, whose `update` needs `params`. Evaluate
      at `schedule_free_eval_params(state, params)`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range; from `update`, if `params` is missing.

    References:
      Defazio et al., The Road Less Scheduled, 2405.15682, 2024.
      Liu et al., On the Variance of the Adaptive Learning Rate and Beyond, 1908.03265, 2019.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.schedule_free_radam(0.5)
      >>> params = jnp.array(2.0)
      >>> state = tx.init(params)
      >>> for _ in range(5):
      ...     updates, state = tx.update(jnp.array(1.0), state, params)
      >>> bool(updates < 0), int(state.step_count)
      (True, 6)
    """
    call = "schedule_free_radam"
    _check.number(call, "b2", b2, low=0, high=1, open_high=True)
    _check.number(call, "eps", eps, low=0)
    _check.number(call, "weight_decay", weight_decay, low=0)
    _check.boolean(call, "silent_sgd_phase", silent_sgd_phase)
    early = 0.0 if silent_sgd_phase else 1.0

    def rectified(t: jax.Array) -> jax.Array:
        known, r = rectification(b2, t, 4.0)
        return jnp.where(known, r, early)

    def rate_of(state: ScheduleFreeState, base_state: OptState) -> jax.Array:
        return _rate_just_used(state, base_state) * rectified(state.step_count)

    optimizer = chain(
        _scale_by_rms_once_known(scale_by_rms(b2, eps, eps_in_sqrt=False, bias_correction=True), b2),
        add_decayed_weights(weight_decay),
        scale_by_schedule(lambda count: rectified(count + 1)),
        scale_by_learning_rate(as_schedule(call, "learning_rate", learning_rate)),
    )
    return _schedule_free(call, optimizer, rate_of, b1, weight_lr_power, state_dtype)


def schedule_free_eval_params(state: OptState, params: Params) -> Params:
    r"""The parameters to evaluate a schedule-free run at: the average $x$.

    Args:
      state: The `ScheduleFreeState`.
      params: The parameters that gradients are taken at, $y$.

    Returns:
      $x = (y - (1 - \beta_1) z) / \beta_1$, in the parameters' dtype.

    Raises:
      TypeError: If `state` is no `ScheduleFreeState`.

    References:
      Defazio et al., The Road Less Scheduled, 2405.15682, 2024.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.schedule_free_sgd(0.5)
      >>> params = jnp.array(2.0)
      >>> float(lrjax.schedule_free_eval_params(tx.init(params), params))
      2.0
    """
    if not hasattr(state, "z") or not hasattr(state, "b1"):
        got = type(state).__name__
        raise _check.fail_type("schedule_free_eval_params", "state", "a `ScheduleFreeState`", got)
    held: Any = state
    if getattr(held, "x", None) is not None:
        return _tree.cast_like(held.x, params)

    def average(y: Any, z: Any) -> jax.Array:
        b1 = held.b1.astype(jnp.finfo(_tree.wide(y).dtype).dtype)
        return ((_tree.wide(y) - (1 - b1) * _tree.wide(z)) / b1).astype(jnp.result_type(y))

    return jax.tree.map(average, params, held.z)


def _schedule_free(
    call: str,
    base_optimizer: Any,
    rate_of: Callable[[ScheduleFreeState, OptState], jax.Array],
    b1: ScalarLike,
    weight_lr_power: ScalarLike,
    state_dtype: Any,
) -> GradientTransformation:
    """Schedule-Free over an optimizer whose rate at this step `rate_of` tells after its update."""
    _check.number(call, "b1", b1, low=0, high=1, open_low=True)
    _check.number(call, "weight_lr_power", weight_lr_power, low=0)
    base = with_extra_args_support(base_optimizer)

    def init(params: Params) -> ScheduleFreeState:
        def copy(p: Any, dtype: Any) -> jax.Array:
            return jnp.array(p, dtype)  # arrays of its own, so that a caller may donate both

        return ScheduleFreeState(
            b1=jnp.asarray(b1, jnp.float32),
            weight_sum=jnp.zeros((), jnp.float32),
            step_count=jnp.ones((), jnp.int32),
            max_lr=jnp.zeros((), jnp.float32),
            base_optimizer_state=base.init(params),
            z=jax.tree.map(lambda p: copy(p, state_dtype or _tree.wide_dtype(p)), params),
            x=(
                jax.tree.map(lambda p: copy(p, _tree.wide_dtype(p)), params)
                if _tree.any_half(params)
                else None
            ),
        )

    def update(
        updates: Updates, state: ScheduleFreeState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, ScheduleFreeState]:
        require_params(f"{call}.update", params, "the average")
        # Wide: where z is wider than the gradients its steps must not be rounded to them.
        wide_updates = jax.tree.map(_tree.wide, updates)
        moves, base_state = base.update(wide_updates, state.base_optimizer_state, params, **extra)
        rate = rate_of(state, base_state).astype(jnp.result_type(float))
        max_lr = jnp.maximum(state.max_lr.astype(rate.dtype), rate)
        weight = max_lr**weight_lr_power
        total = state.weight_sum + weight
        c = jnp.where(total > 0, weight / jnp.where(total > 0, total, 1), 0)

        def move(z: Any, dz: jax.Array) -> jax.Array:
            return (_tree.wide(z) + dz).astype(jnp.result_type(z))

        z = jax.tree.map(move, state.z, moves)
        if state.x is None:

            def leaf(y: Any, z: Any, dz: jax.Array) -> jax.Array:
                # b1 x' + (1 - b1) z' - y, free of the cancellation in x = (y - (1 - b1) z) / b1
                gap = _tree.wide(z) - _tree.wide(y)
                return _tree.multiply(gap, c) + _tree.multiply(dz, b1 * c + (1 - b1))

            x = None
            steps = jax.tree.map(leaf, params, state.z, moves)
        else:
            x = jax.tree.map(lambda x, z: x + _tree.multiply(_tree.wide(z) - x, c), state.x, z)
            steps = jax.tree.map(
                lambda y, x, z: x + (1 - b1) * (_tree.wide(z) - x) - _tree.wide(y), params, x, z
            )
            x = _tree.cast_like(x, state.x)
        new_state = ScheduleFreeState(
            b1=state.b1,
            weight_sum=total.astype(jnp.float32),
            step_count=_tree.next_count(state.step_count),
            max_lr=max_lr.astype(jnp.float32),
            base_optimizer_state=base_state,
            z=z,
            x=x,
        )
        return _tree.cast_like(steps, updates), new_state

    return GradientTransformation(init, update)


def _scale_by_rms_once_known(rms: GradientTransformation, b2: ScalarLike) -> GradientTransformation:
    """RMSProp's scaling from the step on at which RAdam trusts it; gradients as they are before."""

    def update(
        updates: Updates, state: Any, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, Any]:
        scaled, new_state = rms.update(updates, state, params, **extra)
        known, _ = rectification(b2, new_state.count, 4.0)
        return jax.tree.map(lambda u, g: jnp.where(known, u, g), scaled, updates), new_state

    return GradientTransformation(rms.init, update)


def _rate_just_used(state: ScheduleFreeState, base_state: OptState) -> jax.Array:
    """The rate of a recipe's optimizer, whether from its schedule or pinned."""
    del state
    return get_learning_rate(base_state)


def _warmed_up(call: str, learning_rate: ScalarOrSchedule, warmup_steps: ScalarLike | None) -> Schedule:
    schedule = as_schedule(call, "learning_rate", learning_rate)
    if warmup_steps is None:
        return schedule
    _check.number(call, "warmup_steps", warmup_steps, low=0)

    def factor(count: jax.Array) -> jax.Array:
        steps = jnp.maximum(jnp.asarray(warmup_steps, jnp.float32), 1)
        return jnp.minimum((count + 1).astype(jnp.float32) / steps, 1)

    if schedule.closed_form is None:
        raise _check.fail_type(call, "warmup_steps", "None where the rate is driven by metrics", warmup_steps)
    return as_schedule(call, "learning_rate", lambda count: factor(count) * schedule.at(count))
