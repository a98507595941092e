"""The orders in which examples are seen: a permutation for each seed and epoch.

An order sorts the examples by 32 random bits each, ties by their position; up to 1,625 examples it is
that of `jax.random.permutation`. The bits are JAX's, the sort is NumPy's: XLA's takes longer on a CPU
than a step of a small model.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from lrjax import _keys

_MOST, _ROOM = 32, 2**18  # orders, and numbers in them, to make at a time


class Orders:
    """Permutations of `examples` examples; those asked for last are kept.

    Example:
      >>> from lrjax.data._orders import Orders
      >>> sorted(Orders(seed=0, examples=4).of([0], epochs=[7])[0, 0].tolist())
      [0, 1, 2, 3]
    """

    def __init__(self, seed: int, examples: int) -> None:
        self._seed, self._examples = seed, examples
        self._kept: dict[tuple[int, int], np.ndarray] = {}

    def of(self, seed_indices: Sequence[int], epochs: Sequence[int]) -> np.ndarray:
        """The permutation of each seed and epoch, int32 `[seeds, epochs, examples]`."""
        wanted = [(seed, epoch) for seed in seed_indices for epoch in epochs]
        kept = self._kept
        missing = [each for each in dict.fromkeys(wanted) if each not in kept]
        made = dict(zip(missing, self._made(missing), strict=True))
        self._kept = {
            each: made[each] if each in made else kept[each] for each in wanted
        }  # threads: set whole
        orders = [made[each] if each in made else kept[each] for each in wanted]
        return np.stack(orders).reshape(len(seed_indices), len(epochs), self._examples)

    def _made(self, wanted: list[tuple[int, int]]) -> list[np.ndarray]:
        """Orders, always so many at a time that one program makes them all."""
        rows = max(1, min(_MOST, _ROOM // self._examples))
        position = np.arange(self._examples, dtype=np.uint64)
        made: list[np.ndarray] = []
        for begin in range(0, len(wanted), rows):
            block = wanted[begin : begin + rows]
            filled = np.asarray(block + block[:1] * (rows - len(block)), np.int32)
            with jax.ensure_compile_time_eval():  # also while something else is traced
                bits = np.asarray(_bits(self._seed, filled[:, 0], filled[:, 1], self._examples))
            sortable = bits[: len(block)].astype(np.uint64) << np.uint64(32) | position
            sortable.sort(axis=1)
            made += list(sortable.astype(np.uint32).astype(np.int32))
        return made


@functools.partial(jax.jit, static_argnums=3)
def _bits(seed: int, seed_indices: jax.Array, epochs: jax.Array, examples: int) -> jax.Array:
    def of_epoch(seed_index: jax.Array, epoch: jax.Array) -> jax.Array:
        key = jax.random.fold_in(_keys.data_key(seed, seed_index), epoch)
        return jax.random.bits(jax.random.split(key)[1], (examples,), jnp.uint32)

    return jax.vmap(of_epoch)(seed_indices, epochs)
