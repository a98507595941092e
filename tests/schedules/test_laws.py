"""The table of schedules, and the laws that every one of them keeps."""

import dataclasses
import inspect
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lrjax
from tests.schedules.table import (
    ELSEWHERE,
    LOOP,
    STEPS,
    TABLE,
    fast,
    looped,
    program,
    public_schedules,
    rows,
    stacked,
    swept,
    values_at,
)

COUNTS = np.arange(STEPS)

every_row = pytest.mark.parametrize("row", rows())


# The table.


def test_every_public_schedule_is_in_the_table():
    listed = {row.function.__name__ for row in TABLE}
    assert not listed & ELSEWHERE
    assert public_schedules() == listed | ELSEWHERE
    assert len(listed) >= 40


@pytest.mark.parametrize("function", {row.function: None for row in TABLE}, ids=lambda f: f.__name__)
def test_every_number_of_every_schedule_is_in_the_table(function):
    mine = [row for row in TABLE if row.function is function]
    if any(row.make for row in mine):
        return  # its numbers are in lists, or those of another schedule
    listed = set().union(*(row.numbers.keys() | row.static.keys() for row in mine))
    assert listed == set(inspect.signature(function).parameters)


def leaves_of(state):
    return [(x.shape, x.dtype, x.weak_type) for x in jax.tree.leaves(state)]


def scanned(schedule, steps=LOOP):
    """The pair, as a compiled loop."""
    init, update = schedule

    def step(state, _):
        value, state = update(state)
        return state, value

    return jax.lax.scan(step, init(), length=steps)[1]


def assert_ulps(got, want, ulps=2):
    """Within a few rounding errors of the largest value."""
    atol = ulps * np.finfo(np.float32).eps * np.max(np.abs(want))
    np.testing.assert_allclose(got, want, rtol=0, atol=atol)


# The laws.


@every_row
def test_the_pair_gives_the_closed_form_exactly(row):
    schedule = row()
    state = schedule.init()
    for count in range(6):
        value, state = schedule.update(state)
        assert float(value) == float(schedule.at(count)) == float(schedule(count))


@every_row
def test_values_are_strong_float32_scalars(row):
    schedule = row()
    for value in (schedule.update(schedule.init())[0], schedule(3)):
        assert (value.shape, value.dtype, value.weak_type) == ((), jnp.float32, False)
    assert schedule(COUNTS).shape == (STEPS,)
    assert (schedule(COUNTS).dtype, schedule(COUNTS).weak_type) == (jnp.float32, False)


@every_row
def test_the_state_keeps_its_types(row):
    schedule = row()
    before = schedule.init()
    after = schedule.update(before)[1]
    assert jax.tree.structure(before) == jax.tree.structure(after)
    assert leaves_of(before) == leaves_of(after)

    def first_two(numbers):
        schedule = row(**numbers)
        return schedule.init(), schedule.update(schedule.init())[1]

    numbers = {name: x[0] for name, x in stacked(row, [{}]).items()}
    traced, later = jax.eval_shape(first_two, numbers)
    assert leaves_of(before) == leaves_of(traced) == leaves_of(later)
    assert all(dtype in (jnp.int32, jnp.float32) and not weak for _, dtype, weak in leaves_of(before))


@every_row
def test_types_are_the_same_under_x64(row):
    with jax.enable_x64(True):
        schedule = row()
        before = jax.eval_shape(schedule.init)
        value, after = jax.eval_shape(schedule.update, before)
        at = jax.eval_shape(schedule.at, jnp.int32(3))
    assert (value.shape, value.dtype, at.shape, at.dtype) == ((), jnp.float32) * 2
    assert leaves_of(before) == leaves_of(after) == leaves_of(schedule.init())


@every_row
def test_one_trace_serves_every_step_and_every_number(row):
    swept(row)
    for i in (0, 1, 2):
        program(row)(COUNTS + i, [{name: values[i] for name, values in row.numbers.items()}])
    assert program(row).traces == 1


@every_row
def test_vmap_over_every_number_is_a_loop(row):
    """And compiled is eager."""
    for changes, got in zip(program(row).sweep, swept(row), strict=True):
        assert_ulps(got, np.asarray(row(**changes)(COUNTS)), row.ulps)


# Those whose state is the clock alone share the pair: a few stand for all in the fast tests.
OWN_STATE = (lrjax.join_schedules, lrjax.multiplicative_schedule, lrjax.noisy_schedule, lrjax.cooldown)
FEW = {row for i, row in enumerate(TABLE) if i % 12 == 0 or row.function in OWN_STATE}


