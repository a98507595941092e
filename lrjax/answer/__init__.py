"""What measured numbers mean: the learning rate, how far to trust it, and what to mend."""

from lrjax.answer._learning_rate import (
    Answer,
    dropped_at,
    final_losses,
    held_out_values,
    interrupted,
    judge,
)
from lrjax.answer._range import RangeAnswer, judge_range, range_course
from lrjax.answer._regime import Regime, regime
from lrjax.answer._table import summary

__all__ = [
    "Answer",
    "RangeAnswer",
    "Regime",
    "dropped_at",
    "final_losses",
    "held_out_values",
    "interrupted",
    "judge",
    "judge_range",
    "range_course",
    "regime",
    "summary",
]
