"""The parabola through a basin, against a fit by hand and made-up basins whose lowest point is known."""

from __future__ import annotations

import numpy as np
import pytest

from lrjax.answer import judge, parabola
from tests.measured import measured

RATES = np.geomspace(1e-3, 1.0, 7)


def basin(center=0.02, seeds=4, noise=0.0):
    numbers = np.random.default_rng(1)
    curve = 1 + np.log10(RATES / center) ** 2
    return curve[:, None] + noise * numbers.standard_normal((len(RATES), seeds))


@pytest.mark.parametrize("center", [0.011, 0.02, 0.05])
def test_the_vertex_of_a_parabola_is_found_exactly(center):
    losses = basin(center)
    found = parabola(RATES, losses, int(np.argmin(losses[:, 0])), 1.0)
    assert found.vertex == pytest.approx(center, rel=1e-6)
    assert found.r_squared == pytest.approx(1.0)
    np.testing.assert_allclose(found.interval, center, rtol=1e-6)


def test_the_fit_is_that_of_the_normal_equations():
    losses = basin(noise=0.2)
    best = int(np.argmin(losses.mean(axis=1)))
    found = parabola(RATES, losses, best, 10.0)
    x, y = np.log(RATES), losses.mean(axis=1)
    design = np.stack([np.ones_like(x), x, x**2], axis=1)
    a, b, c = np.linalg.solve(design.T @ design, design.T @ y)
    assert found.vertex == pytest.approx(np.exp(-b / (2 * c)), rel=1e-6)
    assert found.r_squared == pytest.approx(
        1 - np.sum((y - design @ [a, b, c]) ** 2) / np.sum((y - y.mean()) ** 2)
    )


def test_the_interval_holds_the_truth_most_of_the_time_with_many_seeds():
    held = 0
    for repeat in range(40):
        numbers = np.random.default_rng(repeat)
        losses = basin(seeds=10) + 0.3 * numbers.standard_normal((len(RATES), 10))
        low, high = parabola(RATES, losses, int(np.argmin(losses.mean(axis=1))), 10.0).interval
        held += low <= 0.02 <= high
    assert 29 <= held <= 40  # 90 % of 40 is 36, less what drawing ten seeds anew makes too narrow


def test_rates_that_failed_or_lie_on_the_cliff_do_not_count():
    losses = basin()
    losses[-1] = np.inf
    losses[-2, :] = 50.0
    found = parabola(RATES, losses, int(np.argmin(losses[:, 0])), 1.0)
    assert found.vertex == pytest.approx(0.02, rel=1e-6)


def test_seeds_that_only_some_rates_have_do_not_bend_the_curve():
    losses = basin(seeds=6) + np.array([0, 0, 0, 5.0, 5.0, 5.0])  # the later seeds are hard
    losses[np.abs(np.log10(RATES / 0.02)) > 0.6, 3:] = np.nan
    found = parabola(RATES, losses, int(np.nanargmin(losses[:, 0])), 1.0)
    assert found.vertex == pytest.approx(0.02, rel=1e-6)


def test_three_points_one_seed_or_a_ridge():
    losses = basin(seeds=1)
    best = int(np.argmin(losses[:, 0]))
    assert parabola(RATES[best - 1 : best + 2], losses[best - 1 : best + 2], 1, 10.0) is None
    assert parabola(RATES, losses, best, 10.0).interval is None
    assert parabola(RATES, -losses, 0, 10.0) is None


def test_a_vertex_outside_of_what_was_tried_is_no_opinion():
    slope = np.log10(RATES)[:, None] + 0.01 * np.log10(RATES)[:, None] ** 2 + np.array([[0.0, 0.1]])
    assert parabola(RATES, slope, 0, 10.0) is None  # lowest at 1e-50


def test_the_interval_holds_the_vertex_where_few_seeds_are_shared():
    losses = basin(seeds=10, noise=0.3)
    losses[[0, 1, 5, 6], 3:] = np.nan
    for best in (2, 3):
        found = parabola(RATES, losses, best, 10.0)
        assert RATES[0] <= found.interval[0] <= found.vertex <= found.interval[1] <= RATES[-1]


def test_equal_losses_are_no_parabola():
    assert parabola(RATES, np.full((len(RATES), 3), 0.1), 0, 1.0) is None


def test_the_answer_reports_it():
    data = measured({"learning_rate": RATES.tolist()}, basin() + np.array([0.0, 0.2, -0.2, 0.1]), start=60.0)
    answer = judge(data)
    assert answer.parabola.vertex == pytest.approx(0.02, rel=1e-4)
    assert judge(measured({"learning_rate": RATES.tolist()}, np.full((7, 2), np.nan))).parabola is None
