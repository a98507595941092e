"""Arguments that every search takes: what to train on, what to evaluate on, where to run."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from lrjax import _check
from lrjax.data import Data, FromIterable, as_data, as_held_out
from lrjax.engine import HeldOut
from lrjax.results import Plan
from lrjax.trials import Trial


def source(
    call: str, data: Any, points: Sequence[Mapping[str, Any]], steps: int
) -> tuple[Callable[[Mapping[str, Any]], Data], tuple[str, ...]]:
    """The data as a function of hyperparameters, and their names; `call` is what the user called."""
    names = names_of_data(data)
    made: dict[str, Data] = {}

    def of(hyperparams: Mapping[str, Any]) -> Data:
        shown = ", ".join(f"{name}={value!r}" for name, value in hyperparams.items())
        if shown not in made:
            value = data(**hyperparams) if names else data
            argument = f"data({shown})" if names else "data"
            made[shown] = as_data(call, argument, value)
            longest = made[shown].steps
            if longest is not None and longest < steps:
                expected = f"at most the steps that the data hold, {longest}"
                raise _check.fail(call, "steps", expected, steps)
            if isinstance(made[shown], FromIterable):
                made[shown].check_replay()
        return made[shown]

    for point in points:
        missing = [name for name in names if name not in point]
        if missing:
            expected = f"a grid with {missing[0]!r}, which the data depend on"
            raise _check.fail(call, "grid", expected, f"the names {', '.join(map(repr, point))}")
        of({name: point[name] for name in names})
    return of, names


def names_of_data(data: Any) -> tuple[str, ...]:
    """The hyperparameters that a function that gives the data takes; none if it is the data."""
    if isinstance(data, Data) or not inspect.isroutine(data):
        return ()
    try:
        parameters = inspect.signature(data).parameters.values()
    except ValueError:
        return ()
    required = [p for p in parameters if p.default is p.empty]
    plain = all(p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) for p in required)
    names = tuple(p.name for p in required)
    # `f(step)` is a function that makes batches: what it needs is `from_function`, as the error says.
    return () if not plain or not names or set(names) & {"step", "seed_index"} else names


def mesh(call: str, plan: str | Plan, asked: Any) -> Mesh | None:
    """The devices to lay members out over, as a mesh with one axis."""
    if asked is None:
        wants_all = isinstance(plan, str) and plan.split("/")[0] == "sharded"
        devices = jax.devices() if wants_all else []
    elif isinstance(asked, Mesh):
        devices = list(asked.devices.flat)
    else:
        raise _check.fail_type(call, "mesh", "a `jax.sharding.Mesh` or None", _check.describe(asked))
    return Mesh(np.array(devices), ("member",)) if devices else None


def held_out(call: str, trial: Trial, argument: str, value: Any) -> HeldOut | None:
    """Data to evaluate on, checked."""
    if value is None:
        return None
    if trial.evaluate is None:
        expected = "None, since the trial has no `evaluate` (a loss that takes a key needs one of its own)"
        raise _check.fail(call, argument, expected, f"a {type(value).__name__}")
    return HeldOut(*as_held_out(call, argument, value))


def interval(call: str, argument: str, value: int | None, default: int) -> int:
    """Steps between two of something, checked."""
    return default if value is None else _check.integer(call, argument, value, low=1)


def blow_up(call: str, value: float | None) -> float | None:
    """How far above its start a loss counts as diverged, checked."""
    if value is None:
        return None
    _check.number(call, "blow_up", value, low=0, open_low=True)
    return float(value)


def order(call: str, value: Any) -> bool:
    """Whether all seeds share the order of the data, checked."""
    if value not in ("per-seed", "shared"):
        raise _check.fail(call, "order", "'per-seed' or 'shared'", repr(value))
    return value == "shared"
