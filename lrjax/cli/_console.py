"""What goes where: results to standard output, everything else to standard error; and exit codes."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lrjax._values import encodable, strict

FOUND, NO_RATE, BAD_INPUT, ERROR, INTERRUPTED, NOBODY_READS = 0, 1, 2, 3, 130, 141
EXIT_CODES = (
    "exit codes: 0 a rate was found, 1 none can be recommended, 2 bad input, 3 another error, 130 interrupted"
)


class Console:
    """Standard output and standard error, as loud as was asked for.

    With `json`, standard output gets one JSON object at the end and nothing else, whatever a task prints.
    """

    def __init__(self, json: bool = False):
        self._json = json
        self._quiet = self._verbose = False
        self._written = ""

    def set_level(self, quiet: bool, verbose: bool) -> None:
        """Says how much to tell."""
        self._quiet, self._verbose = quiet, verbose

    @contextlib.contextmanager
    def own_output(self) -> Iterator[None]:
        """Sends what anybody else prints to standard error, if standard output is for JSON."""
        with contextlib.redirect_stdout(sys.stderr) if self._json else contextlib.nullcontext():
            yield

    def tell(self, text: str) -> None:
        """Part of the result for people, which --quiet leaves out."""
        if not self._quiet and not self._json:
            print(encodable(text), flush=True)

    def answer(self, text: str) -> None:
        """What was asked for, in words."""
        if not self._json:
            print(encodable(text), flush=True)

    def detail(self, text: str) -> None:
        """What only --verbose shows."""
        if self._verbose:
            print(text, file=sys.stderr, flush=True)

    def warn(self, text: str) -> None:
        """What went wrong without being an error."""
        if not self._quiet:
            print(text, file=sys.stderr, flush=True)

    def written(self, directory: Path) -> None:
        """Where what was measured is from now on, whatever happens."""
        self._written = str(directory)

    def interrupted(self) -> int:
        """One line that says what is left after Ctrl-C; returns the exit code."""
        left = (
            f"; what was measured is in {self._written}" if self._written else " before anything was measured"
        )
        return self.fail(f"interrupted{left}", INTERRUPTED)

    def finish(self, about: dict[str, Any]) -> None:
        """The result for machines."""
        if self._json:
            print(json.dumps(strict(about), allow_nan=False), flush=True)

    def fail(self, message: str, code: int) -> int:
        """One line that says what is wrong; returns the exit code."""
        shown = message if code == INTERRUPTED else f"error: {message}"
        print(f"lrjax: {shown}", file=sys.stderr)
        self.finish({"exit_code": code, "error": message})
        return code
