"""Adafactor: second moments of matrices from those of their rows and columns."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lrjax import _check, _tree
from lrjax._types import MaskTree, Params, ScalarLike, ScalarOrSchedule, Updates
from lrjax.learning_rate import scale_by_learning_rate
from lrjax.schedules import as_schedule, schedulable
from lrjax.transform import GradientTransformation, chain
from lrjax.transforms import add_decayed_weights, clip_by_block_rms, ema, scale, scale_by_param_block_rms


class FactoredState(NamedTuple):
    """The state of Adafactor's second moments.

    Attributes:
      count: int32 scalar, the number of updates so far.
      v_row: Averages over a leaf's longest axis, real, in at least float32; of shape (1,) where a
        leaf is not factored.
      v_col: Averages over its second longest axis, likewise.
      v: Second moments of the leaves that are not factored, likewise; of shape (1,) elsewhere.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> state = lrjax.scale_by_factored_rms().init(jnp.zeros((128, 256)))
      >>> state.v_row.shape, state.v_col.shape, state.v.shape
      ((128,), (256,), (1,))
    """

    count: jax.Array
    v_row: Params
    v_col: Params
    v: Params


class _Leaf(NamedTuple):
    """What one leaf's update leads to."""

    update: jax.Array
    v_row: jax.Array
    v_col: jax.Array
    v: jax.Array


def _power_decay(step: ScalarLike, exponent: ScalarLike) -> jax.Array:
    """The decay of the second moment: `1 - (step + 1)**-exponent`, with steps before 0 taken for 0."""
    t = jnp.maximum(jnp.asarray(step, jnp.result_type(float)), 0)
    return -jnp.expm1(-exponent * jnp.log1p(t))


def scale_by_factored_rms(
    factored: bool = True,
    decay_rate: ScalarLike = 0.8,
    step_offset: ScalarLike = 0,
    min_dim_size_to_factor: int = 128,
    epsilon: ScalarLike = 1e-30,
    decay_rate_fn: Callable[[Any, Any], Any] = _power_decay,
) -> GradientTransformation:
    r"""Adafactor's scaling of updates.

    With $s_t = |g_t|^2 + \epsilon$ and the decay $\beta_t = 1 - (t + 1 - t_0)^{-c}$ at step
    $t = 0, 1, \dots$: a leaf with two long axes averages the means of $s_t$ over each of them, $R_t$
    and $C_t$, and takes $v_t = R_t C_t / \mathrm{mean}(R_t)$; the others average $s_t$ itself. The
    update is $g_t / \sqrt{v_t}$.

    Args:
      factored: Whether to factor at all. Static.
      decay_rate: $c$ >= 0.
      step_offset: $t_0$, the step at which a run that is continued began; steps before it count
        as the first.
      min_dim_size_to_factor: How long the second longest axis of a leaf must be for it to be
        factored. Static.
      epsilon: $\epsilon$ > 0.
      decay_rate_fn: `decay_rate_fn(t - t_0, c)`, another rule for $\beta_t$. Static.

    Returns:
      A `GradientTransformation` with a `FactoredState`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range.

    References:
      Shazeer and Stern, Adafactor: Adaptive Learning Rates with Sublinear Memory Cost, 1804.04235, 2018.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.scale_by_factored_rms(min_dim_size_to_factor=2)
      >>> grads = jnp.array([[2.0, -2.0], [4.0, 4.0]])
      >>> tx.update(grads, tx.init(grads))[0].round(4)
      Array([[ 1., -1.],
             [ 1.,  1.]], dtype=float32)
    """
    return _scale_by_factored_rms(
        "scale_by_factored_rms",
        factored,
        decay_rate,
        step_offset,
        min_dim_size_to_factor,
        epsilon,
        decay_rate_fn,
    )


