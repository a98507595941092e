"""The range test: it trains as a plain loop with that ramp would, and refuses what it must."""

from __future__ import annotations

import itertools
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrjax

X = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
Y = X @ np.array([1.0, -2.0, 0.5, 3.0], np.float32)
DATA = lrjax.batches((X, Y), batch_size=16)


def init_params(key):
    return jax.random.normal(key, (4,))


def loss(w, batch):
    x, y = batch
    return jnp.mean((x @ w - y) ** 2)


def linear(optimizer=lrjax.sgd):
    return lrjax.trial(init_params, loss, optimizer)


def run(trial=None, data=DATA, **options):
    options = {"minimum": 1e-4, "maximum": 10.0, "constant": False, "progress": False, **options}
    return lrjax.range_test(trial or linear(), data, **options)


def by_hand(rates, seed_index):
    """Gradient descent in a plain loop, in float64."""
    key = jax.random.fold_in(jax.random.key(0), seed_index)
    w = np.asarray(init_params(jax.random.split(key)[0]), float)
    losses = []
    for step, rate in enumerate(rates):
        x, y = (np.asarray(part, float) for part in DATA(step, seed_index))
        error = x @ w - y
        losses.append(np.mean(error**2))
        w -= rate * 2 * x.T @ error / len(y)
    return losses


@pytest.mark.parametrize("spacing", ["log", "linear"])
def test_losses_are_those_of_a_plain_loop_with_that_ramp(spacing):
    test = run(steps=30, seeds=2, spacing=spacing, maximum=0.1)
    ladder = np.geomspace if spacing == "log" else np.linspace
    np.testing.assert_allclose(test.learning_rates, ladder(1e-4, 0.1, 30), rtol=1e-12)
    assert test.learning_rates[[0, -1]].tolist() == [1e-4, 0.1]
    assert test.losses.shape == (2, 30)
    for seed in (0, 1):
        np.testing.assert_allclose(test.losses[seed], by_hand(test.learning_rates, seed), rtol=1e-4)


def test_the_suggestion_trains_and_the_edge_does_not():
    test = run()
    assert test.losses.shape == (5, 100)
    assert test.interval[0] <= test.interval[1]
    assert test.suggestion < test.stable_edge
    assert set(test.suggestions) <= {"steep", "minimum", "valley", "slide"}
    grid = {"learning_rate": [test.suggestion, 3 * test.stable_edge]}
    sweep = lrjax.sweep(linear(), grid, DATA, steps=200, seeds=3, progress=False)
    assert sweep.answer.learning_rate == test.suggestion
    assert (sweep.metrics["loss"][0, :, -1] < 1e-3 * sweep.metrics["loss"][0, :, 0]).all()


def test_the_summary_says_how_far_rules_agree_and_whether_the_ramp_ended_too_early():
    whole, short = run().summary(), run(maximum=1e-2).summary()
    assert "these rules lie up to" in whole
    assert "raise `maximum`" not in whole
    assert "the loss still falls at 0.01: raise `maximum`" in short


def test_a_seed_that_blows_up_stops_and_is_marked():
    test = run()
    assert (test.diverged_at > 0).all()
    for seed, step in enumerate(test.diverged_at):
        assert np.isnan(test.losses[seed, step + 1 :]).all()
        assert np.isfinite(test.losses[seed, :step]).all()
    assert (run(blow_up=None).diverged_at == -1).all()  # high as it is, the loss stays finite to the end


def test_seeds_differ_and_a_rerun_does_not():
    first, second = run(seeds=3), run(seeds=3)
    np.testing.assert_array_equal(first.losses, second.losses)
    assert len(np.unique(first.losses[:, 0])) == 3
    np.testing.assert_array_equal(run(seeds=2).losses, first.losses[:2])
    assert not np.array_equal(run(seeds=3, key=1).losses, first.losses)


