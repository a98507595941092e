"""What cannot be used is refused with one clear line, and before any training step."""

from __future__ import annotations

import datetime
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrjax
from lrjax.engine import _program

DATA = lrjax.batches(np.zeros(4), batch_size=4)
GRID = {"learning_rate": [0.1, 0.2]}


class Trained(BaseException):
    """A member was started: no test here may see it."""


@pytest.fixture(autouse=True)
def no_training(monkeypatch):
    """No member is started, let alone trained; a task whose check is missing fails its test."""

    def refuse(*arguments, **options):
        raise Trained

    monkeypatch.setattr(_program.Programs, "_compile", refuse)


def quadratic(optimizer=lrjax.sgd):
    return lrjax.trial(lambda key: jnp.float32(1.0), lambda x, batch: 0.5 * x**2, optimizer)


def attempt(trial=None, grid=None, data=DATA, **options):
    options = {"steps": 5, "progress": False, **options}
    return lrjax.sweep(trial or quadratic(), GRID if grid is None else grid, data, **options)


def refused(error, *parts, **arguments):
    """The message of an error of exactly this type, in one line that holds all parts."""
    with pytest.raises(error) as raised:
        attempt(**arguments)
    assert type(raised.value) is error
    message = str(raised.value)
    assert "\n" not in message
    for part in parts:
        assert part in message, message
    return raised.value


def test_what_is_not_refused_does_train():
    with pytest.raises(Trained):
        attempt()


# The grid


@pytest.mark.parametrize("rate", [0, 0.0, -1, -0.1, np.nan, np.inf, -np.inf, 1e-50, 1e39, 10**400])
@pytest.mark.parametrize("form", [dict, list])
def test_rates_that_are_no_finite_positive_numbers(rate, form):
    grid = {"learning_rate": [0.1, rate]}
    if form is list:
        grid = [{"learning_rate": value} for value in grid["learning_rate"]]
    shown = repr(rate)[:20]
    refused(
        ValueError, "`sweep(grid['learning_rate']=...)` must be finite numbers > 0", f"got {shown}", grid=grid
    )


@pytest.mark.parametrize("values", [np.array([0.1, 0.0]), jnp.array([0.1, -1.0]), (0.1, float("nan")), 0.0])
def test_rates_in_other_containers(values):
    refused(
        ValueError,
        "`sweep(grid['learning_rate']=...)` must be finite numbers > 0",
        grid={"learning_rate": values},
    )


@pytest.mark.parametrize(
    "rate",
    [True, "0.1", None, 0.1j, [0.1], {0.1, 0.2}, abs, (r for r in [0.1])],
    ids=lambda r: type(r).__name__,
)
def test_rates_of_another_kind(rate):
    for grid in ({"learning_rate": [rate]}, [{"learning_rate": rate}]):
        refused(TypeError, "`sweep(grid['learning_rate']=...)` must be finite numbers > 0", grid=grid)


@pytest.mark.parametrize(
    "rates",
    [
        [0.1, 0.2, 0.1],
        [1, 1.0],
        [0.1, np.float32(0.1)],
        [0.1, 0.1 + 1e-10],
        np.array([0.1, 0.1]),
        jnp.array([0.1, 0.1]),
    ],
)
def test_rates_that_come_twice_also_when_only_float32_says_so(rates):
    refused(
        ValueError,
        "`sweep(grid=...)` must be points that differ (in float32), got learning_rate=",
        "twice",
        grid={"learning_rate": rates},
    )


def test_points_that_come_twice():
    point = {"learning_rate": 0.1, "nesterov": True}
    refused(ValueError, "got learning_rate=0.1, nesterov=True twice", grid=[point, {**point}])


def test_neighbouring_rates_in_float32_are_two():
    with pytest.raises(Trained):
        attempt(grid={"learning_rate": [0.1, float(np.nextafter(np.float32(0.1), np.float32(1)))]})


def test_the_same_rate_with_another_hyperparameter_is_no_duplicate():
    with pytest.raises(Trained):
        attempt(grid={"learning_rate": [0.1], "nesterov": [True, False]})


@pytest.mark.parametrize("grid", [[], ()])
def test_an_empty_list_of_points(grid):
    refused(ValueError, "`sweep(grid=...)` must be at least one point, got none", grid=grid)


