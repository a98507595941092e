"""Wrappers, and averages over time, transcribed in NumPy float64; see `tests.oracles.papers`."""

from __future__ import annotations

import numpy as np

from tests.oracles import papers


def multi_steps(gradients, theta, *, decay, every_k_schedule, use_grad_mean=True, skip_above=np.inf):
    """One step of a moving average on the mean of k gradients, none of them longer than allowed."""
    m, gathered = np.zeros_like(theta), []
    for g in gradients:
        if np.sum(g**2) < skip_above:
            gathered.append(g)
        if len(gathered) == every_k_schedule:
            mean_or_sum = (np.mean if use_grad_mean else np.sum)(gathered, axis=0)
            m = decay * m + (1 - decay) * mean_or_sum
            gathered = []
            yield m
        else:
            yield np.zeros_like(theta)


def growing_multi_steps(gradients, theta, *, decay):
    """Update number i is made of i + 1 micro-batches."""
    m, gathered, applied = np.zeros_like(theta), [], 0
    for g in gradients:
        gathered.append(g)
        if len(gathered) == applied + 1:
            m = decay * m + (1 - decay) * np.mean(gathered, axis=0)
            gathered, applied = [], applied + 1
            yield m
        else:
            yield np.zeros_like(theta)


def apply_every(gradients, theta, *, k):
    gathered = []
    for g in gradients:
        gathered.append(g)
        if len(gathered) == k:
            yield np.sum(gathered, axis=0)
            gathered = []
        else:
            yield np.zeros_like(theta)


def up_to(gradients, theta, *, decay, limit, after):
    """Momentum on the first steps, then what `after` makes of the gradient."""
    for t, (g, m) in enumerate(zip(gradients, papers.trace(gradients, theta, decay=decay), strict=True)):
        yield m if t < limit else after(g)


def ema(gradients, theta, *, decay, debias=True):
    """Kingma and Ba, 2014, the first moment of algorithm 1."""
    m = np.zeros_like(theta)
    for t, g in enumerate(gradients, start=1):
        m = decay * m + (1 - decay) * g
        yield m / (1 - decay**t) if debias else m


def lookahead(gradients, theta, *, decay, sync_period, slow_step_size, reset_state=False):
    """Zhang et al., 2019, algorithm 1, around momentum; the movement of the fast weights."""
    m, phi = np.zeros_like(theta), theta
    for t, g in enumerate(gradients, start=1):
        m = decay * m + g
        fast = theta + m
        if t % sync_period == 0:
            phi = phi + slow_step_size * (fast - phi)
            fast = phi
            if reset_state:
                m = np.zeros_like(theta)
        yield fast - theta
        theta = fast


def keep_params_nonnegative(gradients, theta):
    """What is below zero moves to zero at once, as in a projection."""
    for g in gradients:
        new = np.maximum(theta + g, 0)
        yield new - theta
        theta = new


def scale_by_halving(gradients, theta):
    """By 1, 1/2, 1/4, 1/8, 1, ..."""
    for t, g in enumerate(gradients):
        yield g / 2 ** (t % 4)


def set_to_zero(gradients, theta):
    for g in gradients:
        yield 0 * g


def normalize(gradients, theta):
    for g in gradients:
        yield g / np.linalg.norm(g)


def mechanize(gradients, theta, *, learning_rate, weight_decay, eps, s_init, num_betas=6):
    """Cutkosky, Defazio and Mehta, 2023, algorithm 1, around gradient descent; the way is accumulated.

    The clip of the product is the authors', who never clip the reward they keep in their JAX code.
    """
    first, way = theta, np.zeros_like(theta)
    r, m, v = np.zeros(num_betas), np.zeros(num_betas), np.zeros(num_betas)
    s = np.full(num_betas, s_init)
    betas = 1 - 0.1 ** np.arange(1, num_betas + 1)
    for g in gradients:
        decayed = g + weight_decay * s.sum() * np.linalg.norm(g) / (np.linalg.norm(theta) + eps) * theta
        h = -np.dot(way, decayed) * s.sum() / (s.sum() + eps)
        way = way * s.sum() / (s.sum() + eps) - learning_rate * g
        r = betas * r + s * np.clip(h, -m, m)
        m = np.maximum(betas * m, abs(h) + eps)
        v = betas**2 * v + h**2
        s = (m * s_init / num_betas + np.maximum(r, 0)) / (np.sqrt(v) + eps)
        moved = first + s.sum() * way
        yield moved - theta
        theta = moved


def sam(gradients, theta, *, learning_rate, rho, sync_period):
    """Foret et al., 2020, algorithm 1, one gradient at a time: up, and then down from where it began."""
    here = theta
    for t, g in enumerate(gradients, start=1):
        if t % sync_period == 0:
            theta = theta - learning_rate * g
            moved = theta
        else:
            moved = here + rho * g / np.linalg.norm(g)
        yield moved - here
        here = moved


def scale_by_galore(gradients, theta, *, rank, update_proj_gap, scale, b1=0.9, b2=0.999, eps=1e-8):
    """Zhao et al., 2024, algorithm 2, of one matrix that is wider than tall."""
    m = v = 0.0
    for t, g in enumerate(gradients):
        if t % update_proj_gap == 0:
            p = np.linalg.svd(g, full_matrices=False)[0][:, :rank]
        small = p.T @ g
        m = b1 * m + (1 - b1) * small
        v = b2 * v + (1 - b2) * small**2
        step = m / (1 - b1 ** (t + 1)) / (np.sqrt(v / (1 - b2 ** (t + 1))) + eps)
        yield scale * p @ step


def galore(gradients, theta, *, learning_rate, weight_decay, **numbers):
    for direction in scale_by_galore(gradients, theta, **numbers):
        update = -learning_rate * (direction + weight_decay * theta)
        yield update
        theta = theta + update
