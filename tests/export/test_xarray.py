"""Data sets hold what the sweep holds, wherever a point stands."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import xarray as xr

from tests.export.sweeps import ODD, SHOWN, SWEEPS, grid, odd, partly, usual
from tests.measured import several

EVERY = pytest.mark.parametrize("kind", SWEEPS)
GRIDS = [
    "usual",
    "training loss",
    "sparse",
    "interrupted",
    "interrupted at once",
    "dropped",
    "grid",
    "not finite",
]


def test_a_full_grid_has_a_dimension_for_each_hyperparameter():
    sweep = grid()
    found = sweep.to_xarray()
    assert dict(found.sizes) == {
        **{"learning_rate": 3, "flag": 2, "text": 2},
        **{"seed": 2, "step": 100, "held_out_step": 6},
    }
    np.testing.assert_array_equal(found["learning_rate"], [0.001, 0.01, 0.1])
    assert found["flag"].dtype == bool
    for point in range(12):
        at = {name: values[point] for name, values in sweep.points.items()}
        one = found.sel(at)
        assert one["point"] == point
        for name, values in (
            ("train_loss", sweep.metrics["loss"]),
            ("held_out_loss", sweep.held_out["loss"]),
            ("test_loss", sweep.test["loss"]),
            ("failed", sweep.answer.failed),
            ("diverged_at", sweep.diverged_at),
            ("cause", sweep.causes),
        ):
            np.testing.assert_array_equal(one[name], values[point])
        assert one["score"] == sweep.answer.scores[point]
    assert found["train_loss"].sel(learning_rate=0.011, method="nearest").dims == (
        "flag",
        "text",
        "seed",
        "step",
    )


@EVERY
def test_along_points_every_array_is_the_sweep_s(kind):
    sweep = SWEEPS[kind]()
    found = sweep.to_xarray(grid=False)
    assert (found.sizes["point"], found.sizes["seed"]) == sweep.diverged_at.shape
    for prefix, metrics, dims in (
        ("train_", sweep.metrics, ("point", "seed", "step")),
        ("held_out_", sweep.held_out, ("point", "seed", "held_out_step")),
        ("test_", sweep.test, ("point", "seed")),
    ):
        variables = [v for name, v in found.data_vars.items() if name.startswith(prefix)]
        for variable, (name, values) in zip(variables, metrics.items(), strict=True):
            assert variable.attrs["metric"] == name
            assert variable.dims == dims
            assert variable.dtype == np.float32
            np.testing.assert_array_equal(variable, values)
    for dimension, metrics, steps in (
        ("step", sweep.metrics, sweep.recorded_steps),
        ("held_out_step", sweep.held_out, sweep.held_out_steps),
    ):
        assert (dimension in found.dims) == bool(metrics)
        if metrics:
            np.testing.assert_array_equal(found[dimension], steps)
    np.testing.assert_array_equal(found["stopped_at"], sweep.stopped_at)
    np.testing.assert_array_equal(found["diverged_at"], sweep.diverged_at)
    np.testing.assert_array_equal(found["regime"], sweep.answer.regimes)
    np.testing.assert_array_equal(found["score"], sweep.answer.scores)


@EVERY
def test_only_a_full_grid_is_laid_out_as_one(kind):
    sweep = SWEEPS[kind]()
    assert ("point" in sweep.to_xarray().dims) == (kind not in GRIDS)
    if kind in GRIDS:
        xr.testing.assert_identical(sweep.to_xarray(), sweep.to_xarray(grid=True))
        return
    with pytest.raises(
        ValueError, match=r"`to_xarray\(grid=\.\.\.\)` must be False or None, since the points"
    ):
        sweep.to_xarray(grid=True)


def test_both_layouts_hold_the_same():
    sweep = grid()
    along, over = sweep.to_xarray(grid=False), sweep.to_xarray()
    stacked = over.stack(at=("learning_rate", "flag", "text")).sortby("point")
    for name in along.data_vars:
        np.testing.assert_array_equal(along[name], stacked[name].transpose("at", ...))


def test_coordinates_of_every_kind():
    found = odd().to_xarray()
    assert found["kind/é"].values.tolist() == [str(value) for value in SHOWN]
    assert found["kind/é"].dims == ("point",)
    assert found["seed_"].values.tolist() == [1] * 12
    for name in ODD[:-1]:
        assert f"train_{name}" in found
    mixed = several([None, "auto", True], "momentum").to_xarray()
    assert mixed["momentum"].values.tolist() == ["None", "auto", "True"]
    lacking = partly().to_xarray()
    np.testing.assert_array_equal(lacking["momentum"], [0.5, np.nan, 0.9])
    assert lacking["name"].values.tolist() == ["x", "", "None"]


@EVERY
def test_attributes_are_json_and_hold_the_answer(kind):
    sweep = SWEEPS[kind]()
    attrs = json.loads(json.dumps(sweep.to_xarray().attrs, allow_nan=False))
    answer = sweep.answer
    assert attrs["answer_recommendation"] == answer.recommendation.encode("utf-8", "replace").decode()
    assert attrs["judged_by"] == answer.judged_by
    assert attrs.get("answer_learning_rate") == answer.learning_rate
    assert attrs.get("answer_divergence_edge") == answer.divergence_edge
    assert attrs.get("answer_plateau") == (None if answer.plateau is None else list(answer.plateau))
    assert attrs.get("answer_interval") == (None if answer.interval is None else list(answer.interval))
    assert attrs.get("answer_warnings", "").split("\n") == list(answer.warnings) or not answer.warnings
    assert json.loads(attrs["cost"])["member_steps_used"] == sweep.cost.member_steps_used
    assert json.loads(attrs["settings"]).keys() == sweep.settings.keys()


@pytest.mark.parametrize("kind", ["usual", "grid", "interrupted", "dropped", "partly"])
def test_netcdf_holds_it(kind, tmp_path):
    found = SWEEPS[kind]().to_xarray()
    found.to_netcdf(tmp_path / "sweep.nc", engine="scipy")
    with xr.open_dataset(tmp_path / "sweep.nc", engine="scipy") as back:
        for name in found.data_vars:
            np.testing.assert_array_equal(back[name].astype(found[name].dtype), found[name])
        assert back.attrs["answer_recommendation"] == found.attrs["answer_recommendation"]


def test_without_xarray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(ImportError, match=r"pip install 'lrjax\[tables\]'"):
        usual().to_xarray()
