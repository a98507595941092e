"""The learning rate has one owner: what it records, how it is pinned, released and rescaled."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lrjax
from lrjax import get_learning_rate, get_learning_rates, scale_learning_rate, set_learning_rate

PARAMS = {"w": jnp.array([1.0, -2.0, 0.5]), "b": jnp.array(3.0)}
GRADS = {"w": jnp.array([1.0, 2.0, -4.0]), "b": jnp.array(-1.0)}


def halving_line():
    """1, 0.75, 0.5, 0.25, 0, 0, ..."""
    return lrjax.linear_schedule(1.0, 0.0, transition_steps=4)


class FollowState(NamedTuple):
    updates: jax.Array


def follow_the_loss():
    """A metric-driven schedule: half the `value` it is given."""

    def update(state, *, value=jnp.nan, **signals):
        del signals
        return 0.5 * jnp.asarray(value, jnp.float32), FollowState(state.updates + 1)

    return lrjax.Schedule(lambda: FollowState(jnp.zeros((), jnp.int32)), update)


def step_size(updates, grads=GRADS):
    """The rate that turned `grads` into `updates`, one number for all leaves."""
    ratios = np.concatenate(
        [np.ravel(-u / g) for u, g in zip(*map(jax.tree.leaves, (updates, grads)), strict=True)]
    )
    assert np.ptp(ratios) == 0
    return float(ratios[0])


def rates_of(tx, steps, state=None, **extra):
    """The step sizes that a run takes, and the state after it."""
    state = tx.init(PARAMS) if state is None else state
    taken = []
    for _ in range(steps):
        updates, state = tx.update(GRADS, state, PARAMS, **extra)
        taken.append(step_size(updates))
    return taken, state


def types_of(state):
    return jax.tree.map(lambda x: (x.shape, x.dtype, x.weak_type), state)


# The state.


def test_the_fields_of_the_state():
    assert lrjax.ScaleByLearningRateState._fields == ("schedule_state", "learning_rate", "override")
    state = lrjax.scale_by_learning_rate(0.5).init(PARAMS)
    assert isinstance(state, lrjax.ScaleByLearningRateState)
    assert float(state.learning_rate) == 0.5
    assert np.isnan(state.override)
    assert float(state.schedule_state.factor) == 1.0
    assert int(state.schedule_state.inner_state.count) == 0


def test_the_rate_is_recorded_before_the_first_update_and_after_each():
    tx = lrjax.scale_by_learning_rate(halving_line())
    state = tx.init(PARAMS)
    assert float(get_learning_rate(state)) == 1.0
    for used in (1.0, 0.75, 0.5, 0.25, 0.0, 0.0):
        updates, state = tx.update(GRADS, state)
        assert float(get_learning_rate(state)) == used == step_size(updates)


def test_the_state_keeps_its_types_whatever_happens_to_it():
    tx = lrjax.adam(halving_line())
    state = tx.init(PARAMS)
    want = types_of(state)
    assert not any(x.weak_type for x in jax.tree.leaves(state))
    for changed in (
        tx.update(GRADS, state, PARAMS)[1],
        set_learning_rate(state, 1),
        set_learning_rate(state, 0.5),
        set_learning_rate(state, np.float64(0.5)),
        set_learning_rate(state, jnp.bfloat16(0.5)),
        set_learning_rate(state, None),
        scale_learning_rate(state, 2),
        scale_learning_rate(state, 0.5),
    ):
        assert types_of(changed) == want


def test_one_trace_serves_pinned_and_released_states():
    traces = 0
    tx = lrjax.sgd(0.5)

    @jax.jit
    def update(state):
        nonlocal traces
        traces += 1
        return tx.update(GRADS, state)[1]

    state = update(tx.init(PARAMS))
    for change in (lambda s: set_learning_rate(s, 1), lambda s: set_learning_rate(s, None)):
        state = update(change(state))
    update(scale_learning_rate(state, 3))
    assert traces == 1


def test_scalars_stay_float32_under_x64():
    with jax.enable_x64(True):
        params = {"w": jnp.ones(2)}
        assert params["w"].dtype == jnp.float64
        for rate in (0.5, np.float64(0.5), jnp.asarray(0.5), halving_line(), lambda count: 0.5 / (1 + count)):
            tx = lrjax.scale_by_learning_rate(rate)
            state = tx.init(params)
            state = scale_learning_rate(set_learning_rate(state, 0.25), 2.0)
            updates, state = tx.update(params, state)
            assert updates["w"].dtype == jnp.float64
            assert {x.dtype for x in jax.tree.leaves(state)} == {jnp.dtype("float32"), jnp.dtype("int32")}


# Pin, release, rescale.


def test_pinned_then_released_the_clock_ran_on():
    tx = lrjax.sgd(halving_line())
    taken, state = rates_of(tx, 1)
    pinned = set_learning_rate(state, 0.125)
    assert float(get_learning_rate(pinned)) == 1.0, "what was used last, until the next update"
    more, state = rates_of(tx, 2, pinned)
    assert float(get_learning_rate(state)) == 0.125
    last, state = rates_of(tx, 1, set_learning_rate(state, None))
    assert taken + more + last == [1.0, 0.125, 0.125, 0.25]


def test_setting_does_not_change_the_state_passed_in():
    tx = lrjax.sgd(0.5)
    state = tx.init(PARAMS)
    set_learning_rate(state, 0.1)
    scale_learning_rate(state, 0.1)
    assert rates_of(tx, 1, state)[0] == [0.5]


def test_a_pinned_zero_is_a_rate():
    tx = lrjax.sgd(0.5)
    assert rates_of(tx, 1, set_learning_rate(tx.init(PARAMS), 0))[0] == [0.0]


def test_scaling_multiplies_and_compounds():
    tx = lrjax.sgd(halving_line())
    first, state = rates_of(tx, 1, scale_learning_rate(tx.init(PARAMS), 0.5))
    second, state = rates_of(tx, 1, scale_learning_rate(state, 0.5))
    third, _ = rates_of(tx, 1, scale_learning_rate(state, 8))
    assert first + second + third == [0.5, 0.25 * 0.75, 2 * 0.5]


def test_scaling_leaves_a_pinned_rate_and_acts_once_it_is_released():
    tx = lrjax.sgd(0.5)
    state = scale_learning_rate(set_learning_rate(tx.init(PARAMS), 0.125), 4)
    taken, state = rates_of(tx, 1, state)
    assert taken == [0.125]
    assert rates_of(tx, 1, set_learning_rate(state, None))[0] == [2.0]


# Through any nesting. Every transformation here is plain gradient descent at 0.25.


W_ONLY = {"w": True, "b": False}
NESTED = {
    "alone": (lambda rate: lrjax.scale_by_learning_rate(rate), "."),
    "chain": (lambda rate: lrjax.chain(lrjax.identity(), lrjax.scale_by_learning_rate(rate)), "[1]"),
    "chains": (lambda rate: lrjax.chain(lrjax.chain(lrjax.chain(lrjax.sgd(rate)))), "[0][0][0][1]"),
    "masked": (lambda rate: lrjax.masked(lrjax.sgd(rate), W_ONLY), ".inner_state[1]"),
    "optax.chain": (lambda rate: optax.chain(optax.identity(), lrjax.sgd(rate)), "[1][1]"),
    "lrjax.chain of optax's": (lambda rate: lrjax.chain(optax.identity(), lrjax.sgd(rate)), "[1][1]"),
    "optax.masked": (lambda rate: optax.masked(lrjax.sgd(rate), W_ONLY), ".inner_state[1]"),
    "optax.MultiSteps": (lambda rate: optax.MultiSteps(lrjax.sgd(rate), 1), ".inner_opt_state[1]"),
    "optax.apply_if_finite": (lambda rate: optax.apply_if_finite(lrjax.sgd(rate), 3), ".inner_state[1]"),
    "optax.multi_transform": (
        lambda rate: optax.multi_transform(
            {"train": lrjax.sgd(rate), "freeze": optax.set_to_zero()}, {"w": "train", "b": "freeze"}
        ),
        ".inner_states['train'].inner_state[1]",
    ),
}


@pytest.mark.parametrize(("make", "path"), NESTED.values(), ids=NESTED.keys())
def test_every_nesting(make, path):
    tx = make(halving_line())
    update = jax.jit(tx.update)

    def step(state):
        updates, state = update(GRADS, state, PARAMS)
        (rate,) = get_learning_rates(state).values()
        assert float(get_learning_rate(state)) == float(rate) == step_size(updates["w"], GRADS["w"])
        return float(rate), state

    state = tx.init(PARAMS)
    assert list(get_learning_rates(state)) == [path]
    assert float(get_learning_rate(state)) == 1.0
    first, state = step(state)
    pinned, state = step(set_learning_rate(state, 0.125))
    released, state = step(set_learning_rate(state, None))
    scaled, state = step(scale_learning_rate(state, 2.0))
    assert [first, pinned, released, scaled] == [1.0, 0.125, 0.5, 0.5]


def test_accumulation_moves_the_rate_once_per_applied_step():
    tx = optax.MultiSteps(lrjax.sgd(halving_line()), every_k_schedule=2)
    state, recorded = tx.init(PARAMS), []
    for _ in range(5):
        updates, state = jax.jit(tx.update)(GRADS, state, PARAMS)
        recorded.append((float(get_learning_rate(state)), float(updates["b"])))
    assert recorded == [(1.0, 0.0), (1.0, 1.0), (1.0, 0.0), (0.75, 0.75), (0.75, 0.0)]


def several():
    """Two rates in one optimizer."""
    return optax.multi_transform({"x": lrjax.sgd(0.5), "y": lrjax.sgd(halving_line())}, {"w": "x", "b": "y"})


def test_several_rates_are_told_apart():
    tx = several()
    state = tx.init(PARAMS)
    rates = get_learning_rates(state)
    paths = [".inner_states['x'].inner_state[1]", ".inner_states['y'].inner_state[1]"]
    assert {path: float(rate) for path, rate in rates.items()} == dict(zip(paths, (0.5, 1.0), strict=True))
    with pytest.raises(
        ValueError, match=r"^`get_learning_rate\(opt_state=\.\.\.\)` must be .*, got 2: "
    ) as error:
        get_learning_rate(state)
    assert all(path in str(error.value) for path in paths)


def test_setting_and_scaling_act_on_all_of_several():
    tx = several()
    state = tx.init(PARAMS)
    updates, _ = tx.update(GRADS, set_learning_rate(state, 0.25), PARAMS)
    assert step_size(updates) == 0.25
    updates, _ = tx.update(GRADS, scale_learning_rate(state, 0.5), PARAMS)
    assert [step_size(updates[k], GRADS[k]) for k in "wb"] == [0.25, 0.5]


def test_a_dict_of_states_and_other_things():
    states = {"a": lrjax.sgd(0.5).init(PARAMS), "b": [None, lrjax.adam(0.25).init(PARAMS)], "step": 3}
    rates = get_learning_rates(states)
    assert {path: float(rate) for path, rate in rates.items()} == {"['a'][1]": 0.5, "['b'][1][1]": 0.25}
    changed = set_learning_rate(states, 0.125)
    assert changed["step"] == 3
    assert changed["b"][0] is None
    assert float(changed["a"][1].override) == float(changed["b"][1][1].override) == 0.125


@pytest.mark.parametrize(
    "state",
    [
        (),
        None,
        lrjax.scale_by_adam().init(PARAMS),
        optax.adam(0.1).init(PARAMS),
        lrjax.sgd(0.1),
        {"rate": 0.1},
    ],
    ids=["empty", "None", "adam without a rate", "optax", "not a state", "a number"],
)
def test_no_rate_is_an_error(state):
    assert get_learning_rates(state) == {}
    with pytest.raises(ValueError, match=r"`get_learning_rate\(opt_state=\.\.\.\)` must be .*, got none"):
        get_learning_rate(state)
    with pytest.raises(ValueError, match=r"`set_learning_rate\(opt_state=\.\.\.\)` must be .*, got none"):
        set_learning_rate(state, 0.1)
    with pytest.raises(ValueError, match=r"`scale_learning_rate\(opt_state=\.\.\.\)` must be .*, got none"):
        scale_learning_rate(state, 0.1)


# Under jit, vmap and scan.


def test_a_tracer_pins_and_scales_under_jit():
    tx = lrjax.sgd(halving_line())

    @jax.jit
    def run(state, rate, factor):
        pinned = tx.update(GRADS, set_learning_rate(state, rate))[1]
        scaled = tx.update(GRADS, scale_learning_rate(state, factor))[1]
        released = tx.update(GRADS, set_learning_rate(set_learning_rate(state, rate), None))[1]
        return get_learning_rate(pinned), get_learning_rate(scaled), get_learning_rate(released)

    assert run(tx.init(PARAMS), 0.125, 0.5) == (0.125, 0.5, 1.0)


def test_stacked_states_of_a_vmap():
    rates = jnp.array([0.5, 0.25, 0.125])

    def start(rate):
        return lrjax.sgd(rate).init(PARAMS)

    def step(rate, state):
        updates, state = lrjax.sgd(rate).update(GRADS, state)
        return updates["b"], state

    step = jax.jit(jax.vmap(step))
    state = jax.vmap(start)(rates)
    np.testing.assert_array_equal(get_learning_rate(state), rates)
    updates, state = step(rates, state)
    np.testing.assert_array_equal(updates, rates)

    updates, all_pinned = step(rates, set_learning_rate(state, 2.0))
    np.testing.assert_array_equal(updates, [2.0, 2.0, 2.0])
    updates, released = step(rates, set_learning_rate(all_pinned, None))
    np.testing.assert_array_equal(updates, rates)
    updates, _ = step(rates, scale_learning_rate(released, 2.0))
    np.testing.assert_array_equal(updates, 2 * rates)

    each = jax.vmap(set_learning_rate)(state, jnp.array([3.0, 4.0, 5.0]))
    updates, each = step(rates, each)
    np.testing.assert_array_equal(updates, [3.0, 4.0, 5.0])
    np.testing.assert_array_equal(get_learning_rate(each), [3.0, 4.0, 5.0])


def test_one_member_is_pinned_and_the_others_run_on():
    tx = lrjax.sgd(halving_line())
    state = jax.vmap(lambda _: tx.init(PARAMS))(jnp.arange(3))
    owner = state[1]
    state = (state[0], owner._replace(override=owner.override.at[1].set(0.125)))
    _, state = jax.vmap(tx.update, in_axes=(None, 0))(GRADS, state)
    np.testing.assert_array_equal(get_learning_rate(state), [1.0, 0.125, 1.0])


def test_scan_records_the_rate_of_every_step():
    tx = lrjax.adam(halving_line())

    def step(carry, index):
        params, state = carry
        state = jax.lax.cond(index == 2, lambda s: set_learning_rate(s, 0.125), lambda s: s, state)
        updates, state = tx.update(
            jax.grad(lambda p: jnp.sum(p["w"] ** 2) + p["b"] ** 2)(params), state, params
        )
        return (lrjax.apply_updates(params, updates), state), get_learning_rate(state)

    _, rates = jax.jit(lambda: jax.lax.scan(step, (PARAMS, tx.init(PARAMS)), jnp.arange(4)))()
    np.testing.assert_array_equal(rates, [1.0, 0.75, 0.125, 0.125])


def test_gradients_reach_the_rate_through_an_unpinned_state():
    def loss(rate):
        tx = lrjax.sgd(rate)
        updates, _ = tx.update(GRADS, tx.init(PARAMS))
        return jnp.sum(lrjax.apply_updates(PARAMS, updates)["w"])

    assert float(jax.grad(loss)(0.5)) == -float(jnp.sum(GRADS["w"]))


# What a rate may be.


QUARTERS = {
    "float": 0.25,
    "np.float32": np.float32(0.25),
    "np.float64": np.float64(0.25),
    "np 0-d": np.array(0.25),
    "jnp 0-d": jnp.array(0.25),
    "bfloat16": jnp.bfloat16(0.25),
    "Schedule": lrjax.constant_schedule(0.25),
    "callable": lambda count: 0.25,
    "callable of an array": lambda count: 0.25 + 0.0 * count,
    "optax schedule": optax.constant_schedule(0.25),
}


@pytest.mark.parametrize("rate", QUARTERS.values(), ids=QUARTERS.keys())
def test_every_kind_of_rate(rate):
    tx = lrjax.scale_by_learning_rate(rate)
    state = tx.init(PARAMS)
    assert float(get_learning_rate(state)) == 0.25
    assert types_of(state) == types_of(lrjax.scale_by_learning_rate(0.25).init(PARAMS))
    taken, state = rates_of(tx, 2, state)
    assert taken == [0.25, 0.25]
    assert int(state.schedule_state.inner_state.count) == 2


@pytest.mark.parametrize("rate", [2, np.int32(2), jnp.int32(2)], ids=["int", "np.int32", "jnp.int32"])
def test_an_integer_rate_does_not_truncate(rate):
    tx = lrjax.sgd(rate)
    assert rates_of(tx, 1, scale_learning_rate(tx.init(PARAMS), 0.25))[0] == [0.5]


def test_a_traced_rate():
    @jax.jit
    def run(rate):
        tx = lrjax.sgd(rate)
        updates, state = tx.update(GRADS, tx.init(PARAMS))
        return updates, get_learning_rate(state)

    updates, rate = run(0.25)
    assert step_size(updates) == float(rate) == 0.25


def test_schedules_and_callables_count_from_zero():
    for rate in (lrjax.join_schedules([1.0, 0.5], [2]), lambda count: jnp.where(count < 2, 1.0, 0.5)):
        assert rates_of(lrjax.sgd(rate), 4)[0] == [1.0, 1.0, 0.5, 0.5]


def test_optax_agrees_on_a_scheduled_run():
    arguments = dict(init_value=0.1, peak_value=0.5, warmup_steps=3, decay_steps=9, end_value=0.01)
    ours = lrjax.sgd(lrjax.warmup_cosine_decay_schedule(**arguments))
    theirs = optax.sgd(optax.warmup_cosine_decay_schedule(**arguments))
    state, oracle = ours.init(PARAMS), theirs.init(PARAMS)
    for _ in range(12):
        updates, state = ours.update(GRADS, state, PARAMS)
        want, oracle = theirs.update(GRADS, oracle, PARAMS)
        jax.tree.map(lambda u, v: np.testing.assert_allclose(u, v, rtol=2e-6), updates, want)


def test_a_metric_driven_rate_gets_the_value_and_starts_as_nan():
    tx = lrjax.chain(lrjax.identity(), lrjax.masked(lrjax.sgd(follow_the_loss()), {"w": True, "b": True}))
    state = tx.init(PARAMS)
    assert np.isnan(get_learning_rate(state))
    for value in (4.0, jnp.float32(0.5)):
        updates, state = jax.jit(tx.update)(GRADS, state, PARAMS, value=value, grad_norm=9.0)
        assert float(get_learning_rate(state)) == step_size(updates) == value / 2
    updates, state = tx.update(GRADS, set_learning_rate(state, 0.125), PARAMS, value=8.0)
    assert step_size(updates) == 0.125
    updates, state = tx.update(GRADS, set_learning_rate(state, None), PARAMS, value=8.0)
    assert step_size(updates) == 4.0
    (owner,) = [x for x in jax.tree.leaves(state, is_leaf=is_owner) if is_owner(x)]
    assert int(owner.schedule_state.inner_state.updates) == 4, "its clock ran on while it was pinned"


def is_owner(x):
    return isinstance(x, lrjax.ScaleByLearningRateState)


def test_a_time_driven_rate_ignores_the_value():
    assert rates_of(lrjax.sgd(halving_line()), 2, value=jnp.nan, anything=None)[0] == [1.0, 0.75]


# Updates.


@pytest.mark.parametrize(
    "dtype", [jnp.bfloat16, jnp.float16, jnp.float32, jnp.complex64], ids=lambda d: d.__name__
)
@pytest.mark.parametrize(
    "rate", [1e-3, lambda count: 1e-3, np.float64(1e-3)], ids=["float", "callable", "float64"]
)
def test_updates_keep_their_dtype_and_are_rounded_once(dtype, rate):
    tx = lrjax.scale_by_learning_rate(rate)
    grads = jnp.asarray(np.random.default_rng(0).normal(size=64), dtype)
    updates, state = tx.update(grads, tx.init(grads))
    assert updates.dtype == dtype
    wide = np.complex64 if dtype == jnp.complex64 else np.float32
    want = jnp.asarray(-np.float32(1e-3) * np.asarray(grads).astype(wide), dtype)
    np.testing.assert_array_equal(updates, want)
    assert get_learning_rate(state).dtype == jnp.float32


def test_mixed_trees_and_none_leaves():
    grads = {"half": jnp.ones(2, jnp.bfloat16), "full": jnp.ones(2), "none": None}
    tx = lrjax.scale_by_learning_rate(0.5)
    updates, _ = tx.update(grads, tx.init(grads))
    assert updates["none"] is None
    assert (updates["half"].dtype, updates["full"].dtype) == (jnp.bfloat16, jnp.float32)


def test_flip_sign():
    updates, _ = lrjax.scale_by_learning_rate(0.5, flip_sign=False).update(
        GRADS, lrjax.scale_by_learning_rate(0.5).init(PARAMS)
    )
    assert step_size(updates) == -0.5
    with pytest.raises(
        TypeError, match=r"`scale_by_learning_rate\(flip_sign=\.\.\.\)` must be True or False"
    ):
        lrjax.scale_by_learning_rate(0.5, flip_sign=1)


def test_without_a_rate_updates_pass_sign_included():
    tx = lrjax.scale_by_learning_rate(None)
    updates, state = tx.update(GRADS, tx.init(PARAMS))
    assert updates is GRADS
    assert get_learning_rates(state) == {}


# Refusals.


@pytest.mark.parametrize(
    ("rate", "kind"),
    [
        (True, TypeError),
        ("0.1", TypeError),
        (1j, TypeError),
        ([0.1], TypeError),
        (jnp.ones(3), TypeError),
        (np.ones((1,)), TypeError),
        (float("nan"), ValueError),
        (float("inf"), ValueError),
    ],
    ids=repr,
)
def test_bad_rates_are_refused(rate, kind):
    message = r"\(learning_rate=\.\.\.\)` must be one finite number, got "
    with pytest.raises(kind, match="^`scale_by_learning_rate" + message):
        lrjax.scale_by_learning_rate(rate)
    state = lrjax.sgd(0.1).init(PARAMS)
    with pytest.raises(kind, match="^`set_learning_rate" + message):
        set_learning_rate(state, rate)


@pytest.mark.parametrize(
    ("factor", "kind"),
    [(-1, ValueError), (float("nan"), ValueError), (None, TypeError), (jnp.ones(2), TypeError)],
)
def test_bad_factors_are_refused(factor, kind):
    state = lrjax.sgd(0.1).init(PARAMS)
    with pytest.raises(kind, match=r"^`scale_learning_rate\(factor=\.\.\.\)` must be one number >= 0, got "):
        scale_learning_rate(state, factor)


def test_nothing_trips_jax_s_nan_detector():
    """Where JAX stops at any NaN, "no rate" is not NaN; pinning and releasing work the same."""
    with jax.debug_nans(True):
        tx = lrjax.chain(lrjax.sgd(halving_line()), lrjax.sgd(follow_the_loss()))
        state = tx.init(PARAMS)
        first, _ = tx.update(GRADS, state, PARAMS, value=1.0)
        pinned, state = tx.update(GRADS, set_learning_rate(state, 0.5), PARAMS, value=1.0)
        released, _ = tx.update(GRADS, set_learning_rate(state, None), PARAMS, value=1.0)
    # Two signs flip twice: the factors are those of both rates.
    factors = [float(updates["b"] / GRADS["b"]) for updates in (first, pinned, released)]
    assert factors == [1.0 * 0.5, 0.5 * 0.5, 0.75 * 0.5]


def test_a_callable_that_returns_no_scalar_is_refused():
    tx = lrjax.scale_by_learning_rate(lambda t: jnp.ones(2))
    with pytest.raises(
        TypeError, match=r"`scale_by_learning_rate\(learning_rate=\.\.\.\)` must be a callable"
    ):
        tx.init(jnp.zeros(3))
