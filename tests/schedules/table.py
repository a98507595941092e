"""Every schedule that depends on time alone, once: what the laws and the oracles are held against.

A new schedule gets a row (or several, one per structural mode) and with it every law. What differs
between schedules is data here; the tests ask no row for its name.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrjax
from tests.oracles import schedules as oracle
from tests.schedules.driven import DRIVEN, QUICK


@dataclasses.dataclass(frozen=True, eq=False)
class Row:
    """One schedule in one structural mode.

    Attributes:
      function: The public function.
      oracle: One step (a Python int) and the numbers -> the value, in float64.
      numbers: Every numeric argument of this mode -> three values, the first typical. All are exact in
        float32, so that a Python number and a traced one mean the same.
      static: The arguments that select structure.
      make: What builds the schedule of the numbers, where they are not the function's own arguments.
      flat: Numbers whose derivative is zero everywhere: places where the value jumps.
      short: Changes to the typical numbers that make every span one step, or none.
      long: A horizon -> changes that stretch the schedule to it; None where no span exists.
      ends: Numbers -> the first value, the step from which on the value is the last, and the last.
      slopes: Whether the transcription is precise enough to take differences of.
      accuracy: Of the peak, in float32, where it is not 1e-6.
      ulps: How far compiled may be from step by step, in roundings of the largest value.
    """

    function: Callable[..., lrjax.Schedule]
    oracle: Callable[..., float]
    numbers: Mapping[str, tuple[float, float, float]]
    static: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    make: Callable[..., lrjax.Schedule] | None = None
    flat: frozenset[str] = frozenset()
    short: Mapping[str, float] | None = None
    long: Callable[[int], Mapping[str, float]] | None = None
    ends: Callable[..., tuple[float, float, float]] | None = None
    slopes: bool = True
    accuracy: float = 1e-6
    ulps: int = 4

    @property
    def typical(self) -> dict[str, float]:
        return {name: values[0] for name, values in self.numbers.items()}

    def __call__(self, **numbers: Any) -> lrjax.Schedule:
        return (self.make or self.function)(**(self.typical | numbers), **self.static)

    def expected(self, steps: Any, /, **numbers: Any) -> Any:
        return oracle.over(steps, self.oracle, **(self.typical | numbers), **self.static)

    def __str__(self) -> str:
        modes = [f"{name}={value}" for name, value in self.static.items()]
        return self.function.__name__ + (f"[{','.join(modes)}]" if modes else "")


def row(function: Callable[..., Any], transcription: Callable[..., float], /, **fields: Any) -> Row:
    fields["flat"] = frozenset(fields.get("flat", ()))
    return Row(function, transcription, **fields)


def every(*names: str) -> Callable[[int], Mapping[str, float]]:
    """All of these are the horizon."""
    return lambda n: dict.fromkeys(names, n)


def ones(*names: str) -> Mapping[str, float]:
    return dict.fromkeys(names, 1)


# The seed's schedules.

EXPONENTIAL = {
    "init_value": (1.0, 0.5, 2.0),
    "transition_steps": (4, 1, 8),
    "decay_rate": (0.5, 0.25, 0.75),
    "transition_begin": (2, 0, 5),
}
WARMUP = {
    "init_value": (0.25, 0.0, 1.0),
    "peak_value": (1.0, 0.5, 2.0),
    "warmup_steps": (4, 1, 6),
    "decay_steps": (10, 9, 12),
    "end_value": (0.125, 0.0, 0.5),
    "exponent": (1.0, 0.5, 3.0),
}


def warmup_ends(init_value, decay_steps, end_value, **_):
    return init_value, decay_steps, end_value


def halves(n: int) -> Mapping[str, float]:
    return {"warmup_steps": n // 10, "decay_steps": n}


PLAIN = [
    row(
        lrjax.constant_schedule,
        oracle.constant,
        numbers={"value": (0.25, 0.5, 1.0)},
        ends=lambda value: (value, 0, value),
    ),
    row(
        lrjax.linear_schedule,
        oracle.linear,
        numbers={
            "init_value": (1.0, 0.5, 0.0),
            "end_value": (0.125, 1.0, -0.5),
            "transition_steps": (8, 1, 5),
            "transition_begin": (3, 0, 1),
        },
        short={"transition_steps": 1, "transition_begin": 0},
        long=lambda n: {"transition_steps": n // 2, "transition_begin": n // 3},
        ends=lambda init_value, end_value, transition_steps, transition_begin: (
            init_value,
            transition_begin + transition_steps,
            end_value,
        ),
    ),
    row(
        lrjax.cosine_decay_schedule,
        oracle.cosine,
        numbers={
            "init_value": (1.0, 0.5, 2.0),
            "decay_steps": (9, 1, 12),
            "alpha": (0.125, 0.0, 0.5),
            "exponent": (2.0, 1.0, 0.5),
        },
        short=ones("decay_steps"),
        long=every("decay_steps"),
        ends=lambda init_value, decay_steps, alpha, exponent: (init_value, decay_steps, alpha * init_value),
    ),
    row(
        lrjax.exponential_decay,
        oracle.exponential,
        numbers=EXPONENTIAL | {"decay_rate": (0.5, 0.25, 2.0)},
        short=ones("transition_steps"),
        long=lambda n: {"transition_steps": n, "transition_begin": n // 5},
    ),
    row(
        lrjax.exponential_decay,
        oracle.exponential,
        numbers=EXPONENTIAL | {"end_value": (0.375, 0.25, 0.0)},
        short=ones("transition_steps"),
        long=lambda n: {"transition_steps": n // 3, "transition_begin": n // 5},
    ),
    row(
        lrjax.exponential_decay,
        oracle.exponential,
        numbers=EXPONENTIAL,
        static={"staircase": True},
        flat={"transition_steps", "transition_begin"},
        short=ones("transition_steps"),
        long=lambda n: {"transition_steps": n // 5, "transition_begin": n // 7},
    ),
    row(
        lrjax.warmup_cosine_decay_schedule,
        oracle.warmup_cosine,
        numbers=WARMUP,
        short={"warmup_steps": 0, "decay_steps": 1},
        long=halves,
        ends=warmup_ends,
    ),
    row(
        lrjax.warmup_cosine_decay_schedule,
        oracle.warmup_cosine,
        numbers={n: WARMUP[n] for n in ("peak_value", "decay_steps", "end_value")},
        static={"init_value": 0.5, "warmup_steps": 0, "exponent": 0.5},
        short=ones("decay_steps"),
        long=every("decay_steps"),
        ends=lambda peak_value, decay_steps, end_value: (peak_value, decay_steps, end_value),
    ),
]


def joined_lines(value, span, first_boundary, second_boundary):
    parts = [lrjax.linear_schedule(0.0, value, span), value, lambda count: 0.5 / (1 + count)]
    return lrjax.join_schedules(parts, [first_boundary, second_boundary])


def expected_joined_lines(t, value, span, first_boundary, second_boundary):
    if t < first_boundary:
        return oracle.line(t, 0.0, value, span)
    return value if t < second_boundary else 0.5 / (1 + t - second_boundary)


JOINED = [
    row(
        lrjax.join_schedules,
        expected_joined_lines,
        numbers={
            "value": (1.0, 0.5, 2.0),
            "span": (8, 2, 4),
            "first_boundary": (4, 1, 6),
            "second_boundary": (9, 7, 11),
        },
        make=joined_lines,
        flat={"first_boundary"},  # the parts it divides do not depend on where they begin
        short={"span": 1, "first_boundary": 0, "second_boundary": 1},
        long=lambda n: {"span": n, "first_boundary": n // 2, "second_boundary": n},
    ),
]

# Warmups.

STAGED = {
    "peak_value": (1.0, 0.5, 2.0),
    "init_value": (0.25, 0.0, 0.5),
    "warmup_steps": (4, 0, 6),
}
DECAY_EXPONENTIALLY = {
    **{name: STAGED[name] for name in ("init_value", "peak_value", "warmup_steps")},
    "transition_steps": (3, 1, 6),
    "decay_rate": (0.5, 0.25, 0.75),
    "transition_begin": (2, 0, 3),
}
WARMUPS = [
    *(
        row(
            lrjax.warmup_schedule,
            oracle.warmup,
            numbers=STAGED | {"first_step": (1, 0, 2)},
            static={"shape": shape},
            short={"warmup_steps": 1, "first_step": 0},
            long=every("warmup_steps"),
        )
        for shape in ("linear", "cosine", "sqrt", "log")
    ),
    row(
        lrjax.warmup_constant_schedule,
        oracle.warmup_constant,
        numbers=STAGED,
        short={"warmup_steps": 0},
        long=every("warmup_steps"),
        ends=lambda init_value, peak_value, warmup_steps: (
            init_value if warmup_steps else peak_value,
            warmup_steps,
            peak_value,
        ),
    ),
    row(
        lrjax.warmup_polynomial_decay_schedule,
        oracle.warmup_polynomial,
        numbers={
            **{name: WARMUP[name] for name in WARMUP if name != "exponent"},
            "power": (1.0, 0.5, 2.0),
        },
        short={"warmup_steps": 0, "decay_steps": 1},
        long=halves,
        ends=warmup_ends,
    ),
    row(
        lrjax.warmup_exponential_decay_schedule,
        oracle.warmup_exponential,
        numbers=DECAY_EXPONENTIALLY,
        short={"warmup_steps": 0, "transition_steps": 1, "transition_begin": 0},
        long=every("warmup_steps", "transition_steps"),
    ),
    row(
        lrjax.warmup_exponential_decay_schedule,
        oracle.warmup_exponential,
        numbers=DECAY_EXPONENTIALLY | {"end_value": (0.375, 0.25, 0.0)},
        static={"staircase": True},
        flat={"transition_steps", "transition_begin"},
        short={"warmup_steps": 0, "transition_steps": 1, "transition_begin": 0},
        long=lambda n: {"warmup_steps": n // 7, "transition_steps": n // 3},
    ),
    *(
        row(
            lrjax.untuned_warmup_schedule,
            oracle.untuned_warmup,
            numbers={"value": (1.0, 0.5, 2.0), "b2": (0.96875, 0.75, 0.9990234375)},
            static={"rule": rule},
        )
        for rule in ("linear", "exponential", "radam")
    ),
]

# Stages.

INFINITE = ("warmup_steps", "cooldown_steps", "constant_steps", "anneal_steps")
STAGES = [
    *(
        row(
            lrjax.wsd_schedule,
            oracle.wsd,
            numbers={
                **STAGED,
                "stable_steps": (5, 0, 3),
                "decay_steps": (6, 1, 8),
                "end_value": (0.125, 0.0, 0.5),
            },
            static={"decay": decay, "warmup": warmup},
            short={"warmup_steps": 0, "stable_steps": 0, "decay_steps": 1},
            long=lambda n: {"warmup_steps": n // 10, "stable_steps": n // 2, "decay_steps": n // 3},
            ends=lambda init_value, peak_value, warmup_steps, stable_steps, decay_steps, end_value: (
                init_value if warmup_steps else peak_value,
                warmup_steps + stable_steps + decay_steps,
                end_value,
            ),
        )
        for decay, warmup in (
            ("linear", "linear"),
            ("cosine", "cosine"),
            ("sqrt", "sqrt"),
            ("square", "exponential"),
            ("exponential", "square"),
        )
    ),
    row(
        lrjax.tri_stage_schedule,
        oracle.tri_stage,
        numbers={
            "peak_value": (1.0, 0.5, 2.0),
            "warmup_steps": (4, 0, 6),
            "hold_steps": (5, 0, 3),
            "decay_steps": (6, 1, 8),
            "init_scale": (0.25, 0.0, 0.5),
            "final_scale": (0.125, 0.25, 0.5),
        },
        short={"warmup_steps": 0, "hold_steps": 0, "decay_steps": 1},
        long=lambda n: {"warmup_steps": n // 10, "hold_steps": n // 2, "decay_steps": n // 3},
        ends=lambda peak_value, warmup_steps, hold_steps, decay_steps, init_scale, final_scale: (
            peak_value * (init_scale if warmup_steps else 1.0),
            warmup_steps + hold_steps + decay_steps,
            peak_value * final_scale,
        ),
    ),
    row(
        lrjax.infinite_schedule,
        oracle.infinite,
        numbers={
            "peak_value": (1.0, 0.75, 2.0),
            "constant_value": (0.5, 0.25, 0.625),
            "end_value": (0.125, 0.0625, 0.25),
            "warmup_steps": (3, 0, 5),
            "cooldown_steps": (4, 1, 6),
            "constant_steps": (2, 0, 5),
            "anneal_steps": (5, 1, 7),
            "init_value": (0.25, 0.0, 0.5),
        },
        short=dict.fromkeys(INFINITE, 0) | {"anneal_steps": 1},
        long=lambda n: dict.fromkeys(INFINITE, n // 4),
        ends=lambda peak_value, end_value, init_value, constant_value, **steps: (
            init_value
            if steps["warmup_steps"]
            else peak_value
            if steps["cooldown_steps"]
            else constant_value,
            sum(steps.values()),
            end_value,
        ),
    ),
]

# Polynomials and powers of the step.

INVERSE = {
    "init_value": (1.0, 0.5, 2.0),
    "transition_steps": (4, 1, 8),
    "decay_rate": (0.5, 1.0, 2.0),
    "transition_begin": (2, 0, 5),
}
POLYNOMIAL = {
    "init_value": (1.0, 0.5, 2.0),
    "end_value": (0.125, 0.0, 0.25),
    "power": (2.0, 0.5, 1.0),
    "transition_steps": (8, 1, 5),
    "transition_begin": (3, 0, 1),
}
POWERS = [
    *(
        row(
            lrjax.polynomial_schedule,
            oracle.polynomial,
            numbers=POLYNOMIAL,
            static={"cycle": cycle},
            short={"transition_steps": 1, "transition_begin": 0},
            long=lambda n: {"transition_steps": n // 2, "transition_begin": n // 3},
            ends=None
            if cycle
            else lambda init_value, end_value, transition_steps, transition_begin, power: (
                init_value,
                transition_begin + transition_steps,
                end_value,
            ),
        )
        for cycle in (False, True)
    ),
    row(
        lrjax.linear_factor_schedule,
        oracle.linear_factor,
        numbers={
            "value": (1.0, 0.5, 2.0),
            "start_factor": (0.25, 0.5, 0.0),
            "end_factor": (1.0, 0.75, 2.0),
            "transition_steps": (6, 1, 9),
        },
        short=ones("transition_steps"),
        long=every("transition_steps"),
        ends=lambda value, start_factor, end_factor, transition_steps: (
            value * start_factor,
            transition_steps,
            value * end_factor,
        ),
    ),
    *(
        row(
            lrjax.inverse_time_decay,
            oracle.inverse_time,
            numbers=INVERSE,
            static={"staircase": staircase},
            flat={"transition_steps", "transition_begin"} if staircase else (),
            short={"transition_steps": 1, "transition_begin": 0},
            long=lambda n: {"transition_steps": n // 5, "transition_begin": n // 7},
        )
        for staircase in (False, True)
    ),
    row(
        lrjax.inverse_sqrt_schedule,
        oracle.inverse_sqrt,
        numbers=STAGED | {"timescale": (8, 1, 16), "shift": (2, 0, 5)},
        short={"warmup_steps": 0, "timescale": 1, "shift": 0},
        long=lambda n: {"warmup_steps": n // 10, "timescale": n // 100},
    ),
    row(
        lrjax.inverse_sqrt_schedule,
        oracle.inverse_sqrt,
        numbers=STAGED,
        static={"timescale": None},
        short={"warmup_steps": 0},
        long=every("warmup_steps"),
    ),
    row(
        lrjax.noam_schedule,
        oracle.noam,
        numbers={"model_size": (64, 16, 256), "warmup_steps": (6, 1, 9), "scale": (1.0, 0.5, 2.0)},
        short=ones("warmup_steps"),
        long=every("warmup_steps"),
    ),
    row(
        lrjax.bottou_schedule,
        oracle.bottou,
        numbers={
            "init_value": (0.5, 0.25, 1.0),
            "regularization": (0.25, 0.0, 1.0),
            "power": (1.0, 0.75, 0.5),
        },
        long=lambda n: {"regularization": 2.0**-20},
    ),
    row(
        lrjax.robbins_monro_schedule,
        oracle.robbins_monro,
        numbers={"init_value": (0.5, 0.25, 1.0), "power": (0.75, 0.5, 1.0), "timescale": (2.0, 1.0, 8.0)},
        short=ones("timescale"),
        long=every("timescale"),
    ),
    row(
        lrjax.power_schedule,
        oracle.power,
        numbers={
            "max_value": (0.5, 0.25, 1.0),
            "batch_size": (2.0, 1.0, 4.0),
            "tokens_per_step": (64.0, 32.0, 128.0),
            "amplitude": (4.0, 2.0, 8.0),
            "exponent": (-0.5, -0.75, -1.0),
        },
        long=lambda n: {"max_value": 2.0**-6},
    ),
]

# Pieces.

BOUNDARIES = {
    "init_value": (1.0, 0.5, 2.0),
    "first": (3, 0, 5),
    "second": (8, 6, 11),
    "factor": (0.5, 0.25, 2.0),
    "other": (0.5, 0.0, 0.75),
}


def pairs(first, second, factor, other):
    return [(first, factor), (second, other)]


def milestones(init_value, first, second, gamma):
    return lrjax.multistep_schedule(init_value, [second, first], gamma)


PIECES = [
    row(
        lrjax.piecewise_constant_schedule,
        lambda t, init_value, **places: oracle.piecewise_constant(t, init_value, pairs(**places)),
        numbers=BOUNDARIES,
        make=lambda init_value, **places: lrjax.piecewise_constant_schedule(init_value, pairs(**places)),
        flat={"first", "second"},
        short={"first": 0, "second": 1},
        long=lambda n: {"first": n // 3, "second": n},
        ends=lambda init_value, first, second, factor, other: (
            init_value if first else init_value * factor,
            second,
            init_value * factor * other,
        ),
    ),
    *(
        row(
            lrjax.piecewise_interpolate_schedule,
            lambda t, interpolate_type, init_value, **places: oracle.piecewise_interpolate(
                t, interpolate_type, init_value, pairs(**places)
            ),
            numbers=BOUNDARIES,
            static={"interpolate_type": kind},
            make=lambda interpolate_type, init_value, **places: lrjax.piecewise_interpolate_schedule(
                interpolate_type, init_value, pairs(**places)
            ),
            short={"first": 0, "second": 1},
            long=lambda n: {"first": n // 3, "second": n},
            ends=lambda init_value, first, second, factor, other: (
                init_value if first else init_value * factor,
                second,
                init_value * factor * other,
            ),
        )
        for kind in ("linear", "cosine")
    ),
    row(
        lrjax.step_schedule,
        oracle.step,
        numbers={"init_value": (1.0, 0.5, 2.0), "step_size": (4, 1, 7), "gamma": (0.5, 0.25, 0.75)},
        flat={"step_size"},
        short=ones("step_size"),
        long=lambda n: {"step_size": n // 5},
    ),
    row(
        lrjax.multistep_schedule,
        lambda t, init_value, first, second, gamma: oracle.multistep(t, init_value, [first, second], gamma),
        numbers={
            "init_value": (1.0, 0.5, 2.0),
            "first": (3, 0, 6),
            "second": (8, 5, 11),
            "gamma": (0.5, 0.25, 0.0),
        },
        make=milestones,
        flat={"first", "second"},
        short={"first": 0, "second": 1},
        long=lambda n: {"first": n // 3, "second": n},
    ),
    row(
        lrjax.constant_factor_schedule,
        oracle.constant_factor,
        numbers={"value": (1.0, 0.5, 2.0), "factor": (0.25, 0.5, 0.0), "transition_steps": (6, 1, 9)},
        flat={"transition_steps"},
        short=ones("transition_steps"),
        long=every("transition_steps"),
        ends=lambda value, factor, transition_steps: (value * factor, transition_steps, value),
    ),
]

# Curves.

CURVE = {"init_value": (1.0, 0.5, 2.0), "decay_steps": (9, 1, 12), "end_value": (0.125, 0.0, 0.5)}


def curve_ends(init_value, decay_steps, end_value, **_):
    return init_value, decay_steps, end_value


CURVES = [
    row(
        lrjax.tanh_decay,
        oracle.tanh,
        numbers=CURVE | {"lower": (-7.0, -4.0, -2.0), "upper": (3.0, 1.0, 2.0)},
        short=ones("decay_steps"),
        long=every("decay_steps"),
    ),
    *(
        row(
            lrjax.k_decay,
            oracle.k_decay,
            numbers=CURVE
            | {"k": (2.0, 0.5, 1.0)}
            | ({"power": (2.0, 1.0, 0.5)} if shape != "cosine" else {}),
            static={"shape": shape},
            short=ones("decay_steps"),
            long=every("decay_steps"),
            ends=curve_ends,
        )
        for shape in ("cosine", "polynomial")
    ),
    row(
        lrjax.rex_schedule,
        oracle.rex,
        numbers=CURVE,
        short=ones("decay_steps"),
        long=every("decay_steps"),
        ends=curve_ends,
    ),
    row(
        lrjax.flat_cosine_schedule,
        oracle.flat_cosine,
        numbers={
            "value": (1.0, 0.5, 2.0),
            "total_steps": (12, 1, 9),
            "pct_start": (0.75, 0.0, 1.0),
            "final_div_factor": (4.0, 2.0, 1024.0),
        },
        short=ones("total_steps"),
        long=every("total_steps"),
        ends=lambda value, total_steps, pct_start, final_div_factor: (
            value,
            total_steps,
            value / final_div_factor,
        ),
    ),
    *(
        row(
            lrjax.chebyshev_schedule,
            oracle.chebyshev,
            numbers={
                "min_curvature": (0.125, 0.25, 0.5),
                "max_curvature": (2.0, 1.0, 4.0),
                "total_steps": (8, 1, 16),
            },
            static={"order": order},
            flat={"total_steps"} if order == "fractal" else (),
            short=ones("total_steps"),
            long=every("total_steps") if order == "decreasing" else None,
        )
        for order in ("fractal", "decreasing")
    ),
]

# Cycles.

CYCLE = {"base_value": (0.25, 0.0, 0.5), "max_value": (1.0, 0.75, 2.0), "step_size_up": (4, 1, 6)}
RESTARTS = {
    "init_value": (1.0, 0.5, 2.0),
    "first_decay_steps": (4, 1, 6),
    "cycle_multiplier": (2.0, 1.0, 3.0),
    "decay_rate": (0.5, 0.75, 1.0),
    "end_value": (0.125, 0.0, 0.0625),
}


def two_cycles(peak, first_span, second_span):
    first = {"init_value": 0.125, "peak_value": peak, "warmup_steps": 1, "decay_steps": first_span}
    return [first, first | {"init_value": 0.0, "decay_steps": second_span, "end_value": 0.0625}]


CYCLES = [
    *(
        row(
            lrjax.cyclic_schedule,
            oracle.cyclic,
            numbers=CYCLE
            | {"step_size_down": (3, 1, 5)}
            | ({"gamma": (0.75, 0.5, 1.0)} if mode == "exp_range" else {}),
            static={"mode": mode},
            short=ones("step_size_up", "step_size_down"),
            long=lambda n: {"step_size_up": n // 7, "step_size_down": n // 5},
        )
        for mode in ("triangular", "triangular2", "exp_range")
    ),
    row(
        lrjax.cyclic_schedule,
        oracle.cyclic,
        numbers=CYCLE,
        static={"step_size_down": None},
        short=ones("step_size_up"),
        long=lambda n: {"step_size_up": 10},
    ),
    row(
        lrjax.sgdr_schedule,
        lambda t, **numbers: oracle.sgdr(t, two_cycles(**numbers)),
        numbers={"peak": (1.0, 0.5, 2.0), "first_span": (5, 2, 7), "second_span": (6, 3, 9)},
        make=lambda **numbers: lrjax.sgdr_schedule(two_cycles(**numbers)),
        short={"first_span": 2, "second_span": 2},
        long=lambda n: {"first_span": n // 3, "second_span": n // 2},
        ends=lambda peak, first_span, second_span: (0.125, first_span + second_span, 0.0625),
    ),
    *(
        row(
            lrjax.cosine_restarts_schedule,
            oracle.cosine_restarts,
            numbers=RESTARTS | ({"cycle_limit": (2, 1, 3)} if decays == "amplitude" else {}),
            static={"decays": decays},
            flat={"cycle_limit"},
            short={"first_decay_steps": 1, "cycle_multiplier": 1.0},
            long=long,
        )
        for decays, long in (
            ("peak", lambda n: {"first_decay_steps": 7}),
            ("amplitude", lambda n: {"first_decay_steps": n // 5, "cycle_limit": 4}),
            ("both", lambda n: {"first_decay_steps": 10, "cycle_multiplier": 1.0, "decay_rate": 1.0}),
        )
    ),
    row(
        lrjax.hard_restarts_schedule,
        oracle.hard_restarts,
        numbers={
            "peak_value": (1.0, 0.5, 2.0),
            "warmup_steps": (3, 0, 5),
            "decay_steps": (14, 9, 17),
            "cycles": (2.0, 1.0, 2.5),
            "init_value": (0.25, 0.0, 0.5),
            "end_value": (0.125, 0.0, 0.25),
        },
        short={"warmup_steps": 0, "decay_steps": 1},
        long=lambda n: {"warmup_steps": n // 10, "decay_steps": n, "cycles": 100.0},
        ends=lambda peak_value, warmup_steps, decay_steps, cycles, init_value, end_value: (
            init_value if warmup_steps else peak_value,
            decay_steps,
            end_value,
        ),
    ),
]

# One cycle.

DIVISORS = {"div_factor": (4.0, 2.0, 25.0), "final_div_factor": (8.0, 16.0, 1024.0)}
ONECYCLE = [
    row(
        lrjax.linear_onecycle_schedule,
        oracle.linear_onecycle,
        numbers={
            "transition_steps": (13, 4, 16),
            "peak_value": (1.0, 0.5, 2.0),
            "pct_start": (0.25, 0.0, 0.5),
            "pct_final": (0.75, 0.5, 1.0),
            **DIVISORS,
        },
        flat={"pct_start", "pct_final"},
        short=ones("transition_steps"),
        long=every("transition_steps"),
        ends=lambda transition_steps, peak_value, pct_start, pct_final, div_factor, final_div_factor: (
            peak_value / (div_factor if pct_start else 1),
            transition_steps,
            peak_value / div_factor / final_div_factor,
        ),
    ),
    row(
        lrjax.cosine_onecycle_schedule,
        oracle.cosine_onecycle,
        numbers={
            "transition_steps": (13, 4, 16),
            "peak_value": (1.0, 0.5, 2.0),
            "pct_start": (0.25, 0.0, 1.0),
            **DIVISORS,
        },
        flat={"pct_start"},
        short=ones("transition_steps"),
        long=every("transition_steps"),
        ends=lambda transition_steps, peak_value, pct_start, div_factor, final_div_factor: (
            peak_value / (div_factor if pct_start else 1),
            transition_steps,
            peak_value / div_factor / final_div_factor,
        ),
    ),
    *(
        row(
            lrjax.onecycle_schedule,
            oracle.onecycle,
            numbers={
                "max_value": (1.0, 0.5, 2.0),
                "total_steps": (12, 8, 16),
                "pct_start": (0.25, 0.375, 0.5),
                **DIVISORS,
            },
            static={"anneal_strategy": strategy, "three_phase": three_phase},
            long=every("total_steps"),
            ends=lambda max_value, total_steps, pct_start, div_factor, final_div_factor: (
                max_value / div_factor,
                total_steps - 1,
                max_value / div_factor / final_div_factor,
            ),
        )
        for strategy, three_phase in (("cos", False), ("linear", False), ("cos", True), ("linear", True))
    ),
    *(
        row(
            lrjax.onecycle_momentum_schedule,
            oracle.onecycle_momentum,
            numbers={
                "total_steps": (12, 8, 16),
                "base_momentum": (0.75, 0.5, 0.25),
                "max_momentum": (0.9375, 1.0, 0.875),
                "pct_start": (0.25, 0.375, 0.5),
            },
            static={"anneal_strategy": strategy, "three_phase": three_phase},
            long=every("total_steps"),
            ends=lambda total_steps, base_momentum, max_momentum, pct_start: (
                max_momentum,
                total_steps - 1,
                max_momentum,
            ),
        )
        for strategy, three_phase in (("cos", False), ("linear", True))
    ),
]

# A user's function, and noise.


def noisy(value, limit, scale, begin, end, distribution):
    line = lrjax.linear_schedule(value, 0.0, 20)
    return lrjax.noisy_schedule(line, jax.random.key(0), limit, scale, distribution, begin, end)


def expected_noisy(t, value, limit, scale, begin, end, distribution):
    """The line, and the noise that the same key gives drawn by hand."""
    value = oracle.line(t, value, 0.0, 20)
    if not begin <= t < end:
        return value
    key = jax.random.fold_in(jax.random.key(0), t)
    if distribution == "uniform":
        return value * (1 + limit * float(jax.random.uniform(key, minval=-1.0, maxval=1.0)))
    draw = jax.random.truncated_normal(key, jnp.float32(-limit / scale), jnp.float32(limit / scale))
    return value * (1 + scale * float(draw))


OTHERS = [
    row(
        lrjax.lambda_schedule,
        lambda t, value, speed: value / (1 + speed * t),
        numbers={"value": (1.0, 0.5, 2.0), "speed": (0.5, 0.25, 1.0)},
        make=lambda value, speed: lrjax.lambda_schedule(value, lambda count: 1 / (1 + speed * count)),
        long=lambda n: {"speed": 2.0**-20},
    ),
    row(
        lrjax.multiplicative_schedule,
        lambda t, value, factor: oracle.multiplied(t, value, lambda step: factor + 0.25 / step),
        numbers={"value": (1.0, 0.5, 2.0), "factor": (0.75, 0.5, 0.875)},
        make=lambda value, factor: lrjax.multiplicative_schedule(value, lambda count: factor + 0.25 / count),
        ulps=16,  # sixty factors, each rounded
    ),
    *(
        row(
            lrjax.noisy_schedule,
            expected_noisy,
            numbers={
                "value": (1.0, 0.5, 2.0),
                "limit": (0.5, 0.25, 0.75),
                "scale": (1.0, 0.5, 0.25) if kind == "normal" else (1.0, 1.0, 1.0),
                "begin": (3, 0, 5),
                "end": (9, 7, 12),
            },
            static={"distribution": kind},
            make=noisy,
            slopes=False,  # it draws in float32
            flat={"begin", "end"} | ({"scale"} if kind == "uniform" else set()),
        )
        for kind in ("normal", "uniform")
    ),
]

# What makes a schedule of another.


def cooled(value, steps, begin, end_value, shape):
    return lrjax.cooldown(lrjax.linear_schedule(value, 0.5 * value, 20), steps, begin, end_value, shape)


def expected_cooled(t, value, steps, begin, end_value, shape):
    factor = oracle.wsd(t, 1.0, 0, begin, steps, end_value=end_value, decay=shape)
    return oracle.line(t, value, 0.5 * value, 20) * factor


def repeated(steps, value, rise, amount, low, high):
    return lrjax.repeat((lrjax.warmup(rise) * value).offset(amount).clip(low, high), steps)


def expected_repeated(t, steps, value, rise, amount, low, high):
    return min(max(oracle.line(t % steps, 0.0, value, rise) + amount, low), high)


ALGEBRA = [
    row(
        lrjax.warmup,
        lambda t, steps, init_value: oracle.line(t, init_value, 1.0, steps),
        numbers={"steps": (4, 1, 6), "init_value": (0.25, 0.0, 0.5)},
        short={"steps": 0},
        long=every("steps"),
        ends=lambda steps, init_value: (init_value if steps else 1.0, steps, 1.0),
    ),
    *(
        row(
            lrjax.cooldown,
            expected_cooled,
            numbers={
                "value": (1.0, 0.5, 2.0),
                "steps": (6, 1, 9),
                "begin": (4, 0, 7),
                "end_value": (0.125, 0.0, 0.5),
            },
            static={"shape": shape},
            make=cooled,
            short={"steps": 1, "begin": 0},
            long=lambda n: {"steps": n // 3, "begin": n // 2},
        )
        for shape in ("linear", "sqrt")
    ),
    row(
        lrjax.repeat,
        expected_repeated,
        numbers={
            "steps": (9, 5, 11),
            "value": (1.0, 0.5, 2.0),
            "rise": (4, 1, 6),
            "amount": (0.125, 0.0, 0.25),
            "low": (0.25, 0.0, 0.5),
            "high": (0.75, 0.625, 0.875),
        },
        make=repeated,
        short=ones("steps", "rise"),
        long=lambda n: {"steps": n // 7, "rise": n // 20},
    ),
]

TABLE: tuple[Row, ...] = (
    *PLAIN,
    *JOINED,
    *WARMUPS,
    *STAGES,
    *POWERS,
    *PIECES,
    *CURVES,
    *CYCLES,
    *ONECYCLE,
    *OTHERS,
    *ALGEBRA,
)

# Functions whose schedules have no closed form of time: laws of their own.
ELSEWHERE = frozenset(function.__name__ for function in DRIVEN)


def public_schedules() -> set[str]:
    """Every function in lrjax's namespace that is annotated to return a `Schedule`."""
    functions = [f for name, f in vars(lrjax).items() if inspect.isfunction(f) and not name.startswith("_")]
    return {f.__name__ for f in functions if typing.get_type_hints(f).get("return") is lrjax.Schedule}


