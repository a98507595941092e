"""The steps between which members are stopped and looked at; the same however a sweep is run."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

_SECONDS = 1.0  # that a chunk of all members should take
_OWN_SECONDS = 0.1  # that a member's part of it should take: calling a program and moving a state cost too
_MOST_SECONDS = 5.0  # that a chunk may take for the sake of that
_SHORTEST, _LONGEST = 10, 100_000  # steps


class Clock(NamedTuple):
    """Where chunks end: at every evaluation, at the last step, and in between where that is far.

    Attributes:
      steps: The last step.
      every: Steps between evaluations.
      piece: Steps of a chunk at most.
    """

    steps: int
    every: int
    piece: int

    def after(self, step: int) -> int:
        """The end of the chunk that begins at a step."""
        begin = step - step % self.every
        end = begin + self.every
        end = min(end, begin + self.piece * ((step - begin) // self.piece + 1))
        return min(end, self.steps) if step < self.steps else end

    @property
    def unit(self) -> int:
        """What the lengths of all chunks are multiples of."""
        rest = self.steps % self.every
        lengths = [self.piece, self.every % self.piece or self.piece, rest % self.piece or self.piece]
        return functools.reduce(math.gcd, lengths)


def clock(steps: int, every: int, seconds_per_step: float, rounds: float, most: int | None = None) -> Clock:
    """The clock of a sweep.

    Args:
      steps: The last step.
      every: Steps between evaluations.
      seconds_per_step: What a step of all members together takes.
      rounds: How many members train after one another.
      most: Steps of a chunk at most, or None.
    """
    wanted = min(max(_SECONDS, _OWN_SECONDS * rounds), _MOST_SECONDS)
    longest = int(min(max(wanted / max(seconds_per_step, 1e-9), _SHORTEST), _LONGEST))
    longest = max(1, min(longest, most or longest))
    every = min(every, steps)
    pieces = -(-every // longest)
    return Clock(steps, every, -(-every // pieces))
