"""The pair, its composition, what is applied, and what is said when an argument is wrong."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrjax
from lrjax import _tree


def _state_after(tx: Any, params: Any, grads: Any) -> Any:
    return tx.update(grads, tx.init(params), params)[1]


# chain


def test_chain_feeds_each_transformation_what_the_one_before_returned() -> None:
    double = lrjax.stateless(lambda updates, params: 2 * updates)
    plus_one = lrjax.stateless(lambda updates, params: updates + 1)
    for links, expected in (((double, plus_one), 7.0), ((plus_one, double), 8.0), ((), 3.0)):
        tx = lrjax.chain(*links)
        assert tx.update(3.0, tx.init(0.0))[0] == expected


def test_chain_keeps_a_tuple_of_states_in_order() -> None:
    tx = lrjax.chain(lrjax.identity(), lrjax.trace(0.5), lrjax.chain(lrjax.identity()))
    state = _state_after(tx, jnp.array(0.0), jnp.array(1.0))
    assert [type(s).__name__ for s in state] == ["EmptyState", "TraceState", "tuple"]
    assert float(state[1].trace) == 1.0


def test_chain_hands_parameters_and_extra_keywords_to_every_link() -> None:
    seen: list[Any] = []

    def spy(updates: Any, state: Any, params: Any = None, **extra: Any) -> Any:
        seen.append((params, extra))
        return updates, state

    link = lrjax.GradientTransformation(lambda params: (), spy)
    tx = lrjax.chain(link, lrjax.chain(link))
    tx.update(1.0, tx.init(0.0), 5.0, value=2.0)
    assert seen == [(5.0, {"value": 2.0})] * 2


@pytest.mark.parametrize(
    ("state", "got"), [(None, "NoneType"), ({"a": 1}, "dict"), ((), "a tuple of 0"), ([1, 2], "list")]
)
def test_chain_names_a_state_that_is_not_its_own(state: Any, got: str) -> None:
    tx = lrjax.sgd(0.1, momentum=0.9)
    with pytest.raises(ValueError, match="tuple of 2 states") as error:
        tx.update(jnp.array(1.0), state)
    assert str(error.value) == (
        f"`chain.update(state=...)` must be the tuple of 2 states that this chain's `init` returns, got {got}"
    )


@pytest.mark.parametrize("wrong", [3, None, "adam", (1, 2), object()])
def test_chain_names_the_argument_that_is_no_transformation(wrong: Any) -> None:
    message = (
        r"^`chain\(args\[1\]=\.\.\.\)` must be a gradient transformation, with `init` and `update`, got "
    )
    with pytest.raises(TypeError, match=message) as error:
        lrjax.chain(lrjax.identity(), wrong)
    assert "call it" not in str(error.value)


def test_chain_says_to_call_a_recipe_that_was_not_called() -> None:
    with pytest.raises(TypeError, match=r"`chain\(args\[0\]=\.\.\.\)`.*<function adam.*\(call it: a recipe"):
        lrjax.chain(lrjax.adam)


# stateless, identity, with_extra_args_support


def test_stateless_sees_parameters_and_keeps_no_state() -> None:
    tx = lrjax.stateless(lambda updates, params: (updates, params))
    state = tx.init({"w": 1.0})
    assert state == lrjax.EmptyState()
    assert tx.update(3.0, state, 4.0, value=1.0) == ((3.0, 4.0), lrjax.EmptyState())
    assert tx.update(3.0, state) == ((3.0, None), lrjax.EmptyState())


def test_stateless_needs_a_function() -> None:
    with pytest.raises(TypeError, match=r"^`stateless\(f=\.\.\.\)` must be a function .*, got 3$"):
        lrjax.stateless(3)


def test_stateless_with_tree_map_sees_leaf_and_parameter() -> None:
    tx = lrjax.stateless_with_tree_map(lambda u, p: (u, p))
    assert tx.update({"w": 3.0}, tx.init({"w": 1.0}), {"w": 4.0})[0] == {"w": (3.0, 4.0)}
    assert tx.update({"w": 3.0}, tx.init({"w": 1.0}))[0] == {"w": (3.0, None)}
    with pytest.raises(
        TypeError, match=r"^`stateless_with_tree_map\(f=\.\.\.\)` must be a function .*, got 3$"
    ):
        lrjax.stateless_with_tree_map(3)


def test_identity_returns_the_very_updates() -> None:
    grads = {"w": jnp.ones(2), "none": None}
    tx = lrjax.identity()
    assert tx.update(grads, tx.init(grads))[0] is grads


def test_extra_args_support_hands_on_only_the_keywords_that_are_taken() -> None:
    def update(updates: Any, state: Any, params: Any = None, *, value: Any = None) -> Any:
        return (updates, params, value), state

    tx = lrjax.with_extra_args_support(lrjax.GradientTransformation(lambda params: (), update))
    assert tx.update(1.0, (), 2.0, value=3.0, grad=4.0)[0] == (1.0, 2.0, 3.0)
    assert tx.update(1.0, ())[0] == (1.0, None, None)
    again = lrjax.with_extra_args_support(tx)
    assert again.update(1.0, (), 2.0, value=3.0, grad=4.0)[0] == (1.0, 2.0, 3.0)


def test_extra_args_support_leaves_alone_what_takes_any_keyword() -> None:
    tx = lrjax.adam(0.1)
    assert lrjax.with_extra_args_support(tx) is tx


def test_extra_args_support_takes_anything_with_init_and_update() -> None:
    class Duck:
        def init(self, params: Any) -> Any:
            return ("duck", params)

        def update(self, updates: Any, state: Any, params: Any = None) -> Any:
            return -updates, state

    tx = lrjax.with_extra_args_support(Duck())
    assert isinstance(tx, lrjax.GradientTransformation)
    assert tx.update(1.0, tx.init(2.0), None, value=3.0) == (-1.0, ("duck", 2.0))


def test_the_two_classes_are_one_pair() -> None:
    init, update = lrjax.identity()
    tx = lrjax.GradientTransformationExtraArgs(init, update)
    assert isinstance(tx, lrjax.GradientTransformation)
    assert tx == lrjax.GradientTransformation(init, update)


# apply_updates


@pytest.mark.parametrize("updates_dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("params_dtype", ["float32", "bfloat16", "float16"])
def test_apply_updates_keeps_the_parameters_dtype(params_dtype: str, updates_dtype: str) -> None:
    params = {"w": jnp.array([1.0, 2.0], params_dtype)}
    new = lrjax.apply_updates(params, {"w": jnp.array([0.5, -0.5], updates_dtype)})
    assert new["w"].dtype == params_dtype
    assert not new["w"].weak_type
    np.testing.assert_array_equal(np.asarray(new["w"], np.float32), [1.5, 1.5])


def test_apply_updates_rounds_once() -> None:
    """1 + 0.00391 is above the midpoint of 1 and 1.0078; 0.00391 itself rounds to the midpoint."""
    params, updates = jnp.array([1.0], "bfloat16"), jnp.array([0.00391], "float32")
    rounded_first = params + updates.astype("bfloat16")
    assert float(rounded_first[0]) == 1.0, "rounding the update first would lose it"
    assert float(lrjax.apply_updates(params, updates)[0]) == 1.0078125


def test_apply_updates_leaves_parameters_without_an_update_as_they_are() -> None:
    params = {"a": jnp.array(1.0), "b": None, "c": jnp.array(2.0)}
    new = lrjax.apply_updates(params, {"a": jnp.array(0.5), "b": None, "c": None})
    assert (float(new["a"]), new["b"], float(new["c"])) == (1.5, None, 2.0)
    assert lrjax.apply_updates({"a": None}, {"a": jnp.array(1.0)}) == {"a": None}


def test_apply_updates_refuses_another_structure() -> None:
    with pytest.raises(ValueError, match="key"):
        lrjax.apply_updates({"a": jnp.array(1.0)}, {"b": jnp.array(1.0)})


def test_apply_updates_takes_numpy_leaves() -> None:
    new = lrjax.apply_updates(np.float32([1.0]), np.float64([0.5]))
    assert new.dtype == jnp.float32
    assert float(new[0]) == 1.5


# masked, add_decayed_weights

PARAMS = {"layer": {"w": jnp.ones((2, 2)), "b": jnp.ones(2)}, "head": jnp.ones(2)}
GRADS = jax.tree.map(lambda p: 3 * p, PARAMS)


def _halving() -> lrjax.GradientTransformation:
    return lrjax.stateless(lambda updates, params: jax.tree.map(lambda u: u / 2, updates))


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        ({"layer": {"w": True, "b": False}, "head": True}, {"layer": {"w": 1.5, "b": 3.0}, "head": 1.5}),
        ({"layer": True, "head": False}, {"layer": {"w": 1.5, "b": 1.5}, "head": 3.0}),
        (True, {"layer": {"w": 1.5, "b": 1.5}, "head": 1.5}),
        (False, {"layer": {"w": 3.0, "b": 3.0}, "head": 3.0}),
        (lambda t: jax.tree.map(lambda x: x.ndim > 1, t), {"layer": {"w": 1.5, "b": 3.0}, "head": 3.0}),
        ({"layer": np.True_, "head": np.False_}, {"layer": {"w": 1.5, "b": 1.5}, "head": 3.0}),
    ],
    ids=["full", "prefix", "all", "none", "callable", "numpy"],
)
def test_masked_applies_where_the_mask_is_true(mask: Any, expected: Any) -> None:
    tx = lrjax.masked(_halving(), mask)
    updates, _ = tx.update(GRADS, tx.init(PARAMS), PARAMS)
    assert jax.tree.map(lambda u: float(u.ravel()[0]), updates) == expected


def test_masked_holds_no_state_where_the_mask_is_false() -> None:
    tx = lrjax.masked(lrjax.trace(0.5), {"layer": False, "head": True})
    state = tx.init(PARAMS)
    assert state.inner_state.trace["layer"] == lrjax.MaskedNode()
    assert [leaf.shape for leaf in jax.tree.leaves(state)] == [(2,)]
    for expected in (3.0, 4.5):
        updates, state = tx.update(GRADS, state)
        np.testing.assert_array_equal(updates["head"], [expected] * 2)
        np.testing.assert_array_equal(updates["layer"]["w"], GRADS["layer"]["w"])


def test_masked_hides_parameters_as_well() -> None:
    seen = []
    spy = lrjax.stateless(lambda updates, params: seen.append(params) or updates)
    tx = lrjax.masked(spy, {"layer": False, "head": True})
    tx.update(GRADS, tx.init(PARAMS), PARAMS)
    tx.update(GRADS, tx.init(PARAMS))
    assert seen[0]["layer"] == lrjax.MaskedNode()
    assert seen[0]["head"] is PARAMS["head"]
    assert seen[1] is None


def test_masked_refuses_what_is_no_prefix_and_what_is_no_transformation() -> None:
    with pytest.raises(ValueError, match="layer"):
        lrjax.masked(_halving(), {"other": True}).init(PARAMS)
    with pytest.raises(TypeError, match=r"must be a gradient transformation.*<function adam.*call it"):
        lrjax.masked(lrjax.adam, True)


def test_add_decayed_weights_adds_and_honours_its_mask() -> None:
    tx = lrjax.add_decayed_weights(0.25, mask={"layer": True, "head": False})
    updates, _ = tx.update(GRADS, tx.init(PARAMS), PARAMS)
    assert jax.tree.map(lambda u: float(u.ravel()[0]), updates) == {
        "layer": {"w": 3.25, "b": 3.25},
        "head": 3.0,
    }


@pytest.mark.parametrize(
    "tx",
    [lrjax.add_decayed_weights(0.1), lrjax.adamw(0.1), lrjax.lion(0.1), lrjax.adadelta(0.1)],
    ids=["add_decayed_weights", "adamw", "lion", "adadelta"],
)
def test_weight_decay_without_parameters_says_what_to_pass(tx: Any) -> None:
    with pytest.raises(ValueError, match="params") as error:
        tx.update(jnp.array(1.0), tx.init(jnp.array(1.0)))
    assert str(error.value) == (
        "`add_decayed_weights.update(params=...)` must be the parameters: weight decay needs them "
        "(`tx.update(grads, state, params)`), got None"
    )


def test_half_precision_weight_decay_rounds_the_sum_once() -> None:
    """256 + 1 + 0.5 in bfloat16: 257.5 is nearer to 258 than to 256; in two steps it stays 256."""
    params, grads = jnp.array([1.5], "bfloat16"), jnp.array([256.0], "bfloat16")
    tx = lrjax.add_decayed_weights(1.0)
    assert float(tx.update(grads, tx.init(params), params)[0][0]) == 258.0


def test_a_bfloat16_accumulator_is_rounded_once_per_step() -> None:
    tx = lrjax.trace(0.9, accumulator_dtype="bfloat16")
    state, m = tx.init(jnp.zeros(4)), np.zeros(4, jnp.bfloat16)
    for g in np.random.default_rng(3).normal(size=(20, 4)).astype(np.float32):
        updates, state = tx.update(jnp.asarray(g), state)
        total = g.astype(np.float64) + 0.9 * m.astype(np.float64)
        np.testing.assert_allclose(updates, total, rtol=1e-6, atol=1e-6)
        m = np.asarray(total, jnp.bfloat16)
        assert state.trace.dtype == jnp.bfloat16
        np.testing.assert_array_equal(state.trace, m)


# Precision of what is shared.

STEPS = np.unique(np.round(np.geomspace(1, 1_000_000, 3000)).astype(np.int32))


@pytest.mark.parametrize("base", [0.5, 0.9, 0.99, 0.999, 0.9999])
def test_bias_correction_has_its_digits_at_every_step(base: float) -> None:
    expected = -np.expm1(STEPS * math.log(base))
    actual = jax.vmap(lambda t: _tree.one_minus_power(base, t))(jnp.asarray(STEPS))
    assert actual.dtype == jnp.float32
    np.testing.assert_allclose(actual, expected, rtol=1e-6)


@pytest.mark.parametrize("base", [0.5, 0.9, 0.99, 0.999, 0.9999])
def test_bias_correction_of_a_tracer_is_that_of_its_float32_value(base: float) -> None:
    expected = -np.expm1(STEPS * np.log(np.float64(np.float32(base))))
    actual = jax.jit(jax.vmap(_tree.one_minus_power, (None, 0)))(jnp.float32(base), jnp.asarray(STEPS))
    np.testing.assert_allclose(actual, expected, rtol=1e-6)


@pytest.mark.parametrize(
    "base", [0.9999, np.float64(0.9999), np.array(0.9999)], ids=["float", "float64", "array"]
)
def test_bias_correction_uses_every_digit_of_a_concrete_number(base: Any) -> None:
    """Were NumPy's 0.9999 rounded to float32 first, the first correction would be off by 1.7e-4."""
    np.testing.assert_allclose(_tree.one_minus_power(base, jnp.int32(1)), 1e-4, rtol=1e-6)


