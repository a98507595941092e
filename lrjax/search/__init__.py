"""What is run: grids of hyperparameters, and the search for a rate."""

from lrjax.search._allocation import hyperband, median_stopping, successive_halving, top_k
from lrjax.search._find import find_learning_rate
from lrjax.search._grid import log_spaced
from lrjax.search._sweep import Sweep, load, sweep
from lrjax.search._verify import Verification

__all__ = [
    "Sweep",
    "Verification",
    "find_learning_rate",
    "hyperband",
    "load",
    "log_spaced",
    "median_stopping",
    "successive_halving",
    "sweep",
    "top_k",
]
