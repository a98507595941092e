"""The heat map of two hyperparameters: which cells are coloured, hatched, outlined and blank."""

from __future__ import annotations

import dataclasses

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import LogNorm

import lrjax
from lrjax.answer import judge
from tests.measured import measured, sweep_of
from tests.plot.drawn import assert_tidy, texts_of
from tests.plot.made_up import SWEEPS, grid, rates, swept

NAN = np.nan


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def drawn(data, **options):
    return lrjax.plot.heat_map(data, options.pop("answer", None) or judge(data), **options)


def small(final, **others):
    """Three rates by two momenta, `final [6, seeds]` in the order of the grid."""
    points = {"learning_rate": [0.01, 0.01, 0.1, 0.1, 1.0, 1.0], "momentum": [0.9, 0.0] * 3}
    return measured(points, final, **others)


def cells(ax):
    """The colour's number in each cell, `[rows, columns]`, masked where there is none."""
    return ax.collections[0].get_array()


def marked(ax, label):
    """The centres of the cells of a hatch."""
    found = [c for c in ax.collections if isinstance(c, PolyCollection) and c.get_label() == label]
    return [tuple(path.vertices[:4].mean(axis=0)) for collection in found for path in collection.get_paths()]


def ticks(axis):
    return [text.get_text() for text in axis.get_ticklabels()]


USUAL = [[3, 3.1], [4, 4.1], [1, 1.1], [2, 2.1], [NAN, NAN], [5, NAN]]


def test_a_cell_is_the_score_of_its_point_with_numbers_in_order():
    ax = drawn(small(USUAL))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("learning rate", "momentum")
    assert (ticks(ax.xaxis), ticks(ax.yaxis)) == (["0.01", "0.1", "1"], ["0", "0.9"])
    np.testing.assert_allclose(cells(ax).filled(NAN), [[4.05, 2.05, NAN], [3.05, 1.05, NAN]], rtol=1e-6)


def test_the_axes_can_be_chosen():
    ax = drawn(small(USUAL), x="momentum", y="learning_rate")
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("momentum", "learning rate")
    assert cells(ax).shape == (3, 2)
    assert drawn(small(USUAL), x="momentum").get_ylabel() == "learning rate"
    assert drawn(small(USUAL), y="learning_rate").get_xlabel() == "momentum"


def test_cells_that_fail_are_hatched_and_the_best_has_a_star():
    ax = drawn(small(USUAL))
    assert marked(ax, "fails") == [(2, 1), (2, 0)]
    assert marked(ax, "dropped or not measured") == []
    (star,) = [line for line in ax.lines if line.get_marker() == "*"]
    assert star.get_xdata()[0] == 1
    assert 1 <= star.get_ydata()[0] < 1.5
    assert star.get_label() == "best: learning_rate=0.1, momentum=0.9"


def test_missing_combinations_stay_blank():
    data = SWEEPS["holes"]()
    ax = drawn(data)
    present = ~np.ma.getmaskarray(cells(ax))
    assert present.sum() + len(marked(ax, "fails")) == len(data.diverged_at)
    assert present.size > len(data.diverged_at)


def test_points_that_an_allocation_dropped_are_dotted():
    data = SWEEPS["halving of two"]()
    ax = drawn(data)
    dropped = lrjax.answer.dropped_at(data) >= 0
    gone = marked(ax, "dropped or not measured") + marked(ax, "fails")
    assert len(gone) == (~np.isfinite(judge(data).scores)).sum() >= dropped.sum() > 0


def test_cells_not_told_from_the_best_are_outlined_along_their_border():
    data = small(USUAL)
    answer = dataclasses.replace(judge(data), indistinguishable=(2, 3), plateau=(0.1, 0.1))
    (outline, _) = [c for c in drawn(data, answer=answer).collections if isinstance(c, LineCollection)]
    sides = {tuple(sorted(map(tuple, side.tolist()))) for side in outline.get_segments()}
    assert len(sides) == 6  # two cells on top of each other, without the side between them
    assert ((0.5, 0.5), (1.5, 0.5)) not in sides
    alone = dataclasses.replace(answer, indistinguishable=(2,))
    assert not [c for c in drawn(data, answer=alone).collections if isinstance(c, LineCollection)]


def test_the_plateau_is_outlined():
    data = small(USUAL)
    answer = dataclasses.replace(judge(data), indistinguishable=(2,), plateau=(0.01, 0.1))
    outline = next(c for c in drawn(data, answer=answer).collections if isinstance(c, LineCollection))
    assert len(outline.get_segments()) == 6


