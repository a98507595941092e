"""SM3: AdaGrad that remembers one number for each row and column."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import Params, ScalarLike, ScalarOrSchedule, Updates
from lrjax.learning_rate import scale_by_learning_rate
from lrjax.schedules import as_schedule, schedulable
from lrjax.transform import GradientTransformation, chain


class ScaleBySM3State(NamedTuple):
    """The state of SM3.

    Attributes:
      mu: For each leaf a list with one vector per axis: bounds of the sums of squares, real, in at
        least float32. (A leaf without axes has one scalar.)
      nu: The momentum, shaped like the parameters.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> [bound.shape for bound in lrjax.scale_by_sm3().init(jnp.zeros((2, 3))).mu]
      [(2,), (3,)]
    """

    mu: Any
    nu: Params


def scale_by_sm3(
    b1: ScalarLike = 0.9, b2: ScalarLike = 1.0, eps: ScalarLike = 1e-8
) -> GradientTransformation:
    r"""SM3's scaling of updates (SM3-II).

    Every axis $a$ keeps a vector $\mu_a$. For each coordinate
    $\nu_t = \beta_2 \min_a \mu_a + (1 - \beta_2) |g_t|^2$ (the factor of $|g_t|^2$ is 1 at
    $\beta_2 = 1$), then $\mu_a$ is the maximum of $\nu_t$ over the other axes. The update is the average,
    with decay $\beta_1$, of $g_t / \sqrt{\nu_t + \epsilon}$, which counts as 0 where $\nu_t = 0$.

    Args:
      b1: $\beta_1$ in [0, 1), the momentum.
      b2: $\beta_2$ in [0, 1]. 1 sums squares, as in the paper; below 1 they fade.
      eps: $\epsilon$ >= 0, inside the root. The paper has none.

    Returns:
      A `GradientTransformation` with a `ScaleBySM3State`.

    Raises:
      TypeError: If an argument is not one real number.
      ValueError: If it is out of its range.

    References:
      Anil et al., Memory-Efficient Adaptive Optimization, 1901.11150, 2019.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.scale_by_sm3(b1=0.0)
      >>> grads = jnp.array([[3.0, -0.5]])
      >>> tx.update(grads, tx.init(grads))[0].round(4)
      Array([[ 1., -1.]], dtype=float32)
    """
    return _scale_by_sm3("scale_by_sm3", b1, b2, eps)


@schedulable
def sm3(learning_rate: ScalarOrSchedule, momentum: ScalarLike = 0.9) -> GradientTransformation:
    r"""SM3: $\theta_{t+1} = \theta_t - \eta_t u_t$, with the $u_t$ of `scale_by_sm3`.

    For a matrix of $m \times n$ it keeps $m + n$ numbers and the momentum. The usual rate is 0.1.

    Args:
      learning_rate: $\eta$: a number, a tracer, a `Schedule` or a callable of the step.
      momentum: $\beta_1$ in [0, 1), the decay of the averaged steps.

    Returns:
      A `GradientTransformation`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range.

    References:
      Anil et al., Memory-Efficient Adaptive Optimization, 1901.11150, 2019.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.sm3(0.5, momentum=0.0)
      >>> grads = jnp.array([[3.0, -0.5]])
      >>> tx.update(grads, tx.init(grads))[0].round(4)
      Array([[-0.5,  0.5]], dtype=float32)
    """
    _check.number("sm3", "momentum", momentum, low=0, high=1, open_high=True)
    return chain(
        _scale_by_sm3("sm3", momentum, 1.0, 1e-8),
        scale_by_learning_rate(as_schedule("sm3", "learning_rate", learning_rate)),
    )


def _scale_by_sm3(call: str, b1: ScalarLike, b2: ScalarLike, eps: ScalarLike) -> GradientTransformation:
    """SM3's scaling; errors name the public function the user called."""
    _check.number(call, "b1", b1, low=0, high=1, open_high=True)
    _check.number(call, "b2", b2, low=0, high=1)
    _check.number(call, "eps", eps, low=0)

    def init(params: Params) -> ScaleBySM3State:
        def bounds(p: Any) -> list[jax.Array]:
            return [jnp.zeros(shape, _tree.wide_real(p)) for shape in _axes(jnp.shape(p))]

        return ScaleBySM3State(jax.tree.map(bounds, params), _tree.zeros_like(params))

    def update(
        updates: Updates, state: ScaleBySM3State, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, ScaleBySM3State]:
        del params, extra
        fresh = jnp.where(jnp.asarray(b2) < 1, 1 - b2, 1)

        def bound(g: Any, mu: list[jax.Array]) -> Any:
            spread = [m.reshape(_broadcastable(jnp.shape(g), axis)) for axis, m in enumerate(mu)]
            square = _tree.square(_tree.wide(g))
            return b2 * functools.reduce(jnp.minimum, spread) + _tree.multiply(square, fresh)

        def scale(g: Any, nu: jax.Array) -> jax.Array:
            root = jnp.sqrt(jnp.where(nu > 0, nu + eps, 1))
            return jnp.where(nu > 0, _tree.wide(g) / root, 0)

        def summarize(nu: jax.Array, mu: list[jax.Array]) -> list[jax.Array]:
            others = [tuple(a for a in range(nu.ndim) if a != axis) for axis in range(len(mu))]
            return [
                jnp.max(nu, axis=axes, initial=0).astype(m.dtype) for axes, m in zip(others, mu, strict=True)
            ]

        nu = jax.tree.map(bound, updates, state.mu)
        m = _tree.moment(b1, jax.tree.map(scale, updates, nu), state.nu)
        new_state = ScaleBySM3State(jax.tree.map(summarize, nu, state.mu), _tree.cast_like(m, state.nu))
        return _tree.cast_like(m, updates), new_state

    return GradientTransformation(init, update)


def _axes(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The shapes of a leaf's bounds: one vector per axis, or one scalar."""
    return [(size,) for size in shape] or [()]


def _broadcastable(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return tuple(size if a == axis else 1 for a, size in enumerate(shape))
