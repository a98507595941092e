"""Faults measured in other libraries' schedules, each shown to be absent here."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lrjax
from tests.oracles import schedules as oracle
from tests.schedules.table import STEPS, values_at


def both(function, **numbers):
    """lrjax's and optax's values of the same name and numbers."""
    t = np.arange(60)
    ours, theirs = (getattr(library, function)(**numbers) for library in (lrjax, optax))
    return values_at(ours, t), values_at(jax.vmap(theirs), t)


AGREEING = [
    ("polynomial_schedule", dict(init_value=0.4, end_value=0.1, power=2.5, transition_steps=30)),
    (
        "polynomial_schedule",
        dict(init_value=0.1, end_value=0.4, power=0.5, transition_steps=30, transition_begin=9),
    ),
    ("polynomial_schedule", dict(init_value=0.1, end_value=0.4, power=2, transition_steps=0)),
    ("piecewise_constant_schedule", dict(init_value=0.4)),
    ("piecewise_constant_schedule", dict(init_value=0.4, boundaries_and_scales={20: 0.3, 5: 2.0, 40: 0.0})),
    *(
        (
            "piecewise_interpolate_schedule",
            dict(interpolate_type=kind, init_value=0.4, boundaries_and_scales={20: 0.3, 5: 2.0, 40: 0.5}),
        )
        for kind in ("linear", "cosine")
    ),
    ("linear_onecycle_schedule", dict(transition_steps=50, peak_value=0.4)),
    (
        "linear_onecycle_schedule",
        dict(
            transition_steps=41,
            peak_value=0.4,
            pct_start=0.21,
            pct_final=0.6,
            div_factor=7.0,
            final_div_factor=50.0,
        ),
    ),
    ("cosine_onecycle_schedule", dict(transition_steps=50, peak_value=0.4)),
    (
        "cosine_onecycle_schedule",
        dict(transition_steps=41, peak_value=0.4, pct_start=0.21, div_factor=7.0, final_div_factor=50.0),
    ),
    ("warmup_constant_schedule", dict(init_value=0.1, peak_value=0.4, warmup_steps=17)),
    (
        "warmup_exponential_decay_schedule",
        dict(init_value=0.1, peak_value=0.4, warmup_steps=17, transition_steps=8, decay_rate=0.6),
    ),
    (
        "warmup_exponential_decay_schedule",
        dict(
            init_value=0.1,
            peak_value=0.4,
            warmup_steps=7,
            transition_steps=8,
            decay_rate=0.6,
            transition_begin=5,
            staircase=True,
            end_value=0.2,
        ),
    ),
    (
        "sgdr_schedule",
        dict(
            cosine_kwargs=[
                dict(init_value=0.0, peak_value=0.4, warmup_steps=3, decay_steps=14),
                dict(init_value=0.1, peak_value=0.3, warmup_steps=0, decay_steps=20, exponent=2.0),
                dict(init_value=0.2, peak_value=0.5, warmup_steps=5, decay_steps=15, end_value=0.1),
            ]
        ),
    ),
]
FUNCTIONS = sorted({function for function, _ in AGREEING})


@pytest.mark.parametrize(("function", "numbers"), AGREEING, ids=str)
def test_optax_agrees_where_it_has_no_fault(function, numbers):
    ours, theirs = both(function, **numbers)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-6 * theirs.max())  # both round in float32


def test_every_schedule_of_optax_is_here():
    theirs = {
        n for n in dir(optax.schedules) if n[0] != "_" and n.endswith(("_schedule", "_decay", "_schedules"))
    }
    assert len(theirs) >= 14
    assert [name for name in theirs if not hasattr(lrjax, name)] == []


@pytest.mark.parametrize("function", FUNCTIONS)
def test_signatures_are_optax_s(function):
    def positional(f):
        named = inspect.signature(f).parameters.values()
        return [(p.name, p.default) for p in named if p.kind is not p.KEYWORD_ONLY]

    assert positional(getattr(lrjax, function)) == positional(getattr(optax, function))


# Tracers: optax raises, or fails under `vmap`.


TRACED = [
    (lrjax.polynomial_schedule, dict(init_value=1.0, end_value=0.0, power=2.0, transition_steps=8)),
    (
        lrjax.cosine_onecycle_schedule,
        dict(transition_steps=8, peak_value=1.0, pct_start=0.5, div_factor=2.0, final_div_factor=4.0),
    ),
    (
        lrjax.linear_onecycle_schedule,
        dict(
            transition_steps=8,
            peak_value=1.0,
            pct_start=0.25,
            pct_final=0.75,
            div_factor=2.0,
            final_div_factor=4.0,
        ),
    ),
    (lrjax.warmup_constant_schedule, dict(init_value=0.0, peak_value=1.0, warmup_steps=4)),
    (
        lrjax.warmup_exponential_decay_schedule,
        dict(
            init_value=0.0,
            peak_value=1.0,
            warmup_steps=4,
            transition_steps=4,
            decay_rate=0.5,
            transition_begin=2,
            end_value=0.1,
        ),
    ),
]


@pytest.mark.parametrize(("function", "numbers"), TRACED, ids=lambda x: getattr(x, "__name__", ""))
def test_every_number_may_be_a_tracer(function, numbers):
    t = np.arange(12)
    traced = jax.jit(lambda numbers: function(**numbers)(t))({k: jnp.asarray(v) for k, v in numbers.items()})
    np.testing.assert_allclose(traced, function(**numbers)(t), rtol=0, atol=3e-7)


def test_boundaries_and_cycles_may_be_tracers():
    def values(boundary, scale, span):
        pieces = [(boundary, scale), (9, 0.5)]
        cycle = dict(init_value=0.0, peak_value=scale, warmup_steps=1, decay_steps=span)
        schedules = [
            lrjax.piecewise_constant_schedule(1.0, pieces),
            lrjax.piecewise_interpolate_schedule("cosine", 1.0, pieces),
            lrjax.sgdr_schedule([cycle, cycle]),
            lrjax.multistep_schedule(1.0, [boundary, 9], scale),
        ]
        return jnp.stack([schedule(np.arange(12)) for schedule in schedules])

    numbers = [(3, 0.5, 4), (5, 0.25, 6)]
    got = jax.jit(jax.vmap(values))(*map(jnp.array, zip(*numbers, strict=True)))
    np.testing.assert_allclose(got, [values(*row) for row in numbers], rtol=0, atol=3e-7)


# One cycle.


def test_a_cosine_cycle_that_only_rises_rises():
    """optax's never does: both boundaries are one key of its dict."""
    values = values_at(lrjax.cosine_onecycle_schedule(10, 1.0, pct_start=1.0), np.arange(12))
    want = [oracle.half_cosine(t, 1 / 25, 1.0, 10) for t in range(10)] + [1 / 25e4] * 2
    np.testing.assert_allclose(values, want, atol=1e-6)
    assert np.all(np.diff(values[:10]) > 0)


