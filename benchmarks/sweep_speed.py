"""How fast a sweep trains its members, next to what people and experts write by hand.

Peers: a jitted step in a Python loop, member after member ("loop"); a jitted scan over all steps, member
after member ("scan"); a jitted scan of the vmapped step ("scan(vmap)"); a jitted vmapped step in a Python
loop ("vmap"). All use the same trial, gather the same batches on the device, record the metrics of every
step and flag a loss that is not finite; the bare ones record and flag nothing. Making the orders of the
examples, the same for all, is part of running. Every side runs in fresh
processes, sides take turns, medians count. Compiling and probing are left out of the rates and are part of
the totals. A side that is far slower than the fastest takes fewer steps, and its total is extrapolated. The
two peers that are the fastest at the first turn take all turns, the other two that one; of the bare ones
that of the fastest peer is measured.

Run: python benchmarks/sweep_speed.py [--tasks digits wide] [--members 1 8 64] [--repeats 5] [--seconds 3]
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import datetime
import itertools
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

TASKS = ("digits", "wide", "digits-cnn", "characters", "logistic")
MEMBERS = (1, 8, 64)
PEERS = ("loop", "scan", "scan(vmap)", "vmap")
BARE = " bare"
SIDES = ("lrjax", *PEERS, *(peer + BARE for peer in PEERS))
LAYERS, BATCH = (784, 512, 512, 10), 128  # of the wide MLP
_RATES = (3e-4, 1e-3)  # all members train
_FIRST = {"digits": 500, "logistic": 2000}  # steps of the first runs, which tell how many the others take
_LEAST = {"wide": 40}  # steps per member at least, where making a member takes as long as many of its steps
_SLOW = 2.0  # times as long as the fastest that a slow side may take
_CONTENDERS = 2  # peers, the fastest at the first turn, that take all turns


# One side, in a process of its own.


def load(task: str) -> tuple[Any, Any]:
    """A task's trial with Adam, and its data."""
    import lrjax

    if task != "wide":
        loaded = lrjax.tasks.load(task)
        assert callable(loaded.trial)
        return loaded.trial(lrjax.adam), loaded.data
    return lrjax.trial(_wide_init, _wide_loss, lrjax.adam), lrjax.batches(_wide_data(), batch_size=BATCH)


def _wide_init(key: Any) -> list[dict[str, Any]]:
    import jax
    import jax.numpy as jnp

    shapes = list(itertools.pairwise(LAYERS))
    return [
        {"weights": jax.random.normal(k, shape) * math.sqrt(2 / shape[0]), "bias": jnp.zeros(shape[1])}
        for k, shape in zip(jax.random.split(key, len(shapes)), shapes, strict=True)
    ]


def _wide_loss(params: list[dict[str, Any]], batch: tuple[Any, Any]) -> Any:
    import jax
    import jax.numpy as jnp

    x, labels = batch
    for layer in params[:-1]:
        x = jax.nn.relu(x @ layer["weights"] + layer["bias"])
    logits = jax.nn.log_softmax(x @ params[-1]["weights"] + params[-1]["bias"])
    return -jnp.mean(jnp.take_along_axis(logits, labels[:, None], axis=1))


def _wide_data() -> tuple[Any, Any]:
    """Points with the label of the nearest of ten random directions."""
    import numpy as np

    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(8192, LAYERS[0])).astype(np.float32)
    directions = generator.normal(size=(LAYERS[0], LAYERS[-1]))
    return inputs, (inputs @ directions).argmax(axis=1).astype(np.int32)


def rates(members: int) -> list[float]:
    """Learning rates on a narrow logarithmic grid."""
    low, high = _RATES
    return [low * (high / low) ** (i / max(1, members - 1)) for i in range(members)]


def run_lrjax(task: str, members: int, steps: int, plan: str) -> dict[str, Any]:
    import lrjax

    trial, data = load(task)
    began = time.perf_counter()
    grid = {"learning_rate": rates(members)}
    sweep = lrjax.sweep(trial, grid, data, steps=steps, plan=plan, progress=False)
    total = time.perf_counter() - began
    assert (sweep.diverged_at < 0).all()
    cost = sweep.cost
    return {
        "rate": cost.member_steps_used / cost.seconds_running,
        "compiling": cost.seconds_compiling + cost.seconds_probing,
        "running": cost.seconds_running,
        "total": total,
        "plan": str(sweep.plan),
        "why": sweep.plan.why,
    }