@pytest.mark.parametrize("base", [0, 0.0, np.array(0.0), jnp.float32(0.0)])
def test_bias_correction_of_no_memory_is_one(base: Any) -> None:
    assert float(_tree.one_minus_power(base, jnp.int32(1))) == 1.0


@pytest.mark.parametrize("kind", [float, np.float64, np.array], ids=["float", "float64", "0-d array"])
def test_first_step_of_adam_is_the_sign_for_every_kind_of_number(kind: Any) -> None:
    tx = lrjax.adam(kind(1.0), b1=kind(0.9), b2=kind(0.9999), eps=kind(0.0))
    updates, _ = tx.update(jnp.array([3.0, -0.01]), tx.init(jnp.zeros(2)))
    np.testing.assert_allclose(updates, [-1.0, 1.0], rtol=1e-6)


def test_counts_stop_at_the_largest_int32() -> None:
    last = np.iinfo(np.int32).max
    tx = lrjax.adam(0.1)
    adam, rate = tx.init(jnp.zeros(2))
    state = (adam._replace(count=jnp.int32(last)), rate)
    updates, (adam, _) = tx.update(jnp.ones(2), state)
    assert int(adam.count) == last
    assert np.all(np.isfinite(updates))


def test_tiny_half_precision_gradients_are_not_lost_in_their_squares() -> None:
    """1e-4 squared is 0 in float16; Adam's first step is the sign nevertheless."""
    grads = jnp.array([1e-4, -1e-4], "float16")
    tx = lrjax.adam(1.0)
    updates, _ = tx.update(grads, tx.init(jnp.zeros(2, "float16")))
    np.testing.assert_allclose(np.asarray(updates, np.float32), [-1.0, 1.0], rtol=1e-3)


