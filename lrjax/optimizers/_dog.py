"""DoG and DoWG: step sizes from the distance covered over the gradients seen."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import MaskTree, Params, ScalarLike, ScalarOrSchedule, Updates
from lrjax.learning_rate import scale_by_learning_rate
from lrjax.optimizers._half import followed_in_float32
from lrjax.schedules import as_schedule, schedulable
from lrjax.transform import GradientTransformation, chain, identity, require_params
from lrjax.transforms import add_decayed_weights

InitStep: TypeAlias = tuple[Literal["distance", "learning_rate", "heuristic"], ScalarLike]
"""How DoG's first step is chosen: a kind, and its number."""


class DoGState(NamedTuple):
    """The state of DoG.

    Attributes:
      is_init_step: bool scalar, whether no update has been made.
      init_params: The first parameters.
      max_dist: float32 scalar, the largest distance from them so far.
      sum_sq_norm_grads: float32 scalar, the sum of squared norms of gradients.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> float(lrjax.scale_by_dog(("distance", 0.5)).init(jnp.zeros(2)).max_dist)
      0.5
    """

    is_init_step: jax.Array
    init_params: Params
    max_dist: jax.Array
    sum_sq_norm_grads: jax.Array


class DoWGState(NamedTuple):
    """The state of DoWG.

    Attributes:
      init_params: The first parameters.
      weighted_sq_norm_grads: float32 scalar, the sum of squared norms of gradients, weighted by
        the estimates of their steps.
      estim_sq_dist: float32 scalar, the largest squared distance from the first parameters so far.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> float(lrjax.scale_by_dowg(init_estim_sq_dist=0.25).init(jnp.zeros(2)).estim_sq_dist)
      0.25
    """

    init_params: Params
    weighted_sq_norm_grads: jax.Array
    estim_sq_dist: jax.Array


class ScaleByDistanceOverGradientsState(NamedTuple):
    """The state of layer-wise DoG.

    Attributes:
      max_dist: One float32 scalar per leaf, the largest distance from its first parameters so far.
      grad_sum_of_squares: One float32 scalar per leaf, the sum of squares of its gradients.
      init_params: The first parameters, in `param_dtype`.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> lrjax.scale_by_distance_over_gradients().init(jnp.zeros(2)).max_dist.shape
      ()
    """

    max_dist: Params
    grad_sum_of_squares: Params
    init_params: Params


def scale_by_dog(init_step: InitStep, eps: ScalarLike = 1e-8) -> GradientTransformation:
    r"""Distance over gradients: updates scaled by the distance covered over the gradients seen.

    $\bar r_t = \max(r_\epsilon, \max_{i \le t} \|\theta_i - \theta_0\|)$; the update is
    $\bar r_t / \sqrt{\sum_{i \le t} \|g_i\|^2 + \epsilon} \cdot g_t$, norms over all leaves.

    Args:
      init_step: How the first step is chosen, a pair of a kind (static) and a number:
        ("distance", $r_\epsilon$); ("heuristic", $c$) for $r_\epsilon = c (1 + \|\theta_0\|)$, the
        paper's rule with $c = 10^{-6}$; or ("learning_rate", $\eta$), the step size of the first step.
      eps: $\epsilon$ >= 0; where the quotient is 0/0 the update is 0.

    Returns:
      A `GradientTransformation` with a `DoGState`, whose `update` needs `params`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range or the kind is unknown; from `update`, if `params`
        is missing.

    References:
      Ivgi, Hinder and Carmon, DoG is SGD's Best Friend: A Parameter-Free Dynamic Step Size
      Schedule, 2302.12022, 2023.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.scale_by_dog(("distance", 0.5))
      >>> params = jnp.array(3.0)
      >>> round(float(tx.update(params, tx.init(params), params)[0]), 4)
      0.5
    """
    return _scale_by_dog("scale_by_dog", init_step, eps)


