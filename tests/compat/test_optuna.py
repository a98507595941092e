"""An Optuna study that lrjax trains: what is asked, trained together and told."""

from __future__ import annotations

import functools
import math
import signal
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrjax
from lrjax.tasks._quadratic import _hessian

optuna = pytest.importorskip("optuna", reason="optuna is not installed")
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution  # noqa: E402
from optuna.trial import TrialState  # noqa: E402

ZEROS = np.zeros(4)
DATA = lrjax.batches(ZEROS, batch_size=4)
SPACE = {"learning_rate": FloatDistribution(0.01, 0.5, log=True)}
STEPS = 5
QUADRATIC = lrjax.trial(lambda key: jnp.float32(1.0), lambda x, batch: 0.5 * x**2, lrjax.sgd)


@pytest.fixture(autouse=True)
def quiet():
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(before)


def study_of(**options):
    return optuna.create_study(**{"sampler": optuna.samplers.RandomSampler(seed=0), **options})


def enqueued(*points, **options):
    study = study_of(**options)
    for point in points:
        study.enqueue_trial(point)
    return study


def drive(study, space=SPACE, trial=QUADRATIC, data=DATA, **options):
    options = {"trials": 4, "steps": STEPS, "points": 4, "evaluate_on": ZEROS, "progress": False, **options}
    return lrjax.compat.optuna_sweep(study, space, trial, data, **options)


def rates_of(study):
    return np.array([trial.params["learning_rate"] for trial in study.trials])


def values_of(study):
    return [trial.value for trial in study.trials]


def states_of(study):
    return [trial.state for trial in study.trials]


def descended(rates, steps=STEPS):
    """The loss after some steps of gradient descent on x**2 / 2 from 1: x becomes (1 - rate) x."""
    return 0.5 * (1 - np.asarray(rates)) ** (2 * steps)


# What is told


def test_the_study_is_told_what_gradient_descent_gives():
    study = study_of()
    sweeps = drive(study, trials=10)
    assert [len(sweep.points["learning_rate"]) for sweep in sweeps] == [4, 4, 2]
    assert states_of(study) == [TrialState.COMPLETE] * 10
    assert len(set(rates_of(study))) == 10
    np.testing.assert_allclose(values_of(study), descended(rates_of(study)), rtol=1e-4)
    trained = np.concatenate([sweep.points["learning_rate"] for sweep in sweeps])
    np.testing.assert_array_equal(trained, rates_of(study))
    assert study.best_params["learning_rate"] == rates_of(study).max()


def test_on_a_task_values_are_those_of_a_plain_sweep_and_of_a_loop_written_by_hand():
    task = lrjax.tasks.load("quadratic-deep")
    trial, seeds = task.trial(lrjax.sgd), 3
    study = study_of()
    space = {"learning_rate": FloatDistribution(1e-3, 3e-2, log=True)}
    options = {"steps": 20, "seeds": seeds, "evaluate_on": task.validation}
    drive(study, space, trial, task.data, trials=4, points=2, **options)

    grid = {"learning_rate": list(rates_of(study))}
    plain = lrjax.sweep(trial, grid, task.data, progress=False, **options)
    np.testing.assert_allclose(values_of(study), plain.answer.scores, rtol=1e-5)

    hessian = _hessian()
    for told in study.trials:
        losses = []
        for seed in range(seeds):
            params = np.ones(100)
            for step in range(20):
                batch = np.asarray(task.data(step, seed), float)
                params = params - told.params["learning_rate"] * hessian @ (params - batch.mean(axis=0))
            offsets = params - task.validation
            losses.append(0.5 * np.mean(np.sum((offsets @ hessian) * offsets, axis=-1)))
        np.testing.assert_allclose(told.user_attrs["losses"], losses, rtol=1e-4)
        np.testing.assert_allclose(told.value, np.median(losses), rtol=1e-4)


def test_a_point_asked_for_in_two_rounds_has_the_same_value():
    """All rounds share keys and orders of the data: only hyperparameters tell trials apart."""
    noisy = lrjax.trial(
        lambda key: jax.random.normal(key), lambda x, batch: (x - batch.mean()) ** 2, lrjax.sgd
    )
    point, other = {"learning_rate": 0.1}, {"learning_rate": 0.02}
    study = enqueued(point, other, point)
    data = lrjax.batches(np.arange(8.0), batch_size=2)
    drive(study, trial=noisy, data=data, trials=3, points=2, seeds=3, evaluate_on=np.arange(3.0))
    assert study.trials[0].value == study.trials[2].value != study.trials[1].value


