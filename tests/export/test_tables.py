"""Frames and CSV files hold what the sweep holds, row by row."""

from __future__ import annotations

import csv
import io
import math
import sys

import numpy as np
import pandas as pd
import pytest

from tests.export.sweeps import ODD, SHOWN, SWEEPS, odd, partly, ramp, usual
from tests.measured import interrupted

EVERY = pytest.mark.parametrize("kind", SWEEPS)


def same(a, b):
    """Whether two cells hold the same: NaN is NaN, 1 is no True."""
    a, b = (x.item() if isinstance(x, np.generic) else x for x in (a, b))
    if isinstance(a, float) and isinstance(b, float) and math.isnan(a):
        return math.isnan(b)
    return a == b and isinstance(a, bool) == isinstance(b, bool)


def expected(sweep):
    """(point, seed, step) -> {(kind, metric): value} by plain loops over what the sweep holds."""
    found = {}
    for kind, metrics, steps in (
        ("train", sweep.metrics, sweep.recorded_steps),
        ("held_out", sweep.held_out, sweep.held_out_steps),
    ):
        for (p, s), _ in np.ndenumerate(sweep.diverged_at):
            for r, step in enumerate(steps):
                row = found.setdefault((p, s, int(step)), {})
                for name, values in metrics.items():
                    row[kind, name] = values[p, s, r]
    return found


@EVERY
def test_a_frame_has_one_row_for_each_recorded_step_of_each_member(kind):
    sweep = SWEEPS[kind]()
    frame = sweep.to_pandas()
    rows = expected(sweep)
    keys = list(zip(frame["point"], frame["seed"], frame["step"], strict=True))
    assert keys == sorted(rows)
    metrics = [c for c in frame if c.startswith(("train_", "held_out_"))]
    assert len(metrics) == len(sweep.metrics) + len(sweep.held_out)
    names = [("train", name) for name in sweep.metrics] + [("held_out", name) for name in sweep.held_out]
    for column, name in zip(metrics, names, strict=True):
        want = np.array([rows[key].get(name, np.nan) for key in keys], np.float32)
        np.testing.assert_array_equal(frame[column].to_numpy(), want)
        assert frame[column].dtype == np.float32


@EVERY
def test_every_row_says_where_and_why_its_member_ended(kind):
    sweep = SWEEPS[kind]()
    for frame in (sweep.to_pandas(), sweep.to_pandas("members")):
        for column, values in (
            ("diverged_at", sweep.diverged_at),
            ("stopped_at", sweep.stopped_at),
            ("cause", sweep.causes),
            ("leaf", sweep.leaves),
        ):
            want = [values[p, s] for p, s in zip(frame["point"], frame["seed"], strict=True)]
            assert frame[column].tolist() == want


def test_where_members_no_longer_ran_metrics_are_nan_and_the_row_says_since_when():
    frame = interrupted().to_pandas()
    gone = frame[frame["train_loss"].isna() & (frame["step"] < 100)]
    assert ((gone["stopped_at"] >= 0) | (gone["diverged_at"] >= 0)).all()
    stopped = gone[gone["diverged_at"] < 0]
    assert (stopped["step"] >= stopped["stopped_at"]).all()
    assert set(stopped["stopped_at"]) == {0, 50}


@EVERY
def test_hyperparameters_are_the_point_s(kind):
    sweep = SWEEPS[kind]()
    absent = sweep.settings.get("absent", {})
    frame = sweep.to_pandas("members")
    assert len(frame) == sweep.diverged_at.size
    columns = list(frame)[2 : 2 + len(sweep.points)]
    for column, (name, values) in zip(columns, sweep.points.items(), strict=True):
        for point, cell in zip(frame["point"], frame[column], strict=True):
            value = values[point]
            if point in absent.get(name, ()):
                assert math.isnan(cell)
            elif isinstance(value, str):
                assert cell == value.encode("utf-8", "replace").decode()
            elif not callable(value):
                assert same(cell, value)


