"""Schedules of torch, transformers, timm and Keras beside ours, conventions mapped.

Each case names what a user of the other library writes and what lrjax's answer is. What the libraries
gave is recorded in `peers.json`, so that the comparison runs where they are not installed;
`python -m tests.oracles.peers` records anew where they are.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lrjax

RECORDED = Path(__file__).with_name("peers.json")
RATE = 0.3


@dataclasses.dataclass(frozen=True)
class Case:
    """What one library gives for so many steps, and lrjax's schedule of the same."""

    library: str
    name: str
    ours: Callable[[Any], Any]
    theirs: Callable[[int], list[float]]
    steps: int = 40

    def __str__(self) -> str:
        return f"{self.library}: {self.name}"


CASES: list[Case] = []


def torch_rates(make: Callable[[Any, Any], Any], read: str = "lr") -> Callable[[int], list[float]]:
    """The rates (or the momentum) that a torch scheduler sets for each update, in float64."""

    def rates(steps: int) -> list[float]:
        import torch

        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=RATE, momentum=0.9)
        scheduler = make(torch.optim.lr_scheduler, optimizer)
        values = []
        for step in range(steps):
            values.append(float(optimizer.param_groups[0][read]))
            optimizer.step()
            if step < steps - 1:
                scheduler.step()
        return values

    return rates


def torch(name: str, ours: Any, make: Any, read: str = "lr", steps: int = 40) -> None:
    CASES.append(Case("torch", name, ours, torch_rates(make, read), steps))


torch("ConstantLR", lrjax.constant_factor_schedule(RATE, 0.5, 7), lambda s, o: s.ConstantLR(o, 0.5, 7))
torch("LinearLR", lrjax.linear_factor_schedule(RATE, 0.2, 0.9, 11), lambda s, o: s.LinearLR(o, 0.2, 0.9, 11))
torch("LinearLR()", lrjax.linear_factor_schedule(RATE), lambda s, o: s.LinearLR(o))
torch("ConstantLR()", lrjax.constant_factor_schedule(RATE), lambda s, o: s.ConstantLR(o))
torch("StepLR", lrjax.step_schedule(RATE, 7, 0.3), lambda s, o: s.StepLR(o, 7, 0.3))
torch(
    "MultiStepLR",
    lrjax.multistep_schedule(RATE, [5, 5, 17], 0.4),
    lambda s, o: s.MultiStepLR(o, [5, 5, 17], 0.4),
)
torch("ExponentialLR", lrjax.exponential_decay(RATE, 1, 0.9), lambda s, o: s.ExponentialLR(o, 0.9))
torch(
    "PolynomialLR",
    lrjax.polynomial_schedule(RATE, 0.0, 1.7, 23),
    lambda s, o: s.PolynomialLR(o, total_iters=23, power=1.7),
)
torch(
    "CosineAnnealingLR up to T_max",
    lrjax.cosine_decay_schedule(RATE, 39, alpha=0.01 / RATE),
    lambda s, o: s.CosineAnnealingLR(o, T_max=39, eta_min=0.01),
)
for first, multiplier in ((7, 1), (3, 2)):
    torch(
        f"CosineAnnealingWarmRestarts({first}, {multiplier})",
        lrjax.cosine_restarts_schedule(RATE, first, multiplier, end_value=0.01),
        lambda s, o, n=first, m=multiplier: s.CosineAnnealingWarmRestarts(o, n, m, eta_min=0.01),
    )
for mode in ("triangular", "triangular2", "exp_range"):
    numbers = dict(step_size_up=6, step_size_down=4, mode=mode, gamma=0.95)
    torch(
        f"CyclicLR({mode})",
        lrjax.cyclic_schedule(0.05, RATE, **numbers),
        lambda s, o, n=numbers: s.CyclicLR(o, 0.05, RATE, base_momentum=0.8, max_momentum=0.95, **n),
    )
    torch(
        f"CyclicLR({mode})'s momentum",
        lrjax.cyclic_schedule(0.95, 0.8, **numbers),
        lambda s, o, n=numbers: s.CyclicLR(o, 0.05, RATE, base_momentum=0.8, max_momentum=0.95, **n),
        "momentum",
    )
