"""Checks that many schedules share: one call for each kind of number."""

from __future__ import annotations

from collections.abc import Sequence

from lrjax import _check
from lrjax._types import ScalarLike


def finite(call: str, **values: ScalarLike) -> None:
    """Requires finite real numbers."""
    for argument, value in values.items():
        _check.number(call, argument, value)


def nonnegative(call: str, **values: ScalarLike) -> None:
    """Requires numbers >= 0, such as numbers of steps."""
    for argument, value in values.items():
        _check.number(call, argument, value, low=0)


def positive(call: str, **values: ScalarLike) -> None:
    """Requires numbers > 0."""
    for argument, value in values.items():
        _check.number(call, argument, value, low=0, open_low=True)


def fractions(call: str, **values: ScalarLike) -> None:
    """Requires numbers in [0, 1]."""
    for argument, value in values.items():
        _check.number(call, argument, value, low=0, high=1)


def ordered(call: str, argument: str, values: Sequence[ScalarLike]) -> None:
    """Requires that the numbers, as far as they are known, do not decrease."""
    known = [value for value in map(_check.known, values) if value is not None]
    if known != sorted(known):
        raise _check.fail(call, argument, "in increasing order", [f"{value:g}" for value in known])


def beyond(call: str, argument: str, value: ScalarLike, other: str, bound: ScalarLike) -> None:
    """Requires a number greater than that of another argument, where both are known."""
    x, low = _check.known(value), _check.known(bound)
    if x is not None and low is not None and x <= low:
        raise _check.fail(call, argument, f"greater than {other}={low:g}", f"{x:g}")


def one_of(call: str, argument: str, value: object, options: Sequence[str]) -> None:
    """Requires one of a few words: an argument that selects structure."""
    if not isinstance(value, str) or value not in options:
        expected = " or ".join(f'"{option}"' for option in options) + " (it is static)"
        raise _check.fail(call, argument, expected, _check.describe(value))
