"""AdaBelief: steps scaled by how far gradients are from what was expected."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import Params, ScalarLike, ScalarOrSchedule, Updates
from lrjax.learning_rate import scale_by_learning_rate
from lrjax.schedules import as_schedule, schedulable
from lrjax.transform import GradientTransformation, chain


class ScaleByBeliefState(NamedTuple):
    """The state of AdaBelief.

    Attributes:
      count: int32 scalar, the number of updates so far.
      mu: First moments, shaped like the parameters.
      nu: Moments of the surprise, shaped like the parameters, real, in at least float32.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> int(lrjax.scale_by_belief().init(jnp.zeros(2)).count)
      0
    """

    count: jax.Array
    mu: Params
    nu: Params


def scale_by_belief(
    b1: ScalarLike = 0.9,
    b2: ScalarLike = 0.999,
    eps: ScalarLike = 1e-16,
    eps_root: ScalarLike = 1e-16,
    *,
    nesterov: bool = False,
) -> GradientTransformation:
    r"""AdaBelief's scaling of updates.

    $m_t = \beta_1 m_{t-1} + (1 - \beta_1) g_t$,
    $s_t = \beta_2 s_{t-1} + (1 - \beta_2) |g_t - m_t|^2 + \bar\epsilon$; both are debiased as in
    Adam, and the update is $\hat m_t / (\sqrt{\hat s_t} + \epsilon)$.

    Args:
      b1: $\beta_1$ in [0, 1), the decay of the first moment.
      b2: $\beta_2$ in [0, 1), the decay of the surprise.
      eps: $\epsilon$ >= 0, outside the root.
      eps_root: $\bar\epsilon$ > 0, added to $s$ at every step, as in the paper.
      nesterov: Whether to use Dozat's NAdam look-ahead. Static.

    Returns:
      A `GradientTransformation` with a `ScaleByBeliefState`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range.

    References:
      Zhuang et al., AdaBelief Optimizer: Adapting Stepsizes by the Belief in Observed Gradients,
      2010.07468, 2020.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.scale_by_belief(b1=0.5)
      >>> grads = jnp.array([3.0, -0.01])
      >>> tx.update(grads, tx.init(grads))[0].round(4)
      Array([ 2., -2.], dtype=float32)
    """
    return _scale_by_belief("scale_by_belief", b1, b2, eps, eps_root, nesterov)


@schedulable
def adabelief(
    learning_rate: ScalarOrSchedule,
    b1: ScalarLike = 0.9,
    b2: ScalarLike = 0.999,
    eps: ScalarLike = 1e-16,
    eps_root: ScalarLike = 1e-16,
    *,
    nesterov: bool = False,
) -> GradientTransformation:
    r"""AdaBelief: $\theta_{t+1} = \theta_t - \eta_t \hat m_t / (\sqrt{\hat s_t} + \epsilon)$.

    The moments are those of `scale_by_belief`. Where gradients are as expected, steps are long. The
    usual rate is 1e-3.

    Args:
      learning_rate: $\eta$: a number, a tracer, a `Schedule` or a callable of the step.
      b1: $\beta_1$ in [0, 1).
      b2: $\beta_2$ in [0, 1).
      eps: $\epsilon$ >= 0, outside the root.
      eps_root: $\bar\epsilon$ > 0, added to $s$ at every step.
      nesterov: Whether to use Dozat's NAdam look-ahead. Static.

    Returns:
      A `GradientTransformation`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range.

    References:
      Zhuang et al., AdaBelief Optimizer: Adapting Stepsizes by the Belief in Observed Gradients,
      2010.07468, 2020.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.adabelief(0.25, b1=0.5)
      >>> grads = jnp.array([3.0, -0.01])
      >>> tx.update(grads, tx.init(grads))[0].round(4)
      Array([-0.5,  0.5], dtype=float32)
    """
    return chain(
        _scale_by_belief("adabelief", b1, b2, eps, eps_root, nesterov),
        scale_by_learning_rate(as_schedule("adabelief", "learning_rate", learning_rate)),
    )


def _scale_by_belief(
    call: str, b1: ScalarLike, b2: ScalarLike, eps: ScalarLike, eps_root: ScalarLike, nesterov: bool
) -> GradientTransformation:
    """AdaBelief's scaling; errors name the public function the user called."""
    _check.number(call, "b1", b1, low=0, high=1, open_high=True)
    _check.number(call, "b2", b2, low=0, high=1, open_high=True)
    _check.number(call, "eps", eps, low=0)
    _check.number(call, "eps_root", eps_root, low=0, open_low=True)
    _check.boolean(call, "nesterov", nesterov)

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
        t = _tree.next_count(state.count)
        m = _tree.moment(b1, updates, state.mu)
        surprise = jax.tree.map(lambda g, m: _tree.wide(g) - m, updates, m)
        s = jax.tree.map(lambda s: s + eps_root, _tree.second_moment(b2, surprise, state.nu))
        m_hat = _tree.debias_ahead(m, updates, b1, t) if nesterov else _tree.debias(m, b1, t)
        step = jax.tree.map(lambda m, s: m / (jnp.sqrt(s) + eps), m_hat, _tree.debias(s, b2, t))
        new_state = ScaleByBeliefState(t, _tree.cast_like(m, state.mu), _tree.cast_like(s, state.nu))
        return _tree.cast_like(step, updates), new_state

    return GradientTransformation(init, update)
