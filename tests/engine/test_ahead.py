"""What the next chunk needs is made while this one trains, and never anything else is given out."""

import contextlib
import threading

import numpy as np
import pytest

import lrjax
from lrjax.engine._ahead import Ahead


@pytest.fixture
def ahead():
    with Ahead(contextlib.nullcontext) as it:
        yield it


def here():
    return threading.current_thread()


def test_what_is_expected_is_made_in_another_thread_and_once(ahead):
    made = []
    ahead.expect("a", 1, lambda: made.append(here()))
    ahead.expect("a", 1, lambda: made.append(here()))
    ahead.get("a", 1, lambda: made.append(here()))
    ahead.get("a", 1, lambda: made.append(here()))
    assert len(made) == 1
    assert made != [here()]


def test_what_was_not_expected_is_made_now(ahead):
    ahead.expect("a", 1, lambda: "one")
    assert ahead.get("a", 2, here) is here()
    assert ahead.get("a", 1, here) is here()


def test_sources_do_not_mix(ahead):
    for source in "ab":
        ahead.expect(source, 1, lambda source=source: source + "1")
    assert [ahead.get(source, 1, here) for source in "aba"] == ["a1", "b1", here()]


def test_the_thread_has_the_configuration():
    seen = []

    @contextlib.contextmanager
    def configuration():
        seen.append(here())
        yield

    with Ahead(configuration) as ahead:
        ahead.expect("a", 1, here)
        assert seen == [ahead.get("a", 1, None)]


def test_an_error_comes_when_what_failed_is_needed(ahead):
    ahead.expect("a", 1, lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        ahead.get("a", 1, here)
    assert ahead.get("a", 1, lambda: "again") == "again"


def test_a_sweep_calls_the_host_from_its_own_thread_only():
    threads = set()

    def batch(step):
        threads.add(here())
        return np.full(2, step, np.float32)

    trial = lrjax.trial(lambda key: np.ones(2, np.float32), lambda p, x: ((p - x) ** 2).sum(), lrjax.sgd)
    data = lrjax.from_function(batch, on_device=False)
    lrjax.sweep(trial, {"learning_rate": [0.1, 0.2]}, data, steps=9, evaluate_every=3)
    assert threads == {here()}
