"""How much slower members train while a sweep stores checkpoints.

Both sides are the same sweep, one with `directory=` and one without, in fresh processes that take turns; the
first turn is not counted. What is compared is member-steps per second of running, at the default
interval, over jobs that are long enough for several checkpoints.

Run: python benchmarks/checkpoint_cost.py [--cases digits:64 wide:16] [--seconds 100] [--repeats 3]
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from sweep_speed import load, rates


def run(task: str, members: int, steps: int, store: bool) -> dict[str, Any]:
    """One sweep in this process."""
    import lrjax

    trial, data = load(task)
    grid = {"learning_rate": rates(members)}
    with tempfile.TemporaryDirectory() as directory:
        where = Path(directory) / "sweep" if store else None
        done = lrjax.sweep(trial, grid, data, steps=steps, directory=where, progress=False)
        stored = sum(file.stat().st_size for file in Path(directory).rglob("*") if file.is_file())
    assert (done.diverged_at < 0).all()
    cost = done.cost
    return {
        "rate": cost.member_steps_used / cost.seconds_running,
        "running": cost.seconds_running,
        "stored": stored,
        "plan": str(done.plan),
    }


def measure(task: str, members: int, steps: int, store: bool) -> dict[str, Any]:
    command = [sys.executable, __file__, "--side", "stored" if store else "plain"]
    command += ["--cases", f"{task}:{members}", "--steps", str(steps)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cases", nargs="+", default=["digits:64", "wide:16"], help="task:members")
    parser.add_argument("--seconds", type=float, default=100.0, help="that a side runs")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--side", choices=("plain", "stored"), help="run this side alone, print JSON")
    parser.add_argument("--steps", type=int, default=100, help="of --side")
    options = parser.parse_args()
    cases = [(task, int(members)) for task, members in (case.split(":") for case in options.cases)]
    if options.side:
        print(json.dumps(run(*cases[0], options.steps, options.side == "stored")))
        return
    about = "import jax, lrjax; print(jax.__version__, lrjax.__version__, jax.devices()[0].device_kind)"
    done = subprocess.run([sys.executable, "-c", about], check=True, capture_output=True, text=True)
    jax_version, version, device = done.stdout.split(maxsplit=2)
    print(
        f"{datetime.date.today()}, {device.strip()}, Python {platform.python_version()}, jax {jax_version}, "
        f"lrjax {version}, Adam, checkpoints at the default interval, {options.repeats} repeats, medians\n"
    )
    print("| task | K | plan | steps | plain | stored | stored / plain | stored, MB | running, s |")
    print(f"|{'---|' * 9}")
    for task, members in cases:
        about = measure(task, members, 2000 if task == "digits" else 40, store=False)["rate"]
        steps = round(about * options.seconds / members)
        sides: dict[bool, list[dict[str, Any]]] = {False: [], True: []}
        for turn in range(options.repeats):
            for store in (False, True) if turn % 2 else (True, False):
                sides[store].append(measure(task, members, steps, store))
        rate = {store: statistics.median(r["rate"] for r in found) for store, found in sides.items()}
        last = sides[True][-1]
        print(
            f"| {task} | {members} | {last['plan']} | {steps} | {rate[False]:.4g} | {rate[True]:.4g} "
            f"| {rate[True] / rate[False]:.3f} | {last['stored'] / 1e6:.0f} | {last['running']:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
