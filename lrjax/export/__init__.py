"""Results for other programs: xarray, pandas, CSV, JSON, TensorBoard."""

from lrjax.export._about import answer_json, points_json
from lrjax.export._export import (
    ramp_to_csv,
    ramp_to_json,
    ramp_to_pandas,
    to_csv,
    to_json,
    to_pandas,
    to_xarray,
)
from lrjax.export._tables import Rows
from lrjax.export._tensorboard import to_tensorboard

__all__ = [
    "Rows",
    "answer_json",
    "points_json",
    "ramp_to_csv",
    "ramp_to_json",
    "ramp_to_pandas",
    "to_csv",
    "to_json",
    "to_pandas",
    "to_tensorboard",
    "to_xarray",
]