def run_peer(task: str, members: int, steps: int, peer: str, bare: bool) -> dict[str, Any]:
    import jax
    import jax.numpy as jnp
    import numpy as np

    trial, data = load(task)
    began = time.perf_counter()
    indices = jnp.asarray(np.broadcast_to(data.schedule(0, 1, (0,))[:, 0], (steps, data.batch_size)))
    arrays, key = data.arrays, jax.random.key(0)
    vmapped = "vmap" in peer
    per_step = not peer.startswith("scan")

    def start(rate: Any) -> Any:
        return trial.init(key, {"learning_rate": rate}), () if bare else jnp.zeros((), bool)

    def update(member: Any, batch: Any, rate: Any) -> tuple[Any, Any]:
        state, failed = member
        metrics, state = trial.update(state, batch, {"learning_rate": rate})
        if bare:
            return (state, ()), ()
        return (state, failed | ~jnp.isfinite(metrics["loss"])), jnp.stack(list(metrics.values()))

    start = jax.vmap(start) if vmapped else start
    update = jax.vmap(update, (0, None, 0)) if vmapped else update

    def one_step(carry: Any, rate: Any, arrays: Any, indices: Any) -> tuple[Any, Any]:
        member, t = carry
        member, metrics = update(member, data.gather(arrays, indices[t]), rate)
        return (member, t + 1), metrics

    def all_steps(carry: Any, rate: Any, arrays: Any, indices: Any) -> tuple[Any, Any]:
        def body(member: Any, chosen: Any) -> tuple[Any, Any]:
            return update(member, data.gather(arrays, chosen), rate)

        member, metrics = jax.lax.scan(body, carry[0], indices)
        return (member, carry[1]), metrics

    rate_list = [np.float32(rate) for rate in rates(members)]
    each = [jnp.asarray(rate_list)] if vmapped else [jnp.asarray(rate) for rate in rate_list]
    zero = jnp.zeros((), jnp.int32)
    make = jax.jit(start).lower(each[0]).compile()
    arguments = ((make(each[0]), zero), each[0], arrays, indices)
    program = jax.jit(one_step if per_step else all_steps).lower(*arguments).compile()

    running = time.perf_counter()
    indices = jnp.asarray(data.schedule(0, steps, (0,))[:, 0])
    results = []
    for rate in each:
        carry, recorded = (make(rate), zero), []
        for _ in range(steps if per_step else 1):
            carry, metrics = program(carry, rate, arrays, indices)
            if not bare:
                recorded.append(metrics)
        results.append((carry[0] if bare else carry[0][1], recorded))
    if bare:
        jax.block_until_ready(results)
    else:
        measured = jax.device_get(results)
        curves = [np.stack(recorded) if per_step else recorded[0] for _, recorded in measured]
        assert sum(x[..., 0].size for x in curves) == members * steps
        assert not any(np.any(failed) for failed, _ in measured)
    ended = time.perf_counter()
    return {
        "rate": members * steps / (ended - running),
        "compiling": running - began,
        "running": ended - running,
        "total": ended - began,
    }


