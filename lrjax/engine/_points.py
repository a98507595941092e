"""Hyperparameters of many runs: which are numbers in the program, which select a program."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from lrjax import _check

_INT32 = np.iinfo(np.int32)


class Group(NamedTuple):
    """Points that share one program.

    Attributes:
      members: The points' indices.
      static: Hyperparameters that select the program, by name.
      numeric: Hyperparameters that are numbers in it, by name: float32 or int32 `[points]`.
      names: All hyperparameters, in the grid's order.
    """

    members: tuple[int, ...]
    static: dict[str, Any]
    numeric: dict[str, np.ndarray]
    names: tuple[str, ...]

    def hyperparams(self, position: int) -> dict[str, Any]:
        """The hyperparameters of one point of the group, concrete."""
        numbers = {name: values[position] for name, values in self.numeric.items()}
        return {name: numbers[name] if name in numbers else self.static[name] for name in self.names}


def group(points: Sequence[Mapping[str, Any]], static: Sequence[str]) -> list[Group]:
    """Points by the program they need, in the order of their first.

    Args:
      points: The hyperparameters of each point, all with the same names.
      static: Names whose numbers must reach the trial as Python numbers.

    Raises:
      TypeError: If a value is neither a scalar, a bool, a string, None nor a callable.
    """
    names = list(points[0])
    plain = [{name: _plain(name, point[name]) for name in names} for point in points]
    numeric = [name for name in names if name not in static and all(_is_number(p[name]) for p in plain)]
    dtypes = {name: _dtype([p[name] for p in plain]) for name in numeric}
    groups: dict[Any, list[int]] = {}
    for index, point in enumerate(plain):
        key = tuple(
            (name, type(point[name]), _hashable(point[name])) for name in names if name not in numeric
        )
        groups.setdefault(key, []).append(index)
    return [
        Group(
            members=tuple(members),
            static={name: plain[members[0]][name] for name in names if name not in numeric},
            numeric={name: np.array([plain[i][name] for i in members], dtypes[name]) for name in numeric},
            names=tuple(names),
        )
        for members in groups.values()
    ]


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, (np.generic, np.ndarray, jax.Array)) and value.ndim == 0:
        value = value.item()
    if value is None or isinstance(value, (bool, str, numbers.Real)) or callable(value):
        return value
    expected = "a number, a bool, a string, None or a callable"
    raise _check.fail_type("sweep", f"grid[{name!r}]", expected, _check.describe(value))


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _dtype(values: Sequence[Any]) -> type:
    whole = all(isinstance(v, numbers.Integral) and _INT32.min <= int(v) <= _INT32.max for v in values)
    return np.int32 if whole else np.float32


def _hashable(value: Any) -> Any:
    try:
        hash(value)
    except TypeError:
        return id(value)
    return value