# The rate's state: NaN stands for "no override" and must go nowhere else.


def test_the_unset_override_reaches_neither_updates_nor_gradients_with_respect_to_the_rate() -> None:
    def moved(rate: Any) -> Any:
        tx = lrjax.sgd(rate)
        return tx.update(jnp.array(3.0), tx.init(jnp.array(0.0)))[0]

    value, slope = jax.value_and_grad(moved)(0.5)
    assert (float(value), float(slope)) == (-1.5, -3.0)


def test_a_pinned_rate_is_the_only_one_that_gradients_see() -> None:
    def moved(base: Any, pinned: Any) -> Any:
        tx = lrjax.sgd(base)
        state = lrjax.set_learning_rate(tx.init(jnp.array(0.0)), pinned)
        return tx.update(jnp.array(3.0), state)[0]

    slopes = jax.grad(moved, argnums=(0, 1))(0.5, 0.25)
    assert [float(s) for s in slopes] == [0.0, -3.0]


def test_the_rates_state_is_three_float32_scalars_and_the_clock() -> None:
    state = lrjax.sgd(jnp.bfloat16(0.5)).init(jnp.zeros(2, "bfloat16"))[1]
    assert {x.dtype for x in (state.learning_rate, state.override, state.schedule_state.factor)} == {
        jnp.dtype("float32")
    }
    assert all(jnp.shape(x) == () for x in jax.tree.leaves(state))
    assert np.isnan(state.override)


