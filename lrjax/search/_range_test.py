"""The range test: a training in which the rate climbs at every step, and short ones in which it stays."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import operator
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from lrjax import _check, export, plot, results
from lrjax.answer import RangeAnswer, judge_constant_rates, judge_range, range_course, scores
from lrjax.engine import Job, Progress, on_interrupt, parse_plan, train
from lrjax.results import Plan, RangeTestData, SweepData
from lrjax.search import _arguments, _grid
from lrjax.search._beside import constant_rates
from lrjax.search._climb import STEP, at_steps, climbing, comes_down, ended, factors, in_proportion
from lrjax.search._progress import progress_bar
from lrjax.trials import Trial

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_SUSTAINED = 3  # steps in a row for which a loss must be far above its start
_PROBED = 3  # steps that must tell the lowest rate from the highest
_LONGER = 10  # times as long as the range test a training is taken to be
_LOOKS = 8  # steps at which a schedule is looked at
_ENOUGH = 3  # seeds from which on an unclear ramp can be cleared


class RangeTest(RangeTestData):
    """What a range test measured, and what it suggests; made by `range_test`.

    Its arrays are those of `lrjax.results.RangeTestData`: `learning_rates` `[steps]`, `losses`
    `[seeds, steps]`, `held_out`, `diverged_at`, `cost`, `plan`.

    Example:
      >>> import lrjax
      >>> task = lrjax.tasks.load("quadratic-deep")
      >>> test = lrjax.range_test(task.trial(lrjax.sgd), task.data, minimum=1e-5, progress=False)
      >>> test.interval[0] <= test.suggestion <= test.interval[1] < test.stable_edge
      True
    """

    @functools.cached_property
    def answer(self) -> RangeAnswer:
        """What the curves say: those of the held-out loss if there is one."""
        if (step := ended(self.schedule)) is None:
            answer = judge_range(self.learning_rates, self._judged)
            if self.constant_rates is None or self.constant_losses is None:
                return answer
            assert self.training_steps is not None
            longer = max(1.0, self.training_steps / len(self.learning_rates))
            return judge_constant_rates(
                answer,
                self._judged,
                self.constant_rates,
                self.constant_losses,
                longer,
                self.decays,
                float(self.learning_rates[0]),
            )
        reason = (
            f"The trial's own schedule is 0 from step {step} on, so that rates above "
            f"{self.learning_rates[step - 1]:.3g} were not tried: take {step} steps, or a longer schedule."
        )
        return RangeAnswer(None, reason, None, None, suggestions={}, agreement=float("nan"))

    @property
    def _judged(self) -> np.ndarray:
        """The ramp's losses that tell, `[seeds, steps]`."""
        return self.losses if self.held_out is None else self.held_out

    @property
    def suggestion(self) -> float | None:
        """The rate to begin with, or None where the curves tell none; `reason` says why."""
        return self.answer.suggestion

    @property
    def reason(self) -> str:
        """Why there is no suggestion; "" if there is one."""
        return self.answer.reason

    @property
    def interval(self) -> tuple[float, float] | None:
        """Rates between which the right one may lie; None with one seed, or without a suggestion."""
        return self.answer.interval

    @property
    def stable_edge(self) -> float | None:
        """The rate from which on the loss is above its start; None if it stays below to the end."""
        return self.answer.stable_edge

    @property
    def suggestions(self) -> dict[str, float]:
        """What the published rules suggest, by name."""
        return self.answer.suggestions

    def summary(self) -> str:
        """The suggestion, how sure it is, and what the published rules say: a few lines of text."""
        answer = self.answer
        low, high, seeds = self.learning_rates[0], self.learning_rates[-1], len(self.losses)
        many = f"{len(self.learning_rates)} steps from {low:.3g} to {high:.3g}"
        lines = [f"range test of {self.name}: {many}, {seeds} seed{'s' * (seeds != 1)}"]
        if self.schedule is not None:
            lines.append(f"  {self._about_its_schedule}")
        lines += [f"  {name:<8} {rate:.3g}" for name, rate in answer.suggestions.items()]
        if np.isfinite(answer.agreement):
            lines.append(f"  these rules lie up to {answer.agreement:.1f} decades apart")
        lines += self._about_constant_rates
        if answer.stable_edge is not None:
            lines.append(f"  the loss is above its start from {answer.stable_edge:.3g} on")
        if answer.at_the_end:
            lines.append(
                f"  the loss still falls at {high:.3g}: raise `maximum`, the suggestion may rise with it"
            )
        if answer.suggestion is None:
            return "\n".join([*lines, f"No learning rate can be suggested. {answer.reason}"])
        between = ""
        if answer.interval is not None:
            whose = "seeds: " if self.constant_rates is None else ""
            between = f" ({whose}{answer.interval[0]:.3g} to {answer.interval[1]:.3g})"
        length = "" if self.constant_rates is None else f" for {self.training_steps} steps"
        rate = f"{self.name.replace('_', ' ')} of {answer.suggestion:.3g}"
        lines.append(f"Begin with a {rate}{length}{between}.")
        return "\n".join(lines)

    @property
    def _about_constant_rates(self) -> list[str]:
        """What they came to: a line, if any were trained."""
        if self.constant_rates is None or self.constant_losses is None:
            return []
        rates, losses = self.constant_rates, scores(self.constant_losses)
        many = f"{len(rates)} constant rates from {rates[0]:.3g} to {rates[-1]:.3g}"
        lowest = "all failed"
        if np.isfinite(losses).any():
            lowest = f"the loss is the lowest at {rates[np.argmin(losses)]:.3g}"
        return [f"  {many}, {len(self.learning_rates)} steps each: {lowest}"]

    @property
    def _about_its_schedule(self) -> str:
        """What became of the trial's own schedule."""
        assert self.schedule is not None
        known = self.schedule[np.isfinite(self.schedule)]
        moves = (
            f"the trial's own schedule, which multiplies the rate by {known.min():.2g} to {known.max():.2g}"
        )
        if self.set_aside:
            return f"{moves}, is set aside"
        constant = "" if self.constant_rates is None else " and constant rates"
        return f"{moves}, moved the ramp{constant}, too: give the test a trial without"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Stores the result in a directory as `range-test.json`; `lrjax.load` reads it back.

        Args:
          path: The directory; it is made if it is not there.

        Raises:
          OSError: If it cannot be written.
        """
        results.write_range_test(self, path)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draws the loss against the rate, with every suggestion.

        Args:
          ax: Where to draw; None makes a figure.

        Returns:
          The `Axes`.

        Raises:
          ImportError: If matplotlib is not installed.
        """
        return plot.ramp(self, self.answer, ax)

    def to_pandas(self) -> pd.DataFrame:
        """The ramp as a tidy `pandas.DataFrame`: a row for each step of each seed.

        `train_loss` is the loss before the update at the row's rate, `held_out_loss` that after it; NaN where
        a seed no longer ran. `diverged_at` is the step at which it went non-finite or blew up, -1 for never.

        Returns:
          The frame.

        Raises:
          ImportError: If pandas is not installed.
        """
        return export.ramp_to_pandas(self)

    def to_csv(self, path: str | os.PathLike[str]) -> Path:
        """Writes the table of `to_pandas` as CSV; needs no pandas.

        Args:
          path: The file; its directory is made if it is not there, and what was there is replaced.

        Returns:
          The file's path.

        Raises:
          IsADirectoryError: If `path` is a directory.
          OSError: If the file cannot be written.
        """
        return export.ramp_to_csv(self, path)

    def to_json(self, path: str | os.PathLike[str]) -> Path:
        """Writes everything that was measured, and the answer, as strict JSON: null for what is not finite.

        Args:
          path: The file; its directory is made if it is not there, and what was there is replaced.

        Returns:
          The file's path.

        Raises:
          IsADirectoryError: If `path` is a directory.
          OSError: If the file cannot be written.
        """
        return export.ramp_to_json(self, self.answer, path)


