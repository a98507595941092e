"""What optax keeps in `contrib`, transcribed from the papers in NumPy float64, as in `papers`."""

from __future__ import annotations

import numpy as np


def _descend_with_decay(direction_of, gradients, theta, learning_rate, weight_decay):
    for t, g in enumerate(gradients):
        u = -learning_rate * (direction_of(t, g) + weight_decay * theta)
        theta = theta + u
        yield u


def prodigy(
    gradients,
    theta,
    *,
    learning_rate,
    b1,
    b2,
    eps,
    estim_lr0,
    estim_lr_coef,
    weight_decay,
    beta3=None,
    safeguard_warmup=False,
    bias_correction=True,
):
    """Mishchenko and Defazio, 2023, algorithm 4, with the authors' code's decay, safeguard and correction."""
    beta3 = np.sqrt(b2) if beta3 is None else beta3
    first, d, r = theta.copy(), estim_lr0, 0.0
    m, v, s = np.zeros_like(theta), np.zeros_like(theta), np.zeros_like(theta)
    for t, g in enumerate(gradients, start=1):
        gamma = learning_rate
        if bias_correction:
            gamma *= np.sqrt(1 - b2**t) / (1 - b1**t)
        m = b1 * m + (1 - b1) * d * g
        v = b2 * v + (1 - b2) * d**2 * g**2
        r = beta3 * r + d / estim_lr0 * d * gamma * np.dot(g, first - theta)
        s = beta3 * s + d / estim_lr0 * d * (1.0 if safeguard_warmup else gamma) * g
        d_next = max(d, estim_lr_coef * r / np.sum(np.abs(s)))
        u = -d * gamma * (m / (np.sqrt(v) + d_next * eps) + weight_decay * theta)
        theta, d = theta + u, d_next
        yield u


def dadapt_adamw(
    gradients, theta, *, learning_rate, b1, b2, eps, estim_lr0, weight_decay, bias_correction=True
):
    """Defazio and Mishchenko, 2023, algorithm 5, with decoupled decay."""
    root = np.sqrt(b2)
    d, r = estim_lr0, 0.0
    m, v, s = np.zeros_like(theta), np.zeros_like(theta), np.zeros_like(theta)
    for t, g in enumerate(gradients, start=1):
        step = d * learning_rate
        if bias_correction:
            step *= np.sqrt(1 - b2**t) / (1 - b1**t)
        r = root * r + (1 - root) * step * np.dot(g, s / (np.sqrt(v) + eps))
        m = b1 * m + (1 - b1) * step * g
        v = b2 * v + (1 - b2) * g**2
        s = root * s + (1 - root) * step * g
        d = max(d, r / ((1 - root) * np.sum(np.abs(s))))
        u = -m / (np.sqrt(v) + eps) - weight_decay * step * theta
        theta = theta + u
        yield u


def scale_by_dog(gradients, theta, *, init_value, eps, kind="heuristic", ascent=1.0, weight_decay=0.0):
    """Ivgi, Hinder and Carmon, 2023, equation DoG."""
    first, squares = theta.copy(), 0.0
    farthest = {"distance": init_value, "heuristic": init_value * (1 + np.linalg.norm(theta))}.get(kind, 0.0)
    for t, gradient in enumerate(gradients):
        g = gradient + weight_decay * theta
        farthest = max(farthest, np.linalg.norm(theta - first))
        squares += np.sum(g**2)
        eta = farthest / np.sqrt(squares + eps)
        if kind == "learning_rate" and t == 0:
            eta = init_value
        u = ascent * eta * g
        theta = theta + u
        yield u


def dog(gradients, theta, *, learning_rate, **numbers):
    yield from scale_by_dog(gradients, theta, ascent=-learning_rate, **numbers)


def scale_by_dowg(gradients, theta, *, eps, init_estim_sq_dist=None, ascent=1.0, weight_decay=0.0):
    """Khaled, Mishchenko and Jin, 2023, algorithm 1, with optax's eps in the denominator."""
    first, v = theta.copy(), 0.0
    r = eps if init_estim_sq_dist is None else init_estim_sq_dist
    for gradient in gradients:
        g = gradient + weight_decay * theta
        r = max(r, np.sum((theta - first) ** 2))
        v += r * np.sum(g**2)
        u = ascent * r / (np.sqrt(v) + eps) * g
        theta = theta + u
        yield u


