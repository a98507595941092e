"""The autopsy of a divergence, against loops by hand in NumPy: which step, which leaf, which norms."""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrjax
from lrjax.trials import named_gradient

ZEROS = lrjax.batches(np.zeros(4, np.float32), batch_size=4)
LARGEST = float(np.finfo(np.float32).max)


def trained(trial, grid, data=ZEROS, steps=60, **options):
    return lrjax.sweep(trial, grid, data, steps=steps, progress=False, **options)


# Norms, growth and the first bad step of a problem that is solved by hand

CURVATURE = {"flat": 0.5, "steep": 3.0}
START = {"flat": np.array([1.0, -2.0]), "steep": np.array([0.5, 0.25, 1.0])}


def quadratic(optimizer=lrjax.sgd):
    def loss(params, batch):
        return sum(0.5 * c * jnp.sum(params[name] ** 2) for name, c in CURVATURE.items())

    return lrjax.trial(
        lambda key: {k: jnp.asarray(w, jnp.float32) for k, w in START.items()}, loss, optimizer
    )


def by_hand(rate, steps):
    """Descent on the quadratic in float64: for each step the loss and, by leaf, gradient, update, weights."""
    w = dict(START)
    for _ in range(steps):
        loss = sum(0.5 * CURVATURE[k] * np.sum(w[k] ** 2) for k in w)
        g = {k: CURVATURE[k] * w[k] for k in w}
        u = {k: -rate * g[k] for k in w}
        yield loss, g, u, w
        w = {k: w[k] + u[k] for k in w}


def norm(tree):
    return np.sqrt(sum(np.sum(np.square(x)) for x in tree.values()))


@functools.cache
def divergent(plan="auto"):
    return trained(quadratic(), {"learning_rate": [0.1, 0.6, 4.0, 9.0]}, plan=plan, blow_up=None)


@pytest.mark.parametrize("rate", [4.0, 9.0])
def test_norms_and_the_first_bad_step_are_those_of_a_loop_by_hand(rate):
    sweep = divergent()
    point = [0.1, 0.6, 4.0, 9.0].index(rate)
    found = sweep.autopsy(quadratic(), ZEROS, point=point, before=7)
    records = list(by_hand(rate, 60))
    bad = next(t for t, (loss, *_) in enumerate(records) if loss > LARGEST)
    assert (found.step, found.first, found.kind, found.leaf) == (bad, "loss", "inf", "")
    assert found.diverged_at == sweep.diverged_at[point, 0] == bad
    assert found.steps.tolist() == list(range(bad - 7, bad + 1))
    losses, g, u, w = zip(*records[bad - 7 : bad + 1], strict=True)
    np.testing.assert_allclose(found.losses[:-1], losses[:-1], rtol=1e-4)
    for name in CURVATURE:
        for norms, by_leaf in (
            (found.leaf_gradient_norms, g),
            (found.leaf_update_norms, u),
            (found.leaf_weight_norms, w),
        ):
            np.testing.assert_allclose(norms[name], [np.linalg.norm(x[name]) for x in by_leaf], rtol=1e-4)
        # Each step multiplies a leaf by |1 - rate * curvature|, between the seven steps before six times.
        assert found.growth[name] == pytest.approx(abs(1 - rate * CURVATURE[name]) ** 6, rel=1e-3)
        np.testing.assert_allclose(found.leaf_ratios[name], rate * CURVATURE[name], rtol=1e-4)
    for norms, trees in ((found.gradient_norms, g), (found.update_norms, u), (found.weight_norms, w)):
        np.testing.assert_allclose(norms, [norm(tree) for tree in trees], rtol=1e-4)
    np.testing.assert_allclose(
        found.ratios, [norm(a) / norm(b) for a, b in zip(u, w, strict=True)], rtol=1e-4
    )
    np.testing.assert_allclose(found.learning_rates, rate)
    assert found.fastest == "steep"
    assert found.first_loss == pytest.approx(records[0][0])
    assert found.departs_at == -1
    assert found.deviation < 1e-5


