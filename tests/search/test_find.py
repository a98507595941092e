"""The search for a rate: what it tries, when it ends, and that nothing it measured is lost."""

from __future__ import annotations

import datetime
import functools
import itertools
import signal
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrjax
from lrjax.engine import _train
from lrjax.results import AnotherSweep
from lrjax.search import _course

STEPS = 16
DATA = lrjax.batches(np.zeros(4), batch_size=4)


def landscape(best, *, noise=0.0, cliff=np.inf, name="learning_rate"):
    """A trial whose loss falls, in proportion to the steps, to 1 + |log10(rate / best)| + a seed's noise.

    From a rate of `cliff` on it is not finite after the first step.
    """

    def init(key, hyperparams):
        rate = hyperparams[name]
        luck = jax.random.normal(jax.random.fold_in(key, (1000 * rate).astype(jnp.int32)))
        return {"step": jnp.float32(0), "rate": rate + jnp.float32(0), "luck": luck}

    def loss(state):
        target = 1 + jnp.abs(jnp.log10(state["rate"] / best)) + noise * state["luck"]
        fell = 20 + (target - 20) * state["step"] / STEPS
        return jnp.where((state["rate"] >= cliff) & (state["step"] > 1), jnp.nan, fell)

    def update(state, batch, hyperparams):
        return {"loss": loss(state)}, {**state, "step": state["step"] + 1}

    return lrjax.Trial(init, update, lambda state, batch: {"loss": loss(state)})


def find(trial, data=DATA, **options):
    options = {"steps": STEPS, "evaluate_on": np.zeros(4), "progress": False, "plan": "pool", **options}
    return lrjax.find_learning_rate(trial, data, **options)


def course(sweep):
    return sweep.settings["search"]["course"]


# What it finds


def test_where_nothing_is_learned_there_is_no_answer_and_no_lower_rates_are_tried():
    def init(key, hyperparams):
        return jax.random.fold_in(key, (1e6 * hyperparams["learning_rate"]).astype(jnp.int32))

    def update(state, batch, hyperparams):
        return {"loss": jnp.float32(5)}, jax.random.fold_in(state, 1)

    def evaluate(state, batch):
        return {"loss": 5 + 0.01 * jax.random.normal(state)}

    sweep = find(lrjax.Trial(init, update, evaluate), seeds=3)
    assert sweep.answer.learning_rate is None
    assert "No point lowered the loss" in sweep.answer.recommendation
    assert course(sweep)[-1] == "no rate lowered the loss by more than chance would"
    assert len(course(sweep)) == 3  # before: no range test, the first rates
    assert sweep.settings["search"]["unfinished"] == ""


@pytest.mark.parametrize("evaluate_on", [None, np.zeros(4)])
def test_where_all_rates_are_far_too_low_higher_ones_are_tried(evaluate_on):
    """A loss of a millionth's size, whose batches move it by more than the first rates do."""
    noise = np.random.default_rng(0).normal(size=64).astype(np.float32)
    trial = lrjax.trial(
        lambda key: 10.0 + jax.random.normal(key), lambda w, x: 1e-6 * jnp.mean((w - x) ** 2), lrjax.sgd
    )
    data = lrjax.batches(noise, batch_size=4)
    sweep = find(trial, data, seeds=3, evaluate_on=evaluate_on, steps=32)
    assert sweep.answer.learning_rate > 100
    assert not sweep.answer.failed[sweep.points["learning_rate"] < 1].any()


@pytest.mark.parametrize("best", [1e-7, 3e-6, 0.013, 1.0, 25.0])
def test_it_finds_the_best_rate_inside_and_outside_of_where_it_begins(best):
    sweep = find(landscape(best), seeds=1)
    assert abs(np.log10(sweep.answer.learning_rate / best)) <= 0.1 + 0.005
    rates = sweep.points["learning_rate"]
    around = np.flatnonzero(rates == sweep.answer.learning_rate)[0]
    gaps = np.diff(np.log10(rates))[around - 1 : around + 1]
    assert (gaps < 0.21).all()
    assert sweep.settings["search"]["unfinished"] == ""


def test_a_cliff_right_above_the_best_rate_is_its_neighbour():
    sweep = find(landscape(1.0, cliff=0.05), seeds=1)
    assert 0.03 < sweep.answer.learning_rate < 0.05
    assert sweep.answer.divergence_edge == pytest.approx(0.05, rel=0.6)


