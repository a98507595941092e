"""Batches of other libraries as trees of NumPy arrays, told by what they can do, not by their type.

No library is imported for it: what has `detach` is taken for PyTorch's tensor, what has `numpy` for
TensorFlow's, and anything else may offer `__array__`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import keystr, tree_map_with_path

from lrjax import _check

_NUMBERS = (bool, int, float, complex, np.ndarray, np.generic, jax.Array)


def as_numpy(call: str, argument: str, batch: Any, where: tuple[Any, ...] = ()) -> Any:
    """The batch with NumPy arrays for leaves; 64-bit ones become 32-bit unless JAX's x64 mode is on.

    Args:
      call: The public function the user called.
      argument: The argument's name there.
      batch: A pytree; a mapping that JAX does not know becomes a dict.
      where: The path of the batch in a larger one.

    Raises:
      TypeError: If a leaf is not numbers; the message names its path.
    """

    def convert(path: tuple[Any, ...], leaf: Any) -> Any:
        path = (*where, *path)
        if isinstance(leaf, Mapping):
            return as_numpy(call, argument, dict(leaf), path)
        try:
            array = _array(leaf)
        except (TypeError, ValueError, RuntimeError) as error:
            raise _refusal(call, argument, leaf, path) from error
        if array is None or not (array.dtype == bool or jnp.issubdtype(array.dtype, np.number)):
            raise _refusal(call, argument, leaf, path)
        native = array.dtype.newbyteorder("=")  # JAX reads no other
        return array.astype(jax.dtypes.canonicalize_dtype(native), copy=False)

    return tree_map_with_path(convert, batch)


def _array(leaf: Any) -> np.ndarray | None:
    if isinstance(leaf, _NUMBERS):
        return np.asarray(leaf)
    if hasattr(leaf, "detach"):
        return _from_torch(leaf.detach().cpu())
    if hasattr(leaf, "numpy"):
        return np.asarray(leaf.numpy())
    return np.asarray(leaf) if hasattr(leaf, "__array__") else None


def _from_torch(tensor: Any) -> np.ndarray:
    try:
        return tensor.numpy()
    except TypeError:
        # NumPy has no bfloat16 of its own; through float32 no bit is lost.
        dtype = getattr(jnp, str(tensor.dtype).removeprefix("torch."), None)
        if dtype is None:
            raise
        return tensor.float().numpy().astype(dtype)


def _refusal(call: str, argument: str, leaf: Any, path: tuple[Any, ...]) -> TypeError:
    shown = " ".join(_check.describe(leaf).split())  # tensors are shown in many lines
    got = f"{shown} at {keystr(path) or 'the batch'} (leave it out of the batch, or encode it as numbers)"
    return _check.fail_type(call, argument, "batches of arrays and numbers", got)
