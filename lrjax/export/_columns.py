"""What columns and variables are called, and hyperparameters as columns."""

from __future__ import annotations

from collections.abc import Container
from typing import Any, NamedTuple

import numpy as np

from lrjax._values import encodable, identity, is_number, name_of, plain
from lrjax.results import SweepData

OWN = (  # what lrjax's own columns and dimensions are called
    *("point", "seed", "step", "held_out_step"),
    *("final_loss", "score", "failed", "regime"),
    *("diverged_at", "stopped_at", "dropped_at", "cause", "leaf"),
    *("train_best_step", "held_out_best_step"),
)


class Names(NamedTuple):
    """What each hyperparameter and each metric is called: no name stands twice.

    Attributes:
      hyperparameters: Their own names, unless one of the others has it.
      train: Training metrics, "train_" before their names.
      held_out: Held-out metrics, "held_out_" before their names.
      test: Metrics on the test data, "test_" before their names.
    """

    hyperparameters: dict[str, str]
    train: dict[str, str]
    held_out: dict[str, str]
    test: dict[str, str]


def names(data: SweepData) -> Names:
    """The names of everything that a sweep holds, the same in tables and data sets."""
    taken = set(OWN)
    train, held_out, test = (
        {name: free(f"{prefix}{name}", taken) for name in table}
        for prefix, table in (("train_", data.metrics), ("held_out_", data.held_out), ("test_", data.test))
    )
    for name in (*train.values(), *held_out.values()):
        taken |= {f"{name}_final", f"{name}_best"}
    return Names({name: free(name, taken) for name in data.points}, train, held_out, test)


def free(name: str, taken: set[str]) -> str:
    """The name, or with as many underscores behind it as it takes to be a new one; it is taken then."""
    name = encodable(name)
    while name in taken:
        name += "_"
    taken.add(name)
    return name


def hyperparameter(data: SweepData, name: str) -> np.ndarray:
    """A hyperparameter's value at each point, `[points]`; see `column`."""
    values = data.points[name]
    if values.dtype != object:
        return values
    return column(list(values), set(data.settings.get("absent", {}).get(name, ())))


def column(values: list[Any], absent: Container[int] = ()) -> np.ndarray:
    """Values as a column: of numbers or of bools if all are, else of objects: these, None and text.

    A callable is its name, with a number behind it where several have the same one. NaN stands where there
    is no value; None is one.
    """
    found = _without_objects(values)
    shown = [value for place, value in enumerate(found) if place not in absent]
    filled = [np.nan if place in absent else value for place, value in enumerate(found)]
    if shown and all(isinstance(value, bool) for value in shown) and len(shown) == len(found):
        return np.array(filled, bool)
    if shown and all(map(is_number, shown)):
        return np.array(filled)
    made = np.empty(len(found), object)
    made[:] = filled
    return made


def texts(values: np.ndarray) -> np.ndarray:
    """A column of objects as text, "" where there is none; numbers and bools stay what they are."""
    if values.dtype != object:
        return values
    return np.array(["" if _missing(value) else name_of(value) for value in values])


def _without_objects(values: list[Any]) -> list[Any]:
    """Numbers, bools, None and text; what is none of them by its name, so that different ones differ."""
    called: dict[Any, str] = {}
    taken: set[str] = set()
    found = []
    for value in map(plain, values):
        if value is None or isinstance(value, (bool, int, float)):
            found.append(value)
        elif isinstance(value, str):
            found.append(encodable(value))
        else:
            key = identity(value)
            if key not in called:
                name, number = encodable(name_of(value)), 1
                while (text := name if number == 1 else f"{name} {number}") in taken:
                    number += 1
                taken.add(text)
                called[key] = text
            found.append(called[key])
    return found


def _missing(value: Any) -> bool:
    return isinstance(value, float) and value != value
