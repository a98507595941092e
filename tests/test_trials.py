"""`lrjax.trial`: what it accepts, what reaches the optimizer, and that it trains as a loop would."""

import functools
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lrjax

RATE = {"learning_rate": 0.1}
KEY = jax.random.key(3)
BATCH = jnp.array([1.0, 2.0, 3.0, 6.0])


def init_params(key):
    del key
    return jnp.array(1.0)


def square(params, batch):
    return jnp.mean((params - batch) ** 2)


def noisy(params, batch, key):
    return jnp.mean((params - batch) ** 2) + jax.random.normal(key)


def init_counting(key):
    del key
    return jnp.array(1.0), jnp.array(0)


def counting(params, model_state, batch):
    return square(params, batch), model_state + 1


class Seen(NamedTuple):
    """What a spy was given."""

    value: Any
    grad: Any
    grad_norm: Any
    value_elsewhere: Any


def spy(learning_rate):
    """Gradient descent that keeps the extra keywords it was given."""

    def init(params):
        zero = jnp.zeros(())
        return Seen(zero, jax.tree.map(jnp.zeros_like, params), zero, zero)

    def update(updates, state, params=None, *, value, grad, value_fn, grad_norm, **extra):
        assert not extra
        elsewhere = value_fn(jax.tree.map(lambda p: p + 1, params))
        return jax.tree.map(lambda u: -learning_rate * u, updates), Seen(value, grad, grad_norm, elsewhere)

    return lrjax.GradientTransformation(init, update)


# What a loss may look like


def test_plain_loss():
    run = lrjax.trial(init_params, square, lrjax.sgd)
    state = run.init(KEY, RATE)
    metrics, state = run.update(state, BATCH, RATE)
    assert set(metrics) == {"loss", "learning_rate"}
    assert float(metrics["loss"]) == 7.5  # before the step
    np.testing.assert_allclose(metrics["learning_rate"], 0.1)
    np.testing.assert_allclose(state.params, 1 - 0.1 * 2 * (1 - 3), rtol=1e-6)
    assert int(state.step) == 1
    assert state.model_state is None


def test_metrics_of_the_loss_come_through():
    def loss(params, batch):
        return square(params, batch), {"mean": jnp.mean(batch), "loss": 99.0}

    run = lrjax.trial(init_params, loss, lrjax.sgd)
    state = run.init(KEY, RATE)
    metrics, _ = run.update(state, BATCH, RATE)
    assert float(metrics["mean"]) == 3.0
    assert float(metrics["loss"]) == 7.5  # the value that was differentiated, whatever the dict says
    assert run.evaluate is not None
    held_out = run.evaluate(state, BATCH)
    assert float(held_out["mean"]) == 3.0
    assert float(held_out["loss"]) == 7.5


def test_a_key_per_step():
    def loss(params, batch, key):
        return square(params, batch), {"draw": jax.random.uniform(key)}

    run = lrjax.trial(init_params, loss, lrjax.sgd)
    state = first = run.init(KEY, RATE)
    for step in range(4):
        metrics, state = run.update(state, BATCH, RATE)
        expected = jax.random.uniform(jax.random.fold_in(first.key, step))
        assert float(metrics["draw"]) == float(expected)
    assert jnp.all(jax.random.key_data(state.key) == jax.random.key_data(first.key))


def test_initial_parameters_and_steps_draw_from_different_keys():
    run = lrjax.trial(lambda key: jax.random.key_data(key).astype(jnp.float32), noisy, lrjax.sgd)
    state = run.init(KEY, RATE)
    assert jnp.any(state.params != jax.random.key_data(state.key).astype(jnp.float32))
    other = run.init(jax.random.key(4), RATE)
    assert jnp.any(state.params != other.params)
    assert jnp.any(jax.random.key_data(state.key) != jax.random.key_data(other.key))


def test_model_state_is_threaded():
    run = lrjax.trial(init_counting, counting, lrjax.sgd, has_state=True)
    state = run.init(KEY, RATE)
    assert int(state.model_state) == 0
    for _ in range(3):
        _, state = run.update(state, BATCH, RATE)
    assert int(state.model_state) == 3
    assert run.evaluate is not None
    assert set(run.evaluate(state, BATCH)) == {"loss"}


