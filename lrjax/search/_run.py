"""Running a job: a progress bar, a directory, a look at every chunk."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from lrjax import _check
from lrjax.engine import Archive, Job, Progress, train
from lrjax.results import AnotherSweep, SweepData
from lrjax.search._progress import progress_bar
from lrjax.search._result import Sweep, as_sweep


def how_to_go_on(directory: str | os.PathLike[str] | None) -> str:
    """What to do after an interrupt, the end of a sentence; so that commands may say it too."""
    if directory is None:
        return "nothing is stored: with a directory, asking the same again would go on from there"
    return f"asking the same again, with the directory {os.fspath(directory)!r}, goes on from there"


def run(
    call: str,
    job: Job,
    asked: tuple[int | None, int | None],
    directory: str | os.PathLike[str] | None,
    checkpoint_seconds: float,
    progress: bool | Literal["bar", "lines"],
    on_chunk: Callable[[Sweep], object] | None,
    stopped: Callable[[], bool] = lambda: False,
) -> Sweep:
    """Trains a job, with a progress bar, a directory and a look at every chunk; see `sweep`.

    Args:
      call: The public function the user called.
      job: What to train.
      asked: Steps between evaluations and between records, where the user asked for some.
      directory: Where to store, or None.
      checkpoint_seconds: Seconds between checkpoints at least.
      progress: Whether to show how far it is.
      on_chunk: Called after every chunk with what was measured so far.
      stopped: Whether to end after a chunk, as after a keyboard interrupt.
    """
    with contextlib.ExitStack() as stack:
        archive = None
        if directory is not None:
            check_place(call, Path(directory), search=False)
            archive = stack.enter_context(Archive(call, directory, float(checkpoint_seconds)))
            job = _with_intervals(job, asked, archive.intervals)
        show = stack.enter_context(progress_bar(progress, job.steps, job.points, job.name, call))

        def report(progress: Progress, measured: Callable[[], SweepData]) -> None:
            show(progress)
            if on_chunk is not None and progress.phase == "training":
                on_chunk(as_sweep(measured()))
            if stopped():
                raise KeyboardInterrupt

        try:
            result = as_sweep(train(job, report, archive))
        except Exception as error:
            if isinstance(measured := getattr(error, "sweep", None), SweepData):
                error.sweep = as_sweep(measured)  # type: ignore[attr-defined]
                error.add_note("what was measured until then is this error's attribute `sweep`")
            raise
        if directory is not None:
            result.save(directory)
    return result


def check_place(call: str, directory: Path, search: bool) -> None:
    """Requires that a directory holds no other result, which would be replaced.

    Args:
      call: The public function the user called.
      directory: Where it is to be stored.
      search: Whether a search is, which has folders for its stages; else a sweep, which has checkpoints.
    """
    try:
        is_search = "search" in json.loads((directory / "sweep.json").read_text())["settings"]
    except OSError:  # nothing is there, or nothing that can be read: whether it can be written is seen later
        return
    except (ValueError, KeyError, TypeError):
        is_search = False
    if is_search == search and (search or (directory / "checkpoints").is_dir()):
        return
    what = "search" if search else "sweep"
    got = f"{os.fspath(directory)}, where {'a search' if is_search else 'another sweep'} is stored"
    raise AnotherSweep(str(_check.fail(call, "directory", f"a directory of this {what}, or a new one", got)))


def _with_intervals(job: Job, asked: tuple[int | None, int | None], stored: tuple[int, int] | None) -> Job:
    """The job with the intervals of the sweep that is stored, where none are asked for."""
    if stored is None:
        return job
    evaluate_every, record_every = (
        own if wish is not None else before
        for wish, own, before in zip(asked, (job.evaluate_every, job.record_every), stored, strict=True)
    )
    return job._replace(evaluate_every=evaluate_every, record_every=record_every)
