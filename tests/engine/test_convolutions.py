"""Convolutions in canonical layout: the same values and gradients, and none left in another layout."""

import functools
import re

import chex
import jax
import jax.custom_batching
import jax.extend.core as jex
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec

from lrjax.engine._canonical import canonical

NAMES = {2: "NC", 3: "NCH", 4: "NCHW", 5: "NCHWD"}


def layouts(lowered):
    """The dimension numbers of all convolutions that XLA is given, however deep."""
    return re.findall(r"dim_numbers = (\[.*?\]x\[.*?\]->\[.*?\])", lowered.as_text())


def lower(function, *args):
    return jax.jit(function).lower(*args)


def is_canonical(layout):
    *space, _ = layout.partition("]")[0][1:].split(", ")[1:]
    around = ", ".join(["b", *space, "f"])
    inside = ", ".join([*space, "i", "o"])
    return space == [str(i) for i in range(len(space))] and layout == f"[{around}]x[{inside}]->[{around}]"


def assert_rewritten(function, *args, tolerance=1e-5):
    """The same result as before from a valid program with canonical convolutions only."""
    new = canonical(function)
    jex.check_jaxpr(jax.make_jaxpr(new)(*args).jaxpr)
    before, after = lower(function, *args), lower(new, *args)
    assert not all(map(is_canonical, layouts(before)))
    assert len(layouts(before)) == len(layouts(after))
    assert all(map(is_canonical, layouts(after))), layouts(after)
    assert before.out_info == after.out_info
    assert_close(before.compile()(*args), after.compile()(*args), tolerance)


def assert_close(expected, actual, tolerance=1e-5):
    chex.assert_trees_all_equal_dtypes(expected, actual)
    scale = max(np.abs(np.asarray(x, np.float64)).max() for x in jax.tree.leaves(expected))
    chex.assert_trees_all_close(expected, actual, rtol=tolerance, atol=tolerance * scale)


def operand(shape, numbers, names, seed):
    """An array of a shape given in the order of `names`, laid out in the order of `numbers`."""
    sizes = dict(zip(names, shape, strict=True))
    return normal([sizes[name] for name in numbers], seed)


def normal(shape, seed):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


# lhs and rhs shapes as N, C, space and O, I, space; then what conv_general_dilated is told.
CASES = {
    "1d": ((4, 6, 9), (8, 6, 3), ("NCH", "OIH", "NCH"), {}),
    "1d, mixed": ((4, 6, 9), (8, 6, 3), ("HNC", "IHO", "CNH"), {"window_strides": (2,), "padding": "SAME"}),
    "2d": ((4, 6, 7, 8), (8, 6, 3, 2), ("NCHW", "OIHW", "NCHW"), {"padding": "SAME"}),
    "2d, kernel only": ((4, 6, 7, 8), (8, 6, 3, 2), ("NHWC", "OHWI", "NHWC"), {}),
    "2d, output only": ((4, 6, 7, 8), (8, 6, 3, 2), ("NHWC", "HWIO", "CNHW"), {"window_strides": (1, 2)}),
    "2d, space swapped": ((4, 6, 7, 8), (8, 6, 3, 2), ("NWHC", "HWIO", "NHWC"), {}),
    "2d, strided": (
        (4, 6, 7, 8),
        (8, 6, 3, 2),
        ("CWNH", "WOHI", "HCWN"),
        {"window_strides": (2, 2), "padding": ((1, 2), (0, 1))},
    ),
    "2d, lhs dilated": ((2, 4, 5, 4), (4, 4, 3, 3), ("NCHW", "OIHW", "NCHW"), {"lhs_dilation": (2, 3)}),
    "2d, gaps": (
        (2, 4, 2, 2),
        (4, 4, 3, 3),
        ("NCHW", "OIHW", "NCHW"),
        {"lhs_dilation": (2, 2), "padding": ((2, 1), (2, 1))},
    ),
    "2d, gaps on one side": (
        (2, 4, 5, 2),
        (4, 4, 3, 4),
        ("NHWC", "HWOI", "NCHW"),
        {"lhs_dilation": (1, 3), "padding": ((-1, 1), (3, -1)), "window_strides": (2, 1)},
    ),
    "2d, rhs dilated": ((2, 4, 9, 8), (4, 4, 3, 2), ("NCHW", "HWIO", "NHWC"), {"rhs_dilation": (2, 3)}),
    "2d, feature groups": (
        (2, 12, 5, 5),
        (12, 4, 3, 3),
        ("NCHW", "OIHW", "NCHW"),
        {"feature_group_count": 3},
    ),
    "2d, batch groups": ((12, 4, 5, 5), (12, 4, 3, 3), ("CHWN", "IHWO", "HWNC"), {"batch_group_count": 3}),
    "3d": ((2, 4, 5, 4, 6), (4, 4, 2, 3, 2), ("NCHWD", "OIHWD", "NCHWD"), {"window_strides": (1, 2, 1)}),
    "3d, all at once": (
        (4, 8, 5, 6, 7),
        (8, 4, 2, 3, 2),
        ("DNHCW", "OWHID", "HWCDN"),
        {
            "window_strides": (2, 1, 1),
            "padding": ((1, 0), (2, 1), (0, 3)),
            "lhs_dilation": (1, 2, 1),
            "rhs_dilation": (2, 1, 2),
            "feature_group_count": 2,
        },
    ),
    "no space": ((4, 6), (8, 6), ("CN", "OI", "NC"), {}),
}