@pytest.mark.parametrize("row", fast(lambda row: row in FEW))
def test_the_pair_in_a_compiled_loop_gives_the_closed_form(row):
    for stepped, want in zip(looped(row), swept(row), strict=True):
        assert_ulps(stepped, want[:LOOP], row.ulps)


@every_row
def test_the_values_of_every_number_are_told_apart(row):
    at = swept(row)
    for name, values in row.numbers.items():
        if len(set(values)) > 1:
            changes = zip(program(row).sweep, at, strict=True)
            mine = [got.tobytes() for change, got in changes if set(change) == {name}]
            assert len(set(mine)) == 3, name


# Modes of one function share much of its arithmetic: in the fast tests the first stands for them.
FIRST_MODES = {row.function: row for row in reversed(TABLE)}.values()


@pytest.mark.parametrize("row", fast(lambda row: row in FIRST_MODES))
def test_gradients_are_finite_and_slopes(row):
    """Forward and reverse; at the typical numbers, and where every span is a step or none."""
    weights = np.cos(COUNTS).astype(np.float32)

    def values(numbers):
        return row(**numbers)(COUNTS)

    def along(name):
        return {n: jnp.float32(n == name) for n in row.numbers}

    for changes in (dict(row.short or {}), {}):
        numbers = {n: jnp.asarray(x, jnp.float32) for n, x in (row.typical | changes).items()}
        _, forward = jax.linearize(values, numbers)
        reverse = jax.linear_transpose(forward, numbers)(weights)[0]
        forward = {name: forward(along(name)) for name in numbers}
        for name in numbers:
            assert np.isfinite(forward[name]).all(), name
            np.testing.assert_allclose(reverse[name], weights @ forward[name], rtol=1e-4, atol=1e-4)
    for name in row.numbers:
        assert name in row.flat or np.any(forward[name] != 0), name
        if row.slopes and name not in row.flat:
            assert_slopes(row, name, forward[name])


def assert_slopes(row, name, gradient):
    """Against differences of the float64 transcription, except where it has a kink or a jump."""
    x, h = float(row.typical[name]), 1e-6
    below, here, above = (row.expected(COUNTS, **{name: y}) for y in (x - h, x, x + h))
    left, right = (here - below) / h, (above - here) / h
    smooth = np.abs(left - right) <= 1e-4 * (1 + np.abs(left))
    assert smooth.sum() >= STEPS // 2
    np.testing.assert_allclose(gradient[smooth], left[smooth], rtol=1e-4, atol=1e-4)


@every_row
def test_a_schedule_is_one_frozen_leaf(row):
    schedule = row()
    assert jax.tree.leaves(schedule) == [schedule]
    assert jax.tree.map(lambda x: x, {"schedule": schedule})["schedule"] is schedule
    with pytest.raises(dataclasses.FrozenInstanceError):
        schedule.init = None
    assert hash(schedule) == hash(schedule)


@every_row
def test_unknown_signals_are_ignored(row):
    schedule = row()
    value, state = schedule.update(schedule.init(), value=jnp.nan, grad_norm=1.0, anything=None)
    plain_value, plain_state = schedule.update(schedule.init())
    assert value == plain_value
    assert all(jax.tree.leaves(jax.tree.map(jnp.array_equal, state, plain_state)))


@every_row
def test_the_clock_stops_at_the_last_int32_instead_of_wrapping(row):
    schedule, last = row(), 2**31 - 1

    def late(x):
        return jnp.full_like(x, last) if x.dtype == jnp.int32 else x

    state = jax.tree.map(late, schedule.init())
    value, after = schedule.update(state)
    assert np.isfinite(value)
    counts = [int(x) for x in jax.tree.leaves(after) if x.dtype == jnp.int32]
    assert all(count in (0, last) for count in counts)
    assert last in counts


# What is refused.

PLAIN_ROWS = {(row.function, tuple(row.numbers)): row for row in TABLE if row.make is None}
REFUSING = [(row, name) for row in PLAIN_ROWS.values() for name in row.numbers]


@pytest.mark.parametrize(("row", "name"), REFUSING, ids=str)
def test_bad_numbers_are_refused_by_name(row, name):
    for bad in (float("nan"), float("inf"), True, "1", jnp.ones(2)):
        kind = ValueError if isinstance(bad, float) else TypeError
        match = rf"^`{row.function.__name__}\({name}=\.\.\.\)` must be .*, got "
        with pytest.raises(kind, match=match) as error:
            row(**{name: bad})
        assert ("lrjax.sweep" in str(error.value)) == isinstance(bad, jax.Array)


