"""What successive halving answers, and what it costs, next to the full grid.

64 rates x 3 seeds of the digits, in three cases: rates of which about a third lie on the plateau (Adam), and
rates of which less than a fifth do (Adam and SGD over more decades). Judged first: does the answered rate
lie on the full grid's plateau? Then: which share of its member-steps and of its seconds was spent. The floor
is what must be spent even by a rule that drops everything but the plateau at the first rung, or that keeps
no more than a quarter at each. Every sweep runs in a fresh process; sides take turns, medians count.

Run: python benchmarks/halving.py [--cases adam adam-wide sgd-wide] [--steps 4000] [--repeats 3]
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import statistics
import subprocess
import sys
from typing import Any

CASES = {"adam": ("adam", 1e-5, 1.0), "adam-wide": ("adam", 1e-7, 1e3), "sgd-wide": ("sgd", 1e-6, 1e3)}
RATES, SEEDS = 64, 3
SIDES = ("full", "halving", "halving, noise=False", "hyperband", "median stopping")
RUNGS = (1 / 16, 1 / 4, 1)  # of the steps: where halving decides, and the end


def run(case: str, side: str, steps: int, key: int) -> dict[str, Any]:
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
        evaluate_on=task.validation,
        evaluate_every=-(-steps // 16),
        allocation=allocation,
        key=key,
        progress=False,
    )
    cost, plateau = sweep.cost, sweep.answer.plateau
    return {
        "answer": sweep.answer.learning_rate,
        "low": low,
        "high": high,
        "plateau": plateau,
        "used": cost.member_steps_used,
        "running": cost.seconds_running,
        "in all": cost.seconds_compiling + cost.seconds_probing + cost.seconds_running,
        "kept": [int(kept.sum()) for _, _, kept in sweep.rungs],
        "plan": str(sweep.plan),
    }


def floors(on_plateau: int) -> tuple[float, float]:
    """Shares of the full grid's member-steps that two rules spend.

    The first keeps only the plateau from the first rung on; the second a quarter of all at each rung.
    """
    first, second, last = RUNGS
    alone = (RATES * first + on_plateau * (last - first)) / RATES
    quarters = first + (second - first) / 4 + (last - second) / 16
    return alone, quarters


def measure(case: str, side: str, steps: int, key: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--side", side, "--cases", case]
    command += ["--steps", str(steps), "--key", str(key)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def report(case: str, runs: dict[str, list[dict[str, Any]]]) -> list[str]:
    """The rows of a case's table, and a line about its floors."""
    full = runs["full"][0]
    low, high = full["plateau"]
    grid = [full["low"] * (full["high"] / full["low"]) ** (i / (RATES - 1)) for i in range(RATES)]
    on_plateau = sum(low * 0.999 <= rate <= high * 1.001 for rate in grid)
    of_full = statistics.median(run["running"] for run in runs["full"])
    rows = []
    for side, found in runs.items():
        one = found[0]
        inside = low * 0.999 <= one["answer"] <= high * 1.001
        running = statistics.median(run["running"] for run in found)
        in_all = statistics.median(run["in all"] for run in found)
        rows.append(
            f"| {case} | {side} | {one['answer']:.3g} | {'yes' if inside else 'NO'} "
            f"| {one['used'] / full['used']:.3f} | {running:.2f} | {running / of_full:.2f} "
            f"| {in_all:.2f} | {one['kept'] or '-'} | {one['plan']} |"
        )
    alone, quarters = floors(on_plateau)
    rows.append(
        f"| {case} | floors: plateau of {on_plateau} of {RATES} rates ({low:.3g} to {high:.3g}) | | "
        f"| {alone:.3f} if only it goes on, {quarters:.3f} in quarters | | | | | |"
    )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--key", type=int, default=0, help="of the members' random numbers")
    parser.add_argument("--side", choices=SIDES, help="run this side alone, print JSON")
    options = parser.parse_args()
    if options.side:
        print(json.dumps(run(options.cases[0], options.side, options.steps, options.key)))
        return
    about = "import jax, lrjax; print(jax.__version__, lrjax.__version__, jax.devices()[0].device_kind)"
    done = subprocess.run([sys.executable, "-c", about], check=True, capture_output=True, text=True)
    jax_version, version, device = done.stdout.split(maxsplit=2)
    print(
        f"{datetime.date.today()}, {device.strip()}, Python {platform.python_version()}, jax {jax_version}, "
        f"lrjax {version}, digits, {RATES} rates x {SEEDS} seeds x {options.steps} steps, key {options.key}, "
        f"{options.repeats} repeats, medians of seconds\n"
    )
    print(
        "| case | side | answer | on the full grid's plateau | member-steps / full | running, s | / full "
        "| in all, s | points kept | plan |"
    )
    print(f"|{'---|' * 10}")
    for case in options.cases:
        runs: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
        for turn in range(options.repeats):
            for side in SIDES if turn % 2 else SIDES[::-1]:
                runs[side].append(measure(case, side, options.steps, options.key))
        print("\n".join(report(case, runs)), flush=True)


if __name__ == "__main__":
    main()