def rows(wanted: Callable[[Row], Any] = lambda row: True) -> list[Any]:
    """The rows that are wanted, as `pytest.param`s."""
    return [pytest.param(row, id=f"{i}-{row}") for i, row in enumerate(TABLE) if wanted(row)]


def fast(wanted: Callable[[Row], Any]) -> list[Any]:
    """All rows; those that are not wanted in the fast tests are marked slow."""
    marks = {True: (), False: pytest.mark.slow}
    return [pytest.param(row, id=p.id, marks=marks[bool(wanted(row))]) for p in rows() for row in p.values]


STEPS = 64  # of one array of steps; always as many, so that a row is compiled once


def values_at(schedule: Callable[[Any], Any], steps: Any) -> Any:
    """In float64, from arrays of always the same length."""
    parts = np.resize(np.asarray(steps, np.int64), (-(-len(steps) // STEPS), STEPS))
    return np.concatenate([np.asarray(schedule(part), np.float64) for part in parts])[: len(steps)]


LOOP = 14  # steps of the pair, called one by one


class Program:
    """(steps, changes of the typical numbers) -> the closed form for each.

    One compiled function for all tests of a row: a `vmap` over as many sets of numbers as it takes to
    change each of them in turn, where steps and numbers are tracers.
    """

    def __init__(self, row: Row) -> None:
        self.row, self.traces = row, 0
        self.sweep = [{name: value} for name, values in row.numbers.items() for value in values]
        self.sweep += [{name: values[i] for name, values in row.numbers.items()} for i in (1, 2)]
        self.jitted = jax.jit(jax.vmap(self._run, in_axes=(None, 0)), compiler_options=QUICK)

    def __call__(self, steps: Any, changes: Sequence[Mapping[str, float]]) -> Any:
        every = [*changes, *[changes[-1]] * (len(self.sweep) - len(changes))]
        result = self.jitted(jnp.asarray(steps, jnp.int32), stacked(self.row, every))
        return np.asarray(result)[: len(changes)]

    def _run(self, steps: Any, numbers: Any) -> Any:
        self.traces += 1
        return self.row(**numbers).at(steps)


def looped(row: Row) -> Any:
    """The pair's values in a compiled loop, for every set of numbers of the row's program."""

    def run(numbers: Any) -> Any:
        schedule = row(**numbers)

        def step(state: Any, _: Any) -> Any:
            value, state = schedule.update(state)
            return state, value

        return jax.lax.scan(step, schedule.init(), length=LOOP)[1]

    return np.asarray(jax.jit(jax.vmap(run), compiler_options=QUICK)(stacked(row, program(row).sweep)))


def stacked(row: Row, changes: Sequence[Mapping[str, float]]) -> dict[str, jax.Array]:
    """Sets of numbers as arrays."""
    return {
        name: jnp.asarray(np.array([c.get(name, values[0]) for c in changes], _kind(values)))
        for name, values in row.numbers.items()
    }


def _kind(values: tuple[float, float, float]) -> Any:
    return np.int32 if all(isinstance(value, int) for value in values) else np.float32


program = functools.cache(Program)


@functools.cache
def swept(row: Row) -> Any:
    """The row's first steps under every set of numbers."""
    return program(row)(np.arange(STEPS), program(row).sweep)