@pytest.mark.parametrize("values", [[], (), np.array([]), jnp.array([]), range(0)])
def test_a_name_without_values(values):
    for name in ("learning_rate", "nesterov"):
        refused(ValueError, f"`sweep(grid[{name!r}]=...)` must be at least one value", grid={name: values})


@pytest.mark.parametrize("grid", ["learning_rate", 0.1, None, [0.1, 0.2], np.array([0.1]), {0.1}, iter([{}])])
def test_a_grid_of_another_form(grid):
    with pytest.raises(
        TypeError, match=r"^`sweep\(grid=\.\.\.\)` must be a dict of name to values, or a list"
    ):
        lrjax.sweep(quadratic(), grid, DATA, steps=5, progress=False)


def test_names_that_are_no_strings():
    refused(TypeError, "`sweep(grid=...)` must be a dict with names as keys, got the key 3", grid={3: [0.1]})


def test_a_name_that_is_no_string_in_a_later_point():
    grid = [{"learning_rate": 0.1}, {3: 0.1}]
    refused(TypeError, "`sweep(grid=...)` must be a dict with names as keys, got the key 3", grid=grid)


def test_values_with_two_axes():
    refused(TypeError, "grid['learning_rate']", "shape (2, 2)", grid={"learning_rate": np.ones((2, 2))})


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e39])
def test_other_numbers_that_are_not_finite(value):
    grid = {"learning_rate": [0.1], "momentum": [0.9, value]}
    refused(ValueError, "`sweep(grid['momentum']=...)` must be finite numbers", f"got {value}", grid=grid)


@pytest.mark.parametrize("value", [[0.9], {"a": 1}, np.zeros(3)], ids=["list", "dict", "array"])
def test_other_values_that_are_no_scalars(value):
    refused(
        TypeError,
        "`sweep(grid['momentum']=...)` must be a number, a bool, a string, None or a callable",
        grid=[{"learning_rate": 0.1, "momentum": value}],
    )


# Counts and options


@pytest.mark.parametrize("argument", ["steps", "seeds", "evaluate_every", "record_every"])
@pytest.mark.parametrize("value", [0, -1, np.int64(0)])
def test_counts_below_one(argument, value):
    refused(ValueError, f"`sweep({argument}=...)` must be an integer >= 1, got {value}", **{argument: value})


@pytest.mark.parametrize("argument", ["steps", "seeds", "evaluate_every", "record_every", "key"])
@pytest.mark.parametrize("value", [2.0, "2", True, np.float32(2), np.True_, [2]])
def test_counts_that_are_no_integers(argument, value):
    low = 0 if argument == "key" else 1
    refused(TypeError, f"`sweep({argument}=...)` must be an integer >= {low}, got ", **{argument: value})


@pytest.mark.parametrize("argument", ["steps", "seeds"])
def test_counts_that_are_none(argument):
    refused(TypeError, f"`sweep({argument}=...)` must be an integer >= 1, got None", **{argument: None})


def test_a_negative_key():
    refused(ValueError, "`sweep(key=...)` must be an integer >= 0, got -1", key=-1)


@pytest.mark.parametrize("order", ["random", None, 0])
def test_an_unknown_order(order):
    refused(ValueError, f"`sweep(order=...)` must be 'per-seed' or 'shared', got {order!r}", order=order)


def test_numpy_counts_are_taken():
    with pytest.raises(Trained):
        attempt(steps=np.int64(2), seeds=np.int32(1))


@pytest.mark.parametrize("trial", [lrjax.adam, quadratic, (lambda k, h: 0, lambda s, b, h: 0), None])
def test_a_trial_of_another_kind(trial):
    with pytest.raises(
        TypeError, match=r"^`sweep\(trial=\.\.\.\)` must be a `lrjax.Trial`, got .*lrjax\.trial\("
    ):
        lrjax.sweep(trial, GRID, DATA, steps=5, progress=False)


# Data


@pytest.mark.parametrize(
    ("data", "advice"),
    [
        (np.zeros(4), "wrap them in `lrjax.batches`"),
        (jnp.zeros(4), "wrap them in `lrjax.batches`"),
        ({"x": np.zeros(4)}, "wrap them in `lrjax.batches`"),
        ((np.zeros(4), np.zeros(4)), "wrap them in `lrjax.batches`"),
        (lambda step: step, "wrap it in `lrjax.from_function`"),
        ((x for x in range(3)), "cannot be replayed"),
        (None, "a NoneType"),
    ],
    ids=["numpy", "jax", "dict", "tuple", "function", "generator", "none"],
)
def test_raw_data_says_what_to_use(data, advice):
    refused(
        TypeError,
        "`sweep(data=...)` must be data made by `lrjax.batches(",
        "`lrjax.from_function(",
        advice,
        data=data,
    )


