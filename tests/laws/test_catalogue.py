"""The catalogue is complete: nothing public escapes the laws."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import lrjax
from tests.catalogue import CATALOGUE, Row, rows


def _is_transformation(annotation: Any) -> bool:
    """Whether a return annotation, a class or its source, is the pair's."""
    name = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    return name.removeprefix("lrjax.") in ("GradientTransformation", "GradientTransformationExtraArgs")


def _public_transformations() -> dict[str, Any]:
    """Functions that return one, and classes whose objects are one."""
    public = vars(lrjax).items()
    functions = {name: f for name, f in public if inspect.isfunction(f)}
    found = {n: f for n, f in functions.items() if _is_transformation(inspect.signature(f).return_annotation)}
    return found | {name: c for name, c in public if hasattr(c, "gradient_transformation")}


def test_every_public_transformation_has_a_row() -> None:
    found = set(_public_transformations())
    assert {"adam", "trace", "chain"} <= found, "the search finds transformations at all"
    assert found - {row.public for row in CATALOGUE} == set()


def test_every_row_covers_a_public_transformation() -> None:
    assert {row.public for row in CATALOGUE} - set(_public_transformations()) == set()


def test_names_of_rows_are_unique() -> None:
    names = [row.name for row in CATALOGUE]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("public", sorted({row.public for row in CATALOGUE}))
def test_every_numeric_argument_is_a_number_of_some_row(public: str) -> None:
    parameters = inspect.signature(getattr(lrjax, public)).parameters.values()
    numeric = {p.name for p in parameters if "Scalar" in str(p.annotation)}
    tried = {name for row in CATALOGUE if row.public == public for name in row.numbers}
    assert numeric - tried == set()


@pytest.mark.parametrize("row", rows())
def test_typical_and_other_numbers_differ_and_required_ones_are_listed(row: Row) -> None:
    assert all(typical != other for typical, other in row.numbers.values())
    assert set(row.required) <= set(row.numbers)
    row.make(**{name: row.typical[name] for name in row.required})
