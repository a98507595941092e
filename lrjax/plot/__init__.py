"""Pictures of measured results; matplotlib is imported when one is drawn."""

from lrjax.plot._ramp import ramp
from lrjax.plot._sweep import basin, curves, sweep_figure

__all__ = ["basin", "curves", "ramp", "sweep_figure"]
