"""How far a search is: steps, members alive, best so far, time left; as a bar, or as lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from lrjax import _check
from lrjax.engine import Progress

_LINES = 10  # in a log, for a whole job
_SECONDS = 60.0  # between lines at most, where something is told at all

Show = Callable[[Progress], None]


def check_progress(call: str, shown: Any) -> None:
    """Requires that `shown` says how to show progress; `call` is what the user called."""
    if isinstance(shown, str) and shown not in ("bar", "lines"):
        raise _check.fail(call, "progress", "True, False, 'bar' or 'lines'", repr(shown))


@contextmanager
def progress_bar(
    shown: bool | str, steps: int, points: Sequence[Mapping[str, Any]], name: str, call: str = "sweep"
) -> Iterator[Show]:
    """A function that shows how far a job is, called after every chunk.

    Args:
      shown: "bar" or "lines"; True for a bar where standard error is a terminal or a notebook's, else lines;
        False for nothing.
      steps: Those of a member.
      points: What is trained.
      name: The hyperparameter that is the learning rate.
      call: The public function the user called.

    Raises:
      ValueError: If `shown` is none of these.
    """
    check_progress(call, shown)
    if not shown:
        yield lambda progress: None
    elif shown == "bar" or (shown != "lines" and _can_draw()):
        with _bar(steps, points, name, call) as show:
            yield show
    else:
        yield _lines(steps, points, name, call)


def _can_draw() -> bool:
    return sys.stderr.isatty() or "ipykernel" in sys.modules


@contextmanager
def _bar(steps: int, points: Sequence[Mapping[str, Any]], name: str, call: str) -> Iterator[Show]:
    from tqdm.auto import tqdm

    # The delay keeps the bar away until the first chunk is done: an error found before any training
    # is then all that is printed.
    form = "{l_bar}{bar}| {n:.0f}/{total} steps [{elapsed}<{remaining}{postfix}]"
    with tqdm(
        total=steps, desc=call.replace("_", " "), bar_format=form, dynamic_ncols=True, delay=1e-3
    ) as bar:

        def show(progress: Progress) -> None:
            bar.set_postfix_str(_text(progress, points, name), refresh=False)
            bar.update(progress.fraction * steps - bar.n)

        yield show


def _lines(steps: int, points: Sequence[Mapping[str, Any]], name: str, call: str) -> Show:
    """A line for each tenth of the job, and where that takes long, for each minute."""
    from tqdm import tqdm

    began = last = time.monotonic()
    told = 0

    def show(progress: Progress) -> None:
        nonlocal last, told
        now, tenths = time.monotonic(), int(progress.fraction * _LINES)
        if tenths <= told and now - last < _SECONDS:
            return
        last, told = now, max(told, tenths)
        passed = now - began
        left = passed * (1 / progress.fraction - 1) if progress.fraction else None
        times = f"{tqdm.format_interval(passed)}<{'?' if left is None else tqdm.format_interval(left)}"
        doing = "" if progress.phase == "training" else f"{progress.phase}, "
        done = f"{progress.fraction:4.0%} {progress.fraction * steps:.0f}/{steps} steps"
        text = _text(progress, points, name)
        print(f"{call.replace('_', ' ')}: {done} [{times}, {doing}{text}]", file=sys.stderr, flush=True)

    return show


def _text(progress: Progress, points: Sequence[Mapping[str, Any]], name: str) -> str:
    alive = f"{progress.alive}/{progress.members} alive"
    if progress.best is None:
        return alive
    rate = points[progress.best].get(name)
    where = f" at {rate:.3g}" if isinstance(rate, (int, float)) else ""
    return f"{alive}, best {progress.loss:.4g}{where}"
