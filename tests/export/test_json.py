"""JSON files are strict and hold everything."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

import lrjax
from tests.export.sweeps import SHOWN, SWEEPS, odd, partly, ramp, usual

EVERY = pytest.mark.parametrize("kind", SWEEPS)


def strictly(file):
    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(file.read_text(encoding="ascii"), parse_constant=refuse)


def same(found, values):
    """Whether nested lists hold an array, null where it is not finite."""
    values = np.asarray(values)
    if values.ndim:
        return len(found) == len(values) and all(map(same, found, values))
    value = values.item()
    if isinstance(value, float):
        return found is None if not math.isfinite(value) else values.dtype.type(found) == values
    return found == value


@EVERY
def test_a_json_file_holds_every_array(kind, tmp_path):
    sweep = SWEEPS[kind]()
    found = strictly(sweep.to_json(tmp_path / "new" / "sweep.json"))
    for field in ("metrics", "held_out", "test"):
        assert found[field].keys() == getattr(sweep, field).keys()
        assert all(same(found[field][name], values) for name, values in getattr(sweep, field).items())
    for field in ("recorded_steps", "held_out_steps", "diverged_at", "stopped_at", "causes", "leaves"):
        assert same(found[field], getattr(sweep, field))
    assert (found["name"], found["steps"], found["seeds"]) == (
        *(sweep.name, sweep.steps),
        sweep.diverged_at.shape[1],
    )
    assert found["cost"]["seconds_running"] == sweep.cost.seconds_running
    assert found["plan"]["members"] == sweep.plan.members
    assert found["settings"] == sweep.settings
    assert len(found["points"]) == len(sweep.diverged_at)
    for rung, (step, losses, kept) in zip(found["rungs"], sweep.rungs, strict=True):
        assert rung["step"] == step
        assert same(rung["losses"], losses)
        assert same(rung["kept"], kept)


@EVERY
def test_a_json_file_holds_the_answer(kind, tmp_path):
    sweep = SWEEPS[kind]()
    found = strictly(sweep.to_json(tmp_path / "sweep.json"))["answer"]
    answer = sweep.answer
    for field in ("learning_rate", "index", "judged_by", "divergence_edge", "recommendation"):
        assert found[field] == getattr(answer, field)
    for field in ("scores", "failed", "regimes", "score", "sensitivity", "plateau_decades", "warnings"):
        assert same(found[field], getattr(answer, field))
    for field in ("plateau", "interval"):
        ends = getattr(answer, field)
        assert found[field] == (None if ends is None else list(ends))
    assert found == lrjax.export.answer_json(answer)


def test_points_say_which_hyperparameters_they_have(tmp_path):
    assert strictly(partly().to_json(tmp_path / "s.json"))["points"] == [
        {"learning_rate": 0.1, "momentum": 0.5, "name": "x"},
        {"learning_rate": 0.2},
        {"learning_rate": 0.3, "momentum": 0.9, "name": None},
    ]


def test_values_of_every_kind_survive(tmp_path):
    points = strictly(odd().to_json(tmp_path / "s.json"))["points"]
    found = [point["kind/é"] for point in points]
    assert found == [name.replace("lambda 2", "lambda") if isinstance(name, str) else name for name in SHOWN]
    assert [type(value) for value in found] == [type(value) for value in SHOWN]


def test_a_range_test(tmp_path):
    test = ramp()
    found = strictly(test.to_json(tmp_path / "ramp.json"))
    for field in ("learning_rates", "losses", "held_out", "diverged_at"):
        assert same(found[field], getattr(test, field))
    assert found["hyperparams"] == {
        **{"momentum": 0.9, "nesterov": True, "mask": None},
        **{"seed": "x", "schedule": "warm"},
    }
    assert found["answer"]["suggestion"] == test.suggestion
    assert found["answer"]["suggestions"] == test.suggestions
    assert found["answer"]["stable_edge"] == test.stable_edge
    assert strictly(ramp(held_out=None).to_json(tmp_path / "ramp.json"))["held_out"] is None


def test_what_was_there_is_replaced_whole(tmp_path, monkeypatch):
    file = tmp_path / "sweep.json"
    file.write_text("old")
    monkeypatch.setattr("pathlib.Path.replace", lambda *paths: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        usual().to_json(file)
    assert [path.name for path in tmp_path.iterdir()] == ["sweep.json"]
    assert file.read_text() == "old"
