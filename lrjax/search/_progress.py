"""A progress bar for sweeps: steps, members alive, best so far, time left."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from lrjax.engine import Progress


@contextmanager
def progress_bar(
    shown: bool, steps: int, points: Sequence[Mapping[str, Any]], name: str, call: str = "sweep"
) -> Iterator[Callable[[Progress], None]]:
    """A function that shows how far a job is, called after every chunk."""
    if not shown:
        yield lambda progress: None
        return
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


def _text(progress: Progress, points: Sequence[Mapping[str, Any]], name: str) -> str:
    alive = f"{progress.alive}/{progress.members} alive"
    if progress.best is None:
        return alive
    rate = points[progress.best].get(name)
    where = f" at {rate:.3g}" if isinstance(rate, (int, float)) else ""
    return f"{alive}, best {progress.loss:.4g}{where}"
