"""A sweep: what its arrays mean, which grids it takes, where its data goes, how it is interrupted."""

from __future__ import annotations

import functools
import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrjax
from lrjax.engine import _program
from lrjax.search import log_spaced

DATA = lrjax.batches(np.zeros(4), batch_size=4)
RATES = [0.01, 0.1, 0.3, 30.0]


def parabola(x, batch):
    """The loss whose gradient descent is known: x after t steps is (1 - rate)**t."""
    return 0.5 * x**2


def quadratic(optimizer=lrjax.sgd):
    return lrjax.trial(lambda key: jnp.float32(1.0), parabola, optimizer)


def echo(*names, **options):
    """A trial whose metrics are its hyperparameters, and whose loss is the first of them."""

    def update(count, batch, hyperparams):
        metrics = {name: jnp.asarray(hyperparams[name]) for name in names}
        return {"loss": metrics[names[0]], **metrics}, count + 1

    return lrjax.Trial(lambda key, hyperparams: jnp.int32(0), update, **options)


def run(trial, grid, data=DATA, *, steps=3, **options):
    return lrjax.sweep(trial, grid, data, steps=steps, progress=False, **options)


@functools.cache
def whole():
    """A sweep with everything: three rates that train and one that diverges, two seeds."""
    return run(
        quadratic(),
        {"learning_rate": RATES},
        steps=33,
        seeds=2,
        evaluate_on=np.zeros(4),
        evaluate_every=10,
        test_on=np.zeros(6),
    )


# What the arrays hold


def test_shapes_and_dtypes():
    sweep = whole()
    assert sweep.points["learning_rate"].tolist() == RATES
    assert {name: values.shape for name, values in sweep.metrics.items()} == {
        "loss": (4, 2, 33),
        "learning_rate": (4, 2, 33),
    }
    assert sweep.recorded_steps.tolist() == list(range(33))
    assert sweep.held_out["loss"].shape == (4, 2, 5)
    assert sweep.test["loss"].shape == (4, 2)
    assert sweep.diverged_at.shape == sweep.stopped_at.shape == (4, 2)
    for values in (*sweep.metrics.values(), *sweep.held_out.values(), *sweep.test.values()):
        assert values.dtype == np.float32
    for values in (sweep.recorded_steps, sweep.held_out_steps, sweep.diverged_at, sweep.stopped_at):
        assert np.issubdtype(values.dtype, np.integer)


def test_a_training_metric_is_measured_before_its_step():
    expected = 0.5 * (1 - np.array(RATES[:3])[:, None]) ** (2 * np.arange(33))
    np.testing.assert_allclose(
        whole().metrics["loss"][:3], np.broadcast_to(expected[:, None], (3, 2, 33)), 1e-4
    )


def test_a_held_out_metric_is_measured_after_its_number_of_updates():
    sweep = whole()
    assert sweep.held_out_steps.tolist() == [0, 10, 20, 30, 33]
    expected = 0.5 * (1 - np.array(RATES[:3])[:, None]) ** (2 * sweep.held_out_steps)
    np.testing.assert_allclose(
        sweep.held_out["loss"][:3], np.broadcast_to(expected[:, None], (3, 2, 5)), 1e-4
    )


def test_the_test_metric_is_measured_after_the_last_update():
    sweep = whole()
    np.testing.assert_array_equal(sweep.test["loss"][:3], sweep.held_out["loss"][:3, :, -1])


def test_a_member_that_diverged_has_no_test_metric():
    sweep = whole()
    assert (sweep.diverged_at[:3] == -1).all()
    assert (sweep.diverged_at[3] >= 0).all()
    assert np.isnan(sweep.test["loss"][3]).all()


def test_nothing_was_stopped():
    assert (whole().stopped_at == -1).all()


def test_cost_counts_member_steps():
    cost = whole().cost
    assert cost.member_steps_full == 4 * 2 * 33
    assert 0 < cost.member_steps_used <= cost.member_steps_full
    assert cost.seconds_compiling > 0
    assert cost.seconds_running > 0
    assert cost.seconds_probing == 0


def test_plan_name_and_steps():
    assert (str(whole().plan), whole().name, whole().steps) == ("vmap/scan", "learning_rate", 33)
    assert "too short" in whole().plan.summary()


def test_without_held_out_and_test_data_their_arrays_are_empty():
    sweep = run(quadratic(), {"learning_rate": [0.1]})
    assert sweep.held_out == sweep.test == {}
    assert sweep.held_out_steps.tolist() == []


