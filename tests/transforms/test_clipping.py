"""Clipping at the edges: zeros, overflow, units of every shape, and what is said of bad numbers."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lrjax


def _update(tx: Any, grads: Any, params: Any = None) -> Any:
    return tx.update(grads, tx.init(grads if params is None else params), params)[0]


ZERO_BOUNDS = {
    "clip": lrjax.clip(0.0),
    "clip_by_global_norm": lrjax.clip_by_global_norm(0.0),
    "clip_by_block_rms": lrjax.clip_by_block_rms(0.0),
    "adaptive_grad_clip": lrjax.adaptive_grad_clip(0.0),
}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("tx", ZERO_BOUNDS.values(), ids=ZERO_BOUNDS)
def test_a_bound_of_zero_gives_zeros(tx: Any, dtype: str) -> None:
    """Also of zeros, where optax's clip_by_global_norm divides zero by zero."""
    for grads in (jnp.zeros((2, 3), dtype), jnp.ones((2, 3), dtype)):
        np.testing.assert_array_equal(_update(tx, grads, grads).astype("float32"), np.zeros((2, 3)))


@pytest.mark.parametrize(
    ("dtype", "size", "bound"),
    [("float32", 1e20, 1.0), ("float32", 1e-30, 1e-31), ("bfloat16", 1e20, 1.0), ("float16", 300.0, 1.0)],
)
def test_norms_neither_overflow_nor_vanish(dtype: str, size: float, bound: float) -> None:
    """Four equal elements, whose squares leave the range of their dtype."""
    grads = jnp.full((2, 2), size, dtype)
    params = jnp.zeros_like(grads)
    for tx, element in (
        (lrjax.clip_by_global_norm(bound), bound / 2),
        (lrjax.clip_by_block_rms(bound), bound),
        (lrjax.adaptive_grad_clip(bound, eps=1.0), bound / 2**0.5),
    ):
        updates = np.asarray(_update(tx, grads, params), np.float64)
        np.testing.assert_allclose(updates, np.full((2, 2), element), rtol=1e-3)
    np.testing.assert_allclose(float(lrjax.global_norm({"g": grads})), 2 * size, rtol=5e-3)


@pytest.mark.parametrize("bound", [0.0, 1.0])
def test_a_gradient_that_is_not_finite_is_not_hidden(bound: float) -> None:
    grads = jnp.array([jnp.nan, 1.0])
    for tx in (lrjax.clip(bound), lrjax.clip_by_global_norm(bound), lrjax.clip_by_block_rms(bound)):
        assert np.isnan(_update(tx, grads)[0])


SHAPES = [(), (1,), (5,), (1, 5), (5, 1), (2, 3), (2, 3, 4), (3, 3, 2, 4), (2, 1, 3, 2, 4)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_units_are_optaxs(shape: tuple[int, ...]) -> None:
    random = np.random.default_rng(1)
    params, grads = (jnp.asarray(random.normal(size=shape), jnp.float32) for _ in range(2))
    ours, theirs = lrjax.adaptive_grad_clip(0.3), optax.adaptive_grad_clip(0.3)
    expected = np.asarray(theirs.update(grads, theirs.init(params), params)[0])
    np.testing.assert_allclose(_update(ours, grads, params), expected, rtol=2e-6)
    assert not np.array_equal(expected, grads)


def test_units_of_other_shapes_are_named_by_their_axes() -> None:
    grads = jnp.array([[3.0, 4.0], [6.0, 8.0]])
    params = jnp.ones_like(grads)
    rows = _update(lrjax.adaptive_grad_clip(1.0, axis=1), grads, params)
    np.testing.assert_allclose(jnp.linalg.norm(rows, axis=1), [2**0.5] * 2, rtol=1e-6)
    whole = _update(lrjax.adaptive_grad_clip(1.0, axis=(0, 1)), grads, params)
    np.testing.assert_allclose(jnp.linalg.norm(whole), 2.0, rtol=1e-6)


def test_a_bound_per_member_of_a_vmap() -> None:
    grads = jnp.array([3.0, 4.0])
    norms = jax.vmap(lambda c: lrjax.global_norm(_update(lrjax.clip_by_global_norm(c), grads)))(
        jnp.array([0.0, 1.0, 10.0])
    )
    np.testing.assert_allclose(norms, [0.0, 1.0, 5.0], rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: lrjax.clip(-1.0), r"`clip\(max_delta=...\)` must be one number >= 0, got -1.0"),
        (lambda: lrjax.clip_by_global_norm("1"), r"`clip_by_global_norm\(max_norm=...\)`.*got '1'"),
        (lambda: lrjax.clip_by_block_rms(jnp.nan), r"`clip_by_block_rms\(threshold=...\)`.*got nan"),
        (lambda: lrjax.adaptive_grad_clip(0.1, eps=0), r"`adaptive_grad_clip\(eps=...\)`.*> 0, got 0.0"),
    ],
)
def test_a_bad_number_is_named(make: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        make()