def range_test(
    trial: Trial,
    data: Any,
    *,
    name: str = "learning_rate",
    minimum: float = 1e-7,
    maximum: float = 10.0,
    steps: int = 100,
    seeds: int = 5,
    spacing: Literal["log", "linear"] = "log",
    hyperparams: Mapping[str, Any] | None = None,
    evaluate_on: Any = None,
    constant: bool = True,
    training_steps: int | None = None,
    blow_up: float | None = 4.0,
    plan: str | Plan = "auto",
    mesh: Mesh | None = None,
    order: Literal["per-seed", "shared"] = "per-seed",
    key: int = 0,
    progress: bool | Literal["bar", "lines"] = True,
) -> RangeTest:
    r"""Trains while the learning rate climbs, then with rates that stay, and suggests one from the losses.

    At step $i$ of $N$ the rate is $\eta_i = \eta_0 (\eta_1 / \eta_0)^{i / (N - 1)}$, or on a straight line.
    All seeds are trained side by side, each with a model and an order of the data of its own, so that the
    suggestion does not hang on one of them. Nothing of the caller's is changed.

    A ramp mixes the rate with the time at which it is tried. Beside it, rates around the one at which its
    loss is the lowest are trained from the beginning, 0.2 decades apart and for $N$ steps each; they suggest
    the rate (`lrjax.answer.judge_constant_rates`). What a rate does in a long training only
    `find_learning_rate` tells.

    With several groups of parameters, test the rate of each: `name` says which one climbs, `hyperparams`
    where the others stay.

    A schedule of the trial's own would move the rate at the same time. Where the trial records its rate, as
    those of `lrjax.trial` do, and it is the hyperparameter times something, the ramp is divided by that, so
    that its rates are those in use; `set_aside` says so. Where it is not, the summary tells what moved. A
    fixed multiple is no schedule: then the ramp is the rate in use, and the result's rates, and what it
    suggests, are the hyperparameter's.

    Args:
      trial: What is trained; it takes the hyperparameter `name`, traced, and its steps depend on it.
      data: The training data; see `lrjax.batches`.
      name: The hyperparameter that climbs.
      minimum: The lowest rate, $\eta_0$ > 0.
      maximum: The highest rate, $\eta_1$ > `minimum`.
      steps: Updates, >= 2; about 12 per decade tell the most.
      seeds: Seeds, >= 1.
      spacing: "log" for equal ratios, "linear" for equal differences.
      hyperparams: The trial's other hyperparameters, by name.
      evaluate_on: Held-out data whose loss is measured after every step and judged in place of the training
        loss, as for `lrjax.sweep`; slower by as much as an evaluation takes.
      constant: Whether to train constant rates beside the ramp: about fifteen, so that it takes as many
        times the member-steps, and two more at a time while one at an end of them does as well as the best.
        Where the ramp's loss did not fall by more than chance, rates from `minimum` to `maximum`, 0.4 decades
        apart, if there are three seeds or more to tell chance by.
      training_steps: Updates of the training that the rate is for, >= 1: the longer, the lower. None for ten
        times `steps`. The ramp alone does not go by it.
      blow_up: A seed stops once its training loss lay above its first one for 3 steps by more than this many
        times the larger of that loss's size and the best improvement on it, > 0; None for never. It stops
        at any loss that is not finite.
      plan: How seeds are run; see `lrjax.sweep`.
      mesh: Devices to lay the seeds out over; see `lrjax.sweep`.
      order: "per-seed" for another order of the data for each seed, "shared" for one.
      key: The base of all random keys, an integer >= 0.
      progress: Whether to show how far it is on standard error: a bar on a terminal or in a notebook, else
        lines as in a log; "bar" or "lines" for one of them in any case.

    Returns:
      A `RangeTest`.

    Raises:
      TypeError: If an argument is of the wrong kind, or the trial breaks the protocol.
      ValueError: If a number is out of its range, or the trial's steps do not depend on `name`.
      Exception: Whatever the trial or the data raise; if the ramp was whole by then, it is the error's
        attribute `range_test`.
      KeyboardInterrupt: After the running chunk, where Ctrl-C is pressed: a part of a ramp tells nothing. If
        the ramp was whole by then, the error's attribute `range_test` is the test, without constant rates
        unless these were, too.

    References:
      Smith, *Cyclical Learning Rates for Training Neural Networks*, arXiv:1506.01186 (2015).

    Example:
      >>> import jax.numpy as jnp, numpy as np, lrjax
      >>> x = np.linspace(-1, 1, 64)
      >>> def loss(params, batch):
      ...     return jnp.mean((params["w"] * batch["x"] - batch["y"]) ** 2)
      >>> run = lrjax.trial(lambda key: {"w": jnp.zeros(())}, loss, lrjax.sgd)
      >>> data = lrjax.batches({"x": x, "y": 3 * x}, batch_size=16)
      >>> test = lrjax.range_test(run, data, minimum=1e-3, maximum=100.0, progress=False)
      >>> test.interval[0] < test.suggestion < test.stable_edge
      True
    """
    call = "range_test"
    if not isinstance(trial, Trial):
        hint = " (make one with `lrjax.trial(init_params, loss, optimizer)`)"
        raise _check.fail_type(call, "trial", "a `lrjax.Trial`", _check.describe(trial) + hint)
    point = _grid.beside(call, hyperparams, name, "which climbs")
    _grid.points(call, [{**point, name: 1.0}], name)
    if name in trial.static:
        raise _check.fail(call, "name", "a hyperparameter that is traced", f"{name!r}, which is static")
    for argument, end in (("minimum", minimum), ("maximum", maximum)):
        _check.number(call, argument, end)
    _grid.check_ends(call, minimum, maximum)
    ladder = _ladder(call, minimum, maximum, _check.integer(call, "steps", steps, low=2), spacing)
    _check.boolean(call, "constant", constant)
    if training_steps is None:
        training_steps = _LONGER * steps
    training_steps = _check.integer(call, "training_steps", training_steps, low=1)
    source, of_data = _arguments.source(call, data, [point], steps)
    probe = Job(
        trial=trial,
        points=[{**point, name: float(ladder[0])}, {**point, name: float(ladder[-1])}],
        data=source,
        of_data=of_data,
        steps=min(_PROBED, steps),
        seeds=1,
        key=_check.integer(call, "key", key),
        shared_order=_arguments.order(call, order),
        evaluate_every=steps,
        record_every=1,
        held_out=None,
        test=None,
        name=name,
        plan=Plan("sequential", why="a probe"),
        mesh=None,
        rule=None,
        blow_up=None,
        patience=None,
        keep=("final",),
    )
    job = probe._replace(
        points=[point],
        steps=steps,
        seeds=_check.integer(call, "seeds", seeds, low=1),
        evaluate_every=1 if evaluate_on is not None else steps,
        held_out=_arguments.held_out(call, trial, "evaluate_on", evaluate_on),
        plan=parse_plan(call, plan),
        mesh=_arguments.mesh(call, plan, mesh),
        blow_up=_arguments.blow_up(call, blow_up),
        keep=(),
        sustained=_SUSTAINED,
    )
    stop = threading.Event()
    with on_interrupt(stop.set):
        probed = train(probe, lambda progress, measured: None)
        if stop.is_set():
            raise KeyboardInterrupt
        _check_whole(probed)
        _check_responds(call, name, probed)
        divides = in_proportion(probed, float(ladder[0]), float(ladder[-1]))
        climbs = job._replace(trial=climbing(trial, name, ladder, bool(divides)))
        found = _train_whole(climbs, progress, call, stop)
        held_out = found.held_out.get("loss")
        rates, schedule, set_aside = (ladder, None, False) if divides is None else factors(found, ladder)
        test = RangeTest(
            learning_rates=rates,
            losses=found.metrics["loss"][0],
            held_out=None if held_out is None else held_out[0, :, 1:],
            diverged_at=found.diverged_at[0],
            name=name,
            hyperparams=point,
            cost=found.cost,
            plan=found.plan,
            schedule=schedule,
            set_aside=set_aside,
        )
        if constant and (test.suggestion is not None or (test.answer.unclear and job.seeds >= _ENOUGH)):
            with _keeping(test):
                lowest = float(rates[np.argmin(range_course(test._judged))])
                decays = set_aside and _decays(
                    probe, lowest, training_steps, lambda job: _train_whole(job, False, call, stop)
                )
                stays = climbing(trial, name, None, divides=True) if set_aside else trial
                test = _with_constant_rates(
                    dataclasses.replace(test, training_steps=training_steps, decays=decays),
                    job._replace(trial=stays, evaluate_every=steps),
                    None if test.answer.unclear else lowest,
                    lambda job: _train_whole(job, progress, f"{call}, constant rates", stop),
                )
    if stop.is_set():
        raise _InterruptedAfter(test)
    return test


