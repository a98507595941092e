"""Convolutions that stay fast inside loops on the CPU.

XLA's CPU compiler has fast code for convolutions of one layout: `[N, spatial..., C]` for input and
output, `[spatial..., I, O]` for the kernel. It brings others to that layout outside loops only. The
gradients of a convolution have other layouts, so inside a `scan` over steps they fall to plain code,
tens of times slower (jax#12868). Here the transposes are put into the program instead.

The gradient of a strided convolution is one of an input with gaps (`lhs_dilation`), for which there is fast
code too, but not where the kernel is longer than the input without the gaps, as behind the last layers of
small images. There the gaps are filled with zeros, and the convolution is an ordinary one, two to eight
times as fast.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.extend.core as jex
import jax.numpy as jnp
import numpy as np
from jax.extend.core import primitives

# Groups of fewer input features than this are left as they are: the plain code's time follows the
# multiply-adds, of which they have few, while the fast code pays for each group.
_FEATURES_WORTH_IT = 4


def rewrite(equation: jex.JaxprEqn) -> list[jex.JaxprEqn]:
    """The same convolution in a form that the CPU is fast at, with what leads to it and from it."""
    filling, convolution = _without_gaps(equation) if _falls_through_gaps(equation) else ([], equation)
    return [*filling, *_in_fast_layout(convolution)]


def _falls_through_gaps(equation: jex.JaxprEqn) -> bool:
    """Whether its input has gaps and its kernel is longer than the input without them."""
    params, (lhs, rhs) = equation.params, equation.invars
    numbers = params["dimension_numbers"]
    if params["feature_group_count"] * params["batch_group_count"] > 1 or _is_sharded(equation):
        return False
    lengths: Any = ((lhs.aval, numbers.lhs_spec), (rhs.aval, numbers.rhs_spec))
    inputs, kernels = ([aval.shape[axis] for axis in spec[2:]] for aval, spec in lengths)
    longer = any(kernel > length for kernel, length in zip(kernels, inputs, strict=True))
    return longer and max(params["lhs_dilation"], default=1) > 1


def _without_gaps(equation: jex.JaxprEqn) -> tuple[list[jex.JaxprEqn], jex.JaxprEqn]:
    """What fills the gaps and the margins with zeros, and the convolution of that."""
    lhs, rhs = equation.invars
    aval: Any = lhs.aval
    _, _, *space = equation.params["dimension_numbers"].lhs_spec
    gaps, margins = equation.params["lhs_dilation"], equation.params["padding"]
    padding = [(0, 0, 0)] * len(aval.shape)
    for axis, gap, (low, high) in zip(space, gaps, margins, strict=True):
        padding[axis] = (low, high, gap - 1)
    filled = jax.eval_shape(lambda x: jax.lax.pad(x, jnp.zeros((), x.dtype), padding), aval)
    result, held = (jex.Var(aval.update(shape=filled.shape)) for _ in range(2))
    zero = jex.Literal(np.zeros((), aval.dtype), aval.update(shape=()))
    fill = equation.replace(
        primitive=primitives.pad_p,
        invars=[lhs, zero],
        outvars=[result],
        params={"padding_config": tuple(padding)},
    )
    # Without a barrier XLA makes gaps of the zeros again.
    hold = equation.replace(
        primitive=jax.lax.optimization_barrier_p, invars=[result], outvars=[held], params={}
    )
    plain = {"lhs_dilation": (1,) * len(space), "padding": ((0, 0),) * len(space)}
    return [fill, hold], equation.replace(invars=[held, rhs], params={**equation.params, **plain})


def _in_fast_layout(equation: jex.JaxprEqn) -> list[jex.JaxprEqn]:
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
    if _is_sharded(equation):
        return True  # its axes are named in the layout that it has
    kernel: Any = equation.invars[1]
    features = kernel.aval.shape[equation.params["dimension_numbers"].rhs_spec[1]]
    return equation.params["feature_group_count"] > 1 and features < _FEATURES_WORTH_IT


def _is_sharded(equation: jex.JaxprEqn) -> bool:
    atoms: Any = (*equation.invars, *equation.outvars)
    return any(axis is not None for atom in atoms for axis in atom.aval.sharding.spec)


def _variable(atom: Any, order: tuple[int, ...]) -> jex.Var:
    """A new variable for what `atom` holds with its axes in that order."""
    return jex.Var(atom.aval.update(shape=tuple(atom.aval.shape[axis] for axis in order)))
