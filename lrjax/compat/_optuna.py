"""Optuna asks, lrjax trains: many trials of a study at a time, each round of them as one sweep."""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lrjax import _check
from lrjax.answer import dropped_at, final_losses, held_out_values, interrupted
from lrjax.engine import on_interrupt
from lrjax.search import Sweep, sweep
from lrjax.search._grid import identity
from lrjax.trials import Trial

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

_CALL = "optuna_sweep"

Point = Mapping[str, Any]
Space = Mapping[str, "BaseDistribution"] | Callable[["optuna.Trial"], Point]
Callback = Callable[["optuna.Study", "FrozenTrial"], object]


def optuna_sweep(
    study: optuna.Study,
    space: Mapping[str, BaseDistribution] | Callable[[optuna.Trial], Mapping[str, Any]],
    trial: Trial,
    data: Any,
    *,
    trials: int | None,
    steps: int,
    points: int = 8,
    metric: str = "loss",
    callbacks: Sequence[Callable[[optuna.Study, FrozenTrial], object]] = (),
    directory: str | os.PathLike[str] | None = None,
    on_chunk: Callable[[Sweep], object] | None = None,
    **options: Any,
) -> list[Sweep]:
    """Lets an Optuna study choose hyperparameters, and trains many of its trials at a time.

    In every round the study is asked for `points` trials, these are trained as one sweep, and the study
    is told what came of them. All rounds use the same keys and orders of the data, so that trials differ by
    their hyperparameters alone. A point that is asked for twice in a round is trained once.

    A trial is told as

    - complete, with the median over seeds of the metric; the worst value there is (infinity, for a loss) if
      half of the seeds or more failed: samplers learn nothing from trials that are told as failed, and
      would ask for such points again and again;
    - pruned, if an `allocation` dropped it, or if `space` raised `optuna.TrialPruned`;
    - failed, if the sweep was interrupted or raised an error.

    It has the medians at every evaluation (without held-out data, at an allocation's rungs) as intermediate
    values, and the user attributes `losses`, `diverged_at`, `stopped_at` and `regimes`, lists with an entry a
    seed, and `seconds`, which its whole round took.

    Args:
      study: The study, with one objective. Trials that are enqueued in it come first.
      space: The hyperparameters: a dict of name to Optuna distribution, or a function of an Optuna trial
        that returns a dict of name to value. What it returns may differ in names from trial to trial.
      trial: What is trained; see `lrjax.trial`.
      data: The training data; see `lrjax.sweep`.
      trials: How many trials of the study are run, >= 1; None for as many as come until the study is
        stopped.
      steps: Updates per member, >= 1.
      points: How many trials are asked for and trained at a time, >= 1.
      metric: What the study is told: "loss" for what `Answer.scores` compares by (the study minimizes it),
        or a held-out metric by name, for a study in either direction.
      callbacks: Called with the study and each trial after it was told, as by `optuna.Study.optimize`. If
        one calls `study.stop()`, the round is the last.
      directory: Where to store the sweeps, each in a folder `round-N` with N the number of its first trial;
        None for nowhere.
      on_chunk: Called after every chunk with what was measured of the round so far, a `Sweep`.
      **options: What else `lrjax.sweep` takes: `seeds`, `evaluate_on`, `allocation`, `plan`, ...

    Returns:
      The sweep of every round. After a keyboard interrupt the last one holds what was measured until then.

    Raises:
      ImportError: If Optuna is not installed.
      TypeError: If an argument is of the wrong kind, or the trial breaks the protocol.
      ValueError: If a number is out of its range, the study has several objectives or maximizes a loss, or
        a point of the space cannot be trained.
      Exception: Whatever Optuna, the space, the data or a callback raise. The sweeps of the rounds that were
        trained, of which a callback may have raised it for the last one, are the error's attribute `sweeps`.

    Example:
      >>> import lrjax, optuna
      >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
      >>> task = lrjax.tasks.load("quadratic-deep")
      >>> study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))
      >>> space = {"learning_rate": optuna.distributions.FloatDistribution(1e-4, 1.0, log=True)}
      >>> rounds = lrjax.compat.optuna_sweep(
      ...     study, space, task.trial(lrjax.sgd), task.data, trials=8, points=4, steps=20,
      ...     evaluate_on=task.validation, progress=False,
      ... )
      >>> len(rounds), len(study.trials), study.best_value < 200
      (2, 8, True)
    """
    optuna = _optuna()
    _check_study(optuna, study, metric)
    _check_space(optuna, space)
    if not isinstance(trial, Trial):
        raise _check.fail_type(_CALL, "trial", "a `lrjax.Trial`", _check.describe(trial))
    steps = _check.integer(_CALL, "steps", steps, low=1)
    points = _check.integer(_CALL, "points", points, low=1)
    if trials is not None:
        trials = _check.integer(_CALL, "trials", trials, low=1)
    _check_functions(callbacks, on_chunk)
    _check_options(options, metric)

    if metric != "loss":
        trial = _measuring(trial, metric)

    def look(so_far: Sweep) -> None:
        if on_chunk is not None:
            try:
                on_chunk(so_far)
            except KeyboardInterrupt:
                driven.stop()  # or it is lost where the round is done all the same
                raise
        if driven.stopped:
            raise KeyboardInterrupt

    def train(grid: list[Point], number: int) -> Sweep:
        folder = None if directory is None else Path(directory) / f"round-{number}"
        return sweep(trial, grid, data, steps=steps, directory=folder, on_chunk=look, **options)

    driven = _Driven(study, space, metric, callbacks)
    sweeps: list[Sweep] = []
    asked = 0
    with on_interrupt(driven.stop):
        try:
            while not driven.over() and (trials is None or asked < trials):
                count = points if trials is None else min(points, trials - asked)
                asked += count
                driven.round(count, train, sweeps)
        except Exception as error:
            error.sweeps = sweeps  # type: ignore[attr-defined]
            raise
    return sweeps