def test_model_state_with_key_and_metrics():
    def loss(params, model_state, batch, key):
        return square(params, batch), model_state + 1, {"draw": jax.random.uniform(key)}

    run = lrjax.trial(init_counting, loss, lrjax.sgd, has_state=True)
    state = run.init(KEY, RATE)
    metrics, new_state = run.update(state, BATCH, RATE)
    assert int(new_state.model_state) == 1
    assert float(metrics["draw"]) == float(jax.random.uniform(jax.random.fold_in(state.key, 0)))
    assert run.evaluate is None


def test_keyword_with_a_default_is_settled():
    def loss(params, batch, *, power=2):
        return jnp.mean(jnp.abs(params - batch) ** power)

    run = lrjax.trial(init_params, loss, lrjax.sgd)
    metrics, _ = run.update(run.init(KEY, RATE), BATCH, RATE)
    assert float(metrics["loss"]) == 7.5
    fixed = functools.partial(noisy, key=KEY)
    assert lrjax.trial(init_params, fixed, lrjax.sgd).evaluate is not None


def default_key(params, batch, key=None): ...
def default_batch(params, batch=None): ...
def open_ended(*args): ...
def open_after_two(params, batch, *rest): ...
def keyword_only_key(params, batch, *, key): ...
def one_argument(params): ...
def four_arguments(params, state, batch, key): ...


AMBIGUOUS = [
    default_key,
    default_batch,
    open_ended,
    open_after_two,
    keyword_only_key,
    one_argument,
    four_arguments,
]


@pytest.mark.parametrize("loss", AMBIGUOUS, ids=lambda f: f.__name__)
def test_ambiguous_signatures_raise(loss):
    with pytest.raises(TypeError, match=r"`trial\(loss=\.\.\.\)` must be `loss\(params, batch\)`") as error:
        lrjax.trial(init_params, loss, lrjax.sgd)
    assert f"got `{loss.__name__}(" in str(error.value)
    assert "\n" not in str(error.value)


def test_ambiguity_with_model_state_names_its_own_signature():
    with pytest.raises(TypeError, match=r"`loss\(params, model_state, batch, key\)`"):
        lrjax.trial(init_counting, square, lrjax.sgd, has_state=True)


def test_a_loss_without_a_signature_raises():
    with pytest.raises(TypeError, match="a function without a signature"):
        lrjax.trial(init_params, min, lrjax.sgd)


@pytest.mark.parametrize(
    ("argument", "arguments"),
    [
        ("init_params", (3.0, square, lrjax.sgd)),
        ("loss", (init_params, "mse", lrjax.sgd)),
        ("optimizer", (init_params, square, lrjax.sgd(0.1))),
        ("evaluate", (init_params, square, lrjax.sgd, 0.5)),
        ("has_state", (init_params, square, lrjax.sgd, None, 1)),
    ],
)
def test_arguments_of_the_wrong_kind(argument, arguments):
    with pytest.raises(TypeError, match=rf"`trial\({argument}=\.\.\.\)` must be"):
        lrjax.trial(*arguments)


# What a loss may return


@pytest.mark.parametrize(
    ("returned", "shown"),
    [
        (jnp.ones(3), r"shape \(3,\) and dtype float32"),
        (jnp.ones((1, 1)), r"shape \(1, 1\)"),
        (jnp.array(1), "int32"),
        (None, "NoneType"),
        ("low", "str"),
        ((jnp.array(1.0), jnp.array(2.0)), "a tuple of 2"),
        ((jnp.array(1.0), {}, {}), "a tuple of 3"),
        ((), "a tuple of 0"),
        ([jnp.array(1.0)], "list"),
    ],
)
def test_wrong_returns_of_the_loss(returned, shown):
    run = lrjax.trial(init_params, lambda params, batch: returned, lrjax.sgd)
    with pytest.raises(TypeError, match=rf"returns scalar or \(scalar, metrics\), got .*{shown}"):
        run.update(run.init(KEY, RATE), BATCH, RATE)


