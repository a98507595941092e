"""What was measured as tables: a row for every record, or for every member."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from lrjax import _check
from lrjax.answer import Answer, dropped_at, final_losses, final_values
from lrjax.export._columns import Names, column, free, hyperparameter, names
from lrjax.results import RangeTestData, SweepData

Table = dict[str, np.ndarray]  # columns in order, `[rows]` each
Rows = Literal["records", "members"]


def sweep_table(call: str, data: SweepData, answer: Answer, rows: Rows) -> Table:
    """The table that was asked for.

    Raises:
      ValueError: If `rows` is none of the kinds of rows.
    """
    if rows not in get_args(Rows):
        raise _check.fail(call, "rows", "'records' or 'members'", repr(rows))
    return _records(data) if rows == "records" else _members(data, answer)


def ramp_table(data: RangeTestData) -> Table:
    """A row for each step of each seed of a range test."""
    seeds, steps = data.losses.shape
    taken = {"seed", "step", "train_loss", "held_out_loss", "diverged_at"}
    table: Table = {
        "seed": np.repeat(np.arange(seeds), steps),
        "step": np.tile(np.arange(steps), seeds),
        free(data.name, taken): np.tile(data.learning_rates, seeds),
    }
    for name, value in data.hyperparams.items():
        table[free(name, taken)] = np.repeat(column([value]), seeds * steps)
    table["train_loss"] = data.losses.reshape(-1)
    if data.held_out is not None:
        table["held_out_loss"] = data.held_out.reshape(-1)
    table["diverged_at"] = np.repeat(data.diverged_at, steps)
    return table


def _records(data: SweepData) -> Table:
    """A row for each step of each member at which anything was recorded.

    Training metrics of a step and held-out metrics after as many updates are of the same parameters.
    """
    shape = data.diverged_at.shape
    called = names(data)
    steps = np.union1d(data.recorded_steps, data.held_out_steps).astype(int)
    table = _who(data, called, len(steps))
    table["step"] = np.tile(steps, shape[0] * shape[1])
    for metrics, own, at in (
        (data.metrics, called.train, data.recorded_steps),
        (data.held_out, called.held_out, data.held_out_steps),
    ):
        where = np.searchsorted(steps, at)
        for name, values in metrics.items():
            spread = np.full((*shape, len(steps)), np.nan, values.dtype)
            spread[..., where] = values
            table[own[name]] = spread.reshape(-1)
    return table | _ends(data, len(steps))


def _members(data: SweepData, answer: Answer) -> Table:
    """A row for each member: how it ended, and its metrics at the end and where its loss was lowest."""
    called = names(data)
    table = _who(data, called, 1)
    table |= {
        "final_loss": final_losses(data)[0].reshape(-1),
        "failed": answer.failed.reshape(-1),
        "regime": answer.regimes.reshape(-1),
    }
    for prefix, metrics, own, done in (
        ("train", data.metrics, called.train, data.recorded_steps + 1),
        ("held_out", data.held_out, called.held_out, data.held_out_steps),
    ):
        best = _lowest(metrics["loss"], done > 0) if "loss" in metrics else None
        for name, values in metrics.items():
            table[f"{own[name]}_final"] = final_values(values, done, data.stopped_at).reshape(-1)
            if best is not None:
                table[f"{own[name]}_best"] = _at(values, best).reshape(-1)
        if best is not None:
            steps = data.recorded_steps if prefix == "train" else data.held_out_steps
            table[f"{prefix}_best_step"] = np.append(steps, -1)[best].reshape(-1)
    table |= {called.test[name]: values.reshape(-1) for name, values in data.test.items()}
    table["dropped_at"] = np.repeat(dropped_at(data), data.diverged_at.shape[1])
    return table | _ends(data, 1)


def _who(data: SweepData, called: Names, rows: int) -> Table:
    """Which member each row is of, and its hyperparameters; so many rows for each member."""
    points, seeds = data.diverged_at.shape
    point = np.repeat(np.arange(points), seeds * rows)
    table = {"point": point, "seed": np.tile(np.repeat(np.arange(seeds), rows), points)}
    return table | {own: hyperparameter(data, name)[point] for name, own in called.hyperparameters.items()}


def _ends(data: SweepData, rows: int) -> Table:
    """Where and why each member ended early; -1 and "" of those that did not."""
    found = {
        "diverged_at": data.diverged_at,
        "stopped_at": data.stopped_at,
        "cause": data.causes,
        "leaf": data.leaves,
    }
    return {name: np.repeat(values.reshape(-1), rows) for name, values in found.items()}


def _lowest(losses: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """The record with the lowest loss, of those that count, -1 where no loss is finite, `[points, seeds]`."""
    usable = np.where(np.isfinite(losses) & counted, losses, np.inf)
    if not usable.shape[-1]:
        return np.full(losses.shape[:-1], -1)
    return np.where(np.isfinite(usable).any(axis=-1), np.argmin(usable, axis=-1), -1)


def _at(values: np.ndarray, record: np.ndarray) -> np.ndarray:
    if not values.shape[-1]:
        return np.full(record.shape, np.nan, values.dtype)
    taken = np.take_along_axis(values, np.maximum(record, 0)[..., None], axis=-1)[..., 0]
    return np.where(record < 0, np.nan, taken).astype(values.dtype)
