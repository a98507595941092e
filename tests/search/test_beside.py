"""Constant rates beside the ramp of a range test: they train as in a sweep, and they suggest the rate."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrjax
from lrjax.search import _range_test
from tests.search.test_range_test import DATA, X, Y, init_params, linear, run, scheduled


def noisy(w, batch):
    """A loss that the last steps do not bring to nothing."""
    x, y = batch
    return jnp.mean((x @ w - y) ** 2) + jnp.mean(x)


def beside(trial=None, **options):
    return run(
        trial or lrjax.trial(init_params, noisy, lrjax.sgd), **{"constant": True, "seeds": 2, **options}
    )


@functools.cache
def plain():
    """The test that is looked at from several sides."""
    return beside()


def swept(test, **options):
    """What a sweep of the same rates comes to."""
    options = {"steps": 100, "seeds": 2, "progress": False, **options}
    grid = {"learning_rate": test.constant_rates.tolist()}
    return lrjax.sweep(lrjax.trial(init_params, noisy, lrjax.sgd), grid, DATA, **options)


def losses_of(sweep):
    """The mean of the last fifth of each member's losses, NaN where it failed."""
    return np.where(sweep.diverged_at >= 0, np.nan, sweep.metrics["loss"][..., -20:].mean(axis=-1))


def of_noise(level):
    """A trial whose loss does not hang on anything."""

    def init(key, hyperparams):
        return jnp.float32(0.0), key, jnp.int32(0)

    def update(state, batch, hyperparams):
        x, key, step = state
        noise = jax.random.normal(jax.random.fold_in(key, step))
        return {"loss": level + noise}, (x + hyperparams["learning_rate"], key, step + 1)

    return lrjax.Trial(init, update)


def test_they_come_to_what_a_sweep_says():
    test = plain()
    expected = losses_of(swept(test))
    assert np.isnan(expected).any()
    assert np.isfinite(expected).any()
    np.testing.assert_allclose(test.constant_losses, expected, rtol=1e-5)


def test_with_held_out_data_it_is_the_held_out_loss_after_the_last_step():
    test = beside(evaluate_on=DATA.arrays)
    sweep = swept(test, evaluate_on=DATA.arrays, evaluate_every=100)
    expected = np.where(sweep.diverged_at >= 0, np.nan, sweep.held_out["loss"][..., -1])
    np.testing.assert_allclose(test.constant_losses, expected, rtol=1e-5)


def test_the_ramp_is_that_of_a_test_without():
    test, ramp = plain(), beside(constant=False)
    np.testing.assert_array_equal(test.losses, ramp.losses)
    assert test.suggestions == ramp.suggestions
    assert test.stable_edge == ramp.stable_edge
    assert (ramp.constant_rates, ramp.constant_losses, ramp.training_steps) == (None, None, None)
    members = test.constant_rates.size * 2
    assert test.cost.member_steps_full == ramp.cost.member_steps_full + 100 * members


def test_the_rates_lie_around_the_lowest_loss_of_the_ramp_and_within_its_ends():
    test = plain()
    assert (np.diff(np.log10(test.constant_rates)) < 0.25).all()
    assert test.constant_rates[0] >= 1e-4
    assert test.constant_rates[-1] <= 10.0
    narrow = beside(minimum=0.01, maximum=0.2, steps=40)
    assert narrow.constant_rates[[0, -1]].tolist() == [0.01, 0.2]


def test_where_the_best_rate_is_at_an_end_more_are_tried():
    """Of a trial that bears no change of its rate after some steps a ramp shows the lowest loss too early."""

    def init(key, hyperparams):
        return jnp.int32(0), jnp.float32(1.0)

    def update(state, batch, hyperparams):
        step, x = state
        rate = hyperparams["learning_rate"]
        bump = jnp.where((rate > 3e-3) & (step > 45), 30.0 * rate, 0.0)  # what a ramp meets
        held = jnp.where(step == 0, rate, x)  # at a constant rate x stays what the first step made of it
        met = jnp.where(rate == held, 0.0, bump)
        return {"loss": 1.0 / (1.0 + 100 * rate) + met}, (step + 1, held)

    test = run(lrjax.Trial(init, update), constant=True, seeds=1, maximum=1.0)
    ramp = run(lrjax.Trial(init, update), seeds=1, maximum=1.0)
    lowest = ramp.suggestion * 6
    assert lowest * 16 < 1.0
    assert test.constant_rates[-1] == 1.0
    assert test.answer.at_the_end
    assert len(set(test.constant_rates.tolist())) == len(test.constant_rates)


