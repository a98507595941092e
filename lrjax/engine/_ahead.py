"""What the next chunk's batches are gathered from, made while this chunk trains."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any, Self


class Ahead:
    """Remembers what was made last, and makes in a thread what each source is expected to give next.

    Example:
      >>> from contextlib import nullcontext
      >>> from lrjax.engine._ahead import Ahead
      >>> with Ahead(nullcontext) as ahead:
      ...     first = ahead.get("letters", 1, lambda: "a")
      ...     ahead.expect("letters", 2, lambda: "b")
      ...     second = ahead.get("letters", 2, lambda: "made anew")
      >>> first, second
      ('a', 'b')
    """

    def __init__(self, configuration: Callable[[], AbstractContextManager[Any]]) -> None:
        self._configuration = configuration  # threads do not inherit it
        self._last: tuple[Hashable, Hashable, Any] | None = None
        self._next: dict[Hashable, tuple[Hashable, Future[Any]]] = {}
        self._thread = ThreadPoolExecutor(1, "lrjax-ahead")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._thread.shutdown(cancel_futures=True)

    def get(self, source: Hashable, name: Hashable, make: Callable[[], Any]) -> Any:
        """What was made last, if that is it, or was expected, or else is made now."""
        if self._last is None or self._last[:2] != (source, name):
            self._last = None
            expected = self._next.pop(source, None)
            made = expected[1].result() if expected is not None and expected[0] == name else make()
            self._last = (source, name, made)
        return self._last[2]

    def expect(self, source: Hashable, name: Hashable, make: Callable[[], Any]) -> None:
        """Begins to make what is needed next, unless it has begun."""
        if source not in self._next or self._next[source][0] != name:
            self._next[source] = (name, self._thread.submit(self._configured, make))

    def _configured(self, make: Callable[[], Any]) -> Any:
        with self._configuration():
            return make()
