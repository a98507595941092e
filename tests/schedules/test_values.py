"""Schedules against a NumPy float64 transcription of their formulas, and against optax."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lrjax
from tests.oracles import schedules as oracle
from tests.schedules.table import values_at

ACCURACY = 1e-6  # of the peak, at any step (DESIGN.md, "Numbers that must hold")


def vectorised(function):
    """A transcription of one step, over an array of steps."""
    return lambda t, *values, **numbers: oracle.over(t, function, *values, **numbers)


linear, exponential, cosine = map(vectorised, (oracle.linear, oracle.exponential, oracle.cosine))
ORACLES = {
    lrjax.constant_schedule: vectorised(oracle.constant),
    lrjax.linear_schedule: linear,
    lrjax.cosine_decay_schedule: cosine,
    lrjax.exponential_decay: exponential,
    lrjax.warmup_cosine_decay_schedule: vectorised(oracle.warmup_cosine),
}

SHORT = [
    (lrjax.constant_schedule, dict(value=0.3)),
    (lrjax.constant_schedule, dict(value=0)),
    (lrjax.linear_schedule, dict(init_value=0.1, end_value=0.7, transition_steps=17)),
    (lrjax.linear_schedule, dict(init_value=1.0, end_value=-0.5, transition_steps=30, transition_begin=9)),
    (lrjax.linear_schedule, dict(init_value=0.4, end_value=0.1, transition_steps=0)),
    (lrjax.linear_schedule, dict(init_value=0.4, end_value=0.1, transition_steps=1, transition_begin=3)),
    (lrjax.linear_schedule, dict(init_value=0.4, end_value=0.1, transition_steps=12.5, transition_begin=2.5)),
    (lrjax.cosine_decay_schedule, dict(init_value=0.3, decay_steps=41)),
    (lrjax.cosine_decay_schedule, dict(init_value=0.3, decay_steps=41, alpha=0.1, exponent=2.0)),
    (lrjax.cosine_decay_schedule, dict(init_value=2.0, decay_steps=7, alpha=0.5, exponent=0.3)),
    (lrjax.cosine_decay_schedule, dict(init_value=2.0, decay_steps=1)),
    (lrjax.exponential_decay, dict(init_value=0.2, transition_steps=20, decay_rate=0.3)),
    (lrjax.exponential_decay, dict(init_value=0.2, transition_steps=1, decay_rate=0.9)),
    (lrjax.exponential_decay, dict(init_value=0.2, transition_steps=7, decay_rate=0.5, staircase=True)),
    (
        lrjax.exponential_decay,
        dict(init_value=0.2, transition_steps=7, decay_rate=0.5, transition_begin=5, staircase=True),
    ),
    (
        lrjax.exponential_decay,
        dict(init_value=0.2, transition_steps=7, decay_rate=0.5, transition_begin=11, end_value=0.03),
    ),
    (lrjax.exponential_decay, dict(init_value=1e-4, transition_steps=40, decay_rate=1e4)),
    (lrjax.exponential_decay, dict(init_value=0.01, transition_steps=9, decay_rate=3.0, end_value=0.5)),
    (lrjax.exponential_decay, dict(init_value=0.2, transition_steps=9, decay_rate=0.0, end_value=0.5)),
    (lrjax.exponential_decay, dict(init_value=0.2, transition_steps=9, decay_rate=1.0, end_value=0.5)),
    (lrjax.exponential_decay, dict(init_value=0.2, transition_steps=0, decay_rate=0.5, end_value=0.5)),
    (
        lrjax.warmup_cosine_decay_schedule,
        dict(init_value=0.0, peak_value=0.3, warmup_steps=10, decay_steps=45),
    ),
    (
        lrjax.warmup_cosine_decay_schedule,
        dict(init_value=0.1, peak_value=0.3, warmup_steps=0, decay_steps=45, end_value=0.02, exponent=1.7),
    ),
    (
        lrjax.warmup_cosine_decay_schedule,
        dict(init_value=0.5, peak_value=0.3, warmup_steps=44, decay_steps=45, end_value=0.6, exponent=0.6),
    ),
    (
        lrjax.warmup_cosine_decay_schedule,
        dict(init_value=0.5, peak_value=0.0, warmup_steps=5, decay_steps=25, end_value=0.25),
    ),
]


def case_id(case):
    function, arguments = case
    return f"{function.__name__}({', '.join(f'{k}={v}' for k, v in arguments.items())})"


def assert_within(got, want, accuracy=ACCURACY, peak=None):
    peak = np.max(np.abs(want)) if peak is None else peak
    np.testing.assert_allclose(np.asarray(got, np.float64), want, rtol=0, atol=accuracy * peak)


@functools.cache
def jitted(function, **static):
    return jax.jit(lambda t, numbers: function(**numbers, **static)(t))


def traced(function, t, arguments):
    """The values where both the steps and every number are tracers."""
    static = {name: value for name, value in arguments.items() if isinstance(value, bool)}
    numbers = {name: jnp.asarray(value) for name, value in arguments.items() if name not in static}
    return values_at(lambda t: jitted(function, **static)(jnp.asarray(t, jnp.int32), numbers), t)


@pytest.mark.parametrize("case", SHORT, ids=case_id)
def test_every_step_of_a_short_horizon(case):
    function, arguments = case
    t = np.arange(60)
    schedule = function(**arguments)
    want = ORACLES[function](t, **arguments)
    assert_within(values_at(schedule, t), want)
    assert_within(traced(function, t, arguments), want)
    assert_within([schedule(int(step)) for step in t], want)


@pytest.mark.parametrize(("function", "oracle"), ORACLES.items(), ids=lambda f: f.__name__)
def test_every_schedule_has_a_case(function, oracle):
    del oracle
    assert any(case[0] is function for case in SHORT)


HUGE = [
    (lrjax.linear_schedule, lambda n: dict(init_value=1.0, end_value=0.0, transition_steps=n)),
    (
        lrjax.linear_schedule,
        lambda n: dict(init_value=0.0, end_value=0.3, transition_steps=n // 3, transition_begin=n // 2),
    ),
    (lrjax.cosine_decay_schedule, lambda n: dict(init_value=0.3, decay_steps=n, alpha=0.01)),
    (lrjax.cosine_decay_schedule, lambda n: dict(init_value=3.0, decay_steps=n, exponent=1.5)),
    (lrjax.exponential_decay, lambda n: dict(init_value=0.3, transition_steps=n, decay_rate=1e-3)),
    (
        lrjax.exponential_decay,
        lambda n: dict(
            init_value=0.3, transition_steps=n // 7, decay_rate=0.5, transition_begin=n // 9, staircase=True
        ),
    ),
    (
        lrjax.warmup_cosine_decay_schedule,
        lambda n: dict(init_value=0.0, peak_value=0.3, warmup_steps=n // 10, decay_steps=n, end_value=1e-3),
    ),
]


def landmarks(n, *, beyond):
    """Steps where something happens, their neighbours, the last ones, and a few hundred others."""
    at = [0, n // 10, n // 9, n // 7 + n // 9, n // 3, n // 2, n // 2 + n // 3, n]
    near = [t + d for t in at for d in (-10, -2, -1, 0, 1, 2, 10)]
    others = np.random.default_rng(0).integers(0, n, 300).tolist()
    return np.array([t for t in near + others if 0 <= t <= beyond])


@pytest.mark.parametrize("horizon", [10**5, 10**6, 10**9])
@pytest.mark.parametrize(("function", "arguments"), HUGE, ids=lambda x: getattr(x, "__name__", ""))
def test_long_horizons(function, arguments, horizon):
    arguments = arguments(horizon)
    t = landmarks(horizon, beyond=horizon + 10)
    want = ORACLES[function](t, **arguments)
    assert_within(values_at(function(**arguments), t), want)
    assert_within(traced(function, t, arguments), want)


@pytest.mark.parametrize("horizon", [2**31, 3 * 10**9, 10**12])
@pytest.mark.parametrize(("function", "arguments"), HUGE, ids=lambda x: getattr(x, "__name__", ""))
def test_horizons_past_int32_do_not_overflow(function, arguments, horizon):
    # Past 2**24 a float32 step is inexact, so the jumps of a staircase are placed to 6e-8 of the horizon.
    arguments = arguments(horizon)
    t = np.random.default_rng(0).integers(0, int(1.1 * horizon), 300)
    t = np.concatenate([[horizon + 1, 2**31, 0, 1, 2**31 - 2, 2**31 - 1, horizon], t])
    if arguments.get("staircase"):
        period, begin = arguments["transition_steps"], arguments["transition_begin"]
        phase = ((t - begin) / period) % 1
        t = t[(phase > 1e-4) & (phase < 1 - 1e-4) | (t < begin)]
    want = ORACLES[function](t, **arguments)
    schedule = function(**arguments)
    assert_within(values_at(schedule, t), want)
    assert_within([schedule(int(step)) for step in t[:3]], want[:3], peak=want.max())


def test_counts_past_int32_are_the_same_alone_and_in_an_array():
    schedule = lrjax.linear_schedule(1.0, 0.0, 3 * 10**9)
    count = 2_900_000_000
    alone = float(schedule(count))
    assert alone == pytest.approx(1 / 30, rel=1e-5)
    for same in (np.int64(count), np.array(count), np.array([count]), np.uint32(count), jnp.uint32(count)):
        np.testing.assert_array_equal(schedule(same), np.full(np.shape(same), alone, np.float32))


def test_a_traced_count_past_int32_saturates():
    schedule = lrjax.linear_schedule(1.0, 0.0, 10**6)
    assert float(jax.jit(schedule)(jnp.uint32(2**32 - 1))) == 0.0
    with jax.enable_x64(True):
        assert float(jax.jit(schedule)(jnp.asarray(2**40))) == 0.0


def test_the_last_steps_of_a_late_short_span_are_exact():
    """Integer steps are subtracted before they become floats."""
    begin = 10**9
    t = begin + np.arange(-3, 104)
    schedule = lrjax.linear_schedule(0.0, 1.0, transition_steps=100, transition_begin=begin)
    early = np.clip(t - begin, 0, None)
    got = values_at(schedule, t)
    np.testing.assert_array_equal(got, values_at(lrjax.linear_schedule(0.0, 1.0, 100), early))
    assert_within(got, linear(early, 0.0, 1.0, 100), accuracy=1e-7)
    joined = lrjax.join_schedules([0.0, lrjax.linear_schedule(0.0, 1.0, 100)], [begin])
    np.testing.assert_array_equal(values_at(joined, t), got)


@pytest.mark.parametrize("horizon", [10**5, 10**6, 10**9])
def test_the_tail_of_the_cosine_keeps_its_digits(horizon):
    """Ten steps from the end at 1e5, 1 + cos(x) in float32 is off by 21 %."""
    left = np.arange(1, 101)
    c = np.sin(np.pi / 2 * left / horizon) ** 2  # = (1 + cos(pi t / T)) / 2 without cancellation
    for schedule in (
        lrjax.cosine_decay_schedule(0.3, horizon),
        lrjax.warmup_cosine_decay_schedule(0.0, 0.3, horizon // 4, horizon + horizon // 4),
        lrjax.join_schedules([0.1, lrjax.cosine_decay_schedule(0.3, horizon)], [horizon // 4]),
    ):
        shift = 0 if schedule(0) > 0.2 else horizon // 4
        got = values_at(schedule, horizon + shift - left)
        np.testing.assert_allclose(got, 0.3 * c, rtol=1e-6)


@pytest.mark.parametrize("horizon", [10**5, 10**6, 10**9])
def test_the_tail_of_a_line_keeps_its_digits(horizon):
    left = np.arange(0, 101)
    got = values_at(lrjax.linear_schedule(0.3, 0.0, horizon), horizon - left)
    np.testing.assert_allclose(got, 0.3 * left / horizon, rtol=1e-6)


# Joins.


def test_join_at_every_step():
    parts = [
        lrjax.linear_schedule(0.0, 1.0, 5),
        0.7,
        lrjax.cosine_decay_schedule(2.0, 12, 0.1),
        lambda count: 0.01 * count,
    ]
    schedule = lrjax.join_schedules(parts, [5, 9, 30])
    t = np.arange(60)
    want = np.select(
        [t < 5, t < 9, t < 30],
        [linear(t, 0.0, 1.0, 5), np.full(t.shape, 0.7), cosine(np.maximum(t - 9, 0), 2.0, 12, 0.1)],
        0.01 * (t - 30),
    )
    assert_within(values_at(schedule, t), want)
    assert_within(values_at(jax.jit(schedule), t), want)
    alone = [4, 5, 30]
    assert_within([schedule(step) for step in alone], want[alone], peak=want.max())


@pytest.mark.parametrize("horizon", [10**5, 10**6, 10**9, 10**12])
def test_join_over_long_horizons(horizon):
    tail = lrjax.exponential_decay(0.3, horizon // 2, 0.01)
    schedule = lrjax.join_schedules([lrjax.linear_schedule(0.0, 0.3, horizon // 2), tail], [horizon // 2])
    t = landmarks(horizon, beyond=horizon)
    late = exponential(np.maximum(t - horizon // 2, 0), 0.3, horizon // 2, 0.01)
    want = np.where(t < horizon // 2, linear(t, 0.0, 0.3, horizon // 2), late)
    assert_within(values_at(schedule, t), want)


def test_join_of_one_schedule_is_that_schedule():
    t = np.arange(20)
    line = lrjax.linear_schedule(1.0, 0.0, 10)
    np.testing.assert_array_equal(values_at(lrjax.join_schedules([line], []), t), values_at(line, t))


def test_equal_boundaries_skip_a_part():
    schedule = lrjax.join_schedules([1.0, 2.0, 3.0], [4, 4])
    np.testing.assert_array_equal(values_at(schedule, np.arange(6)), [1, 1, 1, 1, 3, 3])
    assert float(lrjax.join_schedules([1.0, 2.0], [0])(0)) == 2.0


# optax, the second oracle.


OPTAX_ONLY = [
    (lrjax.linear_schedule, dict(init_value=0.4, end_value=0.1, transition_steps=0, transition_begin=3)),
    (lrjax.cosine_decay_schedule, dict(init_value=0.4, decay_steps=150, alpha=0.3, exponent=3.0)),
    (
        lrjax.exponential_decay,
        dict(init_value=0.2, transition_steps=60, decay_rate=0.5, transition_begin=20, staircase=True),
    ),
    (
        lrjax.exponential_decay,
        dict(init_value=0.2, transition_steps=9, decay_rate=0.8, transition_begin=30, end_value=0.3),
    ),
    (
        lrjax.warmup_cosine_decay_schedule,
        dict(init_value=0.0, peak_value=1.0, warmup_steps=0, decay_steps=180, end_value=0.1, exponent=2.0),
    ),
]
# With a peak of 0, optax drops the end value (it keeps the ratio of the two); lrjax does not.
IN_OPTAX = [case for case in SHORT if case[1].get("peak_value") != 0.0] + OPTAX_ONLY


@pytest.mark.parametrize("case", IN_OPTAX, ids=case_id)
def test_optax_agrees(case):
    function, arguments = case
    t = np.arange(200)
    with np.errstate(over="ignore"):  # a growing schedule leaves float32 within 200 steps
        want = values_at(jax.vmap(getattr(optax, function.__name__)(**arguments)), t)
    got = values_at(function(**arguments), t)
    sane = np.abs(want) < 1e4
    assert sane[:40].all()
    assert_within(got[sane], want[sane], accuracy=2e-6)  # both round in float32


def test_optax_agrees_on_joins():
    def build(library):
        return library.join_schedules(
            [
                library.linear_schedule(0.0, 1.0, 20),
                library.constant_schedule(0.8),
                library.exponential_decay(0.8, 10, 0.5, staircase=True),
            ],
            [20, 77],
        )

    t = np.arange(200)
    assert_within(values_at(build(lrjax), t), values_at(jax.vmap(build(optax)), t))


@pytest.mark.parametrize("function", [*ORACLES, lrjax.join_schedules], ids=lambda f: f.__name__)
def test_signatures_are_optax_s(function):
    def shape(f):
        return [(p.name, p.default, p.kind) for p in inspect.signature(f).parameters.values()]

    assert shape(function) == shape(getattr(optax, function.__name__))


# What a count may be.


@pytest.mark.parametrize("case", SHORT[::4], ids=case_id)
def test_every_kind_of_count(case):
    function, arguments = case
    schedule, t = function(**arguments), 7
    want = np.asarray(schedule(t))
    kinds = [
        np.int64(t),
        np.int32(t),
        np.uint8(t),
        np.array(t),
        jnp.int32(t),
        jnp.uint32(t),
        jnp.float32(t),
        float(t),
        np.float64(t),
    ]
    for count in kinds:
        value = schedule(count)
        assert value.dtype == jnp.float32
        assert value.shape == ()
        np.testing.assert_array_max_ulp(np.asarray(value), want, maxulp=1)


@pytest.mark.parametrize(
    "schedule",
    [SHORT[0][0](**SHORT[0][1]), lrjax.linear_schedule(1.0, 0.0, 5), lrjax.join_schedules([1.0, 2.0], [3])],
    ids=["constant", "linear", "join"],
)
def test_arrays_of_counts_keep_their_shape(schedule):
    alone = [float(schedule(t)) for t in range(6)]
    for make in (np.arange, jnp.arange):
        value = schedule(make(6).reshape(2, 3))
        assert value.shape == (2, 3)
        np.testing.assert_array_equal(value, np.reshape(np.float32(alone), (2, 3)))
    assert schedule(np.zeros((0,), np.int32)).shape == (0,)


@pytest.mark.parametrize("count", [-1, np.int64(-(2**40))])
def test_before_the_first_step_the_value_is_the_first(count):
    assert float(lrjax.linear_schedule(1.0, 0.0, 10)(count)) == 1.0
    assert float(lrjax.cosine_decay_schedule(1.0, 10)(count)) == 1.0
    assert float(lrjax.join_schedules([lrjax.linear_schedule(0.5, 0.0, 10), 1.0], [3])(count)) == 0.5


def test_whole_floats_count_as_integers():
    linear = lrjax.linear_schedule(1.0, 0.0, 10, transition_begin=2e7)
    np.testing.assert_allclose([linear(20_000_000 + t) for t in range(4)], [1.0, 0.9, 0.8, 0.7], rtol=1e-6)
    joined = lrjax.join_schedules([lrjax.constant_schedule(1.0), lrjax.linear_schedule(1.0, 0.0, 10)], [2e7])
    np.testing.assert_allclose([joined(20_000_000 + t) for t in range(4)], [1.0, 0.9, 0.8, 0.7], rtol=1e-6)
    cosine = lrjax.warmup_cosine_decay_schedule(0.0, 1.0, 2e7, 2e7 + 10)
    assert abs(float(cosine(20_000_005)) - 0.5) < 1e-6
