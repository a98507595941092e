"""Transformations that optimizers are made of and that belong to no single paper."""

from lrjax.transforms._masking import MaskedNode, MaskedState, masked
from lrjax.transforms._weight_decay import add_decayed_weights

__all__ = ["MaskedNode", "MaskedState", "add_decayed_weights", "masked"]