def test_a_vector_loss_shows_its_shape():
    run = lrjax.trial(init_params, lambda params, batch: (params - batch) ** 2, lrjax.sgd)
    with pytest.raises(TypeError, match=r"shape \(4,\)"):
        jax.eval_shape(lambda s: run.update(s, BATCH, RATE), run.init(KEY, RATE))


@pytest.mark.parametrize("returned", [jnp.array(1.0), (jnp.array(1.0),), (jnp.array(1.0), 0, {}, {})])
def test_wrong_returns_with_model_state(returned):
    run = lrjax.trial(init_counting, lambda params, model_state, batch: returned, lrjax.sgd, has_state=True)
    with pytest.raises(TypeError, match=r"\(scalar, model_state\) or \(scalar, model_state, metrics\)"):
        run.update(run.init(KEY, RATE), BATCH, RATE)


def test_init_params_must_give_the_model_state():
    run = lrjax.trial(init_params, counting, lrjax.sgd, has_state=True)
    with pytest.raises(TypeError, match=r"`trial\(init_params=...\)` must be .* since has_state=True"):
        run.init(KEY, RATE)


@pytest.mark.parametrize(
    ("params", "got"),
    [
        (jnp.arange(3), r"shape \(3,\) and dtype int32"),
        (2, "int"),
        ({"w": jnp.ones(2), "steps": np.int32(3)}, r"dtype int32 at params\['steps'\]"),
        ([jnp.ones(2), jax.random.key(0)], r"dtype key<fry> at params\[1\]"),
        ((jnp.ones(2), "relu"), r"str at params\[1\]"),
        (jnp.array(True), "dtype bool"),
    ],
)
def test_parameters_that_have_no_gradient(params, got):
    run = lrjax.trial(lambda key: params, square, lrjax.sgd)
    with pytest.raises(TypeError, match=rf"`trial\(init_params=...\)` must be .*floating-point.*got .*{got}"):
        run.init(KEY, RATE)


def test_parameters_of_any_float_type():
    for params in (2.0, np.float16(1), jnp.bfloat16(1), jnp.complex64(1j), {"w": [jnp.ones(2)]}, {}):
        lrjax.trial(lambda key, params=params: params, square, lrjax.sgd).init(KEY, RATE)


# Evaluation


def test_evaluate_defaults_to_the_loss():
    run = lrjax.trial(init_params, square, lrjax.sgd)
    assert run.evaluate is not None
    held_out = run.evaluate(run.init(KEY, RATE), jnp.array([5.0]))
    assert {name: float(value) for name, value in held_out.items()} == {"loss": 16.0}


def test_evaluate_is_none_when_the_loss_draws():
    assert lrjax.trial(init_params, noisy, lrjax.sgd).evaluate is None


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        (jnp.array(2.0), {"loss": 2.0}),
        (2.0, {"loss": 2.0}),
        ({"loss": 2.0, "accuracy": 0.5}, {"loss": 2.0, "accuracy": 0.5}),
        ((jnp.array(2.0), {"accuracy": 0.5}), {"loss": 2.0, "accuracy": 0.5}),
    ],
)
def test_evaluate_of_ones_own(returned, expected):
    run = lrjax.trial(init_params, noisy, lrjax.sgd, evaluate=lambda params, batch: returned)
    assert run.evaluate is not None
    held_out = run.evaluate(run.init(KEY, RATE), BATCH)
    assert {name: float(value) for name, value in held_out.items()} == expected


def test_evaluate_sees_parameters_and_model_state():
    def evaluate(params, model_state, batch):
        return {"loss": params, "count": model_state, "mean": jnp.mean(batch)}

    run = lrjax.trial(init_counting, counting, lrjax.sgd, evaluate, has_state=True)
    _, state = run.update(run.init(KEY, RATE), BATCH, RATE)
    assert run.evaluate is not None
    held_out = run.evaluate(state, BATCH)
    assert float(held_out["loss"]) == float(state.params) != 1.0
    assert int(held_out["count"]) == 1
    assert float(held_out["mean"]) == 3.0