# Values a schedule moves between, which may have either sign.
SIGNED = {"value", "init_value", "end_value", "peak_value", "base_value", "max_value", "constant_value"}
SIGNED |= {"alpha", "factor", "start_factor", "end_factor", "scale", "lower", "upper", "exponent"}
SIGNED |= {"base_momentum", "max_momentum"}


@pytest.mark.parametrize(
    ("row", "name"), [(row, name) for row, name in REFUSING if name not in SIGNED], ids=str
)
def test_negative_steps_rates_and_exponents_are_refused(row, name):
    with pytest.raises(ValueError, match=rf"\({name}=\.\.\.\)` must be one number .*, got -1"):
        row(**{name: -1})


@pytest.mark.parametrize(
    ("row", "name"),
    [(row, name) for row in TABLE for name, value in row.static.items() if isinstance(value, (str, bool))],
    ids=str,
)
def test_what_selects_structure_is_checked(row, name):
    word = isinstance(row.static[name], str)
    expected = "must be .* or .*static" if word else "must be True or False"
    for bad in ("elsewise", 1):
        with pytest.raises((ValueError, TypeError), match=rf"\({name}=\.\.\.\)` {expected}"):
            (row.make or row.function)(**row.typical, **{**row.static, name: bad})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: lrjax.warmup_cosine_decay_schedule(0.0, 1.0, warmup_steps=10, decay_steps=10),
            r"decay_steps=\.\.\.\)` must be greater than warmup_steps=10",
        ),
        (
            lambda: lrjax.warmup_polynomial_decay_schedule(0.0, 1.0, warmup_steps=10, decay_steps=10),
            r"decay_steps=\.\.\.\)` must be greater than warmup_steps=10",
        ),
        (
            lambda: lrjax.hard_restarts_schedule(1.0, warmup_steps=10, decay_steps=5),
            r"decay_steps=\.\.\.\)` must be greater than warmup_steps=10",
        ),
        (
            lambda: lrjax.tanh_decay(1.0, 10, lower=3.0, upper=3.0),
            r"upper=\.\.\.\)` must be greater than lower=3",
        ),
        (
            lambda: lrjax.linear_onecycle_schedule(10, 1.0, pct_start=0.5, pct_final=0.25),
            r"pct_final=\.\.\.\)` must be in increasing order",
        ),
        (lambda: lrjax.cosine_onecycle_schedule(10, 1.0, pct_start=1.5), r"one number in \[0, 1\], got 1.5"),
        (
            lambda: lrjax.piecewise_interpolate_schedule("linear", 1.0, [(8, 0.5), (4, 0.5)]),
            r"boundaries_and_scales=\.\.\.\)` must be in increasing order",
        ),
        (
            lambda: lrjax.piecewise_constant_schedule(1.0, {4: -0.5}),
            r"scales\[0\]=\.\.\.\)` must be one number >= 0",
        ),
        (
            lambda: lrjax.multistep_schedule(1.0, [3, -1]),
            r"milestones\[1\]=\.\.\.\)` must be one number >= 0",
        ),
        (
            lambda: lrjax.cosine_restarts_schedule(1.0, 10, 0.5),
            r"cycle_multiplier=\.\.\.\)` must be one number >= 1",
        ),
        (lambda: lrjax.sgdr_schedule([]), r"cosine_kwargs=\.\.\.\)` must be at least one cycle, got none"),
        (
            lambda: lrjax.chebyshev_schedule(2.0, 1.0, 8),
            r"max_curvature=\.\.\.\)` must be in increasing order",
        ),
        (
            lambda: lrjax.untuned_warmup_schedule(1.0, 0.5, rule="radam"),
            r"b2=\.\.\.\)` must be one number in \(0.6, 1\)",
        ),
        (
            lambda: lrjax.noisy_schedule(1.0, jax.random.key(0), begin=4, end=2),
            r"end=\.\.\.\)` must be in increasing order",
        ),
    ],
)
def test_numbers_that_do_not_fit_each_other_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lrjax.lambda_schedule(1.0, 0.5), r"`lambda_schedule\(function=\.\.\.\)` must be a callable"),
        (
            lambda: lrjax.multiplicative_schedule(1.0, None),
            r"`multiplicative_schedule\(function=\.\.\.\)` must be a callable",
        ),
        (
            lambda: lrjax.sgdr_schedule([(0.0, 1.0)]),
            r"`sgdr_schedule\(cosine_kwargs\[0\]=\.\.\.\)` must be a mapping",
        ),
        (lambda: lrjax.noisy_schedule(1.0, 0), r"`noisy_schedule\(key=\.\.\.\)` must be one key"),
        (
            lambda: lrjax.noisy_schedule(1.0, jax.random.split(jax.random.key(0), 2)),
            r"`noisy_schedule\(key=\.\.\.\)` must be one key",
        ),
        (
            lambda: lrjax.piecewise_constant_schedule(1.0, [3, 4]),
            r"boundaries_and_scales=\.\.\.\)` must be a dict of steps to factors",
        ),
    ],
)
def test_what_is_not_a_function_a_key_or_a_dict_is_refused(call, message):
    with pytest.raises(TypeError, match=message):
        call()


