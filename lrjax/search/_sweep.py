"""The sweep: many hyperparameters, many seeds, one program; and what comes of it."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import numbers
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from jax.sharding import Mesh

from lrjax import _check, plot, results
from lrjax.answer import Answer, Autopsy, judge, summary
from lrjax.engine import Archive, Job, Progress, Rule, parse_plan, train
from lrjax.report import write_report
from lrjax.results import Plan, SweepData
from lrjax.search import _arguments, _grid
from lrjax.search._allocation import Allocation
from lrjax.search._autopsy import autopsy
from lrjax.search._guards import Standing
from lrjax.search._progress import progress_bar
from lrjax.search._verify import Verification, verify
from lrjax.trials import Trial

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_RECORDS = 2000
_EVALUATIONS = 20
_EVALUATIONS_TO_ALLOCATE = 16  # so that the quarters and sixteenths of the steps are among them


@dataclasses.dataclass(frozen=True, eq=False)
class Sweep(SweepData):
    """What a sweep measured, and what it means; made by `sweep` or `lrjax.load`.

    Its arrays are those of `lrjax.results.SweepData`: `points`, `metrics`, `recorded_steps`,
    `held_out`, `held_out_steps`, `test`, `diverged_at`, `stopped_at`, `cost`, `plan`.

    Example:
      >>> import numpy as np, lrjax
      >>> def loss(x, batch):
      ...     return (x - batch.mean()) ** 2
      >>> run = lrjax.trial(lambda key: np.float32(1.0), loss, lrjax.sgd)
      >>> data = lrjax.batches(np.zeros(4), batch_size=4)
      >>> sweep = lrjax.sweep(run, {"learning_rate": [0.01, 0.1]}, data, steps=20, progress=False)
      >>> sweep.metrics["loss"].shape, sweep.answer.learning_rate
      ((2, 1, 20), 0.1)
    """

    @functools.cached_property
    def answer(self) -> Answer:
        """Which learning rate, how wide the plateau is, where training diverges, what to mend."""
        return judge(self)

    def summary(self) -> str:
        """A table of all points and the answer below it."""
        return summary(self, self.answer)

    def plot(self, ax: Axes | None = None, kind: str | None = None) -> Axes:
        """Draws the sweep: loss against learning rate, training curves, or what suits it else.

        Args:
          ax: Where to draw one picture; None makes a figure.
          kind: "basin" (loss against rate), "curves", "heat map" (of two hyperparameters), "brackets" (how
            far an allocation trained each point) or "ledger" (what it cost); None for all that suit the
            sweep, or, if `ax` is given, for the first of them.

        Returns:
          The picture's `Axes`, of a figure with several the first's; the whole figure is its `figure`.

        Raises:
          ImportError: If matplotlib is not installed.
          ValueError: If `kind` is none of these, or the sweep is not one that it shows.
        """
        return plot.draw(self, self.answer, ax, kind)

    def report(
        self, path: str | os.PathLike[str], *, title: str | None = None, command: str | None = None
    ) -> Path:
        """Writes one HTML file with the answer, charts, every point, and how the sweep was made.

        It opens in any browser, without a network.

        Args:
          path: The file; its directory is made if it is not there, and what was there is replaced.
          title: The page's heading; None for "Learning-rate sweep".
          command: How the sweep was started, to be shown at the end; None to leave that out.

        Returns:
          The file's path.

        Raises:
          ImportError: If plotly is not installed.
          IsADirectoryError: If `path` is a directory.
          OSError: If the file cannot be written.
        """
        return write_report(self, self.answer, path, title=title, command=command)

    def verify(
        self, trial: Trial, data: Any, members: int | Sequence[tuple[int, int]] = 3, steps: int | None = None
    ) -> Verification:
        """Trains some members again, each alone in a plain loop, and compares their training metrics.

        Over the first 50 steps a member's metrics must be within 1e-5 of what they are alone, relative to
        the largest value until then. Later, and wherever rounding alone carries further than that, ten
        times as much is allowed as twins of the member differ from it by then, which are moved by one unit
        in the last place before every step. A metric other than the loss may jump, as an accuracy does, and
        must be out three records in a row. A member that diverged is compared until then, and must diverge
        alone at the same step, give or take one and what its twins give or take.

        Args:
          trial: The trial that was swept.
          data: The data it was trained on, or the function that gave them.
          members: How many members, >= 1, spread over the rates, the best point among them; or which: pairs
            of a point's and a seed's index.
          steps: How many of their steps, >= 1; None for all.

        Returns:
          A `Verification`: `passed`, `summary()`, and `members`, with what was found of each.

        Raises:
          TypeError: If an argument is of the wrong kind, or the trial cannot be trained on the data.
          ValueError: If a number is out of its range; if the trial measures something else; of a member of
            an interrupted sweep with a `horizon` that an older version stored, which does not tell how long
            its schedule was.

        Example:
          >>> import lrjax
          >>> task = lrjax.tasks.load("quadratic-deep")
          >>> run, grid = task.trial(lrjax.sgd), {"learning_rate": [0.01, 0.03]}
          >>> sweep = lrjax.sweep(run, grid, task.data, steps=20, progress=False)
          >>> sweep.verify(run, task.data).passed
          True
        """
        return verify(self, trial, data, _arguments.names_of_data(data), members, steps)

    def autopsy(
        self, trial: Trial, data: Any, *, point: int | None = None, seed: int | None = None, before: int = 20
    ) -> Autopsy:
        """Trains a member that diverged again, alone, and says what went bad first, and what came before it.

        Its key, its data and their order are those of the sweep, and its curve is compared with the sweep's.
        Norms of the gradient need a trial that marks it, as those of `lrjax.trial` do; see
        `lrjax.trials.named_gradient`. Norms of updates are those of what a step changed the weights by. The
        weights are the leaves under the state's `params`, or those of which the gradient is marked; in any
        other state all its numbers.

        Args:
          trial: The trial that was swept.
          data: The data it was trained on, or the function that gave them.
          point: The point's index; None for the one with the smallest rate of those that diverged.
          seed: The seed's index; None for the first that diverged.
          before: How many steps before the first bad one are recorded, >= 1.

        Returns:
          An `lrjax.answer.Autopsy`; its `summary()` says in plain words what happened and what to try.

        Raises:
          TypeError: If an argument is of the wrong kind, or the trial cannot be trained on the data.
          ValueError: If the member, or no member at all, diverged; if a number is out of its range; if the
            trial measures something else; of a member whose schedule's length an older file does not tell.

        Example:
          >>> import lrjax
          >>> task = lrjax.tasks.load("quadratic-deep")
          >>> run, grid = task.trial(lrjax.sgd), {"learning_rate": [0.01, 1.0]}
          >>> sweep = lrjax.sweep(run, grid, task.data, steps=60, progress=False)
          >>> print(sweep.autopsy(run, task.data).summary().splitlines()[0])
          Step 10: the loss became inf.
        """
        return autopsy(self, trial, data, _arguments.names_of_data(data), point, seed, before)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Stores the result in a directory as npz and JSON; `lrjax.load` reads it back.

        Args:
          path: The directory; it is made if it is not there.

        Raises:
          OSError: If it cannot be written.
        """
        results.write(self, path)


