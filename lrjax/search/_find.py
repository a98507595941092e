"""Finding a learning rate without saying which to try."""

from __future__ import annotations

from typing import Any

from lrjax import _check
from lrjax.data import Data
from lrjax.search import _grid
from lrjax.search._sweep import Sweep, sweep
from lrjax.trials import Trial


def find_learning_rate(
    trial: Trial,
    data: Data,
    *,
    steps: int,
    seeds: int = 3,
    minimum: float = 1e-5,
    maximum: float = 1.0,
    points: int = 21,
    name: str = "learning_rate",
    **options: Any,
) -> Sweep:
    """Finds a learning rate: a sweep over rates at equal ratios.

    Args:
      trial: What is trained; it takes the hyperparameter `name`.
      data: The training data; see `lrjax.batches`.
      steps: Updates per member, >= 1.
      seeds: Members per rate, >= 1.
      minimum: The lowest rate, > 0.
      maximum: The highest rate, > `minimum`.
      points: How many rates, >= 2.
      name: The hyperparameter that is the learning rate.
      **options: What else `sweep` takes: `evaluate_on`, `test_on`, `directory`, ...

    Returns:
      A `Sweep`; the rate is its `answer.learning_rate`.

    Raises:
      TypeError: If an argument is of the wrong kind, or the trial breaks the protocol.
      ValueError: If a number is out of its range.
      OSError: If `directory` cannot be written.

    Example:
      >>> import jax.numpy as jnp, numpy as np, lrjax
      >>> x = np.linspace(-1, 1, 64)
      >>> def loss(params, batch):
      ...     return jnp.mean((params["w"] * batch["x"] - batch["y"]) ** 2)
      >>> run = lrjax.trial(lambda key: {"w": jnp.zeros(())}, loss, lrjax.adam)
      >>> data = lrjax.batches({"x": x, "y": 3 * x}, batch_size=16)
      >>> found = lrjax.find_learning_rate(run, data, steps=100, evaluate_on=data.arrays, progress=False)
      >>> 0.01 < found.answer.learning_rate < 1.0
      True
    """
    call = "find_learning_rate"
    _check.number(call, "minimum", minimum, low=0, open_low=True)
    _check.number(call, "maximum", maximum, low=float(minimum), open_low=True)
    _check.integer(call, "points", points, low=2)
    rates = _grid.log_spaced(float(minimum), float(maximum), points)
    return sweep(trial, {name: rates}, data, steps=steps, seeds=seeds, name=name, **options)
