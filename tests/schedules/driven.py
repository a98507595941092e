"""Every schedule that is driven by metrics, once: what their laws are held against."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import lrjax


@dataclasses.dataclass(frozen=True, eq=False)
class Driven:
    """One metric-driven schedule in one mode.

    Attributes:
      function: What makes it.
      numbers: Every number of this mode -> (a typical value, another, which leads to other values).
      static: The other arguments.
    """

    function: Callable[..., lrjax.Schedule]
    numbers: Mapping[str, tuple[float, float]]
    static: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __call__(self, **numbers: Any) -> lrjax.Schedule:
        typical = {name: values[0] for name, values in self.numbers.items()}
        return self.function(**{**typical, **numbers}, **self.static)

    def __str__(self) -> str:
        return "-".join([self.function.__name__, *map(str, self.static.values())])


PLATEAU = {
    "factor": (0.5, 0.25),
    "patience": (2, 1),
    "threshold": (0.25, 0.0),
    "cooldown": (1, 0),
    "min_scale": (0.125, 0.25),
    "eps": (0.0, 0.25),
    "accumulation_size": (1, 2),
}
GREEDY = {
    "factor": (0.5, 0.25),
    "patience": (1, 0),
    "threshold": (0.0, 0.25),
    "cooldown": (1, 0),
    "warmup": (0, 1),
    "min_scale": (0.5, 0.25),
    "max_scale": (2.0, 4.0),
    "reset": (3, 1),
}
ROWS = (
    Driven(lrjax.plateau_schedule, PLATEAU),
    Driven(
        lrjax.plateau_schedule,
        PLATEAU | {"threshold": (0.25, 2.0), "min_scale": (0.03125, 0.25)},
        {"threshold_mode": "rel", "mode": "max"},
    ),
    Driven(
        lrjax.plateau_schedule,
        PLATEAU | {"threshold": (0.25, 1.0)},
        {"threshold_mode": "abs", "held_out": True},
    ),
    Driven(
        lrjax.adaptive_schedule,
        {"factor": (0.5, 0.25), "patience": (2, 1), "tol": (0.25, 0.0), "min_scale": (0.125, 0.5)},
    ),
    Driven(
        lrjax.plateau_cooldown_schedule,
        {"steps": (4, 8), "patience": (2, 1), "threshold": (0.25, 0.0), "accumulation_size": (1, 2)},
    ),
    Driven(lrjax.greedy_schedule, GREEDY),
    Driven(lrjax.greedy_schedule, GREEDY, {"window": 2}),
    Driven(
        lrjax.spike_backoff_schedule,
        {
            "factor": (0.5, 0.25),
            "threshold": (0.25, 64.0),
            "recovery_steps": (4, 8),
            "decay": (0.5, 0.96875),
            "warmup": (2, 16),
            "cooldown": (2, 0),
            "min_scale": (0.125, 0.75),
        },
    ),
    Driven(
        lrjax.polyak_schedule,
        {
            "max_learning_rate": (0.125, 2.0),
            "scaling": (1.0, 0.5),
            "f_min": (0.0, 0.25),
            "eps": (0.0, 1.0),
            "growth": (1.25, 2.0),
        },
    ),
    Driven(
        lrjax.l4_schedule,
        {
            "fraction": (0.125, 0.25),
            "gamma": (0.875, 0.5),
            "first_gamma": (0.75, 0.5),
            "timescale": (8.0, 1000.0),
            "max_learning_rate": (0.03125, 2.0),
        },
    ),
    Driven(
        lrjax.hypergradient_schedule,
        {"step_size": (0.25, 0.5), "min_scale": (0.5, 0.875), "max_scale": (1.25, 2.0)},
    ),
    Driven(
        lrjax.hypergradient_schedule,
        {"step_size": (1 / 64, 1 / 32), "min_scale": (0.5, 0.875), "max_scale": (1.25, 2.0)},
        {"normalized": False},
    ),
)
DRIVEN = {row.function for row in ROWS}

QUICK = {"xla_backend_optimization_level": 0}  # a program runs for less time than it takes to compile

# A loss that falls, rests, jumps and falls again: it makes every rule above act.
LOSSES = jnp.array(
    [4, 3, 2.25, 2, 1.9, 1.9, 2.0, 1.9, 1.9, 2.0, 2.0, 9.0, 2.0, 1.9, 1.5, 1, 0.5, 0.25, 0.25, 0.25],
    jnp.float32,
)
PARAMS = {"w": jnp.array([1.0, -0.5], jnp.float32), "b": jnp.array(0.25, jnp.float32)}


def signals_of(losses: Any = LOSSES) -> dict[str, Any]:
    """Signals of every step, stacked: the losses, and gradients that turn with them."""
    steps = jnp.arange(len(losses))
    angles = jnp.where(steps < 6, 0.75, 2.25) * steps  # first much the same way, then back and forth
    grad = {"w": jnp.stack([jnp.cos(angles), jnp.sin(angles)], 1) * losses[:, None], "b": 0.5 * losses}
    norms = jnp.sqrt(jnp.sum(grad["w"] ** 2, 1) + grad["b"] ** 2)
    return {"value": losses, "grad_norm": norms, "grad": grad, "updates": grad}


def first_state(schedule: lrjax.Schedule) -> Any:
    return schedule.init(PARAMS) if schedule.takes_params else schedule.init()


def advance(schedule: lrjax.Schedule, state: Any, signals: Any) -> Any:
    """One update; what is held out is handed over before each."""
    return schedule.update(lrjax.observe(state, signals["value"]), **signals)


def run(schedule: lrjax.Schedule, losses: Any = LOSSES) -> np.ndarray:
    """The values of every step, from a Python loop."""
    padded = np.resize(np.asarray(losses, np.float32), max(len(losses), len(LOSSES)))  # mostly one shape
    stacked = jax.tree.map(np.asarray, signals_of(jnp.asarray(padded)))
    state, values = first_state(schedule), []
    for i in range(len(losses)):
        value, state = advance(schedule, state, jax.tree.map(lambda x, i=i: x[i], stacked))
        values.append(np.asarray(value))
    return np.stack(values)


def scanned(schedule: lrjax.Schedule) -> jax.Array:
    """The same in one loop of JAX's."""

    def step(state: Any, signals: Any) -> Any:
        value, state = advance(schedule, state, signals)
        return state, value

    return jax.lax.scan(step, first_state(schedule), signals_of())[1]