def test_values_of_every_kind_survive_and_callables_are_their_names():
    frame = odd().to_pandas("members")
    assert all(map(same, frame["kind/é"][::2], SHOWN))
    assert list(frame)[:5] == ["point", "seed", "learning_rate", "kind/é", "seed_"]


def test_names_of_any_kind_survive_and_none_stands_twice():
    sweep = odd()
    for frame in (sweep.to_pandas(), sweep.to_pandas("members")):
        assert frame.columns.is_unique
    frame = sweep.to_pandas()
    for name in ODD[:-1]:
        assert f"train_{name}" in frame
        assert f"held_out_{name}" in frame or name == "step"
    assert "held_out_step_" in frame  # `held_out_step` is a dimension of data sets
    assert "train_?" in frame  # half a character: no file can hold it


def test_a_hyperparameter_that_some_points_lack_is_nan_there_and_none_stays_none():
    frame = partly().to_pandas("members")
    assert frame["momentum"].dtype == float
    np.testing.assert_array_equal(frame["momentum"], [0.5, 0.5, np.nan, np.nan, 0.9, 0.9])
    assert all(map(same, frame["name"], ["x", "x", np.nan, np.nan, None, None]))


@EVERY
def test_members_have_their_last_and_best_values(kind):
    sweep = SWEEPS[kind]()
    frame = sweep.to_pandas("members").set_index(["point", "seed"])
    for kind, metrics, steps in (
        ("train", sweep.metrics, sweep.recorded_steps + 1),
        ("held_out", sweep.held_out, sweep.held_out_steps),
    ):
        columns = [
            c.removesuffix("_final") for c in frame if c.startswith(f"{kind}_") and c.endswith("_final")
        ]
        assert len(columns) == len(metrics)
        for column, values in zip(columns, metrics.values(), strict=True):
            for (p, s), stop in np.ndenumerate(sweep.stopped_at):
                known = [r for r, step in enumerate(steps) if step > 0 and (stop < 0 or step <= stop)]
                last = values[p, s, known[-1]] if known else np.nan
                assert same(float(frame[f"{column}_final"][p, s]), float(last))
                losses = [(metrics["loss"][p, s, r], r) for r in range(len(steps)) if steps[r] > 0]
                finite = [(loss, r) for loss, r in losses if np.isfinite(loss)]
                best = min(finite)[1] if finite else None
                own = np.nan if best is None else values[p, s, best]
                assert same(float(frame[f"{column}_best"][p, s]), float(own))
                at = {"train": sweep.recorded_steps, "held_out": sweep.held_out_steps}[kind]
                assert frame[f"{kind}_best_step"][p, s] == (-1 if best is None else at[best])


@EVERY
def test_members_have_what_the_answer_says_of_them(kind):
    sweep = SWEEPS[kind]()
    frame = sweep.to_pandas("members")
    assert frame["failed"].tolist() == sweep.answer.failed.ravel().tolist()
    assert frame["regime"].tolist() == sweep.answer.regimes.ravel().tolist()
    medians = frame.groupby("point")["final_loss"].median()
    if not sweep.answer.failed.any() and not sweep.rungs and sweep.answer.index is not None:
        assert medians[sweep.answer.index] == pytest.approx(sweep.answer.score)
    for name, values in sweep.test.items():
        np.testing.assert_array_equal(frame[f"test_{name}"], values.ravel())
    assert frame.attrs["judged_by"] == sweep.answer.judged_by


def read(text):
    header, *rows = csv.reader(io.StringIO(text))
    return header, rows


