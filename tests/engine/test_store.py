"""Checkpoints: read back bit for bit, whole whatever happens, never wrong, never executed, never shared."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import itertools
import json
import logging
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from lrjax.engine import _lock, _store
from lrjax.engine._store import Checkpoint, Store

NUMPY_DTYPES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "complex64", "complex128"),
)
OTHER_DTYPES = [
    name
    for name, value in vars(ml_dtypes).items()
    if isinstance(value, type) and issubclass(value, np.generic)
]
DTYPES = [*NUMPY_DTYPES, *OTHER_DTYPES]


def open_store(directory):
    return Store("sweep", "directory", directory)


def numbered(i, size=16):
    """A checkpoint that only `i` tells apart from others."""
    random = np.random.default_rng(i)
    states = {
        "0/0": random.standard_normal((4, size)).astype(np.float32),
        "0/1": np.full((4,), i, np.uint32),
        "1/0": random.standard_normal((4, 3)).astype(ml_dtypes.bfloat16),
    }
    curves = {"metrics/loss": random.standard_normal((2, 2, 5)), "held_out/accuracy": np.full((2, 2), i)}
    return Checkpoint({"step": i, "members": [0, 1, 2, 3]}, curves, states)


def assert_same(a, b):
    assert json.dumps(a.about) == json.dumps(b.about)
    for left, right in ((a.curves, b.curves), (a.states, b.states)):
        assert list(left) == list(right)
        for name in left:
            x, y = left[name], right[name]
            assert (x.dtype, x.shape) == (y.dtype, y.shape), name
            assert x.tobytes() == y.tobytes(), name


def written(directory, *checkpoints):
    with open_store(directory) as store:
        for checkpoint in checkpoints:
            store.save(checkpoint)
    return directory / "checkpoints"


def read(directory):
    with open_store(directory) as store:
        return store.newest()


def in_it(directory):
    return sorted(path.name for path in (directory / "checkpoints").iterdir())


@contextlib.contextmanager
def expect_one_line(kind, *parts):
    with pytest.raises(kind) as caught:
        yield
    text = str(caught.value)
    assert text.startswith("`sweep(directory=...)`")
    assert "\n" not in text
    for part in parts:
        assert str(part) in text


@pytest.fixture
def two(tmp_path):
    """Checkpoint 1 and checkpoint 2."""
    return written(tmp_path, numbered(1), numbered(2))


# Round trips


def test_every_dtype_and_shape_is_read_back_bit_for_bit(tmp_path):
    random = np.random.default_rng(0)
    states = {}
    for name in DTYPES:
        dtype = np.dtype(name)
        size = 2 if name == "bool" else 256
        bits = random.integers(0, size, (6, 3, 7 * dtype.itemsize), np.uint8).view(dtype)
        states[f"{name}/one byte before"] = np.ones(1, np.uint8)
        states[f"{name}/bits"] = bits
        states[f"{name}/scalar"] = bits[0, 0, 0].reshape(())
        states[f"{name}/no members"] = bits[:0]
        states[f"{name}/strided"] = bits[::2, :, 1::2]
        states[f"{name}/transposed"] = bits.T
        states[f"{name}/large"] = np.resize(bits, (8, 3001))
    read_back = states_of(tmp_path, states)
    assert set(DTYPES) >= {"bfloat16", "float8_e4m3fn", "float8_e5m2", "int4", "uint4"}
    for name in states:
        assert read_back[name].flags.writeable
        assert read_back[name].flags.aligned
    for name in ("float32", "bfloat16", "float8_e5m2", "int4", "uint32", "bool"):
        assert jnp.asarray(read_back[f"{name}/bits"]).dtype == np.dtype(name)


def states_of(directory, states):
    checkpoint = Checkpoint({}, {}, states)
    written(directory, checkpoint)
    loaded = read(directory)
    assert_same(loaded, checkpoint)
    return loaded.states


def test_nan_payloads_and_signs_of_zero_are_kept(tmp_path):
    bits = np.array([0x7FC00001, 0x7F800001, 0xFFC12345, 0x80000000, 0, 0x7F800000, 1], np.uint32)
    halves = np.array([0x7FC1, 0x7F81, 0xFFC2, 0x8000, 0, 0x7F80, 1], np.uint16)
    zeros = np.full((3, 4), -0.0, np.float32)
    states = {"single": bits.view(np.float32), "half": halves.view(ml_dtypes.bfloat16), "zeros": zeros}
    loaded = states_of(tmp_path, states)
    assert loaded["single"].view(np.uint32).tolist() == bits.tolist()
    assert loaded["half"].view(np.uint16).tolist() == halves.tolist()
    assert np.signbit(loaded["zeros"]).all()


def test_curves_and_about_have_any_names_and_values(tmp_path):
    numbers = np.arange(6.0).reshape(2, 3)
    names = ["metrics/loss", "file", "a", "a.npy", "arr_0", "allow_pickle", "../up", "ü \n", "args"]
    curves = {name: numbers + i for i, name in enumerate(names)}
    curves |= {
        "text": np.array([["a", "longer"], ["", "ü"]]),
        "bytes": np.array([b"a", b"bc"]),
        "flags": np.array([True, False]),
        "half": np.array([np.nan, -0.0], np.float16),
        "none": np.empty((0, 3), np.float32),
        "scalar": np.array(2.5),
        "transposed": numbers.T,
    }
    about = {"z": 1, "a": [None, True, 0.1 + 0.2, 1e-320, float("inf"), "ü\ud800", 2**80], "": {"x": {}}}
    written(tmp_path, Checkpoint(about, curves, {}))
    assert_same(read(tmp_path), Checkpoint(about, curves, {}))
    assert all(x.flags.writeable for x in read(tmp_path).curves.values())


def test_nothing_at_all_can_be_stored(tmp_path):
    written(tmp_path, Checkpoint({}, {}, {}))
    assert read(tmp_path) == Checkpoint({}, {}, {})


def test_an_empty_directory_holds_no_checkpoint(tmp_path):
    assert read(tmp_path / "new" / "deep") is None


def test_states_that_are_large_go_into_several_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(_store, "_PIECE", 1000)
    states = {str(i): np.arange(i * 37, dtype=np.int32) for i in range(20)}
    states_of(tmp_path, states)
    assert len(list((tmp_path / "checkpoints" / "00000001" / "states").iterdir())) > 5


def test_jax_arrays_are_stored_though_they_are_donated_meanwhile(tmp_path):
    advance = jax.jit(lambda x: x + 1, donate_argnums=0)
    x = jnp.zeros((4, 100_000))
    with open_store(tmp_path) as store:
        for _ in range(4):
            store.save(Checkpoint({"value": float(x[0, 0])}, {}, {"x": np.asarray(x)}))
            x = advance(x)
        loaded = store.newest()
    assert loaded.about == {"value": 3.0}
    assert (loaded.states["x"] == 3).all()


def test_what_is_changed_after_save_is_not_stored(tmp_path):
    checkpoint = numbered(1)
    writable = np.zeros((4, 200_000), np.float32)
    view = np.broadcast_to(writable, (1, *writable.shape))  # read-only, of what is not
    assert not view.flags.writeable
    checkpoint.states.update(writable=writable, view=view)
    with open_store(tmp_path) as store:
        store.save(checkpoint)
        checkpoint.states["writable"][:] = 1
        checkpoint.curves["metrics/loss"][:] = 1
        checkpoint.about["members"].append(4)
        store.wait()
        loaded = store.newest()
    assert not loaded.states["writable"].any()
    assert not loaded.states["view"].any()
    assert_same(Checkpoint(loaded.about, loaded.curves, {}), numbered(1)._replace(states={}))


# Background


@pytest.fixture
def gate(monkeypatch):
    """Holds up writing until it is set."""
    gate, write = threading.Event(), _store._write_states

    def held_up(*args):
        assert gate.wait(30)
        return write(*args)

    monkeypatch.setattr(_store, "_write_states", held_up)
    return gate


def test_save_returns_before_anything_is_written(tmp_path, gate):
    with open_store(tmp_path) as store:
        store.save(numbered(1))
        assert store.seconds == 0
        assert "00000001" not in in_it(tmp_path)
        gate.set()
        store.wait()
        assert store.seconds > 0
        assert in_it(tmp_path) == ["00000001"]


def test_a_second_save_waits_for_the_first(tmp_path, gate):
    with open_store(tmp_path) as store:
        store.save(numbered(1))
        threading.Timer(0.1, gate.set).start()
        store.save(numbered(2))
        assert gate.is_set()
        assert "00000001" in in_it(tmp_path)
    assert_same(read(tmp_path), numbered(2))


def test_an_interrupt_while_waiting_loses_nothing(tmp_path, gate, monkeypatch):
    def interrupt(running):
        raise KeyboardInterrupt

    def sweep():
        with open_store(tmp_path) as store:
            store.save(numbered(1))
            with monkeypatch.context() as patch:
                patch.setattr(_store.futures, "wait", interrupt)
                threading.Timer(0.1, gate.set).start()
                store.wait()

    with pytest.raises(KeyboardInterrupt):
        sweep()
    assert_same(read(tmp_path), numbered(1))


def test_newest_waits_and_runs_beside_an_event_loop(tmp_path):
    async def main():
        with open_store(tmp_path) as store:
            store.save(numbered(1))
            return store.newest()

    assert_same(asyncio.run(main()), numbered(1))


def test_the_process_may_change_its_working_directory(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    with open_store("run") as store:
        monkeypatch.chdir(tmp_path / "elsewhere")
        store.save(numbered(1))
    assert in_it(tmp_path / "run") == ["00000001"]


def test_nothing_is_printed_logged_or_warned(tmp_path, capfd, caplog, monkeypatch):
    before = list(logging.getLogger("absl").filters)
    with caplog.at_level(logging.DEBUG, "absl"), open_store(tmp_path) as store:
        store.save(numbered(1))
        store.newest()
        with file_size_limit(2**16):
            store.save(numbered(2, size=100_000))
            with pytest.raises(OSError, match="File too large"):
                store.wait()
        logging.getLogger("absl").warning("not Orbax's")
    assert [record.getMessage() for record in caplog.records if record.name == "absl"] == ["not Orbax's"]
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("absl").filters == before


# What is kept


def test_the_two_newest_are_kept_and_numbers_go_on(tmp_path):
    written(tmp_path, *map(numbered, range(5)))
    assert in_it(tmp_path) == ["00000004", "00000005"]
    written(tmp_path, numbered(6))
    assert in_it(tmp_path) == ["00000005", "00000006"]
    assert_same(read(tmp_path), numbered(6))


def test_what_is_half_written_is_removed_and_the_rest_is_let_be(two):
    shutil.copytree(two / "00000002", two / "00000003.partial")
    (two / "notes.partial").write_text("mine")
    (two / "notes").mkdir()
    assert_same(read(two.parent), numbered(2))
    written(two.parent, numbered(3))
    assert in_it(two.parent) == ["00000002", "00000003", "notes", "notes.partial"]


def test_checkpoints_that_cannot_be_removed_do_not_fail_a_save(two, monkeypatch):
    def refuse(self, target):
        if self.name == "00000001":
            raise PermissionError(errno.EACCES, "Permission denied")
        return rename(self, target)

    rename = Path.rename
    with open_store(two.parent) as store:
        monkeypatch.setattr(Path, "rename", refuse)
        store.save(numbered(3))
        store.wait()
        assert in_it(two.parent) == ["00000001", "00000002", "00000003"]
        monkeypatch.setattr(Path, "rename", rename)
        store.save(numbered(4))
    assert in_it(two.parent) == ["00000003", "00000004"]


# Damage


def files_of(checkpoint):
    return sorted(path for path in checkpoint.rglob("*") if path.is_file())


def assert_whole_or_before(store, where):
    """The second checkpoint, or the first with a warning; never anything else."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loaded = store.newest()
    assert loaded is not None, where
    assert len(caught) <= 1
    assert_same(loaded, numbered(1 if caught else 2))
    return not caught