@pytest.mark.parametrize("wrong", [math.nan, math.inf, jnp.float32(math.nan)])
def test_a_nan_cannot_be_pinned_by_mistake(wrong: Any) -> None:
    state = lrjax.sgd(0.5).init(jnp.array(0.0))
    with pytest.raises(ValueError, match=r"^`set_learning_rate\(learning_rate=\.\.\.\)` must be one finite"):
        lrjax.set_learning_rate(state, wrong)


# Wrong arguments: one line that names the call, the argument, what was expected and what came.

HALF_OPEN = "one number in [0, 1)"
CLOSED = "one number in [0, 1]"
NOT_NEGATIVE = "one number >= 0"
POSITIVE = "one number > 0"
FINITE = "one finite number"
ADAM_ARGUMENTS = {"b1": HALF_OPEN, "b2": HALF_OPEN, "eps": NOT_NEGATIVE, "eps_root": NOT_NEGATIVE}
RMS_ARGUMENTS = {"decay": HALF_OPEN, "eps": NOT_NEGATIVE, "initial_scale": NOT_NEGATIVE}
LION_ARGUMENTS = {"b1": CLOSED, "b2": CLOSED}
RSS_ARGUMENTS = {"initial_accumulator_value": NOT_NEGATIVE, "eps": NOT_NEGATIVE}
ADADELTA_ARGUMENTS = {"rho": HALF_OPEN, "eps": POSITIVE}
RATE = {"learning_rate": FINITE}
DECAY = {"weight_decay": NOT_NEGATIVE}
MOMENTUM = {"momentum": CLOSED}