@pytest.mark.parametrize("returned", [jnp.ones(2), (1.0, 2.0), None, (1.0, {}, {})])
def test_wrong_returns_of_evaluate(returned):
    run = lrjax.trial(init_params, square, lrjax.sgd, evaluate=lambda params, batch: returned)
    assert run.evaluate is not None
    with pytest.raises(TypeError, match=r"`trial\(evaluate=...\)` must be a function that returns a scalar"):
        run.evaluate(run.init(KEY, RATE), BATCH)


# What reaches the optimizer


def test_signals_reach_the_optimizer():
    def loss(params, batch):
        return jnp.mean((params["w"] * params["b"] - batch) ** 2)

    params = {"w": jnp.array(3.0), "b": jnp.array(2.0)}
    run = lrjax.trial(lambda key: params, loss, spy)
    _, state = run.update(run.init(KEY, RATE), BATCH, RATE)
    seen = state.opt_state
    slope = 2 * (6.0 - 3.0)
    assert float(seen.value) == float(loss(params, BATCH)) == 12.5
    np.testing.assert_allclose(seen.grad["w"], slope * 2)
    np.testing.assert_allclose(seen.grad["b"], slope * 3)
    np.testing.assert_allclose(seen.grad_norm, slope * np.sqrt(13), rtol=1e-6)
    np.testing.assert_allclose(seen.value_elsewhere, loss({"w": 4.0, "b": 3.0}, BATCH), rtol=1e-6)


@pytest.mark.parametrize("scale", [1e-37, 1.0, 1e38])  # squares of the outer two are no float32
def test_the_norm_of_a_gradient_neither_overflows_nor_vanishes(scale):
    def loss(params, batch):
        return scale * (params["w"][0] + 2 * params["w"][1] - 2 * params["b"])

    params = {"w": jnp.zeros(2), "b": jnp.zeros(())}
    run = lrjax.trial(lambda key: params, loss, spy)
    for update in (run.update, jax.jit(run.update)):
        _, state = update(run.init(KEY, RATE), BATCH, RATE)
        np.testing.assert_allclose(state.opt_state.grad_norm, 3 * scale, rtol=1e-6)


def test_value_fn_is_the_step_s_own_loss():
    """The same batch, model state and random numbers as the value."""

    def loss(params, model_state, batch, key):
        value = square(params, batch) + model_state + jax.random.normal(key)
        return value, model_state + 1.0

    run = lrjax.trial(lambda key: (jnp.array(1.0), jnp.array(0.5)), loss, spy, has_state=True)
    state = run.init(KEY, RATE)
    for step in range(2):
        params = state.params
        draw = jax.random.normal(jax.random.fold_in(state.key, step))
        _, state = run.update(state, BATCH, RATE)
        expected = square(params + 1, BATCH) + 0.5 + step + draw
        np.testing.assert_allclose(state.opt_state.value_elsewhere, expected, rtol=1e-6)


def test_plain_optax_transformation():
    run = lrjax.trial(init_params, square, optax.sgd)
    metrics, state = run.update(run.init(KEY, RATE), BATCH, RATE)
    np.testing.assert_allclose(state.params, 1.4, rtol=1e-6)
    assert "learning_rate" not in metrics  # optax keeps none


def test_optax_transformation_with_extra_arguments():
    def polyak(max_learning_rate):
        return optax.polyak_sgd(max_learning_rate, f_min=5.0)

    hyperparams = {"max_learning_rate": 10.0}
    run = lrjax.trial(init_params, square, polyak)
    _, state = run.update(run.init(KEY, hyperparams), BATCH, hyperparams)
    slope = -4.0
    np.testing.assert_allclose(state.params, 1 - (7.5 - 5.0) / slope**2 * slope, rtol=1e-5)


def test_learning_rate_is_reported_only_where_there_is_one():
    def two(body, head):
        labels = {"body": lrjax.sgd(body), "head": lrjax.sgd(head)}
        return lrjax.chain(*labels.values())

    hyperparams = {"body": 0.1, "head": 0.2}
    run = lrjax.trial(init_params, square, two)
    metrics, _ = run.update(run.init(KEY, hyperparams), BATCH, hyperparams)
    assert set(metrics) == {"loss"}


