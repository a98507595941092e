"""L-BFGS, transcribed in NumPy float64 with full matrices; see `tests.oracles.papers`."""

from __future__ import annotations

import numpy as np


def scale_by_lbfgs(gradients, theta, *, memory_size, scale_init_precond=True):
    """Nocedal and Wright, 1999, equation 7.19, without the pairs of non-positive curvature."""
    previous, pairs = None, []
    for g in gradients:
        gamma = min(1, 1 / np.linalg.norm(g))
        if previous is not None:
            s, y = theta - previous[0], g - previous[1]
            pairs = [*pairs, (s, y)][-memory_size:]
            if s @ y > 0:
                gamma = (s @ y) / (y @ y)
        matrix = (gamma if scale_init_precond else 1) * np.eye(len(theta))
        for s, y in pairs:
            if s @ y > 0:
                rho = 1 / (s @ y)
                left = np.eye(len(theta)) - rho * np.outer(s, y)
                matrix = left @ matrix @ left.T + rho * np.outer(s, s)
        previous = theta, g
        u = matrix @ g
        theta = theta + u
        yield u


def lbfgs(gradients, theta, *, learning_rate, memory_size):
    """The same downhill: with the parameters mirrored the steps are mirrored, too."""
    previous, pairs = None, []
    for g in gradients:
        gamma = min(1, 1 / np.linalg.norm(g))
        if previous is not None:
            s, y = theta - previous[0], g - previous[1]
            pairs = [*pairs, (s, y)][-memory_size:]
            if s @ y > 0:
                gamma = (s @ y) / (y @ y)
        q, alphas = g, []
        good = [(s, y) for s, y in pairs if s @ y > 0]
        for s, y in reversed(good):
            alphas.append(s @ q / (s @ y))
            q = q - alphas[-1] * y
        r = gamma * q
        for (s, y), alpha in zip(good, reversed(alphas), strict=True):
            r = r + (alpha - y @ r / (s @ y)) * s
        previous = theta, g
        u = -learning_rate * r
        theta = theta + u
        yield u
