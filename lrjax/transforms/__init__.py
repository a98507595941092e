"""Transformations that optimizers are made of and that belong to no single paper."""

from lrjax.transforms._accumulation import (
    ApplyEvery,
    MultiSteps,
    MultiStepsState,
    apply_every,
    skip_large_updates,
    skip_not_finite,
)
from lrjax.transforms._averaging import (
    EmaState,
    ema,
    incremental_update,
    periodic_update,
)
from lrjax.transforms._clipping import (
    adaptive_grad_clip,
    clip,
    clip_by_block_rms,
    clip_by_global_norm,
    global_norm,
)
from lrjax.transforms._complex import (
    SplitRealAndImaginaryState,
    split_real_and_imaginary,
)
from lrjax.transforms._conditions import (
    ApplyIfFiniteState,
    ConditionallyMaskState,
    ConditionallyTransformState,
    apply_if_finite,
    conditionally_mask,
    conditionally_transform,
)
from lrjax.transforms._gate import (
    gated,
)
from lrjax.transforms._layout import (
    flatten,
)
from lrjax.transforms._masking import (
    MaskedNode,
    MaskedState,
    masked,
)
from lrjax.transforms._monitoring import (
    MonitorState,
    SnapshotState,
    measure_with_ema,
    monitor,
    snapshot,
)
from lrjax.transforms._noise import (
    AddNoiseState,
    add_noise,
    noise,
    typed_key,
)
from lrjax.transforms._parameter_averages import (
    ParameterAverageState,
    averaged,
    averaged_params,
    exponential_average,
    mean_weight,
    polyak_average,
)
from lrjax.transforms._partition import (
    PartitionState,
    freeze,
    multi_transform,
    named_chain,
    partition,
    selective_transform,
    set_to_zero,
)
from lrjax.transforms._polynomial_averaging import (
    PolynomialAveragingState,
    polynomial_averaging,
    polynomial_averaging_eval_params,
)
from lrjax.transforms._repairs import (
    ZeroNansState,
    centralize,
    keep_params_nonnegative,
    zero_nans,
)
from lrjax.transforms._safe import (
    safe_increment,
    safe_int32_increment,
    safe_norm,
    safe_root_mean_squares,
)
from lrjax.transforms._scaling import (
    normalize,
    normalize_by_update_norm,
    scale,
    scale_by_param_block_norm,
    scale_by_param_block_rms,
    scale_by_sign,
    scale_by_trust_ratio,
    trust_ratio,
)
from lrjax.transforms._weight_decay import (
    add_decayed_weights,
)
from lrjax.transforms._workers import (
    DelayedState,
    ElasticAveragingState,
    delayed,
    elastic_averaging,
)

__all__ = [
    "AddNoiseState",
    "ApplyEvery",
    "ApplyIfFiniteState",
    "ConditionallyMaskState",
    "ConditionallyTransformState",
    "DelayedState",
    "ElasticAveragingState",
    "EmaState",
    "MaskedNode",
    "MaskedState",
    "MonitorState",
    "MultiSteps",
    "MultiStepsState",
    "ParameterAverageState",
    "PartitionState",
    "PolynomialAveragingState",
    "SnapshotState",
    "SplitRealAndImaginaryState",
    "ZeroNansState",
    "adaptive_grad_clip",
    "add_decayed_weights",
    "add_noise",
    "apply_every",
    "apply_if_finite",
    "averaged",
    "averaged_params",
    "centralize",
    "clip",
    "clip_by_block_rms",
    "clip_by_global_norm",
    "conditionally_mask",
    "conditionally_transform",
    "delayed",
    "elastic_averaging",
    "ema",
    "exponential_average",
    "flatten",
    "freeze",
    "gated",
    "global_norm",
    "incremental_update",
    "keep_params_nonnegative",
    "masked",
    "mean_weight",
    "measure_with_ema",
    "monitor",
    "multi_transform",
    "named_chain",
    "noise",
    "normalize",
    "normalize_by_update_norm",
    "partition",
    "periodic_update",
    "polyak_average",
    "polynomial_averaging",
    "polynomial_averaging_eval_params",
    "safe_increment",
    "safe_int32_increment",
    "safe_norm",
    "safe_root_mean_squares",
    "scale",
    "scale_by_param_block_norm",
    "scale_by_param_block_rms",
    "scale_by_sign",
    "scale_by_trust_ratio",
    "selective_transform",
    "set_to_zero",
    "skip_large_updates",
    "skip_not_finite",
    "snapshot",
    "split_real_and_imaginary",
    "trust_ratio",
    "typed_key",
    "zero_nans",
]