def test_hyperparameters_the_optimizer_does_not_take():
    run = lrjax.trial(init_params, square, lrjax.sgd)
    with pytest.raises(TypeError, match=r"takes the hyperparameter 'beta', got sgd, which takes") as error:
        run.init(KEY, {"learning_rate": 0.1, "beta": 0.9})
    assert "learning_rate, momentum, nesterov" in str(error.value)


def test_hyperparameters_the_optimizer_lacks():
    run = lrjax.trial(init_params, square, lrjax.sgd)
    with pytest.raises(TypeError, match=r"give 'learning_rate' a value in the grid, got sgd without it"):
        run.init(KEY, {"momentum": 0.9})


def test_an_optimizer_that_takes_anything():
    run = lrjax.trial(init_params, square, lambda **hyperparams: lrjax.sgd(hyperparams["anything"]))
    _, state = run.update(run.init(KEY, {"anything": 0.1}), BATCH, {"anything": 0.1})
    np.testing.assert_allclose(state.params, 1.4, rtol=1e-6)


def test_an_optimizer_that_returns_none():
    run = lrjax.trial(init_params, square, lambda learning_rate: None)
    with pytest.raises(TypeError, match="a gradient transformation, with `init` and `update`"):
        run.init(KEY, RATE)


# A trial trains as a loop would


def init_network(key):
    first, second = jax.random.split(key)
    return {
        "first": 0.5 * jax.random.normal(first, (4, 16)),
        "second": 0.5 * jax.random.normal(second, (16,)),
    }


def network_loss(params, batch):
    x, y = batch
    return jnp.mean((jnp.tanh(x @ params["first"]) @ params["second"] - y) ** 2)


@pytest.mark.parametrize("recipe", [optax.adam, lrjax.adam], ids=["optax", "lrjax"])
def test_equals_a_hand_written_loop(recipe):
    """50 steps of the loop that users write with the same optimizer."""
    tolerance = 1e-6
    random = np.random.default_rng(0)
    x = random.normal(size=(64, 4)).astype(np.float32)
    data = lrjax.batches((x, np.sin(x.sum(axis=1))), batch_size=16)

    run = lrjax.trial(init_network, network_loss, recipe)
    hyperparams = {"learning_rate": 3e-2, "b1": 0.8}
    state = run.init(KEY, hyperparams)
    params = jax.tree.map(jnp.array, state.params)
    step = jax.jit(run.update)

    tx = recipe(3e-2, b1=0.8)
    opt_state = tx.init(params)

    @jax.jit
    def by_hand(params, opt_state, batch):
        loss, grads = jax.value_and_grad(network_loss)(params, batch)
        updates, opt_state = tx.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, loss

    first = last = np.nan
    for t in range(50):
        metrics, state = step(state, data(t), hyperparams)
        params, opt_state, loss = by_hand(params, opt_state, data(t))
        np.testing.assert_allclose(metrics["loss"], loss, rtol=tolerance)
        first, last = (float(loss) if t == 0 else first), float(loss)
    chex.assert_trees_all_close(state.params, params, rtol=tolerance, atol=tolerance)
    assert last < 0.3 * first


def test_one_program_serves_every_rate():
    traces = []

    def loss(params, batch):
        traces.append(None)
        return square(params, batch)

    run = lrjax.trial(lambda key: jnp.ones(()), loss, lrjax.adam)
    step = jax.jit(run.update)
    for rate in (jnp.array(0.1), jnp.array(0.2)):
        state = run.init(KEY, {"learning_rate": rate})
        for _ in range(3):
            _, state = step(state, BATCH, {"learning_rate": rate})
    assert len(traces) == 1


def test_a_trial_runs_under_vmap():
    run = lrjax.trial(init_params, square, lrjax.sgd)

    def final(rate):
        state = run.init(KEY, {"learning_rate": rate})
        return run.update(state, BATCH, {"learning_rate": rate})[1].params

    rates = jnp.array([0.0, 0.1, 0.5])
    np.testing.assert_allclose(jax.vmap(final)(rates), [1.0, 1.4, 3.0], rtol=1e-6)
