"""What members have measured so far, and where each of them stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lrjax.engine._job import Job, Progress
from lrjax.engine._replay import Fault, Outcome
from lrjax.results import Cost, Plan, SweepData, as_column

Who = tuple[int, int]  # point, seed index


class Books:
    """The arrays that fill up while members train; all lead with `[points, seeds]`.

    Attributes:
      step: Updates that a member has behind it.
      evaluated: How many of them it had at its last evaluation, -1 before the first.
      diverged_at: See `SweepData`.
      stopped_at: See `SweepData`.
      schedule: The step at which the schedule that a member's curve shows is completed.
      rungs: What was asked of the rule so far: step and losses.
      member_steps: Training steps computed, of all members and stages.
      wasted: Those of them that a member's curve no longer shows, or that came before it was given up.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._shape = shape = (len(job.points), job.seeds)
        self._names = list(dict.fromkeys(name for point in job.points for name in point))
        self.recorded_steps = np.arange(0, job.steps, job.record_every)
        evaluations = {0, *range(job.evaluate_every, job.steps + 1, job.evaluate_every), job.steps}
        self.held_out_steps = np.array(sorted(evaluations) if job.held_out else [], int)
        self.metrics: dict[str, np.ndarray] = {}
        self.held_out: dict[str, np.ndarray] = {}
        self.test: dict[str, np.ndarray] = {}
        self.step = np.zeros(shape, int)
        self.evaluated = np.full(shape, -1)
        self.diverged_at = np.full(shape, -1)
        self.stopped_at = np.full(shape, -1)
        self.schedule = np.full(shape, job.steps)
        self.causes = np.full(shape, "", "<U12")
        self.leaves = np.full(shape, "", "<U200")
        self.first = np.full(shape, np.nan)  # training losses, for the blow-up rule
        self.lowest = np.full(shape, np.inf)
        self.over = np.zeros(shape, int)
        self.best = np.full(shape, np.inf)  # held-out losses, for patience and the best states
        self.since_best = np.zeros(shape, int)
        self.latest = np.full(shape, np.nan)
        self.rungs: list[tuple[int, np.ndarray]] = []
        self.kept: list[np.ndarray] = []
        self.tested = np.zeros(shape, bool)
        self.reused = 0
        self.repeated = 0  # steps of stages whose members began anew

    def alive(self) -> np.ndarray:
        """Members that train, or could train on."""
        return (self.diverged_at < 0) & (self.stopped_at < 0)

    def out_of_patience(self) -> np.ndarray:
        """Members that stopped because their loss did not improve: they are done, not given up."""
        if self._job.patience is None:
            return np.zeros(self._shape, bool)
        return (self.stopped_at >= 0) & (self.since_best >= self._job.patience)

    def dropped(self) -> np.ndarray:
        """Members that the rule stopped."""
        points = ~np.all(self.kept, axis=0) if self.kept else np.zeros(self._shape[0], bool)
        return (self.stopped_at >= 0) & points[:, None] & ~self.out_of_patience()

    def record(self, who: Who, first: int, outcome: Outcome, names: Sequence[str]) -> Fault | None:
        """Enters what a member measured in a chunk from step `first`; returns why it diverged, if it did."""
        loss = outcome.metrics[:, names.index("loss")]
        fault, metrics = outcome.fault, outcome.metrics
        blown = self._blown_up(who, loss if fault is None else loss[: fault.offset])
        if blown is not None:
            fault = Fault(blown, "blow-up", "")
            metrics = np.where(np.arange(len(metrics))[:, None] > blown, np.nan, metrics)
        wanted = slice(*np.searchsorted(self.recorded_steps, (first, first + len(metrics))))
        picked = metrics[self.recorded_steps[wanted] - first]
        for index, name in enumerate(names):
            self.table(self.metrics, name, len(self.recorded_steps))[who][wanted] = picked[:, index]
        self.step[who] = first + (len(metrics) if fault is None else fault.offset + 1)
        if fault is not None:
            self.diverged_at[who] = first + fault.offset
            self.causes[who], self.leaves[who] = fault.cause, fault.leaf
            self.latest[who] = np.inf
        elif self._job.held_out is None:
            self.latest[who] = loss[-1]
        return fault

    def hold_out(self, who: Who, step: int, values: np.ndarray, names: Sequence[str]) -> bool:
        """Enters an evaluation; returns whether it is the member's best."""
        column = int(np.searchsorted(self.held_out_steps, step))
        for name, value in zip(names, values, strict=True):
            self.table(self.held_out, name, len(self.held_out_steps))[who][column] = value
        loss = float(values[names.index("loss")])
        self.evaluated[who] = step
        self.latest[who] = loss
        better = loss < self.best[who]
        self.best[who] = min(self.best[who], loss) if loss == loss else self.best[who]
        self.since_best[who] = 0 if better else self.since_best[who] + 1
        return better

    def enter_test(self, who: Who, values: np.ndarray, names: Sequence[str]) -> None:
        """Enters the evaluation on test data."""
        for name, value in zip(names, values, strict=True):
            self.test.setdefault(name, np.full(self._shape, np.nan, np.float32))[who] = value
        self.tested[who] = True

    def stop(self, who: Who) -> None:
        """A member trains no further."""
        self.stopped_at[who] = self.step[who]

    def interrupt(self) -> None:
        """No member trains any further, for the time being."""
        self.stopped_at = np.where(self.alive() & (self.step < self._job.steps), self.step, self.stopped_at)

    def begin_anew(self, who: Who, last: int) -> None:
        """Forgets what a member measured: it starts again, with a schedule completed at step `last`."""
        self.repeated += int(self.step[who])
        self.schedule[who] = last
        for tables in (self.metrics, self.held_out):
            for table in tables.values():
                table[who] = np.nan
        self.step[who], self.evaluated[who] = 0, -1
        self.first[who], self.lowest[who], self.over[who] = np.nan, np.inf, 0
        self.best[who], self.since_best[who] = np.inf, 0

    def losses(self, step: int) -> np.ndarray:
        """Losses of all members at a step, infinite of those that diverged.

        With patience these are the best until then, also of members that ran out of it. NaN stands for
        those that the rule stopped, and for points that are done: none of their members trains, and some
        ran out of patience.
        """
        nothing = np.full((*self._shape, 1), np.nan, np.float32)
        if self._job.held_out is not None:
            upto = int(np.searchsorted(self.held_out_steps, step, side="right"))
            since = 1 if self._job.patience is not None else upto - 1
            table = self.held_out.get("loss", nothing)
            losses = np.fmin.reduce(table[..., since:upto], axis=-1, initial=np.nan)
        else:
            before = np.flatnonzero(self.recorded_steps < step)
            tail = before[-max(1, len(before) // 10) :]
            losses = self.metrics["loss"][..., tail].mean(axis=-1) if len(tail) else nothing[..., 0]
        losses = np.where(np.isfinite(losses), losses, np.inf).astype(float)
        losses = np.where(self.diverged_at >= 0, np.inf, losses)
        patient = self.out_of_patience()
        done = patient.any(axis=1, keepdims=True) & ~self.alive().any(axis=1, keepdims=True)
        return np.where(((self.stopped_at >= 0) & ~patient) | done, np.nan, losses)

    def losses_at_the_start(self) -> np.ndarray:
        """Losses of all members before training, or of their first step; NaN where none was measured."""
        table = (self.held_out if self._job.held_out is not None else self.metrics).get("loss")
        if table is None or not table.shape[-1]:
            return np.full(self._shape, np.nan)
        return table[..., 0].astype(float)

    def decide(self, step: int, kept: np.ndarray, losses: np.ndarray) -> None:
        """Enters a rung: points that are not kept stop."""
        self.rungs.append((step, losses))
        self.kept.append(kept)
        gone = self.alive() & ~kept[:, None]
        self.stopped_at = np.where(gone, self.step, self.stopped_at)

    def progress(self, phase: str) -> Progress:
        """How far the job is."""
        failed = np.where(np.isfinite(self.latest), self.latest, np.inf)
        medians = np.median(failed, axis=1)
        best = int(np.argmin(medians)) if np.isfinite(medians).any() else None
        training = self.alive() & (self.step < self._job.steps)
        behind = np.where(training, self.step, self._job.steps)
        return Progress(
            phase=phase,
            fraction=float(behind.mean() / self._job.steps),
            step=int(self.step[training].min()) if training.any() else self._job.steps,
            alive=int((self.diverged_at < 0).sum()),
            members=self.step.size,
            best=best,
            loss=float("nan") if best is None else float(medians[best]),
        )

    def data(self, seconds: tuple[float, float, float], plan: Plan, settings: dict[str, Any]) -> SweepData:
        """What was measured so far; `seconds` are those spent compiling, probing and running."""
        used = int(self.step.sum()) + self.repeated
        given_up = (self.diverged_at >= 0) | self.dropped()
        full = self.step.size * self._job.steps
        cost = Cost(
            used,
            full,
            *seconds,
            member_steps_wasted=int(self.step[given_up].sum()) + self.repeated,
            member_steps_reused=self.reused,
        )
        return SweepData(
            points={name: as_column([point.get(name) for point in self._job.points]) for name in self._names},
            metrics={name: values.copy() for name, values in self.metrics.items()},
            recorded_steps=self.recorded_steps,
            held_out={name: values.copy() for name, values in self.held_out.items()},
            held_out_steps=self.held_out_steps,
            test={name: values.copy() for name, values in self.test.items()},
            diverged_at=self.diverged_at.copy(),
            stopped_at=self.stopped_at.copy(),
            cost=cost,
            plan=plan,
            name=self._job.name,
            steps=self._job.steps,
            causes=self.causes.copy(),
            leaves=self.leaves.copy(),
            rungs=tuple(
                (step, losses.copy(), kept.copy())
                for (step, losses), kept in zip(self.rungs, self.kept, strict=True)
            ),
            settings={**settings, **self._for_verification()},
        )

    def _for_verification(self) -> dict[str, Any]:
        """What a member needs to be trained again, as far as neither points nor settings say it; JSON.

        `absent` says by name which points have no such hyperparameter, which their column shows as None;
        `schedules`, with a horizon, at which step the schedule that each member's curve shows is completed.
        """
        points = list(enumerate(self._job.points))
        absent = {name: [p for p, point in points if name not in point] for name in self._names}
        about: dict[str, Any] = {"absent": {name: which for name, which in absent.items() if which}}
        if self._job.rule is not None and self._job.rule.horizon is not None:
            about["schedules"] = self.schedule.tolist()
        return about

    def table(self, tables: dict[str, np.ndarray], name: str, length: int) -> np.ndarray:
        """A table of tables, made on first use."""
        if name not in tables:
            tables[name] = np.full((*self._shape, length), np.nan, np.float32)
        return tables[name]

    def _blown_up(self, who: Who, losses: np.ndarray) -> int | None:
        """The step of a chunk at which a loss has been far above the first one for long, or None.

        Losses may be negative: the yardstick is the size of the first loss or the best improvement on
        it, whichever is larger. Where both are zero nothing can be said.
        """
        if not len(losses):
            return None
        if np.isnan(self.first[who]):
            self.first[who] = losses[0]
        first, factor = self.first[who], self._job.blow_up
        if factor is None or losses.max() <= first + factor * abs(first):  # the smallest yardstick
            self.lowest[who], self.over[who] = min(self.lowest[who], losses.min()), 0
            return None
        lowest = np.minimum.accumulate(np.append(self.lowest[who], losses))[1:]
        self.lowest[who] = lowest[-1]
        yardstick = np.maximum(abs(first), first - np.minimum(lowest, first))
        over = (losses > first + factor * yardstick) & (yardstick > 0)
        if not over.any():
            self.over[who] = 0
            return None
        below = np.flatnonzero(~over)
        count = np.arange(1, len(over) + 1)
        since = np.where(over, count - np.maximum.accumulate(np.where(over, 0, count)), 0)
        started = below[0] if len(below) else len(over)
        since[:started] = np.where(over[:started], since[:started] + self.over[who], 0)
        self.over[who] = int(since[-1])
        reached = np.flatnonzero(since >= self._job.sustained)
        return int(reached[0]) if len(reached) else None
