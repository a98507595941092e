"""Mechanic: how far to go along the way that another optimizer found."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lrjax import _check, _tree
from lrjax._types import OptState, Params, ScalarLike, Updates
from lrjax.schedules import schedulable
from lrjax.transform import (
    GradientTransformation,
    check_transformation,
    require_params,
    with_extra_args_support,
)


class MechanicState(NamedTuple):
    """The state of Mechanic; of its numbers there is one for each decay.

    Attributes:
      base_optimizer_state: The state of the optimizer that is scaled.
      count: int32 scalar, the number of updates so far.
      r: float32 vector, the reward.
      m: float32 vector, the largest product of late.
      v: float32 vector, the sum of squared products.
      s: float32 vector, the scales; their sum is what the optimizer's way is multiplied by.
      x0: The first parameters.
      delta: The optimizer's way so far in float32, or None for parameters in float32 and wider, from
        which it follows.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> state = lrjax.mechanize(lrjax.sgd(1.0)).init(jnp.zeros(2))
      >>> round(float(state.s.sum()), 9)
      6e-06
    """

    base_optimizer_state: OptState
    count: jax.Array
    r: jax.Array
    m: jax.Array
    v: jax.Array
    s: jax.Array
    x0: Params
    delta: Params | None = None


@schedulable
def mechanize(
    base_optimizer: Any,
    weight_decay: ScalarLike = 1e-2,
    eps: ScalarLike = 1e-8,
    s_init: ScalarLike = 1e-6,
    num_betas: int = 6,
) -> GradientTransformation:
    r"""Mechanic: learns the factor on another optimizer's learning rate, schedule and all.

    With $u_t$ the optimizer's updates, $\Delta_{t+1} = \Delta_t + u_t$ and $S_t = \sum_i s_{t,i}$:
    $h_t = -\left\langle \Delta_t, g_t + \lambda S_t \frac{\|g_t\|}{\|\theta_t\| + \epsilon} \theta_t
    \right\rangle$, and for each $\beta_i = 1 - 10^{-i}$,
    $r_i \leftarrow \beta_i r_i + s_i \operatorname{clip}(h_t, \pm m_i)$,
    $m_i \leftarrow \max(\beta_i m_i, |h_t| + \epsilon)$, $v_i \leftarrow \beta_i^2 v_i + h_t^2$,
    $s_i \leftarrow \frac{m_i s_0 / n + \max(r_i, 0)}{\sqrt{v_i} + \epsilon}$.
    Then $\theta_{t+1} = \theta_0 + S_{t+1} \Delta_{t+1}$.

    Args:
      base_optimizer: The optimizer, with a rate of 1 or a schedule from there: anything with `init`
        and `update`.
      weight_decay: $\lambda$ >= 0, in the tuner alone.
      eps: $\epsilon$ > 0.
      s_init: $s_0$ > 0, below the factor that is right.
      num_betas: $n$ >= 1, how many decays. Static.

    Returns:
      A `GradientTransformation` with a `MechanicState`, whose `update` needs `params`.

    Note:
      $\Delta_t$ is $(\theta_t - \theta_0) / (S_t + \epsilon)$, as in optax, which spares its memory.
      Half-precision parameters are too coarse for that, as the first steps change none of them: then
      $\Delta$ is kept in float32. (optax's half-precision parameters stay where they began.) In the
      authors' code for torch the $r_i$ themselves never fall below 0; here they may, as in optax, with
      which the paper's experiments were run.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range; from `update`, if `params` is missing.

    References:
      Cutkosky, Defazio and Mehta, Mechanic: A Learning Rate Tuner, 2306.00144, 2023.

    Example:
      >>> import jax, jax.numpy as jnp, lrjax
      >>> tx = lrjax.mechanize(lrjax.sgd(1.0))
      >>> params = jnp.array(1.0)
      >>> state = tx.init(params)
      >>> step = jax.jit(tx.update)
      >>> for _ in range(100):
      ...     updates, state = step(params, state, params)
      ...     params = lrjax.apply_updates(params, updates)
      >>> bool(abs(params) < 0.1)
      True
    """
    check_transformation("mechanize", "base_optimizer", base_optimizer)
    _check.number("mechanize", "weight_decay", weight_decay, low=0)
    _check.number("mechanize", "eps", eps, low=0, open_low=True)
    _check.number("mechanize", "s_init", s_init, low=0, open_low=True)
    n = _check.integer("mechanize", "num_betas", num_betas, low=1)
    base = with_extra_args_support(base_optimizer)
    betas: Any = np.array([1 - 0.1**i for i in range(1, n + 1)], np.float32)

    def init(params: Params) -> MechanicState:
        zeros = jnp.zeros(n, jnp.float32)
        return MechanicState(
            base_optimizer_state=base.init(params),
            count=jnp.zeros((), jnp.int32),
            r=zeros,
            m=zeros,
            v=zeros,
            s=jnp.full(n, s_init, jnp.float32),
            x0=params,
            delta=_tree.zeros_like(params, _tree.wide_dtype) if _tree.any_half(params) else None,
        )

    def update(
        updates: Updates, state: MechanicState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, MechanicState]:
        require_params("mechanize.update", params, "the way since the first ones")
        g = jax.tree.map(_tree.wide, updates)
        u, base_state = base.update(g, state.base_optimizer_state, params, **extra)
        # Training may begin at others than those of `init`, such as a pretrained model's.
        x0 = jax.tree.map(lambda p, p0: jnp.where(state.count == 0, p, p0), params, state.x0)
        total = jnp.sum(state.s)
        if state.delta is None:
            gone = jax.tree.map(lambda p, p0: _tree.wide(p) - _tree.wide(p0), params, x0)
            before = jax.tree.map(lambda x: _tree.divide(x, total + eps), gone)
        else:
            before = state.delta
        after = jax.tree.map(lambda d, u: d + _tree.wide(u), before, u)

        decay = weight_decay * total * _tree.norm(g) / (_tree.norm(params) + eps)
        h = -(_tree.vdot(before, g) + decay * _tree.vdot(before, params)).astype(jnp.float32)
        r = betas * state.r + state.s * jnp.clip(h, -state.m, state.m)
        m = jnp.maximum(betas * state.m, jnp.abs(h) + eps)
        v = betas**2 * state.v + h**2
        s = (m * s_init / n + jnp.maximum(r, 0)) / (jnp.sqrt(v) + eps)

        def step(p: Any, p0: Any, d: jax.Array) -> jax.Array:
            return _tree.wide(p0) + _tree.multiply(d, jnp.sum(s)) - _tree.wide(p)

        steps = jax.tree.map(step, params, x0, after)
        new_state = MechanicState(
            base_optimizer_state=base_state,
            count=_tree.next_count(state.count),
            r=r.astype(jnp.float32),
            m=m.astype(jnp.float32),
            v=v.astype(jnp.float32),
            s=s.astype(jnp.float32),
            x0=x0,
            delta=None if state.delta is None else _tree.cast_like(after, state.delta),
        )
        return _tree.cast_like(steps, updates), new_state

    return GradientTransformation(init, update)
