"""The trial: one training run as a pure protocol, and the plain way to make one.

The engine trains whatever follows the protocol. It passes the hyperparameters at every step, so
that many runs differ in numbers only and share one compiled program.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.ad_checkpoint import checkpoint_name

from lrjax import _check, _tree
from lrjax._types import Metrics, OptState, Params
from lrjax.learning_rate import get_learning_rates, observe
from lrjax.transform import apply_updates, with_extra_args_support

MARK = "lrjax."  # what the names of marked values begin with


class Trial(NamedTuple):
    """One training run: how it starts, what a step does, how it is judged.

    All functions are pure and are traced by JAX. `hyperparams` is a dict of scalars, the same at
    every step of a sweep; numbers arrive traced, strings, bools, None and callables as they are.

    Attributes:
      init: `init(key, hyperparams) -> state`, a pytree. Leaves that are not arrays are held static
        (a Python number that a step changes counts as an array).
      update: `update(state, batch, hyperparams) -> (metrics, state)`. `metrics` is a dict of
        scalars with at least "loss", measured before the step.
      evaluate: `evaluate(state, batch) -> metrics`, means over the batch's examples; or None.
      observe: `observe(state, held_out_metrics) -> state`, hands held-out metrics to what depends
        on them, after each evaluation that follows training; or None.
      static: Names of numeric hyperparameters that `init` and `update` need as Python numbers,
        such as a memory size. Points that differ in them get a program each.

    Example:
      >>> import jax, lrjax
      >>> def init(key, hyperparams):
      ...     return jax.random.normal(key)
      >>> def update(x, batch, hyperparams):
      ...     loss, slope = jax.value_and_grad(lambda x: (x - batch) ** 2)(x)
      ...     return {"loss": loss}, x - hyperparams["learning_rate"] * slope
      >>> metrics, x = lrjax.Trial(init, update).update(2.0, 0.0, {"learning_rate": 0.25})
      >>> float(metrics["loss"]), float(x)
      (4.0, 1.0)
    """

    init: Callable[[jax.Array, Mapping[str, Any]], Any]
    update: Callable[[Any, Any, Mapping[str, Any]], tuple[Metrics, Any]]
    evaluate: Callable[[Any, Any], Metrics] | None = None
    observe: Callable[[Any, Metrics], Any] | None = None
    static: tuple[str, ...] = ()


class TrialState(NamedTuple):
    """The state of a trial that `trial` made.

    Attributes:
      params: What is trained.
      opt_state: What the optimizer remembers.
      model_state: What the model remembers (BatchNorm statistics, say), or None.
      key: The run's random key; step t uses `fold_in(key, t)`.
      step: int32 scalar, the number of updates so far.

    Example:
      >>> import jax, lrjax
      >>> run = lrjax.trial(lambda key: 0.0, lambda params, batch: params**2, lrjax.sgd)
      >>> int(run.init(jax.random.key(0), {"learning_rate": 0.1}).step)
      0
    """

    params: Params
    opt_state: OptState
    model_state: Any
    key: jax.Array
    step: jax.Array


def trial(
    init_params: Callable[[jax.Array], Any],
    loss: Callable[..., Any],
    optimizer: Callable[..., Any],
    evaluate: Callable[..., Any] | None = None,
    has_state: bool = False,
) -> Trial:
    """Makes a trial from parameters, a loss and an optimizer.

    Args:
      init_params: `init_params(key) -> params`, or `(params, model_state)` with `has_state`.
      loss: `loss(params, batch)` or, with three required arguments, `loss(params, batch, key)`.
        Returns a scalar or `(scalar, metrics)`, with `metrics` a dict of scalars. With `has_state`
        it is `loss(params, model_state, batch[, key])` and returns `(scalar, model_state)` or
        `(scalar, model_state, metrics)`.
      optimizer: `optimizer(**hyperparams)` gives a gradient transformation: `lrjax.adam`, say, or
        any function of the hyperparameters' names. Its `update` receives `value=`, `grad=`,
        `value_fn=` and `grad_norm=` where it takes them.
      evaluate: `evaluate(params, batch)`, or `evaluate(params, model_state, batch)` with
        `has_state`: the mean over the batch's examples, as a scalar loss, a dict of scalars with
        "loss", or `(scalar, metrics)`. None uses `loss` if that takes no key; otherwise the trial
        has no evaluation.
      has_state: Whether the model has a mutable state. Static.

    Returns:
      A `Trial`. Its metrics are "loss", those of `loss`, and "learning_rate" if the optimizer has
      exactly one. Its `observe` hands the held-out "loss" to schedules made with `held_out=True`.

    Raises:
      TypeError: If an argument is not callable, or the signature of `loss` leaves open whether it
        takes a key; from `init`, if the optimizer does not take a hyperparameter by its name, or
        parameters are not floating-point numbers; from `update`, if `loss` returns something else.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> def init_params(key):
      ...     return {"w": jnp.zeros(3)}
      >>> def loss(params, batch):
      ...     x, y = batch
      ...     return jnp.mean((x @ params["w"] - y) ** 2)
      >>> lrjax.trial(init_params, loss, lrjax.adam).evaluate is None
      False
    """
    for name, argument in (("init_params", init_params), ("loss", loss), ("optimizer", optimizer)):
        if not callable(argument):
            raise _check.fail_type("trial", name, "a function", _check.describe(argument))
    if evaluate is not None and not callable(evaluate):
        raise _check.fail_type("trial", "evaluate", "a function or None", _check.describe(evaluate))
    _check.boolean("trial", "has_state", has_state)
    takes_key = _takes_key(loss, has_state)

    def measure(params: Any, model_state: Any, batch: Any, key: jax.Array) -> tuple[jax.Array, Any]:
        arguments = (params, model_state, batch) if has_state else (params, batch)
        output = loss(*arguments, key) if takes_key else loss(*arguments)
        value, model_state, metrics = _read_loss(output, has_state)
        return value, (model_state, metrics)

    slope = _traced_once(jax.value_and_grad(measure, has_aux=True))

    def build(hyperparams: Mapping[str, Any]) -> Any:
        _check_takes(optimizer, hyperparams)
        return with_extra_args_support(optimizer(**hyperparams))

    def init(key: jax.Array, hyperparams: Mapping[str, Any]) -> TrialState:
        init_key, run_key = jax.random.split(key)
        made = init_params(init_key)
        params, model_state = _read_init(made) if has_state else (made, None)
        _check_floating(params)
        opt_state = build(hyperparams).init(params)
        return TrialState(params, opt_state, model_state, run_key, jnp.zeros((), jnp.int32))

    def update(
        state: TrialState, batch: Any, hyperparams: Mapping[str, Any]
    ) -> tuple[dict[str, Any], TrialState]:
        key = jax.random.fold_in(state.key, state.step)

        def objective(params: Any) -> tuple[jax.Array, Any]:
            return measure(params, state.model_state, batch, key)

        arguments = (state.params, state.model_state, batch, key)
        (value, (model_state, metrics)), grad = slope(*arguments)
        grad = named_gradient(grad)
        updates, opt_state = build(hyperparams).update(
            grad,
            state.opt_state,
            state.params,
            value=value,
            grad=grad,
            value_fn=lambda params: objective(params)[0],
            grad_norm=_tree.norm(grad),
        )
        updates = _named("update", updates)
        params = apply_updates(state.params, updates)
        rates = list(get_learning_rates(opt_state).values())
        rate = {"learning_rate": rates[0]} if len(rates) == 1 else {}
        new_state = TrialState(params, opt_state, model_state, state.key, _tree.next_count(state.step))
        return {**rate, **metrics, "loss": value}, new_state

    def judge(state: TrialState, batch: Any) -> Metrics:
        if evaluate is None:
            value, (_, metrics) = measure(state.params, state.model_state, batch, state.key)
            return {**metrics, "loss": value}
        arguments = (state.params, state.model_state) if has_state else (state.params,)
        return _read_evaluation(evaluate(*arguments, batch))

    def hear(state: TrialState, metrics: Metrics) -> TrialState:
        return state._replace(opt_state=observe(state.opt_state, metrics["loss"]))

    return Trial(init, update, *((None, None) if evaluate is None and takes_key else (judge, hear)))


def named_gradient(grad: Any) -> Any:
    """The gradient itself, marked so that a sweep can tell where a member's gradient went non-finite.

    `lrjax.trial` calls it. The `update` of a trial written by hand may too; it costs nothing.

    Args:
      grad: A pytree of arrays.

    Returns:
      The same tree.

    Example:
      >>> import jax, lrjax
      >>> jax.grad(lambda x: lrjax.trials.named_gradient(x) ** 2)(3.0).item()
      6.0
    """
    return _named("gradient", grad)


def _named(kind: str, tree: Any) -> Any:
    """The tree itself, each leaf marked with what it is and where it stands."""
    return jax.tree_util.tree_map_with_path(
        lambda path, x: checkpoint_name(x, MARK + kind + jax.tree_util.keystr(path)), tree
    )


def _traced_once(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function; where its arguments are arrays throughout, JAX keeps its trace.

    Every point of a sweep is traced with its own numbers, which do not enter the loss: a trace that is
    kept is not made again for each.
    """
    jitted = jax.jit(function)

    def call(*arguments: Any) -> Any:
        arrays = all(isinstance(leaf, (jax.Array, np.ndarray)) for leaf in jax.tree.leaves(arguments))
        return (jitted if arrays else function)(*arguments)

    return call


