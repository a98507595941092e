"""Pictures of sweeps: what is drawn where, on which scales, for every kind of sweep."""

from __future__ import annotations

import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

import lrjax
from tests.measured import RATES, USUAL, interrupted, measured, several, sweep_of
from tests.measured import usual as sweep

NAN = np.nan


@pytest.fixture(autouse=True)
def no_show(monkeypatch):
    """Nothing is shown, and every figure is closed."""

    def show(*arguments, **options):
        raise AssertionError("show() was called")

    monkeypatch.setattr(plt, "show", show)
    monkeypatch.setattr(mpl.figure.Figure, "show", show)
    yield
    plt.close("all")


def bowl(count, seeds):
    """Final losses along a valley of `count` rates, the last fifth of which diverge."""
    x = np.linspace(-2, 2, count)
    final = (0.1 + x**2)[:, None] * np.ones(seeds) * np.linspace(0.9, 1.1, seeds)
    final[x > 1.2] = NAN
    return final


KINDS = {
    "usual": sweep,
    "training loss": lambda: sweep(held_out=False),
    "negative": lambda: sweep([[-5, -6], [-9, -9], [-8, -8], [-7, NAN], [NAN, NAN]], start=-4),
    "everything diverged": lambda: sweep(np.full((5, 3), NAN)),
    "one point": lambda: sweep([[1, 2]], [0.1]),
    "one point that diverged": lambda: sweep([[NAN]], [0.1]),
    "one seed": lambda: sweep([[8], [2], [1], [3], [NAN]]),
    "all the same": lambda: sweep(np.ones((5, 2))),
    "all zero": lambda: sweep(np.zeros((5, 2)), start=0.0),
    "sixty points": lambda: sweep(bowl(60, 3), np.geomspace(1e-6, 1, 60)),
    "two hyperparameters": lambda: several([0.5, 0.9, 0.99]),
    "objects": lambda: several([None, "auto", True], "momentum"),
    "many lines": lambda: several(list(range(20)), "layers"),
    "interrupted": interrupted,
    "interrupted at once": lambda: sweep_of(
        measured(
            {"learning_rate": RATES},
            np.ones((5, 1)),
            held_out=False,
            stopped_at=np.zeros((5, 1), int),
            metrics={},
        )
    ),
    "starts huge": lambda: sweep(start=3e37),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_sweep_draws_without_a_warning(kind):
    ax = KINDS[kind]().plot()
    assert isinstance(ax, Axes)
    ax.figure.canvas.draw()  # warnings are errors


MAPS = ("two hyperparameters", "objects", "many lines")


@pytest.mark.parametrize("kind", KINDS)
def test_the_figure_has_two_panels_and_a_colour_bar(kind):
    figure = KINDS[kind]().plot().figure
    assert [ax.get_xlabel() for ax in figure.axes[:2]] == ["learning rate", "step"]
    bars = [*figure.axes[2:], *figure.axes[1].child_axes]
    names = ["median held-out loss", "learning rate"] if kind in MAPS else ["learning rate"]
    assert [bar.get_ylabel() for bar in bars] == names


def test_axes_and_labels():
    left = sweep().plot()
    right = left.figure.axes[1]
    assert left is left.figure.axes[0]
    assert left.get_ylabel() == "held-out loss after 100 steps"
    assert right.get_ylabel() == "held-out loss"
    assert left.get_xscale() == "log"
    assert right.get_xscale() == "linear"
    assert left.get_yscale() == right.get_yscale() == "log"


def test_training_losses_are_labelled_so():
    left, right = sweep(held_out=False).plot().figure.axes[:2]
    assert left.get_ylabel() == "training loss after 100 steps"
    assert right.get_ylabel() == "training loss"


@pytest.mark.parametrize("kind", ["negative", "all zero"])
def test_losses_that_are_not_positive_have_a_linear_axis(kind):
    left, right = KINDS[kind]().plot().figure.axes[:2]
    assert left.get_yscale() == right.get_yscale() == "linear"
    assert left.get_xscale() == "log"


def labelled(ax):
    handles, labels = ax.get_legend_handles_labels()
    return dict(zip(labels, handles, strict=True))


def crosses(ax):
    """The rates with a cross, a list for each line that has some."""
    return [
        line.get_xdata().tolist() for line in ax.lines if line.get_marker() == "x" and len(line.get_xdata())
    ]


def test_the_line_is_the_median_of_the_seeds_that_trained():
    line = labelled(sweep().plot())["median, range over seeds"]
    np.testing.assert_allclose(line.get_xdata(), RATES[:4])
    np.testing.assert_allclose(line.get_ydata(), [8.5, 1.005, 0.995, 3])


def test_the_band_is_the_range_of_the_seeds():
    ax = sweep().plot()
    vertices = ax.collections[0].get_paths()[0].vertices
    at = {x: vertices[np.isclose(vertices[:, 0], x), 1] for x in RATES[:4]}
    for x, low, high in ((1e-4, 8, 9), (1e-3, 1.0, 1.01), (1e-1, 3, 3)):
        assert at[x].min() == pytest.approx(low)
        assert at[x].max() == pytest.approx(high)


def test_the_chosen_rate_and_the_plateau_are_marked():
    drawn = sweep()
    ax = drawn.plot()
    chosen = labelled(ax)["chosen: 0.01"]
    assert chosen.get_xdata() == [drawn.answer.learning_rate] == [0.01]
    assert chosen.get_ydata() == [drawn.answer.score]
    assert any(line.get_linestyle() == "--" and set(line.get_xdata()) == {0.01} for line in ax.lines)
    span = labelled(ax)["does as well"].get_extents().transformed(ax.transData.inverted())
    np.testing.assert_allclose([span.x0, span.x1], drawn.answer.plateau, rtol=1e-6)
    assert drawn.answer.plateau == (1e-3, 1e-2)


def test_a_plateau_of_one_rate_is_not_drawn():
    drawn = sweep([[8], [2], [1], [3], [NAN]])
    assert drawn.answer.plateau == (1e-2, 1e-2)
    assert "does as well" not in labelled(drawn.plot())


def test_points_where_a_seed_failed_are_marked():
    assert crosses(sweep().plot()) == [[1e-1, 1.0]]
    assert "a seed failed" in labelled(sweep().plot())
    assert "a seed failed" not in labelled(sweep([[5], [4], [3], [2], [1]]).plot())


def test_points_that_never_ran_are_not_marked_as_failed():
    assert crosses(interrupted().plot()) == [[1.0]]


def test_when_everything_diverged_the_picture_says_so():
    ax = KINDS["everything diverged"]().plot()
    assert [text.get_text() for text in ax.texts] == ["no point trained"]
    assert list(labelled(ax)) == ["a seed failed", "fails from 0.0001 on"]
    assert crosses(ax) == [RATES]
    assert not any("chosen" in label for label in labelled(ax.figure.axes[1]))


@pytest.mark.parametrize("kind", ["usual", "one point", "everything diverged", "sixty points"])
def test_all_rates_lie_inside_the_axis(kind):
    drawn = KINDS[kind]()
    low, high = drawn.plot().get_xlim()
    rates = drawn.points["learning_rate"]
    assert 0 < low < rates.min()
    assert rates.max() < high < 10 * rates.max()


def test_a_loss_that_explodes_does_not_set_the_scale():
    top = max(ax.get_ylim()[1] for ax in sweep(start=2.0).plot().figure.axes[:2])
    drawn = sweep(start=2.0)
    drawn.held_out["loss"][4, :, 1:3] = 1e20
    assert max(ax.get_ylim()[1] for ax in drawn.plot().figure.axes[:2]) == pytest.approx(top, rel=1)


def test_there_is_a_curve_for_every_point_and_the_chosen_one_is_on_top():
    drawn = sweep()
    right = drawn.plot().figure.axes[1]
    assert len(right.collections[0].get_segments()) == 5
    chosen = labelled(right)["chosen: 0.01"]
    assert chosen.get_zorder() >= right.collections[0].get_zorder()
    np.testing.assert_array_equal(chosen.get_xdata(), drawn.held_out_steps)
    np.testing.assert_allclose(chosen.get_ydata(), np.median(drawn.held_out["loss"][2], axis=0))


def test_two_hyperparameters_have_a_line_each():
    drawn = several([0.5, 0.9])
    ax = drawn.plot()
    lines = labelled(ax)
    assert {"b1=0.5", "b1=0.9"} <= set(lines)
    assert lines["b1=0.5"].get_color() != lines["b1=0.9"].get_color()
    assert lines["b1=0.5"].get_marker() != lines["b1=0.9"].get_marker()
    np.testing.assert_allclose(lines["b1=0.9"].get_ydata(), [8.6, 1.105, 1.095, 3.1], rtol=1e-6)


def test_crosses_have_the_colour_of_their_line_and_a_height_of_their_own():
    ax = several([0.5, 0.9]).plot()
    marks = [line for line in ax.lines if line.get_marker() == "x" and len(line.get_xdata())]
    assert crosses(ax) == [[1e-1, 1.0]] * 2
    assert [mark.get_color() for mark in marks] == [labelled(ax)[f"b1={b1}"].get_color() for b1 in (0.5, 0.9)]
    heights = [set(mark.get_ydata()) for mark in marks]
    assert len(heights[0] | heights[1]) == 2
    shown = ax.transData.transform([(1e-2, 10.0)])[0, 1]  # where training began
    assert min(min(h) for h in heights) > ax.transAxes.inverted().transform((0, shown))[1]


def test_of_many_lines_some_are_named_and_the_others_counted():
    drawn = several(list(range(20)), "layers")
    ax = lrjax.plot.basin(drawn, drawn.answer)
    assert [label for label in labelled(ax) if "layers" in label or "more" in label] == [
        *(f"layers={i}" for i in (0, 6, 13, 19)),
        "+ 16 more",
    ]
    assert sum(len(line.get_xdata()) == 4 for line in ax.lines) == 20


@pytest.mark.parametrize("kind", KINDS)
def test_legends_cover_no_data(kind):
    """They stand above the axes, and no further right than the next panel begins."""
    figure = KINDS[kind]().plot().figure
    figure.canvas.draw()
    left, right = figure.axes[:2]
    for ax, end in ((left, right.get_window_extent().x0), (right, figure.bbox.x1)):
        if ax.get_legend() is not None:
            box = ax.get_legend().get_window_extent()
            assert box.y0 >= ax.get_window_extent().y1 - 1
            assert box.x1 <= end
            assert box.y1 <= figure.bbox.y1 + 1


def test_given_axes_are_drawn_on_and_nothing_else():
    figure, axes = plt.subplots(1, 3)
    assert sweep().plot(ax=axes[1]) is axes[1]
    assert plt.get_fignums() == [figure.number]
    assert len(figure.axes) == 3
    assert "chosen: 0.01" in labelled(axes[1])
    assert not axes[0].lines
    assert not axes[2].lines


def test_the_parts_make_a_figure_of_their_own():
    drawn = sweep()
    basin = lrjax.plot.basin(drawn, drawn.answer)
    curves = lrjax.plot.curves(drawn, drawn.answer)
    assert basin.figure is not curves.figure
    assert curves.get_xlabel() == "step"


def test_a_basin_of_something_else_is_refused_and_leaves_no_figure():
    drawn = sweep_of(measured({"b1": [0.5, 0.9]}, [[1], [2]]))
    with pytest.raises(ValueError, match=r"must be a sweep over 'learning_rate', got one over b1 \(.*curves"):
        drawn.plot(kind="basin")
    assert plt.get_fignums() == []
    only = drawn.plot()
    assert [ax.get_label() for ax in only.figure.axes] == ["curves"]
    (bar,) = only.child_axes
    assert bar.get_ylabel() == "point"
    only.figure.canvas.draw()
    assert [text.get_text() for text in bar.get_yticklabels()] == ["0", "1"]
    assert only.get_legend().get_texts()[0].get_text() == "chosen: b1=0.5"


def test_a_rate_by_another_name_is_labelled_by_it():
    data = measured({"step_size": RATES}, USUAL, name="step_size")
    left, right = sweep_of(data).plot().figure.axes
    assert left.get_xlabel() == right.child_axes[0].get_ylabel() == "step size"


@pytest.mark.parametrize("missing", ["matplotlib", "matplotlib.pyplot"])
def test_without_matplotlib_the_error_names_the_extra(monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    for name in [name for name in sys.modules if name.startswith("matplotlib.pyplot")]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"^drawing needs matplotlib: pip install 'lrjax\[plot\]'$"):
        sweep().plot()


def test_importing_lrjax_does_not_import_matplotlib():
    code = "import sys, lrjax; sys.exit(any(m.startswith('matplotlib') for m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
