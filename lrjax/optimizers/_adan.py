"""Adan: Nesterov's momentum from gradients and their differences."""

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


class ScaleByAdanState(NamedTuple):
    """The state of Adan.

    Attributes:
      m: Averages of gradients, shaped like the parameters.
      v: Averages of differences of gradients, likewise.
      n: Averages of squares, likewise, real, in at least float32.
      g: The last gradient, likewise.
      t: int32 scalar, the number of updates so far.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> int(lrjax.scale_by_adan().init(jnp.zeros(2)).t)
      0
    """

    m: Params
    v: Params
    n: Params
    g: Params
    t: jax.Array


def scale_by_adan(
    b1: ScalarLike = 0.98,
    b2: ScalarLike = 0.92,
    b3: ScalarLike = 0.99,
    eps: ScalarLike = 1e-8,
    eps_root: ScalarLike = 0.0,
    *,
    look_ahead: ScalarLike | None = None,
) -> GradientTransformation:
    r"""Adan's scaling of updates.

    With $d_t = g_t - g_{t-1}$ (and $d_1 = 0$): $m$ averages $g_t$ with decay $\beta_1$, $v$ averages
    $d_t$ with decay $\beta_2$, $n$ averages $|g_t + \kappa d_t|^2$ with decay $\beta_3$. All are
    debiased; the update is $(\hat m_t + \kappa \hat v_t) / (\sqrt{\hat n_t + \bar\epsilon} + \epsilon)$.

    Args:
      b1: $\beta_1$ in [0, 1), the decay of the average of gradients: one minus the paper's, as
        are the other two.
      b2: $\beta_2$ in [0, 1).
      b3: $\beta_3$ in [0, 1).
      eps: $\epsilon$ >= 0, outside the root.
      eps_root: $\bar\epsilon$ >= 0, inside the root.
      look_ahead: $\kappa$ >= 0; None for optax's $1 - \beta_2$, 0.08 by default. The paper's is
        $\beta_2$, 0.92.

    Returns:
      A `GradientTransformation` with a `ScaleByAdanState`.

    Raises:
      TypeError: If an argument is not one real number.
      ValueError: If it is out of its range.

    References:
      Xie et al., Adan: Adaptive Nesterov Momentum Algorithm for Faster Optimizing Deep Models,
      2208.06677, 2022.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.scale_by_adan()
      >>> grads = jnp.array([3.0, -0.01])
      >>> tx.update(grads, tx.init(grads))[0].round(4)
      Array([ 1., -1.], dtype=float32)
    """
    return _scale_by_adan("scale_by_adan", b1, b2, b3, eps, eps_root, look_ahead)


@schedulable
def adan(
    learning_rate: ScalarOrSchedule,
    b1: ScalarLike = 0.98,
    b2: ScalarLike = 0.92,
    b3: ScalarLike = 0.99,
    eps: ScalarLike = 1e-8,
    eps_root: ScalarLike = 1e-8,
    weight_decay: ScalarLike = 0.0,
    mask: MaskTree | None = None,
    *,
    look_ahead: ScalarLike | None = None,
) -> GradientTransformation:
    r"""Adan: $\theta_{t+1} = \theta_t - \eta_t (u_t + \lambda \theta_t)$, with the $u_t$ of `scale_by_adan`.

    The usual rate is 1e-3; the authors use rates five to ten times Adam's.

    Args:
      learning_rate: $\eta$: a number, a tracer, a `Schedule` or a callable of the step.
      b1: $\beta_1$ in [0, 1).
      b2: $\beta_2$ in [0, 1).
      b3: $\beta_3$ in [0, 1).
      eps: $\epsilon$ >= 0, outside the root.
      eps_root: $\bar\epsilon$ >= 0, inside the root. The paper has none.
      weight_decay: $\lambda$ >= 0, decoupled. (The paper divides the parameters by
        $1 + \lambda \eta$ instead.)
      mask: A tree of bools, True where parameters decay, or a callable that makes one. Static.
      look_ahead: $\kappa$ >= 0; None for optax's $1 - \beta_2$, 0.08 by default. The paper's is
        $\beta_2$, 0.92.

    Returns:
      A `GradientTransformation` whose `update` needs `params`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range; from `update`, if `params` is missing.

    References:
      Xie et al., Adan: Adaptive Nesterov Momentum Algorithm for Faster Optimizing Deep Models,
      2208.06677, 2022.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.adan(0.5)
      >>> params = jnp.array([3.0, -2.0])
      >>> tx.update(params, tx.init(params), params)[0].round(4)
      Array([-0.5,  0.5], dtype=float32)
    """
    _check.number("adan", "weight_decay", weight_decay, low=0)
    return chain(
        _scale_by_adan("adan", b1, b2, b3, eps, eps_root, look_ahead),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(as_schedule("adan", "learning_rate", learning_rate)),
    )


def _scale_by_adan(
    call: str,
    b1: ScalarLike,
    b2: ScalarLike,
    b3: ScalarLike,
    eps: ScalarLike,
    eps_root: ScalarLike,
    look_ahead: ScalarLike | None,
) -> GradientTransformation:
    """Adan's scaling; errors name the public function the user called."""
    for name, decay in (("b1", b1), ("b2", b2), ("b3", b3)):
        _check.number(call, name, decay, low=0, high=1, open_high=True)
    _check.number(call, "eps", eps, low=0)
    _check.number(call, "eps_root", eps_root, low=0)
    if look_ahead is not None:
        _check.number(call, "look_ahead", look_ahead, low=0)
    kappa = 1 - b2 if look_ahead is None else look_ahead

    def init(params: Params) -> ScaleByAdanState:
        zeros = _tree.zeros_like(params)
        squares = _tree.zeros_like(params, _tree.wide_real)
        return ScaleByAdanState(m=zeros, v=zeros, n=squares, g=zeros, t=jnp.zeros((), jnp.int32))

    def update(
        updates: Updates, state: ScaleByAdanState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, ScaleByAdanState]:
        del params, extra
        t = _tree.next_count(state.t)

        def difference(g: Any, last: jax.Array) -> jax.Array:
            return jnp.where(state.t == 0, 0, _tree.wide(g) - _tree.wide(last))

        def ahead(x: Any, d: jax.Array) -> jax.Array:
            return _tree.wide(x) + kappa * d

        d = jax.tree.map(difference, updates, state.g)
        m = _tree.moment(b1, updates, state.m)
        v = _tree.moment(b2, d, state.v)
        n = _tree.second_moment(b3, jax.tree.map(ahead, updates, d), state.n)
        direction = jax.tree.map(ahead, _tree.debias(m, b1, t), _tree.debias(v, b2, t))
        n_hat = _tree.debias(n, b3, t)
        step = jax.tree.map(lambda u, n: u / (jnp.sqrt(n + eps_root) + eps), direction, n_hat)
        new_state = ScaleByAdanState(
            m=_tree.cast_like(m, state.m),
            v=_tree.cast_like(v, state.v),
            n=_tree.cast_like(n, state.n),
            g=_tree.cast_like(jax.tree.map(_tree.wide, updates), state.g),
            t=t,
        )
        return _tree.cast_like(step, updates), new_state

    return GradientTransformation(init, update)
