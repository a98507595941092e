"""One member's function over a grid of members: vmapped, unrolled, one after the other, or sharded.

A grid has rows and columns; the members of a row share a seed. Each argument of a function is of a kind:
"member" (its arrays lead with the members), "row" (with rows where each has its own), or "shared". All
outputs lead with the members.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec

Function = Callable[..., Any]

MEMBERS = PartitionSpec(None, "member")  # of arrays that lead with rows and columns


class Lanes(NamedTuple):
    """How the members of a grid stand inside of a program.

    Attributes:
      axes: How many axes they stand along.
      over: Makes the function of all members out of one's and the kinds of its arguments.
      rows: Makes the function of all rows out of one's, of what is shared and of what is a row's.
      enter: Puts a tree that leads with rows and columns into lanes.
      leave: The way back.
    """

    axes: int
    over: Callable[[Function, Sequence[str]], Function]
    rows: Callable[[Function], Function]
    enter: Function
    leave: Function


def alone() -> Lanes:
    """One member, without rows and columns."""
    return Lanes(0, lambda function, kinds: function, lambda function: function, _same, _same)


def vmapped(rows: int, columns: int, by_row: bool) -> Lanes:
    """All members at once; what they share is not copied.

    Where rows share what is a row's, or there is one row, members stand along one axis: XLA makes a step
    with two of them up to twice as slow.
    """
    if by_row and rows > 1:
        return Lanes(2, _over_rows, lambda function: jax.vmap(function, (None, 0)), _same, _same)

    def only(function: Function) -> Function:
        return lambda shared, own: function(shared, _pick(own, 0)) if by_row else function(shared, own)

    return Lanes(1, _over_members, only, _reshaped(2, (rows * columns,)), _reshaped(1, (rows, columns)))


def unrolled(rows: int, columns: int, by_row: bool) -> Lanes:
    """Every member's operations written out in one program."""

    def over(function: Function, kinds: Sequence[str]) -> Function:
        def member(arguments: Sequence[Any], row: int, column: int) -> Any:
            index = {"member": (row, column), "row": row if by_row else None, "shared": None}
            return function(*(_pick(x, index[kind]) for x, kind in zip(arguments, kinds, strict=True)))

        def call(*arguments: Any) -> Any:
            return _stack([_stack([member(arguments, r, c) for c in range(columns)]) for r in range(rows)])

        return call

    def each(function: Function) -> Function:
        return jax.vmap(function, (None, 0)) if by_row else function

    return Lanes(2, over, each, _same, _same)


def mapped(function: Function, kinds: Sequence[str], by_row: bool) -> Function:
    """A function of a grid: one member after the other, in a loop over members."""
    of_row = ("member", "row") if by_row else ("member",)

    def call(*arguments: Any) -> Any:
        def over(chosen: Sequence[str], each: Function, arguments: Sequence[Any]) -> Any:
            """Loops over the first axis of the arguments of these kinds."""
            looped = [x if kind in chosen else None for x, kind in zip(arguments, kinds, strict=True)]

            def once(own: Sequence[Any]) -> Any:
                parts = zip(own, arguments, kinds, strict=True)
                return each(*(x if kind in chosen else y for x, y, kind in parts))

            return jax.lax.map(once, looped)

        return over(of_row, lambda *row: over(("member",), function, row), arguments)

    return call


def sharded(function: Function, kinds: Sequence[str], mesh: Mesh | None) -> Function:
    """The function of a grid with its columns laid out over a mesh, if there is one."""
    if mesh is None:
        return function
    specs = tuple(MEMBERS if kind == "member" else PartitionSpec() for kind in kinds)
    return jax.shard_map(function, mesh=mesh, in_specs=specs, out_specs=MEMBERS, check_vma=False)


def _over_members(function: Function, kinds: Sequence[str]) -> Function:
    return jax.vmap(function, tuple(0 if kind == "member" else None for kind in kinds))


def _over_rows(function: Function, kinds: Sequence[str]) -> Function:
    in_axes = tuple(None if kind == "shared" else 0 for kind in kinds)
    return jax.vmap(_over_members(function, kinds), in_axes)


def _same(tree: Any) -> Any:
    return tree


def _reshaped(axes: int, wanted: tuple[int, ...]) -> Function:
    return lambda tree: jax.tree.map(lambda x: x.reshape(*wanted, *x.shape[axes:]), tree)


def _pick(tree: Any, index: Any) -> Any:
    return tree if index is None else jax.tree.map(lambda x: x[index], tree)


def _stack(trees: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *xs: jnp.stack(xs), *trees)
