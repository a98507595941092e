"""Schedules for any numeric hyperparameter: the transformation is made anew at every step."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, ParamSpec, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from lrjax import _check, _tree
from lrjax._types import OptState, Params, Updates
from lrjax.schedules._schedule import Schedule, as_schedule, start, unset
from lrjax.transform import GradientTransformation, with_extra_args_support

P = ParamSpec("P")
T = TypeVar("T")

_NUMERIC = re.compile(r"\b(Scalar\w*|float|Array\w*)\b")  # in an annotation; an int may set a shape


class InjectStatefulHyperparamsState(NamedTuple):
    """The state of a transformation whose hyperparameters are data.

    Attributes:
      count: int32 scalar, the number of updates so far.
      hyperparams: Name to float32 scalar: the values last used. Those that no schedule gives may be
        replaced, and the next update uses what stands here.
      hyperparams_states: Name to the state of its schedule.
      inner_state: The transformation's own state.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.inject_hyperparams(lrjax.sgd)(learning_rate=0.5, momentum=0.25)
      >>> sorted(tx.init(jnp.zeros(2)).hyperparams)
      ['learning_rate', 'momentum']
    """

    count: jax.Array
    hyperparams: dict[str, jax.Array]
    hyperparams_states: dict[str, Any]
    inner_state: OptState


def inject_hyperparams(
    inner_factory: Callable[..., Any],
    static_args: str | Iterable[str] = (),
    hyperparam_dtype: Any = None,
) -> Callable[..., GradientTransformation]:
    """Makes every numeric hyperparameter of a transformation part of its state, and any a schedule.

    Numbers and schedules are told by value, and by annotation where there is one: an argument
    annotated with none of lrjax's scalars, `float` or an array (a mask, a dtype, an `int` that sets
    a shape) is left as it is.

    Args:
      inner_factory: What makes the transformation: `lrjax.adam`, a function of yours, or optax's.
      static_args: The names of more arguments that are left as they are.
      hyperparam_dtype: The dtype of the values; None for float32, whatever the parameters have: in
        bfloat16 Adam's `b2` would round to 1.

    Returns:
      A function with the arguments of `inner_factory`, of which each number may be a `Schedule` or
      a callable of the step. It returns a `GradientTransformation` with an
      `InjectStatefulHyperparamsState`; extra keywords reach the schedules and the transformation.

    Raises:
      TypeError: If `inner_factory` is not callable.
      ValueError: If `static_args` names no argument of it.

    Note:
      A learning rate that metrics drive stays with the recipe, which takes schedules itself and
      hands them the direction of the update; `get_learning_rate` sees it either way.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> momentum = lrjax.linear_schedule(0.5, 1.0, transition_steps=2)
      >>> tx = lrjax.inject_hyperparams(lrjax.sgd)(learning_rate=0.5, momentum=momentum)
      >>> grads = jnp.array(1.0)
      >>> state = tx.init(grads)
      >>> for _ in range(2):
      ...     updates, state = tx.update(grads, state)
      >>> float(updates), float(state.hyperparams["momentum"])
      (-0.875, 0.75)
    """
    call = "inject_hyperparams"
    if not callable(inner_factory):
        raise _check.fail_type(call, "inner_factory", "a function", _check.describe(inner_factory))
    signature = inspect.signature(inner_factory)
    static = {static_args} if isinstance(static_args, str) else set(static_args)
    open_ended = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
    unknown = sorted(static - signature.parameters.keys())
    if unknown and not open_ended:
        expected = f"names among {', '.join(signature.parameters)}"
        raise _check.fail(call, "static_args", expected, ", ".join(map(repr, unknown)))
    dtype = jnp.float32 if hyperparam_dtype is None else hyperparam_dtype

    @functools.wraps(inner_factory)
    def make(*args: Any, **kwargs: Any) -> GradientTransformation:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        numbers: dict[str, Any] = {}
        schedules: dict[str, Schedule] = {}
        for name, value, annotation in _flat(bound):
            if name in static or not _may_be_number(annotation):
                continue
            if isinstance(value, Schedule) and value.closed_form is None and "ScalarOrSchedule" in annotation:
                continue  # the recipe's own
            if _is_schedule(value):
                schedules[name] = as_schedule(call, name, value)
            elif _is_number(value):
                numbers[name] = value
        return _injected(lambda values: _call(inner_factory, bound, values), numbers, schedules, dtype)

    return make


def inject_stateful_hyperparams(
    inner_factory: Callable[..., Any],
    static_args: str | Iterable[str] = (),
    hyperparam_dtype: Any = None,
) -> Callable[..., GradientTransformation]:
    """Optax's older name for `inject_hyperparams`, which takes schedules with a state too.

    Args:
      inner_factory: What makes the transformation: `lrjax.adam`, a function of yours, or optax's.
      static_args: The names of more arguments that are left as they are.
      hyperparam_dtype: The dtype of the values; None for float32.

    Returns:
      A function with the arguments of `inner_factory`; see `inject_hyperparams`.

    Raises:
      TypeError: If `inner_factory` is not callable.
      ValueError: If `static_args` names no argument of it.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.inject_stateful_hyperparams(lrjax.sgd)(learning_rate=0.5)
      >>> sorted(tx.init(jnp.zeros(2)).hyperparams)
      ['learning_rate']
    """
    return inject_hyperparams(inner_factory, static_args, hyperparam_dtype)


def schedulable(recipe: Callable[P, T]) -> Callable[P, T]:
    """A recipe each of whose numbers, annotated `ScalarLike`, may also be a schedule.

    Where none is, the transformation and its state are the recipe's own; otherwise those that are
    schedules are injected (`inject_hyperparams`). A rate annotated `ScalarOrSchedule` is left to the
    recipe, and so is what has another annotation, such as a mask.
    """
    parameters = inspect.signature(recipe).parameters
    numeric = [name for name, p in parameters.items() if "ScalarLike" in str(p.annotation)]

    @functools.wraps(recipe)
    def make(*args: P.args, **kwargs: P.kwargs) -> T:
        given = dict(zip(parameters, args, strict=False)) | kwargs
        scheduled = {name for name in numeric if _is_schedule(given.get(name))}
        if not scheduled:
            return recipe(*args, **kwargs)
        injected: Any = inject_hyperparams(recipe, static_args=parameters.keys() - scheduled)
        return injected(*args, **kwargs)

    return make


def _injected(
    build: Callable[[dict[str, Any]], Any],
    numbers: dict[str, Any],
    schedules: dict[str, Schedule],
    dtype: Any,
) -> GradientTransformation:
    def cast(values: dict[str, Any]) -> dict[str, jax.Array]:
        return {name: jnp.asarray(value, dtype) for name, value in values.items()}

    def first(schedule: Schedule) -> Any:
        return unset() if schedule.closed_form is None else schedule.at(jnp.zeros((), jnp.int32))

    def init(params: Params) -> InjectStatefulHyperparamsState:
        values = cast(numbers | {name: first(schedule) for name, schedule in schedules.items()})

        def begin(values: dict[str, jax.Array]) -> OptState:
            return build(values).init(params)

        # Before its first metric a schedule has no value: traced, it is not taken for a bad one.
        known = all(schedule.closed_form is not None for schedule in schedules.values())
        inner_state = begin(values) if known else jax.jit(begin)(values)
        states = {name: start(schedule, params) for name, schedule in schedules.items()}
        return InjectStatefulHyperparamsState(jnp.zeros((), jnp.int32), values, states, inner_state)

    def update(
        updates: Updates, state: InjectStatefulHyperparamsState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, InjectStatefulHyperparamsState]:
        values, states = dict(state.hyperparams), {}
        for name, schedule in schedules.items():
            values[name], states[name] = schedule.update(state.hyperparams_states[name], **extra)
        values = cast(values)
        inner = with_extra_args_support(build(values))
        updates, inner_state = inner.update(updates, state.inner_state, params, **extra)
        count = _tree.next_count(state.count)
        return updates, InjectStatefulHyperparamsState(count, values, states, inner_state)

    return GradientTransformation(init, update)


def _flat(bound: inspect.BoundArguments) -> Iterator[tuple[str, Any, str]]:
    """Name, value and annotation of every argument that has a name, those in `**kwargs` too."""
    for name, value in bound.arguments.items():
        parameter = bound.signature.parameters[name]
        if parameter.kind is parameter.VAR_KEYWORD:
            yield from ((key, item, "") for key, item in value.items())
        elif parameter.kind is not parameter.VAR_POSITIONAL:
            unknown = parameter.annotation in (parameter.empty, Any, "Any")
            yield name, value, "" if unknown else str(parameter.annotation)


def _call(factory: Callable[..., Any], bound: inspect.BoundArguments, values: dict[str, Any]) -> Any:
    """The factory's result with some of its arguments replaced."""
    arguments = dict(bound.arguments)
    for name, parameter in bound.signature.parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            held = arguments.get(name, {})
            arguments[name] = {key: values.get(key, item) for key, item in held.items()}
        elif name in values:
            arguments[name] = values[name]
    changed = inspect.BoundArguments(bound.signature, arguments)  # pyright: ignore[reportArgumentType]
    return factory(*changed.args, **changed.kwargs)


def _may_be_number(annotation: str) -> bool:
    return not annotation or _NUMERIC.search(annotation) is not None


def _is_schedule(value: Any) -> bool:
    return callable(value) and not isinstance(value, type)  # dtypes can be called too


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.number, np.ndarray, jax.Array)) and not isinstance(value, bool)
