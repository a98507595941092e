"""Every optimizer that optax has too, generated from the installed optax's signatures, against optax.

Both are told the same parameters, gradients and values, of 100 steps of Adam on three problems, and what they
make of them is compared step by step: rounding does not grow from step to step, and sign-based and chaotic
methods are held as tightly as smooth ones. `test_against_optax` has what depends on a mode, parameters that
follow their own updates, states, and all numbers moved at once.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest

import lrjax
from tests.catalogue import CATALOGUE
from tests.oracles.test_optax_surface import SHARED, SHARED_CONTRIB, THEIR_CONTRIB, THEIRS

STEPS, FEWER = 100, 20
THEIR = {**{name: THEIRS[name] for name in SHARED}, **{name: THEIR_CONTRIB[name] for name in SHARED_CONTRIB}}

# Arguments without a default, or whose default leaves nothing to compare.
GIVEN: Mapping[str, Mapping[str, Any]] = {
    "adadelta": {"learning_rate": 1 / 64},  # without one optax climbs: test_against_optax
    "adaptive_grad_clip": {"clipping": 0.1},
    "add_noise": {"eta": 0.01, "gamma": 0.55, "key": 0},
    "clip": {"max_delta": 0.05},
    "clip_by_block_rms": {"threshold": 0.05},
    "clip_by_global_norm": {"max_norm": 0.05},
    "ema": {"decay": 0.9},
    "noisy_sgd": {"learning_rate": 1 / 64, "key": 0},
    "scale": {"step_size": 0.5},
    "trace": {"decay": 0.9},
}
# What wraps others, needs a function, or is tried with the rest: catalogue rows hold these against optax.
WRAPPERS = {
    "MultiSteps", "apply_every", "apply_if_finite", "chain", "conditionally_mask", "conditionally_transform",
    "flatten", "freeze", "hutchinson_estimator_diag_hessian", "inject_hyperparams", "lookahead", "masked",
    "measure_with_ema", "mechanize", "monitor", "multi_transform", "named_chain", "partition", "sam",
    "scale_by_schedule", "schedule_free", "selective_transform", "snapshot", "sophia",
    "split_real_and_imaginary", "stateless", "stateless_with_tree_map", "with_extra_args_support",
}  # fmt: skip
# Directions of curvature, of no use away from their own searches: tests/optimizers/test_line_searches.py.
# Muon's ingredient takes matrices alone, as the recipe gives them to it. GaLore projects the shorter side:
# tests/optimizers/test_wrapping.py. MADGRAD's eps is no part of its rate: the rows meet optax's at another.
OWN_TESTS = {
    "galore", "lbfgs", "madgrad", "scale_by_backtracking_linesearch", "scale_by_galore", "scale_by_lbfgs",
    "scale_by_madgrad", "scale_by_muon", "scale_by_zoom_linesearch",
}  # fmt: skip
# Set shapes or trip counts, and are Python numbers in optax.
STATIC = {"min_dim_size_to_factor", "ns_steps", "memory_size"}

# Where lrjax departs on purpose, in more than rounding -> what docs/optimizers.md says of it.
DEPARTS = dict.fromkeys(
    ("rprop", "scale_by_rprop"),
    "`rprop` moves by the step that this gradient leads to; optax's moves by the one before",
)

# Numbers that lrjax reads otherwise on purpose; moved, they would show it.
DEPARTS_IN = {
    ("momo", "weight_decay"): "`momo` and `momo_adam` divide the step by",
    ("momo_adam", "weight_decay"): "`momo` and `momo_adam` divide the step by",
    ("schedule_free_adamw", "warmup_steps"): "its recipes warm up as the authors' code does",
    ("schedule_free_sgd", "warmup_steps"): "its recipes warm up as the authors' code does",
}
# Debiased, the first variance is 0 and the first step one over the rounding of it.
WITH_FLAG: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("scale_by_stddev", "bias_correction"): {"initial_scale": 0.5}
}

# float32, relative to the largest entry: the catalogue's tolerances, beside which the whys stand, and
FLOAT32 = {
    "scale_by_stddev": 2e-6,  # v - m**2 cancels
    "schedule_free_adamw": 5e-4,  # follows its own updates, and so adds up what adam is off
}
# bfloat16: the mean difference from what optax makes of the same numbers in float32, relative to the mean. An
# entry is rounded to 2**-9 of itself, as a momentum in bfloat16 is again and again.
BFLOAT16 = 2**-6
BFLOAT16_OF = {
    "scale_by_simplified_ademamix": 2**-5,  # a momentum over 100 steps, of gradients that cancel
    "simplified_ademamix": 2**-5,
}
# optax branches on numbers of these, which cannot be tracers there.
NO_TRACERS = {"reduce_on_plateau", "scale_by_sm3"}
# In half precision these owe what parameters did not follow: tests/optimizers/test_estimates.py.
OWE = {row.public for row in CATALOGUE if "params" in row.more_fields}
# Schedule-Free's own average says where it is: the parameters must be those that it made.
FOLLOW = {row.public for row in CATALOGUE if row.must_follow} - OWE

NAMES = sorted({row.public for row in CATALOGUE} & set(THEIR) - WRAPPERS - OWN_TESTS)


def _quadratic(params: Any) -> Any:
    x = jax.flatten_util.ravel_pytree(params)[0]
    return jnp.sum(jnp.geomspace(0.03, 1, x.size) * (x - 0.3) ** 2)


def _rosenbrock(params: Any) -> Any:
    """Chained over all entries, scaled so that its curvature is like that of the others."""
    x = jax.flatten_util.ravel_pytree(params)[0]
    return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2) / 512


def _mlp(params: Any) -> Any:
    points = jnp.array([[0.5, -1.0], [1.0, 0.25], [-0.75, 0.5], [-0.25, -0.5], [0.125, 1.0]])
    targets = jnp.sin(3 * points[:, 0]) + points[:, 1]
    return jnp.mean((jnp.tanh(points @ params["w"]) @ params["v"] - targets) ** 2)


PROBLEMS = {"quadratic": _quadratic, "Rosenbrock": _rosenbrock, "MLP": _mlp}


@functools.cache
def _course(dtype: str, steps: int) -> Any:
    """Parameters, gradients and values of Adam's steps on the problems, `[problem, step, ...]`, as NumPy."""
    wide = jnp.promote_types(dtype, jnp.float32)
    start = {"v": np.array([1.0, -0.5, 0.75]), "w": np.array([[0.5, -1.0, 0.25], [1.5, 0.125, -0.75]])}
    tx = optax.adam(1 / 32)

    def course(problem: Any) -> Any:
        def step(carry: Any, _: None) -> Any:
            params, state = carry
            told = jax.tree.map(lambda p: p.astype(dtype), params)
            seen = jax.tree.map(lambda p: p.astype(wide), told)
            value, grads = jax.value_and_grad(problem)(seen)
            updates, state = tx.update(grads, state, params)
            grads = jax.tree.map(lambda g: g.astype(dtype), grads)
            return (optax.apply_updates(params, updates), state), (told, grads, value)

        params = jax.tree.map(lambda p: jnp.asarray(p, wide), start)
        return jax.lax.scan(step, (params, tx.init(params)), length=steps)[1]

    courses = jax.jit(lambda: [course(problem) for problem in PROBLEMS.values()])()
    return jax.tree.map(lambda *leaves: np.stack(leaves), *courses)


