"""Steps scaled by the curvature of each parameter: Becker and LeCun's, and Schaul's vSGD."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from lrjax import _check, _tree
from lrjax._types import Params, ScalarLike, ScalarOrSchedule, Updates
from lrjax.learning_rate import scale_by_learning_rate
from lrjax.schedules import as_schedule, schedulable
from lrjax.transform import GradientTransformation, chain, require_params

_AT_ONCE = 256  # columns of a Hessian in one vectorised product; each is as large as the parameters


class ScaleByBeckerLecunState(NamedTuple):
    """The state of Becker and LeCun's scaling.

    Attributes:
      count: int32 scalar, the number of updates so far.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> int(lrjax.scale_by_becker_lecun().init(jnp.zeros(2)).count)
      0
    """

    count: jax.Array


class ScaleByVSGDState(NamedTuple):
    """The state of vSGD.

    Attributes:
      count: int32 scalar, the number of updates so far.
      mean_grad: Averages of gradients, shaped like the parameters, in at least float32.
      mean_square: Averages of their squares, likewise.
      mean_curvature: Averages of the Hessian's diagonal, likewise.
      memory: The steps that each average reaches back, likewise.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> lrjax.scale_by_vsgd().init(jnp.zeros(2)).memory
      Array([1., 1.], dtype=float32)
    """

    count: jax.Array
    mean_grad: Params
    mean_square: Params
    mean_curvature: Params
    memory: Params


def scale_by_becker_lecun(damping: ScalarLike = 0.02, samples: int | None = None) -> GradientTransformation:
    r"""Scales updates by the diagonal of the Hessian: $u_i = g_i / (|h_{ii}| + \mu)$.

    `update` takes the diagonal as `hessian_diag=`, a tree like the parameters, or the loss as `value_fn=`,
    which `lrjax.trial` passes, and computes it.

    Args:
      damping: $\mu$ > 0, the least curvature that is believed.
      samples: How the diagonal is computed from `value_fn`: None by one Hessian-vector product for each
        parameter, exactly; a number by that many products with random signs, whose mean it is in
        expectation (Hutchinson). Random signs depend on the number of the update alone. Static.

    Returns:
      A `GradientTransformation` with a `ScaleByBeckerLecunState`, for real parameters. With `value_fn`
      its `update` needs `params`.

    Raises:
      TypeError: If an argument is of the wrong kind; from `update`, if neither signal is there.
      ValueError: If a number is out of its range; from `update`, if `params` is missing.

    References:
      Becker and LeCun, Improving the Convergence of Back-Propagation Learning with Second Order
      Methods, 1988.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.scale_by_becker_lecun(damping=1.0)
      >>> def loss(x):
      ...     return jnp.sum(jnp.array([1.5, 0.5]) * x**2)
      >>> params = jnp.ones(2)
      >>> updates, _ = tx.update(jnp.array([3.0, 1.0]), tx.init(params), params, value_fn=loss)
      >>> updates
      Array([0.75, 0.5 ], dtype=float32)
    """
    return _scale_by_becker_lecun("scale_by_becker_lecun", damping, samples)


@schedulable
def becker_lecun(
    learning_rate: ScalarOrSchedule, damping: ScalarLike = 0.02, samples: int | None = None
) -> GradientTransformation:
    r"""Becker and LeCun's method: $\theta_{t+1} = \theta_t - \eta_t g_t / (|\operatorname{diag} H_t| + \mu)$.

    See `scale_by_becker_lecun` for where the diagonal comes from.

    Args:
      learning_rate: $\eta$: a number, a tracer, a `Schedule` or a callable of the step.
      damping: $\mu$ > 0.
      samples: None for the exact diagonal, or the number of random products. Static.

    Returns:
      A `GradientTransformation` for real parameters, whose `update` needs `value_fn=` and `params`, or
      `hessian_diag=`.

    Raises:
      TypeError: If an argument is of the wrong kind; from `update`, if neither signal is there.
      ValueError: If a number is out of its range; from `update`, if `params` is missing.

    References:
      Becker and LeCun, Improving the Convergence of Back-Propagation Learning with Second Order
      Methods, 1988.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.becker_lecun(0.5, damping=1.0)
      >>> grads = jnp.array([3.0, 1.0])
      >>> tx.update(grads, tx.init(grads), hessian_diag=jnp.array([-2.0, 0.0]))[0]
      Array([-0.5, -0.5], dtype=float32)
    """
    return chain(
        _scale_by_becker_lecun("becker_lecun", damping, samples),
        scale_by_learning_rate(as_schedule("becker_lecun", "learning_rate", learning_rate)),
    )


def scale_by_vsgd(
    init_steps: ScalarLike = 10.0,
    overestimate: ScalarLike = 2.0,
    eps: ScalarLike = 1e-8,
    samples: int | None = None,
) -> GradientTransformation:
    r"""Scales updates by vSGD's rate, which is optimal for a noisy quadratic, parameter by parameter.

    With averages $\bar g, \bar v, \bar h$ of $g$, $g^2$ and $|h_{ii}|$ that reach back $\tau$ steps,
    $\bar x \leftarrow \bar x + (x - \bar x) / \tau$,

    $u = \frac{\bar g^2}{(\bar h + \epsilon) \bar v}\, g$ and then
    $\tau \leftarrow (1 - \bar g^2 / \bar v)\, \tau + 1$: where gradients agree the rate is near one over the
    curvature and the memory short; noise lowers the one and lengthens the other. The first updates only fill
    the averages.

    Args:
      init_steps: How many first updates are zero while the averages fill, >= 2: an average that reaches
        back one step alone trusts each gradient fully, for ever.
      overestimate: $C$ >= 1, by which $\bar v$ and $\bar h$ are enlarged then, so that first steps are
        careful.
      eps: $\epsilon$ > 0.
      samples: How the Hessian's diagonal is computed; see `scale_by_becker_lecun`. Static.

    Returns:
      A `GradientTransformation` with a `ScaleByVSGDState`, for real parameters. Its `update` needs
      `value_fn=` and `params`, or `hessian_diag=`.

    Raises:
      TypeError: If an argument is of the wrong kind; from `update`, if neither signal is there.
      ValueError: If a number is out of its range; from `update`, if `params` is missing.

    References:
      Schaul, Zhang and LeCun, No More Pesky Learning Rates, 1206.1106, 2012.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.scale_by_vsgd(init_steps=2)
      >>> state, taken = tx.init(jnp.array(0.0)), []
      >>> for _ in range(3):
      ...     update, state = tx.update(jnp.array(3.0), state, hessian_diag=jnp.array(0.5))
      ...     taken.append(round(float(update), 4))
      >>> taken
      [0.0, 0.0, 2.6667]
    """
    return _scale_by_vsgd("scale_by_vsgd", init_steps, overestimate, eps, samples)


@schedulable
def vsgd(
    learning_rate: ScalarOrSchedule = 1.0,
    init_steps: ScalarLike = 10.0,
    overestimate: ScalarLike = 2.0,
    eps: ScalarLike = 1e-8,
    samples: int | None = None,
) -> GradientTransformation:
    r"""vSGD, which sets a rate of its own for each parameter.

    $\theta_{t+1} = \theta_t - \eta_t \frac{\bar g^2}{(\bar h + \epsilon) \bar v}\, g_t$; see `scale_by_vsgd`.

    Args:
      learning_rate: $\eta$, a factor on the method's own rates: a number, a tracer, a `Schedule` or a
        callable of the step.
      init_steps: How many first updates are zero while the averages fill, >= 2.
      overestimate: $C$ >= 1.
      eps: $\epsilon$ > 0.
      samples: How the Hessian's diagonal is computed; see `scale_by_becker_lecun`. Static.

    Returns:
      A `GradientTransformation` for real parameters, whose `update` needs `value_fn=` and `params`, or
      `hessian_diag=`.

    Note:
      Where the diagonal of the Hessian is close to 0, as it is for some parameters of most networks, rates
      are large. The paper takes that of Gauss and Newton, which is positive: hand it over as
      `hessian_diag=`, or take a smaller $\eta$.

    Raises:
      TypeError: If an argument is of the wrong kind; from `update`, if neither signal is there.
      ValueError: If a number is out of its range; from `update`, if `params` is missing.

    References:
      Schaul, Zhang and LeCun, No More Pesky Learning Rates, 1206.1106, 2012.

    Example:
      >>> import jax, jax.numpy as jnp, lrjax
      >>> tx = lrjax.vsgd(init_steps=2)
      >>> loss = lambda x: 5.0 * x**2
      >>> x = jnp.array(1.0)
      >>> state = tx.init(x)
      >>> for _ in range(40):
      ...     updates, state = tx.update(jax.grad(loss)(x), state, x, value_fn=loss)
      ...     x = lrjax.apply_updates(x, updates)
      >>> bool(abs(x) < 1e-2)
      True
    """
    return chain(
        _scale_by_vsgd("vsgd", init_steps, overestimate, eps, samples),
        scale_by_learning_rate(as_schedule("vsgd", "learning_rate", learning_rate)),
    )


def _scale_by_becker_lecun(call: str, damping: ScalarLike, samples: int | None) -> GradientTransformation:
    """The scaling; errors name the public function the user called."""
    _check.number(call, "damping", damping, low=0, open_low=True)
    diagonal = _diagonal(call, samples)

    def init(params: Params) -> ScaleByBeckerLecunState:
        del params
        return ScaleByBeckerLecunState(jnp.zeros((), jnp.int32))

    def update(
        updates: Updates, state: ScaleByBeckerLecunState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, ScaleByBeckerLecunState]:
        curvature = diagonal(state.count, params, extra)
        scaled = jax.tree.map(lambda g, h: _tree.wide(g) / (jnp.abs(h) + damping), updates, curvature)
        return _tree.cast_like(scaled, updates), ScaleByBeckerLecunState(_tree.next_count(state.count))

    return GradientTransformation(init, update)


def _scale_by_vsgd(
    call: str, init_steps: ScalarLike, overestimate: ScalarLike, eps: ScalarLike, samples: int | None
) -> GradientTransformation:
    """The scaling; errors name the public function the user called."""
    _check.number(call, "init_steps", init_steps, low=2)
    _check.number(call, "overestimate", overestimate, low=1)
    _check.number(call, "eps", eps, low=0, open_low=True)
    diagonal = _diagonal(call, samples)

    def init(params: Params) -> ScaleByVSGDState:
        zeros = _tree.zeros_like(params, _tree.wide_dtype)
        ones = _tree.full_like(params, 1, _tree.wide_dtype)
        return ScaleByVSGDState(jnp.zeros((), jnp.int32), zeros, zeros, zeros, ones)

    def update(
        updates: Updates, state: ScaleByVSGDState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, ScaleByVSGDState]:
        t = _tree.next_count(state.count)
        filling, filled = t <= init_steps, (t <= init_steps) & (t + 1 > init_steps)
        curvature = diagonal(state.count, params, extra)

        def leaf(g: Any, h: Any, *averages: jax.Array) -> tuple[jax.Array, ...]:
            g_bar, v_bar, h_bar, tau = averages
            g, h = _tree.wide(g), jnp.abs(_tree.wide(h))
            tau = jnp.where(filling, t.astype(tau.dtype), tau)
            g_bar = g_bar + (g - g_bar) / tau
            v_bar = v_bar + (g * g - v_bar) / tau
            h_bar = h_bar + (h - h_bar) / tau
            agreement = jnp.where(v_bar > 0, g_bar * g_bar / jnp.where(v_bar > 0, v_bar, 1), 0)
            step = jnp.where(filling, 0, agreement / (h_bar + eps) * g)
            tau = jnp.where(filling, tau, (1 - agreement) * tau + 1)
            enlarged = jnp.where(filled, overestimate, 1)
            return step, g_bar, v_bar * enlarged, h_bar * enlarged, tau

        if not jax.tree.leaves(updates):
            return updates, state._replace(count=t)
        trees = [updates, curvature, *state[1:]]
        columns = zip(*map(jax.tree.leaves, trees), strict=True)
        parts = [leaf(*column) for column in columns]
        structure = jax.tree.structure(updates)
        step, *averages = (structure.unflatten(part) for part in zip(*parts, strict=True))
        kept = map(_tree.cast_like, averages, state[1:])
        return _tree.cast_like(step, updates), ScaleByVSGDState(t, *kept)

    return GradientTransformation(init, update)


def _diagonal(call: str, samples: int | None) -> Callable[[jax.Array, Params | None, dict[str, Any]], Params]:
    """The Hessian's diagonal from the signals of an update."""
    if samples is not None:
        samples = _check.integer(call, "samples", samples, low=1)

    def diagonal(count: jax.Array, params: Params | None, signals: dict[str, Any]) -> Params:
        if signals.get("hessian_diag") is not None:
            return signals["hessian_diag"]
        meaning = "the loss as a function of the parameters, or `hessian_diag`"
        _check.signal(call, "value_fn", meaning, signals.get("value_fn"))
        value_fn = signals["value_fn"]
        require_params(f"{call}.update", params, "the Hessian")
        flat, unravel = ravel_pytree(jax.tree.map(_tree.wide, params))
        if not flat.size:
            return params

        def product(direction: jax.Array) -> jax.Array:
            gradient = jax.grad(lambda x: value_fn(unravel(x)))
            return direction * jax.jvp(gradient, (flat,), (direction,))[1]

        if samples is not None:
            key = jax.random.fold_in(jax.random.key(0), count)
            signs = jax.random.rademacher(key, (samples, flat.size), flat.dtype)
            return unravel(jnp.mean(jax.vmap(product)(signs), axis=0))

        def entry(i: jax.Array) -> jax.Array:
            return jnp.sum(product(jnp.zeros_like(flat).at[i].set(1)))

        every = jnp.arange(flat.size)
        if flat.size <= _AT_ONCE:
            return unravel(jax.vmap(entry)(every))
        return unravel(jax.lax.map(entry, every, batch_size=_AT_ONCE))

    return diagonal
