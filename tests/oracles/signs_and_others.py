"""Signs, step sizes from losses, games, and sublinear memory, in NumPy float64, as in `papers`."""

from __future__ import annotations

import numpy as np

from tests.oracles import adam_family


def scale_by_sign(gradients, theta):
    for g in gradients:
        yield np.sign(g)


def sign_sgd(gradients, theta, *, learning_rate):
    """Bernstein et al., 2018, algorithm 1."""
    for g in gradients:
        yield -learning_rate * np.sign(g)


def signum(gradients, theta, *, learning_rate, beta):
    """Bernstein et al., 2018, algorithm 2."""
    m = np.zeros_like(theta)
    for g in gradients:
        m = beta * m + (1 - beta) * g
        yield -learning_rate * np.sign(m)


def scale_by_rprop(gradients, theta, *, learning_rate, eta_minus, eta_plus, min_step_size, max_step_size):
    """Igel and Hüsken, 2003, algorithm of iRprop-, coordinate by coordinate."""
    size, last = np.full_like(theta, learning_rate), np.zeros_like(theta)
    for gradient in gradients:
        g = gradient.copy()
        for i in range(g.size):
            if g[i] * last[i] > 0:
                size[i] = max(min(size[i] * eta_plus, max_step_size), min_step_size)
            elif g[i] * last[i] < 0:
                size[i] = min(max(size[i] * eta_minus, min_step_size), max_step_size)
                g[i] = 0.0
        last = g
        yield size * np.sign(g)


def rprop(gradients, theta, **numbers):
    for direction in scale_by_rprop(gradients, theta, **numbers):
        yield -direction


def scale_by_optimistic_gradient(gradients, theta, *, alpha, beta):
    """Mokhtari, Ozdaglar and Pattathil, 2019, equation 5, generalised."""
    last = gradients[0]
    for g in gradients:
        yield alpha * g + beta * (g - last)
        last = g


def optimistic_gradient_descent(gradients, theta, *, learning_rate, alpha, beta):
    for direction in scale_by_optimistic_gradient(gradients, theta, alpha=alpha, beta=beta):
        yield -learning_rate * direction


def optimistic_adam(gradients, theta, *, learning_rate, optimism=None, **numbers):
    """Daskalakis et al., 2017, algorithm 1."""
    directions = list(adam_family.scale_by_nadam(gradients, theta, **numbers))
    last = directions[0]
    for d in directions:
        yield -learning_rate * d - (learning_rate if optimism is None else optimism) * (d - last)
        last = d


def optimistic_adam_v2(gradients, theta, *, learning_rate, alpha, beta, **numbers):
    directions = list(adam_family.scale_by_nadam(gradients, theta, **numbers))
    last = directions[0]
    for d in directions:
        yield -learning_rate * (alpha * d + beta * (d - last))
        last = d


def scale_by_polyak(gradients, theta, *, f_min, max_learning_rate, eps, value, variant="sps"):
    """Loizou et al., 2020, equation 3 with c = 1."""
    gap = value - f_min
    for g in gradients:
        size = (max(gap, 0.0) if variant == "sps+" else gap) / (np.sum(g**2) + eps)
        yield min(size, max_learning_rate) * g


def polyak_sgd(gradients, theta, *, scaling, **numbers):
    for direction in scale_by_polyak([scaling * g for g in gradients], theta, **numbers):
        yield -direction


def scale_by_sm3(gradients, theta, *, b1, b2, eps):
    """Anil et al., 2019, algorithm SM3-II, with momentum as an average."""
    bounds = [np.zeros(size) for size in theta.shape]
    m = np.zeros_like(theta)
    for g in gradients:
        nu = np.empty_like(theta)
        for index in np.ndindex(*theta.shape):
            least = min(bound[i] for bound, i in zip(bounds, index, strict=True))
            nu[index] = b2 * least + (1 - b2 if b2 < 1 else 1) * g[index] ** 2
        for axis, bound in enumerate(bounds):
            for i in range(theta.shape[axis]):
                bound[i] = np.max(np.take(nu, i, axis=axis))
        m = b1 * m + (1 - b1) * g / np.sqrt(nu + eps)
        yield m


def sm3(gradients, theta, *, learning_rate, momentum):
    for direction in scale_by_sm3(gradients, theta, b1=momentum, b2=1.0, eps=1e-8):
        yield -learning_rate * direction


def _rms(x):
    return np.sqrt(np.mean(x**2))


def scale_by_factored_rms(
    gradients, theta, *, decay_rate, step_offset, epsilon, factored=True, min_dim_size_to_factor=128
):
    """Shazeer and Stern, 2018, algorithms 4 and 5, without clipping and the relative step."""
    is_matrix = factored and theta.ndim == 2 and min(theta.shape) >= min_dim_size_to_factor
    r = c = v = 0.0
    for t, g in enumerate(gradients):
        beta = 1 - float(t + 1 - step_offset) ** -decay_rate
        square = g**2 + epsilon
        if is_matrix:
            r = beta * r + (1 - beta) * square.mean(axis=1)
            c = beta * c + (1 - beta) * square.mean(axis=0)
            v = np.outer(r, c) / np.mean(r)
        else:
            v = beta * v + (1 - beta) * square
        yield g / np.sqrt(v)


def adafactor(
    gradients,
    theta,
    *,
    learning_rate=None,
    decay_rate,
    decay_offset,
    eps,
    clipping_threshold=None,
    momentum=None,
    weight_decay_rate=None,
    multiply_by_parameter_scale=True,
    **static,
):
    """The same, whole; the decay is optax's."""
    directions = scale_by_factored_rms(
        gradients, theta, decay_rate=decay_rate, step_offset=decay_offset, epsilon=eps, **static
    )
    average = np.zeros_like(theta)
    for direction in list(directions):
        step = direction
        if clipping_threshold is not None:
            step = step / max(1.0, _rms(step) / clipping_threshold)
        if learning_rate is not None:
            step = learning_rate * step
        if multiply_by_parameter_scale:
            step = step * max(1e-3, _rms(theta))
        if momentum is not None:
            average = momentum * average + (1 - momentum) * step
            step = average
        u = -step if weight_decay_rate is None else -step - weight_decay_rate * theta
        theta = theta + u
        yield u
