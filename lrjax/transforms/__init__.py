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
from lrjax.transforms._conditions import (
    ApplyIfFiniteState,
    ConditionallyMaskState,
    ConditionallyTransformState,
    apply_if_finite,
    conditionally_mask,
    conditionally_transform,
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
from lrjax.transforms._scaling import (
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

__all__ = [
    "AddNoiseState",
    "ApplyEvery",
    "ApplyIfFiniteState",
    "ConditionallyMaskState",
    "ConditionallyTransformState",
    "EmaState",
    "MaskedNode",
    "MaskedState",
    "MonitorState",
    "MultiSteps",
    "MultiStepsState",
    "PartitionState",
    "PolynomialAveragingState",
    "SnapshotState",
    "ZeroNansState",
    "adaptive_grad_clip",
    "add_decayed_weights",
    "add_noise",
    "apply_every",
    "apply_if_finite",
    "centralize",
    "clip",
    "clip_by_block_rms",
    "clip_by_global_norm",
    "conditionally_mask",
    "conditionally_transform",
    "ema",
    "flatten",
    "freeze",
    "global_norm",
    "incremental_update",
    "keep_params_nonnegative",
    "masked",
    "measure_with_ema",
    "monitor",
    "multi_transform",
    "named_chain",
    "noise",
    "normalize_by_update_norm",
    "partition",
    "periodic_update",
    "polynomial_averaging",
    "polynomial_averaging_eval_params",
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
    "trust_ratio",
    "zero_nans",
]
