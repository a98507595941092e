"""What is run: grids of hyperparameters, and the search for a rate."""

from lrjax.search._allocation import hyperband, median_stopping, successive_halving, top_k
from lrjax.search._find import find_learning_rate
from lrjax.search._grid import log_spaced
from lrjax.search._load import load
from lrjax.search._range_test import RangeTest, range_test
from lrjax.search._result import Sweep
from lrjax.search._sweep import sweep
from lrjax.search._verify import Verification

__all__ = [
    "RangeTest",
    "Sweep",
    "Verification",
    "find_learning_rate",
    "hyperband",
    "load",
    "log_spaced",
    "median_stopping",
    "range_test",
    "successive_halving",
    "sweep",
    "top_k",
]
