"""A plan that was measured once is not measured again."""

from __future__ import annotations

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrjax
from lrjax.engine import _choices, _plan
from lrjax.results import Plan

DATA = lrjax.batches(np.ones((8, 4), np.float32), batch_size=4)


@pytest.fixture
def measuring(monkeypatch):
    """Every job is long enough to be measured, and nothing is known."""
    monkeypatch.setattr(_plan, "_LONG", 0.0)
    monkeypatch.setattr(_plan, "_REPAYS", 0.0)
    monkeypatch.setattr(_choices, "_known", {})


@pytest.fixture
def cache(tmp_path):
    before = jax.config.values.get("jax_compilation_cache_dir")
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "cache"))
    yield tmp_path / "cache"
    jax.config.update("jax_compilation_cache_dir", before)


def sweep(rates=(0.1, 0.2, 0.3)):
    trial = lrjax.trial(lambda key: jnp.zeros(4), lambda w, batch: jnp.mean((batch @ w - 1) ** 2), lrjax.sgd)
    return lrjax.sweep(trial, {"learning_rate": list(rates)}, DATA, steps=20, progress=False)


@pytest.mark.usefixtures("measuring")
def test_all_candidates_are_measured_once():
    first = sweep()
    assert set(first.plan.measured) == {"vmap/scan", "pool/scan"}
    assert str(first.plan) == min(first.plan.measured, key=first.plan.measured.get)
    assert first.cost.seconds_probing > 0
    again = sweep((0.4, 0.5, 0.6))
    assert "in an earlier sweep" in again.plan.why
    assert again.plan.measured == first.plan.measured
    assert again.cost.seconds_probing == 0


@pytest.mark.usefixtures("measuring")
def test_another_number_of_members_is_another_choice():
    sweep()
    assert "earlier" not in sweep((0.4, 0.5)).plan.why


@pytest.mark.usefixtures("measuring")
def test_choices_outlive_the_process_beside_the_compilation_cache(cache, monkeypatch):
    first = sweep()
    assert len(json.loads((cache / "lrjax-plans.json").read_text())) == 1
    monkeypatch.setattr(_choices, "_known", {})  # another process
    assert sweep().plan.measured == first.plan.measured


def test_a_cache_that_cannot_be_read_or_written_is_none(cache, monkeypatch):
    monkeypatch.setattr(_choices, "_known", {})
    cache.mkdir()
    (cache / "lrjax-plans.json").write_text("{")
    assert _choices.recall("name") is None
    _choices.remember("name", Plan("pool", why="measured"))
    monkeypatch.setattr(_choices, "_known", {})
    assert _choices.recall("name").members == "pool"
    (cache / "lrjax-plans.json").write_text('{"name": {"members": "pool", "future": 1}}')
    monkeypatch.setattr(_choices, "_known", {})
    assert _choices.recall("name") is None
    (cache / "lrjax-plans.json").unlink()
    (cache / "lrjax-plans.json").mkdir()
    _choices.remember("name", Plan("vmap"))
    assert _choices.recall("name").members == "vmap"