@schedulable
def dog(
    learning_rate: ScalarOrSchedule = 1.0,
    init_step: InitStep = ("heuristic", 1e-6),
    eps: ScalarLike = 1e-8,
    weight_decay: ScalarLike | None = None,
    mask: MaskTree | None = None,
) -> GradientTransformation:
    r"""DoG: gradient descent without a learning rate to find.

    $\theta_{t+1} = \theta_t - \eta_t u_t$, with the $u_t$ of `scale_by_dog`. The paper evaluates an
    average of the parameters: `chain(dog(), polynomial_averaging())`.

    Args:
      learning_rate: $\eta$, a factor on the step size found: a number, a tracer, a `Schedule` or a
        callable of the step.
      init_step: How the first step is chosen; see `scale_by_dog`.
      eps: $\epsilon$ >= 0.
      weight_decay: $\lambda$ >= 0, added to the gradient as $\lambda \theta$, or None.
      mask: A tree of bools, True where parameters decay, or a callable that makes one. Static.

    Returns:
      A `GradientTransformation` whose `update` needs `params`.

    Note:
      Half-precision parameters, which the first steps are too short for, are followed in float32 (a
      `HalfPrecisionState` behind the others); the ingredient alone does not move them.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range; from `update`, if `params` is missing.

    References:
      Ivgi, Hinder and Carmon, DoG is SGD's Best Friend: A Parameter-Free Dynamic Step Size
      Schedule, 2302.12022, 2023.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.dog(init_step=("learning_rate", 0.5))
      >>> params = jnp.array([3.0, 4.0])
      >>> tx.update(params, tx.init(params), params)[0]
      Array([-1.5, -2. ], dtype=float32)
    """
    return followed_in_float32(
        chain(
            _decay("dog", weight_decay, mask),
            _scale_by_dog("dog", init_step, eps),
            scale_by_learning_rate(as_schedule("dog", "learning_rate", learning_rate)),
        )
    )


def scale_by_dowg(
    init_estim_sq_dist: ScalarLike | None = None, eps: ScalarLike = 1e-4
) -> GradientTransformation:
    r"""Distance over weighted gradients.

    $r_t = \max(r_{t-1}, \|\theta_t - \theta_0\|^2)$, $v_t = v_{t-1} + r_t \|g_t\|^2$; the update is
    $r_t / (\sqrt{v_t} + \epsilon) \cdot g_t$, norms over all leaves.

    Args:
      init_estim_sq_dist: $r_0$ > 0; None for $\epsilon$.
      eps: $\epsilon$ > 0.

    Returns:
      A `GradientTransformation` with a `DoWGState`, whose `update` needs `params`.

    Raises:
      TypeError: If an argument is not one real number.
      ValueError: If it is out of its range; from `update`, if `params` is missing.

    References:
      Khaled, Mishchenko and Jin, DoWG Unleashed: An Efficient Universal Parameter-Free Gradient
      Descent Method, 2305.16284, 2023.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.scale_by_dowg(init_estim_sq_dist=4.0)
      >>> params = jnp.array(3.0)
      >>> round(float(tx.update(params, tx.init(params), params)[0]), 3)
      2.0
    """
    return _scale_by_dowg("scale_by_dowg", init_estim_sq_dist, eps)


@schedulable
def dowg(
    learning_rate: ScalarOrSchedule = 1.0,
    init_estim_sq_dist: ScalarLike | None = None,
    eps: ScalarLike = 1e-4,
    weight_decay: ScalarLike | None = None,
    mask: MaskTree | None = None,
) -> GradientTransformation:
    r"""DoWG: gradient descent without a learning rate to find.

    $\theta_{t+1} = \theta_t - \eta_t u_t$, with the $u_t$ of `scale_by_dowg`.

    Args:
      learning_rate: $\eta$, a factor on the step size found: a number, a tracer, a `Schedule` or a
        callable of the step.
      init_estim_sq_dist: $r_0$ > 0, the first squared distance; None for $\epsilon$.
      eps: $\epsilon$ > 0.
      weight_decay: $\lambda$ >= 0, added to the gradient as $\lambda \theta$, or None.
      mask: A tree of bools, True where parameters decay, or a callable that makes one. Static.

    Returns:
      A `GradientTransformation` whose `update` needs `params`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range; from `update`, if `params` is missing.

    References:
      Khaled, Mishchenko and Jin, DoWG Unleashed: An Efficient Universal Parameter-Free Gradient
      Descent Method, 2305.16284, 2023.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.dowg(init_estim_sq_dist=4.0)
      >>> params = jnp.array(3.0)
      >>> round(float(tx.update(params, tx.init(params), params)[0]), 3)
      -2.0
    """
    return chain(
        _decay("dowg", weight_decay, mask),
        _scale_by_dowg("dowg", init_estim_sq_dist, eps),
        scale_by_learning_rate(as_schedule("dowg", "learning_rate", learning_rate)),
    )


