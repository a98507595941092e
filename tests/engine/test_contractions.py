"""Contractions over several dimensions: the same values from products over one, and what is left alone."""

import re

import chex
import jax
import jax.extend.core as jex
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec

from lrjax.engine import _contractions
from lrjax.engine._canonical import canonical

# Shapes of both operands and `einsum`'s letters; every one contracts over several dimensions.
REWRITTEN = {
    "a weight's gradient": ((2, 3, 4), (2, 3, 5), "bti,bto->io"),
    "three dimensions": ((2, 3, 2, 4), (2, 3, 2, 5), "abci,abco->io"),
    "in the middle": ((4, 2, 3, 6), (5, 2, 3), "iabj,oab->ijo"),
    "behind": ((4, 2, 3), (2, 3, 5), "iab,abo->io"),
    "a batch before": ((7, 2, 3, 4), (7, 2, 3, 5), "kbti,kbto->kio"),
    "a batch behind": ((2, 3, 4, 7), (2, 3, 7, 5), "btik,btko->kio"),
    "nothing left": ((2, 3), (2, 3), "ab,ab->"),
    "an empty one": ((2, 0, 4), (2, 0, 5), "bti,bto->io"),
}
LEFT = {
    "one dimension": ((2, 4), (4, 5), "ab,bc->ac"),
    "apart": ((2, 4, 3), (2, 5, 3), "aib,aob->io"),
    "in another order": ((2, 3, 4), (3, 2, 5), "abi,bao->io"),
    "none": ((2,), (3,), "a,b->ab"),
}


def operands(case):
    first, second, letters = case
    keys = jax.random.split(jax.random.key(0))
    x, y = (jax.random.normal(key, shape) for key, shape in zip(keys, (first, second), strict=True))
    return lambda x, y: product(letters, x, y), x, y


def product(letters, x, y):
    """The contraction as one equation: `einsum` itself may put transposes before it."""
    inputs, _, output = letters.partition("->")
    a, b = inputs.split(",")
    contracted = [letter for letter in a if letter in b and letter not in output]
    batch = [letter for letter in a if letter in b and letter in output]
    numbers = tuple(tuple(tuple(s.index(c) for c in axes) for s in (a, b)) for axes in (contracted, batch))
    return jax.lax.dot_general(x, y, numbers)


def contracted(lowered):
    """How many dimensions each contraction that XLA is given has."""
    found = re.findall(r"contracting_dims = \[([\d, ]*)\]", lowered.as_text())
    return [len(axes.split(",")) if axes else 0 for axes in found]


@pytest.mark.parametrize("name", REWRITTEN)
def test_it_becomes_a_product_over_one_dimension(name):
    function, x, y = operands(REWRITTEN[name])
    jex.check_jaxpr(jax.make_jaxpr(canonical(function))(x, y).jaxpr)
    before, after = (jax.jit(f).lower(x, y) for f in (function, canonical(function)))
    assert max(contracted(before)) > 1
    assert contracted(after) == [1]
    expected = np.einsum(REWRITTEN[name][2], np.float64(x), np.float64(y))
    np.testing.assert_allclose(after.compile()(x, y), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", LEFT)
def test_another_is_left_as_it_is(name):
    function, x, y = operands(LEFT[name])
    assert str(jax.make_jaxpr(canonical(function))(x, y)) == str(jax.make_jaxpr(function)(x, y))


@pytest.mark.parametrize("members", [None, 3])
def test_a_training_step_of_several_layers_keeps_its_values(members):
    def loss(params, x):
        for weights in params:
            x = jnp.tanh(x @ weights)
        return jnp.mean(x**2)

    def train(params, x):
        def step(params, _):
            return jax.tree.map(lambda p, g: p - 0.1 * g, params, jax.grad(loss)(params, x)), loss(params, x)

        return jax.lax.scan(step, params, length=4)

    shapes = [(6, 8), (8, 8), (8, 2)] if members is None else [(members, 6, 8), (members, 8, 2)]
    params = [jax.random.normal(jax.random.key(i), shape) for i, shape in enumerate(shapes)]
    x = jax.random.normal(jax.random.key(9), (2, 5, 3, 6))
    train = train if members is None else jax.vmap(train, (0, None))
    before, after = (jax.jit(f).lower(params, x) for f in (train, canonical(train)))
    assert set(contracted(before)) == {1, 3}
    assert set(contracted(after)) == {1}
    chex.assert_trees_all_close(after.compile()(params, x), before.compile()(params, x), rtol=1e-5, atol=1e-6)


def test_precision_and_type_of_the_result_stay():
    def function(x, y):
        numbers = (((0, 1), (0, 1)), ((), ()))
        return jax.lax.dot_general(x, y, numbers, precision="highest", preferred_element_type=jnp.float32)

    x, y = jnp.ones((2, 3, 4), jnp.bfloat16), jnp.ones((2, 3, 5), jnp.bfloat16)
    (product,) = [
        e for e in jax.make_jaxpr(canonical(function))(x, y).eqns if e.primitive.name == "dot_general"
    ]
    assert product.outvars[0].aval.dtype == jnp.float32
    assert product.params["precision"] == (jax.lax.Precision.HIGHEST,) * 2
    np.testing.assert_array_equal(canonical(function)(x, y), 6.0)


def test_what_is_explicitly_sharded_is_left_as_it_is():
    mesh = jax.make_mesh((1,), ("devices",), axis_types=(AxisType.Explicit,))
    function, x, y = operands(REWRITTEN["three dimensions"])
    with jax.set_mesh(mesh):
        x = jax.device_put(x, PartitionSpec(None, None, None, "devices"))
        assert str(jax.make_jaxpr(canonical(function))(x, y)) == str(jax.make_jaxpr(function)(x, y))


def test_whether_it_can_be_rewritten_is_told():
    for cases, several in ((REWRITTEN, True), (LEFT, False)):
        for case in cases.values():
            function, x, y = operands(case)
            (equation,) = jax.make_jaxpr(function)(x, y).eqns
            assert _contractions.is_several(equation) == several
    assert not _contractions.is_several(jax.make_jaxpr(jnp.sin)(1.0).eqns[0])
