"""A trial's state as arrays that a loop can carry, and the rest that it holds still.

Models and training states of other libraries keep functions and configuration among their leaves or
in their structure. Those are the same for every member and every step, so they are taken out once.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer


class Frame(NamedTuple):
    """What of a state is not arrays.

    Attributes:
      structure: The state's tree structure.
      still: For each leaf its value if it is held still, or `ARRAY` if it is carried.
      paths: For each leaf where it stands.
      carried: Where Python numbers stand that a step changes; they are carried as arrays.
      unset: Where numbers stand that may turn from finite to not finite, which means that they are unset.
    """

    structure: Any
    still: tuple[Any, ...]
    paths: tuple[str, ...]
    carried: frozenset[str] = frozenset()
    unset: frozenset[str] = frozenset()

    @property
    def array_paths(self) -> tuple[str, ...]:
        """Where the carried arrays stand."""
        return tuple(path for path, leaf in zip(self.paths, self.still, strict=True) if leaf is ARRAY)


class _Array:
    def __repr__(self) -> str:
        return "<array>"


ARRAY = _Array()
_NUMBERS = (bool, int, float, complex)


def split(state: Any, carried: frozenset[str] = frozenset()) -> tuple[list[jax.Array], Frame]:
    """A state as a list of strongly typed arrays and the frame that holds them.

    Args:
      state: A pytree.
      carried: Where Python numbers are to be taken for arrays; elsewhere they are held still.
    """
    leaves, structure = jax.tree_util.tree_flatten_with_path(state)
    paths = tuple(jax.tree_util.keystr(path) or "the state itself" for path, _ in leaves)
    arrays, still = [], []
    for path, (_, leaf) in zip(paths, leaves, strict=True):
        is_array = isinstance(leaf, (jax.Array, np.ndarray, np.generic))
        if is_array or (path in carried and isinstance(leaf, _NUMBERS)):
            arrays.append(_strong(leaf))
            still.append(ARRAY)
        else:
            still.append(leaf)
    return arrays, Frame(structure, tuple(still), paths, carried, _unset(state))


def merge(arrays: list[jax.Array], frame: Frame) -> Any:
    """The state that `split` took apart."""
    moving = iter(arrays)
    leaves = [next(moving) if leaf is ARRAY else leaf for leaf in frame.still]
    return jax.tree.unflatten(frame.structure, leaves)


def hidden_tracer(frame: Frame) -> str | None:
    """Where a traced value hides in what should hold still, or None."""
    for path, leaf in zip(frame.paths, frame.still, strict=True):
        if leaf is not ARRAY and _holds_tracer(leaf, set()):
            return path
    for holder, data in _node_data(frame.structure):
        if _holds_tracer(data, set()):
            return f"the static fields of {holder}"
    return None


def difference(before: list[jax.Array], frame: Frame, after: list[jax.Array], new: Frame) -> str | None:
    """What differs between the state a step took and the one it returned, or None."""
    if frame.paths != new.paths:
        missing = [path for path in frame.paths if path not in new.paths]
        extra = [path for path in new.paths if path not in frame.paths]
        return (
            f"{missing[0]} is missing" if missing else f"{extra[0]} is new" if extra else "the order differs"
        )
    moving = iter(zip(before, after, strict=False))
    for path, old_leaf, new_leaf in zip(frame.paths, frame.still, new.still, strict=True):
        if (old_leaf is ARRAY) != (new_leaf is ARRAY):
            return f"{path} is an array only {'before' if old_leaf is ARRAY else 'after'} the step"
        if old_leaf is not ARRAY:
            if old_leaf is not new_leaf and not _equal(old_leaf, new_leaf):
                return f"{path}, which is not an array, changes"
            continue
        x, y = next(moving)
        if x.shape != y.shape:
            return f"{path} has shape {x.shape} before the step and {y.shape} after"
        if x.dtype != y.dtype:
            return f"{path} has dtype {x.dtype} before the step and {y.dtype} after"
    return None if frame.structure == new.structure else "static fields in its structure change"


def changing_numbers(frame: Frame, new: Frame) -> frozenset[str]:
    """Where Python numbers stand that a step turned into arrays or into other numbers."""
    if frame.paths != new.paths:
        return frozenset()
    leaves = zip(frame.paths, frame.still, new.still, strict=True)
    return frozenset(
        path for path, old, after in leaves if isinstance(old, _NUMBERS) and (after is ARRAY or old != after)
    )


def good(new: list[jax.Array], old: list[jax.Array], frame: Frame) -> jax.Array:
    """Whether all numbers that are finite in the old state are finite in the new one, a bool scalar.

    Numbers that were never finite (a best loss of infinity) do not count, nor those that may be unset.
    """
    verdict = jnp.ones((), bool)
    for flag in good_leaves(new, old, frame):
        verdict &= flag
    return verdict


def good_leaves(new: list[jax.Array], old: list[jax.Array], frame: Frame) -> list[jax.Array]:
    """The same for each carried array."""
    return [
        jnp.all(jnp.isfinite(x) | ~jnp.isfinite(y))
        if jnp.issubdtype(x.dtype, jnp.inexact) and path not in frame.unset
        else jnp.ones((), bool)
        for path, x, y in zip(frame.array_paths, new, old, strict=True)
    ]


def _unset(state: Any) -> frozenset[str]:
    """Where a state's class says that a field may be unset (`unset_where_not_finite`)."""

    def names(node: Any) -> tuple[str, ...]:
        return getattr(type(node), "unset_where_not_finite", ())

    nodes = jax.tree_util.tree_leaves_with_path(state, is_leaf=lambda node: bool(names(node)))
    return frozenset(f"{jax.tree_util.keystr(path)}.{name}" for path, node in nodes for name in names(node))


def _strong(leaf: Any) -> jax.Array:
    x = jnp.asarray(leaf)
    if jnp.issubdtype(x.dtype, jax.dtypes.extended):
        return x
    return jax.lax.convert_element_type(x, x.dtype)


def _equal(a: Any, b: Any) -> bool:
    try:
        return bool(a == b)
    except Exception as error:  # an object that cannot say so is not equal
        del error
        return False


def _node_data(structure: Any) -> Iterator[tuple[str, Any]]:
    node = structure.node_data()
    if node is not None:
        kind, data = node
        yield kind.__name__, data
    for child in structure.children():
        yield from _node_data(child)


def _holds_tracer(value: Any, seen: set[int]) -> bool:
    """Whether a tracer can be reached through containers, closures, methods and attributes."""
    if isinstance(value, Tracer):
        return True
    if id(value) in seen or isinstance(value, (str, bytes, int, float, type, np.ndarray, jax.Array)):
        return False
    seen.add(id(value))
    return any(_holds_tracer(part, seen) for part in _parts(value))


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, (tuple, list, set, frozenset)):
        yield from value
    elif isinstance(value, functools.partial):
        yield from (value.func, *value.args, *value.keywords.values())
    elif isinstance(value, types.FunctionType):
        for cell in value.__closure__ or ():
            try:
                yield cell.cell_contents
            except ValueError:  # a cell not yet filled
                continue
        yield from value.__defaults__ or ()
    elif isinstance(value, types.MethodType):
        yield from (value.__self__, value.__func__)
    elif hasattr(value, "__dict__"):
        yield from vars(value).values()
