"""AdaGrad with a penalty or a constraint that each step meets exactly: composite steps, dual averaging."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import Params, ScalarLike, ScalarOrSchedule, Updates
from lrjax.learning_rate import scale_by_learning_rate
from lrjax.optimizers._adagrad import ScaleByRssState
from lrjax.optimizers._rate import next_rate
from lrjax.schedules import as_schedule, schedulable
from lrjax.transform import GradientTransformation, require_params

_NEWTON_STEPS = 40  # each at least doubles the digits once close; the way there is short


class AdagradRDAState(NamedTuple):
    """The state of AdaGrad's dual averaging.

    Attributes:
      count: int32 scalar, the number of updates so far.
      grad_sum: The sum of all gradients, shaped like the parameters, in at least float32.
      sum_of_squares: Shaped like the parameters, in at least float32.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> lrjax.adagrad_rda(0.5).init(jnp.ones(2))[0].grad_sum
      Array([0., 0.], dtype=float32)
    """

    count: jax.Array
    grad_sum: Params
    sum_of_squares: Params


@schedulable
def proximal_adagrad(
    learning_rate: ScalarOrSchedule,
    l1: ScalarLike = 0.0,
    ball: Literal["l1", "l2"] | None = None,
    radius: ScalarLike = 1.0,
    initial_accumulator_value: ScalarLike = 0.0,
    eps: ScalarLike = 1e-7,
) -> GradientTransformation:
    r"""AdaGrad by composite mirror descent: penalty and constraint are met by each step, not by its gradient.

    With $H_t = \epsilon + \sqrt{s_t}$, $s_t = s_{t-1} + g_t^2$, and the step
    $y = \theta_t - \eta_t g_t / H_t$:

    $\theta_{t+1} = \operatorname{sign}(y) \max(|y| - \eta_t \lambda / H_t, 0)$,

    which makes parameters exactly zero, and then the nearest point of the ball, in the norm
    $\sqrt{\sum H_t x^2}$ that the steps are taken in.

    Args:
      learning_rate: $\eta$: a number, a tracer, a `Schedule` or a callable of the step.
      l1: $\lambda$ >= 0, the strength of the penalty $\lambda \|\theta\|_1$. It must not be in the loss too.
      ball: "l1" or "l2", the norm of all parameters together that is bounded, or None. Static. The
        l1 ball sorts all parameters at every step.
      radius: The bound, > 0. Without a ball it has no effect.
      initial_accumulator_value: $s_0$ >= 0.
      eps: $\epsilon$ > 0, outside the root.

    Returns:
      A `GradientTransformation` whose state is `(ScaleByRssState, ScaleByLearningRateState)` and whose
      `update` needs `params`. It is for real parameters, and the last link of its chain.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range; from `update`, if `params` is missing.

    References:
      Duchi, Hazan and Singer, Adaptive Subgradient Methods for Online Learning, JMLR 12, 2011,
      equations 4 and 24, section 5.2.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.proximal_adagrad(0.5, l1=1.0)
      >>> params = jnp.array([1.0, 0.25])
      >>> updates, state = tx.update(jnp.array([2.0, 0.5]), tx.init(params), params)
      >>> lrjax.apply_updates(params, updates)
      Array([0.25, 0.  ], dtype=float32)
    """
    call = "proximal_adagrad"
    _check.number(call, "l1", l1, low=0)
    _check.number(call, "radius", radius, low=0, open_low=True)
    _check.number(call, "initial_accumulator_value", initial_accumulator_value, low=0)
    _check.number(call, "eps", eps, low=0, open_low=True)
    if ball not in ("l1", "l2", None):
        raise _check.fail(call, "ball", "'l1', 'l2' or None", _check.describe(ball))
    owner = scale_by_learning_rate(as_schedule(call, "learning_rate", learning_rate))

    def init(params: Params) -> tuple[Any, ...]:
        squares = _tree.full_like(params, initial_accumulator_value, _tree.wide_real)
        return ScaleByRssState(squares), owner.init(params)

    def update(
        updates: Updates, state: tuple[Any, ...], params: Params | None = None, **extra: Any
    ) -> tuple[Updates, tuple[Any, ...]]:
        require_params(f"{call}.update", params, "the penalty")
        old, rate_state = state
        eta, rate_state = next_rate(owner, rate_state, extra)
        s = jax.tree.map(lambda g, s: s + _tree.square(_tree.wide(g)), updates, old.sum_of_squares)
        scale = jax.tree.map(lambda s: jnp.sqrt(s) + eps, s)

        def step(g: Any, h: jax.Array, p: Any) -> jax.Array:
            gradient_step = -_tree.multiply(_tree.wide(g) / h, eta)
            bound = _tree.multiply(l1 / h, eta)
            return gradient_step - jnp.clip(_tree.wide(p) + gradient_step, -bound, bound)

        steps = jax.tree.map(step, updates, scale, params)
        if ball is not None:
            reached = jax.tree.map(lambda p, u: _tree.wide(p) + u, params, steps)
            back = (
                _outside_l1(reached, scale, radius) if ball == "l1" else _outside_l2(reached, scale, radius)
            )
            steps = jax.tree.map(jnp.subtract, steps, back)
        new = ScaleByRssState(_tree.cast_like(s, old.sum_of_squares))
        return _tree.cast_like(steps, updates), (new, rate_state)

    return GradientTransformation(init, update)


@schedulable
def adagrad_rda(
    learning_rate: ScalarOrSchedule,
    l1: ScalarLike = 0.0,
    initial_accumulator_value: ScalarLike = 0.0,
    eps: ScalarLike = 1e-7,
) -> GradientTransformation:
    r"""AdaGrad by regularized dual averaging: parameters follow from the mean of all gradients.

    With $\bar g_t$ the mean and $s_t = s_0 + \sum g^2$ the sum of squares of the first $t$ gradients,
    $H_t = \epsilon + \sqrt{s_t}$:

    $\theta_{t+1} = -\operatorname{sign}(\bar g_t)\, \frac{\eta_t t}{H_t} \max(|\bar g_t| - \lambda, 0)$.

    A parameter whose mean gradient is below $\lambda$ is exactly zero, more often than by
    `proximal_adagrad`.

    Args:
      learning_rate: $\eta$: a number, a tracer, a `Schedule` or a callable of the step. It scales the
        parameters themselves: to lower it moves them towards zero.
      l1: $\lambda$ >= 0, the strength of the penalty $\lambda \|\theta\|_1$. It must not be in the loss too.
      initial_accumulator_value: $s_0$ >= 0.
      eps: $\epsilon$ > 0, outside the root.

    Returns:
      A `GradientTransformation` whose state is `(AdagradRDAState, ScaleByLearningRateState)` and whose
      `update` needs `params`. It is for real parameters, which should begin at zero: the first update
      forgets where they were. It is the last link of its chain.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range; from `update`, if `params` is missing.

    References:
      Duchi, Hazan and Singer, Adaptive Subgradient Methods for Online Learning, JMLR 12, 2011,
      equation 3, section 5.1.
      Xiao, Dual Averaging Methods for Regularized Stochastic Learning, JMLR 11, 2010.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.adagrad_rda(0.5, l1=1.0)
      >>> params = jnp.zeros(2)
      >>> updates, state = tx.update(jnp.array([2.0, 0.5]), tx.init(params), params)
      >>> lrjax.apply_updates(params, updates)
      Array([-0.25,  0.  ], dtype=float32)
    """
    call = "adagrad_rda"
    _check.number(call, "l1", l1, low=0)
    _check.number(call, "initial_accumulator_value", initial_accumulator_value, low=0)
    _check.number(call, "eps", eps, low=0, open_low=True)
    owner = scale_by_learning_rate(as_schedule(call, "learning_rate", learning_rate))

    def init(params: Params) -> tuple[Any, ...]:
        state = AdagradRDAState(
            count=jnp.zeros((), jnp.int32),
            grad_sum=_tree.zeros_like(params, _tree.wide_dtype),
            sum_of_squares=_tree.full_like(params, initial_accumulator_value, _tree.wide_real),
        )
        return state, owner.init(params)

    def update(
        updates: Updates, state: tuple[Any, ...], params: Params | None = None, **extra: Any
    ) -> tuple[Updates, tuple[Any, ...]]:
        require_params(f"{call}.update", params, "where they are to move from")
        old, rate_state = state
        eta, rate_state = next_rate(owner, rate_state, extra)
        t = _tree.next_count(old.count)
        total = jax.tree.map(lambda g, z: z + _tree.wide(g), updates, old.grad_sum)
        s = jax.tree.map(lambda g, s: s + _tree.square(_tree.wide(g)), updates, old.sum_of_squares)

        def step(z: jax.Array, s: jax.Array, p: Any) -> jax.Array:
            allowed = (l1 * t.astype(jnp.result_type(float))).astype(z.dtype)
            left = z - jnp.clip(z, -allowed, allowed)
            return -_tree.multiply(left / (jnp.sqrt(s) + eps), eta) - _tree.wide(p)

        steps = jax.tree.map(step, total, s, params)
        new = AdagradRDAState(t, _tree.cast_like(total, old.grad_sum), _tree.cast_like(s, old.sum_of_squares))
        return _tree.cast_like(steps, updates), (new, rate_state)

    return GradientTransformation(init, update)


def _outside_l1(x: Params, scale: Params, radius: ScalarLike) -> Params:
    """What to take from `x` to come to the nearest point of the l1 ball, in the norm of `scale`.

    That point is x less at most m / H, for the least multiplier m >= 0 that leaves the ball's norm. Among the
    k coordinates with the largest H |x| the multiplier would be (sum |x| - r) / sum 1 / H; over all k
    it is largest at the right one.
    """
    leaves = [(jnp.abs(x).ravel(), h.ravel()) for x, h in zip(*map(jax.tree.leaves, (x, scale)), strict=True)]
    if not leaves:
        return x
    size, h = (jnp.concatenate(parts) for parts in zip(*leaves, strict=True))
    order = jnp.argsort(-size * h)
    excess = jnp.cumsum(size[order]) - radius
    m = jnp.max(excess / jnp.cumsum(1 / h[order]), initial=0)
    return jax.tree.map(lambda x, h: jnp.clip(x, -m.astype(h.dtype) / h, m.astype(h.dtype) / h), x, scale)


def _outside_l2(x: Params, scale: Params, radius: ScalarLike) -> Params:
    """The same for the l2 ball, whose nearest point is H x / (H + m).

    Newton's method on one over the norm as a function of m, from 0 on, climbs to the solution and never
    past it.
    """

    def left(m: jax.Array) -> Params:
        return jax.tree.map(lambda x, h: x * (h / (h + m.astype(h.dtype))), x, scale)

    def newton(_: int, m: jax.Array) -> jax.Array:
        p = left(m)
        norm = _tree.norm(p)
        slope = _tree.vdot(p, jax.tree.map(lambda p, h: p / (h + m.astype(h.dtype)), p, scale))
        ahead = (norm / radius - 1) * norm**2 / jnp.where(slope > 0, slope, 1)
        return m + jnp.where(slope > 0, jnp.maximum(ahead, 0), 0).astype(m.dtype)

    dtype = jnp.result_type(float)
    m = jax.lax.fori_loop(0, _NEWTON_STEPS, newton, jnp.zeros((), dtype))
    return jax.tree.map(lambda x, h: x * (m.astype(h.dtype) / (h + m.astype(h.dtype))), x, scale)
