"""Made-up sweeps with everything that an export must carry."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

import lrjax
from lrjax.search import RangeTest, Sweep
from tests.measured import interrupted, measured, sweep_of, usual
from tests.report.sweeps import dropped, hostile

NAN = np.nan
ODD = ("a/b", "größe 10 µ", "learning_rate", "step", "a b", "a_b", 'say "x", y\n', "=1+1", "\ud800")


def warm(step):
    return step


KINDS = [  # of everything a hyperparameter can be; the two lambdas are two
    None,
    True,
    False,
    "auto",
    "None",
    0.5,
    3,
    warm,
    lambda step: step,
    lambda step: 2 * step,
    functools.partial(warm, 1),
    lrjax.constant_schedule(0.1),
]
SHOWN = [
    *(None, True, False, "auto", "None", 0.5, 3),
    *("warm", "lambda", "lambda 2", "partial warm", "Schedule"),
]


def odd() -> Sweep:
    """Metrics of any name, and a hyperparameter named like a column with values of every kind."""
    points = {"learning_rate": list(np.geomspace(1e-3, 1, len(KINDS))), "kind/é": KINDS, "seed": [1] * 12}
    sweep = sweep_of(measured(points, np.linspace(1, 3, 24).reshape(12, 2), test={"a/b": np.ones((12, 2))}))
    for number, name in enumerate(ODD):
        sweep.metrics[name] = sweep.metrics["loss"] + np.float32(number)
        sweep.held_out[name] = sweep.held_out["loss"] - np.float32(number)
    return sweep


def grid() -> Sweep:
    """A full grid of a number, a bool and a text, whose points come in no order of their own."""
    combinations = [(r, b, t) for r in (0.1, 0.001, 0.01) for b in (True, False) for t in ("b", "a")]
    points = {
        name: list(values)
        for name, values in zip(
            ("learning_rate", "flag", "text"), zip(*combinations, strict=True), strict=True
        )
    }
    final = np.arange(24.0).reshape(12, 2) + 1
    final[3, 1] = NAN
    return sweep_of(measured(points, final, test={"loss": final}))


def partly() -> Sweep:
    """Points that differ in which hyperparameters they have."""
    points = {"learning_rate": [0.1, 0.2, 0.3], "momentum": [0.5, None, 0.9], "name": ["x", None, None]}
    absent = {"momentum": [1], "name": [1]}
    return sweep_of(measured(points, [[1, 2], [2, 3], [3, 4]], settings={"absent": absent, "patience": None}))


def not_finite() -> Sweep:
    """A metric that is infinite, and one that is NaN while the member trains."""
    sweep = usual()
    sweep.metrics["loss"][0, 0, :3] = np.inf, -np.inf, np.nan
    return sweep


SWEEPS = {
    "usual": usual,
    "training loss": lambda: usual(held_out=False),
    "sparse": lambda: dataclasses.replace(
        usual(),
        metrics={"loss": usual().metrics["loss"][..., ::7]},
        recorded_steps=np.arange(0, 100, 7),
    ),
    "interrupted": interrupted,
    "interrupted at once": lambda: usual(
        np.ones((5, 1)), held_out=False, stopped_at=np.zeros((5, 1), int), metrics={}
    ),
    "dropped": dropped,
    "odd": odd,
    "grid": grid,
    "partly": partly,
    "not finite": not_finite,
    "hostile": hostile,
    "no hyperparameters": lambda: sweep_of(measured({}, [[1.0, 2.0]])),
}


def ramp(**replaced) -> RangeTest:
    """A range test with held-out losses, one of whose seeds diverged."""
    rates = np.geomspace(1e-4, 10, 50)
    losses = np.stack([3 - 2 * np.linspace(0, 1, 50) ** 2, 3 - np.linspace(0, 1, 50)]).astype(np.float32)
    losses[1, 40:] = NAN
    made = {
        "learning_rates": rates,
        "losses": losses,
        "held_out": losses + 1,
        "diverged_at": np.array([-1, 40]),
        "name": "learning_rate",
        "hyperparams": {"momentum": 0.9, "nesterov": True, "mask": None, "seed": "x", "schedule": warm},
        "cost": usual().cost,
        "plan": usual().plan,
    }
    return RangeTest(**{**made, **replaced})
