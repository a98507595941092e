"""Verification: true sweeps pass under every plan, and whatever is not what it was is found."""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrjax

pytestmark = pytest.mark.slow  # every test trains members again in a Python loop

X = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
Y = (X.sum(axis=1) > 0).astype(np.float32)
DATA = lrjax.batches((X, Y), batch_size=10)
STEPS = 70


def loss(params, batch, key):
    x, y = batch
    x = x * jax.random.bernoulli(key, 0.9, x.shape)
    logits = jnp.tanh(x @ params["a"]) @ params["b"]
    right = jnp.mean((logits > 0) == (y > 0.5))
    return jnp.mean(jnp.logaddexp(0.0, logits) - y * logits), {"accuracy": right}


def init(key):
    a, b = jax.random.split(key)
    return {"a": jax.random.normal(a, (4, 6)), "b": jax.random.normal(b, (6,))}


TRIAL = lrjax.trial(init, loss, lrjax.adam)
GRID = {"learning_rate": [0.001, 0.01, 0.1, 1.0], "b1": [0.9]}


@functools.cache
def swept(plan="pool", **options):
    return lrjax.sweep(TRIAL, GRID, DATA, steps=STEPS, seeds=2, plan=plan, progress=False, **options)


def tampered(sweep, step, factor, who=(1, 0), name="loss", until=None):
    values = sweep.metrics[name].copy()
    values[(*who, slice(step, until))] *= factor
    return dataclasses.replace(sweep, metrics={**sweep.metrics, name: values})


@pytest.mark.parametrize("plan", ["pool", "vmap", "unrolled", "pool/dispatch"])
def test_a_true_sweep_passes_whatever_the_plan(plan):
    verification = swept(plan).verify(TRIAL, DATA, members=8)
    assert verification.passed, verification
    assert [(m.point, m.seed) for m in verification.members] == [(p, s) for s in (0, 1) for p in range(4)]
    assert {m.steps for m in verification.members} == {STEPS}
    assert all(set(m.others) == {"accuracy", "learning_rate"} for m in verification.members)


@pytest.mark.parametrize("options", [{"key": 3}, {"order": "shared"}, {"record_every": 4}])
def test_however_it_was_asked_for(options):
    sweep = swept(**options)
    assert sweep.verify(TRIAL, DATA, members=[(2, 1)]).passed


@pytest.mark.parametrize("step", [0, 7, 69])
def test_a_curve_that_was_changed_is_found_at_its_step(step):
    (member,) = tampered(swept(), step, 1.01).verify(TRIAL, DATA, members=[(1, 0)]).members
    assert member.first == step
    assert not member.passed
    assert 1e-3 < member.deviation < 0.011


def test_a_change_of_one_part_in_ten_thousand_is_found():
    sweep = tampered(swept(), 20, 1.0001, until=21)
    assert sweep.verify(TRIAL, DATA, members=[(1, 0)]).members[0].first == 20


def test_the_others_do_not_suffer():
    verification = tampered(swept(), 30, 2.0).verify(TRIAL, DATA, members=[(1, 0), (2, 1)])
    assert [m.first for m in verification.members] == [30, -1]
    assert not verification.passed
    assert str(verification).startswith("1 of 2 members are what they are alone")
    assert "differs from step 30 on" in str(verification)


def test_another_metric_may_jump_but_not_for_long():
    jump = tampered(swept(), 12, 0.5, name="accuracy", until=13)
    assert jump.verify(TRIAL, DATA, members=[(1, 0)]).passed
    lasting = tampered(swept(), 12, 0.5, name="accuracy")
    assert lasting.verify(TRIAL, DATA, members=[(1, 0)]).members[0].first == 12


def other_loss(params, batch, key):
    value, metrics = loss(params, batch, key)
    return value + 1, metrics


def test_other_data_another_key_and_another_trial_are_found_at_the_start():
    sweep = swept()
    others = [
        (sweep, TRIAL, lrjax.batches((X, Y), batch_size=10, seed=1)),
        (dataclasses.replace(sweep, settings={**sweep.settings, "key": 1}), TRIAL, DATA),
        (sweep, lrjax.trial(init, other_loss, lrjax.adam), DATA),
    ]
    for changed, trial, data in others:
        verification = changed.verify(trial, data)
        assert [m.first for m in verification.members] == [0, 0, 0]
        assert "other data, another trial, or another key?" in verification.summary()