def scale_by_distance_over_gradients(
    reps_rel: ScalarLike = 1e-6,
    eps: ScalarLike = 1e-8,
    param_dtype: Any = jnp.float32,
    global_scale: ScalarLike = 1.0,
) -> GradientTransformation:
    r"""Layer-wise DoG: `scale_by_dog` with distances and gradients of one leaf at a time.

    $\bar r_t = \max(\rho (1 + \|\theta_0\|), \max_{i \le t} \|\theta_i - \theta_0\|)$; the update is
    $c \bar r_t / \sqrt{\sum_{i \le t} \|g_i\|^2 + \epsilon} \cdot g_t$.

    Args:
      reps_rel: $\rho$ > 0.
      eps: $\epsilon$ > 0.
      param_dtype: The dtype in which the first parameters are kept. Static.
      global_scale: $c$, a factor on every step size.

    Returns:
      A `GradientTransformation` with a `ScaleByDistanceOverGradientsState`, whose `update` needs
      `params`. In a chain it is followed by `scale_by_learning_rate(1.0)`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range; from `update`, if `params` is missing.

    References:
      Ivgi, Hinder and Carmon, DoG is SGD's Best Friend: A Parameter-Free Dynamic Step Size
      Schedule, 2302.12022, 2023.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.scale_by_distance_over_gradients(reps_rel=0.5)
      >>> params = jnp.array(3.0)
      >>> round(float(tx.update(params, tx.init(params), params)[0]), 4)
      2.0
    """
    return _scale_by_distance_over_gradients(
        "scale_by_distance_over_gradients", reps_rel, eps, param_dtype, global_scale
    )


@schedulable
def ldog(
    learning_rate: ScalarOrSchedule = 1.0,
    reps_rel: ScalarLike = 1e-6,
    eps: ScalarLike = 1e-8,
    weight_decay: ScalarLike | None = None,
    mask: MaskTree | None = None,
) -> GradientTransformation:
    r"""L-DoG: DoG with a step size of its own for every leaf.

    $\theta_{t+1} = \theta_t - \eta_t u_t$, with the $u_t$ of `scale_by_distance_over_gradients`. The
    paper evaluates an average of the parameters: `chain(ldog(), polynomial_averaging())`.

    Args:
      learning_rate: $\eta$, a factor on the step sizes found: a number, a tracer, a `Schedule` or a
        callable of the step.
      reps_rel: $\rho$ > 0; the first step is as long as $\rho (1 + \|\theta_0\|)$.
      eps: $\epsilon$ > 0.
      weight_decay: $\lambda$ >= 0, added to the gradient as $\lambda \theta$, or None.
      mask: A tree of bools, True where parameters decay, or a callable that makes one. Static.

    Returns:
      A `GradientTransformation` whose `update` needs `params`.

    Note:
      Half-precision parameters, which the first steps are too short for, are followed in float32 (a
      `HalfPrecisionState` behind the others); the ingredient alone does not move them.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range; from `update`, if `params` is missing.

    References:
      Ivgi, Hinder and Carmon, DoG is SGD's Best Friend: A Parameter-Free Dynamic Step Size
      Schedule, 2302.12022, 2023.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.ldog(reps_rel=0.5)
      >>> params = jnp.array(3.0)
      >>> round(float(tx.update(params, tx.init(params), params)[0]), 4)
      -2.0
    """
    return followed_in_float32(
        chain(
            _decay("ldog", weight_decay, mask),
            _scale_by_distance_over_gradients("ldog", reps_rel, eps, None, 1.0),
            scale_by_learning_rate(as_schedule("ldog", "learning_rate", learning_rate)),
        )
    )


def _decay(call: str, weight_decay: ScalarLike | None, mask: MaskTree | None) -> GradientTransformation:
    if weight_decay is None:
        return identity()
    _check.number(call, "weight_decay", weight_decay, low=0)
    return add_decayed_weights(weight_decay, mask)


def _scale_by_dog(call: str, init_step: InitStep, eps: ScalarLike) -> GradientTransformation:
    """DoG's scaling; errors name the public function the user called."""
    kinds = ("distance", "learning_rate", "heuristic")
    if not isinstance(init_step, tuple) or len(init_step) != 2 or init_step[0] not in kinds:
        expected = f"a pair of one of {', '.join(map(repr, kinds))} and a number"
        raise _check.fail(call, "init_step", expected, _check.describe(init_step))
    kind, number = init_step
    _check.number(call, "init_step", number, low=0, open_low=True)
    _check.number(call, "eps", eps, low=0)

    def init(params: Params) -> DoGState:
        first = {
            "distance": lambda: number,
            "learning_rate": lambda: 0.0,
            "heuristic": lambda: number * (1 + _tree.norm(params)),
        }
        return DoGState(
            is_init_step=jnp.ones((), bool),
            init_params=params,
            max_dist=jnp.asarray(first[kind](), jnp.float32),
            sum_sq_norm_grads=jnp.zeros((), jnp.float32),
        )

    def update(
        updates: Updates, state: DoGState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, DoGState]:
        del extra
        require_params(f"{call}.update", params, "the distance from the first ones")
        r = jnp.maximum(state.max_dist, _distance(params, state.init_params))
        squares = state.sum_sq_norm_grads + _tree.square(_tree.norm(updates))
        root = jnp.sqrt(squares + eps)
        eta = jnp.where(root > 0, r / jnp.where(root > 0, root, 1), 0)
        if kind == "learning_rate":
            eta = jnp.where(state.is_init_step, number, eta)
        new_state = DoGState(
            is_init_step=jnp.zeros((), bool),
            init_params=state.init_params,
            max_dist=r.astype(jnp.float32),
            sum_sq_norm_grads=squares.astype(jnp.float32),
        )
        return _times(eta, updates), new_state

    return GradientTransformation(init, update)


