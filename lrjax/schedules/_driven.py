"""What schedules share that are driven by metrics: where the metric comes from.

It comes with every update, from the training step, or now and then, from a held-out evaluation;
between two of those the schedule stays where it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check
from lrjax._types import ScalarLike
from lrjax.schedules import _clock
from lrjax.schedules._schedule import Schedule


class HeldOutState(NamedTuple):
    """The state of a schedule that follows held-out evaluations.

    Attributes:
      observed: float32 scalar, the metric last handed over by `lrjax.observe`.
      fresh: int32 scalar, 1 if the schedule has not yet judged it, else 0.
      inner_state: The schedule's own state.

    Example:
      >>> import lrjax
      >>> state = lrjax.plateau_schedule(held_out=True).init()
      >>> float(lrjax.observe(state, 0.5).observed)
      0.5
    """

    observed: jax.Array
    fresh: jax.Array
    inner_state: Any


def signal(call: str, signals: dict[str, Any], name: str, remedy: str) -> Any:
    """The signal a schedule cannot do without."""
    if signals.get(name) is None:
        expected = f"given: {remedy}"
        raise _check.fail_type(f"{call}.update", name, expected, "nothing")
    return signals[name]


def follows_value(
    call: str,
    init: Callable[[], Any],
    judge: Callable[[Any, jax.Array], Any],
    held_out: bool,
    tick: Callable[[Any], Any] = lambda state: state,
    read: Callable[[Any], jax.Array] = lambda state: state.scale,
) -> Schedule:
    """A schedule whose state moves when a metric is judged.

    Args:
      call: The public function the user called.
      init: Makes the state.
      judge: `judge(state, value) -> state`, with the metric as float32.
      held_out: Whether metrics come from `lrjax.observe` instead of `value=`.
      tick: What else happens at every update, after judging.
      read: The schedule's value in a state.
    """
    _check.boolean(call, "held_out", held_out)

    def update(state: Any, **signals: Any) -> tuple[jax.Array, Any]:
        value = signal(call, signals, "value", "pass `value=loss` to the optimizer's `update`")
        state = tick(judge(state, _clock.scalar(value)))
        return read(state), state

    def update_held_out(state: HeldOutState, **signals: Any) -> tuple[jax.Array, HeldOutState]:
        del signals
        judged = judge(state.inner_state, state.observed)
        fresh = state.fresh > 0
        inner = jax.tree.map(lambda new, old: jnp.where(fresh, new, old), judged, state.inner_state)
        inner = tick(inner)
        return read(inner), state._replace(fresh=jnp.zeros_like(state.fresh), inner_state=inner)

    def init_held_out() -> HeldOutState:
        return HeldOutState(jnp.zeros((), jnp.float32), jnp.zeros((), jnp.int32), init())

    return Schedule(init_held_out, update_held_out) if held_out else Schedule(init, update)


def check_factor(call: str, factor: Any) -> None:
    """Requires a factor that makes smaller."""
    _check.number(call, "factor", factor, low=0, high=1, open_low=True, open_high=True)


def one() -> jax.Array:
    """The factor that a schedule starts with."""
    return jnp.ones((), jnp.float32)


def zero() -> jax.Array:
    """A number of which nothing is known yet, so that no state begins infinite."""
    return jnp.zeros((), jnp.float32)


def none_yet() -> jax.Array:
    """A count at its beginning."""
    return jnp.zeros((), jnp.int32)


def whole(value: ScalarLike) -> jax.Array:
    """A number of metrics as int32, a fraction rounded up."""
    count = _clock.steps(value)
    return count if count.dtype == jnp.int32 else jnp.ceil(count).astype(jnp.int32)
