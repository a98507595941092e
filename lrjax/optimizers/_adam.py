"""Adam and AdamW: steps scaled by debiased first and second moments of the gradient."""

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


class ScaleByAdamState(NamedTuple):
    """The state of Adam.

    Attributes:
      count: int32 scalar, the number of updates so far.
      mu: First moments, shaped like the parameters, in `mu_dtype`.
      nu: Second moments, shaped like the parameters, real, in at least float32.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> int(lrjax.scale_by_adam().init(jnp.zeros(2)).count)
      0
    """

    count: jax.Array
    mu: Params
    nu: Params


def scale_by_adam(
    b1: ScalarLike = 0.9,
    b2: ScalarLike = 0.999,
    eps: ScalarLike = 1e-8,
    eps_root: ScalarLike = 0.0,
    mu_dtype: Any = None,
    *,
    nesterov: bool = False,
) -> GradientTransformation:
    r"""Adam's scaling of updates.

    $m_t = \beta_1 m_{t-1} + (1 - \beta_1) g_t$, $v_t = \beta_2 v_{t-1} + (1 - \beta_2) |g_t|^2$,
    $\hat m_t = m_t / (1 - \beta_1^t)$, $\hat v_t = v_t / (1 - \beta_2^t)$;
    the update is $\hat m_t / (\sqrt{\hat v_t + \bar\epsilon} + \epsilon)$.

    Args:
      b1: $\beta_1$ in [0, 1), the decay of the first moment.
      b2: $\beta_2$ in [0, 1), the decay of the second moment.
      eps: $\epsilon$ >= 0, outside the root (as in the paper and in PyTorch).
      eps_root: $\bar\epsilon$ >= 0, inside the root; needed above 0 to differentiate through the
        update at a zero gradient.
      mu_dtype: The dtype of the first moment; None for the parameters'. Static.
      nesterov: Whether to use Dozat's NAdam look-ahead. Static.

    Returns:
      A `GradientTransformation` with a `ScaleByAdamState`.

    Note:
      Second moments are kept in float32 for half-precision parameters (optax keeps the
      parameters' dtype): in bfloat16 an average with decay 0.999 never decays.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range.

    References:
      Kingma and Ba, Adam: A Method for Stochastic Optimization, 1412.6980, 2014.
      Dozat, Incorporating Nesterov Momentum into Adam, 2016.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.scale_by_adam()
      >>> grads = jnp.array([3.0, -0.01])
      >>> tx.update(grads, tx.init(grads))[0].round(4)
      Array([ 1., -1.], dtype=float32)
    """
    return adam_scaling("scale_by_adam", b1, b2, eps, eps_root, mu_dtype, nesterov)


@schedulable
def adam(
    learning_rate: ScalarOrSchedule,
    b1: ScalarLike = 0.9,
    b2: ScalarLike = 0.999,
    eps: ScalarLike = 1e-8,
    eps_root: ScalarLike = 0.0,
    mu_dtype: Any = None,
    *,
    nesterov: bool = False,
) -> GradientTransformation:
    r"""Adam: $\theta_{t+1} = \theta_t - \eta_t \hat m_t / (\sqrt{\hat v_t + \bar\epsilon} + \epsilon)$.

    The moments are those of `scale_by_adam`. The usual rate is 1e-3; what fits lies most often
    between 1e-4 and 1e-2.

    Args:
      learning_rate: $\eta$: a number, a tracer, a `Schedule` or a callable of the step.
      b1: $\beta_1$ in [0, 1).
      b2: $\beta_2$ in [0, 1).
      eps: $\epsilon$ >= 0, outside the root.
      eps_root: $\bar\epsilon$ >= 0, inside the root.
      mu_dtype: The dtype of the first moment; None for the parameters'. Static.
      nesterov: Whether to use Dozat's NAdam look-ahead. Static.

    Returns:
      A `GradientTransformation`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range.

    References:
      Kingma and Ba, Adam: A Method for Stochastic Optimization, 1412.6980, 2014.

    Example:
      >>> import jax, jax.numpy as jnp, lrjax
      >>> tx = lrjax.adam(0.1)
      >>> params = jnp.array(1.0)
      >>> state = tx.init(params)
      >>> for _ in range(100):
      ...     updates, state = tx.update(jax.grad(jnp.square)(params), state)
      ...     params = lrjax.apply_updates(params, updates)
      >>> bool(abs(params) < 0.05)
      True
    """
    return chain(
        adam_scaling("adam", b1, b2, eps, eps_root, mu_dtype, nesterov),
        scale_by_learning_rate(as_schedule("adam", "learning_rate", learning_rate)),
    )