@pytest.mark.parametrize(
    ("steps", "every", "expected"),
    [(10, 3, [0, 3, 6, 9, 10]), (10, 5, [0, 5, 10]), (4, 9, [0, 4]), (1, 1, [0, 1]), (3, 1, [0, 1, 2, 3])],
)
def test_evaluations_begin_at_zero_and_end_at_the_last_update(steps, every, expected):
    sweep = run(
        quadratic(), {"learning_rate": [0.5]}, steps=steps, evaluate_on=np.zeros(4), evaluate_every=every
    )
    assert sweep.held_out_steps.tolist() == expected
    np.testing.assert_allclose(sweep.held_out["loss"][0, 0], 0.5 * 0.25 ** np.array(expected), rtol=1e-5)


def test_about_twenty_evaluations_by_default():
    sweep = run(quadratic(), {"learning_rate": [0.1]}, steps=101, evaluate_on=np.zeros(4))
    assert sweep.held_out_steps.tolist() == [*range(0, 101, 6), 101]


def test_record_every_keeps_every_so_manyeth_step():
    sweep = run(quadratic(), {"learning_rate": [0.1]}, steps=33, record_every=5, evaluate_every=7)
    assert sweep.recorded_steps.tolist() == [0, 5, 10, 15, 20, 25, 30]
    np.testing.assert_array_equal(sweep.metrics["loss"][0, 0], whole().metrics["loss"][1, 0, ::5])


@pytest.mark.parametrize(("steps", "records", "every"), [(2000, 2000, 1), (2001, 1001, 2), (4001, 1334, 3)])
def test_at_most_two_thousand_records_by_default(steps, records, every):
    sweep = run(quadratic(), {"learning_rate": [0.1]}, steps=steps)
    assert len(sweep.recorded_steps) == sweep.metrics["loss"].shape[-1] == records <= 2000
    assert (np.diff(sweep.recorded_steps) == every).all()
    assert np.isfinite(sweep.metrics["loss"]).all()


def test_metrics_of_the_trial_are_all_recorded():
    def update(x, batch, hyperparams):
        return {"loss": x, "twice": 2 * x, "whole": jnp.int32(3), "flag": x > 1}, x + 1

    trial = lrjax.Trial(
        lambda key, hyperparams: jnp.float32(0.0), update, lambda x, batch: {"loss": x, "negative": -x}
    )
    sweep = run(trial, {"learning_rate": [0.1]}, steps=4, evaluate_on=np.zeros(2), test_on=np.zeros(2))
    assert sweep.metrics["twice"][0, 0].tolist() == [0, 2, 4, 6]
    assert sweep.metrics["whole"][0, 0].tolist() == [3] * 4
    assert sweep.metrics["flag"][0, 0].tolist() == [0, 0, 1, 1]
    assert sweep.held_out["negative"][0, 0].tolist() == [0, -1, -2, -3, -4]
    assert sweep.test["negative"].tolist() == [[-4]]


# Grids


def test_a_dict_is_a_product_with_the_last_name_moving_fastest():
    sweep = run(echo("learning_rate", "b1", "b2"), {"learning_rate": [1.0, 2.0], "b1": [3.0, 4.0], "b2": 5.0})
    assert sweep.points["learning_rate"].tolist() == [1, 1, 2, 2]
    assert sweep.points["b1"].tolist() == [3, 4, 3, 4]
    assert sweep.points["b2"].tolist() == [5, 5, 5, 5]
    for name in ("learning_rate", "b1", "b2"):
        np.testing.assert_array_equal(sweep.metrics[name][:, 0, 0], sweep.points[name])


def test_a_list_of_dicts_is_taken_as_it_is():
    grid = [
        {"learning_rate": 0.5, "b1": 3.0},
        {"b1": 1.0, "learning_rate": 0.25},
        dict(learning_rate=2, b1=1),
    ]
    sweep = run(echo("learning_rate", "b1"), grid)
    assert sweep.points["learning_rate"].tolist() == [0.5, 0.25, 2]
    assert sweep.metrics["learning_rate"][:, 0, 0].tolist() == [0.5, 0.25, 2]
    assert sweep.metrics["b1"][:, 0, 0].tolist() == [3, 1, 1]


@pytest.mark.parametrize(
    "rates",
    [
        (0.5, 0.25),
        np.array([0.5, 0.25]),
        np.array([0.5, 0.25], np.float32),
        jnp.array([0.5, 0.25]),
        [np.float32(0.5), jnp.array(0.25)],
    ],
    ids=["tuple", "float64", "float32", "jax", "scalars"],
)
def test_values_come_in_many_forms(rates):
    sweep = run(echo("learning_rate"), {"learning_rate": rates})
    assert sweep.points["learning_rate"].tolist() == [0.5, 0.25]
    assert sweep.metrics["loss"][:, 0, 0].tolist() == [0.5, 0.25]


@pytest.mark.parametrize("rate", [0.5, np.float32(0.5), jnp.array(0.5), np.array(0.5), [0.5]])
def test_one_value_need_not_be_a_list(rate):
    assert run(echo("learning_rate"), {"learning_rate": rate}).points["learning_rate"].tolist() == [0.5]


