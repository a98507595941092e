"""Reading what was stored."""

from __future__ import annotations

import os
from pathlib import Path

from lrjax import results
from lrjax.search._range_test import RangeTest
from lrjax.search._result import Sweep, as_sweep


def load(path: str | os.PathLike[str]) -> Sweep | RangeTest:
    """Reads a stored sweep or range test. Nothing in it is executed.

    Args:
      path: The directory that `Sweep.save`, `RangeTest.save` or `sweep(directory=...)` wrote. If it holds
        both, the sweep is read.

    Returns:
      The `Sweep`, or the `RangeTest`.

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
    directory = Path(path)
    if results.holds_range_test(directory) and not (directory / "sweep.json").is_file():
        return RangeTest(**vars(results.read_range_test(directory)))
    return as_sweep(results.read(directory))
