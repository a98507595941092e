"""The papers, transcribed in NumPy float64.

Each function takes the gradients of every step, the first parameters (which most ignore) and the
numbers by name, and yields the update of every step: what is added to the parameters. Recipes yield
`-learning_rate * direction`, ingredients the direction itself. Nothing here knows lrjax.
"""

from __future__ import annotations

import numpy as np


def identity(gradients, theta):
    yield from gradients


def scale(gradients, theta, *, factor):
    for g in gradients:
        yield factor * g


def descend(gradients, theta, *, learning_rate):
    """Robbins and Monro, 1951."""
    for g in gradients:
        yield -learning_rate * g


def ascend(gradients, theta, *, learning_rate):
    for g in gradients:
        yield learning_rate * g


def add_decayed_weights(gradients, theta, *, weight_decay):
    for g in gradients:
        u = g + weight_decay * theta
        theta = theta + u
        yield u


def trace(gradients, theta, *, decay, nesterov=False):
    """Sutskever et al., 2013, with the velocity not yet multiplied by the rate."""
    m = np.zeros_like(theta)
    for g in gradients:
        m = decay * m + g
        yield decay * m + g if nesterov else m


def momentum_descent(gradients, theta, *, learning_rate, momentum, nesterov=False):
    m = np.zeros_like(theta)
    for g in gradients:
        m = momentum * m + g
        direction = g + momentum * m if nesterov else m
        yield -learning_rate * direction


def scale_by_adam(gradients, theta, *, b1, b2, eps, eps_root, nesterov=False):
    """Kingma and Ba, 2014, algorithm 1; with `nesterov` Dozat, 2016, without his factor b2 on v."""
    m, v = np.zeros_like(theta), np.zeros_like(theta)
    for t, g in enumerate(gradients, start=1):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        m_hat = m / (1 - b1**t)
        if nesterov:
            m_hat = b1 * m / (1 - b1 ** (t + 1)) + (1 - b1) * g / (1 - b1**t)
        v_hat = v / (1 - b2**t)
        yield m_hat / (np.sqrt(v_hat + eps_root) + eps)


def adam(gradients, theta, *, learning_rate, b1, b2, eps, eps_root, nesterov=False):
    m, v = np.zeros_like(theta), np.zeros_like(theta)
    for t, g in enumerate(gradients, start=1):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        m_hat = m / (1 - b1**t)
        if nesterov:
            m_hat = b1 * m / (1 - b1 ** (t + 1)) + (1 - b1) * g / (1 - b1**t)
        v_hat = v / (1 - b2**t)
        yield -learning_rate * m_hat / (np.sqrt(v_hat + eps_root) + eps)


def adamw(gradients, theta, *, learning_rate, b1, b2, eps, eps_root, weight_decay, nesterov=False):
    """Loshchilov and Hutter, 2017, algorithm 2, with the decay multiplied by the rate (PyTorch's)."""
    m, v = np.zeros_like(theta), np.zeros_like(theta)
    for t, g in enumerate(gradients, start=1):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        m_hat = m / (1 - b1**t)
        if nesterov:
            m_hat = b1 * m / (1 - b1 ** (t + 1)) + (1 - b1) * g / (1 - b1**t)
        v_hat = v / (1 - b2**t)
        u = -learning_rate * (m_hat / (np.sqrt(v_hat + eps_root) + eps) + weight_decay * theta)
        theta = theta + u
        yield u


def scale_by_rms(gradients, theta, *, decay, eps, initial_scale, eps_in_sqrt=True, bias_correction=False):
    """Tieleman and Hinton, 2012."""
    v = np.full_like(theta, initial_scale)
    for t, g in enumerate(gradients, start=1):
        v = decay * v + (1 - decay) * g**2
        v_hat = v / (1 - decay**t) if bias_correction else v
        yield g / np.sqrt(v_hat + eps) if eps_in_sqrt else g / (np.sqrt(v_hat) + eps)


