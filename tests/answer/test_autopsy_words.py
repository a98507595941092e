"""What an autopsy's numbers are put into: plain words, and what to try."""

from __future__ import annotations

import numpy as np
import pytest

from lrjax.answer import Autopsy
from lrjax.answer._autopsy import plain_path

GROWING = 0.001 * 2.0 ** np.arange(20)  # of the weights: below a tenth for seven steps


def opened(first="gradient", step=37, ratios=GROWING, gradients=GROWING, losses=None, after=1, **changed):
    """An autopsy whose weights are 1, and that ends `after` steps from the first bad one."""
    ratios = np.asarray(ratios, float)
    count = len(ratios)
    bad = np.full(after, np.nan)
    norms = np.append(ratios, bad)
    slopes = None if gradients is None else np.append(np.asarray(gradients, float), bad)
    known = step if step >= 0 else 60
    everything = {
        "point": 5,
        "seed": 1,
        "hyperparams": {"learning_rate": 0.3, "momentum": None},
        "name": "learning_rate",
        "step": step,
        "first": first,
        "leaf": "layers/0/w",
        "kind": "inf",
        "bad": (f"{first} layers/0/w",),
        "steps": np.arange(known - count, known + after),
        "losses": np.append(np.full(count, 2.0) if losses is None else losses, np.full(after, 2.0)),
        "learning_rates": np.full(count + after, 0.3),
        "gradient_norms": slopes,
        "update_norms": norms,
        "weight_norms": np.ones(count + after),
        "leaf_gradient_norms": {} if slopes is None else {"layers/0/w": slopes, "b": np.sqrt(slopes)},
        "leaf_update_norms": {"layers/0/w": norms, "b": np.full(count + after, 1e-3)},
        "leaf_weight_norms": dict.fromkeys(("layers/0/w", "b"), np.ones(count + after)),
        "first_loss": 2.5,
        "planned": 100,
        "diverged_at": known + after - 1,
        "departs_at": -1,
        "deviation": 1e-7,
        "trained": 0.1,
    }
    return Autopsy(**{**everything, **changed})


def lines(**changed):
    return opened(**changed).summary().splitlines()


def test_a_whole_summary():
    assert lines() == [
        "Step 37: the gradient of `layers/0/w` became inf; the loss was finite.",
        "This is point 5, seed 1: learning_rate = 0.3, momentum = None.",
        "Loss: 2.5 at step 0, 2 at step 36, 2 at step 37.",
        "In the 13 steps before, the update was 819 % of the weights (median); 0.1 % is usual.",
        "The gradient's norm was 524 in the step before, 5.24e+05 times the lowest of these 20 steps; "
        "the gradient of `layers/0/w` grew the most, 5.24e+05 times.",
        "Try learning_rate = 0.1 (the next below that trained in this sweep), "
        "or gradients clipped by their norm.",
    ]


@pytest.mark.parametrize(
    ("changed", "headline"),
    [
        ({"first": "loss", "leaf": "", "kind": "nan"}, "the loss became NaN"),
        (
            {"first": "batch", "leaf": "x"},
            "`x` of the batch holds numbers that are not finite, and so the loss",
        ),
        ({"first": "update"}, "the update of `layers/0/w` became inf; loss and gradient were finite"),
        ({"first": "parameters"}, "the weights `layers/0/w` became inf"),
        (
            {"first": "state", "leaf": "opt_state/0/nu/b"},
            "`opt_state/0/nu/b`, which is remembered beside the",
        ),
        (
            {"first": "blow-up", "after": 20},
            "the loss was far above its start, and so it stayed for 20 steps",
        ),
    ],
)
def test_the_first_line_says_what_went_bad(changed, headline):
    assert lines(**changed)[0].startswith(f"Step 37: {headline}")


def test_a_blow_up_tells_where_the_loss_ended():
    losses = "Loss: 2.5 at step 0, 2 at step 36, 2 at step 37, 2 at step 56."
    assert lines(first="blow-up", after=20)[2] == losses


def test_a_scheduled_rate_is_told():
    assert lines(learning_rates=np.full(21, 0.02))[1].endswith("; the rate was then 0.02.")
    assert lines(learning_rates=None)[1] == lines()[1]


@pytest.mark.parametrize(
    ("ratios", "text"),
    [
        ([1e-3, 2e-3, 4e-3], "In the 3 steps before, the update was 0.2 % of the weights (median)."),
        ([1e-3, 0.4, 1e-3], "In the 3 steps before, the update was 0.1 % of the weights (median)."),
        ([1e-3, 1e-3, 0.4], "In the step before, the update was 40 % of the weights; 0.1 % is usual."),
        (
            [1e-3, 0.3, 0.5],
            "In the 2 steps before, the update was 40 % of the weights (median); 0.1 %",
        ),
        ([25.0, 25.0], "In the 2 steps before, the update was 25 times the weights (median); 0.1 %"),
        ([0.0], "In the step before, the update was 0 % of the weights."),
    ],
)
def test_how_large_updates_were(ratios, text):
    assert lines(ratios=ratios, gradients=np.ones(len(ratios)))[3].startswith(text)


def test_weights_that_are_zero():
    found = opened(ratios=[1.0], gradients=[1.0], weight_norms=np.array([0.0, 1.0]))
    assert found.ratios[0] == np.inf
    assert "the weights were 0: no update is small against them" in found.summary()
    still = opened(ratios=[0.0], gradients=[1.0], weight_norms=np.array([0.0, 1.0]))
    assert still.ratios[0] == 0