def test_where_all_rates_fail_lower_ones_are_tried():
    sweep = find(landscape(1.0, cliff=2e-6), seeds=1)
    assert 1e-6 < sweep.answer.learning_rate < 2e-6
    assert any("every rate failed" in line for line in course(sweep))


def test_where_nothing_trains_at_any_rate_it_ends_and_says_so():
    sweep = find(landscape(1.0, cliff=0.0), seeds=1)
    assert sweep.answer.learning_rate is None
    assert "No learning rate" in sweep.answer.recommendation


def test_where_the_loss_does_not_depend_on_the_rate_none_is_answered_and_none_below_are_tried():
    trial = lrjax.trial(lambda key: jnp.float32(1.0), lambda w, batch, key: jax.random.normal(key), lrjax.sgd)
    sweep = lrjax.find_learning_rate(trial, DATA, steps=64, progress=False)
    assert sweep.answer.learning_rate is None
    assert "The loss is the same at every rate" in sweep.answer.recommendation
    assert not any("trying" in line for line in course(sweep))


def test_where_the_loss_is_not_finite_before_any_update_no_rates_below_are_tried():
    trial = lrjax.trial(lambda key: jnp.float32(1.0), lambda w, batch: w * jnp.inf, lrjax.sgd)
    sweep = lrjax.find_learning_rate(trial, DATA, steps=64, progress=False)
    assert "which no rate mends" in sweep.answer.recommendation
    assert not any("trying" in line for line in course(sweep))


def test_a_rate_that_was_dropped_is_trained_to_the_end_before_it_is_answered():
    """Only the lowest rate trains, and it is so slow that it is dropped first."""

    def init(key, hyperparams):
        return {"step": jnp.float32(0), "rate": hyperparams["learning_rate"] + jnp.float32(0)}

    def loss(state):
        early = 20 - state["step"] * (1 + jnp.log10(state["rate"] / 1e-6))
        return jnp.where((state["rate"] > 1.5e-5) & (state["step"] > 6), jnp.nan, early)

    def update(state, batch, hyperparams):
        return {"loss": loss(state)}, {**state, "step": state["step"] + 1}

    trial = lrjax.Trial(init, update, lambda state, batch: {"loss": loss(state)})
    sweep = find(trial, seeds=1, minimum=1e-5, maximum=1.0)
    assert sweep.answer.learning_rate == 1e-5
    assert sweep.stopped_at[0, 0] == -1


def test_the_range_test_tells_where_to_look():
    task = lrjax.tasks.load("quadratic-deep")
    sweep = lrjax.find_learning_rate(
        task.trial(lrjax.sgd), task.data, steps=60, seeds=2, evaluate_on=task.validation, progress=False
    )
    assert course(sweep)[0].startswith("range test, 60 steps x 2 seeds: suggests")
    first = next(line for line in course(sweep) if "rates from" in line)
    assert "from 1e-05 to 1," not in first
    truth = lrjax.sweep(
        task.trial(lrjax.sgd),
        {"learning_rate": np.geomspace(1e-3, 1.0, 31)},
        task.data,
        steps=60,
        seeds=2,
        evaluate_on=task.validation,
        progress=False,
    )
    low, high = truth.answer.plateau
    assert low / 1.1 <= sweep.answer.learning_rate <= high * 1.1
    assert sweep.cost.member_steps_used >= 2 * 60 + 60 * np.sum(sweep.stopped_at < 0)


def test_rates_that_the_seeds_do_not_tell_apart_get_more_of_them():
    sweep = find(landscape(0.01, noise=0.3), seeds=3, evaluate_on=np.zeros(4), minimum=1e-4, maximum=1.0)
    trained = (sweep.stopped_at != 0).sum(axis=1)
    assert trained.min() == 3
    assert trained[sweep.answer.index] == trained.max() > 3
    assert any("not told apart by 3 seeds" in line for line in course(sweep))
    assert "over 3 seeds" not in sweep.answer.recommendation
    assert "3 to" in sweep.summary()
    assert not any("interrupted" in warning for warning in sweep.answer.warnings)