def test_the_longer_the_training_the_lower_the_rate():
    short, usual = beside(training_steps=50), plain()
    long = dataclasses.replace(usual, training_steps=10_000)
    assert (short.training_steps, usual.training_steps) == (50, 1000)
    assert short.suggestion / usual.suggestion == pytest.approx(10**0.6)
    assert usual.suggestion / long.suggestion == pytest.approx(10**0.6)
    assert "Begin with a learning rate of" in usual.summary()
    assert f"{usual.suggestion:.3g} for 1000 steps (" in usual.summary()


def decaying(length):
    def optimizer(learning_rate):
        return lrjax.sgd(lrjax.warmup_cosine_decay_schedule(0.0, learning_rate, 10, length))

    return lrjax.trial(init_params, noisy, optimizer)


def test_a_rate_that_decays_may_be_higher():
    stays, test = dataclasses.replace(plain(), training_steps=400), beside(decaying(400), training_steps=400)
    assert test.set_aside
    assert test.decays
    assert not stays.decays
    # Not quite: a warmup from 0 leaves the first step out, so that the losses are a step behind.
    assert test.suggestion / stays.suggestion == pytest.approx(4**0.3, rel=0.03)


def test_a_decay_after_a_warmup_longer_than_the_ramp_is_seen():
    def optimizer(learning_rate):
        return lrjax.sgd(
            lrjax.warmup_cosine_decay_schedule(0.0, learning_rate, 300, 600, 0.02 * learning_rate)
        )

    test = beside(linear(optimizer), training_steps=600)
    assert test.set_aside
    assert test.decays


@pytest.mark.parametrize(
    "trial", [linear(scheduled), decaying(4000), linear(lambda learning_rate: lrjax.sgd(learning_rate / 2))]
)
def test_a_rate_that_has_not_decayed_by_the_last_step_does_not(trial):
    test = beside(trial, training_steps=400)
    assert not test.decays


def test_a_decay_that_begins_after_the_ramp_is_seen():
    def optimizer(learning_rate):
        return lrjax.sgd(lrjax.piecewise_constant_schedule(learning_rate, {300: 0.01}))

    test = beside(linear(optimizer), training_steps=400)
    assert test.schedule is None
    assert test.decays
    assert not beside(linear(optimizer), training_steps=200).decays


@functools.cache
def straight():
    """Of the loss of the ramps' tests."""
    return run(constant=True, seeds=2)


def test_a_schedule_is_set_aside_from_constant_rates_too():
    stays, test = straight(), run(linear(scheduled), constant=True, seeds=2)
    np.testing.assert_array_equal(test.constant_rates, stays.constant_rates)
    assert not test.decays
    assert test.suggestion == pytest.approx(stays.suggestion, rel=1e-4)


def test_of_a_fixed_multiple_the_constant_rates_are_the_hyperparameter_s():
    half = linear(lambda learning_rate: lrjax.sgd(learning_rate / 2))
    test = run(half, constant=True, seeds=2)
    grid = {"learning_rate": (test.constant_rates / 2).tolist()}
    sweep = lrjax.sweep(linear(), grid, DATA, steps=100, seeds=2, progress=False)
    np.testing.assert_allclose(test.constant_losses, losses_of(sweep), rtol=1e-4, atol=1e-12)
    # Not quite twice: the rates of the two tests are others, rounded to three digits.
    assert test.suggestion == pytest.approx(2 * straight().suggestion, rel=0.15)


