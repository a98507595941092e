"""Where a sweep's checkpoints live on disk.

`<directory>/lock` keeps other sweeps out. `<directory>/checkpoints/<number>/` is one checkpoint:

  states/0/    the members' states, written by Orbax: bytes, all arrays end to end, since Orbax takes
               half a millisecond for an array however small and not every dtype or shape. What is too
               large for one piece goes on in states/1/ and so on.
  curves.npz   the curves.
  about.json   the format's version, what the caller says, where each array is, and digests of every
               file, of every state array and of `about.json` itself.

A checkpoint is written beside its place, forced to disk and then renamed, so that whatever kills the
process leaves the checkpoints before it. Loading one executes nothing, and what is not what was written
is never returned.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import logging
import math
import os
import re
import shutil
import time
import traceback
import types
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from pathlib import Path
from typing import Any, NamedTuple, Self

import jax
import numpy as np

from lrjax import results
from lrjax.engine._lock import Lock

FORMAT = 1  # `format` and `sha256` of about.json mean the same in every format
KEPT = 2
_PIECE = 2**26  # bytes; as much is copied at a time
_ALIGNMENT = 64  # bytes; more than any dtype asks for
_PARTIAL = ".partial"


class Checkpoint(NamedTuple):
    """A sweep between two steps.

    Attributes:
      about: What the sweep must know to go on; JSON.
      curves: What was measured so far: numbers, bools or strings, by any name.
      states: The members' states, stacked: arrays of any dtype of JAX's, by any name.
    """

    about: dict[str, Any]
    curves: dict[str, np.ndarray]
    states: dict[str, np.ndarray]


class Store:
    """The checkpoints in a directory, which no other store may use until `close`.

    One thread in the background writes, so that training goes on. The directory needs room for three
    checkpoints: the two newest are kept, and the older of them goes when a third is whole. What is being
    written when the interpreter ends without `close` may be lost.

    Args:
      call: The public function the user called.
      argument: The argument's name there.
      directory: The directory, which is made if it is not there.

    Raises:
      ImportError: If Orbax is not installed.
      BlockingIOError: If another store uses the directory, in this process or in another.
      OSError: If it cannot be written or locked.
    """

    def __init__(self, call: str, argument: str, directory: str | os.PathLike[str]) -> None:
        self._orbax = _import_orbax(call, argument)
        self._name = f"`{call}({argument}=...)`"
        self._directory = results.check_writable(call, argument, directory)
        self._root = self._directory.absolute() / "checkpoints"  # absolute: the process may move
        self._damaged: set[int] = set()
        self._running: futures.Future[float] | None = None
        self._seconds = 0.0
        with contextlib.ExitStack() as stack:
            stack.callback(Lock(call, argument, self._directory).release)
            results.check_writable(call, argument, self._root)
            for path in self._root.glob(f"[0-9]*{_PARTIAL}"):
                shutil.rmtree(path, ignore_errors=True)
            stack.enter_context(_silence())
            self._writer = futures.ThreadPoolExecutor(1, "lrjax-checkpoints")
            stack.callback(self._writer.shutdown)
            self._held = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        try:
            self.close()
        except OSError as failure:
            if error is None:
                raise
            error.add_note(str(failure))  # what ended the sweep matters more

    @property
    def seconds(self) -> float:
        """How long the last checkpoint took to write; 0 before the first is whole."""
        return self._seconds

    def save(self, checkpoint: Checkpoint) -> None:
        """Begins to write a checkpoint, after the one before is written.

        Arrays that can be written to are copied first; others, such as `np.asarray` of a `jax.Array`,
        are not.

        Raises:
          OSError: If the save before this one failed. The checkpoints before that are whole, this one
            is not written, and the next call tries again.
          TypeError: If there is something in the checkpoint that cannot be stored.
        """
        self.wait()
        about = json.loads(json.dumps(checkpoint.about))
        curves = {name: _still(name, x, _is_plain) for name, x in checkpoint.curves.items()}
        states = {name: _still(name, x, _is_number) for name, x in checkpoint.states.items()}
        self._running = self._writer.submit(self._write, about, curves, states)

    def wait(self) -> None:
        """Waits until the last checkpoint is written.

        Raises:
          OSError: If it could not be; the checkpoints before it are whole.
        """
        if self._running is not None:
            running = self._running
            futures.wait([running])  # an interrupt here leaves it to be waited for again
            self._running = None
            self._seconds = running.result()

    def newest(self) -> Checkpoint | None:
        """The newest checkpoint that is whole, or None if there is none at all.

        Its arrays can be written to. Damaged ones are passed over with one `RuntimeWarning`.

        Raises:
          OSError: If the last save failed.
          ValueError: If all checkpoints are damaged, or the newest is of a format this version does not
            know.
        """
        self.wait()
        # In the writer's thread: beside a running event loop, a notebook's, Orbax may patch asyncio.
        checkpoint, faults = self._writer.submit(self._read_newest).result()
        if faults and checkpoint is not None:
            warnings.warn(f"passed over damaged checkpoints: {'; '.join(faults)}", RuntimeWarning, 2)
        elif faults:
            expected = "a directory with a whole checkpoint"
            hint = f"remove {self._root} to begin anew, or give another directory"
            raise ValueError(
                f"{self._name} must be {expected}, got only damaged ones: {'; '.join(faults)}; {hint}"
            )
        return checkpoint

    def close(self) -> None:
        """Waits until the last checkpoint is written, and gives the directory back.

        Raises:
          OSError: If it could not be written; the directory is given back all the same.
        """
        with self._held:
            self.wait()

    def _numbers(self) -> list[int]:
        names = (path.name for path in self._root.iterdir() if path.is_dir())
        return sorted(int(name) for name in names if re.fullmatch(r"[0-9]{8,}", name))

    def _path(self, number: int) -> Path:
        return self._root / f"{number:08d}"

    # What follows runs in the background.

    def _write(
        self, about: dict[str, Any], curves: dict[str, np.ndarray], states: dict[str, np.ndarray]
    ) -> float:
        start = time.perf_counter()
        partial = None
        try:
            path = self._path(max(self._numbers(), default=0) + 1)
            partial = path.with_name(path.name + _PARTIAL)
            shutil.rmtree(partial, ignore_errors=True)  # of a save that failed
            partial.mkdir()
            places = _write_states(partial / "states", states, self._orbax)
            with (partial / "curves.npz").open("wb") as file:
                np.savez(file, *curves.values())
            content = {
                "format": FORMAT,
                "about": about,
                "curves": list(curves),
                "states": places,
                "files": _settle(partial),
            }
            content["sha256"] = _digest_of(content)
            (partial / "about.json").write_text(json.dumps(content))
            _force(partial / "about.json")
            _force(partial)
            partial.rename(path)
            _force(self._root)
        except Exception as error:
            if partial is not None:
                shutil.rmtree(partial, ignore_errors=True)
            got = f"{self._directory} ({_cause(error)}; the checkpoints before are whole)"
            raise OSError(
                f"{self._name} must be a directory that can hold a checkpoint, got {got}"
            ) from error
        with contextlib.suppress(OSError):  # the new checkpoint is whole; the next save tries again
            self._prune()
        return time.perf_counter() - start

    def _prune(self) -> None:
        numbers = self._numbers()
        kept = [number for number in numbers if number not in self._damaged][-KEPT:]
        for number in set(numbers) - set(kept):
            # Renamed first: half a checkpoint must not look like a damaged one.
            partial = self._root / f"{number:08d}{_PARTIAL}"
            self._path(number).rename(partial)
            shutil.rmtree(partial)

    def _read_newest(self) -> tuple[Checkpoint | None, list[str]]:
        faults = []
        for number in reversed(self._numbers()):
            path = self._path(number)
            try:
                content = _read_about(path)
                if content["format"] != FORMAT:
                    got = f"format {content['format']} at {path}; install the lrjax that wrote it"
                    raise _UnknownFormat(
                        f"{self._name} must be a directory with checkpoints of format {FORMAT}, got {got}"
                    )
                return _read(path, content, self._orbax), faults
            except (_UnknownFormat, MemoryError):
                raise
            except Exception as error:  # a file cut short raises whatever its reader meets first
                faults.append(f"{path} ({_cause(error)})")
                self._damaged.add(number)
        return None, faults


class _UnknownFormat(ValueError):
    pass


def _import_orbax(call: str, argument: str) -> types.ModuleType:
    try:
        with warnings.catch_warnings(), _silence():
            warnings.simplefilter("ignore")
            import orbax.checkpoint as ocp
    except ImportError as error:
        raise ImportError(f"`{call}({argument}=...)` needs Orbax: pip install 'lrjax[store]'") from error
    return ocp


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Drops what Orbax logs: its warnings are for clusters, and its errors are raised besides."""
    inside = f"{os.sep}orbax{os.sep}checkpoint{os.sep}"

    def is_foreign(record: logging.LogRecord) -> bool:
        # Not the record's own path: it is absl's where "absl" was asked for before absl was imported.
        return not any(inside in frame.f_code.co_filename for frame, _ in traceback.walk_stack(None))

    logger = logging.getLogger("absl")
    logger.addFilter(is_foreign)
    try:
        yield
    finally:
        logger.removeFilter(is_foreign)


