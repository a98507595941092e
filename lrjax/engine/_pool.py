"""Members that run alone, each in a program of its own, from one thread per core.

Execution leaves Python's lock, so threads keep all cores busy on one device. A member is bit-equal to
itself trained alone, and one that is dropped or has diverged is not run any more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lrjax.engine import _replay
from lrjax.engine._member import Arrays
from lrjax.engine._program import HeldOut, Programs
from lrjax.engine._replay import Outcome

Id = tuple[int, int]  # position within the group, seed index


class Threads:
    """A pool of threads that work under the configuration of the one that made it."""

    def __init__(self, count: int, configuration: Callable[[], AbstractContextManager[Any]]) -> None:
        self._configuration = configuration
        self._pool = ThreadPoolExecutor(count) if count > 1 else None

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        """The results in order; after an error no further item is begun."""
        if self._pool is None:
            return [function(item) for item in items]
        futures = [self._pool.submit(self._configured, function, item) for item in items]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
            return [future.result() for future in futures]
        finally:
            for future in futures:
                future.cancel()

    def close(self) -> None:
        """Waits for what runs and ends the threads."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def _configured(self, function: Callable[[Any], Any], item: Any) -> Any:
        with self._configuration():
            return function(item)


class Pool:
    """The members of a group, each on its own.

    Every call changes all its members or, if it is interrupted, none. The exception is `advance` of a lean
    plan, which gives up a member's state before as soon as there is the one after: what is then left is of
    no use.

    Attributes:
      programs: What they run.
      torn: Whether an interrupted call has left members at different steps.
    """

    def __init__(
        self,
        programs: Programs,
        numbers: Mapping[str, np.ndarray],
        keys: Callable[[int], jax.Array],
        threads: Threads,
    ) -> None:
        self.programs = programs
        self.torn = False
        self.renumber(numbers)
        self._keys = keys
        self._threads = threads
        self._states: dict[Id, Arrays] = {}

    def renumber(self, numbers: Mapping[str, np.ndarray]) -> None:
        """Gives members their hyperparameters that are numbers, `[points]`."""
        count = max((len(values) for values in numbers.values()), default=1)
        self._numbers = [
            {name: jnp.asarray(values[i]) for name, values in numbers.items()} for i in range(count)
        ]

    def holds(self, member: Id) -> bool:
        """Whether a member has a state."""
        return member in self._states

    def start(self, ids: Sequence[Id]) -> None:
        """Puts members to step 0."""

        def state(i: Id) -> Arrays:
            return self.programs.start(self._keys(i[1]), self._numbers[i[0]])

        self._states |= dict(zip(ids, self._threads.map(state, ids), strict=True))

    def put(self, states: Mapping[Id, Arrays]) -> None:
        """Puts members to given states."""
        self._states |= states

    def state(self, member: Id) -> Arrays:
        """A member's state."""
        return self._states[member]

    def drop(self, ids: Sequence[Id]) -> None:
        """Forgets members."""
        for i in ids:
            self._states.pop(i, None)

    def advance(self, ids: Sequence[Id], selected: Callable[[int], Any], count: int) -> dict[Id, Outcome]:
        """Trains members for `count` steps; `selected(seed)` is what a seed's batches are gathered from."""
        if self.programs.plan.lean:
            return self._advance_one_by_one(ids, selected, count)
        done = self._run(ids, selected, count)
        self._states |= {i: arrays for i, (arrays, _) in done.items()}
        return {i: outcome for i, (_, outcome) in done.items()}

    def rehearse(self, ids: Sequence[Id], selected: Callable[[int], Any], count: int) -> None:
        """The same work, without any member being moved by it."""
        self._run(ids, selected, count)

    def _run(
        self, ids: Sequence[Id], selected: Callable[[int], Any], count: int
    ) -> dict[Id, tuple[Arrays, Outcome]]:
        def member(i: Id) -> tuple[Arrays, Outcome]:
            return self._member(i, selected, count)

        return dict(zip(ids, self._threads.map(member, ids), strict=True))

    def _advance_one_by_one(
        self, ids: Sequence[Id], selected: Callable[[int], Any], count: int
    ) -> dict[Id, Outcome]:
        """Trains members and lets go of each one's state before as soon as it can."""

        def member(i: Id) -> Outcome:
            self._states[i], outcome = self._member(i, selected, count)
            return outcome

        self.torn = True
        outcomes = self._threads.map(member, ids)
        self.torn = False
        return dict(zip(ids, outcomes, strict=True))

    def _member(self, i: Id, selected: Callable[[int], Any], count: int) -> tuple[Arrays, Outcome]:
        loss = self.programs.member.names.index("loss")
        start, numbers, chosen = self._states[i], self._numbers[i[0]], selected(i[1])
        chunk = self.programs.advance_alone(start, numbers, chosen, count)
        metrics = np.asarray(chunk.metrics)[:count]
        if _replay.healthy(metrics, chunk.good, loss):
            return chunk.arrays, Outcome(metrics, None)
        again = chunk if self.programs.plan.steps == "scan" else None
        return _replay.settle(self.programs, start, numbers, chosen, count, again)

    def evaluate(self, ids: Sequence[Id], held_out: HeldOut, name: str) -> np.ndarray:
        """Held-out metrics, `[members, metrics]`."""

        def member(i: Id) -> np.ndarray:
            return np.asarray(self.programs.evaluate_alone(self._states[i], held_out, name))

        return np.stack(self._threads.map(member, ids))

    def observe(self, ids: Sequence[Id], measured: np.ndarray) -> None:
        """Tells members their held-out metrics."""
        told = [
            self.programs.observe_alone(self._states[i], jnp.asarray(row))
            for i, row in zip(ids, measured, strict=True)
        ]
        self._states |= dict(zip(ids, told, strict=True))
