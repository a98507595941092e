"""Transformations of a part of the tree."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax

from lrjax import _tree
from lrjax._types import MaskTree, OptState, Params, Updates
from lrjax.transform import GradientTransformation, check_transformation, with_extra_args_support


class MaskedNode(NamedTuple):
    """Stands where a leaf was masked out; it holds nothing.

    Example:
      >>> import jax, lrjax
      >>> jax.tree.leaves(lrjax.MaskedNode())
      []
    """


class MaskedState(NamedTuple):
    """The state of a masked transformation.

    Attributes:
      inner_state: The state of the transformation, with `MaskedNode` where leaves are masked out.

    Example:
      >>> import lrjax
      >>> lrjax.masked(lrjax.identity(), {"w": True}).init({"w": 0.0})
      MaskedState(inner_state=EmptyState())
    """

    inner_state: Any


def masked(inner: Any, mask: MaskTree, *, mask_compatible_extra_args: bool = False) -> GradientTransformation:
    """Applies a transformation to some leaves and leaves the others as they are.

    Args:
      inner: The transformation: anything with `init` and `update`.
      mask: A tree of bools shaped like the parameters, or a prefix of them, True where `inner`
        applies; or a callable that makes one from parameters or updates. Static.
      mask_compatible_extra_args: Whether extra keywords shaped like the updates are masked too. Static.

    Returns:
      A `GradientTransformation` with a `MaskedState`.

    Raises:
      TypeError: If `inner` has no `init` and `update`.
      ValueError: If the mask's structure is no prefix of the parameters'.

    Example:
      >>> import lrjax
      >>> tx = lrjax.masked(lrjax.trace(decay=0.5), {"bias": False, "weight": True})
      >>> grads = {"bias": 1.0, "weight": 1.0}
      >>> updates, state = tx.update(grads, tx.init(grads))
      >>> updates, state = tx.update(grads, state)
      >>> updates["bias"], float(updates["weight"])
      (1.0, 1.5)
    """
    check_transformation("masked", "inner", inner)
    inner = with_extra_args_support(inner)

    def tree_of(params: Params) -> Any:
        return mask(params) if callable(mask) else mask

    def init(params: Params) -> MaskedState:
        return MaskedState(inner.init(_hide(tree_of(params), params)))

    def update(updates: Updates, state: MaskedState, params: Params | None = None, **extra: Any) -> Any:
        keep = tree_of(updates)
        hidden_params = None if params is None else _hide(keep, params)
        if mask_compatible_extra_args:
            shape = jax.tree.structure(updates)
            extra = {
                name: _hide(keep, value) if jax.tree.structure(value) == shape else value
                for name, value in extra.items()
            }
        changed, inner_state = inner.update(_hide(keep, updates), state.inner_state, hidden_params, **extra)
        merged = jax.tree.map(lambda m, new, old: new if m else old, keep, changed, updates)
        return merged, MaskedState(inner_state)

    return GradientTransformation(init, update)


def _hide(keep: Any, tree: OptState) -> Any:
    if isinstance(tree, _tree.ParamsPlaceholder):
        return tree  # all of it: what is hidden is seen from the state
    return jax.tree.map(lambda m, x: x if m else MaskedNode(), keep, tree)
