"""The checks of arguments: what they refuse, what they let pass, and how they say it."""

import math
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lrjax import _check

HINT = " (to train many values at once use `lrjax.sweep` or `jax.vmap`)"


def message_of(error):
    return str(error.value)


def test_the_form_of_a_message():
    text = "`adam(b1=...)` must be in [0, 1), got 1.5"
    for make, kind in ((_check.fail, ValueError), (_check.fail_type, TypeError)):
        error = make("adam", "b1", "in [0, 1)", 1.5)
        assert type(error) is kind
        assert str(error) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.5, "1.5"),
        ("a", "'a'"),
        (None, "None"),
        (np.ones((2, 3)), "an array of shape (2, 3) and dtype float64"),
        (jnp.ones(4, jnp.bfloat16), "an array of shape (4,) and dtype bfloat16"),
        (jnp.array(True), "an array of shape () and dtype bool"),
        ("x" * 58, "'" + "x" * 58 + "'"),
        ("x" * 59, "'" + "x" * 56 + "... (str)"),
        (list(range(100)), repr(list(range(100)))[:57] + "... (list)"),
    ],
)
def test_describe(value, text):
    assert _check.describe(value) == text


GOOD = [
    0.5,
    1,
    0,
    -3,
    np.float32(0.5),
    np.float64(0.5),
    np.int64(2),
    np.array(0.5),
    np.array(2),
    jnp.array(0.5),
    jnp.array(2),
    jnp.bfloat16(0.5),
    jnp.float16(0.5),
    jnp.uint8(3),
]


@pytest.mark.parametrize("value", GOOD, ids=repr)
def test_every_kind_of_number_passes(value):
    assert _check.number("call", "x", value) is None


@pytest.mark.parametrize(
    "value",
    [
        True,
        False,
        np.True_,
        np.array(True),
        jnp.array(False),
        1j,
        np.complex64(1),
        jnp.array(1j),
        "1",
        None,
        [1],
        {},
    ],
    ids=repr,
)
def test_what_is_no_number_is_refused(value):
    with pytest.raises(TypeError) as error:
        _check.number("call", "x", value)
    assert message_of(error) == f"`call(x=...)` must be one finite number, got {_check.describe(value)}"


@pytest.mark.parametrize("value", [np.ones(1), np.ones((2, 3)), jnp.ones(3), jnp.arange(2)], ids=repr)
def test_arrays_are_refused_with_the_hint(value):
    with pytest.raises(TypeError) as error:
        _check.number("call", "x", value, low=0, high=1)
    assert (
        message_of(error) == f"`call(x=...)` must be one number in [0, 1], got {_check.describe(value)}{HINT}"
    )


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, -math.inf, np.float32("nan"), jnp.array(jnp.inf)], ids=repr
)
def test_what_is_not_finite_is_refused(value):
    with pytest.raises(
        ValueError, match=r"^`call\(x=\.\.\.\)` must be one finite number, got (nan|inf|-inf)$"
    ):
        _check.number("call", "x", value)


