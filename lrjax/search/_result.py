"""The sweep as users have it: what was measured, what it means, and what can be made of it."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrjax import export, plot, results
from lrjax.answer import Answer, Autopsy, judge, summary
from lrjax.report import write_report
from lrjax.results import SweepData
from lrjax.search import _arguments
from lrjax.search._autopsy import autopsy
from lrjax.search._verify import Verification, verify
from lrjax.trials import Trial

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.axes import Axes


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
          command: How the sweep was started, to be shown at the end; None for what `settings["command"]`,
            which the command line writes, says.

        Returns:
          The file's path.

        Raises:
          ImportError: If plotly is not installed.
          IsADirectoryError: If `path` is a directory.
          OSError: If the file cannot be written.
        """
        return write_report(self, self.answer, path, title=title, command=command)

    def to_xarray(self, grid: bool | None = None) -> xr.Dataset:
        """The sweep as an `xarray.Dataset`.

        Its dimensions are `seed`, `step` (of the training metrics, `train_...`), `held_out_step` (of the
        held-out ones, `held_out_...`), and one for each hyperparameter, with its values, where the points are
        all combinations of some values; else `point`, with a coordinate for each hyperparameter. Numbers and
        bools stay what they are, values of other or of several kinds are text. `diverged_at`, `stopped_at`,
        `dropped_at`, `cause` and `leaf` say of each member or point where and why it ended early: -1 or "" if
        it did not. The attributes are text and numbers: the answer, and as JSON text `settings` and `cost`.

        Args:
          grid: False for `point` in any case; True for a dimension for each hyperparameter or an error.

        Returns:
          The data set.

        Raises:
          ImportError: If xarray is not installed.
          ValueError: If `grid` is true and the points are no full grid.
        """
        return export.to_xarray(self, self.answer, grid)

    def to_pandas(self, rows: export.Rows = "records") -> pd.DataFrame:
        """The sweep as a tidy `pandas.DataFrame`.

        Each row has the point's and the seed's number, the hyperparameters, and `diverged_at`, `stopped_at`,
        `cause` and `leaf`, which say where and why the member ended early: -1 or "" if it did not.

        Args:
          rows: "records" for a row for each step at which a member was measured, with its metrics (`train_`
            or `held_out_` before their names; NaN where one was not measured, or the member no longer ran);
            "members" for a row for each member, with each metric's last value (`..._final`) and that where
            the loss of its kind was lowest (`..._best`), `final_loss` (what the answer compares),
            `failed`, `regime`, `dropped_at`, and metrics on the test data.

        Returns:
          The frame.

        Raises:
          ImportError: If pandas is not installed.
          ValueError: If `rows` is neither.
        """
        return export.to_pandas(self, self.answer, rows)

    def to_csv(self, path: str | os.PathLike[str], rows: export.Rows = "records") -> Path:
        """Writes the table of `to_pandas` as CSV; needs no pandas.

        Args:
          path: The file; its directory is made if it is not there, and what was there is replaced.
          rows: See `to_pandas`.

        Returns:
          The file's path.

        Raises:
          IsADirectoryError: If `path` is a directory.
          OSError: If the file cannot be written.
          ValueError: If `rows` is neither.
        """
        return export.to_csv(self, self.answer, path, rows)

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
        return export.to_json(self, self.answer, path)

    def to_tensorboard(self, directory: str | os.PathLike[str]) -> Path:
        """Writes a log directory of TensorBoard: a run for each member, and the table of its HParams tab.

        A run holds the metrics as long as the member trained, what it ended with (`final/...`), and as text
        how it ended. Seeds of one point are a group.

        Args:
          directory: A new directory, an empty one, or that of an earlier export, which is replaced.

        Returns:
          The directory's path.

        Raises:
          ImportError: If tensorboardX is not installed.
          FileExistsError: If the directory holds anything else.
          OSError: If it cannot be written.
        """
        return export.to_tensorboard(self, self.answer, directory)

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


def as_sweep(data: SweepData) -> Sweep:
    """The sweep with these measurements."""
    return Sweep(**{field.name: getattr(data, field.name) for field in dataclasses.fields(SweepData)})
