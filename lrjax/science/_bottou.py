"""Bottou's choice of a first rate: try rates on a sample, and take the one that lowers the loss the most."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lrjax import _check
from lrjax.trials import Trial


def bottou_initial_rate(
    trial: Trial,
    sample: Iterable[Any],
    hyperparams: Mapping[str, Any] | None = None,
    *,
    name: str = "learning_rate",
    start: float = 1.0,
    factor: float = 2.0,
    max_passes: int = 40,
    key: int = 0,
) -> float:
    r"""Bottou's initial rate $\gamma_0$, found on a sample before training.

    A rate costs what the mean loss on the sample is after one pass over it at that rate. From `start` and
    `factor` times as much the rates are halved, or doubled, for as long as that lowers the cost;
    $\gamma_0$ is the lower of the last two. It is meant for `averaged_sgd` and `bottou_schedule`, for
    which a rate a little too low is safer than one too high.

    Args:
      trial: A `Trial` whose rate stays the same at every step (`lrjax.sgd`, say). Its loss should hold
        the penalty on the weights, if there is one.
      sample: Batches to pass over, in their order; a few hundred examples are enough.
      hyperparams: The trial's other hyperparameters.
      name: The hyperparameter that is the rate.
      start: The first rate to try, > 0.
      factor: How far rates are from one another, > 1.
      max_passes: How many passes may be made, >= 2.
      key: The seed of the trial's start, which is the same for every rate.

    Returns:
      $\gamma_0$, `start` times a power of `factor`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range, the sample is empty, or no rate is found in `max_passes`.

    Note:
      Rates at which the loss is not finite cost more than any other. The cost is that of `trial.evaluate`,
      or, for a trial without it, of the loss that `trial.update` measures before it steps.

    References:
      Bottou, Stochastic Gradient Descent Tricks, 2012, section 5.2.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> def loss(x, batch):
      ...     return jnp.mean((x - batch) ** 2)
      >>> trial = lrjax.trial(lambda key: jnp.float32(4.0), loss, lrjax.sgd)
      >>> lrjax.science.bottou_initial_rate(trial, [jnp.array([-1.0, 1.0])] * 8)
      0.25
    """
    call = "science.bottou_initial_rate"
    if not hasattr(trial, "init") or not hasattr(trial, "update"):
        raise _check.fail_type(call, "trial", "a `Trial`", _check.describe(trial))
    _check.number(call, "start", start, low=0, open_low=True)
    _check.number(call, "factor", factor, low=1, open_low=True)
    max_passes = _check.integer(call, "max_passes", max_passes, low=2)
    batches = [jax.tree.map(jnp.asarray, batch) for batch in sample]
    if not batches:
        raise _check.fail(call, "sample", "at least one batch", "none")
    cost = _cost(trial, batches, dict(hyperparams or {}), name, _check.integer(call, "key", key))

    low, high = float(start), float(start) * float(factor)
    low_cost, high_cost = cost(low), cost(high)
    down = low_cost < high_cost or not math.isfinite(low_cost)
    for _ in range(max_passes - 2):
        if down and (low_cost < high_cost or not math.isfinite(low_cost)):
            high, high_cost = low, low_cost
            low /= factor
            low_cost = cost(low)
        elif not down and high_cost < low_cost:
            low, low_cost = high, high_cost
            high *= factor
            high_cost = cost(high)
        else:
            return low
    expected = f"enough for the cost to stop falling, which it still does at rates near {low:g}"
    raise _check.fail(call, "max_passes", expected, max_passes)


def _cost(
    trial: Trial, batches: list[Any], rest: dict[str, Any], name: str, seed: int
) -> Callable[[float], float]:
    """The mean loss on the batches after one pass over them, as a function of the rate."""

    def begin(rate: Any) -> Any:
        return trial.init(jax.random.key(seed), {**rest, name: rate})

    def step(state: Any, batch: Any, rate: Any) -> Any:
        return trial.update(state, batch, {**rest, name: rate})[1]

    def loss(state: Any, batch: Any, rate: Any) -> Any:
        if trial.evaluate is not None:
            return trial.evaluate(state, batch)["loss"]
        return trial.update(state, batch, {**rest, name: rate})[0]["loss"]

    compiled = jax.jit(step), jax.jit(loss)

    def cost(rate: float) -> float:
        traced = jnp.asarray(rate, jnp.float32)
        state = begin(traced)
        arrays = all(isinstance(x, (jax.Array, np.ndarray)) for x in jax.tree.leaves(state))
        step_once, loss_of = compiled if arrays else (step, loss)
        for batch in batches:
            state = step_once(state, batch, traced)
        mean = float(np.mean([float(loss_of(state, batch, traced)) for batch in batches]))
        return mean if math.isfinite(mean) else math.inf

    return cost
