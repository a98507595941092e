"""One sweep at a time in a directory: a file lock, which the kernel drops when its holder dies."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
import weakref
from pathlib import Path
from typing import BinaryIO

_TAKEN = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK}
_held: weakref.WeakSet[Lock] = weakref.WeakSet()


class Lock:
    """The right to write into a directory, from construction to `release`.

    The file `lock` in the directory stays there: removing it would let two processes lock two files of
    one name. What is written in it is for the message alone.

    Args:
      call: The public function the user called.
      argument: The argument's name there.
      directory: The directory, which must be there.

    Raises:
      BlockingIOError: If another holds it, in this process or in another.
      OSError: If the file cannot be made, or the file system has no locks.
    """

    def __init__(self, call: str, argument: str, directory: Path) -> None:
        path = directory / "lock"
        wrong = f"`{call}({argument}=...)` must be a directory"
        try:
            self._file = path.open("a+b", buffering=0)
        except OSError as error:
            got = f"{directory} ({path.name}: {error.strerror or error})"
            raise type(error)(f"{wrong} that can be written, got {got}") from error
        try:
            _lock(self._file)
        except OSError as error:
            self._file.close()
            if error.errno in _TAKEN:
                got = f"{directory} (in use by {_owner(path)})"
                raise BlockingIOError(f"{wrong} no other sweep is using, got {got}") from error
            got = f"{directory} ({error.strerror or error})"
            raise OSError(f"{wrong} on a file system that can lock files, got {got}") from error
        _held.add(self)
        with contextlib.suppress(OSError):  # a full disk: the lock holds, only its message knows less
            self._file.truncate(0)
            self._file.write(f"process {os.getpid()} on {socket.gethostname()}\n".encode())

    def release(self) -> None:
        """Gives the directory back; a second time does nothing."""
        if not self._file.closed:
            with contextlib.suppress(OSError):
                self._file.truncate(0)
            _unlock(self._file)
            self._file.close()

    def _forget(self) -> None:
        self._file.close()


def _forget_all() -> None:
    for lock in list(_held):
        lock._forget()


def _owner(path: Path) -> str:
    try:
        return path.read_text(errors="replace")[:200].strip() or "another process"
    except OSError:
        return "another process"


if sys.platform == "win32":
    import msvcrt

    # Windows keeps others from reading what is locked, so that is a byte far behind the owner's name.
    _BYTE = 2**30

    def _lock(file: BinaryIO) -> None:
        file.seek(_BYTE)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

    def _unlock(file: BinaryIO) -> None:
        file.seek(_BYTE)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _lock(file: BinaryIO) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(file: BinaryIO) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)

    # A forked child (a data loader's worker) shares the lock and would hold it on after its parent was
    # killed. Closing its copy of the file leaves the parent's lock alone.
    os.register_at_fork(after_in_child=_forget_all)
