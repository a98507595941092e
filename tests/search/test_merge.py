"""Stages of a search as one sweep: the same, member by member, as one sweep of them all."""

from __future__ import annotations

import functools

import numpy as np
import pytest

import lrjax
from lrjax.answer import absent, dropped_at, interrupted
from lrjax.engine import train
from lrjax.results import Cost
from lrjax.search import _asked, _grid
from lrjax.search._merge import merge
from tests.search.test_resume import examples, linear

EVERY = 5
LENGTH = 20


def host_made(step, seed_index):
    x, y = examples()
    return x[step : step + 4] + seed_index, y[step : step + 4]


DATASETS = {
    "batches": functools.partial(lrjax.batches, examples(), batch_size=8),
    "on the host": functools.partial(lrjax.from_function, host_made, on_device=False),
}


def stage(rates, *, seeds=2, first_seed=0, data="batches", **changes):
    asked = dict(
        evaluate_on=examples(), evaluate_every=EVERY, test_on=examples(), record_every=None, allocation=None,
        horizon=None, patience=None, blow_up=100.0, plan="pool", mesh=None, order="per-seed", key=3,
        name="learning_rate", keep=("final",),
    )  # fmt: skip
    points = _grid.points("sweep", {"learning_rate": rates}, "learning_rate")
    job = _asked.job(
        "sweep",
        linear(lrjax.sgd),
        points,
        DATASETS[data](),
        steps=LENGTH,
        seeds=seeds,
        **{**asked, **changes},
    )
    return train(job._replace(first_seed=first_seed), lambda progress, measured: None)


@functools.cache
def whole():
    return stage([0.01, 0.03, 0.1, 30.0], seeds=4)


def test_stages_that_share_nothing_are_the_sweep_of_all_their_rates():
    merged = merge([stage([0.01, 0.1], seeds=4), stage([0.03, 30.0], seeds=4)], {})
    assert merged.points["learning_rate"].tolist() == [0.01, 0.03, 0.1, 30.0]
    for kind in ("metrics", "held_out", "test"):
        for name, values in getattr(whole(), kind).items():
            np.testing.assert_array_equal(getattr(merged, kind)[name], values, err_msg=f"{kind} {name}")
    np.testing.assert_array_equal(merged.diverged_at, whole().diverged_at)
    np.testing.assert_array_equal(merged.causes, whole().causes)
    assert merged.states["final"].keys() == whole().states["final"].keys()
    assert merged.cost.member_steps_full == 4 * 4 * LENGTH


@pytest.mark.parametrize("rates", [(0.01, 30.0), (30.0, 0.01)])
def test_a_stage_of_which_nothing_is_left_to_test_has_no_test_losses(rates):
    stages = [stage([rate]) for rate in rates]
    assert [bool(each.test) for each in stages] == [rate < 1 for rate in rates]
    merged = merge(stages, {})
    np.testing.assert_array_equal(merged.test["loss"][0], stages[rates.index(0.01)].test["loss"][0])
    assert np.isnan(merged.test["loss"][1]).all()


@pytest.mark.parametrize("order", ["per-seed", "shared"])
@pytest.mark.parametrize("data", DATASETS)
@pytest.mark.parametrize("plan", ["vmap", "pool"])
def test_later_seeds_are_those_that_more_seeds_would_have_been(data, order, plan):
    options = {"data": data, "order": order, "plan": plan}
    both = merge([stage([0.03], **options), stage([0.03], seeds=2, first_seed=2, **options)], {})
    all_four = stage([0.03], seeds=4, **options)
    for name, values in all_four.metrics.items():
        np.testing.assert_allclose(both.metrics[name], values, rtol=1e-6, err_msg=name)
    np.testing.assert_allclose(both.held_out["loss"], all_four.held_out["loss"], rtol=1e-6)
    assert len({float(value) for value in both.metrics["loss"][0, :, -1]}) == 4


def test_members_that_no_stage_trained_are_absent_and_not_interrupted():
    merged = merge([stage([0.01, 0.1]), stage([0.1], seeds=1, first_seed=2)], {"course": []})
    assert absent(merged).tolist() == [[False, False, True], [False, False, False]]
    assert not interrupted(merged).any()
    assert np.isnan(merged.metrics["loss"][0, 2]).all()
    assert merged.settings["seeds"] == 3


def test_a_point_that_was_dropped_and_trained_again_counts_as_trained():
    allocation = lrjax.top_k(1, first=10, neighbours=0)
    rates = [0.001, 0.003, 0.1]
    first = stage(rates, seeds=1, allocation=allocation)
    assert dropped_at(first).tolist() == [10, 10, -1]
    again = stage([0.003], seeds=1)
    merged = merge([first, again], {}, Cost(7, 7, 0.0, 0.0, 0.0))
    assert dropped_at(merged).tolist() == [10, -1, -1]
    assert merged.stopped_at.tolist() == [[10], [-1], [-1]]
    np.testing.assert_array_equal(merged.metrics["loss"][1], again.metrics["loss"][0])
    assert merged.cost.member_steps_used == (10 + 10 + LENGTH) + LENGTH + 7
    (rung,) = lrjax.answer.rungs(merged)
    assert (rung.entered, rung.kept) == (3, 2)


def test_points_keep_their_other_hyperparameters():
    trial = linear(lambda learning_rate, momentum, nesterov: lrjax.sgd(learning_rate, momentum, nesterov))
    fixed = {"momentum": 0.9, "nesterov": True}

    def sweep(*rates):
        grid = [{**fixed, "learning_rate": rate} for rate in rates]
        return lrjax.sweep(trial, grid, DATASETS["batches"](), steps=3, progress=False)

    merged = merge([sweep(0.1), sweep(0.01)], {})
    assert {name: values.tolist() for name, values in merged.points.items()} == {
        "learning_rate": [0.01, 0.1],
        "momentum": [0.9, 0.9],
        "nesterov": [True, True],
    }