def test_a_linear_cycle_without_a_last_phase_ends_at_the_last_value():
    """optax's ends elsewhere, for the same reason."""
    schedule = lrjax.linear_onecycle_schedule(10, 1.0, pct_final=1.0)
    assert float(schedule(10)) == float(schedule(99)) == pytest.approx(1 / 25e4)
    np.testing.assert_allclose(
        values_at(schedule, np.arange(3, 10)), [oracle.line(t, 1.0, 0.04, 7) for t in range(7)]
    )


@pytest.mark.parametrize("total", [1, 2, 3])
def test_a_cycle_of_few_steps_keeps_its_warmup(total):
    """optax's and torch's begin past the peak, or divide by zero."""
    count = np.arange(total + 3)
    low = 1 / 25
    for schedule in (
        lrjax.cosine_onecycle_schedule(total, 1.0),
        lrjax.linear_onecycle_schedule(total, 1.0),
        lrjax.onecycle_schedule(1.0, total),
        lrjax.onecycle_schedule(1.0, total, three_phase=True),
        lrjax.onecycle_schedule(1.0, total, pct_start=1 / total),
    ):
        values = values_at(schedule, count)
        assert values[0] == np.float32(low)
        np.testing.assert_allclose(values[total:], low / 1e4, rtol=1e-6)
        assert np.isfinite(values).all()
    for schedule in (lrjax.cosine_onecycle_schedule(total, 1.0), lrjax.linear_onecycle_schedule(total, 1.0)):
        assert total == 1 or float(schedule(1)) == 1.0


