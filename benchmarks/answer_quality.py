"""How good answered learning rates are, next to the truth.

Truth, for each case (a task, an optimizer, a schedule): a sweep of 41 rates at full length with ten seeds,
chosen on validation data. Rates are compared by their median validation loss over seeds; of rates where half
of the seeds or more fail it is infinite. An answer's *excess* is the loss at its rate, read off these
medians, less the lowest, in units of the larger of the seeds' standard deviation at the best rate and 2 % of
its loss. Its *distance* is how many decades it lies outside of the true plateau: the rates whose excess is at
most one. Methods are tried with several keys, none of which is the truth's; *spread* is how many decades lie
between their answers. A method that gives no answer has an infinite excess, as has one that answers a failing
rate, except where the truth has no signal: there silence is right.

Methods: `find_learning_rate`; a coarse grid with a fifth of the truth's member-steps; `range_test` with its
default of 100 steps, told how long the training is to be; the same without constant rates beside the ramp;
the published rules on these ramps; each optimizer's customary rate. Next to them stand two that know the
truth. "Truth again" is its own sweep with seeds drawn anew from its ten, which are those it is judged by;
below the tables stands what chance leaves of such a sweep if it is judged by other seeds. A trial's schedule
is set aside on a ramp, so that the curve is the same whether the rate is to stay or to decay: "one rate for
both" is that rate whose larger excess of the two is the smallest. No rule that reads such a curve, and
nothing else, has a lower worst one.

Of intervals it is said how often they hold the truth's best rate, how wide they are next to the true plateau,
and the interval score. What is tuned may see the even cases only; the odd ones are reported apart.

Run: python benchmarks/answer_quality.py [--tasks digits logistic] [--optimizers sgd adam] [--seeds 10]
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import platform
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

TASKS = ("digits", "logistic", "quadratic-deep", "digits-cnn", "characters")
OPTIMIZERS = ("sgd", "momentum", "adam", "adamw", "rmsprop", "lion")
SCHEDULES = ("constant", "warmup-cosine")
OPTIMIZERS_OF_HARD = ("sgd", "adam")
HARD = (
    *("noisy-labels", "tiny-batches", "plateau", "large-inputs", "large-loss"),
    *("width-16", "width-512", "negative", "no-signal"),
)
SILENT = "no-signal"
CUSTOMARY = {"sgd": 0.1, "momentum": 0.01, "adam": 1e-3, "adamw": 1e-3, "rmsprop": 1e-3, "lion": 1e-4}
LOW, HIGH, RATES = 1e-6, 1e2, 41
SHARE = 0.2  # of the truth's member-steps that the coarse grid uses
TRUTH_KEY = 1000
_SPLITS = 20  # of each truth's seeds
RULES = ("steep", "minimum", "valley", "slide")
RANGE_TESTS = ("range_test", "ramp alone")
TRIED = ("find", "coarse grid", *RANGE_TESTS)
ONE, AGAIN = "one rate for both", "truth again"
METHODS = (*TRIED, AGAIN, ONE, *RULES, "customary")


class Case(NamedTuple):
    """What a rate is asked for."""

    task: str
    optimizer: str
    schedule: str

    def __str__(self) -> str:
        """Its parts."""
        return " ".join(self)


ALL = [
    *(Case(*each) for each in itertools.product(TASKS, OPTIMIZERS, SCHEDULES)),
    *(Case(task, optimizer, "constant") for task in HARD for optimizer in OPTIMIZERS_OF_HARD),
]


class Said(NamedTuple):
    """What a method says: a rate or None, its interval or None, and the member-steps it took."""

    rate: float | None
    interval: tuple[float, float] | None = None
    member_steps: int = 0
    seconds: float = 0.0


class Truth(NamedTuple):
    """What an exhaustive sweep says.

    Attributes:
      rates: `[rates]`, increasing.
      losses: Validation losses `[rates, seeds]`, infinite where a member failed.
      tests: Test losses, the same.
      start: The median validation loss before training.
      steps: Updates per member.
    """

    rates: np.ndarray
    losses: np.ndarray
    tests: np.ndarray
    start: float
    steps: int

    @property
    def scores(self) -> np.ndarray:
        """Median losses, `[rates]`."""
        return np.median(self.losses, axis=1)

    @property
    def best(self) -> int:
        """Which rate has the lowest."""
        return int(np.argmin(self.scores))

    @property
    def unit(self) -> float:
        """What excess is measured in."""
        final = self.losses[self.best]
        return max(
            float(np.std(final[np.isfinite(final)], ddof=1)), 0.02 * abs(float(self.scores[self.best]))
        )

    def excess(self, rate: float | None) -> float:
        """How much worse than the best a rate is, in units."""
        scores = self.scores
        if rate is None or not self.rates[0] / 1.01 <= rate <= self.rates[-1] * 1.01:
            return float("inf")
        place = float(np.interp(np.log(rate), np.log(self.rates), np.arange(len(scores))))
        if abs(place - round(place)) < 0.01:
            place = round(place)
        low, share = int(place), place - int(place)
        high = min(low + 1, len(scores) - 1)
        loss = scores[low] if share == 0 else (1 - share) * scores[low] + share * scores[high]
        return float((loss - scores.min()) / self.unit)

    def again(self, key: int) -> Said:
        """What this sweep would answer with seeds drawn anew from its own."""
        seeds = self.losses.shape[1]
        drawn = np.random.default_rng(key).integers(0, seeds, seeds)
        best = int(np.argmin(np.median(self.losses[:, drawn], axis=1)))
        return Said(float(self.rates[best]), None, self.losses.size * self.steps)

    def by_halves(self, key: int) -> float:
        """The excess, by half of the seeds, of the rate that the other half would answer."""
        order = np.random.default_rng(key).permutation(self.losses.shape[1])
        some, rest = np.array_split(order, 2)
        chosen = int(np.argmin(np.median(self.losses[:, some], axis=1)))
        scores = np.median(self.losses[:, rest], axis=1)
        return float((scores[chosen] - scores.min()) / self.unit) if np.isfinite(scores[chosen]) else np.inf

    def plateau(self) -> tuple[float, float]:
        """The lowest and the highest of the rates around the best whose excess is at most one."""
        scores, best = self.scores, self.best
        good = scores - scores.min() <= self.unit
        low = best - sum(1 for _ in itertools.takewhile(bool, good[:best][::-1]))
        high = best + sum(1 for _ in itertools.takewhile(bool, good[best + 1 :]))
        return float(self.rates[low]), float(self.rates[high])

    def distance(self, rate: float | None) -> float:
        """Decades between a rate and the plateau."""
        if rate is None:
            return float("inf")
        low, high = self.plateau()
        return float(max(0.0, np.log10(low / rate), np.log10(rate / high)))

    def failing(self, rate: float | None) -> float:
        """The share of seeds that fail at the nearest rate."""
        if rate is None:
            return 0.0
        nearest = int(np.argmin(abs(np.log(self.rates) - np.log(rate))))
        return float(np.mean(~np.isfinite(self.losses[nearest])))


def task_of(case: Case) -> Any:
    """The case's task."""
    import lrjax

    if case.task in HARD:
        from hard_tasks import HARD as MAKE

        return MAKE[case.task]()
    return lrjax.tasks.load(case.task)


