"""A character transformer on sentences of a small grammar: the task shaped like a language model."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lrjax.data import batches
from lrjax.tasks._layers import accuracy, cross_entropy, lecun_normal
from lrjax.tasks._task import Task
from lrjax.trials import Trial, trial

SUMMARY = "characters of a generated corpus, 2-layer transformer 64 wide, context 32, batch 32"

ALPHABET = " abcdefghijklmnopqrstuvwxyz,.?!;"
_CONTEXT, _WIDTH, _HEADS, _LAYERS = 32, 64, 4, 2
_LENGTH, _SEED = 60_000, 7  # of the corpus
_TRAIN, _VALIDATION = 0.8, 0.1  # the shares; the rest is the test set

# Frequent words come first: the word at rank r is drawn with weight 1 / r.
_NOUNS = """
    river ship child teacher garden horse winter letter stone island baker storm window forest village
    candle queen farmer bridge mountain song doctor wolf lantern market sailor kitchen valley dragon puzzle
"""
_VERBS = """
    follow carry watch help call paint remember cross repair visit answer wake cover greet question choose
    join open
"""
_ADJECTIVES = """
    old quiet green small heavy golden strange early warm distant hollow proud blue lazy bright narrow
    velvet exact
"""
_ADVERBS = "slowly again often never gladly quickly always softly"
_PLACES = """
    near_the_harbour under_a_white_moon in_the_middle_of_june behind_our_house after_the_rain
    by_the_frozen_lake before_breakfast along_the_broken_road
