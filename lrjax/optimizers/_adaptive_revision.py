"""AdaptiveRevision: AdaGrad for gradients that come late, which mends the steps taken meanwhile."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import Params, ScalarLike, ScalarOrSchedule, Updates
from lrjax.learning_rate import scale_by_learning_rate
from lrjax.schedules import as_schedule, schedulable
from lrjax.transform import GradientTransformation, chain


class ScaleByAdaptiveRevisionState(NamedTuple):
    """The state of AdaptiveRevision.

    Attributes:
      total: The sum of all gradients, shaped like the parameters, in at least float32. Who reads the
        parameters reads it too, and hands it back as `seen=` with the gradient.
      sum_of_squares: The squares and what they have in common with the gradients that came between, likewise,
        real.
      largest: The largest sum so far, likewise.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> lrjax.scale_by_adaptive_revision().init(jnp.zeros(2)).largest
      Array([1., 1.], dtype=float32)
    """

    total: Params
    sum_of_squares: Params
    largest: Params


def scale_by_adaptive_revision(initial_accumulator_value: ScalarLike = 1.0) -> GradientTransformation:
    r"""AdaptiveRevision's scaling of updates.

    With $\bar g$ the sum of all gradients so far, and $\bar g^{old}$ what it was when the parameters were
    read at which $g$ was computed, $g^{bck} = \bar g - \bar g^{old}$ are the gradients that came between;
    $z \leftarrow z + g^2 + 2 g g^{bck}$ and $z' \leftarrow \max(z', z)$, element by element, and the update
    is $\frac{g}{\sqrt{z'}} - \left(\frac{1}{\sqrt{z'_{old}}} - \frac{1}{\sqrt{z'}}\right) g^{bck}$: those
    that came between are given the rate that is now known to be right. Without delay it is AdaGrad.

    Args:
      initial_accumulator_value: $z_0 = z'_0$ > 0; 1 in the paper.

    Returns:
      A `GradientTransformation` with a `ScaleByAdaptiveRevisionState`. Its `update` takes `seen=`, the
      state's `total` when the parameters were read; None where no gradient came between.

    Raises:
      TypeError: If the argument is not one real number.
      ValueError: If it is out of its range.

    References:
      McMahan and Streeter, Delay-Tolerant Algorithms for Asynchronous Distributed Online Learning, 2014.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.scale_by_adaptive_revision()
      >>> state = tx.init(jnp.array(0.0))
      >>> read = state.total
      >>> first, state = tx.update(jnp.array(3.0), state, seen=read)
      >>> second, state = tx.update(jnp.array(3.0), state, seen=read)  # as late as the first
      >>> float(state.largest)  # 1 + 3**2 + 3**2 + 2 * 3 * 3
      37.0
      >>> bool(jnp.isclose(first + second, (3 + 3) / 37**0.5))
      True
    """
    return _scale_by_adaptive_revision("scale_by_adaptive_revision", initial_accumulator_value)


@schedulable
def adaptive_revision(
    learning_rate: ScalarOrSchedule, initial_accumulator_value: ScalarLike = 1.0
) -> GradientTransformation:
    r"""AdaptiveRevision: $\theta \leftarrow \theta - \eta u$, with `scale_by_adaptive_revision`'s $u$.

    AdaGrad that tolerates delays. The usual rate is that of AdaGrad.

    Args:
      learning_rate: $\eta$: a number, a tracer, a `Schedule` or a callable of the step. One that moves is
        that of the update, for the gradients that it mends too.
      initial_accumulator_value: $z_0 = z'_0$ > 0; 1 in the paper.

    Returns:
      A `GradientTransformation`. Its `update` takes `seen=`, the `total` of its first state when the
      parameters were read; None where no gradient came between.

    Note:
      In `delayed` it does not know how late its gradients are: keep what was read, as below, and hand over
      the late gradient and the late sum by yourself.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range.

    References:
      McMahan and Streeter, Delay-Tolerant Algorithms for Asynchronous Distributed Online Learning, 2014.

    Example:
      Two workers in turn, each with what it read two updates ago:

      >>> import jax, jax.numpy as jnp, lrjax
      >>> tx = lrjax.adaptive_revision(1.0)
      >>> x = jnp.array([2.0, -1.0])
      >>> state = tx.init(x)
      >>> read = [(x, state[0].total)] * 2
      >>> for step in range(100):
      ...     there, seen = read[step % 2]
      ...     updates, state = tx.update(there, state, x, seen=seen)  # of half the square
      ...     x = lrjax.apply_updates(x, updates)
      ...     read[step % 2] = x, state[0].total
      >>> bool(jnp.all(abs(x) < 1e-2))
      True
    """
    return chain(
        _scale_by_adaptive_revision("adaptive_revision", initial_accumulator_value),
        scale_by_learning_rate(as_schedule("adaptive_revision", "learning_rate", learning_rate)),
    )


class _Leaf(NamedTuple):
    """What one leaf's update leads to."""

    update: jax.Array
    total: jax.Array
    sum_of_squares: jax.Array
    largest: jax.Array


def _scale_by_adaptive_revision(call: str, initial_accumulator_value: ScalarLike) -> GradientTransformation:
    """AdaptiveRevision's scaling; errors name the public function the user called."""
    _check.number(call, "initial_accumulator_value", initial_accumulator_value, low=0, open_low=True)

    def init(params: Params) -> ScaleByAdaptiveRevisionState:
        def squares() -> Params:
            return _tree.full_like(params, initial_accumulator_value, _tree.wide_real)

        return ScaleByAdaptiveRevisionState(_tree.zeros_like(params, _tree.wide_dtype), squares(), squares())

    def update(
        updates: Updates,
        state: ScaleByAdaptiveRevisionState,
        params: Params | None = None,
        *,
        seen: Params | None = None,
        **extra: Any,
    ) -> tuple[Updates, ScaleByAdaptiveRevisionState]:
        del params, extra

        def leaf(g: Any, total: jax.Array, z: jax.Array, largest: jax.Array, old: Any) -> _Leaf:
            x = _tree.wide(g)
            between = total - old
            z = (z + _tree.square(x) + 2 * jnp.real(x * jnp.conj(between))).astype(z.dtype)
            new_largest = jnp.maximum(largest, z)
            eta_old, eta = 1 / jnp.sqrt(largest), 1 / jnp.sqrt(new_largest)
            step = eta * x - (eta_old - eta) * between
            new_total = (total + x).astype(total.dtype)
            return _Leaf(step.astype(jnp.result_type(g)), new_total, z, new_largest)

        leaves = jax.tree.map(leaf, updates, *state, state.total if seen is None else seen)
        made = (_tree.field(_Leaf, leaves, name) for name in _Leaf._fields)
        return next(made), ScaleByAdaptiveRevisionState(*made)

    return GradientTransformation(init, update)
