"""Loaders of PyTorch, grain and TensorFlow as they are, where they are installed."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrjax
from lrjax.data import as_data

PAGE = Path(__file__).parents[2] / "docs" / "data.md"
EXAMPLES, BATCH_SIZE = 10, 4  # two full batches a pass, two examples left out

CHANGED = r"^`sweep\(data=\.\.\.\)` .*another batch for step 0 when it was read again .*`lrjax\.cached"


def library(name):
    return pytest.importorskip(name, reason=f"{name} is not installed")


def two_passes(loader):
    """The examples of two passes over a loader whose batches are, or begin with, the examples' numbers."""
    data = as_data("sweep", "data", loader)
    schedule = data.schedule(0, 4, (0,))
    replayed = data.schedule(0, 4, (0,))
    jax.tree.map(np.testing.assert_array_equal, schedule, replayed)
    return np.asarray(jax.tree.leaves(schedule)[0]).reshape(2, -1)


# PyTorch


def torch_loader(**options):
    torch = library("torch")
    x = torch.arange(EXAMPLES, dtype=torch.float32, requires_grad=True)
    examples = torch.utils.data.TensorDataset(x, torch.arange(EXAMPLES))
    return torch.utils.data.DataLoader(examples, batch_size=BATCH_SIZE, **options)


@pytest.mark.parametrize("drop_last", [True, False])
def test_a_torch_loader_in_order(drop_last):
    loader = torch_loader(drop_last=drop_last)
    assert two_passes(loader).tolist() == [list(range(8))] * 2
    x, label = as_data("sweep", "data", loader)(1)
    assert (x.dtype, label.dtype) == (np.float32, np.int32)
    np.testing.assert_array_equal(x, label)


@pytest.mark.parametrize("seeded", [True, False])
def test_a_torch_loader_that_shuffles(seeded):
    """With a generator too: it goes on where the last pass left it."""
    torch = library("torch")
    generator = torch.Generator().manual_seed(0) if seeded else None
    torch.manual_seed(0)
    loader = torch_loader(shuffle=True, generator=generator)
    data = as_data("sweep", "data", loader)
    first = data.schedule(0, 4, (0,))[1]
    assert [len(set(x.ravel().tolist())) for x in (first[:2], first[2:])] == [8, 8]
    assert (first[:2] != first[2:]).any()
    with pytest.raises(ValueError, match=CHANGED):
        data.schedule(0, 4, (0,))
    with pytest.raises(ValueError, match=CHANGED):
        as_data("sweep", "data", loader).check_replay()
    held = lrjax.cached(loader, steps=6)
    np.testing.assert_array_equal(held.schedule(0, 6, (0,))[0], held.schedule(0, 6, (0,))[1])


def test_a_torch_loader_whose_order_is_seeded_in_each_pass():
    torch = library("torch")

    class Order(torch.utils.data.Sampler):
        def __len__(self):
            return EXAMPLES

        def __iter__(self):
            yield from torch.randperm(EXAMPLES, generator=torch.Generator().manual_seed(3)).tolist()

    first, second = two_passes(torch_loader(sampler=Order())).tolist()
    assert first == second != sorted(first)


def test_torch_tensors_of_half_precision_and_trees_of_them():
    torch = library("torch")
    batch = {
        "half": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
        "small": torch.tensor([1.5, -2.0]).to(torch.float8_e4m3fn),
        "list": [torch.tensor([True, False]), (torch.tensor(3), torch.tensor(1 + 2j))],
    }
    made = as_data("sweep", "data", [batch])(0)
    assert jax.tree.structure(made) == jax.tree.structure(batch)
    assert (made["half"].dtype, made["small"].dtype) == (jnp.bfloat16, jnp.float8_e4m3fn)
    np.testing.assert_array_equal(np.float32(made["half"]), [1.5, -2.0])
    np.testing.assert_array_equal(np.float32(made["small"]), [1.5, -2.0])
    assert jax.tree.map(lambda x: x.dtype, made["list"]) == [np.bool_, (np.int32, np.complex64)]
    with pytest.raises(TypeError, match=r"arrays and numbers, got .* at \['x'\]"):
        as_data("sweep", "data", [{"x": torch.ones(2).to_sparse()}])


