"""Arithmetic of schedules, and what makes a schedule of another."""

import operator

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrjax
from lrjax.engine import _program
from tests.schedules.driven import run

STEPS = np.arange(64)
FEW = STEPS[:24]  # of the pair, one by one
LINE = lrjax.linear_schedule(1.0, 0.25, transition_steps=12)
COSINE = lrjax.cosine_decay_schedule(0.5, decay_steps=20)


def one_over(count):
    return 1 / (1 + count)


NUMBERS = [
    0.5,
    2,
    np.float32(0.5),
    np.float64(0.5),
    np.int64(2),
    np.array(0.5),
    jnp.float32(0.5),
    jnp.array(2),
]


def pair(schedule, **signals):
    init, update = schedule
    state, values = init(), []
    for _ in FEW:
        value, state = update(state, **signals)
        values.append(float(value))
    return np.asarray(values, np.float32)


@pytest.mark.parametrize("op", [operator.add, operator.sub, operator.mul, operator.truediv])
@pytest.mark.parametrize(
    ("a", "b"),
    [(LINE, lrjax.warmup(8, 0.25)), (LINE, 0.5), (0.5, LINE), (LINE, one_over), (one_over, LINE)],
    ids=["two", "number", "number first", "callable", "callable first"],
)
def test_arithmetic_of_schedules_is_arithmetic_of_their_values(op, a, b):
    def values(x):
        return x(STEPS) if callable(x) else x

    schedule = op(a, b)
    want = op(np.asarray(values(a), np.float32), np.asarray(values(b), np.float32))
    np.testing.assert_allclose(schedule(STEPS), want, rtol=2e-7)
    np.testing.assert_array_equal(pair(schedule), [schedule(t) for t in FEW])


@pytest.mark.parametrize("number", NUMBERS, ids=lambda x: f"{type(x).__module__}.{type(x).__name__}")
def test_numbers_of_every_kind_multiply_from_both_sides(number):
    for schedule in (number * LINE, LINE * number, LINE.scale(number)):
        assert isinstance(schedule, lrjax.Schedule)
        np.testing.assert_array_equal(schedule(STEPS), np.float32(number) * LINE(STEPS))
    for schedule in (number + LINE, LINE + number, LINE.offset(number)):
        np.testing.assert_array_equal(schedule(STEPS), np.float32(number) + LINE(STEPS))


def test_traced_numbers_multiply_from_both_sides():
    both = jax.jit(lambda x: ((x * LINE)(3), (LINE * x)(3), (x + LINE)(3), (x - LINE)(3)))(0.5)
    line = float(LINE(3))
    np.testing.assert_allclose(both, [0.5 * line, 0.5 * line, 0.5 + line, 0.5 - line], rtol=1e-6)


def test_negation_and_sum():
    np.testing.assert_array_equal((-LINE)(STEPS), -LINE(STEPS))
    np.testing.assert_array_equal(sum([LINE, LINE])(STEPS), 2 * LINE(STEPS))


def test_clip_keeps_between_bounds():
    np.testing.assert_array_equal(LINE.clip(0.375, 0.75)(STEPS), np.clip(LINE(STEPS), 0.375, 0.75))
    np.testing.assert_array_equal(LINE.clip(maximum=0.5)(STEPS), np.minimum(LINE(STEPS), 0.5))
    np.testing.assert_array_equal(LINE.clip(minimum=0.5)(STEPS), np.maximum(LINE(STEPS), 0.5))


@pytest.mark.parametrize("other", ["0.5", None, [1.0], np.ones(2), jnp.ones(2), True, 1j], ids=repr)
def test_other_things_are_refused(other):
    for attempt in (
        lambda: LINE * other,
        lambda: other * LINE,
        lambda: LINE.scale(other),
        lambda: LINE + other,
    ):
        with pytest.raises(TypeError, match=r"`Schedule\.\w+\(\w+=\.\.\.\)` must be one finite number"):
            attempt()


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (
            lambda: LINE.scale(np.nan),
            r"`Schedule\.scale\(factor=\.\.\.\)` must be one finite number, got nan",
        ),
        (lambda: LINE.clip(0.5, 0.25), r"`Schedule\.clip\(maximum=\.\.\.\)` must be at least minimum=0.5"),
        (lambda: lrjax.warmup(-1), r"`warmup\(steps=\.\.\.\)` must be one number >= 0, got -1"),
        (lambda: lrjax.cooldown(LINE, 0), r"`cooldown\(steps=\.\.\.\)` must be one number > 0, got 0"),
        (lambda: lrjax.cooldown(LINE, 5, begin=-2), r"`cooldown\(begin=\.\.\.\)` must be one number >= 0"),
        (
            lambda: lrjax.cooldown(LINE, 5, shape="steep"),
            r'`cooldown\(shape=\.\.\.\)` must be "linear" or ',
        ),
        (lambda: lrjax.repeat(LINE, 0), r"`repeat\(steps=\.\.\.\)` must be one number > 0, got 0"),
    ],
)
def test_bad_numbers_are_refused_by_name(attempt, message):
    with pytest.raises(ValueError, match="^" + message):
        attempt()