def test_without_held_out_data_the_value_is_the_training_loss():
    study = study_of()
    (sweep,) = drive(study, evaluate_on=None)
    np.testing.assert_array_equal(values_of(study), sweep.answer.scores)
    np.testing.assert_allclose(values_of(study), descended(rates_of(study), STEPS - 1), rtol=1e-4)
    assert all(trial.intermediate_values == {} for trial in study.trials)


def test_intermediate_values_are_medians_at_every_evaluation():
    study = study_of()
    (sweep,) = drive(study, seeds=3, evaluate_every=2)
    for number, trial in enumerate(study.trials):
        curves = sweep.held_out["loss"][number]
        assert list(trial.intermediate_values) == [0, 2, 4, 5]
        np.testing.assert_allclose(list(trial.intermediate_values.values()), np.median(curves, axis=0))


def test_user_attributes():
    study = study_of()
    (sweep,) = drive(study, seeds=2)
    for number, trial in enumerate(study.trials):
        assert trial.user_attrs["losses"] == sweep.held_out["loss"][number, :, -1].tolist()
        assert trial.user_attrs["diverged_at"] == trial.user_attrs["stopped_at"] == [-1, -1]
        assert trial.user_attrs["regimes"] == sweep.answer.regimes[number].tolist()
        assert trial.user_attrs["seconds"] > 0


# Points that are the same, that fail, that are dropped


def test_a_point_asked_for_twice_is_trained_once_and_told_twice():
    point = {"learning_rate": 0.1, "nesterov": False}
    in_float32 = {"learning_rate": 0.1 + 1e-12, "nesterov": False}
    study = enqueued(point, {"learning_rate": 0.2, "nesterov": False}, point, in_float32)
    space = {**SPACE, "nesterov": CategoricalDistribution([False, True])}
    (sweep,) = drive(study, space)
    assert sweep.points["learning_rate"].tolist() == [0.1, 0.2]
    first, other, *same = values_of(study)
    assert same == [first, first] != [other, other]


def test_a_point_of_which_half_of_the_seeds_failed_is_told_as_infinitely_bad():
    """A sampler that learned nothing from it would ask for such points again."""
    study = enqueued({"learning_rate": 0.1}, {"learning_rate": 1e30})
    space = {"learning_rate": FloatDistribution(0.01, 1e30, log=True)}
    (sweep,) = drive(study, space, trials=2, seeds=2)
    good, bad = study.trials
    assert (good.state, bad.state) == (TrialState.COMPLETE, TrialState.COMPLETE)
    assert (good.value < 1, bad.value) == (True, math.inf)
    assert bad.user_attrs["losses"] == [None, None]
    assert bad.user_attrs["diverged_at"] == sweep.diverged_at[1].tolist()
    assert min(bad.user_attrs["diverged_at"]) >= 0
    assert study.best_trial.number == 0


def test_a_point_that_ended_worse_than_it_began_is_told_so_too():
    study = enqueued({"learning_rate": 2.1})
    space = {"learning_rate": FloatDistribution(0.01, 3)}
    (sweep,) = drive(study, space, trials=1)
    assert sweep.diverged_at.tolist() == [[-1]]
    assert study.trials[0].value == math.inf


def test_points_that_an_allocation_drops_are_pruned():
    study = enqueued(*({"learning_rate": rate} for rate in (0.01, 0.02, 0.3, 0.4)))
    allocation = lrjax.top_k(1, first=2, neighbours=0)
    drive(study, allocation=allocation, evaluate_every=1)
    assert states_of(study) == [TrialState.PRUNED] * 3 + [TrialState.COMPLETE]
    for trial in study.trials[:3]:
        assert max(trial.intermediate_values) == 2
        assert trial.value == trial.intermediate_values[2]
        assert trial.user_attrs["stopped_at"] == [2]
        np.testing.assert_allclose(trial.value, descended(trial.params["learning_rate"], 2), rtol=1e-4)
    assert max(study.trials[3].intermediate_values) == STEPS


