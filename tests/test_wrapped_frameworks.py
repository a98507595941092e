"""Wrapped optimizers train in other people's loops as in one's own."""

from __future__ import annotations

import os
import subprocess
import sys
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
from tests.catalogue import CATALOGUE
from tests.running import assert_close, assert_equal, params_tree

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


SHARDED = """
import jax
jax.config.update("jax_num_cpu_devices", 2)
import jax.numpy as jnp, numpy as np, lrjax
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P

mesh = jax.make_mesh((2,), ("shard",), axis_types=(AxisType.Auto,))
x = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
params = {"w": jnp.linspace(-1, 1, 16).reshape(4, 4), "b": jnp.arange(4.0)}

def loss(params):
    return jnp.mean((jnp.tanh(x @ params["w"]) + params["b"]) ** 2)

def spec(leaf):
    return P(*[None] * (leaf.ndim - 1), "shard") if leaf.ndim else P()

for tx in (
    lrjax.adamw(lrjax.linear_schedule(0.1, 0.01, 5), weight_decay=0.1),
    lrjax.MultiSteps(lrjax.chain(lrjax.clip(0.1), lrjax.lion(0.01)), 2),
    lrjax.inject_hyperparams(lrjax.sgd)(learning_rate=0.1, momentum=0.9),
    lrjax.schedule_free_adamw(0.05),
):
    state = tx.init(params)
    specs = jax.tree.map(spec, (params, state))
    place = lambda tree, specs: jax.device_put(tree, jax.tree.map(lambda s: NamedSharding(mesh, s), specs))

    def move(params, state, grads):  # every device has half of each leaf, and of its state
        updates, state = tx.update(grads, state, params)
        return lrjax.apply_updates(params, updates), state

    sharded = jax.jit(jax.shard_map(move, mesh=mesh, in_specs=(*specs, specs[0]), out_specs=specs))
    alone, apart = (params, state), place((params, state), specs)
    for _ in range(4):
        alone = jax.jit(move)(*alone, jax.grad(loss)(alone[0]))
        apart = sharded(*apart, place(jax.grad(loss)(apart[0]), specs[0]))
    for got, want in zip(jax.tree.leaves(apart), jax.tree.leaves(alone), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
    held = [leaf for leaf in jax.tree.leaves(apart) if leaf.ndim]
    assert all(len(leaf.sharding.device_set) == 2 and not leaf.is_fully_replicated for leaf in held)
    print(len(held))
"""


@pytest.mark.slow
def test_shard_map_with_parameters_and_states_in_halves() -> None:
    """Two devices; for what is done entry by entry: a norm would be that of a half."""
    root = Path(__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(root), "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-W", "error", "-c", SHARDED]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) == 4


def _numbered(state: Any) -> Any:
    """The state with other values in every leaf than it begins with."""

    def other(place: int, leaf: jax.Array) -> jax.Array:
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.split(leaf, 2)[1]
        numbers = jnp.arange(leaf.size).reshape(leaf.shape) + place
        return (numbers % 2 == 0) if leaf.dtype == bool else numbers.astype(leaf.dtype)

    leaves, structure = jax.tree.flatten(state)
    return structure.unflatten(map(other, range(1, len(leaves) + 1), leaves))


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The state of every row of the catalogue, for two dtypes, and what Orbax makes of all at once."""
    ocp = pytest.importorskip("orbax.checkpoint", reason="needs lrjax[store]")
    states = {
        f"{i}": {
            str(dtype): _numbered(row.tx().init(params_tree(dtype))) for dtype in ("float32", "bfloat16")
        }
        for i, row in enumerate(CATALOGUE)
    }
    path = tmp_path_factory.mktemp("orbax") / "states"
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(path, states)
        checkpointer.wait_until_finished()
        return states, checkpointer.restore(path, jax.tree.map(_blank, states))


def _blank(leaf: jax.Array) -> jax.Array:
    key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.random.split(leaf, 1)[0] if key else jnp.zeros_like(leaf)


@pytest.mark.parametrize("number", range(len(CATALOGUE)), ids=[row.name for row in CATALOGUE])
def test_orbax_restores_the_state(number: int, stored: Any) -> None:
    states, restored = stored
    assert_equal(restored[f"{number}"], states[f"{number}"])


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
