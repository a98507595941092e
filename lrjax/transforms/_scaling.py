"""Scaling by a number, by a sign, by the norm of parameters or of the updates themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import Params, ScalarLike, Updates
from lrjax.transform import GradientTransformation, require_params, stateless


def scale(step_size: ScalarLike) -> GradientTransformation:
    r"""Multiplies updates by a number: $u \leftarrow s u$.

    Args:
      step_size: $s$, of either sign.

    Returns:
      A stateless `GradientTransformation`.

    Raises:
      TypeError: If `step_size` is not one real number.
      ValueError: If it is not finite.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.scale(-0.5)
      >>> float(tx.update(jnp.array(3.0), tx.init(0.0))[0])
      -1.5
    """
    _check.number("scale", "step_size", step_size)

    def leaf(u: Any) -> Any:
        return (step_size * _tree.wide(u)).astype(jnp.result_type(u))

    return stateless(lambda updates, params: jax.tree.map(leaf, updates))


def scale_by_sign() -> GradientTransformation:
    r"""Replaces updates by their signs: $u \leftarrow \operatorname{sign}(u)$, and 0 stays 0.

    Of a complex number the sign is $u / |u|$.

    Returns:
      A stateless `GradientTransformation`.

    References:
      Bernstein et al., signSGD: Compressed Optimisation for Non-Convex Problems, 1802.04434, 2018.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.scale_by_sign()
      >>> tx.update(jnp.array([3.0, -0.01, 0.0]), tx.init(0.0))[0]
      Array([ 1., -1.,  0.], dtype=float32)
    """
    return stateless(lambda updates, params: jax.tree.map(jnp.sign, updates))


def scale_by_trust_ratio(
    min_norm: ScalarLike = 0.0, trust_coefficient: ScalarLike = 1.0, eps: ScalarLike = 0.0
) -> GradientTransformation:
    r"""Scales the updates of each leaf to the size of its parameters.

    $u \leftarrow \kappa \|\theta\| / (\|u\| + \epsilon) \cdot u$, the norms of one leaf at a time and
    at least `min_norm`; where a norm is 0 the updates stay as they are.

    Args:
      min_norm: The least norm, >= 0.
      trust_coefficient: $\kappa$ >= 0.
      eps: $\epsilon$ >= 0.

    Returns:
      A stateless `GradientTransformation` whose `update` needs `params`.

    Raises:
      TypeError: If an argument is not one real number.
      ValueError: If it is out of its range; from `update`, if `params` is missing.

    References:
      You, Gitman and Ginsburg, Large Batch Training of Convolutional Networks, 1708.03888, 2017.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.scale_by_trust_ratio()
      >>> params = jnp.array([3.0, 4.0])
      >>> tx.update(jnp.array([0.0, 2.0]), tx.init(params), params)[0]
      Array([0., 5.], dtype=float32)
    """
    return trust_ratio("scale_by_trust_ratio", min_norm, trust_coefficient, eps)


def scale_by_param_block_norm(min_scale: ScalarLike = 1e-3) -> GradientTransformation:
    r"""Multiplies the updates of each leaf by the norm of its parameters: $\max(\|\theta\|, s)$.

    Args:
      min_scale: $s$ >= 0, the least norm.

    Returns:
      A stateless `GradientTransformation` whose `update` needs `params`.

    Raises:
      TypeError: If `min_scale` is not one real number.
      ValueError: If it is out of its range; from `update`, if `params` is missing.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.scale_by_param_block_norm()
      >>> params = jnp.array([3.0, 4.0])
      >>> tx.update(jnp.array([0.0, 2.0]), tx.init(params), params)[0]
      Array([ 0., 10.], dtype=float32)
    """
    return _scale_by_block("scale_by_param_block_norm", min_scale, lambda p: _tree.norm([p]))


def scale_by_param_block_rms(min_scale: ScalarLike = 1e-3) -> GradientTransformation:
    r"""Multiplies the updates of each leaf by the root mean square of its parameters, at least $s$.

    Args:
      min_scale: $s$ >= 0, the least root mean square.

    Returns:
      A stateless `GradientTransformation` whose `update` needs `params`.

    Raises:
      TypeError: If `min_scale` is not one real number.
      ValueError: If it is out of its range; from `update`, if `params` is missing.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.scale_by_param_block_rms()
      >>> params = jnp.array([3.0, -3.0])
      >>> tx.update(jnp.array([0.0, 2.0]), tx.init(params), params)[0]
      Array([0., 6.], dtype=float32)
    """
    return _scale_by_block("scale_by_param_block_rms", min_scale, _tree.root_mean_square)


def normalize_by_update_norm(
    scale_factor: ScalarLike = 1.0, eps: ScalarLike = 1e-6
) -> GradientTransformation:
    r"""Divides updates by their norm over all leaves: $u \leftarrow s u / (\|u\| + \epsilon)$.

    Args:
      scale_factor: $s$ > 0, the norm that comes out.
      eps: $\epsilon$ > 0.

    Returns:
      A stateless `GradientTransformation`.

    Raises:
      TypeError: If an argument is not one real number.
      ValueError: If it is out of its range.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.normalize_by_update_norm(scale_factor=10.0)
      >>> tx.update(jnp.array([3.0, 4.0]), tx.init(0.0))[0].round(4)
      Array([6., 8.], dtype=float32)
    """
    _check.number("normalize_by_update_norm", "scale_factor", scale_factor, low=0, open_low=True)
    _check.number("normalize_by_update_norm", "eps", eps, low=0, open_low=True)

    def normalize(updates: Updates, params: Params | None) -> Updates:
        del params
        size = (_tree.norm(updates) + eps) / scale_factor
        divided = jax.tree.map(lambda u: _tree.divide(_tree.wide(u), size), updates)
        return _tree.cast_like(divided, updates)

    return stateless(normalize)


def normalize() -> GradientTransformation:
    r"""Divides updates by their norm over all leaves: $u \leftarrow u / \|u\|$, and 0 stays 0.

    `normalize_by_update_norm` has a scale and an $\epsilon$.

    Returns:
      A stateless `GradientTransformation`.

    Note:
      optax makes NaN of zero updates, and of half-precision ones whose squares overflow.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> tx = lrjax.normalize()
      >>> updates, state = tx.update(jnp.array([3.0, 4.0]), tx.init(0.0))
      >>> round(float(updates[0]), 4), round(float(updates[1]), 4)
      (0.6, 0.8)
    """

    def normalized(updates: Updates, params: Params | None) -> Updates:
        del params
        size = _tree.norm(updates)
        size = jnp.where(size == 0, 1, size)
        divided = jax.tree.map(lambda u: _tree.divide(_tree.wide(u), size), updates)
        return _tree.cast_like(divided, updates)

    return stateless(normalized)


def trust_ratio(
    call: str, min_norm: ScalarLike, trust_coefficient: ScalarLike, eps: ScalarLike
) -> GradientTransformation:
    """`scale_by_trust_ratio` for recipes; errors name the public function the user called."""
    _check.number(call, "min_norm", min_norm, low=0)
    _check.number(call, "trust_coefficient", trust_coefficient, low=0)
    _check.number(call, "eps", eps, low=0)

    def leaf(u: Any, p: Any) -> jax.Array:
        size = jnp.maximum(_tree.norm([p]), min_norm)
        step = jnp.maximum(_tree.norm([u]), min_norm)
        known = (size > 0) & (step > 0)
        ratio = jnp.where(known, trust_coefficient * size / (jnp.where(known, step, 1) + eps), 1)
        return _tree.multiply(_tree.wide(u), ratio).astype(jnp.result_type(u))

    def rescale(updates: Updates, params: Params | None) -> Updates:
        require_params(f"{call}.update", params, "the trust ratio")
        return jax.tree.map(leaf, updates, params)

    return stateless(rescale)


def _scale_by_block(
    call: str, min_scale: ScalarLike, size: Callable[[Any], jax.Array]
) -> GradientTransformation:
    _check.number(call, "min_scale", min_scale, low=0)

    def leaf(u: Any, p: Any) -> jax.Array:
        return _tree.multiply(_tree.wide(u), jnp.maximum(size(p), min_scale)).astype(jnp.result_type(u))

    def rescale(updates: Updates, params: Params | None) -> Updates:
        require_params(f"{call}.update", params, "this scaling")
        return jax.tree.map(leaf, updates, params)

    return stateless(rescale)