@pytest.mark.parametrize(
    ("final", "by_ratio"),
    [
        ([[20], [4], [1], [2], [3], [5]], True),
        ([[9], [4], [1], [2], [3], [5]], False),
        ([[9], [4], [-1], [2], [3], [5]], False),
        ([[0], [0], [0], [0], [0], [0]], False),
    ],
)
def test_colours_are_logarithmic_where_scores_span_more_than_a_decade(final, by_ratio):
    ax = drawn(small(final, start=30.0))
    assert isinstance(ax.collections[0].norm, LogNorm) == by_ratio
    ax.figure.canvas.draw()


def test_more_than_two_are_at_the_best_values_of_the_others():
    data = swept(grid(learning_rate=rates(5), momentum=[0.9, 0.0], nesterov=[True, False]))
    ax = drawn(data)
    answer = judge(data)
    assert ax.get_legend().get_title().get_text() == f"at nesterov={answer.point['nesterov']}"
    same = [i for i, value in enumerate(data.points["nesterov"]) if value is answer.point["nesterov"]]
    shown = cells(ax).compressed()
    np.testing.assert_allclose(np.sort(shown), np.sort(answer.scores[same][np.isfinite(answer.scores[same])]))


def test_values_that_are_no_numbers_are_categories_in_the_grid_s_order():
    data = swept(grid(learning_rate=rates(3), optimizer=["sgd", "adam", None, True]))
    assert ticks(drawn(data).yaxis) == ["sgd", "adam", "None", "True"]


def test_values_close_to_each_other_are_told_apart():
    data = swept(grid(b1=[0.8, 0.9], b2=[0.99, 0.9999, 1.0]))
    assert ticks(drawn(data).yaxis) == ["0.99", "0.9999", "1"]


def test_where_nothing_trained_the_map_says_so():
    ax = drawn(small(np.full((6, 2), NAN)))
    assert [text.get_text() for text in ax.texts] == ["no point trained"]
    assert len(marked(ax, "fails")) == 6
    assert len(ax.figure.axes) == 1


def test_scores_are_written_into_few_cells_and_not_into_many():
    written = [text.get_text() for text in drawn(small(USUAL)).texts]
    assert sorted(written) == ["1.05", "2.05", "3.05", "4.05"]
    assert not drawn(SWEEPS["a fine map"]()).texts


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"x": "b1"},
            r"`heat_map\(x=...\)` must be one of those that vary, 'learning_rate', 'momentum', got 'b1'",
        ),
        ({"y": "b1"}, r"`heat_map\(y=...\)` must be one of"),
        ({"x": "momentum", "y": "momentum"}, r"`heat_map\(y=...\)` must be another hyperparameter than `x`"),
    ],
)
def test_wrong_names_are_refused_and_leave_no_figure(options, message):
    with pytest.raises(ValueError, match=message):
        drawn(small(USUAL), **options)
    assert plt.get_fignums() == []


def test_a_sweep_over_one_hyperparameter_is_refused():
    expected = r"must be a sweep over at least two hyperparameters, got one of learning_rate"
    with pytest.raises(ValueError, match=expected):
        drawn(swept(grid(learning_rate=rates(3), momentum=[0.9])))
    with pytest.raises(ValueError, match="got one of a single point"):
        drawn(swept(grid(learning_rate=[0.1])))


def test_the_figure_has_a_map_for_exactly_two_with_three_values_each():
    labels = {
        name: sweep_of(SWEEPS[name]()).plot().get_label()
        for name in ("two numbers", "categories", "no rate", "two lines", "twelve lines", "five points")
    }
    assert labels == {
        "two numbers": "heat map",
        "categories": "heat map",
        "no rate": "heat map",
        "two lines": "basin",
        "twelve lines": "basin",
        "five points": "basin",
    }


def test_very_long_names_and_values_leave_room_for_the_map():
    data = swept(grid(learning_rate=rates(4), **{"name" * 30: ["x" * 200, "y" * 200 + "<z>", "short"]}))
    figure = lrjax.plot.heat_map(data, judge(data)).figure
    assert_tidy(figure)
    assert "short" in [text for text, _ in texts_of(figure)]
    assert figure.axes[0].get_position().height > 0.4
    legend = lrjax.plot.basin(data, judge(data)).get_legend().get_texts()
    ends = [text.get_text()[-3:] for text in legend[:3]]
    assert ends == ["xxx", "<z>", "ort"]
