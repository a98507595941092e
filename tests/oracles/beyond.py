"""Methods that optax does not have, transcribed from their papers in NumPy float64, as in `papers`."""

from __future__ import annotations

import numpy as np


def dadapt_sgd(gradients, theta, *, learning_rate, momentum, estim_lr0, weight_decay=0.0, growth_rate=np.inf):
    """Defazio and Mishchenko, 2023, algorithm 4, with the factor 2 of the experiments."""
    d, first = estim_lr0, None
    s, z, agreement = np.zeros_like(theta), theta.copy(), 0.0
    for gradient in gradients:
        g = gradient + weight_decay * theta
        first = np.linalg.norm(g) if first is None else first
        lam = d * learning_rate / first
        agreement += lam * np.dot(g, s)
        s = s + lam * g
        z = z - lam * g
        d = max(d, min(2 * agreement / np.linalg.norm(s), growth_rate * d))
        moved = momentum * theta + (1 - momentum) * z
        yield moved - theta
        theta = moved


def dadapt_adagrad(
    gradients,
    theta,
    *,
    learning_rate,
    momentum,
    eps,
    estim_lr0,
    initial_accumulator_value,
    weight_decay=0.0,
    growth_rate=np.inf,
):
    """The same, algorithm 3, with the authors' code's weights of the sum, eps and factor 2."""
    start, d, squares = theta.copy(), estim_lr0, 0.0
    s, a = np.zeros_like(theta), np.full_like(theta, initial_accumulator_value)
    for gradient in gradients:
        g = gradient + weight_decay * theta
        a = a + g**2
        root = np.sqrt(a) + eps
        lam = d * learning_rate
        s = s + lam * g
        squares += np.sum((lam * g) ** 2 / root)
        d_hat = (np.sum(s**2 / root) - squares) / np.sum(np.abs(s))
        d = max(d, min(d_hat, growth_rate * d))
        moved = momentum * theta + (1 - momentum) * (start - s / root)
        yield moved - theta
        theta = moved


def ldog(gradients, theta, *, learning_rate, reps_rel, eps, weight_decay=0.0):
    """Ivgi, Hinder and Carmon, 2023, L-DoG, of one layer."""
    start, squares = theta.copy(), 0.0
    farthest = reps_rel * (1 + np.linalg.norm(theta))
    for gradient in gradients:
        g = gradient + weight_decay * theta
        farthest = max(farthest, np.linalg.norm(theta - start))
        squares += np.sum(g**2)
        u = -learning_rate * farthest / np.sqrt(squares + eps) * g
        theta = theta + u
        yield u


def schedule_free_radam(
    gradients,
    theta,
    *,
    learning_rate,
    b1,
    b2,
    eps,
    weight_decay=0.0,
    weight_lr_power=2.0,
    silent_sgd_phase=True,
):
    """Defazio et al., 2024, algorithm 1 over Liu et al., 2019, algorithm 2."""
    x, y, z, v = theta.copy(), theta.copy(), theta.copy(), np.zeros_like(theta)
    total = largest = 0.0
    rho_inf = 2 / (1 - b2) - 1
    for t, g in enumerate(gradients, start=1):
        v = b2 * v + (1 - b2) * g**2
        rho = rho_inf - 2 * t * b2**t / (1 - b2**t)
        if rho > 4:
            top, bottom = (rho - 4) * (rho - 2) * rho_inf, (rho_inf - 4) * (rho_inf - 2) * rho
            rate, step = learning_rate * np.sqrt(top / bottom), g / (np.sqrt(v / (1 - b2**t)) + eps)
        else:
            rate, step = 0.0 if silent_sgd_phase else learning_rate, g
        z = z - rate * (step + weight_decay * y)
        largest = max(largest, rate)
        weight = largest**weight_lr_power
        total += weight
        x = x + (weight / total if total > 0 else 0.0) * (z - x)
        moved = b1 * x + (1 - b1) * z
        yield moved - y
        y = moved


def adafactor_relative_step(gradients, theta, *, decay_rate, decay_offset, eps, clipping_threshold):
    """Shazeer and Stern, 2018, algorithm 5, of a vector."""

    def rms(x):
        return np.sqrt(np.mean(x**2))

    v = np.zeros_like(theta)
    for t, g in enumerate(gradients, start=1):
        beta = 1 - max(t - decay_offset, 1.0) ** -decay_rate
        v = beta * v + (1 - beta) * (g**2 + eps)
        step = g / np.sqrt(v)
        step = step / max(1.0, rms(step) / clipping_threshold)
        u = -min(1e-2, 1 / np.sqrt(t)) * max(1e-3, rms(theta)) * step
        theta = theta + u
        yield u
