"""Zoom: a step with enough decrease and a slope that has become small, by interpolation."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lrjax import _check, _tree
from lrjax._types import Params, ScalarLike, Updates
from lrjax.optimizers._linesearch import moved, objective, scalar_dtype, scaled, slope
from lrjax.schedules import schedulable
from lrjax.transform import GradientTransformation


class ZoomLinesearchInfo(NamedTuple):
    """How a zoom line search went.

    Attributes:
      num_linesearch_steps: int32 scalar, how many steps were tried.
      decrease_error: Scalar, by how much the step taken misses the decrease asked for; 0 if it does
        not.
      curvature_error: Scalar, by how much the slope there is too large; 0 if it is not. Above 0 where
        the largest step allowed was too small.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> int(lrjax.scale_by_zoom_linesearch(5).init(jnp.zeros(2)).info.num_linesearch_steps)
      0
    """

    num_linesearch_steps: jax.Array
    decrease_error: jax.Array
    curvature_error: jax.Array

    unset_where_not_finite = ("decrease_error", "curvature_error")  # infinite before the first update


class ScaleByZoomLinesearchState(NamedTuple):
    """The state of `scale_by_zoom_linesearch`.

    Attributes:
      learning_rate: Scalar, the step that was taken.
      value: Scalar, the function's value after it; infinite before the first update.
      grad: The gradient there, in at least float32.
      info: A `ZoomLinesearchInfo`.

    Example:
      >>> import jax.numpy as jnp, lrjax
      >>> float(lrjax.scale_by_zoom_linesearch(5).init(jnp.zeros(2)).learning_rate)
      1.0
    """

    learning_rate: jax.Array
    value: jax.Array
    grad: Updates
    info: ZoomLinesearchInfo

    unset_where_not_finite = ("value",)  # infinite before the first update


class _Point(NamedTuple):
    """The function along the updates: a step, its value and slope there."""

    step: jax.Array
    value: jax.Array
    slope: jax.Array


class _Search(NamedTuple):
    """What the loop carries: the interval between `low` and `high` once it is found."""

    tried: jax.Array
    done: jax.Array
    found: jax.Array
    low: _Point
    high: _Point
    third: _Point
    knows_third: jax.Array
    best: _Point
    best_grad: Updates
    errors: tuple[jax.Array, jax.Array]


@schedulable
def scale_by_zoom_linesearch(
    max_linesearch_steps: ScalarLike,
    max_learning_rate: ScalarLike | None = None,
    tol: ScalarLike = 0.0,
    increase_factor: ScalarLike = 2.0,
    slope_rtol: ScalarLike = 1e-4,
    curv_rtol: ScalarLike = 0.9,
    approx_dec_rtol: ScalarLike | None = 1e-6,
    stepsize_precision: ScalarLike = 1e-5,
    initial_guess_strategy: str = "keep",
    verbose: bool = False,
) -> GradientTransformation:
    r"""Multiplies updates by a step that satisfies Wolfe's two conditions.

    With $\phi(\eta) = f(\theta + \eta u)$: enough decrease, $\phi(\eta) \le \phi(0) + c_1 \eta
    \phi'(0) + \epsilon$, and a slope that has become small, $|\phi'(\eta)| \le c_2 |\phi'(0)| +
    \epsilon$. The step grows until an interval holds such a point, which cubic and quadratic
    interpolation then close in on. Where $\phi(\eta) \le \phi(0) + c_3 |\phi(0)|$, so near that the
    decrease is lost in rounding, $\phi'(\eta) \le (2 c_1 - 1) \phi'(0) + \epsilon$ stands for it.

    Args:
      max_linesearch_steps: How many steps are tried at most, >= 1.
      max_learning_rate: The largest step, > 0; None for no bound.
      tol: $\epsilon$ >= 0.
      increase_factor: By how much the step grows while no interval is found, > 1.
      slope_rtol: $c_1$ in [0, 1].
      curv_rtol: $c_2$ >= 0; infinity asks for decrease alone.
      approx_dec_rtol: $c_3$ >= 0; None for the exact decrease alone.
      stepsize_precision: The length of an interval below which a step that decreases is taken, >= 0.
      initial_guess_strategy: "keep" begins with the last step, "one" with 1. Static.
      verbose: Whether a search that fails is printed. Static.

    Returns:
      A `GradientTransformation` with a `ScaleByZoomLinesearchState`. `update` needs `params` and the
      keywords `value`, `grad` and `value_fn`; further ones that `value_fn` names are handed to it.

    Note:
      Where no point is found the step is the best of those with enough decrease, and 0 if there is
      none: the function never rises by it. Optax then takes the last step tried.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range; from `update`, if something it needs is missing.

    References:
      Nocedal and Wright, Numerical Optimization, 1999, algorithms 3.5 and 3.6.
      Hager and Zhang, Algorithm 851: CG_DESCENT, a Conjugate Gradient Method with Guaranteed Descent,
      2006.

    Example:
      >>> import jax, jax.numpy as jnp, lrjax
      >>> def f(x):
      ...     return jnp.sum(4.0 * x**2)
      >>> tx = lrjax.chain(lrjax.sgd(1.0), lrjax.scale_by_zoom_linesearch(15))
      >>> x = jnp.array([1.0, -2.0])
      >>> value, grad = jax.value_and_grad(f)(x)
      >>> updates, state = tx.update(grad, tx.init(x), x, value=value, grad=grad, value_fn=f)
      >>> bool(f(lrjax.apply_updates(x, updates)) < 1e-6)
      True
    """
    call = "scale_by_zoom_linesearch"
    _check.number(call, "max_linesearch_steps", max_linesearch_steps, low=1)
    if max_learning_rate is not None:
        _check.number(call, "max_learning_rate", max_learning_rate, low=0, open_low=True)
    _check.number(call, "tol", tol, low=0)
    _check.number(call, "increase_factor", increase_factor, low=1, open_low=True)
    _check.number(call, "slope_rtol", slope_rtol, low=0, high=1)
    if not (isinstance(curv_rtol, float) and curv_rtol == float("inf")):
        _check.number(call, "curv_rtol", curv_rtol, low=0)
    if approx_dec_rtol is not None:
        _check.number(call, "approx_dec_rtol", approx_dec_rtol, low=0)
    _check.number(call, "stepsize_precision", stepsize_precision, low=0)
    if initial_guess_strategy not in ("keep", "one"):
        got = _check.describe(initial_guess_strategy)
        raise _check.fail(call, "initial_guess_strategy", '"keep" or "one"', got)
    _check.boolean(call, "verbose", verbose)

    def init(params: Params) -> ScaleByZoomLinesearchState:
        dtype = scalar_dtype(params)
        unset = jnp.array(jnp.inf, dtype)
        return ScaleByZoomLinesearchState(
            learning_rate=jnp.ones((), dtype),
            value=unset,
            grad=_tree.zeros_like(params, lambda p: _tree.wide(p).dtype),
            info=ZoomLinesearchInfo(jnp.zeros((), jnp.int32), unset, unset),
        )

    def update(
        updates: Updates, state: ScaleByZoomLinesearchState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, ScaleByZoomLinesearchState]:
        f = objective(f"{call}.update", params, extra)
        dtype = state.value.dtype

        def scalar(x: Any) -> jax.Array:
            return jnp.asarray(x, dtype)

        largest = scalar(jnp.inf if max_learning_rate is None else max_learning_rate)
        start = _Point(scalar(0), scalar(extra["value"]), scalar(slope(updates, extra["grad"])))

        def evaluate(step: jax.Array) -> tuple[_Point, Updates]:
            value, grad = jax.value_and_grad(f)(moved(params, updates, step))
            return _Point(step, scalar(value), scalar(slope(updates, grad))), _tree.cast_like(
                grad, state.grad
            )

        def errors(point: _Point) -> tuple[jax.Array, jax.Array]:
            """By how much the two conditions are missed; infinite where that cannot be told."""
            decrease = point.value - start.value - slope_rtol * point.step * start.slope - tol
            if approx_dec_rtol is not None:
                flat = point.slope - (2 * slope_rtol - 1) * start.slope - tol
                near = point.value - start.value - approx_dec_rtol * jnp.abs(start.value)
                # A NaN in one must not hide that the other holds, nor count as if it held.
                decrease = jnp.minimum(_or_inf(decrease), _or_inf(jnp.maximum(flat, near)))
            curvature = jnp.abs(point.slope) - curv_rtol * jnp.abs(start.slope) - tol
            return scalar(_above(decrease)), scalar(_above(curvature))

        def unfinished(s: _Search) -> jax.Array:
            return ~s.done & (s.tried < max_linesearch_steps)

        def search(s: _Search) -> _Search:
            guess = state.learning_rate if initial_guess_strategy == "keep" else scalar(1)
            guess = jnp.where(guess > 0, guess, 1)  # the last search may have found none
            grown = jnp.where(s.tried == 0, guess, increase_factor * s.low.step)
            outside = jnp.minimum(grown, largest)
            inside = _between(s.low, s.high, s.third, s.knows_third)
            point, grad = evaluate(scalar(jnp.where(s.found, inside, outside)))
            decrease_error, curvature_error = errors(point)

            enough = decrease_error == 0
            worse = ~enough | (~(point.value < s.low.value) & (s.found | (s.tried > 0)))
            accepted = ~worse & (curvature_error == 0)
            better = enough & (accepted | (point.value <= s.best.value))

            # Nocedal and Wright, algorithm 3.6 (zoom) where the interval is found, else 3.5.
            toward_high = jnp.where(s.found, s.high.step - s.low.step, 1)
            turned = point.slope * jnp.sign(toward_high) >= 0
            low = _pick(worse, s.low, point)
            high = _pick(worse, point, _pick(turned, s.low, s.high))
            third = _pick(worse | turned, s.high, s.low)
            found = s.found | worse | turned
            narrow = found & (jnp.abs(high.step - low.step) <= stepsize_precision)
            best = _pick(better, point, s.best)
            stuck = ~found & (point.step >= largest)
            return _Search(
                tried=s.tried + 1,
                done=accepted | stuck | (narrow & (best.step > 0)),
                found=found,
                low=low,
                high=high,
                third=third,
                knows_third=s.found,
                best=best,
                best_grad=_pick(better, grad, s.best_grad),
                errors=_pick(better, (decrease_error, curvature_error), s.errors),
            )

        begin = _Search(
            tried=jnp.zeros((), jnp.int32),
            done=jnp.array(False),
            found=jnp.array(False),
            low=start,
            high=start,
            third=start,
            knows_third=jnp.array(False),
            best=start,
            best_grad=jax.tree.map(lambda g, like: jnp.asarray(g, like.dtype), extra["grad"], state.grad),
            errors=errors(start),
        )
        end = jax.lax.while_loop(unfinished, search, begin)
        if verbose:
            _report(end)
        info = ZoomLinesearchInfo(end.tried, *end.errors)
        return scaled(updates, end.best.step), ScaleByZoomLinesearchState(
            end.best.step, end.best.value, end.best_grad, info
        )

    return GradientTransformation(init, update)


def _between(low: _Point, high: _Point, third: _Point, knows_third: jax.Array) -> jax.Array:
    """A step inside the interval: by a cubic, else a quadratic, else its middle.

    An interpolated minimum near an end, or none, is not trusted.
    """
    length = high.step - low.step

    def trusted(step: jax.Array, margin: float) -> jax.Array:
        share = _ratio(step - low.step, length)
        return (share > margin) & (share < 1 - margin)

    # In units of the distance from `low`; what the straight line there does not explain is
    # q x**2 + c x**3 at `high` and `third`, or q x**2 at `high` alone.
    a, b, g = length, third.step - low.step, low.slope
    rise_a, rise_b = high.value - low.value - g * a, third.value - low.value - g * b
    quadratic = low.step - _ratio(g * a**2, 2 * rise_a)
    c = _ratio(_ratio(rise_a, a**2) - _ratio(rise_b, b**2), a - b)
    q = _ratio(rise_a, a**2) - c * a
    square = q**2 - 3 * c * g
    cubic = low.step + _ratio(jnp.sqrt(jnp.maximum(square, 0)) - q, 3 * c)
    step = jnp.where(trusted(quadratic, 0.1), quadratic, low.step + length / 2)
    return jnp.where(knows_third & (square >= 0) & trusted(cubic, 0.2), cubic, step)


def _ratio(x: jax.Array, y: jax.Array) -> jax.Array:
    """The ratio, or `x` where `y` is zero: then nothing is divided, and what comes is not trusted."""
    return x / jnp.where(y == 0, 1, y)


def _pick(condition: jax.Array, one: Any, other: Any) -> Any:
    return jax.tree.map(lambda x, y: jnp.where(condition, x, y), one, other)


def _or_inf(x: jax.Array) -> jax.Array:
    return jnp.where(jnp.isnan(x), jnp.inf, x)


def _above(x: jax.Array) -> jax.Array:
    return jnp.maximum(_or_inf(x), 0)


def _report(end: _Search) -> None:
    text = "zoom failed after {tried} steps: {step} misses decrease by {decrease}, curvature by {curvature}"
    decrease, curvature = end.errors
    jax.lax.cond(
        end.done,
        lambda: None,
        lambda: jax.debug.print(
            text, tried=end.tried, step=end.best.step, decrease=decrease, curvature=curvature
        ),
    )