def test_no_flipped_bit_is_ever_read(two):
    chance = random.Random(0)
    files = files_of(two / "00000002")
    assert len(files) >= 5
    with open_store(two.parent) as store:
        for file in files:
            whole = file.read_bytes()
            places = range(len(whole)) if len(whole) < 60 else chance.sample(range(len(whole)), 60)
            tolerated = 0
            for place in places:
                damaged = bytearray(whole)
                damaged[place] ^= 1 << chance.randrange(8)
                file.write_bytes(damaged)
                tolerated += assert_whole_or_before(store, (file, place))
            file.write_bytes(whole)
            assert tolerated <= (len(places) // 4 if file.name == "about.json" else 0)  # spaces in JSON
        assert assert_whole_or_before(store, "repaired")


@pytest.mark.slow
def test_no_flipped_byte_anywhere_is_ever_read(two):
    with open_store(two.parent) as store:
        for file in files_of(two / "00000002"):
            whole = file.read_bytes()
            for place in range(len(whole)):
                file.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
                assert_whole_or_before(store, (file, place))
            file.write_bytes(whole)


def test_no_file_cut_short_grown_or_missing_is_ever_read(two):
    with open_store(two.parent) as store:
        for file in files_of(two / "00000002"):
            whole = file.read_bytes()
            n = len(whole)
            for length in {0, 1, n // 3, n // 2, n - 2, n - 1} & set(range(n)):
                file.write_bytes(whole[:length])
                assert not assert_whole_or_before(store, (file, length))
            file.write_bytes(whole + b"\0")
            assert not assert_whole_or_before(store, (file, "longer"))
            file.unlink()
            assert not assert_whole_or_before(store, (file, "missing"))
            file.mkdir()
            assert not assert_whole_or_before(store, (file, "a directory"))
            file.rmdir()
            file.write_bytes(whole)


@pytest.mark.parametrize("text", ["", "null", "[]", "7", '{"format": 1}', '{"sha256": null}', "\ufeff{}"])
def test_an_about_of_something_else_is_damage(two, text):
    (two / "00000002" / "about.json").write_text(text)
    with pytest.warns(RuntimeWarning, match=r"passed over damaged checkpoints: .*about\.json|00000002"):
        assert_same(read(two.parent), numbered(1))


def test_parts_of_another_checkpoint_are_damage(two):
    for part in ("curves.npz", "states/0/bytes/0"):
        whole = (two / "00000002" / part).read_bytes()
        shutil.copy(two / "00000001" / part, two / "00000002" / part)
        with pytest.warns(RuntimeWarning, match=part):
            assert_same(read(two.parent), numbered(1))
        (two / "00000002" / part).write_bytes(whole)


def test_missing_directories_are_damage(two):
    shutil.rmtree(two / "00000002" / "states")
    (two / "00000003").mkdir()
    with pytest.warns(RuntimeWarning) as caught:
        assert_same(read(two.parent), numbered(1))
    (warning,) = caught
    assert "00000003 (about.json: No such file or directory)" in str(warning.message)
    assert "00000002 (" in str(warning.message)
    assert warning.filename == __file__


def test_a_whole_checkpoint_outlives_damaged_ones(two):
    for path in files_of(two / "00000002"):
        path.write_bytes(b"")
    with open_store(two.parent) as store:
        with pytest.warns(RuntimeWarning):
            store.newest()
        store.save(numbered(3))
    assert in_it(two.parent) == ["00000001", "00000003"]


def test_without_a_whole_checkpoint_the_error_says_what_to_do(two):
    for path in two.rglob("curves.npz"):
        path.write_bytes(path.read_bytes()[:-1])
    with expect_one_line(ValueError, "00000002", "00000001", "curves.npz", f"remove {two} to begin anew"):
        read(two.parent)


def sign(checkpoint, **changes):
    """Makes what is in a checkpoint count as what was written."""
    about = checkpoint / "about.json"
    content = json.loads(about.read_text()) | changes
    content["files"] = {
        name: hashlib.sha256((checkpoint / name).read_bytes()).hexdigest() for name in content["files"]
    }
    del content["sha256"]
    content["sha256"] = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    about.write_text(json.dumps(content))


def test_the_digests_are_what_the_module_says(two):
    before = (two / "00000002" / "about.json").read_text()
    sign(two / "00000002")
    assert (two / "00000002" / "about.json").read_text() == before
    content = json.loads(before)
    assert content["format"] == 1
    digests = {place["name"]: place["sha256"] for place in content["states"]}
    assert digests == {
        name: hashlib.sha256(x.tobytes()).hexdigest() for name, x in numbered(2).states.items()
    }
    assert set(content["files"]) == {
        path.relative_to(two / "00000002").as_posix()
        for path in files_of(two / "00000002")
        if path.name != "about.json"
    }


def test_a_state_that_orbax_reads_wrong_is_damage(two):
    chunk = two / "00000002" / "states/0/bytes/0"
    data = bytearray(chunk.read_bytes())
    data[8] ^= 1
    chunk.write_bytes(data)
    sign(two / "00000002")
    with pytest.warns(RuntimeWarning, match="the state '0/0' is not what was written"):
        assert_same(read(two.parent), numbered(1))


def test_another_format_is_refused_and_not_passed_over(two):
    sign(two / "00000002", format=2)
    with expect_one_line(ValueError, "of format 1, got format 2", two / "00000002"):
        read(two.parent)
    assert in_it(two.parent) == ["00000001", "00000002"]


class Executes:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_loading_executes_nothing(two, tmp_path):
    proof = tmp_path / "executed"
    payload = np.array([Executes(proof)], dtype=object)
    np.savez(two / "00000002" / "curves.npz", payload, payload, allow_pickle=True)
    (two / "00000002" / "states/0/_METADATA").write_bytes(pickle.dumps(Executes(proof)))
    sign(two / "00000002")
    with pytest.warns(RuntimeWarning, match="allow_pickle=False"):
        assert_same(read(two.parent), numbered(1))
    np.savez(two / "00000002" / "curves.npz", *numbered(2).curves.values())
    sign(two / "00000002")
    with pytest.warns(RuntimeWarning, match="00000002"):
        assert_same(read(two.parent), numbered(1))
    assert not proof.exists()
    pickle.loads(pickle.dumps(Executes(proof)))
    assert proof.exists()


def test_pickle_is_never_called(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("pickle was called")

    import _pickle

    for module, name in itertools.product((pickle, _pickle), ("dump", "dumps", "load", "loads")):
        monkeypatch.setattr(module, name, refuse)
    monkeypatch.setattr(pickle, "Pickler", refuse)
    monkeypatch.setattr(pickle, "Unpickler", refuse)
    written(tmp_path, numbered(1))
    assert_same(read(tmp_path), numbered(1))


# What cannot be stored


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"about": {"x": object()}}, "not JSON serializable"),
        ({"curves": {"x": np.array([None])}}, "'x' must be .* dtype object"),
        ({"curves": {"x": np.zeros(2, ml_dtypes.bfloat16)}}, "'x' must be .* dtype bfloat16"),
        ({"curves": {"x": np.zeros(2, "f4,i4")}}, "'x' must be"),
        ({"states": {"x": np.array(["a"])}}, "'x' must be .* dtype <U1"),
        ({"states": {"x": np.array([None])}}, "'x' must be .* dtype object"),
        ({"states": {"x": np.zeros(2, np.dtype("f4").newbyteorder())}}, "'x' must be"),
        ({"states": {"x": np.zeros(2, "M8[s]")}}, "'x' must be"),
    ],
)
def test_what_cannot_be_stored_is_refused_at_once(tmp_path, changes, message):
    with open_store(tmp_path) as store:
        with pytest.raises(TypeError, match=message):
            store.save(numbered(1)._replace(**changes))
        store.save(numbered(2))
    assert_same(read(tmp_path), numbered(2))


