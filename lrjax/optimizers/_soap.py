"""SOAP: Adam in the eigenbasis of Shampoo's matrices."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import MaskTree, Params, ScalarLike, ScalarOrSchedule, Updates
from lrjax.learning_rate import scale_by_learning_rate
from lrjax.optimizers._sides import Sides, due
from lrjax.schedules import as_schedule, schedulable
from lrjax.transform import GradientTransformation, chain
from lrjax.transforms import add_decayed_weights


class ScaleBySoapState(NamedTuple):
    """The state of SOAP.

    Attributes:
      count: int32 scalar, the number of updates so far.
      mu: First moments, shaped like the parameters, in at least float32.
      nu: Second moments, likewise; in the basis of the step.
      averages: For each leaf a tuple: of each axis that has a matrix the average of what slices along it
        have in common, in at least float32.
      bases: Their eigenvectors, as last computed, likewise.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> state = lrjax.scale_by_soap(max_dimension=3).init(jnp.zeros((2, 4, 3)))
      >>> [matrix.shape for matrix in state.averages]
      [(2, 2), (3, 3)]
    """

    count: jax.Array
    mu: Params
    nu: Params
    averages: Params
    bases: Params


class _Leaf(NamedTuple):
    """What one leaf's update leads to."""

    update: jax.Array
    mu: jax.Array
    nu: jax.Array
    averages: tuple[jax.Array, ...]
    bases: tuple[jax.Array, ...]


def scale_by_soap(
    b1: ScalarLike = 0.95,
    b2: ScalarLike = 0.95,
    eps: ScalarLike = 1e-8,
    precondition_frequency: ScalarLike = 10,
    max_dimension: int = 1024,
) -> GradientTransformation:
    r"""SOAP's scaling of updates.

    Of matrices, with the averages $L$ of $G G^T$ and $R$ of $G^T G$ (decay $\beta_2$) and their
    eigenvectors $Q_L, Q_R$: Adam's second moment is that of $Q_L^T G Q_R$, and the update is
    $Q_L \left(Q_L^T \hat m_t Q_R / (\sqrt{\hat v_t} + \epsilon)\right) Q_R^T$. Every $f$ steps the
    eigenvectors are brought up to date by one step of the power iteration,
    $Q \leftarrow \mathrm{QR}(L Q)$. The first gradient makes the first $L$, $R$ and bases, and
    nothing moves. Tensors of more axes have a matrix and a basis for each, as in Shampoo. Axes longer than
    `max_dimension` have none and are not turned: of a matrix with one such side that is the paper's
    one-sided form. Vectors, numbers, and leaves of which no axis is turned are scaled as by Adam, from the
    second gradient on too.

    Args:
      b1: $\beta_1$ in [0, 1), the decay of the first moment.
      b2: $\beta_2$ in [0, 1), the decay of the second moment and of $L$ and $R$.
      eps: $\epsilon$ >= 0.
      precondition_frequency: $f$ >= 1, in steps.
      max_dimension: The longest axis that has a matrix. Static.

    Returns:
      A `GradientTransformation` with a `ScaleBySoapState`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range.

    Note:
      The authors' code sorts the eigenvectors, and $v$ with them, before each power iteration. In `vmap` the
      iteration is made at every step.

    References:
      Vyas et al., SOAP: Improving and Stabilizing Shampoo using Adam, 2409.11321, 2024.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.scale_by_soap()
      >>> grads = jnp.array([[3.0, 0.0], [0.0, -0.5]])
      >>> first, state = tx.update(grads, tx.init(grads))
      >>> second, state = tx.update(grads, state)
      >>> float(abs(first).max()), second.round(3) + 0.0
      (0.0, Array([[ 1.,  0.],
             [ 0., -1.]], dtype=float32))
    """
    return _scale_by_soap("scale_by_soap", b1, b2, eps, precondition_frequency, max_dimension)


