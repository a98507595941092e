"""The built-in tasks: what they hold, where they start, that they train; and loading tasks by name."""

import functools
import re
import subprocess
import sys
import textwrap
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrjax
from lrjax import tasks
from lrjax.tasks import _characters, _quadratic, _sklearn_data

NAMES = ("digits", "digits-cnn", "logistic", "quadratic-deep", "characters")
KEY = jax.random.key(0)

BATCHES = {
    "digits": ((64, 64), (64,)),
    "digits-cnn": ((64, 8, 8, 1), (64,)),
    "logistic": ((32, 30), (32,)),
    "quadratic-deep": (128, 100),
    "characters": (32, 33),
}
SIZES = {  # examples for training, validation and test
    "digits": (1078, 360, 359),
    "digits-cnn": (1078, 360, 359),
    "logistic": (341, 115, 113),
    "quadratic-deep": (1000, 896, 896),
    "characters": (1454, 181, 181),
}
STEPS = {"digits": 1000, "digits-cnn": 300, "logistic": 500, "quadratic-deep": 700, "characters": 300}
INITIAL = {  # the loss at the start, and how far a random initialisation may be from it
    "digits": (np.log(10), 0.3),
    "digits-cnn": (np.log(10), 0.3),
    "logistic": (np.log(2), 1e-6),
    "quadratic-deep": (353.446766, 1e-3),
    "characters": (np.log(32), 0.05),
}
RATES = {"digits": 3e-3, "digits-cnn": 1e-2, "logistic": 3e-2, "quadratic-deep": 3e-2, "characters": 3e-3}


@pytest.fixture(scope="module")
def built():
    """Every built-in task, built once."""
    return {name: tasks.load(name) for name in NAMES}


class Compiled(NamedTuple):
    """A built-in task's trial with Adam, compiled once for all tests."""

    task: tasks.Task
    init: Any  # (key, hyperparams) -> state
    step: Any  # (state, arrays, chosen, hyperparams) -> (metrics, state)
    evaluate: Any  # (state, arrays) -> metrics


@pytest.fixture(scope="module")
def compiled(built):
    """Compiles a task at its first use."""

    @functools.cache
    def of(name):
        task = built[name]
        trial = make_trial(task)
        assert trial.evaluate is not None

        def step(state, arrays, chosen, hyperparams):
            return trial.update(state, task.data.gather(arrays, chosen), hyperparams)

        return Compiled(task, jax.jit(trial.init), jax.jit(step), jax.jit(trial.evaluate))

    return of


def make_trial(task: tasks.Task, optimizer: Any = lrjax.adam) -> lrjax.Trial:
    assert not isinstance(task.trial, lrjax.Trial)
    return task.trial(optimizer)


def train(compiled: Compiled, steps: int, learning_rate: float) -> Any:
    """The state after some steps of Adam, by a plain loop."""
    hyperparams = {"learning_rate": learning_rate}
    state = compiled.init(KEY, hyperparams)
    arrays, schedule = compiled.task.data.arrays, compiled.task.data.schedule(0, steps, (0,))[:, 0]
    for chosen in np.asarray(schedule):
        _, state = compiled.step(state, arrays, chosen, hyperparams)
    return state


def rows(arrays):
    """The examples as a set."""
    return {x.tobytes() for x in np.asarray(jax.tree.leaves(arrays)[0])}


# What they hold


@pytest.mark.parametrize("name", NAMES)
def test_shapes_and_sizes(built, name):
    task = built[name]
    assert jax.tree.map(jnp.shape, task.data(0)) == BATCHES[name]
    parts = (task.data.arrays, task.validation, task.test)
    assert tuple(jax.tree.leaves(part)[0].shape[0] for part in parts) == SIZES[name]
    for part in parts:
        chex.assert_trees_all_equal_shapes_and_dtypes(
            jax.tree.map(lambda x: x[0], part), jax.tree.map(lambda x: x[0], task.data(0))
        )
        chex.assert_tree_all_finite(part)
    assert task.steps == STEPS[name]
    assert task.summary == tasks.summaries()[name]


@pytest.mark.parametrize("name", [name for name in NAMES if name != "characters"])
def test_splits_are_disjoint(built, name):
    task = built[name]
    train_rows, validation_rows, test_rows = (
        rows(part) for part in (task.data.arrays, task.validation, task.test)
    )
    assert (len(train_rows), len(validation_rows), len(test_rows)) == SIZES[name]  # no duplicates either
    assert not train_rows & validation_rows
    assert not train_rows & test_rows
    assert not validation_rows & test_rows


