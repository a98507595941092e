"""Shampoo: AdaGrad with a full matrix for each axis of a tensor of parameters."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import MaskTree, Params, ScalarLike, ScalarOrSchedule, Updates
from lrjax.learning_rate import scale_by_learning_rate
from lrjax.optimizers._sgd import trace
from lrjax.optimizers._sides import Sides, due
from lrjax.schedules import as_schedule, schedulable
from lrjax.transform import GradientTransformation, chain
from lrjax.transforms import add_decayed_weights


class ScaleByShampooState(NamedTuple):
    """The state of Shampoo.

    Attributes:
      count: int32 scalar, the number of updates so far.
      preconditioners: For each leaf a tuple: of each axis that has a matrix the sum of what slices along
        it have in common, in at least float32.
      roots: Their inverse roots, as last computed, likewise.
      sum_of_squares: For leaves without a matrix the sum of squares, in at least float32; of shape (1,),
        unused, for others.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> state = lrjax.scale_by_shampoo(max_dimension=3).init(jnp.zeros((2, 4, 3)))
      >>> [matrix.shape for matrix in state.preconditioners]
      [(2, 2), (3, 3)]
    """

    count: jax.Array
    preconditioners: Params
    roots: Params
    sum_of_squares: Params


class _Leaf(NamedTuple):
    """What one leaf's update leads to."""

    update: jax.Array
    preconditioners: tuple[jax.Array, ...]
    roots: tuple[jax.Array, ...]
    sum_of_squares: jax.Array


def scale_by_shampoo(
    eps: ScalarLike = 1e-4, precondition_frequency: ScalarLike = 10, max_dimension: int = 1024
) -> GradientTransformation:
    r"""Shampoo's scaling of updates.

    A tensor of $k \ge 2$ axes has a matrix for each, $H^i_t = H^i_{t-1} + G^{(i)}_t {G^{(i)}_t}^T$ from
    $H^i_0 = \epsilon I$ on, where $G^{(i)}$ has the slices along axis $i$ as rows; the update is $G_t$ with
    $(H^i_t)^{-1/(2k)}$ applied along each axis. Of a matrix that is $L_t^{-1/4} G_t R_t^{-1/4}$ with
    $L_t = L_{t-1} + G_t G_t^T$ and $R_t = R_{t-1} + G_t^T G_t$. Axes longer than `max_dimension` stay as
    they are, and $k$ counts the others, so that updates have no unit still. Vectors, numbers and leaves
    of which no axis is left are scaled as by AdaGrad: $g_t / \sqrt{\epsilon + \sum_{i \le t} g_i^2}$.

    Args:
      eps: $\epsilon$ > 0.
      precondition_frequency: $f$ >= 1, the steps from one computation of the roots to the next. It costs
        $O(n^3)$, and what was computed serves in between. At first they are computed at every step, $f$
        times for a square matrix, and more often for a longer one.
      max_dimension: The longest axis that has a matrix. Static.

    Returns:
      A `GradientTransformation` with a `ScaleByShampooState`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range.

    Note:
      The paper keeps a full matrix for vectors too, which `full_matrix_adagrad` does. Here what a gradient
      holds that none had before the last roots is divided by a root of $\epsilon$, and is large: a vector's
      matrix would be spanned after as many gradients as it has elements. Where gradients are of a low
      rank, as those of a few examples are, take $f = 1$ or a larger $\epsilon$. In `vmap` the roots are
      computed at every step.

    References:
      Gupta, Koren and Singer, Shampoo: Preconditioned Stochastic Tensor Optimization, 1802.09568, 2018.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.scale_by_shampoo(eps=1e-6)
      >>> grads = jnp.array([[3.0, 0.0], [0.0, -0.5]])
      >>> tx.update(grads, tx.init(grads))[0].round(3) + 0.0
      Array([[ 1.,  0.],
             [ 0., -1.]], dtype=float32)
    """
    return _scale_by_shampoo("scale_by_shampoo", eps, precondition_frequency, max_dimension)