def test_held_out_losses_are_those_after_each_step():
    test = run(steps=25, seeds=2, maximum=0.1, evaluate_on=DATA.arrays)
    assert test.held_out.shape == (2, 25)
    plain = run(steps=25, seeds=2, maximum=0.1)
    np.testing.assert_allclose(test.losses, plain.losses, rtol=1e-6)
    assert plain.held_out is None
    w = np.asarray(init_params(jax.random.split(jax.random.fold_in(jax.random.key(0), 0))[0]), float)
    for step, rate in enumerate(test.learning_rates):
        x, y = (np.asarray(part, float) for part in DATA(step, 0))
        w -= rate * 2 * x.T @ (x @ w - y) / len(y)
        np.testing.assert_allclose(test.held_out[0, step], np.mean((X @ w - Y) ** 2), rtol=1e-4)


def test_another_group_keeps_its_rate():
    def optimizer(body, head):
        return lrjax.chain(
            lrjax.masked(lrjax.sgd(body), {"body": True, "head": False}),
            lrjax.masked(lrjax.sgd(head), {"body": False, "head": True}),
        )

    trial = lrjax.trial(
        lambda key: {"body": jnp.float32(1.0), "head": jnp.float32(1.0)},
        lambda p, batch: 0.5 * (p["body"] ** 2 + p["head"] ** 2),
        optimizer,
    )
    test = run(trial, name="body", hyperparams={"head": 0.1}, steps=20, seeds=1, maximum=0.5)
    body = np.cumprod([1.0, *(1 - test.learning_rates[:-1])])
    expected = 0.5 * (body**2 + 0.9 ** (2 * np.arange(20)))
    np.testing.assert_allclose(test.losses[0], expected, rtol=1e-5)
    assert test.hyperparams == {"head": 0.1}


def test_nothing_is_told_of_a_loss_that_is_always_the_same():
    def constant(w, batch):
        return 0.0 * jnp.sum(w) + 1.0

    test = run(lrjax.trial(init_params, constant, lrjax.sgd))
    assert test.suggestion is None
    assert "did not fall" in test.reason
    assert "No learning rate can be suggested" in test.summary()


def test_a_trial_whose_steps_do_not_depend_on_the_rate_is_refused():
    def update(x, batch, hyperparams):
        del hyperparams
        return {"loss": x**2}, 0.9 * x

    trial = lrjax.Trial(lambda key, hyperparams: jnp.float32(1.0), update)
    with pytest.raises(ValueError, match="lead to the same state"):
        run(trial)


