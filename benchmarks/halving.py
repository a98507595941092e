"""What successive halving answers, and what it costs, next to the full grid.

64 rates x 3 seeds of the digits, in three cases: rates of which about a third lie on the plateau (Adam), and
rates of which less than a fifth do (Adam and SGD over more decades). Judged first: does the answered rate
lie on the full grid's plateau? Then: which share of its member-steps and of its seconds was spent. The floor
is what must be spent even by a rule that drops everything but the plateau at the first rung, or that keeps
no more than a quarter at each.

Run: python benchmarks/halving.py [--cases adam adam-wide sgd-wide] [--steps 4000] [--repeats 3]
"""

from __future__ import annotations

from typing import Any

CASES = {"adam": ("adam", 1e-5, 1.0), "adam-wide": ("adam", 1e-7, 1e3), "sgd-wide": ("sgd", 1e-6, 1e3)}
RATES, SEEDS = 64, 3
SIDES = ("full", "halving", "halving, noise=False", "hyperband", "median stopping")


def run(case: str, side: str, steps: int) -> dict[str, Any]:
    """One sweep in this process."""
    import numpy as np

    import lrjax

    optimizer, low, high = CASES[case]
    task = lrjax.tasks.load("digits")
    assert callable(task.trial)
    allocation = {
        "full": None,
        "halving": lrjax.successive_halving(),
        "halving, noise=False": lrjax.successive_halving(noise=False),
        "hyperband": lrjax.hyperband(),
        "median stopping": lrjax.median_stopping(),
    }[side]
    sweep = lrjax.sweep(
        task.trial(getattr(lrjax, optimizer)),
        {"learning_rate": np.geomspace(low, high, RATES)},
        task.data,
        steps=steps,
        seeds=SEEDS,
        evaluate_on=task.evaluate_on,
        evaluate_every=-(-steps // 16),
        allocation=allocation,
        progress=False,
    )
    cost, plateau = sweep.cost, sweep.answer.plateau
    return {
        "answer": sweep.answer.learning_rate,
        "plateau": None if plateau is None else [plateau.low, plateau.high],
        "used": cost.member_steps_used,
        "running": cost.seconds_running,
        "in all": cost.seconds_compiling + cost.seconds_probing + cost.seconds_running,
        "kept": [int(rung.kept.sum()) for rung in sweep.rungs],
        "plan": str(sweep.plan),
    }