@pytest.mark.parametrize("plan", ["pool", "vmap"])
def test_by_itself_it_takes_the_smallest_rate_that_diverged(plan):
    found = divergent(plan).autopsy(quadratic(), ZEROS)
    assert (found.point, found.seed, found.hyperparams) == (2, 0, {"learning_rate": 4.0})
    assert found.trained == pytest.approx(0.6)
    assert "learning_rate = 0.6 (the next below that trained in this sweep)" in found.summary()
    assert str(found) == found.summary()


def test_a_norm_may_be_larger_than_float32_holds():
    def loss(params, batch):  # 0, with a slope of 3e38 for each of four weights
        return 3e38 * jnp.sum(params - jax.lax.stop_gradient(params))

    trial = lrjax.trial(lambda key: jnp.zeros(4), loss, lrjax.sgd)
    found = trained(trial, {"learning_rate": [1.0]}).autopsy(trial, ZEROS)
    # The weights are -3e38 after a step, and beyond what float32 holds after another.
    assert (found.step, found.first, found.leaf, found.kind) == (1, "parameters", "params", "inf")
    np.testing.assert_allclose(found.gradient_norms, [6e38, 6e38], rtol=1e-5)
    np.testing.assert_allclose(found.weight_norms, [0, 6e38], rtol=1e-5)
    assert found.ratios.tolist()[0] == np.inf


X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
Y = (X @ [1.0, -2.0, 0.5] + 3).astype(np.float32)
DATA = lrjax.batches((X, Y), batch_size=10)


def squares(params, batch):
    x, y = batch
    return jnp.mean((x @ params["w"] + params["b"] - y) ** 2)


def regression(optimizer=lrjax.sgd):
    return lrjax.trial(
        lambda key: {"w": jax.random.normal(key, (3,)), "b": jnp.zeros(())}, squares, optimizer
    )


def regressed(trial, seed, rates, key=0, **others):
    """The regression in float64: at each of these rates the loss, and the norms of gradient and weights."""
    hyperparams = {"learning_rate": 0.1, **others}
    first = trial.init(jax.random.fold_in(jax.random.key(key), seed), hyperparams).params
    w, b = np.asarray(first["w"], float), float(first["b"])
    for step, rate in enumerate(rates):
        x, y = (np.asarray(part, float) for part in DATA(step, seed))
        error = x @ w + b - y
        slope, offset = 2 * x.T @ error / len(y), 2 * error.mean()
        yield np.mean(error**2), np.hypot(np.linalg.norm(slope), offset), np.hypot(np.linalg.norm(w), b)
        w, b = w - rate * slope, b - rate * offset


@pytest.mark.parametrize("seed", [0, 1])
def test_a_member_has_its_own_seed_s_batches(seed):
    trial = regression()
    sweep = trained(trial, {"learning_rate": [0.1, 3.0]}, DATA, seeds=2, key=5, blow_up=None)
    found = sweep.autopsy(trial, DATA, seed=seed, before=6)
    assert (found.point, found.seed, found.departs_at) == (1, seed, -1)
    losses, gradients, weights = np.transpose([*regressed(trial, seed, [3.0] * 60, key=5)])
    bad = int(np.flatnonzero(10 * losses > LARGEST)[0])  # the sum of ten squares overflows, not their mean
    assert (found.step, found.first) == (bad, "loss")
    assert found.steps.tolist() == list(range(bad - 6, bad + 1))
    np.testing.assert_allclose(found.losses[:-1], losses[bad - 6 : bad], rtol=1e-3)
    np.testing.assert_allclose(found.gradient_norms[:-1], gradients[bad - 6 : bad], rtol=1e-3)
    np.testing.assert_allclose(found.weight_norms[:-1], weights[bad - 6 : bad], rtol=1e-3)


STAGED = [0.01, 0.05, 3.0, 1e6]
FULL = 64


