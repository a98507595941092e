"""What a task is: a model, its data, and what it is judged on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from lrjax.data import Data
from lrjax.trials import Trial


class Task(NamedTuple):
    """A problem to find a learning rate for.

    Attributes:
      trial: The training run: a function from an optimizer (`lrjax.adam`, say) to a `Trial`, or a
        `Trial` that brings its own optimizer.
      data: The training data.
      validation: Arrays with a leading example axis, to choose on; or None.
      test: Arrays with a leading example axis, to report on; or None.
      steps: How many updates a run takes unless told otherwise.
      summary: One line that says what it is.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> x, y = jnp.ones((8, 2)), jnp.zeros(8)
      >>> def loss(params, batch):
      ...     return jnp.mean((batch[0] @ params - batch[1]) ** 2)
      >>> task = lrjax.tasks.Task(
      ...     trial=lambda optimizer: lrjax.trial(lambda key: jnp.zeros(2), loss, optimizer),
      ...     data=lrjax.batches((x, y), batch_size=4),
      ...     validation=(x, y),
      ... )
      >>> task.steps
      1000
    """

    trial: Callable[[Callable[..., Any]], Trial] | Trial
    data: Data
    validation: Any = None
    test: Any = None
    steps: int = 1000
    summary: str = ""
