"""The report: all parts of the page, in one file."""

from __future__ import annotations

import os
from pathlib import Path

from lrjax._files import file_to_write, write_whole
from lrjax.answer import Answer
from lrjax.report import _basin, _curves, _headline, _heat, _library, _made, _rungs, _table, _text
from lrjax.report._page import Section, page, place
from lrjax.report._view import View, view
from lrjax.results import SweepData


def report_html(
    data: SweepData, answer: Answer, *, title: str | None = None, command: str | None = None
) -> str:
    """A sweep as the text of one HTML file, which asks no network for anything.

    Args:
      data: A sweep's measurements.
      answer: What they mean.
      title: The page's heading; None for "Learning-rate sweep".
      command: How the sweep was started, to be shown at the end; None for what `settings["command"]`, which
        the command line writes, says.

    Returns:
      The file's text, about 5 MB: it holds the charting library.

    Raises:
      ImportError: If plotly is not installed.

    Example:
      >>> import lrjax
      >>> task = lrjax.tasks.load("quadratic-deep")
      >>> grid = {"learning_rate": [0.01, 0.03]}
      >>> sweep = lrjax.sweep(task.trial(lrjax.sgd), grid, task.data, steps=20, progress=False)
      >>> "Use learning_rate = 0.03" in report_html(sweep, sweep.answer)
      True
    """
    library, version = _library.plotly_js()
    seen = view(data, answer)
    basin, curves, halving = _basin.basin(seen), _curves.curves(seen), _rungs.halving(seen)
    heat_maps = _heat.heat_maps(seen)
    sections = [
        Section("answer", "The answer", _headline.headline(seen)),
        Section("loss", basin.title, place(basin)),
        Section(
            "training",
            "Training curves",
            "<p>No losses were recorded.</p>" if curves is None else place(curves),
        ),
    ]
    sections += [Section(f"pair-{figure.name}", figure.title, place(figure)) for figure in heat_maps]
    if halving is not None:
        sections.append(Section("allocation", halving.title, place(halving, _rungs.rung_table(seen))))
    sections += [
        Section("table", "All points", _table.table(seen)),
        Section("made", "How it was made", _made.made(seen, command, version)),
    ]
    figures = [figure for figure in (basin, curves, *heat_maps, halving) if figure is not None]
    return page(title or "Learning-rate sweep", _size(seen), sections, figures, library)


def write_report(
    data: SweepData,
    answer: Answer,
    path: str | os.PathLike[str],
    *,
    title: str | None = None,
    command: str | None = None,
) -> Path:
    """Writes `report_html` to a file, which appears whole or not at all.

    Args:
      data: A sweep's measurements.
      answer: What they mean.
      path: The file; its directory is made if it is not there, and what was there is replaced.
      title: See `report_html`.
      command: See `report_html`.

    Returns:
      The file's path.

    Raises:
      ImportError: If plotly is not installed.
      IsADirectoryError: If `path` is a directory.
      OSError: If the file cannot be written.

    Example:
      >>> import pathlib, tempfile, lrjax
      >>> task = lrjax.tasks.load("quadratic-deep")
      >>> grid = {"learning_rate": [0.01, 0.03]}
      >>> sweep = lrjax.sweep(task.trial(lrjax.sgd), grid, task.data, steps=20, progress=False)
      >>> with tempfile.TemporaryDirectory() as directory:
      ...     write_report(sweep, sweep.answer, pathlib.Path(directory) / "sweep.html").name
      'sweep.html'
    """
    file = file_to_write("report", path)
    write_whole({file: report_html(data, answer, title=title, command=command)})
    return file


def _size(seen: View) -> str:
    """How large the sweep is, in words."""
    sizes = (_text.count(seen.points, "point"), f"{seen.seeds_in_words} seed{'s' * (seen.seeds != 1)}")
    return " x ".join((*sizes, _text.count(seen.data.steps, "step")))
