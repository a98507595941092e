"""What is said of a schedule before training: each fault by its name, and nothing of what is sound."""

import jax.numpy as jnp
import numpy as np
import pytest

import lrjax

COSINE = lrjax.warmup_cosine_decay_schedule(1e-5, 1e-3, 100, 1000)


def rising_cosine(count):
    """torch's CosineAnnealingLR, which rises again after T_max."""
    return 5e-4 * (1 + jnp.cos(jnp.pi * count / 1000))


SOUND = {
    "a number": (0.1, 1000),
    "a cosine": (COSINE, 1000),
    "one step more or less": (COSINE, 1001),
    "warmup, then constant": (lrjax.warmup(100, 0.01) * 1e-3, 5000),
    "stairs": (lrjax.join_schedules([0.1, 0.01, 0.001], [500, 750]), 1000),
    "staircase": (lrjax.exponential_decay(0.1, 300, 0.1, staircase=True), 1000),
    "exponential": (lrjax.exponential_decay(0.1, 1000, 0.1), 1000),
    "inverse root": (lambda count: 0.1 / jnp.sqrt(1.0 + count / 100), 1000),
    "cooldown": (lrjax.cooldown(0.1, 200, begin=800), 1000),
    "a long run": (lrjax.cosine_decay_schedule(0.1, 3_000_000), 3_000_000),
    "a steep warmup": (lrjax.warmup(3, 0.25) * lrjax.linear_schedule(1.0, 0.0, 100), 100),
    "one step": (0.1, 1),
    "down at the last of few steps": (0.1 * lrjax.linear_schedule(1.0, 0.0, 2), 3),
    "down at the last step": (lrjax.linear_schedule(0.1, 0.0, 99), 100),
}
FAULTY = {
    "first rate": (lrjax.warmup_cosine_decay_schedule(0.0, 1e-3, 100, 1000), 1000, ["zero first rate"]),
    "always zero": (0.0, 10, ["zero first rate"]),
    "torch's cosine": (rising_cosine, 1001, ["rebound"]),
    "too long": (COSINE, 500, ["horizon too long"]),
    "much too long": (COSINE, 50, ["horizon too long"]),
    "too short": (COSINE, 1500, ["horizon too short"]),
    "too short, above zero": (lrjax.cosine_decay_schedule(0.1, 500, alpha=0.1), 1000, ["horizon too short"]),
    "epochs": (lrjax.cosine_decay_schedule(0.1, 90), 90 * 300, ["steps like epochs"]),
    "decay per epoch": (lrjax.exponential_decay(0.1, 1, 0.95), 20_000, ["steps like epochs"]),
    "stairs of epochs": (lrjax.join_schedules([0.1, 0.01, 1e-5], [30, 60]), 20_000, ["steps like epochs"]),
    "a join that does not meet": (
        lrjax.join_schedules(
            [lrjax.linear_schedule(0.01, 1.0, 100), lrjax.cosine_decay_schedule(0.5, 900)], [100]
        ),
        1000,
        ["jump"],
    ),
    "a join upwards": (lrjax.join_schedules([0.1, 0.2], [100]), 1000, ["jump"]),
    "not finite": (lambda count: 1.0 / (count - 5.0), 10, ["not finite"]),
}


@pytest.mark.parametrize(("schedule", "steps"), SOUND.values(), ids=SOUND.keys())
def test_nothing_is_said_of_what_is_sound(schedule, steps):
    assert lrjax.check_schedule(schedule, steps) == {}


@pytest.mark.parametrize(("schedule", "steps", "names"), FAULTY.values(), ids=FAULTY.keys())
def test_every_fault_is_named(schedule, steps, names):
    found = lrjax.check_schedule(schedule, steps)
    assert list(found) == names
    assert all(len(text) > 20 for text in found.values())


def test_sentences_say_where():
    found = lrjax.check_schedule(COSINE, 500)
    assert "ends at step 1000, the run at step 500" in found["horizon too long"]
    found = lrjax.check_schedule(FAULTY["a join that does not meet"][0], 1000)
    assert "to 0.5 at step 100" in found["jump"]
    found = lrjax.check_schedule(lrjax.cosine_decay_schedule(0.1, 90), 27_000)
    assert "epochs" in found["steps like epochs"]


def test_restarts_are_jumps_and_three_are_told():
    schedule = lrjax.repeat(lrjax.cosine_decay_schedule(0.1, 100), 100)
    text = lrjax.check_schedule(schedule, 1000)["jump"]
    assert text.count(" at step ") == 3
    assert "6 more" in text


def test_what_cannot_be_looked_at_is_refused():
    with pytest.raises(
        TypeError, match=r"`check_schedule\(schedule=\.\.\.\)` must be one that depends on time"
    ):
        lrjax.check_schedule(lrjax.plateau_schedule(), 10)
    with pytest.raises(ValueError, match=r"`check_schedule\(steps=\.\.\.\)` must be an integer >= 1, got 0"):
        lrjax.check_schedule(0.1, 0)
    with pytest.raises(TypeError, match=r"`check_schedule\(steps=\.\.\.\)` must be an integer"):
        lrjax.check_schedule(0.1, np.float32(2.5))