def test_without_held_out_data_intermediate_values_are_those_of_the_rungs():
    study = enqueued(*({"learning_rate": rate} for rate in (0.01, 0.02, 0.3, 0.4)))
    (sweep,) = drive(
        study, allocation=lrjax.top_k(1, first=2, neighbours=0), evaluate_every=1, evaluate_on=None
    )
    ((step, losses, _),) = sweep.rungs
    for number, trial in enumerate(study.trials):
        assert trial.intermediate_values == {step: losses[number, 0]}


# Metrics and directions


def scored(x, batch):
    return {"loss": 0.5 * x**2, "accuracy": 1 - jnp.abs(x), "ones": jnp.float32(1.0)}


SCORED = lrjax.trial(lambda key: jnp.float32(1.0), lambda x, batch: 0.5 * x**2, lrjax.sgd, evaluate=scored)


def test_a_held_out_metric_may_be_maximized():
    study = study_of(direction="maximize")
    (sweep,) = drive(study, trial=SCORED, metric="accuracy", seeds=3)
    np.testing.assert_array_equal(
        values_of(study), np.median(sweep.held_out["accuracy"][..., -1], axis=1).astype(float)
    )
    np.testing.assert_allclose(values_of(study), 1 - (1 - rates_of(study)) ** STEPS, rtol=1e-4)
    assert study.best_params["learning_rate"] == rates_of(study).max()
    assert study.trials[0].intermediate_values[0] == 0


@pytest.mark.parametrize(("direction", "worst"), [("minimize", math.inf), ("maximize", -math.inf)])
def test_the_worst_value_of_a_metric_depends_on_the_direction(direction, worst):
    """The metric of a member that failed is finite, but means nothing."""
    study = enqueued({"learning_rate": 2.1}, {"learning_rate": 0.1}, direction=direction)
    drive(study, {"learning_rate": FloatDistribution(0.01, 3)}, SCORED, trials=2, metric="ones")
    assert values_of(study) == [worst, 1.0]


def test_a_metric_that_is_not_measured_is_refused_and_its_trials_fail():
    study = study_of(direction="maximize")
    message = (
        r"`optuna_sweep\(metric=...\)` must be 'loss' or a held-out metric \('loss', 'accuracy', 'ones'\)"
    )
    with pytest.raises(ValueError, match=message + ", got 'f1'"):
        drive(study, trial=SCORED, metric="f1", on_chunk=lambda sweep: pytest.fail("it trained"))
    assert states_of(study) == [TrialState.FAIL] * 4


# Spaces


def test_integers_and_choices_reach_the_trial():
    seen = []

    def optimizer(learning_rate, momentum, nesterov, depth):
        seen.append((nesterov, jnp.result_type(depth)))
        return lrjax.sgd(learning_rate, momentum, nesterov=nesterov)

    space = {
        **SPACE,
        "momentum": CategoricalDistribution([0.0, 0.9]),
        "nesterov": CategoricalDistribution([True]),
        "depth": IntDistribution(1, 3),
    }
    trial = lrjax.trial(lambda key: jnp.float32(1.0), lambda x, batch: 0.5 * x**2, optimizer)
    study = study_of()
    (sweep,) = drive(study, space, trial)
    assert set(seen) == {(True, jnp.dtype("int32"))}
    assert sweep.points["depth"].tolist() == [trial.params["depth"] for trial in study.trials]


def conditional(trial):
    """Momentum for one kind of optimizer only, and a constant that Optuna does not know."""
    point = {"learning_rate": trial.suggest_float("learning_rate", 0.01, 0.3, log=True), "nesterov": False}
    if trial.suggest_categorical("kind", ["plain", "heavy"]) == "heavy":
        point["momentum"] = trial.suggest_float("momentum", 0.1, 0.5)
    return point


def test_a_function_may_suggest_points_of_different_structure():
    study = study_of()
    (sweep,) = drive(study, conditional, trials=8, points=8)
    kinds = [trial.params["kind"] for trial in study.trials]
    assert set(kinds) == {"plain", "heavy"}
    momenta = [trial.params.get("momentum") for trial in study.trials]
    assert sweep.points["momentum"].tolist() == momenta
    for trial in study.trials:
        x, velocity = 1.0, 0.0
        for _ in range(STEPS):
            velocity = trial.params.get("momentum", 0.0) * velocity + x
            x -= trial.params["learning_rate"] * velocity
        np.testing.assert_allclose(trial.value, 0.5 * x**2, rtol=1e-4)


