"""lrjax's schedules against torch, transformers, timm and Keras: recorded, and live where installed."""

import json

import numpy as np
import pytest

from tests.oracles.peers import CASES, RECORDED

recorded = json.loads(RECORDED.read_text())


def assert_agrees(case, theirs):
    """To 1e-6 of each value; of a value that is 0 but for float64's rounding, to 1e-9 of the largest."""
    ours = np.asarray(case.ours(np.arange(case.steps)), np.float64)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-9 * np.max(np.abs(theirs)))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_was_recorded_agrees(case):
    assert_agrees(case, np.array(recorded["values"][str(case)]))


def test_every_recording_has_a_case():
    assert list(recorded["values"]) == [str(case) for case in CASES]
    assert set(recorded["versions"]) == {case.library for case in CASES}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # theirs, of their own making
@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_installed_library_agrees(case):
    module = "timm.scheduler" if case.library == "timm" else case.library
    pytest.importorskip(module, reason=f"{case.library} is an oracle that is not installed here")
    assert_agrees(case, np.array(case.theirs(case.steps)))