def test_what_grew():
    found = opened(gradients=np.array([3.0, 1.0, 2.0, 8.0]), ratios=np.array([3.0, 1.0, 2.0, 1.0]))
    assert found.growth == pytest.approx({"layers/0/w": 8.0, "b": np.sqrt(8)})  # the last over the lowest
    assert found.fastest == "layers/0/w"
    hidden = opened(gradients=None, ratios=np.array([1.0, 1.0, 6.0]))
    assert hidden.growth == pytest.approx({"layers/0/w": 6.0, "b": 1.0})
    assert "the update of `layers/0/w` grew the most, 6 times" in hidden.summary()
    assert "does not mark its gradient (`lrjax.trials.named_gradient`)" in hidden.summary()


def test_nothing_grew():
    found = opened(gradients=[4.0, 2.0, 0.0, 1.0], ratios=[1e-3] * 4)
    assert set(found.growth.values()) == {1.0}
    assert found.fastest == ""
    assert "grew the most" not in found.summary()


# What to try


def test_a_rate_too_high_without_one_that_trained():
    assert lines(trained=None)[-1].startswith("Try a rate 3 to 10 times smaller, or gradients clipped")


def test_an_early_end_asks_for_a_warmup():
    assert "a warmup (it failed early)" in lines(planned=1000)[-1]
    assert "warmup" not in lines(planned=100)[-1]


def test_a_gradient_that_jumped_is_clipped_to_what_was_usual():
    jumped = lines(gradients=[2.0, 2.1, 1.9, 2.0, 2.0, 500.0], ratios=[1e-3] * 5 + [0.25])
    assert jumped[-1].startswith(
        "Try to clip the gradient's norm to 2, as it was before; or learning_rate = 0.1"
    )
    steady = lines(gradients=2.0 * 4 ** np.arange(6), ratios=[0.25] * 6)
    assert steady[-1].startswith("Try learning_rate = 0.1")


@pytest.mark.parametrize(
    ("first", "look"),
    [
        ("loss", "what the loss takes a logarithm or a root of"),
        ("gradient", "roots, norms and divisions near 0"),
        ("update", "what the optimizer divides by"),
        ("parameters", "what a step does to `layers/0/w`"),
        ("state", "what a step does to `layers/0/w`"),
    ],
)
def test_where_nothing_grew_the_rate_is_not_to_blame(first, look):
    last = lines(first=first, ratios=[1e-3] * 6, gradients=[1.0, 3.0, 1.0, 2.0, 0.5, 1.0])[-1]
    assert last.startswith(f"Little had grown before, so the rate is hardly to blame. Look at {look}")


def test_a_noisy_gradient_is_no_evidence_where_updates_are_tiny():
    noisy = [1.0, 0.05, 1.0, 0.6]
    assert "hardly to blame" in lines(ratios=[1e-4] * 4, gradients=noisy)[-1]
    assert lines(ratios=[0.02] * 4, gradients=noisy)[-1].startswith("Try learning_rate")


def test_a_loss_that_climbed_is_evidence():
    calm = {"ratios": [1e-3] * 4, "gradients": [1.0] * 4}
    assert lines(losses=[2.0, 9.0, 20.0, 80.0], **calm)[-1].startswith("Try learning_rate")
    # From nearly nothing, still below the start: the noise of what has converged.
    assert "hardly to blame" in lines(losses=[1e-6, 1e-3, 1e-2, 0.5], **calm)[-1]
    assert "hardly to blame" in lines(losses=[-2.0, -2.1, -0.1, 0.3], **calm)[-1]


def test_a_blow_up_is_the_rate_s():
    calm = {"ratios": [1e-3] * 4, "gradients": [1.0] * 4}
    assert lines(first="blow-up", after=20, **calm)[-1].startswith("Try learning_rate")


@pytest.mark.parametrize("first", ["loss", "gradient"])
def test_at_the_first_step_no_rate_is_to_blame(first):
    last = lines(first=first, step=0, ratios=[], gradients=[], losses=[])[-1]
    assert last == "No update came before, so the rate is not to blame: look at the first batch and weights."


@pytest.mark.parametrize("first", ["update", "parameters"])
def test_the_first_update_may_be_the_rate_s(first):
    assert lines(first=first, step=0, ratios=[], gradients=[], losses=[])[-1].startswith("Try learning_rate")


# Whether it is what the sweep trained


def test_another_step_than_the_sweep_s():
    assert lines(diverged_at=40)[-1] == "Alone it ended at step 37, in the sweep at 40."


def test_another_curve_than_the_sweep_s():
    late = lines(departs_at=30, deviation=0.03)[-1]
    assert late.startswith("From step 30 on, its loss is not that of the sweep, by up to 3 %; `sweep.verify(")
    assert "[(5, 1)])` tells whether rounding explains that" in late
    early = lines(departs_at=1, deviation=12.0)[-1]
    assert early == (
        "From step 1 on, its loss is not that of the sweep: other data, another trial, or another key?"
    )


def test_no_divergence_at_all():
    found = opened(first="", step=-1, leaf="", kind="", bad=(), diverged_at=9)
    assert found.summary().splitlines() == [
        "Trained alone, it did not diverge until step 60; in the sweep it did at step 9.",
        "This is point 5, seed 1: learning_rate = 0.3, momentum = None.",
    ]


# Paths


@pytest.mark.parametrize(
    ("path", "plain"),
    [
        ("['layers'][0]['w']", "layers/0/w"),
        (".opt_state[1].mu['a b']", "opt_state/1/mu/a b"),
        ("[3]", "3"),
        ("", ""),
        ("[<flat index 0>]", "[<flat index 0>]"),
        ("[1.5]", "[1.5]"),
        ("['it\\'s']", "['it\\'s']"),
    ],
)
def test_paths_as_people_write_them(path, plain):
    assert plain_path(path) == plain