@pytest.mark.parametrize("rows", ["records", "members"])
@EVERY
def test_a_csv_file_is_the_frame_cell_by_cell(kind, rows, tmp_path):
    sweep = SWEEPS[kind]()
    file = sweep.to_csv(tmp_path / "deep" / "sweep.csv", rows)
    assert file == tmp_path / "deep" / "sweep.csv"
    frame = sweep.to_pandas(rows)
    header, cells = read(file.read_text(encoding="utf-8"))
    assert header == list(frame)
    assert len(cells) == len(frame)
    for place, name in enumerate(header):
        column = frame[name]
        for cell, value in zip((row[place] for row in cells), column, strict=True):
            if isinstance(value, float) and math.isnan(value):
                assert cell == ""
            elif column.dtype.kind == "f":
                assert column.dtype.type(cell) == value
            else:
                assert cell == str(value)


def test_pandas_reads_the_csv_file_back(tmp_path):
    sweep = usual()
    back = pd.read_csv(sweep.to_csv(tmp_path / "sweep.csv"), keep_default_na=False, na_values=[""])
    frame = sweep.to_pandas()
    for name in ("train_loss", "held_out_loss"):
        np.testing.assert_array_equal(back[name].astype(np.float32), frame[name])
    for name in ("point", "seed", "step", "diverged_at", "stopped_at", "learning_rate"):
        np.testing.assert_array_equal(back[name], frame[name])
    assert set(back["cause"].fillna("")) == {"", "loss"}


def test_floats_are_short_in_csv(tmp_path):
    text = usual([[0.1]], [0.3], start=0.1, held_out=False).to_csv(tmp_path / "s.csv").read_text()
    assert text.splitlines()[1] == "0,0,0.3,0,0.1,-1,-1,,"
    assert "\r" not in text


def test_a_range_test_has_a_row_for_each_step_of_each_seed(tmp_path):
    test = ramp()
    frame = test.to_pandas()
    assert list(frame) == [
        *("seed", "step", "learning_rate", "momentum", "nesterov", "mask", "seed_", "schedule"),
        *("train_loss", "held_out_loss", "diverged_at"),
    ]
    for (s, i), loss in np.ndenumerate(test.losses):
        row = frame.iloc[s * 50 + i]
        assert (row["seed"], row["step"], row["learning_rate"]) == (s, i, test.learning_rates[i])
        assert same(row["train_loss"], loss)
        assert same(row["held_out_loss"], test.held_out[s, i])
        assert row["diverged_at"] == test.diverged_at[s]
    assert [frame[name][0] for name in ("momentum", "nesterov", "mask", "seed_", "schedule")] == [
        *(0.9, True, None, "x", "warm")
    ]
    header, cells = read(test.to_csv(tmp_path / "ramp.csv").read_text())
    assert header == list(frame)
    assert cells[0][:8] == ["0", "0", "0.0001", "0.9", "True", "None", "x", "warm"]
    assert cells[-1][-3:] == ["", "", "40"]
    bare = ramp(held_out=None, hyperparams={})
    assert list(bare.to_pandas()) == ["seed", "step", "learning_rate", "train_loss", "diverged_at"]


def test_other_rows_are_refused(tmp_path):
    with pytest.raises(
        ValueError, match=r"`to_pandas\(rows=\.\.\.\)` must be 'records' or 'members', got 'steps'"
    ):
        usual().to_pandas("steps")
    with pytest.raises(ValueError, match=r"`to_csv\(rows=\.\.\.\)` must be 'records' or 'members', got 3"):
        usual().to_csv(tmp_path / "s.csv", rows=3)
    assert not list(tmp_path.iterdir())


def test_a_directory_is_no_file(tmp_path):
    with pytest.raises(IsADirectoryError, match=r"`to_csv\(path=\.\.\.\)` must be a file to write"):
        usual().to_csv(tmp_path)


def test_csv_needs_no_pandas_and_frames_name_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert usual().to_csv(tmp_path / "s.csv").is_file()
    with pytest.raises(ImportError, match=r"pip install 'lrjax\[tables\]'"):
        usual().to_pandas()
    with pytest.raises(ImportError, match=r"pip install 'lrjax\[tables\]'"):
        ramp().to_pandas()
