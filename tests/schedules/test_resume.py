"""The step can be read and set through any nesting; a run that goes on uses what the user says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrjax
from lrjax import get_learning_rate, get_steps, set_step

GRADS = {"w": jnp.array([1.0, -0.5]), "b": jnp.array(0.25)}
LINE = lrjax.linear_schedule(1.0, 0.0, transition_steps=16)
SCHEDULES = {
    "a line": LINE,
    "a product": 0.5 * lrjax.warmup(4) * LINE,
    "joined": lrjax.join_schedules([lrjax.warmup(4), LINE, 0.25], [4, 12]),
    "joined in joined": lrjax.join_schedules([lrjax.warmup(2), lrjax.join_schedules([LINE, 0.5], [3])], [2]),
    "repeated": lrjax.repeat(LINE, 6),
    "cooled down": lrjax.cooldown(LINE, 5, begin=7),
    "with a plateau": LINE * lrjax.plateau_schedule(0.5, patience=1),
    "repeated, with a plateau": lrjax.repeat(LINE * lrjax.plateau_schedule(0.5, patience=99), 6),
    "joined, with a plateau": lrjax.join_schedules(
        [LINE, 0.25 * lrjax.plateau_schedule(0.5, patience=99)], [9]
    ),
}


def rates(tx, state, steps):
    seen = []
    for _ in range(steps):
        _, state = tx.update(GRADS, state, GRADS, value=1.0)
        seen.append(float(get_learning_rate(state)))
    return seen, state


# Where metrics reduce the rate on the way, or a round begins in between, a step that is set skips that.
BY_STEP = [name for name in SCHEDULES if name not in ("with a plateau", "repeated, with a plateau")]


@pytest.mark.parametrize("name", BY_STEP)
def test_a_step_that_is_set_gives_the_rates_from_there(name):
    tx = lrjax.chain(lrjax.identity(), lrjax.masked(lrjax.sgd(SCHEDULES[name]), {"w": True, "b": True}))
    whole, _ = rates(tx, tx.init(GRADS), 16)
    for step in (0, 3, 8, 13):
        state = set_step(tx.init(GRADS), step)
        got, after = rates(tx, state, 3)
        assert got == whole[step : step + 3]
        assert {int(count) for count in get_steps(after).values()} == {step + 3}


def test_setting_the_step_leaves_what_metrics_did():
    tx = lrjax.sgd(SCHEDULES["with a plateau"])
    _, state = rates(tx, tx.init(GRADS), 3)  # two reductions
    state = set_step(state, 8)
    assert rates(tx, state, 1)[0] == [0.5 * 0.125]


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_run_cut_in_two_is_the_whole_run(name):
    whole, _ = rates(lrjax.adam(SCHEDULES[name]), lrjax.adam(SCHEDULES[name]).init(GRADS), 14)
    for cut in (1, 5, 9):
        first, state = rates(lrjax.adam(SCHEDULES[name]), lrjax.adam(SCHEDULES[name]).init(GRADS), cut)
        leaves, structure = jax.tree.flatten(state)
        read = jax.tree.unflatten(structure, [jnp.asarray(np.asarray(leaf)) for leaf in leaves])
        assert first + rates(lrjax.adam(SCHEDULES[name]), read, 14 - cut)[0] == whole


def test_a_base_rate_that_is_changed_on_resume_is_the_one_used():
    for before, after in (
        (0.5, 0.125),
        (0.5 * LINE, 0.125 * LINE),
        (0.5 * lrjax.plateau_schedule(0.5, 2), 0.125 * lrjax.plateau_schedule(0.5, 2)),
    ):
        unchanged, _ = rates(lrjax.adam(before), lrjax.adam(before).init(GRADS), 8)
        _, state = rates(lrjax.adam(before), lrjax.adam(before).init(GRADS), 4)
        changed, _ = rates(lrjax.adam(after), state, 4)
        assert changed == [rate / 4 for rate in unchanged[4:]]


def test_steps_of_injected_schedules_are_read_and_set_too():
    tx = lrjax.adam(LINE, b1=lrjax.linear_schedule(0.5, 0.9, 10))
    state = set_step(tx.init(GRADS), 5)
    assert sorted(int(step) for step in get_steps(state).values()) == [5, 5]
    _, state = jax.jit(tx.update)(GRADS, state)
    assert float(state.hyperparams["b1"]) == pytest.approx(0.7)
    assert float(get_learning_rate(state)) == LINE(5)
    assert int(state.inner_state[0].count) == 1, "Adam's own count is not a schedule's"


def test_a_step_is_set_under_jit_and_in_a_stack():
    tx = lrjax.sgd(LINE)
    stacked = jax.vmap(lambda _: tx.init(GRADS))(jnp.arange(3))
    state = jax.jit(jax.vmap(set_step))(stacked, jnp.arange(3))
    _, state = jax.vmap(lambda s: tx.update(GRADS, s))(state)
    np.testing.assert_array_equal(get_learning_rate(state), LINE(np.arange(3)))


def test_the_step_of_a_running_product_is_read_and_not_set():
    halved = lrjax.multiplicative_schedule(1.0, lambda count: 0.5)
    tx = lrjax.sgd(halved)
    _, state = rates(tx, tx.init(GRADS), 3)
    assert [int(step) for step in get_steps(state).values()] == [3]
    joined = lrjax.sgd(lrjax.join_schedules([1.0, halved], [2]))
    for held in (state, joined.init(GRADS)):
        with pytest.raises(ValueError, match=r"`set_step\(opt_state=\.\.\.\)` must be without a `mult"):
            set_step(held, 1)
    tx = lrjax.sgd(halved.at)
    assert rates(tx, set_step(tx.init(GRADS), 4), 2)[0] == [0.0625, 0.03125]


def test_bad_steps_are_refused():
    state = lrjax.sgd(0.1).init(GRADS)
    for bad, kind in (
        (-1, ValueError),
        (float("nan"), ValueError),
        ("5", TypeError),
        (jnp.ones(2), TypeError),
    ):
        with pytest.raises(kind, match=r"^`set_step\(step=\.\.\.\)` must be one number >= 0, got "):
            set_step(state, bad)
    with pytest.raises(
        ValueError, match=r"`set_step\(opt_state=\.\.\.\)` must be .* a schedule that has a step"
    ):
        set_step(lrjax.scale_by_adam().init(GRADS), 3)
