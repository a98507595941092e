"""RMSprop: steps scaled by a running root mean square of the gradient."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import Params, ScalarLike, ScalarOrSchedule, Updates
from lrjax.learning_rate import scale_by_learning_rate
from lrjax.optimizers._sgd import trace
from lrjax.schedules import as_schedule, schedulable
from lrjax.transform import GradientTransformation, chain, identity


class ScaleByRmsState(NamedTuple):
    """The state of `scale_by_rms`.

    Attributes:
      nu: Second moments, shaped like the parameters, real, in at least float32.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> lrjax.scale_by_rms().init(jnp.zeros(2)).nu.shape
      (2,)
    """

    nu: Params


class ScaleByRmsWithCountState(NamedTuple):
    """The state of `scale_by_rms` with bias correction.

    Attributes:
      count: int32 scalar, the number of updates so far.
      nu: Second moments, shaped like the parameters, real, in at least float32.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> int(lrjax.scale_by_rms(bias_correction=True).init(jnp.zeros(2)).count)
      0
    """

    count: jax.Array
    nu: Params


class ScaleByRStdDevState(NamedTuple):
    """The state of `scale_by_stddev`.

    Attributes:
      mu: First moments, shaped like the parameters, in at least float32.
      nu: Second moments, shaped like the parameters, real, in at least float32.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> lrjax.scale_by_stddev().init(jnp.zeros(2)).mu.shape
      (2,)
    """

    mu: Params
    nu: Params


class ScaleByRStdDevWithCountState(NamedTuple):
    """The state of `scale_by_stddev` with bias correction.

    Attributes:
      count: int32 scalar, the number of updates so far.
      mu: First moments, shaped like the parameters, in at least float32.
      nu: Second moments, shaped like the parameters, real, in at least float32.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> int(lrjax.scale_by_stddev(bias_correction=True).init(jnp.zeros(2)).count)
      0
    """

    count: jax.Array
    mu: Params
    nu: Params


def scale_by_rms(
    decay: ScalarLike = 0.9,
    eps: ScalarLike = 1e-8,
    initial_scale: ScalarLike = 0.0,
    eps_in_sqrt: bool = True,
    bias_correction: bool = False,
) -> GradientTransformation:
    r"""Scales updates by the root of their running mean square.

    $v_t = \rho v_{t-1} + (1 - \rho) |g_t|^2$; the update is $g_t / \sqrt{v_t + \epsilon}$, or
    $g_t / (\sqrt{v_t} + \epsilon)$.

    Args:
      decay: $\rho$ in [0, 1).
      eps: $\epsilon$ >= 0. With 0 a leaf whose gradients were all zero gives 0 / 0.
      initial_scale: $v_0$ >= 0.
      eps_in_sqrt: Whether $\epsilon$ stands inside the root (the default, optax's) or outside
        (PyTorch's). Static.
      bias_correction: Whether to divide $v_t$ by $1 - \rho^t$. Static.

    Returns:
      A `GradientTransformation` with a `ScaleByRmsState`, or with bias correction a
      `ScaleByRmsWithCountState`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range.

    References:
      Tieleman and Hinton, Lecture 6.5, RMSprop, Coursera: Neural Networks for Machine Learning, 2012.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.scale_by_rms(decay=0.75)
      >>> grads = jnp.array([4.0, -0.5])
      >>> tx.update(grads, tx.init(grads))[0].round(4)
      Array([ 2., -2.], dtype=float32)
    """
    return _scale_by_rms("scale_by_rms", decay, eps, initial_scale, eps_in_sqrt, bias_correction)


def scale_by_stddev(
    decay: ScalarLike = 0.9,
    eps: ScalarLike = 1e-8,
    initial_scale: ScalarLike = 0.0,
    eps_in_sqrt: bool = True,
    bias_correction: bool = False,
) -> GradientTransformation:
    r"""Scales updates by the running standard deviation: RMSprop, centered.

    $m_t = \rho m_{t-1} + (1 - \rho) g_t$, $v_t = \rho v_{t-1} + (1 - \rho) |g_t|^2$; the update is
    $g_t / \sqrt{v_t - |m_t|^2 + \epsilon}$, or $g_t / (\sqrt{v_t - |m_t|^2} + \epsilon)$. The
    variance is not let below 0, where rounding would take it.

    Args:
      decay: $\rho$ in [0, 1).
      eps: $\epsilon$ >= 0. With 0 a leaf whose gradient never changes divides by 0.
      initial_scale: $v_0$ >= 0.
      eps_in_sqrt: Whether $\epsilon$ stands inside the root or outside. Static.
      bias_correction: Whether to divide both moments by $1 - \rho^t$. Static.

    Returns:
      A `GradientTransformation` with a `ScaleByRStdDevState`, or with bias correction a
      `ScaleByRStdDevWithCountState`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range.

    References:
      Graves, Generating Sequences With Recurrent Neural Networks, 1308.0850, 2013.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.scale_by_stddev(decay=0.5)
      >>> grads = jnp.array([4.0, -0.5])
      >>> tx.update(grads, tx.init(grads))[0].round(4)
      Array([ 2., -2.], dtype=float32)
    """
    return _scale_by_stddev("scale_by_stddev", decay, eps, initial_scale, eps_in_sqrt, bias_correction)


@schedulable
def rmsprop(
    learning_rate: ScalarOrSchedule,
    decay: ScalarLike = 0.9,
    eps: ScalarLike = 1e-8,
    initial_scale: ScalarLike = 0.0,
    eps_in_sqrt: bool = True,
    centered: bool = False,
    momentum: ScalarLike | None = None,
    nesterov: bool = False,
    bias_correction: bool = False,
) -> GradientTransformation:
    r"""RMSprop: $\theta_{t+1} = \theta_t - \eta_t g_t / \sqrt{v_t + \epsilon}$.

    $v_t$ is that of `scale_by_rms`, or with `centered` the variance of `scale_by_stddev`. Momentum
    acts on the steps, after the learning rate. Goodfellow, Bengio and Courville's RMSProp (Deep Learning,
    2016, algorithm 8.5) has `eps=1e-6` inside the root; theirs with Nesterov momentum (algorithm 8.6) is
    `momentum` with `nesterov=True`, the parameters being those at which it takes gradients.

    Args:
      learning_rate: $\eta$: a number, a tracer, a `Schedule` or a callable of the step.
      decay: $\rho$ in [0, 1).
      eps: $\epsilon$ >= 0.
      initial_scale: $v_0$ >= 0; TensorFlow's is 1.
      eps_in_sqrt: Whether $\epsilon$ stands inside the root (optax's, TensorFlow's) or outside
        (PyTorch's). Static.
      centered: Whether to subtract the squared mean. Static.
      momentum: $\mu$ in [0, 1], or None.
      nesterov: Whether the momentum looks ahead. Static.
      bias_correction: Whether to debias the moments. Static.

    Returns:
      A `GradientTransformation`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range.

    References:
      Tieleman and Hinton, Lecture 6.5, RMSprop, Coursera: Neural Networks for Machine Learning, 2012.
      Graves, Generating Sequences With Recurrent Neural Networks, 1308.0850, 2013 (centered).

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.rmsprop(0.5, decay=0.75)
      >>> grads = jnp.array([4.0, -0.5])
      >>> tx.update(grads, tx.init(grads))[0].round(4)
      Array([-1.,  1.], dtype=float32)
    """
    _check.boolean("rmsprop", "centered", centered)
    if momentum is not None:
        _check.number("rmsprop", "momentum", momentum, low=0, high=1)
    _check.boolean("rmsprop", "nesterov", nesterov)
    scaling = _scale_by_stddev if centered else _scale_by_rms
    return chain(
        scaling("rmsprop", decay, eps, initial_scale, eps_in_sqrt, bias_correction),
        scale_by_learning_rate(as_schedule("rmsprop", "learning_rate", learning_rate)),
        identity() if momentum is None else trace(momentum, nesterov),
    )


def _scale_by_rms(
    call: str,
    decay: ScalarLike,
    eps: ScalarLike,
    initial_scale: ScalarLike,
    eps_in_sqrt: bool,
    bias_correction: bool,
) -> GradientTransformation:
    """The scaling by the root mean square; errors name the public function the user called."""
    _check_arguments(call, decay, eps, initial_scale, eps_in_sqrt, bias_correction)

    def init(params: Params) -> ScaleByRmsState | ScaleByRmsWithCountState:
        nu = _tree.full_like(params, initial_scale, _tree.wide_real)
        return (
            ScaleByRmsWithCountState(jnp.zeros((), jnp.int32), nu) if bias_correction else ScaleByRmsState(nu)
        )

    def update(
        updates: Updates, state: Any, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, Any]:
        del params, extra
        v = _tree.second_moment(decay, updates, state.nu)
        state = state._replace(nu=_tree.cast_like(v, state.nu))
        if bias_correction:
            state = state._replace(count=_tree.next_count(state.count))
            v = _tree.debias(v, decay, state.count)
        return jax.tree.map(lambda g, v: _over_root(g, v, eps, eps_in_sqrt), updates, v), state

    return GradientTransformation(init, update)


def _scale_by_stddev(
    call: str,
    decay: ScalarLike,
    eps: ScalarLike,
    initial_scale: ScalarLike,
    eps_in_sqrt: bool,
    bias_correction: bool,
) -> GradientTransformation:
    """The scaling by the standard deviation; errors name the public function the user called."""
    _check_arguments(call, decay, eps, initial_scale, eps_in_sqrt, bias_correction)

    def init(params: Params) -> ScaleByRStdDevState | ScaleByRStdDevWithCountState:
        # The mean is kept as wide as the mean square: their difference cancels.
        mu = _tree.zeros_like(params, lambda p: _tree.wide(p).dtype)
        nu = _tree.full_like(params, initial_scale, _tree.wide_real)
        if bias_correction:
            return ScaleByRStdDevWithCountState(jnp.zeros((), jnp.int32), mu, nu)
        return ScaleByRStdDevState(mu, nu)

    def update(
        updates: Updates, state: Any, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, Any]:
        del params, extra
        m = _tree.moment(decay, updates, state.mu)
        v = _tree.second_moment(decay, updates, state.nu)
        state = state._replace(mu=_tree.cast_like(m, state.mu), nu=_tree.cast_like(v, state.nu))
        if bias_correction:
            state = state._replace(count=_tree.next_count(state.count))
            m, v = _tree.debias(m, decay, state.count), _tree.debias(v, decay, state.count)

        def scale(g: Any, m: jax.Array, v: jax.Array) -> jax.Array:
            return _over_root(g, jnp.maximum(v - _tree.square(m), 0), eps, eps_in_sqrt)

        return jax.tree.map(scale, updates, m, v), state

    return GradientTransformation(init, update)


def _check_arguments(
    call: str,
    decay: ScalarLike,
    eps: ScalarLike,
    initial_scale: ScalarLike,
    eps_in_sqrt: bool,
    bias_correction: bool,
) -> None:
    _check.number(call, "decay", decay, low=0, high=1, open_high=True)
    _check.number(call, "eps", eps, low=0)
    _check.number(call, "initial_scale", initial_scale, low=0)
    _check.boolean(call, "eps_in_sqrt", eps_in_sqrt)
    _check.boolean(call, "bias_correction", bias_correction)


def _over_root(g: Any, v: jax.Array, eps: ScalarLike, eps_in_sqrt: bool) -> jax.Array:
    root = jnp.sqrt(v + eps) if eps_in_sqrt else jnp.sqrt(v) + eps
    return (_tree.wide(g) / root).astype(jnp.result_type(g))