def _scale_by_dowg(
    call: str, init_estim_sq_dist: ScalarLike | None, eps: ScalarLike
) -> GradientTransformation:
    """DoWG's scaling; errors name the public function the user called."""
    if init_estim_sq_dist is not None:
        _check.number(call, "init_estim_sq_dist", init_estim_sq_dist, low=0, open_low=True)
    _check.number(call, "eps", eps, low=0, open_low=True)
    first = eps if init_estim_sq_dist is None else init_estim_sq_dist

    def init(params: Params) -> DoWGState:
        return DoWGState(
            init_params=params,
            weighted_sq_norm_grads=jnp.zeros((), jnp.float32),
            estim_sq_dist=jnp.asarray(first, jnp.float32),
        )

    def update(
        updates: Updates, state: DoWGState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, DoWGState]:
        del extra
        require_params(f"{call}.update", params, "the distance from the first ones")
        r = jnp.maximum(state.estim_sq_dist, _tree.square(_distance(params, state.init_params)))
        v = state.weighted_sq_norm_grads + r * _tree.square(_tree.norm(updates))
        new_state = DoWGState(
            init_params=state.init_params,
            weighted_sq_norm_grads=v.astype(jnp.float32),
            estim_sq_dist=r.astype(jnp.float32),
        )
        return _times(r / (jnp.sqrt(v) + eps), updates), new_state

    return GradientTransformation(init, update)


def _scale_by_distance_over_gradients(
    call: str, reps_rel: ScalarLike, eps: ScalarLike, param_dtype: Any, global_scale: ScalarLike
) -> GradientTransformation:
    """Layer-wise DoG's scaling; errors name the public function the user called."""
    _check.number(call, "reps_rel", reps_rel, low=0, open_low=True)
    _check.number(call, "eps", eps, low=0, open_low=True)
    _check.number(call, "global_scale", global_scale)

    def init(params: Params) -> ScaleByDistanceOverGradientsState:
        def first_distance(p: Any) -> jax.Array:
            return jnp.asarray(reps_rel * (1 + _tree.norm([p])), jnp.float32)

        return ScaleByDistanceOverGradientsState(
            max_dist=jax.tree.map(first_distance, params),
            grad_sum_of_squares=jax.tree.map(lambda p: jnp.zeros((), jnp.float32), params),
            init_params=jax.tree.map(lambda p: jnp.asarray(p, param_dtype or _tree.wide_dtype(p)), params),
        )

    def update(
        updates: Updates,
        state: ScaleByDistanceOverGradientsState,
        params: Params | None = None,
        **extra: Any,
    ) -> tuple[Updates, ScaleByDistanceOverGradientsState]:
        del extra
        require_params(f"{call}.update", params, "the distance from the first ones")

        def farthest(so_far: jax.Array, p: Any, p0: jax.Array) -> jax.Array:
            return jnp.maximum(so_far, _distance(p, p0))

        def scale(g: Any, r: jax.Array, squares: jax.Array) -> jax.Array:
            eta = global_scale * r / jnp.sqrt(squares + eps)
            return _tree.multiply(_tree.wide(g), eta).astype(jnp.result_type(g))

        r = jax.tree.map(farthest, state.max_dist, params, state.init_params)
        squares = jax.tree.map(
            lambda s, g: s + jnp.sum(_tree.square(_tree.wide(g))), state.grad_sum_of_squares, updates
        )
        new_state = ScaleByDistanceOverGradientsState(
            max_dist=_tree.cast_like(r, state.max_dist),
            grad_sum_of_squares=_tree.cast_like(squares, state.grad_sum_of_squares),
            init_params=state.init_params,
        )
        return jax.tree.map(scale, updates, r, squares), new_state

    return GradientTransformation(init, update)


def _distance(params: Params, first: Params) -> jax.Array:
    return _tree.norm(jax.tree.map(lambda p, p0: _tree.wide(p) - _tree.wide(p0), params, first))


def _times(eta: jax.Array, updates: Updates) -> Updates:
    scaled = jax.tree.map(lambda g: _tree.multiply(_tree.wide(g), eta), updates)
    return _tree.cast_like(scaled, updates)