def test_another_optimizer_is_found_after_its_first_step():
    trial = lrjax.trial(init, loss, lambda learning_rate, b1: lrjax.adam(learning_rate, b1, eps=0.1))
    first = swept().verify(trial, DATA, members=[(2, 0)]).members[0].first
    assert first == 1


def test_another_seed_s_data_are_found():
    shared = dataclasses.replace(swept(), settings={**swept().settings, "order": "shared"})
    assert [m.first for m in shared.verify(TRIAL, DATA, members=[(1, 0), (1, 1)]).members] == [-1, 0]


def test_a_trial_that_measures_something_else_is_refused():
    trial = lrjax.trial(init, lambda params, batch, key: loss(params, batch, key)[0], lrjax.adam)
    with pytest.raises(ValueError, match=r"verify\(trial=...\).* 'accuracy'"):
        swept().verify(trial, DATA)


def test_a_stored_sweep_can_be_verified(tmp_path):
    swept().save(tmp_path)
    loaded = lrjax.load(tmp_path)
    assert loaded.verify(TRIAL, DATA).passed
    assert not tampered(loaded, 5, 1.1).verify(TRIAL, DATA, members=[(1, 0)]).passed


def test_fewer_steps():
    (member,) = swept().verify(TRIAL, DATA, members=[(0, 0)], steps=5).members
    assert (member.steps, member.passed) == (5, True)
    assert tampered(swept(), 5, 2.0, (0, 0)).verify(TRIAL, DATA, members=[(0, 0)], steps=5).passed


def test_members_are_spread_over_the_rates_and_the_best_is_among_them():
    def trial_loss(x, batch):
        return (x - 3.0) ** 2

    trial = lrjax.trial(lambda key: jnp.float32(0.0), trial_loss, lrjax.sgd)
    rates = [0.001, 0.003, 0.01, 0.03, 0.1, 0.4, 0.9]
    data = lrjax.batches(np.zeros(4), batch_size=4)
    sweep = lrjax.sweep(trial, {"learning_rate": rates}, data, steps=20, seeds=2, progress=False)
    members = sweep.verify(trial, data).members
    assert [m.point for m in members] == [0, 3, sweep.answer.index]
    assert {m.seed for m in members} == {0, 1}
    assert len(sweep.verify(trial, data, members=100).members) == 14


# Divergence


def wild(rates=(0.5, 11.0), steps=90, **options):
    trial = lrjax.trial(lambda key: jnp.float32(1.0), lambda x, batch: 0.5 * x**2, lrjax.sgd)
    data = lrjax.batches(np.zeros(4), batch_size=4)
    sweep = lrjax.sweep(
        trial, {"learning_rate": list(rates)}, data, steps=steps, progress=False, blow_up=None, **options
    )
    return sweep, trial, data


@pytest.mark.parametrize("plan", ["pool", "vmap"])
def test_a_member_that_diverged_is_compared_until_then(plan):
    sweep, trial, data = wild(plan=plan)
    member = sweep.verify(trial, data, members=[(1, 0)]).members[0]
    at = sweep.diverged_at[1, 0]
    assert at > 0
    assert (member.steps, member.diverged_at, member.alone_diverged_at, member.passed) == (at, at, at, True)
    assert f"diverged at step {at} in the sweep, at step {at} alone" in member.summary()


@pytest.mark.parametrize("move", [-5, 5])
def test_a_divergence_at_another_step_is_found(move):
    sweep, trial, data = wild(rates=(0.5, 3.0))
    sweep.diverged_at[1, 0] += move
    sweep.metrics["loss"][1, 0, : sweep.diverged_at[1, 0]] = np.nan_to_num(sweep.metrics["loss"][1, 0])[
        : sweep.diverged_at[1, 0]
    ]
    assert not sweep.verify(trial, data, members=[(1, 0)]).passed


def test_a_divergence_that_is_hidden_or_made_up_is_found():
    sweep, trial, data = wild()
    at = int(sweep.diverged_at[1, 0])
    sweep.diverged_at[1, 0] = -1
    assert sweep.verify(trial, data, members=[(1, 0)]).members[0].first in (at, at + 1)
    sweep.diverged_at[0, 0] = 12
    (member,) = sweep.verify(trial, data, members=[(0, 0)]).members
    assert (member.first, member.alone_diverged_at) == (12, -1)
    assert "at step 12 in the sweep, never alone" in member.summary()


