"""The sweep: many hyperparameters, many seeds, one program."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from jax.sharding import Mesh

from lrjax.results import Plan
from lrjax.search import _asked, _grid
from lrjax.search._allocation import Allocation
from lrjax.trials import Trial

if TYPE_CHECKING:
    pass


from lrjax.search._result import Sweep
from lrjax.search._run import how_to_go_on, run


def sweep(
    trial: Trial,
    grid: Any,
    data: Any,
    *,
    steps: int,
    seeds: int = 1,
    evaluate_on: Any = None,
    evaluate_every: int | None = None,
    test_on: Any = None,
    record_every: int | None = None,
    allocation: Allocation | None = None,
    horizon: str | None = None,
    patience: int | None = None,
    blow_up: float | None = 100.0,
    plan: str | Plan = "auto",
    mesh: Mesh | None = None,
    order: Literal["per-seed", "shared"] = "per-seed",
    key: int = 0,
    name: str = "learning_rate",
    keep: str | Sequence[str] = (),
    directory: str | os.PathLike[str] | None = None,
    checkpoint_seconds: float = 30.0,
    progress: bool | Literal["bar", "lines"] = True,
    on_chunk: Callable[[Sweep], object] | None = None,
) -> Sweep:
    """Trains every point of a grid with every seed, as one job.

    A member's key depends on its seed's index alone and its batches on that and the step, so the
    rates of one seed start from the same parameters and see the same data. Points that differ in
    anything but numbers get a program each. A member that diverges stands still at its last finite
    state from then on, and touches no other. Everything is checked before any training.

    Args:
      trial: What is trained; see `lrjax.trial`.
      grid: A dict of name to values (their product is trained), or a list of dicts of name to
        value, which may differ in their names. Numbers are passed to the trial as traced float32
        (int32 if all are integers), unless `trial.static` names them.
      data: The training data; see `lrjax.batches`. Or a function of hyperparameters that gives it, for
        instance `lambda batch_size: lrjax.batches(arrays, batch_size)`: these go to the data, and to
        the trial only if `trial.static` names them.
      steps: Updates per member, >= 1.
      seeds: Members per point, >= 1.
      evaluate_on: Held-out data to choose by: arrays with a leading example axis, or
        `lrjax.batches` of them. Scored over one unshuffled epoch, weighted by examples.
      evaluate_every: Updates between evaluations, >= 1; None for about 20 of them, or 16 with an
        allocation. There is always one before the first update and one after the last.
      test_on: Data to report on, like `evaluate_on`; scored once, after the last update.
      record_every: Steps between recorded training metrics, >= 1; None for every step up to 2,000
        records.
      allocation: Which points train to the end: `lrjax.successive_halving()`, `hyperband`,
        `median_stopping`, `top_k`; None for all.
      horizon: The hyperparameter that holds the length of the schedule. With an allocation, points
        then start anew after each rung, each time with a schedule that is completed within the steps
        they get; without it their schedules are cut off, which favours some rates.
      patience: Evaluations without a better held-out loss after which a member stops, >= 1.
      blow_up: A member whose training loss stays above its first one for 20 steps, by more than this
        many times the larger of the first loss's size and the best improvement on it, counts as
        diverged. > 0; None for no such rule.
      plan: How members are run. "auto" looks at the step, measures where that is repaid, and says what
        it chose in `Sweep.plan`; or by name: "pool", "sequential", "vmap", "unrolled", "sharded",
        "lean" (the least memory), with "/scan", "/unrolled" or "/dispatch" for the steps and a width.
      mesh: Devices to lay the members out over; None for the default device ("sharded": all devices).
      order: "per-seed" for another order of the data for each seed, "shared" for one.
      key: The base of all members' random keys, an integer >= 0.
      name: The hyperparameter that is the learning rate.
      keep: "final", "best" or both: the states that `Sweep.states` then holds.
      directory: Where to store the result and, while training, checkpoints: the same call goes on where
        an earlier one was cut off, and trains only what is new if the grid, the seeds or the steps have
        grown. Needs the extra `lrjax[store]`. None for nowhere.
      checkpoint_seconds: Seconds between checkpoints at least, >= 0.
      progress: Whether to show how far it is on standard error: a bar on a terminal or in a notebook, else
        lines as in a log; "bar" or "lines" for one of them in any case.
      on_chunk: Called after every chunk with what was measured so far, a `Sweep`.

    Returns:
      A `Sweep`. After a keyboard interrupt it holds what was measured until then.

    Raises:
      TypeError: If an argument is of the wrong kind, or the trial breaks the protocol.
      ValueError: If a number is out of its range, a rate of the grid is not finite and > 0, or
        twice in it, or `name` is not in it; if the trial cannot be run by the plan; if `directory` holds
        another sweep.
      OSError: If `directory` cannot be written, or another process uses it.
      Exception: Whatever the data or `on_chunk` raise while members train; what was measured until then
        is the error's attribute `sweep`, and in `directory`.

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
    job = _asked.job(
        call,
        trial,
        _grid.points(call, grid, name),
        data,
        steps=steps,
        seeds=seeds,
        evaluate_on=evaluate_on,
        evaluate_every=evaluate_every,
        test_on=test_on,
        record_every=record_every,
        allocation=allocation,
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
    _asked.check_run(call, on_chunk, checkpoint_seconds)
    asked = (evaluate_every, record_every)
    result = run(call, job, asked, directory, checkpoint_seconds, progress, on_chunk)
    _say_how_to_go_on(result, directory)
    return result


def _say_how_to_go_on(sweep: Sweep, directory: str | os.PathLike[str] | None) -> None:
    """After an interrupt: one line on standard error."""
    patient = sweep.settings.get("patience") is not None or sweep.settings.get("allocation") is not None
    cut = (sweep.stopped_at >= 0) & (sweep.stopped_at < sweep.steps)
    if not cut.any() or patient:
        return
    step = int(sweep.stopped_at[cut].min())
    print(f"sweep: interrupted at step {step} of {sweep.steps}; {how_to_go_on(directory)}", file=sys.stderr)
