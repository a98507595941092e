"""Noise on updates."""

from __future__ import annotations

import operator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import Params, ScalarLike, Updates
from lrjax.transform import GradientTransformation


class AddNoiseState(NamedTuple):
    """The state of gradient noise.

    Attributes:
      count: int32 scalar, the number of updates so far.
      rng_key: A typed random key, what the next noise is drawn from.

    Example:
      >>> import lrjax
      >>> int(lrjax.add_noise(0.01, 0.55, key=0).init(0.0).count)
      0
    """

    count: jax.Array
    rng_key: jax.Array


def add_noise(
    eta: ScalarLike, gamma: ScalarLike, key: jax.Array | int | None = None, *, seed: int | None = None
) -> GradientTransformation:
    r"""Adds Gaussian noise that fades.

    $u_t \leftarrow u_t + n_t$, $n_t \sim \mathcal N(0, \eta / t^\gamma)$, $t = 1, 2, \dots$: the paper's
    $\eta / (1 + t)^\gamma$, where steps count from 0.

    Args:
      eta: $\eta$ >= 0, the variance at the first update. The paper tries 0.01, 0.3 and 1.
      gamma: $\gamma$ >= 0, how fast the variance fades. The paper uses 0.55.
      key: A typed random key or an integer seed; None for the seed 0. Runs with the same key see
        the same noise.
      seed: optax's older name for an integer `key`.

    Returns:
      A `GradientTransformation` with an `AddNoiseState`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range, or both `key` and `seed` are given.

    References:
      Neelakantan et al., Adding Gradient Noise Improves Learning for Very Deep Networks,
      1511.06807, 2015.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.add_noise(eta=0.0, gamma=0.55, key=0)
      >>> float(tx.update(jnp.array(2.0), tx.init(0.0))[0])
      2.0
    """
    return noise("add_noise", eta, gamma, key, seed)


def noise(
    call: str, eta: ScalarLike, gamma: ScalarLike, key: jax.Array | int | None, seed: int | None
) -> GradientTransformation:
    """`add_noise` for recipes; errors name the public function the user called."""
    _check.number(call, "eta", eta, low=0)
    _check.number(call, "gamma", gamma, low=0)
    if key is not None and seed is not None:
        raise _check.fail(call, "seed", "None where `key` is given", _check.describe(seed))
    first = (
        typed_key(call, "key", 0 if key is None else key) if seed is None else typed_key(call, "seed", seed)
    )

    def init(params: Params) -> AddNoiseState:
        del params
        return AddNoiseState(jnp.zeros((), jnp.int32), first)

    def update(
        updates: Updates, state: AddNoiseState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, AddNoiseState]:
        del params, extra
        t = _tree.next_count(state.count)
        deviation = jnp.sqrt(eta / t.astype(jnp.result_type(float)) ** gamma)
        leaves, structure = jax.tree.flatten(updates)
        next_key, drawn = jax.random.split(state.rng_key)
        keys = jax.random.split(drawn, max(len(leaves), 1))

        def leaf(u: Any, key: jax.Array) -> jax.Array:
            x = _tree.wide(u)
            draw = jax.random.normal(key, x.shape, x.dtype)
            return (x + _tree.multiply(draw, deviation)).astype(jnp.result_type(u))

        noisy = [leaf(u, key) for u, key in zip(leaves, keys, strict=False)]  # one key over if no leaf
        return structure.unflatten(noisy), AddNoiseState(t, next_key)

    return GradientTransformation(init, update)


def typed_key(call: str, argument: str, key: Any) -> jax.Array:
    """A random key from one, typed or of the old kind, or from a seed."""
    if isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        return key
    if isinstance(key, jax.Array) and key.ndim == 0 and jnp.issubdtype(key.dtype, jnp.integer):
        return jax.random.key(key)  # a seed, which may be a tracer
    if isinstance(key, jax.Array) and key.ndim == 1 and key.dtype == jnp.uint32:
        return jax.random.wrap_key_data(key)  # what `jax.random.PRNGKey` makes
    try:
        return jax.random.key(operator.index(key))
    except TypeError as error:
        expected = "a typed random key (`jax.random.key(0)`) or an integer seed"
        raise _check.fail_type(call, argument, expected, _check.describe(key)) from error
