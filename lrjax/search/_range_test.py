"""The range test: one training in which the rate climbs at every step, for many seeds at once."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from lrjax import _check, export, plot, results
from lrjax.answer import RangeAnswer, judge_range
from lrjax.engine import Job, Progress, on_interrupt, parse_plan, train
from lrjax.results import Plan, RangeTestData, SweepData
from lrjax.search import _arguments, _grid
from lrjax.search._climb import climbing, ended, factors, in_proportion
from lrjax.search._progress import progress_bar
from lrjax.trials import Trial

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_SUSTAINED = 3  # steps in a row for which a loss must be far above its start
_PROBED = 3  # steps that must tell the lowest rate from the highest


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
            return judge_range(self.learning_rates, self.losses if self.held_out is None else self.held_out)
        reason = (
            f"The trial's own schedule is 0 from step {step} on, so that rates above "
            f"{self.learning_rates[step - 1]:.3g} were not tried: take {step} steps, or a longer schedule."
        )
        return RangeAnswer(None, reason, None, None, suggestions={}, agreement=float("nan"))

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
        """The suggestions of single seeds lie in it, and this one; None with one seed or without one."""
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
            between = f" (seeds: {answer.interval[0]:.3g} to {answer.interval[1]:.3g})"
        lines.append(f"Begin with a {self.name.replace('_', ' ')} of {answer.suggestion:.3g}{between}.")
        return "\n".join(lines)

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
        return f"{moves}, moved it, too: give the test a trial without"

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
        """The range test as a tidy `pandas.DataFrame`: a row for each step of each seed.

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
    blow_up: float | None = 4.0,
    plan: str | Plan = "auto",
    mesh: Mesh | None = None,
    order: Literal["per-seed", "shared"] = "per-seed",
    key: int = 0,
    progress: bool | Literal["bar", "lines"] = True,
) -> RangeTest:
    r"""Trains while the learning rate climbs, and suggests a rate from the losses.

    At step $i$ of $N$ the rate is $\eta_i = \eta_0 (\eta_1 / \eta_0)^{i / (N - 1)}$, or on a straight line.
    All seeds are trained side by side, each with a model and an order of the data of its own, so that the
    suggestion does not hang on one of them. Nothing of the caller's is changed. A ramp mixes the rate with
    the time at which it is tried; `find_learning_rate` does not.

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
      KeyboardInterrupt: After the running chunk, where Ctrl-C is pressed: a part of a ramp tells nothing. If
        that chunk was the last one, the whole test is the error's attribute `range_test`.

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
      >>> 0.1 < test.suggestion < test.stable_edge
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
    rates = _ladder(call, minimum, maximum, _check.integer(call, "steps", steps, low=2), spacing)
    source, of_data = _arguments.source(call, data, [point], steps)
    probe = Job(
        trial=trial,
        points=[{**point, name: float(rates[0])}, {**point, name: float(rates[-1])}],
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
        divides = in_proportion(probed, float(rates[0]), float(rates[-1]))
        job = job._replace(trial=climbing(trial, name, rates, bool(divides)))
        with progress_bar(progress, steps, [point], name, call) as show:

            def report(progress: Progress, measured: Any) -> None:
                show(progress)
                if stop.is_set():
                    raise KeyboardInterrupt

            found = train(job, report)
        _check_whole(found)
    held_out = found.held_out.get("loss")
    rates, schedule, set_aside = (rates, None, False) if divides is None else factors(found, rates)
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
    if stop.is_set():
        raise _InterruptedAtTheEnd(test)
    return test


class _InterruptedAtTheEnd(KeyboardInterrupt):
    """Ctrl-C in the last chunk, after which the test is whole."""

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