def test_a_loss_that_blew_up_did_so_alone_too():
    def update(x, batch, hyperparams):
        return {"loss": jnp.float32(1.0) + x}, x + hyperparams["rate"]

    trial = lrjax.Trial(lambda key, hyperparams: jnp.float32(0.0), update)
    data = lrjax.batches(np.zeros(4), batch_size=4)
    sweep = lrjax.sweep(trial, {"rate": [0.001, 30.0]}, data, steps=60, name="rate", progress=False)
    assert sweep.causes[1, 0] == "blow-up"
    member = sweep.verify(trial, data, members=[(1, 0)]).members[0]
    assert member.passed
    assert member.alone_diverged_at == sweep.diverged_at[1, 0] > 0


# Rounding


def test_what_rounding_amplifies_is_allowed_for():
    """The logistic map doubles an error in every step: no digit is left of any plan's curve."""

    def update(x, batch, hyperparams):
        return {"loss": x}, hyperparams["r"] * x * (1 - x)

    trial = lrjax.Trial(lambda key, hyperparams: jnp.float32(0.3), update)
    data = lrjax.batches(np.zeros(4), batch_size=4)
    sweep = lrjax.sweep(trial, {"r": [3.99]}, data, steps=90, name="r", progress=False)
    x, curve = np.float32(0.3), []
    for _ in range(90):
        curve.append(x)
        x = np.float32(3.99) * (x - x * x)  # the same, rounded otherwise
    sweep.metrics["loss"][0, 0] = curve
    assert sweep.verify(trial, data).passed
    assert sweep.verify(trial, data).members[0].deviation > 0.01
    assert tampered(sweep, 3, 1.001, (0, 0)).verify(trial, data).members[0].first == 3


# Grids and data of every kind


def test_points_of_different_structure_and_hyperparameters_of_the_data():
    def data(batch_size):
        return lrjax.batches((X, Y), batch_size)

    grid = [
        {"learning_rate": 0.1, "batch_size": 5},
        {"learning_rate": 0.1, "batch_size": 10, "nesterov": True, "momentum": 0.9},
        {"learning_rate": 0.01, "batch_size": 10, "momentum": None},
    ]
    trial = lrjax.trial(init, loss, lrjax.sgd)
    sweep = lrjax.sweep(trial, grid, data, steps=12, progress=False)
    assert sweep.verify(trial, data, members=3).passed
    assert not sweep.verify(trial, lambda batch_size: lrjax.batches((X, Y), batch_size, seed=1)).passed
    with pytest.raises(ValueError, match=r"verify\(data=...\)"):
        sweep.verify(trial, lambda size: data(size))


def test_none_is_told_from_a_hyperparameter_that_a_point_does_not_have(tmp_path):
    def optimizer(learning_rate, momentum=0.9):
        return lrjax.sgd(learning_rate, momentum)

    trial = lrjax.trial(init, loss, optimizer)
    grid = [{"learning_rate": 0.1, "momentum": None}, {"learning_rate": 0.1}]
    sweep = lrjax.sweep(trial, grid, DATA, steps=12, progress=False)
    sweep.save(tmp_path)
    for right in (sweep, lrjax.load(tmp_path)):
        assert right.verify(trial, DATA).passed
        swapped = {name: values[::-1] for name, values in right.metrics.items()}
        assert not dataclasses.replace(right, metrics=swapped).verify(trial, DATA).passed
    old = {name: value for name, value in sweep.settings.items() if name != "absent"}
    assert dataclasses.replace(sweep, settings=old).verify(trial, DATA).passed


def test_data_made_on_the_host():
    batches = [(X[i : i + 10], Y[i : i + 10]) for i in range(0, 60, 10)]
    sweep = lrjax.sweep(TRIAL, GRID, batches, steps=15, progress=False)
    assert sweep.verify(TRIAL, batches).passed
    assert [m.first for m in sweep.verify(TRIAL, batches[::-1]).members] == [0, 0, 0]