@schedulable
def adafactor(
    learning_rate: ScalarOrSchedule | None = None,
    min_dim_size_to_factor: int = 128,
    decay_rate: ScalarLike = 0.8,
    decay_offset: ScalarLike = 0,
    multiply_by_parameter_scale: bool = True,
    clipping_threshold: ScalarLike | None = 1.0,
    momentum: ScalarLike | None = None,
    dtype_momentum: Any = jnp.float32,
    weight_decay_rate: ScalarLike | None = None,
    eps: ScalarLike = 1e-30,
    factored: bool = True,
    weight_decay_mask: MaskTree | None = None,
    *,
    relative_step: bool = False,
) -> GradientTransformation:
    r"""Adafactor: $\theta_{t+1} = \theta_t - \eta_t \max(10^{-3}, \mathrm{RMS}(\theta_t)) \hat u_t$.

    $\hat u_t = u_t / \max(1, \mathrm{RMS}(u_t) / d)$ with the $u_t$ of `scale_by_factored_rms`, root mean
    squares of one leaf at a time. Steps are relative to the size of the parameters; the usual rate is
    1e-2 to 1e-1.

    Args:
      learning_rate: $\eta$: a number, a tracer, a `Schedule` or a callable of the step. None is
        optax's $\eta = 1$, a fallback that is too long for most problems, or the paper's step.
      min_dim_size_to_factor: How long the second longest axis of a leaf must be for it to be
        factored. Static.
      decay_rate: $c$ >= 0; see `scale_by_factored_rms`.
      decay_offset: The step at which a run that is continued began.
      multiply_by_parameter_scale: Whether steps are relative to the size of the parameters. Static.
      clipping_threshold: $d$ > 0, or None not to clip.
      momentum: The decay of an average of the steps, in [0, 1), or None.
      dtype_momentum: The dtype of that average. Static.
      weight_decay_rate: $\lambda$ >= 0, subtracted as $\lambda \theta$ whatever the learning rate is,
        or None.
      eps: $\epsilon$ > 0, added to squared gradients.
      factored: Whether to factor at all. Static.
      weight_decay_mask: A tree of bools, True where parameters decay, or a callable that makes
        one. Static.
      relative_step: Whether, without a rate, $\eta_t = \min(10^{-2}, 1 / \sqrt{t})$ at step
        $t = 1, 2, \dots$, the paper's relative step. Static.

    Returns:
      A `GradientTransformation` whose `update` needs `params`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range, or there is a rate beside the relative step; from
        `update`, if `params` is missing.

    References:
      Shazeer and Stern, Adafactor: Adaptive Learning Rates with Sublinear Memory Cost, 1804.04235, 2018.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.adafactor(0.5)
      >>> params = jnp.array([3.0, -3.0])
      >>> tx.update(params, tx.init(params), params)[0].round(4)
      Array([-1.5,  1.5], dtype=float32)
    """
    _check.boolean("adafactor", "multiply_by_parameter_scale", multiply_by_parameter_scale)
    _check.boolean("adafactor", "relative_step", relative_step)
    if relative_step:
        if learning_rate is not None:
            raise _check.fail("adafactor", "learning_rate", "None beside `relative_step`", "a rate")
        learning_rate = _relative_step
    links = [
        _scale_by_factored_rms(
            "adafactor", factored, decay_rate, decay_offset, min_dim_size_to_factor, eps, _power_decay
        )
    ]
    if clipping_threshold is not None:
        _check.number("adafactor", "clipping_threshold", clipping_threshold, low=0, open_low=True)
        links.append(clip_by_block_rms(clipping_threshold))
    if learning_rate is not None:
        rate = as_schedule("adafactor", "learning_rate", learning_rate)
        links.append(scale_by_learning_rate(rate, flip_sign=False))
    if multiply_by_parameter_scale:
        links.append(scale_by_param_block_rms())
    if momentum is not None:
        _check.number("adafactor", "momentum", momentum, low=0, high=1, open_high=True)
        links.append(ema(momentum, debias=False, accumulator_dtype=dtype_momentum))
    if weight_decay_rate is not None:
        _check.number("adafactor", "weight_decay_rate", weight_decay_rate, low=0)
        links.append(add_decayed_weights(weight_decay_rate, weight_decay_mask))
    return chain(*links, scale(-1))


