"""What the sources of the field's introductions describe, in NumPy float64; see `tests.oracles.papers`."""

from __future__ import annotations

import numpy as np


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


def proximal_adagrad(
    gradients, theta, *, learning_rate, l1, initial_accumulator_value, eps, ball=None, radius=1.0
):
    """Duchi et al., 2011, equation 24; the ball's multiplier by bisection."""
    s = np.full_like(theta, initial_accumulator_value)
    for g in gradients:
        s = s + g**2
        h = eps + np.sqrt(s)
        y = theta - learning_rate * g / h
        x = np.sign(y) * np.maximum(np.abs(y) - learning_rate * l1 / h, 0)
        if ball is not None:
            x = nearest_in_ball(x, h, ball, radius)
        yield x - theta
        theta = x


def nearest_in_ball(x, h, ball, radius):
    """The nearest point in the norm of h: the larger the multiplier, the smaller the ball's norm."""

    def at(m):
        return np.sign(x) * np.maximum(np.abs(x) - m / h, 0) if ball == "l1" else h * x / (h + m)

    def norm(x):
        return np.sum(np.abs(x)) if ball == "l1" else np.sqrt(np.sum(x**2))

    if norm(x) <= radius:
        return x
    low, high = 0.0, 1.0
    while norm(at(high)) > radius:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if norm(at(middle)) > radius else (low, middle)
    return at(high)


def adagrad_rda(gradients, theta, *, learning_rate, l1, initial_accumulator_value, eps):
    """Duchi et al., 2011, section 5.1, from the mean gradient."""
    for t in range(1, len(gradients) + 1):
        mean = np.mean(gradients[:t], axis=0)
        h = eps + np.sqrt(initial_accumulator_value + np.sum(np.square(gradients[:t]), axis=0))
        x = np.sign(-mean) * (learning_rate * t / h) * np.maximum(np.abs(mean) - l1, 0)
        yield x - theta
        theta = x


def full_matrix_adagrad(gradients, theta, *, learning_rate, eps):
    """Duchi et al., 2011, figure 2; the root of the sum from the singular values of the gradients."""
    for t, g in enumerate(gradients, start=1):
        _, roots, directions = np.linalg.svd(gradients[:t], full_matrices=False)
        yield -learning_rate * directions.T @ ((directions @ g) / (eps + roots))


def adaptive_revision_run(gradient, theta, *, delays, learning_rate, initial_accumulator_value):
    """McMahan and Streeter, 2014, algorithm 2; each gradient at what was read some updates before."""
    z = np.full_like(theta, initial_accumulator_value)
    largest, total = z, np.zeros_like(theta)
    read = [(theta, total)]
    for t, delay in enumerate(delays):
        there, seen = read[t - delay]
        g, between = gradient(t, there), total - seen
        eta_old = learning_rate / np.sqrt(largest)
        z = z + g**2 + 2 * g * between
        largest = np.maximum(z, largest)
        eta = learning_rate / np.sqrt(largest)
        theta = theta - eta * g + (eta_old - eta) * between
        total = total + g
        read.append((theta, total))
        yield g, eta, theta


def adaptive_revision(gradients, theta, *, learning_rate, initial_accumulator_value):
    """Without delay."""
    numbers = {"learning_rate": learning_rate, "initial_accumulator_value": initial_accumulator_value}
    run = adaptive_revision_run(lambda t, _: gradients[t], theta, delays=[0] * len(gradients), **numbers)
    for _, _, moved in run:
        yield moved - theta
        theta = moved


def scale_by_adaptive_revision(gradients, theta, **numbers):
    for u in adaptive_revision(gradients, theta, learning_rate=1.0, **numbers):
        yield -u


def curvature(theta):
    """The second derivative of x**4 / 12 + x**2 / 2, the loss whose diagonal the rows give."""
    return theta**2 + 1


def scale_by_becker_lecun(gradients, theta, *, damping, value_fn=None):
    """Becker and LeCun, 1988."""
    for g in gradients:
        u = g / (np.abs(curvature(theta)) + damping)
        theta = theta + u
        yield u


def becker_lecun(gradients, theta, *, learning_rate, damping, value_fn=None):
    for g in gradients:
        u = -learning_rate * g / (np.abs(curvature(theta)) + damping)
        theta = theta + u
        yield u


def scale_by_vsgd(gradients, theta, *, sign=1.0, **numbers):
    """Schaul et al., 2012, algorithm 1: averages over the first gradients, then one number at a time."""
    n, c, eps = int(numbers["init_steps"]), numbers["overestimate"], numbers["eps"]
    for _ in range(n):
        yield np.zeros_like(theta)
    first = np.asarray(gradients[:n])
    g_bar, v_bar = first.mean(axis=0), c * (first**2).mean(axis=0)
    h_bar, tau = c * np.abs(curvature(theta)), np.full_like(theta, n)
    for g in gradients[n:]:
        u, h = np.zeros_like(theta), np.abs(curvature(theta))
        for i in np.ndindex(theta.shape):
            g_bar[i] = (1 - 1 / tau[i]) * g_bar[i] + g[i] / tau[i]
            v_bar[i] = (1 - 1 / tau[i]) * v_bar[i] + g[i] ** 2 / tau[i]
            h_bar[i] = (1 - 1 / tau[i]) * h_bar[i] + h[i] / tau[i]
            u[i] = sign * g_bar[i] ** 2 / ((h_bar[i] + eps) * v_bar[i]) * g[i]
            tau[i] = (1 - g_bar[i] ** 2 / v_bar[i]) * tau[i] + 1
        theta = theta + u
        yield u


def vsgd(gradients, theta, *, learning_rate, **numbers):
    yield from scale_by_vsgd(gradients, theta, sign=-learning_rate, **numbers)


def elastic_averaging(gradients, theta, *, decay, elasticity, period):
    """Zhang et al., 2015, algorithm 1, with one worker whose step is momentum's."""
    center, m = theta, np.zeros_like(theta)
    for t, g in enumerate(gradients):
        m = decay * m + g
        pull = elasticity * (theta - center) if t % int(period) == 0 else 0
        new = theta - pull + m
        center = center + pull
        yield new - theta
        theta = new


def delayed(gradients, theta, *, decay, steps):
    """Momentum on gradients that come late."""
    m = np.zeros_like(theta)
    for t in range(len(gradients)):
        if t >= steps:
            m = decay * m + gradients[t - steps]
        yield m if t >= steps else np.zeros_like(theta)