# Disks that refuse


@contextlib.contextmanager
def file_size_limit(size):
    """Files of this process cannot grow beyond this."""
    resource = pytest.importorskip("resource")
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 4 MiB, where one can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if shutil.which("mount") is None or sys.platform != "linux":
        pytest.skip("cannot mount")
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], capture_output=True
    ).returncode:
        pytest.skip("cannot mount")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_fails_the_save_and_leaves_the_checkpoints(small_disk, capfd):
    with open_store(small_disk) as store:
        store.save(numbered(1))
        store.save(numbered(2))
        store.save(numbered(3, size=600_000))
        with expect_one_line(
            OSError, small_disk, "No space left on device", "the checkpoints before are whole"
        ):
            store.save(numbered(4))
        assert in_it(small_disk) == ["00000001", "00000002"]
        assert_same(store.newest(), numbered(2))
        store.save(numbered(5))
        store.wait()
        assert_same(store.newest(), numbered(5))
    assert capfd.readouterr() == ("", "")


def error_of(call):
    try:
        call()
    except OSError as error:
        return error
    return None


def test_a_disk_full_to_the_last_byte_fails_the_save_wherever_it_is(small_disk, capfd):
    written(small_disk, numbered(1), numbered(2))
    filler, faults = small_disk / "filler", []
    for free in range(0, 60, 6):  # KiB
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(4096)):
                pass
        os.truncate(filler, max(0, filler.stat().st_size - free * 1024))
        with open_store(small_disk) as store:
            before = store.newest()
            store.save(numbered(100 + free, size=200))
            fault = error_of(store.wait)
            assert fault is None or "No space left on device" in str(fault)
            assert_same(store.newest(), before if fault else numbered(100 + free, size=200))
            faults.append(fault is not None)
            assert len(in_it(small_disk)) == 2
        filler.unlink()
    assert set(faults) == {True, False}
    assert capfd.readouterr() == ("", "")