def test_several_numbers_train_as_they_would_alone():
    def make(**hyperparams):
        return lrjax.adamw(**hyperparams)

    trial = quadratic(make)
    grid = {"learning_rate": [0.01, 0.1], "b1": [0.5, 0.9], "weight_decay": [0.0, 0.1]}
    sweep = run(trial, grid, steps=10)
    assert sweep.metrics["loss"].shape == (8, 1, 10)
    for index, (rate, b1, decay) in enumerate(itertools.product(*grid.values())):
        tx, x, losses = lrjax.adamw(rate, b1=b1, weight_decay=decay), jnp.float32(1.0), []
        state = tx.init(x)
        for _ in range(10):
            losses.append(float(0.5 * x**2))
            updates, state = tx.update(x, state, x)
            x = lrjax.apply_updates(x, updates)
        np.testing.assert_allclose(sweep.metrics["loss"][index, 0], losses, rtol=1e-5)
    assert len(np.unique(sweep.metrics["loss"][:, 0, -1])) == 8


def test_lengths_of_schedules_and_noise_of_batches_are_numbers_like_any_other():
    """Warmup, horizon and noise train as they would alone."""

    def init(key, hyperparams):
        return jnp.float32(1.0), key, jnp.int32(0)

    def update(state, batch, hyperparams):
        x, key, step = state
        schedule = lrjax.warmup_cosine_decay_schedule(
            0.0, hyperparams["learning_rate"], hyperparams["warmup"], hyperparams["horizon"]
        )
        noise = hyperparams["noise"] * jax.random.normal(jax.random.fold_in(key, step), batch.shape)
        gradient = x - jnp.mean(batch + noise)
        return {"loss": x}, (x - schedule(step) * gradient, key, step + 1)

    grid = {"learning_rate": [0.3], "warmup": [2, 5], "horizon": [8, 30], "noise": [0.0, 0.7]}
    sweep = run(lrjax.Trial(init, update), grid, steps=12)
    for index, (_, warmup, horizon, noise) in enumerate(itertools.product(*grid.values())):
        x, losses, key = 1.0, [], jax.random.fold_in(jax.random.key(0), 0)
        for t in range(12):
            losses.append(x)
            decay = 0.5 * (1 + np.cos(np.pi * min((t - warmup) / (horizon - warmup), 1.0)))
            rate = 0.3 * (t / warmup if t < warmup else decay)
            drawn = np.asarray(jax.random.normal(jax.random.fold_in(key, t), (4,)), float)
            x -= rate * (x - noise * drawn.mean())
        np.testing.assert_allclose(sweep.metrics["loss"][index, 0], losses, rtol=1e-5, atol=1e-6)
    assert len(np.unique(sweep.metrics["loss"][:, 0, -1])) == 8


def test_each_group_of_parameters_may_have_a_rate_of_its_own():
    def optimizer(learning_rate, head_rate):
        return lrjax.chain(
            lrjax.masked(lrjax.sgd(learning_rate), {"body": True, "head": False}),
            lrjax.masked(lrjax.sgd(head_rate), {"body": False, "head": True}),
        )

    def loss(params, batch):
        return 0.5 * (params["body"] ** 2 + 4 * params["head"] ** 2)

    trial = lrjax.trial(lambda key: {"body": jnp.float32(1.0), "head": jnp.float32(1.0)}, loss, optimizer)
    grid = {"learning_rate": [0.1, 0.5], "head_rate": [0.01, 0.2]}
    sweep = run(trial, grid, steps=6)
    t = np.arange(6)
    for index, (body, head) in enumerate(itertools.product(*grid.values())):
        expected = 0.5 * ((1 - body) ** (2 * t) + 4 * (1 - 4 * head) ** (2 * t))
        np.testing.assert_allclose(sweep.metrics["loss"][index, 0], expected, rtol=1e-5)
    assert sweep.answer.point == {"learning_rate": 0.5, "head_rate": 0.2}


def test_numbers_arrive_as_float32_and_integers_as_int32():
    seen = {}

    def update(x, batch, hyperparams):
        seen.update({name: (value.dtype, value.shape) for name, value in hyperparams.items()})
        return {"loss": x}, x

    trial = lrjax.Trial(lambda key, hyperparams: jnp.float32(0.0), update)
    grid = [
        {"learning_rate": 1, "warmup": 3, "large": 2**40},
        {"learning_rate": 0.5, "warmup": 5, "large": 1},
    ]
    run(trial, grid)
    assert seen == {
        "learning_rate": (jnp.float32, ()),
        "warmup": (jnp.int32, ()),
        "large": (jnp.float32, ()),
    }


