"""Random keys: who draws from which stream.

Every key comes from one generator, threefry: under "rbg" a member's numbers would depend on who else is
in the batch. Members and data draw from different streams even where their seeds are equal; otherwise a
weight matrix and the order of the examples would be made of the same numbers.
"""

from __future__ import annotations

import jax

_GENERATOR = "threefry2x32"
_DATA = 0x64617461  # "data"


def member_key(seed: int, seed_index: int | jax.Array) -> jax.Array:
    """The key of a member: it depends on its seed's index alone, so all points share it."""
    return jax.random.fold_in(jax.random.key(seed, impl=_GENERATOR), seed_index)


def data_key(seed: int | jax.Array, seed_index: int | jax.Array) -> jax.Array:
    """The key of the order in which a seed sees the data."""
    stream = jax.random.fold_in(jax.random.key(seed, impl=_GENERATOR), _DATA)
    return jax.random.fold_in(stream, seed_index)
