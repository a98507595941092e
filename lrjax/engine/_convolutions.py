"""Convolutions that stay fast inside loops on the CPU.

XLA's CPU compiler has fast code for convolutions of one layout: `[N, spatial..., C]` for input and
output, `[spatial..., I, O]` for the kernel. It brings others to that layout outside loops only. The
gradients of a convolution have other layouts, so inside a `scan` over steps they fall to plain code,
tens of times slower (jax#12868). Here the transposes are put into the program instead.
"""

from __future__ import annotations

from typing import Any

import jax.extend.core as jex
from jax.extend.core import primitives

# Groups of fewer input features than this are left as they are: the plain code's time follows the
# multiply-adds, of which they have few, while the fast code pays for each group.
_FEATURES_WORTH_IT = 4


def rewrite(equation: jex.JaxprEqn) -> list[jex.JaxprEqn]:
    """Transposes around a convolution with dimension numbers NHWC, HWIO, NHWC.

    For any number of spatial dimensions; one that has them is given back as it is. Two more kinds are left
    alone: those of several groups with fewer than four input features each (depthwise, say), which are
    faster so, and explicitly sharded ones.
    """
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
