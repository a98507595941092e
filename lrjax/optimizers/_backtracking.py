"""Backtracking: the step shrinks until the function decreases enough."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import Params, ScalarLike, Updates
from lrjax.optimizers._linesearch import moved, objective, scalar_dtype, scaled, slope
from lrjax.schedules import schedulable
from lrjax.transform import GradientTransformation


class BacktrackingLinesearchInfo(NamedTuple):
    """How a backtracking line search went.

    Attributes:
      num_linesearch_steps: int32 scalar, how many steps were tried.
      decrease_error: Scalar, by how much the last one missed the decrease asked for; 0 if it did not.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> int(lrjax.scale_by_backtracking_linesearch(5).init(jnp.zeros(2)).info.num_linesearch_steps)
      0
    """

    num_linesearch_steps: jax.Array
    decrease_error: jax.Array

    unset_where_not_finite = ("decrease_error",)  # infinite before the first update


class ScaleByBacktrackingLinesearchState(NamedTuple):
    """The state of `scale_by_backtracking_linesearch`.

    Attributes:
      learning_rate: Scalar, the step that was taken.
      value: Scalar, the function's value after it; infinite before the first update.
      grad: The gradient there, or None where it is not stored.
      info: A `BacktrackingLinesearchInfo`.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> float(lrjax.scale_by_backtracking_linesearch(5).init(jnp.zeros(2)).learning_rate)
      1.0
    """

    learning_rate: jax.Array
    value: jax.Array
    grad: Updates | None
    info: BacktrackingLinesearchInfo

    unset_where_not_finite = ("value",)  # infinite before the first update


@schedulable
def scale_by_backtracking_linesearch(
    max_backtracking_steps: ScalarLike,
    slope_rtol: ScalarLike = 1e-4,
    decrease_factor: ScalarLike = 0.8,
    increase_factor: ScalarLike = 1.5,
    max_learning_rate: ScalarLike = 1.0,
    atol: ScalarLike = 0.0,
    rtol: ScalarLike = 0.0,
    store_grad: bool = False,
    verbose: bool = False,
) -> GradientTransformation:
    r"""Multiplies updates by a step along which the function decreases enough (Armijo's rule).

    The step $\eta$ begins at the last one times `increase_factor` and shrinks by `decrease_factor`
    until $f(\theta + \eta u) \le (1 + \delta) f(\theta) + \eta c \langle u, \nabla f(\theta) \rangle
    + \epsilon$. Updates point downhill already, as those of `sgd(1.0)` do; the function is that of
    the step, so that a stochastic one is searched on its own batch.

    Args:
      max_backtracking_steps: How often the step shrinks at most, >= 0. The last is taken, whether or
        not it decreases the function enough.
      slope_rtol: $c$ in [0, 1].
      decrease_factor: In (0, 1).
      increase_factor: >= 1; infinity begins at `max_learning_rate` at every step.
      max_learning_rate: The largest step, > 0.
      atol: $\epsilon$ >= 0.
      rtol: $\delta$ >= 0.
      store_grad: Whether the gradient after the step is computed and kept, for
        `value_and_grad_from_state`. Static.
      verbose: Whether a search that fails is printed. Static.

    Returns:
      A `GradientTransformation` with a `ScaleByBacktrackingLinesearchState`. `update` needs `params`
      and the keywords `value`, `grad` and `value_fn`; further ones that `value_fn` names are handed
      to it.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range; from `update`, if something it needs is missing.

    References:
      Armijo, Minimization of functions having Lipschitz continuous first partial derivatives, 1966.
      Vaswani et al., Painless Stochastic Gradient: Interpolation, Line-Search, and Convergence Rates,
      1905.09997, 2019.

    Example:
      >>> import jax, jax.numpy as jnp, lrjax
      >>> def f(x):
      ...     return jnp.sum(4.0 * x**2)
      >>> tx = lrjax.chain(lrjax.sgd(1.0), lrjax.scale_by_backtracking_linesearch(20))
      >>> x = jnp.array([1.0, -2.0])
      >>> state = tx.init(x)
      >>> for _ in range(15):
      ...     value, grad = jax.value_and_grad(f)(x)
      ...     updates, state = tx.update(grad, state, x, value=value, grad=grad, value_fn=f)
      ...     x = lrjax.apply_updates(x, updates)
      >>> bool(f(x) < 0.05)
      True
    """
    call = "scale_by_backtracking_linesearch"
    _check.number(call, "max_backtracking_steps", max_backtracking_steps, low=0)
    _check.number(call, "slope_rtol", slope_rtol, low=0, high=1)
    _check.number(call, "decrease_factor", decrease_factor, low=0, high=1, open_low=True, open_high=True)
    if not _is_infinite(increase_factor):
        _check.number(call, "increase_factor", increase_factor, low=1)
    _check.number(call, "max_learning_rate", max_learning_rate, low=0, open_low=True)
    _check.number(call, "atol", atol, low=0)
    _check.number(call, "rtol", rtol, low=0)
    _check.boolean(call, "store_grad", store_grad)
    _check.boolean(call, "verbose", verbose)

    def init(params: Params) -> ScaleByBacktrackingLinesearchState:
        dtype = scalar_dtype(params)
        unset = jnp.array(jnp.inf, dtype)
        return ScaleByBacktrackingLinesearchState(
            learning_rate=jnp.ones((), dtype),
            value=unset,
            grad=_tree.zeros_like(params) if store_grad else None,
            info=BacktrackingLinesearchInfo(jnp.zeros((), jnp.int32), unset),
        )

    def update(
        updates: Updates,
        state: ScaleByBacktrackingLinesearchState,
        params: Params | None = None,
        **extra: Any,
    ) -> tuple[Updates, ScaleByBacktrackingLinesearchState]:
        f = objective(f"{call}.update", params, extra)
        dtype = state.value.dtype
        before = jnp.asarray(extra["value"], dtype)
        descent = slope(updates, extra["grad"]).astype(dtype)

        def error(step: jax.Array, value: jax.Array) -> jax.Array:
            missed = value - (1 + rtol) * before - step * slope_rtol * descent - atol
            return jnp.where(jnp.isnan(missed), jnp.inf, jnp.maximum(missed, 0)).astype(dtype)

        def attempt(step: jax.Array) -> tuple[jax.Array, jax.Array]:
            value = jnp.asarray(f(moved(params, updates, step)), dtype)
            return value, error(step, value)

        def unfinished(carry: Any) -> jax.Array:
            tried, _, _, missed = carry
            return (missed > 0) & (tried <= max_backtracking_steps)

        def shrink(carry: Any) -> Any:
            tried, step, _, _ = carry
            step = jnp.where(tried > 0, step * decrease_factor, step).astype(dtype)
            return tried + 1, step, *attempt(step)

        first = jnp.minimum(state.learning_rate * increase_factor, max_learning_rate).astype(dtype)
        start = jnp.zeros((), jnp.int32), first, state.value, jnp.array(jnp.inf, dtype)
        tried, step, value, missed = jax.lax.while_loop(unfinished, shrink, start)
        grad = None
        if store_grad:
            value, grad = jax.value_and_grad(f)(moved(params, updates, step))
            value, grad = value.astype(dtype), _tree.cast_like(grad, state.grad)
        if verbose:
            _report(tried, step, missed)
        info = BacktrackingLinesearchInfo(tried, missed)
        return scaled(updates, step), ScaleByBacktrackingLinesearchState(step, value, grad, info)

    return GradientTransformation(init, update)


def _report(tried: jax.Array, step: jax.Array, missed: jax.Array) -> None:
    text = "backtracking failed after {tried} steps: at {step} the decrease is missed by {missed}"
    jax.lax.cond(
        missed > 0, lambda: jax.debug.print(text, tried=tried, step=step, missed=missed), lambda: None
    )


def _is_infinite(x: Any) -> bool:
    return isinstance(x, float) and x == float("inf")
