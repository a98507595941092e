"""States of every kind: what is carried, what is held still, what is told."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrjax
from lrjax.engine import _train, member_key

X = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
DATA = lrjax.batches((X, X.sum(axis=1)), batch_size=8)
GRID = {"learning_rate": [0.01, 0.1]}


def sweep(trial, data=DATA, grid=GRID, steps=12, **options):
    return lrjax.sweep(trial, grid, data, steps=steps, progress=False, **options)


def descend(x, hyperparams):
    loss, slope = jax.value_and_grad(lambda x: (x - 3.0) ** 2)(x)
    return loss, x - hyperparams["learning_rate"] * slope


def test_flags_and_settings_among_the_leaves_are_held_still():
    def init(key, hyperparams):
        return {"x": jnp.zeros(()), "train": True, "power": 2, "scale": 0.5, "mode": "plain"}

    def update(state, batch, hyperparams):
        assert state["mode"] == "plain"
        assert isinstance(state["train"], bool)
        assert isinstance(state["power"], int)
        loss, x = descend(state["x"], hyperparams)
        return {"loss": loss if state["train"] else -loss}, {**state, "x": x}

    losses = sweep(lrjax.Trial(init, update)).metrics["loss"]
    assert (losses[..., -1] < losses[..., 0]).all()


def test_python_numbers_that_a_step_changes_are_carried():
    def init(key, hyperparams):
        return {"x": jnp.zeros(()), "count": 0, "total": 0.0, "seen": np.zeros(2), "last": False}

    def update(state, batch, hyperparams):
        loss, x = descend(state["x"], hyperparams)
        count, total = state["count"] + 1, state["total"] + loss
        new = {"x": x, "count": count, "total": total, "seen": state["seen"] + 1, "last": loss < 1}
        return {"loss": loss, "count": count, "total": total, "last": state["last"]}, new

    result = sweep(lrjax.Trial(init, update))
    np.testing.assert_array_equal(result.metrics["count"][0, 0], np.arange(1, 13))
    np.testing.assert_allclose(result.metrics["total"], np.cumsum(result.metrics["loss"], axis=2), rtol=1e-6)
    np.testing.assert_array_equal(result.metrics["last"][..., 1:], result.metrics["loss"][..., :-1] < 1)


def test_an_equinox_model_with_dropout_sweeps():
    optimizer = lrjax.adam(1e-3)

    def init(key, hyperparams):
        model = eqx.nn.Sequential(
            [eqx.nn.Linear(4, 8, key=key), eqx.nn.Dropout(0.1), eqx.nn.Linear(8, 1, key=key)]
        )
        return model, optimizer.init(eqx.filter(model, eqx.is_array)), key

    def update(state, batch, hyperparams):
        model, opt_state, key = state
        key, step_key = jax.random.split(key)

        def loss_fn(model):
            keys = jax.random.split(step_key, len(batch[0]))
            return jnp.mean((jax.vmap(lambda x, k: model(x, key=k))(batch[0], keys)[:, 0] - batch[1]) ** 2)

        loss, grads = eqx.filter_value_and_grad(loss_fn)(model)
        opt_state = lrjax.set_learning_rate(opt_state, hyperparams["learning_rate"])
        updates, opt_state = optimizer.update(grads, opt_state, eqx.filter(model, eqx.is_array))
        return {"loss": loss}, (eqx.apply_updates(model, updates), opt_state, key)

    losses = sweep(lrjax.Trial(init, update), steps=40).metrics["loss"]
    assert (losses[..., -5:].mean(axis=2) < losses[..., :5].mean(axis=2)).all()


def test_releasing_a_pinned_rate_is_no_divergence():
    optimizer = lrjax.sgd(0.25)

    def init(key, hyperparams):
        x = jnp.zeros(())
        return (
            x,
            lrjax.set_learning_rate(optimizer.init(x), hyperparams["learning_rate"]),
            jnp.zeros((), jnp.int32),
        )

    def update(state, batch, hyperparams):
        x, opt_state, count = state
        loss, slope = jax.value_and_grad(lambda x: (x - 3.0) ** 2)(x)
        released = lrjax.set_learning_rate(opt_state, None)
        opt_state = jax.tree.map(lambda a, b: jnp.where(count >= 3, a, b), released, opt_state)
        updates, opt_state = optimizer.update(slope, opt_state)
        rate = lrjax.get_learning_rate(opt_state)
        return {"loss": loss, "rate": rate}, (x + updates, opt_state, count + 1)

    result = sweep(lrjax.Trial(init, update), steps=6)
    assert (result.diverged_at == -1).all()
    np.testing.assert_allclose(result.metrics["rate"][1, 0], [0.1, 0.1, 0.1, 0.25, 0.25, 0.25], rtol=1e-6)


def test_held_out_metrics_are_observed_after_every_evaluation_of_training():
    def init(key, hyperparams):
        return {"x": jnp.zeros(()), "heard": jnp.zeros(()), "times": jnp.zeros((), jnp.int32)}

    def update(state, batch, hyperparams):
        loss, x = descend(state["x"], hyperparams)
        return {"loss": loss, "heard": state["heard"], "times": state["times"]}, {**state, "x": x}

    def observe(state, metrics):
        return {**state, "heard": metrics["loss"], "times": state["times"] + 1}

    def evaluate(state, batch):
        return {"loss": (state["x"] - 3.0) ** 2 + 0 * jnp.mean(batch[1])}

    trial = lrjax.Trial(init, update, evaluate, observe)
    result = sweep(trial, evaluate_on=DATA, evaluate_every=4)
    np.testing.assert_array_equal(result.metrics["times"][0, 0], np.repeat([0, 1, 2], 4))
    np.testing.assert_array_equal(
        result.metrics["heard"][:, :, 4:8], result.held_out["loss"][:, :, 1:2].repeat(4, 2)
    )
    np.testing.assert_array_equal(
        result.metrics["heard"][:, :, 8:], result.held_out["loss"][:, :, 2:3].repeat(4, 2)
    )


def test_an_observe_that_returns_another_state_is_refused():
    trial = lrjax.Trial(
        lambda key, hyperparams: jnp.zeros(()),
        lambda x, batch, hyperparams: ({"loss": x}, x),
        lambda x, batch: {"loss": x},
        lambda x, metrics: jnp.zeros(3),
    )
    with pytest.raises(TypeError, match=r"`Trial\(observe=\.\.\.\)` must be .* has shape \(\) before"):
        sweep(trial, evaluate_on=DATA)


def test_an_evaluation_that_does_not_fit_names_the_argument():
    trial = lrjax.trial(lambda key: jnp.zeros(4), lambda w, b: jnp.mean((b[0] @ w - b[1]) ** 2), lrjax.sgd)
    with pytest.raises(TypeError) as caught:
        sweep(trial, evaluate_on=DATA, test_on=(X[:, :3], X.sum(axis=1)))
    assert any("`test_on`" in note for note in caught.value.__notes__)


def test_functions_of_the_host_may_use_jax():
    def make(step, seed_index):
        key = jax.random.fold_in(jax.random.key(seed_index), step)
        x = jax.random.normal(key, (8, 4))
        return x, x.sum(axis=1)

    trial = lrjax.trial(lambda key: jnp.zeros(4), lambda w, b: jnp.mean((b[0] @ w - b[1]) ** 2), lrjax.sgd)
    host = sweep(trial, lrjax.from_function(make, on_device=False), seeds=2)
    device = sweep(trial, lrjax.from_function(make, on_device=True), seeds=2)
    np.testing.assert_allclose(host.metrics["loss"], device.metrics["loss"], rtol=1e-5)


def test_batches_of_the_host_wait_in_a_bounded_chunk(monkeypatch):
    lengths = []
    trial = lrjax.trial(lambda key: jnp.zeros(()), lambda w, b: jnp.mean((w - b) ** 2), lrjax.sgd)
    data = lrjax.from_function(lambda step: np.full((256,), step, np.float32), on_device=False)
    schedule = data.schedule
    monkeypatch.setattr(data, "schedule", lambda a, n, s: lengths.append(n) or schedule(a, n, s))
    monkeypatch.setattr(_train, "_LARGEST_CHUNK", 5 * 1024)
    bounded = sweep(trial, data, steps=20, evaluate_every=20)
    assert max(lengths) == 5
    monkeypatch.setattr(_train, "_LARGEST_CHUNK", 2**28)
    np.testing.assert_array_equal(bounded.metrics["loss"], sweep(trial, data, steps=20).metrics["loss"])


def test_members_and_data_draw_from_different_streams():
    order = np.asarray(lrjax.batches(np.arange(64), batch_size=64)(0, 1))
    streams = [member_key(0, 1), *jax.random.split(member_key(0, 1), 4)]
    for key in (*streams, *(jax.random.fold_in(key, t) for key in streams for t in range(4))):
        made_of_it = np.argsort(np.asarray(jax.random.uniform(key, (64,))))
        assert (made_of_it == order).mean() < 0.2
        assert (np.asarray(jax.random.permutation(key, 64)) == order).mean() < 0.2


def test_strict_promotion_of_dtypes_is_met():
    schedule = lrjax.join_schedules([lrjax.linear_schedule(0.0, 0.1, 5), lrjax.constant_schedule(0.1)], [5])
    with jax.numpy_dtype_promotion("strict"):
        for dtype in (jnp.float32, jnp.bfloat16, jnp.float16):
            for make in (lrjax.sgd, lrjax.adam, lrjax.rmsprop, lrjax.adagrad, lrjax.lion, lrjax.adadelta):
                optimizer = make(schedule)
                params = {"w": jnp.ones(3, dtype)}
                state = optimizer.init(params)
                for _ in range(7):
                    updates, state = optimizer.update(params, state, params)
                assert updates["w"].dtype == dtype
                assert float(updates["w"][0]) < 0
