"""What wraps optimizers, Sophia and MADGRAD, where trajectories say too little or optax is at fault."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest

import lrjax
from tests.catalogue.row import BIAS_CORRECTION
from tests.running import assert_close, gradients, params_tree, take_steps

START = jnp.array([1.0, -1.0, 0.5])


def _loss(x: jax.Array) -> jax.Array:
    return 0.5 * jnp.sum(jnp.array([1.0, 0.3, 0.1]) * x.astype(jnp.float32) ** 2)


def _train(tx: Any, steps: int, start: jax.Array = START) -> Any:
    @jax.jit
    def run() -> Any:
        def step(carry: Any, _: None) -> Any:
            x, state = carry
            updates, state = tx.update(jax.grad(_loss)(x), state, x)
            return (lrjax.apply_updates(x, updates), state), _loss(x)

        return jax.lax.scan(step, (start, tx.init(start)), None, length=steps)

    return run()


# Mechanic.


@pytest.mark.parametrize("learning_rate", [0.1, 1.0, 10.0, 100.0])
def test_mechanic_finds_the_factor_on_a_rate_that_is_far_off(learning_rate: float) -> None:
    (_, state), losses = _train(lrjax.mechanize(lrjax.sgd(learning_rate)), 400)
    assert losses[-1] < 0.01 * losses[0]
    assert float(lrjax.get_learning_rate(state)) == np.float32(learning_rate)


def test_mechanic_trains_half_precision_parameters_where_optaxs_never_begins() -> None:
    start = START.astype(jnp.bfloat16)
    (_, state), losses = _train(lrjax.mechanize(lrjax.sgd(1.0)), 400, start)
    assert losses[-1] < 0.02 * losses[0]
    assert state.delta.dtype == state.s.dtype == jnp.float32
    (still, _), _ = _train(optax.contrib.mechanize(optax.sgd(1.0)), 400, start)
    np.testing.assert_array_equal(still, start)
    wide = lrjax.mechanize(lrjax.sgd(1.0)).init(START)
    assert wide.delta is None


def test_mechanic_begins_at_the_parameters_of_the_first_update() -> None:
    tx = lrjax.mechanize(lrjax.sgd(1.0))
    _, state = tx.update(START, tx.init(jnp.zeros(3)), START)
    np.testing.assert_array_equal(state.x0, START)


def test_mechanic_refuses_bad_arguments_by_name() -> None:
    with pytest.raises(TypeError, match=r"`mechanize\(base_optimizer=\.\.\.\)` must be a gradient transf"):
        lrjax.mechanize(lrjax.sgd)
    with pytest.raises(ValueError, match=r"`mechanize\(num_betas=\.\.\.\)` must be an integer >= 1, got 0"):
        lrjax.mechanize(lrjax.sgd(1.0), num_betas=0)
    with pytest.raises(ValueError, match=r"`mechanize\(s_init=\.\.\.\)` must be one number > 0, got 0"):
        lrjax.mechanize(lrjax.sgd(1.0), s_init=0.0)


# SAM.


def _sam(**settings: Any) -> Any:
    adversary = lrjax.chain(lrjax.normalize(), lrjax.sgd(0.25, momentum=0.5))
    return lrjax.sam(lrjax.adam(0.125), adversary, **settings)


@pytest.mark.parametrize("sync_period", [1, 2, 3])
@pytest.mark.parametrize("reset_state", [True, False])
def test_opaque_sam_is_transparent_sam_in_one_call(sync_period: int, reset_state: bool) -> None:
    clear = _sam(sync_period=sync_period, reset_state=reset_state)
    opaque = _sam(sync_period=sync_period, reset_state=reset_state, opaque_mode=True)
    x = y = START
    state, hidden = clear.init(x), opaque.init(y)
    for _ in range(3):
        for _ in range(sync_period):
            updates, state = clear.update(jax.grad(_loss)(x), state, x)
            x = lrjax.apply_updates(x, updates)
        updates, hidden = opaque.update(jax.grad(_loss)(y), hidden, y, value_fn=_loss)
        y = lrjax.apply_updates(y, updates)
        np.testing.assert_allclose(x, y, rtol=3e-6)
    assert_close(state.opt_state, hidden.opt_state, 3e-6)
    assert hidden.cache is None


def test_opaque_sam_is_optaxs() -> None:
    def make(library: Any, contrib: Any) -> Any:
        adversary = library.chain(contrib.normalize(), library.sgd(0.25))
        return contrib.sam(library.sgd(0.125, momentum=0.5), adversary, 3, opaque_mode=True)

    def grad_fn(params: Any, step: int) -> Any:
        return jax.grad(_loss)(params) * (1 + step)

    trajectories = []
    for tx in (make(lrjax, lrjax), make(optax, optax.contrib)):
        x, state, seen = START, None, []
        state = tx.init(x)
        for _ in range(4):
            updates, state = tx.update(jax.grad(_loss)(x), state, x, grad_fn=grad_fn)
            x = x + updates
            seen.append(x)
        trajectories.append(jnp.stack(seen))
    np.testing.assert_allclose(*trajectories, rtol=1e-6)


def test_sam_without_an_adversary_is_the_optimizer_where_optaxs_loses_updates() -> None:
    grads = gradients(steps=4)
    plain, _ = take_steps(lrjax.sgd(0.125), params_tree(), grads)
    ours, _ = take_steps(lrjax.sam(lrjax.sgd(0.125), lrjax.sgd(0.5), sync_period=1), params_tree(), grads)
    assert_close(ours, plain, 1e-6)
    theirs, _ = take_steps(
        optax.contrib.sam(optax.sgd(0.125), optax.sgd(0.5), sync_period=1), params_tree(), grads
    )
    differ = jax.tree.map(lambda x, y: float(jnp.max(jnp.abs(x - y))), theirs[1], plain[1])
    assert min(jax.tree.leaves(differ)) > 0.01


def test_a_bad_gradient_costs_sam_one_step() -> None:
    bad, good = jnp.full(3, jnp.nan), START
    tx = lrjax.sam(lrjax.sgd(0.5), lrjax.sgd(0.25))
    state = tx.init(START)
    _, state = tx.update(bad, state, START)
    down, state = tx.update(good, state, START)
    np.testing.assert_array_equal(down, -0.5 * good)
    assert all(np.all(np.isfinite(x)) for x in jax.tree.leaves((state.opt_state[0], state.cache)))


def test_a_rate_that_was_set_outlives_the_adversary_s_new_beginning() -> None:
    tx = lrjax.sam(lrjax.chain(lrjax.trace(0.5), lrjax.scale(-0.125)), lrjax.sgd(0.25))
    state = lrjax.set_learning_rate(tx.init(START), 0.5)
    for _ in range(3):
        updates, state = tx.update(START, state, START)
    np.testing.assert_array_equal(updates, 0.5 * START)


def test_opaque_sam_asks_for_gradients() -> None:
    tx = _sam(opaque_mode=True)
    with pytest.raises(TypeError, match=r"`sam\.update\(grad_fn=\.\.\.\)` must be a function"):
        tx.update(START, tx.init(START), START)


def test_a_sweep_runs_opaque_sam() -> None:
    task = lrjax.tasks.load("quadratic-deep")

    def optimizer(learning_rate: Any) -> Any:
        adversary = lrjax.chain(lrjax.normalize(), lrjax.sgd(0.01))
        return lrjax.sam(lrjax.sgd(learning_rate), adversary, opaque_mode=True)

    grid = {"learning_rate": [0.01, 0.02]}
    sweep = lrjax.sweep(task.trial(optimizer), grid, task.data, steps=4, plan="sequential", progress=False)
    assert np.all(np.isfinite(sweep.metrics["loss"]))


# Sophia.


def test_hutchinson_s_estimate_is_unbiased_for_mixed_dtypes_too() -> None:
    params = {"a": jnp.array([1.0, -2.0]), "b": jnp.array([0.5], jnp.bfloat16)}

    def loss(p: Any) -> jax.Array:
        x = jnp.concatenate([p["a"], p["b"].astype(jnp.float32)])
        return jnp.sum(x) ** 2 + jnp.sum(x**3)

    tx = lrjax.hutchinson_estimator_diag_hessian(jax.random.PRNGKey(1))

    def step(state: Any, _: None) -> Any:
        diagonal, state = tx.update(params, state, params, obj_fn=loss)
        return state, diagonal

    _, seen = jax.jit(lambda: jax.lax.scan(step, tx.init(params), None, length=4000))()
    assert seen["b"].dtype == jnp.bfloat16
    np.testing.assert_allclose(jnp.mean(seen["a"], 0), [8.0, -10.0], atol=0.25)
    np.testing.assert_allclose(jnp.mean(seen["b"].astype(jnp.float32)), 5.0, atol=0.25)


def test_sophia_asks_for_the_function_and_takes_what_trials_pass() -> None:
    tx = lrjax.sophia(0.1)
    state = tx.init(START)
    with pytest.raises(TypeError, match=r"`hutchinson_estimator_diag_hessian\.update\(obj_fn=\.\.\.\)` must"):
        tx.update(START, state, START)
    named, _ = tx.update(START, state, START, obj_fn=_loss)
    passed, _ = tx.update(START, state, START, value_fn=_loss)
    np.testing.assert_array_equal(named, passed)


def test_sophia_without_a_bound() -> None:
    tx = lrjax.sophia(1.0, b1=0.0, eps=0.5, weight_decay=0.0, clip_threshold=None)
    updates, _ = tx.update(START, tx.init(START), START, obj_fn=_loss)
    np.testing.assert_allclose(updates, -2 * START)


def test_sophia_tells_how_much_is_not_clipped(capfd: pytest.CaptureFixture[str]) -> None:
    def run(every: int) -> str:
        tx = lrjax.sophia(0.1, eps=0.75, verbose=True, print_win_rate_every_n_steps=every)
        state = tx.init(START)
        for _ in range(2):
            _, state = tx.update(START, state, START, obj_fn=_loss)
        jax.effects_barrier()
        return capfd.readouterr().out

    assert run(2).count("of the step is not clipped") == 1
    assert run(0) == ""


# GaLore.


@pytest.mark.parametrize("weight_dimension_numbers", [None, "all"])
def test_galore_of_square_matrices_is_optaxs(weight_dimension_numbers: Any) -> None:
    random = np.random.default_rng(3)
    grads = [{"w": random.normal(size=(4, 4)), "b": random.normal(size=4)} for _ in range(5)]
    grads = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), grads)

    def make(library: Any) -> Any:
        numbers = library.GaLoreDimensionNumbers() if weight_dimension_numbers else None
        return library.galore(0.125, 2, 2, scale=0.25, weight_decay=0.5, weight_dimension_numbers=numbers)

    ours, state = take_steps(make(lrjax), grads[0], grads)
    theirs, their_state = take_steps(make(optax.contrib), grads[0], grads)
    assert_close(ours, theirs, BIAS_CORRECTION)
    ours, theirs = (jax.tree.map(jnp.shape, s[0].projector) for s in (state, their_state))
    assert {**ours, "b": None} == {**theirs, "b": None}  # which is not projected


@pytest.mark.parametrize("shape", [(6, 3), (3, 6)])
def test_galore_projects_the_shorter_side_where_optax_projects_the_longer(shape: tuple[int, int]) -> None:
    params = jnp.zeros(shape)
    assert lrjax.scale_by_galore(rank=2).init(params).projector.shape == (3, 2)
    assert optax.contrib.scale_by_galore(rank=2).init(params).projector.shape == (6, 2)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_galore_of_full_rank_without_an_optimizer_gives_the_gradient_back(dtype: str) -> None:
    numbers = {
        "w": lrjax.GaLoreDimensionNumbers((0, 2), 1),
        "b": None,
        "batch": lrjax.GaLoreDimensionNumbers(1, 2),
    }
    shapes = {"w": (2, 5, 2), "b": (3,), "batch": (3, 4, 2)}
    random = np.random.default_rng(5)
    grads = {name: jnp.asarray(random.normal(size=shape), dtype) for name, shape in shapes.items()}
    tx = lrjax.scale_by_galore(
        8, base_optimizer=lrjax.identity(), weight_dimension_numbers=numbers, scale=1.0
    )
    updates, state = tx.update(grads, tx.init(grads))
    assert_close(updates, grads, 2 * float(jnp.finfo(dtype).eps) * 4)
    sizes = jax.tree.map(jnp.shape, state.projector)
    assert sizes == {"w": (4, 4), "b": (1, 1), "batch": (3, 2, 2)}
    assert {x.dtype for x in jax.tree.leaves(state.projector)} == {jnp.dtype("float32")}


# Normalize, MADGRAD, complex parts.


def test_normalize_leaves_zeros_and_large_half_precision_gradients_finite() -> None:
    tx = lrjax.normalize()
    for g in (jnp.zeros(3), jnp.full(4, 60000.0, jnp.float16), jnp.full(4, 1e30)):
        updates, _ = tx.update(g, tx.init(g))
        np.testing.assert_allclose(updates, np.where(g == 0, 0, 0.5), rtol=1e-3)


def test_madgrad_rests_at_a_rate_of_zero_where_optaxs_moves() -> None:
    ours, theirs = lrjax.madgrad(0.0), optax.contrib.madgrad(0.0)
    still, _ = ours.update(START, ours.init(START), START)
    moved, _ = theirs.update(START, theirs.init(START), START)
    np.testing.assert_array_equal(still, 0 * START)
    assert np.all(np.abs(moved) > 1e-6)


def test_parts_of_complex_leaves_are_scaled_each_by_itself_as_in_optax() -> None:
    params, grads = params_tree("complex64"), gradients("complex64")
    params["real"] = jnp.ones(2)
    grads = [{**g, "real": jnp.array([0.5, -2.0])} for g in grads]
    ours, _ = take_steps(lrjax.split_real_and_imaginary(lrjax.adam(0.1)), params, grads)
    theirs, _ = take_steps(optax.contrib.split_real_and_imaginary(optax.adam(0.1)), params, grads)
    assert_close(ours, theirs, 2e-5)
    first = ours[0]["weight"]
    np.testing.assert_allclose(first, -0.1 * (jnp.sign(grads[0]["weight"].real) + 1j * jnp.sign(
        grads[0]["weight"].imag)), rtol=1e-4)  # fmt: skip


def test_parts_are_seen_by_name_and_mapped() -> None:
    tx = lrjax.split_real_and_imaginary(lrjax.adam(0.5))
    state = tx.init(jnp.zeros(2, jnp.complex64))
    assert float(lrjax.get_learning_rate(state)) == 0.5
    assert lrjax.tree.get(state, "mu").real.dtype == jnp.float32
