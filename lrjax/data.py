"""Data as a pure function of the step, the same for every learning rate.

Which examples a step sees depends on the data's own seed, the member's seed index and the step, on
nothing else: not on how many members train, where, or in what order.
"""

from __future__ import annotations

import abc
import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lrjax import _check, _keys


class Data(abc.ABC):
    """A source of batches; `data(step, seed_index)` is the batch of a step.

    Made by `batches` or `from_function`.

    Attributes:
      per_seed: Whether the batch depends on the seed index.
      on_device: Whether batches are made by traced code.

    Example:
      >>> import numpy as np, lrjax
      >>> data = lrjax.batches(np.arange(4.0), batch_size=4)
      >>> sorted(data(0).tolist())
      [0.0, 1.0, 2.0, 3.0]
    """

    per_seed: bool = True
    on_device: bool = True

    def __call__(self, step: int, seed_index: int = 0) -> Any:
        """The batch of one step.

        Args:
          step: The step, >= 0.
          seed_index: The index of the member's seed, >= 0.
        """
        step = _check.integer("data", "step", step)
        seed_index = _check.integer("data", "seed_index", seed_index)
        first = jax.tree.map(lambda x: x[0], self.schedule(step, 1, (seed_index,)))
        if self.per_seed:
            first = jax.tree.map(lambda x: x[0], first)
        return self.gather(self.arrays, first)

    @property
    def arrays(self) -> Any:
        """The arrays that batches are gathered from: an argument of the compiled program."""
        return ()

    @abc.abstractmethod
    def schedule(self, start: int, length: int, seed_indices: Sequence[int]) -> Any:
        """What `gather` needs for `length` steps from `start`.

        Returns:
          A tree of arrays with axes `[length, seeds, ...]`, or `[length, ...]` where the data does
          not depend on the seed.
        """

    @abc.abstractmethod
    def gather(self, arrays: Any, selected: Any) -> Any:
        """The batch of one step and seed; traced by JAX."""


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
        self._arrays, self.examples = _as_examples("batches", arrays)
        self.batch_size = _check.integer("batches", "batch_size", batch_size, low=1)
        if self.batch_size > self.examples:
            expected = f"at most the number of examples, {self.examples}"
            raise _check.fail("batches", "batch_size", expected, self.batch_size)
        self.seed = _check.integer("batches", "seed", seed)
        self.steps_per_epoch = self.examples // self.batch_size

    @property
    def arrays(self) -> Any:
        """The arrays, on the device."""
        return self._arrays

    def schedule(self, start: int, length: int, seed_indices: Sequence[int]) -> Any:
        """Indices of the examples of each step, int32 `[length, seeds, batch_size]`."""
        return _shuffled(
            self.seed,
            jnp.asarray(seed_indices, jnp.int32),
            start,
            length=length,
            examples=self.examples,
            batch_size=self.batch_size,
        )

    def gather(self, arrays: Any, selected: Any) -> Any:
        """The selected examples."""
        return jax.tree.map(lambda x: x[selected], arrays)


class FromFunction(Data):
    """A function of the step; see `from_function`.

    Attributes:
      on_device: Whether the function is traced into the program.

    Example:
      >>> import lrjax
      >>> lrjax.from_function(lambda step: step, on_device=True).per_seed
      False
    """

    def __init__(self, f: Callable[..., Any], on_device: bool) -> None:
        _check.boolean("from_function", "on_device", on_device)
        self._f = f
        self.on_device = bool(on_device)
        self.per_seed = _takes_seed(f)

    def schedule(self, start: int, length: int, seed_indices: Sequence[int]) -> Any:
        """The steps and seeds themselves, or the batches where the function runs on the host."""
        steps = range(start, start + length)
        if self.on_device:
            counts = jnp.arange(start, start + length, dtype=jnp.int32)
            if not self.per_seed:
                return (counts,)
            grid = jnp.meshgrid(counts, jnp.asarray(seed_indices, jnp.int32), indexing="ij")
            return tuple(grid)
        if not self.per_seed:
            return _stack([self._f(step) for step in steps])
        return _stack([_stack([self._f(step, seed) for seed in seed_indices]) for step in steps])

    def gather(self, arrays: Any, selected: Any) -> Any:
        """The function's batch, or the one it made on the host."""
        return self._f(*selected) if self.on_device else selected


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


def from_function(f: Callable[..., Any], on_device: bool) -> FromFunction:
    """Data made by a function of the step.

    Args:
      f: `f(step) -> batch`, the same for every seed, or `f(step, seed_index) -> batch`. It must be
        pure: the same arguments give the same batch, of one structure, shape and dtype.
      on_device: Whether `f` is written in JAX and traced into the program (`step` and `seed_index`
        are then int32 tracers; arrays it closes over become constants of the program), or runs on
        the host, where both are Python ints.

    Returns:
      A `Data`.

    Raises:
      TypeError: If `f` does not take one or two arguments, or `on_device` is not a bool.

    Example:
      >>> import jax, lrjax
      >>> def noise(step, seed_index):
      ...     key = jax.random.fold_in(jax.random.key(seed_index), step)
      ...     return jax.random.normal(key, (8,))
      >>> lrjax.from_function(noise, on_device=True)(3, seed_index=1).shape
      (8,)
    """
    return FromFunction(f, on_device)


