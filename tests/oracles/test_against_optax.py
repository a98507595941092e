"""lrjax against optax: same names, arguments, defaults, state fields and trajectories."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest

import lrjax
from tests.catalogue import CATALOGUE, Row, rows
from tests.running import params_tree

STEPS = 50
WITH_OPTAX = rows(optax=lambda counterpart: counterpart is not None)
PUBLIC = sorted(
    {row.public for row in CATALOGUE if hasattr(optax, row.public) or hasattr(optax.contrib, row.public)}
)


@functools.cache
def _problem() -> tuple[Any, Any]:
    """Parameters and the stacked gradients of every step, as NumPy float32."""
    random = np.random.default_rng(11)
    params = jax.tree.map(np.asarray, params_tree())
    grads = [jax.tree.map(lambda p: random.normal(size=p.shape), params) for _ in range(STEPS)]
    return params, jax.tree.map(lambda *gs: np.stack(gs).astype(np.float32), *grads)


def _trajectory(row: Row, tx: Any, dtype: Any) -> list[np.ndarray]:
    """The updates of every step, by leaf, parameters following by optax's own `apply_updates`."""
    params, grads = jax.tree.map(lambda x: jnp.asarray(x, dtype), _problem())

    def step(carry: Any, g: Any) -> Any:
        params, state = carry
        updates, state = tx.update(g, state, params)
        params = optax.apply_updates(params, updates) if row.parameters_follow else params
        return (params, state), updates

    @jax.jit
    def run(params: Any, grads: Any) -> Any:
        return jax.lax.scan(step, (params, tx.init(params)), grads)[1]

    return [np.asarray(x, np.float64) for x in jax.tree.leaves(run(params, grads))]


def _assert_same(row: Row, numbers: dict[str, float], dtype: Any, rtol: float) -> None:
    ours = _trajectory(row, row.make(**numbers), dtype)
    theirs = _trajectory(row, row.optax(**numbers), dtype)
    for actual, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=0, atol=rtol * np.max(np.abs(expected)))


@pytest.mark.slow  # test_differential.py tries most defaults for longer
@pytest.mark.parametrize("row", WITH_OPTAX)
def test_float32_trajectory_with_defaults_is_optaxs(row: Row) -> None:
    numbers = {name: row.typical[name] for name in row.required}
    _assert_same(row, numbers, jnp.float32, row.optax_float32_rtol)


@pytest.mark.parametrize("row", WITH_OPTAX)
def test_float64_trajectory_with_other_numbers_is_optaxs(row: Row) -> None:
    with jax.enable_x64(True):
        _assert_same(row, row.others, jnp.float64, row.optax_float64_rtol)


def test_adadelta_without_a_rate_descends_where_optaxs_climbs() -> None:
    params, grads = jnp.array([1.0, -2.0]), jnp.array([0.5, -0.25])
    ours, theirs = lrjax.adadelta(), optax.adadelta()
    down, _ = ours.update(grads, ours.init(params), params)
    up, _ = theirs.update(grads, theirs.init(params), params)
    assert np.all(np.asarray(down * grads) < 0)
    np.testing.assert_allclose(down, -up, rtol=1e-6)


def _shape_of_state(state: Any) -> Any:
    """Class names and fields of a state, its tuples as lists; the learning rate's owner left open."""
    if isinstance(state, lrjax.ScaleByLearningRateState):
        return "rate"
    if hasattr(state, "_fields"):
        fields = [(name, _shape_of_state(getattr(state, name))) for name in state._fields]
        return type(state).__name__, fields
    if isinstance(state, tuple):
        return [_shape_of_state(child) for child in state]
    return "leaves"


def _with_rate_open(ours: Any, theirs: Any) -> Any:
    """Their shape with "rate" where ours has the one sanctioned departure."""
    if ours == "rate":
        return "rate"
    if isinstance(ours, (list, tuple)) and type(ours) is type(theirs) and len(ours) == len(theirs):
        return type(ours)(_with_rate_open(o, t) for o, t in zip(ours, theirs, strict=True))
    return theirs


def _without(fields: tuple[str, ...], shape: Any) -> Any:
    """A shape without some fields of its outermost class."""
    if not fields or isinstance(shape, list):
        return shape
    return shape[0], [field for field in shape[1] if field[0] not in fields]


@pytest.mark.parametrize("row", WITH_OPTAX)
def test_state_has_optaxs_classes_and_fields(row: Row) -> None:
    ours = _without(row.more_fields, _shape_of_state(row.tx().init(params_tree())))
    theirs = _shape_of_state(row.optax(**row.typical).init(params_tree()))
    theirs = [theirs, "rate"] if row.rate_beside else theirs
    assert ours == _with_rate_open(ours, theirs)


def _dtypes_by_field(state: Any) -> dict[str, set[Any]]:
    """Field that holds a leaf -> the dtypes there; the learning rate's owner left out."""
    found: dict[str, set[Any]] = {}
    rate_states = lrjax.get_learning_rates(state)
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        fields = [entry.name for entry in path if isinstance(entry, jax.tree_util.GetAttrKey)]
        if not any(jax.tree_util.keystr(path).startswith(rate) for rate in rate_states if rate != "."):
            found.setdefault(fields[-1] if fields else "", set()).add(leaf.dtype)
    return found


@pytest.mark.parametrize("row", WITH_OPTAX)
def test_half_precision_state_is_wider_than_optaxs_only_where_the_row_says_so(row: Row) -> None:
    params = params_tree(jnp.bfloat16)
    if "." in lrjax.get_learning_rates(row.tx().init(params)):
        return  # nothing but the learning rate's owner
    ours = _dtypes_by_field(row.tx().init(params))
    theirs = _dtypes_by_field(row.optax(**row.typical).init(params))
    ours = {name: dtypes for name, dtypes in ours.items() if name not in row.more_fields}
    expected = {name: {jnp.dtype("float32")} if name in row.wide_fields else d for name, d in theirs.items()}
    assert ours == expected
    assert set(row.wide_fields) <= {name for name in theirs if theirs[name] == {jnp.dtype("bfloat16")}}
    assert set(row.wide_fields) <= set(row.departures), "a wider field is a departure: say why"


def test_a_wide_gradient_of_a_narrow_parameter_is_rounded_once_as_in_optax() -> None:
    params = params_tree(jnp.bfloat16)
    updates = jax.tree.map(lambda p: jnp.full(p.shape, 1e-3, jnp.float32), params)
    ours, theirs = lrjax.apply_updates(params, updates), optax.apply_updates(params, updates)
    assert jax.tree.map(lambda x: x.dtype, ours) == jax.tree.map(lambda x: x.dtype, theirs)
    for actual, expected in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_array_equal(np.asarray(actual, np.float32), np.asarray(expected, np.float32))
