"""How far from the optimum the last iterate may be, by convex theory: schedules ranked without training."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from lrjax import _check
from lrjax._types import ScalarOrSchedule
from lrjax.schedules import as_timed, first_values


class ScheduleBound(NamedTuple):
    """What theory says of a schedule.

    Attributes:
      bound: The bound on the loss above its minimum, at the best base rate.
      learning_rate: The best base rate: what to multiply the schedule by.
      as_given: The bound of the schedule as it is.

    Example:
      >>> import lrjax
      >>> round(lrjax.science.schedule_bound(1.0, steps=100).bound, 6)
      0.248543
    """

    bound: float
    learning_rate: float
    as_given: float


def schedule_bound(
    schedule: ScalarOrSchedule, steps: int, gradient_norm: Any = 1.0, distance: float = 1.0
) -> ScheduleBound:
    r"""The bound on the last iterate of (sub)gradient descent on a convex loss.

    With rates $\gamma s_1, \dots, \gamma s_T$, norms $G_t$ of the gradients and distance $D$ to the minimum,
    $E[f(x_T) - f^*] \le T_1 / \gamma + \gamma (T_2 + T_3)$:

    $T_1 = D^2 / (2 \sum_t s_t)$, $T_2 = \sum_t s_t^2 G_t^2 / (2 \sum_t s_t)$ and
    $T_3 = \tfrac12 \sum_{k<T} \frac{s_k}{\sum_{t>k} s_t}
    \frac{\sum_{t \ge k} s_t^2 G_t^2}{\sum_{t \ge k} s_t}$.

    The best base rate is $\gamma^* = \sqrt{T_1 / (T_2 + T_3)}$, where the bound is
    $2 \sqrt{T_1 (T_2 + T_3)}$. Networks are not convex, and yet the bound ranks schedules much as
    training does; its absolute size says nothing about yours.

    Args:
      schedule: A schedule that depends on time alone, a number or a callable of the step. Its values
        must not be negative.
      steps: $T$ in updates, > 0.
      gradient_norm: $G_t$ > 0: a number, or one for each step.
      distance: $D$ > 0, from the start to the minimum.

    Returns:
      A `ScheduleBound`.

    Raises:
      TypeError: If `schedule` is driven by metrics, or an argument is of the wrong kind.
      ValueError: If a number is out of its range, or the schedule is negative, not finite or 0 at every step.

    References:
      Schaipp et al., The Surprising Agreement Between Convex Optimization Theory and Learning-Rate
        Scheduling for Large Model Training, 2501.18965, 2025.
      Defazio et al., Optimal Linear Decay Learning Rate Schedules and Further Refinements,
        2310.07831, 2023.

    Example:
      >>> import lrjax
      >>> schedules = {
      ...     "constant": lrjax.constant_schedule(1.0),
      ...     "linear": lrjax.linear_schedule(1.0, 0.0, transition_steps=100),
      ...     "cosine": lrjax.cosine_decay_schedule(1.0, decay_steps=100),
      ... }
      >>> sorted(schedules, key=lambda name: lrjax.science.schedule_bound(schedules[name], 100).bound)
      ['linear', 'cosine', 'constant']
    """
    call = "science.schedule_bound"
    one = as_timed(call, "schedule", schedule)
    steps = _check.integer(call, "steps", steps, low=1)
    _check.number(call, "distance", distance, low=0, open_low=True)
    s = first_values(one, steps)
    if not np.isfinite(s).all() or np.any(s < 0) or not np.any(s > 0):
        expected = "finite, not negative, and not 0 at every step"
        raise _check.fail(call, "schedule", expected, f"values from {s.min():g} to {s.max():g}")
    norms = np.asarray(gradient_norm, np.float64)
    if norms.shape not in ((), (steps,)) or not np.isfinite(norms).all() or np.any(norms <= 0):
        expected = f"a number > 0, or {steps} of them"
        raise _check.fail(call, "gradient_norm", expected, _check.describe(gradient_norm))

    weighted = s**2 * np.broadcast_to(norms, s.shape) ** 2
    last = int(np.flatnonzero(s)[-1]) + 1  # rates of 0 at the end move nothing
    s, weighted = s[:last], weighted[:last]
    to_come, weighted_to_come = (np.cumsum(x[::-1])[::-1] for x in (s, weighted))  # from k on
    t1 = float(distance) ** 2 / (2 * to_come[0])
    t2 = weighted_to_come[0] / (2 * to_come[0])
    t3 = np.sum(s[:-1] / to_come[1:] * weighted_to_come[:-1] / to_come[:-1]) / 2
    rate = np.sqrt(t1 / (t2 + t3))
    return ScheduleBound(float(2 * np.sqrt(t1 * (t2 + t3))), float(rate), float(t1 + t2 + t3))