def shaky(best, seeds, base=0):
    """A landscape whose rates above `best` / 2 fail for these seeds."""
    smooth = landscape(best)
    keys = np.stack([jax.random.key_data(jax.random.fold_in(jax.random.key(base), seed)) for seed in seeds])

    def init(key, hyperparams):
        fails = (jax.random.key_data(key) == keys).all(axis=1).any()
        return {**smooth.init(key, hyperparams), "fails": fails & (hyperparams["learning_rate"] > best / 2)}

    def update(state, batch, hyperparams):
        metrics, new = smooth.update(state, batch, hyperparams)
        bad = state["fails"] & (state["step"] > 8)
        return {"loss": jnp.where(bad, jnp.nan, metrics["loss"])}, {**new, "fails": state["fails"]}

    return lrjax.Trial(init, update, smooth.evaluate)


def test_the_answered_rate_is_confirmed_with_ten_seeds():
    sweep = find(landscape(0.01), seeds=3, minimum=1e-4, maximum=1.0)
    assert course(sweep)[-1] == "confirming 0.01 with 10 seeds"
    trained = (sweep.stopped_at != 0).sum(axis=1)
    assert sorted(trained)[-2:] == [3, 10]
    assert trained[sweep.answer.index] == 10
    assert "over 10 seeds" in sweep.answer.recommendation


@pytest.mark.parametrize(("failing", "answered"), [([5], 0.01), ([5, 7], 0.00398), ([1], 0.00398)])
def test_a_rate_that_fails_for_more_than_one_seed_in_ten_is_not_answered(failing, answered):
    """The lowest loss is at 0.01; from 0.005 on some seeds fail, which the first three do not show."""
    sweep = find(shaky(0.01, failing), seeds=3, minimum=1e-4, maximum=1.0)
    assert sweep.answer.learning_rate == answered
    place = sweep.points["learning_rate"] == answered
    assert sweep.answer.failed[place].sum() == (answered == 0.01)
    assert (sweep.stopped_at[place] != 0).sum() == 10
    assert sweep.answer.plateau[1] <= 0.01
    assert sweep.settings["search"]["unfinished"] == ""
    if 5 in failing:
        assert "confirming 0.01 with 10 seeds" in course(sweep)


def test_where_every_rate_fails_for_some_seeds_the_best_is_answered_with_a_warning():
    sweep = find(shaky(1e-6, [0]), seeds=3, minimum=1e-5, maximum=1e-2)
    assert sweep.answer.learning_rate == 1e-5
    assert "1 of 10 seeds failed at the best point." in sweep.answer.warnings


@pytest.mark.parametrize("lowest", [1e-5, 1e-7])
def test_where_all_rates_fail_that_were_trained_on_there_is_an_end_or_lower_ones_are_tried(lowest):
    """After the rung, so that those that it dropped look best until they are trained on, too."""
    sweep = find(shaky(1e-5, [0, 1, 2]), seeds=3, minimum=lowest, maximum=10.0, budget=10**6)
    assert sweep.settings["search"]["unfinished"] == ""
    if lowest == 1e-5:
        assert sweep.answer.learning_rate is None
        assert "Every point failed" in sweep.answer.recommendation
    else:
        assert sweep.answer.learning_rate < 1e-5


def test_a_budget_that_ends_before_the_answer_is_confirmed_says_so():
    whole = find(landscape(0.01), seeds=3, minimum=1e-4, maximum=1.0)
    budget = whole.cost.member_steps_used - 1
    sweep = find(landscape(0.01), seeds=3, minimum=1e-4, maximum=1.0, budget=budget)
    unfinished = sweep.settings["search"]["unfinished"]
    assert unfinished == "the budget ended before 0.01 could be confirmed with 10 seeds"
    assert sweep.answer.learning_rate == 0.01
    assert any(unfinished in warning for warning in sweep.answer.warnings)


def test_a_budget_too_small_to_tell_rates_apart_still_confirms_the_answer():
    options = {"seeds": 3, "minimum": 1e-4, "maximum": 1.0}
    used = {}
    find(
        landscape(0.01, noise=0.3),
        on_chunk=lambda so_far: used.update({course(so_far)[-1]: so_far.cost.member_steps_used}),
        **options,
    )
    lines = list(used)
    telling = next(place for place, line in enumerate(lines) if line.startswith("not told apart"))
    budget = used[lines[telling - 1]] + 7 * STEPS  # seven members more
    sweep = find(landscape(0.01, noise=0.3), budget=budget, **options)
    assert "could be told apart by 6 seeds" in sweep.settings["search"]["unfinished"]
    assert course(sweep)[-2].startswith("confirming")
    assert (sweep.stopped_at[sweep.answer.index] != 0).sum() == 10
    assert sweep.cost.member_steps_used == budget