# Schedules driven by metrics, and what a join does with them.


class HalvingState(NamedTuple):
    updates: jax.Array
    factor: jax.Array


def halving(first=1.0):
    """Halves when `value` is above 1, and counts its own updates."""

    def init():
        return HalvingState(jnp.zeros((), jnp.int32), jnp.float32(first))

    def update(state, *, value=jnp.nan, **signals):
        del signals
        factor = jnp.where(value > 1.0, state.factor * 0.5, state.factor)
        factor = jnp.where(jnp.isnan(value), jnp.nan, factor).astype(jnp.float32)
        return factor, HalvingState(state.updates + 1, factor)

    return lrjax.Schedule(init, update)


def test_without_a_closed_form_at_is_a_type_error():
    joined = lrjax.join_schedules([1.0, halving()], [2])
    for schedule in (halving(), joined):
        assert schedule.closed_form is None
        for ask in (schedule.at, schedule):
            with pytest.raises(TypeError, match="driven by metrics"):
                ask(0)


def test_signals_reach_the_selected_part():
    init, update = lrjax.join_schedules([0.75, halving(), 0.125], [2, 5])
    state, values = init(), []
    for signal in (9.0, 9.0, 0.5, 9.0, 9.0, 9.0):
        value, state = update(state, value=signal)
        values.append(float(value))
    assert values == [0.75, 0.75, 1.0, 0.5, 0.25, 0.125]


@pytest.mark.parametrize("boundaries", [(0, 0), (3, 6), (0, 4), (2, 2), (4, 100)], ids=str)
def test_an_unselected_part_does_not_advance(boundaries):
    start, end = boundaries
    ramp = lrjax.linear_schedule(0.0, 1.0, 10)

    def counts(start, end):
        init, update = lrjax.join_schedules([ramp, halving(), ramp], [start, end])

        def step(state, _):
            value, state = update(state, value=0.5)
            first, second, third = state.inner_states
            return state, (value, first.count, second.updates, third.count)

        return jax.lax.scan(step, init(), length=9)[1]

    steps = np.arange(1, 10)
    first, second = np.minimum(steps, start), np.clip(steps - start, 0, end - start)
    want = [first, second, steps - first - second]
    np.testing.assert_array_equal(jax.jit(counts, static_argnums=(0, 1))(start, end)[1:], want)
    batched = jax.jit(jax.vmap(counts))(jnp.array([start, 1]), jnp.array([end, 7]))
    np.testing.assert_array_equal([x[0] for x in batched[1:]], want)
    np.testing.assert_array_equal(batched[2][1], np.clip(steps - 1, 0, 6))


def test_a_nan_of_an_unselected_part_stays_there():
    """Neither the value nor the gradient sees it, from the pair or the closed form."""

    def build(x):
        def pole(count):
            return jnp.sqrt(x * (count - 1e6)) + x / (0.0 * count)

        return lrjax.join_schedules([pole, lambda count: x * (1.0 + count), pole], [0, 6])

    def pair(x):
        return jnp.sum(scanned(build(x), steps=6))

    def closed(x):
        return sum(build(x).at(count) for count in range(6))

    def array(x):
        return jnp.sum(build(x).at(jnp.arange(6)))

    assert np.isnan(build(2.0).at(6))
    for f in (jax.jit(pair), jax.jit(closed), jax.jit(array), array):
        value, gradient = jax.value_and_grad(f)(2.0)
        assert (float(value), float(gradient)) == (42.0, 21.0)


