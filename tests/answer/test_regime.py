"""Labels of training curves, whose regime is known by construction or by the mathematics of a quadratic."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lrjax
from lrjax.answer import regime

STEPS = np.arange(400)
CURVES = {
    "good": np.exp(-STEPS / 40),
    "slow": np.exp(-STEPS / 120),
    "too low": np.exp(-STEPS / 4000),
    "flat": np.zeros(400),
    "diverged": 1 + STEPS / 100,
    "unstable": np.exp(-STEPS / 40) + 2 * np.exp(-(((STEPS - 250) / 10) ** 2)),
    "oscillating": 0.3 + np.exp(-STEPS / 40) + 0.3 * np.sin(1.3 * STEPS),
    "non-finite": np.where(STEPS < 300, np.exp(-STEPS / 40), np.nan),
}


@pytest.mark.parametrize("label", CURVES)
def test_a_curve_made_to_be_so_is_labelled_so(label):
    found = regime(CURVES[label])
    assert found.label == label
    assert found.evidence


def test_a_loss_that_jumps_in_the_first_steps_and_comes_back_is_unstable():
    jumping = 2.1 + 0.2 * np.exp(-STEPS / 40) + 30 * np.exp(-(((STEPS - 10) / 2.5) ** 2))
    assert regime(jumping).label == "unstable"
    assert regime(jumping).fall == pytest.approx(0.2, rel=0.1)


def test_a_loss_that_the_first_update_throws_up_and_that_stays_near_its_start_is_unstable():
    thrown = np.concatenate([[2.3], 1.8 + 40 * np.exp(-STEPS[1:] / 5)])
    found = regime(thrown + 0.02 * np.random.default_rng(0).normal(size=400))
    assert found.label == "unstable"
    assert found.fall == pytest.approx(0.5, rel=0.1)


@pytest.mark.parametrize("count", [20, 60, 400, 2000])
@pytest.mark.parametrize("steps", [0.3, 2.0])
def test_a_loss_that_falls_at_once_and_stays_is_good(count, steps):
    """All of the fall lies within the first part, whose median does not show it."""
    noise = 0.01 * np.random.default_rng(0).normal(size=count)
    found = regime(0.1 + np.exp(-np.arange(count) / steps) + noise)
    assert found.label == "good"
    assert found.fall == pytest.approx(1.0, rel=0.1)


def test_swings_that_grow_are_oscillations_though_the_loss_falls():
    progress = STEPS / 400
    assert regime(1 - progress + progress * np.sin(1.7 * STEPS)).label == "oscillating"
    assert regime(1 - progress + 0.05 * np.sin(1.7 * STEPS)).label == "too low"


def test_a_loss_that_only_rises_fell_by_nothing():
    assert regime(CURVES["diverged"]).fall == 0.0


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("label", [label for label in CURVES if label not in ("slow", "oscillating")])
def test_noise_changes_no_label(label, seed):
    noise = 0.02 * np.random.default_rng(seed).normal(size=400)
    assert regime(CURVES[label] + noise).label == label


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(list(CURVES)), st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
def test_scale_shift_and_sign_of_the_loss_do_not_matter(label, scale, shift):
    noise = 0.01 * np.random.default_rng(0).normal(size=400)
    expected = regime(CURVES[label] + noise)
    found = regime(scale * (CURVES[label] + noise) + shift)
    assert found.label == expected.label
    np.testing.assert_allclose(
        [found.fall, found.noise], [scale * expected.fall, scale * expected.noise], rtol=1e-6
    )


def test_noise_is_the_standard_deviation_of_independent_jumps():
    jumps = 0.3 * np.random.default_rng(1).normal(size=20_000)
    assert regime(jumps + 5.0).noise == pytest.approx(0.3, rel=0.03)
    assert regime(CURVES["good"]).noise < 1e-4  # a smooth course has none


@pytest.mark.parametrize(
    ("rate", "labels"),
    # Gradient descent on 0.5 x^2 multiplies the loss by (1 - rate)^2 a step.
    [(1e-5, {"too low"}), (0.05, {"good"}), (1.9, {"good"}), (2.5, {"diverged", "non-finite"})],
)
def test_regimes_of_a_quadratic_are_those_of_its_mathematics(rate, labels):
    trial = lrjax.trial(lambda key: np.float32(1.0), lambda x, batch: 0.5 * x**2, lrjax.sgd)
    data = lrjax.batches(np.zeros(4), batch_size=4)
    options = {"steps": 100, "blow_up": None, "progress": False}
    sweep = lrjax.sweep(trial, {"learning_rate": [rate]}, data, **options)
    assert regime(sweep.metrics["loss"][0, 0]).label in labels


def test_a_reference_tells_a_rate_that_is_too_low_from_a_slow_one():
    curve = 1 - 0.2 * (1 - np.exp(-STEPS / 150))
    assert regime(curve).label == "slow"
    assert regime(curve, reference=0.0).label == "too low"
    assert regime(curve, reference=0.8).label == "slow"


@pytest.mark.parametrize("count", [0, 1, 7])
def test_a_short_curve_has_no_label(count):
    assert regime(np.ones(count)).label == "unknown"


def test_several_curves_at_once_are_refused():
    with pytest.raises(ValueError, match=r"`regime\(losses=\.\.\.\)` must be one curve, got .* \(2, 9\)"):
        regime(np.ones((2, 9)))
