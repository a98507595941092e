"""What is found in a program: against XLA's own count of operations, and against what `vmap` accepts."""

import jax
import jax.extend.core as jex
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import io_callback
from jax.sharding import AxisType, PartitionSpec

from lrjax.engine._inspect import inspect

X = jnp.ones((4, 3), jnp.float32)
MESH = jax.make_mesh((1,), ("devices",), axis_types=(AxisType.Auto,))


def found(function, *args):
    return inspect(jax.make_jaxpr(function)(*args))


def convolve(images, kernel, **told):
    told = {"window_strides": (1, 1), "padding": "VALID"} | told
    return jax.lax.conv_general_dilated(images, kernel, **told)


PRODUCTS = {
    "matrices": (lambda x, y: x @ y, (4, 3), (3, 5)),
    "batches": (lambda x, y: jnp.einsum("bij,bkj->bik", x, y), (2, 4, 3), (2, 5, 3)),
    "two contracted": (lambda x, y: jnp.tensordot(x, y, 2), (2, 4, 3), (4, 3, 5)),
    "vectors": (jnp.dot, (7,), (7,)),
    "convolution": (convolve, (2, 4, 6, 6), (5, 4, 3, 3)),
    "strided": (lambda x, y: convolve(x, y, window_strides=(2, 2)), (2, 4, 7, 7), (5, 4, 3, 3)),
    "other layout": (
        lambda x, y: convolve(x, y, dimension_numbers=("NHWC", "HWIO", "NHWC")),
        (2, 6, 6, 4),
        (3, 3, 4, 5),
    ),
    "feature groups": (lambda x, y: convolve(x, y, feature_group_count=2), (2, 4, 6, 6), (6, 2, 3, 3)),
    "batch groups": (lambda x, y: convolve(x, y, batch_group_count=2), (4, 4, 6, 6), (6, 4, 3, 3)),
}


@pytest.mark.parametrize("product", PRODUCTS)
def test_flops_of_products_are_what_xla_counts(product):
    function, *shapes = PRODUCTS[product]
    args = [jnp.ones(shape) for shape in shapes]
    assert found(function, *args).flops == jax.jit(function).lower(*args).cost_analysis()["flops"]


def test_other_equations_count_one_flop_per_element_and_what_they_read_and_write():
    findings = found(lambda x: jnp.sin(x) + 1, X)
    assert findings.flops == 12 + 12
    assert findings.bytes == 4 * ((12 + 12) + (12 + 1 + 12))
    assert findings.equations == 2


def test_types_count_with_their_bytes():
    assert found(lambda x: -x, X.astype(jnp.bfloat16)).bytes == 2 * (12 + 12)
    assert found(jax.random.key_data, jax.random.split(jax.random.key(0), 3)).bytes == 8 * 3 + 4 * 6


def square(x):
    """54 flops in one equation, for a 3x3 matrix."""
    return jax.lax.dot_general(x, x, (((1,), (1,)), ((), ())))


def scan(function, x, length):
    return jax.lax.scan(lambda x, _: (function(x), None), x, length=length)[0]


def custom_jvp(function, x):
    function = jax.custom_jvp(function)
    function.defjvps(lambda t, out, x: t)
    return function(x)


def custom_vjp(function, x):
    function = jax.custom_vjp(function)
    function.defvjp(lambda x: (x, x), lambda x, g: (g,))
    return function(x)


def linear_solve(function, x):
    return jax.lax.custom_linear_solve(lambda v: v, x, lambda _, b: function(b))


def sharded(function, x):
    return jax.shard_map(function, mesh=MESH, in_specs=PartitionSpec(), out_specs=PartitionSpec())(x)


# A place, its flops, and its equations.
PLACES = {
    "outside": (square, 54, 1),
    "jit": (lambda x: jax.jit(jax.jit(square))(x), 54, 3),
    "called twice": (lambda x: jax.jit(square)(jax.jit(square)(x)), 108, 4),
    "scan": (lambda x: scan(square, x, 5), 5 * 54, 2),
    "scan in scan": (lambda x: scan(lambda x: scan(square, x, 5), x, 3), 15 * 54, 3),
    "checkpoint": (lambda x: jax.checkpoint(square)(x), 54, 2),
    "custom_jvp": (lambda x: custom_jvp(square, x), 54, 2),
    "custom_vjp": (lambda x: custom_vjp(square, x), 54, 2),
    "linear solve": (lambda x: linear_solve(square, x), 54, 2),
    "shard_map": (lambda x: sharded(square, x), 54, 2),
    "while, as if it ran once": (lambda x: jax.lax.while_loop(lambda x: x[0, 0] > 0, square, x), 54 + 3, 5),
    "cond, its costliest branch": (
        lambda x: jax.lax.cond(True, lambda x: square(square(x)), square, x),
        108,
        4,
    ),
}


@pytest.mark.parametrize("place", PLACES)
def test_nested_programs_are_walked(place):
    function, flops, equations = PLACES[place]
    findings = found(function, jnp.ones((3, 3)))
    assert (findings.flops, findings.equations) == (flops, equations)


def test_bytes_are_those_of_the_innermost_equations():
    moved = 4 * (9 + 9 + 9)
    assert found(lambda x: scan(jax.jit(square), x, 5), jnp.ones((3, 3), jnp.float32)).bytes == 5 * moved


INDICES, UPDATES = jnp.zeros((1, 1), jnp.int32), jnp.ones((1, 3), jnp.float32)
ROWS = jax.lax.ScatterDimensionNumbers((1,), (0,), (0,))


