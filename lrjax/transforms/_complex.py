"""Complex leaves for transformations of real ones."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lrjax._types import OptState, Params, Updates
from lrjax.transform import GradientTransformation, check_transformation, with_extra_args_support


class SplitRealAndImaginaryState(NamedTuple):
    """The state of `split_real_and_imaginary`.

    Attributes:
      inner_state: The state of the transformation of real leaves.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> lrjax.split_real_and_imaginary(lrjax.identity()).init(jnp.zeros(2))
      SplitRealAndImaginaryState(inner_state=EmptyState())
    """

    inner_state: OptState


class _Parts(NamedTuple):
    """What stands for a complex leaf."""

    real: jax.Array
    imaginary: jax.Array


def split_real_and_imaginary(inner: Any) -> GradientTransformation:
    """Applies a transformation to the real and the imaginary parts of complex leaves, as to two leaves.

    Real leaves pass to it as they are.

    Args:
      inner: The transformation: anything with `init` and `update`.

    Returns:
      A `GradientTransformation` with a `SplitRealAndImaginaryState`. Extra keywords reach `inner`
      unsplit.

    Raises:
      TypeError: If `inner` has no `init` and `update`.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.split_real_and_imaginary(lrjax.clip(1.0))
      >>> tx.update(jnp.array(3.0 - 0.5j), tx.init(jnp.array(0j)))[0]
      Array(1.-0.5j, dtype=complex64)
    """
    check_transformation("split_real_and_imaginary", "inner", inner)
    inner = with_extra_args_support(inner)

    def init(params: Params) -> SplitRealAndImaginaryState:
        return SplitRealAndImaginaryState(inner.init(_split(params)))

    def update(
        updates: Updates, state: SplitRealAndImaginaryState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, SplitRealAndImaginaryState]:
        parts = None if params is None else _split(params)
        changed, inner_state = inner.update(_split(updates), state.inner_state, parts, **extra)
        return _joined(changed), SplitRealAndImaginaryState(inner_state)

    return GradientTransformation(init, update)


def _split(tree: Any) -> Any:
    return jax.tree.map(lambda x: _Parts(jnp.real(x), jnp.imag(x)) if jnp.iscomplexobj(x) else x, tree)


def _joined(tree: Any) -> Any:
    def is_pair(x: Any) -> bool:
        return isinstance(x, _Parts)

    def join(x: Any) -> Any:
        return jax.lax.complex(x.real, x.imaginary) if is_pair(x) else x

    return jax.tree.map(join, tree, is_leaf=is_pair)
