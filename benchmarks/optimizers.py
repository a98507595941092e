"""Optimizers side by side: best rate, how wide its plateau is, and what the usual rate loses.

Every optimizer trains the built-in tasks with its defaults, at rates one third of a decade apart from a
thousandth to a thousand times its usual one, each with the same seeds; the rate is constant, or decays to 0
along a cosine. It is chosen by the validation loss after the last step and reported on the test data. For
optimizers that estimate their own rate it is the factor on it, whose usual value is 1.

Prints Markdown. Run: python benchmarks/optimizers.py [--tasks digits logistic] [--only adam lion] [--seeds 3]
[--schedule cosine]
"""

from __future__ import annotations

import argparse
import datetime
import functools
import platform
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

import lrjax

# Name -> the optimizer and its usual rate, that of docs/optimizers.md.
OPTIMIZERS: dict[str, tuple[Callable[..., Any], float]] = {
    "sgd": (lrjax.sgd, 0.1),
    "sgd, momentum 0.9": (functools.partial(lrjax.sgd, momentum=0.9), 0.1),
    "adagrad": (lrjax.adagrad, 1e-2),
    "adadelta": (lrjax.adadelta, 1.0),
    "rmsprop": (lrjax.rmsprop, 1e-3),
    "adam": (lrjax.adam, 1e-3),
    "adamw": (lrjax.adamw, 1e-3),
    "nadam": (lrjax.nadam, 1e-3),
    "radam": (lrjax.radam, 1e-3),
    "lion": (lrjax.lion, 1e-4),
    "muon": (lrjax.muon, 0.02),
    "schedule_free_adamw": (lrjax.schedule_free_adamw, 2.5e-3),
    "prodigy": (lrjax.prodigy, 1.0),
    "dadapt_adamw": (lrjax.dadapt_adamw, 1.0),
    "dog": (lrjax.dog, 1.0),
    "cocob": (lrjax.cocob, 1.0),
}
PER_DECADE, DECADES = 3, 3

HEADER = (
    "optimizer",
    "best rate",
    "test loss",
    "test accuracy, %",
    "decades within 20 %",
    "usual rate",
    "its loss / the best",
)


def trial_of(task: lrjax.tasks.Task, optimizer: Callable[..., Any]) -> lrjax.Trial:
    """The task's trial, judged where the optimizer says: Schedule-Free's average, else the parameters."""
    assert callable(task.trial)
    trial = task.trial(optimizer)
    judge = trial.evaluate
    assert judge is not None

    def evaluate(state: Any, batch: Any) -> Any:
        if isinstance(state.opt_state, lrjax.ScheduleFreeState):
            averaged = lrjax.schedule_free_eval_params(state.opt_state, state.params)
            state = state._replace(params=averaged)
        return judge(state, batch)

    return trial._replace(evaluate=evaluate)


def decades_within(scores: np.ndarray, best: int, factor: float = 1.2) -> float:
    """How far apart the outermost neighbours of the best rate are that lose no more than a fifth to it."""
    low = high = best
    while low > 0 and scores[low - 1] <= factor * scores[best]:
        low -= 1
    while high + 1 < len(scores) and scores[high + 1] <= factor * scores[best]:
        high += 1
    return (high - low) / PER_DECADE


def row(name: str, task: lrjax.tasks.Task, seeds: int, schedule: str) -> list[str]:
    """What one sweep says about one optimizer."""
    constant, usual = OPTIMIZERS[name]

    def optimizer(learning_rate: Any) -> Any:
        decaying = schedule == "cosine"
        return constant(lrjax.cosine_decay_schedule(learning_rate, task.steps) if decaying else learning_rate)

    exponents = np.arange(-DECADES * PER_DECADE, DECADES * PER_DECADE + 1) / PER_DECADE
    sweep = lrjax.sweep(
        trial_of(task, optimizer),
        {"learning_rate": usual * 10**exponents},
        task.data,
        steps=task.steps,
        seeds=seeds,
        evaluate_on=task.validation,
        test_on=task.test,
        progress=False,
    )
    answer = sweep.answer
    assert answer.index is not None
    assert answer.learning_rate is not None
    loss, accuracy = (sweep.test[metric][answer.index] for metric in ("loss", "accuracy"))
    at_usual = answer.scores[len(exponents) // 2]
    edge = " (edge of the grid)" if answer.index in (0, len(exponents) - 1) else ""
    return [
        name,
        f"{answer.learning_rate:.1e}{edge}",
        f"{np.median(loss):.3f} ({loss.min():.3f} to {loss.max():.3f})",
        f"{100 * np.median(accuracy):.1f} ({100 * accuracy.min():.1f} to {100 * accuracy.max():.1f})",
        f"{decades_within(answer.scores, answer.index):.1f}",
        f"{usual:g}",
        f"{at_usual / answer.score:.2f}" if np.isfinite(at_usual) else "fails",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="+", default=["digits", "logistic"])
    parser.add_argument("--only", nargs="+", default=list(OPTIMIZERS), choices=OPTIMIZERS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--schedule", default="constant", choices=("constant", "cosine"))
    options = parser.parse_args()
    print(
        f"{datetime.date.today()}, {jax.devices()[0].platform}, Python {platform.python_version()}, ", end=""
    )
    print(f"jax {jax.__version__}, lrjax {lrjax.__version__}, float32; {options.seeds} seeds, ", end="")
    print(f"{options.schedule} rates.")
    for name in options.tasks:
        task = lrjax.tasks.load(name)
        print(f"\n{name}: {task.summary}; {task.steps} steps.\n")
        print(f"| {' | '.join(HEADER)} |\n|{'---|' * len(HEADER)}")
        for optimizer in options.only:
            print(f"| {' | '.join(row(optimizer, task, options.seeds, options.schedule))} |", flush=True)


if __name__ == "__main__":
    main()