@contextlib.contextmanager
def _checkpointer(orbax: Any) -> Iterator[Any]:
    # This process alone: Orbax would wait for all processes of a cluster.
    process = jax.process_index()
    alone = orbax.options.MultiprocessingOptions(
        primary_host=process, active_processes={process}, barrier_sync_key_prefix=f"lrjax{process}"
    )
    # Neither OCDBT nor compression: few files as it is, and twice as fast.
    handler = orbax.PyTreeCheckpointHandler(
        use_ocdbt=False, use_compression=False, multiprocessing_options=alone
    )
    with orbax.Checkpointer(handler, multiprocessing_options=alone) as checkpointer:
        yield checkpointer


def _is_plain(dtype: np.dtype) -> bool:
    return dtype.kind in "biufcSU"


def _is_number(dtype: np.dtype) -> bool:
    return dtype.kind in "biufc" or dtype.isbuiltin == 2  # 2: bfloat16 and the others that JAX brings


def _still(name: str, x: Any, is_known: Callable[[np.dtype], bool]) -> np.ndarray:
    """The array, or a copy if somebody could write to it while it is stored."""
    array = owner = np.asarray(x)
    if not is_known(array.dtype) or not array.dtype.isnative:
        raise TypeError(
            f"a checkpoint's {name!r} must be an array that can be stored, got dtype {array.dtype}"
        )
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    return array.copy() if owner.flags.writeable else array


