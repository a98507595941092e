"""Hyperparameters' values as others take them: plain, told apart, as text, as JSON."""

from __future__ import annotations

import functools
import math
from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """The Python value in a NumPy scalar."""
    return value.item() if isinstance(value, np.generic) else value


def identity(value: Any) -> Hashable:
    """What tells values apart: 1, 1.0 and True are three, NaN is one."""
    value = plain(value)
    if isinstance(value, float) and value != value:
        return float, "nan"
    return type(value), value if isinstance(value, Hashable) else repr(value)


def ordered(values: Iterable[Any]) -> tuple[list[Any], np.ndarray]:
    """The distinct values, and the place of each point's value among them.

    Numbers are sorted; anything else stays in the order in which it comes.
    """
    values = list(values)
    distinct = {identity(value): plain(value) for value in values}
    keys = list(distinct)
    if all(is_number(value) for value in distinct.values()):
        keys.sort(key=lambda key: distinct[key])
    place = {key: position for position, key in enumerate(keys)}
    return [distinct[key] for key in keys], np.array([place[identity(value)] for value in values], int)


def is_number(value: Any) -> bool:
    """Whether a value is a number, which a bool is not here."""
    return isinstance(plain(value), (int, float)) and not isinstance(plain(value), bool)


def name_of(value: Any) -> str:
    """A value in words: a function by its name, a lambda as "lambda", an object without words by its class.

    Nothing of it depends on where in the memory the value lies.

    Example:
      >>> name_of(len), name_of(lambda step: step), name_of(object()), name_of(None), name_of("auto")
      ('len', 'lambda', 'object', 'None', 'auto')
    """
    value = plain(value)
    if isinstance(value, functools.partial):
        return f"partial {name_of(value.func)}"
    if isinstance(name := getattr(value, "__name__", None), str):
        return "lambda" if name == "<lambda>" else name
    text = str(value)
    return type(value).__name__ if " at 0x" in text else text


def as_text(value: Any, digits: int = 4) -> str:
    """A value for people: floats with so many digits, everything else by `name_of`."""
    value = plain(value)
    return f"{value:.{digits}g}" if isinstance(value, float) else name_of(value)


def as_json(value: Any) -> Any:
    """A hyperparameter's value as JSON has them; other kinds by `name_of`. No number is changed."""
    value = plain(value)
    if value is None or isinstance(value, (bool, str, int, float)):
        return value
    return name_of(value)


def strict(value: Any) -> Any:
    """Anything made of dicts, sequences, arrays and values as strict JSON: what is not finite becomes None.

    float32 numbers are written in the fewest digits that read back as the same float32.
    """
    if isinstance(value, np.ndarray):
        return _of_array(value)
    if isinstance(value, dict):
        return {str(key): strict(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [strict(one) for one in value]
    if isinstance(value, np.generic) and value.dtype == np.float32:
        value = float(str(value))
    value = as_json(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def shortened(text: str, longest: int) -> str:
    """At most so many characters; of longer texts the middle is left out, since values stand at the end.

    Example:
      >>> shortened("a_name_that_is_long=0.9", 15)
      'a_name...ng=0.9'
    """
    if len(text) <= longest:
        return text
    head = max(1, (longest - 2) // 2)
    return f"{text[:head]}...{text[len(text) - max(1, longest - 3 - head) :]}"


def encodable(text: str) -> str:
    """Without halves of characters, which no file can hold."""
    return text.encode("utf-8", "replace").decode()


def _of_array(values: np.ndarray) -> Any:
    if values.dtype == np.float32:
        values = values.astype(str).astype(float)
    if values.dtype.kind == "f" and np.isfinite(values).all():
        return values.tolist()
    if values.dtype.kind in "biu":
        return values.tolist()
    return [strict(one) for one in values] if values.ndim else strict(values.item())
