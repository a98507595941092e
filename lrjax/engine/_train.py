"""Trains points x seeds chunk by chunk and collects what they measure."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lrjax._keys import member_key
from lrjax.data import Data
from lrjax.engine import _machine, _plan, _points, _preflight
from lrjax.engine._ahead import Ahead
from lrjax.engine._archive import Archive
from lrjax.engine._books import Books, Who
from lrjax.engine._carry import merge
from lrjax.engine._clock import clock
from lrjax.engine._crews import Account, Crews, setting_of
from lrjax.engine._job import Job, Progress
from lrjax.engine._member import Arrays
from lrjax.engine._pool import Threads
from lrjax.engine._team import Team
from lrjax.results import Plan, SweepData

_LARGEST_CHUNK = 2**28  # bytes of indices or of batches made on the host that wait for their steps
_LONG_CHECK = 1.0  # seconds of checking after which it is reported

Report = Callable[[Progress, Callable[[], SweepData]], None]


class Training:
    """A job while it runs."""

    def __init__(self, job: Job, report: Report, archive: Archive | None) -> None:
        self.job = job
        self.archive = archive
        self.books = Books(job)
        self.plans: list[Plan] = []
        self.teams: list[Team] = []
        self.kept: dict[str, dict[Who, Arrays]] = {name: {} for name in job.keep}
        self.crews: Crews | None = None
        self.stage = 0
        self.stage_begun = False
        self.moved = False  # since the last checkpoint
        self.spent = (0.0, 0.0, 0.0)  # seconds of earlier runs: compiling, probing, running
        self._began = time.perf_counter()
        self._report = report
        self._checking = 0.0
        self._account = Account()
        self.ahead = Ahead(_pinned)
        self._interrupted = False
        self._machine = _machine.about(job.mesh)

    # Before training.

    def check(self) -> None:
        """Traces every point and refuses what cannot be trained."""
        job, began = self.job, time.perf_counter()
        groups = _points.group(job.points, job.trial.static, job.of_data)
        sources = [job.data(group.of_data) for group in groups]
        outlines = [_batch_outline(data) for data in sources]

        def tell(done: int) -> None:
            if time.perf_counter() - began > _LONG_CHECK:
                self._tell(f"checking point {done} of {len(job.points)}")

        key = member_key(job.key, 0)
        checked = _preflight.check_points(job.trial, groups, key, outlines, _held_out_outlines(job), tell)
        parts = zip(groups, sources, outlines, checked, strict=True)
        self.teams = [Team(job, *each) for each in parts]
        self._checking = time.perf_counter() - began
        self._account.restart()

    def organise(self, threads: Callable[[int], Threads]) -> None:
        """Chooses how each group is run, and the chunks; takes up what is stored."""
        job = self.job
        if self.archive is not None:
            self.archive.begin(self)
        settings = [setting_of(job, team) for team in self.teams]
        asked = [_plan.complete("sweep", job.plan, s) if job.plan else None for s in settings]
        per_step = sum(s.seconds * s.members / s.cores for s in settings)
        most = min(_longest_in_memory(team, job) for team in self.teams)
        rounds = sum(
            s.members / s.cores for s in settings if s.on_cpu
        )  # elsewhere all train at the same time
        self.clock = clock(job.steps, job.evaluate_every, per_step, rounds, most)
        stored = None
        if self.archive is not None and self.archive.clock() is not None:
            before = self.archive.clock()
            assert before is not None
            self.clock = self.clock._replace(piece=min(before.piece, self.clock.every))
            stored = self.archive.plans(self.archive.labels(self))
        self.crews = crews = Crews(job, self.clock, threads, self._account)
        for index, (team, setting, plan) in enumerate(zip(self.teams, settings, asked, strict=True)):
            if plan is None and stored is not None:
                plan = dataclasses.replace(stored[index], threads=min(stored[index].threads, setting.cores))
            first_chunk = functools.partial(self._selected, team, 0, self.clock.after(0))
            if plan is None:
                left = sum(job.steps - int(self.books.step[who]) for who in team.ids(self.everyone()))
                plan, team.crew = crews.choose(team, setting, first_chunk, left, self._tell)
            else:
                plan = crews.fitting(team, setting, plan, first_chunk)
            self.plans.append(plan)
            team.crew = team.crew or crews.make(team, plan)
        self._take_up()

    def _take_up(self) -> None:
        """Puts members to where an earlier run left them."""
        if self.archive is None:
            return
        for team in self.teams:
            assert team.crew is not None
            for who, i in team.ids(self.everyone()).items():
                state = self.archive.state(self, who)
                if state is not None:
                    team.crew.put({i: state})
                best = self.archive.state(self, who, "best") if "best" in self.job.keep else None
                if best is not None:
                    self.kept["best"][who] = best

    # Training.

    def run(self) -> None:
        """Trains all members to their last step, unless a rule or an interrupt stops them."""
        stages = self._stages()
        for stage in range(self.stage, len(stages)):
            last, restart = stages[stage]
            if restart:
                if stage != self.stage or not self.stage_begun:
                    self._begin_anew(last)
                self._renumber(last)
            self.stage, self.stage_begun = stage, True
            while not self._interrupted:
                members = self._training(last)
                if not members:
                    break
                step = min(int(self.books.step[who]) for who in members)
                cohort = [who for who in members if self.books.step[who] == step]
                self._evaluate([who for who in cohort if self._due(who, last)])
                cohort = [who for who in cohort if self.books.alive()[who]]
                self._advance(cohort, step, min(self.clock.after(step), last))
                self._evaluate([who for who in cohort if self._due(who, last)])
                self._decide(last)
                if self.archive is not None:
                    self.archive.save(self)
                self._tell("training")
            if self._interrupted:
                return
        self._finish()

    def stop(self) -> None:
        """Stores where members stand, and marks those that could have trained on."""
        torn = any(team.crew is not None and team.crew.torn for team in self.teams)
        if self.archive is not None and not torn:
            self.archive.save(self, now=True)
        self.books.interrupt()

    def interrupt(self) -> None:
        """Stops after the chunk that is being trained."""
        self._interrupted = True

    def _stages(self) -> list[tuple[int, bool]]:
        """The last step of each stage, and whether its members begin anew."""
        rule = self.job.rule
        if rule is None or rule.horizon is None:
            return [(self.job.steps, False)]
        return [(step, True) for step in (*rule.rungs, self.job.steps)]

    def _training(self, last: int) -> list[Who]:
        training = self.books.alive() & (self.books.step < last)
        return [who for who in self.everyone() if training[who]]

    def everyone(self) -> list[Who]:
        """All members."""
        points, seeds = self.books.step.shape
        return [(p, s) for p in range(points) for s in range(seeds)]

    def _begin_anew(self, last: int) -> None:
        """Puts all members that are left to step 0, with a schedule that is completed at step `last`."""
        alive = self.books.alive()
        for who in self.everyone():
            if alive[who]:
                self.books.begin_anew(who, last)
        for team in self.teams:
            crew, ids = team.crew, team.ids(self.everyone())
            assert crew is not None
            left = {i: crew.state(i) for who, i in ids.items() if not alive[who] and crew.holds(i)}
            crew.drop(list(ids.values()))
            crew.put(left)

    def _renumber(self, last: int) -> None:
        """Gives all members the horizon that a stage completes."""
        rule = self.job.rule
        assert rule is not None
        assert rule.horizon is not None
        for team in self.teams:
            full = team.points.numeric[rule.horizon]
            scaled = np.asarray(full * (last / self.job.steps))
            scaled = np.rint(scaled) if np.issubdtype(full.dtype, np.integer) else scaled
            assert team.crew is not None
            team.crew.renumber({**team.numbers, rule.horizon: scaled.astype(full.dtype)})

    def _advance(self, cohort: Sequence[Who], step: int, stop: int) -> None:
        for team in self.teams:
            ids = team.ids(cohort)
            if not ids:
                continue
            assert team.crew is not None
            missing = [i for i in ids.values() if not team.crew.holds(i)]
            team.crew.start(missing)
            selected = self._selected(team, step, stop)
            outcomes = team.crew.advance(list(ids.values()), selected, stop - step)
            for who, i in ids.items():
                self.books.record(who, step, outcomes[i], team.member.names)
            self.moved = True

    def _due(self, who: Who, last: int) -> bool:
        step = int(self.books.step[who])
        on_grid = step % self.job.evaluate_every == 0 or step == last == self.job.steps
        return on_grid and self.books.alive()[who] and self.books.evaluated[who] < step

    def _evaluate(self, members: Sequence[Who]) -> None:
        job = self.job
        if job.held_out is None or not members:
            return
        for team in self.teams:
            ids = team.ids(members)
            if not ids:
                continue
            assert team.crew is not None
            team.crew.start([i for i in ids.values() if not team.crew.holds(i)])
            measured = team.crew.evaluate(list(ids.values()), job.held_out, "held out")
            steps = {int(self.books.step[who]) for who in ids}
            if team.observes and all(s > 0 and s % job.evaluate_every == 0 for s in steps):
                team.crew.observe(list(ids.values()), measured)
            for (who, i), row in zip(ids.items(), measured, strict=True):
                better = self.books.hold_out(who, int(self.books.step[who]), row, team.member.held_out_names)
                if better and "best" in job.keep:
                    self.kept["best"][who] = team.crew.state(i)
                ends = self.books.step[who] == job.steps
                if job.patience is not None and self.books.since_best[who] >= job.patience and not ends:
                    self.books.stop(who)

    def _decide(self, last: int) -> None:
        """Asks the rule which points go on, where all of them stand at a rung."""
        rule = self.job.rule
        if rule is None:
            return
        books = self.books
        alive = np.asarray(books.alive().any(axis=1))
        at = books.step[books.alive()]
        if not len(at) or at.min() != at.max() or int(at[0]) not in rule.rungs:
            return
        step = int(at[0])
        if (rule.horizon is not None and step != last) or any(step == s for s, _ in books.rungs):
            return
        losses = books.losses(step)
        kept = rule.keep(step, losses, alive, tuple(books.rungs), books.losses_at_the_start())
        books.decide(step, kept, losses)

    def _finish(self) -> None:
        """What is measured and kept once, after the last step."""
        job = self.job
        done = self.books.alive() | self.books.out_of_patience()
        finished = [who for who in self.everyone() if done[who]]
        for team in self.teams:
            assert team.crew is not None
            ids = {who: i for who, i in team.ids(finished).items() if team.crew.holds(i)}
            ids = {who: i for who, i in ids.items() if not self.books.tested[who]}
            if job.test is not None and ids:
                measured = team.crew.evaluate(list(ids.values()), job.test, "test")
                for who, row in zip(ids, measured, strict=True):
                    self.books.enter_test(who, row, team.member.held_out_names)
                self.moved = True
        if "final" in job.keep:
            for team in self.teams:
                for who, i in team.ids(self.everyone()).items():
                    if team.crew is not None and team.crew.holds(i):
                        self.kept["final"][who] = team.crew.state(i)

    def state(self, who: Who) -> Arrays | None:
        """A member's state, or None before it has one."""
        for team in self.teams:
            for i in team.ids([who]).values():
                return team.crew.state(i) if team.crew is not None and team.crew.holds(i) else None
        return None

    def best_state(self, who: Who) -> Arrays | None:
        """A member's state at its best evaluation, if that is kept."""
        return self.kept.get("best", {}).get(who)

    def states(self) -> dict[str, dict[Who, Any]]:
        """The states that were asked for, as the trial made them, by what they are and whose."""
        frames = {point: team.member.frame for team in self.teams for point in team.points.members}
        return {
            which: {who: merge(arrays, frames[who[0]]) for who, arrays in kept.items()}
            for which, kept in self.kept.items()
        }

    # What is told.

    def data(self) -> SweepData:
        """What was measured so far."""
        settings = {**self.settings(), **self._machine, "dtypes": self._dtypes()}
        data = self.books.data(self.seconds(), self._plan(), settings)
        return dataclasses.replace(data, states=self.states())

    def _dtypes(self) -> list[str]:
        """The kinds of floating-point numbers in members' states."""
        leaves = [x for team in self.teams for x in team.outline]
        return sorted({str(x.dtype) for x in leaves if jnp.issubdtype(x.dtype, jnp.floating)})

    def seconds(self) -> tuple[float, float, float]:
        """Seconds spent compiling, probing and running, those of earlier runs included."""
        compiling = self._checking + self._account.seconds()
        probing = self.crews.seconds_probing if self.crews else 0.0
        running = time.perf_counter() - self._began - compiling - probing
        a, b, c = self.spent
        return a + compiling, b + probing, c + running

    def _plan(self) -> Plan:
        return self.plans[0] if self.plans else Plan("none")

    def settings(self) -> dict[str, Any]:
        """How the job was asked for, as far as that is not in its points."""
        job = self.job
        first = {"first_seed": job.first_seed} if job.first_seed else {}
        return {
            "key": job.key,
            "seeds": job.seeds,
            "order": "shared" if job.shared_order else "per-seed",
            "evaluate_every": job.evaluate_every,
            "record_every": job.record_every,
            "blow_up": job.blow_up,
            "patience": job.patience,
            "allocation": job.rule.name if job.rule else None,
            "horizon": job.rule.horizon if job.rule else None,
            **first,
        }

    def _tell(self, phase: str) -> None:
        self._report(self.books.progress(phase), self.data)

    def _selected(self, team: Team, step: int, stop: int) -> Callable[[int], Any]:
        """What the batches of a chunk are gathered from, by seed; padded to the longest chunk."""

        def make(step: int, stop: int) -> Callable[[], list[Any]]:
            return lambda: self._by_seed(team, step, stop)

        source = id(team.data)  # groups that share their data share this
        each = self.ahead.get(source, (step, stop), make(step, stop))
        after = self.clock.after(stop)
        if team.data.on_device and after > stop:
            self.ahead.expect(source, (stop, after), make(stop, after))
        return lambda seed: each[seed if team.batched else 0]

    def _by_seed(self, team: Team, step: int, stop: int) -> list[Any]:
        first = self.job.first_seed
        seeds = range(first, first + self.job.seeds) if team.batched else (0,)
        made = team.data.schedule(step, stop - step, seeds)

        def padded(x: Any) -> jax.Array:
            return _padded(x, self.clock.piece)

        if not team.data.per_seed:
            return [jax.tree.map(padded, made)]
        return [jax.tree.map(lambda x, s=s: padded(x[:, s]), made) for s in range(len(seeds))]


