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


def _descend(directions, theta, learning_rate, weight_decay=0.0):
    """Directions that do not depend on the parameters, which follow the updates."""
    for direction in directions:
        u = -learning_rate * (direction + weight_decay * theta)
        theta = theta + u
        yield u


def _adam(gradients, *, b1, b2, eps, first_square=None):
    """Kingma and Ba, 2014, algorithm 1: the direction, and the debiased second moment."""
    m, v = np.zeros_like(gradients[0]), np.zeros_like(gradients[0])
    v = v if first_square is None else first_square
    for t, g in enumerate(gradients, start=1):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        v_hat = v / (1 - b2**t)
        yield m / (1 - b1**t) / (np.sqrt(v_hat) + eps), v_hat


def _along(tensor, axis, matrix):
    """The mode product: a matrix applied along one axis."""
    return np.moveaxis(np.tensordot(matrix, tensor, axes=(1, axis)), 0, axis)


def _in_common(tensor, axis):
    """The product of a tensor with itself, summed over all axes but one."""
    others = [a for a in range(tensor.ndim) if a != axis]
    return np.tensordot(tensor, tensor, axes=(others, others))


def scale_by_shampoo(gradients, theta, *, eps, precondition_frequency, longest=np.inf):
    """Gupta, Koren and Singer, 2018, algorithm 2, with roots of some steps: the first, and every so many."""
    axes = [a for a, n in enumerate(theta.shape) if n <= longest]
    spanned = max(np.ceil(theta.shape[a] ** 2 / theta.size) for a in axes)
    matrices = {a: eps * np.eye(theta.shape[a]) for a in axes}
    roots = {}
    for t, g in enumerate(gradients):
        step = g
        for a in axes:
            matrices[a] = matrices[a] + _in_common(g, a)
            if t % precondition_frequency == 0 or t < precondition_frequency + spanned - 1:
                values, vectors = np.linalg.eigh(matrices[a])
                roots[a] = vectors @ np.diag(values ** (-1 / (2 * len(axes)))) @ vectors.T
            step = _along(step, a, roots[a])
        yield step


def shampoo(gradients, theta, *, learning_rate, momentum, weight_decay, **numbers):
    m, directions = np.zeros_like(theta), []
    for direction in scale_by_shampoo(gradients, theta, **numbers):
        m = momentum * m + direction
        directions.append(m)
    yield from _descend(directions, theta, learning_rate, weight_decay)


def scale_by_soap(gradients, theta, *, b1, b2, eps, precondition_frequency, longest=np.inf):
    """Vyas et al., 2024, algorithms 3 and 4, with Adam's corrections; the first gradient makes the bases."""
    axes = [a for a, n in enumerate(theta.shape) if n <= longest]
    m, v = np.zeros_like(theta), np.zeros_like(theta)
    averages = {a: _in_common(gradients[0], a) for a in axes}
    bases = {a: np.linalg.eigh(averages[a])[1][:, ::-1] for a in axes}

    def turned(x, back):
        for a in axes:
            x = _along(x, a, bases[a] if back else bases[a].T)
        return x

    yield np.zeros_like(theta)
    for t, g in enumerate(gradients[1:], start=1):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * turned(g, back=False) ** 2
        m_hat, v_hat = turned(m, back=False) / (1 - b1**t), v / (1 - b2**t)
        yield turned(m_hat / (np.sqrt(v_hat) + eps), back=True)
        for a in axes:
            averages[a] = b2 * averages[a] + (1 - b2) * _in_common(g, a)
            if t % precondition_frequency == 0:
                bases[a] = np.linalg.qr(averages[a] @ bases[a])[0]


def soap(gradients, theta, *, learning_rate, weight_decay, **numbers):
    yield from _descend(scale_by_soap(gradients, theta, **numbers), theta, learning_rate, weight_decay)


def cautious(gradients, theta, *, learning_rate, momentum, min_share):
    """Liang et al., 2024, algorithm 1, over momentum."""
    m = np.zeros_like(theta)
    for g in gradients:
        m = momentum * m + g
        agrees = m * g > 0
        yield -learning_rate * m * agrees / max(np.mean(agrees), min_share)