def test_characters_are_cut_from_disjoint_regions(built):
    """The windows in order are the corpus, but for what does not fill a window at a region's end."""
    task, text = built["characters"], _characters.corpus()
    assert len(text) == 60_000
    assert set(text) == set(_characters.ALPHABET)
    start = 0
    for part, length in ((task.data.arrays, 48_000), (task.validation, 6_000), (task.test, 6_000)):
        kept = length - length % 33
        decoded = "".join(_characters.ALPHABET[i] for i in np.asarray(part).ravel())
        assert decoded == text[start : start + kept]
        start += length


def test_verbs_of_the_corpus_agree_with_their_subjects():
    verbs, adjectives = set(_characters._VERBS.split()), set(_characters._ADJECTIVES.split())
    seen = {"every": 0, "this": 0, "many": 0, "some": 0, "the": 0}
    for sentence in re.findall(r"[^.?!]+\.", _characters.corpus()):
        for clause in re.split("[,;]", sentence.strip(" .").removeprefix("when ")):
            determiner, *rest = clause.split()
            seen[determiner] += 1
            noun, verb = rest[1:3] if rest[0] in adjectives else rest[:2]
            plural = verb in verbs  # the bare form
            assert plural == (noun == "children" or noun == "wolves" or noun.endswith("s")), clause
            assert determiner == "the" or plural == (determiner in ("many", "some")), clause
    assert min(seen.values()) > 50


@pytest.mark.parametrize("name", ["digits", "digits-cnn", "logistic"])
def test_splits_are_stratified(built, name):
    task = built[name]
    shares = [
        np.bincount(labels) / len(labels)
        for labels in (np.asarray(task.data.arrays[1]), task.validation[1], task.test[1])
    ]
    np.testing.assert_allclose(shares[1], shares[0], atol=0.01)
    np.testing.assert_allclose(shares[2], shares[0], atol=0.01)


def test_digits_are_scaled_and_the_same_for_both_networks(built):
    inputs, labels = built["digits"].validation
    assert (inputs.min(), inputs.max()) == (0.0, 1.0)
    images, same_labels = built["digits-cnn"].validation
    np.testing.assert_array_equal(images.reshape(-1, 64), inputs)
    np.testing.assert_array_equal(same_labels, labels)


def test_all_digits_are_used():
    from sklearn.datasets import load_digits

    split = _sklearn_data.load_digits("digits")
    together = np.concatenate([inputs for inputs, _ in split])
    original = (load_digits().data / 16).astype(np.float32)
    np.testing.assert_array_equal(np.sort(together.sum(axis=1)), np.sort(original.sum(axis=1)))


def test_logistic_is_standardised_by_the_training_set(built):
    train_inputs = np.asarray(built["logistic"].data.arrays[0], np.float64)
    np.testing.assert_allclose(train_inputs.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(train_inputs.std(axis=0), 1, rtol=1e-6)
    held_out = np.asarray(built["logistic"].validation[0], np.float64)
    assert np.abs(held_out.mean(axis=0)).max() > 1e-3  # not by its own


# Where they start


@pytest.mark.parametrize("name", NAMES)
def test_initial_loss(compiled, name):
    task, init, step, evaluate = compiled(name)
    hyperparams = {"learning_rate": RATES[name]}
    state = init(KEY, hyperparams)
    held_out = evaluate(state, task.test if name == "quadratic-deep" else task.validation)
    expected, tolerance = INITIAL[name]
    np.testing.assert_allclose(held_out["loss"], expected, atol=tolerance)
    if name == "quadratic-deep":
        assert set(held_out) == {"loss"}
    else:
        assert set(held_out) == {"loss", "accuracy"}
        assert 0 <= held_out["accuracy"] < 0.7
    chosen = np.asarray(task.data.schedule(0, 1, (0,)))[0, 0]
    metrics, _ = step(state, task.data.arrays, chosen, hyperparams)
    assert set(metrics) == {"loss", "learning_rate"}
    # Training and evaluation measure the same thing.
    np.testing.assert_allclose(metrics["loss"], evaluate(state, task.data(0))["loss"], rtol=1e-5)


def test_quadratic_is_the_benchmark_s(built):
    """The spectrum and the initial test loss that DeepOBS's instance has, in float64."""
    hessian = _quadratic._hessian()
    np.testing.assert_allclose(hessian, hessian.T, atol=1e-12)
    eigenvalues = np.linalg.eigvalsh(hessian)
    assert round(eigenvalues[-1], 2) == 53.13
    assert np.sum(eigenvalues < 1) == 90
    assert np.sum(eigenvalues > 30) == 10
    offset = 1.0 - np.asarray(built["quadratic-deep"].test, np.float64)
    loss = np.mean(0.5 * np.einsum("ni,ij,nj->n", offset, hessian, offset))
    np.testing.assert_allclose(loss, 353.446766, rtol=2e-8)


@pytest.mark.parametrize("dimension", [2, 3, 6, 7])
def test_rotations_are_rotations(dimension):
    rotation = _quadratic._rotation(np.random.RandomState(1), dimension)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(dimension), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(rotation), 1, atol=1e-12)


