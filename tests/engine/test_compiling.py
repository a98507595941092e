"""What was compiled before is not compiled again; programs that differ are not taken for one another."""

import jax
import jax.numpy as jnp
import numpy as np

import lrjax
from lrjax.engine import _compiling


def lowered(function, *arguments):
    return jax.jit(function, keep_unused=True).lower(*arguments), arguments


def test_the_same_program_is_compiled_once():
    x = jnp.arange(3.0)
    first = _compiling.compiled(*lowered(lambda x: 2 * x, x))
    assert _compiling.compiled(*lowered(lambda y: 2 * y, x)) is first
    np.testing.assert_array_equal(first(x), [0, 2, 4])


def test_programs_that_differ_in_numbers_or_in_the_form_of_their_results_are_not_confused():
    x = jnp.arange(3.0)
    assert _compiling.compiled(*lowered(lambda x: 3 * x, x))(x).tolist() == [0, 3, 6]
    assert _compiling.compiled(*lowered(lambda x: 4 * x, x))(x).tolist() == [0, 4, 8]
    assert set(_compiling.compiled(*lowered(lambda x: {"a": x}, x))(x)) == {"a"}
    assert set(_compiling.compiled(*lowered(lambda x: {"b": x}, x))(x)) == {"b"}


def test_a_program_that_calls_back_calls_its_own_function():
    calls = []
    x = jnp.float32(1.0)
    for name in ("first", "second"):

        def function(x, name=name):
            jax.debug.callback(lambda _: calls.append(name), x)
            return x

        jax.block_until_ready(_compiling.compiled(*lowered(function, x))(x))
        jax.effects_barrier()
    assert calls == ["first", "second"]


def test_no_more_than_so_many_programs_are_kept(monkeypatch):
    monkeypatch.setattr(_compiling, "_MOST", 2)
    x = jnp.float32(1.0)
    for factor in range(5, 9):
        _compiling.compiled(*lowered(lambda x, factor=factor: factor * x, x))
    assert len(_compiling._kept) == 2


def test_a_second_sweep_of_the_same_trial_compiles_next_to_nothing():
    task = lrjax.tasks.load("quadratic-deep")

    def run(rates):
        trial = task.trial(lambda learning_rate: lrjax.sgd(learning_rate, momentum=0.123))
        return lrjax.sweep(trial, {"learning_rate": rates}, task.data, steps=20, progress=False)

    before = len(_compiling._kept)
    first, grown = run([0.01, 0.02]), len(_compiling._kept)
    second = run([0.01, 0.02, 0.03])
    assert grown > before
    assert len(_compiling._kept) == grown
    np.testing.assert_array_equal(first.metrics["loss"], second.metrics["loss"][:2])


def test_trials_that_read_different_hyperparameters_are_not_confused():
    def trial(name):
        def init(key, hyperparams):
            return jnp.zeros(())

        def update(state, batch, hyperparams):
            return {"loss": hyperparams[name]}, state + 1

        return lrjax.Trial(init, update)

    grid, data = [{"a": 1.0, "b": 2.0}], lrjax.batches(np.zeros(4), batch_size=2)
    losses = {}
    for name in ("a", "b"):
        sweep = lrjax.sweep(trial(name), grid, data, steps=3, name="a", progress=False)
        losses[name] = sweep.metrics["loss"].ravel().tolist()
    assert losses == {"a": [1, 1, 1], "b": [2, 2, 2]}
