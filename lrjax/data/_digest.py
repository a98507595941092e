"""Digests of batches and of what they are made of: the same in every process."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import jax
import numpy as np

MARK_BYTES = 8


def text(kind: str, tree: Any, *settings: object) -> str:
    """The SHA-256 of a tree: its structure, dtypes, shapes and bytes, and settings beside it.

    Args:
      kind: What is hashed, so that no two kinds agree by chance.
      tree: A tree of arrays.
      *settings: Numbers and texts that belong to it.

    Returns:
      64 hexadecimal digits.
    """
    hashed = hashlib.sha256()
    # Nodes that are not JAX's own may show addresses, which differ from process to process.
    structure = re.sub(r"0x[0-9a-fA-F]+", "", str(jax.tree.structure(tree)))
    for part in (kind, *settings, structure):
        encoded = str(part).encode()
        hashed.update(f"{len(encoded)}:".encode() + encoded)  # "ab", "c" is not "a", "bc"
    for leaf in map(np.asarray, jax.tree.leaves(tree)):
        hashed.update(f"{leaf.dtype}{leaf.shape}".encode())
        hashed.update(_bytes(leaf))
    return hashed.hexdigest()


def mark(batch: Any) -> bytes:
    """A few bytes that tell a batch from others of the same structure, dtypes and shapes."""
    hashed = hashlib.blake2b(digest_size=MARK_BYTES)
    for leaf in jax.tree.leaves(batch):
        hashed.update(_bytes(leaf))
    return hashed.digest()


def _bytes(leaf: np.ndarray) -> memoryview:
    # Seen as bytes, since Python's buffers know no bfloat16.
    return np.ascontiguousarray(leaf).reshape(-1).view(np.uint8).data