def test_a_point_that_the_space_prunes_is_not_trained():
    def space(trial):
        rate = trial.suggest_float("learning_rate", 0.01, 0.5)
        if trial.number % 2:
            raise optuna.TrialPruned
        return {"learning_rate": rate}

    study = study_of()
    (sweep,) = drive(study, space)
    assert states_of(study) == [TrialState.COMPLETE, TrialState.PRUNED] * 2
    np.testing.assert_array_equal(sweep.points["learning_rate"], rates_of(study)[::2])


def test_a_round_of_which_all_points_are_pruned_trains_nothing():
    def space(trial):
        raise optuna.TrialPruned

    study = study_of()
    assert drive(study, space, trials=5) == []
    assert states_of(study) == [TrialState.PRUNED] * 5


@pytest.mark.parametrize("returned", [None, 0.1, {1: 0.1}])
def test_a_function_that_suggests_no_point_is_refused_and_its_trial_fails(returned):
    study = study_of()
    with pytest.raises(
        TypeError, match=r"`optuna_sweep\(space=...\)` must be a function that returns a dict"
    ):
        drive(study, lambda trial: returned)
    assert states_of(study) == [TrialState.FAIL]


# Interrupts and errors


def test_an_error_in_a_round_fails_its_trials_and_keeps_the_rounds_before():
    study, seen = study_of(), []

    def look(so_far):
        seen.append(so_far)
        if len(study.trials) > 4:
            raise RuntimeError("no more of this")

    with pytest.raises(RuntimeError, match="no more of this") as caught:
        drive(study, trials=12, on_chunk=look)
    assert states_of(study) == [TrialState.COMPLETE] * 4 + [TrialState.FAIL] * 4
    (before,) = caught.value.sweeps
    np.testing.assert_array_equal(before.points["learning_rate"], rates_of(study)[:4])
    assert isinstance(caught.value.sweep, lrjax.Sweep)
    assert all(isinstance(sweep, lrjax.Sweep) for sweep in seen)


def test_an_error_while_asking_fails_what_was_asked():
    def space(trial):
        if trial.number == 2:
            raise KeyError("momentum")
        return {"learning_rate": trial.suggest_float("learning_rate", 0.01, 0.5)}

    study = study_of()
    with pytest.raises(KeyError, match="momentum"):
        drive(study, space)
    assert states_of(study) == [TrialState.FAIL] * 3


def test_a_point_that_a_sweep_refuses_fails_its_round():
    study = enqueued({"learning_rate": 0.0})
    with pytest.raises(ValueError, match=r"finite numbers > 0"):
        drive(study, {"learning_rate": FloatDistribution(0.0, 1.0)})
    assert states_of(study) == [TrialState.FAIL] * 4


def test_an_error_of_the_sampler_while_trials_are_told_comes_through():
    class Wrong(optuna.samplers.RandomSampler):
        def after_trial(self, study, trial, state, values):
            if trial.number == 1 and state == TrialState.COMPLETE:
                raise RuntimeError("wrong sampler")

    study = study_of(sampler=Wrong(seed=0))
    with pytest.raises(RuntimeError, match="wrong sampler"):
        drive(study)
    assert states_of(study) == [TrialState.COMPLETE] * 2 + [TrialState.FAIL] * 2


def test_an_error_of_a_callback_comes_after_all_of_the_round_is_told():
    def callback(study, trial):
        raise RuntimeError("wrong callback")

    study = study_of()
    with pytest.raises(RuntimeError, match="wrong callback") as caught:
        drive(study, callbacks=[callback])
    assert states_of(study) == [TrialState.COMPLETE] * 4
    (trained,) = caught.value.sweeps
    np.testing.assert_array_equal(trained.points["learning_rate"], rates_of(study))


def test_an_interrupt_that_a_round_s_last_chunk_raises_is_not_lost():
    def look(so_far):
        raise KeyboardInterrupt

    assert len(drive(study_of(), trials=12, on_chunk=look, steps=1)) == 1


