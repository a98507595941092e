"""GaLore: another optimizer on gradients of low rank, with less memory."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import MaskTree, OptState, Params, ScalarLike, ScalarOrSchedule, Updates
from lrjax.learning_rate import scale_by_learning_rate
from lrjax.optimizers._adam import scale_by_adam
from lrjax.optimizers._matrices import Axes, axes_of, folded, is_numbers
from lrjax.schedules import as_schedule, schedulable
from lrjax.transform import GradientTransformation, chain, check_transformation, with_extra_args_support
from lrjax.transforms import add_decayed_weights, gated


class GaLoreDimensionNumbers(NamedTuple):
    """Which axes of a leaf are a matrix's rows and columns; the others are a batch of matrices.

    Attributes:
      reduction_axis: The axis, or axes, that are summed over when the weights are used.
      output_axis: The axis, or axes, of what comes out.

    Example:
      >>> import lrjax
      >>> lrjax.GaLoreDimensionNumbers(reduction_axis=0, output_axis=(1, 2)).output_axis
      (1, 2)
    """

    reduction_axis: int | tuple[int, ...] = 0
    output_axis: int | tuple[int, ...] = 1


class GaLoreState(NamedTuple):
    """The state of GaLore.

    Attributes:
      count: int32 scalar, the number of updates so far.
      base_optimizer_state: The state of the optimizer of projected gradients.
      projector: For every leaf its projector $P$, of shape `(shorter side, rank)`, in at least float32; of
        shape (1, 1), unused, for leaves that are not projected.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> state = lrjax.scale_by_galore(rank=2).init(jnp.zeros((4, 8)))
      >>> state.projector.shape, state.base_optimizer_state.mu.shape
      ((4, 2), (2, 8))
    """

    count: jax.Array
    base_optimizer_state: OptState
    projector: Params


def scale_by_galore(
    rank: int = 128,
    update_proj_gap: ScalarLike = 200,
    scale: ScalarLike = 1.0,
    base_optimizer: Any = None,
    weight_dimension_numbers: Any = None,
) -> GradientTransformation:
    r"""Runs a transformation on gradients projected to a low rank, and takes what comes out back.

    For a gradient $G$ of shape $m \times n$, $m \le n$, every $T$ steps $P$ becomes the first $r$ left
    singular vectors of $G$; the update is $\alpha P \, \rho(P^T G)$ with the transformation $\rho$. For
    $m > n$ it is $\alpha \, \rho(G P) P^T$ with the right ones.

    Args:
      rank: $r$ >= 1, at most the shorter side. Static.
      update_proj_gap: $T$ >= 1.
      scale: $\alpha$ > 0. The paper uses 0.25.
      base_optimizer: $\rho$: anything with `init` and `update` that does without the parameters, which
        have another shape; None for `scale_by_adam()`.
      weight_dimension_numbers: A `GaLoreDimensionNumbers` for all leaves of two or more axes, a tree of
        them with None for leaves that are not projected, or a callable that makes one; None for leaves
        with two axes. Static.

    Returns:
      A `GradientTransformation` with a `GaLoreState`. Leaves that are not projected go to the
      transformation as they are, and are not multiplied by $\alpha$.

    Note:
      The shorter side is projected, as in the paper. (optax projects the longer one, which takes less
      memory for Adam, and loses more of a gradient that changes.) For half-precision parameters $P$ is
      float32: rounded to them it would not be orthogonal. In `vmap` the singular vectors are computed
      at every step.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range.

    References:
      Zhao et al., GaLore: Memory-Efficient LLM Training by Gradient Low-Rank Projection, 2403.03507, 2024.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.scale_by_galore(rank=1, base_optimizer=lrjax.identity())
      >>> grads = jnp.array([[3.0, 0.0], [0.0, 1.0]])
      >>> updates, state = tx.update(grads, tx.init(grads))
      >>> abs(updates).round(4)
      Array([[3., 0.],
             [0., 0.]], dtype=float32)
    """
    return _scale_by_galore(
        "scale_by_galore", rank, update_proj_gap, scale, base_optimizer, weight_dimension_numbers
    )


@schedulable
def galore(
    learning_rate: ScalarOrSchedule,
    rank: int = 128,
    update_proj_gap: ScalarLike = 200,
    scale: ScalarLike = 1.0,
    base_optimizer: Any = None,
    weight_decay: ScalarLike = 0.0,
    mask: MaskTree | None = None,
    weight_dimension_numbers: Any = None,
) -> GradientTransformation:
    r"""GaLore: $\theta_{t+1} = \theta_t - \eta_t (u_t + \lambda \theta_t)$, $u_t$ as in `scale_by_galore`.

    Adam's moments take the memory of $r (m + 2 n)$ numbers in the place of $2 m n$. The usual rate is 1e-2
    with a scale of 0.25.

    Args:
      learning_rate: $\eta$: a number, a tracer, a `Schedule` or a callable of the step.
      rank: $r$ >= 1, at most the shorter side. Static.
      update_proj_gap: $T$ >= 1, the steps between two projectors.
      scale: $\alpha$ > 0, on what is projected.
      base_optimizer: What runs on projected gradients; see `scale_by_galore`.
      weight_decay: $\lambda$ >= 0, decoupled.
      mask: A tree of bools, True where parameters decay, or a callable that makes one. Static.
      weight_dimension_numbers: Which axes make matrices; see `scale_by_galore`. Static.

    Returns:
      A `GradientTransformation` whose `update` needs `params`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range; from `update`, if `params` is missing.

    References:
      Zhao et al., GaLore: Memory-Efficient LLM Training by Gradient Low-Rank Projection, 2403.03507, 2024.

    Example:
      >>> import jax, jax.numpy as jnp, lrjax
      >>> tx = lrjax.galore(0.1, rank=1)
      >>> params = jnp.outer(jnp.array([1.0, -2.0]), jnp.array([1.0, 0.5, 2.0]))
      >>> state = tx.init(params)
      >>> for _ in range(5):
      ...     updates, state = tx.update(params, state, params)
      ...     params = lrjax.apply_updates(params, updates)
      >>> bool(jnp.linalg.norm(params) < 4.5)
      True
    """
    _check.number("galore", "weight_decay", weight_decay, low=0)
    return chain(
        _scale_by_galore("galore", rank, update_proj_gap, scale, base_optimizer, weight_dimension_numbers),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(as_schedule("galore", "learning_rate", learning_rate)),
    )


def _scale_by_galore(
    call: str,
    rank: int,
    update_proj_gap: ScalarLike,
    scale: ScalarLike,
    base_optimizer: Any,
    dimension_numbers: Any,
) -> GradientTransformation:
    """GaLore's scaling; errors name the public function the user called."""
    rank = _check.integer(call, "rank", rank, low=1)
    _check.number(call, "update_proj_gap", update_proj_gap, low=1)
    _check.number(call, "scale", scale, low=0, open_low=True)
    base_optimizer = scale_by_adam() if base_optimizer is None else base_optimizer
    check_transformation(call, "base_optimizer", base_optimizer)
    base = with_extra_args_support(base_optimizer)

    def axes(tree: Any) -> Any:
        given = dimension_numbers
        if given is not None and is_numbers(given):
            return jax.tree.map(lambda leaf: Axes(given if jnp.ndim(leaf) >= 2 else None), tree)
        return axes_of(given, tree, GaLoreDimensionNumbers())

    def vectors(g: Any, leaf_axes: Axes) -> jax.Array:
        """The singular vectors of the shorter side that matter most."""
        if leaf_axes.numbers is None:
            return jnp.zeros((1, 1), _tree.wide_dtype(g))
        matrices, _ = folded(call, _tree.wide(g), leaf_axes)
        left, _, right = jnp.linalg.svd(matrices, full_matrices=False)
        kept = left if _is_wide(matrices) else jnp.conj(right.mT)
        return kept[..., :rank]

    def low(g: Any, p: jax.Array, leaf_axes: Axes) -> jax.Array:
        if leaf_axes.numbers is None:
            return _tree.wide(g)
        matrices, _ = folded(call, _tree.wide(g), leaf_axes)
        return jnp.conj(p.mT) @ matrices if _is_wide(matrices) else matrices @ p

    def full(u: jax.Array, p: jax.Array, g: Any, leaf_axes: Axes) -> Any:
        if leaf_axes.numbers is None:
            return u
        matrices, unfold = folded(call, _tree.wide(g), leaf_axes)
        return scale * unfold(p @ u if _is_wide(matrices) else u @ jnp.conj(p.mT))

    def init(params: Params) -> GaLoreState:
        of = axes(params)
        shapes = jax.eval_shape(lambda tree: jax.tree.map(vectors, tree, of), params)
        projector = _tree.zeros_like(shapes)
        small = jax.eval_shape(lambda *trees: jax.tree.map(low, *trees, of), params, projector)
        small = jax.tree.map(lambda x, p: jnp.zeros(x.shape, jnp.result_type(p)), small, params)
        return GaLoreState(jnp.zeros((), jnp.int32), base.init(small), projector)

    def update(
        updates: Updates, state: GaLoreState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, GaLoreState]:
        del params
        of = axes(updates)
        due = state.count % update_proj_gap == 0
        projector, _ = gated(due, lambda: (jax.tree.map(vectors, updates, of), ()), state.projector, ())
        small = jax.tree.map(low, updates, projector, of)
        steps, base_state = base.update(small, state.base_optimizer_state, None, **extra)
        back = jax.tree.map(full, steps, projector, updates, of)
        count = _tree.next_count(state.count)
        return _tree.cast_like(back, updates), GaLoreState(count, base_state, projector)

    return GradientTransformation(init, update)


def _is_wide(matrices: jax.Array) -> bool:
    return matrices.shape[-2] <= matrices.shape[-1]