# Call -> (numeric argument -> what it must be).
ARGUMENTS: dict[str, dict[str, str]] = {
    "sgd": {**RATE, **MOMENTUM},
    "rmsprop": {**RATE, **RMS_ARGUMENTS, **MOMENTUM},
    "adam": {**RATE, **ADAM_ARGUMENTS},
    "adamw": {**RATE, **ADAM_ARGUMENTS, **DECAY},
    "lion": {**RATE, **LION_ARGUMENTS, **DECAY},
    "adagrad": {**RATE, **RSS_ARGUMENTS},
    "adadelta": {**RATE, **ADADELTA_ARGUMENTS, **DECAY},
    "trace": {"decay": CLOSED},
    "scale_by_adam": ADAM_ARGUMENTS,
    "scale_by_rms": RMS_ARGUMENTS,
    "scale_by_stddev": RMS_ARGUMENTS,
    "scale_by_lion": {**LION_ARGUMENTS, "smooth_beta": POSITIVE},
    "scale_by_rss": RSS_ARGUMENTS,
    "scale_by_adadelta": ADADELTA_ARGUMENTS,
    "add_decayed_weights": DECAY,
    "scale_by_learning_rate": RATE,
}
# What a range excludes.
OUTSIDE = {
    HALF_OPEN: (-0.5, 1.0, 1.5),
    CLOSED: (-0.5, 1.5),
    NOT_NEGATIVE: (-1.0,),
    POSITIVE: (-1.0, 0.0),
    FINITE: (),
}
SWEEP_HINT = " (to train many values at once use `lrjax.sweep` or `jax.vmap`)"
# Value -> how the message ends.
NOT_A_NUMBER = [
    ("1e-3", "'1e-3'"),
    (True, "True"),
    (1j, "1j"),
    ([0.1], "[0.1]"),
    (jnp.ones(3), f"an array of shape (3,) and dtype float32{SWEEP_HINT}"),
    (np.ones((3,)), f"an array of shape (3,) and dtype float64{SWEEP_HINT}"),
    (np.array(True), "an array of shape () and dtype bool"),
]
EVERY_ARGUMENT = [
    pytest.param(call, argument, expected, id=f"{call}-{argument}")
    for call, arguments in ARGUMENTS.items()
    for argument, expected in arguments.items()
]