def _updates(tx: Any, course: Any, follow: bool = False) -> Any:
    """What a transformation makes of one course, `[step, ...]`."""

    def step(carry: Any, told: Any) -> Any:
        state, own = carry
        params, grads, value = told
        params = own if follow else params
        extra = {"value": value} if isinstance(tx, lrjax.GradientTransformation) or _takes_value(tx) else {}
        updates, state = tx.update(grads, state, params, **extra)
        return (state, optax.apply_updates(params, updates) if follow else own), updates

    start = jax.tree.map(lambda leaf: leaf[0], course[0])
    return jax.lax.scan(step, (tx.init(start), start), course)[1]


def _takes_value(tx: Any) -> bool:
    return isinstance(tx, optax.GradientTransformationExtraArgs)


def _compiled(function: Any) -> Any:
    """Compiling is what these tests take; code that runs a hundred small steps need not be the best."""
    options = {"xla_backend_optimization_level": 0}
    return jax.tree.map(np.asarray, jax.jit(function, compiler_options=options)())


def _arguments(name: str) -> dict[str, Any]:
    """What must be given: from `GIVEN`, and a rate where there is no number for one."""
    needed = inspect.signature(THEIR[name]).parameters
    rate = "learning_rate" in needed and not isinstance(needed["learning_rate"].default, float)
    return {**({"learning_rate": 1 / 64} if rate else {}), **GIVEN.get(name, {})}