@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_are_the_same(case):
    lhs_shape, rhs_shape, numbers, told = CASES[case]
    space = NAMES[len(lhs_shape)][2:]
    lhs = operand(lhs_shape, numbers[0], "NC" + space, 0)
    rhs = operand(rhs_shape, numbers[1], "OI" + space, 1)
    told = {"window_strides": (1,) * len(space), "padding": ((0, 0),) * len(space)} | told
    convolve = functools.partial(jax.lax.conv_general_dilated, dimension_numbers=numbers, **told)
    cotangent = normal(jax.eval_shape(convolve, lhs, rhs).shape, 2)

    def value_and_gradients(lhs, rhs, cotangent):
        value, gradients = jax.vjp(convolve, lhs, rhs)
        return value, gradients(cotangent)

    assert_rewritten(value_and_gradients, lhs, rhs, cotangent)


@pytest.mark.parametrize(
    ("dtype", "preferred"),
    [("bfloat16", "float32"), ("float16", None), ("int8", "int32"), ("complex64", None)],
)
def test_types_are_kept(dtype, preferred):
    lhs = operand((2, 4, 5, 5), "NCHW", "NCHW", 0).astype(dtype)
    rhs = operand((4, 4, 3, 3), "OIHW", "OIHW", 1).astype(dtype)

    def convolve(lhs, rhs):
        y = jax.lax.conv_general_dilated(lhs, rhs, (1, 1), "SAME", preferred_element_type=preferred)
        return jnp.abs(y)

    assert_rewritten(convolve, lhs, rhs, tolerance=4e-3 if dtype == "float16" else 1e-5)


IMAGES = operand((2, 4, 6, 6), "NHWC", "NCHW", 0)
KERNEL = operand((4, 4, 3, 3), "HWIO", "OIHW", 1) / 6
MESH = jax.make_mesh((1,), ("devices",), axis_types=(AxisType.Auto,))