def test_quadratic_is_stable_below_the_edge_only(built):
    """Along the steepest direction gradient descent shrinks just below 2 / 53.13 and grows just above."""
    trial = make_trial(built["quadratic-deep"], lrjax.sgd)
    steepest = np.linalg.eigh(_quadratic._hessian())[1][:, -1]
    points = jnp.zeros((128, 100))

    def final(learning_rate):
        hyperparams = {"learning_rate": learning_rate}

        def step(state, _):
            return trial.update(state, points, hyperparams)[1], None

        return jax.lax.scan(step, trial.init(KEY, hyperparams), None, 300)[0].params

    below, above = jax.jit(jax.vmap(final))(jnp.array([0.99, 1.01]) * 2 / 53.13)
    start = np.ones(100) @ steepest
    assert abs(below @ steepest) < 0.1 * abs(start)  # 0.98**300 = 0.002
    assert abs(above @ steepest) > 100 * abs(start)  # 1.02**300 = 380


def test_characters_see_only_the_past():
    """Another character at position 20 changes the logits from there on and none before."""
    params = jax.jit(_characters._init)(KEY)
    params["layers"] = params["layers"][:1]  # every layer masks alike; one compiles faster
    tokens = jnp.arange(32)[None] % 32
    model = jax.jit(_characters._logits)
    logits = model(params, tokens)
    changed = model(params, tokens.at[0, 20].set(5))
    np.testing.assert_array_equal(logits[0, :20], changed[0, :20])
    assert jnp.all(jnp.any(logits[0, 20:] != changed[0, 20:], axis=-1))


@pytest.mark.parametrize("name", NAMES)
def test_deterministic(built, name):
    """Built twice: the same bits in every array and in the initial parameters."""
    task, again = built[name], tasks.load(name)
    for part, same in ((task.data.arrays, again.data.arrays), (task[2:4], again[2:4])):
        jax.tree.map(np.testing.assert_array_equal, part, same)
    states = [make_trial(t).init(KEY, {"learning_rate": 1e-3}).params for t in (task, again)]
    jax.tree.map(np.testing.assert_array_equal, *states)


@pytest.mark.parametrize("name", ["digits", "digits-cnn", "characters"])
def test_seeds_initialise_differently(built, name):
    trial = make_trial(built[name])
    one, other = (trial.init(jax.random.fold_in(KEY, i), {"learning_rate": 1e-3}).params for i in (0, 1))
    matrices = [(a, b) for a, b in zip(*map(jax.tree.leaves, (one, other)), strict=True) if a.ndim > 1]
    assert matrices
    assert all(jnp.all(a != b) for a, b in matrices)


# That they train


@pytest.mark.parametrize(
    ("name", "steps", "share"),
    [
        ("digits", 100, 0.2),
        ("digits-cnn", 50, 0.4),
        ("logistic", 100, 0.3),
        ("quadratic-deep", 100, 0.35),
        ("characters", 20, 0.85),
    ],
)
def test_training_lowers_the_validation_loss(compiled, name, steps, share):
    task, init, _, evaluate = compiled(name)
    first = evaluate(init(KEY, {"learning_rate": RATES[name]}), task.validation)
    last = evaluate(train(compiled(name), steps, RATES[name]), task.validation)
    assert last["loss"] < share * first["loss"]
    if "accuracy" in first:
        assert last["accuracy"] > first["accuracy"]


