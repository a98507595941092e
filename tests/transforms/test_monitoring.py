"""Measurements: what is kept, of which type, and that the updates do not notice."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lrjax
from tests.running import assert_close

GRADS = [jnp.array([3.0, 4.0]), jnp.array([0.0, 0.5]), jnp.array([0.6, 0.8])]


def _too_large(updates: Any) -> Any:
    return lrjax.global_norm(updates) > 0.75


@pytest.mark.parametrize("debias", [True, False])
def test_measurements_are_optaxs(debias: bool) -> None:
    measured = []
    for library in (lrjax, optax):
        tx = library.chain(
            library.trace(0.5),
            library.monitor(
                {
                    "norm": lrjax.global_norm,
                    "smooth": library.measure_with_ema(lrjax.global_norm, 0.9, debias),
                    "often": library.measure_with_ema(_too_large, 0.5, debias),
                }
            ),
            library.clip(1.0),
        )
        state = tx.init(jnp.zeros(2))
        for g in GRADS:
            updates, state = tx.update(g, state)
        measured.append((updates, state[1].measurements))
    assert_close(measured[0], measured[1], 3e-6)


def test_the_state_keeps_its_structure_and_trains_in_a_scan() -> None:
    tx = lrjax.chain(
        lrjax.monitor({"norm": lrjax.global_norm, "often": lrjax.measure_with_ema(_too_large, 0.5)}),
        lrjax.snapshot("last", lambda updates: {"sign": jnp.sign(updates), "large": _too_large(updates)}),
        lrjax.sgd(0.1),
    )

    @jax.jit
    def run(grads: Any) -> Any:
        return jax.lax.scan(lambda s, g: tx.update(g, s)[::-1], tx.init(jnp.zeros(2)), grads)

    state, _ = run(jnp.stack(GRADS))
    assert float(state[0].measurements["norm"]) == pytest.approx(1.0)
    assert float(state[0].measurements["often"]) == pytest.approx((0.125 + 0.5) / 0.875)
    assert state[1].measurement["last"]["large"].dtype == bool
    np.testing.assert_array_equal(state[1].measurement["last"]["sign"], [1.0, 1.0])


def test_a_measurement_keeps_its_dtype_where_gradients_are_wider_than_parameters() -> None:
    params, grads = jnp.zeros(2, "bfloat16"), jnp.ones(2)
    tx = lrjax.chain(lrjax.snapshot("g", lambda u: u), lrjax.monitor({"g": jnp.sum}))
    state = tx.init(params)
    _, new = tx.update(grads, state, params)
    assert jax.tree.map(lambda x: x.dtype, new) == jax.tree.map(lambda x: x.dtype, state)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: lrjax.snapshot(3, jnp.sum), r"`snapshot\(measure_name=...\)` must be a string, got 3"),
        (lambda: lrjax.snapshot("a", 3), r"`snapshot\(measure=...\)` must be a function.*got 3"),
        (lambda: lrjax.monitor({"a": 3}), r"`monitor\(measures\['a'\]=...\)`.*got 3"),
        (lambda: lrjax.measure_with_ema(3, 0.5), r"`measure_with_ema\(measure=...\)`.*got 3"),
        (lambda: lrjax.ema(1.0), r"`ema\(decay=...\)` must be one number in \[0, 1\), got 1.0"),
    ],
)
def test_a_bad_argument_is_named(make: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        make()
