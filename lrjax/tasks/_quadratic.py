"""A noisy quadratic with the spectrum of a deep network: every answer about it is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lrjax.data import batches
from lrjax.tasks._task import Task
from lrjax.trials import Trial, trial

SUMMARY = "DeepOBS quadratic_deep: 100-dimensional noisy quadratic, sharpness 53.13, batch 128"

_DIMENSION, _BATCH, _EXAMPLES, _NOISE = 100, 128, 1000, 0.6
_PROBLEM_SEED, _TRAIN_SEED, _TEST_SEED, _VALIDATION_SEED = 42, 42, 43, 44


def quadratic_deep() -> Task:
    r"""The stochastic quadratic of DeepOBS, `quadratic_deep`, number for number.

    The loss of a batch is the mean of $\frac12 (\theta - x)^\top Q (\theta - x)$ with
    $x \sim N(0, 0.6^2 I)$ and $\theta_0 = 1$. Of the 100 eigenvalues of $Q$, 90 are drawn from
    (0, 1) and 10 from (30, 60); the largest is 53.13, so that gradient descent is stable below
    2 / 53.13 = 0.0376. Validation and test hold 896 points, the full batches among 1,000, as in
    DeepOBS; the test loss starts at 353.446766.

    Returns:
      A `Task`. Its 700 steps are the benchmark's 100 epochs. With Adam at 3e-2 they end at 85.9
      on validation and 87.3 on test; the optimum, $\theta = 0$, has 85.6 and 86.9.

    References:
      Schneider, Balles and Hennig, DeepOBS: A Deep Learning Optimizer Benchmark Suite, 1903.05499,
      2019.
      Schmidt, Schneider and Hennig, Descending through a Crowded Valley, 2007.01547, 2021.

    Example:
      >>> import jax, lrjax
      >>> task = lrjax.tasks.load("quadratic-deep")
      >>> trial = task.trial(lrjax.sgd)
      >>> state = trial.init(jax.random.key(0), {"learning_rate": 0.01})
      >>> round(float(trial.evaluate(state, task.test)["loss"]), 2)
      353.45
    """
    full_batches = _EXAMPLES - _EXAMPLES % _BATCH
    hessian = _hessian().astype(np.float32)

    def loss(params: jax.Array, batch: jax.Array) -> jax.Array:
        offset = params - batch
        return 0.5 * jnp.mean(jnp.sum((offset @ hessian) * offset, axis=-1))

    def make_trial(optimizer: Callable[..., Any]) -> Trial:
        return trial(_init, loss, optimizer)

    return Task(
        trial=make_trial,
        data=batches(_points(_TRAIN_SEED), batch_size=_BATCH),
        validation=_points(_VALIDATION_SEED)[:full_batches],
        test=_points(_TEST_SEED)[:full_batches],
        steps=700,
        summary=SUMMARY,
    )


def _init(key: jax.Array) -> jax.Array:
    del key
    return jnp.ones(_DIMENSION)


def _points(seed: int) -> np.ndarray:
    points = np.random.RandomState(seed).normal(0.0, _NOISE, (_EXAMPLES, _DIMENSION))
    return points.astype(np.float32)


def _hessian() -> np.ndarray:
    r"""$Q = R^\top \Lambda R$ in float64; eigenvalues first, then the rotation, from one generator."""
    generator = np.random.RandomState(_PROBLEM_SEED)
    flat, steep = generator.uniform(0, 1, 90), generator.uniform(30, 60, 10)
    rotation = _rotation(generator, _DIMENSION)
    return (rotation.T * np.concatenate([flat, steep])) @ rotation


def _rotation(generator: np.random.RandomState, dimension: int) -> np.ndarray:
    r"""A rotation drawn uniformly (from the Haar measure), by the subgroup algorithm.

    A uniform rotation of $n - 1$ dimensions, the first left alone, followed by the reflection that
    takes the first axis to a uniform direction, is uniform in $n$ dimensions. The $n - 2$ reflections
    and the minus at the end make the determinant 1, whatever the dimension.

    References:
      Diaconis and Shahshahani, The subgroup algorithm for generating uniform random variables, 1987.
    """
    angle = 2 * np.pi * generator.uniform()
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    for n in range(3, dimension + 1):
        direction = generator.normal(size=n)
        normal = np.eye(n)[0] - direction / np.linalg.norm(direction)
        normal /= np.linalg.norm(normal)
        embedded = np.eye(n)
        embedded[1:, 1:] = rotation
        rotation = embedded - 2 * np.outer(normal, normal @ embedded)
    return -rotation
