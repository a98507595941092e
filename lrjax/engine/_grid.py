"""Members that run together: grids of rows x columns, one program for each size of grid.

A row's members share a seed. When members leave, the rest move together on a ladder of numbers of columns,
each half of the one before, and the row of a seed whose members have all left stays, so that few programs
are compiled. What fills up a grid is trained for nothing.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lrjax.engine import _replay
from lrjax.engine._member import Arrays
from lrjax.engine._pool import Id
from lrjax.engine._program import HeldOut, Programs
from lrjax.engine._replay import Outcome


@dataclasses.dataclass(frozen=True, eq=False)
class _Block:
    """One grid: who stands where (None for what fills it up), and the arrays `[rows, columns, ...]`."""

    layout: list[list[Id | None]]
    arrays: Arrays
    numbers: dict[str, jax.Array]

    @functools.cached_property
    def cells(self) -> list[tuple[int, int, Id]]:
        return [(r, c, i) for r, row in enumerate(self.layout) for c, i in enumerate(row) if i is not None]

    @functools.cached_property
    def places(self) -> dict[Id, tuple[int, int]]:
        return {i: (r, c) for r, c, i in self.cells}

    @property
    def size(self) -> tuple[int, int]:
        return len(self.layout), len(self.layout[0])


class Grid:
    """The members of a group, in blocks; the same calls as those of `Pool`.

    Every call changes all its members or, if it is interrupted, none; but see `Pool` on lean plans.

    Attributes:
      programs: What they run.
      torn: Whether an interrupted call has left members without a state.
    """

    def __init__(
        self,
        programs: Programs,
        numbers: Mapping[str, np.ndarray],
        keys: Callable[[int], jax.Array],
        widest: int,
    ) -> None:
        self.programs = programs
        self.torn = False
        self._numbers = numbers
        self._keys = keys
        devices = 1 if programs.mesh is None else programs.mesh.size
        self._ladder = ladder(widest, programs.plan.width, devices)
        self._seeds: list[int] = []  # one for each row
        self._blocks: list[_Block] = []
        self._loose: dict[Id, Arrays | None] = {}  # members that stand in no block; None at step 0

    def renumber(self, numbers: Mapping[str, np.ndarray]) -> None:
        """Gives members their hyperparameters that are numbers, `[points]`; none may stand in a block."""
        assert not self._blocks
        self._numbers = numbers

    def holds(self, member: Id) -> bool:
        """Whether a member has a state."""
        return member in self._loose or any(member in block.places for block in self._blocks)

    def start(self, ids: Sequence[Id]) -> None:
        """Puts members to step 0."""
        self._forget(ids)
        self._loose |= dict.fromkeys(ids)

    def put(self, states: Mapping[Id, Arrays]) -> None:
        """Puts members to given states."""
        self._forget(list(states))
        self._loose |= states

    def state(self, member: Id) -> Arrays:
        """A member's state."""
        if member in self._loose:
            return self._own(member)
        block = next(block for block in self._blocks if member in block.places)
        return self._cell(block, *block.places[member])

    def drop(self, ids: Sequence[Id]) -> None:
        """Forgets members; their places stay until the others move together."""
        self._forget(ids)

    def advance(self, ids: Sequence[Id], selected: Callable[[int], Any], count: int) -> dict[Id, Outcome]:
        """Trains members for `count` steps; `selected(seed)` is what a seed's batches are gathered from."""
        self._arrange(ids)
        outcomes: dict[Id, Outcome] = {}
        self.torn = self.programs.plan.lean
        self._blocks = [self._advance(block, selected, count, outcomes) for block in self._blocks]
        self.torn = False
        return outcomes

    def rehearse(self, ids: Sequence[Id], selected: Callable[[int], Any], count: int) -> None:
        """The same work, without any member being moved by it."""
        self._arrange(ids)
        for block in self._blocks:
            self._advance(block, selected, count, {})

    def evaluate(self, ids: Sequence[Id], held_out: HeldOut, name: str) -> np.ndarray:
        """Held-out metrics, `[members, metrics]`."""
        self._arrange(ids)
        rows: dict[Id, np.ndarray] = {}
        for block in self._blocks:
            table = np.asarray(self.programs.evaluate(block.arrays, held_out, name, block.size))
            rows |= {i: table[r, c] for r, c, i in block.cells}
        return np.stack([rows[i] for i in ids])

    def observe(self, ids: Sequence[Id], measured: np.ndarray) -> None:
        """Tells members their held-out metrics."""
        self._arrange(ids)
        rows = dict(zip(ids, measured, strict=True))
        told = []
        for block in self._blocks:
            table = np.zeros((*block.size, measured.shape[1]), np.float32)
            for r, c, i in block.cells:
                table[r, c] = rows[i]
            arrays = self.programs.observe(block.arrays, self.programs.place(jnp.asarray(table)), block.size)
            told.append(dataclasses.replace(block, arrays=arrays))
        self._blocks = told

    def _advance(
        self,
        block: _Block,
        selected: Callable[[int], Any],
        count: int,
        outcomes: dict[Id, Outcome],
    ) -> _Block:
        programs = self.programs
        by_seed = [selected(_stand_in(block.layout, r)[1]) for r in range(block.size[0])]
        chosen = by_seed[0]
        if programs.batched:
            chosen = jax.tree.map(lambda *xs: jnp.stack(xs, axis=1), *by_seed)
        chunk = programs.advance(block.arrays, block.numbers, chosen, count, block.size)
        metrics, good = np.asarray(chunk.metrics)[:, :, :count], np.asarray(chunk.good)
        loss = programs.member.names.index("loss")
        ends: dict[tuple[int, int], Arrays] = {}
        for r, c, i in block.cells:
            own = metrics[r, c]
            if chunk.still_at is not None and not good[r, c]:
                state = _on_one_device(_picked(chunk.arrays, r, c))
                at = int(chunk.still_at[r, c])
                outcomes[i] = _replay.stood_still(programs, state, self._number(i), by_seed[r], own, at)
            elif _replay.healthy(own, good[r, c], loss):
                outcomes[i] = Outcome(own, None)
            else:
                start = self._cell(block, r, c)
                ends[r, c], outcomes[i] = _replay.settle(programs, start, self._number(i), by_seed[r], count)
        return dataclasses.replace(block, arrays=self._written(chunk.arrays, ends))

    def _written(self, arrays: Arrays, ends: Mapping[tuple[int, int], Arrays]) -> Arrays:
        """A grid's arrays with other states at some of its places."""
        for (row, column), end in ends.items():
            arrays = _put(arrays, row, column, self.programs.replicate(end))
        return arrays

    def _arrange(self, ids: Sequence[Id]) -> None:
        """Makes the blocks hold these members and no others, no wider than they need to be."""
        standing = {i for block in self._blocks for _, _, i in block.cells}
        layouts = self._layouts(ids)
        if standing == set(ids) and [b.size for b in self._blocks] == [
            (len(layout), len(layout[0])) for layout in layouts
        ]:
            return
        place: dict[Id, int] = {}
        blocks: list[Arrays] = []
        offset = 0
        for block in self._blocks:
            rows, columns = block.size
            blocks.append(_on_one_device(block.arrays))
            place |= {i: offset + r * columns + c for r, c, i in block.cells}
            offset += rows * columns
        loose = [i for i in ids if i in self._loose]
        place |= {i: offset + n for n, i in enumerate(loose)}
        if not blocks:
            self.torn = True  # members are let go of one by one
            self._blocks = [self._new_block(layout) for layout in layouts]
            self.torn = False
            return
        sources = (blocks, [self._own(i) for i in loose])
        going = standing - set(ids)
        self._loose = {i: x for i, x in self._loose.items() if i not in place}
        for block in self._blocks:
            self._loose |= {i: self._cell(block, r, c) for r, c, i in block.cells if i in going}
        self._blocks = [self._block(layout, sources, place) for layout in layouts]

    def _block(
        self,
        layout: list[list[Id | None]],
        sources: tuple[list[Arrays], list[Arrays]],
        place: Mapping[Id, int],
    ) -> _Block:
        """A block of members out of others, and of none, by their number among all."""
        filled = _filled(layout)
        index = np.array([[place[i] for i in row] for row in filled], np.int32)
        return self._placed(layout, filled, _gathered(*sources, index))

    def _new_block(self, layout: list[list[Id | None]]) -> _Block:
        """A block of members that stand in none; never are all of them there twice."""
        filled = _filled(layout)
        places: dict[Id, list[tuple[int, int]]] = {}
        for r, row in enumerate(filled):
            for c, i in enumerate(row):
                places.setdefault(i, []).append((r, c))
        arrays: Arrays | None = None
        for i, cells in places.items():
            own = self._own(i)
            arrays = _room(own, len(filled), len(filled[0])) if arrays is None else arrays
            for row, column in cells:
                arrays = _put(arrays, row, column, own)
            self._loose.pop(i)
        assert arrays is not None
        return self._placed(layout, filled, arrays)

    def _placed(self, layout: list[list[Id | None]], filled: list[list[Id]], arrays: Arrays) -> _Block:
        positions = np.array([[i[0] for i in row] for row in filled])
        numbers = {name: jnp.asarray(values[positions]) for name, values in self._numbers.items()}
        return _Block(layout, self.programs.place(arrays), self.programs.place(numbers))

    def _own(self, member: Id) -> Arrays:
        """The state of a member that stands in no block."""
        arrays = self._loose[member]
        return self.programs.start(self._keys(member[1]), self._number(member)) if arrays is None else arrays

    def _cell(self, block: _Block, row: int, column: int) -> Arrays:
        return _on_one_device(_picked(block.arrays, row, column))

    def _layouts(self, ids: Sequence[Id]) -> list[list[list[Id | None]]]:
        """Who stands where: each seed's members in their order, from the left."""
        self._seeds = sorted({seed for _, seed in ids}.union(self._seeds))
        queues = {seed: [i for i in ids if i[1] == seed] for seed in self._seeds}
        layouts, begin = [], 0
        left = max(len(queue) for queue in queues.values())
        while left > 0:
            width = next((w for w in self._ladder if w >= left), self._ladder[-1])
            layout: list[list[Id | None]] = [
                [queue[c] if c < len(queue) else None for c in range(begin, begin + width)]
                for queue in queues.values()
            ]
            layouts.append(layout)
            begin, left = begin + width, left - width
        return layouts

    def _forget(self, ids: Sequence[Id]) -> None:
        gone = set(ids)
        self._loose = {i: x for i, x in self._loose.items() if i not in gone}
        layouts = [
            [[None if i in gone else i for i in row] for row in block.layout] for block in self._blocks
        ]
        emptied = map(lambda block, layout: dataclasses.replace(block, layout=layout), self._blocks, layouts)
        self._blocks = [block for block in emptied if block.cells]

    def _number(self, member: Id) -> dict[str, jax.Array]:
        return {name: jnp.asarray(values[member[0]]) for name, values in self._numbers.items()}


