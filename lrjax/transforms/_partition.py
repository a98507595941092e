"""Different transformations for different parts of the tree, and parts that do not move."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check
from lrjax._types import MaskTree, OptState, Params, Updates
from lrjax.transform import (
    GradientTransformation,
    check_transformation,
    stateless,
    with_extra_args_support,
)
from lrjax.transforms._masking import masked


class PartitionState(NamedTuple):
    """The state of `partition`.

    Attributes:
      inner_states: A dict of label to the `MaskedState` of its transformation.

    Example:
      >>> import lrjax
      >>> lrjax.partition({"all": lrjax.identity()}, "all").init({"w": 0.0})
      PartitionState(inner_states={'all': MaskedState(inner_state=EmptyState())})
    """

    inner_states: Mapping[Hashable, Any]


def named_chain(*args: tuple[str, Any]) -> GradientTransformation:
    """Applies transformations one after another, and keeps their states by name.

    Args:
      *args: Pairs of a name and a transformation; names are unique.

    Returns:
      A transformation like that of `chain`, whose state is a dict of name to state.

    Raises:
      TypeError: If an argument is no such pair.
      ValueError: If a name comes twice; from `update`, if the state is not one of this chain's.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.named_chain(("momentum", lrjax.trace(0.9)), ("rate", lrjax.scale_by_learning_rate(0.1)))
      >>> state = tx.init(jnp.array(1.0))
      >>> float(state["momentum"].trace)
      0.0
      >>> list(lrjax.get_learning_rates(state))
      ["['rate']"]
    """
    links: dict[str, GradientTransformation] = {}
    for position, pair in enumerate(args):
        argument = f"args[{position}]"
        if not isinstance(pair, tuple) or len(pair) != 2 or not isinstance(pair[0], str):
            expected = "a pair of a name and a transformation"
            raise _check.fail_type("named_chain", argument, expected, _check.describe(pair))
        name, tx = pair
        check_transformation("named_chain", argument, tx)
        if name in links:
            raise _check.fail("named_chain", argument, "a name that has not come before", repr(name))
        links[name] = with_extra_args_support(tx)

    def init(params: Params) -> dict[str, Any]:
        return {name: link.init(params) for name, link in links.items()}

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, dict[str, Any]]:
        if not isinstance(state, dict) or state.keys() != links.keys():
            expected = f"the dict of states that this chain's `init` returns, of {', '.join(links)}"
            got = ", ".join(map(str, state)) if isinstance(state, dict) else type(state).__name__
            raise _check.fail("named_chain.update", "state", expected, got)
        new_state = {}
        for name, link in links.items():
            updates, new_state[name] = link.update(updates, state[name], params, **extra)
        return updates, new_state

    return GradientTransformation(init, update)


def partition(
    transforms: Mapping[Hashable, Any], param_labels: Any, *, mask_compatible_extra_args: bool = False
) -> GradientTransformation:
    """Applies to each leaf the transformation of its label.

    Args:
      transforms: A dict of label to transformation. Labels of one kind, such as strings.
      param_labels: A tree of labels shaped like the parameters, or a prefix of them; or a callable
        that makes one from parameters or updates. Static.
      mask_compatible_extra_args: Whether extra keywords shaped like the updates are split too. Static.

    Returns:
      A `GradientTransformation` with a `PartitionState`. Each transformation sees `MaskedNode` where
      leaves are not its own; norms over the tree are norms over its part.

    Raises:
      TypeError: If a transformation has no `init` and `update`.
      ValueError: From `init` and `update`, if a label has no transformation.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.partition({"slow": lrjax.sgd(0.25), "fast": lrjax.sgd(1.0)}, {"w": "slow", "b": "fast"})
      >>> params = {"w": jnp.array(1.0), "b": jnp.array(1.0)}
      >>> updates, state = tx.update(params, tx.init(params), params)
      >>> float(updates["w"]), float(updates["b"])
      (-0.25, -1.0)
    """
    return _partition("partition", transforms, param_labels, mask_compatible_extra_args)


def multi_transform(
    transforms: Mapping[Hashable, Any], param_labels: Any, *, mask_compatible_extra_args: bool = False
) -> GradientTransformation:
    """The same as `partition`, under its older name.

    Args:
      transforms: A dict of label to transformation.
      param_labels: A tree of labels, or a callable that makes one. Static.
      mask_compatible_extra_args: Whether extra keywords shaped like the updates are split too. Static.

    Returns:
      A `GradientTransformation` with a `PartitionState`.

    Example:
      >>> import lrjax
      >>> tx = lrjax.multi_transform({"all": lrjax.identity()}, "all")
      >>> tx.update({"w": 3.0}, tx.init({"w": 0.0}))[0]
      {'w': 3.0}
    """
    return _partition("multi_transform", transforms, param_labels, mask_compatible_extra_args)


def set_to_zero() -> GradientTransformation:
    """Replaces updates by zeros: what it is applied to stays as it is.

    Returns:
      A stateless `GradientTransformation`.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.set_to_zero()
      >>> tx.update(jnp.array([1.0, jnp.nan]), tx.init(jnp.zeros(2)))[0]
      Array([0., 0.], dtype=float32)
    """
    return stateless(lambda updates, params: jax.tree.map(jnp.zeros_like, updates))


def freeze(mask: MaskTree) -> GradientTransformation:
    """Replaces updates by zeros where a mask is true.

    Placed last it holds parameters still; the transformations before it still keep state for them
    (`selective_transform` saves that).

    Args:
      mask: A tree of bools shaped like the parameters, or a prefix of them, True where parameters
        stay; or a callable that makes one. Static.

    Returns:
      A `GradientTransformation` with a `MaskedState`.

    Example:
      >>> import lrjax
      >>> tx = lrjax.freeze({"head": False, "body": True})
      >>> updates, _ = tx.update({"head": 1.0, "body": 1.0}, tx.init({"head": 0.0, "body": 0.0}))
      >>> float(updates["head"]), float(updates["body"])
      (1.0, 0.0)
    """
    return masked(set_to_zero(), mask)


def selective_transform(optimizer: Any, *, freeze_mask: MaskTree) -> GradientTransformation:
    """Applies an optimizer to some leaves and holds the others still, without state for them.

    Args:
      optimizer: The transformation: anything with `init` and `update`.
      freeze_mask: A tree of bools shaped like the parameters, or a prefix of them, True where
        parameters stay; or a callable that makes one. Static.

    Returns:
      A `GradientTransformation` with a `PartitionState` of the labels "train" and "freeze".

    Raises:
      TypeError: If `optimizer` has no `init` and `update`.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.selective_transform(lrjax.sgd(1.0), freeze_mask={"head": False, "body": True})
      >>> grads = {"head": jnp.array(1.0), "body": jnp.array(1.0)}
      >>> updates, _ = tx.update(grads, tx.init(grads))
      >>> float(updates["head"]), float(updates["body"])
      (-1.0, 0.0)
    """
    check_transformation("selective_transform", "optimizer", optimizer)

    def labels(tree: Params) -> Any:
        mask = freeze_mask(tree) if callable(freeze_mask) else freeze_mask
        return jax.tree.map(lambda frozen: "freeze" if frozen else "train", mask)

    return partition({"train": optimizer, "freeze": set_to_zero()}, labels)


def _partition(
    call: str, transforms: Mapping[Hashable, Any], param_labels: Any, mask_compatible_extra_args: bool
) -> GradientTransformation:
    _check.boolean(call, "mask_compatible_extra_args", mask_compatible_extra_args)
    for label, tx in transforms.items():
        check_transformation(call, f"transforms[{label!r}]", tx)

    def part(label: Hashable) -> GradientTransformation:
        def mask(tree: Params) -> Any:
            labels = param_labels(tree) if callable(param_labels) else param_labels
            unknown = sorted({repr(x) for x in jax.tree.leaves(labels)} - {repr(x) for x in transforms})
            if unknown:
                expected = f"a tree of labels among {', '.join(repr(x) for x in transforms)}"
                raise _check.fail(call, "param_labels", expected, ", ".join(unknown))
            return jax.tree.map(lambda x: x == label, labels)

        return masked(transforms[label], mask, mask_compatible_extra_args=mask_compatible_extra_args)

    parts = {label: part(label) for label in transforms}

    def init(params: Params) -> PartitionState:
        return PartitionState({label: tx.init(params) for label, tx in parts.items()})

    def update(
        updates: Updates, state: OptState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, PartitionState]:
        inner_states = {}
        for label, tx in parts.items():
            updates, inner_states[label] = tx.update(updates, state.inner_states[label], params, **extra)
        return updates, PartitionState(inner_states)

    return GradientTransformation(init, update)