def test_a_loss_that_a_ramp_does_not_see_fall_is_looked_for_at_constant_rates():
    """Noise of the size of the loss: of single batches nothing is told, of the means of many it is."""

    def init(key, hyperparams):
        return jnp.float32(1.0), key, jnp.int32(0)

    def update(state, batch, hyperparams):
        x, key, step = state
        rate = hyperparams["learning_rate"]
        noise = jax.random.normal(jax.random.fold_in(key, step))
        x = jnp.where(rate < 0.3, x * (1 - 0.15 * jnp.minimum(rate, 0.1)), x + rate)
        return {"loss": x + 0.5 * noise}, (x, key, step + 1)

    trial = lrjax.Trial(init, update)
    ramp, test = run(trial), run(trial, constant=True)
    assert ramp.suggestion is None
    assert ramp.answer.unclear
    assert test.suggestion is not None
    assert 0.001 < test.suggestion < 0.3
    assert not test.answer.unclear


def test_noise_alone_suggests_nothing():
    found = [run(of_noise(2.0), constant=True, key=key, steps=40) for key in range(10)]
    assert sum(test.suggestion is not None for test in found) <= 1
    assert all("constant rates from" in test.summary() for test in found if test.answer.unclear)


def test_where_every_constant_rate_fails_none_is_suggested():
    def init(key, hyperparams):
        return jnp.int32(0), jnp.float32(0.0)

    def update(state, batch, hyperparams):
        step, before = state
        rate = hyperparams["learning_rate"]
        spoilt = jnp.where((step > 50) & (rate == before), jnp.nan, 0.0)  # where it does not climb
        return {"loss": 1 / (1 + rate) + spoilt}, (step + 1, rate)

    test = run(lrjax.Trial(init, update), constant=True, seeds=2, maximum=10.0)
    assert np.isnan(test.constant_losses).all()
    assert test.constant_rates[0] == 1e-4  # lower ones were tried, too
    assert run(lrjax.Trial(init, update), seeds=2).suggestion is not None
    assert test.suggestion is None
    assert test.reason == "Half of the seeds or more failed at every constant rate from 0.0001 on."
    assert "100 steps each: all failed" in test.summary()


def test_of_a_loss_that_falls_whatever_the_rate_is_nothing_is_suggested():
    def init(key, hyperparams):
        return jnp.float32(0.0), jnp.int32(0)

    def update(state, batch, hyperparams):
        x, step = state
        return {"loss": 2 * jnp.exp(-step / 30.0)}, (x + hyperparams["learning_rate"], step + 1)

    test = run(lrjax.Trial(init, update), constant=True, seeds=2)
    assert test.constant_rates[[0, -1]].tolist() == [1e-4, 10.0]  # it was looked for to both ends
    assert test.suggestion is None
    assert test.reason.startswith(
        "At the lowest constant rate, 0.0001, the loss falls as far as at any other"
    )


def test_an_unclear_ramp_of_few_seeds_has_no_constant_rates():
    """Two tell chance from a fall only where that is 32 times as large."""
    test = run(of_noise(20.0), constant=True, seeds=2, key=1)
    assert test.answer.unclear
    assert test.constant_rates is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"constant": 1}, r"`range_test\(constant=\.\.\.\)` must be True or False"),
        ({"training_steps": 0}, r"`range_test\(training_steps=\.\.\.\)` must be an integer >= 1, got 0"),
        ({"training_steps": 1.5}, r"`range_test\(training_steps=\.\.\.\)` must be an integer >= 1"),
    ],
)
def test_wrong_arguments(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        run(**options)


@pytest.mark.parametrize("whole", [False, True])
def test_an_interrupt_among_constant_rates_keeps_the_ramp(whole):
    """And these as well where the chunk that is running is the last one: it is trained to its end."""
    calls = itertools.count(1)
    options = {"seeds": 1, "steps": 30, "plan": "sequential/dispatch"}
    ramp = run(data=from_host(lambda call: None, calls), **options)
    during = next(calls) + 10

    def interrupt(call):
        if call == during and whole:
            signal.raise_signal(signal.SIGINT)
        elif call == during:
            raise KeyboardInterrupt

    calls = itertools.count(1)
    with pytest.raises(KeyboardInterrupt) as raised:
        run(data=from_host(interrupt, calls), constant=True, **options)
    kept = raised.value.range_test
    np.testing.assert_array_equal(kept.losses, ramp.losses)
    assert (kept.constant_rates is not None) == whole
    assert (kept.suggestion == ramp.suggestion) == (not whole)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupt_in_the_ramp_trains_no_constant_rates():
    """Where the ramp is one chunk it is trained to its end, and no more."""
    calls = itertools.count(1)

    def interrupt(call):
        if call == 10:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt) as raised:
        run(data=from_host(interrupt, calls), constant=True, seeds=1, steps=30, plan="sequential/scan")
    assert next(calls) <= 40
    assert raised.value.range_test.constant_rates is None


