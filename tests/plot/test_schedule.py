"""The picture of schedules: the lines are their values, and what is amiss is said."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("Agg")

import matplotlib.pyplot as plt

import lrjax
from tests.plot.drawn import assert_tidy

COSINE = lrjax.warmup_cosine_decay_schedule(1e-5, 1e-3, 10, 100)


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_the_line_is_the_schedule_s_values():
    (line,) = lrjax.plot.schedule(COSINE, 100).lines
    np.testing.assert_array_equal(line.get_xdata(), np.arange(100))
    np.testing.assert_allclose(line.get_ydata(), COSINE(np.arange(100)), atol=1e-9)


def test_a_long_run_is_thinned_out_and_keeps_its_ends():
    (line,) = lrjax.plot.schedule(lrjax.cosine_decay_schedule(0.1, 10**7), 10**7).lines
    assert 1000 < len(line.get_xdata()) <= 4000
    assert list(line.get_xdata()[[0, -1]]) == [0, 10**7 - 1]


def test_cycles_of_a_long_run_are_all_in_its_outline():
    """Steps far apart would show other, slower cycles."""
    waves = {str(period): lrjax.cyclic_schedule(0.25, 1.0, period // 2) for period in (10, 2500, 10**5)}
    for line in lrjax.plot.schedule(waves, 10**6).lines:
        for part in np.array_split(line.get_ydata(), 9):
            assert part.min() == 0.25
            assert part.max() == 1.0


def test_several_are_told_apart_and_named():
    ax = lrjax.plot.schedule(
        {"cosine": COSINE, "constant": 5e-4, "root": lambda t: 1e-3 / (1 + t) ** 0.5}, 100
    )
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["cosine", "constant", "root"]
    assert len({(line.get_color(), line.get_linestyle()) for line in ax.lines}) == 3


def test_the_title_says_what_is_amiss():
    ax = lrjax.plot.schedule(lrjax.warmup_cosine_decay_schedule(0.0, 1e-3, 10, 100), 60)
    assert ax.get_legend().get_title().get_text() == "warning: zero first rate; horizon too long"
    assert lrjax.plot.schedule(COSINE, 100).get_legend() is None


def test_metrics_drive_the_line():
    schedule = 0.5 * lrjax.plateau_schedule(0.5, patience=2)
    (line,) = lrjax.plot.schedule(schedule, 4, signals={"value": [1.0] * 9}).lines
    assert list(line.get_ydata()) == [0.5, 0.5, 0.25, 0.25]


def test_what_runs_from_value_to_value_is_drawn_step_by_step():
    (line,) = lrjax.plot.schedule(lrjax.multiplicative_schedule(1.0, lambda count: 0.5), 4).lines
    assert list(line.get_ydata()) == [1.0, 0.5, 0.25, 0.125]


def test_what_is_shaped_like_the_parameters_is_refused():
    with pytest.raises(
        TypeError, match=r"`plot\.schedule\(schedules=\.\.\.\)` must be one that starts without"
    ):
        lrjax.plot.schedule(lrjax.hypergradient_schedule(), 4)


@pytest.mark.parametrize("size", [(4.5, 3.4), (6.0, 4.2), (9.0, 6.0)])
def test_nothing_overlaps(size):
    _, ax = plt.subplots(figsize=size, layout="constrained")
    lrjax.plot.schedule(lrjax.warmup_cosine_decay_schedule(0.0, 1e-3, 10, 100), 60, ax=ax)
    assert_tidy(ax.figure)
    _, ax = plt.subplots(figsize=size, layout="constrained")
    lrjax.plot.schedule({"cosine": COSINE, "constant": 5e-4}, 100, ax=ax)
    assert_tidy(ax.figure)


def test_bad_input_is_refused_by_name():
    with pytest.raises(ValueError, match=r"`plot\.schedule\(steps=\.\.\.\)` must be an integer >= 1, got 0"):
        lrjax.plot.schedule(COSINE, 0)
    with pytest.raises(TypeError, match=r"`plot\.schedule\(cosine=\.\.\.\)` must be one finite number"):
        lrjax.plot.schedule({"cosine": "cosine"}, 10)
    with pytest.raises(TypeError, match=r"`plateau_schedule\.update\(value=\.\.\.\)` must be given"):
        lrjax.plot.schedule(lrjax.plateau_schedule(), 10)
    with pytest.raises(
        ValueError, match=r"`plot\.schedule\(signals=\.\.\.\)` must be .* 10 steps, got shape \(3,\)"
    ):
        lrjax.plot.schedule(lrjax.plateau_schedule(), 10, signals={"value": [1.0, 2.0, 3.0]})
