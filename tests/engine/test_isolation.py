"""A number that is not finite, put into one member on purpose: who notices, when, and who does not."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrjax
from lrjax.engine import member_key
from lrjax.engine._pool import Pool
from lrjax.engine._program import Programs
from lrjax.results import Plan
from lrjax.trials import named_gradient

STEPS, EVERY = 24, 8
SPOILED = 6  # the step whose batch holds a NaN, in data that hold one
PLANS = ["pool", "vmap", "lean", "vmap-lean"]
# What is put in, what it is found to be, and where.
FAULTS = {
    "loss": ("loss", ""),
    "gradient": ("gradient", "['inner']['b']"),
    "parameters": ("parameters", "['params']['inner']['b']"),
    "memory": ("parameters", "['memory']"),
    "data": ("loss", "batch['spoiled']"),
}
NEVER = -1

slow = pytest.mark.slow
FAST = {"pool": set(FAULTS), "vmap": {"loss", "gradient"}, "lean": set(), "vmap-lean": {"loss"}}


def cases(plans, faults):
    """Every fault under every plan, those marked that the fast subset leaves out."""
    return [
        pytest.param(fault, plan, marks=[slow] * (fault not in FAST[plan]))
        for plan in plans
        for fault in faults
    ]


def plans(fast, *others):
    return [*fast, *(pytest.param(plan, marks=slow) for plan in others)]


def plan_of(name):
    return Plan("vmap", lean=True) if name == "vmap-lean" else name


@jax.custom_vjp
def spoil_slope(x, bad):
    """The number itself; its gradient is NaN where that is asked for."""
    return x


spoil_slope.defvjp(lambda x, bad: (x, bad), lambda bad, g: (jnp.where(bad, jnp.nan, g), None))


def spoilable():
    """Momentum on a parabola; a hyperparameter for each fault says at which step it happens.

    `memory` is a mean of gradients that nothing reads.
    """

    def init(key, hyperparams):
        params = {"a": jax.random.normal(key, (3,)), "inner": {"b": jnp.float32(1.0)}}
        zeros = jax.tree.map(jnp.zeros_like, params)
        return {
            "params": params,
            "momentum": zeros,
            "memory": jnp.float32(0.0),
            "key": key,
            "step": jnp.int32(0),
        }

    def update(state, batch, hyperparams):
        def now(name):
            return state["step"] == hyperparams[name]

        def loss(params):
            b = spoil_slope(params["inner"]["b"], now("gradient"))
            value = 0.5 * jnp.mean((params["a"] - batch["target"]) ** 2) + 0.5 * b**2
            return value + jnp.where(hyperparams["data"] >= 0, batch["spoiled"], 0.0)

        noise = jax.random.normal(jax.random.fold_in(state["key"], state["step"]))
        value, grad = jax.value_and_grad(loss)(state["params"])
        grad = named_gradient(grad)
        momentum = jax.tree.map(lambda m, g: 0.5 * m + g, state["momentum"], grad)
        params = jax.tree.map(lambda p, m: p - hyperparams["learning_rate"] * m, state["params"], momentum)
        b = params["inner"]["b"]
        params["inner"]["b"] = jnp.where(now("parameters"), jnp.nan, b) + 1e-3 * noise
        memory = 0.9 * state["memory"] + 0.1 * grad["inner"]["b"]
        memory = jnp.where(now("memory"), jnp.inf, memory)
        new = {"params": params, "momentum": momentum, "memory": memory, "step": state["step"] + 1}
        value = jnp.where(now("loss"), jnp.nan, value)
        return {"loss": value, "noise": noise}, {**new, "key": state["key"]}

    def evaluate(state, batch):
        return {"loss": jnp.mean((state["params"]["a"] - batch) ** 2)}

    return lrjax.Trial(init, update, evaluate)


def data(spoiled):
    """Batches made on the host: the same program whether one of them holds a NaN or not."""

    def batch(step, seed):
        target = np.random.default_rng([step, seed]).normal(size=3).astype(np.float32)
        return {"target": target, "spoiled": np.float32(np.nan if spoiled and step == SPOILED else 0)}

    return lrjax.from_function(batch, on_device=False)


CLEAN, DIRTY = data(False), data(True)


def member(rate, **at):
    return {"learning_rate": rate, **dict.fromkeys(FAULTS, NEVER), **at}


def run(points, plan, data=CLEAN, steps=STEPS, **options):
    options = {"evaluate_on": np.zeros(3, np.float32), "evaluate_every": EVERY, "keep": "final", **options}
    return lrjax.sweep(spoilable(), points, data, steps=steps, plan=plan_of(plan), progress=False, **options)


@functools.cache
def with_fault(fault, plan):
    """Three rates, two seeds; the middle one fails at the same step, whatever the fault."""
    points = [member(0.05), member(0.1, **{fault: SPOILED}), member(0.2)]
    return run(points, plan, DIRTY if fault == "data" else CLEAN, seeds=2)


@functools.cache
def alone(rate, steps=STEPS):
    return run([member(rate)], "pool", steps=steps, seeds=2)


def same_state(got, expected, rtol=0.0):
    assert jax.tree.structure(got) == jax.tree.structure(expected)
    for path, x in jax.tree_util.tree_leaves_with_path(expected):
        y = functools.reduce(lambda tree, entry: tree[entry.key], path, got)
        if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            x, y = jax.random.key_data(x), jax.random.key_data(y)
        np.testing.assert_allclose(y, x, rtol=rtol, atol=rtol, err_msg=jax.tree_util.keystr(path))


@pytest.mark.parametrize(("fault", "plan"), cases(PLANS, FAULTS))
def test_a_fault_is_found_at_its_step_with_its_cause_and_place(fault, plan):
    sweep = with_fault(fault, plan)
    cause, leaf = FAULTS[fault]
    assert sweep.diverged_at.tolist() == [[-1, -1], [SPOILED, SPOILED], [-1, -1]]
    assert sweep.causes.tolist() == [["", ""], [cause, cause], ["", ""]]
    assert sweep.leaves.tolist() == [["", ""], [leaf, leaf], ["", ""]]
    losses = sweep.metrics["loss"][1]
    assert np.isfinite(losses[:, :SPOILED]).all()
    assert (np.isfinite(losses[:, SPOILED]) == (cause != "loss")).all()
    for values in sweep.metrics.values():
        assert np.isnan(values[1, :, SPOILED + 1 :]).all()
    assert np.isfinite(sweep.metrics["noise"][1, :, : SPOILED + 1]).all()
    assert np.isnan(sweep.held_out["loss"][1, :, 1:]).all()


@pytest.mark.parametrize(("fault", "plan"), cases(PLANS, FAULTS))
def test_the_last_finite_state_is_that_of_a_run_cut_at_the_fault(fault, plan):
    sweep, cut = with_fault(fault, plan), alone(0.1, SPOILED)
    for seed in range(2):
        exactly = plan in ("pool", "lean")
        same_state(sweep.states["final"][1, seed], cut.states["final"][0, seed], 0.0 if exactly else 1e-5)


@pytest.mark.parametrize(("fault", "plan"), cases(PLANS, list(FAULTS)[1:]))
def test_others_are_bit_equal_whatever_the_fault(fault, plan):
    sweep, other = with_fault(fault, plan), with_fault("loss", plan)
    for tables, others in ((sweep.metrics, other.metrics), (sweep.held_out, other.held_out)):
        for name in tables:
            np.testing.assert_array_equal(tables[name][[0, 2]], others[name][[0, 2]])
    for who in ((0, 0), (0, 1), (2, 0), (2, 1)):
        same_state(sweep.states["final"][who], other.states["final"][who])


@pytest.mark.parametrize(("fault", "plan"), cases(["pool", "lean"], FAULTS))
def test_in_the_pool_others_are_bit_equal_to_a_run_without_the_member(fault, plan):
    sweep = with_fault(fault, plan)
    for point, rate in ((0, 0.05), (2, 0.2)):
        other = alone(rate)
        np.testing.assert_array_equal(sweep.metrics["loss"][point], other.metrics["loss"][0])
        np.testing.assert_array_equal(sweep.held_out["loss"][point], other.held_out["loss"][0])
        for seed in range(2):
            same_state(sweep.states["final"][point, seed], other.states["final"][0, seed])


# At every kind of step, several members at once

AT = [0, EVERY - 1, EVERY, EVERY + 3, STEPS - 1]


@pytest.mark.parametrize(
    "plan",
    plans(["pool", "vmap-lean"], "vmap", "lean", "unrolled", "vmap/scan/4", "pool/unrolled", "vmap/dispatch"),
)
def test_faults_at_the_edges_of_chunks_and_several_in_one_chunk(plan):
    faults = [(fault, at) for at in AT for fault in ("loss", "gradient", "parameters", "memory")]
    points = [member(0.1 + 0.001 * i, **{fault: at}) for i, (fault, at) in enumerate(faults)]
    sweep = run([*points, member(0.1)], plan)
    assert sweep.diverged_at.ravel().tolist() == [*(at for _, at in faults), -1]
    assert sweep.causes.ravel().tolist() == [*(FAULTS[fault][0] for fault, _ in faults), ""]
    assert sweep.leaves.ravel().tolist() == [*(FAULTS[fault][1] for fault, _ in faults), ""]
    assert [int(sweep.states["final"][i, 0]["step"]) for i in range(len(faults))] == [at for _, at in faults]
    np.testing.assert_allclose(sweep.metrics["loss"][-1], alone(0.1).metrics["loss"][0, :1], rtol=1e-5)
    assert sweep.cost.member_steps_used == sum(at + 1 for _, at in faults) + STEPS
    assert sweep.cost.member_steps_wasted == sum(at + 1 for _, at in faults)


@pytest.mark.parametrize("plan", plans(["pool"], "vmap", "lean", "vmap-lean"))
def test_a_member_that_fails_at_its_first_step_keeps_the_state_it_began_with(plan):
    sweep = run([member(0.1, loss=0), member(0.2)], plan)
    start = spoilable().init(member_key(0, 0), member(0.1))
    same_state(sweep.states["final"][0, 0], start, 0.0 if plan in ("pool", "lean") else 1e-6)
    assert sweep.held_out_steps[np.isfinite(sweep.held_out["loss"][0, 0])].tolist() == [0]


@pytest.mark.parametrize("plan", plans(["pool"], "vmap", "lean", "vmap-lean"))
def test_all_members_may_fail(plan):
    sweep = run([member(0.1, loss=3), member(0.2, gradient=9)], plan)
    assert sweep.diverged_at.tolist() == [[3], [9]]
    assert sweep.answer.learning_rate is None


# What members that failed cost


def test_the_pool_runs_failed_members_no_more(monkeypatch):
    ran = []
    original = Pool._run

    def count(self, ids, selected, steps):
        ran.append((steps, sorted(ids)))
        return original(self, ids, selected, steps)

    monkeypatch.setattr(Pool, "_run", count)
    run([member(0.1), member(0.2, gradient=3), member(0.3, loss=11)], "pool")
    assert ran == [(8, [(0, 0), (1, 0), (2, 0)]), (8, [(0, 0), (2, 0)]), (8, [(0, 0)])]


@pytest.mark.parametrize("plan", plans(["vmap"], "vmap-lean"))
def test_grids_shrink_when_members_fail(plan, monkeypatch):
    sizes = []
    original = Programs.advance

    def count(self, arrays, numbers, selected, steps, size):
        sizes.append(size)
        return original(self, arrays, numbers, selected, steps, size)

    monkeypatch.setattr(Programs, "advance", count)
    run([member(0.1), member(0.2, gradient=3), member(0.3, loss=11), member(0.4, loss=3)], plan, seeds=2)
    assert sizes == [(2, 4), (2, 2), (2, 1)]  # seeds, members


# Losses that blow up but stay finite


def told(losses, **options):
    """A sweep whose member i has the losses `losses[i]`."""
    losses = np.asarray(losses, np.float32)
    trial = lrjax.Trial(
        lambda key, hyperparams: jnp.int32(0),
        lambda state, batch, hyperparams: ({"loss": batch[hyperparams["member"]]}, state + 1),
    )
    source = lrjax.from_function(lambda step: losses[:, step], on_device=False)
    grid = {"member": list(range(len(losses)))}
    options = {"evaluate_every": 7, "progress": False, **options}
    return lrjax.sweep(trial, grid, source, steps=losses.shape[1], **options)


def blown_up(losses, factor):
    """The same rule as a plain loop: the twentieth step in a row above the bound."""
    row, lowest = 0, np.inf
    for step, loss in enumerate(losses):
        lowest = min(lowest, loss)
        yardstick = max(abs(losses[0]), losses[0] - lowest)
        row = row + 1 if yardstick > 0 and loss > losses[0] + factor * yardstick else 0
        if row == 20:
            return step
    return -1


def curve(first, *parts):
    """A loss that begins at `first` and then is each value for so many steps; 60 steps in all."""
    values = [first, *(value for value, steps in parts for _ in range(steps))]
    return values + [values[-1]] * (60 - len(values))


CURVES = {
    "200 times its start": (curve(1, (0.5, 9), (200, 50)), 29),
    "a short spike": (curve(1, (0.5, 9), (200, 19), (1, 10)), -1),
    "two spikes that do not touch": (curve(1, (200, 19), (1, 1), (200, 19), (1, 1)), -1),
    "twenty steps": (curve(1, (0.5, 9), (200, 20), (1, 10)), 29),
    "50 times its start": (curve(1, (50, 59)), -1),
    "negative, small moves": (curve(-2, (-1, 59)), -1),
    "negative, far up": (curve(-2, (-3, 5), (400, 54)), 25),
    "negative, back to zero": (curve(-2, (0, 59)), -1),
    "starts at zero, nothing known": (curve(0, (1e6, 59)), -1),
    "starts at zero, improved, far up": (curve(0, (-1, 5), (200, 54)), 25),
    "above at the very end": (curve(1, (1, 39), (200, 20)), 59),
    "one step too few at the end": (curve(1, (1, 40), (200, 19)), -1),
}


@pytest.mark.parametrize("plan", plans(["pool"], "vmap"))
def test_losses_that_stay_far_above_their_start_count_as_diverged(plan):
    sweep = told([losses for losses, _ in CURVES.values()], plan=plan)
    found = dict(zip(CURVES, sweep.diverged_at.ravel().tolist(), strict=True))
    assert found == {name: at for name, (_, at) in CURVES.items()}
    for name, cause in zip(CURVES, sweep.causes.ravel(), strict=True):
        assert cause == ("" if found[name] < 0 else "blow-up")
    at = sweep.diverged_at[0, 0]
    assert np.isfinite(sweep.metrics["loss"][0, 0, : at + 1]).all()
    assert np.isnan(sweep.metrics["loss"][0, 0, at + 1 :]).all()


@pytest.mark.parametrize(("blow_up", "expected"), [(300.0, -1), (100.0, 29), (0.5, 29), (None, -1)])
def test_how_far_is_too_far_can_be_said(blow_up, expected):
    assert told([CURVES["200 times its start"][0]], blow_up=blow_up).diverged_at.item() == expected


@pytest.mark.parametrize("every", [1, 7, 60])
def test_blow_ups_are_those_of_a_plain_loop_whatever_the_chunk(every):
    random = np.random.default_rng(0)
    first = random.choice([-1.0, 0.0, 1.0], size=(40, 1)) * random.uniform(0.5, 2, size=(40, 1))
    jumps = random.choice([0.0, 8.0, -1.0], p=[0.2, 0.6, 0.2], size=(40, 8))
    walks = np.hstack([first, first + np.repeat(jumps, 8, axis=1)[:, :59]]).astype(np.float32)
    expected = [blown_up(walk, 3.0) for walk in walks]
    assert 5 < sum(at >= 0 for at in expected) < 35
    assert told(walks, blow_up=3.0, evaluate_every=every).diverged_at.ravel().tolist() == expected


def test_a_loss_that_blows_up_and_then_is_not_finite_has_blown_up():
    late, early = curve(1, (200, 25), (np.nan, 9)), curve(1, (200, 15), (np.nan, 9))
    sweep = told([late, early], evaluate_every=60)
    assert sweep.diverged_at.ravel().tolist() == [20, 16]
    assert sweep.causes.ravel().tolist() == ["blow-up", "loss"]


# Patience


def patient(turns, plan="auto", **options):
    """Members whose held-out loss falls until their turn and rises from there on."""
    trial = lrjax.Trial(
        lambda key, hyperparams: {"step": jnp.int32(0), "turn": jnp.float32(hyperparams["turn"])},
        lambda state, batch, hyperparams: (
            {"loss": jnp.float32(1.0)},
            {**state, "step": state["step"] + 1},
        ),
        lambda state, batch: {"loss": jnp.maximum(jnp.abs(state["step"] - state["turn"]), 1.0)},
    )
    zeros = lrjax.batches(np.zeros(4), batch_size=4)
    options = {"evaluate_on": np.zeros(2), "evaluate_every": 2, "keep": "best", **options}
    grid = {"turn": [float(turn) for turn in turns]}
    return lrjax.sweep(trial, grid, zeros, steps=20, name="turn", plan=plan, progress=False, **options)


@pytest.mark.parametrize("plan", plans(["pool", "vmap"], "vmap-lean"))
def test_members_stop_that_have_not_become_better_for_long(plan):
    """At 0, 2, 4, ...: the third evaluation after the best one is where a member stops."""
    sweep = patient([6, 100, 0.5, 10], plan_of(plan), patience=3, test_on=np.zeros(2))
    assert sweep.stopped_at.ravel().tolist() == [12, -1, 6, 16]
    assert (sweep.diverged_at == -1).all()
    for point, stop in ((0, 12), (2, 6), (3, 16)):
        after = sweep.held_out_steps > stop
        assert np.isnan(sweep.held_out["loss"][point, 0, after]).all()
        assert np.isfinite(sweep.held_out["loss"][point, 0, ~after]).all()
        assert np.isnan(sweep.metrics["loss"][point, 0, stop:]).all()
        assert np.isfinite(sweep.metrics["loss"][point, 0, :stop]).all()
    assert np.isfinite(sweep.metrics["loss"][1]).all()
    assert sweep.cost.member_steps_used == 12 + 20 + 6 + 16
    assert [int(sweep.states["best"][p, 0]["step"]) for p in range(4)] == [6, 20, 0, 10]
    assert np.isfinite(sweep.test["loss"]).all()


def test_without_patience_nobody_stops():
    assert (patient([6, 100]).stopped_at == -1).all()


def test_a_member_that_took_its_last_step_was_not_stopped():
    assert patient([14, 100], patience=3).stopped_at.ravel().tolist() == [-1, -1]
