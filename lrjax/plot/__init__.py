"""Pictures of measured results and of schedules; matplotlib is imported when one is drawn."""

from lrjax.plot._basin import basin
from lrjax.plot._brackets import brackets
from lrjax.plot._curves import curves
from lrjax.plot._figure import draw, sweep_figure
from lrjax.plot._heat_map import heat_map
from lrjax.plot._ledger import ledger
from lrjax.plot._preview import Preview, preview_schedule, schedule_names
from lrjax.plot._ramp import ramp
from lrjax.plot._schedule import schedule

__all__ = [
    "Preview",
    "basin",
    "brackets",
    "curves",
    "draw",
    "heat_map",
    "ledger",
    "preview_schedule",
    "ramp",
    "schedule",
    "schedule_names",
    "sweep_figure",
]
