"""What a sweep notes of where it ran."""

import json

import jax
import numpy as np
from jax.sharding import Mesh

from lrjax.engine import _machine


def test_it_is_json_and_names_versions_device_and_host():
    about = _machine.about(None)
    assert json.loads(json.dumps(about)) == about
    assert about["versions"]["jax"] == jax.__version__
    assert about["versions"]["numpy"] == np.__version__
    assert about["device"] == jax.devices()[0].device_kind
    assert about["host"].endswith(("core", "cores"))


def test_a_mesh_counts_its_devices():
    device = jax.devices()[0]
    assert _machine.about(Mesh(np.array([device]), ("members",)))["device"] == device.device_kind
    several = type("Mesh", (), {"devices": np.array([[device, device]])})()
    assert _machine.about(several)["device"] == f"2 x {device.device_kind}"
