"""AdEMAMix: Adam with a second, slow momentum."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import MaskTree, Params, ScalarLike, ScalarOrSchedule, Updates
from lrjax.learning_rate import scale_by_learning_rate
from lrjax.schedules import as_schedule, schedulable
from lrjax.transform import GradientTransformation, chain
from lrjax.transforms import add_decayed_weights


class ScaleByAdemamixState(NamedTuple):
    """The state of AdEMAMix.

    Attributes:
      count: int32 scalar, the number of updates so far.
      count_m2: int32 scalar, the number of updates of the slow momentum so far.
      m1: The fast momentum, shaped like the parameters, in `mu_dtype`.
      m2: The slow momentum, likewise.
      nu: Second moments, shaped like the parameters, real, in at least float32.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> int(lrjax.scale_by_ademamix().init(jnp.zeros(2)).count)
      0
    """

    count: jax.Array
    count_m2: jax.Array
    m1: Params
    m2: Params
    nu: Params


class ScaleBySimplifiedAdEMAMixState(NamedTuple):
    """The state of the simplified AdEMAMix.

    Attributes:
      t: int32 scalar, the number of updates so far.
      m: The momentum, a decaying sum of gradients, shaped like the parameters.
      n: Second moments, likewise, real, in at least float32.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> int(lrjax.scale_by_simplified_ademamix().init(jnp.zeros(2)).t)
      0
    """

    t: jax.Array
    m: Params
    n: Params


def scale_by_ademamix(
    b1: ScalarLike = 0.9,
    b2: ScalarLike = 0.999,
    b3: ScalarOrSchedule = 0.9999,
    alpha: ScalarOrSchedule = 6.0,
    eps: ScalarLike = 1e-8,
    eps_root: ScalarLike = 0.0,
    mu_dtype: Any = None,
) -> GradientTransformation:
    r"""AdEMAMix's scaling of updates.

    $m^{(1)}$ and $m^{(2)}$ average gradients with decays $\beta_1$ and $\beta_3$, $v$ squares with
    $\beta_2$; the first and the last are debiased as in Adam. The update is
    $(\hat m^{(1)}_t + \alpha_t m^{(2)}_t) / (\sqrt{\hat v_t + \bar\epsilon} + \epsilon)$.

    Args:
      b1: $\beta_1$ in [0, 1), the decay of the fast momentum.
      b2: $\beta_2$ in [0, 1), the decay of the second moment.
      b3: $\beta_3$ in [0, 1), the decay of the slow momentum: a number, a tracer, or a schedule
        that depends on time alone. The paper raises it over the training.
      alpha: $\alpha$ >= 0, the weight of the slow momentum, likewise.
      eps: $\epsilon$ >= 0, outside the root.
      eps_root: $\bar\epsilon$ >= 0, inside the root.
      mu_dtype: The dtype of both momenta; None for the parameters', and float32 for the slow one
        of half-precision parameters. Static.

    Returns:
      A `GradientTransformation` with a `ScaleByAdemamixState`.

    Raises:
      TypeError: If an argument is of the wrong kind, or a schedule is driven by metrics.
      ValueError: If a number is out of its range.

    References:
      Pagliardini, Ablin and Grangier, The AdEMAMix Optimizer: Better, Faster, Older, 2409.03137, 2024.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.scale_by_ademamix(b3=0.5, alpha=2.0)
      >>> grads = jnp.array([3.0, -0.01])
      >>> tx.update(grads, tx.init(grads))[0].round(4)
      Array([ 2., -2.], dtype=float32)
    """
    return _scale_by_ademamix("scale_by_ademamix", b1, b2, b3, alpha, eps, eps_root, mu_dtype)


@schedulable
def ademamix(
    learning_rate: ScalarOrSchedule,
    b1: ScalarLike = 0.9,
    b2: ScalarLike = 0.999,
    b3: ScalarOrSchedule = 0.9999,
    alpha: ScalarOrSchedule = 5.0,
    eps: ScalarLike = 1e-8,
    eps_root: ScalarLike = 0.0,
    mu_dtype: Any = None,
    weight_decay: ScalarLike = 0.0,
    mask: MaskTree | None = None,
) -> GradientTransformation:
    r"""AdEMAMix: $\theta_{t+1} = \theta_t - \eta_t (u_t + \lambda \theta_t)$.

    $u_t$ is that of `scale_by_ademamix`. The slow momentum remembers tens of thousands of steps; in
    short runs it does nothing, or harm. The usual rate is 1e-3.

    Args:
      learning_rate: $\eta$: a number, a tracer, a `Schedule` or a callable of the step.
      b1: $\beta_1$ in [0, 1).
      b2: $\beta_2$ in [0, 1).
      b3: $\beta_3$ in [0, 1): a number, a tracer, or a schedule that depends on time alone.
      alpha: $\alpha$ >= 0, likewise.
      eps: $\epsilon$ >= 0, outside the root.
      eps_root: $\bar\epsilon$ >= 0, inside the root.
      mu_dtype: The dtype of both momenta; see `scale_by_ademamix`. Static.
      weight_decay: $\lambda$ >= 0, decoupled.
      mask: A tree of bools, True where parameters decay, or a callable that makes one. Static.

    Returns:
      A `GradientTransformation` whose `update` needs `params`.

    Raises:
      TypeError: If an argument is of the wrong kind, or `b3` or `alpha` is driven by metrics.
      ValueError: If a number is out of its range; from `update`, if `params` is missing.

    References:
      Pagliardini, Ablin and Grangier, The AdEMAMix Optimizer: Better, Faster, Older, 2409.03137, 2024.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.ademamix(0.5, b3=0.5, alpha=2.0)
      >>> params = jnp.array([3.0, -2.0])
      >>> tx.update(params, tx.init(params), params)[0].round(4)
      Array([-1.,  1.], dtype=float32)
    """
    _check.number("ademamix", "weight_decay", weight_decay, low=0)
    return chain(
        _scale_by_ademamix("ademamix", b1, b2, b3, alpha, eps, eps_root, mu_dtype),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(as_schedule("ademamix", "learning_rate", learning_rate)),
    )


def scale_by_simplified_ademamix(
    b1: ScalarLike = 0.99,
    b2: ScalarLike = 0.95,
    alpha: ScalarOrSchedule = 0.0,
    eps: ScalarLike = 1e-8,
    eps_root: ScalarLike = 0.0,
) -> GradientTransformation:
    r"""The simplified AdEMAMix's scaling of updates, with one momentum.

    $m_t = \beta_1 m_{t-1} + g_t$, $n_t = \beta_2 n_{t-1} + (1 - \beta_2) |g_t|^2$; the update is
    $(m_t + \alpha_t g_t) / (\sqrt{n_t / (1 - \beta_2^t) + \bar\epsilon} + \epsilon)$.

    Args:
      b1: $\beta_1$ in [0, 1), the momentum, a sum and not an average.
      b2: $\beta_2$ in [0, 1), the decay of the second moment.
      alpha: $\alpha$ >= 0, the weight of the gradient: a number, a tracer, or a schedule that
        depends on time alone.
      eps: $\epsilon$ >= 0, outside the root.
      eps_root: $\bar\epsilon$ >= 0, inside the root.

    Returns:
      A `GradientTransformation` with a `ScaleBySimplifiedAdEMAMixState`.

    Raises:
      TypeError: If an argument is of the wrong kind, or a schedule is driven by metrics.
      ValueError: If a number is out of its range.

    References:
      Morwani et al., Connections between Schedule-Free Optimizers, AdEMAMix, and Accelerated SGD
      Variants, 2502.02431, 2025.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.scale_by_simplified_ademamix(alpha=1.0)
      >>> grads = jnp.array([3.0, -0.01])
      >>> tx.update(grads, tx.init(grads))[0].round(4)
      Array([ 2., -2.], dtype=float32)
    """
    return _scale_by_simplified_ademamix("scale_by_simplified_ademamix", b1, b2, alpha, eps, eps_root)


@schedulable
def simplified_ademamix(
    learning_rate: ScalarOrSchedule,
    b1: ScalarLike = 0.99,
    b2: ScalarLike = 0.95,
    alpha: ScalarOrSchedule = 0.0,
    eps: ScalarLike = 1e-8,
    eps_root: ScalarLike = 0.0,
    weight_decay: ScalarLike = 0.0,
    mask: MaskTree | None = None,
) -> GradientTransformation:
    r"""The simplified AdEMAMix: $\theta_{t+1} = \theta_t - \eta_t (u_t + \lambda \theta_t)$.

    $u_t$ is that of `scale_by_simplified_ademamix`. Its momentum is a sum: rates are $1 - \beta_1$
    times Adam's, 1e-5.

    Args:
      learning_rate: $\eta$: a number, a tracer, a `Schedule` or a callable of the step.
      b1: $\beta_1$ in [0, 1).
      b2: $\beta_2$ in [0, 1).
      alpha: $\alpha$ >= 0: a number, a tracer, or a schedule that depends on time alone.
      eps: $\epsilon$ >= 0, outside the root.
      eps_root: $\bar\epsilon$ >= 0, inside the root.
      weight_decay: $\lambda$ >= 0, decoupled.
      mask: A tree of bools, True where parameters decay, or a callable that makes one. Static.

    Returns:
      A `GradientTransformation` whose `update` needs `params`.

    Raises:
      TypeError: If an argument is of the wrong kind, or `alpha` is driven by metrics.
      ValueError: If a number is out of its range; from `update`, if `params` is missing.

    References:
      Morwani et al., Connections between Schedule-Free Optimizers, AdEMAMix, and Accelerated SGD
      Variants, 2502.02431, 2025.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.simplified_ademamix(0.5, alpha=1.0)
      >>> params = jnp.array([3.0, -2.0])
      >>> tx.update(params, tx.init(params), params)[0].round(4)
      Array([-1.,  1.], dtype=float32)
    """
    _check.number("simplified_ademamix", "weight_decay", weight_decay, low=0)
    return chain(
        _scale_by_simplified_ademamix("simplified_ademamix", b1, b2, alpha, eps, eps_root),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(as_schedule("simplified_ademamix", "learning_rate", learning_rate)),
    )


def _scale_by_ademamix(
    call: str,
    b1: ScalarLike,
    b2: ScalarLike,
    b3: ScalarOrSchedule,
    alpha: ScalarOrSchedule,
    eps: ScalarLike,
    eps_root: ScalarLike,
    mu_dtype: Any,
) -> GradientTransformation:
    """AdEMAMix's scaling; errors name the public function the user called."""
    _check.number(call, "b1", b1, low=0, high=1, open_high=True)
    _check.number(call, "b2", b2, low=0, high=1, open_high=True)
    b3_at = _over_time(call, "b3", b3, low=0, high=1, open_high=True)
    alpha_at = _over_time(call, "alpha", alpha, low=0)
    _check.number(call, "eps", eps, low=0)
    _check.number(call, "eps_root", eps_root, low=0)

    def init(params: Params) -> ScaleByAdemamixState:
        count = jnp.zeros((), jnp.int32)
        return ScaleByAdemamixState(
            count=count,
            count_m2=count,
            m1=_tree.zeros_like(params, mu_dtype),
            # In bfloat16 an average with decay 0.9999 never decays.
            m2=_tree.zeros_like(params, _tree.wide_dtype if mu_dtype is None else mu_dtype),
            nu=_tree.zeros_like(params, _tree.wide_real),
        )

    def update(
        updates: Updates, state: ScaleByAdemamixState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, ScaleByAdemamixState]:
        del params, extra
        t = _tree.next_count(state.count)
        weight = alpha_at(state.count_m2)
        m1 = _tree.moment(b1, updates, state.m1)
        m2 = _tree.moment(b3_at(state.count_m2), updates, state.m2)
        v = _tree.second_moment(b2, updates, state.nu)

        def scale(m1: jax.Array, m2: jax.Array, v: jax.Array) -> jax.Array:
            return (m1 + weight * m2) / (jnp.sqrt(v + eps_root) + eps)

        step = jax.tree.map(scale, _tree.debias(m1, b1, t), m2, _tree.debias(v, b2, t))
        new_state = ScaleByAdemamixState(
            count=t,
            count_m2=_tree.next_count(state.count_m2),
            m1=_tree.cast_like(m1, state.m1),
            m2=_tree.cast_like(m2, state.m2),
            nu=_tree.cast_like(v, state.nu),
        )
        return _tree.cast_like(step, updates), new_state

    return GradientTransformation(init, update)


