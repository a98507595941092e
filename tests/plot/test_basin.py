"""What the answer adds to the basin: the interval, the edge, and names that stay readable."""

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
from tests.plot.made_up import SWEEPS, grid, rates, swept


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def drawn(data, **replaced):
    return lrjax.plot.basin(data, dataclasses.replace(judge(data), **replaced))


def labelled(ax):
    handles, labels = ax.get_legend_handles_labels()
    return dict(zip(labels, handles, strict=True))


def test_the_interval_is_a_bar_at_the_bottom_with_its_percentage():
    ax = drawn(SWEEPS["five points"](), interval=(0.004, 0.03))
    bar = labelled(ax)["90 % interval"]
    assert list(bar.get_xdata()) == [0.004, 0.03]
    assert max(bar.get_ydata()) < 0.1
    lowest = min(
        line.get_ydata().min() for line in ax.lines if line.get_label() == "median, range over seeds"
    )
    shown = ax.transAxes.inverted().transform(ax.transData.transform((0.01, lowest)))
    assert max(bar.get_ydata()) < shown[1]
    assert "90 % interval" not in labelled(drawn(SWEEPS["five points"](), interval=None))


def test_the_failing_side_is_hatched_from_the_edge_on():
    data = SWEEPS["five points"]()
    edge = judge(data).divergence_edge
    ax = drawn(data)
    span = labelled(ax)[f"fails from {edge:.3g} on"]
    assert span.get_hatch()
    box = span.get_extents().transformed(ax.transData.inverted())
    assert (box.x0, box.x1) == pytest.approx((edge, ax.get_xlim()[1]))
    assert not any("fails" in label for label in labelled(drawn(data, divergence_edge=None)))


def test_numbers_are_named_in_their_order_and_in_full():
    data = swept(grid(learning_rate=rates(5), b2=[0.9999, 0.9, 0.99], decay=[0.1]))
    labels = [label for label in labelled(drawn(data)) if "=" in label]
    assert labels == ["b2=0.9", "b2=0.99", "b2=0.9999"]


def test_hyperparameters_that_do_not_vary_are_not_named():
    data = swept(grid(learning_rate=rates(5), momentum=[0.9]))
    assert "median, range over seeds" in labelled(drawn(data))


def test_of_several_hyperparameters_the_title_has_the_names_and_the_lines_the_values():
    ax = drawn(swept(grid(learning_rate=rates(5), decay=[0.1, 0.0], nesterov=[True, None])))
    assert ax.get_legend().get_title().get_text() == "lines: decay, nesterov"
    assert [label for label in labelled(ax)][:4] == ["0, True", "0, None", "0.1, True", "0.1, None"]


def test_the_best_one_s_line_is_among_those_named_of_many():
    data = swept(grid(learning_rate=rates(5), width=list(range(30))))
    best = judge(data).point["width"]
    names = [label for label in labelled(drawn(data)) if "width" in label]
    assert f"width={best}" in names
    assert len(names) <= 5


def test_plots_by_name_and_names_that_are_none():
    swept_ = sweep_of(SWEEPS["two numbers"]())
    labels = {kind: swept_.plot(kind=kind).get_xlabel() for kind in ("basin", "curves", "heat map", "ledger")}
    assert labels == {
        "basin": "learning rate",
        "curves": "step",
        "heat map": "learning rate",
        "ledger": "share in %",
    }
    assert len(swept_.plot(kind="basin").figure.axes) == 1
    expected = (
        r"`plot\(kind=...\)` must be one of 'basin', 'curves', 'heat map', 'brackets', 'ledger', or None"
    )
    for wrong in ("heatmap", 3, ["basin"]):
        with pytest.raises(ValueError, match=expected):
            swept_.plot(kind=wrong)


def test_given_axes_hold_the_first_picture_that_suits():
    _, ax = plt.subplots()
    assert sweep_of(SWEEPS["two numbers"]()).plot(ax).get_ylabel() == "weight decay"
    assert len(ax.figure.axes) == 2  # and a colour bar


def test_the_axis_says_after_how_many_steps_the_chosen_point_was_judged():
    def label(kind):
        data = SWEEPS[kind]()
        return lrjax.plot.basin(data, judge(data)).get_ylabel()

    assert label("five points") == "held-out loss after 200 steps"
    assert label("interrupted") == "held-out loss after 60 of 200 steps"


def test_dropped_points_that_blew_up_leave_room_for_the_others():
    data = SWEEPS["halving"]()
    gone = int(np.flatnonzero(data.stopped_at[:, 0] >= 0)[-1])
    last = np.flatnonzero(np.isfinite(data.held_out["loss"][gone, 0]))[-1]
    before = lrjax.plot.basin(data, judge(data))
    data.held_out["loss"][gone, :, last] = 1e20
    ax = lrjax.plot.basin(data, judge(data))
    assert ax.get_ylim() == pytest.approx(before.get_ylim(), rel=0.3)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert {"dropped: last loss", "dropped, far above"} <= set(labels)
    (marks,) = [line for line in ax.lines if line.get_marker() == "^" and len(line.get_xdata())]
    assert marks.get_xdata().tolist() == pytest.approx([data.points["learning_rate"][gone]])


def test_words_in_the_middle_cover_no_line():
    data = SWEEPS["five points"]()
    data.held_out["loss"][...] = 1.0
    data = dataclasses.replace(data, diverged_at=np.full((5, 3), -1))
    ax = lrjax.plot.basin(data, judge(data))
    (words,) = [text for text in ax.texts if "no difference" in text.get_text()]
    ax.figure.canvas.draw()
    line = ax.transData.transform((0.01, 1.0))[1]
    box = words.get_window_extent()
    assert not box.y0 <= line <= box.y1


def test_rates_that_make_no_difference_are_drawn_and_said_to_make_none():
    data = swept(grid(learning_rate=rates(3, 0.01, 0.03)))
    for table in (data.metrics, data.held_out):
        table["loss"][...] = table["loss"][:1]
    ax = lrjax.plot.basin(data, judge(data))
    assert [text.get_text() for text in ax.texts] == ["the rate makes no difference"]
    assert ax.lines[0].get_ydata().tolist() == [pytest.approx(ax.lines[0].get_ydata()[0])] * 3
    assert len(ax.get_yticks())
