"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

Content = str | Callable[[IO[bytes]], object]


def write_whole(contents: Mapping[Path, Content]) -> None:
    """Writes files beside their places first, and moves all of them there once all are written.

    Directories are made where they are not there; what was there is replaced. After an error everything is
    as it was before.

    Args:
      contents: Each file's text, which is stored as UTF-8, or a function that writes to it.

    Raises:
      OSError: If a file cannot be written.

    Example:
      >>> import pathlib, tempfile
      >>> with tempfile.TemporaryDirectory() as directory:
      ...     file = pathlib.Path(directory) / "made" / "a.txt"
      ...     write_whole({file: "all of it"})
      ...     file.read_text()
      'all of it'
    """
    temporaries = {file: file.with_name(f".{file.name}.{os.getpid()}") for file in contents}
    for file in contents:
        file.parent.mkdir(parents=True, exist_ok=True)
    try:
        for file, temporary in temporaries.items():
            with temporary.open("wb") as opened:
                content = contents[file]
                if isinstance(content, str):
                    opened.write(content.encode())
                else:
                    content(opened)
        for file, temporary in temporaries.items():
            temporary.replace(file)
    finally:
        for temporary in temporaries.values():
            temporary.unlink(missing_ok=True)


def file_to_write(call: str, path: str | os.PathLike[str]) -> Path:
    """The path of a file that a call is asked to write.

    Raises:
      IsADirectoryError: If it is a directory.
    """
    file = Path(path)
    if file.is_dir():
        raise IsADirectoryError(f"`{call}(path=...)` must be a file to write, got the directory {file}")
    return file
