"""Data made by a function of the step, on the device or on the host."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lrjax import _check
from lrjax.data import _digest
from lrjax.data._data import Data
from lrjax.data._source import instead


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

    def digest(self) -> str:
        """Tells it from others by the traced program, or by what the host makes for two steps and seeds."""
        if not self.on_device:
            return super().digest()
        count = jax.ShapeDtypeStruct((), jnp.int32)

        def batch(*selected: jax.Array) -> Any:
            return self._f(*selected)  # under one name, whatever `f` is called

        with jax.default_matmul_precision("highest"):  # as batches are made in a sweep
            traced = jax.jit(batch).trace(*[count] * (2 if self.per_seed else 1))
        try:
            lowered = traced.lower(lowering_platforms=("cpu",))  # one text for all platforms
        except (NotImplementedError, ValueError):
            lowered = traced.lower()
        return _digest.text("traced function", (), lowered.out_tree, lowered.as_text())


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


def _takes_seed(f: Callable[..., Any]) -> bool:
    """Whether `f` takes the seed index after the step, told by its required arguments."""
    expected = "a function `f(step)` or `f(step, seed_index)`"
    if not callable(f):
        raise _check.fail_type("from_function", "f", expected, _check.describe(f) + instead(f))
    if isinstance(f, Data) or inspect.isgeneratorfunction(f):
        raise _check.fail_type("from_function", "f", expected, f"a {type(f).__name__}{instead(f)}")
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except ValueError as error:
        raise _check.fail_type("from_function", "f", expected, "a function without a signature") from error
    plain = all(
        p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty for p in parameters
    )
    if not plain or len(parameters) not in (1, 2):
        got = f"`{getattr(f, '__name__', 'f')}{inspect.signature(f)}`"
        hint = "" if len(parameters) < 1 else " (wrap it: `lambda step: ...`)"
        raise _check.fail_type("from_function", "f", f"{expected}, with nothing left open", got + hint)
    return len(parameters) == 2


def _stack(trees: Sequence[Any]) -> Any:
    structures = {jax.tree.structure(tree) for tree in trees}
    if len(structures) > 1:
        got = " and ".join(str(structure) for structure in list(structures)[:2])
        raise _check.fail("from_function", "f", "a function with one structure of batch", got)
    return jax.tree.map(lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves]), *trees)
