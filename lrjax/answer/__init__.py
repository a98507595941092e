"""What measured numbers mean: the learning rate, how far to trust it, and what to mend."""

from lrjax.answer._autopsy import Autopsy
from lrjax.answer._constant_rates import constant_weights, judge_constant_rates
from lrjax.answer._hopeless import hopeless
from lrjax.answer._learning_rate import Answer, judge
from lrjax.answer._ledger import Rung, medians, scores
from lrjax.answer._measured import (
    absent,
    dropped_at,
    final_losses,
    final_values,
    held_out_values,
    interrupted,
    losses_at_the_end,
    rungs,
    steps_text,
)
from lrjax.answer._paired import within_noise
from lrjax.answer._parabola import Parabola, parabola
from lrjax.answer._range import RangeAnswer, judge_range, range_course
from lrjax.answer._regime import REGIMES, Regime, point_regime, regime, regimes, regimes_text
from lrjax.answer._suggestions import minimum, slide, smoothed, steep, trimmed, valley
from lrjax.answer._table import failures, mark, summary

__all__ = [
    "REGIMES",
    "Answer",
    "Autopsy",
    "Parabola",
    "RangeAnswer",
    "Regime",
    "Rung",
    "absent",
    "constant_weights",
    "dropped_at",
    "failures",
    "final_losses",
    "final_values",
    "held_out_values",
    "hopeless",
    "interrupted",
    "judge",
    "judge_constant_rates",
    "judge_range",
    "losses_at_the_end",
    "mark",
    "medians",
    "minimum",
    "parabola",
    "point_regime",
    "range_course",
    "regime",
    "regimes",
    "regimes_text",
    "rungs",
    "scores",
    "slide",
    "smoothed",
    "steep",
    "steps_text",
    "summary",
    "trimmed",
    "valley",
    "within_noise",
]
