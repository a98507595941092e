"""Transformations that optimizers are made of and that belong to no single paper."""

from lrjax.transforms._averaging import EmaState, ema
from lrjax.transforms._clipping import clip_by_block_rms
from lrjax.transforms._masking import MaskedNode, MaskedState, masked
from lrjax.transforms._noise import AddNoiseState, add_noise, noise
from lrjax.transforms._partition import PartitionState, partition
from lrjax.transforms._scaling import (
    normalize_by_update_norm,
    scale,
    scale_by_param_block_norm,
    scale_by_param_block_rms,
    scale_by_sign,
    scale_by_trust_ratio,
    trust_ratio,
)
from lrjax.transforms._weight_decay import add_decayed_weights

__all__ = [
    "AddNoiseState",
    "EmaState",
    "MaskedNode",
    "MaskedState",
    "PartitionState",
    "add_decayed_weights",
    "add_noise",
    "clip_by_block_rms",
    "ema",
    "masked",
    "noise",
    "normalize_by_update_norm",
    "partition",
    "scale",
    "scale_by_param_block_norm",
    "scale_by_param_block_rms",
    "scale_by_sign",
    "scale_by_trust_ratio",
    "trust_ratio",
]
