"""Points are traced with their own numbers before anything is compiled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lrjax import _check
from lrjax._values import name_of
from lrjax.engine import _carry
from lrjax.engine._points import Group
from lrjax.trials import Trial

_MOST_STEPS = 32  # of a group's points: a step of a large model takes a tenth of a second to trace


class Checked(NamedTuple):
    """What is known of a group's members before any is trained.

    Attributes:
      frame: What of their states is held still.
      names: The names of their training metrics.
      observes: Whether held-out metrics change their states.
    """

    frame: _carry.Frame
    names: tuple[str, ...]
    observes: bool


def check_points(
    trial: Trial,
    groups: Sequence[Group],
    key: jax.Array,
    batches: Sequence[Any],
    held_out: Sequence[tuple[str, Any]],
    report: Callable[[int], None] = lambda done: None,
) -> list[Checked]:
    """Traces every point with its concrete numbers, and each group with traced ones.

    The start of every point is traced, which makes its optimizer, and a step of those that tell: of many
    points that differ in their numbers only, some all over the grid and those with the lowest or highest
    value of a number, since what is out of a range is so at one of its ends.

    Args:
      trial: The trial.
      groups: The points, by program.
      key: A member's key.
      batches: The shapes and dtypes of a training batch of each group.
      held_out: Those of the batches that will be evaluated, each with its argument's name.
      report: Called with the number of points that are checked.

    Returns:
      For each group, what is known of its members.

    Raises:
      TypeError: If the trial breaks the protocol; the message names the function and the point.
      Exception: Whatever the trial raises for a point, with the point added as a note.
    """
    done = 0
    for points, batch in zip(groups, batches, strict=True):
        telling = _telling(points)
        for position in range(len(points.members)):
            hyperparams = points.hyperparams(position)
            numbers = {name: jnp.asarray(hyperparams[name]) for name in points.numeric}
            try:
                if position in telling:
                    _trace(trial, {**hyperparams, **numbers}, key, batch, ())
                else:
                    _trace_start(trial, {**hyperparams, **numbers}, key, frozenset())
            except Exception as error:
                _note_static(error, points)
                shown = ", ".join(f"{name}={_text(value)}" for name, value in hyperparams.items())
                error.add_note(f"at the point {shown or '(no hyperparameters)'}")
                raise
            done += 1
            report(done)
    return [
        _trace_group(trial, points, key, batch, held_out)
        for points, batch in zip(groups, batches, strict=True)
    ]


def _telling(points: Group) -> set[int]:
    """The points of a group whose steps are traced with concrete numbers."""
    count = len(points.members)
    spread = np.linspace(0, count - 1, min(count, _MOST_STEPS)).round().astype(int)
    ends = [position for x in points.numeric.values() for position in (np.argmin(x), np.argmax(x))]
    return {int(position) for position in (*spread, *ends)}


def _trace_group(
    trial: Trial, points: Group, key: jax.Array, batch: Any, held_out: Sequence[tuple[str, Any]]
) -> Checked:
    numbers = {name: jax.ShapeDtypeStruct((), values.dtype) for name, values in points.numeric.items()}
    found: list[Checked] = []

    def trace(numbers: Mapping[str, Any]) -> None:
        found.append(_trace(trial, {**points.static, **numbers}, key, batch, held_out))
        hiding = _carry.hidden_tracer(found[-1].frame)
        if hiding is not None:
            raise TypeError(
                f"`Trial.init` hides a traced value in {hiding}, which is not an array of its state: build "
                "it once outside of `init` and keep the rate in an array leaf (with `inject_hyperparams` "
                "or `lrjax.set_learning_rate`), or name the hyperparameter in `Trial(static=...)`"
            )

    try:
        jax.eval_shape(trace, numbers)
    except Exception as error:
        _note_static(error, points)
        raise
    return found[0]


def _trace(
    trial: Trial,
    hyperparams: Mapping[str, Any],
    key: jax.Array,
    batch: Any,
    held_out: Sequence[tuple[str, Any]],
) -> Checked:
    """Traces a member's start, step and evaluation, and checks what they return."""
    carried: frozenset[str] = frozenset()
    while True:
        arrays, frame = _trace_start(trial, hyperparams, key, carried)
        changing, names = _trace_step(trial, hyperparams, arrays, frame, batch)
        if not changing:
            break
        carried |= changing
    observes = False
    for argument, shapes in held_out:
        try:
            observes |= _trace_evaluation(trial, arrays, frame, shapes)
        except Exception as error:
            error.add_note(f"evaluating on a batch of `{argument}`")
            raise
    return Checked(frame, names, observes)


