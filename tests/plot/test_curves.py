"""The training curves: which are drawn, how they are told apart, and where they end."""

from __future__ import annotations

import dataclasses

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.collections import LineCollection

import lrjax
from lrjax.answer import judge
from tests.plot.made_up import SWEEPS, grid, rates, swept


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def drawn(data, **replaced):
    return lrjax.plot.curves(data, dataclasses.replace(judge(data), **replaced))


def lines(ax):
    (found,) = [collection for collection in ax.collections if isinstance(collection, LineCollection)]
    return found


def labelled(ax):
    handles, labels = ax.get_legend_handles_labels()
    return dict(zip(labels, handles, strict=True))


def test_five_hundred_curves_are_one_artist_of_thin_pale_lines():
    few, many = lines(drawn(SWEEPS["five points"]())), lines(drawn(SWEEPS["five hundred points"]()))
    assert (len(few.get_segments()), len(many.get_segments())) == (5, 500)
    assert many.get_linewidth()[0] < few.get_linewidth()[0]
    assert many.get_alpha() < few.get_alpha()


def test_curves_are_coloured_by_rate_and_drawn_in_its_order():
    data = swept(grid(learning_rate=[0.1, 0.001, 0.01]))
    found = lines(drawn(data))
    finals = [segment[-1, 1] for segment in found.get_segments()]
    medians = np.median(data.held_out["loss"][..., -1], axis=1)
    assert finals == pytest.approx(medians[[1, 2, 0]].tolist())
    assert len(np.unique(found.get_colors(), axis=0)) == 3


def test_regimes_have_dashes_and_only_those_that_occur_are_named():
    data = swept(grid(learning_rate=rates(5, 1e-4, 0.05)))
    labels = np.full((5, 3), "good", object)
    labels[0], labels[1], labels[2, :2] = "too low", "slow", "unstable"
    ax = drawn(data, regimes=labels)
    assert set(labelled(ax)) == {"chosen: 0.0106", "too low", "unstable"}
    dashes = [dash for _, dash in lines(ax).get_linestyles()]
    assert dashes[1] is dashes[3] is dashes[4] is None
    assert dashes[0] != dashes[2]
    assert dashes[0]
    assert dashes[2]


def test_of_seeds_that_are_torn_the_worse_regime_counts_and_the_unknown_does_not():
    data = swept(grid(learning_rate=rates(2, 0.005, 0.02)), seeds=4)
    labels = np.array([["good", "good", "unstable", "unstable"], ["unknown", "unknown", "flat", "unknown"]])
    assert {"unstable", "flat"} <= set(labelled(drawn(data, regimes=labels.astype(object))))


def test_a_curve_ends_with_a_cross_where_its_first_seed_diverged():
    data = swept(grid(learning_rate=[0.01, 0.2]))
    assert (data.diverged_at >= 0).tolist() == [[False] * 3, [True, False, False]]
    cross = labelled(drawn(data))["a seed diverged"]
    last = data.held_out_steps[data.held_out_steps <= data.diverged_at[1, 0]][-1]
    assert list(cross.get_xdata()) == [last]
    at = list(data.held_out_steps).index(last)
    assert list(cross.get_ydata()) == pytest.approx([np.median(data.held_out["loss"][1, :, at])])


def test_a_curve_that_leaves_the_picture_has_its_cross_at_the_top():
    data = swept(grid(learning_rate=[0.01, 1.0]))
    ax = drawn(data)
    (x,), (y,) = labelled(ax)["a seed diverged"].get_data()
    assert y == pytest.approx(ax.get_ylim()[1])
    assert 0 < x < data.diverged_at[1].max()


def test_curves_of_members_that_were_stopped_have_no_cross():
    assert "a seed diverged" not in labelled(drawn(SWEEPS["interrupted"]()))


def test_up_to_four_combinations_have_dashes_and_regimes_marks():
    ax = drawn(SWEEPS["four lines"]())
    found = labelled(ax)
    combinations = [f"{nesterov}, {centered}" for nesterov in (True, False) for centered in (True, False)]
    assert set(combinations) < set(found)
    assert len({found[name]._unscaled_dash_pattern[1] for name in combinations}) == 4
    assert found["too low"].get_marker() == "v"
    assert ax.get_legend().get_title().get_text() == "lines: nesterov, centered"
    one = drawn(SWEEPS["two lines"]())
    assert {"momentum=0", "momentum=0.9"} < set(labelled(one))
    assert one.get_legend().get_title().get_text() == ""


def test_of_more_combinations_the_best_one_s_is_drawn_and_named():
    data = SWEEPS["twelve lines"]()
    point = judge(data).point
    ax = drawn(data)
    named = f"weight_decay={point['weight_decay']:g}, nesterov={point['nesterov']}"
    assert ax.get_legend().get_title().get_text() == f"at {named}, one of 12 combinations"
    assert len(lines(ax).get_segments()) == 9


def test_seeds_that_never_began_do_not_end_a_curve():
    data = swept(grid(learning_rate=[0.01, 0.02]))
    stopped = data.stopped_at.copy()
    stopped[1, 2] = 0
    losses = data.held_out["loss"].copy()
    losses[1, 2] = np.nan
    ax = drawn(dataclasses.replace(data, stopped_at=stopped, held_out={"loss": losses}))
    assert [len(segment) for segment in lines(ax).get_segments()] == [len(data.held_out_steps)] * 2


def test_the_colour_bar_marks_the_chosen_rate():
    data = SWEEPS["five points"]()
    (bar,) = drawn(data).child_axes
    assert [line.get_ydata()[0] for line in bar.lines] == [judge(data).learning_rate]


def test_the_axis_goes_as_far_above_the_start_wherever_losses_have_their_zero():
    for rates_ in (rates(5, 1e-4, 0.05), rates(5, 1e-4, 3.0)):
        low, high = drawn(swept(grid(learning_rate=rates_), shift=3.0)).get_ylim()
        lower, higher = drawn(swept(grid(learning_rate=rates_), shift=10.0)).get_ylim()
        assert high - low == pytest.approx(higher - lower, rel=1e-4)
        assert low > -3.5
        assert high < 3.0  # training began with -0.7, the best loss is -3


def test_the_colour_bar_stands_beside_the_curves_whatever_is_below_them():
    data = SWEEPS["halving"]()
    ax = lrjax.plot.sweep_figure(data, judge(data)).figure.axes[1]
    ax.figure.canvas.draw()
    gap = ax.child_axes[0].get_window_extent().x0 - ax.get_window_extent().x1
    assert 0 < gap < 0.05 * ax.get_window_extent().width


def test_losses_that_were_never_finite_have_no_numbers_beside_them():
    data = SWEEPS["five points"]()
    data.held_out["loss"][...] = np.nan
    assert len(drawn(data).get_yticks()) == 0
