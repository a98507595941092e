"""Files appear whole or not at all, all of them or none."""

from __future__ import annotations

import pytest

from lrjax._files import file_to_write, write_whole


def test_text_and_bytes_are_written_and_directories_made(tmp_path):
    files = {tmp_path / "a" / "x.txt": "é\n", tmp_path / "b.bin": lambda file: file.write(b"\x00\xff")}
    write_whole(files)
    assert (tmp_path / "a" / "x.txt").read_bytes() == "é\n".encode()
    assert (tmp_path / "b.bin").read_bytes() == b"\x00\xff"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "b.bin", "x.txt"]


def test_after_an_error_everything_is_as_before(tmp_path):
    (tmp_path / "a").write_text("old")

    def fail(file):
        file.write(b"half")
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        write_whole({tmp_path / "a": "new", tmp_path / "b": fail})
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a", "old")]


def test_a_directory_is_no_file(tmp_path):
    with pytest.raises(
        IsADirectoryError, match=r"`f\(path=\.\.\.\)` must be a file to write, got the directory"
    ):
        file_to_write("f", tmp_path)
    assert file_to_write("f", str(tmp_path / "x")) == tmp_path / "x"
