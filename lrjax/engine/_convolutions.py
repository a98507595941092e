"""Convolutions that stay fast inside loops on the CPU.

XLA's CPU compiler has fast code for convolutions of one layout: `[N, spatial..., C]` for input and
output, `[spatial..., I, O]` for the kernel. It brings others to that layout outside loops only. The
gradients of a convolution have other layouts, so inside a `scan` over steps they fall to plain code,
tens of times slower (jax#12868). `canonical` puts the transposes into the traced function instead.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

import jax
import jax.extend.core as jex
from jax.extend.core import primitives

from lrjax.engine._inspect import JAXPRS, jaxprs_in

_Function = TypeVar("_Function", bound=Callable[..., Any])

# Groups of fewer input features than this are left as they are: the plain code's time follows the
# multiply-adds, of which they have few, while the fast code pays for each group.
_FEATURES_WORTH_IT = 4


def canonical(function: _Function) -> _Function:
    """The same function with its convolutions in the layout that XLA's CPU compiler is fast at.

    Every `conv_general_dilated` of another layout, at any depth of loops, branches and calls, is
    replaced by transposes around one with dimension numbers NHWC, HWIO, NHWC, for any number of
    spatial dimensions. Values change by rounding only. A function without such convolutions is called
    as it is. Two kinds of convolutions are left alone: those of several groups with fewer than four
    input features each (depthwise, say), which are faster so, and explicitly sharded ones.

    Rewritten is what is traced: `canonical(jax.grad(f))` has fast gradients, `jax.grad(canonical(f))`
    has not, and neither has a rule of `custom_vjp` that is only traced later. Nested programs are found
    in the parameters of equations; some of JAX's primitives hide theirs elsewhere (`custom_root`).

    Args:
      function: From pytrees of arrays to pytrees of arrays, and traceable, as for `jax.jit`.

    Returns:
      A function of the same signature. Each call traces, so that it belongs inside a `jax.jit`.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from lrjax.engine._convolutions import canonical
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
    if equation.primitive is primitives.conv_general_dilated_p:
        return _rewrite_convolution(equation)
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


def _rewrite_convolution(equation: jex.JaxprEqn) -> list[jex.JaxprEqn]:
    lhs, rhs = equation.invars
    (out,) = equation.outvars
    numbers = equation.params["dimension_numbers"]
    # Each specification lists where batch (or outputs), features (or inputs) and space stand.
    batch, features, *space = numbers.lhs_spec
    outputs, inputs, *kernel_space = numbers.rhs_spec
    out_batch, out_features, *out_space = numbers.out_spec
    lhs_order = (batch, *space, features)
    rhs_order = (*kernel_space, inputs, outputs)
    out_order = (out_batch, *out_space, out_features)
    identity = tuple(range(len(lhs_order)))
    if lhs_order == rhs_order == out_order == identity or _better_left(equation):
        return [equation]

    # The equations are built, not traced: a trace of its own would lose what `shard_map` noted in the
    # types. Their sources and contexts are the old one's.
    def transpose(operand: Any, result: Any, order: tuple[int, ...]) -> jex.JaxprEqn:
        return equation.replace(
            primitive=primitives.transpose_p,
            invars=[operand],
            outvars=[result],
            params={"permutation": order},
        )

    equations = []
    operands = []
    for operand, order in ((lhs, lhs_order), (rhs, rhs_order)):
        operands.append(operand if order == identity else _variable(operand, order))
        if order != identity:
            equations.append(transpose(operand, operands[-1], order))
    result = out if out_order == identity else _variable(out, out_order)
    first, *middle, last = identity
    image = (first, last, *middle)
    canonical_numbers = type(numbers)(image, (last, last - 1, *identity[:-2]), image)
    params = {**equation.params, "dimension_numbers": canonical_numbers}
    equations.append(equation.replace(invars=operands, outvars=[result], params=params))
    if out_order != identity:
        equations.append(transpose(result, out, tuple(out_order.index(axis) for axis in identity)))
    return equations


def _better_left(equation: jex.JaxprEqn) -> bool:
    atoms: Any = (*equation.invars, *equation.outvars)
    if any(axis is not None for atom in atoms for axis in atom.aval.sharding.spec):
        return True  # its axes are named in the layout that it has
    features = atoms[1].aval.shape[equation.params["dimension_numbers"].rhs_spec[1]]
    return equation.params["feature_group_count"] > 1 and features < _FEATURES_WORTH_IT


def _variable(atom: Any, order: tuple[int, ...]) -> jex.Var:
    """A new variable for what `atom` holds with its axes in that order."""
    return jex.Var(atom.aval.update(shape=tuple(atom.aval.shape[axis] for axis in order)))


def _same(new: Any, old: Any) -> bool:
    return len(new) == len(old) and all(a is b for a, b in zip(new, old, strict=True))