@schedulable
def shampoo(
    learning_rate: ScalarOrSchedule,
    momentum: ScalarLike = 0.9,
    eps: ScalarLike = 1e-4,
    precondition_frequency: ScalarLike = 10,
    max_dimension: int = 1024,
    weight_decay: ScalarLike = 0.0,
    mask: MaskTree | None = None,
) -> GradientTransformation:
    r"""Shampoo: $\theta_{t+1} = \theta_t - \eta_t (m_t + \lambda \theta_t)$, $m_t = \mu m_{t-1} + u_t$.

    The $u_t$ are those of `scale_by_shampoo`. The usual rate is 1e-2 to 1.

    Args:
      learning_rate: $\eta$: a number, a tracer, a `Schedule` or a callable of the step.
      momentum: $\mu$ in [0, 1).
      eps: $\epsilon$ > 0.
      precondition_frequency: The steps from one computation of the roots to the next, >= 1.
      max_dimension: The longest axis that has a matrix. Static.
      weight_decay: $\lambda$ >= 0, decoupled.
      mask: A tree of bools, True where parameters decay, or a callable that makes one. Static.

    Returns:
      A `GradientTransformation` whose `update` needs `params`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range; from `update`, if `params` is missing.

    References:
      Gupta, Koren and Singer, Shampoo: Preconditioned Stochastic Tensor Optimization, 1802.09568, 2018.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.shampoo(0.5, eps=1e-6)
      >>> params = jnp.array([[3.0, 0.0], [0.0, -0.5]])
      >>> tx.update(params, tx.init(params), params)[0].round(3) + 0.0
      Array([[-0.5,  0. ],
             [ 0. ,  0.5]], dtype=float32)
    """
    _check.number("shampoo", "momentum", momentum, low=0, high=1, open_high=True)
    _check.number("shampoo", "weight_decay", weight_decay, low=0)
    return chain(
        _scale_by_shampoo("shampoo", eps, precondition_frequency, max_dimension),
        trace(momentum),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(as_schedule("shampoo", "learning_rate", learning_rate)),
    )


def _scale_by_shampoo(
    call: str, eps: ScalarLike, precondition_frequency: ScalarLike, max_dimension: int
) -> GradientTransformation:
    """Shampoo's scaling; errors name the public function the user called."""
    _check.number(call, "eps", eps, low=0, open_low=True)
    _check.number(call, "precondition_frequency", precondition_frequency, low=1)
    longest = _check.integer(call, "max_dimension", max_dimension, low=1)

    def state_of(count: jax.Array, leaves: Any) -> ScaleByShampooState:
        return ScaleByShampooState(count, *(_tree.field(_Leaf, leaves, name) for name in _Leaf._fields[1:]))

    def init(params: Params) -> ScaleByShampooState:
        def leaf(p: Any) -> _Leaf:
            sides = Sides(p, longest)
            squares = jnp.full((1,) if sides.axes else jnp.shape(p), eps, sides.dtype)
            return _Leaf(squares, sides.identities(eps), sides.identities(1.0), squares)

        return state_of(jnp.zeros((), jnp.int32), jax.tree.map(leaf, params))

    def update(
        updates: Updates, state: ScaleByShampooState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, ScaleByShampooState]:
        del params, extra

        def leaf(g: Any, matrices: Any, roots: Any, squares: Any) -> _Leaf:
            x, sides = _tree.wide(g), Sides(g, longest)

            def root(matrix: jax.Array) -> jax.Array:
                # No eigenvalue of a sum that begins with eps I is below eps, but for rounding.
                values, vectors = jnp.linalg.eigh(matrix)
                return (vectors * jnp.maximum(values, eps) ** (-0.5 / len(sides.axes))) @ vectors.T

            if sides.axes:
                matrices = tuple(h + new for h, new in zip(matrices, sides.squares(x), strict=True))
                # Until gradients span an axis, roots of earlier ones divide what is new by a root of eps.
                begins = state.count < precondition_frequency + sides.gradients_to_span - 1
                is_due = begins | due(state.count, precondition_frequency)
                roots = jax.lax.cond(is_due, lambda: tuple(root(h) for h in matrices), lambda: roots)
                step = sides.turned(x, roots)
            else:
                squares = (squares + _tree.square(x)).astype(squares.dtype)
                step = x / jnp.sqrt(squares)
            return _Leaf(step.astype(jnp.result_type(g)), matrices, roots, squares)

        leaves = jax.tree.map(leaf, updates, *state[1:])
        return _tree.field(_Leaf, leaves, "update"), state_of(_tree.next_count(state.count), leaves)

    return GradientTransformation(init, update)
