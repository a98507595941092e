"""Line searches and L-BFGS on real functions: against optax, against the conditions, and at their limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lrjax


def rosenbrock(x: Any) -> Any:
    return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def logistic(x: Any) -> Any:
    return jnp.sum(jnp.logaddexp(0, -3 * x)) + 0.05 * jnp.sum(x**2)


def quartic(x: Any) -> Any:
    return jnp.sum((x - 1) ** 4) + jnp.sum(x**2) / 8


FUNCTIONS = {
    "rosenbrock": (rosenbrock, [-1.2, 1.0, -0.5], 12),
    "logistic": (logistic, [-3.0, 2.0, 5.0], 6),
    "quartic": (quartic, [3.0, -2.0, 0.25], 8),
}
SEARCHES: dict[str, Callable[[Any], Any]] = {
    "lbfgs": lambda library: library.lbfgs(),
    "lbfgs, small memory": lambda library: library.lbfgs(memory_size=2, scale_init_precond=False),
    "zoom": lambda library: library.chain(library.sgd(1.0), library.scale_by_zoom_linesearch(20)),
    "zoom, exact and bounded": lambda library: library.chain(
        library.sgd(1.0),
        library.scale_by_zoom_linesearch(20, max_learning_rate=0.5, curv_rtol=0.1, approx_dec_rtol=None),
    ),
    "backtracking": lambda library: library.chain(
        library.sgd(1.0), library.scale_by_backtracking_linesearch(30, store_grad=True)
    ),
}


def _search_state(state: Any) -> Any:
    def searches(x: Any) -> bool:
        return hasattr(x, "info")

    return next(x for x in jax.tree.leaves(state, is_leaf=searches) if searches(x))


def _minimize(library: Any, tx: Any, f: Any, start: Any, steps: int) -> dict[str, np.ndarray]:
    """Where each step leads, how long it is, how many were tried, all through the stored gradient."""
    value_and_grad = library.value_and_grad_from_state(f)

    @jax.jit
    def run(x: Any) -> Any:
        def step(carry: Any, _: None) -> Any:
            x, state = carry
            value, grad = value_and_grad(x, state=state)
            updates, state = tx.update(grad, state, x, value=value, grad=grad, value_fn=f)
            search = _search_state(state)
            told = {
                "before": value,
                "value": search.value,
                "rate": search.learning_rate,
                "tried": search.info.num_linesearch_steps,
                "missed": search.info.decrease_error,
                "grad": grad,
                "updates": updates,
            }
            return (library.apply_updates(x, updates), state), {**told, "x": x + updates}

        return jax.lax.scan(step, (x, tx.init(x)), length=steps)[1]

    return jax.tree.map(np.asarray, run(jnp.asarray(start)))


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("search", SEARCHES)
def test_every_step_is_optaxs(search: str, function: str) -> None:
    """Trials included: the same points are tried, in float64."""
    f, start, steps = FUNCTIONS[function]
    with jax.enable_x64(True):
        ours = _minimize(lrjax, SEARCHES[search](lrjax), f, start, steps)
        theirs = _minimize(optax, SEARCHES[search](optax), f, start, steps)
    np.testing.assert_array_equal(ours["tried"], theirs["tried"])
    for name in ("rate", "value", "x"):
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-9, atol=1e-12)
    assert ours["x"].dtype == np.float64


def test_steps_satisfy_both_of_wolfes_conditions() -> None:
    with jax.enable_x64(True):
        tx = lrjax.chain(lrjax.sgd(1.0), lrjax.scale_by_zoom_linesearch(30, curv_rtol=0.5))
        told = _minimize(lrjax, tx, rosenbrock, [-1.2, 1.0, -0.5], 20)
        after = np.stack([np.asarray(jax.grad(rosenbrock)(jnp.asarray(x))) for x in told["x"]])
    slope = np.sum(told["updates"] * told["grad"], axis=1)
    assert np.all(slope < 0)
    assert np.all(told["value"] <= told["before"] + 1e-4 * slope + 1e-12)
    assert np.all(np.abs(np.sum(told["updates"] * after, axis=1)) <= 0.5 * np.abs(slope) + 1e-12)
    assert len(set(told["tried"].tolist())) > 1, "the search has something to do"


def test_lbfgs_finds_minima_in_float32() -> None:
    for f, start, _ in FUNCTIONS.values():
        told = _minimize(lrjax, lrjax.lbfgs(), f, start, 60)
        with jax.enable_x64(True):
            exact = _minimize(lrjax, lrjax.lbfgs(), f, start, 200)["value"][-1]
        assert told["value"][-1] <= exact + 1e-4 * abs(exact) + 1e-6
        assert np.all(np.diff(told["value"]) <= 1e-6 * np.abs(told["value"][:-1]))


@pytest.mark.parametrize("make", [lrjax.lbfgs, lambda: SEARCHES["zoom"](lrjax)], ids=["lbfgs", "zoom"])
def test_members_of_a_vmap_search_as_alone(make: Any) -> None:
    """Each stops at its own number of trials."""
    tx, starts = make(), jnp.array([[-1.2, 1.0], [2.0, 2.0], [0.0, 0.5]])

    def run(x: Any) -> Any:
        def step(carry: Any, _: None) -> Any:
            x, state = carry
            value, grad = jax.value_and_grad(rosenbrock)(x)
            updates, state = tx.update(grad, state, x, value=value, grad=grad, value_fn=rosenbrock)
            return (x + updates, state), x

        return jax.lax.scan(step, (x, tx.init(x)), length=6)[1]

    together = jax.jit(jax.vmap(run))(starts)
    alone = jnp.stack([jax.jit(run)(x) for x in starts])
    np.testing.assert_allclose(together, alone, rtol=2e-3, atol=2e-4)


def _one(tx: Any, f: Any, x: Any, direction: Any, grad: Any, state: Any = None) -> tuple[Any, Any]:
    state = tx.init(x) if state is None else state
    return tx.update(direction, state, x, value=f(x), grad=grad, value_fn=f)


def _spike(x: Any) -> Any:
    """Least at 1, and everywhere else larger, whatever its gradient claims there."""
    return jnp.where(x == 1.0, 0.0, 1.0 + jnp.abs(x))


def test_a_zoom_without_a_decrease_does_not_move_and_begins_anew() -> None:
    tx, x = lrjax.scale_by_zoom_linesearch(4), jnp.array(1.0)
    updates, state = _one(tx, _spike, x, jnp.array(-1.0), jnp.array(1.0))
    assert (float(updates), float(state.learning_rate), float(state.value)) == (0.0, 0.0, 0.0)
    assert int(state.info.num_linesearch_steps) == 4
    updates, state = _one(tx, jnp.square, x, jnp.array(-2.0), jnp.array(2.0), state)
    assert float(updates) == -1.0


def test_backtracking_takes_its_last_step_as_optaxs() -> None:
    x, outcomes = jnp.array(1.0), []
    for library in (lrjax, optax):
        updates, state = _one(
            library.scale_by_backtracking_linesearch(3), _spike, x, jnp.array(-1.0), jnp.array(1.0)
        )
        outcomes.append([float(y) for y in (updates, state.learning_rate, state.value, *state.info)])
    np.testing.assert_allclose(*outcomes, rtol=1e-6)


@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf])
def test_steps_into_the_undefined_are_shortened(bad: float) -> None:
    def f(x: Any) -> Any:
        return jnp.where(x < 0, bad, (x - 0.5) ** 2)

    for tx in (lrjax.scale_by_zoom_linesearch(20), lrjax.scale_by_backtracking_linesearch(20)):
        updates, state = _one(tx, f, jnp.array(2.0), jnp.array(-6.0), jnp.array(3.0))
        assert float(f(2.0 + updates)) < 2.25
        assert np.isfinite(state.value)


def test_an_ascent_direction_is_not_followed_by_zoom() -> None:
    tx = lrjax.scale_by_zoom_linesearch(10)
    updates, _ = _one(tx, jnp.square, jnp.array(1.0), jnp.array(2.0), jnp.array(2.0))
    assert float(updates) == 0.0


def test_a_step_of_negative_curvature_is_left_out() -> None:
    tx = lrjax.scale_by_lbfgs(2)
    state = tx.init(jnp.zeros(1))
    for x, g in ((0.0, 1.0), (1.0, 0.5)):
        direction, state = tx.update(jnp.array([g]), state, jnp.array([x]))
    np.testing.assert_array_equal(direction, [0.5])
    np.testing.assert_array_equal(state.weights_memory, [0.0, 0.0])


def test_half_precision_parameters_are_searched_in_float32() -> None:
    x = jnp.array([1.0, -2.0], "bfloat16")
    tx = lrjax.lbfgs()
    state = tx.init(x)
    step = jax.jit(lambda s, x, v, g: tx.update(g, s, x, value=v, grad=g, value_fn=_bowl))
    for _ in range(8):
        value, grad = jax.value_and_grad(_bowl)(x)
        updates, state = step(state, x, value, grad)
        assert updates.dtype == jnp.bfloat16
        x = lrjax.apply_updates(x, updates)
    assert float(_bowl(x)) < 1e-3


def _bowl(x: Any) -> Any:
    return jnp.sum(jnp.asarray(x, jnp.float32) ** 2)


# What is passed along


def test_the_function_gets_the_keywords_it_names() -> None:
    def f(x: Any, batch: Any) -> Any:
        return jnp.sum((x - batch) ** 2)

    def g(x: Any, **rest: Any) -> Any:
        return jnp.sum((x - rest["batch"]) ** 2)

    batch, x = jnp.array([1.0, 2.0]), jnp.zeros(2)
    for tx in (lrjax.scale_by_zoom_linesearch(10), lrjax.scale_by_backtracking_linesearch(10)):
        for function in (f, g):
            value, grad = jax.value_and_grad(lambda x, h=function: h(x, batch=batch))(x)
            updates, _ = tx.update(
                -grad, tx.init(x), x, value=value, grad=grad, value_fn=function, batch=batch, other="ignored"
            )
            assert float(f(x + updates, batch)) < float(value)


@pytest.mark.parametrize("missing", ["value", "grad", "value_fn"])
@pytest.mark.parametrize(
    "tx", [lrjax.scale_by_zoom_linesearch(5), lrjax.scale_by_backtracking_linesearch(5), lrjax.lbfgs()]
)
def test_what_a_search_needs_is_named(tx: Any, missing: str) -> None:
    x = jnp.ones(2)
    signals = {"value": jnp.array(1.0), "grad": x, "value_fn": jnp.sum}
    del signals[missing]
    with pytest.raises(ValueError, match=rf"linesearch.update\({missing}=...\)`.*value_fn=.*got None"):
        tx.update(x, tx.init(x), x, **signals)


def test_value_and_gradient_are_taken_from_the_state_once_they_are_there() -> None:
    calls: list[int] = []

    def f(x: Any) -> Any:
        jax.debug.callback(lambda: calls.append(1))
        return jnp.sum(x**2)

    tx, x = lrjax.lbfgs(), jnp.array([1.0, 2.0])
    value_and_grad = jax.jit(lrjax.value_and_grad_from_state(f))
    state = tx.init(x)
    value, grad = value_and_grad(x, state=state)
    jax.effects_barrier()
    assert (len(calls), float(value)) == (1, 5.0)
    updates, state = tx.update(grad, state, x, value=value, grad=grad, value_fn=lambda x: jnp.sum(x**2))
    value, grad = value_and_grad(x + updates, state=state)
    jax.effects_barrier()
    assert len(calls) == 1
    np.testing.assert_allclose(grad, 2 * (x + updates), rtol=1e-6)


def test_what_the_state_lacks_is_said() -> None:
    x = jnp.ones(2)
    value_and_grad = lrjax.value_and_grad_from_state(_bowl)
    with pytest.raises(ValueError, match="one line search in it, got none"):
        value_and_grad(x, state=lrjax.sgd(0.1).init(x))
    with pytest.raises(ValueError, match="store_grad=True"):
        value_and_grad(x, state=lrjax.scale_by_backtracking_linesearch(3).init(x))
    two = lrjax.chain(lrjax.scale_by_zoom_linesearch(3), lrjax.scale_by_zoom_linesearch(3))
    with pytest.raises(ValueError, match="one line search in it, got 2"):
        value_and_grad(x, state=two.init(x))


def test_a_failed_search_is_printed_on_request(capfd: pytest.CaptureFixture[str]) -> None:
    x = jnp.array(1.0)
    for tx in (
        lrjax.scale_by_zoom_linesearch(3, verbose=True),
        lrjax.scale_by_backtracking_linesearch(3, verbose=True),
    ):
        _one(tx, jnp.square, x, jnp.array(-2.0), jnp.array(2.0))
        jax.effects_barrier()
        assert capfd.readouterr().out == ""
        _one(tx, _spike, x, jnp.array(-1.0), jnp.array(1.0))
        jax.effects_barrier()
        assert "failed after" in capfd.readouterr().out


def test_infinite_factors_are_taken() -> None:
    x = jnp.array([1.0, -2.0])
    tx = lrjax.scale_by_backtracking_linesearch(20, increase_factor=float("inf"), max_learning_rate=2.0)
    _, state = _one(tx, _bowl, x, -2 * x, 2 * x)
    _, state = _one(tx, _bowl, x, -2 * x, 2 * x, state)
    assert int(state.info.num_linesearch_steps) > 1
    tx = lrjax.scale_by_zoom_linesearch(20, curv_rtol=float("inf"))
    _, state = _one(tx, _bowl, x, -0.1 * x, 2 * x)
    assert int(state.info.num_linesearch_steps) == 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: lrjax.scale_by_zoom_linesearch(0), r"max_linesearch_steps=...\)`.*>= 1"),
        (lambda: lrjax.scale_by_zoom_linesearch(5, increase_factor=1.0), r"increase_factor=...\)`.*> 1"),
        (
            lambda: lrjax.scale_by_zoom_linesearch(5, initial_guess_strategy="two"),
            r'initial_guess_strategy=...\)`.*"keep" or "one", got \'two\'',
        ),
        (lambda: lrjax.scale_by_backtracking_linesearch(-1), r"max_backtracking_steps=...\)`.*>= 0"),
        (
            lambda: lrjax.scale_by_backtracking_linesearch(5, decrease_factor=1.0),
            r"decrease_factor=...\)`.*\(0, 1\)",
        ),
        (lambda: lrjax.scale_by_lbfgs(0), r"`scale_by_lbfgs\(memory_size=...\)`.*>= 1, got 0"),
        (lambda: lrjax.lbfgs(linesearch=3), r"`lbfgs\(linesearch=...\)`.*got 3"),
    ],
)
def test_a_bad_argument_is_named(make: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        make()
