"""The course of a search: stages of training, each decided by what those before it measured.

Every stage is a sweep of its own, in a folder of its own. What a stage trains follows from the
measurements alone, so the same call, made again, finds its stages stored and goes on after them.
"""

from __future__ import annotations

import dataclasses
import datetime
import math
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from lrjax import _check
from lrjax.answer import Answer, absent, dropped_at, hopeless, interrupted
from lrjax.engine import Archive, Job, on_interrupt
from lrjax.results import Cost, Plan, SweepData, check_writable
from lrjax.search import _asked, _grid
from lrjax.search._allocation import Allocation, capped, successive_halving
from lrjax.search._merge import merge
from lrjax.search._range_test import RangeTest, range_test
from lrjax.search._rates import COARSE, FINE, bracket, first_rates, higher, missing
from lrjax.search._result import Sweep, as_sweep
from lrjax.search._run import check_place, how_to_go_on, run
from lrjax.trials import Trial

_USUAL = (1e-5, 1.0)  # where rates are sought that nothing is known of
_RAMP = 100  # the most steps of the range test
_RAMP_SEEDS = 5  # the most that it trains
_SHORT = 50  # steps below which a run is shorter than the range test that would prepare it
_BEYOND = 1e3  # how far outside of the first rates the search goes
_DESCENTS = 3  # how often lower rates are tried where all fail, and higher ones where none learns
_ENOUGH = 25  # the default budget, in rates trained to the end
_MOST_SEEDS = 10
_MOST_ALIKE = 6  # points that get more seeds at a time
_FEW = 5  # seeds below which small differences are not trusted
_SMALL = 0.02  # of the best score: a difference that is not worth more seeds


class Limits(NamedTuple):
    """What a search may take.

    Attributes:
      member_steps: Updates, summed over members; None for no such limit.
      seconds: Time; None for no such limit.
    """

    member_steps: int | None
    seconds: float | None

    @classmethod
    def of(cls, call: str, budget: Any, steps: int, seeds: int) -> Limits:
        """The limits that `budget` stands for, checked."""
        if budget is None:
            return cls(_ENOUGH * steps * seeds, None)
        if isinstance(budget, datetime.timedelta):
            if budget <= datetime.timedelta(0):
                raise _check.fail(call, "budget", "a time > 0", str(budget))
            return cls(None, budget.total_seconds())
        if isinstance(budget, bool) or not isinstance(budget, (int, np.integer)):
            expected = "member-steps (an integer), a `datetime.timedelta`, or None"
            raise _check.fail_type(call, "budget", expected, _check.describe(budget))
        return cls(_check.integer(call, "budget", budget, low=1), None)


class _OutOfTime(Exception):
    pass


class _Ended(Exception):
    """The search ends here; the message says why, and what was left out."""


