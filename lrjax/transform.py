"""The gradient transformation: a pure pair, its composition, and the step it leads to.

A transformation turns gradients into updates. `init(params)` makes its state, `update(updates,
state, params, **extra)` returns the new updates and the new state. Everything lrjax trains with is
a composition of these pairs.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check
from lrjax._types import OptState, Params, Updates


class GradientTransformation(NamedTuple):
    """A pure pair of functions that turns gradients into updates.

    Attributes:
      init: `init(params) -> state`, with `params` a pytree of arrays.
      update: `update(updates, state, params=None, **extra) -> (updates, state)`. `updates` has the
        structure of `params`; `extra` are signals of the training step such as `value=` or
        `grad=`, and a transformation ignores those it does not use.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> init, update = lrjax.sgd(0.5)
      >>> state = init(jnp.array(1.0))
      >>> updates, state = update(jnp.array(2.0), state)
      >>> float(updates)
      -1.0
    """

    init: Callable[..., OptState]
    update: Callable[..., tuple[Updates, OptState]]


class GradientTransformationExtraArgs(GradientTransformation):
    """The same pair under the name that optax's users know.

    Every lrjax transformation accepts extra keywords, so the two classes mean the same thing here.

    Example:
      >>> import lrjax
      >>> tx = lrjax.GradientTransformationExtraArgs(*lrjax.identity())
      >>> isinstance(tx, lrjax.GradientTransformation)
      True
    """


class EmptyState(NamedTuple):
    """The state of a transformation that remembers nothing.

    Example:
      >>> import lrjax
      >>> lrjax.identity().init(0.0)
      EmptyState()
    """


def init_empty_state(params: Params) -> EmptyState:
    """The `init` of a transformation that remembers nothing.

    Args:
      params: The parameters, which are not looked at.

    Returns:
      An `EmptyState`.

    Example:
      >>> import lrjax
      >>> halve = lrjax.GradientTransformation(
      ...     lrjax.init_empty_state, lambda updates, state, params=None, **extra: (updates / 2, state)
      ... )
      >>> halve.update(3.0, halve.init(0.0))
      (1.5, EmptyState())
    """
    del params
    return EmptyState()


def with_extra_args_support(tx: Any) -> GradientTransformation:
    """Makes any transformation accept, and ignore, the extra keywords it does not use.

    Args:
      tx: Anything with `init` and `update`, such as an optax transformation.

    Returns:
      A `GradientTransformation` whose `update` hands on just the keywords that `tx.update` takes.

    Raises:
      TypeError: If `tx` has no `init` and `update`.

    Example:
      >>> import lrjax
      >>> plain = lrjax.GradientTransformation(lambda p: (), lambda u, s, p=None: (u, s))
      >>> lrjax.with_extra_args_support(plain).update(1.0, (), value=0.5)
      (1.0, ())
    """
    init, update = check_transformation("with_extra_args_support", "tx", tx)
    accepted = _accepted_keywords(update)
    if accepted is None:
        return tx if isinstance(tx, GradientTransformation) else GradientTransformation(init, update)

    @functools.wraps(update)
    def narrowed(updates: Updates, state: OptState, params: Params | None = None, **extra: Any) -> Any:
        known = {name: value for name, value in extra.items() if name in accepted}
        return update(updates, state, params, **known)

    return GradientTransformation(init, narrowed)


def chain(*args: Any) -> GradientTransformation:
    r"""Applies transformations one after another.

    $u_0 = g,\; u_i = T_i(u_{i-1})$: each transformation receives what the one before it returned.

    Args:
      *args: Transformations: lrjax's, optax's, or anything with `init` and `update`.

    Returns:
      A transformation whose state is the tuple of theirs. Extra keywords reach each one that
      takes them.

    Raises:
      TypeError: If an argument has no `init` and `update`.
      ValueError: From `update`, if the state is not one of this chain's.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.chain(lrjax.trace(decay=0.9), lrjax.scale_by_learning_rate(0.1))
      >>> state = tx.init(jnp.array(1.0))
      >>> updates, state = tx.update(jnp.array(1.0), state)
      >>> round(float(updates), 6)
      -0.1
    """
    for position, tx in enumerate(args):
        check_transformation("chain", f"args[{position}]", tx)
    links = tuple(with_extra_args_support(tx) for tx in args)

    def init(params: Params) -> OptState:
        return tuple(link.init(params) for link in links)

    def update(updates: Updates, state: OptState, params: Params | None = None, **extra: Any) -> Any:
        if not isinstance(state, tuple) or len(state) != len(links):
            expected = f"the tuple of {len(links)} states that this chain's `init` returns"
            got = f"a tuple of {len(state)}" if isinstance(state, tuple) else type(state).__name__
            raise _check.fail("chain.update", "state", expected, got)
        new_state = []
        for link, link_state in zip(links, state, strict=True):
            updates, link_state = link.update(updates, link_state, params, **extra)
            new_state.append(link_state)
        return updates, tuple(new_state)

    return GradientTransformation(init, update)


def identity() -> GradientTransformation:
    """Leaves updates as they are.

    Returns:
      A stateless `GradientTransformation`.

    Example:
      >>> import lrjax
      >>> tx = lrjax.identity()
      >>> tx.update(3.0, tx.init(1.0))
      (3.0, EmptyState())
    """
    return stateless(lambda updates, params: updates)


def stateless(f: Callable[[Updates, Params | None], Updates]) -> GradientTransformation:
    """Makes a transformation from a function of updates and parameters.

    Args:
      f: `f(updates, params) -> updates`, on whole pytrees; `params` is None where the caller of
        `update` passed none.

    Returns:
      A `GradientTransformation` with an `EmptyState`.

    Raises:
      TypeError: If `f` is not callable.

    Example:
      >>> import jax, lrjax
      >>> halve = lrjax.stateless(lambda updates, params: jax.tree.map(lambda u: u / 2, updates))
      >>> halve.update({"w": 3.0}, halve.init({"w": 0.0}))[0]
      {'w': 1.5}
    """
    if not callable(f):
        raise _check.fail_type("stateless", "f", "a function of updates and params", _check.describe(f))

    def update(updates: Updates, state: OptState, params: Params | None = None, **extra: Any) -> Any:
        del extra
        return f(updates, params), state

    return GradientTransformation(init_empty_state, update)


def stateless_with_tree_map(f: Callable[[Any, Any], Any]) -> GradientTransformation:
    """Makes a transformation from a function of one leaf of the updates and of the parameters.

    Args:
      f: `f(update, param) -> update`, on leaves; `param` is None where the caller of `update` passed
        no parameters.

    Returns:
      A `GradientTransformation` with an `EmptyState`.

    Raises:
      TypeError: If `f` is not callable.

    Example:
      >>> import lrjax
      >>> decay = lrjax.stateless_with_tree_map(lambda update, param: update + 0.5 * param)
      >>> decay.update({"w": 3.0}, decay.init({"w": 2.0}), {"w": 2.0})[0]
      {'w': 4.0}
    """
    if not callable(f):
        expected = "a function of one update and one parameter"
        raise _check.fail_type("stateless_with_tree_map", "f", expected, _check.describe(f))

    def over(updates: Updates, params: Params | None) -> Updates:
        if params is None:
            return jax.tree.map(lambda u: f(u, None), updates)
        return jax.tree.map(f, updates, params)

    return stateless(over)


def apply_updates(params: Params, updates: Updates) -> Params:
    """Adds updates to parameters; every parameter keeps its dtype.

    Args:
      params: A pytree of arrays.
      updates: A pytree of the same structure. Where a leaf of either is None, the parameter stays
        as it is.

    Returns:
      The new parameters. The sum is taken in the wider of the two dtypes and rounded once.

    Raises:
      ValueError: If the two structures differ.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> lrjax.apply_updates({"w": jnp.array(1.0)}, {"w": jnp.array(-0.25)})
      {'w': Array(0.75, dtype=float32)}
    """

    def add(p: Any, u: Any) -> Any:
        if p is None or u is None:
            return p
        return jnp.asarray(p + u).astype(jnp.result_type(p))

    return jax.tree.map(add, params, updates, is_leaf=lambda x: x is None)


def require_params(call: str, params: Params | None, what: str) -> None:
    """Requires the parameters in an update; `what` needs them."""
    if params is None:
        expected = f"the parameters: {what} needs them (`tx.update(grads, state, params)`)"
        raise _check.fail(call, "params", expected, None)


def check_transformation(call: str, argument: str, tx: Any) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Requires anything with `init` and `update`, and returns them; errors name `call`."""
    init, update = getattr(tx, "init", None), getattr(tx, "update", None)
    if not callable(init) or not callable(update):
        hint = " (call it: a recipe such as `lrjax.adam` is not yet a transformation)" * callable(tx)
        expected = "a gradient transformation, with `init` and `update`"
        raise _check.fail_type(call, argument, expected, _check.describe(tx) + hint)
    return init, update


def _accepted_keywords(update: Callable[..., Any]) -> frozenset[str] | None:
    """The extra keywords that `update` takes by name, or None if it takes any."""
    parameters = list(inspect.signature(update).parameters.values())
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    named = (p.name for p in parameters[3:] if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))
    return frozenset(named)
