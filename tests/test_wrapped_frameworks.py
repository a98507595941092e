"""Wrapped optimizers train in other people's loops as in one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from flax.training.train_state import TrainState
from jax.sharding import PartitionSpec as P

import lrjax
from tests.running import assert_close

X = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
Y = np.sin(X.sum(axis=1, keepdims=True))
STEPS = 6


def _wrapped(library: Any) -> Any:
    """Clipped, guarded, gathered, with a rate for matrices and one for vectors."""

    def labels(params: Any) -> Any:
        return jax.tree.map(lambda p: "matrix" if jnp.ndim(p) > 1 else "vector", params)

    parts = library.partition({"matrix": library.adamw(0.05), "vector": library.sgd(0.1, 0.9)}, labels)
    inner = library.chain(library.clip_by_global_norm(1.0), parts)
    return library.MultiSteps(library.apply_if_finite(inner, 3), every_k_schedule=2)


def squared_error(prediction: Any, y: Any) -> Any:
    return jnp.mean((prediction - y) ** 2)


class Linen(nn.Module):
    @nn.compact
    def __call__(self, x: Any) -> Any:
        return nn.Dense(1)(jnp.tanh(nn.Dense(4)(x)))


def test_flax_train_state() -> None:
    model = Linen()
    params = model.init(jax.random.key(0), X)["params"]

    @jax.jit
    def step(state: Any) -> Any:
        grads = jax.grad(lambda p: squared_error(state.apply_fn({"params": p}, X), Y))(state.params)
        return state.apply_gradients(grads=grads)

    trained = []
    for library in (lrjax, optax):
        state = TrainState.create(apply_fn=model.apply, params=params, tx=_wrapped(library))
        for _ in range(STEPS):
            state = step(state)
        trained.append(state.params)
    assert_close(trained[0], trained[1], 1e-4)
    assert not np.array_equal(trained[0]["Dense_0"]["kernel"], params["Dense_0"]["kernel"])


class Nnx(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.hidden, self.out = nnx.Linear(3, 4, rngs=rngs), nnx.Linear(4, 1, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        return self.out(jnp.tanh(self.hidden(x)))


def test_nnx_optimizer() -> None:
    trained = []
    for library in (lrjax, optax):
        model = Nnx(nnx.Rngs(0))
        inner = library.chain(library.clip_by_global_norm(1.0), library.ema(0.5), library.adam(0.05))
        tx = library.apply_if_finite(inner, 3)
        optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)

        @nnx.jit
        def step(model: Any, optimizer: Any) -> None:
            grads = nnx.grad(lambda m: squared_error(m(X), Y))(model)
            optimizer.update(model, grads)

        for _ in range(STEPS):
            step(model, optimizer)
        trained.append(model.hidden.kernel.get_value())
    assert_close(trained[0], trained[1], 1e-4)


def test_equinox_modules_with_none_where_nothing_is_trained() -> None:
    model = eqx.nn.MLP(3, 1, 4, 1, activation=jnp.tanh, key=jax.random.key(0))

    @eqx.filter_jit
    def step(model: Any, state: Any, tx: Any) -> Any:
        grads = eqx.filter_grad(lambda m: squared_error(jax.vmap(m)(X), Y))(model)
        updates, state = tx.update(grads, state, eqx.filter(model, eqx.is_array))
        return eqx.apply_updates(model, updates), state

    trained = []
    for library in (lrjax, optax):
        moved, tx = model, _wrapped(library)
        state = tx.init(eqx.filter(model, eqx.is_array))
        for _ in range(STEPS):
            moved, state = step(moved, state, tx)
        trained.append(jax.tree.leaves(eqx.filter(moved, eqx.is_array)))
    assert_close(trained[0], trained[1], 1e-4)


PARAMS = {"w": jnp.array([[1.0, -2.0], [0.5, 1.5]]), "b": jnp.array([0.25, -1.0])}


def _loss(params: Any, x: Any) -> Any:
    return jnp.mean((x @ params["w"] + params["b"]) ** 2)


def _scan(tx: Any, x: Any, steps: int = STEPS) -> Any:
    def step(carry: Any, _: None) -> Any:
        params, state = carry
        value, grads = jax.value_and_grad(_loss)(params, x)
        updates, state = tx.update(grads, state, params)
        return (lrjax.apply_updates(params, updates), state), value

    return jax.lax.scan(step, (PARAMS, tx.init(PARAMS)), length=steps)


@pytest.mark.parametrize(
    "mix",
    [
        lambda: optax.chain(lrjax.clip_by_global_norm(1.0), lrjax.partition({"a": lrjax.adam(0.1)}, "a")),
        lambda: optax.MultiSteps(lrjax.apply_if_finite(lrjax.chain(lrjax.clip(1.0), lrjax.adam(0.1)), 2), 1),
        lambda: optax.partition(
            {"a": lrjax.named_chain(("c", lrjax.clip(1.0)), ("o", lrjax.adam(0.1)))}, "a"
        ),
        lambda: lrjax.MultiSteps(optax.chain(optax.clip(1.0), lrjax.adam(0.1)), 1),
        lambda: lrjax.apply_if_finite(optax.chain(lrjax.clip(1.0), optax.adam(0.1)), 2),
    ],
)
def test_lrjaxs_in_optaxs_and_optaxs_in_lrjaxs(mix: Any) -> None:
    (params, _), values = jax.jit(lambda: _scan(mix(), X[:, :2]))()
    assert values[-1] < values[0]
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, PARAMS)


def _guarded() -> Any:
    inner = lrjax.chain(lrjax.clip_by_global_norm(1.0), lrjax.adam(0.1))
    return lrjax.MultiSteps(lrjax.apply_if_finite(inner, 3), 1)


def test_shard_map_with_gradients_averaged_over_devices() -> None:
    mesh = jax.make_mesh((1,), ("batch",), axis_types=(jax.sharding.AxisType.Auto,))
    tx, x = _guarded(), jnp.asarray(X[:, :2])

    def step(params: Any, x: Any) -> Any:
        grads = jax.lax.pmean(jax.grad(_loss)(jax.lax.pcast(params, "batch", to="varying"), x), "batch")
        return lrjax.apply_updates(params, tx.update(grads, tx.init(params), params)[0])

    sharded = jax.shard_map(step, mesh=mesh, in_specs=(P(), P("batch")), out_specs=P())
    grads = jax.grad(_loss)(PARAMS, x)
    expected = lrjax.apply_updates(PARAMS, tx.update(grads, tx.init(PARAMS), PARAMS)[0])
    assert_close(jax.jit(sharded)(PARAMS, x), expected, 1e-5)


def test_shard_map_with_a_member_per_device() -> None:
    """Gradients and states that differ from device to device; the branches must say so alike."""
    mesh = jax.make_mesh((1,), ("member",), axis_types=(jax.sharding.AxisType.Auto,))
    tx, x = _guarded(), jnp.asarray(X[:, :2])

    def step(params: Any, state: Any) -> Any:
        params, state = jax.tree.map(lambda leaf: leaf[0], (params, state))
        updates, _ = tx.update(jax.grad(_loss)(params, x), state, params)
        return jax.tree.map(lambda p: p[None], lrjax.apply_updates(params, updates))

    sharded = jax.shard_map(step, mesh=mesh, in_specs=P("member"), out_specs=P("member"))
    state = tx.init(PARAMS)
    one = jax.tree.map(lambda leaf: leaf[None], (PARAMS, state))
    updates, _ = tx.update(jax.grad(_loss)(PARAMS, x), state, PARAMS)
    expected = lrjax.apply_updates(PARAMS, updates)
    assert_close(jax.tree.map(lambda p: p[0], jax.jit(sharded)(*one)), expected, 1e-5)


def test_orbax_restores_the_state_of_every_wrapper(tmp_path: Path) -> None:
    ocp = pytest.importorskip("orbax.checkpoint", reason="needs lrjax[store]")
    tx = lrjax.named_chain(
        (
            "watch",
            lrjax.monitor({"norm": lrjax.global_norm, "mean": lrjax.measure_with_ema(mean_of_all, 0.9)}),
        ),
        ("train", _wrapped(lrjax)),
    )
    (_, state), _ = _scan(tx, X[:, :2], steps=3)
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "state", state)
        checkpointer.wait_until_finished()
        restored = checkpointer.restore(tmp_path / "state", jax.tree.map(jnp.zeros_like, state))
    assert_close(restored, state, 0)


def mean_of_all(updates: Any) -> Any:
    return jnp.mean(jnp.concatenate([jnp.ravel(u) for u in jax.tree.leaves(updates)]))


def test_searches_and_wrappers_train_in_a_sweep() -> None:
    """The engine hands them the function, and takes no unset number of a search for divergence."""

    def init_params(key: Any) -> Any:
        return {"w": jax.random.normal(key, (2, 2)), "b": jnp.zeros(2)}

    data = lrjax.batches((X[:, :2],), batch_size=4)

    def loss(params: Any, batch: Any) -> Any:
        return _loss(params, batch[0])

    def search(slope_rtol: Any) -> Any:
        return lrjax.chain(lrjax.sgd(1.0), lrjax.scale_by_zoom_linesearch(10, slope_rtol=slope_rtol))

    def gathered(learning_rate: Any, max_norm: Any) -> Any:
        inner = lrjax.chain(lrjax.clip_by_global_norm(max_norm), lrjax.adam(learning_rate))
        return lrjax.MultiSteps(lrjax.apply_if_finite(inner, 3), 2)

    for optimizer, grid in (
        (search, {"slope_rtol": [1e-4, 0.25]}),
        (gathered, {"learning_rate": [0.01, 0.1], "max_norm": [0.5, 2.0]}),
    ):
        trial = lrjax.trial(init_params, loss, optimizer)
        sweep = lrjax.sweep(trial, grid, data, steps=12, progress=False)
        losses = sweep.metrics["loss"][:, 0]
        assert np.all(sweep.diverged_at == -1)
        assert np.all(losses[:, -4:].mean(axis=1) < losses[:, :2].mean(axis=1))