def dowg(gradients, theta, *, learning_rate, **numbers):
    yield from scale_by_dowg(gradients, theta, ascent=-learning_rate, **numbers)


def scale_by_distance_over_gradients(gradients, theta, *, reps_rel, eps, global_scale):
    """Ivgi, Hinder and Carmon, 2023, L-DoG, of one layer."""
    yield from scale_by_dog(gradients, theta, init_value=reps_rel, eps=eps, ascent=global_scale)


def scale_by_ademamix(gradients, theta, *, b1, b2, b3, alpha, eps, eps_root):
    """Pagliardini, Ablin and Grangier, 2024, algorithm 1, without the schedulers."""
    fast, slow, v = np.zeros_like(theta), np.zeros_like(theta), np.zeros_like(theta)
    for t, g in enumerate(gradients, start=1):
        fast = b1 * fast + (1 - b1) * g
        slow = b3 * slow + (1 - b3) * g
        v = b2 * v + (1 - b2) * g**2
        yield (fast / (1 - b1**t) + alpha * slow) / (np.sqrt(v / (1 - b2**t) + eps_root) + eps)


def ademamix(gradients, theta, *, learning_rate, weight_decay, **numbers):
    directions = list(scale_by_ademamix(gradients, theta, **numbers))
    yield from _descend_with_decay(lambda t, g: directions[t], gradients, theta, learning_rate, weight_decay)


def scale_by_simplified_ademamix(gradients, theta, *, b1, b2, alpha, eps, eps_root):
    """Morwani et al., 2025, algorithm 2."""
    m, n = np.zeros_like(theta), np.zeros_like(theta)
    for t, g in enumerate(gradients, start=1):
        m = b1 * m + g
        n = b2 * n + (1 - b2) * g**2
        yield (m + alpha * g) / (np.sqrt(n / (1 - b2**t) + eps_root) + eps)


def simplified_ademamix(gradients, theta, *, learning_rate, weight_decay, **numbers):
    directions = list(scale_by_simplified_ademamix(gradients, theta, **numbers))
    yield from _descend_with_decay(lambda t, g: directions[t], gradients, theta, learning_rate, weight_decay)


def scale_by_acprop(gradients, theta, *, b1, b2, eps, eps_root):
    """Zhuang et al., 2021, algorithm 2, debiased; the first gradient is divided by 1."""
    m, s = np.zeros_like(theta), np.zeros_like(theta)
    for t, g in enumerate(gradients):
        s_hat = s / (1 - b2**t) if t else 1.0
        yield g / (np.sqrt(s_hat) + eps)
        s = b2 * s + (1 - b2) * (g - m) ** 2 + eps_root
        m = b1 * m + (1 - b1) * g


def acprop(gradients, theta, *, learning_rate, weight_decay, **numbers):
    directions = list(scale_by_acprop(gradients, theta, **numbers))
    yield from _descend_with_decay(lambda t, g: directions[t], gradients, theta, learning_rate, weight_decay)


def scale_by_adopt(gradients, theta, *, b1, b2, eps, nesterov=False, use_clipping=True):
    """Taniguchi et al., 2024, algorithm 2 (with clipping) and 1 (without)."""
    m, v = np.zeros_like(theta), gradients[0] ** 2
    yield np.zeros_like(theta)
    for t, g in enumerate(gradients[1:], start=1):
        scaled = g / np.maximum(np.sqrt(v), eps)
        if use_clipping:
            scaled = np.clip(scaled, -(t**0.25), t**0.25)
        m = b1 * m + (1 - b1) * scaled
        v = b2 * v + (1 - b2) * g**2
        yield b1 * m + (1 - b1) * scaled if nesterov else m


def adopt(gradients, theta, *, learning_rate, **numbers):
    for direction in scale_by_adopt(gradients, theta, **numbers):
        yield -learning_rate * direction


