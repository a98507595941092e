"""What the sources of the field's introductions describe, in NumPy float64; see `tests.oracles.papers`."""

from __future__ import annotations


def averaged_sgd_run(gradients, theta, *, learning_rate, weight_decay, power, start=0.0):
    """Bottou, 2012, in the order of PyTorch's ASGD; yields the parameters before and after, and the mean."""
    mean, eta, mu, t0 = theta, learning_rate, 1.0, start - 1
    for t, g in enumerate(gradients, start=1):
        before = theta
        theta = theta * (1 - weight_decay * eta) - eta * g
        mean = mean + mu * (theta - mean)
        eta = learning_rate / (1 + weight_decay * learning_rate * t) ** power
        mu = 1 / max(1, t - t0)
        yield before, theta, mean


def averaged_sgd(gradients, theta, **numbers):
    for before, after, _ in averaged_sgd_run(gradients, theta, **numbers):
        yield after - before
