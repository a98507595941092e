"""The grid of a sweep: which points are trained."""

from __future__ import annotations

import itertools
import math
import numbers
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from lrjax import _check


def points(call: str, grid: Any, name: str) -> list[dict[str, Any]]:
    """The points of a grid, checked.

    Args:
      call: The public function the user called.
      grid: A dict of name to values (their product), or a list of dicts.
      name: The hyperparameter that is the learning rate; its values must be > 0.

    Raises:
      TypeError: If the grid is of another form.
      ValueError: If it is empty, holds a point twice, or a rate that is not a finite number > 0.
    """
    if isinstance(grid, Mapping):
        columns = {key: _values(call, key, values) for key, values in grid.items()}
        found = [dict(zip(columns, row, strict=True)) for row in itertools.product(*columns.values())]
    elif (
        isinstance(grid, Sequence) and not isinstance(grid, str) and all(isinstance(p, Mapping) for p in grid)
    ):
        found = [{key: _plain(value) for key, value in point.items()} for point in grid]
    else:
        expected = "a dict of name to values, or a list of dicts"
        raise _check.fail_type(call, "grid", expected, _check.describe(grid))
    if not found:
        raise _check.fail(call, "grid", "at least one point", "none")
    for point in found:
        _check_names(call, point)
        if name in point:
            _check_rate(call, name, point[name])
        _check_finite(call, point)
    _check_distinct(call, found)
    return found


def beside(call: str, hyperparams: Any, name: str, what: str) -> dict[str, Any]:
    """The hyperparameters beside the one that a search moves, checked.

    Args:
      call: The public function the user called.
      hyperparams: One value each, by name; None for none.
      name: The hyperparameter that is moved.
      what: What becomes of it, as in "which climbs".
    """
    if hyperparams is None:
        return {}
    if not isinstance(hyperparams, Mapping) or not all(isinstance(key, str) for key in hyperparams):
        expected = "a dict of name to value, or None"
        raise _check.fail_type(call, "hyperparams", expected, _check.describe(hyperparams))
    if name in hyperparams:
        expected = f"the hyperparameters beside {name!r}, {what}"
        raise _check.fail(call, "hyperparams", expected, f"one with {name!r}")
    found = {key: _plain(value) for key, value in hyperparams.items()}
    for key, value in found.items():
        argument = f"hyperparams[{key!r}]"
        if isinstance(value, numbers.Real) and not math.isfinite(_as_trained(value)):
            raise _check.fail(call, argument, "a finite number (in float32)", _check.describe(value))
        if not (value is None or isinstance(value, (bool, str, numbers.Real)) or callable(value)):
            expected = "one number, bool, string, None or callable"
            raise _check.fail_type(call, argument, expected, _check.describe(value))
    return found


def check_ends(call: str, minimum: float | None, maximum: float | None) -> None:
    """Requires of the ends of a range of rates that they are in order, also in float32; None is no end."""
    low = 0.0
    for argument, end in (("minimum", minimum), ("maximum", maximum)):
        if end is None:
            continue
        _check.number(call, argument, end, low=low, open_low=True)
        if not _as_trained(low) < _as_trained(end) < math.inf:
            raise _check.fail(call, argument, f"one finite number > {low:g} (in float32)", f"{float(end):g}")
        low = float(end)


def identity(point: Mapping[str, Any]) -> Hashable:
    """What tells a point from others: numbers are compared as float32, as they are trained."""
    return tuple((name, _identity(_plain(point[name]))) for name in sorted(point))


def log_spaced(minimum: float, maximum: float, count: int) -> list[float]:
    """Rates at equal ratios from `minimum` to `maximum`, both included."""
    if count == 1:
        return [minimum]
    return [float(rate) for rate in np.geomspace(minimum, maximum, count)]


def _values(call: str, name: Any, values: Any) -> list[Any]:
    if isinstance(values, (np.ndarray, jax.Array)) and values.ndim == 1:
        values = list(np.asarray(values))
    if isinstance(values, (list, tuple, range)):
        if not len(values):
            raise _check.fail(call, f"grid[{name!r}]", "at least one value", "none")
        return [_plain(value) for value in values]
    if isinstance(values, (np.ndarray, jax.Array)) and values.ndim > 1:
        raise _check.fail_type(call, f"grid[{name!r}]", "a list of values", _check.describe(values))
    return [_plain(values)]  # one value for all points


def _plain(value: Any) -> Any:
    if isinstance(value, (np.generic, np.ndarray, jax.Array)) and value.ndim == 0:
        return value.item()
    if isinstance(value, numbers.Real) and not isinstance(value, (bool, int, float)):
        return float(value)  # a fraction, say
    return value


def _check_names(call: str, point: Mapping[Any, Any]) -> None:
    for key in point:
        if not isinstance(key, str):
            raise _check.fail_type(call, "grid", "a dict with names as keys", f"the key {key!r}")


def _check_rate(call: str, name: str, rate: Any) -> None:
    if isinstance(rate, bool) or not isinstance(rate, numbers.Real):
        raise _check.fail_type(call, f"grid[{name!r}]", "finite numbers > 0", _check.describe(rate))
    if not 0 < _as_trained(rate) < math.inf:
        raise _check.fail(call, f"grid[{name!r}]", "finite numbers > 0 (in float32)", _check.describe(rate))


def _check_finite(call: str, point: Mapping[str, Any]) -> None:
    for key, value in point.items():
        if isinstance(value, numbers.Real) and not math.isfinite(_as_trained(value)):
            raise _check.fail(call, f"grid[{key!r}]", "finite numbers (in float32)", _check.describe(value))


def _check_distinct(call: str, found: Sequence[Mapping[str, Any]]) -> None:
    """Requires that no two points train the same."""
    seen: dict[Any, Mapping[str, Any]] = {}
    for point in found:
        key = identity(point)
        if key in seen:
            twice = ", ".join(f"{name}={value!r}" for name, value in point.items()) or "no hyperparameters"
            raise _check.fail(call, "grid", "points that differ (in float32)", f"{twice} twice")
        seen[key] = point


def _identity(value: Any) -> Any:
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        return _as_trained(value) if not isinstance(value, numbers.Integral) else int(value)
    return (type(value).__name__, value if value.__hash__ else id(value))


def _as_trained(value: Any) -> float:
    try:
        with np.errstate(over="ignore"):
            return float(np.float32(value))
    except OverflowError:  # an integer that float64 does not hold either
        return math.inf
