"""A member of a sweep is the same training run as the same trial alone in a plain loop."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrjax
from lrjax.engine import member_key

STEPS = 50
SEEDS = 2
# Rates that train on each task; the two slow tasks compile and step long enough to be marked.
RATES = {
    "digits": [1e-4, 1e-3, 3e-3],
    "logistic": [1e-3, 1e-2, 1e-1],
    "quadratic-deep": [1e-3, 1e-2, 5e-2],
    "digits-cnn": [1e-4, 1e-3],
    "characters": [1e-4, 1e-3],
}


def warmed_up_adam(learning_rate, b1=0.9):
    schedule = lrjax.warmup_cosine_decay_schedule(0.0, learning_rate, warmup_steps=10, decay_steps=STEPS)
    return lrjax.adam(schedule, b1=b1)


@functools.cache
def both(name: str) -> tuple[lrjax.Sweep, np.ndarray, np.ndarray]:
    """A sweep, and losses and rates `[points, seeds, steps]` of plain loops with the same numbers."""
    task = lrjax.tasks.load(name)
    trial = task.trial(warmed_up_adam)
    sweep = lrjax.sweep(
        trial,
        {"learning_rate": RATES[name]},
        task.data,
        steps=STEPS,
        seeds=SEEDS,
        evaluate_on=task.validation,
        evaluate_every=20,
        progress=False,
    )
    update = jax.jit(trial.update)
    losses = np.zeros((len(RATES[name]), SEEDS, STEPS), np.float32)
    rates = np.zeros_like(losses)
    for i, rate in enumerate(RATES[name]):
        hyperparams = {"learning_rate": jnp.float32(rate)}
        for seed in range(SEEDS):
            state = trial.init(member_key(0, seed), hyperparams)
            for step in range(STEPS):
                metrics, state = update(state, task.data(step, seed), hyperparams)
                losses[i, seed, step] = metrics["loss"]
                rates[i, seed, step] = metrics["learning_rate"]
    return sweep, losses, rates


TASKS = [pytest.param(name, marks=[pytest.mark.slow] * (name == "characters")) for name in RATES]


@pytest.mark.parametrize("name", TASKS)
def test_losses_are_those_of_a_plain_loop(name):
    sweep, losses, _ = both(name)
    assert (sweep.diverged_at == -1).all()
    np.testing.assert_allclose(sweep.metrics["loss"], losses, rtol=1e-5)


@pytest.mark.parametrize("name", TASKS)
def test_schedule_values_are_exactly_those_of_a_plain_loop(name):
    sweep, _, rates = both(name)
    np.testing.assert_array_equal(sweep.metrics["learning_rate"], rates)


def test_every_built_in_task_is_compared():
    assert set(RATES) == set(lrjax.tasks.names())


def noisy_trial():
    """A trial whose metrics show its random numbers and the examples it saw."""

    def loss(params, batch, key):
        noise = jax.random.normal(key)
        seen = jnp.sum(batch * jnp.arange(1, 9))
        return jnp.mean((params - batch + noise) ** 2), {"noise": noise, "seen": seen}

    return lrjax.trial(lambda key: jax.random.normal(key), loss, lrjax.sgd)


NOISY_DATA = lrjax.batches(np.arange(40.0), batch_size=8, seed=3)


def noisy_sweep(rates, seeds, **options):
    grid = {"learning_rate": rates}
    return lrjax.sweep(noisy_trial(), grid, NOISY_DATA, steps=23, seeds=seeds, progress=False, **options)


def test_keys_and_batches_are_exactly_those_of_a_plain_loop():
    trial = noisy_trial()
    sweep = noisy_sweep([0.01, 0.02], seeds=3, key=7)
    hyperparams = {"learning_rate": jnp.float32(0.01)}
    for seed in range(3):
        state = trial.init(member_key(7, seed), hyperparams)
        for step in range(23):
            metrics, state = trial.update(state, NOISY_DATA(step, seed), hyperparams)
            for name in ("noise", "seen"):
                assert sweep.metrics[name][0, seed, step] == metrics[name]


def test_all_points_of_a_seed_share_keys_and_batches():
    sweep = noisy_sweep([0.01, 0.02, 0.03], seeds=2)
    for name in ("noise", "seen"):
        values = sweep.metrics[name]
        np.testing.assert_array_equal(values, np.broadcast_to(values[:1], values.shape))
    assert (sweep.metrics["noise"][0, 0] != sweep.metrics["noise"][0, 1]).all()
    assert (sweep.metrics["seen"][0, 0] != sweep.metrics["seen"][0, 1]).any()


def test_what_a_seed_sees_depends_on_neither_points_nor_seeds_nor_chunks():
    base = noisy_sweep([0.02], seeds=1)
    other = noisy_sweep([0.01, 0.02, 0.04], seeds=3, evaluate_every=4)
    for name in ("noise", "seen"):
        np.testing.assert_array_equal(base.metrics[name][0, 0], other.metrics[name][1, 0])


def test_shared_order_gives_every_seed_the_first_ones_batches():
    shared = noisy_sweep([0.02], seeds=3, order="shared")
    own = noisy_sweep([0.02], seeds=1)
    for seed in range(3):
        np.testing.assert_array_equal(shared.metrics["seen"][0, seed], own.metrics["seen"][0, 0])
    assert (shared.metrics["noise"][0, 0] != shared.metrics["noise"][0, 1]).all()


def test_curves_do_not_depend_on_chunk_length():
    short = noisy_sweep([0.01, 0.02], seeds=2, evaluate_every=3)
    long = noisy_sweep([0.01, 0.02], seeds=2, evaluate_every=23)
    np.testing.assert_array_equal(short.metrics["loss"], long.metrics["loss"])


def test_another_key_gives_other_members():
    assert (noisy_sweep([0.01], 1).metrics["noise"] != noisy_sweep([0.01], 1, key=1).metrics["noise"]).all()


def test_a_rerun_gives_the_same_numbers():
    np.testing.assert_array_equal(
        noisy_sweep([0.01, 0.02], 2).metrics["loss"], noisy_sweep([0.01, 0.02], 2).metrics["loss"]
    )