def as_data(call: str, argument: str, value: Any) -> Data:
    """Requires a `Data`, and says how to make one of what came instead."""
    if isinstance(value, Data):
        return value
    expected = "data made by `lrjax.batches(arrays, batch_size)` or `lrjax.from_function(f, on_device=...)`"
    got = f"a {type(value).__name__}"
    if isinstance(value, (tuple, list, dict, np.ndarray, jax.Array)):
        got += " (in-memory arrays: wrap them in `lrjax.batches`)"
    elif callable(value):
        got += " (a function of the step: wrap it in `lrjax.from_function`)"
    elif isinstance(value, Iterable):
        got += " (an iterable cannot be replayed for every seed: give its arrays, or a function of the step)"
    raise _check.fail_type(call, argument, expected, got)


def as_held_out(call: str, argument: str, value: Any, *, batch_size: int = 1024) -> tuple[Any, int, int]:
    """Arrays to evaluate on, how many examples they hold, and how many are taken at a time."""
    if isinstance(value, Batches):
        return value.arrays, value.examples, value.batch_size
    if isinstance(value, Data) or callable(value):
        expected = "arrays with a leading example axis, or `lrjax.batches` of them (one epoch is scored)"
        raise _check.fail_type(call, argument, expected, f"a {type(value).__name__}")
    arrays, examples = _as_examples(call, value, argument)
    return arrays, examples, min(examples, batch_size)


@functools.partial(jax.jit, static_argnames=("length", "examples", "batch_size"))
def _shuffled(
    seed: int, seed_indices: jax.Array, start: int, *, length: int, examples: int, batch_size: int
) -> jax.Array:
    """Indices `[length, seeds, batch_size]`: each epoch's permutation once, cut into its steps."""
    per_epoch = examples // batch_size
    epochs = (length + 2 * per_epoch - 2) // per_epoch  # as many as `length` steps can touch
    first = start // per_epoch

    def of_seed(seed_index: jax.Array) -> jax.Array:
        key = _keys.data_key(seed, seed_index)

        def of_epoch(epoch: jax.Array) -> jax.Array:
            order = jax.random.permutation(jax.random.fold_in(key, epoch), examples)
            return order[: per_epoch * batch_size].reshape(per_epoch, batch_size)

        orders = jax.vmap(of_epoch)(first + jnp.arange(epochs)).reshape(epochs * per_epoch, batch_size)
        return jax.lax.dynamic_slice_in_dim(orders, start - first * per_epoch, length)

    return jax.vmap(of_seed, out_axes=1)(seed_indices).astype(jnp.int32)


def _as_examples(call: str, arrays: Any, argument: str = "arrays") -> tuple[Any, int]:
    leaves = jax.tree_util.tree_leaves_with_path(arrays)
    if not leaves:
        raise _check.fail(call, argument, "at least one array", "none")
    lengths = {}
    for path, leaf in leaves:
        where = jax.tree_util.keystr(path) or "the array"
        if not hasattr(leaf, "shape") or len(leaf.shape) == 0:
            expected = "arrays with a leading example axis"
            raise _check.fail_type(call, argument, expected, f"{_check.describe(leaf)} at {where}")
        lengths[where] = leaf.shape[0]
    if len(set(lengths.values())) > 1:
        got = ", ".join(f"{length} at {where}" for where, length in lengths.items())
        raise _check.fail(call, argument, "arrays with as many examples each", got)
    examples = next(iter(lengths.values()))
    if examples == 0:
        raise _check.fail(call, argument, "arrays with at least one example", "none")
    return jax.tree.map(jnp.asarray, arrays), examples


def _takes_seed(f: Callable[..., Any]) -> bool:
    """Whether `f` takes the seed index after the step, told by its required arguments."""
    expected = "a function `f(step)` or `f(step, seed_index)`"
    if not callable(f):
        raise _check.fail_type("from_function", "f", expected, _check.describe(f))
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except ValueError as error:
        raise _check.fail_type("from_function", "f", expected, "a function without a signature") from error
    plain = all(
        p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty for p in parameters
    )
    if not plain or len(parameters) not in (1, 2):
        got = f"`{getattr(f, '__name__', 'f')}{inspect.signature(f)}`"
        raise _check.fail_type("from_function", "f", f"{expected}, with nothing left open", got)
    return len(parameters) == 2


def _stack(trees: Sequence[Any]) -> Any:
    structures = {jax.tree.structure(tree) for tree in trees}
    if len(structures) > 1:
        got = " and ".join(str(structure) for structure in list(structures)[:2])
        raise _check.fail("from_function", "f", "a function with one structure of batch", got)
    return jax.tree.map(lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves]), *trees)