def from_host(watched, calls):
    def batch(step):
        watched(next(calls))
        return X[:16], Y[:16]

    return lrjax.from_function(batch, on_device=False)


def test_an_error_among_constant_rates_keeps_the_ramp(monkeypatch):
    def fails(*arguments):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(_range_test, "constant_rates", fails)
    with pytest.raises(RuntimeError, match="out of memory") as raised:
        run(constant=True, seeds=2)
    np.testing.assert_array_equal(raised.value.range_test.losses, run(seeds=2).losses)
    assert "attribute `range_test`" in raised.value.__notes__[-1]


def test_the_length_may_be_a_number_of_numpy_s(tmp_path):
    test = beside(training_steps=np.int64(50))
    test.save(tmp_path)
    assert lrjax.load(tmp_path).summary() == test.summary()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"training_steps": 1000', '"training_steps": "many"'),
        ('"training_steps": 1000', '"training_steps": null'),
        ('"constant_losses": [[', '"constant_losses": [[1.0, 2.0], ['),
    ],
)
def test_a_damaged_file_is_named(tmp_path, old, new):
    plain().save(tmp_path)
    file = tmp_path / "range-test.json"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    with pytest.raises(ValueError, match=r"`load\(path=\.\.\.\)` must be a stored range test, got a damaged"):
        lrjax.load(tmp_path)


def test_another_group_s_rate_and_its_hyperparameters():
    def optimizer(body, head):
        return lrjax.chain(
            lrjax.masked(lrjax.sgd(body), {"body": True, "head": False}),
            lrjax.masked(lrjax.sgd(head), {"body": False, "head": True}),
        )

    def two(params, batch):
        inputs, targets = batch
        return jnp.mean((inputs @ params["body"] + params["head"] - targets) ** 2)

    trial = lrjax.trial(
        lambda key: {"body": jax.random.normal(key, (4,)), "head": jnp.zeros(())}, two, optimizer
    )
    test = run(trial, name="body", hyperparams={"head": 0.01}, seeds=2, constant=True)
    grid = [{"body": float(rate), "head": 0.01} for rate in test.constant_rates]
    sweep = lrjax.sweep(trial, grid, DATA, steps=100, seeds=2, name="body", progress=False)
    np.testing.assert_allclose(test.constant_losses, losses_of(sweep), rtol=1e-4, atol=1e-12)


def test_the_picture_shows_what_they_came_to():
    test = plain()
    ax = test.plot()
    line = next(line for line in ax.lines if line.get_label() == "constant rates")
    known = np.isfinite(test.constant_losses).all(axis=1)
    np.testing.assert_array_equal(line.get_xdata(), test.constant_rates[known])
    np.testing.assert_allclose(line.get_ydata(), np.median(test.constant_losses[known], axis=1))
    assert ax.get_ylim()[0] < line.get_ydata().min()
    star = next(line for line in ax.lines if line.get_marker() == "*")
    assert star.get_xdata()[0] == test.suggestion
    failed = next(line for line in ax.lines if line.get_marker() == "x")
    np.testing.assert_array_equal(failed.get_xdata(), test.constant_rates[~known])


def test_a_suggestion_below_the_ramp_is_in_the_picture_where_no_loss_is_known():
    below = dataclasses.replace(plain(), training_steps=10_000, decays=False)
    ramp = below.learning_rates >= 0.01
    below = dataclasses.replace(
        below, learning_rates=below.learning_rates[ramp], losses=below.losses[:, ramp], held_out=None
    )
    answer = dataclasses.replace(below.answer, suggestion=0.003, interval=None, reason="")
    ax = lrjax.plot.ramp(below, answer)
    assert ax.get_xlim()[0] < 0.003
    assert not [line for line in ax.lines if line.get_marker() == "*"]
    line = next(line for line in ax.lines if line.get_label() == "suggested: 0.003")
    assert line.get_xdata()[0] == 0.003