@pytest.mark.parametrize(
    ("shape", "fall"),
    [
        ("linear", lambda q: 1 - q),
        ("cosine", lambda q: (1 + np.cos(np.pi * q)) / 2),
        ("sqrt", lambda q: 1 - np.sqrt(q)),
        ("square", lambda q: 1 - q**2),
        ("exponential", lambda q: 2.0 ** (1 - q) - 1),
    ],
)
@pytest.mark.parametrize("end", [0.0, 0.25])
def test_cooldown_is_the_schedule_times_a_falling_factor(shape, fall, end):
    schedule = lrjax.cooldown(COSINE, 10, begin=6, end_value=end, shape=shape)
    q = np.clip(STEPS - 6, 0, 10) / 10
    want = (1 + np.cos(np.pi * np.minimum(STEPS / 20, 1))) / 4 * (end + (1 - end) * fall(q))
    np.testing.assert_allclose(schedule(STEPS), want, atol=3e-7)
    np.testing.assert_array_equal(pair(schedule), [schedule(t) for t in FEW])


def test_a_cooldown_begins_at_a_signal_and_needs_it_only_once():
    timed = lrjax.cooldown(COSINE, 5, begin=8, shape="sqrt")
    schedule = lrjax.cooldown(COSINE, 5, shape="sqrt")
    assert schedule.closed_form is None

    def step(state, begins):
        value, state = schedule.update(state, cooldown=begins)
        return state, value

    for begins in (STEPS == 8, (STEPS == 8) | (STEPS == 11)):
        _, values = jax.lax.scan(step, schedule.init(), jnp.asarray(begins))
        np.testing.assert_allclose(values, timed(STEPS), atol=1e-7)
    _, values = jax.lax.scan(step, schedule.init(), jnp.zeros(len(STEPS), bool))
    np.testing.assert_allclose(values, COSINE(STEPS), atol=1e-7)


def test_a_cooldown_is_appended_to_what_metrics_drive():
    schedule = lrjax.cooldown(0.5 * lrjax.plateau_schedule(0.5, patience=1), 4, begin=2)
    want = run(0.5 * lrjax.plateau_schedule(0.5, patience=1), [1.0] * 8) * np.float32(
        [1, 1, 1, 0.75, 0.5, 0.25, 0, 0]
    )
    np.testing.assert_array_equal(run(schedule, [1.0] * 8), want)


@pytest.mark.parametrize("steps", [1, 5, 12, 2.5])
def test_repeat_starts_again(steps):
    schedule = lrjax.repeat(LINE, steps)
    np.testing.assert_allclose(schedule(STEPS), LINE(jnp.float32(STEPS % steps)), atol=1e-7)
    np.testing.assert_array_equal(pair(schedule), [schedule(t) for t in FEW])


@pytest.mark.parametrize("steps", [1, 4, 7])
def test_repeat_of_what_metrics_drive_forgets_them(steps):
    plateau = lrjax.plateau_schedule(0.5, patience=1)
    losses = [3.0, 3.0, 2.0, 2.0, 2.0, 2.0, 1.0, 1.0, 1.0, 1.0]
    rounds = [losses[i : i + steps] for i in range(0, len(losses), steps)]
    want = np.concatenate([run(plateau, part) for part in rounds])
    np.testing.assert_array_equal(run(lrjax.repeat(plateau, steps), losses), want)


def test_repeat_refuses_a_schedule_that_is_shaped_like_the_parameters():
    with pytest.raises(
        TypeError, match=r"`repeat\(schedule=\.\.\.\)` must be a schedule that starts without"
    ):
        lrjax.repeat(lrjax.hypergradient_schedule(), 5)


def nested(peak, steps, factor):
    """A little of everything, of numbers that may be traced."""
    warm = lrjax.warmup(steps) * lrjax.repeat(lrjax.cosine_decay_schedule(peak, 3 * steps), 2 * steps)
    return lrjax.cooldown(warm.offset(0.125).clip(0.0, 0.5), steps, begin=4 * steps) * factor


def driven(peak, steps, factor):
    return lrjax.join_schedules([nested(peak, steps, factor), peak * lrjax.plateau_schedule(factor, 1)], [10])


def values_of(schedule):
    def step(state, _):
        value, state = schedule.update(state, value=1.0)
        return state, value

    return jax.lax.scan(step, schedule.init(), length=len(FEW))[1]


