"""A working directory with a file of tasks, and the command line as a function."""

from __future__ import annotations

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import pytest

from lrjax import cli

TASKS = """
import signal

import jax
import jax.numpy as jnp
import numpy as np
import lrjax

X = np.linspace(-1, 1, 24)
DATA = {"x": X, "y": 3 * X}


def init(key):
    return {"w": jnp.zeros(())}


def loss(params, batch):
    error = params["w"] * batch["x"] - batch["y"]
    return jnp.mean(error**2), {"error": jnp.mean(jnp.abs(error))}


def make(optimizer):
    return lrjax.trial(init, loss, optimizer)


def tiny():
    return lrjax.tasks.Task(
        make, lrjax.batches(DATA, batch_size=8), validation=DATA, test=DATA, steps=30, summary="a line"
    )


def random_start():
    def loss(start, batch):
        return jnp.mean(batch["x"] ** 2) * (1 + start**2), {"start": start}

    trial = lrjax.trial(jax.random.normal, loss, lrjax.sgd)
    return lrjax.tasks.Task(trial, lrjax.batches(DATA, batch_size=8))


own = lrjax.tasks.Task(
    make(lambda learning_rate: lrjax.sgd(learning_rate)), lrjax.batches(DATA, batch_size=8), steps=10
)
number = 3


def greedy():
    return lrjax.tasks.Task(make, lrjax.batches(DATA, batch_size=25))


def raw():
    return lrjax.tasks.Task(make, DATA)


def no_trial():
    return lrjax.tasks.Task(3, lrjax.batches(DATA, batch_size=8))


def no_loss():
    trial = lrjax.Trial(lambda key, h: jnp.zeros(()), lambda x, batch, h: ({"cost": x}, x))
    return lrjax.tasks.Task(trial, lrjax.batches(DATA, batch_size=8))


def vector_loss():
    trial = lrjax.trial(init, lambda params, batch: params["w"] * batch["x"], lrjax.sgd)
    return lrjax.tasks.Task(trial, lrjax.batches(DATA, batch_size=8))


def ragged():
    return lrjax.tasks.Task(make, lrjax.batches({"x": X, "y": X[1:]}, batch_size=8))


def ragged_validation():
    return lrjax.tasks.Task(make, lrjax.batches(DATA, batch_size=8), validation={"x": X, "y": X[1:]})


def interrupted():
    def f(step):
        if step >= 20:
            raise KeyboardInterrupt
        return {"x": np.float32(1.0), "y": np.float32(2.0)}

    return lrjax.tasks.Task(make, lrjax.from_function(f, on_device=False), steps=40)


def interrupted_at_the_end():
    def f(step):
        if step == 39:
            signal.raise_signal(signal.SIGINT)
        return {"x": np.float32(1.0), "y": np.float32(2.0)}

    return lrjax.tasks.Task(make, lrjax.from_function(f, on_device=False), steps=40)


def interrupted_at_once():
    raise KeyboardInterrupt
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A fresh working directory with a file of tasks."""
    (tmp_path / "mine.py").write_text(TASKS)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    plt.close("all")


@pytest.fixture
def call(capsys):
    """Runs the command line: exit code, standard output, standard error."""

    def run(*arguments):
        try:
            code = cli.main([str(argument) for argument in arguments])
        except SystemExit as stop:
            code = stop.code
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run
