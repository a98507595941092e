"""A training step of another library becomes a trial through a wrapper of at most ten lines.

Each test trains the user's own step alone in a plain loop and through a sweep, and compares. The
wrappers are those of docs/trials.md.
"""

from __future__ import annotations

import inspect

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from flax.training.train_state import TrainState

import lrjax
from lrjax.engine import member_key

RATES = [0.003, 0.01, 0.03]
STEPS = 30
X = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
Y = np.sin(X.sum(axis=1, keepdims=True))
DATA = lrjax.batches((X, Y), batch_size=16)


def squared_error(prediction, y):
    return jnp.mean((prediction - y) ** 2)


# The users' own code: models and steps.


class LinenNet(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(1)(jnp.tanh(nn.Dense(8)(x)))


linen_net = LinenNet()
linen_optimizer = lrjax.adam(1e-3)


def linen_step(state, batch):
    def loss_fn(params):
        return squared_error(state.apply_fn({"params": params}, batch[0]), batch[1])

    loss, grads = jax.value_and_grad(loss_fn)(state.params)
    return state.apply_gradients(grads=grads), loss


class NnxNet(nnx.Module):
    def __init__(self, rngs):
        self.hidden = nnx.Linear(3, 8, rngs=rngs)
        self.out = nnx.Linear(8, 1, rngs=rngs)

    def __call__(self, x):
        return self.out(jnp.tanh(self.hidden(x)))


def nnx_step(model, optimizer, batch):
    def loss_fn(model):
        return squared_error(model(batch[0]), batch[1])

    loss, grads = nnx.value_and_grad(loss_fn)(model)
    optimizer.update(model, grads)
    return loss


equinox_optimizer = lrjax.adam(1e-3)


def equinox_step(model, opt_state, batch):
    def loss_fn(model):
        return squared_error(jax.vmap(model)(batch[0]), batch[1])

    loss, grads = eqx.filter_value_and_grad(loss_fn)(model)
    updates, opt_state = equinox_optimizer.update(grads, opt_state, eqx.filter(model, eqx.is_array))
    return eqx.apply_updates(model, updates), opt_state, loss


plain_optimizer = optax.inject_hyperparams(optax.adam)(learning_rate=1e-3)


def plain_step(params, opt_state, batch):
    def loss_fn(params):
        return squared_error(jnp.tanh(batch[0] @ params["w"]) @ params["v"], batch[1])

    loss, grads = jax.value_and_grad(loss_fn)(params)
    updates, opt_state = plain_optimizer.update(grads, opt_state, params)
    return optax.apply_updates(params, updates), opt_state, loss


# The wrappers.


def linen_wrapper():
    def init(key, hyperparams):
        params = linen_net.init(key, X[:1])["params"]
        return TrainState.create(apply_fn=linen_net.apply, params=params, tx=linen_optimizer)

    def update(state, batch, hyperparams):
        opt_state = lrjax.set_learning_rate(state.opt_state, hyperparams["learning_rate"])
        state, loss = linen_step(state.replace(opt_state=opt_state), batch)
        return {"loss": loss}, state

    return lrjax.Trial(init, update)


def nnx_wrapper():
    def init(key, hyperparams):
        model = NnxNet(nnx.Rngs(key))
        return nnx.split((model, nnx.Optimizer(model, lrjax.adam(1e-3), wrt=nnx.Param)))

    def update(state, batch, hyperparams):
        model, optimizer = nnx.merge(*state)
        optimizer.tx = lrjax.adam(hyperparams["learning_rate"])
        loss = nnx_step(model, optimizer, batch)
        return {"loss": loss}, (state[0], nnx.state((model, optimizer)))

    return lrjax.Trial(init, update)


def equinox_wrapper():
    def init(key, hyperparams):
        model = eqx.nn.MLP(3, 1, 8, 1, activation=jnp.tanh, key=key)
        return model, equinox_optimizer.init(eqx.filter(model, eqx.is_array))

    def update(state, batch, hyperparams):
        model, opt_state = state
        opt_state = lrjax.set_learning_rate(opt_state, hyperparams["learning_rate"])
        model, opt_state, loss = equinox_step(model, opt_state, batch)
        return {"loss": loss}, (model, opt_state)

    return lrjax.Trial(init, update)


def plain_wrapper():
    def init(key, hyperparams):
        w, v = jax.random.normal(key, (3, 8)), jnp.zeros((8, 1))
        return {"w": w, "v": v}, plain_optimizer.init({"w": w, "v": v})

    def update(state, batch, hyperparams):
        params, opt_state = state
        opt_state = opt_state._replace(hyperparams={**opt_state.hyperparams, **hyperparams})
        params, opt_state, loss = plain_step(params, opt_state, batch)
        return {"loss": loss}, (params, opt_state)

    return lrjax.Trial(init, update)


# The same training without lrjax's engine: each library's own loop, the optimizer built anew per rate.


def linen_losses(rate, key):
    state = TrainState.create(
        apply_fn=linen_net.apply, params=linen_net.init(key, X[:1])["params"], tx=lrjax.adam(rate)
    )
    for step in range(STEPS):
        state, loss = linen_step(state, DATA(step))
        yield loss


def nnx_losses(rate, key):
    model = NnxNet(nnx.Rngs(key))
    optimizer = nnx.Optimizer(model, lrjax.adam(rate), wrt=nnx.Param)
    for step in range(STEPS):
        yield nnx_step(model, optimizer, DATA(step))


def equinox_losses(rate, key):
    model = eqx.nn.MLP(3, 1, 8, 1, activation=jnp.tanh, key=key)
    opt_state = lrjax.set_learning_rate(equinox_optimizer.init(eqx.filter(model, eqx.is_array)), rate)
    for step in range(STEPS):
        model, opt_state, loss = equinox_step(model, opt_state, DATA(step))
        yield loss


def plain_losses(rate, key):
    params = {"w": jax.random.normal(key, (3, 8)), "v": jnp.zeros((8, 1))}
    opt_state = plain_optimizer.init(params)
    opt_state.hyperparams["learning_rate"] = jnp.float32(rate)
    for step in range(STEPS):
        params, opt_state, loss = plain_step(params, opt_state, DATA(step))
        yield loss


CASES = {
    "flax.linen": (linen_wrapper, linen_losses),
    "flax.nnx": (nnx_wrapper, nnx_losses),
    "equinox": (equinox_wrapper, equinox_losses),
    "plain JAX with optax": (plain_wrapper, plain_losses),
}


@pytest.mark.parametrize("wrapper", [wrapper for wrapper, _ in CASES.values()], ids=CASES)
def test_the_wrapper_has_at_most_ten_lines(wrapper):
    lines = [line for line in inspect.getsource(wrapper).splitlines()[1:-1] if line.strip()]
    assert len(lines) <= 10


@pytest.mark.parametrize(("wrapper", "losses"), CASES.values(), ids=CASES)
def test_a_sweep_trains_the_users_step(wrapper, losses):
    grid = {"learning_rate": RATES}
    sweep = lrjax.sweep(wrapper(), grid, DATA, steps=STEPS, progress=False)
    alone = np.array([[float(loss) for loss in losses(rate, member_key(0, 0))] for rate in RATES])
    epoch = DATA.steps_per_epoch
    assert (alone[:, -epoch:].mean(axis=1) < alone[:, :epoch].mean(axis=1)).all()
    np.testing.assert_allclose(sweep.metrics["loss"][:, 0], alone, rtol=1e-5)


def test_a_rate_hidden_in_a_static_field_gets_an_error_that_names_the_leaf_and_the_remedy():
    def init(key, hyperparams):
        params = linen_net.init(key, X[:1])["params"]
        tx = optax.adam(hyperparams["learning_rate"])
        return TrainState.create(apply_fn=linen_net.apply, params=params, tx=tx)

    def update(state, batch, hyperparams):
        state, loss = linen_step(state, batch)
        return {"loss": loss}, state

    with pytest.raises(
        TypeError, match=r"`Trial.init` hides a traced value in .*TrainState.*inject_hyperparams"
    ):
        lrjax.sweep(lrjax.Trial(init, update), {"learning_rate": RATES}, DATA, steps=2, progress=False)


def test_a_rate_hidden_in_a_function_leaf_gets_the_same_error():
    def init(key, hyperparams):
        return {"x": jnp.ones(()), "step": lambda g: g * hyperparams["learning_rate"]}

    def update(state, batch, hyperparams):
        return {"loss": state["x"]}, {**state, "x": state["x"] - state["step"](state["x"])}

    with pytest.raises(TypeError, match=r"hides a traced value in \['step'\]"):
        lrjax.sweep(lrjax.Trial(init, update), {"learning_rate": RATES}, DATA, steps=2, progress=False)
