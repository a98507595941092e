"""Optimizers: recipes, the ingredients they are made of, and their states."""

from lrjax.optimizers._acprop import (
    acprop,
    scale_by_acprop,
)
from lrjax.optimizers._adabelief import (
    ScaleByBeliefState,
    adabelief,
    scale_by_belief,
)
from lrjax.optimizers._adabound import (
    adabound,
    amsbound,
    scale_by_adabound,
)
from lrjax.optimizers._adadelta import (
    ScaleByAdaDeltaState,
    adadelta,
    scale_by_adadelta,
)
from lrjax.optimizers._adafactor import (
    FactoredState,
    adafactor,
    scale_by_factored_rms,
)
from lrjax.optimizers._adagrad import (
    ScaleByRssState,
    adagrad,
    scale_by_rss,
)
from lrjax.optimizers._adam import (
    ScaleByAdamState,
    adam,
    adamw,
    scale_by_adam,
)
from lrjax.optimizers._adamax import (
    adamax,
    adamaxw,
    scale_by_adamax,
)
from lrjax.optimizers._adamp import (
    adamp,
)
from lrjax.optimizers._adan import (
    ScaleByAdanState,
    adan,
    scale_by_adan,
)
from lrjax.optimizers._adaptive_revision import (
    ScaleByAdaptiveRevisionState,
    adaptive_revision,
    scale_by_adaptive_revision,
)
from lrjax.optimizers._ademamix import (
    ScaleByAdemamixState,
    ScaleBySimplifiedAdEMAMixState,
    ademamix,
    scale_by_ademamix,
    scale_by_simplified_ademamix,
    simplified_ademamix,
)
from lrjax.optimizers._adopt import (
    adopt,
    scale_by_adopt,
)
from lrjax.optimizers._amsgrad import (
    ScaleByAmsgradState,
    amsgrad,
    scale_by_amsgrad,
)
from lrjax.optimizers._averaged_sgd import (
    averaged_sgd,
)
from lrjax.optimizers._backtracking import (
    BacktrackingLinesearchInfo,
    ScaleByBacktrackingLinesearchState,
    scale_by_backtracking_linesearch,
)
from lrjax.optimizers._cautious import (
    cautious,
)
from lrjax.optimizers._cocob import (
    COCOBState,
    cocob,
    scale_by_cocob,
)
from lrjax.optimizers._composite_adagrad import (
    AdagradRDAState,
    adagrad_rda,
    proximal_adagrad,
)
from lrjax.optimizers._curvature import (
    ScaleByBeckerLecunState,
    ScaleByVSGDState,
    becker_lecun,
    scale_by_becker_lecun,
    scale_by_vsgd,
    vsgd,
)
from lrjax.optimizers._dadapt import (
    DAdaptAdamWState,
    dadapt_adamw,
)
from lrjax.optimizers._dadapt_adagrad import (
    DAdaptAdaGradState,
    dadapt_adagrad,
)
from lrjax.optimizers._dadapt_sgd import (
    DAdaptSGDState,
    dadapt_sgd,
)
from lrjax.optimizers._dog import (
    DoGState,
    DoWGState,
    ScaleByDistanceOverGradientsState,
    dog,
    dowg,
    ldog,
    scale_by_distance_over_gradients,
    scale_by_dog,
    scale_by_dowg,
)
from lrjax.optimizers._fromage import (
    fromage,
)
from lrjax.optimizers._full_matrix_adagrad import (
    FullMatrixAdagradState,
    full_matrix_adagrad,
)
from lrjax.optimizers._galore import (
    GaLoreDimensionNumbers,
    GaLoreState,
    galore,
    scale_by_galore,
)
from lrjax.optimizers._gi_adam import (
    gi_adam,
    scale_by_gi_adam,
)
from lrjax.optimizers._grokfast import (
    GrokfastMAState,
    GrokfastState,
    grokfast,
    grokfast_ma,
)
from lrjax.optimizers._half import (
    HalfPrecisionState,
)
from lrjax.optimizers._lamb import (
    lamb,
)
from lrjax.optimizers._lars import (
    lars,
)
from lrjax.optimizers._lbfgs import (
    ScaleByLBFGSState,
    lbfgs,
    scale_by_lbfgs,
)
from lrjax.optimizers._linesearch import (
    value_and_grad_from_state,
)
from lrjax.optimizers._lion import (
    ScaleByLionState,
    lion,
    scale_by_lion,
)
from lrjax.optimizers._lookahead import (
    LookaheadParams,
    LookaheadState,
    lookahead,
)
from lrjax.optimizers._madgrad import (
    MadgradState,
    madgrad,
    scale_by_madgrad,
)
from lrjax.optimizers._mars import (
    ScaleByMarsState,
    mars,
    scale_by_mars,
)
from lrjax.optimizers._mechanic import (
    MechanicState,
    mechanize,
)
from lrjax.optimizers._momo import (
    MomoAdamState,
    MomoState,
    momo,
    momo_adam,
)
from lrjax.optimizers._muon import (
    MuonDimensionNumbers,
    MuonState,
    muon,
    scale_by_muon,
)
from lrjax.optimizers._nadam import (
    nadam,
    nadamw,
)
from lrjax.optimizers._noisy_sgd import (
    noisy_sgd,
)
from lrjax.optimizers._novograd import (
    ScaleByNovogradState,
    novograd,
    scale_by_novograd,
)
from lrjax.optimizers._optimistic import (
    ScaleByOptimisticGradientState,
    optimistic_adam,
    optimistic_adam_v2,
    optimistic_gradient_descent,
    scale_by_optimistic_gradient,
)
from lrjax.optimizers._polyak import (
    polyak_sgd,
    scale_by_polyak,
)
from lrjax.optimizers._prodigy import (
    ProdigyState,
    prodigy,
)
from lrjax.optimizers._radam import (
    radam,
    scale_by_radam,
)
from lrjax.optimizers._rmsprop import (
    ScaleByRmsState,
    ScaleByRmsWithCountState,
    ScaleByRStdDevState,
    ScaleByRStdDevWithCountState,
    rmsprop,
    scale_by_rms,
    scale_by_stddev,
)
from lrjax.optimizers._rprop import (
    ScaleByRpropState,
    rprop,
    scale_by_rprop,
)
from lrjax.optimizers._sam import (
    SAMState,
    sam,
)
from lrjax.optimizers._schedule import (
    ScaleByScheduleState,
    scale_by_schedule,
)
from lrjax.optimizers._schedule_free import (
    ScheduleFreeState,
    schedule_free,
    schedule_free_adamw,
    schedule_free_eval_params,
    schedule_free_radam,
    schedule_free_sgd,
)
from lrjax.optimizers._sgd import (
    TraceState,
    sgd,
    trace,
)
from lrjax.optimizers._shampoo import (
    ScaleByShampooState,
    scale_by_shampoo,
    shampoo,
)
from lrjax.optimizers._sign import (
    sign_sgd,
    signum,
)
from lrjax.optimizers._sm3 import (
    ScaleBySM3State,
    scale_by_sm3,
    sm3,
)
from lrjax.optimizers._soap import (
    ScaleBySoapState,
    scale_by_soap,
    soap,
)
from lrjax.optimizers._sophia import (
    HutchinsonState,
    SophiaState,
    hutchinson_estimator_diag_hessian,
    sophia,
)
from lrjax.optimizers._stable_adamw import (
    stable_adamw,
)
from lrjax.optimizers._yogi import (
    scale_by_yogi,
    yogi,
)
from lrjax.optimizers._zoom import (
    ScaleByZoomLinesearchState,
    ZoomLinesearchInfo,
    scale_by_zoom_linesearch,
)