def test_other_values_select_a_program_and_results_stay_in_the_order_of_points():
    trial = quadratic(functools.partial(lrjax.sgd, momentum=0.9))
    grid = {"learning_rate": [0.01, 0.05, 0.1], "nesterov": [True, False]}
    both = run(trial, grid, steps=15, evaluate_on=np.zeros(4))
    assert both.points["nesterov"].tolist() == [True, False] * 3
    assert both.points["nesterov"].dtype == object
    for first, nesterov in enumerate((True, False)):
        alone = run(
            quadratic(functools.partial(lrjax.sgd, momentum=0.9, nesterov=nesterov)),
            {"learning_rate": grid["learning_rate"]},
            steps=15,
            evaluate_on=np.zeros(4),
        )
        np.testing.assert_array_equal(both.metrics["loss"][first::2], alone.metrics["loss"])
        np.testing.assert_array_equal(both.held_out["loss"][first::2], alone.held_out["loss"])
    assert (both.metrics["loss"][0::2, 0, -1] != both.metrics["loss"][1::2, 0, -1]).all()


def cube(x):
    return x**3


def square(x):
    return x**2


def test_bools_strings_none_and_callables_arrive_as_they_are():
    seen = []

    def update(x, batch, hyperparams):
        seen.append((hyperparams["flag"], hyperparams["word"], hyperparams["f"]))
        value = 1.0 if hyperparams["flag"] else 2.0
        value += {"a": 10.0, None: 20.0}[hyperparams["word"]]
        return {"loss": hyperparams["f"](jnp.float32(value))}, x

    trial = lrjax.Trial(lambda key, hyperparams: jnp.float32(0.0), update)
    grid = {"learning_rate": 0.1, "flag": [True, False], "word": ["a", None], "f": [square, cube]}
    sweep = run(trial, grid, steps=1)
    expected = [121, 11**3, 441, 21**3, 144, 12**3, 484, 22**3]
    assert sweep.metrics["loss"][:, 0, 0].tolist() == expected
    assert sweep.points["word"].tolist() == ["a", "a", None, None] * 2
    assert sweep.points["f"].tolist() == [square, cube] * 4
    assert set(seen) == set(itertools.product((True, False), ("a", None), (square, cube)))


def test_numbers_beside_none_select_a_program():
    grid = {"learning_rate": [0.01, 0.1], "momentum": [None, 0.9]}
    sweep = run(quadratic(), grid, steps=10)
    assert sweep.points["momentum"].tolist() == [None, 0.9, None, 0.9]
    plain = run(quadratic(), {"learning_rate": [0.01, 0.1]}, steps=10)
    np.testing.assert_array_equal(sweep.metrics["loss"][::2], plain.metrics["loss"])
    assert (sweep.metrics["loss"][1::2, 0, -1] != plain.metrics["loss"][:, 0, -1]).all()


def test_static_names_arrive_as_python_numbers():
    kinds = set()

    def init(key, hyperparams):
        kinds.update(type(value) for name, value in hyperparams.items() if name != "learning_rate")
        return jnp.zeros(hyperparams["memory"])

    def update(x, batch, hyperparams):
        return {"loss": jnp.float32(x.size + hyperparams["scale"])}, x

    trial = lrjax.Trial(init, update, static=("memory", "scale"))
    sweep = run(trial, {"learning_rate": [0.1, 0.2], "memory": np.array([2, 5]), "scale": [0.5]})
    assert sweep.metrics["loss"][:, 0, 0].tolist() == [2.5, 5.5, 2.5, 5.5]
    assert kinds == {int, float}
    assert sweep.points["memory"].tolist() == [2, 5, 2, 5]


def test_a_grid_without_a_rate_answers_by_point():
    trial = quadratic(lambda b1: lrjax.adam(0.1, b1=b1))
    sweep = run(trial, {"b1": [0.999, 0.5]}, steps=20, evaluate_on=np.zeros(4))
    assert sweep.answer.learning_rate is None
    assert sweep.answer.index == 1
    assert sweep.answer.point == {"b1": 0.5}
    assert sweep.answer.plateau is None
    assert sweep.answer.recommendation.startswith("Use b1 = 0.5: ")
    assert sweep.summary().splitlines()[-1] == sweep.answer.recommendation


def test_a_grid_with_no_names_is_one_point():
    sweep = run(quadratic(lambda: lrjax.sgd(0.1)), {}, steps=5)
    assert sweep.metrics["loss"].shape == (1, 1, 5)
    assert sweep.points == {}
    assert sweep.answer.recommendation.startswith("Use the only point")
    assert sweep.summary()


def test_the_rate_may_have_another_name():
    trial = quadratic(lambda step_size: lrjax.sgd(step_size))
    sweep = run(trial, {"step_size": [0.1, 0.5]}, steps=5, name="step_size")
    assert sweep.answer.learning_rate == 0.5
    assert sweep.name == "step_size"