def combine(a, b):
    return a * b + 1


# An operation, the elements it reads, and those it writes.
COMBINERS = {
    "reduce": (lambda x: jax.lax.reduce(x, 1.0, combine, (0,)), 12 + 1, 3),
    "reduce_window": (
        lambda x: jax.lax.reduce_window(x, 1.0, combine, (2, 2), (1, 1), "VALID"),
        12 + 1,
        6,
    ),
    "scatter": (lambda x: jax.lax.scatter_add(x, INDICES, UPDATES, ROWS), 12 + 1 + 3, 12),
}


@pytest.mark.parametrize("combiner", COMBINERS)
def test_an_operation_with_a_scalar_function_counts_as_an_operation_on_arrays(combiner):
    function, read, written = COMBINERS[combiner]
    findings = found(function, X)
    assert (findings.flops, findings.bytes, findings.equations) == (written, 4 * (read + written), 1)


def test_convolutions_are_counted_where_they_are_written():
    images, kernel = jnp.ones((2, 4, 6, 6)), jnp.ones((4, 4, 3, 3))

    def step(kernel):
        return kernel - jax.grad(lambda kernel: jnp.tanh(convolve(images, kernel)).sum())(kernel)

    assert found(step, kernel).convolutions == 2
    assert found(lambda kernel: scan(step, kernel, 10), kernel).convolutions == 2
    assert (
        found(lambda kernel: jax.lax.cond(True, step, lambda x: step(step(x)), kernel), kernel).convolutions
        == 6
    )
    assert found(jnp.sin, kernel).convolutions == 0


def test_contractions_that_can_be_made_one_are_counted():
    def loss(weights, x):
        return jnp.tanh(x @ weights).sum()

    weights, x = jnp.ones((4, 5)), jnp.ones((2, 3, 4))
    assert found(jax.grad(loss), weights, x).contractions == 1
    assert found(jax.grad(loss), weights, x[0]).contractions == 0
    assert found(loss, weights, x).contractions == 0


def pure(x, method):
    return jax.pure_callback(lambda x: x, x, x, vmap_method=method)


def io(x, ordered=False):
    return io_callback(lambda x: x, x, x, ordered=ordered)


def debug(x):
    jax.debug.callback(lambda x: None, x, ordered=True)
    return x


def show(x):
    jax.debug.print("{}", x)
    return x


# What calls the host, the primitive's name, and whether `vmap` refuses it.
CALLS = {
    "pure": (lambda x: pure(x, "sequential"), "pure_callback", False),
    "pure without a method": (lambda x: pure(x, None), "pure_callback", True),
    "io": (io, "io_callback", False),
    "io, ordered": (lambda x: io(x, ordered=True), "io_callback", True),
    "io in a branch": (lambda x: jax.lax.cond(x.sum() > 0, io, lambda x: x, x), "io_callback", True),
    "io in a loop": (lambda x: jax.lax.while_loop(lambda x: x.sum() < 0, io, x), "io_callback", True),
    "debug": (debug, "debug_callback", False),
    "debug in a branch": (
        lambda x: jax.lax.cond(x.sum() > 0, debug, lambda x: x, x),
        "debug_callback",
        False,
    ),
    "print": (show, "debug_print", False),
    "deep": (lambda x: scan(jax.jit(jax.checkpoint(debug)), x, 2), "debug_callback", False),
    "deep and ordered": (lambda x: jax.jit(lambda x: io(io(x, ordered=True)))(x), "io_callback", True),
}


@pytest.mark.parametrize("call", CALLS)
def test_calls_to_the_host_are_named_and_whether_vmap_refuses_them(call):
    function, name, refused = CALLS[call]
    findings = found(function, X[0])
    assert findings.callbacks == (name,)
    assert findings.unbatchable == ((name,) if refused else ())
    if refused:
        with pytest.raises(Exception, match=r"vmap|batched predicate"):
            jax.make_jaxpr(jax.vmap(function))(X)
    else:
        jax.make_jaxpr(jax.vmap(function))(X)


def test_a_foreign_function_without_a_method_for_vmap_is_named():
    def call(x, method):
        return jax.ffi.ffi_call("target", jax.ShapeDtypeStruct(x.shape, x.dtype), vmap_method=method)(x)

    assert found(lambda x: call(x, None), X).unbatchable == ("ffi_call",)
    assert found(lambda x: call(x, "sequential"), X).unbatchable == ()
    assert found(lambda x: call(x, None), X).callbacks == ()


def test_several_calls_are_named_once_each():
    findings = found(lambda x: show(debug(debug(pure(x, None)))), X)
    assert findings.callbacks == ("pure_callback", "debug_callback", "debug_print")
    assert findings.unbatchable == ("pure_callback",)


def test_pmap_is_a_shard_map_that_vmap_accepts():
    def function(x):
        return jax.pmap(lambda x: jax.lax.psum(x, "devices"), axis_name="devices")(x[None])

    assert found(function, X[0]).unbatchable == ()
    np.testing.assert_array_equal(jax.vmap(function)(X), X[:, None])


def test_an_empty_program_and_an_open_one():
    assert found(lambda x: x, X) == (0, 0, (), (), 0.0, 0.0, 0)
    closed = jax.make_jaxpr(jnp.sin)(X)
    assert isinstance(closed.jaxpr, jex.Jaxpr)
    assert inspect(closed.jaxpr) == inspect(closed)
