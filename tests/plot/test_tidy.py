"""Every picture, at several sizes: no two texts overlap, none leaves the figure."""

from __future__ import annotations

import dataclasses

import matplotlib as mpl
import pytest

mpl.use("Agg")

import matplotlib.pyplot as plt

import lrjax
from lrjax.answer import judge, judge_range
from tests.plot.drawn import assert_tidy, texts_of
from tests.plot.made_up import COSTS, RAMPS, SWEEPS

SIZES = [(4.5, 3.4), (6.0, 4.2), (9.0, 6.0)]
RATES = [name for name in SWEEPS if name != "no rate"]
MAPS = [name for name in SWEEPS if name in ("a fine map", "categories", "holes", "no rate", "two numbers")]
MAPS += [name for name in SWEEPS if "lines" in name or "of two" in name]
ALLOCATED = [name for name in SWEEPS if SWEEPS[name]().rungs]


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def at_every_size(draw):
    for size in SIZES:
        _, ax = plt.subplots(figsize=size, layout="constrained")
        draw(ax)
        assert_tidy(ax.figure)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *(("basin", name) for name in RATES),
        *(("curves", name) for name in SWEEPS),
        *(("heat map", name) for name in MAPS),
        *(("brackets", name) for name in ALLOCATED),
    ],
)
def test_pictures_of_sweeps(kind, name):
    data = SWEEPS[name]()
    answer = judge(data)
    at_every_size(lambda ax: lrjax.plot.draw(data, answer, ax, kind))


@pytest.mark.parametrize("name", COSTS)
def test_ledgers(name):
    data = dataclasses.replace(SWEEPS["five points"](), cost=COSTS[name])
    at_every_size(lambda ax: lrjax.plot.ledger(data, ax))
    assert_tidy(lrjax.plot.ledger(data).figure)


@pytest.mark.parametrize("name", RAMPS)
def test_range_tests(name):
    data = RAMPS[name]()
    answer = judge_range(data.learning_rates, data.losses)
    at_every_size(lambda ax: lrjax.plot.ramp(data, answer, ax))


@pytest.mark.parametrize("name", SWEEPS)
def test_whole_figures(name):
    data = SWEEPS[name]()
    assert_tidy(lrjax.plot.sweep_figure(data, judge(data)).figure)


def test_the_check_finds_an_overlap_and_a_text_outside():
    figure, ax = plt.subplots(layout="constrained")
    ax.text(0.5, 0.5, "one")
    assert {"one"} < {text for text, _ in texts_of(figure)}
    assert_tidy(figure)
    ax.text(0.5, 0.5, "another")
    with pytest.raises(AssertionError, match="'one' and 'another' overlap"):
        assert_tidy(figure)
    ax.texts[1].remove()
    figure.text(0.99, 0.99, "too far out")
    with pytest.raises(AssertionError, match="'too far out' leaves the figure"):
        assert_tidy(figure)
