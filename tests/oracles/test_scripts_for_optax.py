"""Training scripts written for optax's public API run with `optax` read as `lrjax`, to the same losses.

Each script is a function of the library it calls `optax`; the losses are its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lrjax

X = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
Y = np.sin(X.sum(axis=1))
BATCHES = np.array_split(np.arange(64), 8)
STEPS = 48


def _init() -> dict[str, Any]:
    random = np.random.default_rng(1)
    return {
        "w": jnp.asarray(random.normal(size=(4, 8)) / 2, jnp.float32),
        "b": jnp.zeros(8),
        "v": jnp.asarray(random.normal(size=8) / 3, jnp.float32),
    }


def _loss(params: Any, batch: Any = slice(None)) -> Any:
    x, y = jnp.asarray(X)[batch], jnp.asarray(Y)[batch]
    return jnp.mean((jnp.tanh(x @ params["w"] + params["b"]) @ params["v"] - y) ** 2)


def warmup_cosine_with_clipping_and_accumulation(optax: Any) -> Any:
    schedule = optax.warmup_cosine_decay_schedule(
        init_value=0.0, peak_value=0.05, warmup_steps=5, decay_steps=STEPS // 2, end_value=1e-4
    )
    tx = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule, weight_decay=1e-2))
    tx = optax.MultiSteps(tx, every_k_schedule=2)
    params = _init()
    state = tx.init(params)

    @jax.jit
    def step(params: Any, state: Any, batch: Any) -> Any:
        loss, grads = jax.value_and_grad(_loss)(params, batch)
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state, loss

    for t in range(STEPS):
        params, state, loss = step(params, state, BATCHES[t % 8])
        assert jnp.isfinite(loss)
    assert int(state.gradient_step) == STEPS // 2
    return params


def masked_weight_decay(optax: Any) -> Any:
    tx = optax.chain(
        optax.scale_by_adam(b2=0.99),
        optax.add_decayed_weights(0.1, mask=lambda params: jax.tree.map(lambda p: p.ndim > 1, params)),
        optax.masked(optax.clip(0.5), {"w": True, "b": False, "v": False}),
        optax.scale_by_schedule(optax.exponential_decay(-0.05, transition_steps=10, decay_rate=0.9)),
    )
    params = _init()

    def step(carry: Any, _: None) -> Any:
        params, state = carry
        updates, state = tx.update(jax.grad(_loss)(params), state, params)
        return (optax.apply_updates(params, updates), state), None

    (params, _), _ = jax.lax.scan(step, (params, tx.init(params)), length=STEPS)
    return params


def injected_hyperparams(optax: Any) -> Any:
    tx = optax.inject_hyperparams(optax.adam)(learning_rate=0.05, b1=optax.linear_schedule(0.8, 0.95, 20))
    params = _init()
    state = tx.init(params)

    @jax.jit
    def step(params: Any, state: Any) -> Any:
        updates, state = tx.update(jax.grad(_loss)(params), state, params)
        return optax.apply_updates(params, updates), state

    for t in range(STEPS):
        if t == STEPS // 2:
            state.hyperparams["learning_rate"] = jnp.asarray(0.01)
        params, state = step(params, state)
    return params


def one_optimizer_per_label(optax: Any) -> Any:
    labels = {"w": "matrix", "b": "frozen", "v": "vector"}
    tx = optax.partition(
        {
            "matrix": optax.contrib.muon(0.02),
            "vector": optax.sgd(
                optax.piecewise_constant_schedule(0.1, {20: 0.5}), momentum=0.9, nesterov=True
            ),
            "frozen": optax.set_to_zero(),
        },
        labels,
    )
    params = _init()

    def step(carry: Any, _: None) -> Any:
        params, state = carry
        updates, state = tx.update(jax.grad(_loss)(params), state, params)
        return (optax.apply_updates(params, updates), state), None

    (params, _), _ = jax.lax.scan(step, (params, tx.init(params)), length=STEPS)
    assert not np.any(params["b"])
    return params


def lbfgs_with_its_line_search(optax: Any) -> Any:
    tx = optax.lbfgs()
    value_and_grad = optax.value_and_grad_from_state(_loss)

    def step(carry: Any, _: None) -> Any:
        params, state = carry
        value, grad = value_and_grad(params, state=state)
        updates, state = tx.update(grad, state, params, value=value, grad=grad, value_fn=_loss)
        return (optax.apply_updates(params, updates), state), value

    params = _init()
    # Rounding grows from search to search: few of them.
    (params, _), _ = jax.lax.scan(step, (params, tx.init(params)), length=8)
    return params


def schedule_free_evaluated_at_its_average(optax: Any) -> Any:
    tx = optax.contrib.schedule_free_adamw(learning_rate=0.02, b1=0.9, weight_decay=1e-3)
    params = _init()
    state = tx.init(params)

    @jax.jit
    def step(params: Any, state: Any, batch: Any) -> Any:
        updates, state = tx.update(jax.grad(_loss)(params, batch), state, params)
        return optax.apply_updates(params, updates), state

    for t in range(STEPS):
        params, state = step(params, state, BATCHES[t % 8])
    return optax.contrib.schedule_free_eval_params(state, params)


def reduced_on_a_plateau(optax: Any) -> Any:
    tx = optax.chain(
        optax.adam(0.1), optax.contrib.reduce_on_plateau(factor=0.5, patience=2, rtol=0.05, cooldown=1)
    )
    params = _init()

    def step(carry: Any, _: None) -> Any:
        params, state = carry
        value, grads = jax.value_and_grad(_loss)(params)
        updates, state = tx.update(grads, state, params, value=value)
        return (optax.apply_updates(params, updates), state), None

    (params, state), _ = jax.lax.scan(step, (params, tx.init(params)), length=STEPS)
    assert state[1].scale < 1
    return params


def annotated_with_optaxs_kinds_of_values(optax: Any) -> Any:
    Carry = tuple[optax.Params, optax.OptState]
    rates: dict[str, optax.ScalarOrSchedule] = {"learning_rate": optax.exponential_decay(0.2, 10, 0.9)}
    kinds = {"updates": optax.Updates, "rate": optax.ScalarOrSchedule, "schedule": optax.Schedule}
    tx = optax.chain(optax.sgd(**rates, momentum=0.5), optax.clip(1.0))
    assert isinstance(tx, optax.GradientTransformation)

    def step(carry: Any, _: None) -> Any:
        params, state = carry
        updates, state = tx.update(jax.grad(_loss)(params), state, params)
        return (optax.apply_updates(params, updates), state), None

    step.__annotations__ = {"carry": Carry, **kinds}
    params = _init()
    (params, _), _ = jax.lax.scan(step, (params, tx.init(params)), length=STEPS)
    return params


SCRIPTS = (
    annotated_with_optaxs_kinds_of_values,
    warmup_cosine_with_clipping_and_accumulation,
    masked_weight_decay,
    injected_hyperparams,
    one_optimizer_per_label,
    lbfgs_with_its_line_search,
    schedule_free_evaluated_at_its_average,
    reduced_on_a_plateau,
)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
def test_a_script_for_optax_trains_with_lrjax_to_the_same_loss(script: Callable[[Any], Any]) -> None:
    losses = [float(_loss(script(library))) for library in (lrjax, optax)]
    assert losses[0] < 0.7 * float(_loss(_init())), "it trains"
    # Bias corrections differ by 1e-5 in the first steps, and training carries that on.
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-3)
