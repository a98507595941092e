"""AdaGrad with the whole matrix of gradients, for few parameters."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import Params, ScalarLike, ScalarOrSchedule, Updates
from lrjax.learning_rate import scale_by_learning_rate
from lrjax.schedules import as_schedule, schedulable
from lrjax.transform import GradientTransformation, chain


class FullMatrixAdagradState(NamedTuple):
    """The state of full-matrix AdaGrad.

    Attributes:
      sum_of_outer_products: A symmetric matrix, one row for each parameter, in at least float32.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> lrjax.full_matrix_adagrad(0.5).init(jnp.ones(3))[0].sum_of_outer_products.shape
      (3, 3)
    """

    sum_of_outer_products: jax.Array


@schedulable
def full_matrix_adagrad(
    learning_rate: ScalarOrSchedule, eps: ScalarLike = 1e-7, max_size: int = 1024
) -> GradientTransformation:
    r"""AdaGrad with full matrices: $\theta_{t+1} = \theta_t - \eta_t (\epsilon I + G_t^{1/2})^{-1} g_t$.

    $G_t = \sum_{i \le t} g_i g_i^\top$ over all leaves joined into one vector. Steps do not depend on how
    the parameters' axes are turned, which `adagrad`'s do.

    Args:
      learning_rate: $\eta$: a number, a tracer, a `Schedule` or a callable of the step.
      eps: $\epsilon$ >= 0.
      max_size: How many parameters there may be: the matrix has the square of their number, and its
        eigenvectors are computed at every step. Static.

    Returns:
      A `GradientTransformation` for real parameters.

    Note:
      Directions in which no gradient has pointed, to rounding, get no step: what this gradient has
      there is rounding too. In float32 these are directions with less than about 1e-3 of the largest.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range; from `init`, if there are more parameters than
        `max_size`.

    References:
      Duchi, Hazan and Singer, Adaptive Subgradient Methods for Online Learning, JMLR 12, 2011, figure 2.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.full_matrix_adagrad(0.5)
      >>> grads = jnp.array([3.0, -4.0])
      >>> tx.update(grads, tx.init(grads))[0].round(1)
      Array([-0.3,  0.4], dtype=float32)
    """
    call = "full_matrix_adagrad"
    _check.number(call, "eps", eps, low=0)
    max_size = _check.integer(call, "max_size", max_size, low=1)

    def init(params: Params) -> FullMatrixAdagradState:
        leaves = jax.tree.leaves(params)
        size = sum(jnp.size(p) for p in leaves)
        if size > max_size:
            raise _check.fail(call, "max_size", f"at least the number of parameters, {size}", max_size)
        dtype = jnp.result_type(jnp.float32, *map(_tree.wide_dtype, leaves))
        return FullMatrixAdagradState(jnp.zeros((size, size), dtype))

    def update(
        updates: Updates, state: FullMatrixAdagradState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, FullMatrixAdagradState]:
        del params, extra
        leaves, structure = jax.tree.flatten(updates)
        if state.sum_of_outer_products.size == 0:
            return updates, state
        dtype = state.sum_of_outer_products.dtype
        g = jnp.concatenate([jnp.ravel(u).astype(dtype) for u in leaves])
        outer = state.sum_of_outer_products + jnp.outer(g, g)
        squares, directions = jnp.linalg.eigh(outer)
        known = squares > g.size * jnp.finfo(dtype).eps * squares[-1]
        root = jnp.sqrt(jnp.where(known, squares, 1)) + eps
        along = jnp.matmul(g, directions, precision="highest")
        step = jnp.matmul(directions, jnp.where(known, along / root, 0), precision="highest")
        ends = [sum(jnp.size(u) for u in leaves[: i + 1]) for i in range(len(leaves))]
        parts = jnp.split(step, ends[:-1])
        shaped = [part.reshape(jnp.shape(u)) for part, u in zip(parts, leaves, strict=True)]
        return _tree.cast_like(structure.unflatten(shaped), updates), FullMatrixAdagradState(outer)

    return chain(
        GradientTransformation(init, update),
        scale_by_learning_rate(as_schedule(call, "learning_rate", learning_rate)),
    )
