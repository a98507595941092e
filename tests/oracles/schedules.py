"""The schedules, transcribed in NumPy float64, one step at a time.

Each function takes one step (a Python int; 0 is the first update) and the numbers by name, and gives
the value. Branches are Python's and formulas the papers' or the peers', so that nothing here shares a
line of thought with the closed forms of lrjax. `over` makes one of many steps.
"""

from __future__ import annotations

import math

import numpy as np


def over(steps, function, /, *values, **numbers):
    """The values at an array of steps, in float64."""
    return np.array([function(int(t), *values, **numbers) for t in np.ravel(steps)], np.float64)


def constant(t, value):
    return value


def line(t, a, b, n):
    """From a at 0 to b at n."""
    return b if t >= n else a + (b - a) * t / n


def half_cosine(t, a, b, n):
    return b if t >= n else b + (a - b) * (1 + math.cos(math.pi * t / n)) / 2


def linear(t, init_value, end_value, transition_steps, transition_begin=0):
    if transition_steps == 0:
        return init_value
    return line(max(t - transition_begin, 0), init_value, end_value, transition_steps)


def polynomial(t, init_value, end_value, power, transition_steps, transition_begin=0, cycle=False):
    t = max(t - transition_begin, 0)
    if transition_steps == 0:
        return init_value
    span = transition_steps * max(1, math.ceil(t / transition_steps)) if cycle else transition_steps
    return end_value + (init_value - end_value) * (1 - min(t, span) / span) ** power


def linear_factor(t, value, start_factor=1 / 3, end_factor=1.0, transition_steps=5):
    return value * linear(t, start_factor, end_factor, transition_steps)


def constant_factor(t, value, factor=1 / 3, transition_steps=5):
    return value * factor if t < transition_steps else value


def exponential(
    t, init_value, transition_steps, decay_rate, transition_begin=0, staircase=False, end_value=None
):
    if transition_steps == 0 or decay_rate == 0:
        return init_value
    p = max(t - transition_begin, 0) / transition_steps
    value = init_value * decay_rate ** (math.floor(p) if staircase else p)
    if end_value is None:
        return value
    return max(value, end_value) if decay_rate < 1 else min(value, end_value)


def inverse_time(t, init_value, transition_steps, decay_rate, transition_begin=0, staircase=False):
    p = max(t - transition_begin, 0) / transition_steps
    return init_value / (1 + decay_rate * (math.floor(p) if staircase else p))


def cosine(t, init_value, decay_steps, alpha=0.0, exponent=1.0):
    c = half_cosine(t, 1.0, 0.0, decay_steps)
    return init_value * ((1 - alpha) * c**exponent + alpha)


def warmup_cosine(t, init_value, peak_value, warmup_steps, decay_steps, end_value=0.0, exponent=1.0):
    if t < warmup_steps:
        return line(t, init_value, peak_value, warmup_steps)
    c = half_cosine(t - warmup_steps, 1.0, 0.0, decay_steps - warmup_steps)
    return end_value + (peak_value - end_value) * c**exponent


def warmup_constant(t, init_value, peak_value, warmup_steps):
    return line(t, init_value, peak_value, warmup_steps)


def warmup_polynomial(t, init_value, peak_value, warmup_steps, decay_steps, end_value=0.0, power=1.0):
    if t < warmup_steps:
        return line(t, init_value, peak_value, warmup_steps)
    return polynomial(t - warmup_steps, peak_value, end_value, power, decay_steps - warmup_steps)


def warmup_exponential(t, init_value, peak_value, warmup_steps, **numbers):
    if t < warmup_steps:
        return line(t, init_value, peak_value, warmup_steps)
    return exponential(t - warmup_steps, peak_value, **numbers)


def warmup(t, peak_value, warmup_steps, init_value=0.0, shape="linear", first_step=0):
    s = t + first_step
    if s >= warmup_steps:
        return peak_value
    q = s / warmup_steps
    share = {
        "linear": q,
        "cosine": (1 - math.cos(math.pi * q)) / 2,
        "sqrt": 1 - math.sqrt(1 - q),
        "log": math.log(1 + s) / math.log(1 + warmup_steps),
    }[shape]
    return init_value + (peak_value - init_value) * share


def untuned_warmup(t, value, b2=0.999, rule="linear"):
    s = t + 1
    if rule == "linear":
        return value * min(1.0, (1 - b2) / 2 * s)
    if rule == "exponential":
        return value * (1 - math.exp(-(1 - b2) * s))
    limit = 2 / (1 - b2) - 1
    rho = limit - 2 * s * b2**s / (1 - b2**s)
    if rho <= 4:
        return 0.0
    return value * math.sqrt((rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho))


def inverse_sqrt(t, peak_value, warmup_steps, timescale=None, init_value=0.0, shift=0):
    scale = (warmup_steps or 10_000) if timescale is None else timescale
    if t < warmup_steps:
        return line(t, init_value, peak_value / math.sqrt(1 + shift / scale), warmup_steps)
    return peak_value / math.sqrt(1 + (t - warmup_steps + shift) / scale)


