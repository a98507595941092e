"""Sweeps and range tests that were never run, of every kind that a picture must cope with."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np

from lrjax.results import Cost, Plan, RangeTestData, SweepData, as_column

STEPS = 200
EVERY = 10


def swept(
    points: list[dict[str, Any]], seeds: int = 3, *, noise: float = 0.03, shift: float = 0.0, **replaced: Any
) -> SweepData:
    """A sweep with a valley of final losses around a rate of 0.01; above 0.3 members diverge.

    Losses fall exponentially, the lower the rate the slower, and swing where it is high. Of other
    hyperparameters each value raises the final loss a little.
    """
    random = np.random.default_rng(0)
    steps = np.arange(STEPS)
    names = list(dict.fromkeys(name for point in points for name in point))
    columns = {name: as_column([point.get(name) for point in points]) for name in names}
    rates = np.array([point.get("learning_rate", 0.01) for point in points])[:, None, None]
    others = [name for name in names if name != "learning_rate"]
    places = np.array(
        [[list(columns[n]).index(c) for n in others for c in [columns[n][i]]] for i in range(len(points))]
    )
    worse = 1 + 0.15 * places.sum(axis=1, initial=0)[:, None, None] / max(1, places.max(initial=1))
    final = 0.04 * worse * (1 + 2 * np.maximum(0, np.log10(rates / 0.01)) ** 2)
    losses = final + (2.3 - final) * np.exp(-steps / (0.15 * STEPS * (0.01 / rates) ** 0.8 * worse))
    losses = losses * np.exp(noise * random.normal(size=(len(points), seeds, 1)))
    losses = losses + np.minimum(1.0, rates) * 0.4 * random.normal(size=(len(points), seeds, STEPS))
    losses = np.abs(losses) + 1e-3
    diverged = np.broadcast_to(rates[..., 0] > 0.3, (len(points), seeds)).copy()
    diverged[:, 0] |= rates[:, 0, 0] > 0.12
    at = np.where(diverged, np.clip(30 / rates[..., 0], 12, STEPS - 1).astype(int), -1)
    blown = diverged[..., None] & (steps > (at[..., None] - 8))
    losses = np.where(blown, losses * np.exp(0.6 * (steps - at[..., None] + 8)), losses) - shift
    gone = diverged[..., None] & (steps > at[..., None])
    losses = np.where(gone, np.nan, losses).astype(np.float32)
    held_out_steps = np.arange(0, STEPS + 1, EVERY)
    held_out = losses[..., np.minimum(held_out_steps, STEPS - 1)]
    full = len(points) * seeds * STEPS
    everything: dict[str, Any] = {
        "points": columns,
        "metrics": {"loss": losses},
        "recorded_steps": steps,
        "held_out": {"loss": held_out},
        "held_out_steps": held_out_steps,
        "test": {},
        "diverged_at": at,
        "stopped_at": np.full(at.shape, -1),
        "cost": Cost(full, full, 1.53, 0.0, 12.4),
        "plan": Plan("vmap", why="made up"),
        "causes": np.where(diverged, "loss", ""),
        "leaves": np.full(at.shape, ""),
        "name": "learning_rate",
        "steps": STEPS,
    }
    return SweepData(**{**everything, **replaced})


def grid(**values: Any) -> list[dict[str, Any]]:
    """All combinations."""
    return [dict(zip(values, chosen, strict=True)) for chosen in itertools.product(*values.values())]


def rates(count: int, low: float = 1e-5, high: float = 1.0) -> list[float]:
    return np.geomspace(low, high, count).tolist()


def allocated(data: SweepData, keep: dict[int, float]) -> SweepData:
    """The sweep had it kept a share of the points, the best ones, at each of some steps."""
    alive = np.ones(len(data.diverged_at), bool)
    stopped, diverged = data.stopped_at.copy(), data.diverged_at.copy()
    held_out = data.held_out["loss"].copy()
    metrics = data.metrics["loss"].copy()
    rungs = []
    for step, share in keep.items():
        losses = data.held_out["loss"][..., step // EVERY].astype(float)
        losses = np.where(alive[:, None], np.where(np.isfinite(losses), losses, np.inf), np.nan)
        score = np.where(alive, np.median(losses, axis=1), np.inf)
        kept = np.zeros(len(alive), bool)
        kept[np.argsort(score)[: max(1, int(np.ceil(share * alive.sum())))]] = True
        kept &= np.isfinite(score)
        rungs.append((step, losses, kept))
        diverged[(alive & ~kept)[:, None] & (diverged > step)] = -1
        dropped = (alive & ~kept)[:, None] & (diverged < 0)
        stopped = np.where(dropped, step, stopped)
        held_out[alive & ~kept] = np.where(data.held_out_steps > step, np.nan, held_out[alive & ~kept])
        metrics[alive & ~kept] = np.where(data.recorded_steps >= step, np.nan, metrics[alive & ~kept])
        alive = kept
    ran = np.where(stopped >= 0, stopped, np.where(diverged >= 0, diverged, STEPS))
    used = int(ran.sum())
    cost = Cost(used, stopped.size * STEPS, 1.53, 0.41, 5.9, used - int(ran[alive].sum()))
    return dataclasses.replace(
        data,
        rungs=tuple(rungs),
        stopped_at=stopped,
        diverged_at=diverged,
        held_out={"loss": held_out},
        metrics={"loss": metrics},
        cost=cost,
    )


def interrupted(data: SweepData, step: int) -> SweepData:
    """The sweep cut off, its last point before it began."""
    stopped = np.where((data.diverged_at >= 0) & (data.diverged_at < step), -1, step)
    stopped[-1] = 0
    held_out, metrics = data.held_out["loss"].copy(), data.metrics["loss"].copy()
    held_out[..., data.held_out_steps > step] = np.nan
    metrics[..., data.recorded_steps >= step] = np.nan
    held_out[-1], metrics[-1] = np.nan, np.nan
    diverged = np.where(stopped >= 0, -1, data.diverged_at)
    return dataclasses.replace(
        data, stopped_at=stopped, diverged_at=diverged, held_out={"loss": held_out}, metrics={"loss": metrics}
    )


_MEDIAN = {step: 0.85 for step in range(20, STEPS, EVERY)}
SWEEPS = {
    "narrow": lambda: swept(grid(learning_rate=rates(7, 0.01, 0.08))),
    "five points": lambda: swept(grid(learning_rate=rates(5, 1e-4))),
    "seventeen points": lambda: swept(grid(learning_rate=rates(17))),
    "five hundred points": lambda: swept(grid(learning_rate=rates(500, 1e-6))),
    "one point": lambda: swept(grid(learning_rate=[0.02])),
    "one seed": lambda: swept(grid(learning_rate=rates(9)), seeds=1),
    "everything diverged": lambda: swept(grid(learning_rate=rates(6, 0.5, 100.0))),
    "below zero": lambda: swept(grid(learning_rate=rates(9)), shift=3.0),
    "across zero": lambda: swept(grid(learning_rate=rates(9)), shift=1.0),
    "training loss": lambda: swept(
        grid(learning_rate=rates(9)), held_out={}, held_out_steps=np.array([], int)
    ),
    "interrupted": lambda: interrupted(swept(grid(learning_rate=rates(9))), 60),
    "two lines": lambda: swept(grid(learning_rate=rates(9), momentum=[0.0, 0.9])),
    "four lines": lambda: swept(grid(learning_rate=rates(9), nesterov=[True, False], centered=[True, False])),
    "two numbers": lambda: swept(grid(learning_rate=rates(7), weight_decay=[0.0, 1e-4, 1e-3, 1e-2, 0.1])),
    "a fine map": lambda: swept(grid(learning_rate=rates(25), weight_decay=rates(20, 1e-6, 0.1))),
    "categories": lambda: swept(grid(learning_rate=rates(7), optimizer=["adam", "sgd", "lion", "rmsprop"])),
    "twelve lines": lambda: swept(
        grid(learning_rate=rates(9), weight_decay=[0.0, 1e-4, 1e-3, 1e-2], nesterov=[True, False, None])
    ),
    "no rate": lambda: swept(grid(b1=[0.8, 0.9, 0.95], b2=[0.9, 0.99, 0.999, 0.9999])),
    "holes": lambda: swept(grid(learning_rate=rates(7), momentum=[0.0, 0.5, 0.9])[::2]),
    "halving": lambda: allocated(swept(grid(learning_rate=rates(16))), {20: 0.25, 50: 0.25}),
    "hyperband": lambda: allocated(swept(grid(learning_rate=rates(48))), {10: 0.6, 20: 0.5, 50: 0.4}),
    "median stopping": lambda: allocated(swept(grid(learning_rate=rates(24))), _MEDIAN),
    "top k": lambda: allocated(swept(grid(learning_rate=rates(9))), {10: 0.4}),
    "halving of two": lambda: allocated(
        swept(grid(learning_rate=rates(8), momentum=[0.0, 0.9])), {20: 0.5, 50: 0.5}
    ),
    "halving of many": lambda: allocated(swept(grid(learning_rate=rates(500))), {20: 0.25, 50: 0.25}),
}


def climbed(losses: np.ndarray, low: float = 1e-6, high: float = 10.0, **replaced: Any) -> RangeTestData:
    """A range test with these losses `[seeds, steps]`."""
    everything: dict[str, Any] = {
        "learning_rates": np.geomspace(low, high, losses.shape[1]),
        "losses": losses.astype(np.float32),
        "held_out": None,
        "diverged_at": np.full(len(losses), -1),
        "name": "learning_rate",
        "hyperparams": {},
        "cost": Cost(losses.size, losses.size, 1.0, 0.0, 1.0),
        "plan": Plan("vmap", why="made up"),
    }
    return RangeTestData(**{**everything, **replaced})


def _ramp(seeds: int, steps: int, noise: float, end: float = np.inf, depth: float = 1.9) -> np.ndarray:
    x = np.linspace(-6, 1, steps)
    curve = 2.3 - depth / (1 + np.exp(-3 * (x + 2.6))) + np.exp(4 * np.minimum(x + 0.6, 2.5)) * (x > -1.2)
    losses = curve + noise * np.random.default_rng(1).normal(size=(seeds, steps))
    return np.where(10.0**x > end, np.nan, losses)


COSTS = {
    "all kept": Cost(24000, 24000, 1.53, 0.0, 12.4),
    "halving": Cost(9000, 24000, 4.2, 1.1, 12.4, 2500),
    "tiny parts": Cost(23900, 24000, 0.02, 0.01, 1234.5, 120),
    "tiny on both sides": Cost(120, 24000, 1234.5, 0.01, 0.02, 60),
    "reused": Cost(18000, 24000, 1.0, 0.0, 5.0, 3000, 17900),
    "used more than full": Cost(30000, 24000, 1.0, 0.2, 5.0, 8000),
    "nothing": Cost(0, 0, 0.0, 0.0, 0.0),
    "millions": Cost(123456789, 987654321, 61.2, 30.1, 54321.0, 23456789, 3456789),
}
RATES = np.geomspace(1e-4, 1.0, 21)
STAYED = (0.2 + 0.1 * np.log10(RATES / 0.01)[:, None] ** 2 * np.ones(5)).astype(np.float32)
RAMPS = {
    "normal": lambda: climbed(_ramp(5, 100, 0.03)),
    "diverging": lambda: climbed(_ramp(3, 100, 0.03, end=0.5)),
    "one seed": lambda: climbed(_ramp(1, 100, 0.05)),
    "noisy": lambda: climbed(_ramp(5, 100, 0.4)),
    "flat": lambda: climbed(2.3 + 0.01 * np.random.default_rng(0).normal(size=(5, 100))),
    "constant": lambda: climbed(np.ones((2, 100))),
    "still falling": lambda: climbed(_ramp(5, 84, 0.02)[:, :60], 1e-6, 1e-1),
    "rising": lambda: climbed(np.geomspace(1.0, 50.0, 100) * np.ones((3, 1))),
    "gone at once": lambda: climbed(np.where(np.arange(100) > 4, np.nan, 2.3) * np.ones((3, 1))),
    "short": lambda: climbed(_ramp(3, 12, 0.01)),
    "below zero": lambda: climbed(_ramp(5, 100, 0.03) - 5),
    "beside": lambda: climbed(
        _ramp(5, 100, 0.03), constant_rates=RATES, constant_losses=STAYED, training_steps=1000
    ),
    "beside, some failed": lambda: climbed(
        _ramp(5, 100, 0.4),
        constant_rates=RATES,
        constant_losses=np.where(RATES[:, None] > 0.1, np.nan, STAYED),
        training_steps=1000,
    ),
}
