"""Optimizers: recipes, the ingredients they are made of, and their states."""

from lrjax.optimizers._adadelta import ScaleByAdaDeltaState, adadelta, scale_by_adadelta
from lrjax.optimizers._adagrad import ScaleByRssState, adagrad, scale_by_rss
from lrjax.optimizers._adam import ScaleByAdamState, adam, adamw, scale_by_adam
from lrjax.optimizers._backtracking import (
    BacktrackingLinesearchInfo,
    ScaleByBacktrackingLinesearchState,
    scale_by_backtracking_linesearch,
)
from lrjax.optimizers._lbfgs import ScaleByLBFGSState, lbfgs, scale_by_lbfgs
from lrjax.optimizers._linesearch import value_and_grad_from_state
from lrjax.optimizers._lion import ScaleByLionState, lion, scale_by_lion
from lrjax.optimizers._lookahead import LookaheadParams, LookaheadState, lookahead
from lrjax.optimizers._rmsprop import (
    ScaleByRmsState,
    ScaleByRmsWithCountState,
    ScaleByRStdDevState,
    ScaleByRStdDevWithCountState,
    rmsprop,
    scale_by_rms,
    scale_by_stddev,
)
from lrjax.optimizers._schedule import ScaleByScheduleState, scale_by_schedule
from lrjax.optimizers._sgd import TraceState, sgd, trace
from lrjax.optimizers._zoom import (
    ScaleByZoomLinesearchState,
    ZoomLinesearchInfo,
    scale_by_zoom_linesearch,
)

__all__ = [
    "BacktrackingLinesearchInfo",
    "LookaheadParams",
    "LookaheadState",
    "ScaleByAdaDeltaState",
    "ScaleByAdamState",
    "ScaleByBacktrackingLinesearchState",
    "ScaleByLBFGSState",
    "ScaleByLionState",
    "ScaleByRStdDevState",
    "ScaleByRStdDevWithCountState",
    "ScaleByRmsState",
    "ScaleByRmsWithCountState",
    "ScaleByRssState",
    "ScaleByScheduleState",
    "ScaleByZoomLinesearchState",
    "TraceState",
    "ZoomLinesearchInfo",
    "adadelta",
    "adagrad",
    "adam",
    "adamw",
    "lbfgs",
    "lion",
    "lookahead",
    "rmsprop",
    "scale_by_adadelta",
    "scale_by_adam",
    "scale_by_backtracking_linesearch",
    "scale_by_lbfgs",
    "scale_by_lion",
    "scale_by_rms",
    "scale_by_rss",
    "scale_by_schedule",
    "scale_by_stddev",
    "scale_by_zoom_linesearch",
    "sgd",
    "trace",
    "value_and_grad_from_state",
]
