"""ACProp: gradients scaled by how far earlier ones were from what was expected."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import MaskTree, Params, ScalarLike, ScalarOrSchedule, Updates
from lrjax.learning_rate import scale_by_learning_rate
from lrjax.optimizers._adabelief import ScaleByBeliefState
from lrjax.schedules import as_schedule, schedulable
from lrjax.transform import GradientTransformation, chain
from lrjax.transforms import add_decayed_weights


def scale_by_acprop(
    b1: ScalarLike = 0.9, b2: ScalarLike = 0.999, eps: ScalarLike = 1e-16, eps_root: ScalarLike = 1e-16
) -> GradientTransformation:
    r"""ACProp's scaling of updates: AdaBelief's second moment, one step late, and no first one.

    $m_t = \beta_1 m_{t-1} + (1 - \beta_1) g_t$,
    $s_t = \beta_2 s_{t-1} + (1 - \beta_2) |g_t - m_{t-1}|^2 + \bar\epsilon$; the update is
    $g_t / (\sqrt{s_{t-1} / (1 - \beta_2^{t-1})} + \epsilon)$, and at the first step
    $g_1 / (1 + \epsilon)$.

    Args:
      b1: $\beta_1$ in [0, 1), the decay of the expectation.
      b2: $\beta_2$ in [0, 1), the decay of the surprise.
      eps: $\epsilon$ >= 0, outside the root.
      eps_root: $\bar\epsilon$ > 0, added to $s$ at every step.

    Returns:
      A `GradientTransformation` with a `ScaleByBeliefState`.

    Raises:
      TypeError: If an argument is not one real number.
      ValueError: If it is out of its range.

    References:
      Zhuang et al., Momentum Centering and Asynchronous Update for Adaptive Gradient Methods,
      2110.05454, 2021.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.scale_by_acprop()
      >>> first, state = tx.update(jnp.array(4.0), tx.init(jnp.array(0.0)))
      >>> second, state = tx.update(jnp.array(2.0), state)
      >>> round(float(first), 4), round(float(second), 4)
      (4.0, 0.5)
    """
    return _scale_by_acprop("scale_by_acprop", b1, b2, eps, eps_root)


@schedulable
def acprop(
    learning_rate: ScalarOrSchedule,
    b1: ScalarLike = 0.9,
    b2: ScalarLike = 0.999,
    eps: ScalarLike = 1e-16,
    eps_root: ScalarLike = 1e-16,
    weight_decay: ScalarLike = 0.0,
    mask: MaskTree | None = None,
) -> GradientTransformation:
    r"""ACProp: $\theta_{t+1} = \theta_t - \eta_t (u_t + \lambda \theta_t)$.

    $u_t$ is that of `scale_by_acprop`: a gradient is not scaled by itself. The usual rate is 1e-3.

    Args:
      learning_rate: $\eta$: a number, a tracer, a `Schedule` or a callable of the step.
      b1: $\beta_1$ in [0, 1).
      b2: $\beta_2$ in [0, 1).
      eps: $\epsilon$ >= 0, outside the root.
      eps_root: $\bar\epsilon$ > 0, added to $s$ at every step.
      weight_decay: $\lambda$ >= 0, decoupled.
      mask: A tree of bools, True where parameters decay, or a callable that makes one. Static.

    Returns:
      A `GradientTransformation` whose `update` needs `params`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range; from `update`, if `params` is missing.

    References:
      Zhuang et al., Momentum Centering and Asynchronous Update for Adaptive Gradient Methods,
      2110.05454, 2021.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.acprop(0.5)
      >>> params = jnp.array(4.0)
      >>> float(tx.update(params, tx.init(params), params)[0])
      -2.0
    """
    _check.number("acprop", "weight_decay", weight_decay, low=0)
    return chain(
        _scale_by_acprop("acprop", b1, b2, eps, eps_root),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(as_schedule("acprop", "learning_rate", learning_rate)),
    )


def _scale_by_acprop(
    call: str, b1: ScalarLike, b2: ScalarLike, eps: ScalarLike, eps_root: ScalarLike
) -> GradientTransformation:
    """ACProp's scaling; errors name the public function the user called."""
    _check.number(call, "b1", b1, low=0, high=1, open_high=True)
    _check.number(call, "b2", b2, low=0, high=1, open_high=True)
    _check.number(call, "eps", eps, low=0)
    _check.number(call, "eps_root", eps_root, low=0, open_low=True)

    def init(params: Params) -> ScaleByBeliefState:
        return ScaleByBeliefState(
            count=jnp.zeros((), jnp.int32),
            mu=_tree.zeros_like(params),
            nu=_tree.zeros_like(params, _tree.wide_real),
        )

    def update(
        updates: Updates, state: ScaleByBeliefState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, ScaleByBeliefState]:
        del params, extra
        begins = state.count == 0
        before = _tree.debias(state.nu, b2, jnp.maximum(state.count, 1))

        def scale(g: Any, s: jax.Array) -> jax.Array:
            return _tree.wide(g) / (jnp.sqrt(jnp.where(begins, 1, s)) + eps)

        step = jax.tree.map(scale, updates, before)
        surprise = jax.tree.map(lambda g, m: _tree.wide(g) - _tree.wide(m), updates, state.mu)
        m = _tree.moment(b1, updates, state.mu)
        s = jax.tree.map(lambda s: s + eps_root, _tree.second_moment(b2, surprise, state.nu))
        new_state = ScaleByBeliefState(
            count=_tree.next_count(state.count),
            mu=_tree.cast_like(m, state.mu),
            nu=_tree.cast_like(s, state.nu),
        )
        return _tree.cast_like(step, updates), new_state

    return GradientTransformation(init, update)