@pytest.mark.parametrize("pct_start", [0.0, 1.0])
@pytest.mark.parametrize("total", [1, 2, 3, 10])
def test_the_edges_of_torch_s_cycle(total, pct_start):
    for three_phase in (False, True):
        schedule = lrjax.onecycle_schedule(1.0, total, pct_start, three_phase=three_phase)
        values = values_at(schedule, np.arange(total + 2))
        assert np.isfinite(values).all()
        assert values.max() <= 1.0
        np.testing.assert_allclose(values[total:], 1 / 25e4, rtol=1e-6)
        if pct_start == 1 and total > 1:
            assert values[0] == np.float32(1 / 25)
            assert values[total - 1] == 1.0
            assert np.all(np.diff(values[:total]) > 0)


# Steps, horizons and the last digits.


LONG = [
    lambda n: lrjax.polynomial_schedule(1.0, 0.0, 1.0, n),
    lambda n: lrjax.warmup_polynomial_decay_schedule(0.0, 1.0, 0, n),
    lambda n: lrjax.wsd_schedule(1.0, 0, 0, n),
    lambda n: lrjax.piecewise_interpolate_schedule("linear", 1.0, {n: 0.0}),
]


@pytest.mark.parametrize("make", LONG)
@pytest.mark.parametrize("horizon", [2**31, 3 * 10**9, 10**12])
def test_transition_steps_past_int32_do_not_overflow(make, horizon):
    t = np.array([0, 10**6, 2**30, 2**31 - 1])
    np.testing.assert_allclose(values_at(make(horizon), t), 1 - t / horizon, rtol=0, atol=2e-7)


def test_sums_of_traced_steps_stay_at_the_largest_int32():
    billion = jnp.int32(1_500_000_000)
    t = np.array([0, 1_500_000_000, 2**31 - 2])
    values = jax.jit(lambda n: lrjax.wsd_schedule(1.0, n, n, n)(t))(billion)
    np.testing.assert_allclose(values, [0.0, 1.0, 1.0])
    cyclic = jax.jit(lambda n: lrjax.cyclic_schedule(0.0, 1.0, n)(t))(billion)
    assert np.isfinite(cyclic).all()


TAILS = [
    (
        "sgdr",
        lambda n: lrjax.sgdr_schedule([dict(init_value=0, peak_value=0.3, warmup_steps=0, decay_steps=n)]),
    ),
    ("restarts", lambda n: lrjax.cosine_restarts_schedule(0.3, n)),
    ("hard restarts", lambda n: lrjax.hard_restarts_schedule(0.3, 0, n)),
    ("k-decay", lambda n: lrjax.k_decay(0.3, n)),
    ("WSD", lambda n: lrjax.wsd_schedule(0.3, 0, 0, n, decay="cosine")),
]


@pytest.mark.parametrize("make", [make for _, make in TAILS], ids=[name for name, _ in TAILS])
@pytest.mark.parametrize("horizon", [10**5, 10**9])
def test_the_tails_of_cosines_keep_their_digits(make, horizon):
    """Ten steps from the end of 1e5, 1 + cos(x) in float32 is off by 21 %."""
    left = np.arange(1, 65)
    want = 0.3 * np.sin(np.pi / 2 * left / horizon) ** 2
    np.testing.assert_allclose(values_at(make(horizon), horizon - left), want, rtol=1e-6)


def test_whole_initial_rates_are_not_truncated():
    """keras makes 1, 0, 0 of an integer rate."""
    for schedule in (
        lrjax.exponential_decay(1, 10, 0.5),
        lrjax.step_schedule(1, 5, 0.5),
        lrjax.rex_schedule(1, 9),
    ):
        values = values_at(schedule, np.arange(1, 9))
        assert np.all(values[4:] > 0)
        assert np.all(values[5:] < 1)


def test_a_thousand_steps_are_a_thousand_values():
    """A rate in bfloat16 has 589 of them."""
    values = values_at(lrjax.wsd_schedule(1.0, 0, 0, 1000, decay="cosine"), np.arange(1000))
    assert len(np.unique(values)) > 950


