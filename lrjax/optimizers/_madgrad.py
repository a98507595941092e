"""MADGRAD: dual averaging with cube roots and momentum."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import Params, ScalarLike, ScalarOrSchedule, Updates
from lrjax.learning_rate import scale_by_learning_rate
from lrjax.optimizers._rate import next_rate
from lrjax.schedules import as_schedule, schedulable
from lrjax.transform import GradientTransformation, chain, require_params
from lrjax.transforms import add_decayed_weights


class MadgradState(NamedTuple):
    """The state of MADGRAD.

    Attributes:
      count: int32 scalar, the number of updates so far.
      grad_sum_sq: The weighted sum of squared gradients, real, in at least float32.
      s: The weighted sum of gradients, in at least float32.
      x0: The first parameters.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> state, rate_state = lrjax.scale_by_madgrad(0.01).init(jnp.ones(2))
      >>> state.x0
      Array([1., 1.], dtype=float32)
    """

    count: jax.Array
    grad_sum_sq: Params
    s: Params
    x0: Params


@schedulable
def scale_by_madgrad(
    learning_rate: ScalarOrSchedule, momentum: ScalarLike = 0.9, eps: ScalarLike = 1e-6
) -> GradientTransformation:
    r"""MADGRAD's updates, which point downhill.

    With $\lambda_t = \eta_t \sqrt{t + 1}$, $t = 0, 1, \dots$: $s_{t+1} = s_t + \lambda_t g_t$,
    $\nu_{t+1} = \nu_t + \lambda_t |g_t|^2$, $z_{t+1} = \theta_0 - s_{t+1} / (\sqrt[3]{\nu_{t+1}} +
    \epsilon)$, and $\theta_{t+1} = \beta \theta_t + (1 - \beta) z_{t+1}$.

    Args:
      learning_rate: $\eta$: a number, a tracer, a `Schedule` or a callable of the step.
      momentum: $\beta$ in [0, 1).
      eps: $\epsilon$ >= 0.

    Returns:
      A `GradientTransformation` whose state is `(MadgradState, ScaleByLearningRateState)`, and whose
      `update` needs `params`.

    Note:
      The rate is as given. (optax adds $\epsilon$ to it, as the authors' code does but the paper does
      not, so that parameters move at a rate of 0.)

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range; from `update`, if `params` is missing.

    References:
      Defazio and Jelassi, Adaptivity without Compromise: A Momentumized, Adaptive, Dual Averaged
      Gradient Method for Stochastic Optimization, 2101.11075, 2021.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.scale_by_madgrad(1.0, momentum=0.5, eps=0.0)
      >>> params = jnp.array(3.0)
      >>> float(tx.update(jnp.array(8.0), tx.init(params), params)[0])
      -1.0
    """
    return _rated("scale_by_madgrad", learning_rate, _madgrad("scale_by_madgrad", momentum, eps))


@schedulable
def madgrad(
    learning_rate: ScalarOrSchedule,
    momentum: ScalarLike = 0.9,
    weight_decay: ScalarLike = 0.0,
    eps: ScalarLike = 1e-6,
) -> GradientTransformation:
    r"""MADGRAD: the rule of `scale_by_madgrad`, with gradients $g_t + \lambda \theta_t$.

    The usual rates are 1e-3 to 1e-1, apart from those of gradient descent or Adam.

    Args:
      learning_rate: $\eta$: a number, a tracer, a `Schedule` or a callable of the step.
      momentum: $\beta$ in [0, 1).
      weight_decay: $\lambda$ >= 0, an $\ell_2$ penalty.
      eps: $\epsilon$ >= 0.

    Returns:
      A `GradientTransformation` whose state is `((EmptyState, MadgradState), ScaleByLearningRateState)`,
      and whose `update` needs `params`.

    Note:
      The rate is as given; optax adds $\epsilon$ to it.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range; from `update`, if `params` is missing.

    References:
      Defazio and Jelassi, Adaptivity without Compromise: A Momentumized, Adaptive, Dual Averaged
      Gradient Method for Stochastic Optimization, 2101.11075, 2021.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.madgrad(1.0, momentum=0.5, eps=0.0)
      >>> params = jnp.array(3.0)
      >>> float(tx.update(jnp.array(8.0), tx.init(params), params)[0])
      -1.0
    """
    _check.number("madgrad", "weight_decay", weight_decay, low=0)
    core = chain(add_decayed_weights(weight_decay), _madgrad("madgrad", momentum, eps))
    return _rated("madgrad", learning_rate, core)


def _rated(
    call: str, learning_rate: ScalarOrSchedule, inner: GradientTransformation
) -> GradientTransformation:
    """A transformation that gets the rate of the step as `rate=`, with the rate's owner beside it."""
    owner = scale_by_learning_rate(as_schedule(call, "learning_rate", learning_rate))

    def init(params: Params) -> tuple[Any, ...]:
        return inner.init(params), owner.init(params)

    def update(
        updates: Updates, state: tuple[Any, ...], params: Params | None = None, **extra: Any
    ) -> tuple[Updates, tuple[Any, ...]]:
        require_params(f"{call}.update", params, "the way since the first ones")
        inner_state, rate_state = state
        eta, rate_state = next_rate(owner, rate_state, extra)
        updates, inner_state = inner.update(updates, inner_state, params, **{**extra, "rate": eta})
        return updates, (inner_state, rate_state)

    return GradientTransformation(init, update)


def _madgrad(call: str, momentum: ScalarLike, eps: ScalarLike) -> GradientTransformation:
    """MADGRAD given the rate; errors name the public function the user called."""
    _check.number(call, "momentum", momentum, low=0, high=1, open_high=True)
    _check.number(call, "eps", eps, low=0)

    def init(params: Params) -> MadgradState:
        return MadgradState(
            count=jnp.zeros((), jnp.int32),
            grad_sum_sq=_tree.zeros_like(params, _tree.wide_real),
            s=_tree.zeros_like(params, _tree.wide_dtype),
            x0=params,
        )

    def update(
        updates: Updates, state: MadgradState, params: Params | None = None, *, rate: Any, **extra: Any
    ) -> tuple[Updates, MadgradState]:
        del extra
        t = _tree.next_count(state.count)
        weight = rate * jnp.sqrt(t.astype(rate.dtype))
        g = jax.tree.map(_tree.wide, updates)
        s = jax.tree.map(lambda s, g: s + _tree.multiply(g, weight), state.s, g)
        nu = jax.tree.map(lambda v, g: v + _tree.multiply(_tree.square(g), weight), state.grad_sum_sq, g)

        def step(p: Any, p0: Any, s: jax.Array, v: jax.Array) -> Any:
            root = jnp.cbrt(v) + eps
            pulled = jnp.where(root > 0, s / jnp.where(root > 0, root, 1), 0)
            return (1 - momentum) * (_tree.wide(p0) - _tree.wide(p) - pulled)

        steps = jax.tree.map(step, params, state.x0, s, nu)
        new_state = MadgradState(
            count=t,
            grad_sum_sq=_tree.cast_like(nu, state.grad_sum_sq),
            s=_tree.cast_like(s, state.s),
            x0=state.x0,
        )
        return _tree.cast_like(steps, updates), new_state

    return GradientTransformation(init, update)
