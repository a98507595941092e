"""What was measured for pandas and xarray."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lrjax import _check
from lrjax._values import ordered
from lrjax.answer import Answer, dropped_at, final_losses
from lrjax.export._about import attributes
from lrjax.export._columns import hyperparameter, names, texts
from lrjax.export._tables import Table
from lrjax.results import SweepData

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


def frame(table: Table, attrs: dict[str, Any] | None = None) -> pd.DataFrame:
    """A table as a frame; columns of several kinds hold Python objects.

    Raises:
      ImportError: If pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError("a frame needs pandas: pip install 'lrjax[tables]'") from error
    columns = {name: pd.Series(values, dtype=_dtype(values)) for name, values in table.items()}
    made = pd.DataFrame(columns)
    made.attrs.update(attrs or {})
    return made


def dataset(data: SweepData, answer: Answer, grid: bool | None) -> xr.Dataset:
    """A sweep as a data set; see `to_xarray`.

    Raises:
      ImportError: If xarray is not installed.
      ValueError: If `grid` is true and the points are no full grid.
    """
    try:
        import xarray as xr
    except ImportError as error:
        raise ImportError("a data set needs xarray: pip install 'lrjax[tables]'") from error
    layout = _Layout(data, grid)
    called = names(data)
    over, seeds = layout.dimensions, (*layout.dimensions, "seed")
    variables: dict[str, Any] = {}
    for metrics, own, dimension in (
        (data.metrics, called.train, ("step",)),
        (data.held_out, called.held_out, ("held_out_step",)),
        (data.test, called.test, ()),
    ):
        for name, values in metrics.items():
            variables[own[name]] = ((*seeds, *dimension), layout.of(values), {"metric": name})
    members = {
        "final_loss": final_losses(data)[0],
        "failed": answer.failed,
        "regime": answer.regimes.astype(str),
        "diverged_at": data.diverged_at,
        "stopped_at": data.stopped_at,
        "cause": data.causes,
        "leaf": data.leaves,
    }
    variables |= {name: (seeds, layout.of(values)) for name, values in members.items()}
    variables |= {
        "score": (over, layout.of(answer.scores)),
        "dropped_at": (over, layout.of(dropped_at(data))),
    }
    coordinates: dict[str, Any] = layout.coordinates()
    coordinates["seed"] = np.arange(data.diverged_at.shape[1])
    if data.metrics:
        coordinates["step"] = data.recorded_steps
    if data.held_out:
        coordinates["held_out_step"] = data.held_out_steps
    return xr.Dataset(variables, coordinates, attributes(data, answer))


class _Layout:
    """Where each point stands: along one dimension, or along one for each hyperparameter."""

    def __init__(self, data: SweepData, grid: bool | None):
        own = names(data).hyperparameters
        self._columns = {called: texts(hyperparameter(data, name)) for name, called in own.items()}
        self._points = len(data.diverged_at)
        axes = {called: ordered(values) for called, values in self._columns.items()}
        shape = tuple(len(distinct) for distinct, _ in axes.values())
        places = tuple(place for _, place in axes.values())
        full = bool(axes) and len({*zip(*places, strict=True)}) == self._points == np.prod(shape)
        if grid and not full:
            expected = "False or None, since the points are not all combinations of some values"
            raise _check.fail("to_xarray", "grid", expected, repr(grid))
        self._on_grid = full and grid is not False
        self.dimensions = tuple(axes) if self._on_grid else ("point",)
        if self._on_grid:
            self._shape = shape
            self._order = np.empty(self._points, int)
            self._order[np.ravel_multi_index(places, shape)] = np.arange(self._points)
        else:
            self._shape, self._order = (self._points,), np.arange(self._points)

    def of(self, values: np.ndarray) -> np.ndarray:
        """What was measured of each point, `[points, ...]`, laid out."""
        return values[self._order].reshape(*self._shape, *values.shape[1:])

    def coordinates(self) -> dict[str, Any]:
        """The points' numbers, and their hyperparameters."""
        point = {"point": (self.dimensions, self.of(np.arange(self._points)))}
        if not self._on_grid:
            return point | {name: ("point", values) for name, values in self._columns.items()}
        return point | {
            name: (name, np.array(ordered(values)[0], values.dtype)) for name, values in self._columns.items()
        }


def _dtype(values: np.ndarray) -> Any:
    """Objects stay objects unless all are text, for which pandas has a kind of its own."""
    if values.dtype != object or all(isinstance(value, str) for value in values):
        return None
    return object
