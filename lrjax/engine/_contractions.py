"""Contractions that stay matrix products on the CPU.

The gradient of a weight contracts over all leading dimensions of the layer's input, two or more of them
in a transformer, and is transposed. Of that XLA's CPU compiler makes a product of two transposed
matrices, one of them copied, which takes up to four times as long as the product of the flattened ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax.extend.core as jex
from jax.extend.core import primitives


def rewrite(equation: jex.JaxprEqn) -> list[jex.JaxprEqn]:
    """Reshapes around a contraction over one dimension, in place of one over several.

    They must lie side by side, in the same order in both operands, so that the reshapes move nothing. Any
    other contraction, and an explicitly sharded one, is given back as it is.
    """
    (contracted, batched) = equation.params["dimension_numbers"]
    runs = _runs(*contracted)
    atoms: Any = (*equation.invars, *equation.outvars)
    if runs is None or any(axis is not None for atom in atoms for axis in atom.aval.sharding.spec):
        return [equation]
    equations, operands = [], []
    for operand, run in zip(equation.invars, runs, strict=True):
        shape = operand.aval.shape  # type: ignore[union-attr]
        first, last = run[0], run[-1] + 1
        flat = (*shape[:first], math.prod(shape[first:last]), *shape[last:])
        operands.append(jex.Var(operand.aval.update(shape=flat)))  # type: ignore[union-attr]
        params = {"new_sizes": flat, "dimensions": None, "sharding": None}
        equations.append(
            equation.replace(
                primitive=primitives.reshape_p, invars=[operand], outvars=[operands[-1]], params=params
            )
        )
    numbers = (
        tuple((run[0],) for run in runs),
        tuple(_after(axes, run) for axes, run in zip(batched, runs, strict=True)),
    )
    params = {**equation.params, "dimension_numbers": numbers}
    return [*equations, equation.replace(invars=operands, params=params)]


def is_several(equation: jex.JaxprEqn) -> bool:
    """Whether it contracts over several dimensions that can be made one."""
    return (
        equation.primitive is primitives.dot_general_p
        and _runs(*equation.params["dimension_numbers"][0]) is not None
    )


def _runs(lhs: Sequence[int], rhs: Sequence[int]) -> tuple[Sequence[int], Sequence[int]] | None:
    """The contracted dimensions of both operands in order, if they are several side by side in both."""
    pairs = sorted(zip(lhs, rhs, strict=True))
    runs = ([a for a, _ in pairs], [b for _, b in pairs])
    side_by_side = all(run == list(range(run[0], run[0] + len(run))) for run in runs if run)
    return runs if len(pairs) > 1 and side_by_side else None


def _after(axes: Sequence[int], run: Sequence[int]) -> tuple[int, ...]:
    """Where axes are once a run of others has become one."""
    return tuple(axis - (len(run) - 1 if axis > run[0] else 0) for axis in axes)