def check(job: Job) -> None:
    """Refuses a job that cannot be trained or evaluated, as `train` does before it trains.

    Args:
      job: What would be trained.

    Raises:
      TypeError: If the trial breaks the protocol.
      Exception: What the trial raises for a point.
    """
    with _pinned():
        Training(job, lambda progress, measured: None, None).check()


def train(job: Job, report: Report, archive: Archive | None = None) -> SweepData:
    """Trains every point with every seed.

    A keyboard interrupt ends the training after the chunk in training; what was measured until then is
    returned, and `stopped_at` says where each member stood.

    Args:
      job: What to train.
      report: Called with how far the job is, after every chunk and while something takes long, and with
        a function that gives what was measured so far.
      archive: Where checkpoints are, or None.

    Returns:
      What was measured.

    Raises:
      TypeError: Before any training, if the trial breaks the protocol.
      ValueError: Before any training, if the trial cannot be run by the plan.
      Exception: Before any training, what the trial raises for a point. Later, what the data or `report`
        raise, with what was measured as the error's attribute `sweep`.
    """
    training = Training(job, report, archive)
    with _pinned(), contextlib.ExitStack() as stack:
        made: dict[int, Threads] = {}

        def threads(count: int) -> Threads:
            if count not in made:
                made[count] = Threads(count, _pinned)
                stack.callback(made[count].close)
            return made[count]

        training.check()
        stack.enter_context(training.ahead)
        stack.enter_context(on_interrupt(training.interrupt))
        try:
            training.organise(threads)
            training.run()
        except KeyboardInterrupt:
            pass
        except Exception as error:
            if training.books.step.any():
                training.stop()
                error.sweep = training.data()  # type: ignore[attr-defined]
            raise
        training.stop()
    return training.data()


