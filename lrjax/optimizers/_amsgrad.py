"""AMSGrad: Adam whose second moment never falls."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import Params, ScalarLike, ScalarOrSchedule, Updates
from lrjax.learning_rate import scale_by_learning_rate
from lrjax.schedules import as_schedule, schedulable
from lrjax.transform import GradientTransformation, chain


class ScaleByAmsgradState(NamedTuple):
    """The state of AMSGrad.

    Attributes:
      count: int32 scalar, the number of updates so far.
      mu: First moments, shaped like the parameters, in `mu_dtype`.
      nu: Second moments, shaped like the parameters, real, in at least float32.
      nu_max: The largest second moments so far, likewise.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> int(lrjax.scale_by_amsgrad().init(jnp.zeros(2)).count)
      0
    """

    count: jax.Array
    mu: Params
    nu: Params
    nu_max: Params


def scale_by_amsgrad(
    b1: ScalarLike = 0.9,
    b2: ScalarLike = 0.999,
    eps: ScalarLike = 1e-8,
    eps_root: ScalarLike = 0.0,
    mu_dtype: Any = None,
    bias_correction_mu: bool = True,
    bias_correction_nu: bool = True,
) -> GradientTransformation:
    r"""AMSGrad's scaling of updates.

    With Adam's moments $m_t, v_t$: $\bar v_t = \max(\bar v_{t-1}, \hat v_t)$, the update is
    $\hat m_t / (\sqrt{\bar v_t + \bar\epsilon} + \epsilon)$.

    Args:
      b1: $\beta_1$ in [0, 1), the decay of the first moment.
      b2: $\beta_2$ in [0, 1), the decay of the second moment.
      eps: $\epsilon$ >= 0, outside the root.
      eps_root: $\bar\epsilon$ >= 0, inside the root.
      mu_dtype: The dtype of the first moment; None for the parameters'. Static.
      bias_correction_mu: Whether to debias the first moment; the paper does not. Static.
      bias_correction_nu: Whether to debias the second moment before the maximum is taken. The
        paper does not; PyTorch takes the maximum first and debiases it then. Static.

    Returns:
      A `GradientTransformation` with a `ScaleByAmsgradState`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range.

    References:
      Reddi, Kale and Kumar, On the Convergence of Adam and Beyond, 1904.09237, 2018.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.scale_by_amsgrad()
      >>> grads = jnp.array([3.0, -0.01])
      >>> tx.update(grads, tx.init(grads))[0].round(4)
      Array([ 1., -1.], dtype=float32)
    """
    return _scale_by_amsgrad(
        "scale_by_amsgrad", b1, b2, eps, eps_root, mu_dtype, bias_correction_mu, bias_correction_nu
    )


@schedulable
def amsgrad(
    learning_rate: ScalarOrSchedule,
    b1: ScalarLike = 0.9,
    b2: ScalarLike = 0.999,
    eps: ScalarLike = 1e-8,
    eps_root: ScalarLike = 0.0,
    mu_dtype: Any = None,
    bias_correction_mu: bool = True,
    bias_correction_nu: bool = True,
) -> GradientTransformation:
    r"""AMSGrad: $\theta_{t+1} = \theta_t - \eta_t \hat m_t / (\sqrt{\bar v_t + \bar\epsilon} + \epsilon)$.

    The moments are those of `scale_by_amsgrad`. The usual rate is 1e-3. Without both corrections it is
    the paper's, and that of Ruder's overview (1609.04747): the largest of the raw second moments.

    Args:
      learning_rate: $\eta$: a number, a tracer, a `Schedule` or a callable of the step.
      b1: $\beta_1$ in [0, 1).
      b2: $\beta_2$ in [0, 1).
      eps: $\epsilon$ >= 0, outside the root.
      eps_root: $\bar\epsilon$ >= 0, inside the root.
      mu_dtype: The dtype of the first moment; None for the parameters'. Static.
      bias_correction_mu: Whether to debias the first moment. Static.
      bias_correction_nu: Whether to debias the second moment before the maximum is taken; the
        paper's form is False. Static.

    Returns:
      A `GradientTransformation`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range.

    References:
      Reddi, Kale and Kumar, On the Convergence of Adam and Beyond, 1904.09237, 2018.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.amsgrad(0.5)
      >>> grads = jnp.array([3.0, -0.01])
      >>> tx.update(grads, tx.init(grads))[0].round(4)
      Array([-0.5,  0.5], dtype=float32)
    """
    return chain(
        _scale_by_amsgrad("amsgrad", b1, b2, eps, eps_root, mu_dtype, bias_correction_mu, bias_correction_nu),
        scale_by_learning_rate(as_schedule("amsgrad", "learning_rate", learning_rate)),
    )


def _scale_by_amsgrad(
    call: str,
    b1: ScalarLike,
    b2: ScalarLike,
    eps: ScalarLike,
    eps_root: ScalarLike,
    mu_dtype: Any,
    bias_correction_mu: bool,
    bias_correction_nu: bool,
) -> GradientTransformation:
    """AMSGrad's scaling; errors name the public function the user called."""
    _check.number(call, "b1", b1, low=0, high=1, open_high=True)
    _check.number(call, "b2", b2, low=0, high=1, open_high=True)
    _check.number(call, "eps", eps, low=0)
    _check.number(call, "eps_root", eps_root, low=0)
    _check.boolean(call, "bias_correction_mu", bias_correction_mu)
    _check.boolean(call, "bias_correction_nu", bias_correction_nu)

    def init(params: Params) -> ScaleByAmsgradState:
        squares = _tree.zeros_like(params, _tree.wide_real)
        return ScaleByAmsgradState(
            count=jnp.zeros((), jnp.int32),
            mu=_tree.zeros_like(params, mu_dtype),
            nu=squares,
            nu_max=squares,
        )

    def update(
        updates: Updates, state: ScaleByAmsgradState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, ScaleByAmsgradState]:
        del params, extra
        t = _tree.next_count(state.count)
        m = _tree.moment(b1, updates, state.mu)
        v = _tree.second_moment(b2, updates, state.nu)
        m_hat = _tree.debias(m, b1, t) if bias_correction_mu else m
        v_hat = _tree.debias(v, b2, t) if bias_correction_nu else v
        largest = jax.tree.map(jnp.maximum, state.nu_max, v_hat)
        step = jax.tree.map(lambda m, v: m / (jnp.sqrt(v + eps_root) + eps), m_hat, largest)
        new_state = ScaleByAmsgradState(
            count=t,
            mu=_tree.cast_like(m, state.mu),
            nu=_tree.cast_like(v, state.nu),
            nu_max=_tree.cast_like(largest, state.nu_max),
        )
        return _tree.cast_like(step, updates), new_state

    return GradientTransformation(init, update)
