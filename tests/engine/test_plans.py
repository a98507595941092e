"""Every plan trains the same members: how they are run changes nothing that is measured."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import io_callback

import lrjax
from lrjax.engine import _choices, _plan
from lrjax.results import Plan

STEPS = 50
ALONE = ["sequential", "pool", "lean", "pool/dispatch"]  # these are equal bit for bit
TOGETHER = [
    "vmap",
    "unrolled",
    "sharded",
    "vmap-lean",
    "vmap/scan/2",
    "vmap/dispatch",
    "vmap/unrolled",
    "pool/unrolled",
]
PLANS = ALONE + TOGETHER

slow = pytest.mark.slow


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch):
    """What another test measured says nothing here."""
    monkeypatch.setattr(_choices, "_known", {})


def plan_of(name):
    return Plan("vmap", lean=True) if name == "vmap-lean" else name


# Built-in tasks

RATES = {
    "digits": [1e-4, 3e-3],
    "logistic": [1e-3, 1e-1],
    "quadratic-deep": [1e-3, 5e-2],
    "digits-cnn": [1e-4, 1e-3],
    "characters": [1e-4, 1e-3],
}


# All plans are tried in every test; the fast subset of the tests leaves out most of them.
def plans(*fast):
    return [pytest.param(plan, marks=[slow] * (plan not in fast)) for plan in PLANS if plan != "sequential"]


TASKS = [
    pytest.param(name, plan, marks=[] if name == "logistic" and plan == "vmap" else [slow])
    for name in RATES
    for plan in PLANS
    if plan != "sequential"
]


@functools.cache
def task_sweep(name, plan):
    task = lrjax.tasks.load(name)
    trial = task.trial(warmed_up_adam)
    steps = 12 if name in ("digits-cnn", "characters") else STEPS
    return run(trial, RATES[name], task.data, steps=steps, plan=plan_of(plan))


@pytest.mark.parametrize(("name", "plan"), TASKS)
def test_built_in_tasks_train_the_same_whatever_the_plan(name, plan):
    expected, got = task_sweep(name, "sequential"), task_sweep(name, plan)
    assert (got.diverged_at == -1).all()
    if plan in ALONE:
        np.testing.assert_array_equal(got.metrics["loss"], expected.metrics["loss"])
    np.testing.assert_allclose(got.metrics["loss"], expected.metrics["loss"], rtol=1e-5)
    np.testing.assert_array_equal(got.metrics["learning_rate"], expected.metrics["learning_rate"])


def test_every_built_in_task_is_compared():
    assert set(RATES) == set(lrjax.tasks.names())


# A trial with a schedule, a model's state, dropout and data whose order shows


def warmed_up_adam(learning_rate):
    schedule = lrjax.warmup_cosine_decay_schedule(0.0, learning_rate, warmup_steps=10, decay_steps=STEPS)
    return lrjax.adam(schedule)


def network(dtype=jnp.float32, optimizer=warmed_up_adam):
    """A small network with a running mean and dropout; its metrics tell masks and examples apart."""

    def init_params(key):
        keys = jax.random.split(key)
        params = {
            "hidden": (0.5 * jax.random.normal(keys[0], (4, 6))).astype(dtype),
            "out": jax.random.normal(keys[1], (6,)).astype(dtype),
        }
        return params, jnp.zeros(6, dtype)

    def loss(params, mean, batch, key):
        hidden = jnp.tanh(batch["x"].astype(dtype) @ params["hidden"])
        mean = 0.9 * mean + 0.1 * hidden.mean(axis=0)
        mask = jax.random.bernoulli(key, 0.7, (6,))
        error = ((hidden - mean) * mask) @ params["out"] - batch["y"].astype(dtype)
        told = {
            "mask": jnp.sum(mask * 2 ** jnp.arange(6)),
            "seen": jnp.sum(batch["index"] * jnp.arange(1, 9)),
            "mean": jnp.sum(mean.astype(jnp.float32) ** 2),
        }
        return jnp.mean(error**2).astype(jnp.float32), mean, told

    def evaluate(params, mean, batch):
        hidden = jnp.tanh(batch["x"].astype(dtype) @ params["hidden"])
        error = (hidden - mean) @ params["out"] - batch["y"].astype(dtype)
        return jnp.mean(error**2).astype(jnp.float32)

    return lrjax.trial(init_params, loss, optimizer, evaluate=evaluate, has_state=True)


X = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
EXAMPLES = {"x": X, "y": X.sum(axis=1), "index": np.arange(40)}
DATA = lrjax.batches(EXAMPLES, batch_size=8, seed=3)


@lambda f: lrjax.from_function(f, on_device=False)
def HOST_DATA(step, seed):
    chosen = np.random.default_rng([step, seed]).permutation(40)[:8]
    return {name: values[chosen] for name, values in EXAMPLES.items()}


@lambda f: lrjax.from_function(f, on_device=False)
def HOST_DATA_FOR_ALL(step):
    chosen = np.random.default_rng(step).permutation(40)[:8]
    return {name: values[chosen] for name, values in EXAMPLES.items()}


def run(trial, rates, data=DATA, *, steps=STEPS, seeds=2, **options):
    options = {"evaluate_every": 20, "progress": False, **options}
    return lrjax.sweep(trial, {"learning_rate": rates}, data, steps=steps, seeds=seeds, **options)


@functools.cache
def network_sweep(plan, rates=(0.003, 0.03, 0.1), data=DATA, dtype=jnp.float32, **options):
    options = {"evaluate_on": EXAMPLES, "keep": ("final", "best"), **options}
    return run(network(dtype), list(rates), data, plan=plan_of(plan), **options)


def assert_same(got, expected, exactly, rtol=1e-5):
    """The same members: what is drawn or scheduled exactly, what is computed as exactly as asked for."""
    assert set(got.metrics) == set(expected.metrics)
    assert (expected.diverged_at == -1).all()
    np.testing.assert_array_equal(got.diverged_at, expected.diverged_at)
    for name in ("learning_rate", "mask", "seen"):
        np.testing.assert_array_equal(got.metrics[name], expected.metrics[name])
    for tables, others in ((got.metrics, expected.metrics), (got.held_out, expected.held_out)):
        for name in tables:
            np.testing.assert_allclose(tables[name], others[name], rtol=0 if exactly else rtol, err_msg=name)
    for which, states in expected.states.items():
        assert set(states) == set(got.states[which])
        for who, state in states.items():
            same_state(got.states[which][who], state, exactly, 10 * rtol)


def same_state(got, expected, exactly, rtol):
    assert jax.tree.structure(got) == jax.tree.structure(expected)
    for (path, x), y in zip(jax.tree_util.tree_leaves_with_path(expected), jax.tree.leaves(got), strict=True):
        if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            x, y = jax.random.key_data(x), jax.random.key_data(y)
        assert (x.shape, x.dtype) == (y.shape, y.dtype)
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        scale = np.max(np.abs(x), initial=0, where=np.isfinite(x))
        allowed = 0 if exactly else rtol * scale
        np.testing.assert_allclose(y, x, rtol=0, atol=allowed, err_msg=jax.tree_util.keystr(path))


@pytest.mark.parametrize("plan", plans("pool", "vmap", "vmap-lean"))
def test_model_states_dropout_schedules_and_batches_are_the_same_whatever_the_plan(plan):
    assert_same(network_sweep(plan), network_sweep("sequential"), exactly=plan in ALONE)


def test_what_the_network_draws_differs_between_steps_and_seeds():
    drawn = network_sweep("pool").metrics
    for name in ("mask", "seen"):
        assert len(np.unique(drawn[name][0, 0])) > 10
        assert (drawn[name][:, 0] != drawn[name][:, 1]).any()
        np.testing.assert_array_equal(drawn[name][0], drawn[name][2])


@pytest.mark.parametrize(
    "plan", ["sequential", "pool", *(pytest.param(plan, marks=slow) for plan in ALONE[2:])]
)
def test_a_member_among_others_is_bit_equal_to_itself_alone(plan):
    among, alone = network_sweep(plan), network_sweep("sequential", (0.03,), seeds=1)
    for tables, others in ((among.metrics, alone.metrics), (among.held_out, alone.held_out)):
        for name in tables:
            np.testing.assert_array_equal(tables[name][1, 0], others[name][0, 0])
    for which in ("final", "best"):
        same_state(among.states[which][1, 0], alone.states[which][0, 0], True, 0)


@pytest.mark.parametrize(
    "plan", ["pool", *(pytest.param(plan, marks=slow) for plan in ("vmap", "vmap/scan/2"))]
)
def test_it_does_not_matter_who_else_is_in_the_sweep(plan):
    base, other = network_sweep(plan), network_sweep(plan, (0.05, 0.1, 0.01, 0.02, 0.003), seeds=3)
    exactly = plan == "pool"
    for here, there in ((0, 4), (2, 1)):
        for name, values in base.metrics.items():
            expected, got = values[here], other.metrics[name][there, :2]
            exact = exactly or name in ("learning_rate", "mask", "seen")
            np.testing.assert_allclose(got, expected, rtol=0 if exact else 1e-5, err_msg=name)


SOURCES = {
    "shared": {"order": "shared"},
    "host": {"data": HOST_DATA},
    "host-shared": {"data": HOST_DATA, "order": "shared"},
    "host-for-all": {"data": HOST_DATA_FOR_ALL},
}


@pytest.mark.parametrize(
    "source", ["host", *(pytest.param(name, marks=slow) for name in SOURCES if name != "host")]
)
@pytest.mark.parametrize("plan", plans("pool"))
def test_orders_and_host_data_are_the_same_whatever_the_plan(source, plan):
    options = SOURCES[source]
    expected = network_sweep("sequential", (0.003, 0.1), **options)
    assert_same(network_sweep(plan, (0.003, 0.1), **options), expected, exactly=plan in ALONE)
    seen = expected.metrics["seen"]
    assert (seen[0, 0] == seen[0, 1]).all() == (source != "host")


@pytest.mark.parametrize(
    "dtype", [pytest.param(jnp.float16, marks=slow, id="float16"), pytest.param(jnp.bfloat16, id="bfloat16")]
)
@pytest.mark.parametrize("plan", plans("vmap"))
def test_short_floats_are_the_same_whatever_the_plan(dtype, plan):
    """Where results are rounded depends on how operations are fused: a few units of the last place."""
    expected = network_sweep("sequential", (0.003, 0.03), dtype=dtype, steps=20)
    got = network_sweep(plan, (0.003, 0.03), dtype=dtype, steps=20)
    assert got.states["final"][0, 0].params["out"].dtype == dtype
    assert_same(got, expected, plan in ALONE, rtol=16 * float(jnp.finfo(dtype).eps))


@pytest.mark.parametrize("plan", plans("vmap"))
def test_one_member(plan):
    expected = network_sweep("sequential", (0.03,), seeds=1)
    assert_same(network_sweep(plan, (0.03,), seeds=1), expected, exactly=plan in ALONE)


# Many members, several devices


def parabola(optimizer=lrjax.sgd):
    """Gradient descent on x**2 / 2 from 1: x after t steps is (1 - rate)**t."""
    return lrjax.trial(lambda key: jnp.float32(1.0), lambda x, batch: 0.5 * x**2, optimizer)


ZEROS = lrjax.batches(np.zeros(4), batch_size=4)


@pytest.mark.parametrize(
    "plan", ["vmap", *(pytest.param(plan, marks=slow) for plan in ("pool", "vmap/scan/300"))]
)
def test_a_thousand_members(plan):
    rates = np.linspace(0.01, 0.5, 500)
    sweep = run(parabola(), rates, ZEROS, steps=20, plan=plan)
    expected = 0.5 * (1 - rates[:, None, None]) ** (2 * np.arange(20))
    np.testing.assert_allclose(sweep.metrics["loss"], np.broadcast_to(expected, (500, 2, 20)), rtol=1e-4)
    assert sweep.cost.member_steps_used == 1000 * 20


def script(text, *arguments, **environment):
    """What a Python of its own prints; warnings are errors there too."""
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "JAX_PLATFORMS": "cpu", **environment}
    command = [sys.executable, "-W", "error", "-c", text, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[:-1]


UNEVEN = """
import jax
jax.config.update("jax_num_cpu_devices", 3)
import jax.numpy as jnp, numpy as np, lrjax

