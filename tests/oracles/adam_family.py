"""Adam's relatives, transcribed from their papers in NumPy float64, as in `papers`."""

from __future__ import annotations

import numpy as np


def _descend(directions, learning_rate):
    for direction in directions:
        yield -learning_rate * direction


def _descend_with_decay(direction_of, gradients, theta, learning_rate, weight_decay):
    """`direction_of(g)` gives one direction per gradient; parameters follow the updates."""
    for g in gradients:
        u = -learning_rate * (direction_of(g) + weight_decay * theta)
        theta = theta + u
        yield u


def _one_by_one(generator, gradients, theta, **numbers):
    """A function from each next gradient to its direction, of a generator over all of them."""
    directions = iter(list(generator(gradients, theta, **numbers)))
    return lambda g: next(directions)


def scale_by_belief(gradients, theta, *, b1, b2, eps, eps_root, nesterov=False):
    """Zhuang et al., 2020, algorithm 2; their one epsilon is `eps_root`, and `eps` stands outside."""
    m, s = np.zeros_like(theta), np.zeros_like(theta)
    for t, g in enumerate(gradients, start=1):
        m = b1 * m + (1 - b1) * g
        s = b2 * s + (1 - b2) * (g - m) ** 2 + eps_root
        m_hat = m / (1 - b1**t)
        if nesterov:
            m_hat = b1 * m / (1 - b1 ** (t + 1)) + (1 - b1) * g / (1 - b1**t)
        s_hat = s / (1 - b2**t)
        yield m_hat / (np.sqrt(s_hat) + eps)


def adabelief(gradients, theta, *, learning_rate, **numbers):
    yield from _descend(scale_by_belief(gradients, theta, **numbers), learning_rate)


def scale_by_adamax(gradients, theta, *, b1, b2, eps):
    """Kingma and Ba, 2014, algorithm 2, with an eps beside the gradient's size."""
    m, u = np.zeros_like(theta), np.zeros_like(theta)
    for t, g in enumerate(gradients, start=1):
        m = b1 * m + (1 - b1) * g
        u = np.maximum(b2 * u, np.abs(g) + eps)
        yield m / (1 - b1**t) / u


def adamax(gradients, theta, *, learning_rate, **numbers):
    yield from _descend(scale_by_adamax(gradients, theta, **numbers), learning_rate)


def adamaxw(gradients, theta, *, learning_rate, weight_decay, **numbers):
    direction = _one_by_one(scale_by_adamax, gradients, theta, **numbers)
    yield from _descend_with_decay(direction, gradients, theta, learning_rate, weight_decay)


def scale_by_adan(gradients, theta, *, b1, b2, b3, eps, eps_root, look_ahead=None):
    """Xie et al., 2022, algorithm 1; their betas are one minus these, their look-ahead b2, optax's 1 - b2."""
    kappa = 1 - b2 if look_ahead is None else look_ahead
    m, v, n = np.zeros_like(theta), np.zeros_like(theta), np.zeros_like(theta)
    last = gradients[0]
    for t, g in enumerate(gradients, start=1):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * (g - last)
        n = b3 * n + (1 - b3) * (g + kappa * (g - last)) ** 2
        last = g
        m_hat, v_hat, n_hat = m / (1 - b1**t), v / (1 - b2**t), n / (1 - b3**t)
        yield (m_hat + kappa * v_hat) / (np.sqrt(n_hat + eps_root) + eps)


def adan(gradients, theta, *, learning_rate, weight_decay, **numbers):
    direction = _one_by_one(scale_by_adan, gradients, theta, **numbers)
    yield from _descend_with_decay(direction, gradients, theta, learning_rate, weight_decay)


def scale_by_amsgrad(
    gradients, theta, *, b1, b2, eps, eps_root, bias_correction_mu=True, bias_correction_nu=True
):
    """Reddi, Kale and Kumar, 2018, algorithm 2; the corrections are optax's."""
    m, v, largest = np.zeros_like(theta), np.zeros_like(theta), np.zeros_like(theta)
    for t, g in enumerate(gradients, start=1):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        m_hat = m / (1 - b1**t) if bias_correction_mu else m
        largest = np.maximum(largest, v / (1 - b2**t) if bias_correction_nu else v)
        yield m_hat / (np.sqrt(largest + eps_root) + eps)


def amsgrad(gradients, theta, *, learning_rate, **numbers):
    yield from _descend(scale_by_amsgrad(gradients, theta, **numbers), learning_rate)


def scale_by_nadam(gradients, theta, *, b1, b2, eps, eps_root, nesterov=True):
    """Dozat, 2016, algorithm 8 with one mu for all steps."""
    m, n = np.zeros_like(theta), np.zeros_like(theta)
    for t, g in enumerate(gradients, start=1):
        m = b1 * m + (1 - b1) * g
        n = b2 * n + (1 - b2) * g**2
        bar = b1 * m / (1 - b1 ** (t + 1)) + (1 - b1) * g / (1 - b1**t) if nesterov else m / (1 - b1**t)
        yield bar / (np.sqrt(n / (1 - b2**t) + eps_root) + eps)


def nadam(gradients, theta, *, learning_rate, **numbers):
    yield from _descend(scale_by_nadam(gradients, theta, **numbers), learning_rate)


def nadamw(gradients, theta, *, learning_rate, weight_decay, **numbers):
    direction = _one_by_one(scale_by_nadam, gradients, theta, **numbers)
    yield from _descend_with_decay(direction, gradients, theta, learning_rate, weight_decay)


def scale_by_radam(gradients, theta, *, b1, b2, eps, eps_root, threshold, nesterov=False):
    """Liu et al., 2019, algorithm 2."""
    m, v = np.zeros_like(theta), np.zeros_like(theta)
    rho_inf = 2 / (1 - b2) - 1
    for t, g in enumerate(gradients, start=1):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        m_hat = m / (1 - b1**t)
        if nesterov:
            m_hat = b1 * m / (1 - b1 ** (t + 1)) + (1 - b1) * g / (1 - b1**t)
        rho = rho_inf - 2 * t * b2**t / (1 - b2**t)
        if rho < threshold:
            yield m_hat
            continue
        r = np.sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho))
        yield r * m_hat / (np.sqrt(v / (1 - b2**t) + eps_root) + eps)


def radam(gradients, theta, *, learning_rate, **numbers):
    yield from _descend(scale_by_radam(gradients, theta, **numbers), learning_rate)


def scale_by_yogi(gradients, theta, *, b1, b2, eps, eps_root=0.0, initial_accumulator_value=1e-6):
    """Zaheer et al., 2018, algorithm 2, debiased."""
    m, v = np.full_like(theta, initial_accumulator_value), np.full_like(theta, initial_accumulator_value)
    for t, g in enumerate(gradients, start=1):
        m = b1 * m + (1 - b1) * g
        v = v - (1 - b2) * np.sign(v - g**2) * g**2
        yield m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t) + eps_root) + eps)


def yogi(gradients, theta, *, learning_rate, **numbers):
    yield from _descend(scale_by_yogi(gradients, theta, **numbers), learning_rate)
