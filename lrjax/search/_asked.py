"""What a sweep is asked for, checked: the arguments that `sweep` and `find_learning_rate` take, as a job."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from typing import Any

from jax.sharding import Mesh

from lrjax import _check, results
from lrjax.engine import Job, Rule, parse_plan
from lrjax.results import Plan
from lrjax.search import _arguments
from lrjax.search._allocation import Allocation
from lrjax.search._guards import Standing
from lrjax.trials import Trial

_MOST_RECORDS = 2000
_EVALUATIONS = 20
_EVALUATIONS_TO_ALLOCATE = 16  # so that the quarters and sixteenths of the steps are among them


def job(
    call: str,
    trial: Trial,
    points: Sequence[Mapping[str, Any]],
    data: Any,
    *,
    steps: int,
    seeds: int,
    evaluate_on: Any,
    evaluate_every: int | None,
    test_on: Any,
    record_every: int | None,
    allocation: Allocation | None,
    horizon: str | None,
    patience: int | None,
    blow_up: float | None,
    plan: str | Plan,
    mesh: Mesh | None,
    order: str,
    key: int,
    name: str,
    keep: str | Sequence[str],
) -> Job:
    """The job that the arguments of `sweep` ask for.

    The arguments are those of `sweep`, but for `call`, the public function the user called, and `points`,
    which `_grid.points` has checked.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range, or arguments do not fit each other.
    """
    if not isinstance(trial, Trial):
        hint = " (make one with `lrjax.trial(init_params, loss, optimizer)`)"
        raise _check.fail_type(call, "trial", "a `lrjax.Trial`", _check.describe(trial) + hint)
    if name != "learning_rate" and not any(name in point for point in points):
        expected = f"one of the grid's names, {', '.join(map(repr, points[0]))}"
        raise _check.fail(call, "name", expected, repr(name))
    steps = _check.integer(call, "steps", steps, low=1)
    seeds = _check.integer(call, "seeds", seeds, low=1)
    source, of_data = _arguments.source(call, data, points, steps)
    evaluations = _EVALUATIONS_TO_ALLOCATE if allocation is not None else _EVALUATIONS
    on_device = all(source({name: point[name] for name in of_data}).on_device for point in points)
    if allocation is None and evaluate_on is None and on_device:
        evaluations = 1  # there is nothing to stop for; a host may be slow to make batches, or fail to
    evaluate_every = _arguments.interval(call, "evaluate_every", evaluate_every, -(-steps // evaluations))
    record_every = _arguments.interval(call, "record_every", record_every, -(-steps // _MOST_RECORDS))
    return Job(
        trial=trial,
        points=points,
        data=source,
        of_data=of_data,
        steps=steps,
        seeds=seeds,
        key=_check.integer(call, "key", key),
        shared_order=_arguments.order(call, order),
        evaluate_every=evaluate_every,
        record_every=record_every,
        held_out=_arguments.held_out(call, trial, "evaluate_on", evaluate_on),
        test=_arguments.held_out(call, trial, "test_on", test_on),
        name=name,
        plan=parse_plan(call, plan),
        mesh=_arguments.mesh(call, plan, mesh),
        rule=_rule(call, allocation, horizon, points, steps, min(evaluate_every, steps), name, trial),
        blow_up=_arguments.blow_up(call, blow_up),
        patience=_patience(call, patience, evaluate_on),
        keep=_keep(call, keep),
    )


def check_run(call: str, on_chunk: Any, checkpoint_seconds: Any) -> None:
    """Requires of the arguments that say how to run a job that they can be used."""
    if on_chunk is not None and not callable(on_chunk):
        raise _check.fail_type(call, "on_chunk", "a function of a sweep, or None", _check.describe(on_chunk))
    _check.number(call, "checkpoint_seconds", checkpoint_seconds, low=0)


def _rule(
    call: str,
    allocation: Any,
    horizon: Any,
    points: Sequence[Mapping[str, Any]],
    steps: int,
    every: int,
    name: str,
    trial: Trial,
) -> Rule | None:
    if horizon is not None:
        values = [point.get(horizon) for point in points] if isinstance(horizon, str) else [None]
        numeric = all(isinstance(v, numbers.Real) and not isinstance(v, bool) for v in values)
        if not numeric or horizon in trial.static or horizon == name:
            beside = ", not the rate" if horizon == name else ""
            expected = f"a hyperparameter of the grid that is a number at every point{beside}, or None"
            raise _check.fail(call, "horizon", expected, repr(horizon))
    if allocation is None:
        return None
    if not isinstance(allocation, Allocation):
        expected = "`lrjax.successive_halving()`, another allocation, or None"
        raise _check.fail_type(call, "allocation", expected, _check.describe(allocation))
    names = list(dict.fromkeys(key for point in points for key in point))
    columns = {key: results.as_column([point.get(key) for point in points]) for key in names}

    def keep(step: int, losses: Any, alive: Any, history: Any, start: Any) -> Any:
        return allocation.keep(Standing(step, losses, alive, tuple(history), columns, name, start))

    return Rule(allocation.rungs(steps, every), keep, horizon, repr(allocation))


def _patience(call: str, patience: int | None, evaluate_on: Any) -> int | None:
    if patience is None:
        return None
    if evaluate_on is None:
        raise _check.fail(call, "patience", "None, since there is no `evaluate_on` to judge by", patience)
    return _check.integer(call, "patience", patience, low=1)


def _keep(call: str, keep: str | Sequence[str]) -> tuple[str, ...]:
    names = (keep,) if isinstance(keep, str) else tuple(keep)
    unknown = [name for name in names if name not in ("final", "best")]
    if unknown:
        raise _check.fail(call, "keep", "'final', 'best' or both", repr(unknown[0]))
    return names