def trial_of(case: Case, task: Any) -> Any:
    """The case's trial."""
    import lrjax

    make: Callable[..., Any] = {"momentum": lambda rate: lrjax.sgd(rate, momentum=0.9)}.get(
        case.optimizer, getattr(lrjax, case.optimizer, None)
    )

    def optimizer(learning_rate: Any) -> Any:
        if case.schedule == "constant":
            return make(learning_rate)
        return make(lrjax.warmup_cosine_decay_schedule(0.0, learning_rate, task.steps // 10, task.steps))

    return task.trial(optimizer)


def truth_of(case: Case, options: argparse.Namespace) -> Truth:
    """The exhaustive sweep, from the directory if it is there."""
    import lrjax

    file = options.truth / f"{str(case).replace(' ', '_')}-{options.seeds}.npz"
    if file.is_file():
        with np.load(file) as stored:
            return Truth(**{name: stored[name] for name in ("rates", "losses", "tests")}, **about(stored))
    task = task_of(case)
    sweep = lrjax.sweep(
        trial_of(case, task),
        {"learning_rate": np.geomspace(LOW, HIGH, RATES)},
        task.data,
        steps=task.steps,
        seeds=options.seeds,
        evaluate_on=task.validation,
        evaluate_every=task.steps,
        test_on=task.test,
        key=TRUTH_KEY,
        progress=False,
    )
    failed = sweep.answer.failed
    losses, tests = sweep.held_out["loss"][..., -1], sweep.test["loss"]
    truth = Truth(
        np.asarray(sweep.points["learning_rate"], float),
        np.where(failed, np.inf, losses.astype(float)),
        np.where(failed, np.inf, tests.astype(float)),
        float(np.median(sweep.held_out["loss"][..., 0])),
        task.steps,
    )
    options.truth.mkdir(parents=True, exist_ok=True)
    np.savez(file, **truth._asdict())
    return truth


def about(stored: Any) -> dict[str, Any]:
    return {"start": float(stored["start"]), "steps": int(stored["steps"])}


def answers(case: Case, truth: Truth, key: int, methods: Iterable[str]) -> dict[str, Said]:
    """What every method says, with one key."""
    import lrjax

    task = task_of(case)
    trial, held_out = trial_of(case, task), task.validation
    common: dict[str, Any] = {"steps": task.steps, "evaluate_on": held_out, "key": key, "progress": False}
    found = {"customary": Said(CUSTOMARY[case.optimizer]), AGAIN: truth.again(key)}
    budget = int(SHARE * truth.losses.size * task.steps)
    if "find" in methods:
        began = time.perf_counter()
        sweep = lrjax.find_learning_rate(trial, task.data, budget=budget, **common)
        seconds = time.perf_counter() - began
        answer = sweep.answer
        found["find"] = Said(answer.learning_rate, answer.interval, sweep.cost.member_steps_used, seconds)
    if "coarse grid" in methods:
        seeds = 3
        rates = np.geomspace(1e-5, 10.0, max(2, budget // (seeds * task.steps)))
        grid = {"learning_rate": rates}
        sweep = lrjax.sweep(trial, grid, task.data, seeds=seeds, evaluate_every=task.steps, **common)
        answer, cost = sweep.answer, sweep.cost
        found["coarse grid"] = Said(answer.learning_rate, answer.interval, cost.member_steps_used)
    for method in RANGE_TESTS:
        if method in methods:
            asked = {"constant": method == RANGE_TESTS[0], "training_steps": task.steps}
            test = lrjax.range_test(trial, task.data, **asked, key=key, progress=False)
            found[method] = Said(test.suggestion, test.interval, test.cost.member_steps_used)
            # All rules read the ramp, whatever is trained beside it.
            used = len(test.losses) * len(test.learning_rates)
            found |= {rule: Said(test.suggestions.get(rule), None, used) for rule in RULES}
    return found


def add_one_rate(found: dict[Case, tuple[Truth, list[dict[str, Said]]]]) -> None:
    """Adds the best that one rate can do for a constant and a decaying schedule, where both are known."""
    for case, (truth, said) in found.items():
        pair = [found[other][0] for other in found if other[:2] == case[:2]]
        if len(pair) > 1:
            rates = np.geomspace(truth.rates[0], truth.rates[-1], 20 * (len(truth.rates) - 1) + 1)
            excess = [max(each.excess(rate) for each in pair) for rate in rates]
            said[0][ONE] = Said(float(rates[int(np.argmin(excess))]))


def table(name: str, found: dict[Case, tuple[Truth, list[dict[str, Said]]]]) -> list[str]:
    """Excess, distance, spread and intervals over all cases and keys, by method."""
    lines = [
        f"{name} ({len(found)} cases)",
        "",
        "| method | excess, median | 90 % | worst | distance, 90 % | worst | spread, median | worst "
        "| no answer | fails in > 1 of 10 seeds | steps / truth | interval holds the best | width / plateau "
        "| score |",
        f"|{'---|' * 14}",
    ]
    for method in METHODS:
        rows = [
            (case, truth, [each[method] for each in said if method in each])
            for case, (truth, said) in found.items()
        ]
        rows = [row for row in rows if row[2]]
        if rows:
            lines.append(f"| {method} | {' | '.join(cells(rows))} |")
    return [*lines, ""]


def halves(truths: Iterable[Truth]) -> str:
    """What chance leaves even of an exhaustive sweep."""
    excess = [truth.by_halves(key) for truth in truths for key in range(_SPLITS)]
    median, most, worst = (np.quantile(excess, q, method="higher") for q in (0.5, 0.9, 1.0))
    return (
        f"The truth's choice by half of its seeds, judged by the other half: excess {median:.2g}, "
        f"{most:.2g} (90 %), {worst:.2g} (worst)"
    )


def cells(rows: list[tuple[Case, Truth, list[Said]]]) -> list[str]:
    """The numbers of a method."""
    excess, distance, spread, none, failing, share = [], [], [], 0, 0, []
    held, widths, scores = [], [], []
    for case, truth, said in rows:
        known = [each.rate for each in said if each.rate is not None]
        none += len(said) - len(known)
        spread.append(float(np.ptp(np.log10(known))) if len(known) > 1 else 0.0)
        width = np.log10(truth.plateau()[1] / truth.plateau()[0])
        step = np.log10(
            truth.rates[1] / truth.rates[0]
        )  # a plateau of one rate is half a step wide either way
        for each in said:
            if each.rate is None and case.task == SILENT:
                continue
            excess.append(truth.excess(each.rate))
            distance.append(truth.distance(each.rate))
            failing += truth.failing(each.rate) > 0.1
            share.append(each.member_steps / (truth.losses.size * truth.steps))
            if each.interval is not None:
                low, high = np.log10(each.interval)
                best = np.log10(truth.rates[truth.best])
                held.append(low - 1e-9 <= best <= high + 1e-9)
                widths.append((high - low) / max(width, step))
                scores.append((high - low) + 20 * max(low - best, 0) + 20 * max(best - high, 0))
    numbers = [
        *(np.quantile(excess, q, method="higher") for q in (0.5, 0.9, 1.0)),
        *(np.quantile(distance, q, method="higher") for q in (0.9, 1.0)),
        np.median(spread),
        np.max(spread),
    ]
    of_intervals = ["-"] * 3
    if held:
        of_intervals = [f"{np.mean(held):.0%}", f"{np.median(widths):.2g}", f"{np.mean(scores):.2g}"]
    taken = f"{np.median(share):.2g}" if any(share) else "-"
    return [*(f"{x:.2g}" for x in numbers), str(none), str(failing), taken, *of_intervals]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=(*TASKS, *HARD), default=(*TASKS[:4], *HARD))
    parser.add_argument("--optimizers", nargs="+", choices=OPTIMIZERS, default=OPTIMIZERS)
    parser.add_argument("--schedules", nargs="+", choices=SCHEDULES, default=SCHEDULES)
    parser.add_argument("--methods", nargs="*", choices=TRIED, default=TRIED)
    parser.add_argument("--half", choices=("even", "odd"), help="one half of the cases only")
    parser.add_argument("--seeds", type=int, default=10, help="of the truth")
    parser.add_argument("--keys", type=int, default=3, help="tries of each method")
    parser.add_argument("--first-key", type=int, default=0, help="of these tries; each next one is one more")
    parser.add_argument("--truth", type=Path, default=Path("runs/truth"), help="where sweeps are kept")
    parser.add_argument("--output", type=Path, help="a JSON file for everything that was said")
    options = parser.parse_args()
    import jax

    import lrjax

    where = f"{jax.devices()[0].device_kind}, Python {platform.python_version()}, jax {jax.__version__}"
    print(f"{datetime.date.today()}, {where}, lrjax {lrjax.__version__}, {options.seeds} seeds\n")
    found: dict[Case, tuple[Truth, list[dict[str, Said]]]] = {}
    keys = range(options.first_key, options.first_key + options.keys)
    for case in ALL:
        half = ("even", "odd")[is_odd(case)]
        asked = case.task in options.tasks and case.optimizer in options.optimizers
        if not asked or case.schedule not in options.schedules or options.half not in (None, half):
            continue
        began = time.perf_counter()
        truth = truth_of(case, options)
        seconds = time.perf_counter() - began
        found[case] = truth, [answers(case, truth, key, options.methods) for key in keys]
        low, high = truth.plateau()
        print(f"{case} ({half}): best {truth.rates[truth.best]:.3g}, plateau {low:.3g} to {high:.3g}", end="")
        print(f", {seconds:.0f} s")
        for method in options.methods:
            said = [each[method] for each in found[case][1]]
            rates = ", ".join(
                f"{one.rate:.3g} ({truth.excess(one.rate):.2g})" if one.rate is not None else "none"
                for one in said
            )
            print(f"  {method}: {rates}", flush=True)
        if options.output is not None:
            told = {
                str(case): [{name: each._asdict() for name, each in one.items()} for one in said]
                for case, (_, said) in found.items()
            }
            options.output.write_text(json.dumps(told))
    if not options.methods:
        return
    if set(RANGE_TESTS) & set(options.methods):
        add_one_rate(found)
    for name, odd in (("Even cases", (False,)), ("Odd cases", (True,)), ("All cases", (False, True))):
        part = {case: each for case, each in found.items() if is_odd(case) in odd}
        if part:
            print("\n".join(table(name, part)))
            print(f"{halves(truth for case, (truth, _) in part.items() if case.task != SILENT)}\n")


def is_odd(case: Case) -> bool:
    """Which half of the cases a case is in; both have every task, optimizer and schedule."""
    return bool((ALL.index(case) // 2 + (case.schedule == "warmup-cosine") + case.task.count("-")) % 2)


if __name__ == "__main__":
    main()
