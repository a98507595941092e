"""Who trains the members of each group: the plan is chosen, and what runs it is made."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from lrjax._keys import member_key
from lrjax.engine import _choices, _compiling, _inspect, _memory, _plan
from lrjax.engine._clock import Clock
from lrjax.engine._grid import Grid
from lrjax.engine._job import Job
from lrjax.engine._pool import Pool, Threads
from lrjax.engine._program import Programs
from lrjax.engine._team import Team
from lrjax.results import Plan

_SAFE = 0.5  # of the free memory: what can take no more than that is not looked at closely
_TELLING = 0.2  # seconds below which a run says more of what surrounds the steps


def setting_of(job: Job, team: Team) -> _plan.Setting:
    """What the plan of a group is chosen for."""
    numbers = {name: jax.ShapeDtypeStruct((), values.dtype) for name, values in team.numbers.items()}
    traced = jax.make_jaxpr(team.member.step)(team.outline, team.batch, numbers)
    return _plan.Setting(
        findings=_inspect.inspect(traced),
        members=len(team.points.members) * job.seeds,
        seeds=job.seeds,
        devices=1 if job.mesh is None else job.mesh.size,
        cores=_plan.cores(),
        on_cpu=jax.default_backend() == "cpu",
    )


class Account:
    """Seconds spent compiling since it was opened: whole programs, and what is beside them.

    Attributes:
      programs: The programs that were made meanwhile; they count the seconds of their own.
    """

    def __init__(self) -> None:
        self.programs: list[Programs] = []
        self.restart()

    def restart(self) -> None:
        """Counts from now on."""
        self._before = _compiling.seconds()

    def seconds(self) -> float:
        """What was spent until now."""
        own = sum(programs.seconds_compiling for programs in self.programs)
        told = sum(programs.seconds_told for programs in self.programs)
        return own + _compiling.seconds() - self._before - told


class Crews:
    """Makes the crews of a job's groups.

    Args:
      job: The job.
      clock: Its chunks.
      threads: Gives so many threads.
      account: Where seconds of compiling are counted.
    """

    def __init__(
        self,
        job: Job,
        clock: Clock,
        threads: Callable[[int], Threads],
        account: Account,
    ) -> None:
        self.seconds_probing = 0.0
        self._job = job
        self._clock = clock
        self._threads = threads
        self._account = account

    def make(self, team: Team, plan: Plan) -> Pool | Grid:
        """What runs a group by a plan."""
        job = self._job
        mesh = job.mesh if plan.devices > 1 else None
        programs = Programs(team.member, plan, team.batched, self._clock.piece, self._clock.unit, mesh)
        self._account.programs.append(programs)

        def key(seed: int) -> jax.Array:
            return member_key(job.key, job.first_seed + seed)

        if plan.alone:
            return Pool(programs, team.numbers, key, self._threads(plan.threads))
        return Grid(programs, team.numbers, key, len(team.points.members))

    def fitting(
        self, team: Team, setting: _plan.Setting, plan: Plan, first_chunk: Callable[[], Callable[[int], Any]]
    ) -> Plan:
        """A plan with as many members at a time as fit the memory, if all of them may be too many.

        `first_chunk` gives what the first chunk's batches are gathered from, by seed.
        """
        room = _memory.free()
        grid = not plan.alone and plan.steps == "scan" and plan.devices == 1 and not plan.lean
        if room is None or not grid or plan.width is not None:
            return plan
        largest = setting.members * (3 * _memory.size_of(team.outline) + int(setting.findings.bytes))
        if largest < _SAFE * room:
            return plan
        programs = Programs(team.member, plan, team.batched, self._clock.piece, self._clock.unit, None)
        self._account.programs.append(programs)
        size = (self._job.seeds, len(team.points.members))
        numbers = {name: jax.ShapeDtypeStruct((), values.dtype) for name, values in team.numbers.items()}
        width = _memory.columns_that_fit(programs, team.outline, numbers, first_chunk()(0), size, room)
        if width == size[1]:
            return plan
        why = f"{plan.why}; the memory that is free ({room / 2**30:.2g} GiB) holds {width} per seed at a time"
        return dataclasses.replace(plan, width=width, why=why)

    def choose(
        self,
        team: Team,
        setting: _plan.Setting,
        first_chunk: Callable[[], Callable[[int], Any]],
        member_steps: int,
        tell: Callable[[str], None],
    ) -> tuple[Plan, Pool | Grid]:
        """The plan of a group that is to train so many member-steps, and its crew.

        `first_chunk` gives what the first chunk's batches are gathered from, by seed; `tell` is told what is
        being done.
        """
        began, compiled = time.perf_counter(), self._account.seconds()
        ids = [(p, s) for s in range(self._job.seeds) for p in range(len(team.points.members))]

        crews: dict[str, Pool | Grid] = {}

        def fit(plan: Plan) -> Plan:
            return self.fitting(team, setting, plan, first_chunk)

        def measure(plan: Plan, about: float | None) -> tuple[float, float]:
            crew = crews[str(plan)] = self.make(team, plan)
            return _measure(crew, ids, first_chunk(), self._clock, about)

        guess = setting.seconds * member_steps / setting.cores
        found, name = _plan.candidates(setting), None
        if _plan.worth_measuring(found, guess):
            text = _step_text(team)
            name = _choices.key(text, setting.members, setting.seeds, setting.cores, team.batched)
            earlier = _choices.recall(name)
            if earlier is not None:
                return earlier, self.make(team, earlier)
        chosen = _plan.choose(found, fit, measure, setting.members, member_steps, guess, tell)
        if name is not None and len(chosen.measured) == len(found):
            _choices.remember(name, chosen)
        if crews:
            compiling = self._account.seconds() - compiled
            self.seconds_probing += time.perf_counter() - began - compiling
        return chosen, crews.get(str(chosen)) or self.make(team, chosen)


def _step_text(team: Team) -> str:
    """The text of a member's step: what a plan was measured for."""
    numbers = {name: jax.ShapeDtypeStruct((), values.dtype) for name, values in team.numbers.items()}
    return jax.jit(team.member.step).lower(team.outline, team.batch, numbers).as_text()


def _measure(
    crew: Pool | Grid,
    ids: Sequence[tuple[int, int]],
    selected: Callable[[int], Any],
    clock: Clock,
    about: float | None,
) -> tuple[float, float]:
    """Seconds per member-step of a plan, and seconds that compiling it took.

    `about` is what another plan takes per member-step, if that is known: large steps are tried few times.
    """
    if isinstance(crew, Pool):
        ids = ids[: 2 * crew.programs.plan.threads]
    crew.start(ids)
    programs, whole = crew.programs, clock.after(0)
    compiled = programs.seconds_compiling
    unit = clock.unit if programs.plan.steps == "unrolled" else 1
    steps = 10 if about is None else min(10, int(_plan.PROBE / (about * len(ids))))
    count = min(unit * max(1, steps // unit), whole) if programs.any_count else whole
    crew.rehearse(ids, selected, count)  # the first run compiles, makes the members and fills the caches
    took: list[float] = []  # seconds per member-step
    spent = 0.0
    while len(took) < 3 and spent < _plan.PROBE:
        began, before = time.perf_counter(), programs.seconds_compiling
        crew.rehearse(ids, selected, count)
        seconds = time.perf_counter() - began - (programs.seconds_compiling - before)
        if seconds < _TELLING and count < whole:
            count = min(whole, 4 * count)
        else:
            took.append(seconds / (count * len(ids)))
            spent += seconds
    crew.drop(ids)
    return float(np.median(took)), programs.seconds_compiling - compiled
