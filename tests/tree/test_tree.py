"""`lrjax.tree` against `optax.tree`: same names, arguments and values; and what optax's overflows on."""

from __future__ import annotations

import inspect
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lrjax
from tests.running import assert_close

X = {"a": jnp.array([1.0, -2.0]), "b": [jnp.array(3.0)], "none": None}
Y = {"a": jnp.array([0.5, 4.0]), "b": [jnp.array(-1.0)], "none": None}
FUNCTIONS = sorted(n for n in lrjax.tree.__all__ if inspect.isfunction(getattr(lrjax.tree, n)))

# Optax's that lrjax has not: nothing but the list of what is missing.
MISSING = {
    "batch_shape",
    "dtype",
    "unwrap_random_key_data",
}


def test_the_names_are_optaxs_but_for_those_listed() -> None:
    theirs = {n for n, f in vars(optax.tree).items() if callable(f) and n[0] != "_"}
    assert theirs - set(FUNCTIONS) == MISSING
    assert set(FUNCTIONS) <= theirs


@pytest.mark.parametrize("name", FUNCTIONS)
def test_arguments_are_optaxs(name: str) -> None:
    def arguments(module: Any) -> list[Any]:
        parameters = inspect.signature(getattr(module, name)).parameters.values()
        return [(p.name, p.kind, p.default) for p in parameters]

    assert arguments(lrjax.tree) == arguments(optax.tree)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("add", (X, Y)),
        ("add", (X, Y, X)),
        ("sub", (X, Y)),
        ("mul", (X, Y)),
        ("div", (X, Y)),
        ("scale", (2.0, X)),
        ("add_scale", (X, 2.0, Y)),
        ("where", (True, X, Y)),
        ("clip", (X, -1.0, 2.0)),
        ("clip", (X, None, 2.0)),
        ("vdot", (X, Y)),
        ("sum", (X,)),
        ("sum", (X, True)),
        ("max", (X,)),
        ("min", (X,)),
        ("norm", (X,)),
        ("norm", (X, 2, True)),
        ("norm", (X, 1)),
        ("norm", (X, "inf")),
        ("norm", (X, jnp.inf)),
        ("conj", (X,)),
        ("real", (X,)),
        ("allclose", (X, Y)),
        ("allclose", (X, X)),
        ("cast", (X, "bfloat16")),
        ("cast_like", (X, jax.tree.map(lambda x: x.astype("bfloat16"), Y))),
        ("zeros_like", (X,)),
        ("ones_like", (X, "bfloat16")),
        ("full_like", (X, 2.5)),
        ("size", (X,)),
        ("update_moment", (X, Y, 0.9, 2)),
        ("update_infinity_moment", (X, Y, 0.9, 0.25)),
        ("update_moment_per_elem_norm", (X, Y, 0.9, 4)),
        ("bias_correction", (X, 0.5, jnp.int32(2))),
    ],
)
def test_values_are_optaxs(name: str, arguments: tuple[Any, ...]) -> None:
    ours, theirs = getattr(lrjax.tree, name)(*arguments), getattr(optax.tree, name)(*arguments)
    assert_close(ours, theirs, 1e-6)


def test_random_leaves_draw_from_keys_of_their_own() -> None:
    key, tree = jax.random.key(3), {"a": jnp.zeros(5), "b": jnp.zeros(5, "bfloat16")}
    ours, theirs = lrjax.tree.random_like(key, tree), optax.tree.random_like(key, tree)
    assert_close(ours, theirs, 0)
    assert not np.array_equal(ours["a"], ours["b"].astype("float32"))
    assert lrjax.tree.random_like(key, {}) == {}
    signs = lrjax.tree.random_like(key, tree, jax.random.rademacher, dtype=jnp.int32)
    assert set(np.asarray(signs["a"]).tolist()) <= {-1, 1}


def test_norms_do_not_overflow_and_sums_are_wide() -> None:
    assert float(lrjax.tree.norm({"a": jnp.full(4, 1e20)})) == pytest.approx(2e20)
    assert float(lrjax.tree.norm({"a": jnp.full(4, 300.0, "float16")})) == 600.0
    halves = {"a": jnp.full(4, 300.0, "float16")}
    assert float(lrjax.tree.vdot(halves, halves)) == 360_000.0
    assert float(lrjax.tree.norm({})) == 0.0
    with pytest.raises(ValueError, match=r"`tree.norm\(ord=...\)` must be None, 1, 2.*got 3"):
        lrjax.tree.norm(X, 3)


# states


def _optimizer(library: Any) -> Any:
    return library.chain(
        library.masked(library.trace(0.9), {"a": True, "b": False}),
        library.partition({"all": library.scale_by_adam()}, "all"),
        library.ema(0.9),
    )


PARAMS = {"a": jnp.ones((2, 3)), "b": jnp.ones(3)}


@pytest.mark.parametrize("key", ["count", "mu", "trace", "inner_state", "EmaState", "a", "all", "nothing"])
def test_values_are_found_as_in_optax(key: str) -> None:
    state = _optimizer(lrjax).init(PARAMS)
    found = lrjax.tree.get_all_with_path(state, key)
    expected = optax.tree.get_all_with_path(_optimizer(optax).init(PARAMS), key)
    assert [jax.tree_util.keystr(path) for path, _ in found] == [
        jax.tree_util.keystr(path) for path, _ in expected
    ]
    ours = [jax.tree.map(np.asarray, jax.tree.leaves(value)) for _, value in found]
    theirs = [jax.tree.map(np.asarray, jax.tree.leaves(value)) for _, value in expected]
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


