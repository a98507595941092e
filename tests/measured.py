"""What a sweep measured, made up: for tests of answers, pictures and files, without any training."""

from __future__ import annotations

from typing import Any

import numpy as np

from lrjax.results import Cost, Plan, SweepData, as_column
from lrjax.search import Sweep

STEPS = 100
RATES = [1e-4, 1e-3, 1e-2, 1e-1, 1.0]
USUAL = [[8, 9], [1.01, 1.0], [1.0, 0.99], [3, np.nan], [np.nan, np.nan]]  # of two seeds each


def measured(
    points: dict[str, list[Any]],
    final: Any,
    *,
    start: float = 10.0,
    diverged: Any = None,
    held_out: bool = True,
    test: dict[str, Any] | None = None,
    accuracy: bool = False,
    **replaced: Any,
) -> SweepData:
    """A sweep of 100 steps whose losses go from `start` to `final [points, seeds]` in a straight line.

    NaN in `final` is a member that went non-finite at step 50, unless `diverged [points, seeds]` says
    which did.
    """
    final = np.atleast_2d(np.asarray(final, float))
    diverged = np.isnan(final) if diverged is None else np.asarray(diverged, bool)
    held_out_steps = np.arange(0, STEPS + 1, 20) if held_out else np.array([], int)
    metrics = {"loss": _lines(start, final, np.arange(STEPS) / (STEPS - 1))}
    scored = {"loss": _lines(start, final, held_out_steps / STEPS)} if held_out else {}
    if accuracy:
        scored["accuracy"] = 1 - scored["loss"] / 20
    for name, steps in (("loss", np.arange(STEPS)), ("held-out", held_out_steps)):
        table = metrics if name == "loss" else scored
        for values in table.values():
            values[np.broadcast_to(diverged[..., None] & (steps > 50), values.shape)] = np.nan
    everything: dict[str, Any] = {
        "points": {name: as_column(values) for name, values in points.items()},
        "metrics": metrics,
        "recorded_steps": np.arange(STEPS),
        "held_out": scored,
        "held_out_steps": held_out_steps,
        "test": {name: np.asarray(values, np.float32) for name, values in (test or {}).items()},
        "diverged_at": np.where(diverged, 50, -1),
        "stopped_at": np.full(final.shape, -1),
        "cost": Cost(final.size * STEPS, final.size * STEPS, 1.5, 0.0, 2.5),
        "plan": Plan("vmap", why="made up"),
        "causes": np.where(diverged, "loss", ""),
        "leaves": np.full(final.shape, ""),
        "name": "learning_rate",
        "steps": STEPS,
    }
    return SweepData(**{**everything, **replaced})


def sweep_of(data: SweepData) -> Sweep:
    """The public result with the same arrays."""
    return Sweep(**vars(data))


def usual(final=USUAL, rates=RATES, **options) -> Sweep:
    """A sweep over rates."""
    return sweep_of(measured({"learning_rate": list(rates)}, final, **options))


def several(values, name="b1") -> Sweep:
    """Every rate with every value of another hyperparameter."""
    rates = np.repeat(RATES, len(values))
    final = np.repeat(np.array(USUAL), len(values), axis=0)
    final = final + 0.1 * np.tile(np.arange(len(values)), len(RATES))[:, None]
    points = {"learning_rate": rates.tolist(), name: list(values) * len(RATES)}
    return sweep_of(measured(points, final))


def interrupted() -> Sweep:
    """One that was stopped at step 50, one of its members before it began."""
    cut = usual([[8], [2], [1], [3], [np.nan]], stopped_at=np.array([[50], [50], [50], [0], [-1]]))
    for values, steps in (
        (cut.metrics["loss"], cut.recorded_steps),
        (cut.held_out["loss"], cut.held_out_steps),
    ):
        values[:4, :, steps >= 50] = np.nan
        values[3] = np.nan
    return cut


def _lines(start: float, final: np.ndarray, done: np.ndarray) -> np.ndarray:
    """Straight lines from `start` to `final`; where that is NaN, towards ten times the start."""
    end = np.where(np.isnan(final), start + 9 * abs(start), final)[..., None]
    return (start + (end - start) * done).astype(np.float32)
