"""Clipping, transcribed in NumPy float64; see `tests.oracles.papers`."""

from __future__ import annotations

import numpy as np


def clip(gradients, theta, *, max_delta):
    for g in gradients:
        yield np.minimum(np.maximum(g, -max_delta), max_delta)


def clip_by_global_norm(gradients, theta, *, max_norm):
    """Pascanu et al., 2012, algorithm 1."""
    for g in gradients:
        norm = np.linalg.norm(g)
        yield max_norm / norm * g if norm >= max_norm else g


def clip_by_block_rms(gradients, theta, *, threshold):
    """Shazeer and Stern, 2018, section 6."""
    for g in gradients:
        yield g / max(1.0, np.sqrt(np.mean(g**2)) / threshold)


def adaptive_grad_clip(gradients, theta, *, clipping, eps):
    """Brock et al., 2021, equation 3, for one unit."""
    for g in gradients:
        ratio = np.linalg.norm(g) / max(np.linalg.norm(theta), eps)
        u = clipping / ratio * g if ratio > clipping else g
        theta = theta + u
        yield u