def _message(call: str, argument: str, value: Any, error: type[Exception]) -> str:
    """The message of calling with this one value wrong."""
    keywords = {"learning_rate": 0.1} if "learning_rate" in ARGUMENTS[call] else {}
    with pytest.raises(error) as raised:
        getattr(lrjax, call)(**{**keywords, argument: value})
    return str(raised.value)


def _takes_schedules(call: str) -> bool:
    return hasattr(getattr(lrjax, call), "__wrapped__")


@pytest.mark.parametrize(("call", "argument", "expected"), EVERY_ARGUMENT)
def test_a_number_out_of_range_is_refused_by_name(call: str, argument: str, expected: str) -> None:
    for value in (*OUTSIDE[expected], math.nan, math.inf, -math.inf):
        for kind in (float, np.float32, jnp.float32):
            message = _message(call, argument, kind(value), ValueError)
            assert message == f"`{call}({argument}=...)` must be {expected}, got {float(value)}"


@pytest.mark.parametrize(("call", "argument", "expected"), EVERY_ARGUMENT)
def test_what_is_not_one_number_is_refused_by_name(call: str, argument: str, expected: str) -> None:
    for value, got in NOT_A_NUMBER:
        message = _message(call, argument, value, TypeError)
        assert message == f"`{call}({argument}=...)` must be {expected}, got {got}"


