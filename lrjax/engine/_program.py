"""The compiled programs of a group: one member alone, or a grid of members in one program.

Data are arguments, never constants, and no hyperparameter that is a number is part of a program: one
program serves all members.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from lrjax.engine import _compiling, _over
from lrjax.engine._canonical import canonical
from lrjax.engine._member import Arrays, Member
from lrjax.results import Plan

_MOST_UNROLLED = 10  # steps
_STEP = ("member", "row", "member")
_ADVANCE = ("member", "member", "shared", "shared", "shared")


class Chunk(NamedTuple):
    """What a chunk of steps gives; for a grid every array leads with `[rows, columns]`.

    Attributes:
      metrics: float32 `[steps, metrics]`; at least as many steps as were taken.
      arrays: The state afterwards.
      good: Whether all that was finite before still is.
      still_at: int32, of a lean program: the step within the chunk whose loss or new state was not
        finite, from which on the state is kept; -1 for none. None of any other program.
    """

    metrics: jax.Array
    arrays: Arrays
    good: jax.Array
    still_at: jax.Array | None = None


class HeldOut(NamedTuple):
    """Arrays to evaluate on.

    Attributes:
      arrays: A tree of arrays with a leading example axis.
      examples: How many examples there are.
      batch_size: How many are evaluated at a time.
    """

    arrays: Any
    examples: int
    batch_size: int


class Programs:
    """The programs of one group, each compiled on first use.

    Attributes:
      member: The functions that are compiled.
      plan: How they are put together.
      length: The longest chunk, in steps.
      unit: What all chunks are multiples of, in steps.
      batched: Whether each seed has batches of its own.
      mesh: The devices that columns are laid out over, or None.
      any_count: Whether one program of a grid serves chunks of any length.
      seconds_compiling: What tracing and compiling took so far.
      seconds_told: What JAX says of that it took.
    """

    def __init__(
        self, member: Member, plan: Plan, batched: bool, length: int, unit: int, mesh: Mesh | None
    ) -> None:
        self.member = member
        self.plan = plan
        self.length = length
        self.unit = unit
        self.mesh = mesh
        self.seconds_compiling = self.seconds_told = 0.0
        self.batched = batched
        self._unroll = _unrolled_steps(plan.steps, unit)
        self.any_count = jax.default_backend() == "cpu"  # a loop elsewhere asks the host for it
        self._compiled: dict[Any, Any] = {}
        self._replicated: dict[int, Any] = {}
        self._lock = threading.Lock()

    # One member.

    def start(self, key: jax.Array, numbers: Mapping[str, jax.Array]) -> Arrays:
        """A member's state before its first step."""
        return self._call(("start",), self.member.start, (key, numbers))

    def advance_alone(
        self, arrays: Arrays, numbers: Mapping[str, jax.Array], selected: Any, count: int
    ) -> Chunk:
        """`count` steps of one member; `selected` leads with `length` steps, those after `count` unused."""
        if self.plan.steps == "scan":
            return self.replay(arrays, numbers, selected, count)
        return self._in_pieces("alone", _alone, arrays, numbers, selected, count)

    def replay(self, arrays: Arrays, numbers: Mapping[str, jax.Array], selected: Any, count: int) -> Chunk:
        """The same in one loop with its bound as an argument: any number of steps, one program."""
        arguments = (arrays, numbers, self.member.data.arrays, selected, jnp.int32(count))
        return self._call(("replay",), self._alone(), arguments)

    def evaluate_alone(self, arrays: Arrays, held_out: HeldOut, name: str) -> jax.Array:
        """Held-out metrics of one member, `[metrics]`; `name` tells sets of held-out data apart."""
        return self._call(("evaluate alone", name), self._evaluation(held_out), (arrays, held_out.arrays))

    def observe_alone(self, arrays: Arrays, measured: jax.Array) -> Arrays:
        """One member that has been told its held-out metrics."""
        return self._call(("observe alone",), self.member.observe, (arrays, measured))

    def diagnose(
        self, arrays: Arrays, numbers: Mapping[str, jax.Array], selected: Any, offset: int
    ) -> dict[str, jax.Array]:
        """What is finite in the step at `offset` of a chunk, taken from the state before it."""

        def function(arrays: Arrays, numbers: Any, data: Any, selected: Any, offset: jax.Array) -> Any:
            batch = self.member.data.gather(data, _at(selected, offset))
            return self.member.diagnose(arrays, batch, numbers)

        arguments = (arrays, numbers, self.member.data.arrays, selected, jnp.int32(offset))
        return self._call(("diagnose",), function, arguments)

    # A grid of members. `size` tells grids of different sizes apart.

    def advance(
        self, arrays: Arrays, numbers: Mapping[str, jax.Array], selected: Any, count: int, size: Any
    ) -> Chunk:
        """`count` steps of a grid; `selected` leads with steps, and with rows where they differ."""
        if self.plan.steps != "scan":
            return self._in_pieces(size, self._lanes, arrays, numbers, selected, count)
        static = None if self.any_count else count
        arguments = self._grid_arguments(arrays, numbers, selected, count)
        donated = (0,) if self.plan.lean else ()
        return self._call(("advance", size, static), self._grid(static), arguments, donated)

    def bytes_moving(self, arrays: Arrays, numbers: Any, selected: Any, size: Any) -> int:
        """Bytes that a grid's chunk takes beside its arguments, from their shapes and dtypes alone."""
        static = None if self.any_count else self.length
        key, data = ("advance", size, static), self.member.data.arrays
        arguments = (arrays, numbers, data, selected, jnp.int32(self.length))
        program = self._compiled.get(key) or self._compile(key, self._grid(static), arguments, ())
        took = program.memory_analysis()
        return took.temp_size_in_bytes + took.output_size_in_bytes - took.alias_size_in_bytes

    def evaluate(self, arrays: Arrays, held_out: HeldOut, name: str, size: Any) -> jax.Array:
        """Held-out metrics of a grid of members, `[rows, columns, metrics]`."""
        kinds = ("member", "shared")
        function = self._over_grid(self._evaluation(held_out), kinds)
        return self._call(("evaluate", name, size), function, (arrays, self._kept(held_out.arrays)))

    def observe(self, arrays: Arrays, measured: jax.Array, size: Any) -> Arrays:
        """A grid of members that have been told their held-out metrics."""
        kinds = ("member", "member")
        function = self._over_grid(self.member.observe, kinds)
        return self._call(("observe", size), function, (arrays, measured))

    def place(self, tree: Any) -> Any:
        """A tree of arrays that lead with rows and columns, laid out over the devices."""
        if self.mesh is None:
            return tree
        return jax.device_put(tree, NamedSharding(self.mesh, _over.MEMBERS))

    def replicate(self, tree: Any) -> Any:
        """A tree of arrays, whole on every device."""
        if self.mesh is None:
            return tree
        return jax.device_put(tree, NamedSharding(self.mesh, PartitionSpec()))

    # How functions of one step become programs.

    def _alone(self) -> Callable[..., Chunk]:
        """A chunk of one member, its number of steps an argument."""
        return self._loop(_alone, None)

    def _grid(self, static: int | None) -> Callable[..., Chunk]:
        """A chunk of a grid."""
        if self.plan.members == "mapped":
            kinds = ("member", "member", "shared", "row", "shared")
            each = _over.mapped(self._alone(), kinds, self.batched)

            def function(arrays: Arrays, numbers: Any, data: Any, selected: Any, count: Any) -> Chunk:
                by_row = jax.tree.map(lambda x: jnp.moveaxis(x, 1, 0), selected)
                return each(arrays, numbers, data, by_row if self.batched else selected, count)
        else:
            loop = self._lean_loop if self.plan.lean else self._loop
            function = loop(self._lanes, static)
        return self._sharded(function, _ADVANCE)

    def _loop(self, form: Callable[..., _over.Lanes], static: int | None) -> Callable[..., Chunk]:
        def advance(arrays: Arrays, numbers: Any, data: Any, selected: Any, count: Any) -> Chunk:
            lanes = form(arrays)
            begin, numbers = lanes.enter((arrays, numbers))
            step, gather = lanes.over(self.member.step, _STEP), lanes.rows(self.member.data.gather)

            def one_step(t: jax.Array, carry: Any) -> Any:
                arrays, table = carry
                arrays, metrics = step(arrays, gather(data, _at(selected, t)), numbers)
                return arrays, table.at[t].set(metrics)

            bound = count if static is None else static
            end, table = jax.lax.fori_loop(0, bound, one_step, (begin, self._table(lanes, begin)))
            good = lanes.over(self.member.good, ("member", "member"))(end, begin)
            return lanes.leave(Chunk(jnp.moveaxis(table, 0, lanes.axes), end, good))

        return advance

    def _lean_loop(self, form: Callable[..., _over.Lanes], static: int | None) -> Callable[..., Chunk]:
        """A loop that tests every step, so that no state but the present one is needed."""

        def advance(arrays: Arrays, numbers: Any, data: Any, selected: Any, count: Any) -> Chunk:
            lanes = form(arrays)
            begin, numbers = lanes.enter((arrays, numbers))
            step = lanes.over(self._step_unless_bad, ("member", "member", "row", "member", "shared"))
            gather = lanes.rows(self.member.data.gather)

            def one_step(t: jax.Array, carry: Any) -> Any:
                arrays, still_at, table = carry
                batch = gather(data, _at(selected, t))
                arrays, still_at, metrics = step(arrays, still_at, batch, numbers, t)
                return arrays, still_at, table.at[t].set(metrics)

            table = self._table(lanes, begin)
            still_at = jnp.full(table.shape[1:-1], -1, jnp.int32)
            bound = count if static is None else static
            end, still_at, table = jax.lax.fori_loop(0, bound, one_step, (begin, still_at, table))
            return lanes.leave(Chunk(jnp.moveaxis(table, 0, lanes.axes), end, still_at < 0, still_at))

        return advance

    def _step_unless_bad(
        self, arrays: Arrays, still_at: jax.Array, batch: Any, numbers: Any, t: jax.Array
    ) -> tuple[Arrays, jax.Array, jax.Array]:
        new, metrics = self.member.step(arrays, batch, numbers)
        loss = metrics[self.member.names.index("loss")]
        bad = ~(jnp.isfinite(loss) & self.member.good(new, arrays))
        still_at = jnp.where((still_at < 0) & bad, t, still_at)
        kept = [jnp.where(still_at < 0, x, y) for x, y in zip(new, arrays, strict=True)]
        return kept, still_at, metrics

    def _in_pieces(
        self,
        size: Any,
        form: Callable[..., _over.Lanes],
        arrays: Arrays,
        numbers: Any,
        selected: Any,
        count: int,
    ) -> Chunk:
        """A chunk as calls of a program without a loop: one step, or a few."""
        alone = size == "alone"

        def piece(arrays: Arrays, numbers: Any, data: Any, selected: Any, offset: jax.Array) -> Any:
            lanes = form(arrays)
            arrays, numbers = lanes.enter((arrays, numbers))
            step, gather = lanes.over(self.member.step, _STEP), lanes.rows(self.member.data.gather)
            table = []
            for t in range(self._unroll):
                arrays, metrics = step(arrays, gather(data, _at(selected, offset + t)), numbers)
                table.append(metrics)
            return lanes.leave((arrays, jnp.stack(table, axis=lanes.axes)))

        end, tables = arrays, []
        function = piece if alone else self._sharded(piece, _ADVANCE)
        for offset in range(0, count, self._unroll):
            arguments = self._grid_arguments(end, numbers, selected, offset)
            end, table = self._call(("piece", size), function, arguments)
            tables.append(table)
        good = self.member.good if alone else self._over_grid(self.member.good, ("member", "member"))
        return Chunk(
            jnp.concatenate(tables, axis=0 if alone else 2),
            end,
            self._call(("good", size), good, (end, arrays)),
        )

    def _lanes(self, arrays: Arrays, batched: bool | None = None) -> _over.Lanes:
        """How the members of a grid stand in a program that steps them all at once."""
        form = {"vmap": _over.vmapped, "unrolled": _over.unrolled}[self.plan.members]
        rows, columns = arrays[0].shape[:2]
        return form(rows, columns, self.batched if batched is None else batched)

    def _over_grid(self, function: Callable[..., Any], kinds: tuple[str, ...]) -> Callable[..., Any]:
        """A grid's function out of one member's; no argument is a row's, and the first is a member's."""
        if self.plan.members == "mapped":
            return self._sharded(_over.mapped(function, kinds, self.batched), kinds)

        def call(*arguments: Any) -> Any:
            lanes = self._lanes(arguments[0], batched=False)
            parts = zip(arguments, kinds, strict=True)
            placed = [lanes.enter(x) if kind == "member" else x for x, kind in parts]
            return lanes.leave(lanes.over(function, kinds)(*placed))

        return self._sharded(call, kinds)

    def _sharded(self, function: Callable[..., Any], kinds: tuple[str, ...]) -> Callable[..., Any]:
        return _over.sharded(function, kinds, self.mesh)

    def _evaluation(self, held_out: HeldOut) -> Callable[..., jax.Array]:
        def evaluate(arrays: Arrays, held_out_arrays: Any) -> jax.Array:
            return self.member.evaluate(arrays, held_out_arrays, held_out.examples, held_out.batch_size)

        return evaluate

    def _table(self, lanes: _over.Lanes, arrays: Arrays) -> jax.Array:
        members = arrays[0].shape[: lanes.axes]
        return jnp.full((self.length, *members, len(self.member.names)), jnp.nan, jnp.float32)

    def _grid_arguments(self, arrays: Arrays, numbers: Any, selected: Any, count: int) -> tuple[Any, ...]:
        data, rest = self._kept(self.member.data.arrays), (selected, jnp.int32(count))
        return arrays, numbers, data, *self.replicate(rest)

    def _kept(self, tree: Any) -> Any:
        """A tree that is asked for again and again, on every device of the mesh."""
        if self.mesh is None:
            return tree
        if id(tree) not in self._replicated:
            self._replicated[id(tree)] = (tree, self.replicate(tree))  # with the tree: its id stays its own
        return self._replicated[id(tree)][1]

    def _call(
        self, key: tuple[Any, ...], function: Callable[..., Any], arguments: Any, donate: Any = ()
    ) -> Any:
        program = self._compiled.get(key)
        if program is None:
            with self._lock:
                program = self._compiled.get(key) or self._compile(key, function, arguments, donate)
        return program(*arguments)

    def _compile(self, key: Any, function: Callable[..., Any], arguments: Any, donate: Any) -> Any:
        began, before = time.perf_counter(), _compiling.seconds()
        chosen = canonical(function) if self.plan.canonical else function
        # Unused arguments are kept: without them, programs that read different ones may have the same text.
        lowered = jax.jit(chosen, donate_argnums=donate, keep_unused=True).lower(*arguments)
        program = _compiling.compiled(lowered, arguments)
        self._compiled[key] = program
        self.seconds_compiling += time.perf_counter() - began
        self.seconds_told += _compiling.seconds() - before
        return program


def _alone(arrays: Arrays) -> _over.Lanes:
    return _over.alone()


def _at(selected: Any, t: Any) -> Any:
    return jax.tree.map(lambda x: x[t], selected)


def _unrolled_steps(steps: str, unit: int) -> int:
    """How many steps a program without a loop takes: one, or the largest small divisor of every chunk."""
    if steps != "unrolled":
        return 1
    return max(n for n in range(1, _MOST_UNROLLED + 1) if unit % n == 0)