def test_a_nan_of_an_unselected_metric_part_stays_there():
    init, update = lrjax.join_schedules([0.5, halving(), 0.25], [1, 2])
    state, values = init(), []
    for signal in (jnp.nan, jnp.nan, jnp.nan):
        value, state = update(state, value=signal)
        values.append(float(value))
    np.testing.assert_array_equal(values, [0.5, np.nan, 0.25])


def test_joins_nest():
    inner = lrjax.join_schedules([1.0, 2.0], [2])
    schedule = lrjax.join_schedules([0.0, inner, 3.0], [1, 5])
    want = [0, 1, 1, 2, 2, 3, 3]
    np.testing.assert_array_equal(schedule(np.arange(7)), want)
    np.testing.assert_array_equal(scanned(schedule, steps=7), want)


@pytest.mark.parametrize(
    ("schedules", "boundaries", "kind", "message"),
    [
        ([], [], ValueError, r"schedules=\.\.\.\)` must be at least one schedule, got none"),
        ([1.0, 2.0], [], ValueError, r"boundaries=\.\.\.\)` must be one fewer than the 2 schedules, got 0"),
        ([1.0], [3], ValueError, r"boundaries=\.\.\.\)` must be one fewer than the 1 schedules, got 1"),
        ([1.0, 2.0], [-1], ValueError, r"boundaries\[0\]=\.\.\.\)` must be one number >= 0, got -1"),
        (
            [1.0, 2.0],
            [float("nan")],
            ValueError,
            r"boundaries\[0\]=\.\.\.\)` must be one number >= 0, got nan",
        ),
        ([1.0, 2.0], [True], TypeError, r"boundaries\[0\]=\.\.\.\)` must be one number >= 0, got True"),
        ([1.0, 2.0], [jnp.ones(2)], TypeError, r"boundaries\[0\]=.*shape \(2,\)"),
        (
            [1.0, 2.0, 3.0],
            [5, 4],
            ValueError,
            r"boundaries=\.\.\.\)` must be in increasing order, got .*5.*4",
        ),
        ([1.0, "2"], [5], TypeError, r"schedules\[1\]=\.\.\.\)` must be one finite number, got '2'"),
        (
            [1.0, float("inf")],
            [5],
            ValueError,
            r"schedules\[1\]=\.\.\.\)` must be one finite number, got inf",
        ),
    ],
)
def test_bad_joins_are_refused(schedules, boundaries, kind, message):
    with pytest.raises(kind, match=r"^`join_schedules\(" + message):
        lrjax.join_schedules(schedules, boundaries)


# Properties.

ULP = float(np.finfo(np.float32).eps)
positive = st.floats(2.0**-20, 8.0, width=32)
rates = st.just(0.0) | positive
spans = st.integers(1, 10**9)
T = 50  # steps looked at
fixed = settings(max_examples=40, deadline=None, derandomize=True, database=None)


def steps_of(horizon):
    """Steps from before the end to after it, in order."""
    return np.unique(np.linspace(0, 1.1 * horizon, T).astype(np.int64)).tolist()


def values_of(schedule, horizon, *landmarks):
    steps = sorted({*steps_of(horizon), *landmarks})
    return steps, values_at(schedule, steps)


@fixed
@given(first=rates, last=rates, span=spans)
def test_a_line_stays_between_its_ends_and_reaches_them(first, last, span):
    schedule = lrjax.linear_schedule(first, last, span)
    _, values = values_of(schedule, span)
    slack = ULP * max(first, last)
    assert values.min() >= min(first, last) - slack
    assert values.max() <= max(first, last) + slack
    assert np.all(np.diff(values) * np.sign(last - first) >= -slack)
    assert float(schedule(0)) == np.float32(first)
    assert float(schedule(span)) == float(schedule(3 * span)) == np.float32(last)


@fixed
@given(
    first=positive, span=spans, alpha=rates.filter(lambda a: a <= 1), exponent=st.floats(0.25, 8, width=32)
)
def test_a_cosine_falls_from_its_first_value_to_its_last(first, span, alpha, exponent):
    schedule = lrjax.cosine_decay_schedule(first, span, alpha, exponent)
    _, values = values_of(schedule, span)
    slack = 2 * ULP * first
    assert values.max() <= first + slack
    assert values.min() >= alpha * first - slack
    assert np.all(np.diff(values) <= slack)
    assert abs(float(schedule(0)) - first) <= slack
    assert float(schedule(span)) == float(schedule(2 * span)) == np.float32(first) * np.float32(alpha)


