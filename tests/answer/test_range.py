"""What a range test suggests: where the curves say so, and nothing where they do not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrjax.answer import judge_range, range_course

RATES = np.geomspace(1e-7, 10.0, 100)


def ramps(seeds=5, noise=0.02, middle=1e-3, edge=0.5, rates=RATES):
    """Curves that fall around `middle` and rise after `edge`; NaN far above it."""
    curve = 2.3 - 1.8 / (1 + middle / rates) + (rates / edge) ** 2
    curve = np.where(rates > 4 * edge, np.nan, curve)
    return curve + noise * np.random.default_rng(0).normal(size=(seeds, len(rates)))


def test_the_suggestion_is_a_sixth_of_the_rate_of_the_lowest_loss():
    exact = 2.3 - 1.8 / (1 + 1e-3 / RATES) + (RATES / 0.5) ** 2
    lowest = RATES[np.argmin(exact)]
    assert judge_range(RATES, ramps(noise=0.0)).suggestion == pytest.approx(lowest / 6, rel=0.3)
    answer = judge_range(RATES, ramps())
    assert answer.suggestion == pytest.approx(lowest / 6, rel=0.7)
    assert answer.reason == ""
    low, high = answer.interval
    assert low <= answer.suggestion * 1.3
    assert high >= answer.suggestion / 1.3
    assert 0.3 < answer.stable_edge < 2.1


@pytest.mark.parametrize("factor", [1e-2, 1e2])
def test_it_moves_with_the_curve(factor):
    wide = np.geomspace(1e-9, 1e3, 240)
    base = judge_range(wide, ramps(noise=0.0, rates=wide)).suggestion
    moved = ramps(noise=0.0, middle=1e-3 * factor, edge=0.5 * factor, rates=wide)
    assert judge_range(wide, moved).suggestion == pytest.approx(base * factor, rel=0.15)


@settings(max_examples=40, deadline=None)
@given(st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
def test_scale_shift_and_sign_of_the_loss_do_not_matter(scale, shift):
    expected, answer = judge_range(RATES, ramps()), judge_range(RATES, scale * ramps() + shift)
    assert answer.suggestion == pytest.approx(expected.suggestion, rel=1e-9)
    assert answer.interval == pytest.approx(expected.interval)
    assert answer.stable_edge == pytest.approx(expected.stable_edge)


def test_the_order_of_seeds_does_not_matter():
    losses = ramps()
    assert judge_range(RATES, losses[::-1]).suggestion == pytest.approx(judge_range(RATES, losses).suggestion)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("shape", ["flat", "noise", "rising", "soon rising"])
def test_it_abstains_where_nothing_can_be_learned(seed, shape):
    noise = np.random.default_rng(seed).normal(size=(5, 100))
    rising = RATES**0.3 + 0.01 * noise
    losses = {
        "flat": np.ones((5, 100)),
        "noise": 2.3 + 0.1 * noise,
        "rising": rising,
        "soon rising": np.maximum(2 - 0.3 * np.arange(100), 0.05 * np.arange(100)) + 0.01 * noise,
    }
    answer = judge_range(RATES, losses[shape])
    assert answer.suggestion is None
    assert answer.interval is None
    assert ("did not fall by more than its noise explains" in answer.reason) == (shape != "soon rising")
    assert ("rises from" in answer.reason and "lower `minimum`" in answer.reason) == ("rising" in shape)


def test_it_abstains_where_all_diverge():
    losses = np.where(RATES > 3e-7, np.nan, 2.0) * np.ones((3, 1))
    answer = judge_range(RATES, losses)
    assert answer.suggestion is None
    assert "lower `minimum`" in answer.reason


@pytest.mark.parametrize("steps", [5, 19, 30])
def test_it_abstains_from_ramps_that_are_too_short(steps):
    rates = np.geomspace(1e-7, 10.0, steps)
    answer = judge_range(rates, ramps(rates=rates))
    assert answer.suggestion is None
    assert f"{steps} steps over 8 decades" in answer.reason


def test_a_minority_of_seeds_that_diverge_early_does_not_decide():
    losses = ramps()
    expected = judge_range(RATES, losses).suggestion
    losses[:2, 20:] = np.nan
    assert judge_range(RATES, losses).suggestion == pytest.approx(expected, rel=0.3)


def test_one_seed_has_no_interval():
    answer = judge_range(RATES, ramps(seeds=1))
    assert answer.suggestion is not None
    assert answer.interval is None


@pytest.mark.parametrize("seed", range(20))
def test_the_interval_holds_the_suggestion(seed):
    """What the mean of the seeds suggests may lie outside of what each of them does."""
    noise = np.random.default_rng(seed).normal(size=(5, len(RATES)))
    answer = judge_range(RATES, ramps(noise=0.0) + 0.05 * noise)
    assert answer.interval[0] <= answer.suggestion <= answer.interval[1]


def test_a_loss_that_is_never_finite_is_not_put_down_to_the_rate():
    answer = judge_range(RATES, np.full((3, len(RATES)), np.nan))
    assert answer.suggestion is None
    assert (
        answer.reason == "Half of the seeds or more had no finite loss before any update: no rate mends that."
    )


def test_where_a_loss_rises_that_never_fell_is_told():
    noise = np.random.default_rng(0).normal(size=(5, len(RATES)))
    answer = judge_range(RATES, 2 + 0.1 * noise + np.where(RATES > 0.1, 10.0, 0.0))
    assert answer.suggestion is None
    assert "rises from 0.079 on" in answer.reason  # averaged over neighbours
    assert "take more steps" in answer.reason


@pytest.mark.parametrize("seeds", [1, 5])
def test_of_curves_of_noise_alone_hardly_one_is_taken_for_a_fall(seeds):
    found = [
        judge_range(RATES, np.random.default_rng(seed).normal(size=(seeds, len(RATES))))
        for seed in range(100)
    ]
    assert sum(answer.suggestion is not None for answer in found) <= 5
    assert any("no more than four times its standard error" in answer.reason for answer in found)


def test_noise_on_another_level_for_each_seed_is_not_taken_for_a_fall():
    generators = [np.random.default_rng(seed) for seed in range(100)]
    found = [
        judge_range(RATES, 5 + generator.normal(size=(5, 1)) + 0.1 * generator.normal(size=(5, len(RATES))))
        for generator in generators
    ]
    assert sum(answer.suggestion is not None for answer in found) <= 5


def test_the_luckiest_of_many_rates_is_not_taken_for_a_fall():
    """Where noise grows with the rate, the lowest average lies far below a start that is nearly exact."""
    found = [
        judge_range(
            RATES, 2.3 + np.geomspace(1e-6, 0.02, len(RATES)) * generator.normal(size=(5, len(RATES)))
        )
        for generator in map(np.random.default_rng, range(100))
    ]
    assert sum(answer.suggestion is not None for answer in found) <= 5
    assert sum("by chance" in answer.reason for answer in found) >= 95


def test_a_loss_that_falls_up_to_the_highest_rate_is_told():
    rates = np.geomspace(1e-7, 1e-2, 100)
    assert judge_range(rates, ramps(noise=0.0, rates=rates)).at_the_end
    assert not judge_range(RATES, ramps(noise=0.0)).at_the_end


def test_without_an_edge_there_is_none():
    rates = np.geomspace(1e-7, 1e-2, 100)
    answer = judge_range(rates, ramps(rates=rates))
    assert answer.stable_edge is None
    assert answer.suggestion is not None


def test_published_rules_are_medians_over_seeds():
    answer = judge_range(RATES, ramps())
    assert set(answer.suggestions) == {"steep", "minimum", "valley", "slide"}
    each = np.log10(list(answer.suggestions.values()))
    assert answer.agreement == pytest.approx(each.max() - each.min())
    one = [judge_range(RATES, losses[None]).suggestions["valley"] for losses in ramps()]
    assert answer.suggestions["valley"] == pytest.approx(np.median(one))


def test_the_course_is_an_average_over_seeds_and_neighbours():
    losses = np.arange(10.0) + np.array([[0.0], [2.0]])
    np.testing.assert_allclose(range_course(losses)[1:-1], np.arange(1.0, 9.0) + 1)


def test_losses_that_are_never_finite_have_no_course():
    assert range_course(np.full((3, 40), np.nan)).shape == (0,)


def test_the_course_does_not_jump_where_a_seed_ends_that_lay_above_the_others():
    losses = np.tile(np.linspace(3.0, 2.0, 40), (5, 1))
    losses[0] += 10.0
    whole = range_course(losses)
    losses[0, 20:] = np.nan
    np.testing.assert_allclose(range_course(losses), whole)


@pytest.mark.parametrize(("gains", "answered"), [([3, -2, 4, -3, 1], False), ([3, 2, 4, 3, 2], True)])
def test_a_small_fall_counts_if_all_seeds_agree(gains, answered):
    """With labels that have nothing to do with the inputs each seed drifts its own way, without a jump."""
    drift = 1e-3 * np.log1p(RATES / 1e-5)
    losses = 2.3 - np.array(gains)[:, None] * drift + 5 * RATES
    answer = judge_range(RATES, losses)
    assert (answer.suggestion is not None) == answered
    if not answered:
        assert "by chance" in answer.reason
    assert judge_range(RATES, losses[:1]).suggestion is not None  # one seed tells nothing of chance


@pytest.mark.parametrize("losses", [np.ones(100), np.ones((5, 99))])
def test_shapes_that_do_not_fit_are_refused(losses):
    with pytest.raises(ValueError, match=r"`judge_range\(losses=\.\.\.\)` must be \[seeds, steps\]"):
        judge_range(RATES, losses)
