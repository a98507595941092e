"""What a public function takes for data, and what it says of other things."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrjax
from lrjax.data import FromIterable, as_data, as_held_out

EXAMPLES, BATCH_SIZE = 10, 3


def generated():
    yield np.zeros(3)


def of_step(step):
    return {"x": step * 2, "y": step + 1}


class Tensor:
    """An array that can be iterated, of a library that is not known."""

    shape = (3,)

    def __iter__(self):
        return iter([1, 2, 3])


class Examples:
    """What PyTorch calls a map-style dataset."""

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return [1.0, 2.0][index]


def test_as_data_passes_data_through():
    data = lrjax.batches(np.arange(EXAMPLES), BATCH_SIZE)
    assert as_data("sweep", "data", data) is data


def test_as_data_makes_data_of_an_iterable_of_batches():
    data = as_data("sweep", "data", [np.zeros(3), np.ones(3)])
    assert isinstance(data, FromIterable)
    assert (data.per_seed, data.on_device, data.steps) == (False, False, None)
    np.testing.assert_array_equal(data(1), np.ones(3))
    with pytest.raises(
        ValueError, match=r"^`find\(batches=\.\.\.\)` must be an iterable of at least one batch"
    ):
        as_data("find", "batches", [])


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (np.zeros(3), "a ndarray .in-memory arrays: wrap them in `lrjax.batches`"),
        ((jnp.zeros(3), jnp.zeros(3)), "a tuple .in-memory arrays"),
        ({"x": np.zeros(3)}, "a dict .in-memory arrays"),
        (of_step, "a function .a function of the step: wrap it in `lrjax.from_function`"),
        (generated, "a function .a generator function: hold its batches with `lrjax.cached"),
        (Examples, "a type .a class: give one of its instances"),
        (iter([1, 2]), "a list_iterator .it is read once and cannot be replayed: .* `lrjax.cached"),
        (Tensor(), "a Tensor .in-memory arrays"),
        (Examples(), "a Examples .examples by index: give the loader"),
        ("batches", "a str$"),
        ({1.0, 2.0}, "a set$"),
        (None, "a NoneType"),
    ],
)
def test_as_data_says_how_to_make_some(value, hint):
    with pytest.raises(
        TypeError, match=r"`sweep\(data=\.\.\.\)` must be data made by `lrjax.batches"
    ) as raised:
        as_data("sweep", "data", value)
    raised.match(hint)


def test_held_out_arrays():
    arrays, examples, batch_size = as_held_out("sweep", "evaluate_on", (np.ones((5, 2)), np.zeros(5)))
    assert jax.tree.map(jnp.shape, arrays) == ((5, 2), (5,))
    assert (examples, batch_size) == (5, 5)
    assert as_held_out("sweep", "evaluate_on", np.zeros(3000))[1:] == (3000, 1024)
    data = lrjax.batches(np.arange(EXAMPLES), BATCH_SIZE)
    arrays, examples, batch_size = as_held_out("sweep", "evaluate_on", data)
    np.testing.assert_array_equal(arrays, np.arange(EXAMPLES))  # unshuffled
    assert (examples, batch_size) == (EXAMPLES, BATCH_SIZE)


@pytest.mark.parametrize("value", [of_step, lrjax.from_function(of_step, on_device=True)])
def test_held_out_functions_are_refused(value):
    with pytest.raises(TypeError, match=r"`sweep\(evaluate_on=\.\.\.\)` must be arrays"):
        as_held_out("sweep", "evaluate_on", value)


def test_held_out_lengths_are_checked_under_their_own_name():
    with pytest.raises(
        ValueError, match=r"`sweep\(evaluate_on=\.\.\.\)` must be arrays with as many examples"
    ):
        as_held_out("sweep", "evaluate_on", (np.zeros(3), np.zeros(4)))
