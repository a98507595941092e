"""Batches of other libraries become trees of NumPy arrays, or are refused by the path of the leaf."""

import collections

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lrjax.data._host import as_numpy


def convert(batch):
    return as_numpy("sweep", "data", batch)


class Torch:
    """What PyTorch's tensors answer to."""

    def __init__(self, array, dtype="torch.float32", where="gpu", tracked=True):
        self.array, self.dtype, self.where, self.tracked = array, dtype, where, tracked

    def detach(self):
        return Torch(self.array, self.dtype, self.where, False)

    def cpu(self):
        return Torch(self.array, self.dtype, "cpu", self.tracked)

    def float(self):
        return Torch(self.array, where=self.where, tracked=self.tracked)

    def numpy(self):
        if self.tracked or self.where != "cpu" or self.dtype not in ("torch.float32", "torch.int64"):
            raise TypeError(f"cannot convert {self.dtype}")
        return self.array


class TensorFlow:
    """What TensorFlow's eager tensors answer to."""

    def __init__(self, array):
        self.array = array

    def numpy(self):
        return self.array


class Column:
    """What else offers an array, a column of a table for instance."""

    def __array__(self, dtype=None, copy=None):
        return np.arange(3.0)


def test_leaves_of_all_kinds():
    half = np.array([1.5, -2.0], np.float32)
    batch = {
        "torch": [Torch(np.arange(4)), (Torch(half, "torch.bfloat16"), Torch(half, "torch.float8_e5m2"))],
        "tf": TensorFlow(np.float32(3.0)),
        "tf half": TensorFlow(half.astype(jnp.bfloat16)),
        "column": Column(),
        "jax": jnp.arange(3),
        "numbers": (1, 2.5, True, 1j, np.int8(4)),
        "none": None,
    }
    made = convert(batch)
    assert jax.tree.structure(made) == jax.tree.structure(batch)
    assert all(type(leaf) is np.ndarray for leaf in jax.tree.leaves(made))
    dtypes = jax.tree.map(lambda x: x.dtype.name, made)
    assert dtypes["torch"] == ["int32", ("bfloat16", "float8_e5m2")]
    assert (dtypes["tf"], dtypes["tf half"], dtypes["column"]) == ("float32", "bfloat16", "float32")
    assert dtypes["numbers"] == ("int32", "float32", "bool", "complex64", "int8")
    np.testing.assert_array_equal(np.float32(made["torch"][1][0]), half)
    np.testing.assert_array_equal(np.float32(made["torch"][1][1]), half)
    np.testing.assert_array_equal(made["column"], [0, 1, 2])


def test_64_bit_numbers_stay_in_the_x64_mode():
    with jax.enable_x64(True):
        assert convert(np.zeros(2)).dtype == np.float64
        assert convert(1).dtype == np.int64
    assert convert(np.zeros(2)).dtype == np.float32
    assert convert(1).dtype == np.int32


def test_the_other_byte_order():
    made = convert((np.arange(3, dtype=">i4"), np.arange(3, dtype=">f8")))
    assert [jnp.asarray(leaf).tolist() for leaf in made] == [[0, 1, 2], [0, 1, 2]]


def test_mappings_and_named_tuples():
    pair = collections.namedtuple("pair", ["x", "y"])
    made = convert(collections.UserDict(b=pair(1, collections.UserDict(c=2)), a=3))
    assert jax.tree.map(int, made) == {"a": 3, "b": pair(1, {"c": 2})}


@pytest.mark.parametrize(
    ("batch", "got"),
    [
        ("text", r"'text' at the batch"),
        ({"x": [1, "text"]}, r"'text' at \['x'\]\[1\]"),
        ({"x": b"text"}, r"b'text' at \['x'\]"),
        ((1, object()), r"<object object at .*> at \[1\]"),
        (np.array(["a"]), r"an array of shape \(1,\) and dtype <U1 at the batch"),
        (np.array([None]), r"dtype object at the batch"),
        (np.array([0], "M8[s]"), r"dtype datetime64\[s\] at the batch"),
        (TensorFlow(np.array([b"a"], object)), r"TensorFlow object .* at the batch"),
        (Torch(np.zeros(2), "torch.complex32"), r"Torch object .* at the batch"),
        (collections.UserDict(x=collections.UserDict(y="text")), r"'text' at \['x'\]\['y'\]"),
        ((jax.random.key(0),), r"dtype key<fry> at \[0\]"),
        (10**30, r"10{30} at the batch"),
    ],
)
def test_what_is_no_number(batch, got):
    expected = r"^`sweep\(data=\.\.\.\)` must be batches of arrays and numbers, got "
    hint = r" \(leave it out of the batch, or encode it as numbers\)$"
    with pytest.raises(TypeError, match=expected + ".*" + got + hint):
        convert(batch)