def test_what_of_torch_is_no_loader():
    torch = library("torch")
    dataset = torch.utils.data.TensorDataset(torch.arange(3))
    with pytest.raises(TypeError, match=r"a TensorDataset \(examples by index: give the loader"):
        as_data("sweep", "data", dataset)
    with pytest.raises(TypeError, match=r"a Tensor \(in-memory arrays: wrap them in `lrjax.batches`"):
        as_data("sweep", "data", torch.arange(3))


def test_a_sweep_over_a_torch_loader():
    loader = torch_loader()

    def loss(x, batch):
        return jnp.mean((x - batch[0]) ** 2)

    trial = lrjax.trial(lambda key: jnp.float32(0.0), loss, lrjax.sgd)
    grid = {"learning_rate": [0.01, 0.1]}
    made = lrjax.sweep(trial, grid, loader, steps=20, progress=False)
    same = lrjax.from_function(
        lambda step: (np.arange(4, dtype=np.float32) + 4 * (step % 2),), on_device=False
    )
    expected = lrjax.sweep(trial, grid, same, steps=20, progress=False)
    np.testing.assert_array_equal(made.metrics["loss"], expected.metrics["loss"])


# grain


def test_a_grain_dataset():
    grain = library("grain")
    source = grain.MapDataset.source(np.arange(EXAMPLES, dtype=np.float32))
    assert two_passes(source.batch(BATCH_SIZE)).tolist() == [list(range(8))] * 2
    first, second = two_passes(source.shuffle(seed=0).batch(BATCH_SIZE).to_iter_dataset()).tolist()
    assert first == second != sorted(first)
    endless = source.shuffle(seed=0).repeat().batch(5)
    first, second = two_passes(endless).tolist()
    assert sorted(first) == sorted(second) == list(range(EXAMPLES))
    assert first != second  # another order in each pass, the same whenever it is read


def test_a_grain_loader():
    grain = library("grain.python")
    loader = grain.DataLoader(
        data_source=np.arange(EXAMPLES, dtype=np.float32),
        sampler=grain.IndexSampler(EXAMPLES, grain.NoSharding(), shuffle=True, num_epochs=1, seed=0),
        operations=[grain.Batch(BATCH_SIZE, drop_remainder=False)],
        worker_count=0,
    )
    first, second = two_passes(loader).tolist()
    assert first == second != sorted(first)


# TensorFlow


def test_a_tf_dataset():
    tf = library("tensorflow")
    dataset = tf.data.Dataset.from_tensor_slices({"x": np.arange(EXAMPLES, dtype=np.float32)})
    assert two_passes(dataset.batch(BATCH_SIZE)).tolist() == [list(range(8))] * 2
    once = dataset.shuffle(EXAMPLES, seed=0, reshuffle_each_iteration=False)
    first, second = two_passes(once.batch(BATCH_SIZE)).tolist()
    assert first == second != sorted(first)
    anew = as_data("sweep", "data", dataset.shuffle(EXAMPLES, seed=0).batch(BATCH_SIZE))
    with pytest.raises(ValueError, match=CHANGED):
        anew.check_replay()
    assert lrjax.cached(dataset.batch(BATCH_SIZE).as_numpy_iterator(), steps=2)(1)["x"].tolist() == [
        4,
        5,
        6,
        7,
    ]


# The page


def test_what_the_page_shows_of_loaders_runs():
    for name in ("torch", "grain"):
        library(name)
    examples = re.findall(r"^```(?:py|python)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert sum("import torch" in example or "import grain" in example for example in examples) == 2
    namespace: dict = {}
    for number, example in enumerate(examples):
        exec(compile(example, f"{PAGE.name}, example {number + 1}", "exec"), namespace)
