"""One table of schedules, and the laws that every one of them keeps."""

import dataclasses
import inspect
import typing
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lrjax
from tests.schedules.driven import ALGEBRA, DRIVEN

# The table. An argument is listed with three values; the first is the one used where it is not the subject.
# All are exact in float32, so that a Python number and a traced one mean the same.


@dataclasses.dataclass(frozen=True)
class Case:
    function: Callable[..., lrjax.Schedule]
    numbers: dict[str, tuple[float, float, float]]
    static: dict[str, Any] = dataclasses.field(default_factory=dict)
    make: Callable[..., lrjax.Schedule] | None = (
        None  # where the numbers are not the function's own arguments
    )
    flat: frozenset[str] = frozenset()  # numbers whose derivative is zero everywhere

    @property
    def first(self):
        return {name: values[0] for name, values in self.numbers.items()}

    def __call__(self, **numbers):
        return (self.make or self.function)(**(self.first | numbers), **self.static)

    def __str__(self):
        return "-".join([self.function.__name__, *map(str, self.static.values())])


def joined_lines(value, span, first_boundary, second_boundary):
    parts = [lrjax.linear_schedule(0.0, value, span), value, lambda count: 0.5 / (1 + count)]
    return lrjax.join_schedules(parts, [first_boundary, second_boundary])


EXPONENTIAL = {
    "init_value": (1.0, 0.5, 2.0),
    "transition_steps": (4, 1, 8),
    "decay_rate": (0.5, 0.25, 2.0),
    "transition_begin": (2, 0, 5),
}
WARMUP = {
    "init_value": (0.25, 0.0, 1.0),
    "peak_value": (1.0, 0.5, 2.0),
    "warmup_steps": (4, 1, 6),
    "decay_steps": (10, 9, 12),
    "end_value": (0.125, 0.0, 0.5),
    "exponent": (1.0, 0.5, 3.0),
}
CASES = [
    Case(lrjax.constant_schedule, {"value": (0.25, 0.5, 1.0)}),
    Case(
        lrjax.linear_schedule,
        {
            "init_value": (1.0, 0.5, 0.0),
            "end_value": (0.125, 1.0, -0.5),
            "transition_steps": (8, 1, 5),
            "transition_begin": (3, 0, 1),
        },
    ),
    Case(
        lrjax.cosine_decay_schedule,
        {
            "init_value": (1.0, 0.5, 2.0),
            "decay_steps": (9, 1, 12),
            "alpha": (0.125, 0.0, 0.5),
            "exponent": (2.0, 1.0, 0.5),
        },
    ),
    Case(lrjax.exponential_decay, EXPONENTIAL),
    Case(lrjax.exponential_decay, EXPONENTIAL | {"end_value": (0.375, 0.25, 0.0)}),
    Case(
        lrjax.exponential_decay,
        EXPONENTIAL,
        static={"staircase": True},
        flat=frozenset({"transition_steps", "transition_begin"}),
    ),
    Case(lrjax.warmup_cosine_decay_schedule, WARMUP),
    Case(
        lrjax.warmup_cosine_decay_schedule,
        {
            name: values
            for name, values in WARMUP.items()
            if name not in ("init_value", "warmup_steps", "exponent")
        },
        static={"init_value": 0.5, "warmup_steps": 0, "exponent": 0.5},
    ),
    Case(
        lrjax.join_schedules,
        {
            "value": (1.0, 0.5, 2.0),
            "span": (8, 2, 4),
            "first_boundary": (4, 1, 6),
            "second_boundary": (9, 7, 11),
        },
        make=joined_lines,
        flat=frozenset({"first_boundary"}),  # the parts it divides do not depend on where they begin
    ),
]
STEPS = 14
COUNTS = jnp.arange(STEPS)

every_case = pytest.mark.parametrize("case", CASES, ids=str)
every_number = pytest.mark.parametrize(
    ("case", "name"), [(case, name) for case in CASES for name in case.numbers], ids=str
)


def public_schedules():
    """Every function in lrjax's namespace that is annotated to return a `Schedule`."""
    functions = [f for name, f in vars(lrjax).items() if inspect.isfunction(f) and not name.startswith("_")]
    return {f for f in functions if typing.get_type_hints(f).get("return") is lrjax.Schedule}


def test_every_public_schedule_is_in_the_table():
    assert len(public_schedules()) >= 6
    assert public_schedules() == {case.function for case in CASES} | ALGEBRA | DRIVEN


@pytest.mark.parametrize("function", {case.function: None for case in CASES}, ids=lambda f: f.__name__)
def test_every_number_of_every_schedule_is_in_the_table(function):
    if function is lrjax.join_schedules:
        return  # its numbers are boundaries, in a list
    listed = set().union(
        *(case.numbers.keys() | case.static.keys() for case in CASES if case.function is function)
    )
    assert listed == set(inspect.signature(function).parameters)


def leaves_of(state):
    return [(x.shape, x.dtype, x.weak_type) for x in jax.tree.leaves(state)]


