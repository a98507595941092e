"""Schedules from text: what is read, and that nothing else is."""

import numpy as np
import pytest

import lrjax
from lrjax.plot import preview_schedule, schedule_names
from lrjax.schedules import schedule_from_text

STEPS = np.arange(0, 3200, 50)
NAMES = schedule_names()
READ = {
    "warmup_cosine_decay_schedule(0, 1e-3, 100, 1000)": lrjax.warmup_cosine_decay_schedule(
        0, 1e-3, 100, 1000
    ),
    " 0.5*linear_schedule(1.0, end_value=-0.5, transition_steps=400) ": 0.5
    * lrjax.linear_schedule(1.0, -0.5, 400),
    "-warmup(10) / 2 + 1 - 0.25": 0.75 - lrjax.warmup(10) / 2,
    "join_schedules([0.1, linear_schedule(0.1, 0, 500)], (500,))": lrjax.join_schedules(
        [0.1, lrjax.linear_schedule(0.1, 0, 500)], [500]
    ),
    "cooldown(1e-3, 200, begin=800, shape='sqrt')": lrjax.cooldown(1e-3, 200, begin=800, shape="sqrt"),
    "exponential_decay(1.0, 10, 0.9, staircase=True, end_value=None)": lrjax.exponential_decay(
        1.0, 10, 0.9, staircase=True
    ),
    "repeat(cosine_decay_schedule(1.0, 100), 100)": lrjax.repeat(lrjax.cosine_decay_schedule(1.0, 100), 100),
    "+3e-4": lrjax.constant_schedule(3e-4),
}
REFUSED = {
    "": "is not an expression",
    "linear_schedule(": "is not an expression",
    "x = 1": "is not an expression",
    "__import__('os').system('true')": "is not allowed",
    "__import__('os')": "'__import__' is not the name of a schedule",
    "().__class__.__bases__[0].__subclasses__()": "is not allowed",
    "warmup.__globals__": "is not allowed",
    "warmup(10).at(3)": "is not allowed",
    "(lambda: 1)()": "is not allowed",
    "[warmup(t) for t in (1, 2)]": "is not allowed",
    "warmup(*[10])": "is not allowed",
    "warmup(**{'steps': 10})": "'\\*\\*' is not allowed",
    "warmup(steps := 10)": "is not allowed",
    "f'{1}'": "is not allowed",
    "9 ** 9": "is not allowed",
    "1 << 99": "is not allowed",
    "1 if warmup(1) else 2": "is not allowed",
    "{**{}}": "is not allowed",
    "b'1'": "is not allowed",
    "1j": "is not allowed",
    "...": "is not allowed",
    "warmup": "warmup is to be called",
    "cosine_schedule(1, 2)": "did you mean flat_cosine_schedule or cosine_decay_schedule or ",
    "linear_decay(1, 2)": r"did you mean linear_schedule or ",
    "warmup_cosine(1, 2)": r"did you mean warmup_cosine_decay_schedule\?",
    "exponentail_decay(1, 2)": r"did you mean exponential_decay",
    "wobble(1, 2)": "there are adaptive_schedule, bottou_schedule, ",
    "'a' * 3": "is not arithmetic",
    "[1] + [2]": "is not arithmetic",
    "True + 1": "is not arithmetic",
    "1 / 0": "has no value",
    "warmup(-1)": r"`warmup\(steps=...\)` must be",
    "(" * 300 + "1" + ")" * 300: "is not an expression|nested",
    "-" * 4000 + "1": "nested|is not an expression|recursion",
    "1 + " * 5000 + "1": "at most 5000",
}


@pytest.mark.parametrize("text", READ)
def test_schedules_are_read(text):
    np.testing.assert_allclose(schedule_from_text(text, NAMES)(STEPS), READ[text](STEPS), rtol=1e-6)


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: text[:30])
def test_everything_else_is_refused(text):
    with pytest.raises(ValueError, match=REFUSED[text]) as error:
        schedule_from_text(text, NAMES)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["[0.1]", "'0.1'", "None", "warmup(1, 2, 3, 4)", "warmup(paces=3)"])
def test_what_is_no_schedule_is_a_type_error(text):
    with pytest.raises(TypeError):
        schedule_from_text(text, NAMES)


def test_every_public_schedule_can_be_named():
    assert {"warmup", "cooldown", "repeat", "join_schedules", "plateau_schedule"} <= NAMES.keys()
    public = {
        name for name in lrjax.schedules.__all__ if name.endswith(("_schedule", "_schedules", "_decay"))
    }
    assert public - {"as_schedule", "check_schedule", "schedule_from_text"} <= NAMES.keys()


def test_a_preview_shows_values_warnings_and_writes(tmp_path):
    text = "warmup_cosine_decay_schedule(0, 1e-3, 100, 1000)"
    lines = preview_schedule(text, 1000, tmp_path / "new" / "s.png").lines()
    assert lines[0].split() == ["step", "value"]
    assert lines[1].split() == ["0", "0"]
    assert lines[11].split()[0] == "999"
    assert lines[12].startswith("warning: zero first rate: ")
    assert lines[13] == f"written: {tmp_path / 'new' / 's.png'}"
    assert (tmp_path / "new" / "s.png").read_bytes().startswith(b"\x89PNG")
    preview_schedule(text, 20, tmp_path / "s.csv")
    table = np.loadtxt(tmp_path / "s.csv", delimiter=",", skiprows=1)
    np.testing.assert_allclose(table[:, 1], np.arange(20) * 1e-5, atol=1e-9)


def test_a_preview_of_what_metrics_drive_is_refused():
    with pytest.raises(ValueError, match="driven by metrics"):
        preview_schedule("0.1 * plateau_schedule()", 100)
