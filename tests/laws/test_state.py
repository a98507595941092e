"""What the state is made of, and that it is the same before and after every update."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrjax
from tests.catalogue import Row, rows, seldom
from tests.running import gradients, params_tree, take_steps

DTYPES = ("float32", "bfloat16", "float16")
SCALARS = {jnp.dtype("float32"), jnp.dtype("int32"), jnp.dtype("bool")}


def _types(tree: Any) -> Any:
    """Structure with shape, dtype and weak type at the leaves."""
    abstract = jax.eval_shape(lambda: tree)
    leaves, structure = jax.tree.flatten(abstract)
    return structure, [(x.shape, x.dtype, x.weak_type) for x in leaves]


def _assert_stable(tx: Any, params: Any, grads: Any) -> None:
    state = tx.init(params)
    updates, new_state = jax.eval_shape(tx.update, grads, state, params)
    assert _types(new_state) == _types(state)
    assert _types(updates) == _types(grads)
    assert not any(x.weak_type for x in jax.tree.leaves(jax.eval_shape(lambda: state)))


def _assert_scalars(row: Row, dtype: str) -> None:
    """Every number without axes, given that no parameter is one; flags and random keys are none."""
    state = row.tx().init(params_tree(dtype))
    scalars = [x for x in jax.tree.leaves(state) if jnp.ndim(x) == 0]
    wider = {jnp.dtype(dtype)} if row.wide_scalars and dtype == "float64" else set()
    assert {x.dtype for x in scalars if jnp.issubdtype(x.dtype, jnp.number)} <= SCALARS | wider
    others = {x.dtype for x in scalars if not jnp.issubdtype(x.dtype, jnp.number)}
    assert all(dtype == jnp.dtype("bool") or jnp.issubdtype(dtype, jax.dtypes.prng_key) for dtype in others)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("row", rows())
def test_types_do_not_change_between_init_and_update(row: Row, dtype: str) -> None:
    """Scalars in the state are float32, int32 or flags."""
    _assert_stable(row.tx(), params_tree(dtype), gradients(dtype)[0])
    _assert_scalars(row, dtype)


@pytest.mark.parametrize("row", rows(complex_numbers=bool))
def test_types_do_not_change_with_complex_leaves(row: Row) -> None:
    _assert_stable(row.tx(), params_tree("complex64"), gradients("complex64")[0])


@pytest.mark.parametrize(
    ("params_dtype", "gradients_dtype"), [("bfloat16", "float32"), ("float32", "bfloat16")]
)
@pytest.mark.parametrize("row", rows())
def test_updates_have_the_gradients_dtype_when_parameters_have_another(
    row: Row, params_dtype: str, gradients_dtype: str
) -> None:
    _assert_stable(row.tx(), params_tree(params_dtype), gradients(gradients_dtype)[0])


@pytest.mark.parametrize(
    "as_number", [jnp.float32, *seldom(np.float64, np.array)], ids=["jax", "numpy", "0-d"]
)
@pytest.mark.parametrize("row", rows(numbers=bool))
def test_strongly_typed_numbers_change_no_types(row: Row, as_number: Any) -> None:
    tx = row.make(**{name: as_number(value) for name, value in row.typical.items()})
    _assert_stable(tx, params_tree("bfloat16"), gradients("bfloat16")[0])


@pytest.mark.parametrize("dtype", ["float32", "float64", *seldom("bfloat16", "float16")])
@pytest.mark.parametrize("row", rows())
def test_types_do_not_change_under_x64(row: Row, dtype: str) -> None:
    with jax.enable_x64(True):
        params, grads = params_tree(dtype), gradients(dtype)[0]
        _assert_stable(row.tx(), params, grads)
        _assert_stable(row.make(**{n: jnp.asarray(x) for n, x in row.typical.items()}), params, grads)
        _assert_scalars(row, dtype)


@pytest.mark.parametrize("row", rows(numbers=lambda numbers: "learning_rate" in numbers, rates=bool))
def test_the_rate_recorded_is_the_rate_given_and_the_override_is_unset(row: Row) -> None:
    _, state = take_steps(row.tx(), params_tree("bfloat16"), gradients("bfloat16"))
    owners = [s for s in jax.tree.leaves(state, is_leaf=_owns_rate) if _owns_rate(s)]
    assert len(owners) == row.rates
    for owner in owners:
        assert float(owner.learning_rate) == row.typical["learning_rate"]
        assert owner.override.dtype == jnp.float32
        assert np.isnan(owner.override)


def _owns_rate(x: Any) -> bool:
    return isinstance(x, lrjax.ScaleByLearningRateState)
