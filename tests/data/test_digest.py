"""A digest tells one source of data from another, and is the same in every process."""

import os
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrjax
from lrjax.data import FromIterable

X = np.arange(12, dtype=np.float32).reshape(6, 2)
TABLE = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)


def noise(step, seed_index):
    key = jax.random.fold_in(jax.random.key(seed_index), step)
    return {"x": jax.random.normal(key, (4,)), "y": jnp.asarray(TABLE)[step] @ jnp.ones(3)}


class Own(lrjax.Data):
    """A source that somebody wrote who knows only what must be written."""

    per_seed = False
    on_device = False

    def __init__(self, factor=1):
        self.factor = factor

    def schedule(self, start, length, seed_indices):
        return self.factor * np.arange(start, start + length)

    def gather(self, arrays, selected):
        return selected


def reordered(step, seed_index):
    made = noise(step, seed_index)
    return {"y": made["x"], "x": made["y"]}


SOURCES = {
    "batches": lambda: lrjax.batches(X, 2),
    "another seed": lambda: lrjax.batches(X, 2, seed=1),
    "another size": lambda: lrjax.batches(X, 3),
    "another number": lambda: lrjax.batches(np.where(X == 5, -5, X), 2),
    "another dtype": lambda: lrjax.batches(X.view(np.int32), 2),
    "another shape": lambda: lrjax.batches(X.reshape(6, 1, 2), 2),
    "another structure": lambda: lrjax.batches({"x": X}, 2),
    "another name": lambda: lrjax.batches({"y": X}, 2),
    "half": lambda: lrjax.batches(jnp.asarray(X, jnp.bfloat16), 2),
    "traced": lambda: lrjax.from_function(noise, on_device=True),
    "traced, another constant": lambda: lrjax.from_function(lambda s, i: noise(s + 1, i), on_device=True),
    "traced, other names": lambda: lrjax.from_function(reordered, on_device=True),
    "traced, of the step": lambda: lrjax.from_function(lambda s: noise(s, 0), on_device=True),
    "host": lambda: lrjax.from_function(noise, on_device=False),
    "host, another seed": lambda: lrjax.from_function(lambda s, i: noise(s, 2 * i), on_device=False),
    "host, of the step": lambda: lrjax.from_function(lambda s: s + 5, on_device=False),
    "iterable": lambda: FromIterable([X, -X]),
    "iterable, another": lambda: FromIterable([-X, X]),
    "cached": lambda: lrjax.cached([X, -X], steps=2),
    "cached, more": lambda: lrjax.cached([X, -X], steps=3),
    "cached, the last differs": lambda: lrjax.cached([X, X], steps=2),
    "one's own": Own,
    "one's own, another": lambda: Own(2),
}


@pytest.fixture(scope="module")
def digests():
    return {name: make().digest() for name, make in SOURCES.items()}


def test_digests_differ(digests):
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in digests.values())
    assert len(set(digests.values())) == len(SOURCES)


def test_digests_are_the_same_again(digests):
    assert {name: make().digest() for name, make in SOURCES.items()} == digests
    data = SOURCES["iterable"]()
    data.schedule(0, 5, (0,))
    assert data.digest() == digests["iterable"]


def test_digests_are_the_same_in_another_process(digests):
    code = (
        "from tests.data.test_digest import SOURCES\n"
        "for name, make in SOURCES.items(): print(name, make().digest(), sep=': ')"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "4321"}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env=environment
    )
    assert result.returncode == 0, result.stderr
    assert dict(line.split(": ") for line in result.stdout.splitlines()) == digests


def test_what_runs_on_the_host_is_told_by_its_batches():
    assert Own().digest() == lrjax.from_function(lambda step: np.int64(step), on_device=False).digest()


def test_what_a_function_is_called_does_not_matter(digests):
    def called_otherwise(t, number):
        return noise(t, number)

    assert lrjax.from_function(called_otherwise, on_device=True).digest() == digests["traced"]
    with jax.default_matmul_precision("bfloat16"):
        assert SOURCES["traced"]().digest() == digests["traced"]


def test_numbers_that_a_function_closes_over():
    def over(table):
        return lrjax.from_function(lambda step: jnp.asarray(table)[step], on_device=True).digest()

    changed = TABLE.copy()
    changed[39, 2] += 1
    assert over(TABLE) != over(changed)
    assert over(TABLE) == over(TABLE.copy())


def test_an_address_in_a_structure_is_no_part_of_it():
    @jax.tree_util.register_pytree_node_class
    class Node:
        def __init__(self, leaf):
            self.leaf, self.mark = leaf, object()

        def tree_flatten(self):
            return (self.leaf,), self.mark

        @classmethod
        def tree_unflatten(cls, mark, leaves):
            return cls(leaves[0])

    assert lrjax.batches(Node(X), 2).digest() == lrjax.batches(Node(X), 2).digest()
