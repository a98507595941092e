"""How much longer `import lrjax` takes than `import jax`: fresh processes, alternating, medians.

Run: python benchmarks/import_time.py [--repeats 15]
"""

import argparse
import platform
import statistics
import subprocess
import sys

CLOCK = "import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"


def seconds(module: str) -> float:
    result = subprocess.run(
        [sys.executable, "-c", CLOCK.format(module=module)], check=True, capture_output=True, text=True
    )
    return float(result.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats
    pairs = [(seconds("jax"), seconds("lrjax")) for _ in range(repeats + 1)][1:]  # the first warms the disk
    jax_seconds, lrjax_seconds = (statistics.median(side) for side in zip(*pairs, strict=True))
    more = statistics.median(lrjax - jax for jax, lrjax in pairs)
    version = subprocess.run(
        [sys.executable, "-c", "import jax, lrjax; print(jax.__version__, lrjax.__version__)"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    python = platform.python_version()
    print(f"Python {python}, jax {version[0]}, lrjax {version[1]}, {repeats} repeats, medians")
    print(f"import jax    {jax_seconds:.3f} s")
    print(f"import lrjax  {lrjax_seconds:.3f} s  ({lrjax_seconds / jax_seconds:.2f} x)")
    print(f"more          {more:.3f} s")


if __name__ == "__main__":
    main()
