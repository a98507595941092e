"""The data that scikit-learn brings along, and how it is split.

Nothing is downloaded. The split comes from a generator whose numbers NumPy has frozen, so that it
is the same everywhere and for good.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

_SEED = 0  # of the split
_TRAIN, _VALIDATION = 0.6, 0.2  # the shares; the rest is the test set


class Split(NamedTuple):
    """Inputs and labels for training, for choosing and for reporting.

    Attributes:
      train: `(inputs, labels)`, float32 `[examples, features]` and int32 `[examples]`.
      validation: The same.
      test: The same.
    """

    train: tuple[np.ndarray, np.ndarray]
    validation: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]


def load_digits(task: str) -> Split:
    """1,797 handwritten digits of 8x8 pixels, scaled to [0, 1]; `task` is who asks.

    References:
      Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI repository, 1998.
    """
    inputs, labels = sklearn_datasets(task).load_digits(return_X_y=True)
    return stratified_split(inputs / 16, labels)


def sklearn_datasets(task: str) -> Any:
    """The module `sklearn.datasets`, or an error that says how to get it."""
    try:
        from sklearn import datasets
    except ImportError as error:
        raise ImportError(
            f"the task {task!r} needs scikit-learn for its data: `pip install lrjax[tasks]`"
        ) from error
    return datasets


def stratified_split(inputs: np.ndarray, labels: np.ndarray) -> Split:
    """About 60, 20 and 20 % of every class."""
    generator = np.random.RandomState(_SEED)
    parts: tuple[list[np.ndarray], ...] = ([], [], [])
    for label in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == label))
        ends = [round(_TRAIN * len(members)), round((_TRAIN + _VALIDATION) * len(members))]
        for part, chosen in zip(parts, np.split(members, ends), strict=True):
            part.append(chosen)
    order = (np.sort(np.concatenate(part)) for part in parts)
    return Split(*((inputs[chosen].astype(np.float32), labels[chosen].astype(np.int32)) for chosen in order))
