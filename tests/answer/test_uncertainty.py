"""How far an answer can be trusted: the interval, what seeds tell apart, sensitivity, regimes, warnings."""

import numpy as np
import pytest
import scipy.stats

from lrjax.answer import judge, point_regime, regimes, regimes_text, summary
from lrjax.answer._interval import interval
from tests.measured import measured

NAN = np.nan
RATES = np.geomspace(1e-3, 1.0, 7)


def basin(seeds=3, noise=0.0, shared=0.0, best=3, key=0):
    """Losses around a best rate: a parabola in the logarithm, with noise of its own and of each seed."""
    generator = np.random.default_rng(key)
    course = 1 + (np.arange(7) - best) ** 2.0
    own = noise * generator.standard_normal((7, seeds))
    return course[:, None] + own + shared * generator.standard_normal(seeds)


def judged(final, **options):
    return judge(measured({"learning_rate": RATES.tolist()}, final, start=60.0, **options))


# The interval


def test_without_noise_the_interval_reaches_half_of_the_way_to_the_neighbours():
    low, high = judged(basin()).interval
    np.testing.assert_allclose([low, high], np.sqrt(RATES[3] * RATES[[2, 4]]), rtol=1e-6)


def test_what_all_rates_of_a_seed_share_is_no_noise():
    assert judged(basin(shared=5.0)).interval == judged(basin()).interval


def test_noise_widens_the_interval_and_seeds_narrow_it():
    widths = [np.ptp(np.log(judged(basin(seeds=n, noise=2.0)).interval)) for n in (3, 100)]
    quiet = np.ptp(np.log(judged(basin()).interval))
    assert widths[0] > widths[1] >= quiet


def test_the_interval_holds_the_best_rate_nine_times_in_ten():
    held = []
    for key in range(200):
        losses = basin(seeds=4, noise=1.5, shared=1.0, key=key)
        chosen = int(np.argmin(np.median(losses, axis=1)))
        low, high = interval(RATES, losses, chosen, 0.5)
        held.append(low <= RATES[3] <= high)
    assert np.mean(held) >= 0.85


def test_the_chosen_rate_is_in_the_interval_where_mean_and_median_differ():
    losses = np.array([[5.0, 5.0, 5.0], [1.0, 1.0, 9.0], [2.0, 2.0, 2.0], [5.0, 5.0, 5.0]])
    low, high = interval(RATES[:4], losses, 1, 4.0)
    assert low < RATES[1] < high


def test_rates_that_are_exactly_equal_are_all_in_the_interval():
    losses = np.array([[5.0] * 3, [1.0] * 3, [1.0] * 3, [1.0] * 3, [5.0] * 3])
    np.testing.assert_allclose(
        interval(RATES[:5], losses, 1, 0.1), np.sqrt(RATES[[0, 3]] * RATES[[1, 4]]), rtol=1e-6
    )


def test_the_answered_rate_is_in_the_interval_where_it_is_not_the_one_of_the_lowest_loss():
    losses = basin(seeds=3) + np.array([0.0, 0.001, -0.001])
    assert interval(RATES, losses, 3, 5.0)[1] < RATES[5]
    low, high = interval(RATES, losses, 3, 5.0, answered=5)
    assert low < RATES[3] < RATES[5] < high


def test_a_rate_that_was_dropped_is_a_neighbour_between_which_and_the_best_nothing_was_tried():
    losses = np.array([[1.0, 1.1], [2.0, 2.1]])
    low, high = interval(RATES[[2, 4]], losses, 0, 0.1, tried=RATES)
    assert low == pytest.approx(np.sqrt(RATES[1] * RATES[2]))
    assert high == pytest.approx(np.sqrt(RATES[2] * RATES[3]))


def test_one_rate_gives_no_interval():
    assert interval(RATES[:1], np.ones((1, 3)), 0, 0.1) is None
    assert interval(RATES[:1], np.ones((1, 3)), 0, 0.1, tried=RATES[:2]) is not None


def test_one_seed_gives_no_interval_and_a_warning():
    answer = judged(basin(seeds=1))
    assert answer.interval is None
    assert any("One seed was trained" in warning for warning in answer.warnings)


def test_the_interval_ends_at_rates_that_fail():
    final = basin(noise=3.0)
    final[4:] = NAN
    assert judged(final).interval[1] <= np.sqrt(RATES[3] * RATES[4]) * (1 + 1e-9)


def test_seeds_that_are_missing_at_some_rates_leave_the_noise_as_it_is():
    losses = basin(seeds=40, noise=1.0, shared=3.0)
    gaps = losses.copy()
    gaps[[0, 1, 5, 6], 20:] = NAN
    a, b = (np.log(interval(RATES, each, 3, 1.0)) for each in (losses, gaps))
    np.testing.assert_allclose(a, b)


