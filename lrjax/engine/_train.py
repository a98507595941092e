"""Trains points x seeds chunk by chunk and collects what they measure."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lrjax._keys import member_key
from lrjax.data import Data
from lrjax.engine import _points, _preflight
from lrjax.engine._program import PLAN, Members, Program
from lrjax.results import Cost, SweepData, as_column
from lrjax.trials import Trial

_LONGEST_CHUNK = 250
_LARGEST_CHUNK = 2**28  # bytes of batches made on the host that wait for their steps


class HeldOut(NamedTuple):
    """Arrays to evaluate on.

    Attributes:
      arrays: A tree of arrays with a leading example axis.
      examples: How many examples there are.
      batch_size: How many are evaluated at a time.
    """

    arrays: Any
    examples: int
    batch_size: int


class Job(NamedTuple):
    """What to train; all values are checked already.

    Attributes:
      trial: The trial.
      points: The hyperparameters of each point.
      data: The training data.
      steps: Updates per member.
      seeds: Members per point.
      key: The base of the members' keys.
      shared_order: Whether all seeds see the data in the order of seed index 0.
      evaluate_every: Updates between evaluations.
      record_every: Steps between recorded training metrics.
      held_out: What to evaluate on, or None.
      test: What to evaluate on after the last step, or None.
      name: The hyperparameter that is the learning rate.
    """

    trial: Trial
    points: Sequence[Mapping[str, Any]]
    data: Data
    steps: int
    seeds: int
    key: int
    shared_order: bool
    evaluate_every: int
    record_every: int
    held_out: HeldOut | None
    test: HeldOut | None
    name: str


class Progress(NamedTuple):
    """How far a job is, after a chunk.

    Attributes:
      fraction: The part of all member-steps that is done, in [0, 1].
      step: Updates that the members in training have behind them.
      alive: Members that have not gone non-finite.
      members: All members.
      best: The best point's index so far, or None before anything finite is measured.
      loss: Its median loss over seeds, held out where there is held-out data; NaN without a best.
    """

    fraction: float
    step: int
    alive: int
    members: int
    best: int | None
    loss: float


def train(job: Job, on_chunk: Callable[[Progress], None]) -> SweepData:
    """Trains every point with every seed.

    A keyboard interrupt ends the training after the last finished chunk; what was measured until
    then is returned, and `stopped_at` says where each member stood.

    Args:
      job: What to train.
      on_chunk: Called after every chunk.

    Returns:
      What was measured.

    Raises:
      TypeError: Before any training, if the trial breaks the protocol.
      Exception: Before any training, what the trial raises for a point.
    """
    began = time.perf_counter()
    # Pinned, so that no way of running the members changes what is computed.
    precision = jax.config.values["jax_default_matmul_precision"] or "highest"
    with jax.default_matmul_precision(precision), jax.debug_nans(False), jax.debug_infs(False):
        groups = _points.group(job.points, job.trial.static)
        batch = _batch_outline(job)
        frames = _preflight.check_points(
            job.trial, groups, member_key(job.key, 0), batch, _held_out_outlines(job)
        )
        tracing = time.perf_counter() - began
        books = _Books(job)
        chunks = list(_chunks(job, _longest_chunk(job, batch)))
        programs = [
            Program(job.trial, group.static, frame, job.data, _batched(job))
            for group, frame in zip(groups, frames, strict=True)
        ]
        try:
            for group, program in zip(groups, programs, strict=True):
                _train_group(job, group, program, chunks, books, on_chunk)
        except KeyboardInterrupt:
            books.interrupt()
    compiling = tracing + sum(program.seconds_compiling for program in programs)
    return books.close(compiling, time.perf_counter() - began - compiling)


def _train_group(
    job: Job,
    group: _points.Group,
    program: Program,
    chunks: Sequence[tuple[int, int, int]],
    books: _Books,
    on_chunk: Callable[[Progress], None],
) -> None:
    rows = np.array(group.members)
    numbers = {name: jnp.asarray(values) for name, values in group.numeric.items()}
    members = program.start(jnp.stack([member_key(job.key, s) for s in range(job.seeds)]), numbers)
    _evaluate(job, program, members, 0, rows, books)
    for first, stop, length in chunks:
        selected = _selected(job, first, stop, length)
        members, metrics = program.advance(members, numbers, selected, first, stop)
        books.record(rows, first, stop, jax.device_get(metrics), np.asarray(members.diverged_at))
        if stop % job.evaluate_every == 0 or stop == job.steps:
            measured = _evaluate(job, program, members, stop, rows, books)
            if measured is not None and job.trial.observe is not None:
                members = program.observe(members, measured)
        on_chunk(books.progress(stop))
    if job.test is not None:
        books.test(rows, jax.device_get(program.evaluate(members, *job.test)))


def _evaluate(
    job: Job, program: Program, members: Members, step: int, rows: np.ndarray, books: _Books
) -> dict[str, jax.Array] | None:
    if job.held_out is None:
        return None
    measured = program.evaluate(members, *job.held_out)
    books.hold_out(rows, step, jax.device_get(measured))
    return measured


class _Books:
    """The arrays that fill up while members train."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._shape = (len(job.points), job.seeds)
        self._recorded_steps = np.arange(0, job.steps, job.record_every)
        evaluations = {0, *range(job.evaluate_every, job.steps + 1, job.evaluate_every), job.steps}
        self._held_out_steps = np.array(sorted(evaluations) if job.held_out else [], int)
        self._metrics: dict[str, np.ndarray] = {}
        self._held_out: dict[str, np.ndarray] = {}
        self._test: dict[str, np.ndarray] = {}
        self._diverged_at = np.full(self._shape, -1)
        self._done = np.zeros(self._shape, int)
        self._stopped_at = np.full(self._shape, -1)
        self._latest = np.full(self._shape, np.nan)

    def record(
        self,
        rows: np.ndarray,
        first: int,
        stop: int,
        metrics: Mapping[str, np.ndarray],
        diverged_at: np.ndarray,
    ) -> None:
        wanted = np.flatnonzero((self._recorded_steps >= first) & (self._recorded_steps < stop))
        for name, values in metrics.items():
            table = self._table(self._metrics, name, len(self._recorded_steps))
            picked = values[self._recorded_steps[wanted] - first]
            table[rows[:, None], :, wanted] = np.moveaxis(picked, 0, 1)
        self._diverged_at[rows] = diverged_at
        self._done[rows] = stop
        if self._job.held_out is None:
            self._latest[rows] = metrics["loss"][stop - first - 1]

    def hold_out(self, rows: np.ndarray, step: int, metrics: Mapping[str, np.ndarray]) -> None:
        column = int(np.searchsorted(self._held_out_steps, step))
        for name, values in metrics.items():
            self._table(self._held_out, name, len(self._held_out_steps))[rows, :, column] = values
        self._latest[rows] = metrics["loss"]

    def test(self, rows: np.ndarray, metrics: Mapping[str, np.ndarray]) -> None:
        for name, values in metrics.items():
            self._test.setdefault(name, np.full(self._shape, np.nan, np.float32))[rows] = values

    def progress(self, step: int) -> Progress:
        failed = np.where(np.isfinite(self._latest), self._latest, np.inf)
        medians = np.median(failed, axis=1)
        best = int(np.argmin(medians)) if np.isfinite(medians).any() else None
        return Progress(
            fraction=float(self._done.mean() / self._job.steps),
            step=step,
            alive=int((self._diverged_at < 0).sum()),
            members=self._done.size,
            best=best,
            loss=float("nan") if best is None else float(medians[best]),
        )

    def interrupt(self) -> None:
        unfinished = (self._diverged_at < 0) & (self._done < self._job.steps)
        self._stopped_at = np.where(unfinished, self._done, -1)

    def close(self, seconds_compiling: float, seconds_running: float) -> SweepData:
        full = self._done.size * self._job.steps
        cost = Cost(int(self._done.sum()), full, seconds_compiling, 0.0, seconds_running)
        return SweepData(
            points={
                name: as_column([point[name] for point in self._job.points]) for name in self._job.points[0]
            },
            metrics=self._metrics,
            recorded_steps=self._recorded_steps,
            held_out=self._held_out,
            held_out_steps=self._held_out_steps,
            test=self._test,
            diverged_at=self._diverged_at,
            stopped_at=self._stopped_at,
            cost=cost,
            plan=PLAN,
            name=self._job.name,
            steps=self._job.steps,
        )

    def _table(self, tables: dict[str, np.ndarray], name: str, length: int) -> np.ndarray:
        return tables.setdefault(name, np.full((*self._shape, length), np.nan, np.float32))


