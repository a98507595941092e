"""Stored results: read back bit for bit, refused when damaged, written whole, never executed."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

import lrjax
from lrjax import results
from tests.measured import measured, sweep_of

NAN = np.nan


def example():
    """NaNs, several hyperparameters, a column of objects, test data, a member that was stopped."""
    points = {
        "learning_rate": [1e-3, 0.1, 1 / 3, 10.0],
        "memory": [1, 2, 3, 4],
        "momentum": [None, 0.1 + 0.2, "auto", True],
    }
    final = [[3, 2.5], [1, 1.5], [2, NAN], [NAN, NAN]]
    test = {"loss": [[3, 2], [1, 1], [2, NAN], [NAN, NAN]], "accuracy": np.full((4, 2), 0.5)}
    stopped_at = np.array([[-1, -1], [-1, 40], [-1, -1], [-1, -1]])
    return sweep_of(measured(points, final, test=test, accuracy=True, stopped_at=stopped_at))


def assert_same(a, b):
    """Every field, every bit, every dtype."""
    for field in dataclasses.fields(results.SweepData):
        x, y = getattr(a, field.name), getattr(b, field.name)
        if field.name == "rungs":
            x, y = ({str(i): v for i, v in enumerate(map(np.asarray, sum(z, ())))} for z in (x, y))
        if field.name == "settings":
            assert x == y
        elif isinstance(x, dict):
            assert list(x) == list(y)
            pairs = [(x[name], y[name]) for name in x]
        elif isinstance(x, np.ndarray):
            pairs = [(x, y)]
        else:
            assert x == y
            assert type(x) is type(y)
            continue
        for left, right in pairs:
            assert left.dtype == right.dtype
            assert left.shape == right.shape
            if left.dtype == object:
                assert [(type(v), v) for v in left] == [(type(v), v) for v in right]
            else:
                assert left.tobytes() == right.tobytes()


@pytest.fixture
def stored(tmp_path):
    example().save(tmp_path / "run")
    return tmp_path / "run"


# Round trips


def test_a_stored_sweep_is_read_back_bit_for_bit(stored):
    loaded = lrjax.load(stored)
    assert type(loaded) is lrjax.Sweep
    assert_same(loaded, example())


def test_what_is_read_back_answers_the_same(stored):
    loaded = lrjax.load(stored)
    assert loaded.summary() == example().summary()
    assert loaded.answer.point == example().answer.point


def test_a_sweep_that_really_ran_is_read_back(tmp_path):
    def loss(x, batch):
        return 0.5 * x**2

    trial = lrjax.trial(lambda key: np.float32(1.0), loss, lrjax.sgd)
    sweep = lrjax.sweep(
        trial,
        {"learning_rate": [0.1, 30.0], "nesterov": [True, False]},
        lrjax.batches(np.zeros(4), batch_size=4),
        steps=40,
        evaluate_on=np.zeros(4),
        directory=tmp_path / "deeply" / "nested",
        progress=False,
    )
    assert (sweep.diverged_at >= 0).any()
    assert_same(lrjax.load(tmp_path / "deeply" / "nested"), sweep)


def test_a_path_may_be_a_string(tmp_path):
    example().save(str(tmp_path / "run"))
    assert_same(lrjax.load(str(tmp_path / "run")), example())


def test_nan_payloads_and_signed_zeros_survive(tmp_path):
    data = measured({"learning_rate": [0.1]}, [[1]])
    bits = np.array([0x7FC00001, 0x80000000, 0xFFC12345, 0x7F800000, 0x00000001, 0xFF800000], np.uint32)
    data.held_out["loss"][0, 0] = bits.view(np.float32)
    results.write(data, tmp_path)
    assert results.read(tmp_path).held_out["loss"].tobytes() == bits.tobytes()


def test_functions_are_stored_by_name(tmp_path):
    data = measured({"learning_rate": [0.1, 0.2], "f": [abs, example]}, [[1], [2]])
    results.write(data, tmp_path)
    assert results.read(tmp_path).points["f"].tolist() == ["abs", "example"]


def test_an_interrupted_sweep_without_any_metric_is_stored(tmp_path):
    data = dataclasses.replace(
        measured({"learning_rate": [0.1]}, [[1]], stopped_at=np.array([[0]])), metrics={}, held_out={}
    )
    results.write(data, tmp_path)
    assert_same(results.read(tmp_path), data)


def test_no_hyperparameters_at_all(tmp_path):
    data = measured({}, [[1]])
    results.write(data, tmp_path)
    assert_same(results.read(tmp_path), data)


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([1, 2], np.int64),
        ([1, 0.5], np.float64),
        ([True, False], object),
        ([None, 1.0], object),
        (["a", 1], object),
        ([1.0, True], object),
        ([2**70, 1], object),
    ],
)
def test_columns_of_numbers_are_numeric(values, dtype):
    column = results.as_column(values)
    assert column.dtype == dtype
    assert column.tolist() == values


# What cannot be read


def refused(error, path, *parts):
    with pytest.raises(error) as raised:
        lrjax.load(path)
    assert type(raised.value) is error
    message = str(raised.value)
    assert message.startswith("`load(path=...)` must be ")
    assert "\n" not in message
    for part in (*parts, str(path)):
        assert part in message, message


@pytest.mark.parametrize("kept", [None, "sweep.json", "sweep.npz"])
def test_a_directory_without_a_sweep(stored, kept):
    for name in ("sweep.json", "sweep.npz"):
        if name != kept:
            (stored / name).unlink()
    refused(FileNotFoundError, stored, "a directory with sweep.json and sweep.npz, or with range-test.json")


def test_a_directory_that_is_missing(tmp_path):
    refused(FileNotFoundError, tmp_path / "nowhere", "a directory with sweep.json and sweep.npz")


def test_a_file_in_place_of_the_directory(stored):
    refused(FileNotFoundError, stored / "sweep.json", "a directory with")


@pytest.mark.parametrize("part", [0.0, 0.3, 0.7, 0.99])
@pytest.mark.parametrize("name", ["sweep.npz", "sweep.json"])
def test_a_file_cut_short(stored, part, name):
    content = (stored / name).read_bytes()
    (stored / name).write_bytes(content[: int(part * len(content))])
    refused(ValueError, stored, "damaged")


def test_an_array_with_a_flipped_bit(stored):
    """The checksum of the archive finds it, wherever in an array it is."""
    content = bytearray((stored / "sweep.npz").read_bytes())
    with zipfile.ZipFile(stored / "sweep.npz") as archive:
        member = max(archive.infolist(), key=lambda info: info.compress_size)
    content[member.header_offset + 30 + len(member.filename) + member.compress_size // 2] ^= 0x10
    (stored / "sweep.npz").write_bytes(content)
    refused(ValueError, stored, "damaged")


@pytest.mark.parametrize(
    "text", ["", "{", "null", "[]", "3", '"format"', "{}", '{"format": 1', '{"format": 1}', "\x00\x01"]
)
def test_json_that_is_no_description(stored, text):
    (stored / "sweep.json").write_text(text)
    refused(ValueError, stored, "damaged")


def test_json_that_is_no_text(stored):
    (stored / "sweep.json").write_bytes(b"\xff\xfe\x00{")
    refused(ValueError, stored, "damaged")


@pytest.mark.parametrize("name", ["name", "steps", "plan", "cost", "points"])
def test_a_description_that_lacks_a_field(stored, name):
    about = json.loads((stored / "sweep.json").read_text())
    del about[name]
    (stored / "sweep.json").write_text(json.dumps(about))
    refused(ValueError, stored, "damaged", name)


@pytest.mark.parametrize("version", [0, 3, 99, "1", None, [1]])
def test_an_unknown_format(stored, version):
    about = json.loads((stored / "sweep.json").read_text())
    (stored / "sweep.json").write_text(json.dumps({**about, "format": version}))
    refused(ValueError, stored, "a sweep stored in a format up to 2, got format", str(version))


def test_a_sweep_of_the_first_format_is_read(stored):
    """It had a name for its plan, and knew no causes, rungs and settings."""
    about = json.loads((stored / "sweep.json").read_text())
    about |= {"format": 1, "plan": "scan(vmap)"}
    for name in ("rungs", "settings"):
        del about[name]
    for name in ("member_steps_wasted", "member_steps_reused"):
        del about["cost"][name]
    (stored / "sweep.json").write_text(json.dumps(about))
    with np.load(stored / "sweep.npz") as archive:
        arrays = {name: x for name, x in archive.items() if name not in ("causes", "leaves")}
    np.savez(stored / "sweep.npz", **arrays)
    sweep = lrjax.load(stored)
    assert str(sweep.plan) == "vmap/scan"
    assert sweep.causes.shape == sweep.diverged_at.shape
    np.testing.assert_array_equal(sweep.metrics["loss"], example().metrics["loss"])
    assert sweep.summary()


def test_an_archive_that_lacks_an_array(stored):
    with np.load(stored / "sweep.npz") as archive:
        arrays = dict(archive)
    del arrays["diverged_at"]
    np.savez(stored / "sweep.npz", **arrays)
    refused(ValueError, stored, "damaged", "diverged_at")


def test_files_of_two_sweeps_are_no_sweep(stored, tmp_path):
    """Each is whole: it takes a machine that goes down between the two."""
    other = tmp_path / "other"
    task = lrjax.tasks.load("quadratic-deep")
    grid = {"learning_rate": [0.1, 0.2, 0.3]}
    lrjax.sweep(task.trial(lrjax.sgd), grid, task.data, steps=7, progress=False).save(other)
    (stored / "sweep.npz").write_bytes((other / "sweep.npz").read_bytes())
    refused(ValueError, stored, "damaged")


@pytest.mark.parametrize("name", ["points/learning_rate", "metrics/loss", "recorded_steps", "stopped_at"])
def test_arrays_that_do_not_belong_together(stored, name):
    with np.load(stored / "sweep.npz") as archive:
        arrays = dict(archive)
    arrays[name] = arrays[name][:-1]
    np.savez(stored / "sweep.npz", **arrays)
    refused(ValueError, stored, "damaged", "has the shape")


def test_what_is_no_archive_is_not_taken_for_a_pickle_to_be_run(stored):
    (stored / "sweep.npz").write_text("hello")
    refused(ValueError, stored, "sweep.npz is no archive")


class Executed:
    """Unpickling this makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("form", ["object array", "pickle"])