def test_a_batch_larger_than_the_data():
    with pytest.raises(
        ValueError, match=r"^`batches\(batch_size=\.\.\.\)` must be at most the number of examples, 4, got 5$"
    ):
        attempt(data=lrjax.batches(np.zeros(4), batch_size=5))


LENGTHS = "must be arrays with as many examples each, got 4 at ['x'], 5 at ['y']"


def test_leaves_of_different_length():
    arrays = {"x": np.zeros(4), "y": np.zeros(5)}
    with pytest.raises(ValueError, match=r"^`batches\(arrays=\.\.\.\)` must be") as raised:
        lrjax.batches(arrays, batch_size=2)
    assert LENGTHS in str(raised.value)
    for argument in ("evaluate_on", "test_on"):
        refused(ValueError, f"`sweep({argument}=...)` {LENGTHS}", **{argument: arrays})


@pytest.mark.parametrize("argument", ["evaluate_on", "test_on"])
@pytest.mark.parametrize(
    "value",
    [lambda step: step, lrjax.from_function(lambda step: step, on_device=True)],
    ids=["raw", "wrapped"],
)
def test_held_out_data_from_a_function(argument, value):
    refused(
        TypeError, f"`sweep({argument}=...)` must be arrays with a leading example axis", **{argument: value}
    )


def test_held_out_data_from_a_loader():
    refused(TypeError, "`sweep(evaluate_on=...)`", "collect its examples in arrays", evaluate_on=iter([1.0]))


def test_held_out_data_without_an_example_axis():
    refused(TypeError, "`sweep(evaluate_on=...)` must be arrays with a leading", evaluate_on=np.float32(1.0))


@pytest.mark.parametrize("argument", ["evaluate_on", "test_on"])
def test_held_out_data_for_a_trial_that_cannot_evaluate(argument):
    trial = lrjax.trial(lambda key: jnp.float32(1.0), lambda x, batch, key: x**2, lrjax.sgd)
    refused(ValueError, f"`sweep({argument}=...)`", "no `evaluate`", trial=trial, **{argument: np.zeros(4)})


@pytest.mark.parametrize("argument", ["evaluate_on", "test_on"])
def test_held_out_data_that_the_evaluation_cannot_read(argument):
    trial = lrjax.Trial(
        lambda key, hyperparams: jnp.float32(0.0),
        lambda x, batch, hyperparams: ({"loss": x}, x),
        lambda x, batch: {"loss": batch["x"].mean()},
    )
    refused(TypeError, trial=trial, **{argument: np.zeros(4)})


# The trial


def start(key, hyperparams):
    return {"a": jnp.float32(0.0), "b": {"c": jnp.zeros(3)}}


def with_update(update, evaluate=None):
    return lrjax.Trial(start, update, evaluate)


METRICS = "must be a function whose metrics are a dict of real scalars with 'loss' among them, got"


@pytest.mark.parametrize(
    ("metrics", "got"),
    [
        (lambda x: {}, "an empty dict"),
        (lambda x: {"cost": x["a"], "accuracy": x["a"]}, "only 'cost', 'accuracy'"),
        (lambda x: {"loss": x["b"]["c"]}, "'loss' of shape (3,) and dtype float32"),
        (lambda x: {"loss": x["a"] * 1j}, "'loss' of shape () and dtype complex64"),
        (lambda x: {"loss": x["a"], "each": x["b"]["c"]}, "'each' of shape (3,) and dtype float32"),
        (lambda x: x["a"], "metrics of type"),
        (lambda x: None, "metrics of type NoneType"),
    ],
    ids=["empty", "no loss", "vector", "complex", "other vector", "bare", "none"],
)
@pytest.mark.parametrize("function", ["update", "evaluate"])
def test_metrics_that_are_no_scalars_with_a_loss(metrics, got, function):
    def good(x):
        return {"loss": x["a"]}

    step, judge = (metrics, good) if function == "update" else (good, metrics)
    trial = with_update(lambda x, batch, hyperparams: (step(x), x), lambda x, batch: judge(x))
    refused(TypeError, f"`Trial({function}=...)` {METRICS} {got}", trial=trial, evaluate_on=np.zeros(4))