def test_a_trial_that_does_not_take_the_name_is_refused_before_training():
    with pytest.raises(TypeError, match=r"takes the hyperparameter 'rate'"):
        run(name="rate")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"minimum": 0.0}, r"`range_test\(minimum=\.\.\.\)` must be one number > 0"),
        ({"maximum": 1e-5}, r"`range_test\(maximum=\.\.\.\)` must be one number > 0.0001"),
        ({"maximum": 1e39}, r"`range_test\(maximum=\.\.\.\)` must be .* \(in float32\), got 1e\+39"),
        ({"minimum": 1e-50}, r"`range_test\(minimum=\.\.\.\)` must be .* \(in float32\), got 1e-50"),
        ({"maximum": 1e-4 + 1e-14}, r"`range_test\(maximum=\.\.\.\)` must be .* \(in float32\)"),
        ({"minimum": None}, r"`range_test\(minimum=\.\.\.\)` must be one finite number, got None"),
        ({"hyperparams": 3}, r"`range_test\(hyperparams=\.\.\.\)` must be a dict of name to value"),
        (
            {"hyperparams": {"momentum": [0.5]}},
            r"`range_test\(hyperparams\['momentum'\]=\.\.\.\)` must be one",
        ),
        (
            {"hyperparams": {"momentum": np.nan}},
            r"`range_test\(hyperparams\['momentum'\]=\.\.\.\)` .* finite",
        ),
        ({"steps": 1}, r"`range_test\(steps=\.\.\.\)` must be an integer >= 2"),
        ({"seeds": 0}, r"`range_test\(seeds=\.\.\.\)` must be an integer >= 1"),
        ({"spacing": "cubic"}, r"`range_test\(spacing=\.\.\.\)` must be 'log' or 'linear', got 'cubic'"),
        ({"blow_up": -1.0}, r"`range_test\(blow_up=\.\.\.\)` must be one number > 0"),
        ({"order": "none"}, r"`range_test\(order=\.\.\.\)` must be 'per-seed' or 'shared'"),
        ({"hyperparams": {"learning_rate": 0.1}}, r"`range_test\(hyperparams=\.\.\.\)` must be .* beside"),
        ({"evaluate_on": 3}, r"`range_test\(evaluate_on=\.\.\.\)`"),
        ({"plan": "fast"}, r"`range_test\(plan=\.\.\.\)`"),
        ({"key": -1}, r"`range_test\(key=\.\.\.\)`"),
    ],
)
def test_wrong_arguments(options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        run(**options)


def test_wrong_trials_and_data():
    with pytest.raises(TypeError, match=r"`range_test\(trial=\.\.\.\)` must be a `lrjax.Trial`"):
        run(lrjax.sgd)
    with pytest.raises(TypeError, match=r"`range_test\(data=\.\.\.\)`"):
        run(data=3)
    static = linear()._replace(static=("learning_rate",))
    with pytest.raises(
        ValueError,
        match=r"`range_test\(name=\.\.\.\)` must be .* traced, got 'learning_rate', which is static",
    ):
        run(static)


@pytest.mark.parametrize("call", [2, 12, 60])
def test_an_interrupt_is_no_result(call):
    """In the probe, at the start of the ramp, in the ramp: what it was about to say would be wrong."""
    calls = itertools.count(1)

    def batch(step):
        if next(calls) == call:
            signal.raise_signal(signal.SIGINT)
        return X[:16], Y[:16]

    def broken(step):
        if next(calls) == call:
            raise KeyboardInterrupt
        return X[:16], Y[:16]

    for data in (batch, broken):
        calls = itertools.count(1)
        with pytest.raises(KeyboardInterrupt):
            run(data=lrjax.from_function(data, on_device=False), plan="sequential/dispatch")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupt_in_the_last_chunk_keeps_the_whole_test():
    calls = itertools.count(1)

    def batch(step):
        if step == 29 and next(calls) == 2:  # once, for the second of two seeds
            signal.raise_signal(signal.SIGINT)
        return X[:16], Y[:16]

    data = lrjax.from_function(batch, on_device=False)
    options = {"plan": "sequential/dispatch", "steps": 30, "seeds": 2, "data": data}
    calls = itertools.count(2)
    with pytest.raises(KeyboardInterrupt) as raised:
        run(**options)
    np.testing.assert_array_equal(raised.value.range_test.losses, run(**options).losses)


# A schedule of the trial's own


def scheduled(learning_rate):
    return lrjax.sgd(lrjax.linear_schedule(learning_rate / 2, learning_rate, transition_steps=60))


def test_a_schedule_is_set_aside():
    plain, test = run(seeds=2), run(linear(scheduled), seeds=2)
    np.testing.assert_allclose(test.losses[:, :70], plain.losses[:, :70], rtol=1e-3)
    assert test.suggestion == plain.suggestion
    expected = 0.5 + 0.5 * np.minimum(np.arange(100) / 60, 1)
    ran = np.isfinite(test.schedule)
    np.testing.assert_allclose(test.schedule[ran], expected[ran], rtol=1e-5)
    assert (test.set_aside, plain.set_aside, plain.schedule) == (True, True, None)
    assert "multiplies the rate by 0.5 to 1, is set aside" in test.summary()
    assert "schedule" not in plain.summary()


def test_a_warmup_from_zero_is_set_aside_but_for_its_first_step():
    def warm(learning_rate):
        return lrjax.sgd(lrjax.warmup_cosine_decay_schedule(0.0, learning_rate, 40, 400))

    plain, test = run(), run(linear(warm))
    assert test.schedule[0] == 0
    assert test.suggestion == pytest.approx(plain.suggestion, rel=0.1)
    assert test.stable_edge == pytest.approx(plain.stable_edge, rel=0.2)


def test_the_state_of_a_schedule_driven_by_losses_is_set_aside():
    def plateau(learning_rate):
        return lrjax.sgd(learning_rate * lrjax.plateau_schedule(factor=0.5, patience=1))

    test = run(linear(plateau), evaluate_on=DATA.arrays, seeds=2, maximum=1.0)
    plain = run(evaluate_on=DATA.arrays, seeds=2, maximum=1.0)
    np.testing.assert_allclose(test.held_out[:, :60], plain.held_out[:, :60], rtol=1e-3)


def test_a_schedule_that_is_no_multiple_of_the_rate_is_told():
    def affine(learning_rate):
        return lrjax.sgd(lrjax.linear_schedule(1e-3, learning_rate, transition_steps=50))

    test = run(linear(affine), seeds=2)
    assert not test.set_aside
    assert test.schedule[0] == pytest.approx(1e-3 / 1e-4)
    assert "moved the ramp, too: give the test a trial without" in test.summary()


@pytest.mark.parametrize("decay_steps", [50, 99])
def test_nothing_is_suggested_of_rates_that_a_schedule_did_not_let_be_tried(decay_steps):
    def decaying(learning_rate):
        return lrjax.sgd(lrjax.cosine_decay_schedule(learning_rate, decay_steps))

    test = run(linear(decaying), seeds=2, maximum=1e-2)
    assert test.suggestion is None
    assert f"is 0 from step {decay_steps} on" in test.reason
    assert (
        f"{test.learning_rates[decay_steps - 1]:.3g} were not tried: take {decay_steps} steps" in test.reason
    )
    whole = run(linear(decaying), seeds=2, maximum=1.0, steps=decay_steps)
    assert whole.suggestion is not None


def test_a_schedule_that_ends_at_a_number_of_its_own_is_told():
    """It begins as a multiple of the hyperparameter."""

    def joined(learning_rate):
        return lrjax.sgd(lrjax.join_schedules([learning_rate, 0.01], [10]))

    test = run(linear(joined), seeds=2)
    assert not test.set_aside
    assert test.schedule[50] == pytest.approx(0.01 / test.learning_rates[50])
    assert "moved the ramp, too: give the test a trial without" in test.summary()


def test_a_schedule_that_comes_to_0_in_between_is_set_aside():
    def cyclic(learning_rate):
        return lrjax.sgd(lrjax.cyclic_schedule(0.0, learning_rate, 20))

    plain, test = run(), run(linear(cyclic))
    assert (test.schedule[[0, 40]] == 0).all()
    assert test.set_aside
    assert test.suggestion == pytest.approx(plain.suggestion, rel=0.2)


@pytest.mark.parametrize("name", ["learning_rate", "scale"])
def test_of_a_fixed_multiple_the_hyperparameter_is_suggested(name):
    def small(**hyperparams):
        return lrjax.sgd(hyperparams[name] / 256)

    plain, test = run(), run(linear(small), name=name)
    assert test.suggestion == pytest.approx(256 * plain.suggestion)
    np.testing.assert_allclose(test.learning_rates, 256 * plain.learning_rates, rtol=1e-5)
    assert (test.schedule, test.set_aside) == (None, False)


def test_a_rate_that_is_recorded_in_half_precision_is_not_taken_for_a_schedule():
    def update(w, batch, hyperparams):
        rate = hyperparams["learning_rate"].astype(jnp.bfloat16)
        value, slope = jax.value_and_grad(loss)(w, batch)
        return {"loss": value, "learning_rate": rate}, w - rate.astype(jnp.float32) * slope

    test = run(lrjax.Trial(lambda key, hyperparams: init_params(key), update), seeds=2)
    assert test.schedule is None
    assert "schedule" not in test.summary()


def test_of_another_hyperparameter_that_climbs_no_schedule_is_told():
    def heavy(momentum):
        return lrjax.sgd(0.01, momentum)

    test = run(linear(heavy), name="momentum", minimum=1e-3, maximum=0.99)
    assert (test.schedule, test.set_aside) == (None, False)


def test_what_a_trial_prints_it_prints_once_a_step():
    def told(w, batch):
        jax.debug.callback(lambda: calls.append(1))
        return loss(w, batch)

    calls = []
    test = run(lrjax.trial(init_params, told, scheduled), seeds=1, maximum=1e-2)
    jax.effects_barrier()
    assert len(calls) == 100 + 2 * 3  # the ramp, and three steps at its ends
    assert not test.set_aside
    assert "moved the ramp, too" in test.summary()


def test_a_trial_of_ones_own_that_records_its_rate_is_treated_alike():
    def update(state, batch, hyperparams):
        w, step = state
        rate = hyperparams["learning_rate"] / (1 + step)
        value, slope = jax.value_and_grad(loss)(w, batch)
        return {"loss": value, "learning_rate": rate}, (w - rate * slope, step + 1)

    def init(key, hyperparams):
        return init_params(jax.random.split(key)[0]), jnp.float32(0)

    test, plain = run(lrjax.Trial(init, update), seeds=2), run(seeds=2)
    np.testing.assert_allclose(test.losses[:, :70], plain.losses[:, :70], rtol=1e-3)
    assert test.set_aside


@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("optimizer", [lrjax.sgd, scheduled])
def test_it_is_stored_and_read_back(tmp_path, optimizer, constant):
    test = run(linear(optimizer), evaluate_on=DATA.arrays, seeds=2, constant=constant)
    test.save(tmp_path / "run")
    again = lrjax.load(tmp_path / "run")
    assert isinstance(again, lrjax.RangeTest)
    np.testing.assert_array_equal(again.schedule, test.schedule)
    assert again.set_aside == test.set_aside
    beside = ("constant_rates", "constant_losses") if constant else ()
    for name in ("learning_rates", "losses", "held_out", "diverged_at", *beside):
        np.testing.assert_array_equal(getattr(again, name), getattr(test, name))
        assert getattr(again, name).dtype == getattr(test, name).dtype
    assert again.summary() == test.summary()
    assert (again.plan, again.cost) == (test.plan, test.cost)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": 1}', '{"format": 1, "losses": 3}'])
def test_a_damaged_file_is_named(tmp_path, text):
    (tmp_path / "range-test.json").write_text(text)
    with pytest.raises(ValueError, match=r"`load\(path=\.\.\.\)` must be a stored range test, got a damaged"):
        lrjax.load(tmp_path)


def test_a_newer_format_is_refused(tmp_path):
    (tmp_path / "range-test.json").write_text('{"format": 99}')
    with pytest.raises(ValueError, match="format 99"):
        lrjax.load(tmp_path)


def test_the_picture_shows_seeds_rules_interval_and_edge():
    test = run()
    ax = test.plot()
    labels = ax.get_legend_handles_labels()[1]
    assert f"suggested: {test.suggestion:.3g}" in labels
    assert "interval" in labels
    assert any(text.get_text().startswith("valley") for text in ax.texts)
    assert any(label.startswith("above its start") for label in labels)
    assert len([line for line in ax.lines if len(line.get_xdata()) == 100]) >= 5
    assert ax.get_xscale() == "log"


def test_the_picture_of_a_test_that_abstains_can_be_drawn():
    constant = lrjax.trial(init_params, lambda w, batch: 0.0 * jnp.sum(w) + 1.0, lrjax.sgd)
    assert run(constant).plot().get_ylabel() == "training loss"