for strategy, three_phase, pct, total in (
    ("cos", False, 0.3, 40),
    ("linear", False, 0.43, 33),
    ("cos", True, 0.3, 40),
    ("linear", True, 0.41, 31),
    ("cos", True, 0.7, 20),
    ("cos", False, 0.0, 40),
    ("cos", False, 1.0, 20),
    ("linear", False, 0.4, 4),
):
    phases = dict(pct_start=pct, anneal_strategy=strategy, three_phase=three_phase)
    label = f"OneCycleLR({strategy}, {'three' if three_phase else 'two'} phases, {pct} of {total})"

    def make_onecycle(s: Any, o: Any, phases: Any = phases, total: int = total) -> Any:
        return s.OneCycleLR(o, RATE, total_steps=total, div_factor=20.0, final_div_factor=300.0, **phases)

    torch(
        label,
        lrjax.onecycle_schedule(RATE, total, div_factor=20.0, final_div_factor=300.0, **phases),
        make_onecycle,
        steps=total,
    )
    torch(
        f"{label}'s momentum",
        lrjax.onecycle_momentum_schedule(total, **phases),
        make_onecycle,
        "momentum",
        steps=total,
    )
torch(
    "LambdaLR",
    lrjax.lambda_schedule(RATE, lambda t: 0.9**t + 0.01 * t),
    lambda s, o: s.LambdaLR(o, lambda t: 0.9**t + 0.01 * t),
)
torch(
    "MultiplicativeLR",
    lrjax.multiplicative_schedule(RATE, lambda t: 0.9 + 0.1 / t),
    lambda s, o: s.MultiplicativeLR(o, lambda t: 0.9 + 0.1 / t),
)
torch(
    "SequentialLR(LinearLR, ExponentialLR)",
    lrjax.join_schedules(
        [lrjax.linear_factor_schedule(RATE, 0.1, 1.0, 8), lrjax.exponential_decay(RATE, 1, 0.9)], [8]
    ),
    lambda s, o: s.SequentialLR(o, [s.LinearLR(o, 0.1, 1.0, 8), s.ExponentialLR(o, 0.9)], milestones=[8]),
)


def asgd_rates(steps: int) -> list[float]:
    import torch

    parameter = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    parameter.grad = torch.zeros(1, dtype=torch.float64)
    optimizer = torch.optim.ASGD([parameter], lr=RATE, lambd=0.05, alpha=0.75)
    values = [RATE]
    for _ in range(steps - 1):
        optimizer.step()
        values.append(float(optimizer.state[parameter]["eta"]))
    return values


CASES.append(Case("torch", "ASGD's eta", lrjax.bottou_schedule(RATE, 0.05, power=0.75), asgd_rates))


def transformers(name: str, ours: Any, function: str, steps: int = 40, **numbers: Any) -> None:
    def make(_: Any, optimizer: Any) -> Any:
        from transformers import optimization

        return getattr(optimization, function)(optimizer, **numbers)

    CASES.append(Case("transformers", name, ours, torch_rates(make), steps))


SPAN = dict(num_warmup_steps=7, num_training_steps=30)
transformers("constant", lrjax.constant_schedule(RATE), "get_constant_schedule")
transformers(
    "constant_with_warmup",
    lrjax.warmup_constant_schedule(0.0, RATE, 7),
    "get_constant_schedule_with_warmup",
    num_warmup_steps=7,
)
transformers(
    "linear",
    lrjax.warmup_polynomial_decay_schedule(0.0, RATE, 7, 30),
    "get_linear_schedule_with_warmup",
    **SPAN,
)
transformers(
    "polynomial",
    lrjax.warmup_polynomial_decay_schedule(0.0, RATE, 7, 30, end_value=0.01, power=2.0),
    "get_polynomial_decay_schedule_with_warmup",
    lr_end=0.01,
    power=2.0,
    **SPAN,
)
transformers(
    "cosine up to num_training_steps",
    lrjax.warmup_cosine_decay_schedule(0.0, RATE, 7, 30),
    "get_cosine_schedule_with_warmup",
    steps=31,
    **SPAN,
)
transformers(
    "cosine_with_min_lr up to num_training_steps",
    lrjax.warmup_cosine_decay_schedule(0.0, RATE, 7, 30, end_value=0.1 * RATE),
    "get_cosine_with_min_lr_schedule_with_warmup",
    steps=31,
    min_lr_rate=0.1,
    **SPAN,
)
transformers(
    "cosine_warmup_with_min_lr, a step ahead",
    lambda t: lrjax.warmup_cosine_decay_schedule(0.0, RATE, 7, 30, end_value=0.1 * RATE)(t + 1),
    "get_cosine_with_min_lr_schedule_with_warmup_lr_rate",
    steps=30,
    min_lr_rate=0.1,
    **SPAN,
)
transformers(
    "cosine_with_restarts",
    lrjax.hard_restarts_schedule(RATE, 7, 30, cycles=3),
    "get_cosine_with_hard_restarts_schedule_with_warmup",
    num_cycles=3,
    **SPAN,
)
transformers(
    "inverse_sqrt",
    lrjax.inverse_sqrt_schedule(RATE, 7),
    "get_inverse_sqrt_schedule",
    num_warmup_steps=7,
)
transformers(
    "inverse_sqrt(timescale)",
    lrjax.inverse_sqrt_schedule(RATE, 7, timescale=20),
    "get_inverse_sqrt_schedule",
    num_warmup_steps=7,
    timescale=20,
)
transformers(
    "inverse_sqrt without warmup",
    lrjax.inverse_sqrt_schedule(RATE, 0),
    "get_inverse_sqrt_schedule",
    num_warmup_steps=0,
)
for warmup, decay in (("linear", "linear"), ("cosine", "cosine"), ("1-sqrt", "1-sqrt")):
    ours = {"1-sqrt": "sqrt"}
    transformers(
        f"warmup_stable_decay({warmup}, {decay})",
        lrjax.wsd_schedule(
            RATE,
            7,
            12,
            10,
            init_value=0.1 * RATE,
            end_value=0.1 * RATE,
            decay=ours.get(decay, decay),
            warmup=ours.get(warmup, warmup),
        ),
        "get_wsd_schedule",
        num_warmup_steps=7,
        num_stable_steps=12,
        num_decay_steps=10,
        warmup_type=warmup,
        decay_type=decay,
        min_lr_ratio=0.1,
    )


