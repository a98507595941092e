"""Grids that do not fit the memory are trained some columns at a time, and nothing else changes."""

import jax
import numpy as np
import pytest

import lrjax
from lrjax.engine import _memory

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