def grokfast(gradients, theta, *, decay, factor):
    """Lee et al., 2024, the filter by an exponential average."""
    h = gradients[0]
    for g in gradients:
        h = decay * h + (1 - decay) * g
        yield g + factor * h


def grokfast_ma(gradients, theta, *, window, factor):
    """The same, the filter by a window, which must be full."""
    for t, g in enumerate(gradients, start=1):
        yield g + factor * np.mean(gradients[t - window : t], axis=0) if t >= window else g


def stable_adamw(gradients, theta, *, learning_rate, b1, b2, eps, weight_decay):
    """Wortsman et al., 2023, algorithm 2."""
    for g, (direction, v_hat) in zip(gradients, _adam(gradients, b1=b1, b2=b2, eps=eps), strict=True):
        rms = np.sqrt(np.mean(g**2 / np.maximum(v_hat, eps**2)))
        u = -learning_rate / max(1.0, rms) * (direction + weight_decay * theta)
        theta = theta + u
        yield u


def scale_by_adabound(gradients, theta, *, b1, b2, eps, gamma, final_scale, amsbound=False):
    """Luo et al., 2019, algorithms 2 and 3, without the root of t, and with their code's corrections."""
    m, v, largest = np.zeros_like(theta), np.zeros_like(theta), np.zeros_like(theta)
    for t, g in enumerate(gradients, start=1):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        largest = np.maximum(largest, v)
        size = np.sqrt(1 - b2**t) / (1 - b1**t) / (np.sqrt(largest if amsbound else v) + eps)
        lower, upper = final_scale * (1 - 1 / (gamma * t + 1)), final_scale * (1 + 1 / (gamma * t))
        yield np.clip(size, lower, upper) * m


def adabound(gradients, theta, *, learning_rate, **numbers):
    yield from _descend(scale_by_adabound(gradients, theta, **numbers), theta, learning_rate)


def amsbound(gradients, theta, *, learning_rate, **numbers):
    directions = scale_by_adabound(gradients, theta, amsbound=True, **numbers)
    yield from _descend(directions, theta, learning_rate)


def adamp(gradients, theta, *, learning_rate, b1, b2, eps, weight_decay, delta, decay_ratio):
    """Heo et al., 2020, algorithm 2, by output and then by layer, of one matrix."""

    def is_free(g, w):
        cosine = abs(np.sum(g * w)) / (np.linalg.norm(g) * np.linalg.norm(w))
        return cosine < delta / np.sqrt(w.size)

    def without(p, w):
        unit = w / np.linalg.norm(w)
        return p - np.sum(unit * p) * unit

    for g, (p, _) in zip(gradients, _adam(gradients, b1=b1, b2=b2, eps=eps), strict=True):
        ratio = decay_ratio
        outputs = range(theta.shape[1])
        if all(is_free(g[:, i], theta[:, i]) for i in outputs):
            p = np.stack([without(p[:, i], theta[:, i]) for i in outputs], axis=1)
        elif is_free(g, theta):
            p = without(p, theta)
        else:
            ratio = 1.0
        u = -learning_rate * (p + weight_decay * ratio * theta)
        theta = theta + u
        yield u


def scale_by_mars(gradients, theta, *, b1, b2, eps, gamma, max_norm):
    """Yuan et al., 2024, algorithm 2 with gradients of the batch before (MARS-approx)."""
    corrected, last = [], gradients[0]
    for g in gradients:
        c = g + gamma * b1 / (1 - b1) * (g - last)
        corrected.append(c * min(1.0, max_norm / np.linalg.norm(c)))
        last = g
    for direction, _ in _adam(corrected, b1=b1, b2=b2, eps=eps):
        yield direction


def mars(gradients, theta, *, learning_rate, weight_decay, **numbers):
    yield from _descend(scale_by_mars(gradients, theta, **numbers), theta, learning_rate, weight_decay)


def scale_by_gi_adam(gradients, theta, **numbers):
    """Kalra and Barkeshli, 2024: Adam from the first gradient's square on."""
    for direction, _ in _adam(gradients, first_square=gradients[0] ** 2, **numbers):
        yield direction


def gi_adam(gradients, theta, *, learning_rate, **numbers):
    yield from _descend(scale_by_gi_adam(gradients, theta, **numbers), theta, learning_rate)
