"""`--every N` thins the tests: of each test's cases it runs one in N."""

from __future__ import annotations

import collections
from typing import Any


def pytest_addoption(parser: Any) -> None:
    """Adds the option."""
    what = "of each test's cases run the first and every Nth after it"
    parser.addoption("--every", type=int, default=1, metavar="N", help=what)


def pytest_collection_modifyitems(config: Any, items: list[Any]) -> None:
    """Leaves the other cases out."""
    every = config.getoption("every")
    seen: collections.Counter[str] = collections.Counter()
    kept, left_out = [], []
    for item in items:
        name = item.nodeid.partition("[")[0]
        (left_out if seen[name] % every else kept).append(item)
        seen[name] += 1
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = kept