def run(schedule, steps=STEPS):
    """The pair, called step by step."""
    init, update = schedule
    state, values = init(), []
    for _ in range(steps):
        value, state = update(state)
        values.append(value)
    return jnp.stack(values)


def scanned(schedule, steps=STEPS):
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


@every_case
def test_the_pair_gives_the_closed_form_exactly(case):
    schedule = case()
    np.testing.assert_array_equal(run(schedule), [schedule.at(count) for count in range(STEPS)])


@every_case
def test_calling_is_the_closed_form(case):
    schedule = case()
    np.testing.assert_array_equal(schedule(COUNTS), schedule.at(COUNTS))


@every_case
def test_values_are_strong_float32_scalars(case):
    schedule = case()
    for value in (
        schedule.update(schedule.init())[0],
        jax.jit(schedule.update)(schedule.init())[0],
        schedule(3),
    ):
        assert (value.shape, value.dtype, value.weak_type) == ((), jnp.float32, False)


@every_case
def test_the_state_keeps_its_types(case):
    schedule = case()
    before = schedule.init()
    after = schedule.update(before)[1]
    assert jax.tree.structure(before) == jax.tree.structure(after)
    assert leaves_of(before) == leaves_of(after)
    assert all(dtype == jnp.int32 and not weak for _, dtype, weak in leaves_of(before))


@every_case
def test_types_are_the_same_under_x64(case):
    with jax.enable_x64(True):
        schedule = case()
        value, state = schedule.update(schedule.init())
        assert value.dtype == schedule(3).dtype == schedule(np.int64(3)).dtype == jnp.float32
        assert leaves_of(schedule.init()) == leaves_of(state)
        assert all(dtype == jnp.int32 for _, dtype, _ in leaves_of(state))


@every_case
def test_compiled_is_eager(case):
    schedule = case()
    want = np.asarray(schedule(COUNTS))
    assert_ulps(jax.jit(schedule)(COUNTS), want)
    assert_ulps(jax.jit(jax.vmap(schedule))(COUNTS), want)


@every_case
def test_scan_is_the_closed_form(case):
    schedule = case()
    assert_ulps(jax.jit(lambda: scanned(schedule))(), np.asarray(schedule(COUNTS)))


@every_case
def test_one_trace_serves_every_step_and_every_number(case):
    traces = 0

    @jax.jit
    def step(state, numbers):
        nonlocal traces
        traces += 1
        schedule = case(**numbers)
        value, state = schedule.update(state)
        return value, schedule(5), state

    state = case().init()
    for i in (0, 1, 2, 0):
        numbers = {name: jnp.asarray(values[i]) for name, values in case.numbers.items()}
        *_, state = step(state, numbers)
    assert traces == 1


@every_number
def test_vmap_over_a_number_is_a_loop(case, name):
    values = case.numbers[name]
    got = jax.jit(jax.vmap(lambda value: case(**{name: value})(COUNTS)))(jnp.asarray(values))
    want = np.stack([case(**{name: value})(COUNTS) for value in values])
    assert len({row.tobytes() for row in want}) == 3, "the three values are told apart"
    assert_ulps(got, want, ulps=4)


@every_case
def test_vmap_of_the_pair_over_all_numbers_is_a_loop(case):
    stacked = {name: jnp.asarray(values) for name, values in case.numbers.items()}
    got = jax.jit(jax.vmap(lambda numbers: scanned(case(**numbers))))(stacked)
    for i in range(3):
        want = case(**{name: values[i] for name, values in case.numbers.items()})(COUNTS)
        assert_ulps(got[i], np.asarray(want), ulps=4)


@every_case
def test_gradients_are_finite(case):
    numbers = {name: jnp.asarray(values[0], jnp.float32) for name, values in case.numbers.items()}

    def values(numbers):
        return case(**numbers)(COUNTS)

    forward, reverse = jax.jit(lambda n: (jax.jacfwd(values)(n), jax.jacrev(values)(n)))(numbers)
    for name in numbers:
        assert np.isfinite(forward[name]).all(), name
        np.testing.assert_allclose(forward[name], reverse[name], rtol=1e-5, atol=1e-6)
        assert np.any(forward[name] != 0) == (name not in case.flat), name


@pytest.mark.parametrize("case", [case for case in CASES if case.make is None], ids=str)
def test_gradients_are_slopes(case):
    """Against central differences of the same closed form, where it is smooth."""
    names = [n for n in ("init_value", "value", "peak_value", "end_value", "alpha") if n in case.numbers]

    def at(name, value):
        return case(**{name: value})(COUNTS)

    for name in names:
        if name == "end_value" and case.function is lrjax.exponential_decay:
            continue  # a bound, not smooth
        if name == "init_value" and "end_value" in case.numbers and case.function is lrjax.exponential_decay:
            continue
        x, h = float(case.numbers[name][0]), 2.0**-6
        slope = (np.asarray(at(name, x + h)) - np.asarray(at(name, x - h))) / (2 * h)
        gradient = jax.jacfwd(lambda value, name=name: at(name, value))(jnp.float32(x))
        np.testing.assert_allclose(gradient, slope, atol=2e-5)


