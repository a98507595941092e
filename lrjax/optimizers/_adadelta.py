"""ADADELTA: steps in the units of the parameters."""

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


class ScaleByAdaDeltaState(NamedTuple):
    """The state of ADADELTA.

    Attributes:
      e_g: Running mean of squared gradients, shaped like the parameters, in at least float32.
      e_x: Running mean of squared steps, likewise.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> lrjax.scale_by_adadelta().init(jnp.zeros(2)).e_x
      Array([0., 0.], dtype=float32)
    """

    e_g: Params
    e_x: Params


def scale_by_adadelta(rho: ScalarLike = 0.9, eps: ScalarLike = 1e-6) -> GradientTransformation:
    r"""ADADELTA's scaling of updates.

    $E[g^2]_t = \rho E[g^2]_{t-1} + (1 - \rho) |g_t|^2$; the update is
    $u_t = \sqrt{E[x^2]_{t-1} + \epsilon} / \sqrt{E[g^2]_t + \epsilon} \cdot g_t$; and
    $E[x^2]_t = \rho E[x^2]_{t-1} + (1 - \rho) |u_t|^2$.

    Args:
      rho: $\rho$ in [0, 1). The paper uses 0.95.
      eps: $\epsilon$ > 0, which also starts the steps off.

    Returns:
      A `GradientTransformation` with a `ScaleByAdaDeltaState`.

    Raises:
      TypeError: If an argument is not one real number.
      ValueError: If it is out of its range.

    References:
      Zeiler, ADADELTA: An Adaptive Learning Rate Method, 1212.5701, 2012.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.scale_by_adadelta(rho=0.75, eps=0.25)
      >>> grads = jnp.array(3.0)
      >>> round(float(tx.update(grads, tx.init(grads))[0]), 4)
      0.9487
    """
    return _scale_by_adadelta("scale_by_adadelta", rho, eps)


@schedulable
def adadelta(
    learning_rate: ScalarOrSchedule | None = None,
    rho: ScalarLike = 0.9,
    eps: ScalarLike = 1e-6,
    weight_decay: ScalarLike = 0.0,
    weight_decay_mask: MaskTree | None = None,
) -> GradientTransformation:
    r"""ADADELTA: $\theta_{t+1} = \theta_t - \eta_t u_t$, with the $u_t$ of `scale_by_adadelta`.

    Args:
      learning_rate: $\eta$: a number, a tracer, a `Schedule` or a callable of the step. None is
        the paper's, which has no learning rate: $\eta = 1$.
      rho: $\rho$ in [0, 1). The paper uses 0.95.
      eps: $\epsilon$ > 0.
      weight_decay: $\lambda$ >= 0, added to the gradient as $\lambda \theta$ (an $\ell_2$ penalty).
      weight_decay_mask: A tree of bools, True where parameters decay, or a callable that makes
        one. Static.

    Returns:
      A `GradientTransformation` whose `update` needs `params`.

    Note:
      Without a learning rate optax's adadelta leaves the sign of the gradient as it is and so
      climbs; this one descends.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range; from `update`, if `params` is missing.

    References:
      Zeiler, ADADELTA: An Adaptive Learning Rate Method, 1212.5701, 2012.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.adadelta(rho=0.75, eps=0.25)
      >>> params = jnp.array(3.0)
      >>> round(float(tx.update(params, tx.init(params), params)[0]), 4)
      -0.9487
    """
    _check.number("adadelta", "weight_decay", weight_decay, low=0)
    rate = 1.0 if learning_rate is None else learning_rate
    return chain(
        add_decayed_weights(weight_decay, weight_decay_mask),
        _scale_by_adadelta("adadelta", rho, eps),
        scale_by_learning_rate(as_schedule("adadelta", "learning_rate", rate)),
    )


def _scale_by_adadelta(call: str, rho: ScalarLike, eps: ScalarLike) -> GradientTransformation:
    """ADADELTA's scaling; errors name the public function the user called."""
    _check.number(call, "rho", rho, low=0, high=1, open_high=True)
    _check.number(call, "eps", eps, low=0, open_low=True)

    def init(params: Params) -> ScaleByAdaDeltaState:
        zeros = _tree.zeros_like(params, _tree.wide_real)
        return ScaleByAdaDeltaState(e_g=zeros, e_x=zeros)

    def update(
        updates: Updates, state: ScaleByAdaDeltaState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, ScaleByAdaDeltaState]:
        del params, extra
        e_g = _tree.second_moment(rho, updates, state.e_g)

        def scale(g: Any, e_g: jax.Array, e_x: jax.Array) -> jax.Array:
            return _tree.wide(g) * (jnp.sqrt(e_x + eps) / jnp.sqrt(e_g + eps))

        u = jax.tree.map(scale, updates, e_g, state.e_x)
        e_x = _tree.second_moment(rho, u, state.e_x)
        new_state = ScaleByAdaDeltaState(_tree.cast_like(e_g, state.e_g), _tree.cast_like(e_x, state.e_x))
        return _tree.cast_like(u, updates), new_state

    return GradientTransformation(init, update)