def run_roofline(seconds: float) -> dict[str, Any]:
    """Seconds that the matrix products of a step of the wide MLP take, with every core busy."""
    import jax
    import jax.numpy as jnp

    shapes = list(itertools.pairwise(LAYERS))
    keys = iter(jax.random.split(jax.random.key(0), 3 * len(shapes)))
    weights = [jax.random.normal(next(keys), shape) for shape in shapes]
    inputs = [jax.random.normal(next(keys), (BATCH, n)) for n, _ in shapes]
    slopes = [jax.random.normal(next(keys), (BATCH, n)) for _, n in shapes]

    @jax.jit
    def products(weights: Any, inputs: Any, slopes: Any) -> list[Any]:
        forward = [jnp.dot(x, w) for x, w in zip(inputs, weights, strict=True)]
        of_weights = [jnp.dot(x.T, slope) for x, slope in zip(inputs, slopes, strict=True)]
        of_inputs = [jnp.dot(slope, w.T) for slope, w in zip(slopes[1:], weights[1:], strict=True)]
        return forward + of_weights + of_inputs

    def work(_: Any) -> int:
        end, count = time.perf_counter() + seconds, 0
        while time.perf_counter() < end:
            jax.block_until_ready(products(weights, inputs, slopes))
            count += 1
        return count

    jax.block_until_ready(products(weights, inputs, slopes))
    found = {}
    for threads in (1, cores()):
        with concurrent.futures.ThreadPoolExecutor(threads) as pool:
            began = time.perf_counter()
            found[threads] = sum(pool.map(work, range(threads))) / (time.perf_counter() - began)
    backward = sum(a * b for a, b in shapes) + sum(a * b for a, b in shapes[1:])
    flops = 2 * BATCH * (sum(a * b for a, b in shapes) + backward)
    rate = max(found.values())
    return {"rate": rate, "flops": flops * rate}


def cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


# All sides in turn.


