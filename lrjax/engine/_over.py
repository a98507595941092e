"""One member's function over a grid of members: vmapped, unrolled, one after the other, or sharded.

A grid has rows and columns; the members of a column share a seed. Each argument of a function is of a
kind: "member" (its arrays lead with rows and columns), "column" (with columns, or with nothing where all
columns share it), or "shared". All outputs lead with rows and columns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec

Function = Callable[..., Any]


def vmapped(function: Function, kinds: Sequence[str], batched: bool) -> Function:
    """All members at once; what they share is not copied."""
    column_axes = {"member": 0, "column": 0 if batched else None, "shared": None}
    row_axes = {"member": 0, "column": None, "shared": None}
    over_columns = jax.vmap(function, tuple(column_axes[kind] for kind in kinds))
    return jax.vmap(over_columns, tuple(row_axes[kind] for kind in kinds))


def unrolled(function: Function, kinds: Sequence[str], batched: bool) -> Function:
    """Every member's operations written out in one program."""

    def call(*arguments: Any) -> Any:
        rows, columns = _size(arguments, kinds)

        def member(row: int, column: int) -> Any:
            index = {"member": (row, column), "column": column if batched else None, "shared": None}
            return function(*(_pick(x, index[kind]) for x, kind in zip(arguments, kinds, strict=True)))

        return _stack([_stack([member(r, c) for c in range(columns)]) for r in range(rows)])

    return call


def mapped(function: Function, kinds: Sequence[str], batched: bool) -> Function:
    """One member after the other, in a loop over members."""

    def call(*arguments: Any) -> Any:
        axes = {"member": "both", "column": "inner" if batched else "none", "shared": "none"}
        roles = [axes[kind] for kind in kinds]
        own = [x for x, role in zip(arguments, roles, strict=True) if role == "both"]
        inner = [x for x, role in zip(arguments, roles, strict=True) if role == "inner"]

        def member(values: Any) -> Any:
            both, of_column = iter(values[0]), iter(values[1])
            sources = {"both": both, "inner": of_column}
            return function(
                *(
                    x if role == "none" else next(sources[role])
                    for x, role in zip(arguments, roles, strict=True)
                )
            )

        return jax.lax.map(lambda row: jax.lax.map(member, (row, inner)), own)

    return call


def sharded(function: Function, kinds: Sequence[str], mesh: Mesh | None) -> Function:
    """The function of a grid with its rows laid out over the axis `member` of a mesh, if there is one."""
    if mesh is None:
        return function
    specs = tuple(PartitionSpec("member") if kind == "member" else PartitionSpec() for kind in kinds)
    return jax.shard_map(
        function, mesh=mesh, in_specs=specs, out_specs=PartitionSpec("member"), check_vma=False
    )


def _size(arguments: Sequence[Any], kinds: Sequence[str]) -> tuple[int, ...]:
    grid = arguments[kinds.index("member")]
    return jax.tree.leaves(grid)[0].shape[:2]


def _pick(tree: Any, index: Any) -> Any:
    return tree if index is None else jax.tree.map(lambda x: x[index], tree)


def _stack(trees: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *xs: jnp.stack(xs), *trees)
