"""Chunks end at every evaluation, and are as long as calling a program and moving a state are worth."""

from __future__ import annotations

import pytest

from lrjax.engine._clock import clock


def ends(clock):
    step, found = 0, []
    while step < clock.steps:
        step = clock.after(step)
        found.append(step)
    return found


@pytest.mark.parametrize("every", [1, 7, 30, 100, 1000])
@pytest.mark.parametrize("seconds", [1e-9, 1e-3, 0.04, 10.0])
def test_every_evaluation_and_the_last_step_end_a_chunk(every, seconds):
    found = ends(clock(100, every, seconds, rounds=1.5))
    assert found == sorted(set(found))
    assert set(range(every, 101, every)) | {100} <= set(found)


@pytest.mark.parametrize(
    ("rounds", "steps"),
    [(0.5, 10), (10, 10), (20, 20), (40, 40), (50, 50), (5000, 50)],  # a step of all takes 0.1 s
)
def test_a_chunk_takes_a_second_or_longer_so_that_each_member_trains_a_tenth_of_one(rounds, steps):
    assert clock(10**6, 10**6, 0.1, rounds).piece == pytest.approx(steps, rel=0.01)


def test_memory_bounds_a_chunk():
    assert clock(1000, 1000, 1e-9, rounds=2, most=13).piece <= 13


def test_without_evaluations_tiny_steps_are_not_cut():
    assert ends(clock(50_000, 50_000, 1e-7, rounds=4)) == [50_000]
