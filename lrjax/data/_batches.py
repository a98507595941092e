"""In-memory arrays, reshuffled every epoch and gathered on the device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lrjax import _check
from lrjax.data import _digest
from lrjax.data._data import Data
from lrjax.data._orders import Orders
from lrjax.data._source import instead


class Batches(Data):
    """In-memory arrays, reshuffled every epoch; see `batches`.

    Attributes:
      batch_size: Examples per batch.
      examples: Examples in the arrays.
      steps_per_epoch: Full batches per epoch; the rest of an epoch is left out.

    Example:
      >>> import numpy as np, lrjax
      >>> lrjax.batches(np.zeros(10), batch_size=4).steps_per_epoch
      2
    """

    def __init__(self, arrays: Any, batch_size: int, seed: int = 0) -> None:
        self._arrays, self.examples = as_examples("batches", arrays)
        self.batch_size = _check.integer("batches", "batch_size", batch_size, low=1)
        if self.batch_size > self.examples:
            expected = f"at most the number of examples, {self.examples}"
            raise _check.fail("batches", "batch_size", expected, self.batch_size)
        self.seed = _check.integer("batches", "seed", seed)
        self.steps_per_epoch = self.examples // self.batch_size
        self._orders = Orders(self.seed, self.examples)

    @property
    def arrays(self) -> Any:
        """The arrays, on the device."""
        return self._arrays

    def schedule(self, start: int, length: int, seed_indices: Sequence[int]) -> Any:
        """Indices of the examples of each step, int32 `[length, seeds, batch_size]`."""
        per_epoch = self.steps_per_epoch
        first, last = start // per_epoch, (start + max(length, 1) - 1) // per_epoch
        orders = self._orders.of(seed_indices, range(first, last + 1))
        whole = orders[:, :, : per_epoch * self.batch_size]
        steps = whole.reshape(len(seed_indices), -1, self.batch_size)
        begin = start - first * per_epoch
        return np.ascontiguousarray(steps[:, begin : begin + length].swapaxes(0, 1))

    def gather(self, arrays: Any, selected: Any) -> Any:
        """The selected examples."""
        return jax.tree.map(lambda x: x[selected], arrays)

    def digest(self) -> str:
        """Tells it from others by the arrays, the batch size and the seed."""
        return _digest.text("batches, sorted by bits", self._arrays, self.batch_size, self.seed)


def batches(arrays: Any, batch_size: int, seed: int = 0) -> Batches:
    """Batches of in-memory arrays, reshuffled every epoch and gathered on the device.

    An epoch is a permutation of all examples, cut into `batch_size`; what does not fill a batch is
    left out of that epoch. The permutation depends on `seed`, the member's seed index and the epoch.

    Args:
      arrays: A pytree of arrays with a common leading example axis. 64-bit arrays become 32-bit
        unless JAX's x64 mode is on.
      batch_size: Examples per batch, from 1 to the number of examples.
      seed: The seed of the order, >= 0.

    Returns:
      A `Data`: `data(step, seed_index=0)` is a batch with the arrays' structure and the leading
      axis `batch_size`.

    Raises:
      TypeError: If a leaf has no example axis, or a count is not an integer.
      ValueError: If leaves differ in length, or a number is out of range.

    Example:
      >>> import numpy as np, lrjax
      >>> data = lrjax.batches({"x": np.ones((10, 3)), "y": np.zeros(10)}, batch_size=5)
      >>> data(0)["x"].shape
      (5, 3)
    """
    return Batches(arrays, batch_size, seed)


def as_examples(call: str, arrays: Any, argument: str = "arrays") -> tuple[Any, int]:
    leaves = jax.tree_util.tree_leaves_with_path(arrays, is_leaf=lambda x: isinstance(x, Iterator))
    if not leaves:
        raise _check.fail(call, argument, "at least one array", "none")
    lengths = {}
    for path, leaf in leaves:
        where = jax.tree_util.keystr(path) or "the array"
        if not hasattr(leaf, "shape") or len(leaf.shape) == 0:
            expected = "arrays with a leading example axis"
            hint = _hint(leaf, bool(path), argument)
            raise _check.fail_type(call, argument, expected, f"{_check.describe(leaf)} at {where}{hint}")
        if isinstance(leaf, np.ndarray) and leaf.dtype != bool and not jnp.issubdtype(leaf.dtype, np.number):
            got = f"{_check.describe(leaf)} at {where} (encode it as numbers)"
            raise _check.fail_type(call, argument, "arrays of numbers", got)
        lengths[where] = leaf.shape[0]
    if len(set(lengths.values())) > 1:
        got = ", ".join(f"{length} at {where}" for where, length in lengths.items())
        raise _check.fail(call, argument, "arrays with as many examples each", got)
    examples = next(iter(lengths.values()))
    if examples == 0:
        raise _check.fail(call, argument, "arrays with at least one example", "none")
    return jax.tree.map(jnp.asarray, arrays), examples


def _hint(leaf: Any, inside: bool, argument: str) -> str:
    """What to do with what is no array."""
    if isinstance(leaf, (bool, int, float, complex)) and inside:
        return " (a list of numbers is no array: make it one with `np.asarray`)"
    if hasattr(leaf, "shape") or isinstance(leaf, (bool, int, float, complex)):
        return ""
    return instead(leaf) if argument == "arrays" else " (collect its examples in arrays)"
