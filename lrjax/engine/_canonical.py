"""Programs whose operations stay fast on the CPU, wherever in a program they are."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

import jax
import jax.extend.core as jex
from jax.extend.core import primitives

from lrjax.engine import _contractions, _convolutions
from lrjax.engine._inspect import JAXPRS, jaxprs_in

_Function = TypeVar("_Function", bound=Callable[..., Any])

_RULES = {
    primitives.conv_general_dilated_p: _convolutions.rewrite,
    primitives.dot_general_p: _contractions.rewrite,
}


def canonical(function: _Function) -> _Function:
    """The same function with its convolutions and contractions in a form that the CPU is fast at.

    Every convolution of another layout than the fast one is replaced by transposes around one of that
    layout, and every contraction over several dimensions that lie side by side by one over a single
    dimension, at any depth of loops, branches and calls. Values change by rounding only. A function that
    holds neither is called as it is.

    Rewritten is what is traced: `canonical(jax.grad(f))` has fast gradients, `jax.grad(canonical(f))`
    has not, and neither has a rule of `custom_vjp` that is only traced later. Nested programs are found
    in the parameters of equations; some of JAX's primitives hide theirs elsewhere (`custom_root`).

    Args:
      function: From pytrees of arrays to pytrees of arrays, and traceable, as for `jax.jit`.

    Returns:
      A function of the same signature. Each call traces, so that it belongs inside a `jax.jit`.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from lrjax.engine._canonical import canonical
      >>> def convolve(images, kernel):
      ...     return jax.lax.conv(images, kernel, (1, 1), "SAME")  # NCHW, OIHW, NCHW
      >>> images, kernel = jnp.ones((2, 3, 8, 8)), jnp.ones((4, 3, 3, 3))
      >>> [eqn.primitive.name for eqn in jax.make_jaxpr(canonical(convolve))(images, kernel).eqns]
      ['transpose', 'transpose', 'conv_general_dilated', 'transpose']
    """

    @functools.wraps(function)
    def rewritten(*args: Any, **kwargs: Any) -> Any:
        closed, shapes = jax.make_jaxpr(function, return_shape=True)(*args, **kwargs)
        new = _rewrite(closed, {})
        if new is closed:
            return function(*args, **kwargs)
        results = jex.jaxpr_as_fun(new)(*jax.tree.leaves((args, kwargs)))
        return jax.tree.unflatten(jax.tree.structure(shapes), results)

    return cast("_Function", rewritten)


def _rewrite(jaxpr: Any, done: dict[int, Any]) -> Any:
    """The jaxpr rewritten, or itself if there is nothing to rewrite in it.

    `done` holds the jaxprs that were rewritten before: what is shared stays so, and is compiled once.
    """
    if id(jaxpr) not in done:
        if isinstance(jaxpr, jex.Jaxpr):
            equations = [new for equation in jaxpr.eqns for new in _rewrite_equation(equation, done)]
            new = jaxpr if _same(equations, jaxpr.eqns) else jaxpr.replace(eqns=equations)
        else:
            inner = _rewrite(jaxpr.jaxpr, done)
            new = jaxpr if inner is jaxpr.jaxpr else jaxpr.replace(jaxpr=inner)
        done[id(jaxpr)] = new
    return done[id(jaxpr)]


def _rewrite_equation(equation: jex.JaxprEqn, done: dict[int, Any]) -> list[jex.JaxprEqn]:
    if equation.primitive in _RULES:
        return _RULES[equation.primitive](equation)
    old = equation.params
    # What the nested jaxprs take and return does not change, so all other parameters stay valid.
    new = {name: _rewrite_parameter(value, done) for name, value in old.items()}
    return [equation if _same(new.values(), old.values()) else equation.replace(params=new)]


def _rewrite_parameter(value: Any, done: dict[int, Any]) -> Any:
    if isinstance(value, JAXPRS):
        return _rewrite(value, done)
    if not any(True for _ in jaxprs_in(value)):
        return value
    parts = [_rewrite_parameter(part, done) for part in value]
    if _same(parts, value):
        return value
    return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)


def _same(new: Any, old: Any) -> bool:
    return len(new) == len(old) and all(a is b for a, b in zip(new, old, strict=True))