@dataclasses.dataclass
class Course:
    """A search while it runs.

    Attributes:
      call: The public function the user called.
      trial: What is trained.
      data: The training data.
      fixed: The hyperparameters beside the rate.
      limits: What the search may take.
      directory: Where to store, or None.
      checkpoint_seconds: Seconds between checkpoints at least.
      progress: Whether to say what is tried.
      on_chunk: Called after every chunk with what was measured so far.
      asked: The other arguments of `_asked.job`.
      stages: What was trained.
      lines: What was done, a line each.
      ramp: The range test, if there was one.
      spent: What was spent beside the stages.
      unfinished: What the search would have done and did not, a sentence.
    """

    call: str
    trial: Trial
    data: Any
    fixed: Mapping[str, Any]
    limits: Limits
    directory: str | os.PathLike[str] | None
    checkpoint_seconds: float
    progress: bool | Literal["bar", "lines"]
    on_chunk: Callable[[Sweep], object] | None
    asked: dict[str, Any]
    stages: list[Sweep] = dataclasses.field(default_factory=list)
    lines: list[str] = dataclasses.field(default_factory=list)
    ramp: RangeTest | None = None
    spent: Cost | None = None
    unfinished: str = ""
    stopped: bool = False

    def stop(self) -> None:
        """Ends the search after the chunk that is being trained."""
        self.stopped = True

    def run(self, minimum: float | None, maximum: float | None, points: int | None) -> Sweep:
        """Searches; see `find_learning_rate`."""
        with on_interrupt(self.stop):  # of a stage it would be lost where the stage is done all the same
            return self._run(minimum, maximum, points)

    def _run(self, minimum: float | None, maximum: float | None, points: int | None) -> Sweep:
        began = time.perf_counter()
        _asked.check_run(self.call, self.on_chunk, self.checkpoint_seconds)
        job = self._job(first_rates(minimum or _USUAL[0], maximum or _USUAL[1], 2), 0, self.seeds)
        if self.directory is not None:
            check_place(self.call, Path(self.directory), search=True)
            # What stands in the way of storing is told before anything is trained.
            directory = check_writable(self.call, "directory", self.directory)
            with Archive(self.call, directory / "stage-1", self.checkpoint_seconds):
                pass
        ramp = 0 if minimum is not None and maximum is not None else self._ramp(job)
        self._check_budget(ramp, points or 2)
        self._check_time(began)
        low, high = self._where(ramp, minimum, maximum)
        self._check_time(began)
        rates = first_rates(low, high, points)
        bounds = (minimum or low / _BEYOND, maximum or high * _BEYOND)
        try:
            self._first(rates)
            self._descend(bounds)
            self._ascend(bounds)
            confirmed = False
            while not confirmed:
                judged: list[float] = []
                while judged != (judged := self._judged):
                    self._close_in(COARSE, bounds)
                    self._close_in(FINE, bounds)
                    self._tell_apart()
                    self._descend(bounds)  # where those fail now that had been dropped
                confirmed = self._confirm()
            if self._best_rate is None and self._some_trained and not hopeless(self.merged()):
                self._note("no rate lowered the loss by more than chance would")
        except _Ended as ended:
            self.unfinished = str(ended)
            self._note(self.unfinished)
        result = self.merged()
        if self.directory is not None:
            # Not before: until a stage is accepted, this may be another search's place.
            if self.ramp is not None:
                self.ramp.save(Path(self.directory) / "range-test")
            result.save(self.directory)
        return result

    @property
    def seeds(self) -> int:
        """Members per rate, at first."""
        return self.asked["seeds"]

    @property
    def steps(self) -> int:
        """Updates per member."""
        return self.asked["steps"]

    @property
    def answer(self) -> Answer:
        """What the search says so far."""
        return self.merged().answer

    @property
    def _best_rate(self) -> float | None:
        """The rate with the lowest loss so far, which may not be the one that is chosen."""
        return next(iter(self._judged), None)

    @property
    def _judged(self) -> list[float]:
        """The rate with the lowest loss so far and the one that would be answered; empty without one."""
        sweep = self.merged()
        return [float(sweep.points[sweep.name][place]) for place in _places(sweep.answer)]

    @property
    def _some_trained(self) -> bool:
        """Whether some rate did not fail so far."""
        return bool(np.isfinite(self.answer.scores).any())

    def merged(self, *more: SweepData) -> Sweep:
        """All stages as one sweep."""
        return as_sweep(merge([*self.stages, *more], self._settings(), self.spent))

    def _settings(self) -> dict[str, Any]:
        member_steps, seconds = self.limits
        budget = f"{seconds:g} s" if member_steps is None else f"{member_steps} member-steps"
        return {"course": list(self.lines), "budget": budget, "unfinished": self.unfinished}

    def _note(self, line: str) -> None:
        self.lines.append(line)
        if self.progress:
            print(f"{self.call}: {line}", file=sys.stderr, flush=True)

    # What is done.

    def _ramp(self, job: Job) -> int:
        """How many steps a range test has; 0 where it is not repaid."""
        if self.steps < _SHORT:
            return 0
        longest = job.data({name: self.fixed[name] for name in job.of_data}).steps
        most = min(_RAMP, self.steps)  # a schedule ends where training does
        return most if longest is None else min(most, longest)

    def _check_budget(self, ramp: int, rates: int) -> None:
        """Refuses a budget that does not suffice for so many rates, before anything is trained."""
        if self.limits.member_steps is None:
            return
        rung, rest = self._rung()
        least = ramp * min(self.seeds, _RAMP_SEEDS) + self.seeds * (rates * rung + rest)
        if self.limits.member_steps < least:
            expected = f"at least {least} member-steps, for {_count(rates, 'rate')}"
            raise _check.fail(self.call, "budget", expected, self.limits.member_steps)

    def _check_time(self, began: float) -> None:
        """Refuses a time that is over before the first rates are trained."""
        seconds, passed = self.limits.seconds, time.perf_counter() - began
        if seconds is not None and passed > seconds:
            expected = f"a time in which training can begin, which took {passed:.2g} s"
            known = "".join(f" ({line})" for line in self.lines)
            raise _check.fail(self.call, "budget", expected, f"{seconds:g} s{known}")

    def _rung(self) -> tuple[int, int]:
        """After how many steps the first rates are judged, and how many more those kept train."""
        rungs = self._halving.rungs(self.steps, self.asked["evaluate_every"])
        rung = rungs[0] if rungs else self.steps
        return rung, self.steps if self.asked["horizon"] is not None else self.steps - rung

    @property
    def _halving(self) -> Allocation:
        return successive_halving(4, first=max(1, self.steps // 4))

    def _where(self, ramp: int, minimum: float | None, maximum: float | None) -> tuple[float, float]:
        """The range to begin in: as asked, or around what a range test suggests."""
        if minimum is not None and maximum is not None:
            return minimum, maximum
        if not ramp:
            self._note(f"no range test: a run of {_count(self.steps, 'step')} would not repay it")
            return bracket(*_USUAL, minimum, maximum)
        common = {name: self.asked[name] for name in ("name", "plan", "mesh", "order", "key")}
        seeds = min(self.seeds, _RAMP_SEEDS)
        test = range_test(
            self.trial,
            self.data,
            steps=ramp,
            seeds=seeds,
            hyperparams=self.fixed,
            constant=False,  # the search trains them itself
            progress=False,
            **common,
        )
        if self.stopped:
            raise KeyboardInterrupt  # nothing that is a sweep is measured
        self.ramp, self.spent = test, test.cost
        begin = f"range test, {ramp} steps x {_count(seeds, 'seed')}"
        if test.suggestion is None:
            self._note(f"{begin}: no suggestion. {test.reason}")
            return bracket(*_USUAL, minimum, maximum)
        edge = test.stable_edge
        unstable = "" if edge is None else f", unstable from {edge:.2g} on"
        self._note(f"{begin}: suggests {test.suggestion:.2g}{unstable}")
        low, high = test.suggestion / 50, test.suggestion * 10
        if edge is not None:
            high = min(high, max(2 * edge, 2 * test.suggestion))
        return bracket(low, high, minimum, maximum)

    def _first(self, rates: Sequence[float]) -> None:
        """Trains the first rates, and after a quarter of the steps the promising ones only."""
        rung, rest = self._rung()
        most = len(rates)
        if self.limits.member_steps is not None:
            left = self.limits.member_steps - self._used()
            begun = (left // self.seeds - rest) // rung  # so that one can be trained to the end
            if begun < len(rates):
                self._note(f"the budget suffices for {begun} of {len(rates)} rates")
                rates = first_rates(rates[0], rates[-1], begun)
            most = (left // self.seeds - len(rates) * rung) // rest if rest else len(rates)
        self._note(
            f"{_count(len(rates), 'rate')} from {rates[0]:.3g} to {rates[-1]:.3g}, "
            f"{_count(self.seeds, 'seed')}"
        )
        self._train(rates, 0, self.seeds, capped(self._halving, min(most, len(rates))))

    def _descend(self, bounds: tuple[float, float]) -> None:
        """Where all rates failed: tries lower ones, a few times."""
        for _ in range(_DESCENTS):
            if self._some_trained or hopeless(self.merged()):
                return
            wanted = _missing(self.merged(), None, COARSE, bounds)
            if not wanted:
                return
            self._try_rates(wanted, "every rate failed: trying")

    def _ascend(self, bounds: tuple[float, float]) -> None:
        """Where none learned anything, and the highest rate did best: tries higher ones, a few times."""
        for _ in range(_DESCENTS):
            sweep = self.merged()
            rates, scores = sweep.points[sweep.name].astype(float), sweep.answer.scores
            if self._best_rate is not None or hopeless(sweep) or not np.isfinite(scores).any():
                return
            wanted = higher(rates, bounds) if np.argmin(scores) == np.argmax(rates) else []
            if not wanted:
                return
            self._try_rates(wanted, "none learned anything, and the highest did best: trying")

    def _close_in(self, spacing: float, bounds: tuple[float, float]) -> None:
        """Trains what the best rate, and the one that would be answered, are to be compared with."""
        while True:
            sweep = self.merged()
            rates = sweep.points[sweep.name]
            lacking = {float(rates[i]): _missing(sweep, i, spacing, bounds) for i in _places(sweep.answer)}
            wanted = sorted({rate for more in lacking.values() for rate in more})
            if not wanted:
                return
            self._try_rates(wanted, f"beside {_list([rate for rate in lacking if lacking[rate]])}:")

    def _try_rates(self, wanted: Sequence[float], why: str) -> None:
        affordable = self._affordable() // self.seeds
        left_out = wanted[affordable:]
        if affordable < 1:
            raise _Ended(f"the budget ended before {_list(wanted)} could be tried")
        self._note(f"{why} {_list(wanted[:affordable])}")
        self._train(wanted[:affordable], 0, self.seeds)
        if left_out:
            raise _Ended(f"the budget ended before {_list(left_out)} could be tried")

    def _tell_apart(self) -> None:
        """Trains more seeds of the rates that the seeds do not tell from the best."""
        while self.seeds > 1:
            sweep = self.merged()
            answer, rates = sweep.answer, sweep.points[sweep.name]
            if answer.best is None:  # all that were trained on failed, or more seeds show that none learned
                return
            counts = (~absent(sweep)).sum(axis=1)
            alike = answer.indistinguishable[:_MOST_ALIKE]
            most = int(counts[answer.best])
            behind = [index for index in alike if counts[index] < most]
            scores = answer.scores[list(alike)]
            if not behind:
                close = bool(np.all(scores - scores[0] <= _SMALL * abs(scores[0])))
                if len(alike) < 2 or most >= _MOST_SEEDS or (close and most >= _FEW):
                    return
                most, behind = min(_MOST_SEEDS, 2 * most), list(alike)
            begin = int(min(counts[behind]))
            chosen = sorted(float(rates[index]) for index in behind if counts[index] == begin)
            affordable = self._affordable() // (most - begin)
            if affordable < len(chosen):
                while (left := self._unconfirmed()) and self._affordable() >= _MOST_SEEDS - left[1]:
                    self._confirm()
                raise _Ended(f"the budget ended before {_list(chosen)} could be told apart by {most} seeds")
            self._note(f"not told apart by {_count(begin, 'seed')}: {_list(chosen)}; up to {most} seeds")
            self._train(chosen, begin, most - begin)

    def _confirm(self) -> bool:
        """Trains more seeds of the rate that would be answered; whether it still would be."""
        if (found := self._unconfirmed()) is None:
            return True
        rate, trained = found
        if self._affordable() < _MOST_SEEDS - trained:
            raise _Ended(f"the budget ended before {rate:.3g} could be confirmed with {_MOST_SEEDS} seeds")
        self._note(f"confirming {rate:.3g} with {_MOST_SEEDS} seeds")
        self._train([rate], trained, _MOST_SEEDS - trained)
        return rate in self._judged

    def _unconfirmed(self) -> tuple[float, int] | None:
        """The rate that would be answered and its seeds, if more are to be trained."""
        sweep = self.merged()
        index = sweep.answer.index
        if index is None or self.seeds == 1:
            return None
        trained = int((~absent(sweep))[index].sum())
        return None if trained >= _MOST_SEEDS else (float(sweep.points[sweep.name][index]), trained)

    # How it is done.

    def _job(
        self, rates: Sequence[float], first_seed: int, seeds: int, allocation: Allocation | None = None
    ) -> Job:
        asked = {**self.asked, "seeds": seeds}
        name = asked["name"]
        points = _grid.points(self.call, [{**self.fixed, name: rate} for rate in rates], name)
        if self.stages:
            asked["plan"] = self._plan()
        job = _asked.job(self.call, self.trial, points, self.data, allocation=allocation, **asked)
        return job._replace(first_seed=first_seed)

    def _plan(self) -> str | Plan:
        """The plan of a later stage: on the CPU one that is compiled once, however many members there are."""
        first, asked = self.stages[0].plan, self.asked["plan"]
        if asked != "auto" or jax.default_backend() != "cpu" or first.devices > 1:
            return asked
        why = "compiled once for all later stages"
        return dataclasses.replace(first if first.alone else Plan("pool"), why=why, measured={})

    def _train(
        self,
        rates: Sequence[float],
        first_seed: int,
        seeds: int,
        allocation: Allocation | None = None,
    ) -> None:
        """Trains a stage. Unless it comes to its end, the search does."""
        if self.stopped:
            raise _Ended(f"interrupted; {how_to_go_on(self.directory)}")
        began, seconds = time.perf_counter(), self.limits.seconds
        left = math.inf if seconds is None else seconds - self._seconds()
        job = self._job(rates, first_seed, seeds, allocation)
        folder = None
        if self.directory is not None:
            folder = Path(self.directory) / f"stage-{len(self.stages) + 1}"

        def look(sweep: Sweep) -> None:
            if self.on_chunk is not None:
                try:
                    self.on_chunk(self.merged(sweep))
                except KeyboardInterrupt:
                    self.stop()  # or it is lost where the stage is done all the same
                    raise
            if time.perf_counter() - began > left:
                raise _OutOfTime

        watched = look if self.on_chunk is not None or seconds is not None else None
        intervals = (self.asked["evaluate_every"], self.asked["record_every"])
        try:
            stage = run(
                self.call,
                job,
                intervals,
                folder,
                self.checkpoint_seconds,
                self.progress,
                watched,
                lambda: self.stopped,
            )
        except _OutOfTime as error:
            self._keep(error.sweep)  # type: ignore[attr-defined]
            raise _Ended("the time ended while members were trained") from None
        except Exception as error:
            if isinstance(measured := getattr(error, "sweep", None), SweepData):
                self._keep(measured)
            if self.stages:
                error.sweep = self.merged()  # type: ignore[attr-defined]
            raise
        if interrupted(stage).any():
            self._keep(stage)
            raise _Ended(f"interrupted; {how_to_go_on(self.directory)}")
        self.stages.append(stage)

    def _keep(self, stage: SweepData) -> None:
        """Keeps what an unfinished stage measured, unless it is of points that stand finished already."""
        before = {rate for done in self.stages for rate in done.points[done.name].tolist()}
        if before.isdisjoint(stage.points[stage.name].tolist()):
            self.stages.append(as_sweep(stage))

    def _affordable(self) -> int:
        """How many members can be trained to the end with what is left of the budget."""
        if self.limits.member_steps is not None:
            return max(0, self.limits.member_steps - self._used()) // self.steps
        assert self.limits.seconds is not None
        costs = [stage.cost for stage in self.stages]
        trained = sum(cost.member_steps_used for cost in costs)
        each = sum(cost.seconds_running for cost in costs) / max(1, trained) * self.steps
        return int(max(0.0, self.limits.seconds - self._seconds()) / max(each, 1e-9))

    def _used(self) -> int:
        return sum(cost.member_steps_used for cost in self._costs())

    def _seconds(self) -> float:
        costs = self._costs()
        return sum(c.seconds_compiling + c.seconds_probing + c.seconds_running for c in costs)

    def _costs(self) -> list[Cost]:
        return [stage.cost for stage in self.stages] + ([self.spent] if self.spent else [])


def _missing(sweep: Sweep, place: int | None, spacing: float, bounds: tuple[float, float]) -> list[float]:
    """The rates to train without which it is not known whether the one at a place is the best."""
    rates, answer = sweep.points[sweep.name].astype(float), sweep.answer
    known = dropped_at(sweep) < 0
    plateau = None if place is None or _is_flat(answer.regimes[place]) else answer.plateau
    return missing(rates, known, place, spacing, bounds, plateau)


def _is_flat(regimes: np.ndarray) -> bool:
    """Whether most seeds' losses did not move: rates that do as well are then no plateau, but too low."""
    return bool(np.mean(regimes == "flat") > 0.5)


def _places(answer: Answer) -> list[int]:
    """The best point and the chosen one, once if they are one."""
    return [place for place in dict.fromkeys([answer.best, answer.index]) if place is not None]


def _list(rates: Sequence[float]) -> str:
    return ", ".join(f"{rate:.3g}" for rate in rates)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