@pytest.mark.parametrize("order", [[2, 0, 1], [1, 2, 0], [2, 1, 0]])
def test_permuting_points_permutes_results_exactly(order):
    def loss(params, batch, key):
        return jnp.mean((batch @ params - jax.random.normal(key)) ** 2)

    trial = lrjax.trial(lambda key: jax.random.normal(key, (3,)), loss, lrjax.adam)
    data = lrjax.batches(np.random.default_rng(0).normal(size=(20, 3)), batch_size=4)
    rates = [0.003, 0.1, 0.03]
    base = run(trial, {"learning_rate": rates}, data, steps=12, seeds=2)
    permuted = run(trial, {"learning_rate": [rates[i] for i in order]}, data, steps=12, seeds=2)
    np.testing.assert_array_equal(permuted.metrics["loss"], base.metrics["loss"][order])
    assert permuted.answer.learning_rate == base.answer.learning_rate


# Held-out data


def linear():
    def loss(w, batch):
        error = batch["x"] @ w - batch["y"]
        return jnp.mean(error**2), {"bias": jnp.mean(error)}

    return lrjax.trial(lambda key: jax.random.normal(key, (2,)), loss, lrjax.sgd)


def examples(count, seed=0):
    random = np.random.default_rng(seed)
    x = random.normal(size=(count, 2)).astype(np.float32)
    return {"x": x, "y": (x @ [1.0, -2.0] + 0.1 * random.normal(size=count)).astype(np.float32)}


@pytest.mark.parametrize("batch_size", [1, 4, 7, 11])
def test_held_out_means_weigh_every_example_the_same(batch_size):
    """Against NumPy: the last batch of 11 examples in fours is smaller."""
    held_out = examples(11, seed=1)
    sweep = run(
        linear(),
        {"learning_rate": [0.05]},
        lrjax.batches(examples(8), batch_size=4),
        steps=1,
        seeds=2,
        evaluate_on=lrjax.batches(held_out, batch_size=batch_size),
        test_on=lrjax.batches(held_out, batch_size=batch_size),
    )
    trial = linear()
    for seed in range(2):
        key = lrjax.engine.member_key(0, seed)
        w = np.asarray(trial.init(key, {"learning_rate": 0.05}).params, np.float64)
        error = held_out["x"] @ w - held_out["y"]
        np.testing.assert_allclose(sweep.held_out["loss"][0, seed, 0], np.mean(error**2), rtol=1e-5)
        np.testing.assert_allclose(sweep.held_out["bias"][0, seed, 0], np.mean(error), rtol=1e-4)
    np.testing.assert_array_equal(sweep.test["loss"], sweep.held_out["loss"][..., -1])


def test_held_out_arrays_and_batches_of_them_score_the_same():
    held_out = examples(9, seed=1)
    sweeps = [
        run(
            linear(),
            {"learning_rate": [0.05, 0.1]},
            lrjax.batches(examples(8), batch_size=4),
            steps=6,
            evaluate_on=evaluate_on,
        )
        for evaluate_on in (held_out, lrjax.batches(held_out, batch_size=9, seed=5))
    ]
    np.testing.assert_array_equal(sweeps[0].held_out["loss"], sweeps[1].held_out["loss"])


def test_held_out_data_is_in_order():
    """Each batch's own order decides this metric, so a shuffle would change it."""

    def evaluate(x, batch):
        return {"loss": x, "in_order": jnp.mean(batch * jnp.arange(1, batch.shape[0] + 1))}

    trial = lrjax.Trial(
        lambda key, hyperparams: jnp.float32(0.0), lambda x, batch, h: ({"loss": x}, x), evaluate
    )
    values = np.arange(6.0)
    sweep = run(
        trial, {"learning_rate": [0.1]}, seeds=2, evaluate_on=lrjax.batches(values, batch_size=3, seed=9)
    )
    expected = np.mean([np.mean(values[:3] * [1, 2, 3]), np.mean(values[3:] * [1, 2, 3])])
    np.testing.assert_allclose(sweep.held_out["in_order"], expected, rtol=1e-6)


def test_a_loss_that_takes_a_key_cannot_be_evaluated():
    trial = lrjax.trial(lambda key: jnp.float32(1.0), lambda x, batch, key: x**2, lrjax.sgd)
    for argument in ("evaluate_on", "test_on"):
        with pytest.raises(ValueError, match=rf"^`sweep\({argument}=.*no `evaluate`.*takes a key.*$"):
            run(trial, {"learning_rate": [0.1]}, **{argument: np.zeros(4)})


# Training data


def seen(batch):
    return jnp.asarray(batch, jnp.float32)


def watcher():
    """A trial whose loss is the batch it saw."""
    return lrjax.Trial(
        lambda key, hyperparams: jnp.float32(0.0), lambda x, batch, h: ({"loss": seen(batch)}, x)
    )


