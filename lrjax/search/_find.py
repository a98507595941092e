"""Finding a learning rate without saying which to try."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from jax.sharding import Mesh

from lrjax import _check
from lrjax.engine import check
from lrjax.results import Plan
from lrjax.search import _arguments, _asked, _grid
from lrjax.search._course import Course, Limits
from lrjax.search._progress import check_progress
from lrjax.search._result import Sweep
from lrjax.trials import Trial

_EVALUATIONS = 16  # so that a quarter of the steps is among them


def find_learning_rate(
    trial: Trial,
    data: Any,
    *,
    steps: int,
    seeds: int = 3,
    evaluate_on: Any = None,
    test_on: Any = None,
    hyperparams: Mapping[str, Any] | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
    points: int | None = None,
    budget: int | datetime.timedelta | None = None,
    name: str = "learning_rate",
    evaluate_every: int | None = None,
    record_every: int | None = None,
    horizon: str | None = None,
    patience: int | None = None,
    blow_up: float | None = 100.0,
    plan: str | Plan = "auto",
    mesh: Mesh | None = None,
    order: Literal["per-seed", "shared"] = "per-seed",
    key: int = 0,
    keep: str | Sequence[str] = (),
    directory: str | os.PathLike[str] | None = None,
    checkpoint_seconds: float = 30.0,
    progress: bool | Literal["bar", "lines"] = True,
    on_chunk: Callable[[Sweep], object] | None = None,
) -> Sweep:
    r"""Finds a learning rate: which ones are tried follows from what the others did.

    1. A range test tells where to look, unless `minimum` and `maximum` say it.
    2. Rates there, one every 0.4 decades, are trained; after a quarter of the steps only those go on that
       are among the best, next to the best, or not told from it by the seeds.
    3. Until the best rate, and the one that would be answered, have a neighbour on each side that was trained
       to the end, or failed, those that are missing are trained, also outside of the range. Then the same at
       0.2 decades. Where all fail, lower rates are tried; where none learns anything and the highest does
       best, higher ones.
    4. Rates that the seeds do not tell from the best are trained with more seeds, up to ten, until one is
       left, or they are within 2 % of each other.
    5. The rate that would be answered is trained with ten seeds; if more than one fails, another is answered.

    All rates of a seed start from the same parameters and see the same data.

    Args:
      trial: What is trained; it takes the hyperparameter `name`.
      data: The training data; see `lrjax.batches`.
      steps: Updates per member, >= 1: as many as the rate is meant for, since the best rate depends on it.
      seeds: Members per rate, >= 1; with one, differences may be luck, and no more seeds are trained.
      evaluate_on: Held-out data to choose by; see `sweep`.
      test_on: Data to report on; see `sweep`.
      hyperparams: The trial's other hyperparameters, one value each.
      minimum: No lower rate is tried, > 0; None for no such bound.
      maximum: No higher rate is tried, > `minimum`; None for no such bound.
      points: How many rates are tried first, >= 2; None for one every 0.4 decades.
      budget: Member-steps (an int), or time (a `datetime.timedelta`), after which nothing new begins; what
        does not fit is left out, the least telling first; it is an error if nothing fits. None for as many
        member-steps as 25 rates take that are all trained to the end.
      name: The hyperparameter that is the learning rate.
      evaluate_every: Updates between evaluations, >= 1; None for 16 of them.
      record_every: See `sweep`.
      horizon: The hyperparameter that holds the length of the schedule; see `sweep`.
      patience: See `sweep`.
      blow_up: See `sweep`.
      plan: See `sweep`.
      mesh: See `sweep`.
      order: See `sweep`.
      key: The base of all members' random keys, an integer >= 0.
      keep: "final", "best" or both: the states that `Sweep.states` then holds.
      directory: Where to store the result and, while training, checkpoints: the same call goes on where an
        earlier one was cut off. Needs the extra `lrjax[store]`. None for nowhere.
      checkpoint_seconds: Seconds between checkpoints at least, >= 0.
      progress: Whether to say on standard error what is tried, and how far it is; see `sweep`.
      on_chunk: Called after every chunk with what was measured so far, a `Sweep`.

    Returns:
      A `Sweep` of all rates that were tried; the rate is its `answer.learning_rate`, and
      `settings["search"]` tells the search's course, which `summary` prints. Members that were not trained,
      of rates with fewer seeds than others, are NaN. After a keyboard interrupt it holds what was measured
      until then.

    Raises:
      TypeError: If an argument is of the wrong kind, or the trial breaks the protocol.
      ValueError: If a number is out of its range, arguments do not fit each other, or the budget does not
        suffice for the first rates; if `directory` holds something else.
      OSError: If `directory` cannot be written, or another process uses it.
      Exception: Whatever the data or `on_chunk` raise while members train; what was measured until then
        is the error's attribute `sweep`, and in `directory`.

    Example:
      >>> import jax.numpy as jnp, numpy as np, lrjax
      >>> x = np.linspace(-1, 1, 64)
      >>> def loss(params, batch):
      ...     return jnp.mean((params["w"] * batch["x"] - batch["y"]) ** 2)
      >>> run = lrjax.trial(lambda key: {"w": jnp.zeros(())}, loss, lrjax.adam)
      >>> data = lrjax.batches({"x": x, "y": 3 * x}, batch_size=16)
      >>> found = lrjax.find_learning_rate(run, data, steps=100, evaluate_on=data.arrays, progress=False)
      >>> 0.05 < found.answer.learning_rate < 1.0
      True
    """
    call = "find_learning_rate"
    _grid.check_ends(call, minimum, maximum)
    if points is not None:
        _check.integer(call, "points", points, low=2)
    check_progress(call, progress)
    fixed = _grid.beside(call, hyperparams, name, "which is searched")
    any_point = _grid.points(call, [{**fixed, name: minimum or maximum or 1.0}], name)
    steps = _check.integer(call, "steps", steps, low=1)
    seeds = _check.integer(call, "seeds", seeds, low=1)
    usual = -(-steps // _EVALUATIONS)
    limits = Limits.of(call, budget, steps, seeds)
    asked: dict[str, Any] = dict(
        steps=steps,
        seeds=seeds,
        evaluate_on=evaluate_on,
        evaluate_every=_arguments.interval(call, "evaluate_every", evaluate_every, usual),
        test_on=test_on,
        record_every=record_every,
        horizon=horizon,
        patience=patience,
        blow_up=blow_up,
        plan=plan,
        mesh=mesh,
        order=order,
        key=key,
        name=name,
        keep=keep,
    )
    # The range test evaluates nothing: what it would not notice is told before it is made.
    check(_asked.job(call, trial, any_point, data, allocation=None, **asked))
    course = Course(
        call,
        trial,
        data,
        fixed,
        limits,
        directory=directory,
        checkpoint_seconds=checkpoint_seconds,
        progress=progress,
        on_chunk=on_chunk,
        asked=asked,
    )
    return course.run(minimum, maximum, points)
