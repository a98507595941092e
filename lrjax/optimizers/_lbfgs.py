"""L-BFGS: the gradient times an approximate inverse Hessian made of the last steps."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import OptState, Params, ScalarOrSchedule, Updates
from lrjax.learning_rate import scale_by_learning_rate
from lrjax.optimizers._linesearch import scalar_dtype
from lrjax.optimizers._zoom import scale_by_zoom_linesearch
from lrjax.schedules import as_schedule
from lrjax.transform import (
    GradientTransformation,
    chain,
    check_transformation,
    identity,
    require_params,
    stateless,
)


class ScaleByLBFGSState(NamedTuple):
    """The state of L-BFGS.

    Attributes:
      count: int32 scalar, the number of updates so far.
      params: The parameters at the last update.
      updates: The gradients at the last update, in at least float32.
      diff_params_memory: The last steps, stacked along a new first axis, in at least float32.
      diff_updates_memory: The changes of the gradient over them, likewise.
      weights_memory: The weight of each, 1 over the product of the two; 0 where there is none.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> lrjax.scale_by_lbfgs(memory_size=4).init(jnp.zeros(2)).diff_params_memory.shape
      (4, 2)
    """

    count: jax.Array
    params: Params
    updates: Updates
    diff_params_memory: Params
    diff_updates_memory: Updates
    weights_memory: jax.Array


def scale_by_lbfgs(memory_size: int = 10, scale_init_precond: bool = True) -> GradientTransformation:
    r"""L-BFGS's scaling of updates: $P_k g_k$, with $P_k$ close to the inverse Hessian.

    With the steps $s_i = \theta_{i+1} - \theta_i$, the changes $y_i = g_{i+1} - g_i$ and
    $\rho_i = 1 / \langle s_i, y_i \rangle$ of the last `memory_size` updates,
    $P \leftarrow (I - \rho_i s_i y_i^T) P (I - \rho_i y_i s_i^T) + \rho_i s_i s_i^T$ from the oldest
    to the newest, beginning with $\gamma I$, $\gamma = \langle s, y \rangle / \|y\|^2$ of the newest.

    Args:
      memory_size: How many updates are kept, >= 1. Static.
      scale_init_precond: Whether to begin with $\gamma I$, and the first update with
        $\min(1, 1 / \|g\|)$; else with $I$. Static.

    Returns:
      A `GradientTransformation` with a `ScaleByLBFGSState`, whose `update` needs `params`.

    Note:
      A step along which the gradient did not grow, $\langle s, y \rangle \le 0$, is left out, so that
      $P_k$ stays positive definite; optax keeps it. Differences of half-precision parameters are
      kept in float32.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If `memory_size` is below 1; from `update`, if `params` is missing.

    References:
      Liu and Nocedal, On the limited memory BFGS method for large scale optimization, 1989.
      Nocedal and Wright, Numerical Optimization, 1999, algorithms 7.4 and 7.5.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.scale_by_lbfgs()
      >>> params, grads = jnp.array([1.0]), jnp.array([4.0])
      >>> state = tx.init(params)
      >>> _, state = tx.update(grads, state, params)
      >>> direction, state = tx.update(jnp.array([2.0]), state, jnp.array([0.5]))  # curvature 4
      >>> float(direction[0])
      0.5
    """
    memory_size = _check.integer("scale_by_lbfgs", "memory_size", memory_size, low=1)
    _check.boolean("scale_by_lbfgs", "scale_init_precond", scale_init_precond)

    def init(params: Params) -> ScaleByLBFGSState:
        def memory(p: Any) -> jax.Array:
            return jnp.zeros((memory_size, *jnp.shape(p)), _tree.wide(p).dtype)

        return ScaleByLBFGSState(
            count=jnp.zeros((), jnp.int32),
            params=_tree.zeros_like(params),
            updates=_tree.zeros_like(params, lambda p: _tree.wide(p).dtype),
            diff_params_memory=jax.tree.map(memory, params),
            diff_updates_memory=jax.tree.map(memory, params),
            weights_memory=jnp.zeros(memory_size, scalar_dtype(params)),
        )

    def update(
        updates: Updates, state: ScaleByLBFGSState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, ScaleByLBFGSState]:
        del extra
        require_params("scale_by_lbfgs.update", params, "L-BFGS")
        k, weights = state.count, state.weights_memory
        g = jax.tree.map(lambda x, y: _tree.wide(x).astype(y.dtype), updates, state.updates)
        s, y = _minus(params, state.params), _minus(g, state.updates)
        sy = _tree.vdot(s, y).astype(weights.dtype)
        # The first state holds no parameters, so there is no step yet.
        valid = (k > 0) & (sy > 0)
        last = jnp.where(k > 0, k - 1, 0) % memory_size
        weights = weights.at[last].set(jnp.where(valid, 1 / jnp.where(valid, sy, 1), 0))
        steps = jax.tree.map(lambda m, x: m.at[last].set(jnp.where(valid, x, 0)), state.diff_params_memory, s)
        changes = jax.tree.map(
            lambda m, x: m.at[last].set(jnp.where(valid, x, 0)), state.diff_updates_memory, y
        )
        gamma = jnp.ones((), weights.dtype)
        if scale_init_precond:
            yy, size = _tree.vdot(y, y).astype(weights.dtype), _tree.norm(g).astype(weights.dtype)
            first = jnp.where(size > 1, 1 / jnp.where(size > 1, size, 1), 1)
            gamma = jnp.where(valid, sy / jnp.where(valid, yy, 1), first)
        direction = _two_loops(g, gamma, last, steps, changes, weights)
        return _tree.cast_like(direction, updates), ScaleByLBFGSState(
            _tree.next_count(k), jax.tree.map(jnp.asarray, params), g, steps, changes, weights
        )

    return GradientTransformation(init, update)


# Quasi-Newton directions come with their length: 1 is the step to try first.
_ZOOM = scale_by_zoom_linesearch(max_linesearch_steps=20, initial_guess_strategy="one")


def lbfgs(
    learning_rate: ScalarOrSchedule | None = None,
    memory_size: int = 10,
    scale_init_precond: bool = True,
    linesearch: Any = _ZOOM,
) -> GradientTransformation:
    r"""L-BFGS: $\theta_{k+1} = \theta_k - \eta_k P_k g_k$, with a line search for $\eta_k$.

    $P_k$ is that of `scale_by_lbfgs`. It is made for functions that are the same at every step.

    Args:
      learning_rate: A factor before the line search: a number, a tracer, a `Schedule` or a callable
        of the step; None for 1.
      memory_size: How many updates are kept, >= 1. Static.
      scale_init_precond: Whether to scale the first approximation by the last step. Static.
      linesearch: A transformation that scales updates, or None to take them as they are. Static.

    Returns:
      A `GradientTransformation` whose `update` needs `params` and, with a line search, the keywords
      `value`, `grad` and `value_fn`. `value_and_grad_from_state` saves an evaluation per update.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range; from `update`, if something it needs is missing.

    References:
      Liu and Nocedal, On the limited memory BFGS method for large scale optimization, 1989.

    Example:
      >>> import jax, jax.numpy as jnp, lrjax
      >>> def f(x):  # Rosenbrock's valley
      ...     return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2
      >>> tx, x = lrjax.lbfgs(), jnp.array([-1.2, 1.0])
      >>> state, value_and_grad = tx.init(x), jax.jit(lrjax.value_and_grad_from_state(f))
      >>> step = jax.jit(lambda v, g, s, x: tx.update(g, s, x, value=v, grad=g, value_fn=f))
      >>> for _ in range(40):
      ...     value, grad = value_and_grad(x, state=state)
      ...     updates, state = step(value, grad, state, x)
      ...     x = lrjax.apply_updates(x, updates)
      >>> x.round(2)
      Array([1., 1.], dtype=float32)
    """
    if linesearch is not None:
        check_transformation("lbfgs", "linesearch", linesearch)
    downhill = (
        stateless(lambda updates, params: jax.tree.map(jnp.negative, updates))
        if learning_rate is None
        else scale_by_learning_rate(as_schedule("lbfgs", "learning_rate", learning_rate))
    )
    return chain(
        scale_by_lbfgs(memory_size, scale_init_precond),
        downhill,
        identity() if linesearch is None else linesearch,
    )


def _minus(x: Any, y: Any) -> Any:
    return jax.tree.map(lambda a, b: _tree.wide(a) - _tree.wide(b), x, y)


@jax.jit  # one program for every call, where updates run outside jit
def _two_loops(
    g: Updates, gamma: jax.Array, last: jax.Array, steps: Params, changes: Updates, weights: jax.Array
) -> Updates:
    """Nocedal and Wright, algorithm 7.4; entries of weight 0 change nothing."""
    number = weights.shape[0]

    def at(memory: Any, i: jax.Array) -> Any:
        return jax.tree.map(lambda m: m[i], memory)

    def add(x: Any, factor: jax.Array, y: Any) -> Any:
        return jax.tree.map(lambda a, b: a + factor.astype(a.dtype) * b, x, y)

    def back(q: OptState, i: jax.Array) -> tuple[OptState, jax.Array]:
        alpha = weights[i] * _tree.vdot(at(steps, i), q).astype(weights.dtype)
        return add(q, -alpha, at(changes, i)), alpha

    newest_first = (last - jnp.arange(number)) % number
    q, alphas = jax.lax.scan(back, g, newest_first)
    r = jax.tree.map(lambda x: gamma.astype(x.dtype) * x, q)

    def forth(r: OptState, index_and_alpha: Any) -> tuple[OptState, None]:
        i, alpha = index_and_alpha
        beta = weights[i] * _tree.vdot(at(changes, i), r).astype(weights.dtype)
        return add(r, alpha - beta, at(steps, i)), None

    return jax.lax.scan(forth, r, (newest_first, alphas), reverse=True)[0]