class _Driven:
    """A study while it is driven.

    Attributes:
      stopped: Whether no round is to follow.
    """

    def __init__(self, study: optuna.Study, space: Space, metric: str, callbacks: Sequence[Callback]) -> None:
        self.stopped = False
        self._study = study
        self._space = space
        self._metric = metric
        self._callbacks = callbacks
        self._worst = math.inf if study.direction.name == "MINIMIZE" else -math.inf

    def stop(self) -> None:
        """Lets no round follow."""
        self.stopped = True

    def over(self) -> bool:
        """Whether the study was stopped, or its grid is exhausted."""
        exhausted = getattr(self._study.sampler, "is_exhausted", None)
        return self.stopped or (exhausted is not None and exhausted(self._study))

    def round(self, count: int, train: Callable[[list[Point], int], Sweep], sweeps: list[Sweep]) -> None:
        """Asks for some trials, trains them and tells what came of them; none is left untold.

        Args:
          count: How many.
          train: Gives the sweep of some points; the second argument is the first trial's number.
          sweeps: Where the sweep goes, unless there is nothing to train.
        """
        waiting: list[optuna.Trial] = []
        told: list[int] = []
        try:
            grid: dict[Hashable, Point] = {}
            keys: list[Hashable] = []
            for _ in range(count):
                point = self._ask(waiting)
                if point is not None:
                    keys.append(identity(point))
                    grid.setdefault(keys[-1], point)
            if self.stopped or not grid:
                return
            found = train(list(grid.values()), waiting[0].number)
            sweeps.append(found)
            outcomes = dict(zip(grid, _outcomes(found, self._metric, self._worst), strict=True))
            for key in keys:
                self._tell(waiting[0], outcomes[key])
                told.append(waiting.pop(0).number)
        finally:
            for asked in waiting:
                self._tell(asked, _Outcome("FAIL"))
        if interrupted(found).any():
            self.stop()
        trials = self._study.trials if self._callbacks else []
        for number in told:
            for callback in self._callbacks:
                self._stoppable(callback, self._study, trials[number])

    def _ask(self, waiting: list[optuna.Trial]) -> Point | None:
        """One more trial among those that wait to be told, and its point; None if the space prunes it."""
        from optuna import TrialPruned

        if not callable(self._space):
            waiting.append(self._study.ask(dict(self._space)))
            return waiting[-1].params
        waiting.append(self._study.ask())
        try:
            point = self._space(waiting[-1])
        except TrialPruned:
            self._tell(waiting.pop(), _Outcome("PRUNED"))
            return None
        if not isinstance(point, Mapping) or not all(isinstance(name, str) for name in point):
            expected = "a function that returns a dict of hyperparameters by name"
            raise _check.fail_type(_CALL, "space", expected, f"one that returned {_check.describe(point)}")
        return point

    def _tell(self, asked: optuna.Trial, outcome: _Outcome) -> None:
        from optuna.trial import TrialState

        for step, value in outcome.course:
            asked.report(value, step)
        for name, value in outcome.attributes:
            asked.set_user_attr(name, value)
        state = TrialState[outcome.state]
        self._stoppable(self._study.tell, asked.number, outcome.value, state, skip_if_finished=True)

    def _stoppable(self, act: Callable[..., object], *arguments: Any, **options: Any) -> None:
        """Calls what may call `study.stop()`, for which Optuna raises an error outside of its own loop."""
        try:
            act(*arguments, **options)
        except RuntimeError as error:
            if "Study.stop" not in str(error):
                raise
            self.stop()


class _Outcome(NamedTuple):
    """What a trial is told.

    Attributes:
      state: The name of its `TrialState`.
      value: Its value, of a complete trial.
      course: Steps and intermediate values.
      attributes: Names and values of user attributes.
    """

    state: str
    value: float | None = None
    course: Sequence[tuple[int, float]] = ()
    attributes: Sequence[tuple[str, Any]] = ()


def _measuring(trial: Trial, metric: str) -> Trial:
    """A trial whose evaluation is refused, before any training, if it does not measure the metric."""
    judge = trial.evaluate
    if judge is None:
        return trial

    def evaluate(state: Any, batch: Any) -> Any:
        metrics = judge(state, batch)
        if isinstance(metrics, Mapping) and metric not in metrics:
            expected = f"'loss' or a held-out metric ({', '.join(map(repr, metrics))})"
            raise _check.fail(_CALL, "metric", expected, repr(metric))
        return metrics

    return trial._replace(evaluate=evaluate)


