"""Compiled is eager: jit, scan, and vmap over every number at once."""

from __future__ import annotations

import functools
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.catalogue import CATALOGUE, Row, rows
from tests.running import assert_close, gradients, params_tree, scan_steps, stack, take_steps

_NAMES = {row.name for row in CATALOGUE}


def _is_told_elsewhere(row: Row) -> bool:
    """Whether a plainer row, or a recipe around it, has the same rule and numbers."""
    return "[" in row.name or row.name.removeprefix("scale_by_") in _NAMES - {row.name}


def _float32_exact(numbers: dict[str, float]) -> dict[str, float]:
    """Numbers that are the same as Python floats and as float32 tracers."""
    return {name: float(np.float32(value)) for name, value in numbers.items()}


@functools.cache
def _eager(row: Row) -> tuple[Any, Any]:
    return take_steps(row.make(**_float32_exact(row.typical)), params_tree(), gradients())


@pytest.mark.parametrize("row", rows(slow=_is_told_elsewhere))
def test_jit_is_eager_and_traces_once(row: Row) -> None:
    tx = row.make(**_float32_exact(row.typical))
    chex.clear_trace_counter()
    update = jax.jit(chex.assert_max_traces(tx.update, n=1))
    compiled = take_steps(tx, params_tree(), gradients(), update=update)
    assert_close(compiled, _eager(row), row.compiled_rtol)


@pytest.mark.parametrize("row", rows(slow=lambda row: bool(row.numbers)))
def test_scan_is_the_python_loop(row: Row) -> None:
    """Rows with numbers are scanned by the next law too."""
    tx = row.make(**_float32_exact(row.typical))
    updates, state = jax.jit(lambda params, grads: scan_steps(tx, params, grads))(params_tree(), gradients())
    trajectory, last_state = _eager(row)
    assert_close((updates, state), (stack(trajectory), last_state), row.compiled_rtol)


@pytest.mark.parametrize("row", rows(slow=_is_told_elsewhere, numbers=bool))
def test_vmap_over_every_number_is_the_loop_over_its_values(row: Row) -> None:
    typical, others = _float32_exact(row.typical), _float32_exact(row.others)
    # The first member is typical; each of the others has one number changed.
    points = [typical, *({**typical, name: others[name]} for name in typical)]
    params, grads = params_tree(), gradients(steps=row.steps)

    @jax.jit
    @jax.vmap
    def together(numbers: dict[str, jax.Array]) -> Any:
        return scan_steps(row.make(**numbers), params, grads)

    batch = {name: jnp.asarray([point[name] for point in points], jnp.float32) for name in typical}
    members = together(batch)
    alone = []
    for i, point in enumerate(points):
        trajectory, state = take_steps(row.make(**point), params, grads)
        alone.append(stack(trajectory))
        member = jax.tree.map(lambda x, i=i: x[i], members)
        assert_close(member, (alone[-1], state), row.compiled_rtol)
    for name, changed in zip(typical, alone[1:], strict=True):
        if name in row.idle:
            continue
        same = jax.tree.map(np.array_equal, changed, alone[0])
        assert not all(jax.tree.leaves(same)), f"the catalogue's other `{name}` changes nothing"