# What seeds tell apart


def test_indistinguishable_points_are_those_of_a_paired_t_test():
    losses = basin(seeds=5, noise=3.0, shared=10.0)
    answer = judged(losses, held_out=True)
    best = answer.index
    final = np.float32(losses).astype(float)
    told = []
    for index in range(7):
        if index != best:
            test = scipy.stats.ttest_rel(final[index], final[best], alternative="greater")
            told += [index] if test.pvalue >= 0.05 else []
    assert answer.indistinguishable[0] == best
    assert set(answer.indistinguishable[1:]) == set(told)
    scores = answer.scores[list(answer.indistinguishable[1:])]
    assert (np.diff(scores) >= 0).all()


def test_noise_that_hides_the_differences_is_told():
    answer = judged(1 + 0.5 * np.random.default_rng(1).standard_normal((7, 3)) ** 2)
    assert any("noise hides the differences" in warning for warning in answer.warnings)


def test_a_seed_that_fails_at_the_best_point_is_told():
    final = basin()
    final[3, 1] = NAN
    assert any("1 of 3 seeds failed at the best point" in warning for warning in judged(final).warnings)


# Points with fewer seeds than others, as a search leaves them


def test_a_point_with_fewer_seeds_is_compared_over_those_it_has():
    losses = basin(seeds=4)[:3]
    losses += np.array([0.0, 0.0, 8.0, 8.0])  # the last two seeds are hard
    data = measured({"learning_rate": RATES[:3].tolist()}, losses, start=60.0)
    absent = np.zeros((3, 4), bool)
    absent[0, 2:] = True
    data.held_out["loss"][absent] = NAN
    data.metrics["loss"][absent] = NAN
    data.stopped_at[absent] = 0
    answer = judge(data)
    assert answer.index == 2
    np.testing.assert_allclose(answer.scores, np.median(losses, axis=1), rtol=1e-6)
    assert not answer.failed[absent].any()
    assert answer.regimes[0].tolist()[2:] == ["unknown", "unknown"]


def test_a_lucky_point_with_fewer_seeds_is_not_chosen():
    losses = np.array([[1.0, 9.0, 9.0], [2.0, 2.0, 2.0], [4.0, 4.0, 4.0]])
    data = measured({"learning_rate": RATES[:3].tolist()}, losses, start=60.0)
    data.held_out["loss"][0, 1:] = NAN
    data.stopped_at[0, 1:] = 0
    assert judge(data).index == 1


# Sensitivity


def test_sensitivity_is_the_mean_of_what_rates_cost_up_to_the_loss_before_training():
    final = np.array([[4.0], [2.0], [1.0], [3.0], [NAN], [80.0], [NAN]])
    expected = np.mean(np.minimum([4, 2, 1, 3, np.inf, 80, np.inf], 60.0) - 1)
    assert judged(final).sensitivity == pytest.approx(expected)


def test_sensitivity_of_uneven_rates_counts_the_part_of_the_axis_next_to_each():
    rates = [0.001, 0.01, 0.1, 0.2]
    answer = judge(measured({"learning_rate": rates}, [[5.0], [3.0], [1.0], [2.0]], start=60.0))
    x = np.log(rates)
    cells = [x[1] - x[0], (x[2] - x[0]) / 2, (x[3] - x[1]) / 2, x[3] - x[2]]
    assert answer.sensitivity == pytest.approx(np.average([4, 2, 0, 1], weights=cells))


def test_sensitivity_of_points_that_share_one_rate_is_their_mean():
    points = {"learning_rate": [0.1, 0.1], "tag": [None, None]}
    assert judge(measured(points, [[5.0], [1.0]], start=60.0)).sensitivity == pytest.approx(2.0)


def test_without_a_best_rate_nothing_is_claimed():
    answer = judged(np.full((7, 2), NAN))
    assert answer.interval is None
    assert np.isnan(answer.sensitivity)
    assert np.isnan(answer.plateau_decades)
    assert answer.indistinguishable == ()
    assert (answer.regimes == "non-finite").all()


def test_the_plateaus_width_is_in_decades():
    assert (
        judge(measured({"learning_rate": [0.001, 0.01, 0.1, 1.0]}, [[9], [1], [1], [9]])).plateau_decades == 1
    )


# Regimes and the warnings that come of them


