"""Which rates a search tries next: pure functions, their cases by hand and their promises for any numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrjax.search._rates import COARSE, FINE, bracket, first_rates, higher, missing

ANYWHERE = (1e-12, 1e6)


def tried(*rates, dropped=()):
    """Rates, and which of them were trained to the end or failed."""
    rates = np.array(sorted(rates))
    return rates, ~np.isin(rates, dropped)


def lacking(best, *rates, dropped=(), spacing=COARSE, bounds=ANYWHERE, plateau=None):
    values, known = tried(*rates, dropped=dropped)
    index = None if best is None else int(np.flatnonzero(values == best)[0])
    return missing(values, known, index, spacing, bounds, plateau)


# The first rates


def test_first_rates_keep_their_ends_and_lie_at_equal_ratios():
    rates = first_rates(1e-5, 1.0)
    assert (rates[0], rates[-1]) == (1e-5, 1.0)
    np.testing.assert_allclose(np.diff(np.log10(rates)), 5 / 12, atol=0.003)  # three digits are kept


def test_first_rates_are_as_many_as_asked_for():
    assert first_rates(0.1, 0.4, 3) == [0.1, 0.2, 0.4]


def test_first_rates_of_a_narrow_range_are_its_ends():
    assert first_rates(0.1, 0.11) == [0.1, 0.11]


@given(st.floats(-9, 1), st.floats(0.01, 6))
def test_a_bracket_holds_what_it_is_asked_for_and_little_more(x, width):
    low, high = bracket(10**x, 10 ** (x + width))
    assert low <= 1.005 * 10**x
    assert high >= 0.995 * 10 ** (x + width)
    assert math.log10(high / low) < width + 2 * COARSE + 0.01


@given(st.floats(-9, 1), st.floats(0.01, 6), st.floats(-9, 1), st.floats(0.5, 9))
def test_a_bracket_stays_within_bounds_and_is_none_of_them_alone(x, width, least, room):
    minimum, maximum = 10**least, 10 ** (least + room)
    low, high = bracket(10**x, 10 ** (x + width), minimum, maximum)
    assert minimum <= low < high <= maximum


# What is missing around the best


def test_nothing_is_missing_between_two_trained_neighbours():
    assert lacking(0.01, 0.004, 0.01, 0.025) == []


def test_where_all_failed_that_were_not_dropped_those_are_trained_before_lower_ones():
    assert lacking(None, 1e-4, 1e-3, 0.01, 0.1, dropped=[1e-4, 1e-3]) == [1e-4, 1e-3]
    many = [10.0**-power for power in range(1, 9)]
    assert lacking(None, 1.0, *many, dropped=many) == sorted(many)[-5:]


def test_where_all_failed_down_to_the_bound_nothing_is_missing():
    assert lacking(None, 0.01, 0.1, bounds=(0.01, 1.0)) == []
    assert lacking(None, 0.0101, 0.1, bounds=(0.01, 1.0)) == []
    assert lacking(None, 0.02, 0.1, bounds=(0.01, 1.0)) == [0.01]


def test_above_what_was_tried_five_rates_are_tried_up_to_the_bound():
    tried_so_far = np.array([0.01, 0.1])
    assert higher(tried_so_far, ANYWHERE) == [0.251, 0.631, 1.58, 3.98, 10.0]
    assert higher(tried_so_far, (1e-6, 0.5)) == [0.251, 0.5]
    assert higher(tried_so_far, (1e-6, 0.1)) == []


def test_outside_of_what_was_tried_two_rates_are_tried_at_a_time():
    assert lacking(0.01, 0.00398, 0.01) == [0.0251, 0.0631]
    assert lacking(0.01, 0.01, 0.0251) == [0.00158, 0.00398]
    assert lacking(0.01, 0.01) == [0.00158, 0.00398, 0.0251, 0.0631]


def test_a_dropped_neighbour_is_trained_again_under_its_own_number():
    assert lacking(0.01, 0.0039811, 0.01, 0.0251, dropped=[0.0039811]) == [0.0039811]


def test_of_several_dropped_rates_the_furthest_that_is_near_enough_is_trained():
    assert lacking(0.01, 0.004, 0.0063, 0.01, 0.0251, dropped=[0.004, 0.0063]) == [0.004]


def test_a_dropped_rate_beyond_the_spacing_does_not_count():
    assert lacking(0.01, 0.0001, 0.01, 0.0251, dropped=[0.0001]) == [0.00158, 0.00398]


def test_gaps_are_halved():
    assert lacking(0.01, 0.00398, 0.01, 0.0251, spacing=FINE) == [0.00631, 0.0158]
    assert lacking(0.1, 0.01, 0.1, 0.251) == [0.0398]  # a decade: one spacing away


def test_nothing_outside_of_the_bounds_is_tried_and_bounds_are_kept_exactly():
    assert lacking(0.01, 0.00398, 0.01, bounds=(1e-6, 0.0101)) == []
    assert lacking(0.01, 0.00398, 0.01, bounds=(1e-6, 0.0333)) == [0.0251, 0.0333]
    assert lacking(0.01, 0.00398, 0.01, bounds=(1e-6, 0.0271)) == [0.0271]


def test_where_all_rates_failed_lower_ones_are_tried():
    assert lacking(None, 0.1, 1.0) == [0.001, 0.00251, 0.00631, 0.0158, 0.0398]
    assert lacking(None, 0.1, 1.0, bounds=(0.05, 1.0)) == [0.05]


def test_a_plateau_of_two_decades_at_the_end_is_not_extended():
    rates = [1e-4, 2.5e-4, 1e-3, 4e-3, 0.01]
    assert lacking(0.01, *rates, plateau=(1e-4, 0.01)) == []
    assert lacking(0.01, *rates, plateau=(1e-3, 0.01)) == [0.0251, 0.0631]


@settings(max_examples=50)
@given(st.floats(-6, 1), st.floats(-6, 1), st.sampled_from([COARSE, FINE]), st.booleans())
def test_a_search_along_a_basin_ends_with_the_best_between_its_neighbours(target, begin, spacing, falls):
    """Trained by what is missing alone, from anywhere, the best rate is the nearest one to the target."""
    rates, dropped = [10**begin], []
    for _ in range(60):
        values, known = tried(*rates, dropped=dropped)
        scores = np.abs(np.log10(values) - target)
        if falls:
            scores = np.where(np.log10(values) > target + 0.1, np.inf, scores)  # a cliff beside it
        best = int(np.argmin(np.where(known, scores, np.inf)))
        best = None if np.isinf(scores[best]) else best
        wanted = missing(values, known, best, spacing, ANYWHERE)
        if not wanted:
            break
        rates = sorted({*rates, *wanted})
    else:
        pytest.fail("it does not end")
    assert best is not None
    assert abs(np.log10(values[best]) - target) <= (2 if falls else 1) * spacing + 0.06