@pytest.mark.parametrize(
    ("output", "got"),
    [
        (lambda x: x, "dict"),
        (lambda x: None, "NoneType"),
        (lambda x: ({"loss": x["a"]}, x, x), "tuple"),
        (lambda x: [{"loss": x["a"]}, x], "list"),
    ],
    ids=["state", "none", "three", "list"],
)
def test_an_update_that_returns_no_pair(output, got):
    trial = with_update(lambda x, batch, hyperparams: output(x))
    refused(
        TypeError,
        f"`Trial(update=...)` must be a function that returns (metrics, state), got {got}",
        trial=trial,
    )


@pytest.mark.parametrize(
    ("state", "got"),
    [
        (lambda x: {"a": x["a"]}, "['b']['c'] is missing"),
        (lambda x: {**x, "d": x["a"]}, "['d'] is new"),
        (lambda x: [x["a"], x["b"]], "['a'] is missing"),
        (lambda x: None, "['a'] is missing"),
        (
            lambda x: {**x, "b": {"c": jnp.zeros(4)}},
            "['b']['c'] has shape (3,) before the step and (4,) after",
        ),
        (lambda x: {**x, "a": jnp.int32(1)}, "['a'] has dtype float32 before the step and int32 after"),
        (
            lambda x: {**x, "a": x["a"].astype(jnp.bfloat16)},
            "['a'] has dtype float32 before the step and bfloat16",
        ),
        (lambda x: {**x, "a": "text"}, "['a'] is an array only before the step"),
    ],
    ids=["missing", "new", "list", "none", "shape", "int", "bfloat16", "text"],
)
def test_an_update_that_changes_its_state(state, got):
    trial = with_update(lambda x, batch, hyperparams: ({"loss": x["a"]}, state(x)))
    expected = (
        "`Trial(update=...)` must be a function that returns a state like the one it takes, got one where"
    )
    refused(TypeError, expected, got, trial=trial)


@pytest.mark.parametrize(
    ("loss", "got"),
    [
        (lambda x, batch: batch, "shape (4,) and dtype float32"),
        (lambda x, batch: x * 1j, "dtype complex64"),
        (lambda x, batch: jnp.int32(1), "dtype int32"),
        (lambda x, batch: None, "NoneType"),
        (lambda x, batch: {"loss": x}, "dict"),
        (lambda x, batch: (x, x), "a tuple of 2"),
        (lambda x, batch: (x, {}, {}), "a tuple of 3"),
    ],
    ids=["vector", "complex", "integer", "none", "dict", "pair", "three"],
)
def test_a_loss_that_returns_something_else(loss, got):
    trial = lrjax.trial(lambda key: jnp.float32(1.0), loss, lrjax.sgd)
    error = refused(
        TypeError,
        "`trial(loss=...)` must be a function that returns scalar or (scalar, metrics), got",
        got,
        trial=trial,
    )
    assert "at the point learning_rate=0.1" in error.__notes__


def test_an_optimizer_that_does_not_take_the_hyperparameter():
    grid = {"learning_rate": [0.1], "mass": [1.0, 2.0]}
    refused(
        TypeError,
        "`trial(optimizer=...)`",
        "takes the hyperparameter 'mass'",
        "got sgd, which takes",
        grid=grid,
    )


def test_an_optimizer_whose_rate_is_not_in_the_grid():
    refused(
        TypeError, "give 'learning_rate' a value in the grid, got sgd without it", grid={"momentum": [0.9]}
    )


def test_a_rate_under_another_name():
    refused(
        TypeError,
        "takes the hyperparameter 'lr', got sgd, which takes learning_rate",
        grid={"lr": [0.1]},
        name="lr",
    )


@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_hyperparameter_out_of_range_says_at_which_point(position):
    values = [0.8, 0.9, 0.95]
    values[position] = 1.5
    grid = {"learning_rate": [0.25], "b1": values}
    error = refused(
        ValueError,
        "`adam(b1=...)` must be one number in [0, 1), got 1.5",
        trial=quadratic(lrjax.adam),
        grid=grid,
    )
    assert "at the point learning_rate=0.25, b1=1.5" in error.__notes__


