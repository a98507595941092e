"""The sweep: many hyperparameters, many seeds, one program; and what comes of it."""

from __future__ import annotations

import dataclasses
import functools
import os
from typing import TYPE_CHECKING, Any, Literal

from lrjax import _check, plot, results
from lrjax.answer import Answer, judge, summary
from lrjax.data import Data, as_data, as_held_out
from lrjax.engine import HeldOut, Job, train
from lrjax.results import SweepData
from lrjax.search import _grid
from lrjax.search._progress import progress_bar
from lrjax.trials import Trial

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_RECORDS = 2000
_EVALUATIONS = 20


@dataclasses.dataclass(frozen=True, eq=False)
class Sweep(SweepData):
    """What a sweep measured, and what it means; made by `sweep` or `load`.

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

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draws loss against learning rate, and beside it the training curves.

        Args:
          ax: Where to draw the loss against the rate alone; None makes a figure with both.

        Returns:
          The `Axes` of the loss against the rate; the whole figure is its `figure`.

        Raises:
          ImportError: If matplotlib is not installed.
        """
        return plot.sweep_figure(self, self.answer) if ax is None else plot.basin(self, self.answer, ax)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Stores the result in a directory as npz and JSON; `load` reads it back.

        Args:
          path: The directory; it is made if it is not there.

        Raises:
          OSError: If it cannot be written.
        """
        results.write(self, path)


def load(path: str | os.PathLike[str]) -> Sweep:
    """Reads a stored sweep. Nothing in it is executed.

    Args:
      path: The directory that `Sweep.save` or `sweep(directory=...)` wrote.

    Returns:
      The `Sweep`.

    Raises:
      FileNotFoundError: If there is none.
      ValueError: If it is damaged, or of an unknown format.

    Example:
      >>> import tempfile, numpy as np, lrjax
      >>> def loss(x, batch):
      ...     return (x - batch.mean()) ** 2
      >>> run = lrjax.trial(lambda key: np.float32(1.0), loss, lrjax.sgd)
      >>> data = lrjax.batches(np.zeros(4), batch_size=4)
      >>> with tempfile.TemporaryDirectory() as directory:
      ...     lrjax.sweep(run, {"learning_rate": [0.1]}, data, steps=5, progress=False).save(directory)
      ...     lrjax.load(directory).metrics["loss"].shape
      (1, 1, 5)
    """
    return _as_sweep(results.read(path))


def sweep(
    trial: Trial,
    grid: Any,
    data: Data,
    *,
    steps: int,
    seeds: int = 1,
    evaluate_on: Any = None,
    evaluate_every: int | None = None,
    test_on: Any = None,
    record_every: int | None = None,
    order: Literal["per-seed", "shared"] = "per-seed",
    key: int = 0,
    name: str = "learning_rate",
    directory: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> Sweep:
    """Trains every point of a grid with every seed, all in one compiled program.

    A member's key depends on its seed's index alone and its batches on that and the step, so the
    rates of one seed start from the same parameters and see the same data. Points that differ in
    anything but numbers get a program each. A member that goes non-finite stands still at its last
    finite state from then on, and touches no other. Everything is checked before any training.

    Args:
      trial: What is trained; see `lrjax.trial`.
      grid: A dict of name to values (their product is trained), or a list of dicts of name to
        value. Numbers are passed to the trial as traced float32 (int32 if all are integers), unless
        `trial.static` names them.
      data: The training data; see `lrjax.batches`.
      steps: Updates per member, >= 1.
      seeds: Members per point, >= 1.
      evaluate_on: Held-out data to choose by: arrays with a leading example axis, or
        `lrjax.batches` of them. Scored over one unshuffled epoch, weighted by examples.
      evaluate_every: Updates between evaluations, >= 1; None for about 20 of them. There is always
        one before the first update and one after the last.
      test_on: Data to report on, like `evaluate_on`; scored once, after the last update.
      record_every: Steps between recorded training metrics, >= 1; None for every step up to 2,000
        records.
      order: "per-seed" for another order of the data for each seed, "shared" for one.
      key: The base of all members' random keys, an integer >= 0.
      name: The hyperparameter that is the learning rate.
      directory: Where to store the result; None for nowhere.
      progress: Whether to show a progress bar.

    Returns:
      A `Sweep`. After a keyboard interrupt it holds what was measured until then.

    Raises:
      TypeError: If an argument is of the wrong kind, or the trial breaks the protocol.
      ValueError: If a number is out of its range, a rate of the grid is not finite and > 0, or
        twice in it, or `name` is not in it.
      OSError: If `directory` cannot be written.

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
    if name != "learning_rate" and name not in points[0]:
        expected = f"one of the grid's names, {', '.join(map(repr, points[0]))}"
        raise _check.fail(call, "name", expected, repr(name))
    data = as_data(call, "data", data)
    steps = _check.integer(call, "steps", steps, low=1)
    seeds = _check.integer(call, "seeds", seeds, low=1)
    if order not in ("per-seed", "shared"):
        raise _check.fail(call, "order", "'per-seed' or 'shared'", repr(order))
    evaluate_every = _interval("evaluate_every", evaluate_every, -(-steps // _EVALUATIONS))
    record_every = _interval("record_every", record_every, -(-steps // _MOST_RECORDS))
    job = Job(
        trial=trial,
        points=points,
        data=data,
        steps=steps,
        seeds=seeds,
        key=_check.integer(call, "key", key),
        shared_order=order == "shared",
        evaluate_every=evaluate_every,
        record_every=record_every,
        held_out=_held_out(trial, "evaluate_on", evaluate_on),
        test=_held_out(trial, "test_on", test_on),
        name=name,
    )
    if directory is not None:
        results.check_writable(call, "directory", directory)
    with progress_bar(progress, steps, points, name) as show:
        result = _as_sweep(train(job, show))
    if directory is not None:
        result.save(directory)
    return result


def _held_out(trial: Trial, argument: str, value: Any) -> HeldOut | None:
    if value is None:
        return None
    if trial.evaluate is None:
        expected = "None, since the trial has no `evaluate` (a loss that takes a key needs one of its own)"
        raise _check.fail("sweep", argument, expected, f"a {type(value).__name__}")
    return HeldOut(*as_held_out("sweep", argument, value))


def _interval(argument: str, value: int | None, default: int) -> int:
    return default if value is None else _check.integer("sweep", argument, value, low=1)


def _as_sweep(data: SweepData) -> Sweep:
    return Sweep(**{field.name: getattr(data, field.name) for field in dataclasses.fields(SweepData)})
