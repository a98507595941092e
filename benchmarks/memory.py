"""How much memory a sweep takes at its peak, next to what its members' numbers take.

The promise: at most 1.3 x K x (2 x (parameters + optimizer state) + gradients) and one copy of the data;
with plan="lean" 1.3 x K x (parameters + optimizer state + gradients) and the data. Every plan runs in a
fresh process, which first trains one member for one chunk, so that libraries, programs and threads are
there. What is reported is the peak during the sweep over what is taken before its data are made: resident
memory on the CPU (Linux only), bytes in use on an accelerator.

Run: python benchmarks/memory.py [--plans pool vmap lean] [--members 16] [--width 1024] [--repeats 3]
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import math
import platform
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

BATCH, FEATURES, CLASSES, EXAMPLES = 64, 784, 10, 4096
MARGIN = 1.3


def trial_of(width: int) -> Any:
    """A network with two hidden layers of so many units, with Adam."""
    import jax
    import jax.numpy as jnp

    import lrjax

    shapes = list(itertools.pairwise((FEATURES, width, width, CLASSES)))

    def init(key: Any) -> list[Any]:
        keys = jax.random.split(key, len(shapes))
        pairs = zip(keys, shapes, strict=True)
        return [jax.random.normal(k, shape) * math.sqrt(2 / shape[0]) for k, shape in pairs]

    def loss(params: list[Any], batch: Any) -> Any:
        x, labels = batch
        for weights in params[:-1]:
            x = jax.nn.relu(x @ weights)
        logits = jax.nn.log_softmax(x @ params[-1])
        return -jnp.mean(jnp.take_along_axis(logits, labels[:, None], axis=1))

    return lrjax.trial(init, loss, lrjax.adam)


def data_of(examples: int) -> tuple[Any, Any]:
    import numpy as np

    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(examples, FEATURES)).astype(np.float32)
    return inputs, generator.integers(CLASSES, size=examples, dtype=np.int32)


class Gauge:
    """The most memory that is taken while it is open, over what was taken when it was made."""

    def __init__(self) -> None:
        self.before = self._now()
        self.most = self.before
        self._open = True
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Gauge:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._open = False
        self._thread.join()

    @property
    def taken(self) -> int:
        """Bytes over what was there before."""
        return self.most - self.before

    def _watch(self) -> None:
        while self._open:
            self.most = max(self.most, self._now())
            time.sleep(0.002)

    @staticmethod
    def _now() -> int:
        import jax

        stats = jax.devices()[0].memory_stats() or {}
        if "bytes_in_use" in stats:
            return stats["bytes_in_use"]
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmRSS:")).split()[1])


def run(plan: str, members: int, width: int, steps: int) -> dict[str, Any]:
    """One sweep in this process."""
    import jax

    import lrjax

    trial = trial_of(width)

    def sweep(members: int, examples: int, steps: int) -> Any:
        rates = [1e-4 * 10 ** (i / members) for i in range(members)]
        data = lrjax.batches(data_of(examples), batch_size=BATCH)
        return lrjax.sweep(trial, {"learning_rate": rates}, data, steps=steps, plan=plan, progress=False)

    state = jax.eval_shape(lambda key: trial.init(key, {"learning_rate": 1e-3}), jax.random.key(0))
    parameters = size(state.params)
    sweep(1, BATCH, 10)
    with Gauge() as gauge:
        done = sweep(members, EXAMPLES, steps)
    assert (done.diverged_at < 0).all()
    data = EXAMPLES * (FEATURES + 1) * 4
    optimizer = size(state.opt_state)
    copies = 1 if plan == "lean" else 2
    bound = members * (copies * (parameters + optimizer) + parameters)
    return {
        "plan": str(done.plan),
        "peak": gauge.taken,
        "data": data,
        "bound": bound,
        "ratio": (gauge.taken - data) / bound,
        "rate": done.cost.member_steps_used / done.cost.seconds_running,
    }


def size(tree: Any) -> int:
    import jax

    return sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(tree))


def measure(plan: str, options: argparse.Namespace) -> dict[str, Any]:
    command = [sys.executable, __file__, "--side", plan, "--members", str(options.members)]
    command += ["--width", str(options.width), "--steps", str(options.steps)]
    runs = []
    for _ in range(options.repeats):
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(command)}\n{done.stderr}")
        runs.append(json.loads(done.stdout.splitlines()[-1]))
    middle = {name: statistics.median(r[name] for r in runs) for name in ("peak", "ratio", "rate")}
    return runs[0] | middle


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--plans", nargs="+", default=["auto", "pool", "sequential", "vmap", "lean"])
    parser.add_argument("--members", type=int, default=16)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--side", help="run this plan alone, print JSON")
    options = parser.parse_args()
    if options.side:
        print(json.dumps(run(options.side, options.members, options.width, options.steps)))
        return
    about = "import jax, lrjax; print(jax.__version__, lrjax.__version__, jax.devices()[0].device_kind)"
    done = subprocess.run([sys.executable, "-c", about], check=True, capture_output=True, text=True)
    jax_version, version, device = done.stdout.split(maxsplit=2)
    shape = "-".join(map(str, (FEATURES, options.width, options.width, CLASSES)))
    print(
        f"{datetime.date.today()}, {device.strip()}, Python {platform.python_version()}, jax {jax_version}, "
        f"lrjax {version}, {shape}, Adam, K = {options.members}, {options.steps} steps, "
        f"{options.repeats} repeats, medians\n"
    )
    print("| plan asked | plan | peak, MB | data, MB | K x copies, MB | (peak - data) / that | promised |")
    print(f"|{'---|' * 7}")
    for plan in options.plans:
        found = measure(plan, options)
        cells = [plan, found["plan"], *(f"{found[name] / 1e6:.0f}" for name in ("peak", "data", "bound"))]
        print(f"| {' | '.join(cells)} | {found['ratio']:.2f} | {MARGIN} |", flush=True)


if __name__ == "__main__":
    main()