def _outcomes(found: Sweep, metric: str, worst: float) -> list[_Outcome]:
    """What came of every point."""
    final = final_losses(found)[0]
    # Of a sweep that was interrupted before its first evaluation, no held-out metric is known.
    told = held_out_values(found, metric) if metric != "loss" and metric in found.held_out else final
    values = _medians(told, found.answer.failed, worst)
    cut, dropped = np.any(interrupted(found), axis=1), dropped_at(found) >= 0
    cost = found.cost
    seconds = cost.seconds_compiling + cost.seconds_probing + cost.seconds_running
    outcomes = []
    for point, course in enumerate(_courses(found, metric, worst)):
        state = "FAIL" if cut[point] else "PRUNED" if dropped[point] else "COMPLETE"
        attributes = (
            ("losses", [loss if math.isfinite(loss) else None for loss in final[point].tolist()]),
            ("diverged_at", found.diverged_at[point].tolist()),
            ("stopped_at", found.stopped_at[point].tolist()),
            ("regimes", found.answer.regimes[point].tolist()),
            ("seconds", seconds),
        )
        value = float(values[point]) if state == "COMPLETE" else None
        outcomes.append(_Outcome(state, value, course, attributes))
    return outcomes


def _courses(found: Sweep, metric: str, worst: float) -> list[list[tuple[int, float]]]:
    """Steps and medians over seeds at every evaluation, else at every rung, of every point."""
    if metric in found.held_out:
        steps, curves = found.held_out_steps.tolist(), np.moveaxis(found.held_out[metric], -1, 0)
    else:
        steps, curves = [step for step, _, _ in found.rungs], [losses for _, losses, _ in found.rungs]
    nothing = np.zeros(found.diverged_at.shape, bool)
    medians = [_medians(losses, nothing, worst).tolist() for losses in curves]
    return [
        [(step, row[point]) for step, row in zip(steps, medians, strict=True) if math.isfinite(row[point])]
        for point in range(len(nothing))
    ]


def _medians(values: np.ndarray, failed: np.ndarray, worst: float) -> np.ndarray:
    """The median over seeds, `[points]`; seeds that failed have the worst value."""
    return np.median(np.where(np.isfinite(values) & ~failed, values, worst), axis=1)


def _optuna() -> ModuleType:
    """Optuna, or an error that names the extra."""
    try:
        import optuna
    except ImportError as error:
        raise ImportError("driving a study needs Optuna: pip install 'lrjax[optuna]'") from error
    return optuna


def _check_study(optuna: Any, study: Any, metric: Any) -> None:
    if not isinstance(study, optuna.Study):
        raise _check.fail_type(_CALL, "study", "an Optuna study", _check.describe(study))
    if len(study.directions) > 1:
        raise _check.fail(_CALL, "study", "a study with one objective", f"one with {len(study.directions)}")
    if not isinstance(metric, str):
        raise _check.fail_type(_CALL, "metric", "'loss' or a held-out metric's name", _check.describe(metric))
    if metric == "loss" and study.direction.name != "MINIMIZE":
        expected = "a study that minimizes the loss (to maximize a held-out metric, name it with `metric`)"
        raise _check.fail(_CALL, "study", expected, "one that maximizes")


def _check_space(optuna: Any, space: Any) -> None:
    if callable(space):
        return
    expected = "a dict of name to Optuna distribution, or a function of an Optuna trial"
    if not isinstance(space, Mapping):
        raise _check.fail_type(_CALL, "space", expected, _check.describe(space))
    if not space:
        raise _check.fail(_CALL, "space", expected, "an empty one")
    for name, distribution in space.items():
        if not isinstance(name, str):
            raise _check.fail_type(_CALL, "space", expected, f"the key {name!r}")
        if not isinstance(distribution, optuna.distributions.BaseDistribution):
            got = _check.describe(distribution)
            raise _check.fail_type(_CALL, f"space[{name!r}]", "an Optuna distribution", got)


def _check_functions(callbacks: Any, on_chunk: Any) -> None:
    if not isinstance(callbacks, Sequence) or not all(map(callable, callbacks)):
        expected = "a list of functions of a study and a trial"
        raise _check.fail_type(_CALL, "callbacks", expected, _check.describe(callbacks))
    if on_chunk is not None and not callable(on_chunk):
        raise _check.fail_type(_CALL, "on_chunk", "a function of a sweep, or None", _check.describe(on_chunk))


def _check_options(options: Mapping[str, Any], metric: str) -> None:
    known = inspect.signature(sweep).parameters
    for name in options:
        if name == "grid" or name not in known:
            raise TypeError(f"{_CALL}() got an unexpected keyword argument {name!r}")
    if metric != "loss" and options.get("evaluate_on") is None:
        raise _check.fail(_CALL, "metric", "'loss', since there is no `evaluate_on`", repr(metric))