def scale_by_cocob(gradients, theta, *, alpha, eps, learning_rate=1.0, weight_decay=0.0):
    """Orabona and Tommasi, 2017, algorithm 2."""
    first = theta.copy()
    largest, total = np.full_like(theta, eps), np.zeros_like(theta)
    reward, against = np.zeros_like(theta), np.zeros_like(theta)
    for gradient in gradients:
        g = learning_rate * (gradient + weight_decay * theta)
        largest = np.maximum(largest, np.abs(g))
        total = total + np.abs(g)
        reward = np.maximum(reward - (theta - first) * g, 0)
        against = against - g
        bet = against / (largest * np.maximum(total + largest, alpha * largest))
        moved = first + bet * (largest + reward)
        yield moved - theta
        theta = moved


cocob = scale_by_cocob


def momo(
    gradients, theta, *, value, learning_rate, beta, lower_bound, weight_decay=0.0, adapt_lower_bound=False
):
    """Schaipp et al., 2023, algorithms 1 and 2, with decay as in their appendix."""
    a, lb = 1 + learning_rate * weight_decay, lower_bound
    m = f = gamma = None
    for g in gradients:
        inner = np.dot(g, theta)
        if m is None:
            m, f, gamma = g, value, inner
        else:
            m = beta * m + (1 - beta) * g
            f = beta * f + (1 - beta) * value
            gamma = beta * gamma + (1 - beta) * inner
        along = np.dot(m, theta)
        here = lb
        if adapt_lower_bound:
            cap = a * (f - gamma) + along
            if cap < a * lb:
                here = max(cap / (2 * a), lower_bound)
        tau = min(learning_rate, max(a * (f - here - gamma) + along, 0.0) / np.dot(m, m))
        if adapt_lower_bound:
            lb = max(f + along - gamma - tau * np.dot(m, m) / 2, lower_bound)
        moved = (theta - tau * m) / a
        yield moved - theta
        theta = moved


def momo_adam(
    gradients,
    theta,
    *,
    value,
    learning_rate,
    b1,
    b2,
    eps,
    lower_bound,
    weight_decay=0.0,
    adapt_lower_bound=False,
):
    """Schaipp et al., 2023, algorithm 3, with decay as in their appendix."""
    a, lb = 1 + learning_rate * weight_decay, lower_bound
    m, v, f, gamma = np.zeros_like(theta), np.zeros_like(theta), 0.0, 0.0
    for t, g in enumerate(gradients, start=1):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        f = b1 * f + (1 - b1) * value
        gamma = b1 * gamma + (1 - b1) * np.dot(g, theta)
        d = eps + np.sqrt(v / (1 - b2**t))
        rho, along, square = 1 - b1**t, np.dot(m, theta), np.dot(m, m / d)
        here = lb
        if adapt_lower_bound:
            cap = a * (f - gamma) + along
            if cap < a * rho * lb:
                here = max(cap / (2 * a * rho), lower_bound)
        tau = min(learning_rate / rho, max(a * (f - rho * here - gamma) + along, 0.0) / square)
        if adapt_lower_bound:
            lb = max((f + along - gamma - tau * square / 2) / rho, lower_bound)
        moved = (theta - tau * m / d) / a
        yield moved - theta
        theta = moved


def _schedule_free(gradients, theta, step_of, rates, b1, weight_lr_power):
    """Defazio et al., 2024, algorithm 1 and equation 23's weights; `step_of(t, g, y)` moves z by one rate."""
    x, y, z = theta.copy(), theta.copy(), theta.copy()
    total = largest = 0.0
    for t, g in enumerate(gradients):
        z = z - rates[t] * step_of(t, g, y)
        largest = max(largest, rates[t])
        weight = largest**weight_lr_power
        total += weight
        x = x + (weight / total if total > 0 else 0.0) * (z - x)
        moved = b1 * x + (1 - b1) * z
        yield moved - y
        y = moved


def _warmup(gradients, learning_rate, warmup_steps):
    steps = range(1, len(gradients) + 1)
    return [learning_rate * min(t / warmup_steps, 1.0) if warmup_steps else learning_rate for t in steps]


def schedule_free_sgd(
    gradients, theta, *, learning_rate, b1, weight_lr_power=2.0, weight_decay=0.0, warmup_steps=None
):
    yield from _schedule_free(
        gradients,
        theta,
        lambda t, g, y: g + weight_decay * y,
        _warmup(gradients, learning_rate, warmup_steps),
        b1,
        weight_lr_power,
    )


