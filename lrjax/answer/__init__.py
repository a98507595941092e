"""What measured numbers mean: the learning rate, how far to trust it, and what to mend."""

from lrjax.answer._learning_rate import Answer, judge
from lrjax.answer._ledger import Rung
from lrjax.answer._measured import dropped_at, final_losses, held_out_values, interrupted, rungs
from lrjax.answer._paired import within_noise
from lrjax.answer._range import RangeAnswer, judge_range, range_course
from lrjax.answer._regime import Regime, regime, regimes
from lrjax.answer._table import failures, mark, summary

__all__ = [
    "Answer",
    "RangeAnswer",
    "Regime",
    "Rung",
    "dropped_at",
    "failures",
    "final_losses",
    "held_out_values",
    "interrupted",
    "judge",
    "judge_range",
    "mark",
    "range_course",
    "regime",
    "regimes",
    "rungs",
    "summary",
    "within_noise",
]
