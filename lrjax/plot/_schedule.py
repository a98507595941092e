"""The picture of schedules: what a run of so many steps will use."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from lrjax import _check
from lrjax._types import ScalarOrSchedule
from lrjax.plot import _style
from lrjax.schedules import Schedule, as_schedule, check_schedule

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_POINTS = 4000  # of a line; more than a picture can tell apart
_MOST = 2**20  # steps evaluated; of longer runs as many, evenly spread
_COLOURS = [_style.LINE, _style.CHOSEN, _style.GOLD, _style.FAILED, _style.PALE]
_DASHES = ["-", "--", "-.", ":"]


def schedule(
    schedules: ScalarOrSchedule | Mapping[str, ScalarOrSchedule],
    steps: int,
    ax: Axes | None = None,
    signals: Mapping[str, Any] | None = None,
) -> Axes:
    """The value of one schedule, or of several, at every step of a run.

    Of a single schedule that depends on time alone, the legend's title says what `lrjax.check_schedule`
    finds. A long run is drawn by the highest and lowest values of its parts, so that no cycle is lost.

    Args:
      schedules: A schedule, a number or a callable of the step; or a dict of name to these.
      steps: The length of the run in updates, > 0.
      ax: Where to draw; None makes a figure.
      signals: For schedules driven by metrics: name to what `update` receives at each step, `[steps]`,
        such as `{"value": losses}`.

    Returns:
      The `Axes`.

    Raises:
      ImportError: If matplotlib is not installed.
      TypeError: If an argument is of the wrong kind, or a signal is missing that a schedule needs.
      ValueError: If `steps` is not positive, or a signal is shorter than that.

    Example:
      >>> import lrjax
      >>> cosine = lrjax.warmup_cosine_decay_schedule(1e-5, 1e-3, 100, 1000)
      >>> lrjax.plot.schedule(cosine, 1000).get_xlabel()
      'step'
    """
    steps = _check.integer("plot.schedule", "steps", steps, low=1)
    named = dict(schedules) if isinstance(schedules, Mapping) else {"": schedules}
    made = {name: as_schedule("plot.schedule", name or "schedules", one) for name, one in named.items()}
    received = _signals(signals, steps)
    ax = _style.axes(ax)
    looked = np.unique(np.linspace(0, steps - 1, _MOST).round().astype(np.int32))
    for place, (name, one) in enumerate(made.items()):
        values = _values(one, looked, steps, received)
        shown = _outline(values)
        ax.plot(
            looked[shown],
            values[shown],
            color=_COLOURS[place % len(_COLOURS)],
            linestyle=_DASHES[place % len(_DASHES)] if len(made) > 1 else "-",
            linewidth=1.8,
            marker="." if steps == 1 else None,
            label=name or "_",
        )
    ax.set_xlabel("step")
    ax.set_ylabel("learning rate")
    ax.yaxis.set_major_formatter("{x:.3g}")
    single = next(iter(made.values())) if len(made) == 1 else None
    found = check_schedule(single, steps) if single is not None and single.closed_form is not None else {}
    _style.legend(ax, f"warning: {'; '.join(found)}" if found else "")
    return ax


def _outline(values: np.ndarray) -> np.ndarray:
    """The places of few values that look like all: of each part the first, lowest, highest and last."""
    if len(values) <= _POINTS:
        return np.arange(len(values))
    ends = np.linspace(0, len(values), _POINTS // 4 + 1).astype(int)
    places = []
    for start, stop in itertools.pairwise(ends):
        part = values[start:stop]
        places += [start, start + int(part.argmin()), start + int(part.argmax()), stop - 1]
    return np.unique(places)


def _signals(signals: Mapping[str, Any] | None, steps: int) -> dict[str, jax.Array]:
    received = {name: jnp.asarray(values, jnp.float32) for name, values in (signals or {}).items()}
    for name, values in received.items():
        if values.ndim != 1 or len(values) < steps:
            expected = f"name to one number for each of the {steps} steps"
            got = f"shape {values.shape} for {name!r}"
            raise _check.fail("plot.schedule", "signals", expected, got)
    return {name: values[:steps] for name, values in received.items()}


def _values(one: Schedule, looked: np.ndarray, steps: int, received: dict[str, jax.Array]) -> np.ndarray:
    if one.closed_form is not None and not one.running:
        return np.asarray(jax.jit(one.at)(looked))
    if one.takes_params:
        expected = "one that starts without the parameters"
        raise _check.fail_type("plot.schedule", "schedules", expected, "one whose state has their shape")

    def step(state: Any, signals: dict[str, jax.Array]) -> tuple[Any, jax.Array]:
        value, state = one.update(state, **signals)
        return state, jnp.asarray(value)

    return np.asarray(jax.lax.scan(step, one.init(), received, length=steps)[1])[looked]
