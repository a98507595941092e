"""Sophia: momentum over an estimate of the curvature, with clipped steps."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import MaskTree, OptState, Params, ScalarLike, ScalarOrSchedule, Updates
from lrjax.learning_rate import scale_by_learning_rate
from lrjax.schedules import as_schedule, schedulable
from lrjax.transform import (
    GradientTransformation,
    chain,
    check_transformation,
    require_params,
    with_extra_args_support,
)
from lrjax.transforms import add_decayed_weights, gated, typed_key


class HutchinsonState(NamedTuple):
    """The state of Hutchinson's estimator.

    Attributes:
      key: A typed random key, what the next signs are drawn from.

    Example:
      >>> import jax, jax.numpy as jnp, lrjax
      >>> state = lrjax.hutchinson_estimator_diag_hessian(jax.random.key(7)).init(jnp.zeros(2))
      >>> bool(state.key == jax.random.key(7))
      True
    """

    key: jax.Array


class SophiaState(NamedTuple):
    """The state of Sophia.

    Attributes:
      count: int32 scalar, the number of updates so far.
      mu: Averaged gradients, shaped like the parameters, in `mu_dtype`.
      nu: The averaged diagonal of the Hessian, in at least float32.
      hessian_fn_state: The state of what estimates the diagonal.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> int(lrjax.sophia(0.1).init(jnp.zeros(2))[0].count)
      0
    """

    count: jax.Array
    mu: Params
    nu: Params
    hessian_fn_state: OptState


def hutchinson_estimator_diag_hessian(random_seed: jax.Array | int | None = None) -> GradientTransformation:
    r"""Hutchinson's estimate of the diagonal of the Hessian: $z \odot \nabla^2 f(\theta) z$.

    The $z$ are random signs. It is unbiased, exact where the Hessian is diagonal, and costs about two
    gradients.

    Args:
      random_seed: A random key or an integer seed; None for the seed 0.

    Returns:
      A `GradientTransformation` with a `HutchinsonState`, whose updates are the estimate. `update` needs
      `params`, and `obj_fn=`, the loss as a function of the parameters alone; without one it takes
      `value_fn=`, which `lrjax.trial` passes.

    Raises:
      TypeError: If `random_seed` is no key or integer; from `update`, if there is no function.
      ValueError: From `update`, if `params` is missing.

    References:
      Hutchinson, A stochastic estimator of the trace of the influence matrix for Laplacian smoothing
      splines, Communications in Statistics 18, 1989.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.hutchinson_estimator_diag_hessian()
      >>> params = jnp.array([1.0, 2.0])
      >>> tx.update(params, tx.init(params), params, obj_fn=lambda x: jnp.sum(x**3))[0]
      Array([ 6., 12.], dtype=float32)
    """
    call = "hutchinson_estimator_diag_hessian"
    if random_seed is not None:
        random_seed = typed_key(call, "random_seed", random_seed)

    def init(params: Params) -> HutchinsonState:
        del params
        return HutchinsonState(jax.random.key(0) if random_seed is None else jnp.asarray(random_seed))

    def update(
        updates: Updates,
        state: HutchinsonState,
        params: Params | None = None,
        *,
        obj_fn: Any = None,
        value_fn: Any = None,
        **extra: Any,
    ) -> tuple[Updates, HutchinsonState]:
        del extra
        require_params(f"{call}.update", params, "the Hessian")
        objective = value_fn if obj_fn is None else obj_fn
        _check.signal(call, "obj_fn", "the loss, a function of the parameters", objective)
        next_key, drawn = jax.random.split(state.key)
        leaves, structure = jax.tree.flatten(params)
        keys = jax.random.split(drawn, max(len(leaves), 1))
        signs = [
            jax.random.rademacher(key, jnp.shape(p), jnp.result_type(p))
            for p, key in zip(leaves, keys, strict=False)  # one key over if there is no leaf
        ]
        z = structure.unflatten(signs)
        _, product = jax.jvp(jax.grad(objective), (params,), (z,))
        diagonal = jax.tree.map(lambda z, hz: _tree.wide(z) * _tree.wide(hz), z, product)
        return _tree.cast_like(diagonal, updates), HutchinsonState(next_key)

    return GradientTransformation(init, update)


_HUTCHINSON = hutchinson_estimator_diag_hessian()


@schedulable
def sophia(
    learning_rate: ScalarOrSchedule,
    b1: ScalarLike = 0.965,
    b2: ScalarLike = 0.99,
    eps: ScalarLike = 1e-8,
    weight_decay: ScalarLike = 1e-4,
    weight_decay_mask: MaskTree | None = None,
    gamma: ScalarLike = 0.01,
    clip_threshold: ScalarLike | None = 1.0,
    update_interval: ScalarLike = 10,
    hessian_diagonal_fn: Any = _HUTCHINSON,
    mu_dtype: Any = None,
    verbose: bool = False,
    print_win_rate_every_n_steps: int = 0,
) -> GradientTransformation:
    r"""Sophia: steps along momentum over curvature, none longer than a bound.

    $m_t = \beta_1 m_{t-1} + (1 - \beta_1) g_t$, debiased $\hat m_t$; at every $k$-th step, after the
    parameters have moved, $h \leftarrow \beta_2 h + (1 - \beta_2) \operatorname{diag} \nabla^2 f$,
    estimated; and $\theta_{t+1} = \theta_t - \eta_t \left(\operatorname{clip}\left(\hat m_t /
    \max(\gamma h, \epsilon), \pm\rho\right) + \lambda \theta_t\right)$. The usual rate is a little below
    AdamW's.

    Args:
      learning_rate: $\eta$: a number, a tracer, a `Schedule` or a callable of the step.
      b1: $\beta_1$ in [0, 1).
      b2: $\beta_2$ in [0, 1).
      eps: $\epsilon$ > 0.
      weight_decay: $\lambda$ >= 0, decoupled.
      weight_decay_mask: A tree of bools, True where parameters decay, or a callable that makes one. Static.
      gamma: $\gamma$ > 0. Between a tenth and a half of the steps should not be clipped: raise it if
        fewer are.
      clip_threshold: $\rho$ > 0, or None for no bound.
      update_interval: $k$ >= 1, the steps between two estimates.
      hessian_diagonal_fn: What estimates the diagonal: anything with `init` and `update`, which gets the
        extra keywords. By default `hutchinson_estimator_diag_hessian()`.
      mu_dtype: The dtype of the momentum; None for the parameters'. Static.
      verbose: Whether to print how much of the step is not clipped. Static.
      print_win_rate_every_n_steps: The steps between two prints; 0 for none. Static.

    Returns:
      A `GradientTransformation` whose `update` needs `params` and what `hessian_diagonal_fn` needs: by
      default `obj_fn=`, the loss as a function of the parameters alone, or `value_fn=`, which
      `lrjax.trial` passes.

    Note:
      As in optax: the momentum is debiased, $h$ is not, and a step uses the $h$ of the steps before, as in
      the authors' code, so that the first step is one along signs. The paper's algorithm debiases
      neither and estimates before it moves. In `vmap` the diagonal is estimated at every step, whatever
      `update_interval` says, and a step costs about three gradients.

    Raises:
      TypeError: If an argument is of the wrong kind; from `update`, if there is no function.
      ValueError: If a number is out of its range; from `update`, if `params` is missing.

    References:
      Liu et al., Sophia: A Scalable Stochastic Second-order Optimizer for Language Model Pre-training,
      2305.14342, 2023.

    Example:
      >>> import jax, jax.numpy as jnp, lrjax
      >>> def loss(x):
      ...     return jnp.sum(jnp.array([1.0, 100.0]) * x**2)
      >>> tx = lrjax.sophia(0.02, b1=0.9, gamma=0.5)
      >>> params = jnp.array([1.0, 1.0])
      >>> state = tx.init(params)
      >>> step = jax.jit(lambda g, s, p: tx.update(g, s, p, obj_fn=loss))
      >>> for _ in range(100):
      ...     updates, state = step(jax.grad(loss)(params), state, params)
      ...     params = lrjax.apply_updates(params, updates)
      >>> bool(jnp.all(abs(params) < 0.05))
      True
    """
    _check.number("sophia", "weight_decay", weight_decay, low=0)
    return chain(
        _scale_by_sophia(
            b1,
            b2,
            eps,
            gamma,
            clip_threshold,
            update_interval,
            hessian_diagonal_fn,
            mu_dtype,
            verbose,
            print_win_rate_every_n_steps,
        ),
        add_decayed_weights(weight_decay, weight_decay_mask),
        scale_by_learning_rate(as_schedule("sophia", "learning_rate", learning_rate)),
    )


def _scale_by_sophia(
    b1: ScalarLike,
    b2: ScalarLike,
    eps: ScalarLike,
    gamma: ScalarLike,
    clip_threshold: ScalarLike | None,
    update_interval: ScalarLike,
    hessian_diagonal_fn: Any,
    mu_dtype: Any,
    verbose: bool,
    print_every: int,
) -> GradientTransformation:
    _check.number("sophia", "b1", b1, low=0, high=1, open_high=True)
    _check.number("sophia", "b2", b2, low=0, high=1, open_high=True)
    _check.number("sophia", "eps", eps, low=0, open_low=True)
    _check.number("sophia", "gamma", gamma, low=0, open_low=True)
    if clip_threshold is not None:
        _check.number("sophia", "clip_threshold", clip_threshold, low=0, open_low=True)
    _check.number("sophia", "update_interval", update_interval, low=1)
    check_transformation("sophia", "hessian_diagonal_fn", hessian_diagonal_fn)
    _check.boolean("sophia", "verbose", verbose)
    print_every = _check.integer("sophia", "print_win_rate_every_n_steps", print_every)
    estimator = with_extra_args_support(hessian_diagonal_fn)

    def init(params: Params) -> SophiaState:
        return SophiaState(
            count=jnp.zeros((), jnp.int32),
            mu=_tree.zeros_like(params, mu_dtype),
            nu=_tree.zeros_like(params, _tree.wide_dtype),
            hessian_fn_state=estimator.init(params),
        )

    def update(
        updates: Updates, state: SophiaState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, SophiaState]:
        require_params("sophia.update", params, "the Hessian")
        t = _tree.next_count(state.count)
        m = _tree.moment(b1, updates, state.mu)
        m_hat = _tree.debias(m, b1, t)
        steps = jax.tree.map(lambda m, h: m / jnp.maximum(gamma * h, eps), m_hat, state.nu)
        if clip_threshold is not None:
            if verbose and print_every > 0:
                _print_win_rate(steps, clip_threshold, t % print_every == 0)
            bound: Any = clip_threshold
            steps = jax.tree.map(lambda u: jnp.clip(u, -bound, bound), steps)

        def estimate() -> tuple[Params, OptState]:
            diagonal, new = estimator.update(updates, state.hessian_fn_state, params, **extra)
            return _tree.moment(b2, diagonal, state.nu), new

        due = state.count % update_interval == 0
        h, hessian_fn_state = gated(due, estimate, state.nu, state.hessian_fn_state)
        new_state = SophiaState(t, _tree.cast_like(m, state.mu), h, hessian_fn_state)
        return _tree.cast_like(steps, updates), new_state

    return GradientTransformation(init, update)


def _print_win_rate(steps: Updates, bound: ScalarLike, due: jax.Array) -> None:
    """Prints, where it is due, which part of the coordinates is not clipped."""
    inside = [jnp.sum(jnp.abs(u) < bound) for u in jax.tree.leaves(steps)]
    size = sum(u.size for u in jax.tree.leaves(steps))

    def show() -> None:
        jax.debug.print("Sophia: {} of the step is not clipped", sum(inside) / max(size, 1))

    jax.lax.cond(due, show, lambda: None)