@contextlib.contextmanager
def _pinned() -> Iterator[None]:
    """The configuration under which members run: no way of running them changes what is computed."""
    precision = jax.config.values["jax_default_matmul_precision"] or "highest"
    with jax.default_matmul_precision(precision), jax.debug_nans(False), jax.debug_infs(False):
        yield


_told: list[Callable[[], None]] = []  # who is told of the first Ctrl-C, the outermost first


@contextlib.contextmanager
def on_interrupt(act: Callable[[], None]) -> Iterator[None]:
    """Calls `act` on the first Ctrl-C, as all do that are nested; the second one raises KeyboardInterrupt."""
    in_main = threading.current_thread() is threading.main_thread()
    usual = signal.getsignal(signal.SIGINT)
    if not in_main or usual not in (signal.default_int_handler, _tell_of_interrupt):  # the user's own stays
        yield
        return
    if not _told:
        signal.signal(signal.SIGINT, _tell_of_interrupt)
    _told.append(act)
    try:
        yield
    finally:
        _told.remove(act)
        if not _told:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _tell_of_interrupt(number: int, frame: Any) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for act in list(_told):
        act()


def _padded(x: Any, length: int) -> jax.Array:
    missing = length - x.shape[0]
    if missing and isinstance(x, np.ndarray):
        x = np.concatenate([x, np.zeros((missing, *x.shape[1:]), x.dtype)])
    elif missing:
        x = jnp.concatenate([x, jnp.zeros((missing, *x.shape[1:]), x.dtype)])
    return jnp.asarray(x)


