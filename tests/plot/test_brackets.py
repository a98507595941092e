"""The brackets of an allocation: how far each point trained, and what each rung kept."""

from __future__ import annotations

import dataclasses

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("Agg")

import matplotlib.pyplot as plt

import lrjax
from lrjax.answer import judge
from tests.measured import sweep_of
from tests.plot.made_up import STEPS, SWEEPS, allocated, grid, interrupted, rates, swept

ALLOCATED = ["halving", "hyperband", "median stopping", "top k", "halving of two", "halving of many"]


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def drawn(data):
    return lrjax.plot.brackets(data, judge(data))


def ends(ax):
    """The marks' rates and steps by the legend's words, without the number."""
    handles, labels = ax.get_legend_handles_labels()
    return {
        label.partition(" (")[0]: (np.atleast_1d(line.get_xdata()), np.atleast_1d(line.get_ydata()))
        for line, label in zip(handles, labels, strict=True)
    }


def bars(ax):
    return sorted(
        (segment[0, 0], segment[1, 1]) for lines in ax.collections for segment in lines.get_segments()
    )


@pytest.mark.parametrize("kind", ALLOCATED)
def test_there_is_a_bar_for_every_point_up_to_the_step_it_reached(kind):
    data = SWEEPS[kind]()
    ax = drawn(data)
    assert len(bars(ax)) == len(data.diverged_at)
    steps = np.array([step for _, step in bars(ax)])
    if kind != "halving of two":  # there bars stand beside their rates
        ran = np.where(data.stopped_at >= 0, data.stopped_at, STEPS)
        ran = np.where(data.diverged_at >= 0, data.diverged_at, ran).max(axis=1)
        np.testing.assert_array_equal(steps, ran[np.argsort(data.points["learning_rate"])])
    dashed = [line.get_ydata()[0] for line in ax.lines if line.get_linestyle() == "--"]
    assert dashed == [step for step, _, _ in data.rungs]


def test_ends_are_told_apart_by_marker_and_colour_and_counted():
    data = allocated(swept(grid(learning_rate=rates(8, 1e-4, 1.0))), {40: 0.5})
    ax = drawn(data)
    found = ends(ax)
    dropped = lrjax.answer.dropped_at(data) >= 0
    diverged = (data.diverged_at >= 0).mean(axis=1) >= 0.5
    assert set(found) == {"trained to the end", "dropped", "diverged", "chosen: 0.0193"}
    assert len(found["dropped"][0]) == (dropped & ~diverged).sum()
    np.testing.assert_allclose(found["diverged"][0], data.points["learning_rate"][diverged])
    assert set(found["trained to the end"][1]) == {STEPS}
    handles, labels = ax.get_legend_handles_labels()
    assert len({line.get_marker() for line in handles}) == len({line.get_color() for line in handles}) == 4
    assert f"dropped ({(dropped & ~diverged).sum()})" in labels


def test_rungs_are_labelled_with_how_many_came_and_stayed():
    data = SWEEPS["halving"]()
    assert [text.get_text() for text in drawn(data).texts] == ["16 → 4", "4 → 1"]
    (best,) = [line for line in drawn(data).lines if line.get_marker() == "*"]
    assert best.get_xdata()[0] == judge(data).learning_rate
    assert best.get_ydata()[0] == STEPS


def test_of_many_rungs_those_that_dropped_nothing_have_no_label():
    data = SWEEPS["median stopping"]()
    texts = [tuple(map(int, text.get_text().split(" → "))) for text in drawn(data).texts]
    assert 2 < len(texts) < len(data.rungs)
    assert all(entered > kept for entered, kept in texts)
    assert texts == sorted(texts, reverse=True)


def test_points_of_one_rate_stand_beside_each_other_and_inside_the_axis():
    data = SWEEPS["halving of two"]()
    ax = drawn(data)
    x = np.array([place for place, _ in bars(ax)])
    assert len(set(x)) == len(x)
    assert ax.get_xlim()[0] < x.min()
    assert x.max() < ax.get_xlim()[1]
    np.testing.assert_array_equal(
        np.repeat(np.unique(data.points["learning_rate"]).round(9), 2).shape, x.shape
    )
    middles = np.sqrt(x[::2] * x[1::2])
    np.testing.assert_allclose(middles, np.unique(data.points["learning_rate"]))


def test_interrupted_points_stopped_early():
    data = interrupted(allocated(swept(grid(learning_rate=rates(8, 1e-4, 0.1))), {40: 0.5}), 60)
    dropped = lrjax.answer.dropped_at(data) >= 0
    data = dataclasses.replace(data, stopped_at=np.where(dropped[:, None], 40, data.stopped_at))
    assert set(ends(drawn(data))["stopped early"][1]) == {0, 60}  # its last point had not begun


def test_without_a_rate_bars_stand_at_the_points_numbers():
    data = allocated(swept(grid(b1=[0.8, 0.9, 0.95])), {40: 0.5})
    ax = drawn(data)
    assert ax.get_xlabel() == "point"
    assert [x for x, _ in bars(ax)] == [0, 1, 2]


def test_a_sweep_without_rungs_is_refused():
    expected = (
        r"`brackets\(data=...\)` must be a sweep with an allocation that decided, got one without rungs"
    )
    with pytest.raises(ValueError, match=expected):
        drawn(SWEEPS["five points"]())
    assert plt.get_fignums() == []


def test_the_figure_has_brackets_where_there_are_rungs():
    figure = sweep_of(SWEEPS["halving"]()).plot().figure
    assert [ax.get_label() for ax in figure.axes[:3]] == ["basin", "curves", "brackets"]


def test_points_that_were_dropped_are_hollow_in_the_basin_and_not_on_its_line():
    data = SWEEPS["median stopping"]()
    ax = lrjax.plot.basin(data, judge(data))
    hollow = [line for line in ax.lines if line.get_fillstyle() == "none" and len(line.get_xdata())]
    dropped = (lrjax.answer.dropped_at(data) >= 0) & ~judge(data).failed.all(axis=1)
    stand = np.sort(np.concatenate([line.get_xdata() for line in hollow]))
    np.testing.assert_allclose(stand, data.points["learning_rate"][dropped])
    line = next(line for line in ax.lines if line.get_label() == "median, range over seeds")
    assert not set(line.get_xdata()) & set(stand)
    assert "dropped: last loss" in ax.get_legend_handles_labels()[1]