def _takes_key(loss: Callable[..., Any], has_state: bool) -> bool:
    """Whether `loss` takes a key after the batch, told by the number of its required arguments."""
    without = ["params", "model_state", "batch"] if has_state else ["params", "batch"]
    remedy = f"`loss({', '.join(without)})` or `loss({', '.join(without)}, key)`"
    try:
        parameters = inspect.signature(loss).parameters.values()
    except (TypeError, ValueError) as error:
        raise _check.fail_type("trial", "loss", remedy, "a function without a signature") from error
    required = [
        p for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    positional = [p for p in required if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    open_ended = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    optional = [p for p in parameters if p.default is not p.empty and p.kind is not p.KEYWORD_ONLY]
    surplus = len(positional) - len(without)
    clear = (
        required == positional and not open_ended and surplus in (0, 1) and not (surplus == 0 and optional)
    )
    if not clear:
        got = f"`{getattr(loss, '__name__', 'loss')}{inspect.signature(loss)}`"
        raise _check.fail_type("trial", "loss", f"{remedy}, with nothing left open", got)
    return surplus == 1


def _check_takes(optimizer: Callable[..., Any], hyperparams: Mapping[str, Any]) -> None:
    """Requires that `optimizer(**hyperparams)` is a valid call, and says what does not fit."""
    try:
        signature = inspect.signature(optimizer)
    except (TypeError, ValueError):
        return
    name = getattr(optimizer, "__name__", type(optimizer).__name__)
    known = signature.parameters.values()
    if not any(p.kind is p.VAR_KEYWORD for p in known):
        takes = [p.name for p in known if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        unknown = [key for key in hyperparams if key not in takes]
        if unknown:
            expected = f"an optimizer that takes the hyperparameter {unknown[0]!r}"
            got = f"{name}, which takes {', '.join(takes) or 'none'}"
            raise _check.fail_type("trial", "optimizer", expected, got)
    missing = [
        p.name
        for p in known
        if p.default is p.empty
        and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        and p.name not in hyperparams
    ]
    if missing:
        expected = f"called with all it needs; give {missing[0]!r} a value in the grid"
        raise _check.fail_type("trial", "optimizer", expected, f"{name} without it")


def _read_init(made: Any) -> tuple[Any, Any]:
    if not isinstance(made, tuple) or len(made) != 2:
        expected = "a function that returns (params, model_state), since has_state=True"
        raise _check.fail_type("trial", "init_params", expected, type(made).__name__)
    return made


def _check_floating(params: Any) -> None:
    """Requires that gradients can be taken with respect to every leaf."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        is_number = hasattr(leaf, "dtype") or isinstance(leaf, (float, complex))
        if not is_number or not jnp.issubdtype(jnp.result_type(leaf), jnp.inexact):
            where = f" at params{jax.tree_util.keystr(path)}" if path else ""
            rest = "; what is not trained belongs into the loss, or the model's state (`has_state=True`)"
            expected = "a function that returns floating-point parameters"
            raise _check.fail_type("trial", "init_params", expected, _outline(leaf) + where + rest)


def _read_loss(output: Any, has_state: bool) -> tuple[jax.Array, Any, Metrics]:
    expected = (
        "(scalar, model_state) or (scalar, model_state, metrics)"
        if has_state
        else "scalar or (scalar, metrics)"
    )
    parts = list(output) if isinstance(output, tuple) else [output]
    least = 2 if has_state else 1
    if len(parts) not in (least, least + 1):
        raise _check.fail_type("trial", "loss", f"a function that returns {expected}", _outline(output))
    value = parts[0]
    model_state = parts[1] if has_state else None
    metrics = parts[least] if len(parts) > least else {}
    if not isinstance(metrics, Mapping):
        raise _check.fail_type("trial", "loss", f"a function that returns {expected}", _outline(output))
    return _scalar("loss", expected, value), model_state, metrics


def _read_evaluation(output: Any) -> Metrics:
    expected = "a scalar, a dict of scalars with 'loss', or (scalar, metrics)"
    if isinstance(output, Mapping):
        return output
    parts = output if isinstance(output, tuple) else (output, {})
    if len(parts) != 2 or not isinstance(parts[1], Mapping):
        raise _check.fail_type("trial", "evaluate", f"a function that returns {expected}", _outline(output))
    return {**parts[1], "loss": _scalar("evaluate", expected, parts[0])}


def _scalar(argument: str, expected: str, value: Any) -> jax.Array:
    if not hasattr(value, "dtype") and not isinstance(value, (int, float)):
        raise _check.fail_type("trial", argument, f"a function that returns {expected}", _outline(value))
    value = jnp.asarray(value)
    if value.ndim != 0 or not jnp.issubdtype(value.dtype, jnp.floating):
        raise _check.fail_type("trial", argument, f"a function that returns {expected}", _outline(value))
    return value


def _outline(value: Any) -> str:
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    if hasattr(value, "shape"):
        return f"shape {tuple(value.shape)} and dtype {value.dtype}"
    return type(value).__name__
