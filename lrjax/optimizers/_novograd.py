"""NovoGrad: gradients divided by their norm, leaf by leaf, then momentum."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import Params, ScalarLike, ScalarOrSchedule, Updates
from lrjax.learning_rate import scale_by_learning_rate
from lrjax.schedules import as_schedule, schedulable
from lrjax.transform import GradientTransformation, chain, require_params


class ScaleByNovogradState(NamedTuple):
    """The state of NovoGrad.

    Attributes:
      count: int32 scalar, the number of updates so far.
      mu: The momentum, shaped like the parameters, in `mu_dtype`.
      nu: One second moment per leaf, a float32 scalar.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> lrjax.scale_by_novograd().init(jnp.zeros(2)).nu.shape
      ()
    """

    count: jax.Array
    mu: Params
    nu: Params


def scale_by_novograd(
    b1: ScalarLike = 0.9,
    b2: ScalarLike = 0.25,
    eps: ScalarLike = 1e-8,
    eps_root: ScalarLike = 0.0,
    weight_decay: ScalarLike = 0.0,
    mu_dtype: Any = None,
) -> GradientTransformation:
    r"""NovoGrad's scaling of updates.

    For each leaf $v_t = \beta_2 v_{t-1} + (1 - \beta_2) \|g_t\|^2$, started at $v_1 = \|g_1\|^2$; the
    update is $m_t = \beta_1 m_{t-1} + g_t / (\sqrt{v_t + \bar\epsilon} + \epsilon) + \lambda \theta_t$.

    Args:
      b1: $\beta_1$ in [0, 1], the momentum.
      b2: $\beta_2$ in [0, 1], the decay of the second moment. The paper uses 0.98, optax 0.25.
      eps: $\epsilon$ >= 0, outside the root; where the quotient is 0/0 it is 0.
      eps_root: $\bar\epsilon$ >= 0, inside the root.
      weight_decay: $\lambda$ >= 0.
      mu_dtype: The dtype of the momentum; None for the parameters'. Static.

    Returns:
      A `GradientTransformation` with a `ScaleByNovogradState`, whose `update` needs `params`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range; from `update`, if `params` is missing.

    References:
      Ginsburg et al., Stochastic Gradient Methods with Layer-wise Adaptive Moments for Training of
      Deep Networks, 1905.11286, 2019.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.scale_by_novograd()
      >>> params = jnp.array(4.0)
      >>> round(float(tx.update(params, tx.init(params), params)[0]), 4)
      1.0
    """
    return _scale_by_novograd("scale_by_novograd", b1, b2, eps, eps_root, weight_decay, mu_dtype)


@schedulable
def novograd(
    learning_rate: ScalarOrSchedule,
    b1: ScalarLike = 0.9,
    b2: ScalarLike = 0.25,
    eps: ScalarLike = 1e-6,
    eps_root: ScalarLike = 0.0,
    weight_decay: ScalarLike = 0.0,
) -> GradientTransformation:
    r"""NovoGrad: $\theta_{t+1} = \theta_t - \eta_t m_t$, with the $m_t$ of `scale_by_novograd`.

    The usual rate is 1e-2.

    Args:
      learning_rate: $\eta$: a number, a tracer, a `Schedule` or a callable of the step.
      b1: $\beta_1$ in [0, 1], the momentum.
      b2: $\beta_2$ in [0, 1], the decay of the second moment. The paper uses 0.98, optax 0.25.
      eps: $\epsilon$ >= 0, outside the root.
      eps_root: $\bar\epsilon$ >= 0, inside the root.
      weight_decay: $\lambda$ >= 0, added to the scaled gradient, before the momentum.

    Returns:
      A `GradientTransformation` whose `update` needs `params`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range; from `update`, if `params` is missing.

    References:
      Ginsburg et al., Stochastic Gradient Methods with Layer-wise Adaptive Moments for Training of
      Deep Networks, 1905.11286, 2019.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.novograd(0.5)
      >>> params = jnp.array(4.0)
      >>> round(float(tx.update(params, tx.init(params), params)[0]), 4)
      -0.5
    """
    return chain(
        _scale_by_novograd("novograd", b1, b2, eps, eps_root, weight_decay, None),
        scale_by_learning_rate(as_schedule("novograd", "learning_rate", learning_rate)),
    )


def _scale_by_novograd(
    call: str,
    b1: ScalarLike,
    b2: ScalarLike,
    eps: ScalarLike,
    eps_root: ScalarLike,
    weight_decay: ScalarLike,
    mu_dtype: Any,
) -> GradientTransformation:
    """NovoGrad's scaling; errors name the public function the user called."""
    _check.number(call, "b1", b1, low=0, high=1)
    _check.number(call, "b2", b2, low=0, high=1)
    _check.number(call, "eps", eps, low=0)
    _check.number(call, "eps_root", eps_root, low=0)
    _check.number(call, "weight_decay", weight_decay, low=0)

    def init(params: Params) -> ScaleByNovogradState:
        return ScaleByNovogradState(
            count=jnp.zeros((), jnp.int32),
            mu=_tree.zeros_like(params, mu_dtype),
            nu=jax.tree.map(lambda p: jnp.zeros((), jnp.float32), params),
        )

    def update(
        updates: Updates, state: ScaleByNovogradState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, ScaleByNovogradState]:
        del extra
        require_params(f"{call}.update", params, "weight decay")

        def second_moment(g: Any, v: jax.Array) -> jax.Array:
            square = jnp.sum(_tree.square(_tree.wide(g)))
            return jnp.where(state.count == 0, square, b2 * v.astype(square.dtype) + (1 - b2) * square)

        def accumulate(g: Any, m: Any, v: jax.Array, p: Any) -> Any:
            root = jnp.sqrt(v + eps_root) + eps
            scaled = jnp.where(root > 0, _tree.wide(g) / jnp.where(root > 0, root, 1), 0)
            return b1 * _tree.wide(m) + (scaled + weight_decay * _tree.wide(p))

        v = jax.tree.map(second_moment, updates, state.nu)
        m = jax.tree.map(accumulate, updates, state.mu, v, params)
        new_state = ScaleByNovogradState(
            count=_tree.next_count(state.count),
            mu=_tree.cast_like(m, state.mu),
            nu=_tree.cast_like(v, state.nu),
        )
        return _tree.cast_like(m, updates), new_state

    return GradientTransformation(init, update)