def test_the_answered_rate_has_neighbours_that_were_trained_to_the_end_as_the_best_has():
    """A flat bottom of a decade, of which noise makes one rate or another the lowest."""

    def init(key, hyperparams):
        rate = hyperparams["learning_rate"] + jnp.float32(0)
        luck = jax.random.normal(jax.random.fold_in(key, (1e4 * rate).astype(jnp.int32)))
        return {"step": jnp.float32(0), "rate": rate, "luck": luck}

    def loss(state):
        off = jnp.maximum(jnp.abs(jnp.log10(state["rate"] / 0.01)) - 0.5, 0)
        return 20 + (1 + off + 0.1 * state["luck"] - 20) * state["step"] / STEPS

    def update(state, batch, hyperparams):
        return {"loss": loss(state)}, {**state, "step": state["step"] + 1}

    trial = lrjax.Trial(init, update, lambda state, batch: {"loss": loss(state)})
    apart = 0
    for key in (1, 5):  # where it would have none otherwise
        sweep = find(trial, seeds=3, minimum=1e-5, maximum=10.0, key=key, budget=200 * 3 * STEPS)
        rates = np.log10(sweep.points["learning_rate"])
        ended = (sweep.stopped_at[:, :3] == -1).all(axis=1)
        apart += sweep.answer.index != sweep.answer.best
        away = rates - np.log10(sweep.answer.learning_rate)
        assert ((away > -0.25) & (away < 0) & ended).any()
        assert ((away < 0.25) & (away > 0) & ended).any()
    assert apart  # or nothing was tested


def test_a_seed_alone_is_never_added_to():
    sweep = find(landscape(0.01, noise=0.3), seeds=1)
    assert sweep.metrics["loss"].shape[1] == 1


def test_the_same_call_gives_the_same_sweep():
    first, second = (find(landscape(0.01, noise=0.3), seeds=2, budget=100 * STEPS) for _ in range(2))
    np.testing.assert_array_equal(first.metrics["loss"], second.metrics["loss"])
    assert course(first) == course(second)


# What it is asked for


def test_no_rate_outside_of_the_bounds_is_tried():
    sweep = find(landscape(1.0), seeds=1, minimum=0.001, maximum=0.02)
    rates = sweep.points["learning_rate"]
    assert (rates.min(), rates.max()) == (0.001, 0.02)
    assert sweep.answer.learning_rate == 0.02
    assert any("highest tried" in warning for warning in sweep.answer.warnings)


def test_one_bound_is_kept_too():
    assert find(landscape(1e-3), seeds=1, minimum=0.1).points["learning_rate"].min() == 0.1
    assert find(landscape(1.0), seeds=1, maximum=1e-7).points["learning_rate"].max() == 1e-7


def test_points_are_how_many_rates_are_tried_first():
    sweep = find(landscape(0.2), seeds=1, minimum=0.1, maximum=0.4, points=3)
    assert course(sweep)[0] == "3 rates from 0.1 to 0.4, 1 seed"
    assert {0.1, 0.2, 0.4} <= set(sweep.points["learning_rate"].tolist())


def test_other_hyperparameters_and_another_name_reach_the_trial():
    def trial(step_size, momentum):
        return lrjax.sgd(step_size, momentum)

    run = lrjax.trial(lambda key: jnp.float32(1.0), lambda x, batch: 0.5 * x**2, trial)
    sweep = find(run, seeds=1, name="step_size", hyperparams={"momentum": 0.5}, minimum=0.01, maximum=1.0)
    assert sweep.name == "step_size"
    assert set(sweep.points["momentum"].tolist()) == {0.5}
    assert "momentum = 0.5" in sweep.answer.recommendation


