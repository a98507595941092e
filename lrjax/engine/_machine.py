"""Where a sweep is run, and by which versions: what a stored one cannot be asked later."""

from __future__ import annotations

import contextlib
import platform
from importlib import metadata
from typing import Any

import jax.numpy as jnp
from jax.sharding import Mesh

from lrjax.engine import _plan


def about(mesh: Mesh | None) -> dict[str, Any]:
    """Versions, device and host, as JSON.

    Args:
      mesh: The devices members are laid out over; None for the one that arrays are put on.

    Returns:
      `versions` by name, `device` (its kind, and how many), `host` (system, processor type, cores).
    """
    versions = {"python": platform.python_version()}
    for name in ("lrjax", "jax", "jaxlib", "numpy"):
        with contextlib.suppress(metadata.PackageNotFoundError):  # lrjax from a folder on the path
            versions[name] = metadata.version(name)
    devices = list(jnp.zeros(()).devices()) if mesh is None else list(mesh.devices.flat)
    kind = devices[0].device_kind
    cores = _plan.cores()
    return {
        "versions": versions,
        "device": kind if len(devices) == 1 else f"{len(devices)} x {kind}",
        "host": f"{platform.system()} {platform.machine()}, {cores} core{'s' * (cores != 1)}",
    }