def _scale_by_factored_rms(
    call: str,
    factored: bool,
    decay_rate: ScalarLike,
    step_offset: ScalarLike,
    min_dim_size_to_factor: int,
    epsilon: ScalarLike,
    decay_rate_fn: Callable[[Any, Any], Any],
) -> GradientTransformation:
    """Adafactor's scaling; errors name the public function the user called."""
    recipe = call == "adafactor"
    _check.boolean(call, "factored", factored)
    _check.number(call, "decay_rate", decay_rate, low=0)
    _check.number(call, "decay_offset" if recipe else "step_offset", step_offset)
    least = _check.integer(call, "min_dim_size_to_factor", min_dim_size_to_factor, low=1)
    _check.number(call, "eps" if recipe else "epsilon", epsilon, low=0, open_low=True)
    axes_of = functools.partial(_factored_axes, least=least) if factored else lambda shape: None

    def init(params: Params) -> FactoredState:
        def leaf(p: Any) -> _Leaf:
            shape, dtype = jnp.shape(p), _tree.wide_real(p)
            axes = axes_of(shape)
            none = jnp.zeros((1,), dtype)
            if axes is None:
                return _Leaf(none, none, none, jnp.zeros(shape, dtype))
            shorter, longest = axes
            row, column = np.delete(shape, longest), np.delete(shape, shorter)
            return _Leaf(none, jnp.zeros(row, dtype), jnp.zeros(column, dtype), none)

        return _state(jnp.zeros((), jnp.int32), jax.tree.map(leaf, params))

    def update(
        updates: Updates, state: FactoredState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, FactoredState]:
        del params, extra
        decay = jnp.asarray(decay_rate_fn(state.count - step_offset, decay_rate))

        def average(old: jax.Array, new: jax.Array) -> jax.Array:
            beta = decay.astype(new.dtype)
            return (beta * old + (1 - beta) * new).astype(old.dtype)

        def leaf(g: Any, v_row: jax.Array, v_col: jax.Array, v: jax.Array) -> _Leaf:
            x = _tree.wide(g)
            square = _tree.square(x) + epsilon
            axes = axes_of(jnp.shape(g))
            if axes is None:
                v = average(v, square)
                return _Leaf((x / jnp.sqrt(v)).astype(jnp.result_type(g)), v_row, v_col, v)
            shorter, longest = axes
            v_row = average(v_row, jnp.mean(square, axis=longest))
            v_col = average(v_col, jnp.mean(square, axis=shorter))
            row = jnp.expand_dims(v_row, longest)
            row = row / jnp.mean(row, axis=shorter, keepdims=True)
            step = x / jnp.sqrt(row) / jnp.sqrt(jnp.expand_dims(v_col, shorter))
            return _Leaf(step.astype(jnp.result_type(g)), v_row, v_col, v)

        leaves = jax.tree.map(leaf, updates, state.v_row, state.v_col, state.v)
        return _tree.field(_Leaf, leaves, "update"), _state(_tree.next_count(state.count), leaves)

    return GradientTransformation(init, update)


def _relative_step(count: jax.Array) -> jax.Array:
    """The paper's rate, of which most of training has the second part."""
    return jnp.minimum(1e-2, jax.lax.rsqrt((count + 1).astype(jnp.float32)))


def _factored_axes(shape: tuple[int, ...], least: int) -> tuple[int, int] | None:
    """The second longest and the longest axis, or None where the leaf is too small to factor."""
    if len(shape) < 2:
        return None
    shorter, longest = (int(axis) for axis in np.argsort(shape)[-2:])
    return None if shape[shorter] < least else (shorter, longest)


def _state(count: jax.Array, leaves: Any) -> FactoredState:
    return FactoredState(count, *(_tree.field(_Leaf, leaves, name) for name in ("v_row", "v_col", "v")))
