"""Tables as CSV."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import IO, Any

import numpy as np

from lrjax._files import file_to_write, write_whole
from lrjax._values import encodable
from lrjax.export._tables import Table


def write_csv(call: str, table: Table, path: str | os.PathLike[str]) -> Path:
    """Writes a table with a header: UTF-8, commas, a line feed after each row.

    A float is written in the fewest digits that read back as the same number of its precision; NaN, and what
    is not there, is an empty cell.
    """
    file = file_to_write(call, path)
    columns = {name: _cells(values) for name, values in table.items()}

    def write(opened: IO[bytes]) -> None:
        text = io.TextIOWrapper(opened, encoding="utf-8", newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
        text.detach()

    write_whole({file: write})
    return file


def _cells(values: np.ndarray) -> list[str]:
    if values.dtype == object:
        return [_cell(value) for value in values]
    if values.dtype.kind != "f":
        return [encodable(text) for text in values.astype(str).tolist()]
    return np.where(np.isnan(values), "", values.astype(str)).tolist()


def _cell(value: Any) -> str:
    return "" if isinstance(value, float) and value != value else encodable(str(value))
