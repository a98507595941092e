"""Schedules made of schedules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.core import Tracer

from lrjax import _check, _tree
from lrjax._types import Params, ScalarLike, ScalarOrSchedule
from lrjax.schedules import _arguments, _clock
from lrjax.schedules._schedule import Schedule, as_schedule, start


class JoinSchedulesState(NamedTuple):
    """The state of joined schedules.

    Attributes:
      count: int32 scalar, the number of values already given out.
      inner_states: The states of the schedules; only the selected one advances.

    Example:
      >>> import lrjax
      >>> joined = lrjax.join_schedules([lrjax.constant_schedule(1.0)], [])
      >>> len(joined.init().inner_states)
      1
    """

    count: jax.Array
    inner_states: tuple[Any, ...]


def join_schedules(schedules: Sequence[ScalarOrSchedule], boundaries: Sequence[ScalarLike]) -> Schedule:
    r"""One schedule after another; each starts at its own step 0.

    $\eta_t = s_i(t - b_i)$ for $b_i \le t < b_{i+1}$, with $b_0 = 0$. Only the selected schedule
    is evaluated and only its state advances, so neither a NaN nor the clock of another reaches it.

    Args:
      schedules: At least one `Schedule`, number or callable of the step.
      boundaries: The steps at which the next one takes over: one fewer than `schedules`, >= 0, not
        decreasing.

    Returns:
      A `Schedule`; it has a closed form if all its parts do.

    Raises:
      TypeError: If a part is no schedule, or a boundary not one number.
      ValueError: If the lengths do not fit, or a boundary is negative or decreasing.

    Example:
      >>> import lrjax
      >>> warmup = lrjax.linear_schedule(0.0, 1.0, transition_steps=4)
      >>> joined = lrjax.join_schedules([warmup, lrjax.constant_schedule(1.0)], boundaries=[4])
      >>> [float(joined(t)) for t in (0, 2, 4, 9)]
      [0.0, 0.5, 1.0, 1.0]
    """
    parts = [as_schedule("join_schedules", f"schedules[{i}]", part) for i, part in enumerate(schedules)]
    _check_boundaries(parts, boundaries)
    starts = [0, *boundaries]

    def select(count: Any) -> jax.Array:
        index = jnp.zeros((), jnp.int32)
        for boundary in boundaries:
            now, begin = _clock.alike(count, boundary)
            index += (now >= begin).astype(jnp.int32)
        return index

    def at_one(count: jax.Array) -> jax.Array:
        def branch(part: Schedule, boundary: ScalarLike) -> Callable[[jax.Array], jax.Array]:
            def local(count: jax.Array) -> jax.Array:
                now, begin = _clock.alike(count, boundary)
                return part.at(jnp.maximum(now - begin, 0))

            return local

        branches = [branch(part, boundary) for part, boundary in zip(parts, starts, strict=True)]
        return _run_selected(select(count), branches, count)

    def at(count: Any) -> jax.Array:
        counts = _clock.steps(count)
        return jax.vmap(at_one)(counts.ravel()).reshape(counts.shape) if counts.ndim else at_one(counts)

    def init(params: Params | None = None) -> JoinSchedulesState:
        return JoinSchedulesState(jnp.zeros((), jnp.int32), tuple(start(part, params) for part in parts))

    def update(state: JoinSchedulesState, **signals: Any) -> tuple[jax.Array, JoinSchedulesState]:
        def branch(index: int) -> Callable[[tuple[Any, ...]], tuple[jax.Array, tuple[Any, ...]]]:
            def advance(inner: tuple[Any, ...]) -> tuple[jax.Array, tuple[Any, ...]]:
                part = parts[index]
                value, advanced = part.update(inner[index], **signals)
                if part.closed_form is not None and not part.running:  # by the joint clock, which is set
                    now, begin = _clock.alike(state.count, starts[index])
                    value = part.at(jnp.maximum(now - begin, 0))
                value = jnp.asarray(value, jnp.float32)
                return value, (*inner[:index], advanced, *inner[index + 1 :])

            return advance

        branches = [branch(index) for index in range(len(parts))]
        value, inner = _run_selected(select(state.count), branches, state.inner_states)
        return value, JoinSchedulesState(_tree.next_count(state.count), inner)

    timed = all(part.closed_form is not None for part in parts)
    takes_params, running = any(part.takes_params for part in parts), any(part.running for part in parts)
    return Schedule(init, update, at if timed else None, takes_params, running)


def _run_selected(index: jax.Array, branches: Sequence[Callable[[Any], Any]], operand: Any) -> Any:
    """The selected branch's result; a `switch` only where it is needed, since it compiles every time."""
    if isinstance(index, Tracer):
        return jax.lax.switch(index, branches, operand)
    return branches[int(index)](operand)


def _check_boundaries(parts: Sequence[Schedule], boundaries: Sequence[ScalarLike]) -> None:
    call = "join_schedules"
    if not parts:
        raise _check.fail(call, "schedules", "at least one schedule", "none")
    if len(boundaries) != len(parts) - 1:
        expected = f"one fewer than the {len(parts)} schedules"
        raise _check.fail(call, "boundaries", expected, f"{len(boundaries)} of them")
    for i, boundary in enumerate(boundaries):
        _clock.check_steps(call, f"boundaries[{i}]", boundary)
    _arguments.ordered(call, "boundaries", boundaries)