def _chunks(job: Job, longest: int) -> Iterator[tuple[int, int, int]]:
    """First step, stop and padded length of each chunk; one length, so one program."""
    every = min(job.evaluate_every, job.steps)
    pieces = -(-every // longest)
    length = -(-every // pieces)
    for begin in range(0, job.steps, every):
        end = min(begin + every, job.steps)
        for first in range(begin, end, length):
            yield first, min(first + length, end), length


def _longest_chunk(job: Job, batch: Any) -> int:
    """Steps per chunk at most; where batches are made on the host, as many as memory can hold."""
    if job.data.on_device:
        return _LONGEST_CHUNK
    bytes_per_step = sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(batch))
    bytes_per_step *= job.seeds if _batched(job) else 1
    return min(_LONGEST_CHUNK, max(1, _LARGEST_CHUNK // max(1, bytes_per_step)))


def _batched(job: Job) -> bool:
    return job.data.per_seed and not job.shared_order


def _selected(job: Job, first: int, stop: int, length: int) -> Any:
    """What each step's batch is gathered from, padded to the chunk's length with the last step's."""
    seeds = range(job.seeds) if _batched(job) else (0,)
    selected = job.data.schedule(first, stop - first, seeds)
    if job.data.per_seed and not _batched(job):
        selected = jax.tree.map(lambda x: x[:, 0], selected)
    if stop - first < length:
        index = np.minimum(np.arange(length), stop - first - 1)
        selected = jax.tree.map(lambda x: x[index], selected)
    return jax.tree.map(jnp.asarray, selected)


def _batch_outline(job: Job) -> Any:
    """Shapes and dtypes of a batch; a function of the host is called, not traced."""
    if job.data.on_device:
        return jax.eval_shape(lambda: job.data(0))
    return jax.eval_shape(lambda batch: batch, job.data(0))


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
