"""What a public function takes for its data."""

from __future__ import annotations

from typing import Any

from lrjax import _check
from lrjax.data._batches import Batches, as_examples
from lrjax.data._data import Data
from lrjax.data._iterable import FromIterable
from lrjax.data._source import unfit


def as_data(call: str, argument: str, value: Any) -> Data:
    """A `Data`, or an iterable of batches made one; says how to make one of what else came."""
    if isinstance(value, Data):
        return value
    reason = unfit(value)
    if reason is None:
        return FromIterable(value, call, argument)
    expected = (
        "data made by `lrjax.batches(arrays, batch_size)`, `lrjax.from_function(f, on_device=...)` or "
        "`lrjax.cached(iterable, steps)`, or an iterable of batches"
    )
    raise _check.fail_type(call, argument, expected, f"a {type(value).__name__}{reason}")


def as_held_out(call: str, argument: str, value: Any, *, batch_size: int = 1024) -> tuple[Any, int, int]:
    """Arrays to evaluate on, how many examples they hold, and how many are taken at a time."""
    if isinstance(value, Batches):
        return value.arrays, value.examples, value.batch_size
    if isinstance(value, Data) or callable(value):
        expected = "arrays with a leading example axis, or `lrjax.batches` of them (one epoch is scored)"
        raise _check.fail_type(call, argument, expected, f"a {type(value).__name__}")
    arrays, examples = as_examples(call, value, argument)
    return arrays, examples, min(examples, batch_size)