def test_a_file_size_limit_fails_the_save(tmp_path):
    with open_store(tmp_path) as store:
        store.save(numbered(1))
        store.wait()
        with file_size_limit(2**16):
            store.save(numbered(2, size=100_000))
            with expect_one_line(OSError, tmp_path, "File too large"):
                store.wait()
        assert in_it(tmp_path) == ["00000001"]
        store.save(numbered(3))
    assert_same(read(tmp_path), numbered(3))


STAGES = ["_write_states", "_settle", "_force", "_checkpointer", "_digest_of", "savez", "rename"]


@pytest.mark.parametrize("stage", STAGES)
def test_a_save_that_fails_anywhere_is_reported_once_by_the_next_call(tmp_path, monkeypatch, stage):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    written(tmp_path, numbered(1), numbered(2))
    with open_store(tmp_path) as store:
        with monkeypatch.context() as patch:
            patch.setattr({"savez": np, "rename": Path}.get(stage, _store), stage, full)
            store.save(numbered(3))
            with expect_one_line(OSError, tmp_path, "No space left on device"):
                store.save(numbered(4))
        assert in_it(tmp_path) == ["00000001", "00000002"]
        store.wait()
        assert_same(store.newest(), numbered(2))
        store.save(numbered(5))
    assert_same(read(tmp_path), numbered(5))


