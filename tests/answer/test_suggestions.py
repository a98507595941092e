"""The published suggestion rules, held to their definitions written out plainly."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrjax.answer import _suggestions as rules

RATES = np.geomspace(1e-7, 10.0, 60)


def sigmoid(seed=None, noise=0.02, rates=RATES):
    """A curve that falls around 1e-3 and rises steeply after 0.5."""
    curve = 2.3 - 1.8 / (1 + (1e-3 / rates)) + (rates / 0.5) ** 2
    return curve if seed is None else curve + noise * np.random.default_rng(seed).normal(size=len(rates))


curves = st.lists(st.integers(-5, 5), min_size=2, max_size=9).map(lambda x: np.array(x, float))


# The rules by definition


def plain_average(losses, decay):
    weights = [[decay ** (t - s) if s <= t else 0.0 for s in range(len(losses))] for t in range(len(losses))]
    return [float(np.dot(w, losses) / np.sum(w)) for w in weights]


def longest_decline(losses):
    """The length of the longest falling subsequence, and the first place where one of that length ends."""
    best, end = 0, 0
    for count in range(1, len(losses) + 1):
        ends = [
            chosen[-1]
            for chosen in itertools.combinations(range(len(losses)), count)
            if all(losses[a] > losses[b] for a, b in itertools.pairwise(chosen))
        ]
        if ends:
            best, end = count, min(ends)
    return best, end


def plain_slide(rates, losses, window=15, same=0.005):
    slopes, right = np.gradient(losses), len(losses) - 1
    suggested = rates[right - window]
    while right - window >= 0 and abs(slopes[right] - slopes[right - window]) > same:
        suggested = rates[right - window]
        right -= 1
    return suggested


@settings(deadline=None)
@given(curves, st.floats(0, 0.99))
def test_the_average_weighs_every_value_by_its_age(losses, decay):
    np.testing.assert_allclose(rules.smoothed(losses, decay), plain_average(losses, decay), atol=1e-9)


def test_the_average_of_seeds_is_taken_for_each_and_ends_with_it():
    losses = np.array([[1.0, 2.0, 3.0], [1.0, np.nan, 3.0]])
    found = rules.smoothed(losses, 0.5)
    np.testing.assert_allclose(found[0], plain_average(losses[0], 0.5))
    assert np.isnan(found[1]).tolist() == [False, True, True]


@settings(deadline=None)
@given(curves)
def test_the_valley_is_the_first_longest_decline(losses):
    length, end = longest_decline(losses)
    rates = 10.0 ** np.arange(len(losses))
    third = length / 3
    place = max(0, end - length + int(third) + int(third / 2))  # a short decline at the start has none before
    expected = None if len(losses) < 2 else rates[place]
    assert rules.valley(rates, losses) == expected


@pytest.mark.parametrize("seed", range(8))
def test_the_slide_stops_at_the_first_window_whose_ends_slope_alike(seed):
    for noise in (1e-4, 0.003, 0.05):
        losses = sigmoid(seed, noise)
        assert rules.slide(RATES, losses) == plain_slide(RATES, losses)
    assert rules.slide(RATES, np.ones(60)) == RATES[60 - 16]
    assert rules.slide(RATES, 100.0 * np.arange(60) ** 2) == RATES[0]


def test_steep_and_minimum_by_their_definition():
    losses = sigmoid()
    slopes = [
        (b - a) / np.log(y / x)
        for (a, b), (x, y) in zip(itertools.pairwise(losses), itertools.pairwise(RATES), strict=True)
    ]
    assert rules.steep(RATES, losses) == RATES[int(np.argmin(slopes))]
    assert rules.minimum(RATES, losses) == pytest.approx(RATES[int(np.argmin(losses))] / 10)


def test_the_steepest_point_of_a_sigmoid_in_log_rate_is_its_middle():
    rates = np.geomspace(1e-6, 1.0, 601)
    assert rules.steep(rates, 1 / (1 + rates / 1e-3)) == pytest.approx(1e-3, rel=0.03)


def test_trims_are_a_tenth_five_points_and_what_follows_a_value_that_is_not_finite():
    losses = np.arange(40.0)
    losses[30] = np.inf
    rates, kept = rules.trimmed(RATES[:40], losses)
    assert kept.tolist() == list(range(4, 30))
    assert rates.tolist() == RATES[4:30].tolist()


def test_a_loss_that_rises_from_the_start_has_its_valley_at_the_lowest_rate():
    assert rules.valley(RATES, np.arange(60.0)) == RATES[0]
    assert rules.valley(RATES, np.array([2.0, 1.0, *range(3, 61)])) == RATES[0]


@pytest.mark.parametrize("count", range(8))
def test_of_five_points_or_fewer_none_is_left(count):
    rates, kept = rules.trimmed(RATES[:count], np.ones(count))
    assert len(rates) == len(kept) == max(0, count - 5)


@pytest.mark.parametrize("rule", rules.RULES)
@pytest.mark.parametrize("count", [0, 1])
def test_a_curve_without_points_says_nothing(rule, count):
    if (rule, count) != ("minimum", 1):
        assert rules.RULES[rule](RATES[:count], np.ones(count)) is None


@pytest.mark.parametrize("rule", [name for name in rules.RULES if name != "slide"])
@settings(max_examples=30, deadline=None)
@given(scale=st.floats(1e-3, 1e3), shift=st.floats(-100, 100), seed=st.integers(0, 5))
def test_scale_and_sign_of_the_loss_do_not_matter(rule, scale, shift, seed):
    losses = sigmoid(seed)
    assert rules.RULES[rule](RATES, scale * losses + shift) == rules.RULES[rule](RATES, losses)