def ladder(widest: int, most: int | None, devices: int) -> list[int]:
    """Numbers of columns, smallest first: halves of the widest, each a multiple of the devices."""
    width = min(widest, most) if most else widest
    rungs = {-(-width // devices) * devices}
    while width > 1:
        width = -(-width // 2)
        rungs.add(-(-width // devices) * devices)
    return sorted(rungs)


# Each is one program: leaf by leaf, compiling would take longer than many a chunk of training.


@jax.jit
def _picked(arrays: Arrays, row: Any, column: Any) -> Arrays:
    """One member's arrays out of a grid's."""
    return [x[row, column] for x in arrays]


@functools.partial(jax.jit, donate_argnums=0)
def _put(arrays: Arrays, row: Any, column: Any, new: Arrays) -> Arrays:
    """A grid's arrays with one member's replaced, in place."""
    return [x.at[row, column].set(y) for x, y in zip(arrays, new, strict=True)]


@jax.jit
def _gathered(blocks: list[Arrays], loose: list[Arrays], index: Any) -> Arrays:
    """A grid made of members that stand in others, row by row, or in none, by their number among all."""
    flat = [[x.reshape(-1, *x.shape[2:]) for x in arrays] for arrays in blocks]
    flat += [[x[None] for x in arrays] for arrays in loose]
    return [jnp.concatenate(xs)[index] for xs in zip(*flat, strict=True)]


@functools.partial(jax.jit, static_argnums=(1, 2))
def _room(arrays: Arrays, rows: int, columns: int) -> Arrays:
    """A grid of states like one member's, to be written into."""
    return [jnp.broadcast_to(x, (rows, columns, *x.shape)) for x in arrays]


def _on_one_device(arrays: Arrays) -> Arrays:
    """Arrays that may be laid out over a mesh, on the first device."""
    return [x if len(x.devices()) == 1 else jax.device_put(x, jax.devices()[0]) for x in arrays]


def _filled(layout: list[list[Id | None]]) -> list[list[Id]]:
    """Who stands where once nothing is left free."""
    spare = [_stand_in(layout, r) for r in range(len(layout))]
    return [[spare[r] if i is None else i for i in row] for r, row in enumerate(layout)]


def _stand_in(layout: list[list[Id | None]], row: int) -> Id:
    """Who fills up a row: one of its members, or one of another's if it has none left."""
    places = itertools.chain(layout[row], *layout)
    return next(i for i in places if i is not None)
