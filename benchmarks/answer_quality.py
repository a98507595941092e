"""How good suggested learning rates are, next to the truth.

Truth, for each case (a task, an optimizer, a schedule): a sweep of 41 rates at full length with several
seeds, chosen on validation data. An answer's *excess* is the held-out loss at its rate, read off the sweep's
medians, less the lowest, in units of the larger of the seeds' standard deviation at the best rate and 2 %
of its loss. Its *distance* is how many decades it lies outside of the rates whose excess is at most one.
Methods are tried with several keys; *spread* is how many decades lie between their answers. A method that
gives no answer, or one that fails, has an infinite excess.

Each optimizer's customary rate is a method too, and so are the published rules on the same range tests. Odd
and even cases are reported apart: what is tuned may see the even ones only.

Run: python benchmarks/answer_quality.py [--tasks digits logistic] [--optimizers sgd adam] [--seeds 10]
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import platform
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

TASKS = ("digits", "logistic", "quadratic-deep", "digits-cnn")
OPTIMIZERS = ("sgd", "momentum", "adam", "adamw", "rmsprop", "lion")
SCHEDULES = ("constant", "warmup-cosine")
CUSTOMARY = {"sgd": 0.1, "momentum": 0.01, "adam": 1e-3, "adamw": 1e-3, "rmsprop": 1e-3, "lion": 1e-4}
LOW, HIGH, RATES = 1e-6, 1e2, 41
RULES = ("steep", "minimum", "valley", "slide")
METHODS = ("range_test", *RULES, "customary")


class Case(NamedTuple):
    """What a rate is asked for."""

    task: str
    optimizer: str
    schedule: str

    def __str__(self) -> str:
        """Its parts."""
        return " ".join(self)


class Truth(NamedTuple):
    """What an exhaustive sweep says: rates, median losses (infinite where they fail), the unit of excess."""

    rates: list[float]
    losses: list[float]
    unit: float

    def excess(self, rate: float | None) -> float:
        """How much worse than the best a rate is, in units."""
        if rate is None or not self.rates[0] <= rate <= self.rates[-1]:
            return float("inf")
        place = np.interp(np.log(rate), np.log(self.rates), np.arange(len(self.rates)))
        low, share = int(place), place - int(place)
        high = min(low + 1, len(self.rates) - 1)
        ends = self.losses[low], self.losses[high]
        loss = ends[0] if share == 0 else (1 - share) * ends[0] + share * ends[1]
        return float((loss - min(self.losses)) / self.unit)

    def distance(self, rate: float | None) -> float:
        """Decades between a rate and the plateau: the rates within one unit of the best, around it."""
        if rate is None:
            return float("inf")
        best = int(np.argmin(self.losses))
        good = [loss - min(self.losses) <= self.unit for loss in self.losses]
        low = best - sum(1 for _ in itertools.takewhile(bool, good[:best][::-1]))
        high = best + sum(1 for _ in itertools.takewhile(bool, good[best + 1 :]))
        below, above = np.log10(self.rates[low] / rate), np.log10(rate / self.rates[high])
        return float(max(0.0, below, above))


ALL = [Case(*each) for each in itertools.product(TASKS, OPTIMIZERS, SCHEDULES)]


def wanted(case: Case, options: argparse.Namespace) -> bool:
    """Whether a case is asked for."""
    return (
        case.task in options.tasks
        and case.optimizer in options.optimizers
        and case.schedule in options.schedules
    )


def trial_of(case: Case, constant: bool) -> tuple[Any, Any]:
    """A task and its trial; a range test moves a constant rate."""
    import lrjax

    task = lrjax.tasks.load(case.task)
    assert callable(task.trial)
    make = {"momentum": lambda rate: lrjax.sgd(rate, momentum=0.9)}.get(
        case.optimizer, getattr(lrjax, case.optimizer, None)
    )
    assert make is not None

    def optimizer(learning_rate: Any) -> Any:
        if constant or case.schedule == "constant":
            return make(learning_rate)
        warmup = task.steps // 10
        return make(lrjax.warmup_cosine_decay_schedule(0.0, learning_rate, warmup, task.steps))

    return task, task.trial(optimizer)


def truth_of(case: Case, options: argparse.Namespace) -> Truth:
    """The exhaustive sweep, from the directory if it is there."""
    import lrjax

    file = options.truth / f"{str(case).replace(' ', '_')}-{options.seeds}.json"
    if file.is_file():
        return Truth(**json.loads(file.read_text()))
    task, trial = trial_of(case, constant=False)
    sweep = lrjax.sweep(
        trial,
        {"learning_rate": np.geomspace(LOW, HIGH, RATES)},
        task.data,
        steps=task.steps,
        seeds=options.seeds,
        evaluate_on=task.validation,
        evaluate_every=task.steps,
        progress=False,
    )
    answer = sweep.answer
    final = sweep.held_out["loss"][answer.index, :, -1]
    unit = max(float(np.std(final, ddof=1)), 0.02 * abs(answer.score))
    found = Truth([float(x) for x in sweep.points["learning_rate"]], [float(x) for x in answer.scores], unit)
    options.truth.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(found._asdict()))
    return found


def answers(case: Case, key: int) -> dict[str, float | None]:
    """What every method says, with one key."""
    import lrjax

    task, trial = trial_of(case, constant=True)
    test = lrjax.range_test(trial, task.data, key=key, progress=False)
    found: dict[str, float | None] = {"range_test": test.suggestion, "customary": CUSTOMARY[case.optimizer]}
    return found | {rule: test.suggestions.get(rule) for rule in RULES}


def table(name: str, found: dict[Case, tuple[Truth, list[dict[str, float | None]]]]) -> list[str]:
    """Excess and distance over all cases and keys, and the spread over keys, by method."""
    lines = [
        f"{name} ({len(found)} cases)",
        "",
        "| method | excess, median | 90 % | worst | distance, 90 % | worst | spread, median | no answer |",
        f"|{'---|' * 8}",
    ]
    for method in METHODS:
        excess, distance, spread, none = [], [], [], 0
        for truth, said in found.values():
            rates = [each[method] for each in said]
            excess += [truth.excess(rate) for rate in rates]
            distance += [truth.distance(rate) for rate in rates]
            known = np.log10([rate for rate in rates if rate is not None])
            spread.append(float(np.ptp(known)) if len(known) else float("nan"))
            none += len(rates) - len(known)
        cells = [
            *(np.quantile(excess, q, method="higher") for q in (0.5, 0.9, 1.0)),
            *(np.quantile(distance, q, method="higher") for q in (0.9, 1.0)),
            np.nanmedian(spread),
        ]
        lines.append(f"| {method} | {' | '.join(f'{x:.2g}' for x in cells)} | {none} |")
    return [*lines, ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS[:3])
    parser.add_argument("--optimizers", nargs="+", choices=OPTIMIZERS, default=OPTIMIZERS)
    parser.add_argument("--schedules", nargs="+", choices=SCHEDULES, default=SCHEDULES)
    parser.add_argument("--seeds", type=int, default=10, help="of the truth")
    parser.add_argument("--keys", type=int, default=5, help="tries of each method")
    parser.add_argument("--truth", type=Path, default=Path("runs/truth"), help="where sweeps are kept")
    parser.add_argument("--verbose", action="store_true", help="a line for each case")
    options = parser.parse_args()
    import jax

    import lrjax

    where = f"{jax.devices()[0].device_kind}, Python {platform.python_version()}, jax {jax.__version__}"
    print(f"{datetime.date.today()}, {where}, lrjax {lrjax.__version__}, {options.seeds} seeds\n")
    found: dict[Case, tuple[Truth, list[dict[str, float | None]]]] = {}
    for case in ALL:
        if not wanted(case, options):
            continue
        truth = truth_of(case, options)
        found[case] = truth, [answers(case, key) for key in range(options.keys)]
        if options.verbose:
            said = [each["range_test"] for each in found[case][1]]
            print(case, f"best {truth.rates[int(np.argmin(truth.losses))]:.3g}", said, flush=True)
    for name, rest in (("Even cases", 0), ("Odd cases", 1)):
        part = {case: each for case, each in found.items() if ALL.index(case) // 2 % 2 == rest}
        if part:
            print("\n".join(table(name, part)))


if __name__ == "__main__":
    main()