def scale_by_stddev(gradients, theta, *, decay, eps, initial_scale, eps_in_sqrt=True, bias_correction=False):
    """Graves, 2013, equations 38 to 40, with eps where Tieleman and Hinton have it."""
    m, v = np.zeros_like(theta), np.full_like(theta, initial_scale)
    for t, g in enumerate(gradients, start=1):
        m = decay * m + (1 - decay) * g
        v = decay * v + (1 - decay) * g**2
        debias = 1 - decay**t if bias_correction else 1.0
        variance = v / debias - (m / debias) ** 2
        yield g / np.sqrt(variance + eps) if eps_in_sqrt else g / (np.sqrt(variance) + eps)


def rmsprop(
    gradients,
    theta,
    *,
    learning_rate,
    decay,
    eps,
    initial_scale,
    momentum=0.0,
    eps_in_sqrt=True,
    centered=False,
    nesterov=False,
    bias_correction=False,
):
    m, v = np.zeros_like(theta), np.full_like(theta, initial_scale)
    velocity = np.zeros_like(theta)
    for t, g in enumerate(gradients, start=1):
        m = decay * m + (1 - decay) * g
        v = decay * v + (1 - decay) * g**2
        debias = 1 - decay**t if bias_correction else 1.0
        spread = v / debias - centered * (m / debias) ** 2
        root = np.sqrt(spread + eps) if eps_in_sqrt else np.sqrt(spread) + eps
        step = -learning_rate * g / root
        velocity = momentum * velocity + step
        yield momentum * velocity + step if nesterov else velocity


def _lion_shape(c, mode, smooth_beta):
    if mode == "smooth":
        return np.tanh(smooth_beta * c)
    if mode == "refined":
        return np.clip(c, -1, 1)
    return np.sign(c)


def scale_by_lion(gradients, theta, *, b1, b2, mode="hard", smooth_beta=1.0):
    """Chen et al., 2023, algorithm 2; the modes beside the sign are optax's."""
    m = np.zeros_like(theta)
    for g in gradients:
        c = b1 * m + (1 - b1) * g
        m = b2 * m + (1 - b2) * g
        yield _lion_shape(c, mode, smooth_beta)


def lion(gradients, theta, *, learning_rate, b1, b2, weight_decay):
    m = np.zeros_like(theta)
    for g in gradients:
        c = b1 * m + (1 - b1) * g
        m = b2 * m + (1 - b2) * g
        u = -learning_rate * (np.sign(c) + weight_decay * theta)
        theta = theta + u
        yield u


def scale_by_rss(gradients, theta, *, initial_accumulator_value, eps):
    """Duchi, Hazan and Singer, 2011, figure 1 (diagonal), with an accumulator that starts above 0."""
    s = np.full_like(theta, initial_accumulator_value)
    for g in gradients:
        s = s + g**2
        yield g / np.sqrt(s + eps)


def adagrad(gradients, theta, *, learning_rate, initial_accumulator_value, eps):
    s = np.full_like(theta, initial_accumulator_value)
    for g in gradients:
        s = s + g**2
        yield -learning_rate * g / np.sqrt(s + eps)


def scale_by_adadelta(gradients, theta, *, rho, eps):
    """Zeiler, 2012, algorithm 1, without the minus sign."""
    e_g, e_x = np.zeros_like(theta), np.zeros_like(theta)
    for g in gradients:
        e_g = rho * e_g + (1 - rho) * g**2
        u = np.sqrt(e_x + eps) / np.sqrt(e_g + eps) * g
        e_x = rho * e_x + (1 - rho) * u**2
        yield u


def adadelta(gradients, theta, *, rho, eps, weight_decay, learning_rate=1.0):
    e_g, e_x = np.zeros_like(theta), np.zeros_like(theta)
    for gradient in gradients:
        g = gradient + weight_decay * theta
        e_g = rho * e_g + (1 - rho) * g**2
        step = np.sqrt(e_x + eps) / np.sqrt(e_g + eps) * g
        e_x = rho * e_x + (1 - rho) * step**2
        u = -learning_rate * step
        theta = theta + u
        yield u