@pytest.mark.parametrize("position", [0, 57, 99])
@pytest.mark.parametrize("where", ["init", "update"])
def test_a_hyperparameter_out_of_range_is_found_among_many(position, where):
    """Not the steps of all points are traced with their numbers, but their starts and the ends of ranges."""
    plain = quadratic(lrjax.adam)

    def init(key, hyperparams):
        return plain.init(key, hyperparams if where == "init" else {"learning_rate": 0.1})

    def update(state, batch, hyperparams):
        return plain.update(state, batch, hyperparams)

    values = np.linspace(0.5, 0.9, 100)
    values[position] = 1.5
    error = refused(
        ValueError,
        "`adam(b1=...)` must be one number in [0, 1), got 1.5",
        trial=lrjax.Trial(init, update),
        grid={"learning_rate": [0.25], "b1": values},
    )
    assert "at the point learning_rate=0.25, b1=1.5" in error.__notes__


def test_a_bool_out_of_kind_says_at_which_point():
    grid = {"learning_rate": [0.25], "nesterov": [False, "yes"]}
    trial = quadratic(functools.partial(lrjax.sgd, momentum=0.9))
    error = refused(TypeError, "nesterov=...", trial=trial, grid=grid)
    note = error.__notes__[-1]
    assert note.startswith("at the point ")
    assert "learning_rate=0.25" in note
    assert "nesterov='yes'" in note


def test_an_error_of_the_users_own_comes_through_with_the_point():
    def loss(x, batch):
        raise KeyError("temperature")

    with pytest.raises(KeyError, match="temperature") as raised:
        attempt(lrjax.trial(lambda key: jnp.float32(1.0), loss, lrjax.sgd))
    assert "at the point learning_rate=0.1" in raised.value.__notes__


def test_a_rate_that_hides_in_the_state():
    class Holder:
        def __init__(self, rate):
            self.rate = rate

    trial = lrjax.Trial(
        lambda key, hyperparams: (jnp.float32(0.0), Holder(hyperparams["learning_rate"])),
        lambda state, batch, hyperparams: ({"loss": state[0]}, state),
    )
    with pytest.raises(TypeError, match=r"^`Trial.init` hides a traced value in \[1\]"):
        attempt(trial)


def test_a_branch_on_a_rate_says_how_to_make_it_static():
    def update(x, batch, hyperparams):
        return {"loss": x}, x + 1 if hyperparams["learning_rate"] > 0.15 else x

    with pytest.raises(jax.errors.ConcretizationTypeError):
        attempt(lrjax.Trial(lambda key, hyperparams: jnp.float32(0.0), update))


# The directory


@pytest.mark.parametrize("below", ["", "deeper", "deeper/still"])
def test_a_directory_that_is_a_file_or_lies_below_one(tmp_path, below):
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / below
    with pytest.raises(
        OSError, match=r"^`sweep\(directory=\.\.\.\)` must be a directory that can be written, got"
    ) as e:
        attempt(directory=path)
    assert "\n" not in str(e.value)
    assert str(path) in str(e.value)
    assert type(e.value) in (FileExistsError, NotADirectoryError)


def test_nothing_is_left_in_the_directory_by_a_refused_sweep(tmp_path):
    refused(ValueError, directory=tmp_path / "new", grid={"learning_rate": [0.0]})
    assert not (tmp_path / "new").exists()


