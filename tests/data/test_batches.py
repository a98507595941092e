"""Batches of arrays: permutations, chunks, seeds, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lrjax
from lrjax import _keys
from lrjax.data._orders import Orders

EXAMPLES, BATCH_SIZE = 10, 3  # three steps an epoch, one example left out of each
PER_EPOCH = EXAMPLES // BATCH_SIZE


def numbered(examples=EXAMPLES, batch_size=BATCH_SIZE, seed=0):
    """Data whose examples are their own indices."""
    return lrjax.batches(np.arange(examples), batch_size, seed)


def epoch(data, number, seed_index=0):
    steps = range(number * data.steps_per_epoch, (number + 1) * data.steps_per_epoch)
    return np.concatenate([data(step, seed_index) for step in steps])


# batches: the order


@pytest.mark.parametrize(("examples", "batch_size"), [(10, 3), (8, 4), (5, 5), (4, 1), (7, 4)])
def test_an_epoch_is_a_permutation(examples, batch_size):
    data = numbered(examples, batch_size)
    assert data.steps_per_epoch == examples // batch_size
    for number in range(3):
        seen = epoch(data, number)
        assert seen.size == data.steps_per_epoch * batch_size
        assert len(set(seen.tolist())) == seen.size
        assert set(seen.tolist()) <= set(range(examples))


def test_epochs_differ():
    data = numbered(100, 20)
    epochs = [tuple(epoch(data, number).tolist()) for number in range(4)]
    assert len(set(epochs)) == 4
    assert tuple(range(100)) not in epochs


def test_what_is_left_out_changes_from_epoch_to_epoch():
    left_out = {
        (set(range(EXAMPLES)) - set(epoch(numbered(), number).tolist())).pop() for number in range(20)
    }
    assert len(left_out) > 3


def test_every_position_is_as_likely():
    """One example lands at each of 4 positions about equally often over 400 epochs."""
    indices = np.asarray(numbered(4, 1).schedule(0, 1600, (0,)))[:, 0, 0].reshape(400, 4)
    counts = np.sum(indices == 0, axis=0)
    assert np.all(np.abs(counts - 100) < 45), counts  # 5 standard deviations


def test_pure():
    data, again = numbered(), numbered()
    for step in (5, 0, 5):
        np.testing.assert_array_equal(data(step), again(step))
    np.testing.assert_array_equal(data(np.int64(5), np.int32(1)), again(5, 1))


def test_seed_indices_and_seeds_differ():
    data = numbered(100, 50)
    orders = [tuple(np.asarray(data(0, i)).tolist()) for i in range(3)]
    orders += [tuple(np.asarray(numbered(100, 50, seed)(0)).tolist()) for seed in (1, 2)]
    assert len(set(orders)) == 5


def test_the_order_is_derived_as_documented_whatever_the_default_generator():
    """fold_in(fold_in(data's stream, seed index), epoch), by threefry: a run can be redone from it."""
    examples, seed_index = 11, 2  # 11: a size that no other test has compiled
    with jax.default_prng_impl("rbg"):
        indices = np.asarray(numbered(examples, 5, seed=7).schedule(0, 4, (seed_index,)))[:, 0]
    stream = jax.random.fold_in(jax.random.key(7, impl="threefry2x32"), 0x64617461)  # "data"
    member = jax.random.fold_in(stream, seed_index)
    for number in range(2):
        order = jax.random.permutation(jax.random.fold_in(member, number), examples)
        np.testing.assert_array_equal(indices[2 * number : 2 * number + 2].ravel(), order[:10])


SEED_INDICES = st.lists(st.integers(0, 50), min_size=1, max_size=2)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(start=st.integers(0, 40), length=st.sampled_from([1, 4, 7]), seed_indices=SEED_INDICES)
def test_any_chunk_gives_the_same_batches(start, length, seed_indices):
    """For any start, length and company of seeds."""
    data = numbered()
    schedule = data.schedule(start, length, seed_indices)
    assert schedule.shape == (length, len(seed_indices), BATCH_SIZE)
    assert schedule.dtype == jnp.int32
    for t in range(length):
        for position, seed_index in enumerate(seed_indices):
            batch = data.gather(data.arrays, schedule[t, position])
            np.testing.assert_array_equal(batch, data(start + t, seed_index))


def test_chunks_far_into_training():
    """Where a float32 step would have lost its last digits."""
    start = 3 * 2**25 - 1
    schedule = numbered().schedule(start, 4, (2,))
    for t in range(4):
        np.testing.assert_array_equal(schedule[t, 0], numbered()(start + t, 2))
    first_of_epoch = 3 * 2**25
    assert len(set(epoch(numbered(), first_of_epoch // PER_EPOCH, 2).tolist())) == 9


def test_gather_inside_a_program():
    data = numbered()
    schedule = data.schedule(0, 6, (0, 1))

    @jax.jit
    def program(arrays, schedule):
        gather = jax.vmap(data.gather, in_axes=(None, 0))
        return jax.lax.scan(lambda carry, chosen: (carry, gather(arrays, chosen)), 0, schedule)[1]

    batches = program(data.arrays, schedule)
    for step in range(6):
        for seed_index in range(2):
            np.testing.assert_array_equal(batches[step, seed_index], data(step, seed_index))


def test_leaves_stay_together():
    arrays = {"x": np.arange(12).reshape(6, 2), "y": (np.arange(6) * 2,)}
    data = lrjax.batches(arrays, batch_size=4)
    assert data.examples == 6
    batch = data(1)
    assert batch["x"].shape == (4, 2)
    np.testing.assert_array_equal(batch["x"][:, 0], batch["y"][0])


def test_arrays_become_32_bit():
    assert lrjax.batches(np.zeros(4), 2)(0).dtype == jnp.float32
    assert lrjax.batches(np.zeros(4, np.uint8), 2)(0).dtype == jnp.uint8


# batches: what is refused


@pytest.mark.parametrize(
    ("arrays", "batch_size", "error", "message"),
    [
        (
            {"x": np.zeros(4), "y": np.zeros(5)},
            2,
            ValueError,
            r"as many examples each, got 4 at \['x'\], 5 at",
        ),
        (np.zeros(4), 5, ValueError, "batch_size=.*at most the number of examples, 4, got 5"),
        (np.zeros(4), 0, ValueError, "batch_size=.*an integer >= 1, got 0"),
        (np.zeros(4), -1, ValueError, "batch_size=.*an integer >= 1, got -1"),
        (np.zeros(4), 2.0, TypeError, r"batch_size=.*an integer >= 1, got 2\.0"),
        (np.zeros(4), np.float32(2), TypeError, "batch_size=.*an integer >= 1"),
        (np.zeros(4), True, TypeError, "batch_size=.*an integer >= 1, got True"),
        (np.zeros(4), np.True_, TypeError, "batch_size=.*an integer >= 1"),
        (np.zeros(4), None, TypeError, "batch_size=.*an integer >= 1, got None"),
        (np.float32(1.0), 1, TypeError, "leading example axis, got .* at the array"),
        ((np.zeros(4), jnp.array(1.0)), 1, TypeError, r"leading example axis, got .* at \[1\]"),
        ([1.0, 2.0], 1, TypeError, r"leading example axis, got 1\.0 at \[0\] .*`np.asarray`"),
        (iter([np.zeros(4)]), 1, TypeError, r"at the array \(if it gives batches, it is data as it is, or"),
        (lambda step: step, 1, TypeError, r"wrap it in `lrjax.from_function`"),
        (lrjax.batches(np.zeros(4), 2), 1, TypeError, r"at the array \(data already: pass it as it is\)"),
        (np.array(["a", "b"]), 1, TypeError, r"arrays of numbers, got .* at the array \(encode it"),
        ({}, 1, ValueError, "at least one array, got none"),
        (None, 1, ValueError, "at least one array, got none"),
        (np.zeros((0, 3)), 1, ValueError, "at least one example, got none"),
    ],
)
def test_batches_refuses(arrays, batch_size, error, message):
    with pytest.raises(error, match=r"`batches\((arrays|batch_size)=\.\.\.\)` must be") as raised:
        lrjax.batches(arrays, batch_size)
    raised.match(message)


@pytest.mark.parametrize(("seed", "error"), [(-1, ValueError), (0.5, TypeError), (True, TypeError)])
def test_batches_refuses_seeds(seed, error):
    with pytest.raises(error, match=r"`batches\(seed=\.\.\.\)` must be an integer >= 0"):
        lrjax.batches(np.zeros(4), 2, seed)


@pytest.mark.parametrize(
    ("arguments", "error", "argument"),
    [
        ((-1,), ValueError, "step"),
        ((1.0,), TypeError, "step"),
        ((True,), TypeError, "step"),
        ((0, -1), ValueError, "seed_index"),
        ((0, "1"), TypeError, "seed_index"),
    ],
)
def test_steps_that_are_none(arguments, error, argument):
    with pytest.raises(error, match=rf"`data\({argument}=\.\.\.\)` must be an integer >= 0"):
        numbered()(*arguments)


@pytest.mark.parametrize("examples", [1, 2, 100, 1625])
def test_orders_are_those_of_jax_for_as_many_examples_as_one_sort_is_enough(examples):
    key = jax.random.fold_in(_keys.data_key(3, 2), 5)
    order = Orders(seed=3, examples=examples).of([2], [5])[0, 0]
    np.testing.assert_array_equal(order, jax.random.permutation(key, examples))


def test_large_orders_are_permutations_and_differ_between_seeds_and_epochs():
    examples = 300_000
    orders = Orders(seed=0, examples=examples).of([0, 1], [0, 1])
    assert orders.shape == (2, 2, examples)
    for order in orders.reshape(4, examples):
        np.testing.assert_array_equal(np.sort(order), np.arange(examples))
    assert len({order.tobytes() for order in orders.reshape(4, examples)}) == 4


def test_orders_that_are_kept_are_the_same_again():
    orders = Orders(seed=0, examples=50)
    together = orders.of([0, 1], range(40))
    np.testing.assert_array_equal(orders.of([1], range(39, 42))[:, :1], together[1:, 39:])
    np.testing.assert_array_equal(Orders(seed=0, examples=50).of([1], [39])[0, 0], together[1, 39])


def test_a_batch_can_be_made_while_something_is_traced():
    data = lrjax.batches(np.arange(10), batch_size=3)
    assert jax.eval_shape(lambda: data(4)).shape == (3,)
    np.testing.assert_array_equal(jax.jit(lambda: data(4))(), data(4))
