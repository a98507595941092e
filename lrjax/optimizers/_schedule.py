"""Updates multiplied by a schedule, sign and all as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import Params, Updates
from lrjax.schedules import Schedule, as_schedule
from lrjax.transform import GradientTransformation


class ScaleByScheduleState(NamedTuple):
    """The state of `scale_by_schedule`.

    Attributes:
      count: int32 scalar, the number of updates so far.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> int(lrjax.scale_by_schedule(lambda step: 0.1).init(jnp.zeros(2)).count)
      0
    """

    count: jax.Array


def scale_by_schedule(step_size_fn: Callable[[Any], Any] | Schedule) -> GradientTransformation:
    r"""Multiplies updates by a schedule: $u \leftarrow s(t) u$; no sign is flipped.

    `scale_by_learning_rate` takes schedules as well, turns updates downhill, and owns the rate that
    `get_learning_rate` reads and `set_learning_rate` sets.

    Args:
      step_size_fn: $s$, a callable of the step, or a `Schedule` that depends on time alone.

    Returns:
      A `GradientTransformation` with a `ScaleByScheduleState`.

    Raises:
      TypeError: If `step_size_fn` is not callable, or is driven by metrics.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.scale_by_schedule(lambda step: 1.0 / (step + 1))
      >>> state = tx.init(jnp.array(0.0))
      >>> first, state = tx.update(jnp.array(3.0), state)
      >>> second, state = tx.update(jnp.array(3.0), state)
      >>> float(first), float(second)
      (3.0, 1.5)
    """
    expected = "a callable of the step"
    if not callable(step_size_fn):
        got = _check.describe(step_size_fn)
        raise _check.fail_type("scale_by_schedule", "step_size_fn", expected, got)
    schedule = as_schedule("scale_by_schedule", "step_size_fn", step_size_fn)
    if schedule.closed_form is None:
        got = "a schedule driven by metrics; `scale_by_learning_rate` takes those"
        raise _check.fail_type("scale_by_schedule", "step_size_fn", expected, got)

    def init(params: Params) -> ScaleByScheduleState:
        del params
        return ScaleByScheduleState(jnp.zeros((), jnp.int32))

    def update(
        updates: Updates, state: ScaleByScheduleState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, ScaleByScheduleState]:
        del params, extra
        size = schedule.at(state.count)

        def scale(u: Any) -> jax.Array:
            x = _tree.wide(u)
            return (size.astype(jnp.finfo(x.dtype).dtype) * x).astype(jnp.result_type(u))

        return jax.tree.map(scale, updates), ScaleByScheduleState(_tree.next_count(state.count))

    return GradientTransformation(init, update)