# Finding


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"minimum": 0.0}, ValueError, "`find_learning_rate(minimum=...)` must be one number > 0, got 0.0"),
        ({"minimum": -1.0}, ValueError, "`find_learning_rate(minimum=...)` must be one number > 0"),
        ({"minimum": np.nan}, ValueError, "`find_learning_rate(minimum=...)` must be one number > 0"),
        ({"minimum": "low"}, TypeError, "`find_learning_rate(minimum=...)` must be one number > 0"),
        (
            {"minimum": 1.0, "maximum": 1.0},
            ValueError,
            "`find_learning_rate(maximum=...)` must be one number > 1, got 1.0",
        ),
        ({"maximum": np.inf}, ValueError, "`find_learning_rate(maximum=...)` must be one number > 0"),
        ({"points": 1}, ValueError, "`find_learning_rate(points=...)` must be an integer >= 2, got 1"),
        ({"points": 5.0}, TypeError, "`find_learning_rate(points=...)` must be an integer >= 2, got 5.0"),
        ({"steps": 0}, ValueError, "`find_learning_rate(steps=...)` must be an integer >= 1, got 0"),
        ({"seeds": 0}, ValueError, "`find_learning_rate(seeds=...)` must be an integer >= 1, got 0"),
        ({"minimum": 1e-5, "maximum": 1.00000001e-5}, ValueError, "number > 1e-05 (in float32), got 1e-05"),
        ({"budget": 1.5}, TypeError, "`find_learning_rate(budget=...)` must be member-steps (an integer), a"),
        ({"budget": 0}, ValueError, "`find_learning_rate(budget=...)` must be an integer >= 1, got 0"),
        (
            {"budget": datetime.timedelta(0)},
            ValueError,
            "`find_learning_rate(budget=...)` must be a time > 0",
        ),
        ({"hyperparams": {"learning_rate": 1.0}}, ValueError, "the hyperparameters beside 'learning_rate'"),
        ({"on_chunk": 1}, TypeError, "`find_learning_rate(on_chunk=...)` must be a function of a sweep"),
        ({"horizon": "length"}, ValueError, "`find_learning_rate(horizon=...)` must be a hyperparameter"),
        ({"horizon": "learning_rate"}, ValueError, "a number at every point, not the rate, or None, got"),
        ({"progress": "yes"}, ValueError, "`find_learning_rate(progress=...)` must be True, False, 'bar'"),
        ({"keep": "all"}, ValueError, "`find_learning_rate(keep=...)` must be 'final', 'best' or both"),
    ],
)
def test_find_refuses(options, error, message):
    with pytest.raises(error) as raised:
        lrjax.find_learning_rate(quadratic(), DATA, **{"steps": 5, "progress": False, **options})
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


# No progress bar


def test_an_error_before_training_shows_no_progress_bar(capfd):
    with pytest.raises(TypeError):
        attempt(grid={"learning_rate": [0.1], "mass": [1.0]}, progress=True)
    captured = capfd.readouterr()
    assert captured.err == captured.out == ""


def test_a_step_that_needs_a_python_number_gets_the_remedy():
    def update(x, batch, hyperparams):
        return {"loss": x}, x if hyperparams["learning_rate"] > 0.1 else -x

    trial = lrjax.Trial(lambda key, hyperparams: jnp.float32(1.0), update)
    data = lrjax.batches(np.zeros(4), batch_size=4)
    with pytest.raises(jax.errors.ConcretizationTypeError) as caught:
        lrjax.sweep(trial, {"learning_rate": [0.1]}, data, steps=2, progress=False)
    assert any("named in `Trial(static=...)`" in note for note in caught.value.__notes__)


@pytest.mark.parametrize("value", [None, "text", [1.0]], ids=["None", "string", "list"])
def test_a_metric_that_is_no_number_is_named(value):
    trial = lrjax.Trial(
        lambda key, hyperparams: jnp.float32(1.0), lambda x, b, h: ({"loss": x, "odd": value}, x)
    )
    data = lrjax.batches(np.zeros(4), batch_size=4)
    with pytest.raises(TypeError, match=r"`Trial\(update=\.\.\.\)` must be .* got 'odd' of type"):
        lrjax.sweep(trial, {"learning_rate": [0.1]}, data, steps=2, progress=False)


def test_points_are_compared_by_name_not_by_order():
    trial = lrjax.Trial(lambda key, h: jnp.float32(1.0), lambda x, b, h: ({"loss": x * h["a"] * h["b"]}, x))
    with pytest.raises(ValueError, match="twice"):
        lrjax.sweep(trial, [{"a": 0.1, "b": 0.2}, {"b": 0.2, "a": 0.1}], DATA, steps=2, progress=False)
    with pytest.raises(Trained):  # these differ: they are trained
        lrjax.sweep(trial, [{"a": 0.1, "b": 0.2}, {"b": 0.1, "a": 0.2}], DATA, steps=2, progress=False)


def test_a_name_that_is_not_in_the_grid_is_refused():
    trial = lrjax.Trial(lambda key, h: jnp.float32(1.0), lambda x, b, h: ({"loss": x * h["peak"]}, x))
    with pytest.raises(
        ValueError, match=r"`sweep\(name=\.\.\.\)` must be one of the grid's names, 'peak', got 'paek'"
    ):
        lrjax.sweep(trial, {"peak": [0.1]}, DATA, steps=2, name="paek", progress=False)