def _scale_by_simplified_ademamix(
    call: str, b1: ScalarLike, b2: ScalarLike, alpha: ScalarOrSchedule, eps: ScalarLike, eps_root: ScalarLike
) -> GradientTransformation:
    """The simplified scaling; errors name the public function the user called."""
    _check.number(call, "b1", b1, low=0, high=1, open_high=True)
    _check.number(call, "b2", b2, low=0, high=1, open_high=True)
    alpha_at = _over_time(call, "alpha", alpha, low=0)
    _check.number(call, "eps", eps, low=0)
    _check.number(call, "eps_root", eps_root, low=0)

    def init(params: Params) -> ScaleBySimplifiedAdEMAMixState:
        return ScaleBySimplifiedAdEMAMixState(
            t=jnp.zeros((), jnp.int32),
            m=_tree.zeros_like(params),
            n=_tree.zeros_like(params, _tree.wide_real),
        )

    def update(
        updates: Updates, state: ScaleBySimplifiedAdEMAMixState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, ScaleBySimplifiedAdEMAMixState]:
        del params, extra
        t = _tree.next_count(state.t)
        weight = alpha_at(state.t)
        m = jax.tree.map(lambda g, m: b1 * _tree.wide(m) + _tree.wide(g), updates, state.m)
        n = _tree.second_moment(b2, updates, state.n)

        def scale(g: Any, m: jax.Array, n: jax.Array) -> jax.Array:
            return (m + weight * _tree.wide(g)) / (jnp.sqrt(n + eps_root) + eps)

        step = jax.tree.map(scale, updates, m, _tree.debias(n, b2, t))
        new_state = ScaleBySimplifiedAdEMAMixState(
            t=t, m=_tree.cast_like(m, state.m), n=_tree.cast_like(n, state.n)
        )
        return _tree.cast_like(step, updates), new_state

    return GradientTransformation(init, update)


def _over_time(call: str, argument: str, value: ScalarOrSchedule, **limits: Any) -> Any:
    """A number or a schedule, as a function of the step."""
    if callable(value):
        return as_schedule(call, argument, value).at
    _check.number(call, argument, value, **limits)
    return lambda count: value