def staged(**options):
    """Schedules end at step 8, which the last point does not reach, and at 64, which the third does not."""

    def optimizer(learning_rate, length):
        return lrjax.sgd(lrjax.cosine_decay_schedule(learning_rate, length))

    trial = regression(optimizer)
    options = {"evaluate_on": (X, Y), "evaluate_every": 8, "blow_up": None, **options}
    allocation = lrjax.top_k(3, first=8)
    grid = {"learning_rate": STAGED, "length": [FULL]}
    return trained(trial, grid, DATA, FULL, allocation=allocation, horizon="length", **options), trial


def assert_of_its_stage(sweep, trial, point, horizon, after):
    found = sweep.autopsy(trial, DATA, point=point, before=5)
    assert (found.point, found.departs_at, found.diverged_at) == (point, -1, found.step)
    rates = STAGED[point] * 0.5 * (1 + np.cos(np.pi * np.arange(horizon) / horizon))
    losses, gradients, _ = np.transpose([*regressed(trial, 0, rates, length=horizon)])
    bad = int(np.flatnonzero(10 * losses > LARGEST)[0])
    assert after < bad == found.step
    begin = max(0, bad - 5)
    np.testing.assert_allclose(found.learning_rates, rates[begin : bad + 1], rtol=1e-5)
    np.testing.assert_allclose(found.gradient_norms[:-1], gradients[begin:bad], rtol=1e-3)
    assert f"the rate was then {rates[bad]:.3g}" in found.summary()


@pytest.mark.slow
def test_a_horizon_is_that_of_the_stage_in_which_a_member_diverged():
    sweep, trial = staged()
    assert_of_its_stage(sweep, trial, point=3, horizon=8, after=0)
    assert_of_its_stage(sweep, trial, point=2, horizon=FULL, after=8)


@pytest.mark.slow
def test_a_sweep_that_was_cut_off_goes_on_and_is_opened(tmp_path):
    def cut(sweep):
        if sweep.rungs:
            raise KeyboardInterrupt

    staged(directory=tmp_path, checkpoint_seconds=0, on_chunk=cut)
    sweep, trial = staged(directory=tmp_path)
    assert sweep.cost.member_steps_reused > 0
    assert_of_its_stage(sweep, trial, point=2, horizon=FULL, after=8)
    assert_of_its_stage(lrjax.load(tmp_path), trial, point=3, horizon=8, after=0)


# What went bad first, and where


def sloped(value_and_slope, optimizer=lrjax.sgd, start=0.0):
    """A trial whose loss and whose gradient are functions of the weights `inner/w`, whatever they are."""

    @jax.custom_jvp
    def loss(w):
        return value_and_slope(w)[0]

    loss.defjvp(lambda primals, tangents: (loss(*primals), value_and_slope(*primals)[1] * tangents[0]))
    params = {"inner": [{"w": jnp.float32(start)}]}
    return lrjax.trial(lambda key: params, lambda params, batch: loss(params["inner"][0]["w"]), optimizer)


def ascending(slope):
    """A finite loss whose slope is given; weights fall by the rate times that in each step."""
    return lambda w: (1 / (1 + jnp.abs(w)), slope * jnp.ones_like(w))


def momentum(learning_rate):
    return lrjax.sgd(learning_rate, momentum=0.9)


CASES = {
    # Weights fall by 1 a step from 2.5: after three steps the logarithm is of a negative number.
    "loss": (sloped(lambda w: (jnp.log(w), jnp.ones_like(w)), start=2.5), 1.0, 3, "", "nan"),
    "gradient": (
        sloped(lambda w: (w, jnp.where(w < -2.5, jnp.inf, 1.0))),
        1.0,
        3,
        "inner/0/w",
        "inf",
    ),
    # 1e30 * 1e10 is more than float32 holds.
    "update": (sloped(ascending(1e30)), 1e10, 0, "inner/0/w", "inf"),
    # Each update is -2e38; float32 ends at 3.4e38.
    "parameters": (sloped(ascending(2.0)), 1e38, 1, "inner/0/w", "inf"),
    # The square of the gradient is inf, the update by its root therefore 0.
    "state": (sloped(ascending(1e30), lrjax.adam), 1e-3, 0, "opt_state/0/nu/inner/0/w", "inf"),
}