def convolve(images, kernel):
    return jax.lax.conv_general_dilated(
        images, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def loss(kernel, images):
    return jnp.tanh(convolve(images, kernel)).var()


def step(kernel):
    """A step of training, whose gradients are not canonical."""
    return kernel - 0.1 * jax.grad(loss)(kernel, IMAGES)


def scan(step, x):
    return jax.lax.scan(lambda x, scale: (step(x) * scale, x.sum()), x, jnp.array([0.5, 1], jnp.float32))


def while_loop(step, x):
    return jax.lax.while_loop(
        lambda c: step(c[1]).sum() + c[0] < 1e3, lambda c: (c[0] + 500, step(c[1])), (0, x)
    )


def custom_jvp(step, x):
    function = jax.custom_jvp(step)
    function.defjvps(lambda t, out, x: t)
    return function(x)


def custom_vjp(step, x):
    function = jax.custom_vjp(step)
    function.defvjp(lambda x: (step(x), None), lambda _, g: (g,))
    return function(x)


def custom_vmap(step, x):
    function = jax.custom_batching.custom_vmap(step)
    function.def_vmap(lambda _, batched, x: (jax.lax.map(step, x), batched[0]))
    return function(x)


def linear_solve(step, x):
    def scaled(v):
        return v + 0.01 * convolve(IMAGES, jnp.swapaxes(v, 0, 1)).sum()

    return jax.lax.custom_linear_solve(scaled, step(x), lambda matvec, b: b - matvec(step(b)), symmetric=True)


def sharded(step, x, **told):
    spec = PartitionSpec("devices")
    mapped = jax.shard_map(
        lambda x: jax.lax.psum(step(x[0]), "devices"),
        mesh=MESH,
        in_specs=spec,
        out_specs=PartitionSpec(),
        **told,
    )
    return mapped(x[None])


def nested(step, x):
    def body(_, x):
        return jax.lax.cond(x.sum() > 0, jax.jit(jax.checkpoint(step)), lambda x: custom_vjp(step, x), x)

    return jax.jit(lambda x, n: jax.lax.fori_loop(0, n, body, x))(x, 2)


PLACES = {
    "outside": lambda step, x: step(x),
    "jit": lambda step, x: jax.jit(jax.jit(step))(x),
    "scan": scan,
    "map": lambda step, x: jax.lax.map(step, jnp.stack([x, 2 * x])),
    "while": while_loop,
    "cond": lambda step, x: jax.lax.cond(x.sum() > 0, step, lambda x: 2 * step(x), x),
    "switch": lambda step, x: jax.lax.switch(x.shape[0] - 2, [jnp.sin, step, lambda x: step(step(x))], x),
    "custom_jvp": custom_jvp,
    "custom_vjp": custom_vjp,
    "custom_vmap": custom_vmap,
    "checkpoint": lambda step, x: jax.checkpoint(step)(x),
    "linear solve": linear_solve,
    "shard_map": sharded,
    "shard_map, unchecked": functools.partial(sharded, check_vma=False),
    "vmap": lambda step, x: jax.vmap(step)(jnp.stack([x, 2 * x])),
    "nested": nested,
}


@pytest.mark.parametrize("place", PLACES)
def test_convolutions_are_found_wherever_they_are(place):
    assert_rewritten(functools.partial(PLACES[place], step), KERNEL)


@pytest.mark.parametrize(
    "place", ["scan", "checkpoint", "custom_jvp", "custom_vjp", "cond", "shard_map", "vmap"]
)
def test_gradients_through_a_place_are_rewritten(place):
    def outer(kernel):
        out = PLACES[place](lambda kernel: kernel + convolve(IMAGES, kernel).mean(), kernel)
        return sum(leaf.sum() for leaf in jax.tree.leaves(out))

    def gradient(kernel):
        return jax.grad(lambda kernel: outer(kernel) + loss(kernel, IMAGES))(kernel)

    assert_rewritten(gradient, KERNEL)


def test_it_can_be_differentiated_itself():
    function = canonical(jax.grad(loss))
    expected = jax.jvp(lambda w: jax.grad(loss)(w, IMAGES), (KERNEL,), (KERNEL,))
    actual = jax.jvp(lambda w: function(w, IMAGES), (KERNEL,), (KERNEL,))
    assert_close(expected, actual)


def test_it_works_inside_vmap_and_scan_with_what_they_trace_in_its_closure():
    def run(rewrite):
        def member(rate, kernel):
            def body(kernel, scale):
                def one(kernel):
                    return kernel - rate * scale * jax.grad(loss)(kernel, IMAGES)

                return rewrite(one)(kernel), None

            return jax.lax.scan(body, kernel, jnp.ones(2, jnp.float32))[0]

        return jax.vmap(member)

    args = (jnp.array([0.1, 0.2], jnp.float32), jnp.stack([KERNEL, -KERNEL]))
    before, after = lower(run(lambda function: function), *args), lower(run(canonical), *args)
    assert not all(map(is_canonical, layouts(before)))
    assert all(map(is_canonical, layouts(after)))
    assert_close(before.compile()(*args), after.compile()(*args))


def test_it_works_inside_a_named_axis():
    def mean_step(kernel):
        return jax.lax.pmean(step(kernel), "members")

    kernels = jnp.stack([KERNEL, -KERNEL])
    expected = jax.vmap(mean_step, axis_name="members")(kernels)
    actual = jax.vmap(canonical(mean_step), axis_name="members")(kernels)
    assert_close(expected, actual)


def test_trees_keywords_and_scalars_pass():
    def function(state, *, images, scale):
        key, new = jax.random.split(state["key"])
        kernel = state["kernel"] - scale * jax.grad(loss)(state["kernel"], images)
        return {"key": new, "kernel": kernel, "none": None}, (scale, key)

    dtype = jax.dtypes.canonicalize_dtype(np.float64)  # what JAX makes of NumPy's
    images = IMAGES.astype(dtype)
    state = {"key": jax.random.key(0), "kernel": np.asarray(KERNEL, np.float64), "none": None}
    expected = function(state, images=images, scale=0.5)
    actual = canonical(function)(state, images=images, scale=0.5)
    assert jax.tree.structure(expected) == jax.tree.structure(actual)
    assert actual[0]["kernel"].dtype == dtype
    np.testing.assert_allclose(expected[0]["kernel"], actual[0]["kernel"], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(jax.random.key_data(expected[1][1]), jax.random.key_data(actual[1][1]))


def test_a_function_without_convolutions_is_called_as_it_is():
    x = np.ones(3)
    assert canonical(lambda x: x)(x) is x
    for function in (jnp.sin, jax.jit(jnp.sin), lambda x: jax.lax.map(jnp.sin, x)):
        assert str(jax.make_jaxpr(canonical(function))(x)) == str(jax.make_jaxpr(function)(x))


def test_a_canonical_convolution_is_left_as_it_is():
    def function(kernel):
        return jax.lax.fori_loop(0, 3, lambda _, kernel: kernel + convolve(IMAGES, kernel).mean(), kernel)

    assert str(jax.make_jaxpr(canonical(function))(KERNEL)) == str(jax.make_jaxpr(function)(KERNEL))


@pytest.mark.parametrize(("groups", "left"), [(8, True), (4, True), (2, False), (1, False)])
def test_groups_of_few_features_are_left_as_they_are(groups, left):
    images = operand((2, 8, 5, 5), "NCHW", "NCHW", 0)
    kernel = operand((8, 8 // groups, 3, 3), "OIHW", "OIHW", 1)

    def function(images, kernel):
        return jax.lax.conv_general_dilated(images, kernel, (1, 1), "SAME", feature_group_count=groups)

    (layout,) = layouts(lower(canonical(function), images, kernel))
    assert is_canonical(layout) != left


@pytest.mark.parametrize(
    ("length", "gaps", "groups", "filled"),
    [(2, 2, 1, True), (3, 2, 1, False), (2, 1, 1, False), (2, 2, 2, False), (4, 2, 1, False)],
)
def test_gaps_are_filled_where_the_kernel_is_longer_than_the_input(length, gaps, groups, filled):
    images, kernel = normal((2, length, length, 8), 0), normal((3, 3, 8 // groups, 8), 1)

    def function(images, kernel):
        return jax.lax.conv_general_dilated(
            images,
            kernel,
            (1, 1),
            ((2, 1), (2, 1)),
            lhs_dilation=(gaps, gaps),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=groups,
        )

    before, after = (lower(f, images, kernel) for f in (function, canonical(function)))
    assert (before.as_text() == after.as_text()) == (not filled)
    dilated = re.findall(r"lhs_dilate = \[(\d)", after.as_text())
    assert dilated == ["1" if filled else str(gaps)]
    assert_close(before.compile()(images, kernel), after.compile()(images, kernel))


def test_what_is_explicitly_sharded_is_left_as_it_is():
    mesh = jax.make_mesh((1,), ("devices",), axis_types=(AxisType.Explicit,))
    kernel = jnp.moveaxis(KERNEL, 2, 0)

    def function(images, kernel):
        numbers = ("NHWC", "IHWO", "NHWC")
        return jax.lax.conv_general_dilated(images, kernel, (1, 1), "SAME", dimension_numbers=numbers)

    with jax.set_mesh(mesh):
        images = jax.device_put(IMAGES, PartitionSpec("devices"))
        assert str(jax.make_jaxpr(canonical(function))(images, kernel)) == str(
            jax.make_jaxpr(function)(images, kernel)
        )


def test_what_is_shared_stays_shared():
    shared = jax.jit(step)
    closed = jax.make_jaxpr(canonical(lambda kernel: shared(shared(kernel))))(KERNEL)
    first, second = (eqn.params["jaxpr"] for eqn in closed.eqns if "jaxpr" in eqn.params)
    assert first is second


def test_names_and_documentation_stay():
    assert canonical(step).__name__ == "step"
    assert canonical(functools.partial(loss, KERNEL))(IMAGES) == loss(KERNEL, IMAGES)