def _with_constant_rates(
    test: RangeTest, job: Job, lowest: float | None, train: Callable[[Job], SweepData]
) -> RangeTest:
    """Trains constant rates beside a ramp.

    Args:
      test: The ramp.
      job: What to train; its only point has no rate yet.
      lowest: The rate of the ramp's lowest loss, or None where that is not told from chance.
      train: Trains a job to its end.
    """
    bounds = float(test.learning_rates[0]), float(test.learning_rates[-1])
    beside = constant_rates(job, test._judged, lowest, bounds, train)
    return dataclasses.replace(
        test,
        constant_rates=beside.rates,
        constant_losses=beside.losses,
        cost=functools.reduce(operator.add, beside.costs, test.cost),
    )


def _decays(probe: Job, rate: float, training_steps: int, train: Callable[[Job], SweepData]) -> bool:
    """Whether it is known that a trial's own schedules bring a rate down by the end of a training."""
    point = {**probe.points[0], probe.name: rate}
    if (late := at_steps(probe.trial, point)) is None:
        return False
    at = np.unique(np.linspace(0, training_steps - 1, _LOOKS).astype(int))
    points = [{**point, STEP: int(step)} for step in at]
    return comes_down(train(probe._replace(trial=late, points=points, steps=1, evaluate_every=1, keep=())))


