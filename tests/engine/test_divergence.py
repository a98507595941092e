"""A member that goes non-finite is recorded, stands still, and touches no other."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lrjax

DATA = lrjax.batches(np.zeros(4), batch_size=4)


def quadratic_trial(**options):
    """Gradient descent on x**2 / 2 from 1: x after t steps is (1 - rate)**t."""

    def loss(x, batch):
        return 0.5 * x**2

    return lrjax.trial(lambda key: jnp.float32(1.0), loss, lrjax.sgd, **options)


def run(rates, steps=100, **options):
    grid = {"learning_rate": rates}
    options = {"evaluate_on": np.zeros(4), "progress": False, **options}
    return lrjax.sweep(quadratic_trial(), grid, DATA, steps=steps, **options)


def test_diverged_at_is_the_step_whose_loss_or_state_overflows():
    sweep = run([0.5, 11.0])
    x, step, loss = np.float32(1.0), -1, np.float32(0.0)
    with np.errstate(over="ignore"):
        while np.isfinite(loss) and np.isfinite(x):
            loss, x, step = np.float32(0.5) * x * x, x - np.float32(11.0) * x, step + 1
    assert sweep.diverged_at.tolist() == [[-1], [step]]


def test_metrics_are_nan_after_the_divergence_and_held_out_metrics_too():
    sweep = run([0.5, 11.0], evaluate_every=10)
    at = sweep.diverged_at[1, 0]
    assert np.isnan(sweep.metrics["loss"][1, 0, at + 1 :]).all()
    assert np.isfinite(sweep.metrics["loss"][1, 0, :at]).all()
    late = sweep.held_out_steps > at
    assert late.any()
    assert (~late).sum() > 1
    assert np.isnan(sweep.held_out["loss"][1, 0, late]).all()
    assert not np.isnan(sweep.held_out["loss"][1, 0, ~late]).any()


def test_other_members_are_bit_equal_to_a_run_where_the_member_does_not_diverge():
    calm = run([0.1, 0.5, 0.3])
    wild = run([0.1, 11.0, 0.3])
    for point in (0, 2):
        np.testing.assert_array_equal(calm.metrics["loss"][point], wild.metrics["loss"][point])


PLANS = ["pool", "sequential", "vmap", "unrolled", "sharded", "lean", "vmap/scan/1", "vmap-lean"]
STEPWISE = ["pool/dispatch", "pool/unrolled", "vmap/unrolled", "vmap/dispatch"]


@pytest.mark.parametrize("plan", [*PLANS, *STEPWISE])
def test_a_member_keeps_its_last_finite_state_whatever_the_plan(plan):
    def update(x, batch, hyperparams):
        return {"loss": jnp.where(x > 4, jnp.inf, x), "x": x}, x * hyperparams["factor"]

    plan = lrjax.results.Plan("vmap", lean=True) if plan == "vmap-lean" else plan
    trial = lrjax.Trial(lambda key, hyperparams: jnp.float32(1.0), update)
    grid = {"factor": [2.0, 1.0, 4.0]}
    sweep = lrjax.sweep(trial, grid, DATA, steps=8, name="factor", progress=False, plan=plan, keep="final")
    assert sweep.diverged_at.ravel().tolist() == [3, -1, 2]  # the loss there is the first not finite
    assert [float(sweep.states["final"][p, 0]) for p in range(3)] == [8.0, 1.0, 16.0]
    assert sweep.causes.ravel().tolist() == ["loss", "", "loss"]
    np.testing.assert_array_equal(sweep.metrics["x"][0, 0], [1, 2, 4, 8, *[np.nan] * 4])


def test_a_state_that_overflows_with_a_finite_loss_is_caught_at_that_step():
    def update(x, batch, hyperparams):
        return {"loss": jnp.float32(1.0)}, jnp.where(x < 3, x + hyperparams["rate"], jnp.nan)

    trial = lrjax.Trial(lambda key, hyperparams: jnp.float32(0.0), update)
    sweep = lrjax.sweep(trial, {"rate": [1.0, 0.01]}, DATA, steps=10, name="rate", progress=False)
    assert sweep.diverged_at.tolist() == [[3], [-1]]


def test_numbers_that_were_never_finite_do_not_count_as_divergence():
    def update(state, batch, hyperparams):
        x, best, override = state
        return {"loss": x**2}, (x * hyperparams["learning_rate"], jnp.minimum(best, x**2), override)

    start = (jnp.float32(1.0), jnp.float32(jnp.inf), jnp.float32(jnp.nan))
    trial = lrjax.Trial(lambda key, hyperparams: start, update)
    sweep = lrjax.sweep(trial, {"learning_rate": [0.5]}, DATA, steps=10, progress=False)
    assert (sweep.diverged_at == -1).all()


def test_divergence_does_not_depend_on_the_chunk():
    np.testing.assert_array_equal(
        run([11.0, 30.0], evaluate_every=7).diverged_at, run([11.0, 30.0], evaluate_every=100).diverged_at
    )


@pytest.mark.parametrize("optimizer", [optax.sgd, optax.adam, lrjax.adam], ids=["sgd", "adam", "lrjax"])
def test_optimizers_of_other_libraries_sweep_as_they_are(optimizer):
    def loss(x, batch):
        return (x - batch.mean()) ** 2

    trial = lrjax.trial(lambda key: jnp.float32(1.0), loss, optimizer)
    sweep = lrjax.sweep(trial, {"learning_rate": [0.01, 0.1]}, DATA, steps=40, progress=False)
    losses = sweep.metrics["loss"][:, 0]
    assert (losses[:, -1] < losses[:, 0]).all()
    assert losses[1, -1] < losses[0, -1]


def test_test_data_that_does_not_fit_is_refused_before_training():
    def update(x, batch, hyperparams):
        traced.append(batch.shape)
        return {"loss": x**2}, x * hyperparams["learning_rate"]

    traced: list = []
    trial = lrjax.Trial(
        lambda key, hyperparams: jnp.float32(1.0),
        update,
        lambda x, batch: {"loss": jnp.mean(batch @ jnp.ones(3))},
    )
    with pytest.raises(TypeError, match="dot_general"):
        run_trial(trial, evaluate_on=np.zeros((4, 3)), test_on=np.zeros((4, 5)))
    assert len(traced) <= 2  # the preflight traces each point and the group, nothing else


def run_trial(trial, **options):
    return lrjax.sweep(trial, {"learning_rate": [0.5]}, DATA, steps=3, progress=False, **options)