def _made(function: Any, name: str, course: Any, **changes: Any) -> Any:
    """The updates of lrjax's or optax's function of this name, `[problem, step, ...]`."""
    tx, follow = function(**{**_arguments(name), **changes}), name in FOLLOW
    return jax.vmap(lambda told: _updates(tx, told, follow))(course)


def _both(name: str, course: Any, **changes: Any) -> Any:
    functions = getattr(lrjax, name), THEIR[name]
    return _compiled(lambda: [_made(function, name, course, **changes) for function in functions])


def _difference(actual: Any, expected: Any) -> float:
    """The largest over problems and leaves, relative to the leaf's largest entry in any step."""
    worst = 0.0
    for a, e in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        a, e = (np.asarray(x, np.float64).reshape(x.shape[0], -1) for x in (a, e))
        assert np.isfinite(e).all()
        assert np.isfinite(a).all()
        scale = np.max(np.abs(e), axis=1)
        worst = max(worst, np.max(np.max(np.abs(a - e), axis=1) / np.where(scale == 0, 1, scale)))
    return worst


def _tolerance(name: str, attribute: str) -> float:
    """The catalogue's; modes with a state in bfloat16 are not the default."""
    rows = (row for row in CATALOGUE if row.public == name and "bfloat16" not in row.name)
    return max(getattr(row, attribute) for row in rows)


@pytest.mark.filterwarnings("ignore:Specifying a key", "ignore:.*optimistic_adam")
@pytest.mark.parametrize("name", [name for name in NAMES if name not in DEPARTS])
def test_float32_updates_with_defaults_are_optaxs(name: str) -> None:
    ours, theirs = _both(name, _course("float32", STEPS))
    assert _difference(ours, theirs) <= FLOAT32.get(name, _tolerance(name, "optax_float32_rtol"))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Specifying a key", "ignore:.*optimistic_adam")
@pytest.mark.parametrize("name", [name for name in NAMES if name not in {*DEPARTS, *FOLLOW, *OWE}])
def test_bfloat16_updates_with_defaults_are_optaxs_in_float32_rounded(name: str) -> None:
    """optax's own in bfloat16 are further from these, by up to a tenth: docs/optimizers.md, "Precision"."""
    half = _course("bfloat16", STEPS)
    wide = jax.tree.map(lambda x: x.astype(np.float32), half)
    told = ((getattr(lrjax, name), half), (THEIR[name], wide))
    ours, theirs = _compiled(lambda: [_made(function, name, course) for function, course in told])
    for a, e in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert a.dtype == jnp.bfloat16
        a, e = (np.asarray(x, np.float64).reshape(len(PROBLEMS), -1) for x in (a, e))
        off, size = np.mean(np.abs(a - e), axis=1), np.mean(np.abs(e), axis=1)
        assert np.all(off <= BFLOAT16_OF.get(name, BFLOAT16) * size)


