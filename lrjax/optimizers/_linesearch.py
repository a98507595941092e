"""What line searches share: the function they evaluate, and the value and gradient they leave behind."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import OptState, Params, Updates
from lrjax.transform import require_params


def value_and_grad_from_state(value_fn: Callable[..., Any]) -> Callable[..., tuple[jax.Array, Updates]]:
    """A `jax.value_and_grad` that takes what the last line search already computed.

    A line search ends with the value and the gradient at the parameters it leads to. Where the
    function is the same at every step, not one of a batch, they need not be computed again.

    Args:
      value_fn: `value_fn(params, ...) -> scalar`.

    Returns:
      A function `(params, ..., state=opt_state) -> (value, grad)`. It computes both where the state
      holds no finite value, as before the first update. It raises ValueError if no state in
      `opt_state`, or more than one, holds a value and a gradient.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> def f(x):
      ...     return jnp.sum((x - 1.0) ** 2)
      >>> tx, x = lrjax.lbfgs(), jnp.zeros(3)
      >>> state, value_and_grad = tx.init(x), lrjax.value_and_grad_from_state(f)
      >>> for _ in range(3):
      ...     value, grad = value_and_grad(x, state=state)
      ...     updates, state = tx.update(grad, state, x, value=value, grad=grad, value_fn=f)
      ...     x = lrjax.apply_updates(x, updates)
      >>> x.round(3)
      Array([1., 1., 1.], dtype=float32)
    """

    def value_and_grad(
        params: Params, *args: Any, state: OptState, **kwargs: Any
    ) -> tuple[jax.Array, Updates]:
        value, grad = _stored(state)

        def compute() -> tuple[jax.Array, Updates]:
            return jax.value_and_grad(value_fn)(params, *args, **kwargs)

        def recall() -> tuple[jax.Array, Updates]:
            return jax.tree.map(lambda x, shape: x.astype(shape.dtype), (value, grad), shapes)

        shapes = jax.eval_shape(compute)
        return jax.lax.cond(jnp.isfinite(value), recall, compute)

    return value_and_grad


def scalar_dtype(params: Params) -> Any:
    """The dtype of steps and values: at least float32, wider where a parameter is."""
    reals = [_tree.wide_real(p) for p in jax.tree.leaves(params)]
    return jnp.result_type(jnp.float32, *reals)


def slope(updates: Updates, grad: Updates) -> jax.Array:
    """The derivative of the function along the updates."""
    return _tree.vdot(grad, updates)


def moved(params: Params, updates: Updates, step: jax.Array) -> Params:
    """The parameters a step along the updates, each in its dtype."""

    def leaf(p: Any, u: Any) -> jax.Array:
        x = _tree.wide(p)
        return (x + step.astype(x.dtype) * _tree.wide(u)).astype(jnp.result_type(p))

    return jax.tree.map(leaf, params, updates)


def scaled(updates: Updates, step: jax.Array) -> Updates:
    """The updates times the step, in their dtypes."""
    return jax.tree.map(
        lambda u: (step.astype(_tree.wide(u).dtype) * _tree.wide(u)).astype(jnp.result_type(u)), updates
    )


def objective(call: str, params: Params | None, signals: dict[str, Any]) -> Callable[[Params], Any]:
    """The function of the parameters alone, from what `update` was given.

    Args:
      call: The public function, for the error message.
      params: The parameters.
      signals: The extra keywords of the update; those that `value_fn` names are handed to it.

    Raises:
      ValueError: If the parameters, `value`, `grad` or `value_fn` is missing.
    """
    require_params(call, params, "a line search")
    for name, what in (
        ("value", "the function's value at the parameters"),
        ("grad", "its gradient there"),
        ("value_fn", "the function itself, `value_fn(params, ...)`"),
    ):
        if signals.get(name) is None:
            expected = f"{what} (`tx.update(updates, state, params, value=..., grad=..., value_fn=...)`)"
            raise _check.fail(call, name, expected, None)
    value_fn = signals["value_fn"]
    parameters = list(inspect.signature(value_fn).parameters.values())[1:]
    given = {name: x for name, x in signals.items() if name not in ("value", "grad", "value_fn")}
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        given = {p.name: given[p.name] for p in parameters if p.name in given}
    return lambda x: value_fn(x, **given)


def _stored(state: OptState) -> tuple[jax.Array, Updates]:
    def holds(x: Any) -> bool:
        return {"value", "grad"} <= set(getattr(x, "_fields", ()))

    found = [x for x in jax.tree.leaves(state, is_leaf=holds) if holds(x)]
    call, expected = "value_and_grad_from_state(value_fn)", "an optimizer state with one line search in it"
    if len(found) != 1:
        raise _check.fail(call, "state", expected, len(found) or "none")
    if found[0].grad is None:
        expected = "the state of a line search that keeps the gradient (`store_grad=True`)"
        raise _check.fail(call, "state", expected, "one without")
    return found[0].value, found[0].grad