@pytest.mark.parametrize(
    ("limits", "expected", "inside", "outside"),
    [
        (dict(low=0), "one number >= 0", (0, 0.0, 7), (-1, -1e-9)),
        (dict(low=0, open_low=True), "one number > 0", (1e-30, 7), (0, 0.0, -1)),
        (dict(high=1), "one number <= 1", (-9, 1), (1.5,)),
        (dict(high=1, open_high=True), "one number < 1", (-9, 0.999), (1, 1.0)),
        (dict(low=0, high=1), "one number in [0, 1]", (0, 1, 0.5), (-0.1, 1.1)),
        (dict(low=0, high=1, open_low=True), "one number in (0, 1]", (1, 0.5), (0, 1.1)),
        (dict(low=0, high=1, open_high=True), "one number in [0, 1)", (0, 0.5), (-0.1, 1)),
        (dict(low=0.5, high=2, open_low=True, open_high=True), "one number in (0.5, 2)", (1,), (0.5, 2)),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_ranges(limits, expected, inside, outside):
    for value in inside:
        for same in (value, np.float64(value), jnp.asarray(value)):
            _check.number("call", "x", same, **limits)
    for value in outside:
        for same in (value, np.float64(value)):
            with pytest.raises(ValueError, match="must be") as error:
                _check.number("call", "x", same, **limits)
            assert message_of(error) == f"`call(x=...)` must be {expected}, got {float(value)}"


def test_tracers_pass_whatever_their_value():
    seen = []

    def f(x):
        _check.number("call", "x", x, low=0, high=1)
        seen.append(_check.known(x))
        return x

    jax.jit(f)(5.0)
    jax.vmap(f)(jnp.array([5.0, -5.0]))
    jax.grad(f)(5.0)
    jax.lax.scan(lambda carry, x: (carry, f(x)), 0, jnp.array([5.0]))
    assert seen
    assert set(seen) == {None}


def test_the_shape_and_dtype_of_a_tracer_are_checked():
    def f(x):
        _check.number("call", "x", x)
        return x

    with pytest.raises(TypeError, match=r"one finite number, got an array of shape \(2,\).*lrjax\.sweep"):
        jax.jit(f)(jnp.ones(2))
    for value in (True, 1j):
        with pytest.raises(TypeError, match="one finite number, got an array of shape"):
            jax.jit(f)(value)


@pytest.mark.parametrize(("value", "want"), [(2, 2.0), (np.float64(0.5), 0.5), (jnp.array(3), 3.0)], ids=repr)
def test_known_is_a_python_float(value, want):
    got = _check.known(value)
    assert (type(got), got) == (float, want)


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), np.array(3), jnp.array(3)], ids=repr)
def test_integers_come_back_as_python_ints(value):
    got = _check.integer("call", "n", value, low=3)
    assert (type(got), got) == (int, 3)


@pytest.mark.parametrize(
    "value",
    [1.0, np.float32(1), jnp.array(1.0), True, np.True_, "1", None, np.arange(2), jnp.arange(2)],
    ids=repr,
)
def test_what_is_no_integer_is_refused(value):
    with pytest.raises(TypeError) as error:
        _check.integer("call", "n", value)
    assert message_of(error) == f"`call(n=...)` must be an integer >= 0, got {_check.describe(value)}"


def test_integers_too_small_are_refused():
    with pytest.raises(ValueError, match=r"^`call\(n=\.\.\.\)` must be an integer >= 3, got 2$"):
        _check.integer("call", "n", np.int64(2), low=3)


def test_a_traced_integer_is_refused_as_static():
    with pytest.raises(TypeError, match=r"^`call\(n=\.\.\.\)` must be an integer >= 0, got "):
        jax.jit(lambda n: _check.integer("call", "n", n))(3)


@pytest.mark.parametrize("value", [True, False, np.True_], ids=repr)
def test_bools_pass(value):
    assert _check.boolean("call", "flag", value) is None


@pytest.mark.parametrize("value", [0, 1, None, "yes", jnp.array(True), np.array(True)], ids=repr)
def test_what_is_no_bool_is_refused(value):
    with pytest.raises(TypeError) as error:
        _check.boolean("call", "flag", value)
    assert (
        message_of(error)
        == f"`call(flag=...)` must be True or False (it is static), got {_check.describe(value)}"
    )


def test_a_traced_bool_is_refused_as_static():
    with pytest.raises(
        TypeError, match=r"^`call\(flag=\.\.\.\)` must be True or False \(it is static\), got "
    ):
        jax.jit(lambda flag: _check.boolean("call", "flag", flag))(True)


def test_numbers_that_jax_cannot_hold_are_refused():
    with pytest.raises(
        TypeError, match=r"^`call\(x=\.\.\.\)` must be one finite number, got Fraction\(1, 2\)$"
    ):
        _check.number("call", "x", Fraction(1, 2))