def measure(side: str, task: str, members: int, steps: int, options: argparse.Namespace) -> dict[str, Any]:
    command = [sys.executable, __file__, "--side", side, "--tasks", task, "--members", str(members)]
    command += ["--steps", str(steps), "--plan", options.plan, "--seconds", str(options.seconds)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


class Cell:
    """What was measured of one task at one number of members."""

    def __init__(self, task: str, members: int, steps: int, runs: dict[str, list[dict[str, Any]]]) -> None:
        self.task = task
        self.members = members
        self.steps = steps
        self.plan = max((r["plan"] for r in runs["lrjax"]), key=[r["plan"] for r in runs["lrjax"]].count)
        self.rate = {side: statistics.median(r["rate"] for r in done) for side, done in runs.items()}
        self.compiling = {
            side: statistics.median(r["compiling"] for r in done) for side, done in runs.items()
        }
        self.total = {side: statistics.median(r["total"] for r in done) for side, done in runs.items()}

    def best(self, bare: bool) -> str:
        """The fastest peer."""
        found = (side for side in self.rate if side != "lrjax" and side.endswith(BARE) == bare)
        return max(found, key=lambda side: self.rate[side])

    @property
    def ratio(self) -> float:
        """How many times as fast as the best peer lrjax is."""
        return self.rate["lrjax"] / self.rate[self.best(bare=False)]

    def row(self) -> list[str]:
        """What the table says of it."""
        rate, best = self.rate, self.best(bare=False)
        total = min(self.total[peer] for peer in PEERS)
        return [
            self.task,
            str(self.members),
            self.plan,
            *(f"{rate[side]:.4g}" for side in ("lrjax", *PEERS)),
            f"{self.ratio:.2f} ({best})",
            f"{rate['lrjax'] / rate[self.best(bare=True)]:.2f} ({self.best(bare=True).removesuffix(BARE)})",
            f"{rate['lrjax'] / rate['loop']:.2f}",
            f"{self.compiling['lrjax']:.2f} / {self.compiling[best]:.2f}",
            f"{total / self.total['lrjax']:.2f} ({self.steps} steps, {self.total['lrjax']:.1f} s)",
        ]


HEAD = [
    *("task", "K", "plan", "lrjax", *PEERS, "to the best peer", "to the best bare peer", "to the loop"),
    *("compiling: lrjax / best, s", "in all"),
]


def calibrate(task: str, options: argparse.Namespace) -> dict[str, float]:
    """About how fast each peer is: too short to count, long enough to choose steps by."""
    steps = _FIRST.get(task, 20)
    found = {peer: measure(peer, task, 8, steps, options)["rate"] for peer in PEERS}
    return found | {peer + BARE: rate for peer, rate in found.items()} | {"lrjax": max(found.values())}


def measure_cell(
    task: str,
    members: int,
    about: dict[str, float],
    options: argparse.Namespace,
    say: Callable[[str], None],
) -> Cell:
    least = _LEAST.get(task, 10)
    steps = max(least, round(about["lrjax"] * options.seconds / members))
    taken = {
        side: max(least, round(steps * min(1.0, _SLOW * rate / about["lrjax"])))
        for side, rate in about.items()
    }
    runs: dict[str, list[dict[str, Any]]] = {}

    def run(side: str) -> None:
        done = measure(side, task, members, taken[side], options)
        done["total"] += done["running"] * (steps / taken[side] - 1)
        runs.setdefault(side, []).append(done)

    for side in ("lrjax", *PEERS):
        run(side)
    fastest = sorted(PEERS, key=lambda peer: -runs[peer][0]["rate"])[:_CONTENDERS]
    sides = ["lrjax", *fastest, fastest[0] + BARE]
    run(sides[-1])
    for _ in range(options.repeats - 1):
        sides.reverse()
        for side in sides:
            run(side)
    cell = Cell(task, members, steps, runs)
    say(f"{' | '.join(cell.row())}; {runs['lrjax'][-1]['why']}")
    return cell


def report(cells: Sequence[Cell], roofline: dict[str, Any] | None, options: argparse.Namespace) -> str:
    about = "import jax, lrjax; print(jax.__version__, lrjax.__version__, jax.devices()[0].device_kind)"
    done = subprocess.run([sys.executable, "-c", about], check=True, capture_output=True, text=True)
    jax_version, version, device = done.stdout.split(maxsplit=2)
    lines = [
        f"{datetime.date.today()}, {device.strip()} ({_processor()}, {cores()} cores), "
        f"Python {platform.python_version()}, jax {jax_version}, lrjax {version}, Adam, "
        f"{options.repeats} repeats, medians; member-steps per second, without compiling; "
        "ratios are how many times as fast lrjax is.",
        "",
        f"| {' | '.join(HEAD)} |",
        f"|{'---|' * len(HEAD)}",
        *(f"| {' | '.join(cell.row())} |" for cell in cells),
        "",
        f"Least ratio to the best peer: {min(cell.ratio for cell in cells):.2f}; "
        f"geometric mean: {statistics.geometric_mean(cell.ratio for cell in cells):.2f}.",
    ]
    if roofline:
        lines += [
            "",
            f"Matrix products of a step of the wide MLP, alone, all cores: {1e3 / roofline['rate']:.2f} ms "
            f"({roofline['flops'] / 1e9:.0f} Gflop/s). lrjax reaches of that rate: "
            + ", ".join(
                f"{cell.rate['lrjax'] / roofline['rate']:.2f} at K = {cell.members}"
                for cell in cells
                if cell.task == "wide"
            )
            + ".",
        ]
    return "\n".join(lines)


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS)
    parser.add_argument("--members", nargs="+", type=int, default=MEMBERS)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="that the fastest side runs")
    parser.add_argument("--plan", default="auto", help="how lrjax runs the members")
    parser.add_argument("--quick", action="store_true", help="one short repeat")
    parser.add_argument("--output", type=Path, help="a file to write the report to as well")
    parser.add_argument("--side", choices=(*SIDES, "roofline"), help="run this side alone, print JSON")
    parser.add_argument("--steps", type=int, default=100, help="of --side")
    options = parser.parse_args()
    if options.side:
        print(json.dumps(run_side(options)))
        return
    if options.quick:
        options.repeats, options.seconds = 1, min(options.seconds, 1.0)

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    cells, rooflines = [], []
    for task in options.tasks:
        about = calibrate(task, options)
        for members in options.members:
            if task == "wide":
                rooflines.append(measure("roofline", task, members, 1, options))
            cells.append(measure_cell(task, members, about, options, say))
    text = report(cells, max(rooflines, key=lambda found: found["rate"], default=None), options)
    print(text)
    if options.output:
        options.output.write_text(f"# Sweeps next to hand-written loops\n\n{text}\n")


def run_side(options: argparse.Namespace) -> dict[str, Any]:
    (task, *_), (members, *_) = options.tasks, options.members
    if options.side == "roofline":
        return run_roofline(options.seconds)
    if options.side == "lrjax":
        return run_lrjax(task, members, options.steps, options.plan)
    bare = options.side.endswith(BARE)
    return run_peer(task, members, options.steps, options.side.removesuffix(BARE), bare)


if __name__ == "__main__":
    main()