"""


def characters() -> Task:
    """A causal transformer that predicts the next character of a generated corpus.

    The corpus has 60,000 characters: sentences of a small random grammar in which verbs agree with
    their subjects. Its first 80 % train, the next 10 % validate, the last 10 % test, each cut into
    windows of 33 characters, 32 inputs and as many targets. The model has 2 pre-norm layers, 64
    wide, with 4 heads and learned positions. The loss is in nats per character; the evaluation adds
    "accuracy".

    Returns:
      A `Task`. With Adam at 3e-3 its 300 steps reach 0.75 nats per character on validation.

    References:
      Vaswani et al., Attention Is All You Need, 1706.03762, 2017.
      Xiong et al., On Layer Normalization in the Transformer Architecture, 2002.04745, 2020.

    Example:
      >>> import lrjax
      >>> task = lrjax.tasks.load("characters")
      >>> task.data(0).shape
      (32, 33)
    """
    text = corpus()
    first, second = round(_TRAIN * len(text)), round((_TRAIN + _VALIDATION) * len(text))
    return Task(
        trial=_trial,
        data=batches(_windows(text[:first]), batch_size=32),
        validation=_windows(text[first:second]),
        test=_windows(text[second:]),
        steps=300,
        summary=SUMMARY,
    )


def corpus() -> str:
    """The corpus, the same at every call: NumPy has frozen the numbers of its generator.

    Example:
      >>> corpus()[:35]
      'does the green letter watch this te'
    """
    generator = np.random.RandomState(_SEED)
    sentences, length = [], 0
    while length < _LENGTH:
        sentences.append(_sentence(generator))
        length += len(sentences[-1]) + 1
    return " ".join(sentences)[:_LENGTH]


def _sentence(generator: np.random.RandomState) -> str:
    kind = generator.uniform()
    if kind < 0.15:
        plural = generator.uniform() < 0.4
        asks = "do" if plural else "does"
        verb, what = _word(generator, _VERBS), _noun_phrase(generator)
        return f"{asks} {_noun_phrase(generator, plural)} {verb} {what}?"
    if kind < 0.25:
        return f"{_word(generator, _VERBS)} {_noun_phrase(generator)} {_word(generator, _ADVERBS)}!"
    if kind < 0.45:
        return f"when {_clause(generator)}, {_clause(generator)}."
    if kind < 0.6:
        return f"{_clause(generator)}; {_clause(generator)}."
    return f"{_clause(generator)}."


def _clause(generator: np.random.RandomState) -> str:
    plural = generator.uniform() < 0.4
    verb = _word(generator, _VERBS)
    words = [_noun_phrase(generator, plural), verb if plural else _third_person(verb)]
    words.append(_noun_phrase(generator))
    if generator.uniform() < 0.3:
        words.append(_word(generator, _PLACES))
    return " ".join(words)


def _noun_phrase(generator: np.random.RandomState, plural: bool | None = None) -> str:
    plural = generator.uniform() < 0.4 if plural is None else plural
    words = [_word(generator, "the many some" if plural else "the every this")]
    if generator.uniform() < 0.4:
        words.append(_word(generator, _ADJECTIVES))
    noun = _word(generator, _NOUNS)
    return " ".join([*words, _plural(noun) if plural else noun])


def _word(generator: np.random.RandomState, words: str) -> str:
    """One of the words, the one at rank r with weight 1 / r."""
    ranked = words.split()
    cumulative = np.cumsum(1 / np.arange(1, len(ranked) + 1))
    chosen = ranked[int(np.searchsorted(cumulative, generator.uniform() * cumulative[-1]))]
    return chosen.replace("_", " ")


def _plural(noun: str) -> str:
    return {"child": "children", "wolf": "wolves"}.get(noun, f"{noun}s")


def _third_person(verb: str) -> str:
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return f"{verb[:-1]}ies"
    return f"{verb}es" if verb.endswith(("s", "sh", "ch")) else f"{verb}s"


def _windows(text: str) -> np.ndarray:
    """Windows of a context and its targets, int32 `[windows, context + 1]`; what is left over is dropped."""
    index = {character: i for i, character in enumerate(ALPHABET)}
    length = _CONTEXT + 1
    kept = text[: len(text) - len(text) % length]
    return np.array([index[character] for character in kept], np.int32).reshape(-1, length)


def _trial(optimizer: Callable[..., Any]) -> Trial:
    return trial(_init, _loss, optimizer, _evaluate)


def _init(key: jax.Array) -> dict[str, Any]:
    embed_key, position_key, output_key, *layer_keys = jax.random.split(key, 3 + _LAYERS)
    return {
        "embedding": 0.1 * jax.random.normal(embed_key, (len(ALPHABET), _WIDTH)),
        "positions": 0.1 * jax.random.normal(position_key, (_CONTEXT, _WIDTH)),
        "layers": [_init_layer(layer_key) for layer_key in layer_keys],
        "final_norm": _init_norm(),
        "output": 0.1 * lecun_normal(output_key, (_WIDTH, len(ALPHABET))),  # loss starts near log 32
    }


def _init_layer(key: jax.Array) -> dict[str, Any]:
    keys = jax.random.split(key, 4)
    # The residual stream adds 2 branches per layer; scaled so, its variance does not grow with depth.
    branch = 1 / math.sqrt(2 * _LAYERS)
    return {
        "attention_norm": _init_norm(),
        "query_key_value": lecun_normal(keys[0], (_WIDTH, 3 * _WIDTH)),
        "attention_output": branch * lecun_normal(keys[1], (_WIDTH, _WIDTH)),
        "mlp_norm": _init_norm(),
        "mlp_in": lecun_normal(keys[2], (_WIDTH, 4 * _WIDTH)),
        "mlp_bias": jnp.zeros(4 * _WIDTH),
        "mlp_out": branch * lecun_normal(keys[3], (4 * _WIDTH, _WIDTH)),
    }


def _init_norm() -> dict[str, jax.Array]:
    return {"scale": jnp.ones(_WIDTH), "offset": jnp.zeros(_WIDTH)}


def _logits(params: dict[str, Any], tokens: jax.Array) -> jax.Array:
    """Logits `[batch, time, alphabet]` of the character after each of `tokens [batch, time]`."""
    # One-hot and not a gather: a gather's gradient is a scatter, slow for many members at once.
    one_hot = jax.nn.one_hot(tokens, len(ALPHABET), dtype=params["embedding"].dtype)
    x = one_hot @ params["embedding"] + params["positions"]
    for layer in params["layers"]:
        x = x + _attend(layer, _normalise(layer["attention_norm"], x))
        hidden = jax.nn.gelu(_normalise(layer["mlp_norm"], x) @ layer["mlp_in"] + layer["mlp_bias"])
        x = x + hidden @ layer["mlp_out"]
    return _normalise(params["final_norm"], x) @ params["output"]


def _attend(layer: dict[str, Any], x: jax.Array) -> jax.Array:
    """Causal self-attention."""
    batch, time, width = x.shape
    q, k, v = jnp.moveaxis(
        (x @ layer["query_key_value"]).reshape(batch, time, 3, _HEADS, width // _HEADS), 2, 0
    )
    scores = jnp.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(width // _HEADS)
    causal = jnp.tril(jnp.ones((time, time), bool))
    weights = jax.nn.softmax(jnp.where(causal, scores, -jnp.inf))
    mixed = jnp.einsum("bhqk,bkhd->bqhd", weights, v).reshape(batch, time, width)
    return mixed @ layer["attention_output"]


def _normalise(norm: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    """Layer normalisation over the last axis."""
    centred = x - jnp.mean(x, axis=-1, keepdims=True)
    variance = jnp.mean(centred**2, axis=-1, keepdims=True)
    return norm["scale"] * centred * jax.lax.rsqrt(variance + 1e-5) + norm["offset"]


def _loss(params: dict[str, Any], batch: jax.Array) -> jax.Array:
    return cross_entropy(_logits(params, batch[:, :-1]), batch[:, 1:])


def _evaluate(params: dict[str, Any], batch: jax.Array) -> dict[str, jax.Array]:
    logits, targets = _logits(params, batch[:, :-1]), batch[:, 1:]
    return {"loss": cross_entropy(logits, targets), "accuracy": accuracy(logits, targets)}