def schedule_free_adamw(
    gradients, theta, *, learning_rate, b1, b2, eps, weight_decay, weight_lr_power=2.0, warmup_steps=None
):
    """Algorithm 1's variant for AdamW."""
    squares = [np.zeros_like(theta)]
    for g in gradients:
        squares.append(b2 * squares[-1] + (1 - b2) * g**2)

    def step(t, g, y):
        return g / (np.sqrt(squares[t + 1] / (1 - b2 ** (t + 1))) + eps) + weight_decay * y

    rates = _warmup(gradients, learning_rate, warmup_steps)
    yield from _schedule_free(gradients, theta, step, rates, b1, weight_lr_power)


schedule_free = schedule_free_sgd


def scale_by_muon(gradients, theta, *, beta, eps, coefficients=(3.4445, -4.7750, 2.0315), adaptive=False):
    """Jordan et al., 2024, with a debiased average and Dozat's look-ahead as in optax; of one matrix."""
    a, b, c = coefficients
    m = np.zeros_like(theta)
    for t, g in enumerate(gradients, start=1):
        m = beta * m + (1 - beta) * g
        ahead = beta * m / (1 - beta ** (t + 1)) + (1 - beta) * g / (1 - beta**t)
        u, sigma, v = np.linalg.svd(ahead, full_matrices=False)
        sigma = sigma / (np.linalg.norm(ahead) + eps)
        for _ in range(5):
            sigma = a * sigma + b * sigma**3 + c * sigma**5
        made = u @ np.diag(sigma) @ v
        yield np.sum(ahead * made) * made if adaptive else made


def muon(gradients, theta, *, learning_rate, weight_decay, consistent_rms=None, **numbers):
    fan_in, fan_out = theta.shape
    factor = np.sqrt(max(1, fan_out / fan_in))
    if consistent_rms is not None:
        factor = consistent_rms * np.sqrt(max(fan_in, fan_out))
    adam = {name for name in numbers if name.startswith("adam_")}
    own = {name: x for name, x in numbers.items() if name not in adam}
    directions = [factor * d for d in scale_by_muon(gradients, theta, **own)]
    yield from _descend_with_decay(lambda t, g: directions[t], gradients, theta, learning_rate, weight_decay)


def scale_by_madgrad(gradients, theta, *, learning_rate, momentum, eps, weight_decay=0.0):
    """Defazio and Jelassi, 2021, algorithm 1."""
    first, s, nu = theta.copy(), np.zeros_like(theta), np.zeros_like(theta)
    for k, gradient in enumerate(gradients):
        g = gradient + weight_decay * theta
        weight = learning_rate * np.sqrt(k + 1)
        s = s + weight * g
        nu = nu + weight * g**2
        z = first - s / (np.cbrt(nu) + eps)
        moved = momentum * theta + (1 - momentum) * z
        yield moved - theta
        theta = moved


madgrad = scale_by_madgrad


def _curvatures(theta):
    """Those of the rows' function, whose Hessian is diagonal: random signs estimate it exactly."""
    return 2.0 ** (np.arange(theta.size) % 4)


def hutchinson_estimator_diag_hessian(gradients, theta):
    for g in gradients:
        yield _curvatures(theta) * g  # as the row has it


def sophia(
    gradients,
    theta,
    *,
    learning_rate,
    b1,
    b2,
    eps,
    weight_decay,
    gamma,
    update_interval,
    clip_threshold=np.inf,
):
    """Liu et al., 2023, algorithm 3, debiased, and the estimate after the step, as in their code."""
    m, h = np.zeros_like(theta), np.zeros_like(theta)

    def direction(t, g):
        nonlocal m, h
        m = b1 * m + (1 - b1) * g
        step = m / (1 - b1 ** (t + 1)) / np.maximum(gamma * h, eps)
        if t % update_interval == 0:
            h = b2 * h + (1 - b2) * _curvatures(theta)
        return np.clip(step, -clip_threshold, clip_threshold)

    yield from _descend_with_decay(direction, gradients, theta, learning_rate, weight_decay)
