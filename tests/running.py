"""What the tests of transformations share: trees, gradients, and steps taken eagerly or compiled."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import lrjax

STEPS = 3


def params_tree(dtype: Any = jnp.float32) -> Any:
    """Parameters whose values every dtype here holds exactly."""
    return {
        "weight": jnp.asarray([[0.5, -1.0, 0.25], [2.0, 0.125, -0.75]], dtype),
        "inner": [jnp.asarray([1.0, -0.5], dtype)],
    }


def gradients(dtype: Any = jnp.float32, steps: int = STEPS, seed: int = 0) -> list[Any]:
    """Gradients for `params_tree`, away from zero, exact in bfloat16 and so in every dtype here."""
    random = np.random.default_rng(seed)

    def leaf(p: jax.Array) -> jax.Array:
        size = random.uniform(0.25, 2.0, p.shape) * random.choice([-1.0, 1.0], p.shape)
        if jnp.issubdtype(p.dtype, jnp.complexfloating):
            size = size * np.exp(2j * np.pi * random.uniform(size=p.shape))
            return jnp.asarray(size, p.dtype)
        return jnp.asarray(size, jnp.bfloat16).astype(p.dtype)

    params = params_tree(dtype)
    return [jax.tree.map(leaf, params) for _ in range(steps)]


def take_steps(tx: Any, params: Any, grads: list[Any], update: Any = None, **extra: Any) -> tuple[Any, Any]:
    """The updates of every step, parameters following them, and the last state."""
    update = update or tx.update
    state = tx.init(params)
    trajectory = []
    for g in grads:
        updates, state = update(g, state, params, **extra)
        params = lrjax.apply_updates(params, updates)
        trajectory.append(updates)
    return trajectory, state


@functools.cache
def plain(row: Any) -> tuple[Any, Any]:
    """What `take_steps` makes of a catalogue's row with its typical numbers; many laws start from it."""
    return take_steps(row.tx(), params_tree(), gradients())


def scan_steps(tx: Any, params: Any, grads: list[Any]) -> tuple[Any, Any]:
    """The same in one `lax.scan`, updates stacked."""

    def step(carry: Any, g: Any) -> Any:
        params, state = carry
        updates, state = tx.update(g, state, params)
        return (lrjax.apply_updates(params, updates), state), updates

    (_, state), trajectory = jax.lax.scan(step, (params, tx.init(params)), stack(grads))
    return trajectory, state


def stack(trees: list[Any]) -> Any:
    return jax.tree.map(lambda *xs: jnp.stack(xs), *trees)


def assert_close(actual: Any, expected: Any, rtol: float) -> None:
    """Same structure and dtypes; every leaf within `rtol` of the largest entry of its counterpart.

    The yardstick is the leaf's largest entry: where terms cancel, an entry has no digits of its own.
    A NaN (the unset override of a learning rate) equals a NaN.
    """
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    paths = jax.tree_util.tree_leaves_with_path(expected)
    for got, (path, want) in zip(jax.tree.leaves(actual), paths, strict=True):
        assert jnp.result_type(got) == jnp.result_type(want), jax.tree_util.keystr(path)
        if jnp.issubdtype(jnp.result_type(want), jax.dtypes.prng_key):
            got, want = jax.random.key_data(got), jax.random.key_data(want)
        got, want = np.asarray(got, _widest(got)), np.asarray(want, _widest(want))
        scale = np.max(np.abs(want), initial=0, where=np.isfinite(want))
        np.testing.assert_allclose(got, want, rtol=0, atol=rtol * scale, err_msg=jax.tree_util.keystr(path))


def assert_equal(actual: Any, expected: Any) -> None:
    """Same structure, dtypes and bits (NaN equals NaN)."""
    assert_close(actual, expected, rtol=0)


def _widest(x: Any) -> Any:
    return np.complex128 if jnp.issubdtype(jnp.result_type(x), jnp.complexfloating) else np.float64
