"""Data as a pure function of the step, the same for every learning rate.

Which examples a step sees depends on the data's own seed, the member's seed index and the step, on
nothing else: not on how many members train, where, or in what order.
"""

from lrjax.data._batches import Batches, batches
from lrjax.data._cached import Cached, cached
from lrjax.data._coerce import as_data, as_held_out
from lrjax.data._data import Data
from lrjax.data._digest import text as text_digest
from lrjax.data._function import FromFunction, from_function
from lrjax.data._iterable import FromIterable

__all__ = [
    "Batches",
    "Cached",
    "Data",
    "FromFunction",
    "FromIterable",
    "as_data",
    "as_held_out",
    "batches",
    "cached",
    "from_function",
    "text_digest",
]
