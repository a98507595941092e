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
      names: The hyperparameters that the trial gets, in the grid's order.
      of_data: The hyperparameters that the data get.
    """

    members: tuple[int, ...]
    static: dict[str, Any]
    numeric: dict[str, np.ndarray]
    names: tuple[str, ...]
    of_data: dict[str, Any]

    def hyperparams(self, position: int) -> dict[str, Any]:
        """The hyperparameters of one point of the group, concrete."""
        numbers = {name: values[position] for name, values in self.numeric.items()}
        return {name: numbers[name] if name in numbers else self.static[name] for name in self.names}


def group(
    points: Sequence[Mapping[str, Any]], static: Sequence[str], of_data: Sequence[str] = ()
) -> list[Group]:
    """Points by the program they need, in the order of their first.

    Args:
      points: The hyperparameters of each point.
      static: Names whose numbers must reach the trial as Python numbers.
      of_data: Names that the data depend on; the trial gets them if they are static too.

    Raises:
      TypeError: If a value is neither a scalar, a bool, a string, None nor a callable.
    """
    plain = [{name: _plain(name, value) for name, value in point.items()} for point in points]
    values: dict[str, list[Any]] = {}
    for point in plain:
        for name, value in point.items():
            values.setdefault(name, []).append(value)
    numeric = {
        name: _dtype(found)
        for name, found in values.items()
        if name not in static and name not in of_data and all(map(_is_number, found))
    }
    groups: dict[Any, list[int]] = {}
    for index, point in enumerate(plain):
        key = tuple(
            (name, *(() if name in numeric else (type(value), _hashable(value))))
            for name, value in point.items()
        )
        groups.setdefault(key, []).append(index)
    return [_group(tuple(members), plain, numeric, static, of_data) for members in groups.values()]


def _group(
    members: tuple[int, ...],
    points: Sequence[Mapping[str, Any]],
    numeric: Mapping[str, type],
    static: Sequence[str],
    of_data: Sequence[str],
) -> Group:
    first = points[members[0]]
    names = tuple(name for name in first if name not in of_data or name in static)
    return Group(
        members=members,
        static={name: first[name] for name in names if name not in numeric},
        numeric={
            name: np.array([points[i][name] for i in members], numeric[name])
            for name in names
            if name in numeric
        },
        names=names,
        of_data={name: first[name] for name in of_data if name in first},
    )


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
