"""A sweep that was cut off goes on as if nothing had happened; one that has grown trains what is new."""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrjax
from lrjax.engine._program import Programs
from lrjax.results import Plan

# A script that trains, with checkpoints after every chunk, and prints when it has trained one and when it is
# done. The sleep makes chunks long enough to be hit; from the second chunk on it waits for a file, if it is
# told of one.
SCRIPT = """
import itertools, os, sys, time
from tests.search.test_resume import {function} as sweep
chunks = itertools.count()
def pause(run):
    print("chunk", flush=True)
    time.sleep(0.02)
    if next(chunks) and sys.argv[2:]:
        end = time.monotonic() + 60
        while not os.path.exists(sys.argv[2]) and time.monotonic() < end:
            time.sleep(0.01)
sweep(sys.argv[1], on_chunk=pause)
print("done")
"""
RATES = [0.01, 0.1, 0.3, 30.0]


def linear(optimizer=lrjax.adam):
    def init(key):
        return {"w": jax.random.normal(key, (3,)), "b": jnp.zeros(())}

    def loss(params, batch, key):
        x, y = batch
        noise = 0.1 * jax.random.normal(key, y.shape)
        return jnp.mean((x @ params["w"] + params["b"] - y - noise) ** 2)

    def evaluate(params, batch):
        x, y = batch
        return jnp.mean((x @ params["w"] + params["b"] - y) ** 2)

    return lrjax.trial(init, loss, optimizer, evaluate)


def examples():
    numbers = np.random.default_rng(0)
    x = numbers.normal(size=(60, 3)).astype(np.float32)
    return x, x @ np.array([1.0, -2.0, 0.5], np.float32)


def sweep(directory=None, *, rates=RATES, steps=60, optimizer=lrjax.sgd, data=None, **options):
    held_out = examples()
    options = {"seeds": 2, "evaluate_on": held_out, "test_on": held_out, "progress": False, **options}
    options = {"evaluate_every": 5, "checkpoint_seconds": 0.0, "keep": ("final", "best"), **options}
    data = data or lrjax.batches(examples(), batch_size=8)
    grid = {"learning_rate": rates}
    return lrjax.sweep(linear(optimizer), grid, data, steps=steps, directory=directory, **options)


def vmapped(directory=None, **options):
    return sweep(directory, plan="vmap", **options)


def allocated(directory=None, **options):
    def scheduled(learning_rate, horizon):
        return lrjax.sgd(lrjax.cosine_decay_schedule(learning_rate, horizon))

    held_out = examples()
    return lrjax.sweep(
        linear(scheduled),
        {"learning_rate": np.geomspace(0.001, 1.0, 9), "horizon": 64},
        lrjax.batches(held_out, batch_size=8),
        steps=64,
        seeds=2,
        evaluate_on=held_out,
        evaluate_every=4,
        allocation=lrjax.successive_halving(reduction=2),
        horizon="horizon",
        directory=directory,
        checkpoint_seconds=0.0,
        progress=False,
        **options,
    )


