"""Lion: the sign of an interpolated momentum."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import MaskTree, Params, ScalarLike, ScalarOrSchedule, Updates
from lrjax.learning_rate import scale_by_learning_rate
from lrjax.schedules import as_schedule, schedulable
from lrjax.transform import GradientTransformation, chain
from lrjax.transforms import add_decayed_weights


class ScaleByLionState(NamedTuple):
    """The state of Lion.

    Attributes:
      count: int32 scalar, the number of updates so far.
      mu: The momentum, shaped like the parameters, in `mu_dtype`.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> int(lrjax.scale_by_lion().init(jnp.zeros(2)).count)
      0
    """

    count: jax.Array
    mu: Params


def scale_by_lion(
    b1: ScalarLike = 0.9,
    b2: ScalarLike = 0.99,
    mu_dtype: Any = None,
    *,
    mode: Literal["hard", "smooth", "refined"] = "hard",
    smooth_beta: ScalarLike = 1.0,
) -> GradientTransformation:
    r"""Lion's scaling of updates.

    $c_t = \beta_1 m_{t-1} + (1 - \beta_1) g_t$, the update is $\operatorname{sign}(c_t)$, and
    $m_t = \beta_2 m_{t-1} + (1 - \beta_2) g_t$.

    Args:
      b1: $\beta_1$ in [0, 1], the interpolation of the step.
      b2: $\beta_2$ in [0, 1], the decay of the momentum.
      mu_dtype: The dtype of the momentum; None for the parameters'. Static.
      mode: "hard" for the sign, "smooth" for $\tanh(\gamma c_t)$, "refined" for the sign with
        $c_t$ itself where $|c_t| < 1$. Static.
      smooth_beta: $\gamma$ > 0, the sharpness of "smooth".

    Returns:
      A `GradientTransformation` with a `ScaleByLionState`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range, or `mode` is unknown.

    References:
      Chen et al., Symbolic Discovery of Optimization Algorithms, 2302.06675, 2023.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.scale_by_lion()
      >>> grads = jnp.array([3.0, -0.01])
      >>> tx.update(grads, tx.init(grads))[0]
      Array([ 1., -1.], dtype=float32)
    """
    return _scale_by_lion("scale_by_lion", b1, b2, mu_dtype, mode, smooth_beta)


@schedulable
def lion(
    learning_rate: ScalarOrSchedule,
    b1: ScalarLike = 0.9,
    b2: ScalarLike = 0.99,
    mu_dtype: Any = None,
    weight_decay: ScalarLike = 1e-3,
    mask: MaskTree | None = None,
) -> GradientTransformation:
    r"""Lion: $\theta_{t+1} = \theta_t - \eta_t (\operatorname{sign}(c_t) + \lambda \theta_t)$.

    Every coordinate moves by the rate itself, so rates are three to ten times smaller than Adam's,
    and decays as many times larger.

    Args:
      learning_rate: $\eta$: a number, a tracer, a `Schedule` or a callable of the step.
      b1: $\beta_1$ in [0, 1], the interpolation of the step.
      b2: $\beta_2$ in [0, 1], the decay of the momentum.
      mu_dtype: The dtype of the momentum; None for the parameters'. Static.
      weight_decay: $\lambda$ >= 0, decoupled.
      mask: A tree of bools, True where parameters decay, or a callable that makes one. Static.

    Returns:
      A `GradientTransformation` whose `update` needs `params`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range; from `update`, if `params` is missing.

    References:
      Chen et al., Symbolic Discovery of Optimization Algorithms, 2302.06675, 2023.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.lion(0.25, weight_decay=0.0)
      >>> params = jnp.array([3.0, -0.01])
      >>> tx.update(params, tx.init(params), params)[0]
      Array([-0.25,  0.25], dtype=float32)
    """
    _check.number("lion", "weight_decay", weight_decay, low=0)
    return chain(
        _scale_by_lion("lion", b1, b2, mu_dtype, "hard", 1.0),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(as_schedule("lion", "learning_rate", learning_rate)),
    )


def _scale_by_lion(
    call: str, b1: ScalarLike, b2: ScalarLike, mu_dtype: Any, mode: str, smooth_beta: ScalarLike
) -> GradientTransformation:
    """Lion's scaling; errors name the public function the user called."""
    _check.number(call, "b1", b1, low=0, high=1)
    _check.number(call, "b2", b2, low=0, high=1)
    _check.number(call, "smooth_beta", smooth_beta, low=0, open_low=True)
    shapes = {
        "hard": jnp.sign,
        "smooth": lambda c: jnp.tanh(smooth_beta * c),
        "refined": lambda c: jnp.where(jnp.abs(c) < 1, c, jnp.sign(c)),
    }
    if mode not in shapes:
        raise _check.fail(call, "mode", f"one of {', '.join(map(repr, shapes))}", repr(mode))

    def init(params: Params) -> ScaleByLionState:
        return ScaleByLionState(jnp.zeros((), jnp.int32), _tree.zeros_like(params, mu_dtype))

    def update(
        updates: Updates, state: ScaleByLionState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, ScaleByLionState]:
        del params, extra
        c = _tree.moment(b1, updates, state.mu)
        m = _tree.moment(b2, updates, state.mu)
        step = _tree.cast_like(jax.tree.map(shapes[mode], c), updates)
        return step, ScaleByLionState(_tree.next_count(state.count), _tree.cast_like(m, state.mu))

    return GradientTransformation(init, update)
