"""What every source of batches offers."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any

import jax

from lrjax import _check
from lrjax.data import _digest


class Data(abc.ABC):
    """A source of batches; `data(step, seed_index)` is the batch of a step.

    Made by `batches`, `from_function` or `cached`, or from an iterable of batches.

    Attributes:
      per_seed: Whether the batch depends on the seed index.
      on_device: Whether batches are made by traced code.
      steps: How many steps there are batches for; None where there is no end.

    Example:
      >>> import numpy as np, lrjax
      >>> data = lrjax.batches(np.arange(4.0), batch_size=4)
      >>> sorted(data(0).tolist())
      [0.0, 1.0, 2.0, 3.0]
    """

    per_seed: bool = True
    on_device: bool = True
    steps: int | None = None

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

    def digest(self) -> str:
        """Tells one source of batches from another: 64 hexadecimal digits, the same in every process.

        Here it is that of the batches of the first two steps and seeds; a source that knows all of
        what its batches are made of takes that instead.
        """
        steps = range(min(2, self.steps or 2))
        seeds = range(2 if self.per_seed else 1)
        made = [self(step, seed) for step in steps for seed in seeds]
        return _digest.text("first batches", made)

    def check_replay(self) -> None:
        """Makes the first batch again, before a training that goes through the steps more than once.

        Raises:
          ValueError: If it comes out another.
        """
        if not self.on_device and _digest.mark(self(0)) != _digest.mark(self(0)):
            expected = "a step whose batch is the same each time (a function of the step must be pure)"
            raise _check.fail("data", "step", expected, "another batch for step 0 when it was made again")
