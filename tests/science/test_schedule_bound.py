"""The bound on the last iterate: against published values, the sums written out, and training itself."""

import jax.numpy as jnp
import numpy as np
import pytest

import lrjax
from lrjax.science import schedule_bound

T = 100
PUBLISHED = {  # at T = 100, G = D = 1: the best base rate and the bound there
    "constant": (lrjax.constant_schedule(1.0), 0.040234, 0.248543),
    "root": (lambda t: 1 / (1.0 + t) ** 0.5, 0.238750, 0.225314),
    "wsd": (lrjax.cooldown(1.0, 20, begin=80), 0.049544, 0.223028),
    "cosine": (lrjax.cosine_decay_schedule(1.0, 100), 0.094695, 0.209114),
    "linear": (lrjax.linear_schedule(1.0, 0.0, 100), 0.097255, 0.203608),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_values(name):
    schedule, rate, bound = PUBLISHED[name]
    found = schedule_bound(schedule, T)
    assert found.learning_rate == pytest.approx(rate, abs=1e-6)
    assert found.bound == pytest.approx(bound, abs=1e-6)


def written_out(s, norms, distance):
    """Theorem 1 of 2501.18965, sum by sum."""
    steps = len(s)
    total = sum(s)
    bound = (distance**2 + sum((s * norms) ** 2)) / (2 * total)
    for k in range(steps - 1):
        bound += 0.5 * s[k] / sum(s[k + 1 :]) * sum((s[k:] * norms[k:]) ** 2) / sum(s[k:])
    return bound


@pytest.mark.parametrize("seed", range(4))
def test_the_sums_written_out(seed):
    random = np.random.default_rng(seed)
    s, norms = random.uniform(0.1, 1, 12).astype(np.float32), random.uniform(0.5, 2, 12)
    distance = float(random.uniform(0.5, 3))

    values = jnp.asarray(s)
    found = schedule_bound(lambda count: values[count], 12, norms, distance)
    s = s.astype(np.float64)
    assert found.as_given == pytest.approx(written_out(s, norms, distance), rel=1e-9)
    assert found.bound == pytest.approx(written_out(found.learning_rate * s, norms, distance), rel=1e-9)
    for factor in (0.9, 1.1):
        worse = written_out(factor * found.learning_rate * s, norms, distance)
        assert worse > found.bound


def test_a_multiple_of_a_schedule_has_the_same_bound_at_another_rate():
    line = lrjax.linear_schedule(1.0, 0.0, T)
    plain, twice = schedule_bound(line, T), schedule_bound(2 * line, T)
    assert twice.bound == pytest.approx(plain.bound, rel=1e-6)
    assert twice.learning_rate == pytest.approx(plain.learning_rate / 2, rel=1e-6)


def test_zeros_at_either_end_are_steps_that_do_nothing():
    line = lrjax.linear_schedule(1.0, 0.0, T)
    late = lrjax.join_schedules([0.0, line, 0.0], [3, T + 3])
    assert schedule_bound(late, T + 10) == pytest.approx(schedule_bound(line, T), rel=1e-12)


def test_the_bound_holds_where_the_theory_does():
    """Subgradient descent on |x| in many dimensions ends below it, for every schedule and rate."""
    for schedule, _, _ in PUBLISHED.values():
        found = schedule_bound(schedule, T)
        for factor in (0.3, 1.0, 3.0):
            x = np.full(16, 0.25)  # D = 1; the loss below has gradients of norm 1
            base = factor * found.learning_rate
            for t in range(T):
                if t == T - 1:
                    loss = np.mean(np.abs(x)) * 4
                x = x - base * float(schedule(t)) * np.sign(x) / 4
            assert loss <= schedule_bound(lambda t, b=base, s=schedule: b * s(t), T).as_given + 1e-6


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (
            (lrjax.plateau_schedule(), 10),
            TypeError,
            r"schedule=\.\.\.\)` must be one that depends on time alone",
        ),
        ((1.0, 0), ValueError, r"steps=\.\.\.\)` must be an integer >= 1, got 0"),
        ((0.0, 10), ValueError, r"schedule=\.\.\.\)` must be finite, not negative, and not 0"),
        (
            (lrjax.linear_schedule(1.0, -1.0, 5), 10),
            ValueError,
            r"schedule=\.\.\.\)` must be finite, not negative",
        ),
        ((1.0, 10, np.ones(3)), ValueError, r"gradient_norm=\.\.\.\)` must be a number > 0, or 10 of them"),
        ((1.0, 10, 0.0), ValueError, r"gradient_norm=\.\.\.\)` must be a number > 0"),
        ((1.0, 10, 1.0, 0.0), ValueError, r"distance=\.\.\.\)` must be one number > 0, got 0"),
    ],
)
def test_bad_input_is_refused_by_name(arguments, kind, message):
    with pytest.raises(kind, match=r"^`science\.schedule_bound\(" + message):
        schedule_bound(*arguments)
