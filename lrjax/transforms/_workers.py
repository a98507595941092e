"""What several workers do to a training run: a centre that holds them together, gradients that come late."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import OptState, Params, ScalarLike, Updates
from lrjax.transform import (
    GradientTransformation,
    check_transformation,
    require_params,
    with_extra_args_support,
)
from lrjax.transforms._gate import gated, nothing


class ElasticAveragingState(NamedTuple):
    """The state of a worker of elastic averaging.

    Attributes:
      count: int32 scalar, the number of updates so far.
      center: The centre, the same for every worker, shaped like the parameters, in at least float32.
      inner_state: The worker's own optimizer's state.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> lrjax.elastic_averaging(lrjax.sgd(0.5), 0.1).init(jnp.ones(2)).center
      Array([1., 1.], dtype=float32)
    """

    count: jax.Array
    center: Params
    inner_state: OptState


class DelayedState(NamedTuple):
    """The state of `delayed`.

    Attributes:
      count: int32 scalar, the number of gradients so far.
      gradients: Those that are still to come, with one leading axis, in at least float32.
      inner_state: The optimizer's own state.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> lrjax.delayed(lrjax.sgd(0.5), steps=3).init(jnp.ones(2)).gradients.shape
      (3, 2)
    """

    count: jax.Array
    gradients: Params
    inner_state: OptState


def elastic_averaging(
    inner: Any, elasticity: ScalarLike, period: ScalarLike = 1, axis_name: Any = None
) -> GradientTransformation:
    r"""Elastic averaging SGD: workers explore by themselves, on springs to a centre.

    With $x^i$ the parameters of worker $i$ and $u^i$ its optimizer's update, on every `period`-th update,
    the first included,

    $x^i \leftarrow x^i + u^i - \alpha (x^i - \tilde x)$ and
    $\tilde x \leftarrow \tilde x + \alpha \sum_i (x^i - \tilde x)$,

    and $x^i \leftarrow x^i + u^i$ otherwise. All workers exchange at the same update. Evaluate at
    `state.center`.

    Args:
      inner: Each worker's optimizer: anything with `init` and `update`.
      elasticity: $\alpha$ in [0, 1]. With $p$ workers the paper takes $0.9 / p$; above $1 / p$ the centre
        oscillates.
      period: The updates between exchanges, >= 1.
      axis_name: The axis that the workers are members of, as in `jax.vmap(..., axis_name=...)` or
        `jax.shard_map`; None for a single worker. Static.

    Returns:
      A `GradientTransformation` with an `ElasticAveragingState`, whose `update` needs `params`. The
      workers begin at the same parameters, which are the first centre. It is the last link of a chain.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range; from `update`, if `params` is missing.

    References:
      Zhang, Choromanska and LeCun, Deep Learning with Elastic Averaging SGD, 1412.6651, 2015.

    Example:
      >>> import jax, jax.numpy as jnp, lrjax
      >>> tx = lrjax.elastic_averaging(lrjax.sgd(1.0), 0.25, axis_name="workers")
      >>> def two_updates(gradient):
      ...     x = jnp.array(0.0)
      ...     state = tx.init(x)
      ...     for _ in range(2):
      ...         updates, state = tx.update(gradient, state, x)
      ...         x = lrjax.apply_updates(x, updates)
      ...     return x, state.center
      >>> x, center = jax.vmap(two_updates, axis_name="workers")(jnp.array([-1.0, -3.0]))
      >>> x, center
      (Array([1.75, 5.25], dtype=float32), Array([1., 1.], dtype=float32))
    """
    call = "elastic_averaging"
    check_transformation(call, "inner", inner)
    _check.number(call, "elasticity", elasticity, low=0, high=1)
    _check.number(call, "period", period, low=1)
    inner = with_extra_args_support(inner)

    def init(params: Params) -> ElasticAveragingState:
        def copy(p: Any) -> jax.Array:
            return jnp.array(p, _tree.wide_dtype(p))  # arrays of its own, so that a caller may donate both

        return ElasticAveragingState(jnp.zeros((), jnp.int32), jax.tree.map(copy, params), inner.init(params))

    def update(
        updates: Updates, state: ElasticAveragingState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, ElasticAveragingState]:
        require_params(f"{call}.update", params, "the distance from the centre")
        updates, inner_state = inner.update(updates, state.inner_state, params, **extra)
        due = state.count % jnp.asarray(period) == 0

        def pull(p: Any, center: jax.Array) -> jax.Array:
            return jnp.where(due, elasticity * (_tree.wide(p) - center), 0)

        pulls = jax.tree.map(pull, params, state.center)
        moved = jax.tree.map(lambda u, pull: _tree.wide(u) - pull, updates, pulls)
        total = pulls if axis_name is None else jax.lax.psum(pulls, axis_name)
        center = _tree.cast_like(jax.tree.map(jnp.add, state.center, total), state.center)
        new_state = ElasticAveragingState(_tree.next_count(state.count), center, inner_state)
        return _tree.cast_like(moved, updates), new_state

    return GradientTransformation(init, update)


def delayed(inner: Any, steps: int) -> GradientTransformation:
    r"""Applies each gradient some updates late, as workers do that compute while others update.

    The update at step $t$ is the one that `inner` makes of $g_{t - \tau}$, at the parameters of step $t$; the
    first $\tau$ updates are zero, and `inner` does not see them.

    Args:
      inner: The optimizer: anything with `init` and `update`.
      steps: $\tau$ >= 0; as many gradients are kept. Static.

    Returns:
      A `GradientTransformation` with a `DelayedState`. Signals of the step (`value=`, ...) reach
      `inner` as they are, not late.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If `steps` is negative.

    References:
      Recht et al., Hogwild!: A Lock-Free Approach to Parallelizing Stochastic Gradient Descent,
      1106.5730, 2011.
      Dean et al., Large Scale Distributed Deep Networks, 2012 (Downpour SGD).

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.delayed(lrjax.sgd(1.0), steps=2)
      >>> state, late = tx.init(jnp.array(0.0)), []
      >>> for gradient in (1.0, 2.0, 3.0, 4.0):
      ...     update, state = tx.update(jnp.array(gradient), state)
      ...     late.append(float(update))
      >>> late
      [0.0, 0.0, -1.0, -2.0]
    """
    check_transformation("delayed", "inner", inner)
    steps = _check.integer("delayed", "steps", steps)
    inner = with_extra_args_support(inner)

    def init(params: Params) -> DelayedState:
        def room(p: Any) -> jax.Array:
            return jnp.zeros((steps, *jnp.shape(p)), _tree.wide_dtype(p))

        return DelayedState(jnp.zeros((), jnp.int32), jax.tree.map(room, params), inner.init(params))

    def update(
        updates: Updates, state: DelayedState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, DelayedState]:
        count = _tree.next_count(state.count)
        if steps == 0:
            updates, inner_state = inner.update(updates, state.inner_state, params, **extra)
            return updates, DelayedState(count, state.gradients, inner_state)
        late = _tree.cast_like(jax.tree.map(lambda line: line[0], state.gradients), updates)
        line = jax.tree.map(_tree.push, state.gradients, updates)
        moved, inner_state = gated(
            state.count >= steps,
            lambda: inner.update(late, state.inner_state, params, **extra),
            nothing(updates),
            state.inner_state,
        )
        return moved, DelayedState(count, line, inner_state)

    return GradientTransformation(init, update)
