"""What constant rates beside a ramp say: a rate, how sure it is, or why there is none."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lrjax.answer import judge_constant_rates, judge_range, scores

RAMP = np.geomspace(1e-5, 10.0, 121)
RATES = np.geomspace(1e-3, 1.0, 16)
SEEDS = 5


def curves(seeds=SEEDS, noise=0.01):
    """Ramps that fall from 1 to 0.1 and rise again."""
    fall = 1 / (1 + RAMP / 0.01) + RAMP**2
    return fall + noise * np.random.default_rng(0).normal(size=(seeds, len(RAMP)))


def basin(center=0.05, seeds=SEEDS, noise=0.0):
    """What constant rates come to: the lowest is 0.1."""
    losses = 0.1 + 0.2 * np.log10(RATES / center) ** 2
    return losses[:, None] + noise * np.random.default_rng(1).normal(size=(len(RATES), seeds))


def judged(losses, ramps=None, **options):
    ramps = curves(losses.shape[1]) if ramps is None else ramps
    options = {"longer": 10.0, **options}
    return judge_constant_rates(judge_range(RAMP, ramps), ramps, RATES, losses, **options)


def by_hand(losses, start):
    """The average of the rates that fall 0.99 times as far as the best or further, weighted by the rest."""
    falls = start - np.median(losses, axis=1)
    total = weights = 0.0
    for rate, fall in zip(RATES, falls, strict=True):
        weight = max(0.0, fall / max(falls) - 0.99)
        total += weight * np.log(rate)
        weights += weight
    return np.exp(total / weights)


def test_the_suggestion_is_the_average_of_the_best_lowered_by_the_length():
    losses, start = basin(noise=0.005), np.median(curves()[:, :12].mean(axis=1))
    answer = judged(losses)
    assert answer.suggestion == pytest.approx(by_hand(losses, start) / 10**0.6)
    assert judged(losses, decays=True).suggestion == pytest.approx(by_hand(losses, start) / 10**0.3)
    assert judged(losses, longer=1.0).suggestion == pytest.approx(by_hand(losses, start))
    assert judged(losses, longer=1e6).suggestion == judged(losses, longer=100.0).suggestion
    assert 0.03 < judged(losses, longer=1.0).suggestion < 0.08


def test_what_is_not_of_the_suggestion_is_the_ramp_s():
    ramp, answer = judge_range(RAMP, curves()), judged(basin())
    assert answer.suggestion != ramp.suggestion
    for name in ("stable_edge", "suggestions", "agreement", "unclear"):
        assert getattr(answer, name) == getattr(ramp, name)


def test_the_interval_holds_every_seed_s_and_what_the_length_may_do():
    losses = basin(noise=0.02)
    answer = judged(losses)
    each = [judged(one[:, None], ramps=curves()[[s]]) for s, one in enumerate(losses.T)]
    rates = [one.suggestion for one in each]
    assert all(one.interval is None for one in each)
    reach = 10**0.6
    assert answer.interval == pytest.approx((min(rates) / reach, max(rates) * reach), rel=0.02)


@settings(deadline=None, max_examples=25)
@given(st.floats(0.01, 1000), st.floats(-100, 100), st.floats(0.01, 100))
def test_neither_scale_nor_shift_of_the_loss_matter_and_rates_scale(scale, shift, times):
    ramps, losses = curves(), basin(noise=0.005)
    plain = judge_constant_rates(judge_range(RAMP, ramps), ramps, RATES, losses, 10.0)
    moved = scale * ramps + shift
    ramp = judge_range(times * RAMP, moved)
    other = judge_constant_rates(ramp, moved, times * RATES, scale * losses + shift, 10.0)
    assert other.suggestion == pytest.approx(times * plain.suggestion, rel=1e-6)


def test_a_failing_rate_has_no_part_and_one_failing_seed_little():
    losses = basin(0.3)
    losses[-3:] = np.nan
    one = losses.copy()
    one[10, 0] = np.inf
    assert judged(losses).suggestion < RATES[-3]
    assert judged(one).suggestion == pytest.approx(judged(losses).suggestion)


def test_where_all_fail_the_reason_says_so():
    answer = judged(np.full((len(RATES), SEEDS), np.nan))
    assert (answer.suggestion, answer.interval, answer.at_the_end) == (None, None, False)
    assert answer.reason == "Half of the seeds or more failed at every constant rate from 0.001 on."


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_losses_that_do_not_fall_suggest_nothing(shift):
    starts = curves()[:, :12].mean(axis=1)
    losses = starts + shift + 1e-3 * np.random.default_rng(2).normal(size=(len(RATES), SEEDS))
    answer = judged(losses)
    assert answer.suggestion is None
    assert answer.reason == "The loss did not fall at constant rates by more than chance explains."


@pytest.mark.parametrize("shift", [1e4, -1e4])
def test_an_offset_does_not_matter(shift):
    """Of three seeds; with fewer, chance is known too little, and a fall is one of 2 %."""
    ramps, losses = curves(3), basin(noise=0.005, seeds=3)
    plain = judge_constant_rates(judge_range(RAMP, ramps), ramps, RATES, losses, 10.0)
    ramp = dataclasses.replace(judge_range(RAMP, ramps), suggestion=0.1, reason="", unclear=False)
    moved = judge_constant_rates(ramp, ramps + shift, RATES, losses + shift, 10.0)
    assert moved.suggestion == pytest.approx(plain.suggestion, rel=1e-6)


def test_a_loss_that_falls_whatever_the_rate_is_suggests_nothing():
    losses = np.full((len(RATES), SEEDS), 0.2)
    for lowest in (RATES[0], 0.9 * RATES[0], None):
        answer = judged(losses, lowest=lowest)
        assert answer.suggestion is None
        assert answer.reason.startswith("At the lowest constant rate, 0.001, the loss falls as far as at any")
    assert judged(losses, lowest=1e-5).suggestion is not None


def test_where_the_lowest_rate_is_the_best_a_lower_one_may_be_better():
    assert "lower `minimum`" in judged(basin(1e-4)).reason
    assert judged(basin(1e-4), lowest=1e-6).suggestion is not None


@pytest.mark.parametrize("seeds", [3, 5, 20])
def test_skewed_noise_is_not_taken_for_a_fall(seeds):
    """Its median lies above its mean: a median at first and a mean at last would always fall."""
    random = np.random.default_rng(seeds)
    found = 0
    for _ in range(200):
        ramps = 2 - random.exponential(size=(seeds, len(RAMP)))
        losses = 2 - random.exponential(size=(len(RATES), seeds, 24)).mean(axis=-1)
        ramp = dataclasses.replace(judge_range(RAMP, ramps), suggestion=0.1, reason="", unclear=False)
        found += judge_constant_rates(ramp, ramps, RATES, losses, 10.0, lowest=1e-5).suggestion is not None
    assert found <= stats.binom.ppf(0.999, 200, 0.02)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"longer": 0.5}, r"`judge_constant_rates\(longer=\.\.\.\)` must be one number >= 1, got 0.5"),
        ({"longer": np.nan}, r"`judge_constant_rates\(longer=\.\.\.\)`"),
        ({"rates": RATES[:3]}, r"`judge_constant_rates\(losses=\.\.\.\)` must be \[rates, seeds\] beside"),
        ({"curves": curves(3)}, r"`judge_constant_rates\(losses=\.\.\.\)`"),
        ({"losses": basin()[:, 0]}, r"`judge_constant_rates\(losses=\.\.\.\)`"),
        ({"rates": RATES[:0], "losses": basin()[:0]}, r"`judge_constant_rates\(losses=\.\.\.\)`"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    options = {"curves": curves(), "rates": RATES, "losses": basin(), "longer": 10.0, **change}
    with pytest.raises(ValueError, match=message):
        judge_constant_rates(judge_range(RAMP, curves()), **options)


def test_the_best_at_the_end_is_told():
    assert judged(basin(100.0)).at_the_end
    assert not judged(basin()).at_the_end


def noise(seed):
    """Ramps and constant rates of nothing but noise, as large as the loss."""
    random = np.random.default_rng(seed)
    return 1 + random.normal(size=(SEEDS, len(RAMP))), 1 + random.normal(size=(len(RATES), SEEDS)) / 5


def test_of_an_unclear_ramp_chance_passes_for_a_fall_once_in_a_hundred_times():
    found = 0
    for seed in range(300):
        ramps, losses = noise(seed)
        ramp = dataclasses.replace(judge_range(RAMP, ramps), suggestion=None, reason="unclear", unclear=True)
        answer = judge_constant_rates(ramp, ramps, RATES, losses, 10.0)
        found += answer.suggestion is not None
        assert answer.suggestion is not None or answer.reason.startswith("unclear; nor did it")
    assert found <= stats.binom.ppf(0.999, 300, 0.02)


def test_an_unclear_ramp_is_cleared_by_what_is_no_chance():
    ramps, _ = noise(0)
    losses = basin(noise=0.05)
    ramp = dataclasses.replace(judge_range(RAMP, ramps), suggestion=None, reason="unclear", unclear=True)
    answer = judge_constant_rates(ramp, ramps, RATES, losses, 10.0)
    assert answer.suggestion is not None
    assert (answer.reason, answer.unclear) == ("", False)


@pytest.mark.parametrize("seeds", [1, 2])
def test_few_seeds_are_enough_for_a_ramp_that_fell(seeds):
    answer = judged(basin(seeds=seeds), ramps=curves(seeds))
    assert answer.suggestion == pytest.approx(judged(basin()).suggestion, rel=0.05)
    assert (answer.interval is None) == (seeds == 1)


def test_scores_are_medians_of_which_failures_are_the_highest():
    losses = np.array([[1.0, 2.0, 6.0], [1.0, np.nan, 6.0], [np.nan, np.inf, 6.0]])
    assert scores(losses).tolist() == [2.0, 6.0, np.inf]