def timm(name: str, ours: Any, scheduler: str, steps: int = 40, **numbers: Any) -> None:
    def rates(count: int) -> list[float]:
        import torch
        from timm import scheduler as schedulers

        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=RATE)
        made = getattr(schedulers, scheduler)(optimizer, t_in_epochs=False, **numbers)
        values = []
        for step in range(count):
            made.step_update(step)
            values.append(float(optimizer.param_groups[0]["lr"]))
        return values

    CASES.append(Case("timm", name, ours, rates, steps))


PREFIX = dict(warmup_t=5, warmup_lr_init=0.01, warmup_prefix=True)
timm(
    "CosineLRScheduler",
    lrjax.warmup_cosine_decay_schedule(0.01, RATE, 5, 28, end_value=0.02),
    "CosineLRScheduler",
    t_initial=23,
    lr_min=0.02,
    **PREFIX,
)
timm(
    "CosineLRScheduler(k_decay)",
    lrjax.k_decay(RATE, 23, k=1.5, end_value=0.02),
    "CosineLRScheduler",
    t_initial=23,
    lr_min=0.02,
    k_decay=1.5,
)
timm(
    "CosineLRScheduler(cycles)",
    lrjax.cosine_restarts_schedule(RATE, 6, 1.0, 0.7, end_value=0.02, cycle_limit=3),
    "CosineLRScheduler",
    t_initial=6,
    lr_min=0.02,
    cycle_decay=0.7,
    cycle_limit=3,
)
timm(
    "CosineLRScheduler(growing cycles)",
    lrjax.cosine_restarts_schedule(RATE, 5, 1.5, 0.7, end_value=0.02, cycle_limit=9),
    "CosineLRScheduler",
    t_initial=5,
    lr_min=0.02,
    cycle_mul=1.5,
    cycle_decay=0.7,
    cycle_limit=9,
)
timm(
    "PolyLRScheduler(k_decay)",
    lrjax.k_decay(RATE, 23, k=1.5, end_value=0.02, shape="polynomial", power=0.8),
    "PolyLRScheduler",
    t_initial=23,
    lr_min=0.02,
    k_decay=1.5,
    power=0.8,
)
timm(
    "PolyLRScheduler",
    lrjax.warmup_polynomial_decay_schedule(0.01, RATE, 5, 28, end_value=0.02, power=0.8),
    "PolyLRScheduler",
    t_initial=23,
    lr_min=0.02,
    power=0.8,
    **PREFIX,
)
timm(
    "TanhLRScheduler",
    lrjax.tanh_decay(RATE, 23, end_value=0.02, lower=-5.0, upper=2.0),
    "TanhLRScheduler",
    t_initial=23,
    lr_min=0.02,
    lb=-5.0,
    ub=2.0,
)
timm(
    "StepLRScheduler",
    lrjax.warmup_exponential_decay_schedule(0.01, RATE, 5, 6, 0.4, staircase=True),
    "StepLRScheduler",
    decay_t=6,
    decay_rate=0.4,
    **PREFIX,
)
timm(
    "MultiStepLRScheduler, a step ahead",
    lambda t: lrjax.multistep_schedule(RATE, [5, 17], 0.4)(t + 1),
    "MultiStepLRScheduler",
    decay_t=[5, 17],
    decay_rate=0.4,
)
for decay, options in (
    ("linear", dict(decay_fn="linear")),
    ("sqrt", dict(decay_fn="1-sqrt")),
    ("cosine", dict(decay_fn="cosine")),
    ("square", dict(decay_fn="power", decay_power=2.0)),
):
    timm(
        f"WSDLRScheduler({decay})",
        lrjax.wsd_schedule(RATE, 5, 13, 10, init_value=0.01, end_value=0.02, decay=decay),
        "WSDLRScheduler",
        t_initial=23,
        decay_t=10,
        lr_min=0.02,
        warmup_t=5,
        warmup_lr_init=0.01,
        **options,
    )


