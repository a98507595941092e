"""Sweeps of every kind that a report must show, made up."""

from __future__ import annotations

import dataclasses

import numpy as np

from lrjax.search import Sweep
from tests.measured import RATES, USUAL, interrupted, measured, several, sweep_of, usual

NAN = np.nan
HOSTILE = (
    "</script><script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "<!-- \u2028 %{x} $x$ & \" ' \ud800",
)


def many(points=500, seeds=3) -> Sweep:
    """More than can be drawn."""
    x = np.linspace(-2, 2, points)
    final = (0.1 + x**2)[:, None] * np.linspace(0.9, 1.1, seeds)
    final[x > 1.2] = NAN
    return usual(final, np.geomspace(1e-6, 1, points))


def dropped() -> Sweep:
    """An allocation kept two of five at step 40, and one of them failed later."""
    kept = np.array([False, True, True, True, False])
    stopped_at = np.where(kept, -1, 40)[:, None] * np.ones((1, 2), int)
    sweep = usual(
        [[9, 9.5], [1, 1.1], [2, 2.1], [NAN, NAN], [8, 8]],
        stopped_at=stopped_at,
        settings={"allocation": "top_k(3)", "horizon": None},
    )
    sweep.held_out["loss"][(stopped_at >= 0)[..., None] & (sweep.held_out_steps > 40)] = NAN
    losses = np.where(sweep.diverged_at >= 0, np.inf, sweep.held_out["loss"][:, :, 2])
    return dataclasses.replace(sweep, rungs=((40, losses, kept),))


def hostile() -> Sweep:
    """Text that would break out wherever it is not escaped."""
    points = {
        "learning_rate": RATES[:3],
        HOSTILE[0]: list(HOSTILE),
        "name": [None, True, lambda step: step],
    }
    sweep = sweep_of(
        measured(points, USUAL[:3], settings={"allocation": HOSTILE[0], "host": HOSTILE[1]}, accuracy=True)
    )
    sweep.held_out[HOSTILE[1]] = sweep.held_out["accuracy"]
    return sweep


KINDS = {
    "usual": usual,
    "training loss": lambda: usual(held_out=False),
    "negative": lambda: usual([[-5, -6], [-9, -9], [-8, -8], [-7, NAN], [NAN, NAN]], start=-4),
    "everything diverged": lambda: usual(np.full((5, 3), NAN)),
    "one point": lambda: usual([[1, 2]], [0.1]),
    "one point that diverged": lambda: usual([[NAN]], [0.1]),
    "one seed": lambda: usual([[8], [2], [1], [3], [NAN]]),
    "all the same": lambda: usual(np.ones((5, 2))),
    "all zero": lambda: usual(np.zeros((5, 2)), start=0.0),
    "many": many,
    "many lines": lambda: several(list(range(20)), "layers"),
    "two hyperparameters": lambda: several([0.5, 0.9, 0.99]),
    "objects": lambda: several([None, "auto", True], "momentum"),
    "no learning rate": lambda: sweep_of(
        measured({"weight_decay": [1e-4, 1e-2, 0.1], "nesterov": [True] * 3}, USUAL[:3])
    ),
    "no numbers": lambda: sweep_of(measured({"kind": ["a", "b", "c"]}, USUAL[:3])),
    "no hyperparameters": lambda: sweep_of(measured({}, [[1.0, 2.0]])),
    "interrupted": interrupted,
    "interrupted at once": lambda: usual(
        np.ones((5, 1)), held_out=False, stopped_at=np.zeros((5, 1), int), metrics={}
    ),
    "dropped": dropped,
    "starts huge": lambda: usual(start=3e37),
    "tested": lambda: usual(test={"accuracy": np.where(np.isnan(USUAL), NAN, 0.9)}, accuracy=True),
    "hostile": hostile,
}