def fail(*args):
    raise RuntimeError("the first line\nthe second")


def test_the_last_save_may_fail_at_close_which_gives_the_directory_back(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(_store, "_write_states", fail)
        with expect_one_line(OSError, "the first line;"), open_store(tmp_path) as store:
            store.save(numbered(1))
    written(tmp_path, numbered(2))
    store.close()


def test_a_failed_save_does_not_hide_what_ended_the_sweep(tmp_path, monkeypatch):
    monkeypatch.setattr(_store, "_write_states", fail)

    def sweep():
        with open_store(tmp_path) as store:
            store.save(numbered(1))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        sweep()
    assert "the first line" in caught.value.__notes__[0]


def test_a_directory_that_vanishes_fails_the_save(tmp_path):
    with open_store(tmp_path / "run") as store:
        shutil.rmtree(tmp_path / "run")
        store.save(numbered(1))
        with expect_one_line(OSError, tmp_path / "run", "No such file or directory"):
            store.wait()


def test_a_file_in_place_of_a_directory_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    with expect_one_line(OSError, tmp_path / "file", "File exists"):
        open_store(tmp_path / "file")
    with expect_one_line(OSError, tmp_path / "file" / "run", "Not a directory"):
        open_store(tmp_path / "file" / "run")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoints").write_text("mine")
    with expect_one_line(OSError, tmp_path / "run" / "checkpoints", "File exists"):
        open_store(tmp_path / "run")
    (tmp_path / "run" / "checkpoints").unlink()
    open_store(tmp_path / "run").close()  # what failed after it was locked gave it back
    (tmp_path / "run" / "lock").unlink()
    (tmp_path / "run" / "lock").mkdir()
    with expect_one_line(OSError, tmp_path / "run", "lock: Is a directory"):
        open_store(tmp_path / "run")


def test_a_directory_that_is_read_only_is_refused(small_disk):
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with expect_one_line(OSError, small_disk, "Read-only file system"):
        open_store(small_disk)
    with expect_one_line(OSError, small_disk / "run", "Read-only file system"):
        open_store(small_disk / "run")


def test_a_directory_that_turns_read_only_fails_the_save(small_disk):
    with open_store(small_disk / "run") as store:
        store.save(numbered(1))
        store.wait()
        run = str(small_disk / "run")
        subprocess.run(["mount", "--bind", run, run], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", run], check=True)
        try:
            store.save(numbered(2))
            with expect_one_line(OSError, run, "Read-only file system"):
                store.wait()
            assert_same(store.newest(), numbered(1))
        finally:
            subprocess.run(["umount", run], check=True)
        store.save(numbered(3))
    assert_same(read(small_disk / "run"), numbered(3))


def test_a_directory_without_permission_is_refused(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with expect_one_line(PermissionError, tmp_path, "Permission denied"):
        open_store(tmp_path)


def test_without_orbax_the_error_names_the_extra(tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "orbax"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "orbax", None)
    with expect_one_line(ImportError, "pip install 'lrjax[store]'"):
        open_store(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_orbax_is_imported_only_when_it_is_used():
    code = "import sys, lrjax.engine._store; sys.exit('orbax' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


# The lock, and processes that are killed


@pytest.fixture(scope="module")
def processes():
    """Starts a role in a process of its own; one process is imported into and forked, since that is fast."""
    if not hasattr(os, "fork"):
        pytest.skip("needs fork")
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:

        def start(role, directory):
            server.stdin.write(f"{role} {directory}\n")
            server.stdin.flush()
            return int(server.stdout.readline())

        yield start
        server.stdin.close()


def serve():
    import orbax.checkpoint  # noqa: F401

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no zombies
    for line in sys.stdin:
        role, directory = line.rstrip("\n").split(" ", 1)
        if pid := os.fork():
            print(pid, flush=True)
        else:
            ROLES[role](Path(directory))
            os._exit(0)


def hold(directory):
    with open_store(directory):
        (directory / "held").touch()
        time.sleep(60)


def hold_with_a_child(directory):
    with open_store(directory):
        child = os.fork()
        if child:
            (directory / "held").write_text(str(child))
        time.sleep(60)


def keep_writing(directory):
    log = os.open(directory.with_suffix(".log"), os.O_WRONLY | os.O_APPEND)
    with open_store(directory) as store:
        newest = store.newest()
        for i in itertools.count(0 if newest is None else newest.about["step"] + 1):
            os.write(log, f"begun {i}\n".encode())
            store.save(numbered(i, size=20_000))
            if i % 2:
                store.wait()
                os.write(log, f"whole {i}\n".encode())


ROLES = {"hold": hold, "hold_with_a_child": hold_with_a_child, "keep_writing": keep_writing}


def until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def is_gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def kill(pid):
    os.kill(pid, signal.SIGKILL)
    until(lambda: is_gone(pid))


@pytest.mark.parametrize("kills", [20, pytest.param(60, marks=pytest.mark.slow)])
def test_a_writer_may_be_killed_at_any_instant(processes, tmp_path, kills):
    chance = random.Random(kills)
    directory, log = tmp_path / "run", tmp_path / "run.log"
    log.touch()
    for _ in range(kills):
        lines = log.read_text().count("\n") + chance.randint(1, 8)
        pid = processes("keep_writing", directory)
        until(lambda lines=lines: log.read_text().count("\n") >= lines)
        time.sleep(chance.uniform(0, 0.03))
        kill(pid)
        events = [line.split() for line in log.read_text().splitlines()]
        begun = max(int(i) for what, i in events if what == "begun")
        whole = max((int(i) for what, i in events if what == "whole"), default=-1)
        newest = read(directory)  # a warning of damage is an error here
        if newest is None:
            assert whole == -1
        else:
            assert whole <= newest.about["step"] <= begun
            assert_same(newest, numbered(newest.about["step"], size=20_000))
        assert all(name.isdigit() for name in in_it(directory))
    assert whole >= 0


def test_a_second_store_in_one_process_is_refused(tmp_path):
    with open_store(tmp_path) as store:
        with expect_one_line(BlockingIOError, tmp_path, f"in use by process {os.getpid()} on "):
            open_store(tmp_path)
        store.save(numbered(1))
    open_store(tmp_path).close()
    assert (tmp_path / "lock").read_bytes() == b""


def test_a_store_of_another_process_is_refused_until_that_is_killed(processes, tmp_path):
    pid = processes("hold", tmp_path)
    until((tmp_path / "held").exists)
    with expect_one_line(BlockingIOError, tmp_path, f"in use by process {pid} on "):
        open_store(tmp_path)
    kill(pid)
    written(tmp_path, numbered(1))


def test_a_forked_worker_does_not_hold_the_directory_of_its_killed_parent(processes, tmp_path):
    pid = processes("hold_with_a_child", tmp_path)
    until(lambda: (tmp_path / "held").exists() and (tmp_path / "held").read_text())
    child = int((tmp_path / "held").read_text())
    with expect_one_line(BlockingIOError, f"in use by process {pid} on "):
        open_store(tmp_path)
    try:
        kill(pid)
        assert not is_gone(child)
        open_store(tmp_path).close()
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_file_system_without_locks_is_refused(tmp_path, monkeypatch):
    def refuse(file):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(_lock, "_lock", refuse)
    with expect_one_line(OSError, tmp_path, "a file system that can lock files", "No locks available"):
        open_store(tmp_path)


def test_an_owner_who_left_no_name_is_another_process(tmp_path):
    with open_store(tmp_path):
        (tmp_path / "lock").write_bytes(b"")
        with expect_one_line(BlockingIOError, "in use by another process"):
            open_store(tmp_path)


if __name__ == "__main__":
    serve()