def test_a_rate_repeated_often_keeps_its_digits():
    """0.999 is not a float32: its ten-thousandth power would be off by 1.3e-4."""
    for schedule in (
        lrjax.step_schedule(1.0, 1, 0.999),
        lrjax.exponential_decay(1.0, 1, 0.999),
        lrjax.cyclic_schedule(0.0, 1.0, 1, 1, "exp_range", 0.999),
    ):
        t = np.array([1, 101, 1001, 10001])
        np.testing.assert_allclose(values_at(schedule, t), 0.999**t, rtol=1e-6)


def test_restarts_at_their_exact_steps():
    """Cycles of 7 * 2^i and of 10 steps, near a billion."""
    growing = lrjax.cosine_restarts_schedule(1.0, 7, 2)
    begins = [7 * (2**i - 1) for i in range(7, 28)]
    steps = np.array([0, *(begin + d for begin in begins for d in (-1, 0, 1))])
    values = values_at(growing, steps)
    numbers = dict(init_value=1.0, first_decay_steps=7, cycle_multiplier=2)
    np.testing.assert_allclose(values, oracle.over(steps, oracle.cosine_restarts, **numbers), atol=1e-7)
    assert np.all(values[2::3] == 1.0)
    traced = jax.jit(lambda m: lrjax.cosine_restarts_schedule(1.0, 7, m)(7 * (2**20 - 1)))
    assert float(traced(2.0)) == 1.0

    t = np.arange(STEPS)
    equal = lrjax.cosine_restarts_schedule(1.0, 10)
    np.testing.assert_array_equal(equal(10**9 + t), equal(t))
    hard = lrjax.hard_restarts_schedule(1.0, 0, 10**9, cycles=1000)
    np.testing.assert_allclose(hard(10**6 * 15 * t), 1.0, atol=1e-6)


def test_the_rectification_keeps_its_digits():
    """rho is a difference of numbers near 2 / (1 - b2)."""
    t = np.array([0, 4, 5, 6, 10, 100, 1000, 10**5, 10**6])
    for b2 in (0.9, 0.99, 0.999, 0.9999):
        want = oracle.over(t, oracle.untuned_warmup, value=1.0, b2=b2, rule="radam")
        got = values_at(lrjax.untuned_warmup_schedule(1.0, b2, "radam"), t)
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-6)


def test_gradients_at_the_edges_are_finite():
    """Where spans, fractions and rates are 0 or 1: the branches that are not selected too."""

    def values(x):
        zero, one = x - 1, x
        schedules = [
            lrjax.flat_cosine_schedule(1.0, 8 * one, one),
            lrjax.flat_cosine_schedule(1.0, 8 * one, zero),
            lrjax.onecycle_schedule(1.0, one, one),
            lrjax.onecycle_schedule(1.0, one, zero),
            lrjax.onecycle_schedule(1.0, one, 0.3 * one, three_phase=True),
            lrjax.cosine_onecycle_schedule(one, 1.0, one),
            lrjax.wsd_schedule(1.0, zero, zero, zero, decay="sqrt", warmup="sqrt"),
            lrjax.inverse_sqrt_schedule(1.0, zero),
            lrjax.step_schedule(1.0, one, zero),
            lrjax.warmup_schedule(1.0, zero, shape="log"),
            lrjax.cosine_restarts_schedule(1.0, one, one, zero),
            lrjax.hard_restarts_schedule(1.0, zero, one, one),
            lrjax.polynomial_schedule(1.0, zero, 0.5 * one, zero),
            lrjax.k_decay(1.0, one, 0.5 * one, shape="polynomial", power=0.5 * one),
            lrjax.tri_stage_schedule(1.0, zero, zero, zero, zero, one),
            lrjax.power_schedule(1.0, one, one),
            lrjax.untuned_warmup_schedule(1.0, 0.999 * one, "radam"),
            lrjax.untuned_warmup_schedule(1.0, zero),
        ]
        return jnp.stack([schedule(np.resize([0, 1, 2, 9], STEPS)) for schedule in schedules])

    value, linear = jax.linearize(values, jnp.float32(1.0))
    gradient, reverse = linear(jnp.float32(1.0)), jax.linear_transpose(linear, jnp.float32(1.0))
    assert np.isfinite(value).all(), np.argwhere(~np.isfinite(value))
    assert np.isfinite(gradient).all(), np.argwhere(~np.isfinite(gradient))
    np.testing.assert_allclose(reverse(jnp.ones_like(value))[0], np.sum(gradient), rtol=1e-3)
