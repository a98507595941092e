"""SOAP: Adam in the eigenbasis of Shampoo's matrices."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import MaskTree, Params, ScalarLike, ScalarOrSchedule, Updates
from lrjax.learning_rate import scale_by_learning_rate
from lrjax.optimizers._sides import Sides, due, field, is_small_matrix
from lrjax.schedules import as_schedule, schedulable
from lrjax.transform import GradientTransformation, chain
from lrjax.transforms import add_decayed_weights


class ScaleBySoapState(NamedTuple):
    """The state of SOAP.

    Attributes:
      count: int32 scalar, the number of updates so far.
      mu: First moments, shaped like the parameters, in at least float32.
      nu: Second moments, likewise; those of matrices in the basis of the step.
      left: For matrices the average of $G G^T$, in at least float32; of shape (1, 1), unused, elsewhere.
      right: For matrices the average of $G^T G$, likewise.
      left_basis: Its eigenvectors, as last computed, likewise.
      right_basis: Its eigenvectors, as last computed, likewise.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> state = lrjax.scale_by_soap().init(jnp.zeros((2, 3)))
      >>> state.left.shape, state.right_basis.shape
      ((2, 2), (3, 3))
    """

    count: jax.Array
    mu: Params
    nu: Params
    left: Params
    right: Params
    left_basis: Params
    right_basis: Params


class _Leaf(NamedTuple):
    """What one leaf's update leads to."""

    update: jax.Array
    mu: jax.Array
    nu: jax.Array
    left: jax.Array
    right: jax.Array
    left_basis: jax.Array
    right_basis: jax.Array


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
    nothing moves. Other leaves are scaled as by Adam, from the second gradient on too.

    Args:
      b1: $\beta_1$ in [0, 1), the decay of the first moment.
      b2: $\beta_2$ in [0, 1), the decay of the second moment and of $L$ and $R$.
      eps: $\epsilon$ >= 0.
      precondition_frequency: $f$ >= 1, in steps.
      max_dimension: The longest side of a matrix that counts as one. Static.

    Returns:
      A `GradientTransformation` with a `ScaleBySoapState`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range.

    Note:
      The authors' code sorts the eigenvectors, and $v$ with them, before each power iteration.

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
      max_dimension: The longest side of a matrix that counts as one. Static.
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
        return ScaleBySoapState(count, *(field(_Leaf, leaves, name) for name in _Leaf._fields[1:]))

    def init(params: Params) -> ScaleBySoapState:
        def leaf(p: Any) -> _Leaf:
            sides = Sides(p, longest)
            zeros = jnp.zeros(jnp.shape(p), sides.dtype)
            return _Leaf(zeros, zeros, zeros, *sides.identities(0.0), *sides.identities(1.0))

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

        def leaf(g: Any, m: Any, v: Any, left: Any, right: Any, left_basis: Any, right_basis: Any) -> _Leaf:
            x = _tree.wide(g).astype(m.dtype)
            is_matrix = is_small_matrix(g, longest)

            def to_basis(y: jax.Array) -> jax.Array:
                return left_basis.T @ y @ right_basis if is_matrix else y

            def from_basis(y: jax.Array) -> jax.Array:
                return left_basis @ y @ right_basis.T if is_matrix else y

            m = jnp.where(is_first, m, average(b1, x, m))
            v = jnp.where(is_first, v, average(b2, _tree.square(to_basis(x)), v))
            m_hat = _tree.divide(to_basis(m), _tree.one_minus_power(b1, t))
            root = jnp.sqrt(_tree.divide(v, _tree.one_minus_power(b2, t))) + eps
            step = from_basis(jnp.where(root > 0, m_hat / jnp.where(root > 0, root, 1), 0))
            if is_matrix:
                left, right = side(x @ x.T, left), side(x.T @ x, right)
                left_basis, right_basis = jax.lax.cond(
                    is_due,
                    lambda: (turn(left, left_basis), turn(right, right_basis)),
                    lambda: (left_basis, right_basis),
                )
            return _Leaf(step.astype(jnp.result_type(g)), m, v, left, right, left_basis, right_basis)

        leaves = jax.tree.map(leaf, updates, *state[1:])
        return field(_Leaf, leaves, "update"), state_of(_tree.next_count(state.count), leaves)

    return GradientTransformation(init, update)
