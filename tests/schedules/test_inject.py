"""Schedules for any numeric hyperparameter."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lrjax
from lrjax.schedules import schedulable
from tests.catalogue import rows
from tests.running import assert_close, gradients, params_tree, take_steps

GRADS = jnp.array([1.0, -0.5])


def numeric(function):
    return [n for n, p in inspect.signature(function).parameters.items() if "ScalarLike" in str(p.annotation)]


RECIPES = rows(quadratic=lambda quadratic: quadratic is not None, numbers=lambda numbers: len(numbers) > 1)


# The fast tests take each number of each recipe once, and no search that compiles its loops anew for each.
PLACES = [{(row.public, name) for name in row.numbers} for recipe in RECIPES for row in recipe.values]
LONG = [
    recipe.id
    for i, recipe in enumerate(RECIPES)
    if PLACES[i] <= set().union(*PLACES[:i]) or recipe.id == "scale_by_zoom_linesearch"
]


@pytest.mark.parametrize(
    "row", [pytest.param(*r.values, id=r.id, marks=pytest.mark.slow if r.id in LONG else ()) for r in RECIPES]
)
def test_every_number_of_every_recipe_may_be_a_schedule(row):
    """A schedule that stays gives what its number gives, and one that moves gives something else."""
    params, grads = params_tree(), gradients(steps=row.steps)
    names = [name for name in numeric(getattr(lrjax, row.public)) if name in row.numbers]
    numbers = {name: float(np.float32(row.numbers[name][0])) for name in names}
    plain, _ = take_steps(row.tx(**numbers), params, grads)
    still = {name: lrjax.constant_schedule(number) for name, number in numbers.items()}
    same, state = take_steps(row.tx(**still), params, grads)
    if names:
        assert isinstance(state, lrjax.InjectStatefulHyperparamsState)
        assert set(state.hyperparams) == set(names)
    assert_close(same, plain, 2e-5)  # 1 - b**t of a float32 has fewer digits than of a Python number
    for name in set(names) - set(row.idle):
        value, other = row.numbers[name]
        for moves in ([value, other], [other, value]):  # some matter at the start alone, some after it
            schedule = lrjax.join_schedules(moves, [1])
            moving, _ = take_steps(row.tx(**{**numbers, name: schedule}), params, grads)
            if not all(jax.tree.leaves(jax.tree.map(np.array_equal, moving, plain))):
                break
        else:
            pytest.fail(f"a schedule of {name} changes nothing")


def test_the_recipes_of_the_catalogue_are_all_schedulable():
    public = {row.values[0].public for row in rows(quadratic=lambda quadratic: quadratic is not None)}
    for name in public:
        if numeric(getattr(lrjax, name)):
            assert hasattr(getattr(lrjax, name), "__wrapped__"), f"decorate {name} with `@schedulable`"


def test_without_a_schedule_the_state_is_the_recipe_s_own():
    def mask(params):
        return jax.tree.map(lambda p: p.ndim > 1, params)

    params = params_tree()
    for tx in (
        lrjax.adamw(0.1, mask=mask),
        lrjax.adamw(lrjax.linear_schedule(1.0, 0.0, 9), mu_dtype=jnp.bfloat16),
    ):
        state = tx.init(params)
        assert not isinstance(state, lrjax.InjectStatefulHyperparamsState)
        assert isinstance(state[0], lrjax.ScaleByAdamState)


def test_a_schedule_beside_a_mask_and_a_dtype_leaves_them_alone():
    def mask(params):
        return jax.tree.map(lambda p: p.ndim > 1, params)

    decay = lrjax.linear_schedule(0.25, 0.0, 4)
    params, grads = params_tree(), gradients()
    got, state = take_steps(
        lrjax.adamw(0.1, 0.9, 0.99, weight_decay=decay, mask=mask, mu_dtype="bfloat16"), params, grads
    )
    assert state.inner_state[0].mu["weight"].dtype == jnp.bfloat16
    inner, held = None, []
    for t, g in enumerate(grads):
        tx = lrjax.adamw(0.1, 0.9, 0.99, weight_decay=0.25 - t / 16, mask=mask, mu_dtype="bfloat16")
        inner = tx.init(params) if inner is None else inner
        updates, inner = tx.update(g, inner, params)
        params = lrjax.apply_updates(params, updates)
        held.append(updates)
    assert_close(got, held, 1e-6)


LINES = {"momentum": lrjax.linear_schedule(0.5, 0.95, 3), "b1": lrjax.linear_schedule(0.5, 0.9, 3)}


@pytest.mark.parametrize("how", ["implicit", "explicit", "optax's factory"])
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("sgd", {"learning_rate": 0.5, "momentum": LINES["momentum"]}),
        ("adam", {"learning_rate": lrjax.cosine_decay_schedule(0.5, 4), "b1": LINES["b1"]}),
        ("adamw", {"learning_rate": 0.5, "weight_decay": lrjax.linear_schedule(0.5, 0.0, 3)}),
    ],
)
def test_optax_agrees(name, arguments, how):
    make = {
        "implicit": lambda: getattr(lrjax, name),
        "explicit": lambda: lrjax.inject_hyperparams(getattr(lrjax, name)),
        "optax's factory": lambda: lrjax.inject_hyperparams(getattr(optax, name)),
    }[how]()
    params, grads = params_tree(), gradients(steps=5)
    got, state = take_steps(make(**arguments), params, grads)
    plain = {key: value.at if callable(value) else value for key, value in arguments.items()}
    want, theirs = take_steps(optax.inject_hyperparams(getattr(optax, name))(**plain), params, grads)
    assert_close(got, want, 3e-5)
    shared = state.hyperparams.keys() & theirs.hyperparams.keys()
    for key in shared:
        np.testing.assert_allclose(state.hyperparams[key], theirs.hyperparams[key], rtol=1e-6)
    if how != "implicit":
        assert state._fields == theirs._fields
        assert state.hyperparams.keys() == theirs.hyperparams.keys()


def test_values_stay_in_float32_for_half_precision_parameters():
    """In bfloat16 b2 = 0.999 is 1, and Adam divides by zero."""
    params = jax.tree.map(lambda p: p.astype(jnp.bfloat16), params_tree())
    tx = lrjax.inject_hyperparams(lrjax.adam)(1e-3)
    updates, state = take_steps(tx, params, gradients("bfloat16"))
    assert {x.dtype for x in state.hyperparams.values()} == {jnp.dtype("float32")}
    assert float(state.hyperparams["b2"]) == np.float32(0.999)
    plain, _ = take_steps(lrjax.adam(1e-3), params, gradients("bfloat16"))
    assert_close(updates, plain, 2e-5)


def test_hyperparams_in_the_state_are_what_is_used_next():
    tx = lrjax.inject_hyperparams(lrjax.sgd)(learning_rate=0.5, momentum=lrjax.linear_schedule(0.5, 1.0, 4))
    state = tx.init(GRADS)
    state.hyperparams["learning_rate"] = 0.25
    state.hyperparams["momentum"] = 99.0  # its schedule says otherwise
    updates, state = tx.update(GRADS, state)
    np.testing.assert_array_equal(updates, -0.25 * GRADS)
    assert float(state.hyperparams["learning_rate"]) == float(lrjax.get_learning_rate(state)) == 0.25
    assert float(state.hyperparams["momentum"]) == 0.5


@pytest.mark.parametrize(
    "tx",
    [
        lrjax.sgd(0.5, momentum=LINES["momentum"]),
        lrjax.inject_hyperparams(lrjax.sgd)(0.5, momentum=LINES["momentum"]),
        lrjax.chain(lrjax.identity(), lrjax.masked(lrjax.inject_hyperparams(lrjax.sgd)(0.5), True)),
    ],
    ids=["implicit", "explicit", "nested"],
)
def test_the_rate_is_read_set_and_scaled_through_it(tx):
    state = tx.init(GRADS)
    assert float(lrjax.get_learning_rate(state)) == 0.5
    state = lrjax.set_learning_rate(state, 0.125)
    updates, state = jax.jit(tx.update)(GRADS, state)
    np.testing.assert_array_equal(updates, -0.125 * GRADS)
    assert float(lrjax.get_learning_rate(state)) == 0.125
    state = lrjax.scale_learning_rate(lrjax.set_learning_rate(state, None), 0.5)
    _, state = jax.jit(tx.update)(GRADS, state)
    assert float(lrjax.get_learning_rate(state)) == 0.25


def test_metrics_drive_momentum_and_the_rate():
    momentum = 0.5 * lrjax.plateau_schedule(0.5, patience=1)
    rate = 0.25 * lrjax.plateau_schedule(0.5, patience=2)
    for make in (lrjax.sgd, lrjax.inject_hyperparams(lrjax.sgd)):
        tx = make(rate, momentum=momentum)
        state, seen = tx.init(GRADS), []
        assert np.isnan(state.hyperparams["momentum"])
        assert np.isnan(lrjax.get_learning_rate(state))
        for _ in range(3):
            _, state = jax.jit(tx.update)(GRADS, state, value=1.0)
            seen.append((float(state.hyperparams["momentum"]), float(lrjax.get_learning_rate(state))))
        assert seen == [(0.5, 0.25), (0.25, 0.25), (0.125, 0.125)]
    with pytest.raises(TypeError, match=r"`plateau_schedule\.update\(value=\.\.\.\)` must be given"):
        tx.update(GRADS, tx.init(GRADS))


def test_a_rate_that_needs_the_direction_is_left_to_the_recipe():
    tx = lrjax.inject_hyperparams(lrjax.adam)(0.1 * lrjax.hypergradient_schedule(0.5))
    state = tx.init(GRADS)
    for _ in range(2):
        _, state = tx.update(GRADS, state, GRADS, grad=GRADS)
    assert float(lrjax.get_learning_rate(state)) > 0.1
    assert "learning_rate" not in state.hyperparams


def test_extra_keywords_reach_the_transformation():
    seen = []

    def factory(scale, note="static"):
        def update(updates, state, params=None, *, value, **extra):
            seen.append((value, sorted(extra), note))
            return jax.tree.map(lambda u: scale * u, updates), state

        return lrjax.GradientTransformation(lambda params: (), update)

    tx = lrjax.inject_hyperparams(factory)(scale=lambda count: 1.0 + count)
    state = tx.init(GRADS)
    for t in (1.0, 2.0):
        updates, state = tx.update(GRADS, state, value=3.0, grad=None)
        np.testing.assert_array_equal(updates, t * GRADS)
    assert seen == [(3.0, ["grad"], "static")] * 2


def test_a_function_of_keywords_alone():
    def factory(**hyperparams):
        return lrjax.sgd(**hyperparams)

    tx = lrjax.inject_hyperparams(factory)(learning_rate=0.5, momentum=LINES["momentum"], nesterov=True)
    updates, state = take_steps(tx, params_tree(), gradients())
    want, _ = take_steps(lrjax.sgd(0.5, LINES["momentum"], nesterov=True), params_tree(), gradients())
    assert_close(updates, want, 1e-6)
    assert sorted(state.hyperparams) == ["learning_rate", "momentum"]


def test_types_are_stable_and_one_trace_serves_every_number():
    traces = 0

    def build(low, high):
        return lrjax.adam(0.125, b1=lrjax.linear_schedule(low, high, 4), eps=lambda count: 1e-8 * (1 + count))

    @jax.jit
    @jax.vmap
    def follow(low, high):
        nonlocal traces
        traces += 1
        tx = build(low, high)

        def step(state, _):
            updates, state = tx.update(GRADS, state)
            return state, updates

        return jax.lax.scan(step, tx.init(GRADS), length=4)[1]  # refuses a state whose types change

    lows, highs = jnp.array([0.5, 0.25]), jnp.array([0.875, 0.75])
    got = follow(lows, highs)
    follow(highs, lows)
    assert traces == 1
    for i in range(2):
        tx, want = build(float(lows[i]), float(highs[i])), []
        state = tx.init(GRADS)
        for _ in range(4):
            updates, state = tx.update(GRADS, state)
            want.append(updates)
        np.testing.assert_allclose(got[i], jnp.stack(want), rtol=2e-6)


def test_a_resumed_run_goes_on_to_the_bit():
    tx = lrjax.adam(lrjax.cosine_decay_schedule(0.1, 6), b1=LINES["b1"])
    params, grads = params_tree(), gradients(steps=6)
    whole, _ = take_steps(tx, params, grads)
    first, state = take_steps(tx, params, grads[:3])
    for updates in first:
        params = lrjax.apply_updates(params, updates)
    leaves, structure = jax.tree.flatten(state)
    state, rest = jax.tree.unflatten(structure, [jnp.asarray(np.asarray(x)) for x in leaves]), []
    again = lrjax.adam(lrjax.cosine_decay_schedule(0.1, 6), b1=LINES["b1"])
    for g in grads[3:]:
        updates, state = again.update(g, state, params)
        params = lrjax.apply_updates(params, updates)
        rest.append(updates)
    assert_close(rest, whole[3:], 0)


def test_a_sweep_over_the_end_of_a_momentum_schedule():
    task = lrjax.tasks.load("quadratic-deep")

    def optimizer(learning_rate, last):
        return lrjax.sgd(learning_rate, momentum=lrjax.linear_schedule(0.5, last, 8))

    grid = {"learning_rate": [0.01], "last": [0.5, 0.9]}
    sweep = lrjax.sweep(task.trial(optimizer), grid, task.data, steps=8, plan="vmap", progress=False)
    losses = sweep.metrics["loss"][:, 0]
    assert np.isfinite(losses).all()
    assert losses[0, -1] != losses[1, -1]


# Refusals.


def test_bad_values_are_refused_by_name():
    with pytest.raises(ValueError, match=r"`adam\(b1=\.\.\.\)` must be one number in \[0, 1\), got 2"):
        lrjax.adam(0.1, b1=lambda count: 2.0 + count).init(GRADS)
    with pytest.raises(
        TypeError, match=r"`inject_hyperparams\(b1=\.\.\.\)` must be a callable that returns one"
    ):
        lrjax.adam(0.1, b1=lambda count: jnp.ones(2)).init(GRADS)
    with pytest.raises(TypeError, match=r"`adam\(b1=\.\.\.\)` must be one number"):
        lrjax.adam(0.1, b1=float)
    with pytest.raises(TypeError, match="b3"):
        lrjax.adam(0.1, b3=lambda count: 0.5)
    with pytest.raises(TypeError, match=r"`inject_hyperparams\(inner_factory=\.\.\.\)` must be a function"):
        lrjax.inject_hyperparams(lrjax.sgd(0.1))
    with pytest.raises(
        ValueError, match=r"`inject_hyperparams\(static_args=\.\.\.\)` must be names among .*'rate'"
    ):
        lrjax.inject_hyperparams(lrjax.sgd, static_args="rate")


def test_the_decorator_keeps_name_signature_and_documentation():
    assert lrjax.adam.__name__ == "adam"
    assert list(inspect.signature(lrjax.adam).parameters)[:3] == ["learning_rate", "b1", "b2"]
    assert lrjax.adam.__doc__.startswith("Adam")
    with pytest.raises(TypeError, match="learning_rate"):
        schedulable(lambda learning_rate: None)()