def test_digits_are_learned(compiled):
    task = compiled("digits").task
    state = train(compiled("digits"), task.steps, RATES["digits"])
    assert compiled("digits").evaluate(state, task.validation)["accuracy"] >= 0.97
    assert compiled("digits").evaluate(state, task.test)["accuracy"] >= 0.96


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "loss", "accuracy"),
    [
        ("digits-cnn", 0.12, 0.96),
        ("logistic", 0.12, 0.94),
        ("quadratic-deep", 90.0, None),
        ("characters", 0.8, 0.73),
    ],
)
def test_full_length(compiled, name, loss, accuracy):
    """The whole run at a good rate of Adam's, on validation and on test."""
    task = compiled(name).task
    state = train(compiled(name), task.steps, RATES[name])
    for arrays in (task.validation, task.test):
        held_out = compiled(name).evaluate(state, arrays)
        assert held_out["loss"] < loss
        assert accuracy is None or held_out["accuracy"] > accuracy


# By name


def test_names_and_summaries():
    assert tasks.names() == NAMES
    assert tuple(tasks.summaries()) == NAMES
    for summary in tasks.summaries().values():
        assert 20 < len(summary) < 110
        assert "\n" not in summary


def test_lists_load_nothing_heavy():
    program = textwrap.dedent("""
        import sys, lrjax
        lrjax.tasks.names(), lrjax.tasks.summaries()
        heavy = {"sklearn", "scipy.stats", "matplotlib", "pandas"} & set(sys.modules)
        assert not heavy, heavy
    """)
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


@pytest.mark.parametrize("name", ["digits", "digits-cnn", "logistic"])
def test_without_scikit_learn(monkeypatch, name):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(
        ImportError, match=rf"the task '{name}' needs scikit-learn .*`pip install lrjax\[tasks\]`"
    ):
        tasks.load(name)


@pytest.mark.parametrize(
    ("asked", "suggestion"),
    [("digit", "digits"), ("quadratic_deep", "quadratic-deep"), ("Logistic", "logistic")],
)
def test_unknown_names_get_a_suggestion(asked, suggestion):
    with pytest.raises(ValueError, match=rf"got '{asked}' \(did you mean '{suggestion}'\?\)$") as error:
        tasks.load(asked)
    for name in NAMES:
        assert name in str(error.value)
    assert "'path/to/file.py:name'" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("asked", ["", "zzz", "task.py", "task.txt:task", ":", "digits:"])
def test_unknown_names(asked):
    with pytest.raises(ValueError, match=r"`tasks.load\(task=\.\.\.\)` must be one of digits, "):
        tasks.load(asked)


@pytest.mark.parametrize("asked", [None, 3, b"digits", ("digits",)])
def test_names_are_strings(asked):
    with pytest.raises(TypeError, match=r"`tasks.load\(task=\.\.\.\)` must be the name of a task, got"):
        tasks.load(asked)


# From a file

