"""Every schedule of the table against its float64 transcription, over horizons of one step to past int32."""

import numpy as np
import pytest

from tests.schedules.table import STEPS, program, rows, swept

COUNTS = np.arange(STEPS)

every_row = pytest.mark.parametrize("row", rows())
every_long_row = pytest.mark.parametrize("row", rows(lambda row: row.long))


def assert_within(got, want, accuracy, slack=0.0):
    """Within a fraction of the largest value (and a slack of each)."""
    got = np.asarray(got, np.float64)
    assert np.isfinite(got).all()
    beyond = np.abs(got - want) - accuracy * np.max(np.abs(want)) - slack
    assert np.all(beyond <= 0), (np.argmax(beyond), got[np.argmax(beyond)], want[np.argmax(beyond)])


@every_row
def test_every_set_of_numbers(row):
    for changes, got in zip(program(row).sweep, swept(row), strict=True):
        assert_within(got, row.expected(COUNTS, **changes), row.accuracy)
    assert_within(row()(COUNTS), row.expected(COUNTS), row.accuracy)


@every_row
def test_where_every_span_is_a_step_or_none(row):
    short = dict(row.short or {})
    want = row.expected(COUNTS, **short)
    assert_within(program(row)(COUNTS, [short])[0], want, row.accuracy)
    assert_within(row(**short)(COUNTS), want, row.accuracy)
    assert_within([row(**short)(t) for t in (0, 1, 2)], want[:3], row.accuracy)


def landmarks(n):
    """Steps near which the table's long rows change, the first, the last, and others."""
    at = [0, n // 10, n // 7, n // 5, n // 3, n // 2, n // 10 + n // 2, n // 3 + n // 2, n]
    near = [t + d for t in at for d in (-1, 0, 1) if 0 <= t + d <= 1.1 * n]
    others = np.random.default_rng(0).integers(0, int(1.1 * n), STEPS - len(near))
    return np.array([*near, *others], np.int64)


@every_long_row
@pytest.mark.parametrize("horizon", [10**6, 10**9])
def test_long_horizons(row, horizon):
    numbers, steps = row.long(horizon), landmarks(horizon)
    want = row.expected(steps, **numbers)
    assert_within(row(**numbers)(steps), want, row.accuracy)
    assert_within(program(row)(steps, [numbers])[0], want, row.accuracy)


@every_long_row
def test_horizons_past_int32_do_not_overflow(row):
    """Such a horizon is a float32: where the value jumps, it does so 6e-8 of it too late or early."""
    horizon = 3 * 10**9
    numbers = row.long(horizon)
    steps = np.random.default_rng(0).integers(0, 2**31, STEPS)
    want, inexact = row.expected(steps, **numbers), int(2e-7 * horizon)
    nearby = [row.expected(np.maximum(steps + d, 0), **numbers) for d in (-inexact, inexact)]
    slack = np.max(np.abs(np.stack(nearby) - want), axis=0)
    assert_within(row(**numbers)(steps), want, row.accuracy, slack)


@pytest.mark.parametrize("row", rows(lambda row: row.ends))
def test_the_ends_are_what_the_docstring_says(row):
    for changes, got in zip(program(row).sweep, swept(row), strict=True):
        first, end, last = row.ends(**(row.typical | changes))
        if end > 0:
            np.testing.assert_allclose(got[0], first, rtol=2.5e-7)
        np.testing.assert_allclose(got[int(end) :], last, rtol=2.5e-7)