@fixed
@given(first=positive, span=spans, factor=st.floats(1e-3, 1e3), staircase=st.booleans(), bound=positive)
def test_an_exponential_moves_one_way_and_stops_at_its_bound(first, span, factor, staircase, bound):
    schedule = lrjax.exponential_decay(first, span, factor, staircase=staircase, end_value=bound)
    _, values = values_of(schedule, 3 * span, span)
    if factor < 1:
        assert values.min() >= np.float32(bound)
        assert np.all(np.diff(values) <= 0)
    else:
        assert values.max() <= np.float32(bound)
        assert np.all(np.diff(values) >= 0)
    free = lrjax.exponential_decay(first, span, factor, staircase=staircase)
    assert float(free(0)) == np.float32(first)
    assert float(free(span)) == pytest.approx(first * factor, rel=2e-6)
    held = np.maximum if factor < 1 else np.minimum
    _, unbounded = values_of(free, 3 * span, span)
    np.testing.assert_allclose(values, held(unbounded, np.float32(bound)), rtol=2 * ULP)  # of two programs


@fixed
@given(first=rates, peak=positive, last=rates, warmup=st.integers(0, 10**6), decay=spans)
def test_a_warmup_rises_to_its_peak_and_the_decay_falls_from_it(first, peak, last, warmup, decay):
    first, last = min(first, peak), min(last, peak)
    schedule = lrjax.warmup_cosine_decay_schedule(first, peak, warmup, warmup + decay, last)
    steps, values = values_of(schedule, warmup + decay, warmup, max(warmup - 1, 0), warmup + decay)
    rising, falling = values[: steps.index(warmup) + 1], values[steps.index(warmup) :]
    slack = 2 * ULP * peak
    assert np.all(np.diff(rising) >= -slack)
    assert np.all(np.diff(falling) <= slack)
    assert values.min() >= min(first, last) - slack
    assert values.max() <= peak + slack
    assert abs(values[steps.index(warmup)] - peak) <= slack
    assert float(schedule(0)) == (np.float32(first) if warmup else pytest.approx(peak, abs=slack))
    assert float(schedule(warmup + decay)) == float(schedule(2 * (warmup + decay))) == np.float32(last)


@fixed
@given(peak=positive, warmup=st.integers(1, 10**6))
def test_a_warmup_from_zero_never_steps_back(peak, warmup):
    schedule = lrjax.warmup_cosine_decay_schedule(0.0, peak, warmup, 10 * warmup)
    values = values_at(schedule, np.arange(min(warmup, 200)))
    assert values[0] == 0.0
    assert np.all(np.diff(values) > 0)


@fixed
@given(peak=positive, warmup=st.integers(1, 10**4), decay=st.integers(2, 10**4))
def test_a_warmup_joined_to_a_cosine_is_continuous_and_is_the_whole(peak, warmup, decay):
    whole = lrjax.warmup_cosine_decay_schedule(0.0, peak, warmup, warmup + decay)
    near = warmup + np.arange(-3, 4)
    values = values_at(whole, near)
    steepest = peak * np.where(near[1:] <= warmup, 1 / warmup, np.pi / 2 / decay)
    assert np.all(np.abs(np.diff(values)) <= steepest + 2 * ULP * peak)

    parts = [lrjax.linear_schedule(0.0, peak, warmup), lrjax.cosine_decay_schedule(peak, decay)]
    values_joined = jitted_join(near, jnp.float32(peak), warmup, decay)
    assert lrjax.join_schedules(parts, [warmup]).closed_form is not None
    np.testing.assert_allclose(values_joined, values, rtol=0, atol=2 * ULP * peak)


@jax.jit
def jitted_join(counts, peak, warmup, decay):
    parts = [lrjax.linear_schedule(0.0, peak, warmup), lrjax.cosine_decay_schedule(peak, decay)]
    return lrjax.join_schedules(parts, [warmup])(counts)


@fixed
@given(
    values=st.lists(rates, min_size=3, max_size=3),
    boundaries=st.lists(st.integers(0, 40), min_size=2, max_size=2).map(sorted),
)
def test_a_join_gives_the_value_of_the_part_whose_turn_it_is(values, boundaries):
    got = jitted_constants(jnp.arange(T), jnp.array(values), jnp.array(boundaries))
    want = np.float32(values)[np.searchsorted(boundaries, np.arange(T), side="right")]
    np.testing.assert_array_equal(got, want)


@jax.jit
def jitted_constants(counts, values, boundaries):
    return lrjax.join_schedules(list(values), list(boundaries))(counts)