@schedulable
def adamw(
    learning_rate: ScalarOrSchedule,
    b1: ScalarLike = 0.9,
    b2: ScalarLike = 0.999,
    eps: ScalarLike = 1e-8,
    eps_root: ScalarLike = 0.0,
    mu_dtype: Any = None,
    weight_decay: ScalarLike = 1e-4,
    mask: MaskTree | None = None,
    *,
    nesterov: bool = False,
) -> GradientTransformation:
    r"""Adam with decoupled weight decay.

    $\theta_{t+1} = \theta_t - \eta_t \left(\hat m_t / (\sqrt{\hat v_t + \bar\epsilon} + \epsilon)
    + \lambda \theta_t\right)$, with the moments of `scale_by_adam`. The decay is multiplied by the
    learning rate, as in PyTorch.

    Args:
      learning_rate: $\eta$: a number, a tracer, a `Schedule` or a callable of the step.
      b1: $\beta_1$ in [0, 1).
      b2: $\beta_2$ in [0, 1).
      eps: $\epsilon$ >= 0, outside the root.
      eps_root: $\bar\epsilon$ >= 0, inside the root.
      mu_dtype: The dtype of the first moment; None for the parameters'. Static.
      weight_decay: $\lambda$ >= 0.
      mask: A tree of bools, True where parameters decay, or a callable that makes one. Static.
      nesterov: Whether to use Dozat's NAdam look-ahead. Static.

    Returns:
      A `GradientTransformation` whose `update` needs `params`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range; from `update`, if `params` is missing.

    References:
      Loshchilov and Hutter, Decoupled Weight Decay Regularization, 1711.05101, 2017.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.adamw(0.1, weight_decay=0.5)
      >>> params = jnp.array(2.0)
      >>> updates, state = tx.update(jnp.array(0.0), tx.init(params), params)
      >>> round(float(updates), 6)
      -0.1
    """
    _check.number("adamw", "weight_decay", weight_decay, low=0)
    return chain(
        adam_scaling("adamw", b1, b2, eps, eps_root, mu_dtype, nesterov),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(as_schedule("adamw", "learning_rate", learning_rate)),
    )


def adam_scaling(
    call: str,
    b1: ScalarLike,
    b2: ScalarLike,
    eps: ScalarLike,
    eps_root: ScalarLike,
    mu_dtype: Any,
    nesterov: bool,
) -> GradientTransformation:
    """Adam's scaling; errors name the public function the user called."""
    _check.number(call, "b1", b1, low=0, high=1, open_high=True)
    _check.number(call, "b2", b2, low=0, high=1, open_high=True)
    _check.number(call, "eps", eps, low=0)
    _check.number(call, "eps_root", eps_root, low=0)
    _check.boolean(call, "nesterov", nesterov)

    def init(params: Params) -> ScaleByAdamState:
        return ScaleByAdamState(
            count=jnp.zeros((), jnp.int32),
            mu=_tree.zeros_like(params, mu_dtype),
            nu=_tree.zeros_like(params, _tree.wide_real),
        )

    def update(
        updates: Updates, state: ScaleByAdamState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, ScaleByAdamState]:
        del params, extra
        t = _tree.next_count(state.count)
        m = _tree.moment(b1, updates, state.mu)
        v = _tree.second_moment(b2, updates, state.nu)
        # Dozat's algorithm 2 multiplies v_hat by b2 besides; optax and PyTorch leave that out, as here.
        m_hat = _tree.debias_ahead(m, updates, b1, t) if nesterov else _tree.debias(m, b1, t)
        v_hat = _tree.debias(v, b2, t)

        def scale(g: Any, m: jax.Array, v: jax.Array) -> jax.Array:
            return (m / (jnp.sqrt(v + eps_root) + eps)).astype(jnp.result_type(g))

        scaled = jax.tree.map(scale, updates, m_hat, v_hat)
        return scaled, ScaleByAdamState(t, _tree.cast_like(m, state.mu), _tree.cast_like(v, state.nu))

    return GradientTransformation(init, update)