def test_get_wants_one_value() -> None:
    state = _optimizer(lrjax).init(PARAMS)
    assert lrjax.tree.get(state, "nothing") is None
    assert lrjax.tree.get(state, "nothing", 3) == 3
    with pytest.raises(KeyError, match=r"2: .*ScaleByAdamState.count.*EmaState.count"):
        lrjax.tree.get(state, "count")

    def of_ema(path: Any, value: Any) -> bool:
        return isinstance(path[-1], lrjax.tree.NamedTupleKey) and path[-1].tuple_name == "EmaState"

    assert int(lrjax.tree.get(state, "count", filtering=of_ema)) == 0
    changed = lrjax.tree.set(state, of_ema, count=jnp.int32(7))
    assert [int(v) for _, v in lrjax.tree.get_all_with_path(changed, "count")] == [0, 7]
    assert [int(v) for _, v in lrjax.tree.get_all_with_path(state, "count")] == [0, 0]


def test_set_replaces_every_value_of_the_name_and_keeps_the_structure() -> None:
    state = _optimizer(lrjax).init(PARAMS)
    changed = lrjax.tree.set(state, count=jnp.int32(5), ema=PARAMS)
    assert jax.tree.structure(changed) == jax.tree.structure(state)
    assert {int(v) for _, v in lrjax.tree.get_all_with_path(changed, "count")} == {5}
    assert changed[2].ema is PARAMS
    with pytest.raises(KeyError, match=r"tree.set\(nothing=...\)"):
        lrjax.tree.set(state, nothing=1)


def test_states_of_other_libraries_are_searched_too() -> None:
    state = optax.inject_hyperparams(optax.adam)(0.5).init(PARAMS)
    assert float(lrjax.tree.get(state, "learning_rate", filtering=lambda p, v: jnp.ndim(v) == 0)) == 0.5


@pytest.mark.parametrize(
    "make",
    [
        lambda: lrjax.adamw(0.1),
        lambda: lrjax.MultiSteps(lrjax.apply_if_finite(lrjax.adam(0.1), 3), 2),
        lambda: lrjax.partition({"x": lrjax.adam(0.1), "y": lrjax.sgd(0.1, 0.9)}, {"a": "x", "b": "y"}),
        lambda: lrjax.selective_transform(lrjax.lion(0.1), freeze_mask={"a": True, "b": False}),
        lambda: lrjax.lbfgs(memory_size=3),
    ],
    ids=["adamw", "MultiSteps", "partition", "selective_transform", "lbfgs"],
)
def test_what_stands_for_parameters_is_told_from_what_does_not(make: Any) -> None:
    tx = make()
    state = tx.init(PARAMS)

    def no_part(x: Any) -> bool:
        return isinstance(x, lrjax.MaskedNode)

    marked = lrjax.tree.map_params(
        tx,
        lambda leaf, name: leaf if no_part(leaf) else name,
        state,
        {"a": "a", "b": "b"},
        transform_non_params=lambda leaf: "other",
        is_leaf=no_part,
    )
    assert jax.tree.structure(marked) == jax.tree.structure(state)
    for name, leaf in zip(jax.tree.leaves(marked), jax.tree.leaves(state), strict=True):
        if name == "other":
            assert leaf.size in (1, 3), "a count, a rate, a number of a search; weights of L-BFGS"
        else:
            assert leaf.shape[-PARAMS[name].ndim :] == PARAMS[name].shape
    assert {"other"} < set(jax.tree.leaves(marked))
    unchanged = lrjax.tree.map_params(tx.init, lambda leaf: leaf, state, is_leaf=no_part)
    assert_close(unchanged, state, 0)


def test_moments_of_magnitudes_are_real_and_never_negative() -> None:
    u, m = jnp.array([3.0 + 4.0j, -2.0]), jnp.zeros(2)
    for order in (1, 2, 3, 4):
        got = lrjax.tree.update_moment_per_elem_norm(u, m, 0.5, order)
        np.testing.assert_allclose(got, [0.5 * 5.0**order, 0.5 * 2.0**order], rtol=1e-6)
        ours = lrjax.tree.update_moment_per_elem_norm(u.real, m, 0.5, order)
        np.testing.assert_allclose(ours, [0.5 * 3.0**order, 0.5 * 2.0**order], rtol=1e-6)
    assert optax.tree.update_moment_per_elem_norm(u.real, m, 0.5, 3)[1] < 0


@pytest.mark.parametrize(
    "tx",
    [lrjax.prodigy(), lrjax.dog(), lrjax.schedule_free_sgd(), lrjax.mechanize(lrjax.sgd(1.0))],
    ids=["prodigy", "dog", "schedule_free", "mechanize"],
)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_parameters_are_found_in_states_that_keep_more_for_half_precision(tx: Any, dtype: str) -> None:
    params = {"w": jnp.ones((2, 3), dtype), "b": jnp.ones(3, dtype)}
    shapes = {"w": (2, 3), "b": (3,)}
    found = lrjax.tree.map_params(
        tx,
        lambda leaf, shape: leaf.shape == shape.value,
        tx.init(params),
        jax.tree.map(_Held, shapes, is_leaf=lambda x: isinstance(x, tuple)),
        transform_non_params=lambda leaf: None,
    )
    assert all(jax.tree.leaves(found))
    assert len(jax.tree.leaves(found)) >= 2 + 2 * (dtype == "bfloat16")


class _Held:
    """A value that is a leaf."""

    def __init__(self, value: Any) -> None:
        self.value = value