@pytest.mark.parametrize("first", CASES)
def test_what_goes_bad_first(first):
    trial, rate, step, leaf, kind = CASES[first]
    sweep = trained(trial, {"learning_rate": [rate]}, steps=8, blow_up=None)
    found = sweep.autopsy(trial, ZEROS)
    assert (found.first, found.step, found.leaf, found.kind) == (first, step, leaf, kind)
    assert found.bad[0] == f"{first} {leaf}".strip()
    assert found.diverged_at == step
    # The sweep's word for all of a state is "parameters".
    assert sweep.causes[0, 0] == {"update": "parameters", "state": "parameters"}.get(first, first)
    assert found.steps.tolist() == list(range(step + 1))


def test_a_gradient_that_overflows_in_half_precision():
    def loss(params, batch):  # in float32, the gradient in float16
        return 50 * jnp.sum(params["w"].astype(jnp.float32) ** 2)

    trial = lrjax.trial(lambda key: {"w": jnp.ones(1, jnp.float16)}, loss, lrjax.sgd)
    found = trained(trial, {"learning_rate": [0.1]}, steps=8, blow_up=None).autopsy(trial, ZEROS)
    # Weights are 1, -9, 81, -729: of the last the slope is 72,900, and float16 ends at 65,504.
    assert (found.step, found.first, found.leaf, found.kind) == (3, "gradient", "w", "inf")
    np.testing.assert_allclose(found.weight_norms, [1, 9, 81, 729], rtol=2e-3)
    np.testing.assert_allclose(found.gradient_norms[:3], [100, 900, 8100], rtol=2e-3)
    np.testing.assert_allclose(found.update_norms[:3], [10, 90, 810], rtol=2e-3)


def test_what_an_optimizer_remembers_goes_with_its_update():
    trial = sloped(ascending(2e38), momentum)  # 2e38, then 0.9 times that and 2e38
    found = trained(trial, {"learning_rate": [1e-30]}, steps=8).autopsy(trial, ZEROS)
    assert (found.step, found.first) == (1, "update")
    assert "state opt_state/0/trace/inner/0/w" in found.bad
    assert "With it went `opt_state/0/trace/inner/0/w`" in found.summary()


def test_a_batch_that_is_not_finite():
    def batch(step, seed):
        return {"x": np.float32(1), "spoiled": np.float32(np.nan if step == 6 else 0)}

    data = lrjax.from_function(batch, on_device=False)
    trial = lrjax.trial(lambda key: jnp.ones(()), lambda w, b: (w - b["x"] + b["spoiled"]) ** 2, lrjax.sgd)
    found = trained(trial, {"learning_rate": [0.1]}, data, steps=12).autopsy(trial, data)
    assert (found.step, found.first, found.leaf, found.kind) == (6, "batch", "spoiled", "nan")
    assert found.bad[:2] == ("batch spoiled", "loss")
    assert "Mend the data" in found.summary()


def test_a_loss_that_blew_up_but_stayed_finite():
    def update(x, batch, hyperparams):
        return {"loss": jnp.float32(1.0) + x}, x + hyperparams["rate"]

    trial = lrjax.Trial(lambda key, hyperparams: jnp.float32(0.0), update)
    sweep = trained(trial, {"rate": [0.001, 30.0]}, name="rate")
    found = sweep.autopsy(trial, ZEROS, before=3)
    # 1 + 30 t is above 1 + 100 from step 4 on, and at step 23 for the twentieth time.
    assert (found.step, found.first, found.leaf, found.kind, found.bad) == (4, "blow-up", "", "", ())
    assert found.steps.tolist() == list(range(1, 24))
    assert found.diverged_at == sweep.diverged_at[1, 0] == 23
    np.testing.assert_allclose(found.losses, 1 + 30 * np.arange(1, 24))


# Trials of one's own