@pytest.mark.parametrize(
    ("call", "argument", "expected"),
    [p for p in EVERY_ARGUMENT if p.values[1] != "learning_rate" and not _takes_schedules(p.values[0])],
)
def test_a_function_is_refused_where_a_number_belongs(call: str, argument: str, expected: str) -> None:
    message = _message(call, argument, math.sqrt, TypeError)
    assert message == f"`{call}({argument}=...)` must be {expected}, got <built-in function sqrt>"


@pytest.mark.parametrize(
    "call", sorted(c for c in ARGUMENTS if c not in ("adadelta", "scale_by_learning_rate"))
)
def test_none_is_no_number(call: str) -> None:
    for argument, expected in ARGUMENTS[call].items():
        if argument != "momentum":  # None there is "no momentum"
            message = _message(call, argument, None, TypeError)
            assert message == f"`{call}({argument}=...)` must be {expected}, got None"


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        ("sgd", "nesterov"),
        ("rmsprop", "nesterov"),
        ("rmsprop", "centered"),
        ("rmsprop", "eps_in_sqrt"),
        ("rmsprop", "bias_correction"),
        ("adam", "nesterov"),
        ("adamw", "nesterov"),
        ("scale_by_adam", "nesterov"),
        ("scale_by_rms", "eps_in_sqrt"),
        ("scale_by_stddev", "bias_correction"),
        ("scale_by_learning_rate", "flip_sign"),
    ],
)
def test_a_static_switch_must_be_a_bool(call: str, argument: str) -> None:
    for value, got in ((1, "1"), ("yes", "'yes'"), (None, "None")):
        message = _message(call, argument, value, TypeError)
        assert message == f"`{call}({argument}=...)` must be True or False (it is static), got {got}"


def test_an_unknown_mode_of_lion_is_told_the_known_ones() -> None:
    with pytest.raises(ValueError, match="mode") as error:
        lrjax.scale_by_lion(mode="soft")
    assert (
        str(error.value) == "`scale_by_lion(mode=...)` must be one of 'hard', 'smooth', 'refined', got 'soft'"
    )


@pytest.mark.parametrize(("call", "argument", "expected"), EVERY_ARGUMENT)
def test_tracers_pass_every_check_but_that_of_their_shape(call: str, argument: str, expected: str) -> None:
    keywords = {"learning_rate": 0.1} if "learning_rate" in ARGUMENTS[call] else {}

    def make(value: Any) -> Any:
        getattr(lrjax, call)(**{**keywords, argument: value})
        return value

    jax.eval_shape(make, jax.ShapeDtypeStruct((), jnp.float32))
    with pytest.raises(TypeError, match=r"shape \(3,\)"):
        jax.eval_shape(make, jax.ShapeDtypeStruct((3,), jnp.float32))
    assert expected


def test_masked_hides_extra_keywords_shaped_like_the_updates_on_request():
    seen = []

    def update(updates, state, params=None, **extra):
        seen.append(extra)
        return updates, state

    inner = lrjax.GradientTransformation(lambda params: (), update)
    tree = {"w": 1.0, "b": 2.0}
    for compatible in (False, True):
        tx = lrjax.masked(inner, {"w": True, "b": False}, mask_compatible_extra_args=compatible)
        tx.update(tree, tx.init(tree), tags={"w": "kernel", "b": "bias"}, value=0.5)
    assert seen[0] == {"tags": {"w": "kernel", "b": "bias"}, "value": 0.5}
    assert seen[1] == {"tags": {"w": "kernel", "b": lrjax.MaskedNode()}, "value": 0.5}