def test_ctrl_c_in_a_round_fails_its_trials_and_returns_all_rounds(capfd):
    study = study_of()

    def look(so_far):
        if len(study.trials) > 4:
            signal.raise_signal(signal.SIGINT)

    handler = signal.getsignal(signal.SIGINT)
    sweeps = drive(study, trials=12, on_chunk=look, evaluate_every=2)
    assert signal.getsignal(signal.SIGINT) is handler
    assert states_of(study) == [TrialState.COMPLETE] * 4 + [TrialState.FAIL] * 4
    assert [sweep.stopped_at.tolist() for sweep in sweeps] == [[[-1]] * 4, [[2]] * 4]
    assert study.trials[4].user_attrs["stopped_at"] == [2]
    assert study.trials[4].intermediate_values.keys() == {0, 2}
    assert "interrupted at step 2 of 5" in capfd.readouterr().err


def test_ctrl_c_in_the_last_chunk_of_a_round_ends_it_with_all_told():
    study = study_of()
    sweeps = drive(study, trials=12, on_chunk=lambda so_far: signal.raise_signal(signal.SIGINT), steps=1)
    assert len(sweeps) == 1
    assert states_of(study) == [TrialState.COMPLETE] * 4


def test_ctrl_c_while_trials_are_told_loses_none():
    class Interrupting(optuna.samplers.RandomSampler):
        def after_trial(self, study, trial, state, values):
            if trial.number == 1:
                signal.raise_signal(signal.SIGINT)

    study = study_of(sampler=Interrupting(seed=0))
    assert len(drive(study, trials=12)) == 1
    assert states_of(study) == [TrialState.COMPLETE] * 4


def test_ctrl_c_while_trials_are_asked_for_trains_none():
    def space(trial):
        signal.raise_signal(signal.SIGINT)
        return {"learning_rate": trial.suggest_float("learning_rate", 0.01, 0.5)}

    study = study_of()
    assert drive(study, space, trials=2, points=1) == []
    assert states_of(study) == [TrialState.FAIL]


def test_an_interrupt_of_the_data_ends_all_rounds():
    def f(step):
        if step >= 2:
            raise KeyboardInterrupt
        return np.float32(0.0)

    study = study_of()
    drive(study, data=lrjax.from_function(f, on_device=False), trials=12, evaluate_every=1)
    assert states_of(study) == [TrialState.FAIL] * 4


# When it ends


@pytest.mark.parametrize("trials", [None, 6, 20])
def test_a_grid_sampler_ends_the_study(trials):
    rates = [0.01, 0.02, 0.05, 0.1, 0.2, 0.4]
    study = study_of(sampler=optuna.samplers.GridSampler({"learning_rate": rates}, seed=0))
    drive(study, trials=trials, points=3)
    assert sorted(rates_of(study)) == rates
    np.testing.assert_allclose(values_of(study), descended(rates_of(study)), rtol=1e-4)
    assert drive(study, trials=None) == []
    assert len(study.trials) == 6


def test_what_a_grid_sampler_repeats_in_the_last_round_is_trained_once():
    study = study_of(sampler=optuna.samplers.GridSampler({"learning_rate": [0.1, 0.2, 0.4]}, seed=0))
    (sweep,) = drive(study, trials=None, points=5)
    assert sorted(sweep.points["learning_rate"]) == [0.1, 0.2, 0.4]
    assert states_of(study) == [TrialState.COMPLETE] * 5
    np.testing.assert_allclose(values_of(study), descended(rates_of(study)), rtol=1e-4)


def test_callbacks_see_every_trial_and_may_stop_the_study():
    seen = []

    def callback(study, trial):
        seen.append((trial.number, trial.value))
        if trial.number == 5:
            study.stop()

    study = study_of()
    assert len(drive(study, trials=None, callbacks=[callback])) == 2
    assert seen == list(enumerate(values_of(study)))
    assert len(seen) == 8


def test_optuna_s_own_limit_of_trials():
    study = study_of()
    drive(study, trials=None, callbacks=[optuna.study.MaxTrialsCallback(6, states=(TrialState.COMPLETE,))])
    assert len(study.trials) == 8


# Storage