@pytest.mark.parametrize("make", [nested, driven])
def test_composition_runs_under_jit_vmap_and_scan_in_one_trace(make):
    traces = 0

    @jax.jit
    def together(numbers):
        nonlocal traces
        traces += 1
        return jax.vmap(lambda n: values_of(make(**n)))(numbers)

    columns = {"peak": [1.0, 0.5, 0.25], "steps": [4, 3, 2], "factor": [0.5, 0.25, 0.75]}
    got = together({name: jnp.asarray(values) for name, values in columns.items()})
    together({name: jnp.asarray(values[::-1]) for name, values in columns.items()})
    assert traces == 1
    for row, peak, steps, factor in zip(got, *columns.values(), strict=True):
        schedule = make(peak, steps, factor)
        np.testing.assert_allclose(row, pair(schedule, value=1.0), atol=3e-7)
        if schedule.closed_form is not None:
            np.testing.assert_allclose(row, schedule(STEPS)[: len(FEW)], atol=3e-7)


def test_combined_states_keep_their_types():
    schedule = driven(1.0, 4, 0.5) * 0.5
    before = schedule.init()
    after = jax.eval_shape(lambda s: schedule.update(s, value=1.0)[1], before)
    assert jax.tree.map(lambda x: (x.shape, x.dtype, x.weak_type), before) == jax.tree.map(
        lambda x: (x.shape, x.dtype, x.weak_type), after
    )


def test_timed_schedules_combine_to_one_clock_and_numbers_to_none():
    assert len(jax.tree.leaves((0.5 * LINE * COSINE + 0.25).init())) == 1
    plateau = lrjax.plateau_schedule()
    assert len(jax.tree.leaves((0.5 * plateau + 0.25).init())) == len(jax.tree.leaves(plateau.init()))


def test_a_running_product_stays_one_in_whatever_holds_it():
    """An update costs a multiplication there too, and a look at the schedule no more than its steps."""
    product = lrjax.multiplicative_schedule(1.0, lambda count: 0.5 + 0.25 / count)
    for schedule in (
        0.5 * product,
        lrjax.warmup(4) * product.clip(0.0, 0.75),
        lrjax.cooldown(product, 6, begin=3),
        lrjax.repeat(product, 5),
        lrjax.join_schedules([1.0, product], [3]),
    ):
        assert schedule.running
        assert "while" not in str(jax.make_jaxpr(schedule.update)(schedule.init()))
        at = jax.jit(schedule)  # or each call compiles its loop
        np.testing.assert_allclose(pair(schedule), [at(t) for t in FEW], rtol=1e-6)
    assert list(lrjax.check_schedule(product, 40)) == ["horizon too short"]
    rates = jnp.asarray(pair(product))
    assert lrjax.science.schedule_bound(product, 24) == lrjax.science.schedule_bound(lambda t: rates[t], 24)


def test_signals_reach_every_operand():
    both = lrjax.plateau_schedule(0.5, patience=1) * lrjax.plateau_schedule(0.25, patience=2)
    np.testing.assert_array_equal(run(both, [1.0] * 5), np.float32([1, 1 / 2, 1 / 16, 1 / 32, 1 / 256]))


def test_gradients_of_a_product_are_those_of_its_factors():
    def value(rate, floor):
        return jnp.sum((rate * LINE + floor)(jnp.arange(4)))

    slopes = jax.grad(value, argnums=(0, 1))(0.5, 0.25)
    np.testing.assert_allclose(slopes, [np.sum(LINE(np.arange(4))), 4.0], rtol=1e-6)


def test_a_sweep_over_warmup_and_peak_is_one_program(monkeypatch):
    """Every horizon is data: the points of a grid differ in numbers alone."""
    compiled, compile = [], _program.Programs._compile

    def note(self, key, *arguments):
        compiled.append(key[0])
        return compile(self, key, *arguments)

    monkeypatch.setattr(_program.Programs, "_compile", note)
    task = lrjax.tasks.load("quadratic-deep")

    def optimizer(peak, warmup_steps):
        return lrjax.sgd(lrjax.warmup_cosine_decay_schedule(0.0, peak, warmup_steps, 12))

    sweep = lrjax.sweep(
        task.trial(optimizer),
        {"peak": [0.01, 0.02], "warmup_steps": [0, 2, 4]},
        task.data,
        steps=12,
        name="peak",
        plan="vmap",
        progress=False,
    )
    rates = sweep.metrics["learning_rate"][:, 0]
    for row, peak, warm in zip(rates, sweep.points["peak"], sweep.points["warmup_steps"], strict=True):
        want = lrjax.warmup_cosine_decay_schedule(0.0, float(peak), int(warm), 12)(np.arange(12))
        np.testing.assert_allclose(row, want, atol=1e-8)
    assert sorted(compiled) == ["advance", "start"]