@pytest.mark.parametrize("on_device", [True, False])
def test_data_from_a_function_of_the_step(on_device):
    data = lrjax.from_function(lambda step: 2.0 * step, on_device=on_device)
    sweep = run(watcher(), {"learning_rate": [0.1, 0.2]}, data, steps=7, seeds=3, evaluate_every=3)
    np.testing.assert_array_equal(
        sweep.metrics["loss"], np.broadcast_to(2.0 * np.arange(7), (2, 3, 7)).astype(np.float32)
    )


@pytest.mark.parametrize("on_device", [True, False])
@pytest.mark.parametrize("order", ["per-seed", "shared"])
def test_data_from_a_function_of_step_and_seed(on_device, order):
    data = lrjax.from_function(lambda step, seed: step + 100.0 * seed, on_device=on_device)
    sweep = run(watcher(), {"learning_rate": [0.1, 0.2]}, data, steps=7, seeds=3, order=order)
    seeds = np.arange(3) if order == "per-seed" else np.zeros(3)
    expected = np.arange(7) + 100 * seeds[:, None]
    np.testing.assert_array_equal(sweep.metrics["loss"], np.broadcast_to(expected, (2, 3, 7)))


def test_a_host_function_is_called_once_a_step_and_seed():
    calls = []

    def f(step, seed):
        calls.append((step, seed))
        return np.float32(step)

    run(
        watcher(),
        {"learning_rate": [0.1, 0.2, 0.3]},
        lrjax.from_function(f, on_device=False),
        steps=5,
        seeds=2,
    )
    training = calls[-10:]
    assert sorted(training) == list(itertools.product(range(5), range(2)))
    assert len(calls) <= 11  # one more, for the shape of a batch


@pytest.mark.parametrize("plan", ["pool", "vmap"])
def test_data_is_no_constant_of_the_program(plan, monkeypatch):
    """The text of the program does not grow with the data, which is among its arguments."""

    def text(count):
        texts = []

        def compile(self, key, function, arguments, donate):
            texts.append(jax.jit(function).lower(*arguments).as_text())
            return original(self, key, function, arguments, donate)

        data = lrjax.batches(np.random.default_rng(0).normal(size=(count, 64)), batch_size=4)
        trial = lrjax.trial(
            lambda key: jnp.zeros(64), lambda w, batch: jnp.mean((batch @ w - 1) ** 2), lrjax.sgd
        )
        with monkeypatch.context() as patch:
            original = _program.Programs._compile
            patch.setattr(_program.Programs, "_compile", compile)
            run(trial, {"learning_rate": [0.1, 0.2]}, data, steps=5, plan=plan)
        return max(texts, key=len)

    small, large = text(16), text(16384)  # 4 kB and 4 MB of data
    assert abs(len(large) - len(small)) < 200
    signature = next(line for line in large.splitlines() if "@main" in line)
    assert "tensor<16384x64xf32>" in signature


