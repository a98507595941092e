"""Tasks on which finders of learning rates go wrong, made of the handwritten digits.

Used by answer_quality.py; nothing runs here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import lrjax

_PIXELS, _CLASSES = 64, 10
_WRONG = 0.4  # of the labels of "noisy-labels"
_SMALL = 0.02  # times the usual weights, for a plateau at the start


def _layers(width: int, scale: float = 1.0, output: float = 1.0) -> Callable[[jax.Array], Any]:
    """The initial parameters of an MLP with three layers."""

    def init(key: jax.Array) -> list[dict[str, jax.Array]]:
        shapes = [(_PIXELS, width), (width, width), (width, _CLASSES)]
        factors = [scale, scale, scale * output]
        return [
            {
                "weights": factor * math.sqrt(2 / shape[0]) * jax.random.normal(k, shape),
                "bias": jnp.zeros(shape[1]),
            }
            for k, shape, factor in zip(jax.random.split(key, 3), shapes, factors, strict=True)
        ]

    return init


def _cross_entropy(params: Any, batch: tuple[jax.Array, jax.Array]) -> jax.Array:
    x, labels = batch
    for layer in params[:-1]:
        x = jax.nn.relu(x @ layer["weights"] + layer["bias"])
    logits = jax.nn.log_softmax(x @ params[-1]["weights"] + params[-1]["bias"])
    return -jnp.mean(jnp.sum(jax.nn.one_hot(labels, _CLASSES) * logits, axis=-1))


def _task(
    summary: str,
    *,
    init: Callable[[jax.Array], Any] | None = None,
    loss: Callable[..., jax.Array] = _cross_entropy,
    change: Callable[[Any, str], Any] = lambda arrays, part: arrays,
    batch_size: int = 64,
    data: lrjax.Data | None = None,
) -> lrjax.tasks.Task:
    digits = lrjax.tasks.load("digits")
    assert isinstance(digits.data, lrjax.Batches)
    train = data or lrjax.batches(change(digits.data.arrays, "train"), batch_size=batch_size)
    first = init or _layers(64)
    return lrjax.tasks.Task(
        trial=lambda optimizer: lrjax.trial(first, loss, optimizer),
        data=train,
        validation=change(digits.validation, "validation"),
        test=change(digits.test, "test"),
        steps=600,
        summary=summary,
    )


def _wrong_labels(arrays: Any, part: str) -> Any:
    inputs, labels = (np.asarray(x) for x in arrays)
    if part != "train":
        return inputs, labels
    generator = np.random.default_rng(0)
    wrong = generator.random(len(labels)) < _WRONG
    return inputs, np.where(wrong, generator.integers(0, _CLASSES, len(labels)), labels).astype(np.int32)


def _large_inputs(arrays: Any, part: str) -> Any:
    del part
    return 1000 * np.asarray(arrays[0]), np.asarray(arrays[1])


def _random_labels(step: int, seed_index: int) -> tuple[jax.Array, jax.Array]:
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(1), seed_index), step)
    inputs, labels = jax.random.split(key)
    return jax.random.normal(inputs, (64, _PIXELS)), jax.random.randint(labels, (64,), 0, _CLASSES)


def _shuffled(arrays: Any, part: str) -> Any:
    del part
    inputs, labels = (np.asarray(x) for x in arrays)
    return inputs, np.random.default_rng(2).permutation(labels)


HARD: dict[str, Callable[[], lrjax.tasks.Task]] = {
    "noisy-labels": lambda: _task("two in five labels are drawn at random", change=_wrong_labels),
    "tiny-batches": lambda: _task("two examples a batch", batch_size=2),
    "plateau": lambda: _task("weights so small that training begins on a plateau", init=_layers(64, _SMALL)),
    "large-inputs": lambda: _task("inputs a thousand times as large", change=_large_inputs),
    "large-loss": lambda: _task(
        "the loss a thousand times as large", loss=lambda params, batch: 1000 * _cross_entropy(params, batch)
    ),
    "width-16": lambda: _task("16 units a layer", init=_layers(16)),
    "width-512": lambda: _task("512 units a layer", init=_layers(512)),
    "negative": lambda: _task(
        "a loss that ends far below zero", loss=lambda params, batch: _cross_entropy(params, batch) - 10.0
    ),
    "no-signal": lambda: _task(
        "labels that have nothing to do with the inputs, from the best constant answer on",
        init=_layers(64, output=0.0),
        change=_shuffled,
        data=lrjax.from_function(_random_labels, on_device=True),
    ),
}