def _trace_start(
    trial: Trial, hyperparams: Mapping[str, Any], key: jax.Array, carried: frozenset[str]
) -> tuple[Any, _carry.Frame]:
    frames = []

    def start(key: jax.Array) -> Any:
        arrays, frame = _carry.split(trial.init(key, hyperparams), carried)
        frames.append(frame)
        return arrays

    return jax.eval_shape(start, key), frames[0]


def _trace_step(
    trial: Trial, hyperparams: Mapping[str, Any], arrays: Any, frame: _carry.Frame, batch: Any
) -> tuple[frozenset[str], tuple[str, ...]]:
    """Checks a step; returns where Python numbers stand that it changes, to be carried, and its metrics."""
    changing, names = [], []

    def step(arrays: list[jax.Array], batch: Any) -> None:
        output = trial.update(_carry.merge(arrays, frame), batch, hyperparams)
        if not isinstance(output, tuple) or len(output) != 2:
            expected = "a function that returns (metrics, state)"
            raise _check.fail_type("Trial", "update", expected, type(output).__name__)
        metrics, state = output
        _check_metrics("update", metrics)
        names.append(tuple(metrics))
        after, new_frame = _carry.split(state, frame.carried)
        changing.append(_carry.changing_numbers(frame, new_frame))
        if not changing[0]:
            _check_same("update", arrays, frame, after, new_frame)

    jax.eval_shape(step, arrays, batch)
    return changing[0], names[0]


def _trace_evaluation(trial: Trial, arrays: Any, frame: _carry.Frame, batch: Any) -> bool:
    """Checks an evaluation; returns whether its metrics change the state."""
    judge, observe = trial.evaluate, trial.observe
    assert judge is not None
    changes = False

    def evaluate(arrays: list[jax.Array], batch: Any) -> None:
        state = _carry.merge(arrays, frame)
        metrics = judge(state, batch)
        _check_metrics("evaluate", metrics)
        if observe is not None:
            observed = observe(state, metrics)
            after, new_frame = _carry.split(observed, frame.carried)
            _check_same("observe", arrays, frame, after, new_frame)
            nonlocal changes
            pairs = zip(jax.tree.leaves(observed), jax.tree.leaves(state), strict=True)
            changes = any(new is not old for new, old in pairs)

    jax.eval_shape(evaluate, arrays, batch)
    return changes


def _check_same(
    function: str,
    before: list[jax.Array],
    frame: _carry.Frame,
    after: list[jax.Array],
    new_frame: _carry.Frame,
) -> None:
    changed = _carry.difference(before, frame, after, new_frame)
    if changed:
        expected = "a function that returns a state like the one it takes"
        raise _check.fail_type("Trial", function, expected, f"one where {changed}")


def _check_metrics(function: str, metrics: Any) -> None:
    expected = "a function whose metrics are a dict of real scalars with 'loss' among them"
    if not isinstance(metrics, Mapping):
        raise _check.fail_type("Trial", function, expected, f"metrics of type {type(metrics).__name__}")
    if "loss" not in metrics:
        got = f"only {', '.join(map(repr, metrics))}" if metrics else "an empty dict"
        raise _check.fail_type("Trial", function, expected, got)
    for name, value in metrics.items():
        if not isinstance(name, str) or not isinstance(
            value, (jax.Array, np.ndarray, np.generic, int, float)
        ):
            raise _check.fail_type("Trial", function, expected, f"{name!r} of type {type(value).__name__}")
        x = jnp.asarray(value)
        if x.ndim != 0 or jnp.issubdtype(x.dtype, jnp.complexfloating):
            raise _check.fail_type(
                "Trial", function, expected, f"{name!r} of shape {x.shape} and dtype {x.dtype}"
            )


def _note_static(error: Exception, points: Group) -> None:
    """Says how to get a Python number, to an error that asks for one."""
    asks = isinstance(error, jax.errors.ConcretizationTypeError) or "concrete" in str(error)
    if asks and points.numeric:
        names = ", ".join(points.numeric)
        remedy = "one that must be a Python number is named in `Trial(static=...)`"
        error.add_note(f"lrjax passes {names} as traced numbers; {remedy}")


def _text(value: Any) -> str:
    if hasattr(value, "dtype"):
        return f"{value:g}"
    return name_of(value) if callable(value) else repr(value)