def own(marks):
    """Momentum by hand; the state is a tuple of weights and memory."""

    def init(key, hyperparams):
        return {"w": jnp.ones(3), "b": jnp.float32(1.0)}, jnp.float32(7.0), key

    def update(state, batch, hyperparams):
        weights, memory, key = state

        def loss(weights):
            return jnp.sum(weights["w"] ** 2) + weights["b"] ** 2

        value, slope = jax.value_and_grad(loss)(weights)
        slope = named_gradient(slope) if marks else slope
        weights = jax.tree.map(lambda w, g: w - hyperparams["learning_rate"] * g, weights, slope)
        return {"loss": value}, (weights, memory, key)

    return lrjax.Trial(init, update)


@pytest.mark.parametrize("marks", [True, False])
def test_a_trial_by_hand(marks):
    trial = own(marks)
    found = trained(trial, {"learning_rate": [5.0]}, blow_up=None).autopsy(trial, ZEROS, before=4)
    assert (found.first, found.departs_at, found.learning_rates) == ("loss", -1, None)
    w = np.sqrt(3) * 9.0**found.steps  # each step multiplies the weights by 1 - 2 * 5
    updates = found.leaf_update_norms
    if marks:  # where the gradient's leaves are, there the weights are
        assert set(updates) == {"w", "b"}
        np.testing.assert_allclose(found.leaf_gradient_norms["w"], 2 * w, rtol=1e-4)
        np.testing.assert_allclose(found.ratios, 10, rtol=1e-4)
        np.testing.assert_allclose(updates["w"], 10 * w, rtol=1e-4)
    else:  # any number may be a weight, and nothing is known of gradients
        assert set(updates) == {"0/w", "0/b", "1"}
        assert (found.gradient_norms, found.leaf_gradient_norms) == (None, {})
        np.testing.assert_allclose(updates["0/w"], 10 * w, rtol=1e-4)
        np.testing.assert_array_equal(updates["1"], 0)
        assert "does not mark its gradient" in found.summary()


def test_a_step_costs_no_more_for_its_marks(monkeypatch):
    def text():
        trial = quadratic(lrjax.adam)
        state = trial.init(jax.random.key(0), {"learning_rate": 0.1})
        step = jax.jit(lambda state, rate: trial.update(state, jnp.zeros(4), {"learning_rate": rate}))
        return step.lower(state, 0.1).compile().as_text().partition("ENTRY")[2].count("\n")

    marked = text()
    monkeypatch.setattr(lrjax.trials, "_named", lambda kind, tree: tree)
    assert text() == marked


# What is trained again is compared with the sweep


def test_a_curve_that_is_not_the_sweep_s_is_told():
    sweep = divergent()
    losses = sweep.metrics["loss"].copy()
    losses[2, 0, 5:8] *= 1.02
    tampered = dataclasses.replace(sweep, metrics={**sweep.metrics, "loss": losses})
    found = tampered.autopsy(quadratic(), ZEROS)
    assert (found.departs_at, found.step) == (5, sweep.diverged_at[2, 0])
    assert found.deviation == pytest.approx(0.02, rel=1e-3)
    assert "From step 5 on, its loss is not that of the sweep, by up to 2 %;" in found.summary()
    assert "sweep.verify(trial, data, [(2, 0)])" in found.summary()


def test_other_data_are_told():
    trial = regression()
    sweep = trained(trial, {"learning_rate": [3.0]}, DATA, blow_up=None)
    found = sweep.autopsy(trial, lrjax.batches((X, Y), batch_size=10, seed=1))
    assert found.departs_at == 0
    assert "other data, another trial, or another key?" in found.summary()


def test_a_divergence_that_does_not_come_again_is_told():
    sweep = divergent()
    made_up = dataclasses.replace(sweep, diverged_at=np.array([[-1], [9], [-1], [-1]]))
    found = made_up.autopsy(quadratic(), ZEROS, before=6)
    assert (found.step, found.first, found.kind, found.bad) == (-1, "", "", ())
    assert found.steps.tolist() == list(range(54, 60))  # 50 steps more than it should take
    assert found.departs_at == -1
    assert "did not diverge until step 59; in the sweep it did at step 9" in found.summary()