def test_nothing_is_unpickled(stored, tmp_path, form):
    bomb = Executed(tmp_path / "executed")
    if form == "pickle":
        (stored / "sweep.npz").write_bytes(pickle.dumps(bomb))
    else:
        with np.load(stored / "sweep.npz") as archive:
            arrays = dict(archive)
        column = np.empty(1, object)
        column[0] = bomb
        np.savez(stored / "sweep.npz", **{**arrays, "stopped_at": column})
    refused(ValueError, stored, "damaged")
    assert not (tmp_path / "executed").exists()
    if form == "pickle":  # the bomb is live
        pickle.loads((stored / "sweep.npz").read_bytes())
        assert (tmp_path / "executed").exists()


def test_an_array_of_objects_is_not_written(tmp_path):
    data = measured({"learning_rate": [0.1]}, [[1]], stopped_at=np.array([[None]]))
    with pytest.raises(ValueError, match="allow_pickle"):
        results.write(data, tmp_path)
    assert list(tmp_path.iterdir()) == []


# Writing


def content(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_only_two_files_are_written(stored):
    assert sorted(content(stored)) == ["sweep.json", "sweep.npz"]


def test_files_may_be_read_by_whom_the_umask_lets(stored):
    other = stored / "other"
    other.write_text("")
    for name in ("sweep.json", "sweep.npz"):
        assert (stored / name).stat().st_mode == other.stat().st_mode


def test_writing_twice_overwrites(stored):
    other = sweep_of(measured({"learning_rate": [5.0]}, [[1]]))
    other.save(stored)
    assert_same(lrjax.load(stored), other)
    assert sorted(content(stored)) == ["sweep.json", "sweep.npz"]


def test_the_description_is_json_a_person_can_read(stored):
    about = json.loads((stored / "sweep.json").read_text())
    assert about["format"] == results.FORMAT == 2
    assert about["points"] == {
        "learning_rate": None,
        "memory": None,
        "momentum": [None, 0.1 + 0.2, "auto", True],
    }
    assert about["steps"] == 100
    assert about["cost"]["seconds_running"] == 2.5


@pytest.mark.parametrize("when", ["arrays", "description"])
def test_a_write_that_fails_leaves_the_old_files_and_nothing_else(stored, monkeypatch, when):
    before = content(stored)
    other = sweep_of(measured({"learning_rate": [5.0]}, [[1]]))

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    if when == "arrays":
        original = np.savez_compressed

        def partly(file, **arrays):
            original(file, **arrays)
            full()

        monkeypatch.setattr(np, "savez_compressed", partly)
    else:
        original_open = Path.open

        def opened(self, *arguments, **options):
            return full() if "json" in self.name else original_open(self, *arguments, **options)

        monkeypatch.setattr(Path, "open", opened)
    with pytest.raises(OSError, match="No space left"):
        other.save(stored)
    monkeypatch.undo()
    assert content(stored) == before
    assert_same(lrjax.load(stored), example())


def test_a_first_write_that_fails_leaves_an_empty_directory(tmp_path, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(OSError, match="No space left"):
        example().save(tmp_path / "run")
    assert content(tmp_path / "run") == {}


def test_an_interrupt_while_writing_leaves_the_old_files(stored, monkeypatch):
    before = content(stored)

    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez_compressed", interrupt)
    with pytest.raises(KeyboardInterrupt):
        example().save(stored)
    assert content(stored) == before


@pytest.mark.parametrize("below", ["", "deeper"])
def test_a_directory_that_cannot_be_made(tmp_path, below):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        example().save(tmp_path / "file" / below)


@pytest.mark.parametrize("below", ["", "deeper"])
def test_check_writable_names_call_argument_and_path(tmp_path, below):
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / below
    with pytest.raises(
        OSError, match=r"^`f\(where=\.\.\.\)` must be a directory that can be written, got"
    ) as e:
        results.check_writable("f", "where", path)
    assert str(path) in str(e.value)


def test_check_writable_leaves_nothing_behind(tmp_path):
    assert results.check_writable("f", "where", tmp_path / "new") == tmp_path / "new"
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_check_writable_in_a_directory_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(PermissionError, match="must be a directory that can be written"):
            results.check_writable("f", "where", tmp_path)
    finally:
        tmp_path.chmod(0o700)