@every_case
def test_a_schedule_is_one_frozen_leaf(case):
    schedule = case()
    assert jax.tree.leaves(schedule) == [schedule]
    assert jax.tree.map(lambda x: x, {"schedule": schedule})["schedule"] is schedule
    with pytest.raises(dataclasses.FrozenInstanceError):
        schedule.init = None
    assert hash(schedule) == hash(schedule)


@every_case
def test_unknown_signals_are_ignored(case):
    schedule = case()
    value, state = schedule.update(schedule.init(), value=jnp.nan, grad_norm=1.0, anything=None)
    plain_value, plain_state = schedule.update(schedule.init())
    assert value == plain_value
    assert all(jax.tree.leaves(jax.tree.map(jnp.array_equal, state, plain_state)))


@every_case
def test_the_clock_stops_at_the_last_int32_instead_of_wrapping(case):
    schedule, last = case(), 2**31 - 1
    state = jax.tree.map(lambda count: jnp.full_like(count, last), schedule.init())
    value, after = schedule.update(state)
    assert np.isfinite(value)
    assert all(int(count) in (0, last) for count in jax.tree.leaves(after))
    np.testing.assert_array_equal(*map(jnp.stack, map(jax.tree.leaves, (state, after))))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), True, "1", jnp.ones(2)], ids=repr)
@pytest.mark.parametrize(
    ("case", "name"),
    [(case, name) for case in CASES if case.make is None and not case.static for name in case.numbers],
    ids=str,
)
def test_bad_numbers_are_refused_by_name(case, name, bad):
    kind = ValueError if isinstance(bad, float) else TypeError
    with pytest.raises(
        kind, match=rf"^`{case.function.__name__}\({name}=\.\.\.\)` must be .*, got "
    ) as error:
        case(**{name: bad})
    assert ("lrjax.sweep" in str(error.value)) == isinstance(bad, jax.Array)


NEGATIVE = ["decay_rate", "exponent", "transition_steps", "transition_begin", "decay_steps", "warmup_steps"]


@pytest.mark.parametrize(
    ("case", "name"),
    [(case, name) for case in CASES if not case.static for name in case.numbers if name in NEGATIVE],
    ids=str,
)
def test_negative_steps_rates_and_exponents_are_refused(case, name):
    with pytest.raises(ValueError, match=rf"\({name}=\.\.\.\)` must be one number >=? 0, got -1"):
        case(**{name: -1})


def test_a_warmup_as_long_as_the_schedule_is_refused():
    with pytest.raises(ValueError, match=r"\(decay_steps=\.\.\.\)` must be greater than warmup_steps=10"):
        lrjax.warmup_cosine_decay_schedule(0.0, 1.0, warmup_steps=10, decay_steps=10)


def test_staircase_is_a_bool():
    with pytest.raises(TypeError, match=r"`exponential_decay\(staircase=\.\.\.\)` must be True or False"):
        lrjax.exponential_decay(1.0, 10, 0.5, staircase=1)


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
T = 50  # steps looked at; a fixed number, so that JAX compiles once
fixed = settings(max_examples=40, deadline=None, derandomize=True, database=None)


def steps_of(horizon):
    """Steps from before the end to after it, in order."""
    return np.unique(np.linspace(0, 1.1 * horizon, T).astype(np.int64)).tolist()


def values_of(schedule, horizon, *landmarks):
    steps = sorted({*steps_of(horizon), *landmarks})
    padded = np.resize(steps, T + 10)  # repeats from the start, cut off below
    return steps, np.asarray(schedule(padded), np.float64)[: len(steps)]


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
    steps, values = values_of(schedule, 3 * span, span)
    if factor < 1:
        assert values.min() >= np.float32(bound)
        assert np.all(np.diff(values) <= 0)
    else:
        assert values.max() <= np.float32(bound)
        assert np.all(np.diff(values) >= 0)
    free = lrjax.exponential_decay(first, span, factor, staircase=staircase)
    assert float(free(0)) == np.float32(first)
    assert float(free(span)) == pytest.approx(first * factor, rel=2e-6)
    assert values[steps.index(span)] == np.float32(
        max(free(span), bound) if factor < 1 else min(free(span), bound)
    )


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
    values = np.asarray(schedule(np.resize(np.arange(min(warmup, 200)), 200)))[: min(warmup, 200)]
    assert values[0] == 0.0
    assert np.all(np.diff(values) > 0)


@fixed
@given(peak=positive, warmup=st.integers(1, 10**4), decay=st.integers(2, 10**4))
def test_a_warmup_joined_to_a_cosine_is_continuous_and_is_the_whole(peak, warmup, decay):
    whole = lrjax.warmup_cosine_decay_schedule(0.0, peak, warmup, warmup + decay)
    near = warmup + np.arange(-3, 4)
    values = np.asarray(whole(near), np.float64)
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