def _train_whole(
    job: Job, progress: bool | Literal["bar", "lines"], label: str, stop: threading.Event
) -> SweepData:
    """Trains a job to its end; a part of what it tells is worth nothing.

    Raises:
      KeyboardInterrupt: If `stop` was set before it began, or before the last chunk.
    """
    if stop.is_set():
        raise KeyboardInterrupt
    with progress_bar(progress, job.steps, job.points, job.name, label) as show:

        def report(progress: Progress, measured: Any) -> None:
            show(progress)
            if stop.is_set():
                raise KeyboardInterrupt

        found = train(job, report)
    _check_whole(found)
    return found


@contextlib.contextmanager
def _keeping(test: RangeTest) -> Iterator[None]:
    """Hands a test that was made on with whatever ends what is done beside it."""
    try:
        yield
    except KeyboardInterrupt:
        raise _InterruptedAfter(test) from None
    except Exception as error:
        error.range_test = test  # type: ignore[attr-defined]
        error.add_note("the ramp was whole by then: it is this error's attribute `range_test`")
        raise


class _InterruptedAfter(KeyboardInterrupt):
    """Ctrl-C after the ramp is whole."""

    def __init__(self, test: RangeTest):
        super().__init__()
        self.range_test = test


def _ladder(call: str, minimum: float, maximum: float, steps: int, spacing: str) -> np.ndarray:
    if spacing == "log":
        return np.geomspace(float(minimum), float(maximum), steps)
    if spacing == "linear":
        return np.linspace(float(minimum), float(maximum), steps)
    raise _check.fail(call, "spacing", "'log' or 'linear'", repr(spacing))


def _check_whole(found: SweepData) -> None:
    """Passes an interrupt on: what a part of a ramp says is wrong."""
    if (found.stopped_at >= 0).any():
        raise KeyboardInterrupt


def _check_responds(call: str, name: str, probed: SweepData) -> None:
    """Requires that the lowest and the highest rate left the trial in different states."""
    states = [probed.states["final"].get((p, 0)) for p in (0, 1)]
    low, high = ([_bits(x) for x in jax.tree.leaves(state) if hasattr(x, "dtype")] for state in states)
    if low == high and (probed.diverged_at[0] == probed.diverged_at[1]).all():
        expected = "a hyperparameter that the trial's steps depend on"
        got = f"{name!r}: the lowest and the highest rate lead to the same state, bit by bit"
        raise _check.fail(call, "name", expected, got)


def _bits(x: Any) -> bytes:
    if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
        x = jax.random.key_data(x)
    return np.asarray(x).tobytes()