def sweep(
    trial: Trial,
    grid: Any,
    data: Any,
    *,
    steps: int,
    seeds: int = 1,
    evaluate_on: Any = None,
    evaluate_every: int | None = None,
    test_on: Any = None,
    record_every: int | None = None,
    allocation: Allocation | None = None,
    horizon: str | None = None,
    patience: int | None = None,
    blow_up: float | None = 100.0,
    plan: str | Plan = "auto",
    mesh: Mesh | None = None,
    order: Literal["per-seed", "shared"] = "per-seed",
    key: int = 0,
    name: str = "learning_rate",
    keep: str | Sequence[str] = (),
    directory: str | os.PathLike[str] | None = None,
    checkpoint_seconds: float = 30.0,
    progress: bool = True,
    on_chunk: Callable[[Sweep], object] | None = None,
) -> Sweep:
    """Trains every point of a grid with every seed, as one job.

    A member's key depends on its seed's index alone and its batches on that and the step, so the
    rates of one seed start from the same parameters and see the same data. Points that differ in
    anything but numbers get a program each. A member that diverges stands still at its last finite
    state from then on, and touches no other. Everything is checked before any training.

    Args:
      trial: What is trained; see `lrjax.trial`.
      grid: A dict of name to values (their product is trained), or a list of dicts of name to
        value, which may differ in their names. Numbers are passed to the trial as traced float32
        (int32 if all are integers), unless `trial.static` names them.
      data: The training data; see `lrjax.batches`. Or a function of hyperparameters that gives it, for
        instance `lambda batch_size: lrjax.batches(arrays, batch_size)`: these go to the data, and to
        the trial only if `trial.static` names them.
      steps: Updates per member, >= 1.
      seeds: Members per point, >= 1.
      evaluate_on: Held-out data to choose by: arrays with a leading example axis, or
        `lrjax.batches` of them. Scored over one unshuffled epoch, weighted by examples.
      evaluate_every: Updates between evaluations, >= 1; None for about 20 of them, or 16 with an
        allocation. There is always one before the first update and one after the last.
      test_on: Data to report on, like `evaluate_on`; scored once, after the last update.
      record_every: Steps between recorded training metrics, >= 1; None for every step up to 2,000
        records.
      allocation: Which points train to the end: `lrjax.successive_halving()`, `hyperband`,
        `median_stopping`, `top_k`; None for all.
      horizon: The hyperparameter that holds the length of the schedule. With an allocation, points
        then start anew after each rung, each time with a schedule that is completed within the steps
        they get; without it their schedules are cut off, which favours some rates.
      patience: Evaluations without a better held-out loss after which a member stops, >= 1.
      blow_up: A member whose training loss stays above its first one for 20 steps, by more than this
        many times the larger of the first loss's size and the best improvement on it, counts as
        diverged. > 0; None for no such rule.
      plan: How members are run. "auto" looks at the step, measures where that is repaid, and says what
        it chose in `Sweep.plan`; or by name: "pool", "sequential", "vmap", "unrolled", "sharded",
        "lean" (the least memory), with "/scan", "/unrolled" or "/dispatch" for the steps and a width.
      mesh: Devices to lay the members out over; None for the default device ("sharded": all devices).
      order: "per-seed" for another order of the data for each seed, "shared" for one.
      key: The base of all members' random keys, an integer >= 0.
      name: The hyperparameter that is the learning rate.
      keep: "final", "best" or both: the states that `Sweep.states` then holds.
      directory: Where to store the result and, while training, checkpoints: the same call goes on where
        an earlier one was cut off, and trains only what is new if the grid, the seeds or the steps have
        grown. Needs the extra `lrjax[store]`. None for nowhere.
      checkpoint_seconds: Seconds between checkpoints at least, >= 0.
      progress: Whether to show a progress bar.
      on_chunk: Called after every chunk with what was measured so far, a `Sweep`.

    Returns:
      A `Sweep`. After a keyboard interrupt it holds what was measured until then.

    Raises:
      TypeError: If an argument is of the wrong kind, or the trial breaks the protocol.
      ValueError: If a number is out of its range, a rate of the grid is not finite and > 0, or
        twice in it, or `name` is not in it; if the trial cannot be run by the plan; if `directory` holds
        another sweep.
      OSError: If `directory` cannot be written, or another process uses it.
      Exception: Whatever the data or `on_chunk` raise while members train; what was measured until then
        is the error's attribute `sweep`, and in `directory`.

    Example:
      >>> import jax.numpy as jnp, numpy as np, lrjax
      >>> x = np.linspace(-1, 1, 64)
      >>> def loss(params, batch):
      ...     return jnp.mean((params["w"] * batch["x"] - batch["y"]) ** 2)
      >>> run = lrjax.trial(lambda key: {"w": jnp.zeros(())}, loss, lrjax.sgd)
      >>> data = lrjax.batches({"x": x, "y": 3 * x}, batch_size=16)
      >>> grid = {"learning_rate": [0.01, 0.1, 1.0, 10.0]}
      >>> sweep = lrjax.sweep(run, grid, data, steps=50, seeds=2, evaluate_on=data.arrays, progress=False)
      >>> sweep.answer.learning_rate, sweep.answer.divergence_edge
      (1.0, 10.0)
    """
    call = "sweep"
    if not isinstance(trial, Trial):
        hint = " (make one with `lrjax.trial(init_params, loss, optimizer)`)"
        raise _check.fail_type(call, "trial", "a `lrjax.Trial`", _check.describe(trial) + hint)
    points = _grid.points(call, grid, name)
    if name != "learning_rate" and not any(name in point for point in points):
        expected = f"one of the grid's names, {', '.join(map(repr, points[0]))}"
        raise _check.fail(call, "name", expected, repr(name))
    steps = _check.integer(call, "steps", steps, low=1)
    seeds = _check.integer(call, "seeds", seeds, low=1)
    source, of_data = _arguments.source(call, data, points, steps)
    evaluations = _EVALUATIONS_TO_ALLOCATE if allocation is not None else _EVALUATIONS
    on_device = all(source({name: point[name] for name in of_data}).on_device for point in points)
    if allocation is None and evaluate_on is None and on_device:
        evaluations = 1  # there is nothing to stop for; a host may be slow to make batches, or fail to
    asked = (evaluate_every, record_every)
    evaluate_every = _arguments.interval(call, "evaluate_every", evaluate_every, -(-steps // evaluations))
    record_every = _arguments.interval(call, "record_every", record_every, -(-steps // _MOST_RECORDS))
    job = Job(
        trial=trial,
        points=points,
        data=source,
        of_data=of_data,
        steps=steps,
        seeds=seeds,
        key=_check.integer(call, "key", key),
        shared_order=_arguments.order(call, order),
        evaluate_every=evaluate_every,
        record_every=record_every,
        held_out=_arguments.held_out(call, trial, "evaluate_on", evaluate_on),
        test=_arguments.held_out(call, trial, "test_on", test_on),
        name=name,
        plan=parse_plan(call, plan),
        mesh=_arguments.mesh(call, plan, mesh),
        rule=_rule(allocation, horizon, points, steps, min(evaluate_every, steps), name, trial),
        blow_up=_arguments.blow_up(call, blow_up),
        patience=_patience(patience, evaluate_on),
        keep=_keep(keep),
    )
    if on_chunk is not None and not callable(on_chunk):
        raise _check.fail_type(call, "on_chunk", "a function of a sweep, or None", _check.describe(on_chunk))
    _check.number(call, "checkpoint_seconds", checkpoint_seconds, low=0)
    with contextlib.ExitStack() as stack:
        archive = None
        if directory is not None:
            archive = stack.enter_context(Archive(call, directory, float(checkpoint_seconds)))
            job = _with_intervals(job, asked, archive.intervals)
        show = stack.enter_context(progress_bar(progress, steps, points, name))

        def report(progress: Progress, measured: Callable[[], SweepData]) -> None:
            show(progress)
            if on_chunk is not None and progress.phase == "training":
                on_chunk(as_sweep(measured()))

        try:
            result = as_sweep(train(job, report, archive))
        except Exception as error:
            if isinstance(measured := getattr(error, "sweep", None), SweepData):
                error.sweep = as_sweep(measured)  # type: ignore[attr-defined]
                error.add_note("what was measured until then is this error's attribute `sweep`")
            raise
        if directory is not None:
            result.save(directory)
    _say_how_to_go_on(result, directory)
    return result


def _with_intervals(job: Job, asked: tuple[int | None, int | None], stored: tuple[int, int] | None) -> Job:
    """The job with the intervals of the sweep that is stored, where none are asked for."""
    if stored is None:
        return job
    evaluate_every, record_every = (
        own if wish is not None else before
        for wish, own, before in zip(asked, (job.evaluate_every, job.record_every), stored, strict=True)
    )
    return job._replace(evaluate_every=evaluate_every, record_every=record_every)


def _say_how_to_go_on(sweep: Sweep, directory: str | os.PathLike[str] | None) -> None:
    """After an interrupt: one line on standard error."""
    patient = sweep.settings.get("patience") is not None or sweep.settings.get("allocation") is not None
    cut = (sweep.stopped_at >= 0) & (sweep.stopped_at < sweep.steps)
    if not cut.any() or patient:
        return
    step = int(sweep.stopped_at[cut].min())
    how = (
        "nothing is stored: with `directory=` the same call would go on from there"
        if directory is None
        else f"the same call with directory={os.fspath(directory)!r} goes on from there"
    )
    print(f"sweep: interrupted at step {step} of {sweep.steps}; {how}", file=sys.stderr)


def _rule(
    allocation: Any,
    horizon: Any,
    points: Sequence[Mapping[str, Any]],
    steps: int,
    every: int,
    name: str,
    trial: Trial,
) -> Rule | None:
    call = "sweep"
    if horizon is not None:
        values = [point.get(horizon) for point in points] if isinstance(horizon, str) else [None]
        numeric = all(isinstance(v, numbers.Real) and not isinstance(v, bool) for v in values)
        if not numeric or horizon in trial.static:
            expected = "a hyperparameter of the grid that is a number at every point, or None"
            raise _check.fail(call, "horizon", expected, repr(horizon))
    if allocation is None:
        return None
    if not isinstance(allocation, Allocation):
        expected = "`lrjax.successive_halving()`, another allocation, or None"
        raise _check.fail_type(call, "allocation", expected, _check.describe(allocation))
    names = list(dict.fromkeys(key for point in points for key in point))
    columns = {key: results.as_column([point.get(key) for point in points]) for key in names}

    def keep(step: int, losses: Any, alive: Any, history: Any) -> Any:
        return allocation.keep(Standing(step, losses, alive, tuple(history), columns, name))

    return Rule(allocation.rungs(steps, every), keep, horizon, repr(allocation))


def _patience(patience: int | None, evaluate_on: Any) -> int | None:
    if patience is None:
        return None
    if evaluate_on is None:
        raise _check.fail("sweep", "patience", "None, since there is no `evaluate_on` to judge by", patience)
    return _check.integer("sweep", "patience", patience, low=1)


def _keep(keep: str | Sequence[str]) -> tuple[str, ...]:
    names = (keep,) if isinstance(keep, str) else tuple(keep)
    unknown = [name for name in names if name not in ("final", "best")]
    if unknown:
        raise _check.fail("sweep", "keep", "'final', 'best' or both", repr(unknown[0]))
    return names


def as_sweep(data: SweepData) -> Sweep:
    """The sweep with these measurements."""
    return Sweep(**{field.name: getattr(data, field.name) for field in dataclasses.fields(SweepData)})
