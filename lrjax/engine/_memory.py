"""How many members fit the memory at a time: programs of two sizes tell what each further one takes."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from lrjax.engine._member import Arrays
from lrjax.engine._program import Programs

_SHARE = 0.9  # of what is free, that a sweep may take
_CGROUP = Path("/sys/fs/cgroup")


def free() -> int | None:
    """Bytes that the device has left, or None where that is not known."""
    stats = jax.devices()[0].memory_stats() or {}
    if "bytes_limit" in stats:
        return stats["bytes_limit"] - stats["bytes_in_use"]
    found: list[int] = []
    with contextlib.suppress(OSError, ValueError, AttributeError):
        found.append(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        found = [1024 * int(next(x for x in lines if x.startswith("MemAvailable:")).split()[1])]
    with contextlib.suppress(OSError, ValueError):  # "max" where there is no limit
        limit, used = ((_CGROUP / name).read_text() for name in ("memory.max", "memory.current"))
        found.append(int(limit) - int(used))
    return min(found, default=None)


def size_of(tree: Any) -> int:
    """Bytes of a tree of arrays, or of their outlines."""
    return sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(tree))


def columns_that_fit(
    programs: Programs,
    outline: Arrays,
    numbers: Mapping[str, Any],
    selected: Any,
    size: tuple[int, int],
    room: int,
) -> int:
    """How many columns of a grid, at least one, a program may hold at a time.

    Besides that program's arrays, the memory holds all members as they were before the chunk, and as they
    are after it those whose turn was before.

    Args:
      programs: Those of the grid.
      outline: The shapes and dtypes of a member's state.
      numbers: Those of its hyperparameters that are numbers.
      selected: What one seed's batches of a chunk are gathered from.
      size: The grid's rows and columns.
      room: Bytes that are free.
    """
    rows, columns = size

    def moving(width: int) -> int:
        def grid(x: Any) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct((rows, width, *x.shape), x.dtype)

        def steps(x: Any) -> jax.ShapeDtypeStruct:
            shape = (x.shape[0], rows, *x.shape[1:]) if programs.batched else x.shape
            return jax.ShapeDtypeStruct(shape, x.dtype)

        shapes = jax.tree.map(grid, outline), jax.tree.map(grid, dict(numbers))
        return programs.bytes_moving(*shapes, jax.tree.map(steps, selected), (rows, width))

    one, two = moving(1), moving(2)
    row_states = rows * size_of(outline)
    each = max(1, two - one - row_states)
    spare = _SHARE * room - (one - row_states) - (2 * columns - 1) * row_states
    return min(columns, max(1, 1 + int(spare // each))) if spare > 0 else 1