@schedulable
def soap(
    learning_rate: ScalarOrSchedule,
    b1: ScalarLike = 0.95,
    b2: ScalarLike = 0.95,
    eps: ScalarLike = 1e-8,
    precondition_frequency: ScalarLike = 10,
    max_dimension: int = 1024,
    weight_decay: ScalarLike = 1e-2,
    mask: MaskTree | None = None,
) -> GradientTransformation:
    r"""SOAP: $\theta_{t+1} = \theta_t - \eta_t (u_t + \lambda \theta_t)$, with `scale_by_soap`'s $u_t$.

    The usual rate is 3e-3.

    Args:
      learning_rate: $\eta$: a number, a tracer, a `Schedule` or a callable of the step.
      b1: $\beta_1$ in [0, 1).
      b2: $\beta_2$ in [0, 1).
      eps: $\epsilon$ >= 0.
      precondition_frequency: The steps from one power iteration to the next, >= 1.
      max_dimension: The longest axis that has a matrix. Static.
      weight_decay: $\lambda$ >= 0, decoupled.
      mask: A tree of bools, True where parameters decay, or a callable that makes one. Static.

    Returns:
      A `GradientTransformation` whose `update` needs `params`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range; from `update`, if `params` is missing.

    References:
      Vyas et al., SOAP: Improving and Stabilizing Shampoo using Adam, 2409.11321, 2024.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.soap(0.5, weight_decay=0.0)
      >>> params = jnp.array([[3.0, 0.0], [0.0, -0.5]])
      >>> updates, state = tx.update(params, tx.init(params), params)
      >>> tx.update(params, state, params)[0].round(3) + 0.0
      Array([[-0.5,  0. ],
             [ 0. ,  0.5]], dtype=float32)
    """
    _check.number("soap", "weight_decay", weight_decay, low=0)
    return chain(
        _scale_by_soap("soap", b1, b2, eps, precondition_frequency, max_dimension),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(as_schedule("soap", "learning_rate", learning_rate)),
    )


def _scale_by_soap(
    call: str,
    b1: ScalarLike,
    b2: ScalarLike,
    eps: ScalarLike,
    precondition_frequency: ScalarLike,
    max_dimension: int,
) -> GradientTransformation:
    """SOAP's scaling; errors name the public function the user called."""
    _check.number(call, "b1", b1, low=0, high=1, open_high=True)
    _check.number(call, "b2", b2, low=0, high=1, open_high=True)
    _check.number(call, "eps", eps, low=0)
    _check.number(call, "precondition_frequency", precondition_frequency, low=1)
    longest = _check.integer(call, "max_dimension", max_dimension, low=1)

    def state_of(count: jax.Array, leaves: Any) -> ScaleBySoapState:
        return ScaleBySoapState(count, *(_tree.field(_Leaf, leaves, name) for name in _Leaf._fields[1:]))

    def init(params: Params) -> ScaleBySoapState:
        def leaf(p: Any) -> _Leaf:
            sides = Sides(p, longest)
            zeros = jnp.zeros(jnp.shape(p), sides.dtype)
            return _Leaf(zeros, zeros, zeros, sides.identities(0.0), sides.identities(1.0))

        return state_of(jnp.zeros((), jnp.int32), jax.tree.map(leaf, params))

    def update(
        updates: Updates, state: ScaleBySoapState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, ScaleBySoapState]:
        del params, extra
        is_first, is_due = state.count == 0, due(state.count, precondition_frequency)
        t = jnp.maximum(state.count, 1)  # the gradients that moments have seen: all but the first

        def average(decay: ScalarLike, new: jax.Array, old: jax.Array) -> Any:
            return (decay * old + (1 - decay) * new).astype(old.dtype)

        def side(new: jax.Array, old: jax.Array) -> jax.Array:
            return jnp.where(is_first, new, average(b2, new, old)).astype(old.dtype)

        def turn(matrix: jax.Array, basis: jax.Array) -> jax.Array:
            def first() -> jax.Array:
                return jnp.linalg.eigh(matrix)[1][:, ::-1]  # a power iteration keeps the largest in front

            def later() -> jax.Array:
                return jnp.linalg.qr(matrix @ basis)[0]

            return jax.lax.cond(is_first, first, later)

        def leaf(g: Any, m: Any, v: Any, averages: Any, bases: Any) -> _Leaf:
            x, sides = _tree.wide(g).astype(m.dtype), Sides(g, longest)
            back = tuple(basis.T for basis in bases)
            m = jnp.where(is_first, m, average(b1, x, m))
            v = jnp.where(is_first, v, average(b2, _tree.square(sides.turned(x, back)), v))
            m_hat = _tree.divide(sides.turned(m, back), _tree.one_minus_power(b1, t))
            root = jnp.sqrt(_tree.divide(v, _tree.one_minus_power(b2, t))) + eps
            step = sides.turned(jnp.where(root > 0, m_hat / jnp.where(root > 0, root, 1), 0), bases)
            if sides.axes:
                averages = tuple(side(new, old) for new, old in zip(sides.squares(x), averages, strict=True))
                bases = jax.lax.cond(
                    is_due,
                    lambda: tuple(turn(*pair) for pair in zip(averages, bases, strict=True)),
                    lambda: bases,
                )
            return _Leaf(step.astype(jnp.result_type(g)), m, v, averages, bases)

        leaves = jax.tree.map(leaf, updates, *state[1:])
        return _tree.field(_Leaf, leaves, "update"), state_of(_tree.next_count(state.count), leaves)

    return GradientTransformation(init, update)
