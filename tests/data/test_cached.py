"""Batches held in memory: taken once, replayed as often as needed, and no step beyond them."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrjax


def test_an_iterator_is_taken_from_as_far_as_needed():
    batches = ({"x": np.full(3, t), "y": t} for t in itertools.count())
    data = lrjax.cached(batches, steps=4)
    assert (data.steps, data.per_seed, data.on_device) == (4, False, False)
    assert next(batches)["y"] == 4
    for _ in range(2):
        schedule = data.schedule(1, 3, (0, 1))
        np.testing.assert_array_equal(schedule["x"][:, 0], [1, 2, 3])
        np.testing.assert_array_equal(data(0, seed_index=3)["y"], 0)
    data.check_replay()


def test_what_ends_is_read_again():
    data = lrjax.cached([np.zeros(2), np.ones(2)], steps=5)
    assert [int(data(step)[0]) for step in range(5)] == [0, 1, 0, 1, 0]


class Shuffling:
    """Another order in every pass, and never the first again."""

    def __init__(self):
        self.passes = 0

    def __iter__(self):
        self.passes += 1
        return iter([np.full(2, t) for t in np.random.default_rng(self.passes).permutation(8)])


def test_another_order_in_each_pass_is_held_as_it_came():
    data = lrjax.cached(Shuffling(), steps=24)
    seen = data.schedule(0, 24, (0,))[:, 0]
    assert len({tuple(seen[i : i + 8].tolist()) for i in (0, 8, 16)}) == 3
    np.testing.assert_array_equal(data.schedule(0, 24, (0,))[:, 0], seen)


def test_no_step_beyond_what_is_held():
    data = lrjax.cached(iter([1.0, 2.0, 3.0]), steps=3)
    assert float(data(2)) == 3.0
    for step, start, length in ((3, 3, 1), (4, 0, 5)):
        with pytest.raises(ValueError, match=rf"^`data\(step=\.\.\.\)` must be below 3, .*, got {step}$"):
            data.schedule(start, length, (0,))


def test_the_other_sources_have_no_end():
    assert lrjax.batches(np.zeros(4), 2).steps is None
    assert lrjax.from_function(lambda step: step, on_device=False).steps is None
    assert lrjax.data.FromIterable([1.0]).steps is None


def test_memory_that_is_filled_again_and_memory_that_is_held():
    memory = np.zeros(2)

    def batches():
        for t in range(3):
            memory[:] = t
            yield memory

    data = lrjax.cached(batches(), steps=3)
    np.testing.assert_array_equal(data.schedule(0, 3, (0,))[:, 0], [0, 1, 2])
    with pytest.raises(ValueError, match="read-only"):
        data(0)[:] = 7


def test_a_shorter_batch_at_the_end_is_left_out():
    batches = [np.full(4, t) for t in range(3)] + [np.zeros(1)]
    batches = [batch.astype(np.float32) for batch in batches]
    assert [int(x[0]) for x in map(lrjax.cached(batches, steps=5), range(5))] == [0, 1, 2, 0, 1]
    assert lrjax.cached(iter(batches), steps=3).steps == 3
    with pytest.raises(
        ValueError, match=r"^`cached\(steps=\.\.\.\)` must be at most 3, the full batches .*got 4$"
    ):
        lrjax.cached(iter(batches), steps=4)


@pytest.mark.parametrize(
    ("iterable", "steps", "error", "message"),
    [
        (iter([]), 2, ValueError, r"`cached\(iterable=\.\.\.\)` must be an iterable of at least one batch"),
        ([], 2, ValueError, r"`cached\(iterable=\.\.\.\)` must be an iterable of at least one batch"),
        (
            np.zeros(3),
            2,
            TypeError,
            r"`cached\(iterable=\.\.\.\)` .*ndarray \(in-memory arrays: wrap them in",
        ),
        (
            lrjax.batches(np.zeros(3), 1),
            2,
            TypeError,
            r"an iterable of batches, got a Batches .which replays already",
        ),
        (lambda step: step, 2, TypeError, "wrap it in `lrjax.from_function`"),
        (iter(["a"]), 2, TypeError, r"batches of arrays and numbers, got 'a' at the batch"),
        ([np.zeros(2), np.zeros(3)], 2, ValueError, r"float32\[3\] after float32\[2\]"),
        ([1.0], 0, ValueError, r"`cached\(steps=\.\.\.\)` must be an integer >= 1, got 0"),
        ([1.0], 2.0, TypeError, r"`cached\(steps=\.\.\.\)` must be an integer >= 1, got 2.0"),
    ],
)
def test_cached_refuses(iterable, steps, error, message):
    with pytest.raises(error, match=message):
        lrjax.cached(iterable, steps)


def test_half_precision_and_keys_of_a_seed():
    data = lrjax.cached((jnp.full(2, t, jnp.bfloat16) for t in range(3)), steps=3)
    assert data(1).dtype == jnp.bfloat16
    keys = lrjax.cached([jax.random.key_data(jax.random.key(3))], steps=1)
    np.testing.assert_array_equal(keys(0), jax.random.key_data(jax.random.key(3)))