def test_a_stored_study_goes_on(tmp_path):
    url = f"sqlite:///{tmp_path / 'study.db'}"

    def session(seed):
        storage = optuna.storages.RDBStorage(url)
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=2)
        study = optuna.create_study(study_name="rates", storage=storage, sampler=sampler, load_if_exists=True)
        space = {"learning_rate": FloatDistribution(0.01, 30.0, log=True)}
        drive(study, space, points=2, directory=tmp_path / "sweeps")
        storage.engine.dispose()
        return study.trials

    session(0)
    trials = session(1)
    assert [trial.number for trial in trials] == list(range(8))
    assert {trial.state for trial in trials} == {TrialState.COMPLETE}
    assert math.inf in [trial.value for trial in trials]  # the database holds it
    assert sorted(path.name for path in (tmp_path / "sweeps").iterdir()) == [
        "round-0",
        "round-2",
        "round-4",
        "round-6",
    ]
    for trial in trials:
        stored = lrjax.load(tmp_path / "sweeps" / f"round-{trial.number - trial.number % 2}")
        assert stored.points["learning_rate"][trial.number % 2] == trial.params["learning_rate"]
        assert stored.answer.scores[trial.number % 2] == trial.value
        assert trial.user_attrs["diverged_at"] == stored.diverged_at[trial.number % 2].tolist()


# What is refused


def two_objectives():
    return optuna.create_study(directions=["minimize", "minimize"])


@pytest.mark.parametrize(
    ("make", "options", "error", "message"),
    [
        (lambda: "study", {}, TypeError, r"study=...\)` must be an Optuna study, got 'study'"),
        (two_objectives, {}, ValueError, r"study=...\)` must be a study with one objective, got one with 2"),
        (
            functools.partial(study_of, direction="maximize"),
            {},
            ValueError,
            r"study=...\)` must be a study that minimizes the loss .*, got one that maximizes",
        ),
        (
            study_of,
            {"space": 3},
            TypeError,
            r"space=...\)` must be a dict of name to Optuna distribution, or a",
        ),
        (study_of, {"space": {}}, ValueError, r"space=...\)` must be a dict .*, got an empty one"),
        (study_of, {"space": {1: 2}}, TypeError, r"space=...\)` must be a dict .*, got the key 1"),
        (
            study_of,
            {"space": {"learning_rate": 0.1}},
            TypeError,
            r"space\['learning_rate'\]=...\)` must be an Optuna distribution, got 0.1",
        ),
        (study_of, {"trial": lrjax.sgd}, TypeError, r"trial=...\)` must be a `lrjax.Trial`"),
        (study_of, {"trials": 0}, ValueError, r"trials=...\)` must be an integer >= 1, got 0"),
        (study_of, {"steps": 0}, ValueError, r"steps=...\)` must be an integer >= 1, got 0"),
        (study_of, {"points": 0}, ValueError, r"points=...\)` must be an integer >= 1, got 0"),
        (study_of, {"points": 2.0}, TypeError, r"points=...\)` must be an integer >= 1, got 2.0"),
        (study_of, {"metric": None}, TypeError, r"metric=...\)` must be 'loss' or a held-out metric's name"),
        (
            study_of,
            {"metric": "accuracy", "evaluate_on": None},
            ValueError,
            r"metric=...\)` must be 'loss', since there is no `evaluate_on`, got 'accuracy'",
        ),
        (study_of, {"callbacks": print}, TypeError, r"callbacks=...\)` must be a list of functions"),
        (study_of, {"callbacks": [1]}, TypeError, r"callbacks=...\)` must be a list of functions"),
        (study_of, {"on_chunk": 1}, TypeError, r"on_chunk=...\)` must be a function of a sweep, or None"),
        (
            study_of,
            {"members": 8},
            TypeError,
            r"optuna_sweep\(\) got an unexpected keyword argument 'members'",
        ),
        (study_of, {"grid": {}}, TypeError, r"optuna_sweep\(\) got an unexpected keyword argument 'grid'"),
    ],
)
def test_what_is_wrong_is_refused_before_anything_is_asked(make, options, error, message):
    study = make()
    with pytest.raises(error, match=message):
        drive(study, **options)
    assert getattr(study, "trials", []) == []


def test_without_optuna_the_error_names_the_extra(monkeypatch):
    study = study_of()
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ImportError, match=r"pip install 'lrjax\[optuna\]'"):
        drive(study)
