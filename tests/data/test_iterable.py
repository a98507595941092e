"""Iterables of batches: endless passes, replays that must be equal, batches that must be alike."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lrjax
from lrjax.data import FromIterable, as_data


class Loader:
    """A loader as other libraries have them: every `iter()` is a new pass.

    Attributes:
      passes: How often it was read from the start.
      given: How many batches it gave.
    """

    def __init__(self, make_pass):
        self.make_pass, self.passes, self.given = make_pass, 0, 0

    def __iter__(self):
        number, self.passes = self.passes, self.passes + 1
        for batch in self.make_pass(number):
            self.given += 1
            yield batch


def numbered(count=5):
    return Loader(lambda number: (np.full(2, t, np.float32) for t in range(count)))


def shuffling(count=8):
    """Another order in every pass, and never the first again."""
    return Loader(
        lambda number: (np.full(2, t) for t in np.random.default_rng(number).permutation(count).tolist())
    )


def firsts(batches):
    return np.asarray(batches)[:, 0].tolist()


# Steps


def test_a_step_is_a_batch_of_endless_passes():
    data = FromIterable(numbered(3))
    assert [int(data(step)[0]) for step in range(8)] == [0, 1, 2, 0, 1, 2, 0, 1]
    np.testing.assert_array_equal(data(4, seed_index=7), data(4))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(1, 6)), min_size=1, max_size=5))
def test_any_chunks_in_any_order(chunks):
    data = FromIterable(numbered(5))
    for start, length in chunks:
        assert firsts(data.schedule(start, length, (0, 1))) == [t % 5 for t in range(start, start + length)]


def test_trees_of_batches():
    batches = [{"x": np.full((2, 3), t), "y": (t, [np.float32(t)])} for t in range(4)]
    schedule = FromIterable(batches).schedule(1, 3, (0,))
    assert jax.tree.map(np.shape, schedule) == {"x": (3, 2, 3), "y": ((3,), [(3,)])}
    np.testing.assert_array_equal(schedule["y"][0], [1, 2, 3])


def test_a_training_reads_each_batch_once():
    """With the looks at the first batch that come before it."""
    loader = numbered(5)
    data = as_data("sweep", "data", loader)
    data.digest()
    data(0)
    for start in range(0, 40, 10):
        data.schedule(start, 10, (0,))
        data(0)
    assert loader.given == 40
    assert loader.passes == 8
    data.schedule(45, 1, (0,))  # later steps are reached without starting over
    assert loader.given == 46


def test_memory_that_the_loader_fills_again():
    def make_pass(number):
        memory = np.zeros(2)
        for t in range(4):
            memory[:] = t
            yield memory

    data = FromIterable(Loader(make_pass))
    assert firsts(data.schedule(0, 6, (0,))) == [0, 1, 2, 3, 0, 1]
    assert int(data(0)[0]) == 0


def test_what_it_gives_can_be_changed():
    data = FromIterable(numbered())
    data(0)[:] = 7
    data.schedule(0, 3, (0,))[:] = 7
    assert firsts(data.schedule(0, 3, (0,))) == [0, 1, 2]


# Replays


def test_another_order_in_each_pass_is_training_data():
    data = FromIterable(shuffling())
    seen = firsts(data.schedule(0, 24, (0,)))
    passes = [tuple(seen[i : i + 8]) for i in (0, 8, 16)]
    assert len(set(passes)) == 3
    assert all(sorted(order) == list(range(8)) for order in passes)


def test_a_step_that_comes_out_another_when_it_is_read_again():
    data = FromIterable(shuffling())
    data.schedule(0, 9, (0,))
    with pytest.raises(
        ValueError, match=r"^`FromIterable\(iterable=\.\.\.\)` must be .* same order"
    ) as raised:
        data.schedule(0, 9, (0,))
    raised.match(r"another batch for step 0 when it was read again .*`lrjax\.cached\(iterable, steps\)`")


def test_the_step_that_differs_is_named():
    loader = Loader(lambda number: [np.zeros(2), np.ones(2), np.full(2, 2.0 + number)])
    data = as_data("sweep", "data", loader)
    assert firsts(data.schedule(0, 3, (0,))) == [0, 1, 2]
    np.testing.assert_array_equal(data(1), np.ones(2))
    with pytest.raises(ValueError, match=r"^`sweep\(data=\.\.\.\)` .*another batch for step 2 "):
        data.schedule(0, 3, (0,))


def test_what_is_skipped_is_compared_too():
    loader = Loader(lambda number: [np.zeros(2), np.full(2, float(number)), np.ones(2)])
    data = FromIterable(loader)
    data.schedule(0, 3, (0,))
    with pytest.raises(ValueError, match="another batch for step 1 "):
        data(2)


def test_a_replay_can_be_checked_before():
    loader = numbered()
    data = FromIterable(loader)
    data.check_replay()
    assert (loader.passes, loader.given) == (2, 2)
    assert firsts(data.schedule(0, 6, (0,))) == [0, 1, 2, 3, 4, 0]
    with pytest.raises(ValueError, match="another batch for step 0 "):
        FromIterable(shuffling()).check_replay()


def test_a_loader_that_fails_is_read_from_the_start():
    def make_pass(number):
        yield np.zeros(2)
        if number == 0:
            raise OSError("the disk")
        yield np.ones(2)

    data = FromIterable(Loader(make_pass))
    with pytest.raises(OSError, match="the disk"):
        data.schedule(0, 2, (0,))
    assert firsts(data.schedule(0, 2, (0,))) == [0, 1]


# Batches must be alike


@pytest.mark.parametrize(
    "wrap", [list, lambda batches: Loader(lambda number: batches)], ids=["list", "loader"]
)
def test_a_shorter_batch_at_the_end_of_a_pass_is_left_out(wrap):
    batches = [(np.full((4, 3), t), np.full(4, t)) for t in range(3)] + [(np.zeros((1, 3)), np.zeros(1))]
    batches = [jax.tree.map(np.float32, batch) for batch in batches]
    made = FromIterable(wrap(batches)).schedule(0, 7, (0,))
    assert jax.tree.map(np.shape, made) == ((7, 4, 3), (7, 4))
    assert firsts(made[1]) == [0, 1, 2, 0, 1, 2, 0]


def test_all_examples_in_one_short_batch():
    assert FromIterable([np.zeros(3)])(5).shape == (3,)


X = np.zeros((4, 3), np.float32)


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([X, X[:2], X], r"float32\[2, 3\] after float32\[4, 3\] at the batch: batch 1 .* not the last"),
        (
            [X, X, np.zeros((5, 3), np.float32)],
            r"float32\[5, 3\] after float32\[4, 3\] at the batch: batch 2",
        ),
        ([X, X[:, :2]], r"float32\[4, 2\] after float32\[4, 3\]"),
        ([{"x": X}, {"x": X.astype(np.int32)}], r"int32\[4, 3\] after float32\[4, 3\] at \['x'\]: batch 1"),
        ([X, X[0]], r"float32\[3\] after float32\[4, 3\]"),
        ([np.float32(1), np.int32(1)], r"int32\[\] after float32\[\]"),
        ([(X, X), X], r"PyTreeDef\(\*\) after PyTreeDef\(\(\*, \*\)\)"),
    ],
)
def test_batches_that_are_not_alike(batches, message):
    data = FromIterable(Loader(lambda number: batches))
    with pytest.raises(
        ValueError, match="must be batches of one structure, dtype and shape, got .*" + message
    ):
        data.schedule(0, len(batches), (0,))
    with pytest.raises(ValueError, match=message + r".*\(a list is read as batches: .* `lrjax\.batches`\)"):
        FromIterable(batches)  # what is in memory is looked at before training


def test_passes_that_are_not_alike():
    data = FromIterable(Loader(lambda number: [np.zeros(3 + number)]))
    with pytest.raises(ValueError, match=r"float32\[4\] after float32\[3\]"):
        data(1)


def test_no_batches():
    with pytest.raises(ValueError, match="must be an iterable of at least one batch, got none"):
        FromIterable(numbered(0))
    with pytest.raises(ValueError, match="must be batches of at least one array, got none"):
        FromIterable([{}])


def test_an_iterable_that_is_spent_after_one_pass():
    data = FromIterable(Loader(lambda number: [np.zeros(2)] * (2 - number)))
    assert len(data.schedule(0, 3, (0,))) == 3
    with pytest.raises(ValueError, match=r"each time it is read, got no batch in pass 3 .*`lrjax\.cached"):
        data(3)


@pytest.mark.parametrize(
    ("value", "hint"),
    [(iter([1.0]), "`lrjax.cached"), (np.zeros(3), "`lrjax.batches`"), (3, "got a int$")],
)
def test_what_is_no_iterable_of_batches(value, hint):
    with pytest.raises(
        TypeError, match=r"^`FromIterable\(iterable=\.\.\.\)` must be an iterable of batches"
    ) as e:
        FromIterable(value)
    e.match(hint)


# In a sweep


def quadratic(x, batch):
    return jnp.mean((x - batch) ** 2)


TRIAL = lrjax.trial(lambda key: jnp.float32(1.0), quadratic, lrjax.sgd)


GRID = {"learning_rate": [0.01, 0.1]}


def losses(data):
    return lrjax.sweep(TRIAL, GRID, data, steps=23, seeds=2, progress=False).metrics["loss"]


def test_a_sweep_over_an_iterable_is_one_over_the_same_function_of_the_step():
    expected = losses(lrjax.from_function(lambda step: np.full(2, step % 5, np.float32), on_device=False))
    np.testing.assert_array_equal(losses(numbered()), expected)
    np.testing.assert_array_equal(losses(list(numbered())), expected)
    np.testing.assert_array_equal(losses(lrjax.cached(numbered(), steps=23)), expected)


def test_a_sweep_of_two_programs_reads_once():
    trial = lrjax.Trial(TRIAL.init, TRIAL.update, static=("learning_rate",))
    loader = numbered()
    lrjax.sweep(trial, GRID, loader, steps=10, progress=False)
    assert loader.given <= 12  # both programs go on chunk by chunk, and share what is read
    with pytest.raises(ValueError, match=r"^`sweep\(data=\.\.\.\)` .*`lrjax\.cached"):
        lrjax.sweep(trial, GRID, shuffling(), steps=10, progress=False)
