"""The ledger: parts that add up, each with its amount and its share."""

from __future__ import annotations

import dataclasses

import matplotlib as mpl
import pytest

mpl.use("Agg")

import matplotlib.pyplot as plt

import lrjax
from tests.plot.made_up import COSTS, SWEEPS


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def drawn(cost):
    return lrjax.plot.ledger(dataclasses.replace(SWEEPS["five points"](), cost=COSTS[cost]))


def labels(ax):
    return [text.get_text().strip() for text in ax.texts]


def bars(ax):
    return [text.get_text().split("\n") for text in ax.get_yticklabels()]


def test_member_steps_and_seconds_are_labelled_with_amounts_and_shares():
    ax = drawn("halving")
    assert set(labels(ax)) == {
        "kept 6,500 (27 %)",
        "wasted 2,500 (10 %)",
        "saved 15,000 (62 %)",
        "running 12.4 s (70 %)",
        "compiling 4.2 s (24 %)",
        "probing 1.1 s (6 %)",
    }
    assert bars(ax) == [["seconds", "17.7 s"], ["member-steps", "24,000"]]


def test_parts_that_are_nothing_are_left_out():
    assert set(labels(drawn("all kept"))) == {
        "kept 24,000 (100 %)",
        "running 12.4 s (89 %)",
        "compiling 1.53 s (11 %)",
    }
    assert labels(drawn("nothing")) == []


def test_what_was_reused_has_a_bar_of_its_own():
    ax = drawn("reused")
    assert ["of the used ones", "18,000"] in bars(ax)
    assert {"reused 17,900 (99 %)", "computed now 100 (<1 %)", "kept 15,000 (62 %)"} <= set(labels(ax))


def test_a_sweep_that_took_more_than_the_grid_saved_nothing():
    ax = drawn("used more than full")
    assert not any("saved" in label for label in labels(ax))
    assert ["member-steps", "30,000"] in bars(ax)


@pytest.mark.parametrize("cost", [name for name in COSTS if name != "nothing"])
def test_the_parts_of_a_bar_fill_it(cost):
    ax = drawn(cost)
    whole = {}
    for patch in ax.patches:
        whole[round(patch.get_y(), 6)] = whole.get(round(patch.get_y(), 6), 0) + patch.get_width()
    assert len(whole) == len(bars(ax))
    assert list(whole.values()) == pytest.approx([100] * len(whole))


def test_labels_of_tiny_parts_stand_above_their_bar():
    ax = drawn("tiny parts")
    tops = [patch.get_y() + patch.get_height() for patch in ax.patches]
    above = [text for text in ax.texts if "<1" in text.get_text()]
    assert len(above) == 4
    assert all(any(0 < text.get_position()[1] - top < 1 for top in tops) for text in above)
