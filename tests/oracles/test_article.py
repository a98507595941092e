"""What introductions describe, against its transcriptions after 60 steps in float64."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.catalogue import Row, article
from tests.running import scan_steps

STEPS = 60
SIZES = np.array([1e-2, 0.1, 1.0, 3.0, 10.0])
ROWS = [pytest.param(row, id=row.name) for row in article.ROWS]


@pytest.mark.parametrize("row", ROWS)
def test_sixty_steps_are_the_papers_to_a_millionth(row: Row) -> None:
    random = np.random.default_rng(17)
    theta, gradients = random.normal(size=5), random.normal(size=(STEPS, 5)) * SIZES
    with jax.enable_x64(True):
        run = jax.jit(lambda params, grads: scan_steps(row.tx(), params, list(grads))[0])
        actual = np.asarray(run(jnp.asarray(theta), jnp.asarray(gradients)))
    expected = np.stack(list(row.oracle(gradients, theta, **row.typical)))
    error, size = np.max(np.abs(actual - expected), axis=0), np.max(np.abs(expected), axis=0)
    assert np.all(error <= 1e-6 * size), f"largest errors {error} of {size}"
