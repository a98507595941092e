"""Several sweeps of one trial as one: the stages of a search."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lrjax import results
from lrjax.results import Cost, SweepData
from lrjax.search import _grid


def merge(stages: Sequence[SweepData], search: dict[str, Any], extra: Cost | None = None) -> SweepData:
    """One sweep with all points and seeds of several; of members in more than one, the last is taken.

    Members that no stage trained are NaN, with `stopped_at` 0. All stages record and evaluate at the same
    steps; `settings["first_seed"]` tells with which seed one begins.

    Args:
      stages: The sweeps, in the order in which they ran; an allocation may have chosen in the first.
      search: What `settings["search"]` of the result holds.
      extra: What was spent beside them.

    Returns:
      The sweep, its points in the order of their rates.
    """
    first = stages[0]
    found: dict[Any, dict[str, Any]] = {}
    for stage in stages:
        for point in _points(stage):
            found.setdefault(_grid.identity(point), point)
    order = sorted(found, key=lambda identity: found[identity][first.name])
    place = {identity: index for index, identity in enumerate(order)}
    whose = [_whose(stage, place) for stage in stages]
    seeds = 1 + max(columns[-1] for _, columns in whose)
    size = (len(order), seeds)

    def table(take: Callable[[SweepData], np.ndarray], missing: Any) -> np.ndarray:
        parts = [np.asarray(take(stage)) for stage in stages]
        dtype = np.result_type(*(part.dtype for part in parts))
        whole = np.full((*size, *parts[0].shape[2:]), missing, dtype)
        for part, (rows, columns) in zip(parts, whose, strict=True):
            whole[np.ix_(rows, columns)] = part
        return whole

    def tables(take: Callable[[SweepData], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        known = {name: values for stage in stages for name, values in take(stage).items()}

        def of(stage: SweepData, name: str) -> np.ndarray:
            if name in take(stage):
                return take(stage)[name]
            # On test data nothing is measured where all members diverged.
            return np.full((*stage.diverged_at.shape, *known[name].shape[2:]), np.nan, known[name].dtype)

        return {name: table(functools.partial(of, name=name), np.nan) for name in known}

    settings = {**first.settings, "seeds": seeds, "search": search}
    if "schedules" in settings:
        known = table(lambda stage: np.array(stage.settings.get("schedules", _full(stage))), first.steps)
        settings["schedules"] = known.tolist()
    names = list(first.points)
    return SweepData(
        points={name: results.as_column([found[identity][name] for identity in order]) for name in names},
        metrics=tables(lambda stage: stage.metrics),
        recorded_steps=first.recorded_steps,
        held_out=tables(lambda stage: stage.held_out),
        held_out_steps=first.held_out_steps,
        test=tables(lambda stage: stage.test),
        diverged_at=table(lambda stage: stage.diverged_at, -1),
        stopped_at=table(lambda stage: stage.stopped_at, 0),
        cost=functools.reduce(operator.add, [*(stage.cost for stage in stages), *([extra] if extra else [])]),
        plan=first.plan,
        name=first.name,
        steps=first.steps,
        causes=table(lambda stage: stage.causes, ""),
        leaves=table(lambda stage: stage.leaves, ""),
        rungs=_rungs(stages, whose, size),
        settings=settings,
        states=_states(stages, whose),
    )


def _points(stage: SweepData) -> list[dict[str, Any]]:
    columns = {name: values.tolist() for name, values in stage.points.items()}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _whose(stage: SweepData, place: dict[Any, int]) -> tuple[list[int], list[int]]:
    """Where a stage's points and seeds stand in the whole."""
    begin = stage.settings.get("first_seed", 0)
    columns = list(range(begin, begin + stage.diverged_at.shape[1]))
    return [place[_grid.identity(point)] for point in _points(stage)], columns


def _full(stage: SweepData) -> np.ndarray:
    return np.full(stage.diverged_at.shape, stage.steps)


def _rungs(
    stages: Sequence[SweepData], whose: Sequence[tuple[list[int], list[int]]], size: tuple[int, int]
) -> tuple[tuple[int, np.ndarray, np.ndarray], ...]:
    """The first stage's decisions; points that a later stage trained to the end count as kept."""
    rows, columns = whose[0]
    later = np.zeros(size[0], bool)
    later[[row for others, _ in whose[1:] for row in others]] = True
    found = []
    for step, losses, kept in stages[0].rungs:
        all_losses, all_kept = np.full(size, np.nan), np.zeros(size[0], bool)
        all_losses[np.ix_(rows, columns)] = losses
        all_kept[rows] = kept
        all_kept |= later & ~np.isnan(all_losses).all(axis=1)
        found.append((step, all_losses, all_kept))
    return tuple(found)


def _states(
    stages: Sequence[SweepData], whose: Sequence[tuple[list[int], list[int]]]
) -> dict[str, dict[tuple[int, int], Any]]:
    merged: dict[str, dict[tuple[int, int], Any]] = {}
    for stage, (rows, columns) in zip(stages, whose, strict=True):
        for which, states in stage.states.items():
            moved = {(rows[p], columns[s]): state for (p, s), state in states.items()}
            merged.setdefault(which, {}).update(moved)
    return merged
