"""ADOPT: Adam that scales a gradient by what was seen before it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import Params, ScalarLike, ScalarOrSchedule, Updates
from lrjax.learning_rate import scale_by_learning_rate
from lrjax.optimizers._adam import ScaleByAdamState
from lrjax.schedules import as_schedule, schedulable
from lrjax.transform import GradientTransformation, chain


def _fourth_root(count: jax.Array) -> jax.Array:
    """The paper's bound on scaled gradients at step `count` = 0, 1, ..."""
    return count.astype(jnp.result_type(float)) ** 0.25


def scale_by_adopt(
    b1: ScalarLike = 0.9,
    b2: ScalarLike = 0.9999,
    eps: ScalarLike = 1e-6,
    mu_dtype: Any = None,
    *,
    nesterov: bool = False,
    use_clipping: bool = True,
    clip_value_fn: Callable[[jax.Array], Any] = _fourth_root,
) -> GradientTransformation:
    r"""ADOPT's scaling of updates.

    At step $t = 0$ only $v_0 = |g_0|^2$ is set, and the update is 0. Then
    $\hat g_t = g_t / \max(\sqrt{v_{t-1}}, \epsilon)$, clipped to $[-c_t, c_t]$; the update is
    $m_t = \beta_1 m_{t-1} + (1 - \beta_1) \hat g_t$, and
    $v_t = \beta_2 v_{t-1} + (1 - \beta_2) |g_t|^2$.

    Args:
      b1: $\beta_1$ in [0, 1), the decay of the first moment.
      b2: $\beta_2$ in [0, 1), the decay of the second moment.
      eps: $\epsilon$ > 0.
      mu_dtype: The dtype of the first moment; None for the parameters'. Static.
      nesterov: Whether to look ahead, $\beta_1 m_t + (1 - \beta_1) \hat g_t$. Static.
      use_clipping: Whether to clip. Static.
      clip_value_fn: `clip_value_fn(t)`, the bound $c_t$, by default $t^{1/4}$. Static.

    Returns:
      A `GradientTransformation` with a `ScaleByAdamState`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range.

    References:
      Taniguchi et al., ADOPT: Modified Adam Can Converge with Any beta_2 with the Optimal Rate,
      2411.02853, 2024.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.scale_by_adopt(b1=0.5)
      >>> first, state = tx.update(jnp.array(3.0), tx.init(jnp.array(0.0)))
      >>> second, state = tx.update(jnp.array(3.0), state)
      >>> float(first), float(second)
      (0.0, 0.5)
    """
    return _scale_by_adopt("scale_by_adopt", b1, b2, eps, mu_dtype, nesterov, use_clipping, clip_value_fn)


@schedulable
def adopt(
    learning_rate: ScalarOrSchedule,
    b1: ScalarLike = 0.9,
    b2: ScalarLike = 0.9999,
    eps: ScalarLike = 1e-6,
    mu_dtype: Any = None,
    *,
    nesterov: bool = False,
    use_clipping: bool = True,
    clip_value_fn: Callable[[jax.Array], Any] = _fourth_root,
) -> GradientTransformation:
    r"""ADOPT: $\theta_{t+1} = \theta_t - \eta_t m_t$, with the $m_t$ of `scale_by_adopt`.

    It converges for every $\beta_2$. The usual rate is 1e-3.

    Args:
      learning_rate: $\eta$: a number, a tracer, a `Schedule` or a callable of the step.
      b1: $\beta_1$ in [0, 1).
      b2: $\beta_2$ in [0, 1).
      eps: $\epsilon$ > 0.
      mu_dtype: The dtype of the first moment; None for the parameters'. Static.
      nesterov: Whether to look ahead. Static.
      use_clipping: Whether to clip scaled gradients. Static.
      clip_value_fn: `clip_value_fn(t)`, the bound at step `t`, by default $t^{1/4}$. Static.

    Returns:
      A `GradientTransformation`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range.

    References:
      Taniguchi et al., ADOPT: Modified Adam Can Converge with Any beta_2 with the Optimal Rate,
      2411.02853, 2024.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.adopt(0.5, b1=0.5)
      >>> first, state = tx.update(jnp.array(3.0), tx.init(jnp.array(0.0)))
      >>> second, state = tx.update(jnp.array(3.0), state)
      >>> float(second)
      -0.25
    """
    return chain(
        _scale_by_adopt("adopt", b1, b2, eps, mu_dtype, nesterov, use_clipping, clip_value_fn),
        scale_by_learning_rate(as_schedule("adopt", "learning_rate", learning_rate)),
    )


def _scale_by_adopt(
    call: str,
    b1: ScalarLike,
    b2: ScalarLike,
    eps: ScalarLike,
    mu_dtype: Any,
    nesterov: bool,
    use_clipping: bool,
    clip_value_fn: Callable[[jax.Array], Any],
) -> GradientTransformation:
    """ADOPT's scaling; errors name the public function the user called."""
    _check.number(call, "b1", b1, low=0, high=1, open_high=True)
    _check.number(call, "b2", b2, low=0, high=1, open_high=True)
    _check.number(call, "eps", eps, low=0, open_low=True)
    _check.boolean(call, "nesterov", nesterov)
    _check.boolean(call, "use_clipping", use_clipping)

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
        begins = state.count == 0
        bound = clip_value_fn(state.count) if use_clipping else None

        def scale(g: Any, v: jax.Array) -> jax.Array:
            scaled = _tree.wide(g) / jnp.maximum(jnp.sqrt(v), eps)
            scaled = scaled if bound is None else jnp.clip(scaled, -bound, bound)
            return jnp.where(begins, 0, scaled)

        def square(g: Any, v: jax.Array) -> Any:
            new = _tree.square(_tree.wide(g))
            return jnp.where(begins, new, b2 * v + (1 - b2) * new)

        scaled = jax.tree.map(scale, updates, state.nu)
        v = jax.tree.map(square, updates, state.nu)
        m = _tree.moment(b1, scaled, state.mu)
        step = _tree.moment(b1, scaled, m) if nesterov else m
        new_state = ScaleByAdamState(
            count=_tree.next_count(state.count),
            mu=_tree.cast_like(m, state.mu),
            nu=_tree.cast_like(v, state.nu),
        )
        return _tree.cast_like(step, updates), new_state

    return GradientTransformation(init, update)
