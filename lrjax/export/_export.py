"""What users call: results for other programs, each in the form that those read."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from lrjax._files import file_to_write, write_whole
from lrjax.answer import Answer, RangeAnswer
from lrjax.export import _about, _frames, _tables
from lrjax.export._csv import write_csv
from lrjax.export._tables import Rows
from lrjax.results import RangeTestData, SweepData

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


def to_xarray(data: SweepData, answer: Answer, grid: bool | None = None) -> xr.Dataset:
    """A sweep as an `xarray.Dataset`.

    Args:
      data: A sweep's measurements.
      answer: What they mean.
      grid: See `lrjax.Sweep.to_xarray`.

    Returns:
      The data set.

    Raises:
      ImportError: If xarray is not installed.
      ValueError: If `grid` is true and the points are no full grid.

    Example:
      >>> import lrjax
      >>> task = lrjax.tasks.load("quadratic-deep")
      >>> grid = {"learning_rate": [0.01, 0.03]}
      >>> sweep = lrjax.sweep(task.trial(lrjax.sgd), grid, task.data, steps=20, progress=False)
      >>> dict(lrjax.export.to_xarray(sweep, sweep.answer)["train_loss"].sizes)
      {'learning_rate': 2, 'seed': 1, 'step': 20}
    """
    return _frames.dataset(data, answer, grid)


def to_pandas(data: SweepData, answer: Answer, rows: Rows = "records") -> pd.DataFrame:
    """A sweep as a `pandas.DataFrame`.

    Args:
      data: A sweep's measurements.
      answer: What they mean.
      rows: See `lrjax.Sweep.to_pandas`.

    Returns:
      The frame.

    Raises:
      ImportError: If pandas is not installed.
      ValueError: If `rows` is none of the kinds of rows.

    Example:
      >>> import lrjax
      >>> task = lrjax.tasks.load("quadratic-deep")
      >>> grid = {"learning_rate": [0.01, 0.03]}
      >>> sweep = lrjax.sweep(task.trial(lrjax.sgd), grid, task.data, steps=20, progress=False)
      >>> lrjax.export.to_pandas(sweep, sweep.answer, rows="members")["learning_rate"].tolist()
      [0.01, 0.03]
    """
    table = _tables.sweep_table("to_pandas", data, answer, rows)
    return _frames.frame(table, _about.attributes(data, answer))


def to_csv(data: SweepData, answer: Answer, path: str | os.PathLike[str], rows: Rows = "records") -> Path:
    """A sweep as a CSV file, which appears whole or not at all.

    Args:
      data: A sweep's measurements.
      answer: What they mean.
      path: The file; its directory is made if it is not there, and what was there is replaced.
      rows: See `lrjax.Sweep.to_pandas`.

    Returns:
      The file's path.

    Raises:
      IsADirectoryError: If `path` is a directory.
      OSError: If the file cannot be written.
      ValueError: If `rows` is none of the kinds of rows.

    Example:
      >>> import pathlib, tempfile, lrjax
      >>> task = lrjax.tasks.load("quadratic-deep")
      >>> grid = {"learning_rate": [0.01, 0.03]}
      >>> sweep = lrjax.sweep(task.trial(lrjax.sgd), grid, task.data, steps=20, progress=False)
      >>> with tempfile.TemporaryDirectory() as directory:
      ...     file = lrjax.export.to_csv(sweep, sweep.answer, pathlib.Path(directory) / "sweep.csv")
      ...     file.read_text().splitlines()[0]
      'point,seed,learning_rate,step,train_learning_rate,train_loss,diverged_at,stopped_at,cause,leaf'
    """
    return write_csv("to_csv", _tables.sweep_table("to_csv", data, answer, rows), path)


def to_json(data: SweepData, answer: Answer, path: str | os.PathLike[str]) -> Path:
    """A sweep as a file of strict JSON, which appears whole or not at all.

    Args:
      data: A sweep's measurements.
      answer: What they mean.
      path: The file; its directory is made if it is not there, and what was there is replaced.

    Returns:
      The file's path.

    Raises:
      IsADirectoryError: If `path` is a directory.
      OSError: If the file cannot be written.

    Example:
      >>> import json, pathlib, tempfile, lrjax
      >>> task = lrjax.tasks.load("quadratic-deep")
      >>> grid = {"learning_rate": [0.01, 0.03]}
      >>> sweep = lrjax.sweep(task.trial(lrjax.sgd), grid, task.data, steps=20, progress=False)
      >>> with tempfile.TemporaryDirectory() as directory:
      ...     file = lrjax.export.to_json(sweep, sweep.answer, pathlib.Path(directory) / "sweep.json")
      ...     json.loads(file.read_text())["points"]
      [{'learning_rate': 0.01}, {'learning_rate': 0.03}]
    """
    return _write_json("to_json", _about.sweep_json(data, answer), path)


def ramp_to_pandas(data: RangeTestData) -> pd.DataFrame:
    """A range test as a `pandas.DataFrame`: a row for each step of each seed.

    Args:
      data: A range test's measurements.

    Returns:
      The frame.

    Raises:
      ImportError: If pandas is not installed.

    Example:
      >>> import lrjax
      >>> task = lrjax.tasks.load("quadratic-deep")
      >>> test = lrjax.range_test(task.trial(lrjax.sgd), task.data, minimum=1e-5, progress=False)
      >>> list(lrjax.export.ramp_to_pandas(test))
      ['seed', 'step', 'learning_rate', 'train_loss', 'diverged_at']
    """
    return _frames.frame(_tables.ramp_table(data))


def ramp_to_csv(data: RangeTestData, path: str | os.PathLike[str]) -> Path:
    """A range test as a CSV file, which appears whole or not at all.

    Args:
      data: A range test's measurements.
      path: The file; its directory is made if it is not there, and what was there is replaced.

    Returns:
      The file's path.

    Raises:
      IsADirectoryError: If `path` is a directory.
      OSError: If the file cannot be written.

    Example:
      >>> import pathlib, tempfile, lrjax
      >>> task = lrjax.tasks.load("quadratic-deep")
      >>> test = lrjax.range_test(task.trial(lrjax.sgd), task.data, minimum=1e-5, progress=False)
      >>> with tempfile.TemporaryDirectory() as directory:
      ...     file = lrjax.export.ramp_to_csv(test, pathlib.Path(directory) / "ramp.csv")
      ...     len(file.read_text().splitlines())
      501
    """
    return write_csv("to_csv", _tables.ramp_table(data), path)


def ramp_to_json(data: RangeTestData, answer: RangeAnswer, path: str | os.PathLike[str]) -> Path:
    """A range test as a file of strict JSON, which appears whole or not at all.

    Args:
      data: A range test's measurements.
      answer: What they mean.
      path: The file; its directory is made if it is not there, and what was there is replaced.

    Returns:
      The file's path.

    Raises:
      IsADirectoryError: If `path` is a directory.
      OSError: If the file cannot be written.

    Example:
      >>> import json, pathlib, tempfile, lrjax
      >>> task = lrjax.tasks.load("quadratic-deep")
      >>> test = lrjax.range_test(task.trial(lrjax.sgd), task.data, minimum=1e-5, progress=False)
      >>> with tempfile.TemporaryDirectory() as directory:
      ...     file = lrjax.export.ramp_to_json(test, test.answer, pathlib.Path(directory) / "ramp.json")
      ...     json.loads(file.read_text())["answer"]["suggestion"] == test.suggestion
      True
    """
    return _write_json("to_json", _about.range_test_json(data, answer), path)


def _write_json(call: str, about: object, path: str | os.PathLike[str]) -> Path:
    file = file_to_write(call, path)
    write_whole({file: json.dumps(about, allow_nan=False) + "\n"})
    return file
