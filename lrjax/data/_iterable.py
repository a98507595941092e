"""Iterables of batches: loaders of other libraries, lists."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from lrjax import _check
from lrjax.data import _digest
from lrjax.data._data import Data
from lrjax.data._source import Source, put, room_for, unfit


class FromIterable(Data):
    """Endless passes over an iterable that can be read again; made of one where data is expected.

    Step t is the t-th batch of all passes together, for every seed alike. Steps are read in order; an
    earlier one is reached by reading from the start. A digest of each batch is kept, and a step that
    is read again must come out the same. A batch at the end of a pass that is shorter than the others
    is left out, as `batches` leaves out what fills no batch.

    Args:
      iterable: An iterable of batches whose `iter()` starts anew each time. A batch is a pytree of
        arrays of NumPy, JAX, PyTorch or TensorFlow, or of numbers, and all have one structure, dtype
        and shape. 64-bit arrays become 32-bit unless JAX's x64 mode is on.
      call: The function to name in errors.
      argument: Its argument.

    Raises:
      TypeError: If it is not such an iterable, or a batch holds something else than numbers.
      ValueError: If there is no batch, or a list's batches are not alike.

    Example:
      >>> import numpy as np, lrjax
      >>> data = lrjax.data.FromIterable([np.zeros(2), np.ones(2)])
      >>> data(0).tolist(), data(3).tolist()
      ([0.0, 0.0], [1.0, 1.0])
    """

    per_seed = False
    on_device = False

    def __init__(
        self, iterable: Iterable[Any], call: str = "FromIterable", argument: str = "iterable"
    ) -> None:
        expected = "an iterable of batches that can be read again"
        reason = unfit(iterable)
        if reason is not None:
            raise _check.fail_type(call, argument, expected, f"a {type(iterable).__name__}{reason}")
        self._source = Source(call, argument, iterable)
        if isinstance(iterable, list):
            for _ in self._source.one_pass():
                pass  # what is wrong with any of them is known before training
        self._marks = bytearray()
        self._position = 0  # the step that the stream gives next
        self._stream: Iterator[Any] | None = None
        # Held, so that a look at the first batch leaves the stream where it is: a loader that
        # shuffles anew each time it is read can serve one training.
        self._first = jax.tree.map(np.array, self._read())

    def schedule(self, start: int, length: int, seed_indices: Sequence[int]) -> Any:
        """The batches themselves, `[length, ...]`."""
        del seed_indices
        stacked = room_for(length, self._first)
        for step in range(start, start + length):
            put(stacked, step - start, self._first if step == 0 else self._batch(step))
        return stacked

    def gather(self, arrays: Any, selected: Any) -> Any:
        """The batch that was read."""
        return selected

    def digest(self) -> str:
        """Tells iterables apart by their first batch."""
        return _digest.text("first batch of an iterable", self._first)

    def check_replay(self) -> None:
        """Reads the first batch again, before a training that goes through the steps more than once.

        Raises:
          ValueError: If it is another.
        """
        self._start_over()
        self._read()

    def _batch(self, step: int) -> Any:
        if self._stream is None or self._position > step:
            self._start_over()
        while self._position < step:
            self._read()
        return self._read()

    def _start_over(self) -> None:
        self._stream, self._position = None, 0

    def _read(self) -> Any:
        """The stream's next batch, compared with what the step gave before."""
        stream = self._source.endless() if self._stream is None else self._stream
        self._stream = None  # a stream that raises is not read on
        batch = next(stream)
        mark = _digest.mark(batch)
        begin = self._position * _digest.MARK_BYTES
        seen = self._marks[begin : begin + _digest.MARK_BYTES]
        if seen and seen != mark:
            expected = "an iterable that gives the same batches in the same order each time it is read"
            got = (
                f"another batch for step {self._position} when it was read again (shuffled anew? hold its "
                "batches with `lrjax.cached(iterable, steps)`, or seed its order afresh in each `iter()`)"
            )
            raise _check.fail(self._source.call, self._source.argument, expected, got)
        if not seen:
            self._marks += mark
        self._stream = stream
        self._position += 1
        return batch