def loss(w, batch):
    return jnp.mean((batch @ w - 1) ** 2)

trial = lrjax.trial(lambda key: jax.random.normal(key, (3,)), loss, lrjax.adam)
x = np.random.default_rng(0).normal(size=(32, 3)).astype(np.float32)
data = lrjax.batches(x, batch_size=8)
sgd = lrjax.trial(lambda key: jax.random.normal(key, (3,)), loss, lrjax.sgd)

def run(plan, mesh=None, trial=trial, rates=(0.001, 0.003, 0.01, 0.03), seeds=1):
    return lrjax.sweep(
        trial, {"learning_rate": list(rates)}, data, steps=50, seeds=seeds, evaluate_on=x, plan=plan,
        mesh=mesh, evaluate_every=20, keep="final", progress=False,
    )

mesh = jax.make_mesh((3,), ("member",))
expected = run("sequential")
assert (expected.diverged_at == -1).all()
wild = run("sequential", trial=sgd, rates=(0.01, 0.02, 1e6, 0.03, 0.05), seeds=2)
assert (wild.diverged_at[2] > 0).all() and (wild.diverged_at[[0, 1, 3, 4]] == -1).all()
lean = lrjax.results.Plan("vmap", lean=True)
for plan in ("sharded", "vmap/scan", "unrolled", "vmap/dispatch", "auto", lean):
    sweep = run(plan, None if plan == "sharded" else mesh)
    for name, values in sweep.metrics.items():
        np.testing.assert_allclose(values, expected.metrics[name], rtol=1e-5, err_msg=f"{name} {plan}")
    np.testing.assert_allclose(sweep.held_out["loss"], expected.held_out["loss"], rtol=1e-5)
    for who, state in sweep.states["final"].items():
        np.testing.assert_allclose(state.params, expected.states["final"][who].params, rtol=1e-4)
    other = run(plan, None if plan == "sharded" else mesh, sgd, (0.01, 0.02, 1e6, 0.03, 0.05), seeds=2)
    np.testing.assert_array_equal(other.diverged_at, wild.diverged_at)
    np.testing.assert_allclose(other.metrics["loss"], wild.metrics["loss"], rtol=1e-5)
    print(sweep.plan, sweep.plan.devices)