def _lay_out(states: Mapping[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    """The arrays as bytes, in pieces: no larger than `_PIECE` unless one array is."""
    pieces: list[dict[str, np.ndarray]] = [{}]
    end = 0
    for name, x in states.items():
        raw = np.ascontiguousarray(x).reshape(-1).view(np.uint8)
        if end and end + raw.size > _PIECE:
            pieces.append({})
            end = 0
        pieces[-1][name] = raw
        end += _aligned(raw.size)
    return pieces


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _write_states(path: Path, states: Mapping[str, np.ndarray], orbax: Any) -> list[dict[str, Any]]:
    """Stores the arrays; where each of them is."""
    places = []
    for number, piece in enumerate(_lay_out(states)):
        # Orbax stores no empty arrays.
        packed = np.zeros(max(1, sum(_aligned(raw.size) for raw in piece.values())), np.uint8)
        offset = 0
        for name, raw in piece.items():
            packed[offset : offset + raw.size] = raw
            x, digest = states[name], hashlib.sha256(raw.data).hexdigest()
            place = {"name": name, "dtype": x.dtype.name, "shape": list(x.shape)}
            places.append({**place, "piece": number, "offset": offset, "sha256": digest})
            offset += _aligned(raw.size)
        # One array at a time: when one of several cannot be written, Orbax closes the event loop that the
        # others are still to report to, and their complaint is printed.
        with _checkpointer(orbax) as checkpointer:
            checkpointer.save(path / str(number), args=orbax.args.PyTreeSave({"bytes": packed}))
    return places


def _read_states(path: Path, places: list[dict[str, Any]], orbax: Any) -> dict[str, np.ndarray]:
    restore = orbax.args.PyTreeRestore(
        item={"bytes": 0}, restore_args={"bytes": orbax.RestoreArgs(restore_type=np.ndarray)}
    )
    states, packed, read = {}, np.empty(0, np.uint8), None
    for place in places:
        if place["piece"] != read:
            read = place["piece"]
            with _checkpointer(orbax) as checkpointer:
                packed = checkpointer.restore(path / str(read), args=restore)["bytes"]
        dtype, shape, offset = np.dtype(place["dtype"]), tuple(place["shape"]), place["offset"]
        raw = packed[offset : offset + math.prod(shape) * dtype.itemsize]
        if hashlib.sha256(raw.data).hexdigest() != place["sha256"]:
            raise ValueError(f"the state {place['name']!r} is not what was written")
        states[place["name"]] = raw.view(dtype).reshape(shape)
    return states


def _read_about(path: Path) -> dict[str, Any]:
    content = json.loads((path / "about.json").read_bytes())
    if not isinstance(content, dict) or content.pop("sha256", None) != _digest_of(content):
        raise ValueError("about.json is not what was written")
    return content


def _read(path: Path, content: dict[str, Any], orbax: Any) -> Checkpoint:
    # All files before any of them is understood: a shape with one bit wrong could ask for all memory.
    for name, known in content["files"].items():
        with (path / name).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != known:
                raise ValueError(f"{name} is not what was written")
    with (path / "curves.npz").open("rb") as file, np.load(file, allow_pickle=False) as stored:
        curves = {name: stored[f"arr_{i}"] for i, name in enumerate(content["curves"])}
    states = _read_states(path / "states", content["states"], orbax)
    return Checkpoint(content["about"], curves, states)


def _settle(path: Path) -> dict[str, str]:
    """Forces all below a directory to disk; the digest of each file."""
    digests = {}
    for folder, _, names in os.walk(path, topdown=False):
        for file in (Path(folder, name) for name in sorted(names)):
            with file.open("rb") as opened:
                digests[file.relative_to(path).as_posix()] = hashlib.file_digest(opened, "sha256").hexdigest()
            _force(file)
        _force(Path(folder))
    return digests


def _force(path: Path) -> None:
    """Waits until a file, or what a directory lists, is on disk and not only on its way there."""
    is_directory = path.is_dir()
    if is_directory and os.name == "nt":
        return  # Windows opens no directories
    descriptor = os.open(path, os.O_RDONLY if is_directory else os.O_RDWR)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not (is_directory and error.errno == errno.EINVAL):  # some network file systems have no such thing
            raise
    finally:
        os.close(descriptor)


def _digest_of(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _cause(error: Exception) -> str:
    """What went wrong in a few words; TensorStore's errors hold the system's in their text."""
    if isinstance(error, OSError) and error.strerror:
        file = f"{Path(os.fsdecode(error.filename)).name}: " if isinstance(error.filename, str) else ""
        return f"{file}{error.strerror}"
    text = str(error).strip()
    if number := re.search(r"os[ _]error(?:_code=')? ?([0-9]+)", text, re.IGNORECASE):
        return os.strerror(int(number[1]))
    return text.split("\n")[0] or type(error).__name__
