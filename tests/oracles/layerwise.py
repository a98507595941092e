"""Methods that look at the norms of whole leaves, in NumPy float64, as in `papers`."""

from __future__ import annotations

import numpy as np

from tests.oracles import papers


def _ratio(theta, u, min_norm=0.0, trust_coefficient=1.0, eps=0.0):
    size, step = max(np.linalg.norm(theta), min_norm), max(np.linalg.norm(u), min_norm)
    return 1.0 if size == 0 or step == 0 else trust_coefficient * size / (step + eps)


def scale_by_trust_ratio(gradients, theta, *, min_norm, trust_coefficient, eps):
    """You, Gitman and Ginsburg, 2017, equation 6."""
    for g in gradients:
        yield g * _ratio(theta, g, min_norm, trust_coefficient, eps)


def scale_by_param_block_norm(gradients, theta, *, min_scale):
    for g in gradients:
        yield g * max(np.linalg.norm(theta), min_scale)


def scale_by_param_block_rms(gradients, theta, *, min_scale):
    for g in gradients:
        yield g * max(np.sqrt(np.mean(theta**2)), min_scale)


def normalize_by_update_norm(gradients, theta, *, scale_factor, eps):
    for g in gradients:
        yield g * scale_factor / (np.linalg.norm(g) + eps)


def lamb(gradients, theta, *, learning_rate, weight_decay, **numbers):
    """You et al., 2019, algorithm 2."""
    for direction in list(papers.scale_by_adam(gradients, theta, **numbers)):
        step = direction + weight_decay * theta
        u = -learning_rate * _ratio(theta, step) * step
        theta = theta + u
        yield u


def lars(gradients, theta, *, learning_rate, weight_decay, trust_coefficient, eps, momentum, nesterov=False):
    """You, Gitman and Ginsburg, 2017, algorithm 1, the decay inside the norm."""
    velocity = np.zeros_like(theta)
    for gradient in gradients:
        g = gradient + weight_decay * theta
        step = -learning_rate * _ratio(theta, g, 0.0, trust_coefficient, eps) * g
        velocity = momentum * velocity + step
        u = momentum * velocity + step if nesterov else velocity
        theta = theta + u
        yield u


def fromage(gradients, theta, *, learning_rate, min_norm):
    """Bernstein et al., 2020, algorithm 1."""
    for g in gradients:
        moved = (theta - learning_rate * _ratio(theta, g, min_norm) * g) / np.sqrt(1 + learning_rate**2)
        yield moved - theta
        theta = moved


def scale_by_novograd(gradients, theta, *, b1, b2, eps, eps_root, weight_decay):
    """Ginsburg et al., 2019, algorithm 1, along the gradient."""
    m, v = np.zeros_like(theta), None
    for g in gradients:
        square = np.sum(g**2)
        v = square if v is None else b2 * v + (1 - b2) * square
        m = b1 * m + g / (np.sqrt(v + eps_root) + eps) + weight_decay * theta
        theta = theta + m
        yield m


def novograd(gradients, theta, *, learning_rate, b1, b2, eps, eps_root, weight_decay):
    m, v = np.zeros_like(theta), None
    for g in gradients:
        square = np.sum(g**2)
        v = square if v is None else b2 * v + (1 - b2) * square
        m = b1 * m + g / (np.sqrt(v + eps_root) + eps) + weight_decay * theta
        theta = theta - learning_rate * m
        yield -learning_rate * m
