r"""Muon: momentum whose matrices are made orthogonal."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import MaskTree, Params, ScalarLike, ScalarOrSchedule, Updates
from lrjax.learning_rate import scale_by_learning_rate
from lrjax.optimizers._adam import adamw
from lrjax.optimizers._matrices import Axes, axes_of, folded, matrix_axes, size, spread
from lrjax.schedules import as_schedule, schedulable
from lrjax.transform import GradientTransformation, chain, stateless
from lrjax.transforms import add_decayed_weights, partition

_STANDARD = (3.4445, -4.7750, 2.0315)
_PRESETS = {
    "standard": _STANDARD,
    "dion": (
        (4.0848, -6.8946, 2.9270),
        (3.9505, -6.3029, 2.6377),
        (3.7418, -5.5913, 2.3037),
        (2.8769, -3.1427, 1.2046),
        (2.8366, -3.0525, 1.2012),
    ),
}
_PRECONDITIONINGS = ("frobenius", "spectral", "aol", "schatten")


class MuonDimensionNumbers(NamedTuple):
    """Which axes of a leaf are a matrix's rows and columns; the others are a batch of matrices.

    Attributes:
      reduction_axis: The axis, or axes, that are summed over when the weights are used.
      output_axis: The axis, or axes, of what comes out.

    Example:
      >>> import lrjax
      >>> lrjax.MuonDimensionNumbers(reduction_axis=(0, 1), output_axis=2).output_axis
      2
    """

    reduction_axis: int | tuple[int, ...] = 0
    output_axis: int | tuple[int, ...] = 1


class MuonState(NamedTuple):
    """The state of Muon.

    Attributes:
      count: int32 scalar, the number of updates so far.
      mu: The momentum, shaped like the parameters, in `mu_dtype`.
      ns_coeffs: The coefficients of the iteration, of shape (3,), or (steps, 3).

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> lrjax.scale_by_muon().init(jnp.zeros((2, 3))).ns_coeffs.shape
      (3,)
    """

    count: jax.Array
    mu: Params
    ns_coeffs: jax.Array


def scale_by_muon(
    ns_coeffs: Any = _STANDARD,
    ns_steps: int = 5,
    beta: ScalarLike = 0.95,
    eps: ScalarLike = 1e-8,
    mu_dtype: Any = None,
    *,
    nesterov: bool = True,
    adaptive: bool = False,
    preconditioning: Literal["frobenius", "spectral", "aol", "schatten"] = "frobenius",
    weight_dimension_numbers: Any = None,
) -> GradientTransformation:
    r"""Replaces matrices of updates by nearly orthogonal ones, by a Newton-Schulz iteration.

    $M_t$ averages gradients with decay $\beta$, debiased, with Nesterov's look-ahead. Then
    $X_0 = M_t / (\|M_t\|_F + \epsilon)$ and $X_{k+1} = a X_k + (b A + c A^2) X_k$ with $A = X_k X_k^T$;
    the update is $X_n$, whose singular values are near 1.

    Args:
      ns_coeffs: $(a, b, c)$, or one triple per step, of which the last `ns_steps` are used. Numbers,
        or an array.
      ns_steps: $n$ >= 1. Static.
      beta: $\beta$ in [0, 1).
      eps: $\epsilon$ > 0.
      mu_dtype: The dtype of the momentum; None for the parameters'. Static.
      nesterov: Whether to look ahead. Static.
      adaptive: Whether to multiply by the inner product of $M_t$ and $X_n$, so that steps shrink with
        gradients. Static.
      preconditioning: What brings $M_t$ to size: its Frobenius or spectral norm, the rows' absolute sums of
        $A$ ("aol"), or the Schatten-4 norm. Static.
      weight_dimension_numbers: A `MuonDimensionNumbers` for all leaves, a tree of them, or a callable
        that makes one from the updates; None for leaves that are matrices. Static.

    Returns:
      A `GradientTransformation` with a `MuonState`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range, or a leaf is no matrix and no axes are given.

    References:
      Jordan et al., Muon: An optimizer for hidden layers in neural networks, 2024.
      Bernstein and Newhouse, Old Optimizer, New Norm: An Anthology, 2409.20325, 2024 (adaptive).

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.scale_by_muon()
      >>> grads = jnp.array([[30.0, 0.0], [0.0, 5.0]])
      >>> updates, state = tx.update(grads, tx.init(grads))
      >>> bool(jnp.all(abs(jnp.linalg.svd(updates)[1] - 1) < 0.35))
      True
    """
    return _scale_by_muon(
        "scale_by_muon",
        ns_coeffs,
        ns_steps,
        beta,
        eps,
        mu_dtype,
        nesterov,
        adaptive,
        preconditioning,
        weight_dimension_numbers,
    )


@schedulable
def muon(
    learning_rate: ScalarOrSchedule,
    ns_coeffs: Any = _STANDARD,
    ns_steps: int = 5,
    beta: ScalarLike = 0.95,
    eps: ScalarLike = 1e-8,
    weight_decay: ScalarLike = 0.0,
    weight_decay_mask: MaskTree | None = None,
    mu_dtype: Any = None,
    *,
    nesterov: bool = True,
    adaptive: bool = False,
    preconditioning: Literal["frobenius", "spectral", "aol", "schatten"] = "frobenius",
    adam_b1: ScalarLike = 0.9,
    adam_b2: ScalarLike = 0.999,
    adam_eps_root: ScalarLike = 0.0,
    adam_weight_decay: ScalarLike = 0.0,
    adam_learning_rate: ScalarOrSchedule | None = None,
    muon_weight_dimension_numbers: Any = None,
    consistent_rms: ScalarLike | None = None,
) -> GradientTransformation:
    r"""Muon for matrices, AdamW for the rest.

    A matrix moves by $-\eta_t (s\, O_t + \lambda \theta_t)$ with the $O_t$ of `scale_by_muon` and
    $s = \sqrt{\max(1, \text{out} / \text{in})}$. The usual rate is 0.02; AdamW's leaves want one of
    their own, 1e-3. Embeddings and the last layer are better left to AdamW.

    Args:
      learning_rate: $\eta$: a number, a tracer, a `Schedule` or a callable of the step.
      ns_coeffs: The coefficients of the iteration; see `scale_by_muon`. Also "standard" or "dion".
      ns_steps: How many iterations, >= 1. Static.
      beta: $\beta$ in [0, 1), the decay of the momentum.
      eps: $\epsilon$ > 0, for both.
      weight_decay: $\lambda$ >= 0, of matrices.
      weight_decay_mask: A tree of bools, True where matrices decay, or a callable that makes one. Static.
      mu_dtype: The dtype of momenta; None for the parameters'. Static.
      nesterov: Whether to look ahead, in both. Static.
      adaptive: Whether steps shrink with gradients; see `scale_by_muon`. Static.
      preconditioning: What brings matrices to size; see `scale_by_muon`. Static.
      adam_b1: AdamW's $\beta_1$.
      adam_b2: AdamW's $\beta_2$.
      adam_eps_root: AdamW's $\bar\epsilon$.
      adam_weight_decay: AdamW's $\lambda$.
      adam_learning_rate: AdamW's rate, likewise; None for `learning_rate`.
      muon_weight_dimension_numbers: A tree, or a prefix of one, of `MuonDimensionNumbers`, with None for
        AdamW's leaves, or a callable that makes one from the parameters; None for every leaf with two
        axes. Static.
      consistent_rms: None, or $\rho$ for $s = \rho \sqrt{\max(\text{in}, \text{out})}$: 0.2 gives steps the
        size of AdamW's.

    Returns:
      A `GradientTransformation` whose `update` needs `params`. Its state holds two learning rates:
      see `get_learning_rates`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range; from `update`, if `params` is missing.

    References:
      Jordan et al., Muon: An optimizer for hidden layers in neural networks, 2024.
      Liu et al., Muon is Scalable for LLM Training, 2502.16982, 2025 (consistent_rms).

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.muon(0.02, adam_learning_rate=1e-3)
      >>> params = {"w": jnp.ones((2, 3)), "b": jnp.ones(3)}
      >>> updates, state = tx.update(params, tx.init(params), params)
      >>> list(lrjax.get_learning_rates(state))
      [".inner_states['adam'].inner_state[2]", ".inner_states['muon'].inner_state[3]"]
    """
    if isinstance(ns_coeffs, str):
        if ns_coeffs not in _PRESETS:
            expected = f"coefficients, or one of {', '.join(map(repr, _PRESETS))}"
            raise _check.fail("muon", "ns_coeffs", expected, repr(ns_coeffs))
        ns_coeffs = _PRESETS[ns_coeffs]
    _check.number("muon", "weight_decay", weight_decay, low=0)
    _check.number("muon", "adam_b1", adam_b1, low=0, high=1, open_high=True)
    _check.number("muon", "adam_b2", adam_b2, low=0, high=1, open_high=True)
    _check.number("muon", "adam_eps_root", adam_eps_root, low=0)
    _check.number("muon", "adam_weight_decay", adam_weight_decay, low=0)
    if consistent_rms is not None:
        _check.number("muon", "consistent_rms", consistent_rms, low=0)
    rate = as_schedule("muon", "learning_rate", learning_rate)
    adam_rate = rate if adam_learning_rate is None else adam_learning_rate
    given = muon_weight_dimension_numbers

    def labels(params: Params) -> Any:
        if given is None:
            return jax.tree.map(lambda p: "muon" if jnp.ndim(p) == 2 else "adam", params)
        return spread(given, params, lambda axes, p: "adam" if axes is None else "muon")

    def resize(updates: Updates, params: Params | None) -> Updates:
        del params

        def leaf(u: Any, axes: Axes) -> jax.Array:
            rows, columns = matrix_axes("muon", axes, jnp.ndim(u))
            fan_in, fan_out = size(u, rows), size(u, columns)
            if consistent_rms is None:
                factor: Any = math.sqrt(max(1, fan_out / max(1, fan_in)))
            else:
                factor = consistent_rms * math.sqrt(max(fan_in, fan_out))
            return _tree.multiply(_tree.wide(u), jnp.asarray(factor)).astype(jnp.result_type(u))

        return jax.tree.map(leaf, updates, axes_of(given, updates, MuonDimensionNumbers()))

    orthogonal = _scale_by_muon(
        "muon", ns_coeffs, ns_steps, beta, eps, mu_dtype, nesterov, adaptive, preconditioning, given
    )
    matrices = chain(
        orthogonal,
        stateless(resize),
        add_decayed_weights(weight_decay, weight_decay_mask),
        scale_by_learning_rate(rate),
    )
    others = adamw(
        as_schedule("muon", "adam_learning_rate", adam_rate),
        adam_b1,
        adam_b2,
        eps,
        adam_eps_root,
        mu_dtype,
        adam_weight_decay,
        nesterov=nesterov,
    )
    return partition({"muon": matrices, "adam": others}, labels)


def _scale_by_muon(
    call: str,
    ns_coeffs: Any,
    ns_steps: int,
    beta: ScalarLike,
    eps: ScalarLike,
    mu_dtype: Any,
    nesterov: bool,
    adaptive: bool,
    preconditioning: str,
    dimension_numbers: Any,
) -> GradientTransformation:
    """Muon's scaling; errors name the public function the user called."""
    steps = _check.integer(call, "ns_steps", ns_steps, low=1)
    _check.number(call, "beta", beta, low=0, high=1, open_high=True)
    _check.number(call, "eps", eps, low=0, open_low=True)
    _check.boolean(call, "nesterov", nesterov)
    _check.boolean(call, "adaptive", adaptive)
    if preconditioning not in _PRECONDITIONINGS:
        expected = f"one of {', '.join(map(repr, _PRECONDITIONINGS))}"
        raise _check.fail(call, "preconditioning", expected, repr(preconditioning))
    coefficients = jnp.asarray(ns_coeffs, jnp.result_type(float))
    shape = coefficients.shape
    if not shape or shape[-1] != 3 or len(shape) > 2 or (len(shape) == 2 and shape[0] < steps):
        raise _check.fail(call, "ns_coeffs", f"3 numbers, or {steps} times 3", f"shape {shape}")

    def init(params: Params) -> MuonState:
        return MuonState(
            count=jnp.zeros((), jnp.int32),
            mu=_tree.zeros_like(params, mu_dtype),
            ns_coeffs=coefficients[-steps:] if coefficients.ndim == 2 else coefficients,
        )

    def update(
        updates: Updates, state: MuonState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, MuonState]:
        del params, extra
        t = _tree.next_count(state.count)
        m = _tree.moment(beta, updates, state.mu)
        m_hat = _tree.debias_ahead(m, updates, beta, t) if nesterov else _tree.debias(m, beta, t)

        def leaf(m: jax.Array, axes: Axes) -> jax.Array:
            matrices, unfold = folded(call, m, axes)
            batch = matrices.reshape((math.prod(matrices.shape[:-2]), *matrices.shape[-2:]))
            made = unfold(_orthogonal(batch, state.ns_coeffs, steps, eps, preconditioning))
            return jnp.sum(jnp.conj(m) * made) * made if adaptive else made

        made = jax.tree.map(leaf, m_hat, axes_of(dimension_numbers, updates, MuonDimensionNumbers()))
        return _tree.cast_like(made, updates), MuonState(t, _tree.cast_like(m, state.mu), state.ns_coeffs)

    return GradientTransformation(init, update)


def _orthogonal(x: jax.Array, coefficients: jax.Array, steps: int, eps: Any, preconditioning: str) -> Any:
    """The iteration, on matrices `[batch, rows, columns]`."""
    tall = x.shape[1] > x.shape[2]
    x = jnp.conj(x.mT) if tall else x  # the smaller Gram matrix
    if preconditioning == "frobenius":
        x = x / (jnp.linalg.norm(x, axis=(1, 2), keepdims=True) + eps)
    elif preconditioning == "spectral":
        x = x / (jnp.linalg.norm(x, ord=2, axis=(1, 2), keepdims=True) + eps)
    elif preconditioning == "aol":
        x = x / jnp.sqrt(jnp.maximum(jnp.sum(jnp.abs(_gram(x)), axis=2, keepdims=True), eps))
    else:
        x = x / jnp.sqrt(jnp.maximum(jnp.linalg.norm(_gram(x), axis=(1, 2), keepdims=True), eps))
    for step in range(steps):
        a, b, c = (coefficients[step] if coefficients.ndim == 2 else coefficients).astype(x.real.dtype)
        gram = _gram(x)
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return jnp.conj(x.mT) if tall else x


def _gram(x: jax.Array) -> jax.Array:
    return x @ jnp.conj(x.mT)
