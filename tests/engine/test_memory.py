"""Grids that do not fit the memory are trained some columns at a time, and nothing else changes."""

import dataclasses
import types

import jax
import numpy as np
import pytest

import lrjax
from lrjax.engine import _crews, _memory, _plan
from lrjax.engine._clock import clock
from lrjax.engine._program import Programs

RATES = [0.01 * (i + 1) for i in range(8)]
WIDE = 4096


def loss(params, batch):
    return ((params * batch) ** 2).mean()


TRIAL = lrjax.trial(lambda key: jax.random.normal(key, (WIDE,)), loss, lrjax.adam)


def data():
    return lrjax.batches(np.linspace(0, 1, 64, dtype=np.float32)[:, None], 8)


def swept(plan="vmap", seeds=2):
    grid = {"learning_rate": RATES}
    return lrjax.sweep(TRIAL, grid, data(), seeds=seeds, steps=20, plan=plan, progress=False)


@pytest.fixture(scope="module")
def whole():
    return swept()


def test_what_fits_is_not_cut(whole):
    assert whole.plan.width is None


@pytest.mark.parametrize("mebibytes", [3, 2, 1])
def test_what_does_not_fit_is_cut(monkeypatch, whole, mebibytes):
    monkeypatch.setattr(_memory, "free", lambda: mebibytes * 2**20)
    cut = swept()
    assert 1 <= cut.plan.width < len(RATES)
    assert f"holds {cut.plan.width} per seed at a time" in cut.plan.why
    np.testing.assert_allclose(cut.metrics["loss"], whole.metrics["loss"], rtol=1e-6)


def test_less_memory_means_narrower(monkeypatch):
    widths = []
    for kibibytes in (3000, 2300, 1700, 8):
        monkeypatch.setattr(_memory, "free", lambda room=kibibytes: room * 2**10)
        widths.append(swept().plan.width)
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > widths[-1] == 1


@pytest.mark.parametrize("asked", ["vmap/scan/3", "pool", "lean", "vmap/dispatch"])
def test_what_is_asked_for_is_kept(monkeypatch, asked):
    monkeypatch.setattr(_memory, "free", lambda: 2**20)
    assert swept(asked).plan.width == (3 if asked.endswith("3") else None)


def test_nothing_is_assumed_where_the_memory_is_not_known(monkeypatch):
    monkeypatch.setattr(_memory, "free", lambda: None)
    assert swept().plan.width is None


def test_free_memory_is_the_devices_or_the_hosts(monkeypatch, tmp_path):
    assert 2**20 < _memory.free() < 2**50
    if jax.default_backend() == "cpu":
        (tmp_path / "memory.max").write_text("1000000\n")
        (tmp_path / "memory.current").write_text("400000\n")
        monkeypatch.setattr(_memory, "_CGROUP", tmp_path)
        assert _memory.free() == 600_000
        (tmp_path / "memory.max").write_text("max\n")
        assert _memory.free() > 2**20


def most_states(plan, monkeypatch):
    """The most states that are held before any call of a program that trains, in numbers of members."""
    wide, found = WIDE + 8, []
    trial = lrjax.trial(lambda key: jax.random.normal(key, (wide,)), loss, lrjax.sgd)

    def counting(method):
        def call(*arguments):
            live = [x.size for x in jax.live_arrays() if x.shape[-1:] == (wide,)]
            found.append(sum(live) / wide)
            return method(*arguments)

        return call

    with monkeypatch.context() as patch:
        for name in ("advance", "advance_alone"):
            patch.setattr(Programs, name, counting(getattr(Programs, name)))
        rates = {"learning_rate": RATES}
        lrjax.sweep(trial, rates, data(), steps=20, evaluate_every=5, plan=plan, progress=False)
    return max(found)


def test_states_are_held_once_and_lean_plans_hold_no_others(monkeypatch):
    assert most_states("vmap", monkeypatch) == len(RATES)
    assert most_states("sequential", monkeypatch) == 2 * len(RATES) - 1  # before the last one of a chunk
    assert most_states(lrjax.results.Plan("sequential", lean=True), monkeypatch) == len(RATES)


def test_trying_a_large_step_takes_few_of_them():
    """A plan is tried only where its compiling and two steps of all members are repaid."""
    asked = []

    def measure(plan, about):
        asked.append((str(plan), about))
        return 0.01, 1.0

    found = [lrjax.results.Plan("pool"), lrjax.results.Plan("vmap")]
    for members, steps, tried in ((100, 1000, 1), (100, 2000, 2), (1000, 2000, 1), (1000, 13_000, 2)):
        asked.clear()
        _plan.choose(found, lambda plan: plan, measure, members, steps, 100.0, lambda text: None)
        assert len(asked) == tried, (members, steps)
    assert asked == [("pool/scan", None), ("vmap/scan", 0.01)]


def test_what_the_first_run_makes_does_not_count_as_the_speed_of_a_plan(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(_crews.time, "perf_counter", lambda: now[0])

    class Crew:
        programs = types.SimpleNamespace(
            plan=lrjax.results.Plan("vmap"), any_count=True, seconds_compiling=0.0
        )
        fresh = True

        def start(self, ids):
            pass

        def rehearse(self, ids, selected, count):
            now[0] += (1.0 if self.fresh else 0.001) + 1e-4 * count * len(ids)
            self.fresh = False

        drop = start

    ids = [(point, 0) for point in range(8)]
    for about in (None, 1e-4, 10.0):
        seconds, _ = _crews._measure(Crew(), ids, lambda seed: None, clock(10_000, 10_000, 1e-3, 1.0), about)
        assert seconds == pytest.approx(1e-4, rel=0.02)


def test_no_program_is_compiled_for_the_memory_of_a_plan_that_is_not_tried():
    plans = [lrjax.results.Plan("pool"), lrjax.results.Plan("vmap")]
    fitted = []

    def fit(plan):
        fitted.append(str(plan))
        return dataclasses.replace(plan, width=8) if plan.members == "vmap" else plan

    def measure(plan, about):
        return {"pool/scan": 2e-3, "vmap/scan/8": 1e-3}[str(plan)], 0.1

    def choose(steps, guess):
        fitted.clear()
        return str(_plan.choose(plans, fit, measure, 10, steps, guess, lambda text: None))

    assert (choose(10, 1.0), fitted) == ("pool/scan", ["pool/scan"])
    assert (choose(10, 100.0), fitted) == ("pool/scan", ["pool/scan"])  # it took but 0.02 s
    assert (choose(1_000_000, 100.0), fitted) == ("vmap/scan/8", ["pool/scan", "vmap/scan"])