def test_regimes_of_members_that_blew_up_or_were_stopped():
    causes = np.array([["", "loss"], ["blow-up", ""], ["", ""]])
    final = [[1.0, NAN], [NAN, 1.0], [1.0, 1.0]]
    data = measured({"learning_rate": RATES[:3].tolist()}, final, causes=causes)
    data.metrics["loss"][2, 0, 40:] = NAN
    data.stopped_at[2, 0] = 40
    labels = regimes(data)
    assert labels[0, 1] == "non-finite"
    assert labels[1, 0] == "diverged"
    assert labels[2, 0] not in ("non-finite", "diverged", "unknown")


def test_a_loss_that_still_falls_at_the_end_is_told():
    falling = judged(basin())  # made-up curves are straight lines
    assert any("still falls at the end" in warning for warning in falling.warnings)
    data = measured({"learning_rate": RATES.tolist()}, basin(), start=60.0)
    data.metrics["loss"][...] = 60 * np.exp(-np.arange(100) / 8) + basin().min()
    assert not any("still falls" in warning for warning in judge(data).warnings)


def test_a_loss_that_did_not_move_even_at_the_best_rate_is_told():
    data = measured({"learning_rate": RATES.tolist()}, basin(), start=60.0)
    noise = np.random.default_rng(0).normal(size=data.metrics["loss"].shape)
    data.metrics["loss"][...] = 60.0 + noise
    data.held_out["loss"][..., 1:] = 55.0 + basin()[..., None]
    (warning,) = [w for w in judge(data).warnings if "than its noise" in w]
    assert warning.startswith("Even at the best rate the training loss did not fall by more than its noise")
    assert not any("than its noise" in warning for warning in judged(basin()).warnings)


def test_batches_too_noisy_to_show_a_fall_are_no_fault_where_held_out_losses_fell_by_much():
    def warned(after):
        data = measured({"learning_rate": RATES.tolist()}, basin(seeds=len(after)), start=60.0)
        noise = np.random.default_rng(0).normal(size=data.metrics["loss"].shape)
        data.metrics["loss"][...] = 60.0 + 5 * noise
        data.held_out["loss"][..., 1:] = (basin(seeds=len(after)) + after)[..., None]
        return any("than its noise" in warning for warning in judge(data).warnings)

    assert not warned([40.0, 41.0, 42.0])
    assert warned([10.0, 45.0, 57.0])  # the seeds do not tell that from chance
    assert warned([57.0, 57.1, 57.2])
    assert warned([40.0])


def test_coarse_numbers_are_named_where_small_rates_did_not_move_the_loss():
    data = measured({"learning_rate": RATES.tolist()}, basin(), start=60.0, settings={"dtypes": ["bfloat16"]})
    data.metrics["loss"][:2] = 60.0
    (warning,) = [w for w in judge(data).warnings if "bfloat16" in w]
    assert f"{RATES[1]:.3g}" in warning
    data.settings["dtypes"] = ["float32"]
    assert not any("bfloat16" in warning for warning in judge(data).warnings)


def test_a_small_rate_that_did_move_the_loss_is_none_of_those_that_coarse_numbers_held():
    data = measured({"learning_rate": RATES.tolist()}, basin(), start=60.0, settings={"dtypes": ["bfloat16"]})
    noise = 5 * np.random.default_rng(0).normal(size=100)
    data.metrics["loss"][:3] = 60.0 + noise
    data.metrics["loss"][2] -= 0.03 * np.arange(100)
    (warning,) = [w for w in judge(data).warnings if "bfloat16" in w]
    assert warning.startswith(f"Rates up to {RATES[1]:.3g} did not move the loss")


def test_the_table_tells_interval_regimes_and_how_many_points_are_alike():
    data = measured({"learning_rate": RATES.tolist()}, basin(seeds=3, noise=3.0), start=60.0)
    answer = judge(data)
    text = summary(data, answer)
    low, high = answer.interval
    assert f"between {low:.3g} and {high:.3g} (90 %)" in text
    assert f"do not tell {len(answer.indistinguishable) - 1} of the other 6 points" in text
    assert "too low" in text.splitlines()[2]
    quiet = measured({"learning_rate": RATES.tolist()}, basin(shared=1.0), start=60.0)
    assert "do not tell" not in summary(quiet, judge(quiet))


def test_the_regime_of_a_point_is_that_of_most_of_its_seeds_and_the_worse_of_two():
    assert point_regime(["good", "good", "non-finite"]) == "good"
    assert point_regime(["slow", "oscillating"]) == "oscillating"
    assert point_regime(["unknown", "unknown", "flat"]) == "flat"
    assert point_regime([]) == point_regime(["unknown"]) == "unknown"
    assert regimes_text(["good", "non-finite", "good"]) == "non-finite 1, good 2"