__all__ = [
    "AdagradRDAState",
    "BacktrackingLinesearchInfo",
    "COCOBState",
    "DAdaptAdaGradState",
    "DAdaptAdamWState",
    "DAdaptSGDState",
    "DoGState",
    "DoWGState",
    "FactoredState",
    "FullMatrixAdagradState",
    "GaLoreDimensionNumbers",
    "GaLoreState",
    "GrokfastMAState",
    "GrokfastState",
    "HalfPrecisionState",
    "HutchinsonState",
    "LookaheadParams",
    "LookaheadState",
    "MadgradState",
    "MechanicState",
    "MomoAdamState",
    "MomoState",
    "MuonDimensionNumbers",
    "MuonState",
    "ProdigyState",
    "SAMState",
    "ScaleByAdaDeltaState",
    "ScaleByAdamState",
    "ScaleByAdanState",
    "ScaleByAdaptiveRevisionState",
    "ScaleByAdemamixState",
    "ScaleByAmsgradState",
    "ScaleByBacktrackingLinesearchState",
    "ScaleByBeckerLecunState",
    "ScaleByBeliefState",
    "ScaleByDistanceOverGradientsState",
    "ScaleByLBFGSState",
    "ScaleByLionState",
    "ScaleByMarsState",
    "ScaleByNovogradState",
    "ScaleByOptimisticGradientState",
    "ScaleByRStdDevState",
    "ScaleByRStdDevWithCountState",
    "ScaleByRmsState",
    "ScaleByRmsWithCountState",
    "ScaleByRpropState",
    "ScaleByRssState",
    "ScaleBySM3State",
    "ScaleByScheduleState",
    "ScaleByShampooState",
    "ScaleBySimplifiedAdEMAMixState",
    "ScaleBySoapState",
    "ScaleByVSGDState",
    "ScaleByZoomLinesearchState",
    "ScheduleFreeState",
    "SophiaState",
    "TraceState",
    "ZoomLinesearchInfo",
    "acprop",
    "adabelief",
    "adabound",
    "adadelta",
    "adafactor",
    "adagrad",
    "adagrad_rda",
    "adam",
    "adamax",
    "adamaxw",
    "adamp",
    "adamw",
    "adan",
    "adaptive_revision",
    "ademamix",
    "adopt",
    "amsbound",
    "amsgrad",
    "averaged_sgd",
    "becker_lecun",
    "cautious",
    "cocob",
    "dadapt_adagrad",
    "dadapt_adamw",
    "dadapt_sgd",
    "dog",
    "dowg",
    "fromage",
    "full_matrix_adagrad",
    "galore",
    "gi_adam",
    "grokfast",
    "grokfast_ma",
    "hutchinson_estimator_diag_hessian",
    "lamb",
    "lars",
    "lbfgs",
    "ldog",
    "lion",
    "lookahead",
    "madgrad",
    "mars",
    "mechanize",
    "momo",
    "momo_adam",
    "muon",
    "nadam",
    "nadamw",
    "noisy_sgd",
    "novograd",
    "optimistic_adam",
    "optimistic_adam_v2",
    "optimistic_gradient_descent",
    "polyak_sgd",
    "prodigy",
    "proximal_adagrad",
    "radam",
    "rmsprop",
    "rprop",
    "sam",
    "scale_by_acprop",
    "scale_by_adabound",
    "scale_by_adadelta",
    "scale_by_adam",
    "scale_by_adamax",
    "scale_by_adan",
    "scale_by_adaptive_revision",
    "scale_by_ademamix",
    "scale_by_adopt",
    "scale_by_amsgrad",
    "scale_by_backtracking_linesearch",
    "scale_by_becker_lecun",
    "scale_by_belief",
    "scale_by_cocob",
    "scale_by_distance_over_gradients",
    "scale_by_dog",
    "scale_by_dowg",
    "scale_by_factored_rms",
    "scale_by_galore",
    "scale_by_gi_adam",
    "scale_by_lbfgs",
    "scale_by_lion",
    "scale_by_madgrad",
    "scale_by_mars",
    "scale_by_muon",
    "scale_by_novograd",
    "scale_by_optimistic_gradient",
    "scale_by_polyak",
    "scale_by_radam",
    "scale_by_rms",
    "scale_by_rprop",
    "scale_by_rss",
    "scale_by_schedule",
    "scale_by_shampoo",
    "scale_by_simplified_ademamix",
    "scale_by_sm3",
    "scale_by_soap",
    "scale_by_stddev",
    "scale_by_vsgd",
    "scale_by_yogi",
    "scale_by_zoom_linesearch",
    "schedule_free",
    "schedule_free_adamw",
    "schedule_free_eval_params",
    "schedule_free_radam",
    "schedule_free_sgd",
    "sgd",
    "shampoo",
    "sign_sgd",
    "signum",
    "simplified_ademamix",
    "sm3",
    "soap",
    "sophia",
    "stable_adamw",
    "trace",
    "value_and_grad_from_state",
    "vsgd",
    "yogi",
]