"""


@slow
def test_uneven_members_over_several_devices():
    lines = script(UNEVEN)
    expected = ["mapped/scan", "vmap/scan", "unrolled/scan", "vmap/dispatch", "mapped/scan", "vmap/scan"]
    assert lines == [f"{plan} on 3 devices 3" for plan in expected]


# Plans that are asked for


def started(**options):
    """A sweep whose trial tells when it is looked at."""

    def init(key, hyperparams):
        raise AssertionError("looked at the trial")

    trial = lrjax.Trial(init, lambda x, batch, hyperparams: ({"loss": x}, x))
    return run(trial, [0.1], ZEROS, **options)


NAMES = ["fast", "", "VMAP", "scan", "vmap/loop", "vmap/scan/0", "vmap/scan/-1", "vmap/16/scan", "vmap//2"]
NAMES += ["pool/scan/2/3", "auto/scan", "vmap/scan/1.5", "vmap/scan/²", " vmap"]


@pytest.mark.parametrize("plan", NAMES)
def test_a_plan_that_is_not_known_is_refused_before_training(plan):
    with pytest.raises(
        ValueError, match=r"^`sweep\(plan=\.\.\.\)` must be 'auto', 'lean', or one of .*, got "
    ) as error:
        started(plan=plan)
    assert "\n" not in str(error.value)
    assert str(error.value).endswith(f"got {plan!r}")


@pytest.mark.parametrize("plan", [None, 3, True, ["vmap"], Plan, b"vmap"])
def test_a_plan_of_the_wrong_kind_is_refused_before_training(plan):
    with pytest.raises(TypeError, match=r"^`sweep\(plan=\.\.\.\)` must be 'auto', .*got "):
        started(plan=plan)


@pytest.mark.parametrize(
    "plan",
    [Plan("fast"), Plan("vmap", steps="loop"), Plan("vmap", width=0), Plan("vmap", width=-2)],
    ids=["members", "steps", "width", "negative"],
)
def test_a_plan_made_by_hand_is_looked_at_too(plan):
    with pytest.raises((ValueError, TypeError), match=r"^`(sweep|Plan)\("):
        started(plan=plan)


def test_a_mesh_of_the_wrong_kind_is_refused_before_training():
    with pytest.raises(TypeError, match=r"^`sweep\(mesh=\.\.\.\)` must be a `jax.sharding.Mesh` or None"):
        started(mesh=jax.devices())


# What the plan says


def test_the_plan_says_what_was_asked_for():
    plan = network_sweep("vmap/scan/2").plan
    assert (plan.members, plan.steps, plan.width, plan.why) == ("vmap", "scan", 2, "asked for")
    assert plan.measured == {}
    assert plan.summary() == "vmap/scan/2: asked for"


def test_the_plan_says_what_was_chosen_and_why():
    plan = run(parabola(), [0.1, 0.2], ZEROS).plan
    assert plan.members == "vmap"
    assert "so small" in plan.why
    assert "too short" in plan.why
    assert plan.summary() == f"vmap/scan: {plan.why}"


def test_one_member_is_run_in_order():
    plan = run(parabola(), [0.1], ZEROS, seeds=1).plan
    assert (plan.members, plan.why) == ("sequential", "there is one member")


def test_the_plan_of_a_long_job_is_measured(monkeypatch):
    short = run(parabola(), [0.1, 0.2], ZEROS, plan="vmap")
    monkeypatch.setattr(_plan, "_LONG", 0.0)
    sweep = run(parabola(), [0.1, 0.2], ZEROS)
    assert sweep.plan.measured.keys() == {"vmap/scan"}
    assert "would not be repaid" in sweep.plan.why
    assert sweep.cost.seconds_probing > 0
    np.testing.assert_array_equal(sweep.metrics["loss"], short.metrics["loss"])

    monkeypatch.setattr(_plan, "_REPAYS", 0.0)
    sweep = run(parabola(), [0.1, 0.2], ZEROS)
    measured = sweep.plan.measured
    assert measured.keys() == {"vmap/scan", "pool/scan"}
    assert str(sweep.plan) == min(measured, key=measured.__getitem__)
    assert "measured the fastest" in sweep.plan.why
    assert all(f"  {name}: " in sweep.plan.summary() for name in measured)
    assert sweep.cost.seconds_probing > 0
    np.testing.assert_allclose(sweep.metrics["loss"], short.metrics["loss"], rtol=1e-5)


def test_probing_moves_no_member(monkeypatch):
    """Members that were probed start at step 0, with the batches of step 0."""
    monkeypatch.setattr(_plan, "_LONG", 0.0)
    monkeypatch.setattr(_plan, "_REPAYS", 0.0)
    sweep = run(network(), [0.003, 0.03, 0.1], evaluate_on=EXAMPLES, keep=("final", "best"))
    assert len(sweep.plan.measured) == 2
    expected = network_sweep("pool" if sweep.plan.alone else "vmap")
    assert_same(sweep, expected, exactly=True)


# Trials that cannot be run by every plan


def recorder(calls, ordered):
    def update(x, batch, hyperparams):
        io_callback(
            lambda *values: calls.append(tuple(map(float, values))),
            None,
            hyperparams["learning_rate"],
            x,
            ordered=ordered,
        )
        return {"loss": x}, x + 1

    return lrjax.Trial(lambda key, hyperparams: jnp.float32(0.0), update)


def test_a_step_that_calls_the_host_in_order_runs_members_in_order():
    calls = []
    sweep = run(recorder(calls, ordered=True), [0.25, 0.5], ZEROS, steps=5, seeds=1)
    jax.effects_barrier()
    assert (sweep.plan.members, "io_callback" in sweep.plan.why) == ("sequential", True)
    assert calls == [(rate, step) for rate in (0.25, 0.5) for step in range(5)]
    np.testing.assert_array_equal(sweep.metrics["loss"], np.broadcast_to(np.arange(5.0), (2, 1, 5)))


@pytest.mark.parametrize("plan", ["vmap", "unrolled", "vmap-lean", "vmap/dispatch"])
def test_a_plan_that_cannot_run_a_step_is_refused_before_training(plan):
    calls = []
    expected = (
        r"^`sweep\(plan=\.\.\.\)` must be 'sequential', since .* holds io_callback, which .* vmapped, got "
    )
    with pytest.raises(ValueError, match=expected):
        run(recorder(calls, ordered=True), [0.25, 0.5], ZEROS, steps=5, plan=plan_of(plan))
    jax.effects_barrier()
    assert calls == []


def convolution():
    def loss(kernel, batch):
        made = jax.lax.conv_general_dilated(
            batch, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        return jnp.mean((made - 1) ** 2)

    return lrjax.trial(lambda key: 0.1 * jax.random.normal(key, (3, 3, 1, 2)), loss, lrjax.adam)


IMAGES = lrjax.batches(np.random.default_rng(0).normal(size=(8, 4, 4, 1)).astype(np.float32), batch_size=4)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="what is best for convolutions differs")
@pytest.mark.parametrize("long", [False, True])
def test_convolutions_are_rewritten_on_a_cpu_and_never_vmapped(long, monkeypatch):
    if long:
        monkeypatch.setattr(_plan, "_LONG", 0.0)
        monkeypatch.setattr(_plan, "_REPAYS", 0.0)
    plan = run(convolution(), [0.001, 0.01], IMAGES, steps=6).plan
    assert (plan.members, plan.canonical) == ("pool", True)
    assert "vmap/scan" not in plan.measured
    assert "canonical form" in plan.summary()


@slow
@pytest.mark.parametrize("plan", ["pool", "vmap", "unrolled"])
def test_convolutions_train_the_same_whatever_the_plan(plan):
    expected = run(convolution(), [0.001, 0.01], IMAGES, plan="sequential")
    sweep = run(convolution(), [0.001, 0.01], IMAGES, plan=plan)
    rtol = 0 if plan == "pool" else 1e-5
    np.testing.assert_allclose(sweep.metrics["loss"], expected.metrics["loss"], rtol=rtol)


# JAX's own cache of compiled programs

CACHED = """
import sys
import jax
jax.config.update("jax_compilation_cache_dir", sys.argv[1])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
import jax.numpy as jnp, numpy as np, lrjax

def loss(x, batch):
    return 0.5 * jnp.mean(x - batch) ** 2

trial = lrjax.trial(lambda key: jax.random.normal(key), loss, lrjax.adam)
data = lrjax.batches(np.arange(8.0), batch_size=4)
for plan in ("pool", "vmap"):
    lrjax.sweep(
        trial, {"learning_rate": [float(rate) for rate in sys.argv[2:]]}, data, steps=20, seeds=2, plan=plan,
        evaluate_on=np.arange(8.0), progress=False,
    )
"""


def test_programs_are_found_again_in_jaxs_own_cache(tmp_path):
    def entries():
        return {path.name for path in tmp_path.iterdir() if not path.name.endswith("-atime")}

    script(CACHED, tmp_path, 0.001, 0.01)
    first = entries()
    assert sum("advance" in name for name in first) == 2  # the pool's and the grid's
    script(CACHED, tmp_path, 0.002, 0.03)
    assert entries() == first
