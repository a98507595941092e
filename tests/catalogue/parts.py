"""Rows of what treats parts of the tree differently, lays it out anew, or watches it."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax

import lrjax
from tests.catalogue.row import Row, matrices, row
from tests.oracles import papers, wrappers

DECAY = {"decay": (0.9, 0.5)}
TWO = {"first": (0.9, 0.5), "second": (0.5, 0.25)}


def _named(library: Any, first: Any, second: Any) -> Any:
    return library.named_chain(("first", library.trace(first)), ("second", library.trace(second)))


def _labels(tree: Any) -> Any:
    return jax.tree.map(lambda x: "matrix" if jnp.ndim(x) >= 2 else "vector", tree)


def _parts(library: Any, name: str, first: Any, second: Any) -> Any:
    transforms = {"matrix": library.trace(first), "vector": library.trace(second)}
    return getattr(library, name)(transforms, _labels)


def _largest(updates: Any) -> Any:
    leaves = jax.tree.leaves(updates)
    sizes = [jnp.max(jnp.abs(x)).astype(jnp.float32) for x in leaves]
    return jnp.max(jnp.stack(sizes)) if leaves else jnp.zeros((), jnp.float32)


ROWS: tuple[Row, ...] = (
    Row(
        "named_chain",
        "named_chain",
        functools.partial(_named, lrjax),
        numbers=TWO,
        required=tuple(TWO),
        optax=functools.partial(_named, optax),
    ),
    Row(
        "partition",
        "partition",
        functools.partial(_parts, lrjax, "partition"),
        numbers=TWO,
        required=tuple(TWO),
        optax=functools.partial(_parts, optax, "partition"),
        oracle=lambda gradients, theta, *, first, second: papers.trace(gradients, theta, decay=second),
    ),
    Row(
        "multi_transform",
        "multi_transform",
        functools.partial(_parts, lrjax, "multi_transform"),
        numbers=TWO,
        required=tuple(TWO),
        optax=functools.partial(_parts, optax, "multi_transform"),
    ),
    row("set_to_zero", oracle=wrappers.set_to_zero, waits=True),
    Row(  # optax's takes no callable, and the laws' trees differ
        "freeze",
        "freeze",
        lambda: lrjax.freeze(matrices),
        waits=True,
    ),
    Row("freeze[all]", "freeze", lambda: lrjax.freeze(True), optax=lambda: optax.freeze(True), waits=True),
    Row(
        "selective_transform",
        "selective_transform",
        lambda decay: lrjax.selective_transform(lrjax.trace(decay), freeze_mask=matrices),
        numbers=DECAY,
        required=("decay",),
        waits=True,
    ),
    Row(
        "selective_transform[none]",
        "selective_transform",
        lambda decay: lrjax.selective_transform(lrjax.trace(decay), freeze_mask=False),
        numbers=DECAY,
        required=("decay",),
        optax=lambda decay: optax.selective_transform(optax.trace(decay), freeze_mask=False),
        oracle=papers.trace,
    ),
    Row(
        "flatten",
        "flatten",
        lambda decay: lrjax.flatten(lrjax.trace(decay)),
        numbers=DECAY,
        required=("decay",),
        optax=lambda decay: optax.flatten(optax.trace(decay)),
        oracle=papers.trace,
    ),
    Row(
        "snapshot",
        "snapshot",
        lambda: lrjax.snapshot("largest", _largest),
        optax=lambda: optax.snapshot("largest", _largest),
        oracle=papers.identity,
    ),
    Row(  # optax's state changes its structure with the first update
        "monitor",
        "monitor",
        lambda: lrjax.monitor({"largest": _largest, "mean": lrjax.measure_with_ema(_largest, 0.9)}),
        oracle=papers.identity,
    ),
    row("zero_nans", oracle=papers.identity),
    row(
        "keep_params_nonnegative",
        oracle=wrappers.keep_params_nonnegative,
        needs_params=True,
        complex_numbers=False,
        waits=True,
    ),
    row("centralize", oracle=papers.identity),
    row(
        "scale_by_schedule",
        static={"step_size_fn": lambda step: 1 / (1 << step % 4)},
        oracle=wrappers.scale_by_halving,
    ),
)
