"""Measurements of updates on their way through a chain, kept in the state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check
from lrjax._types import OptState, Params, ScalarLike, Updates
from lrjax.transform import EmptyState, GradientTransformation, chain, stateless, with_extra_args_support
from lrjax.transforms._averaging import ema


class SnapshotState(NamedTuple):
    """The state of `snapshot`.

    Attributes:
      measurement: A dict of the measurement's name to its last value; zeros before the first update.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> lrjax.snapshot("norm", lrjax.global_norm).init(jnp.ones(2))
      SnapshotState(measurement={'norm': Array(0., dtype=float32)})
    """

    measurement: dict[str, Any]


class MonitorState(NamedTuple):
    """The state of `monitor`.

    Attributes:
      measurements: A dict of name to last value; zeros before the first update.
      measure_states: A tuple of the measures' states, in their order.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> lrjax.monitor({"norm": lrjax.global_norm}).init(jnp.ones(2)).measurements
      {'norm': Array(0., dtype=float32)}
    """

    measurements: dict[str, Any]
    measure_states: tuple[Any, ...]


def snapshot(measure_name: str, measure: Callable[[Updates], Any]) -> GradientTransformation:
    """Keeps a measurement of the updates at its place in a chain; they pass as they are.

    Args:
      measure_name: The name of the measurement: `lrjax.tree.get(state, measure_name)` finds it.
      measure: `measure(updates) -> a pytree of arrays`.

    Returns:
      A `GradientTransformation` with a `SnapshotState`.

    Raises:
      TypeError: If an argument is of the wrong kind.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.chain(lrjax.snapshot("before", lrjax.global_norm), lrjax.clip_by_global_norm(1.0))
      >>> grads = jnp.array([3.0, 4.0])
      >>> updates, state = tx.update(grads, tx.init(grads))
      >>> float(state[0].measurement["before"])
      5.0
    """
    if not isinstance(measure_name, str):
        raise _check.fail_type("snapshot", "measure_name", "a string", _check.describe(measure_name))
    if not callable(measure):
        raise _check.fail_type("snapshot", "measure", "a function of the updates", _check.describe(measure))

    def init(params: Params) -> SnapshotState:
        return SnapshotState({measure_name: _blank(jax.eval_shape(measure, params))})

    def update(
        updates: Updates, state: SnapshotState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, SnapshotState]:
        del params, extra
        last = state.measurement[measure_name]
        return updates, SnapshotState({measure_name: _typed(measure(updates), last)})

    return GradientTransformation(init, update)


def monitor(measures: Mapping[str, Any]) -> GradientTransformation:
    """Keeps measurements of the updates, with or without memory; the updates pass as they are.

    Args:
      measures: A dict of name to a function `measure(updates)`, or to a transformation such as
        `measure_with_ema` whose output is the measurement. `lrjax.tree.get(state, name)` finds one.

    Returns:
      A `GradientTransformation` with a `MonitorState`.

    Note:
      The measurements are there from the start, as zeros; optax begins with an empty dict, so that
      the structure of its state changes with the first update.

    Raises:
      TypeError: If a measure is neither a function nor a transformation.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.monitor({
      ...     "norm": lrjax.global_norm,
      ...     "smooth": lrjax.measure_with_ema(lrjax.global_norm, decay=0.5),
      ... })
      >>> state = tx.init(jnp.zeros(2))
      >>> for grads in (jnp.array([3.0, 4.0]), jnp.array([0.0, 2.0])):
      ...     updates, state = tx.update(grads, state)
      >>> {name: float(value) for name, value in state.measurements.items()}
      {'norm': 2.0, 'smooth': 3.0}
    """
    pairs = {name: _as_pair(name, measure) for name, measure in measures.items()}

    def measured(updates: Updates, states: OptState, params: Params | None, extra: Any) -> Any:
        values, new_states = {}, []
        for (name, tx), state in zip(pairs.items(), states, strict=True):
            values[name], state = tx.update(updates, state, params, **extra)
            new_states.append(state)
        return values, tuple(new_states)

    def init(params: Params) -> MonitorState:
        states = tuple(tx.init(params) for tx in pairs.values())
        values, _ = jax.eval_shape(lambda p: measured(p, states, p, {}), params)
        return MonitorState(_blank(values), states)

    def update(
        updates: Updates, state: MonitorState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, MonitorState]:
        values, states = measured(updates, state.measure_states, params, extra)
        return updates, MonitorState(_typed(values, state.measurements), states)

    return GradientTransformation(init, update)


def measure_with_ema(
    measure: Callable[[Updates], Any],
    decay: ScalarLike,
    debias: bool = True,
    accumulator_dtype: Any = None,
) -> GradientTransformation:
    """An exponential moving average of a measurement of the updates; for `monitor`.

    Its output is the average, not updates.

    Args:
      measure: `measure(updates) -> a pytree of arrays`; bools and integers are averaged as float32.
      decay: The decay, in [0, 1).
      debias: Whether to correct for the start at zero. Static.
      accumulator_dtype: The dtype of the average; None for the measurement's. Static.

    Returns:
      A `GradientTransformation` whose state ends with an `EmaState`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If `decay` is out of its range.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> too_large = lrjax.measure_with_ema(lambda u: lrjax.global_norm(u) > 1.0, decay=0.5)
      >>> state = too_large.init(jnp.zeros(2))
      >>> share, state = too_large.update(jnp.array([3.0, 4.0]), state)
      >>> share, state = too_large.update(jnp.array([0.0, 0.5]), state)
      >>> round(float(share), 4)
      0.3333
    """
    if not callable(measure):
        expected = "a function of the updates"
        raise _check.fail_type("measure_with_ema", "measure", expected, _check.describe(measure))
    average = ema(decay, debias, accumulator_dtype)

    def floating(tree: Any) -> Any:
        value = jax.tree.map(jnp.asarray, measure(tree))
        return jax.tree.map(
            lambda x: x if jnp.issubdtype(x.dtype, jnp.inexact) else x.astype(jnp.float32), value
        )

    def init(params: Params) -> Any:
        return EmptyState(), average.init(_blank(jax.eval_shape(floating, params)))

    # A chain, but for `init`: the average is shaped like the measurement, not like the parameters.
    both = chain(stateless(lambda updates, params: floating(updates)), average)
    return GradientTransformation(init, both.update)


def _as_pair(name: str, measure: Any) -> GradientTransformation:
    """A measure as a pair: a transformation as it is, a function with no state."""
    if callable(getattr(measure, "init", None)) and callable(getattr(measure, "update", None)):
        return with_extra_args_support(measure)
    if not callable(measure):
        expected = "a function of the updates or a transformation"
        raise _check.fail_type("monitor", f"measures[{name!r}]", expected, _check.describe(measure))
    return stateless(lambda updates, params: measure(updates))


def _blank(shapes: Any) -> Any:
    return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)


def _typed(value: Any, like: Any) -> Any:
    return jax.tree.map(lambda x, y: jnp.asarray(x).astype(y.dtype), value, like)