def test_a_loss_is_not_traced_again_for_more_steps_or_points():
    def traces(points, steps):
        count = 0

        def loss(x, batch):
            nonlocal count
            count += 1
            return 0.5 * x**2

        trial = lrjax.trial(lambda key: jnp.float32(1.0), loss, lrjax.sgd)
        rates = log_spaced(0.001, 0.1, points)
        run(
            trial,
            {"learning_rate": rates},
            steps=steps,
            seeds=2,
            evaluate_on=np.zeros(4),
            evaluate_every=max(1, steps // 3),
        )
        return count

    base = traces(2, 6)
    assert base <= 6  # once for training and once for each kind of evaluation, whatever the points
    assert traces(2, 300) == base
    assert traces(9, 6) == base


@pytest.mark.parametrize(
    ("plan", "programs"),
    [("pool", ["evaluate alone", "replay", "start"]), ("vmap", ["advance", "evaluate", "start"])],
)
def test_programs_are_compiled_once_for_all_chunks_points_and_seeds(plan, programs, monkeypatch):
    compiled = []
    original = _program.Programs._compile

    def compile(self, key, *arguments):
        compiled.append(key[0])
        return original(self, key, *arguments)

    monkeypatch.setattr(_program.Programs, "_compile", compile)
    grid = {"learning_rate": [0.1, 0.2, 0.3]}
    run(quadratic(), grid, steps=33, seeds=2, evaluate_on=np.zeros(4), evaluate_every=10, plan=plan)
    assert sorted(compiled) == programs


@pytest.mark.parametrize("plan", ["vmap", "vmap/scan/3", "unrolled"])
def test_a_grid_has_one_program_for_each_number_of_columns_though_a_seed_dies(plan, monkeypatch):
    """Seed 0 dies in the first chunk, and of seed 1 every point at a step of its own."""
    sizes = []
    original = _program.Programs._compile

    def compile(self, key, *arguments):
        sizes.extend([key[1]] if key[0] == "advance" else [])
        return original(self, key, *arguments)

    def update(state, seed, hyperparams):
        dies = state >= jnp.where(seed == 0, 4, hyperparams["at"])
        return {"loss": jnp.where(dies, jnp.nan, 1.0 + seed)}, state + 1

    monkeypatch.setattr(_program.Programs, "_compile", compile)
    trial = lrjax.Trial(lambda key, hyperparams: jnp.int32(0), update)
    data = lrjax.from_function(lambda step, seed_index: seed_index, on_device=True)
    grid = {"at": [8, 13, 18, 23, 28, 33, 40]}
    sweep = run(trial, grid, data, steps=40, seeds=2, evaluate_every=5, plan=plan, name="at")
    assert sweep.diverged_at.T.tolist() == [[4] * 7, [8, 13, 18, 23, 28, 33, -1]]
    assert (np.nan_to_num(sweep.metrics["loss"][:, 1], nan=2.0) == 2).all()
    columns = [size[1] for size in sizes]
    assert len(columns) == len(set(columns))
    assert {size[0] for size in sizes} == {2}
    assert set(columns) <= ({1, 2, 3} if plan.endswith("3") else {1, 2, 4, 7})


# Patience with an allocation


def valleys(points, **options):
    """Points of (level, steps of both seeds' lowest held-out loss), which rises again as it fell."""

    def init(key, hyperparams):
        return jnp.float32(0), jnp.int32(0), hyperparams

    def update(state, seed, hyperparams):
        return {"loss": jnp.float32(0)}, (state[0] + 1, seed, hyperparams)

    def evaluate(state, batch):
        count, seed, hyperparams = state
        valley = jnp.where(seed == 0, hyperparams["first"], hyperparams["second"])
        return {"loss": hyperparams["level"] + 100 - jnp.minimum(count, 2 * valley - count)}

    grid = [
        {"learning_rate": 0.1 * (n + 1), "level": level, "first": first, "second": second, "length": 40}
        for n, (level, first, second) in enumerate(points)
    ]
    options |= {"seeds": 2, "patience": 2, "evaluate_every": 5, "evaluate_on": np.zeros(4)}
    rule = lrjax.top_k(1, first=25, neighbours=0, noise=False)
    data = lrjax.from_function(lambda step, seed_index: seed_index, on_device=True)
    trial = lrjax.Trial(init, update, evaluate)
    return run(trial, grid, data, steps=40, test_on=np.zeros(4), allocation=rule, **options)


@pytest.mark.parametrize("plan", ["pool", "vmap"])
@pytest.mark.parametrize(("horizon", "repeated"), [(None, 0), ("length", 25)])
def test_a_member_out_of_patience_is_judged_by_its_best_loss_and_done(plan, horizon, repeated):
    sweep = valleys([(0, 10, 99), (10, 99, 99), (20, 99, 99)], plan=plan, horizon=horizon)
    ((step, losses, kept),) = sweep.rungs
    assert (step, kept.tolist()) == (25, [True, False, False])
    assert losses.tolist() == [[90, 75], [85, 85], [95, 95]]
    assert sweep.stopped_at.tolist() == [[20, -1], [25, 25], [25, 25]]
    assert sweep.cost.member_steps_wasted == 4 * 25 + repeated
    np.testing.assert_array_equal(sweep.test["loss"], [[100, 60], [np.nan] * 2, [np.nan] * 2])
    assert sweep.answer.index == 0


def test_a_point_whose_members_ran_out_of_patience_is_not_dropped():
    sweep = valleys([(0, 10, 10), (10, 99, 99), (20, 99, 99)])
    assert sweep.rungs[0][2].tolist() == [False, True, False]
    assert sweep.cost.member_steps_wasted == 2 * 25
    np.testing.assert_array_equal(sweep.test["loss"], [[100, 100], [70, 70], [np.nan] * 2])
    assert sweep.answer.scores.tolist() == [90, 70, np.inf]


@pytest.mark.parametrize("evaluate_on", [np.zeros(4), None])
@pytest.mark.parametrize(("slope", "dropped"), [(1e-3, 0), (0.5, 2)])
def test_no_rate_is_dropped_on_a_plateau(slope, dropped, evaluate_on):
    trial = lrjax.trial(lambda key: jnp.float32(1.0), lambda x, batch: 2.0 + slope * x, lrjax.sgd)
    rule = lrjax.top_k(1, first=10, neighbours=0)
    grid = {"learning_rate": [0.01, 0.1, 0.3]}
    options = dict(seeds=2, evaluate_every=10, evaluate_on=evaluate_on, allocation=rule, progress=False)
    ((step, _, kept),) = lrjax.sweep(trial, grid, DATA, steps=40, **options).rungs
    assert step == 10
    assert (~kept).sum() == dropped


def test_what_an_interrupt_stops_under_an_allocation_is_not_wasted():
    def cut(sweep):
        if len(sweep.rungs):
            raise KeyboardInterrupt

    sweep = valleys([(0, 99, 99), (10, 99, 99)], on_chunk=cut)
    assert sweep.stopped_at.tolist() == [[25, 25], [25, 25]]
    assert sweep.cost.member_steps_wasted == 2 * 25


# Interrupts


def interrupted(at, grid=None, **options):
    """A sweep whose data ends with Ctrl-C at a step."""

    def f(step):
        if step == at and training:
            raise KeyboardInterrupt
        training.append(step)
        return np.float32(0.0)

    training = []
    data = lrjax.from_function(f, on_device=False)
    grid = grid or {"learning_rate": [0.1, 0.3, 30.0]}
    return run(quadratic(), grid, data, steps=80, seeds=2, evaluate_every=20, **options)


def test_an_interrupt_keeps_what_was_measured():
    cut = interrupted(50, evaluate_on=np.zeros(4))
    full = interrupted(None, evaluate_on=np.zeros(4))
    assert cut.diverged_at.tolist() == full.diverged_at.tolist()
    assert (cut.diverged_at[2] >= 0).all()
    assert cut.stopped_at.tolist() == [[40, 40], [40, 40], [-1, -1]]
    np.testing.assert_array_equal(cut.metrics["loss"][..., :40], full.metrics["loss"][..., :40])
    assert np.isnan(cut.metrics["loss"][..., 40:]).all()
    np.testing.assert_array_equal(cut.held_out["loss"][..., :3], full.held_out["loss"][..., :3])
    assert np.isnan(cut.held_out["loss"][..., 3:]).all()
    assert cut.cost.member_steps_used < cut.cost.member_steps_full


@pytest.mark.parametrize("held_out", [True, False])
def test_an_interrupted_sweep_answers_by_what_was_measured(held_out):
    cut = interrupted(50, **({"evaluate_on": np.zeros(4)} if held_out else {}))
    assert cut.answer.learning_rate == 0.3
    assert any("interrupted" in w and "step 40 of 80" in w for w in cut.answer.warnings)
    assert cut.answer.failed.tolist() == [[False] * 2, [False] * 2, [True] * 2]
    assert "interrupted" in cut.summary()
    assert cut.summary().splitlines()[-1].startswith("Use learning_rate = 0.3")


@pytest.mark.parametrize("held_out", [True, False])
def test_an_interrupt_before_any_step_recommends_nothing(held_out):
    cut = interrupted(0, **({"evaluate_on": np.zeros(4)} if held_out else {}))
    assert (cut.stopped_at == 0).all()
    assert cut.answer.learning_rate is None
    assert "stopped before anything was measured" in cut.answer.recommendation
    assert cut.answer.divergence_edge is None
    assert not cut.answer.failed.any()
    assert "6/6" not in cut.summary()
    assert "2/2 not measured" in cut.summary()


def test_groups_stand_at_the_same_step_when_interrupted(tmp_path):
    """Each value of a static hyperparameter has its own program; all of them go on chunk by chunk."""
    grid = {"learning_rate": [0.1, 0.3], "nesterov": [False, True]}
    calls = 0

    def f(step):
        nonlocal calls
        calls += 1
        if calls > 60:
            raise KeyboardInterrupt
        return np.float32(0.0)

    data = lrjax.from_function(f, on_device=False)
    trial = quadratic(functools.partial(lrjax.sgd, momentum=0.5))
    cut = run(
        trial, grid, data, steps=80, evaluate_every=40, evaluate_on=np.zeros(4), directory=tmp_path / "cut"
    )
    assert cut.stopped_at.tolist() == [[40]] * 4
    assert not cut.answer.failed.any()
    assert np.isfinite(cut.answer.scores).all()
    assert lrjax.load(tmp_path / "cut").answer.recommendation == cut.answer.recommendation


# Progress


def test_the_progress_bar_shows_steps_members_best_and_time_left(capfd):
    lrjax.sweep(
        quadratic(), {"learning_rate": RATES}, DATA, steps=33, seeds=2, evaluate_on=np.zeros(4), progress=True
    )
    shown = capfd.readouterr().err.replace("\r", "\n").strip().splitlines()
    last = shown[-1]
    assert "33/33 steps" in last
    assert "6/8 alive" in last  # both seeds of the highest rate went non-finite
    assert "at 0.3" in last
    assert "best " in last
    assert re.search(r"\[\d\d:\d\d<\d\d:\d\d, ", last)  # what has passed and what is left


def test_no_progress_bar_on_request(capfd):
    run(quadratic(), {"learning_rate": [0.1]})
    captured = capfd.readouterr()
    assert captured.err == captured.out == ""


def test_log_spaced_keeps_its_ends_exactly():
    assert log_spaced(3e-5, 0.7, 9)[0] == 3e-5
    assert log_spaced(3e-5, 0.7, 9)[-1] == 0.7
    assert log_spaced(0.2, 5.0, 1) == [0.2]