def assert_same(a, b):
    """All that was measured and kept, bit by bit."""
    for kind in ("metrics", "held_out", "test"):
        tables, others = getattr(a, kind), getattr(b, kind)
        assert tables.keys() == others.keys()
        for name, table in tables.items():
            np.testing.assert_array_equal(table, others[name], err_msg=f"{kind} {name}")
    for name in ("diverged_at", "stopped_at", "causes", "leaves", "recorded_steps", "held_out_steps"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
    assert a.answer.recommendation == b.answer.recommendation
    assert a.states.keys() == b.states.keys()
    for which, states in a.states.items():
        assert states.keys() == b.states[which].keys()
        for who, state in states.items():
            for x, y in zip(jax.tree.leaves(state), jax.tree.leaves(b.states[which][who]), strict=True):
                assert x.dtype == y.dtype
                if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
                    x, y = jax.random.key_data(x), jax.random.key_data(y)
                np.testing.assert_array_equal(x, y)


def start(function, directory, *wait_for):
    script = SCRIPT.format(function=function)
    root = Path(__file__).parents[2]
    return subprocess.Popen(
        [sys.executable, "-c", script, str(directory), *map(str, wait_for)],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
    )


def checkpoints(directory):
    return sorted(path.name for path in (directory / "checkpoints").glob("*") if path.name.isdigit())


def run_until_first_checkpoint(process, directory):
    while process.poll() is None and not checkpoints(directory):
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize("function", ["sweep", "vmapped", "allocated"])
def test_killed_at_random_instants_it_ends_like_one_that_was_not(tmp_path, function):
    """Seven kills each, all while members train; a sweep that ends before makes room for another."""
    kills, instants, directories = 0, random.Random(function), []
    ended = True
    while kills < 7:
        if ended:
            directories.append(tmp_path / str(len(directories)))
        process = start(function, directories[-1])
        assert process.stdout.readline() == "chunk\n", process.stderr.read()
        time.sleep(instants.uniform(0.0, 0.12))
        os.kill(process.pid, signal.SIGKILL)
        ended = "done" in process.communicate()[0]
        kills += not ended
    whole = globals()[function]()
    for directory in directories:
        assert_same(globals()[function](directory), whole)


def test_ctrl_c_ends_the_chunk_stores_and_says_how_to_go_on(tmp_path):
    process = start("sweep", tmp_path / "run", tmp_path / "interrupted")
    run_until_first_checkpoint(process, tmp_path / "run")
    process.send_signal(signal.SIGINT)
    (tmp_path / "interrupted").touch()
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert output.endswith("chunk\ndone\n")
    stored = lrjax.load(tmp_path / "run")
    step = int(stored.stopped_at[0, 0])
    assert 0 < step < 60
    assert f"interrupted at step {step} of 60; asking the same again, with the directory " in errors
    assert "Traceback" not in errors
    resumed = sweep(tmp_path / "run")
    assert resumed.cost.member_steps_reused > 0
    assert_same(resumed, sweep())


def test_a_finished_sweep_is_not_trained_again(tmp_path, monkeypatch):
    first = sweep(tmp_path / "run")
    before = checkpoints(tmp_path / "run")

    def refuse(*arguments):
        raise AssertionError("a step was trained")

    monkeypatch.setattr(lrjax.engine._program.Programs, "advance_alone", refuse)
    monkeypatch.setattr(lrjax.engine._program.Programs, "advance", refuse)
    again = sweep(tmp_path / "run")
    assert_same(again, first)
    assert again.cost.member_steps_reused == again.cost.member_steps_used
    assert checkpoints(tmp_path / "run") == before


@pytest.mark.parametrize("plan", ["pool", "vmap"])
def test_more_points_seeds_and_steps_train_only_what_is_new(tmp_path, plan):
    options = {"plan": plan}
    small = sweep(tmp_path / "run", rates=[0.1, 30.0], seeds=1, steps=40, **options)
    assert small.cost.member_steps_reused == 0
    points = sweep(tmp_path / "run", rates=RATES, seeds=1, steps=40, **options)
    assert points.cost.member_steps_reused == small.cost.member_steps_used
    seeds = sweep(tmp_path / "run", rates=RATES, seeds=2, steps=40, **options)
    assert seeds.cost.member_steps_reused == points.cost.member_steps_used
    steps = sweep(tmp_path / "run", rates=RATES, seeds=2, steps=60, **options)
    assert steps.cost.member_steps_reused == seeds.cost.member_steps_used
    whole = sweep(rates=RATES, seeds=2, steps=60, **options)
    if plan == "pool":
        assert_same(steps, whole)
    else:  # grids of other sizes round otherwise
        for name, table in steps.held_out.items():
            np.testing.assert_allclose(table[:3], whole.held_out[name][:3], rtol=1e-4)


def test_who_ran_out_of_patience_after_others_were_tested_is_tested_too(tmp_path):
    def cut(run):
        if (run.stopped_at[1] >= 0).any():
            raise KeyboardInterrupt

    options = {"patience": 1, "plan": "pool"}
    sweep(tmp_path / "run", rates=[0.1], **options)
    sweep(tmp_path / "run", rates=[0.1, 0.3], on_chunk=cut, **options)
    resumed = sweep(tmp_path / "run", rates=[0.1, 0.3], **options)
    assert np.isfinite(resumed.test["loss"]).all()
    assert_same(resumed, sweep(rates=[0.1, 0.3], **options))


def test_points_that_are_not_asked_for_again_are_not_lost(tmp_path):
    whole = sweep(tmp_path / "run")
    sweep(tmp_path / "run", rates=[0.1, 0.2])  # trains one point, and leaves three
    again = sweep(tmp_path / "run")
    assert again.cost.member_steps_reused == again.cost.member_steps_used
    assert_same(again, whole)


def test_a_resumed_sweep_may_have_another_plan(tmp_path):
    def cut(run):
        if run.held_out_steps[np.isfinite(run.held_out["loss"][0, 0])].max() >= 30:
            raise KeyboardInterrupt

    sweep(tmp_path / "run", on_chunk=cut, plan="vmap")
    resumed = sweep(tmp_path / "run", plan="pool")
    assert 0 < resumed.cost.member_steps_reused < resumed.cost.member_steps_used
    whole = sweep(plan="pool")
    np.testing.assert_allclose(resumed.held_out["loss"][:3], whole.held_out["loss"][:3], rtol=1e-4)


def test_a_resumed_sweep_may_hold_another_number_of_members_at_a_time(tmp_path):
    def cut(run):
        raise KeyboardInterrupt

    sweep(tmp_path / "run", on_chunk=cut, plan="vmap")
    resumed = sweep(tmp_path / "run", plan="vmap/scan/3")
    assert 0 < resumed.cost.member_steps_reused < resumed.cost.member_steps_used
    np.testing.assert_allclose(resumed.held_out["loss"][:3], sweep().held_out["loss"][:3], rtol=1e-4)


ON_DEVICES = """
import sys
import jax, numpy as np
jax.config.update("jax_num_cpu_devices", int(sys.argv[2]))
from tests.search.test_resume import sweep
def cut(run):
    if sys.argv[3] == "cut":
        raise KeyboardInterrupt
resumed = sweep(sys.argv[1], on_chunk=cut, plan="sharded")
print(resumed.plan.devices, resumed.cost.member_steps_reused, resumed.cost.member_steps_used)
np.save(sys.argv[1] + "/losses.npy", resumed.held_out["loss"])
"""


@pytest.mark.slow
def test_a_resumed_sweep_may_have_another_number_of_devices(tmp_path):
    for devices, then in (("2", "cut"), ("3", "end")):
        command = [sys.executable, "-c", ON_DEVICES, str(tmp_path / "run"), devices, then]
        root = Path(__file__).parents[2]
        environment = {**os.environ, "PYTHONPATH": str(root), "JAX_PLATFORMS": "cpu"}
        done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        used, reused, all_steps = done.stdout.split()
        assert used == devices
        assert 0 <= int(reused) < int(all_steps)
        assert (int(reused) > 0) == (then == "end")
    losses = np.load(tmp_path / "run" / "losses.npy")
    np.testing.assert_allclose(losses[:3], sweep().held_out["loss"][:3], rtol=1e-4)


def test_an_allocation_goes_on_where_it_was(tmp_path):
    class Enough(Exception):
        pass

    def cut(run):
        if len(run.rungs) == 1:
            raise Enough

    with pytest.raises(Enough) as caught:
        allocated(tmp_path / "run", on_chunk=cut)
    assert len(caught.value.sweep.rungs) == 1
    resumed, whole = allocated(tmp_path / "run"), allocated()
    assert_same(resumed, whole)
    assert [step for step, _, _ in resumed.rungs] == [step for step, _, _ in whole.rungs]
    assert resumed.cost.member_steps_used == whole.cost.member_steps_used


def test_a_checkpoint_that_does_not_tell_its_schedules_is_taken_up(tmp_path, monkeypatch):
    def cut(run):
        if len(run.rungs) == 2 and np.isfinite(run.metrics["loss"]).sum(axis=-1).max() == 4:
            raise KeyboardInterrupt  # the last stage has begun

    archive = lrjax.engine._archive
    with monkeypatch.context() as older:
        older.setattr(archive, "_FIELDS", tuple(name for name in archive._FIELDS if name != "schedule"))
        allocated(tmp_path / "run", on_chunk=cut)
    resumed, whole = allocated(tmp_path / "run"), allocated()
    assert_same(resumed, whole)
    assert np.unique(resumed.settings["schedules"]).tolist() == [-1]
    assert np.unique(whole.settings["schedules"]).tolist() == [64]


def test_an_error_keeps_what_was_measured(tmp_path):
    x, y = examples()

    def f(step):
        if step == 30 and broken:
            raise RuntimeError("the disk of the data is gone")
        return x[:8] + 0.01 * step, y[:8]

    broken = True
    data = lrjax.from_function(f, on_device=False)
    with pytest.raises(RuntimeError, match="gone") as caught:
        sweep(tmp_path / "run", data=data)
    assert caught.value.sweep.stopped_at[0].tolist() == [30, 30]
    assert any("`sweep`" in note for note in caught.value.__notes__)
    broken = False
    assert_same(sweep(tmp_path / "run", data=data), sweep(data=data))


@pytest.mark.parametrize(("plan", "call"), [("lean", 13), (Plan("vmap", lean=True), 3)], ids=str)
def test_a_lean_plan_that_fails_in_the_middle_of_a_chunk_leaves_the_checkpoint_before(
    tmp_path, plan, call, monkeypatch
):
    calls = itertools.count()

    def failing(method):
        def advance(*arguments, **options):
            if next(calls) == call:
                raise RuntimeError("out of memory")
            return method(*arguments, **options)

        return advance

    with monkeypatch.context() as patch:
        for name in ("advance", "advance_alone"):
            patch.setattr(Programs, name, failing(getattr(Programs, name)))
        with pytest.raises(RuntimeError, match="out of memory"):
            sweep(tmp_path / "run", plan=plan)
    assert checkpoints(tmp_path / "run")
    assert_same(sweep(tmp_path / "run", plan=plan), sweep(plan=plan))


def other_trial(directory):
    return sweep(directory, optimizer=lrjax.adam)


@pytest.mark.parametrize(
    ("what", "options"),
    [
        ("key was 0 and is 1", {"key": 1}),
        ("steps was 60 and is 40", {"steps": 40}),
        ("evaluate_every was 5 and is 6", {"evaluate_every": 6}),
        ("order was 'per-seed' and is 'shared'", {"order": "shared"}),
        ("the trial or the optimizer is another", {"optimizer": lrjax.adam}),
        ("the training data are others", {"data": lrjax.batches(examples(), batch_size=8, seed=1)}),
        ("evaluate_on is another", {"evaluate_on": tuple(2 * x for x in examples())}),
        ("blow_up was 100.0 and is 10.0", {"blow_up": 10.0}),
    ],
)
def test_the_directory_of_another_sweep_is_refused(tmp_path_factory, what, options):
    directory = tmp_path_factory.getbasetemp() / "finished"
    sweep(directory)
    with pytest.raises(ValueError, match="directory=") as caught:
        sweep(directory, **options)
    assert what in str(caught.value)
    assert str(directory) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_versions_are_refused(tmp_path, monkeypatch):
    sweep(tmp_path / "run", rates=[0.1], steps=5)
    monkeypatch.setattr(lrjax.engine._archive.metadata, "version", lambda name: "9.9")
    with pytest.raises(ValueError, match=r"jax was '.*' and is '9\.9'"):
        sweep(tmp_path / "run", rates=[0.1], steps=5)


def test_a_second_process_gets_one_clear_line(tmp_path):
    process = start("sweep", tmp_path / "run")
    run_until_first_checkpoint(process, tmp_path / "run")
    try:
        with pytest.raises(OSError, match="no other sweep is using") as caught:
            sweep(tmp_path / "run")
        assert str(process.pid) in str(caught.value)
    finally:
        process.kill()
        process.communicate()


def test_a_damaged_checkpoint_is_passed_over(tmp_path):
    whole = sweep(tmp_path / "run")
    newest = tmp_path / "run" / "checkpoints" / checkpoints(tmp_path / "run")[-1] / "curves.npz"
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    with pytest.warns(RuntimeWarning, match="damaged"):
        again = sweep(tmp_path / "run")
    assert_same(again, whole)


def test_without_orbax_a_directory_is_refused_before_training(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "orbax", None)
    monkeypatch.setitem(sys.modules, "orbax.checkpoint", None)
    with pytest.raises(ImportError, match=r"lrjax\[store\]"):
        sweep(tmp_path / "run")


def test_the_plan_and_chunks_of_a_resumed_sweep_are_those_before(tmp_path):
    first = sweep(tmp_path / "run", steps=40)
    again = sweep(tmp_path / "run", steps=60)
    assert str(first.plan) == str(again.plan)