FILE = """
from __future__ import annotations

import dataclasses

import jax.numpy as jnp

import lrjax
from lrjax.tasks import Task


@dataclasses.dataclass
class Config:  # needs its module to be registered
    size: int = 4


def _build():
    x = jnp.ones((Config().size, 2))
    def loss(params, batch):
        return jnp.mean((batch @ params - 1) ** 2)

    return Task(
        trial=lambda optimizer: lrjax.trial(lambda key: jnp.zeros(2), loss, optimizer),
        data=lrjax.batches(x, batch_size=2),
        steps=7,
    )


ready = _build()
number = 3


def built():
    return _build()


def built_with_default(size=4):
    return _build()


def needs_one(size):
    return _build()


def returns_a_number():
    return 3


def raises():
    raise KeyError("no such\\nfile")


def leaves():
    raise SystemExit(2)
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "my task.py"
    path.write_text(FILE)
    return path


@pytest.mark.parametrize("name", ["ready", "built", "built_with_default"])
def test_a_task_from_a_file(file, name):
    before = list(sys.path)
    task = tasks.load(f"{file}:{name}")
    assert isinstance(task, tasks.Task)
    assert task.steps == 7
    trial = make_trial(task)
    metrics, _ = trial.update(trial.init(KEY, {"learning_rate": 0.1}), task.data(0), {"learning_rate": 0.1})
    assert float(metrics["loss"]) == 1.0
    assert sys.path == before
    assert "my task" not in sys.modules


def test_a_relative_path(file, monkeypatch):
    monkeypatch.chdir(file.parent)
    assert tasks.load(f"{file.name}:ready").steps == 7
    assert tasks.load(f"./{file.name}:ready").steps == 7


def test_a_file_may_import_its_neighbours(tmp_path, monkeypatch):
    (tmp_path / "lrjax_test_neighbour.py").write_text("STEPS = 11\n")
    (tmp_path / "lrjax_test_late_neighbour.py").write_text("STEPS = 2\n")
    (tmp_path / "task.py").write_text(
        "from lrjax_test_neighbour import STEPS\n"
        "from lrjax.tasks import Task\n"
        "def make():\n"
        "    import lrjax_test_late_neighbour as late\n"
        "    return Task(None, None, steps=STEPS + late.STEPS)\n"
    )
    before = list(sys.path)
    assert tasks.load(f"{tmp_path / 'task.py'}:make").steps == 13
    assert sys.path == before
    for name in ("lrjax_test_neighbour", "lrjax_test_late_neighbour"):
        monkeypatch.delitem(sys.modules, name)


def test_files_of_one_name_stay_apart(tmp_path):
    for number in (1, 2):
        (tmp_path / str(number)).mkdir()
        source = f"from lrjax.tasks import Task\ntask = Task(None, None, steps={number})\n"
        (tmp_path / str(number) / "task.py").write_text(source)
    assert [tasks.load(f"{tmp_path}/{number}/task.py:task").steps for number in (1, 2)] == [1, 2]


def one_line(error):
    text = str(error.value)
    assert text.startswith("`tasks.load(task=...)` must be ")
    assert "\n" not in text
    return text


@pytest.mark.parametrize("missing", ["nowhere.py", "."])
def test_no_such_file(tmp_path, missing):
    (tmp_path / "directory.py").mkdir()
    path = tmp_path / ("directory.py" if missing == "." else missing)
    with pytest.raises(FileNotFoundError) as error:
        tasks.load(f"{path}:task")
    assert one_line(error).endswith(f"a file that exists, got '{path}'")


@pytest.mark.parametrize(
    ("source", "cause", "shown"),
    [
        ("1 / 0", ZeroDivisionError, "ZeroDivisionError: division by zero"),
        ("def broken(:", SyntaxError, "SyntaxError: invalid syntax"),
        ("import no_such_module_here", ImportError, "ModuleNotFoundError: No module named"),
        ("raise ValueError('two\\nlines')", ValueError, "ValueError: two lines"),
        ("raise SystemExit", SystemExit, "SystemExit"),
    ],
)
def test_a_file_that_fails(tmp_path, source, cause, shown):
    path, before = tmp_path / "task.py", set(sys.modules)
    path.write_text(source)
    with pytest.raises(ValueError, match="a file that runs") as error:
        tasks.load(f"{path}:task")
    assert f"got '{path}', which raised {shown}" in one_line(error)
    assert isinstance(error.value.__cause__, cause)
    assert str(tmp_path) not in sys.path
    assert not {name for name in set(sys.modules) - before if name.startswith("_lrjax_task")}


def test_no_such_name_in_the_file(file):
    with pytest.raises(ValueError, match="a name in") as error:
        tasks.load(f"{file}:read")
    text = one_line(error)
    expected = "_build, ready, built, built_with_default, returns_a_number, raises, leaves"
    assert f"which has {expected}, got 'read'" in text


def test_a_file_without_tasks(tmp_path):
    path = tmp_path / "empty.py"
    path.write_text("from lrjax.tasks import Task, names\nx = 3\n")  # what is imported is no candidate
    with pytest.raises(ValueError, match="which has no task, got 'task'"):
        tasks.load(f"{path}:task")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("number", "got 3"),
        ("Task", "got <class 'lrjax.tasks._task.Task'>"),
        ("needs_one", "got `needs_one(size)`"),
        ("returns_a_number", "got 'returns_a_number', which returns 3"),
    ],
)
def test_what_is_no_task(file, name, shown):
    with pytest.raises(TypeError) as error:
        tasks.load(f"{file}:{name}")
    text = one_line(error)
    assert "a `Task` or a function of no arguments that returns one" in text
    assert text.endswith(shown)


@pytest.mark.parametrize(
    ("name", "cause", "shown"),
    [("raises", KeyError, "KeyError: 'no such\\nfile'"), ("leaves", SystemExit, "SystemExit: 2")],
)
def test_a_function_that_fails(file, name, cause, shown):
    with pytest.raises(ValueError, match="a function that runs") as error:
        tasks.load(f"{file}:{name}")
    assert one_line(error).endswith(f"'{name}', which raised {shown}")
    assert isinstance(error.value.__cause__, cause)