def test_a_horizon_is_completed_at_the_rung():
    def trial(learning_rate, horizon):
        return lrjax.sgd(lrjax.cosine_decay_schedule(learning_rate, horizon))

    run = lrjax.trial(lambda key: jnp.float32(1.0), lambda x, batch: 0.5 * x**2, trial)
    sweep = find(run, seeds=1, hyperparams={"horizon": STEPS}, horizon="horizon", minimum=1e-3, maximum=1.0)
    assert sweep.settings["horizon"] == "horizon"
    assert len(sweep.settings["schedules"]) == len(sweep.points["horizon"])
    assert {length for row in sweep.settings["schedules"] for length in row} == {STEPS // 4, STEPS}
    assert sweep.verify(run, DATA).passed


def test_final_states_are_kept_under_the_places_in_the_whole():
    sweep = find(landscape(0.01, noise=0.3), seeds=2, keep="final", minimum=1e-4, maximum=1.0)
    for (point, _), state in sweep.states["final"].items():
        assert float(state["rate"]) == np.float32(sweep.points["learning_rate"][point])


# Budgets


@pytest.mark.parametrize("members", [9, 12, 20, 40])
@pytest.mark.parametrize("seeds", [1, 2])
def test_a_budget_in_member_steps_is_kept(members, seeds):
    budget = members * seeds * STEPS
    sweep = find(landscape(3e-7, noise=0.1), seeds=seeds, budget=budget)
    assert sweep.cost.member_steps_used <= budget
    assert sweep.answer.learning_rate is not None
    if members == 9:
        assert sweep.settings["search"]["unfinished"]
        assert any("not finished" in warning for warning in sweep.answer.warnings)


def test_a_budget_that_does_not_suffice_for_the_first_rates_is_refused():
    with pytest.raises(
        ValueError, match=r"find_learning_rate\(budget=\.\.\.\)` must be at least \d+ member-"
    ) as e:
        find(landscape(0.01), budget=20)
    least = int(str(e.value).split("at least ")[1].split()[0])
    sweep = find(landscape(0.01), budget=least)
    assert sweep.cost.member_steps_used <= least
    assert any(line.startswith("the budget suffices for ") for line in sweep.settings["search"]["course"])
    assert sweep.settings["search"]["unfinished"]


def test_a_budget_too_small_for_the_points_asked_for_is_refused_before_training():
    with pytest.raises(ValueError, match=r"at least \d+ member-steps, for 7 rates, got 100"):
        find(landscape(0.01), points=7, budget=100, on_chunk=lambda sweep: pytest.fail("it trained"))


def test_a_budget_in_time_ends_the_search():
    def on_chunk(sweep):
        time.sleep(5)

    began = datetime.datetime.now()
    sweep = find(landscape(1e-7), seeds=1, budget=datetime.timedelta(seconds=5), on_chunk=on_chunk)
    assert datetime.datetime.now() - began < datetime.timedelta(minutes=1)
    assert sweep.settings["search"]["unfinished"] == "the time ended while members were trained"
    assert sweep.metrics["loss"].shape[-1] == STEPS
    assert f"of {STEPS} steps" in sweep.answer.recommendation


@pytest.mark.parametrize("steps", [STEPS, 64])
def test_a_time_in_which_nothing_can_begin_is_refused_before_training(steps):
    with pytest.raises(
        ValueError, match=r"budget=\.\.\.\)` must be a time in which training can begin, .* got"
    ) as e:
        find(
            landscape(0.01),
            seeds=1,
            steps=steps,
            budget=datetime.timedelta(microseconds=1),
            on_chunk=lambda sweep: pytest.fail("it trained"),
        )
    assert "\n" not in str(e.value)


def test_a_time_that_the_range_test_took_up_is_refused_with_what_it_suggests():
    def batch(step):
        time.sleep(0.06)  # 64 of them take longer than the budget, whatever else does
        return np.zeros(4, np.float32)

    trial = lrjax.trial(lambda key: jnp.float32(1.0), lambda w, batch: (w - batch.mean()) ** 2, lrjax.sgd)
    data = lrjax.from_function(batch, on_device=False)
    with pytest.raises(ValueError, match=r"got 3 s \(range test, 64 steps x 1 seed: suggests 0\."):
        find(trial, data, steps=64, seeds=1, budget=datetime.timedelta(seconds=3))


def test_a_budget_of_enough_time_changes_nothing():
    timed = find(landscape(0.01), seeds=1, budget=datetime.timedelta(hours=1))
    assert timed.answer.learning_rate == find(landscape(0.01), seeds=1).answer.learning_rate


# Interrupted, resumed, stored


class Stop(Exception):
    pass


def stopping(after, error=Stop):
    calls = itertools.count(1)

    def on_chunk(sweep):
        if next(calls) == after:
            raise error

    return on_chunk


NOISY = functools.partial(landscape, 0.002, noise=0.3)


@functools.cache
def uninterrupted():
    return find(NOISY(), seeds=2)


@pytest.mark.parametrize("after", [2, 18, 23, 60])
def test_a_search_cut_off_goes_on_where_it_was(tmp_path, after):
    options = {"directory": tmp_path, "checkpoint_seconds": 0.0}
    with pytest.raises(Stop) as raised:
        find(NOISY(), seeds=2, on_chunk=stopping(after), **options)
    measured = raised.value.sweep
    assert np.isfinite(measured.metrics["loss"]).any()
    sweep = find(NOISY(), seeds=2, **options)
    whole = uninterrupted()
    np.testing.assert_array_equal(sweep.points["learning_rate"], whole.points["learning_rate"])
    np.testing.assert_array_equal(sweep.metrics["loss"], whole.metrics["loss"])
    assert course(sweep) == course(whole)
    assert sweep.cost.member_steps_reused > 0
    loaded = lrjax.load(tmp_path)
    assert loaded.summary() == sweep.summary()


def test_an_interrupt_returns_what_was_measured_and_says_how_to_go_on():
    sweep = find(NOISY(), seeds=2, on_chunk=stopping(25, KeyboardInterrupt))
    assert sweep.answer.learning_rate is not None
    assert sweep.settings["search"]["unfinished"].startswith("interrupted; nothing is stored")
    assert any("not finished" in warning for warning in sweep.answer.warnings)


def test_an_interrupt_that_a_stage_s_last_chunk_raises_is_not_lost():
    def look(sweep):
        assert not seen
        seen.append(sweep)
        raise KeyboardInterrupt

    seen = []
    sweep = find(NOISY(), seeds=2, steps=2, evaluate_every=2, on_chunk=look)
    assert (sweep.stopped_at == -1).all()
    assert sweep.settings["search"]["unfinished"].startswith("interrupted")


@pytest.mark.parametrize("call", [3, 40, 150, 168, 200])
def test_no_ctrl_c_is_lost_whenever_it_comes(call, tmp_path):
    """In the range test's probe and ramp (105 calls), the first stage, its last chunk, the second stage."""
    calls = itertools.count(1)

    def batch(step):
        if next(calls) == call:
            signal.raise_signal(signal.SIGINT)
        return np.zeros(4, np.float32)

    def again(step):
        return np.zeros(4, np.float32)

    trial = lrjax.trial(lambda key: jnp.float32(1.0), lambda w, batch: (w - batch.mean()) ** 2, lrjax.sgd)
    options = {"steps": 64, "seeds": 1, "progress": False, "directory": tmp_path, "record_every": 1}
    try:
        sweep = lrjax.find_learning_rate(trial, lrjax.from_function(batch, on_device=False), **options)
        assert sweep.settings["search"]["unfinished"].startswith("interrupted")
    except KeyboardInterrupt:
        assert call < 105
    assert next(calls) < 1 + max(call + 10, 170 if call > 105 else 106)
    whole = lrjax.find_learning_rate(trial, lrjax.from_function(again, on_device=False), **options)
    assert whole.settings["search"]["unfinished"] == ""


def test_ctrl_c_ends_the_range_test_after_its_chunk(monkeypatch):
    monkeypatch.setattr(_train, "_LARGEST_CHUNK", 64)  # four steps
    calls = itertools.count(1)

    def batch(step):
        if next(calls) == 40:
            signal.raise_signal(signal.SIGINT)
        return np.zeros(4, np.float32)

    trial = lrjax.trial(lambda key: jnp.float32(1.0), lambda w, batch: (w - batch.mean()) ** 2, lrjax.sgd)
    data = lrjax.from_function(batch, on_device=False)
    with pytest.raises(KeyboardInterrupt):
        lrjax.find_learning_rate(trial, data, steps=64, seeds=1, progress=False)
    assert next(calls) < 60
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_directory_with_another_sweep_is_left_alone(tmp_path):
    lrjax.sweep(landscape(0.01), {"learning_rate": [0.1]}, DATA, steps=2, progress=False).save(tmp_path)
    before = (tmp_path / "sweep.json").read_text()
    with pytest.raises(AnotherSweep, match="another sweep is stored"):
        find(landscape(0.01), directory=tmp_path)
    assert (tmp_path / "sweep.json").read_text() == before


def test_a_directory_that_cannot_be_used_is_told_before_the_range_test(tmp_path, monkeypatch):
    monkeypatch.setattr(_course, "range_test", None)  # it would fail
    (tmp_path / "stage-1").write_text("no directory")
    with pytest.raises(OSError, match=r"find_learning_rate\(directory=\.\.\.\)` must be a directory"):
        find(landscape(0.01), steps=64, directory=tmp_path)
    with pytest.raises(OSError, match=r"find_learning_rate\(directory=\.\.\.\)` .*stage-1 \("):
        find(landscape(0.01), steps=64, directory=tmp_path / "stage-1")


@pytest.mark.parametrize("argument", ["evaluate_on", "test_on"])
def test_held_out_data_that_cannot_be_evaluated_are_told_before_the_range_test(argument, monkeypatch):
    monkeypatch.setattr(_course, "range_test", None)  # it would fail
    x = np.ones((8, 3), np.float32)
    trial = lrjax.trial(lambda key: jnp.zeros(3), lambda w, batch: jnp.mean((batch @ w - 1) ** 2), lrjax.sgd)
    with pytest.raises(TypeError, match="contracting dimensions") as raised:
        find(trial, lrjax.batches(x, 4), steps=64, **{"evaluate_on": x, argument: x[:, :2]})
    assert f"evaluating on a batch of `{argument}`" in raised.value.__notes__


def test_an_unknown_kind_of_progress_is_told_before_the_range_test(monkeypatch):
    monkeypatch.setattr(_course, "range_test", None)
    with pytest.raises(
        ValueError, match=r"find_learning_rate\(progress=\.\.\.\)` must be True, False, 'bar'"
    ):
        find(landscape(0.01), steps=64, progress="yes")


def test_another_search_keeps_its_range_test(tmp_path):
    trial = lrjax.trial(lambda key: jnp.float32(1.0), lambda w, batch: (w - batch.mean()) ** 2, lrjax.sgd)
    find(trial, steps=64, seeds=1, directory=tmp_path)
    before = (tmp_path / "range-test" / "range-test.json").read_text()
    with pytest.raises(AnotherSweep):
        find(trial, steps=64, seeds=1, directory=tmp_path, key=1)
    assert (tmp_path / "range-test" / "range-test.json").read_text() == before


def test_a_sweep_leaves_a_search_and_a_saved_sweep_alone(tmp_path):
    find(landscape(0.01), seeds=1, directory=tmp_path / "search")
    options = {"steps": 2, "progress": False}
    lrjax.sweep(landscape(0.01), {"learning_rate": [0.1]}, DATA, **options).save(tmp_path / "saved")
    for place, what in (("search", "a search"), ("saved", "another sweep")):
        before = (tmp_path / place / "sweep.json").read_text()
        with pytest.raises(AnotherSweep, match=rf"`sweep\(directory=\.\.\.\)` .*, where {what} is stored"):
            lrjax.sweep(
                landscape(0.01), {"learning_rate": [0.2]}, DATA, directory=tmp_path / place, **options
            )
        assert (tmp_path / place / "sweep.json").read_text() == before


def test_a_directory_of_another_search_is_refused(tmp_path):
    find(landscape(0.01), seeds=1, directory=tmp_path)
    with pytest.raises(AnotherSweep, match=r"find_learning_rate\(directory=\.\.\.\)"):
        find(landscape(0.01), seeds=1, key=1, directory=tmp_path)


def test_every_chunk_shows_all_that_was_measured():
    seen = []
    find(landscape(0.01), seeds=1, on_chunk=lambda sweep: seen.append(len(sweep.points["learning_rate"])))
    assert seen == sorted(seen)
    assert seen[-1] > seen[0] > 1


# What is said


def test_progress_tells_the_course_and_no_progress_tells_nothing(capfd):
    sweep = find(landscape(0.01), seeds=1, progress=True)
    said = capfd.readouterr().err
    assert all(f"find_learning_rate: {line}" in said for line in course(sweep))
    find(landscape(0.01), seeds=1)
    captured = capfd.readouterr()
    assert captured.err == captured.out == ""


def test_the_summary_tells_the_course():
    sweep = uninterrupted()
    text = sweep.summary()
    assert all(f"  {line}" in text for line in course(sweep))
    assert not any("1/" in line and "not measured" in line for line in text.splitlines())


def test_the_search_can_be_verified_drawn_and_reported(tmp_path):
    sweep = uninterrupted()
    assert sweep.verify(NOISY(), DATA, members=4).passed
    assert sweep.plot(kind="basin").figure is not None
    assert sweep.report(tmp_path / "sweep.html").stat().st_size > 0