def test_records_that_are_few_are_compared_where_they_are():
    sweep = trained(quadratic(), {"learning_rate": [4.0]}, record_every=3, blow_up=None)
    found = sweep.autopsy(quadratic(), ZEROS)
    assert (found.departs_at, found.step) == (-1, sweep.diverged_at[0, 0])


def test_a_rate_beside_another_hyperparameter():
    grid = [
        {"learning_rate": 9.0, "momentum": 0.0},
        {"learning_rate": 4.0, "momentum": 0.5},
        {"learning_rate": 0.1, "momentum": 0.0},
        {"learning_rate": 0.2, "momentum": 0.5},
        {"learning_rate": 0.3, "momentum": 0.0},
    ]
    trial = quadratic(lrjax.sgd)
    sweep = trained(trial, grid, blow_up=None)
    found = sweep.autopsy(trial, ZEROS)
    assert (found.point, found.hyperparams, found.trained) == (1, grid[1], 0.2)
    assert sweep.autopsy(trial, ZEROS, point=0).trained == pytest.approx(0.3)


def test_an_older_file_does_not_tell_none_from_what_a_point_does_not_have():
    def optimizer(learning_rate, momentum=0.5):
        return lrjax.sgd(learning_rate, momentum)

    trial = quadratic(optimizer)
    for momentum in ({"momentum": None}, {}):
        grid = [{"learning_rate": 0.1, "momentum": 0.1}, {"learning_rate": 4.0, **momentum}]
        sweep = trained(trial, grid, blow_up=None)
        old = {name: value for name, value in sweep.settings.items() if name != "absent"}
        found = dataclasses.replace(sweep, settings=old).autopsy(trial, ZEROS)
        assert (found.departs_at, found.step) == (-1, sweep.diverged_at[1, 0])


def test_a_state_without_weights():
    def update(count, batch, hyperparams):
        return {"loss": hyperparams["rate"] / jnp.where(count < 3, 1.0, 0.0)}, count + 1

    trial = lrjax.Trial(lambda key, hyperparams: jnp.int32(0), update)
    found = trained(trial, {"rate": [1.0]}, steps=6, name="rate").autopsy(trial, ZEROS)
    assert (found.step, found.first, found.kind) == (3, "loss", "inf")
    np.testing.assert_array_equal(found.update_norms, 0)
    assert "the rate is hardly to blame" in found.summary()


# Wrong arguments


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"trial": squares}, TypeError, r"autopsy\(trial=...\)"),
        ({"data": 3}, TypeError, r"autopsy\(data=...\)"),
        ({"data": lambda size: ZEROS}, ValueError, r"autopsy\(data=...\)"),
        ({"point": 4}, ValueError, r"autopsy\(point=...\)` must be below 4, got 4"),
        ({"point": -1}, ValueError, r"autopsy\(point=...\)"),
        ({"point": "last"}, TypeError, r"autopsy\(point=...\)"),
        ({"seed": 1}, ValueError, r"autopsy\(seed=...\)` must be below 1"),
        ({"before": 0}, ValueError, r"autopsy\(before=...\)"),
        ({"point": 0}, ValueError, r"\(point, seed\) = \(2, 0\), \(3, 0\), got point 0, which did not"),
        ({"trial": own(False)}, ValueError, r"autopsy\(trial=...\).* measures 'learning_rate', 'loss'"),
    ],
)
def test_wrong_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        divergent().autopsy(**{"trial": quadratic(), "data": ZEROS, **arguments})


def test_a_sweep_in_which_nothing_diverged():
    sweep = trained(quadratic(), {"learning_rate": [0.1]}, steps=5)
    with pytest.raises(ValueError, match="must be one with members that diverged"):
        sweep.autopsy(quadratic(), ZEROS)


def test_a_sweep_of_a_format_without_settings():
    with pytest.raises(ValueError, match=r"autopsy\(sweep=...\).* key"):
        dataclasses.replace(divergent(), settings={}).autopsy(quadratic(), ZEROS)
