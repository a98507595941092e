"""Values in the state of an optimizer, found and replaced by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax

from lrjax import _check
from lrjax._tree import ParamsPlaceholder
from lrjax._types import OptState

Filter = Callable[[tuple[Any, ...], Any], bool]


@dataclasses.dataclass(frozen=True)
class NamedTupleKey:
    """The entry of a path that leads to a field of a NamedTuple.

    Attributes:
      tuple_name: The name of the NamedTuple's class.
      name: The name of the field.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> state = lrjax.scale_by_adam().init(jnp.zeros(2))
      >>> lrjax.tree.get_all_with_path(state, "count")[0][0]
      (NamedTupleKey(tuple_name='ScaleByAdamState', name='count'),)
    """

    tuple_name: str
    name: str

    def __str__(self) -> str:
        return f"{self.tuple_name}.{self.name}"


def get_all_with_path(
    tree: OptState, key: Any, filtering: Filter | None = None
) -> list[tuple[tuple[Any, ...], Any]]:
    """Every value under a key, with its path.

    Args:
      tree: A pytree, such as an optimizer's state.
      key: A key of dicts, the name of a field of NamedTuples, or the name of a NamedTuple's class.
      filtering: `filtering(path, value) -> bool`, False for values to leave out; None for all.

    Returns:
      A list of `(path, value)`, in the tree's order. A path's entries are those of JAX, and
      `NamedTupleKey` for fields of NamedTuples.

    Example:
      >>> import jax, jax.numpy as jnp, lrjax
      >>> state = lrjax.chain(lrjax.ema(0.9), lrjax.scale_by_adam()).init(jnp.zeros(2))
      >>> for path, value in lrjax.tree.get_all_with_path(state, "count"):
      ...     print(jax.tree_util.keystr(path), value)
      [0]EmaState.count 0
      [1]ScaleByAdamState.count 0
    """
    found: list[tuple[tuple[Any, ...], Any]] = []

    def look(path: tuple[Any, ...], node: Any) -> None:
        if _is_named(path, node, key) and (filtering is None or filtering(path, node)):
            found.append((path, node))
        for entry, child in _children(node)[0]:
            look((*path, entry), child)

    look((), tree)
    return found


def get(tree: OptState, key: Any, default: Any = None, filtering: Filter | None = None) -> Any:
    """The one value under a key.

    Args:
      tree: A pytree, such as an optimizer's state.
      key: A key of dicts, the name of a field of NamedTuples, or the name of a NamedTuple's class.
      default: What is returned where there is none.
      filtering: `filtering(path, value) -> bool`, False for values to leave out; None for all.

    Returns:
      The value, or `default`.

    Raises:
      KeyError: If there are several; the message lists their paths.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> int(lrjax.tree.get(lrjax.adam(0.1).init(jnp.zeros(2)), "mu").size)
      2
    """
    found = get_all_with_path(tree, key, filtering)
    if len(found) > 1:
        paths = ", ".join(jax.tree_util.keystr(path) for path, _ in found)
        raise KeyError(f"`tree.get(key={key!r})` must name one value, got {len(found)}: {paths}")
    return found[0][1] if found else default


def set(tree: OptState, filtering: Filter | None = None, /, **kwargs: Any) -> OptState:
    """A copy of a tree with the values under some keys replaced.

    Args:
      tree: A pytree, such as an optimizer's state.
      filtering: `filtering(path, value) -> bool`, False for values to leave; None for all.
      **kwargs: Key to new value. Every value under the key is replaced.

    Returns:
      The new tree.

    Raises:
      KeyError: If there is no value under a key.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> state = lrjax.adam(0.1).init(jnp.zeros(2))
      >>> int(lrjax.tree.get(lrjax.tree.set(state, nu=jnp.ones(2)), "nu").sum())
      2
    """
    replaced: dict[str, int] = dict.fromkeys(kwargs, 0)

    def copy(path: tuple[Any, ...], node: Any) -> Any:
        for key, value in kwargs.items():
            if _is_named(path, node, key) and (filtering is None or filtering(path, node)):
                replaced[key] += 1
                return value
        children, structure = _children(node)
        if not children:
            return node
        return jax.tree.unflatten(structure, [copy((*path, entry), child) for entry, child in children])

    new = copy((), tree)
    missing = [key for key, times in replaced.items() if times == 0]
    if missing:
        raise KeyError(f"`tree.set({missing[0]}=...)` must name a value in the tree, got none of that name")
    return new


def map_params(
    initable: Any,
    f: Callable[..., Any],
    state: OptState,
    /,
    *rest: Any,
    transform_non_params: Callable[[Any], Any] | None = None,
    is_leaf: Callable[[Any], bool] | None = None,
) -> OptState:
    """Applies a function to all leaves of a state that stand for parameters.

    It tells moments from counts, which shapes alone do not: to lay a state out over devices, for
    instance.

    Args:
      initable: The transformation, or its `init`.
      f: `f(leaf, *rest_leaves)`.
      state: The state, of that transformation.
      *rest: Trees shaped like the parameters.
      transform_non_params: A function of the other leaves; None leaves them.
      is_leaf: As in `jax.tree.map`, for the trees shaped like parameters.

    Returns:
      The new state.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.adam(0.1)
      >>> shapes = lrjax.tree.map_params(
      ...     tx, lambda leaf: leaf.shape, tx.init(jnp.zeros((2, 3))), transform_non_params=lambda leaf: None
      ... )
      >>> shapes[0]
      ScaleByAdamState(count=None, mu=(2, 3), nu=(2, 3))
    """
    init = getattr(initable, "init", initable)
    if not callable(init):
        expected = "a transformation or its `init`"
        raise _check.fail_type("tree.map_params", "initable", expected, _check.describe(initable))

    def at(marked: Any, value: Any) -> Any:
        if isinstance(marked, ParamsPlaceholder):
            return jax.tree.map(f, value, *rest, is_leaf=is_leaf)
        return value if transform_non_params is None else transform_non_params(value)

    def over(function: Callable[..., Any], marked: Any) -> Any:
        return jax.tree.map(function, marked, state, is_leaf=lambda x: isinstance(x, ParamsPlaceholder))

    marked = init(ParamsPlaceholder())
    try:
        over(lambda *_: None, marked)
    except ValueError:  # some keep more for half-precision parameters
        marked = init(ParamsPlaceholder(is_half=True))
    return over(at, marked)


def _children(node: Any) -> tuple[list[tuple[Any, Any]], Any]:
    """The entries and values one level below a node, none below a leaf; and the node's structure."""
    pairs, structure = jax.tree_util.tree_flatten_with_path(node, is_leaf=lambda x: x is not node)
    children = [(path[0], child) for path, child in pairs if path]
    if _is_namedtuple(node):
        name = type(node).__name__
        children = [(NamedTupleKey(name, entry.name), child) for entry, child in children]
    return children, structure


def _is_named(path: tuple[Any, ...], node: Any, key: Any) -> bool:
    last = path[-1] if path else None
    name = getattr(last, "key", getattr(last, "name", None))
    return (name is not None and name == key) or (_is_namedtuple(node) and type(node).__name__ == key)


def _is_namedtuple(x: Any) -> bool:
    return isinstance(x, tuple) and hasattr(x, "_fields")