def keras(name: str, ours: Any, schedule: str, steps: int = 40, **numbers: Any) -> None:
    def rates(count: int) -> list[float]:
        from keras.optimizers import schedules

        made = getattr(schedules, schedule)(**numbers)
        return [float(made(step)) for step in range(count)]

    CASES.append(Case("keras", name, ours, rates, steps))


for staircase in (False, True):
    word = "staircase" if staircase else "smooth"
    decay_numbers = dict(initial_learning_rate=RATE, decay_steps=7, decay_rate=0.6, staircase=staircase)
    keras(
        f"ExponentialDecay({word})",
        lrjax.exponential_decay(RATE, 7, 0.6, staircase=staircase),
        "ExponentialDecay",
        **decay_numbers,
    )
    keras(
        f"InverseTimeDecay({word})",
        lrjax.inverse_time_decay(RATE, 7, 0.6, staircase=staircase),
        "InverseTimeDecay",
        **decay_numbers,
    )
keras(
    "PiecewiseConstantDecay, which switches a step later",
    lrjax.join_schedules([0.3, 0.2, 0.05], [6, 18]),
    "PiecewiseConstantDecay",
    boundaries=[5, 17],
    values=[0.3, 0.2, 0.05],
)
for cycle in (False, True):
    keras(
        f"PolynomialDecay({'cycle' if cycle else 'once'})",
        lrjax.polynomial_schedule(RATE, 0.02, 1.5, 11, cycle=cycle),
        "PolynomialDecay",
        initial_learning_rate=RATE,
        decay_steps=11,
        end_learning_rate=0.02,
        power=1.5,
        cycle=cycle,
    )
keras(
    "CosineDecay",
    lrjax.cosine_decay_schedule(RATE, 29, alpha=0.1),
    "CosineDecay",
    initial_learning_rate=RATE,
    decay_steps=29,
    alpha=0.1,
)
keras(
    "CosineDecay(warmup)",
    lrjax.warmup_cosine_decay_schedule(0.01, RATE, 6, 35, end_value=0.1 * RATE),
    "CosineDecay",
    initial_learning_rate=0.01,
    decay_steps=29,
    alpha=0.1,
    warmup_target=RATE,
    warmup_steps=6,
)
for t_mul in (1.0, 2.0):
    keras(
        f"CosineDecayRestarts({t_mul:g})",
        lrjax.cosine_restarts_schedule(RATE, 5, t_mul, 0.8, end_value=0.1 * RATE, decays="amplitude"),
        "CosineDecayRestarts",
        initial_learning_rate=RATE,
        first_decay_steps=5,
        t_mul=t_mul,
        m_mul=0.8,
        alpha=0.1,
    )


def record() -> None:
    """Writes what the installed libraries give, with their versions."""
    from importlib.metadata import version

    libraries = sorted({case.library for case in CASES})
    values = {str(case): [float(f"{x:.10g}") for x in case.theirs(case.steps)] for case in CASES}
    assert all(math.isfinite(x) for row in values.values() for x in row)
    recorded = {"versions": {name: version(name) for name in libraries}, "values": values}
    lines = [f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in recorded["values"].items()]
    body = ",\n".join(lines)
    RECORDED.write_text(f'{{"versions": {json.dumps(recorded["versions"])},\n "values": {{\n{body}\n}}}}\n')


if __name__ == "__main__":
    record()
