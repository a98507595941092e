"""What the built-in models share: initial weights, and how a classification is scored."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp


def he_normal(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    r"""Weights $\sim N(0, 2/n)$ with $n$ inputs per output, for layers before a ReLU.

    References:
      He et al., Delving Deep into Rectifiers, 1502.01852, 2015.
    """
    return math.sqrt(2 / math.prod(shape[:-1])) * jax.random.normal(key, shape, jnp.float32)


def lecun_normal(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    r"""Weights $\sim N(0, 1/n)$ with $n$ inputs per output, for layers without a ReLU."""
    return math.sqrt(1 / math.prod(shape[:-1])) * jax.random.normal(key, shape, jnp.float32)


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    r"""The mean of $-\log \mathrm{softmax}(z)_y$, in nats, over all but the last axis."""
    # One-hot and not a gather: a gather's gradient is a scatter, slow for many members at once.
    chosen = jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
    return -jnp.mean(jnp.sum(chosen * jax.nn.log_softmax(logits), axis=-1))


def accuracy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """The share of examples whose largest logit is their label's."""
    return jnp.mean((jnp.argmax(logits, axis=-1) == labels).astype(jnp.float32))