def noam(t, model_size, warmup_steps, scale=1.0):
    s = t + 1
    return scale * model_size**-0.5 * min(s**-0.5, s * warmup_steps**-1.5)


def bottou(t, init_value, regularization, power=1.0):
    return init_value / (1 + init_value * regularization * t) ** power


def robbins_monro(t, init_value, power=0.5, timescale=1.0):
    return init_value * (1 + t / timescale) ** -power


def power(t, max_value, batch_size, tokens_per_step, amplitude=4.6, exponent=-0.51):
    n = t * tokens_per_step
    return max_value if n == 0 else min(max_value, batch_size * amplitude * n**exponent)


def step(t, init_value, step_size, gamma=0.1):
    return init_value * gamma ** (t // step_size)


def multistep(t, init_value, milestones, gamma=0.1):
    return init_value * gamma ** sum(t >= m for m in milestones)


def piecewise_constant(t, init_value, boundaries_and_scales):
    for boundary, factor in boundaries_and_scales:
        if t >= boundary:
            init_value *= factor
    return init_value


def piecewise_interpolate(t, interpolate_type, init_value, boundaries_and_scales):
    begin, value = 0, init_value
    for boundary, factor in boundaries_and_scales:
        if t < boundary:
            curve = {"linear": line, "cosine": half_cosine}[interpolate_type]
            return curve(t - begin, value, value * factor, boundary - begin)
        begin, value = boundary, value * factor
    return value


def linear_onecycle(
    t, transition_steps, peak_value, pct_start=0.3, pct_final=0.85, div_factor=25.0, final_div_factor=1e4
):
    top = int(pct_start * transition_steps)
    top = max(top, 1) if pct_start > 0 else top
    back = min(max(int(pct_final * transition_steps), top + 1), transition_steps)
    low = peak_value / div_factor
    last = low / final_div_factor
    if t < top:
        return line(t, low, peak_value, top)
    if t < back:
        return line(t - top, peak_value, low, back - top)
    return line(t - back, low, last, transition_steps - back)


def cosine_onecycle(t, transition_steps, peak_value, pct_start=0.3, div_factor=25.0, final_div_factor=1e4):
    top = int(pct_start * transition_steps)
    top = max(top, 1) if pct_start > 0 else top
    low = peak_value / div_factor
    if t < top:
        return half_cosine(t, low, peak_value, top)
    return half_cosine(t - top, peak_value, low / final_div_factor, transition_steps - top)


def torch_onecycle(t, total_steps, pct_start, anneal_strategy, three_phase, first, peak, last):
    """The phases of torch.optim.lr_scheduler.OneCycleLR, for any that leave time for the rise."""
    ends = [(pct_start * total_steps - 1, first, peak)]
    if three_phase:
        ends.append((2 * pct_start * total_steps - 2, peak, first))
    ends.append((total_steps - 1, first if three_phase else peak, last))
    if t >= total_steps:
        return last
    begin = 0.0
    for i, (end, a, b) in enumerate(ends):
        if t <= end or i == len(ends) - 1:
            q = min((t - begin) / (end - begin), 1.0) if end > begin else 1.0
            return a + (b - a) * ((1 - math.cos(math.pi * q)) / 2 if anneal_strategy == "cos" else q)
        begin = end
    raise AssertionError("one of the phases holds the step")


def onecycle(
    t,
    max_value,
    total_steps,
    pct_start=0.3,
    anneal_strategy="cos",
    div_factor=25.0,
    final_div_factor=1e4,
    three_phase=False,
):
    low = max_value / div_factor
    values = low, max_value, low / final_div_factor
    return torch_onecycle(t, total_steps, pct_start, anneal_strategy, three_phase, *values)


def onecycle_momentum(
    t,
    total_steps,
    base_momentum=0.85,
    max_momentum=0.95,
    pct_start=0.3,
    anneal_strategy="cos",
    three_phase=False,
):
    values = max_momentum, base_momentum, max_momentum
    return torch_onecycle(t, total_steps, pct_start, anneal_strategy, three_phase, *values)


def cyclic(t, base_value, max_value, step_size_up=2000, step_size_down=None, mode="triangular", gamma=1.0):
    down = step_size_up if step_size_down is None else step_size_down
    cycle, place = divmod(t, step_size_up + down)
    height = place / step_size_up if place < step_size_up else (step_size_up + down - place) / down
    scale = {"triangular": 1.0, "triangular2": 2.0**-cycle, "exp_range": gamma**t}[mode]
    return base_value + (max_value - base_value) * height * scale


def sgdr(t, cosine_kwargs):
    for cycle in cosine_kwargs[:-1]:
        if t < cycle["decay_steps"]:
            return warmup_cosine(t, **cycle)
        t -= cycle["decay_steps"]
    return warmup_cosine(t, **cosine_kwargs[-1])


def cosine_restarts(
    t,
    init_value,
    first_decay_steps,
    cycle_multiplier=1.0,
    decay_rate=1.0,
    end_value=0.0,
    decays="peak",
    cycle_limit=None,
):
    cycle, span = 0, first_decay_steps
    if cycle_multiplier == 1:
        cycle, t = divmod(t, span)
    else:
        while t >= span:
            t, cycle, span = t - span, cycle + 1, span * cycle_multiplier
    over_ = cycle_limit is not None and cycle >= cycle_limit
    cycle = cycle_limit - 1 if over_ else cycle
    c = 0.0 if over_ else half_cosine(t, 1.0, 0.0, span)
    shrunk = decay_rate**cycle
    if decays == "peak":
        return end_value + (init_value * shrunk - end_value) * c
    if decays == "amplitude":
        return end_value + (init_value - end_value) * shrunk * c
    return shrunk * (end_value + (init_value - end_value) * c)


def hard_restarts(t, peak_value, warmup_steps, decay_steps, cycles=1, init_value=0.0, end_value=0.0):
    if t < warmup_steps:
        return line(t, init_value, peak_value, warmup_steps)
    if t >= decay_steps:
        return end_value
    span = decay_steps - warmup_steps
    if float(cycles).is_integer():
        phase = (int(cycles) * (t - warmup_steps)) % span / span
    else:
        phase = cycles * ((t - warmup_steps) / span) % 1.0
    return end_value + (peak_value - end_value) * (1 + math.cos(math.pi * phase)) / 2


def tanh(t, init_value, decay_steps, end_value=0.0, lower=-7.0, upper=3.0):
    if t >= decay_steps:
        return end_value
    p = t / decay_steps
    return end_value + (init_value - end_value) * (1 - math.tanh(lower * (1 - p) + upper * p)) / 2


def k_decay(t, init_value, decay_steps, k=1.0, end_value=0.0, shape="cosine", power=1.0):
    p = (min(t, decay_steps) / decay_steps) ** k
    c = (1 + math.cos(math.pi * p)) / 2 if shape == "cosine" else (1 - p) ** power
    return end_value + (init_value - end_value) * c


def rex(t, init_value, decay_steps, end_value=0.0):
    left = 1 - min(t, decay_steps) / decay_steps
    return end_value + (init_value - end_value) * left / (0.5 + 0.5 * left)


def flat_cosine(t, value, total_steps, pct_start=0.75, final_div_factor=1e5):
    p = t / total_steps
    if p >= 1:
        return value / final_div_factor
    return (
        value
        if p <= pct_start
        else half_cosine(p - pct_start, value, value / final_div_factor, 1 - pct_start)
    )


def wsd(
    t,
    peak_value,
    warmup_steps,
    stable_steps,
    decay_steps,
    init_value=0.0,
    end_value=0.0,
    decay="linear",
    warmup="linear",
):
    falls = {
        "linear": lambda q: 1 - q,
        "cosine": lambda q: (1 + math.cos(math.pi * q)) / 2,
        "sqrt": lambda q: 1 - math.sqrt(q),
        "square": lambda q: 1 - q * q,
        "exponential": lambda q: 2 * 0.5**q - 1,
    }
    if t < warmup_steps:
        return init_value + (peak_value - init_value) * falls[warmup](1 - t / warmup_steps)
    t -= warmup_steps + stable_steps
    if t < 0:
        return peak_value
    if t >= decay_steps:
        return end_value
    return end_value + (peak_value - end_value) * falls[decay](t / decay_steps)


def tri_stage(t, peak_value, warmup_steps, hold_steps, decay_steps, init_scale=0.01, final_scale=0.01):
    if t < warmup_steps:
        return peak_value * line(t, init_scale, 1.0, warmup_steps)
    t -= warmup_steps + hold_steps
    if t < 0:
        return peak_value
    if t >= decay_steps:
        return peak_value * final_scale
    return peak_value * math.exp(math.log(final_scale) * t / decay_steps)


def infinite(
    t,
    peak_value,
    constant_value,
    end_value,
    warmup_steps,
    cooldown_steps,
    constant_steps,
    anneal_steps,
    init_value=0.0,
):
    if t < warmup_steps:
        return line(t, init_value, peak_value, warmup_steps)
    t -= warmup_steps
    if t < cooldown_steps:
        return half_cosine(t, peak_value, constant_value, cooldown_steps)
    t -= cooldown_steps + constant_steps
    if t < 0:
        return constant_value
    if t >= anneal_steps:
        return end_value
    return constant_value * (end_value / constant_value) ** (t / anneal_steps)


def chebyshev(t, min_curvature, max_curvature, total_steps, order="fractal"):
    n = total_steps
    j = t % n
    if order == "fractal":
        places = [0]
        while len(places) < total_steps:
            n = 2 * len(places)
            places = [place for j in places for place in (j, n - 1 - j)]
        n, j = len(places), places[t % len(places)]
    middle, radius = (max_curvature + min_curvature) / 2, (max_curvature - min_curvature) / 2
    return 1 / (middle - radius * math.cos((j + 0.5) * math.pi / n))


def multiplied(t, value, function):
    for step_ in range(1, t + 1):
        value *= function(step_)
    return value
