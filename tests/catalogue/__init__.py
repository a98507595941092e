"""Every public gradient transformation, once: what the laws, the oracles and optax are held against.

A new transformation gets a row (or several, one per structural mode) and with it every law. What
differs between transformations is data here; the tests ask no row for its name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.catalogue import (
    accumulation,
    adam_family,
    article,
    averaging,
    beyond,
    clipping,
    composed,
    conditions,
    contrib,
    curvature,
    ingredients,
    layerwise,
    parts,
    recipes,
    searches,
    signs_and_others,
    wrapping,
)
from tests.catalogue.row import Row

__all__ = ["CATALOGUE", "Row", "rows", "seldom"]

CATALOGUE: tuple[Row, ...] = (
    *recipes.ROWS,
    *adam_family.ROWS,
    *article.ROWS,
    *layerwise.ROWS,
    *signs_and_others.ROWS,
    *contrib.ROWS,
    *curvature.ROWS,
    *beyond.ROWS,
    *ingredients.ROWS,
    *composed.ROWS,
    *accumulation.ROWS,
    *averaging.ROWS,
    *clipping.ROWS,
    *conditions.ROWS,
    *parts.ROWS,
    *searches.ROWS,
    *wrapping.ROWS,
)


def seldom(*values: Any) -> list[Any]:
    """Cases for the slow runs only: what holds for the others of their kind is likely to hold for them."""
    return [pytest.param(value, marks=pytest.mark.slow) for value in values]


def rows(slow: Callable[[Row], bool] = lambda row: False, **wanted: Any) -> list[Any]:
    """The rows, as `pytest.param`s, whose fields satisfy the predicates; for slow runs only if `slow`."""

    def fits(row: Row) -> bool:
        return all(want(getattr(row, name)) for name, want in wanted.items())

    return [
        pytest.param(row, id=row.name, marks=[pytest.mark.slow] * slow(row)) for row in CATALOGUE if fits(row)
    ]