def test_a_trial_that_is_told_its_held_out_loss():
    def start(key, hyperparams):
        return jnp.float32(2.0), jnp.float32(1.0)

    def update(state, batch, hyperparams):
        x, scale = state
        return {"loss": x**2}, (x * (1 - scale * hyperparams["learning_rate"]), scale)

    def observe(state, metrics):
        return state[0], state[1] * jnp.where(metrics["loss"] < 1, 0.5, 1.0)

    trial = lrjax.Trial(start, update, lambda state, batch: {"loss": state[0] ** 2}, observe)
    data = lrjax.batches(np.zeros(4), batch_size=4)
    grid = {"learning_rate": [0.02, 0.1]}
    sweep = lrjax.sweep(
        trial, grid, data, steps=40, evaluate_on=np.zeros(4), evaluate_every=5, progress=False
    )
    assert sweep.verify(trial, data).passed
    assert not sweep.verify(trial._replace(observe=None), data, members=[(1, 0)]).passed


def staged(**options):
    """A sweep whose schedules are completed at steps 2, 8 and 32, and its trial."""

    def optimizer(learning_rate, horizon):
        return lrjax.sgd(lrjax.cosine_decay_schedule(learning_rate, horizon))

    trial = lrjax.trial(init, lambda params, batch: loss(params, batch, jax.random.key(0)), optimizer)
    sweep = lrjax.sweep(
        trial,
        {"learning_rate": np.logspace(-3, 0, 8), "horizon": [32]},
        DATA,
        steps=32,
        evaluate_on=(X, Y),
        allocation=lrjax.successive_halving(neighbours=0, noise=False),
        horizon="horizon",
        progress=False,
        **options,
    )
    return sweep, trial


@pytest.mark.parametrize("plan", ["pool", "vmap"])
def test_members_of_every_stage_of_an_allocation_with_a_horizon(plan):
    sweep, trial = staged(plan=plan)
    assert len(set(sweep.stopped_at.ravel().tolist())) > 1
    verification = sweep.verify(trial, DATA, members=8)
    assert verification.passed, verification
    assert len({m.steps for m in verification.members}) > 1


@pytest.mark.parametrize("stage", [1, 2])
@pytest.mark.parametrize("step", [0, 4])
def test_members_of_a_stage_that_was_interrupted(stage, step, tmp_path):
    """Some steps after a rung's decision, or just then, when they have not begun anew."""

    def cut(sweep):
        if len(sweep.rungs) == stage and (step == 0 or trained(sweep) == step):
            raise KeyboardInterrupt

    def trained(sweep):
        return np.isfinite(sweep.metrics["loss"][sweep.rungs[-1][2]]).sum(axis=-1).max()

    sweep, trial = staged(on_chunk=cut)
    assert len(sweep.rungs) == stage
    assert set(sweep.stopped_at[sweep.rungs[-1][2], 0]) == {step or sweep.rungs[-1][0]}
    sweep.save(tmp_path)
    for interrupted in (sweep, lrjax.load(tmp_path)):
        verification = interrupted.verify(trial, DATA, members=8)
        assert verification.passed, verification
        assert len(verification.members) == 8
    old = {name: value for name, value in sweep.settings.items() if name != "schedules"}
    with pytest.raises(ValueError, match=r"verify\(members=...\)"):
        dataclasses.replace(sweep, settings=old).verify(trial, DATA, members=[(sweep.answer.index, 0)])


# Wrong arguments


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"trial": loss}, TypeError, r"verify\(trial=...\)"),
        ({"members": 0}, ValueError, r"verify\(members=...\)"),
        ({"members": "best"}, TypeError, r"verify\(members=...\)"),
        ({"members": [(4, 0)]}, ValueError, r"a point below 4 and a seed below 2"),
        ({"members": [3]}, TypeError, r"verify\(members=...\)"),
        ({"steps": 0}, ValueError, r"verify\(steps=...\)"),
        ({"data": 3}, TypeError, r"verify\(data=...\)"),
    ],
)
def test_wrong_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        swept().verify(**{"trial": TRIAL, "data": DATA, **arguments})


def test_a_sweep_of_a_format_without_settings_is_refused():
    with pytest.raises(ValueError, match="key"):
        dataclasses.replace(swept(), settings={}).verify(TRIAL, DATA)
