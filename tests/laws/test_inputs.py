"""Every kind of tree and gradient that training meets."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.catalogue import Row, rows, seldom
from tests.running import assert_close, assert_equal, gradients, params_tree, plain, take_steps


def _times(factor: Any, tree: Any) -> Any:
    return jax.tree.map(lambda x: factor * x, tree)


@pytest.mark.parametrize("row", rows())
def test_unknown_keywords_are_ignored(row: Row) -> None:
    unknown = {n: x for n, x in {"value": jnp.array(3.0), "foo": "bar"}.items() if n not in row.signals}
    extra = take_steps(row.tx(), params_tree(), gradients(), **unknown)
    assert_equal(extra, plain(row))


@pytest.mark.parametrize("row", rows(needs_params=lambda needs: not needs))
def test_parameters_can_be_left_out_where_they_are_not_needed(row: Row) -> None:
    without = take_steps(row.tx(), params_tree(), gradients(), update=lambda g, s, p: row.tx().update(g, s))
    assert_equal(without, plain(row))


@pytest.mark.parametrize("row", rows(needs_params=bool))
def test_missing_parameters_are_named_where_they_are_needed(row: Row) -> None:
    tx = row.tx()
    with pytest.raises(ValueError, match=r"params=\.\.\..*needs them.*got None"):
        tx.update(gradients()[0], tx.init(params_tree()))


def _assert_finite(tree: Any) -> None:
    """Every number is, but for a learning rate's override, which is NaN while unset."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        name = jax.tree_util.keystr(path)
        assert name.endswith(".override") or np.all(jnp.isfinite(leaf)), name


@pytest.mark.parametrize("dtype", ["float16", *seldom("float32", "bfloat16")])
@pytest.mark.parametrize("row", rows())
def test_zero_gradients_stay_finite(row: Row, dtype: str) -> None:
    params = params_tree(dtype)
    _assert_finite(take_steps(row.tx(), params, [_times(0, params)] * 2))


@pytest.mark.parametrize("row", rows(edge=bool))
def test_zero_gradients_stay_finite_at_the_edge_of_the_numbers(row: Row) -> None:
    params = params_tree()
    _assert_finite(take_steps(row.tx(**row.edge), params, [_times(0, params)] * 2))


@pytest.mark.parametrize("row", rows(finite_on_a_line=bool))
def test_a_gradient_that_never_changes_stays_finite(row: Row) -> None:
    """Its variance is 0, and what rounding makes of it may be less."""
    tx, params = row.tx(), params_tree()
    grads = jax.tree.map(lambda p: 9.7 + jnp.arange(p.size, dtype=p.dtype).reshape(p.shape), params)

    @jax.jit
    def run() -> Any:
        def step(state: Any, _: None) -> Any:
            updates, state = tx.update(grads, state, params)
            return state, updates

        return jax.lax.scan(step, tx.init(params), None, length=200)

    _assert_finite(run())


@pytest.mark.parametrize("row", rows(rests_at_zero_gradient=bool))
def test_one_zero_gradient_among_others_stays_finite_and_harms_none(row: Row) -> None:
    params = {"live": jnp.ones(2), "dead": jnp.zeros(2)}
    grads = [{"live": jnp.array([0.5, -2.0]), "dead": jnp.zeros(2)}] * 2
    trajectory, _ = take_steps(row.tx(), params, grads)
    alone, _ = take_steps(row.tx(), {"live": params["live"]}, [{"live": g["live"]} for g in grads])
    for both, one in zip(trajectory, alone, strict=True):
        np.testing.assert_array_equal(both["dead"], np.zeros(2))
        np.testing.assert_array_equal(both["live"], one["live"])


@pytest.mark.parametrize("tree", [{}, ()], ids=["dict", "tuple"])
@pytest.mark.parametrize("row", rows())
def test_an_empty_tree_passes(row: Row, tree: Any) -> None:
    tx = row.tx()
    state = tx.init(tree)
    updates, new_state = tx.update(tree, state, tree)
    assert updates == tree
    assert jax.tree.structure(new_state) == jax.tree.structure(state)


@pytest.mark.parametrize("row", rows())
def test_leaves_that_are_none_stay_none_and_harm_none(row: Row) -> None:
    params = {**params_tree(), "frozen": None}
    trajectory, _ = take_steps(row.tx(), params, [{**g, "frozen": None} for g in gradients()])
    assert_equal(trajectory, [{**updates, "frozen": None} for updates in plain(row)[0]])


@pytest.mark.parametrize("row", rows(complex_numbers=bool))
def test_complex_gradients_on_the_real_line_are_real_ones(row: Row) -> None:

    def lift(tree: Any) -> Any:
        return jax.tree.map(lambda x: x.astype("complex64"), tree)

    lifted, _ = take_steps(row.tx(), lift(params_tree()), lift(gradients()))
    assert_close(lifted, lift(plain(row)[0]), row.compiled_rtol)


@pytest.mark.parametrize("row", rows(complex_numbers=bool))
def test_turning_complex_gradients_turns_the_updates(row: Row) -> None:
    """Squared magnitudes do not see a phase; squares would."""
    phase = jnp.asarray(np.exp(0.7j), "complex64")
    params, grads = params_tree("complex64"), gradients("complex64")
    updates, _ = take_steps(row.tx(), params, grads)
    turned, _ = take_steps(row.tx(), _times(phase, params), _times(phase, grads))
    assert_close(turned, _times(phase, updates), 3e-6)


def _in_float32(row: Row, dtype: Any, steps: int) -> list[Any]:
    """Updates from trees of `dtype`, as float32; the parameters stay put."""
    tx, params = row.tx(), params_tree(dtype)
    state, trajectory = tx.init(params), []
    for g in gradients(dtype, steps):
        updates, state = tx.update(g, state, params)
        trajectory.append(jax.tree.map(lambda u: u.astype(jnp.float32), updates))
    return trajectory


@pytest.mark.parametrize("dtype", ["bfloat16", *seldom("float16")])
@pytest.mark.parametrize("row", rows(must_follow=lambda must: not must))
def test_half_precision_is_float32_up_to_the_rounding_of_what_is_stored(row: Row, dtype: str) -> None:
    rtol = 2 * float(jnp.finfo(dtype).eps)
    assert_close(_in_float32(row, dtype, 3), _in_float32(row, "float32", 3), rtol)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("row", rows(descends=lambda descends: not descends))
def test_the_first_half_precision_step_of_an_ingredient_is_rounded_once(row: Row, dtype: str) -> None:
    """What is stored is still 0; half a unit in the last place is then all there is."""
    rtol = 0.501 * float(jnp.finfo(dtype).eps)
    assert_close(_in_float32(row, dtype, 1), _in_float32(row, "float32", 1), rtol)