def _longest_in_memory(team: Team, job: Job) -> int:
    """Steps per chunk at most: as many as memory can hold what their batches are gathered from."""
    selected = team.data.schedule(0, 1, (0,)) if team.data.on_device else team.batch
    bytes_per_step = sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(selected))
    bytes_per_step *= job.seeds if team.batched else 1
    return max(1, _LARGEST_CHUNK // max(1, bytes_per_step))


def _batch_outline(data: Data) -> Any:
    """Shapes and dtypes of a batch; a function of the host is called, not traced."""
    if data.on_device:
        return jax.eval_shape(lambda: data(0))
    return jax.eval_shape(lambda batch: batch, data(0))


def _held_out_outlines(job: Job) -> list[tuple[str, Any]]:
    """Which argument each batch to evaluate is from, its shapes and dtypes: whole ones, and the last."""
    outlines = []
    for argument, held_out in (("evaluate_on", job.held_out), ("test_on", job.test)):
        if held_out is None:
            continue
        for size in filter(None, {held_out.batch_size, held_out.examples % held_out.batch_size}):
            outlines.append((argument, _batch_of(held_out.arrays, size)))
    return outlines


def _batch_of(arrays: Any, size: int) -> Any:
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct((size, *x.shape[1:]), x.dtype), arrays)
