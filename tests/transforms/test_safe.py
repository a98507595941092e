"""Counts, norms and roots that are safe, against NumPy and optax; and what optax's overflow on."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lrjax

X = jnp.array([[3.0, -4.0, 0.0], [0.0, 0.0, 0.0], [1.0, 2.0, -2.0]])


@pytest.mark.parametrize("increment", [lrjax.safe_increment, lrjax.safe_int32_increment])
@pytest.mark.parametrize("dtype", ["int8", "int32", "uint32", "float16", "float32"])
def test_a_count_stays_at_the_largest(increment: Any, dtype: str) -> None:
    info = jnp.iinfo(dtype) if jnp.issubdtype(dtype, jnp.integer) else jnp.finfo(dtype)
    counts = jnp.array([0, 7, info.max], dtype)
    got = increment(counts)
    assert got.dtype == counts.dtype
    np.testing.assert_array_equal(got, jnp.array([1, 8, info.max], dtype))
    np.testing.assert_array_equal(got, optax.safe_increment(counts))
    with pytest.raises(TypeError, match=r"`safe_increment\(count=\.\.\.\)` must be integers or floats"):
        increment(1j)


@pytest.mark.parametrize(
    ("ord", "axis"),
    [(None, None), (None, 1), (1, 0), (3, 1), (0, 1), (jnp.inf, 1), ("fro", (0, 1)), ("nuc", (0, 1))],
)
@pytest.mark.parametrize("keepdims", [False, True])
def test_norms_are_numpys_and_optaxs(ord: Any, axis: Any, keepdims: bool) -> None:
    got = lrjax.safe_norm(X, 0.5, ord, axis, keepdims)
    x = np.asarray(X, np.float64)
    want = np.maximum(np.linalg.norm(x, ord, axis, keepdims), 0.5)
    np.testing.assert_allclose(got, want, rtol=1e-6)
    if ord == "nuc":
        return  # the gradient of singular values is not defined where two are equal
    (ours, theirs) = (
        jax.grad(lambda x, f=f: jnp.sum(f(x, 0.5, ord, axis, keepdims)))(X)
        for f in (lrjax.safe_norm, optax.safe_norm)
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-7)


def test_norms_neither_overflow_nor_vanish_and_have_gradients_at_zero() -> None:
    for x in (jnp.array([3e30, -4e30]), jnp.array([3e-30, -4e-30]), jnp.array([300, -400], jnp.float16)):
        size = float(jnp.max(jnp.abs(x)))
        np.testing.assert_allclose(float(lrjax.safe_norm(x, 0.0)), 1.25 * size, rtol=1e-3)
        np.testing.assert_allclose(jax.grad(lrjax.safe_norm)(x, 0.0), [0.6, -0.8], rtol=1e-3)
        rms = lrjax.safe_root_mean_squares(x, 0.0)
        np.testing.assert_allclose(float(rms), 1.25 * size / np.sqrt(2), rtol=1e-3)
        assert rms.dtype == x.dtype
    assert np.isinf(optax.safe_norm(jnp.array([3e30, -4e30]), 0.0))
    for f in (lrjax.safe_norm, lrjax.safe_root_mean_squares):
        np.testing.assert_array_equal(jax.grad(f)(jnp.zeros(3), 0.0), np.zeros(3))
        assert float(f(jnp.zeros(3), 0.25)) == 0.25


def test_roots_are_optaxs_also_of_complex_and_whole_numbers() -> None:
    for x in (X, X + 2j * X, jnp.array([1, -7])):
        got = lrjax.safe_root_mean_squares(x, 0.5)
        np.testing.assert_allclose(got, np.sqrt(np.mean(np.abs(np.asarray(x)) ** 2)), rtol=1e-6)
        np.testing.assert_allclose(got, optax.safe_root_mean_squares(x, 0.5), rtol=1e-6)
    ours, theirs = (jax.grad(f)(X, 0.5) for f in (lrjax.safe_root_mean_squares, optax.safe_root_mean_squares))
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_a_negative_bound_is_refused() -> None:
    with pytest.raises(ValueError, match=r"`safe_norm\(min_norm=\.\.\.\)` must be one number >= 0, got -1"):
        lrjax.safe_norm(X, -1.0)
    with pytest.raises(ValueError, match=r"`safe_root_mean_squares\(min_rms=\.\.\.\)` must be one"):
        lrjax.safe_root_mean_squares(X, -1.0)
