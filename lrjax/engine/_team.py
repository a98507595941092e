"""The members that share a program: who they are, what they train on, and how they are run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax

from lrjax._keys import member_key
from lrjax.data import Data
from lrjax.engine import _points, _preflight
from lrjax.engine._books import Who
from lrjax.engine._grid import Grid
from lrjax.engine._job import Job
from lrjax.engine._member import Member
from lrjax.engine._pool import Pool


class Team:
    """The members of a group.

    Attributes:
      points: The group.
      batch: The shapes and dtypes of a batch.
      data: What they train on.
      batched: Whether each seed has batches of its own.
      observes: Whether held-out metrics change their states.
      member: The functions of one of them.
      numbers: Their hyperparameters that are numbers, by name, `[points]`.
      outline: The shapes and dtypes of one's state.
      crew: Those that run them, once that is chosen.
    """

    def __init__(
        self, job: Job, points: _points.Group, data: Data, batch: Any, checked: _preflight.Checked
    ) -> None:
        self.points = points
        self.batch = batch
        self.data = data
        self.batched = data.per_seed and not job.shared_order
        self.observes = checked.observes
        self.member = Member(job.trial, points.static, checked.frame, data, checked.names)
        self.numbers = points.numeric
        shapes = {name: jax.ShapeDtypeStruct((), values.dtype) for name, values in self.numbers.items()}
        self.outline = jax.eval_shape(self.member.start, member_key(job.key, 0), shapes)
        self.crew: Pool | Grid | None = None
        self._position = {point: position for position, point in enumerate(points.members)}

    def ids(self, members: Sequence[Who]) -> dict[Who, tuple[int, int]]:
        """Which of some members are in the group, and what they are called there."""
        return {(p, s): (self._position[p], s) for p, s in members if p in self._position}
