"""The picture of a range test: rules in rows of their own, the suggestion, or why there is none."""

from __future__ import annotations

import dataclasses

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("Agg")

import matplotlib.pyplot as plt

import lrjax
from lrjax.answer import judge_range
from tests.plot.made_up import RAMPS


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def judged(data):
    return judge_range(data.learning_rates, data.losses)


def drawn(kind):
    data = RAMPS[kind]()
    return lrjax.plot.ramp(data, judged(data)), judged(data)


def rules(ax):
    return {text.get_text().split()[0]: text for text in ax.texts}


@pytest.mark.parametrize("kind", RAMPS)
def test_every_rule_is_named_beside_a_mark_at_its_rate(kind):
    ax, answer = drawn(kind)
    assert set(rules(ax)) == set(answer.suggestions)
    marks = [line for line in ax.lines if line.get_marker() in ("v", "s", "D", "^")]
    low, high = ax.get_xlim()
    expected = [float(np.clip(rate, low, high)) for rate in answer.suggestions.values()]
    assert sorted(mark.get_xdata()[0] for mark in marks) == pytest.approx(sorted(expected))
    heights = [mark.get_ydata()[0] for mark in marks]
    assert len(set(heights)) == len(heights)


def test_many_seeds_are_a_band_and_not_a_blot():
    data = RAMPS["normal"]()
    many = dataclasses.replace(data, losses=np.repeat(data.losses, 40, axis=0))
    ax = lrjax.plot.ramp(many, judged(many))
    assert len(ax.lines) < 20
    assert "range of 200 seeds" in [text.get_text() for text in ax.get_legend().get_texts()]


def test_rules_that_agree_stand_in_rows():
    data = RAMPS["normal"]()
    answer = dataclasses.replace(judged(data), suggestions=dict.fromkeys(judged(data).suggestions, 0.01))
    ax = lrjax.plot.ramp(data, answer)
    assert [text.get_text() for text in rules(ax).values()] == [
        f"{name} 0.01" for name in reversed(answer.suggestions)
    ]
    assert len({text.xy[1] for text in rules(ax).values()}) == 4


def test_a_rule_below_the_ramp_is_marked_at_its_end_with_its_own_number():
    ax, answer = drawn("rising")
    assert answer.suggestions["minimum"] < ax.get_xlim()[0]
    assert rules(ax)["minimum"].xy[0] == ax.get_xlim()[0]
    assert rules(ax)["minimum"].get_text() == "minimum 5.1e-07"


def test_the_rows_lie_below_the_average_and_no_loss_is_read_there():
    ax, _ = drawn("normal")
    average = next(line for line in ax.lines if line.get_label() == "average")
    low, high = ax.get_ylim()
    rows = low + (high - low) * 0.055 * 4
    assert average.get_ydata().min() > rows
    assert min(ax.get_yticks()) >= rows


def test_suggestion_interval_and_edge_are_in_the_legend():
    ax, answer = drawn("noisy")
    handles, labels = ax.get_legend_handles_labels()
    assert labels == [
        "5 seeds",
        "average",
        "interval",
        f"suggested: {answer.suggestion:.3g}",
        f"above its start from {answer.stable_edge:.2g}",
    ]
    star = handles[labels.index(f"suggested: {answer.suggestion:.3g}")]
    assert star.get_xdata()[0] == answer.suggestion


@pytest.mark.parametrize("kind", ["flat", "constant", "rising", "gone at once", "short"])
def test_where_nothing_is_suggested_the_title_says_why(kind):
    ax, answer = drawn(kind)
    assert answer.suggestion is None
    title = ax.get_legend().get_title().get_text()
    assert title.replace("\n", " ") == f"No suggestion: {answer.reason}"
    assert not [line for line in ax.lines if line.get_marker() == "*"]


def test_of_losses_that_are_never_finite_nothing_is_drawn_and_no_loss_numbered():
    data = RAMPS["rising"]()
    ax = lrjax.plot.ramp(
        never := dataclasses.replace(data, losses=np.full_like(data.losses, np.nan)), judged(never)
    )
    assert not len(ax.get_yticks())
    assert "no finite loss before any update" in ax.get_legend().get_title().get_text().replace("\n", " ")


def test_a_loss_that_only_rises_is_seen_to_rise():
    ax, _ = drawn("rising")
    assert ax.get_ylim()[1] == pytest.approx(2 * RAMPS["rising"]().losses[0, 0], rel=0.1)


def test_no_curve_of_a_seed_runs_through_the_rules():
    data = RAMPS["noisy"]()
    ax = lrjax.plot.ramp(data, judged(data))
    bottom, top = ax.get_ylim()
    cover = next(patch for patch in ax.patches if patch.get_facecolor()[:3] == (1, 1, 1))
    assert cover.get_y() == bottom
    assert bottom < cover.get_y() + cover.get_height() < top
    seeds = [line for line in ax.lines if line.get_linewidth() < 1 and len(line.get_xdata()) > 2]
    assert max(line.get_zorder() for line in seeds) < cover.get_zorder()
    assert cover.get_zorder() < min(text.get_zorder() for text in ax.texts)
