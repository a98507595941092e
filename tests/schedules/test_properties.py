"""Properties of whole families of schedules: bounds, one direction, no jump at a join, periods."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lrjax
from tests.schedules.table import STEPS, values_at

ULP = float(np.finfo(np.float32).eps)
levels = st.tuples(st.floats(2.0**-10, 4.0, width=32), st.floats(2.0**-10, 4.0, width=32)).map(sorted)
spans = st.integers(1, 3 * 10**8)
fixed = settings(max_examples=25, deadline=None, derandomize=True, database=None)

# Name -> (low, high, three spans) -> a schedule that rises from low to high and falls back, how long it
# rises, and how long it moves in all.
HILLS = {
    "warmup_cosine": lambda lo, hi, a, b, c: (
        lrjax.warmup_cosine_decay_schedule(lo, hi, a, a + b, lo),
        a,
        a + b,
    ),
    "warmup_polynomial": lambda lo, hi, a, b, c: (
        lrjax.warmup_polynomial_decay_schedule(lo, hi, a, a + b, lo),
        a,
        a + b,
    ),
    "warmup_square": lambda lo, hi, a, b, c: (
        lrjax.warmup_polynomial_decay_schedule(lo, hi, a, a + b, lo, 2.0),
        a,
        a + b,
    ),
    "warmup_constant": lambda lo, hi, a, b, c: (lrjax.warmup_constant_schedule(lo, hi, a), a, a),
    "warmup": lambda lo, hi, a, b, c: (lrjax.warmup_schedule(hi, a, lo), a, a),
    "warmup_from_one": lambda lo, hi, a, b, c: (lrjax.warmup_schedule(hi, a, lo, "cosine", 1), a, a),
    "wsd": lambda lo, hi, a, b, c: (lrjax.wsd_schedule(hi, a, b, c, lo, lo), a, a + b + c),
    "wsd_cosine": lambda lo, hi, a, b, c: (
        lrjax.wsd_schedule(hi, a, b, c, lo, lo, "cosine", "cosine"),
        a,
        a + b + c,
    ),
    "wsd_exponential": lambda lo, hi, a, b, c: (
        lrjax.wsd_schedule(hi, a, b, c, lo, lo, "exponential", "square"),
        a,
        a + b + c,
    ),
    "tri_stage": lambda lo, hi, a, b, c: (
        lrjax.tri_stage_schedule(hi, a, b, c, lo / hi, max(lo / hi, 0.25)),
        a,
        a + b + c,
    ),
    "infinite": lambda lo, hi, a, b, c: (
        lrjax.infinite_schedule(hi, max(lo, hi / 2), max(lo, hi / 4), a, b, c, c, lo),
        a,
        a + b + 2 * c,
    ),
    "polynomial": lambda lo, hi, a, b, c: (lrjax.polynomial_schedule(hi, lo, 2.0, a, b), 0, a + b),
    "linear_factor": lambda lo, hi, a, b, c: (lrjax.linear_factor_schedule(hi, 1.0, lo / hi, a), 0, a),
    "rex": lambda lo, hi, a, b, c: (lrjax.rex_schedule(hi, a, lo), 0, a),
    "k_decay": lambda lo, hi, a, b, c: (lrjax.k_decay(hi, a, 1.25, lo), 0, a),
    "flat_cosine": lambda lo, hi, a, b, c: (lrjax.flat_cosine_schedule(hi, a, 0.5, hi / lo), 0, a),
    "cosine_onecycle": lambda lo, hi, a, b, c: (
        lrjax.cosine_onecycle_schedule(2 * a, hi, 0.5, hi / lo, 1.0),
        a,
        2 * a,
    ),
    "linear_onecycle": lambda lo, hi, a, b, c: (
        lrjax.linear_onecycle_schedule(4 * a, hi, 0.25, 0.75, hi / lo, 1.0),
        a,
        4 * a,
    ),
}


@pytest.mark.parametrize("hill", HILLS)
@fixed
@given(levels=levels, a=spans, b=spans, c=spans)
def test_up_then_down_between_two_levels(hill, levels, a, b, c):
    low, high = levels
    schedule, rise, total = HILLS[hill](low, high, a, b, c)
    slack = 4 * ULP * high
    steps = sorted({*np.linspace(0, 1.1 * total, 50).astype(int).tolist(), rise, max(rise - 1, 0), total})
    values = values_at(schedule, steps)
    assert values.min() >= low - slack
    assert values.max() <= high + slack
    top = steps.index(rise)
    assert np.all(np.diff(values[: top + 1]) >= -slack)
    assert np.all(np.diff(values[top:]) <= slack)
    assert abs(values[top] - high) <= slack
    assert np.all(np.abs(values[steps.index(total) :] - values[-1]) <= slack)


@pytest.mark.parametrize("hill", HILLS)
@fixed
@given(levels=levels, a=st.integers(40, 10**8), b=st.integers(40, 10**8), c=st.integers(40, 10**8))
def test_no_jump_where_one_stage_hands_over_to_the_next(hill, levels, a, b, c):
    low, high = levels
    schedule, rise, total = HILLS[hill](low, high, a, b, c)
    joins = {0, rise, a, a + b, a + b + c, a + b + 2 * c, total, total - a}
    near = np.array([np.arange(max(join - 3, 0), max(join + 4, 7)) for join in joins if 0 <= join <= total])
    values = values_at(schedule, near.ravel()).reshape(near.shape)
    # No curve here is steeper than three lines over the shortest span.
    assert np.max(np.abs(np.diff(values))) <= 3 * (high - low) / min(a, b, c) + 4 * ULP * high


MADE = {
    "line": lambda x, y, n: lrjax.linear_schedule(x, y, n),
    "hill": lambda x, y, n: lrjax.wsd_schedule(x, n, n, n, y, y),
    "cosines": lambda x, y, n: lrjax.cosine_restarts_schedule(x, n, 1.0, 0.5, y),
    "rise": lambda x, y, n: lrjax.warmup(n, x),
    "number": lambda x, y, n: lrjax.constant_schedule(x),
    "callable": lambda x, y, n: lambda count: x / (1 + count),
}
made = st.tuples(st.sampled_from(sorted(MADE)), levels, spans).map(
    lambda parts: MADE[parts[0]](*parts[1], parts[2])
)


@fixed
@given(first=made, second=made, amount=st.floats(0.0, 2.0, width=32), bounds=levels)
def test_arithmetic_is_that_of_the_values(first, second, amount, bounds):
    """Of the closed form, and of the pair."""
    steps = np.unique(np.geomspace(1, 4 * 10**8, STEPS).astype(int)) - 1
    a, b = values_at(first, steps), values_at(second, steps)
    low, high = bounds
    one = 1.0 * lrjax.warmup(0)  # so that one operand is a schedule
    for schedule, want in (
        (one * first * second, a * b),
        (one * first + second, a + b),
        ((one * first).scale(second).offset(amount).clip(low, high), np.clip(a * b + amount, low, high)),
    ):
        slack = 4 * ULP * (np.abs(a) * np.maximum(np.abs(b), 1) + np.abs(b) + amount)
        assert np.all(np.abs(values_at(schedule, steps) - want) <= slack)
        assert float(schedule.update(schedule.init())[0]) == float(schedule(0))


PERIODIC = {
    "cyclic": lambda lo, hi, a, b: (lrjax.cyclic_schedule(lo, hi, a, b), a + b),
    "cyclic_equal": lambda lo, hi, a, b: (lrjax.cyclic_schedule(lo, hi, a), 2 * a),
    "repeat": lambda lo, hi, a, b: (lrjax.repeat(lrjax.linear_schedule(hi, lo, 2 * a), a), a),
    "restarts": lambda lo, hi, a, b: (lrjax.cosine_restarts_schedule(hi, a, 1.0, 1.0, lo), a),
    "chebyshev": lambda lo, hi, a, b: (lrjax.chebyshev_schedule(1 / hi, 1 / lo, a, "decreasing"), a),
    "fractal": lambda lo, hi, a, b: (
        lrjax.chebyshev_schedule(1 / hi, 1 / lo, 2 ** (a % 20)),
        2 ** (a % 20),
    ),
}


@pytest.mark.parametrize("wave", PERIODIC)
@fixed
@given(levels=levels, a=st.integers(1, 10**7), b=st.integers(1, 10**7), cycles=st.integers(1, 80))
def test_periods_are_exact(wave, levels, a, b, cycles):
    low, high = levels
    schedule, period = PERIODIC[wave](low, high, a, b)
    steps = np.unique(np.linspace(0, period, 30).astype(int))
    values = values_at(schedule, steps)
    np.testing.assert_array_equal(values_at(schedule, steps + cycles * period), values)
    assert values.min() >= low - 4 * ULP * high
    assert values.max() <= high + 4 * ULP * high


@fixed
@given(total=st.integers(0, 9).map(lambda k: 2**k), low=st.floats(0.01, 1.0), ratio=st.floats(1.0, 100.0))
def test_the_fractal_order_is_an_order(total, low, ratio):
    """The same rates, each once, in both orders."""
    steps = np.arange(512)
    fractal = lrjax.chebyshev_schedule(low, low * ratio, total)(steps)
    plain = lrjax.chebyshev_schedule(low, low * ratio, total, "decreasing")(steps)
    np.testing.assert_allclose(np.sort(fractal[:total]), np.sort(plain[:total]), rtol=1e-6)
    assert np.all(np.diff(plain[:total]) <= 2 * ULP / low)


@fixed
@given(limit=st.floats(0.01, 0.99), scale=st.floats(0.01, 3.0), seed=st.integers(0, 10**6))
def test_noise_stays_within_its_limit_and_is_its_key_s(limit, scale, seed):
    keys = jax.random.key(seed), jax.random.key(seed + 1)
    for kind in ("normal", "uniform"):
        first, again, other = (
            np.asarray(lrjax.noisy_schedule(1.0, key, limit, scale, kind)(np.arange(STEPS)))
            for key in (keys[0], keys[0], keys[1])
        )
        assert np.all(np.abs(first - 1) <= limit * (1 + 2 * ULP) + ULP)
        np.testing.assert_array_equal(first, again)
        assert not np.array_equal(first, other)
        assert len(np.unique(first)) > STEPS // 2


def test_noise_is_distributed_as_told():
    steps = np.arange(4096)
    uniform = np.asarray(lrjax.noisy_schedule(1.0, jax.random.key(3), 0.5, 1.0, "uniform")(steps)) - 1
    normal = np.asarray(lrjax.noisy_schedule(1.0, jax.random.key(3), 0.9, 0.25)(steps)) - 1
    assert abs(uniform.mean()) < 0.02
    assert abs(uniform.std() - 0.5 / np.sqrt(3)) < 0.01
    assert abs(normal.mean()) < 0.02
    assert abs(normal.std() - 0.25) < 0.01


def test_noise_of_a_schedule_driven_by_metrics_has_no_closed_form():
    def update(state, *, value=1.0, **signals):
        del signals
        return jax.numpy.asarray(value, jax.numpy.float32), state

    schedule = lrjax.noisy_schedule(lrjax.Schedule(tuple, update), jax.random.key(0), 0.5)
    assert schedule.closed_form is None
    state, plain = schedule.init(), lrjax.noisy_schedule(2.0, jax.random.key(0), 0.5)
    for step in range(3):
        value, state = schedule.update(state, value=2.0)
        assert float(value) == float(plain(step))


def test_noise_on_what_is_shaped_like_the_parameters():
    """And the step is that of the noise too."""
    params, grads = {"w": jnp.ones(2)}, {"w": jnp.array([1.0, -2.0])}
    noise = lrjax.noisy_schedule(1.0, jax.random.key(0), 0.5)

    def rates(schedule, steps, first=0):
        tx = lrjax.sgd(0.5 * schedule)
        state, seen = tx.init(params), []
        state = lrjax.set_step(state, first) if first else state
        for _ in range(steps):
            _, state = tx.update(grads, state, params, grad=grads)
            seen.append(float(lrjax.get_learning_rate(state)))
        return np.array(seen)

    driven = lrjax.hypergradient_schedule(0.25)
    noisy = lrjax.noisy_schedule(driven, jax.random.key(0), 0.5)
    assert noisy.takes_params
    np.testing.assert_allclose(rates(noisy, 4), rates(driven, 4) * noise(np.arange(4)), rtol=1e-6)
    np.testing.assert_allclose(
        rates(noisy, 2, first=9), rates(driven, 2) * noise(np.arange(9, 11)), rtol=1e-6
    )
    np.testing.assert_array_equal(rates(noise, 2, first=9), 0.5 * noise(np.arange(9, 11)))
