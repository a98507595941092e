"""The surface of optax, read from the installed package: what lrjax has of it has the same arguments.

What is missing stands in two tables, which shrink: a name that lrjax has must leave them.
"""

from __future__ import annotations

import inspect
from typing import Any

import jax
import optax
import pytest

import lrjax

# Losses, projections, assignment, perturbations, privacy and microbatches stay optax's: they compose.
OUT_OF_SCOPE = {
    "convex_kl_divergence",
    "cosine_distance",
    "cosine_similarity",
    "ctc_loss",
    "ctc_loss_with_forward_probs",
    "generalized_kl_divergence",
    "hinge_loss",
    "huber_loss",
    "kl_divergence",
    "l2_loss",
    "log_cosh",
    "matrix_inverse_pth_root",
    "microbatch",
    "multi_normal",
    "nnls",
    "ntxent",
    "per_example_global_norm_clip",
    "per_example_layer_norm_clip",
    "power_iteration",
    "safe_softmax_cross_entropy",
    "scale_gradient",
    "sigmoid_binary_cross_entropy",
    "sigmoid_focal_loss",
    "smooth_labels",
    "softmax_cross_entropy",
    "softmax_cross_entropy_with_integer_labels",
    "squared_error",
}
OUT_OF_SCOPE_CONTRIB = {
    "differentially_private_aggregate",
    "dpsgd",
}

# What optax calls otherwise here, and where it is.
ELSEWHERE = {
    "bias_correction": "lrjax.tree.bias_correction",
    "tree_map_params": "lrjax.tree.map_params",
    "update_infinity_moment": "lrjax.tree.update_infinity_moment",
    "update_moment": "lrjax.tree.update_moment",
    "update_moment_per_elem_norm": "lrjax.tree.update_moment_per_elem_norm",
}

MISSING: set[str] = set()
MISSING_CONTRIB: set[str] = set()

# Keywords that optax does not have.
MORE_KEYWORDS = {
    "adafactor": "relative_step",
    "adan": "look_ahead",
    "dadapt_adamw": "bias_correction",
    "polynomial_schedule": "cycle",
    "prodigy": "bias_correction",
    "scale_by_adan": "look_ahead",
}
# State fields that optax does not have, after those it has.
MORE_FIELDS = {"MechanicState": ("delta",), "ScheduleFreeState": ("x",)}


def _public(module: Any) -> dict[str, Any]:
    """Functions, and classes that are called as functions are; no states, types or tools of tools."""
    found = {}
    for name, value in vars(module).items():
        if name.startswith("_") or inspect.ismodule(value):
            continue
        if inspect.isfunction(value) or name == "MultiSteps":
            found[name] = value
    return found


THEIRS, THEIR_CONTRIB = _public(optax), _public(optax.contrib)


def _ours(name: str, contrib: bool = False) -> Any:
    namespace = getattr(lrjax, "contrib", None) if contrib else lrjax
    return getattr(namespace, name, getattr(lrjax, name, None))


def _arguments(function: Any) -> list[Any]:
    """Names, kinds and defaults; transformations, functions and arrays have no equality, so what they are."""

    def shown(default: Any) -> Any:
        if hasattr(default, "update"):
            return "a transformation"
        if inspect.isfunction(default):
            return "a function"
        return f"an array {default}" if isinstance(default, jax.Array) else default

    parameters = inspect.signature(function).parameters.values()
    return [(p.name, p.kind, shown(p.default)) for p in parameters]


SHARED = {name for name in THEIRS if _ours(name) is not None}
SHARED_CONTRIB = {name for name in THEIR_CONTRIB if _ours(name, contrib=True) is not None}


@pytest.mark.parametrize(
    ("name", "contrib"), [*((n, False) for n in sorted(SHARED)), *((n, True) for n in sorted(SHARED_CONTRIB))]
)
def test_arguments_are_optaxs(name: str, contrib: bool) -> None:
    theirs = (THEIR_CONTRIB if contrib else THEIRS)[name]
    ours = _arguments(_ours(name, contrib))
    if name in MORE_KEYWORDS:
        more = [argument for argument in ours if argument[0] == MORE_KEYWORDS[name]]
        assert [kind for _, kind, _ in more] == [inspect.Parameter.KEYWORD_ONLY], "optax's go by position too"
        ours.remove(more[0])
    assert ours == _arguments(theirs)


def test_what_is_missing_is_listed_and_no_more() -> None:
    assert set(THEIRS) - SHARED - OUT_OF_SCOPE - set(ELSEWHERE) == MISSING
    assert set(THEIR_CONTRIB) - SHARED_CONTRIB - OUT_OF_SCOPE_CONTRIB == MISSING_CONTRIB


def test_what_is_out_of_scope_is_optaxs_and_not_here() -> None:
    assert set(THEIRS) >= OUT_OF_SCOPE
    assert set(THEIR_CONTRIB) >= OUT_OF_SCOPE_CONTRIB
    assert [name for name in OUT_OF_SCOPE if _ours(name) is not None] == []
    assert [name for name in ELSEWHERE if _ours(name) is not None] == []


@pytest.mark.parametrize("place", ELSEWHERE.values())
def test_what_is_elsewhere_is_there(place: str) -> None:
    value = lrjax
    for part in place.split(".")[1:]:
        value = getattr(value, part)
    assert callable(value)


def test_states_of_the_same_name_have_the_same_fields() -> None:
    states = {n: c for n, c in vars(lrjax).items() if inspect.isclass(c) and hasattr(c, "_fields")}
    theirs = {n: getattr(optax, n, getattr(optax.contrib, n, None)) for n in states}
    shared = {n for n, c in theirs.items() if hasattr(c, "_fields")}
    assert len(shared) > 20
    fields = {n: theirs[n]._fields + MORE_FIELDS.get(n, ()) for n in shared}
    assert {n: states[n]._fields for n in shared} == fields
