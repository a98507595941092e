"""Reading an iterable of batches, pass after pass."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.tree_util import keystr, tree_leaves_with_path

from lrjax import _check
from lrjax.data._data import Data
from lrjax.data._host import as_numpy


class Source:
    """An iterable of batches, and the call and argument that a user gave it to.

    All batches have the structure, dtypes and shapes of the first one that was read.

    Attributes:
      call: The public function the user called.
      argument: The argument's name there.
      iterable: The iterable.
    """

    def __init__(self, call: str, argument: str, iterable: Iterable[Any]) -> None:
        self.call, self.argument, self.iterable = call, argument, iterable
        self._outline: Any = None

    def one_pass(self) -> Iterator[Any]:
        """The full batches of one pass, as NumPy trees; a shorter one at its end is left out.

        Raises:
          TypeError: If a leaf is not numbers.
          ValueError: If a batch is not like the first.
        """
        short = None
        for position, batch in enumerate(self.iterable):
            if short is not None:
                raise self._unlike(*short, " and is not the last (drop or pad short batches in the loader)")
            batch = as_numpy(self.call, self.argument, batch)
            if self._outline is None:
                self._outline = self._first_outline(batch)
            if self._is_shorter(position, batch):
                short = position, batch
            else:
                yield batch

    def endless(self) -> Iterator[Any]:
        """Passes without end; see `one_pass`.

        Raises:
          ValueError: Also if a pass has no full batch.
        """
        passes = 0
        while True:
            empty = True
            for batch in self.one_pass():
                empty = False
                yield batch
            if empty and passes == 0:
                raise _check.fail(self.call, self.argument, "an iterable of at least one batch", "none")
            if empty:
                expected = "an iterable that gives its batches each time it is read"
                got = f"no batch in pass {passes + 1} (hold its batches with `lrjax.cached(iterable, steps)`)"
                raise _check.fail(self.call, self.argument, expected, got)
            passes += 1

    def _first_outline(self, batch: Any) -> Any:
        if not jax.tree.leaves(batch):
            raise _check.fail(self.call, self.argument, "batches of at least one array", "none")
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), batch)

    def _is_shorter(self, position: int, batch: Any) -> bool:
        """Whether the batch is like the first but for fewer examples; raises if it is like it in less."""
        if jax.tree.structure(batch) != jax.tree.structure(self._outline):
            raise self._unlike(position, batch)
        shorter = False
        for leaf, first in zip(jax.tree.leaves(batch), jax.tree.leaves(self._outline), strict=True):
            if leaf.dtype == first.dtype and leaf.shape == first.shape:
                continue
            if (
                leaf.dtype != first.dtype
                or leaf.ndim != len(first.shape)
                or leaf.shape[1:] != first.shape[1:]
            ):
                raise self._unlike(position, batch)
            if leaf.shape[0] > first.shape[0]:
                raise self._unlike(position, batch)
            shorter = True
        return shorter

    def _unlike(self, position: int, batch: Any, remark: str = "") -> ValueError:
        """The error for a batch that is not like the first (the caller raises it)."""
        if jax.tree.structure(batch) != jax.tree.structure(self._outline):
            came = f"{jax.tree.structure(batch)} after {jax.tree.structure(self._outline)}"
        else:
            pairs = zip(tree_leaves_with_path(batch), jax.tree.leaves(self._outline), strict=True)
            came = next(
                f"{_array(leaf)} after {_array(first)} at {keystr(path) or 'the batch'}"
                for (path, leaf), first in pairs
                if (leaf.shape, leaf.dtype) != (first.shape, first.dtype)
            )
        if isinstance(self.iterable, list):
            remark += " (a list is read as batches: wrap in-memory arrays in `lrjax.batches`)"
        got = f"{came}: batch {position} of a pass{remark}"
        return _check.fail(self.call, self.argument, "batches of one structure, dtype and shape", got)


def unfit(value: Any, *, read_once: bool = False) -> str | None:
    """What else a value is, where it is no iterable of batches; None where it may be one.

    Args:
      value: Anything.
      read_once: Whether an iterator will do.
    """
    if isinstance(value, Data):
        return " (which replays already)"
    if isinstance(value, (tuple, Mapping)) or hasattr(value, "shape"):
        return " (in-memory arrays: wrap them in `lrjax.batches`)"
    if isinstance(value, (str, bytes, set, frozenset)):
        return ""
    if isinstance(value, Iterable):
        if read_once or not is_iterator(value):
            return None
        return (
            " (it is read once and cannot be replayed: hold its batches with `lrjax.cached(iterator, steps)`)"
        )
    if isinstance(value, type):
        return " (a class: give one of its instances)"
    if inspect.isgeneratorfunction(value):
        return " (a generator function: hold its batches with `lrjax.cached(f(), steps)`)"
    if callable(value):
        return " (a function of the step: wrap it in `lrjax.from_function`)"
    if hasattr(value, "__getitem__"):
        return " (examples by index: give the loader that makes batches of them)"
    return ""


def instead(value: Any) -> str:
    """What to do with a value that came where something else than an iterable of batches is expected."""
    if isinstance(value, Data):
        return " (data already: pass it as it is)"
    reason = unfit(value, read_once=True)
    if reason is not None:
        return reason
    return " (if it gives batches, it is data as it is, or with `lrjax.cached(iterable, steps)`)"


def is_iterator(iterable: Iterable[Any]) -> bool:
    """Whether it is gone when it was read."""
    return isinstance(iterable, Iterator) and iter(iterable) is iterable


def room_for(length: int, batch: Any) -> Any:
    """A tree of arrays that hold `length` batches."""
    return jax.tree.map(lambda x: np.empty((length, *x.shape), x.dtype), batch)


def put(room: Any, index: int, batch: Any) -> None:
    """Copies a batch to its place; at once, since a loader may fill the same memory again."""
    for held, leaf in zip(jax.tree.leaves(room), jax.tree.leaves(batch), strict=True):
        held[index] = leaf


def _array(x: Any) -> str:
    return f"{x.dtype}{list(x.shape)}"