@pytest.mark.parametrize("name", DEPARTS)
def test_departures_depart(name: str) -> None:
    ours, theirs = _both(name, _course("float32", FEWER))
    assert _difference(ours, theirs) > 1e-2


def test_the_docs_name_every_departure() -> None:
    text = (Path(__file__).parents[2] / "docs" / "optimizers.md").read_text()
    section = text.partition("## Where lrjax departs from optax")[2].replace("\n  ", " ")
    assert [why for why in (*DEPARTS.values(), *DEPARTS_IN.values()) if why not in section] == []


def _numbers(name: str) -> dict[str, tuple[float, float]]:
    """Every numeric argument of optax's function that the catalogue moves -> a usual value, and another."""
    found: dict[str, tuple[float, float]] = {}
    for row in CATALOGUE:
        if row.public == name:
            found = {**row.numbers, **found}
    return found


def _numeric_arguments(name: str) -> list[str]:
    """Those of optax's function whose default is a number, or that the catalogue gives one."""
    parameters = inspect.signature(THEIR[name]).parameters.values()
    numeric = (
        p for p in parameters if isinstance(p.default, (int, float)) and not isinstance(p.default, bool)
    )
    more = (p for p in parameters if p.name in _numbers(name))
    return list(dict.fromkeys(p.name for p in (*numeric, *more) if p.name not in STATIC))


def test_every_numeric_argument_has_another_value() -> None:
    assert {(n, a) for n in NAMES for a in _numeric_arguments(n) if a not in _numbers(n)} == set()


def test_every_name_is_tried_or_listed() -> None:
    made = {row.public for row in CATALOGUE} & set(THEIR)
    assert made == set(NAMES) | (WRAPPERS | OWN_TESTS) & made
    assert set(THEIR) >= WRAPPERS | OWN_TESTS


def _flags(name: str) -> list[str]:
    parameters = inspect.signature(THEIR[name]).parameters.values()
    return [p.name for p in parameters if isinstance(p.default, bool)]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Specifying a key", "ignore:.*optimistic_adam")
@pytest.mark.parametrize("name", [name for name in NAMES if name not in DEPARTS and _numeric_arguments(name)])
def test_float64_updates_with_each_number_moved_are_optaxs(name: str) -> None:
    """Each number in turn takes its other value, in one program: all numbers are data, in optax too."""
    moved_too = [argument for argument in _numeric_arguments(name) if (name, argument) not in DEPARTS_IN]
    numbers = {argument: _numbers(name)[argument] for argument in moved_too}
    table = {
        argument: np.array([other if argument == moved else usual for moved in numbers], float)
        for argument, (usual, other) in numbers.items()
    }
    of_each = range(len(numbers))
    with jax.enable_x64(True):
        course = jax.tree.map(lambda leaf: leaf[2], _course("float64", FEWER))  # the MLP's

        def made(function: Any) -> Any:
            def one(values: Any) -> Any:
                return _updates(function(**{**_arguments(name), **values}), course, name in FOLLOW)

            if name not in NO_TRACERS:
                return jax.vmap(one)(table)
            members = [{argument: values[i].item() for argument, values in table.items()} for i in of_each]
            return jax.tree.map(lambda *leaves: jnp.stack(leaves), *map(one, members))

        ours, theirs = _compiled(lambda: (made(getattr(lrjax, name)), made(THEIR[name])))
    assert _difference(ours, theirs) <= _tolerance(name, "optax_float64_rtol")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*optimistic_adam")
@pytest.mark.parametrize(("name", "flag"), [(name, flag) for name in NAMES for flag in _flags(name)])
def test_float32_updates_with_each_flag_turned_are_optaxs(name: str, flag: str) -> None:
    turned = not inspect.signature(THEIR[name]).parameters[flag].default
    changes = {flag: turned, **WITH_FLAG.get((name, flag), {})}
    ours, theirs = _both(name, _course("float32", FEWER), **changes)
    assert _difference(ours, theirs) <= FLOAT32.get(name, _tolerance(name, "optax_float32_rtol"))
