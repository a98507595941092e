"""A number of batches held in memory."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import jax

from lrjax import _check
from lrjax.data import _digest
from lrjax.data._data import Data
from lrjax.data._source import Source, is_iterator, put, room_for, unfit


class Cached(Data):
    """Batches held in the host's memory; see `cached`.

    Attributes:
      steps: How many there are.

    Example:
      >>> import lrjax
      >>> lrjax.cached(iter([1.0, 2.0]), steps=2).steps
      2
    """

    per_seed = False
    on_device = False

    def __init__(self, iterable: Iterable[Any], steps: int) -> None:
        self.steps = steps = _check.integer("cached", "steps", steps, low=1)
        reason = unfit(iterable, read_once=True)
        if reason is not None:
            got = f"a {type(iterable).__name__}{reason}"
            raise _check.fail_type("cached", "iterable", "an iterable of batches", got)
        source = Source("cached", "iterable", iterable)
        stream = source.one_pass() if is_iterator(iterable) else source.endless()
        held, room = 0, None
        for batch in itertools.islice(stream, steps):
            if room is None:
                room = room_for(steps, batch)
            put(room, held, batch)
            held += 1
        if held == 0:
            raise _check.fail("cached", "iterable", "an iterable of at least one batch", "none")
        if held < steps:
            expected = f"at most {held}, the full batches that the iterator gives"
            raise _check.fail("cached", "steps", expected, steps)
        for leaf in jax.tree.leaves(room):
            leaf.flags.writeable = False  # what is handed out are views
        self._batches, self._held = room, held

    def schedule(self, start: int, length: int, seed_indices: Sequence[int]) -> Any:
        """The batches themselves, `[length, ...]`.

        Raises:
          ValueError: If there are not so many.
        """
        del seed_indices
        if start + length > self._held:
            expected = f"below {self._held}, the number of batches that `lrjax.cached` holds"
            raise _check.fail("data", "step", expected, start + length - 1)
        return jax.tree.map(lambda x: x[start : start + length], self._batches)

    def gather(self, arrays: Any, selected: Any) -> Any:
        """The batch that is held."""
        return selected

    def digest(self) -> str:
        """Tells it from others by all that it holds."""
        return _digest.text("cached", self._batches)


def cached(iterable: Iterable[Any], steps: int) -> Cached:
    """Takes batches from any iterable into the host's memory, to be replayed as often as needed.

    It makes data of what can be read only once, or comes in another order each time it is read. All
    seeds see the same batches.

    Args:
      iterable: Batches: pytrees of arrays of NumPy, JAX, PyTorch or TensorFlow, or of numbers, all of
        one structure, dtype and shape; one at the end of a pass that is shorter than the others is
        left out. 64-bit arrays become 32-bit unless JAX's x64 mode is on. An iterable that ends is
        read again; an iterator cannot be.
      steps: How many batches to take, >= 1: as many as a training has steps.

    Returns:
      A `Data` whose `steps` is what it holds.

    Raises:
      TypeError: If it is no iterable of batches, or a batch holds something else than numbers.
      ValueError: If there is no batch, an iterator ends too early, or batches are not alike.

    Example:
      >>> import numpy as np, lrjax
      >>> once = (np.full(3, step) for step in range(10))
      >>> data = lrjax.cached(once, steps=5)
      >>> data(4).tolist(), data(0).tolist()
      ([4, 4, 4], [0, 0, 0])
    """
    return Cached(iterable, steps)
