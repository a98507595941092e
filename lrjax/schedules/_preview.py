"""A look at a schedule before training: what in it is likely not meant."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from lrjax import _check
from lrjax._types import ScalarOrSchedule
from lrjax.schedules._schedule import as_timed, first_values

_MOST = 100_000  # steps looked at one by one; of longer runs as many parts, and the steps around each
_FAR = 2**30  # a step after which nothing is expected to happen
_AHEAD = np.unique(np.geomspace(1, 2**24, 60).astype(np.int64))  # how far it is looked whether a value stays
_LITTLE = 0.02  # of the peak: smaller differences are not worth a word
_JUMP = 0.05  # of the peak
_EPOCHS = 20  # a schedule that many times shorter than the run counts epochs
_UNDERFLOW = 1e-20  # of the peak: what falls below came there by decaying for ever


def check_schedule(schedule: ScalarOrSchedule, steps: int) -> dict[str, str]:
    """Looks at a schedule that a run of so many steps is about to use, and warns of what is often not meant.

    - "zero first rate": the first update does nothing.
    - "rebound": the rate rises again after the run's last step, from where it had come down to.
    - "horizon too long": the run ends while the rate would still move to its last value.
    - "horizon too short": the rate reaches its last, low value long before the run ends.
    - "steps like epochs": it does so at least 20 times too early, as if epochs had been counted.
    - "jump": the rate jumps between two steps where it moves smoothly on both sides.

    Args:
      schedule: A schedule that depends on time alone, a number or a callable of the step.
      steps: The length of the run in updates, > 0.

    Returns:
      What is found, name to sentence; an empty dict if nothing is.

    Raises:
      TypeError: If `schedule` is driven by metrics, or an argument is of the wrong kind.
      ValueError: If `steps` is not positive.

    Example:
      >>> import lrjax
      >>> schedule = lrjax.warmup_cosine_decay_schedule(0.0, 1e-3, 100, 1000)
      >>> list(lrjax.check_schedule(schedule, 1000))
      ['zero first rate']
      >>> list(lrjax.check_schedule(schedule, 700))
      ['zero first rate', 'horizon too long']
    """
    call = "check_schedule"
    moving = as_timed(call, "schedule", schedule)
    steps = _check.integer(call, "steps", steps, low=1)

    table = first_values(moving, 2 * steps) if moving.running else None  # step by step, and no further
    at = jax.jit(moving.at)

    def values(counts: Any) -> np.ndarray:
        counts = np.asarray(counts, np.int32)
        return np.asarray(at(counts), np.float64) if table is None else table[counts]

    shown = _shown(steps)
    run = values(shown)
    peak = float(np.max(np.abs(run)))
    if not np.isfinite(run).all():
        return {"not finite": f"the rate is not finite at step {shown[~np.isfinite(run)][0]}"}
    if peak == 0:
        return {"zero first rate": "the rate is 0 at every step: no update does anything"}
    last = float(values([steps - 1])[0])
    after = values(steps - 1 + np.arange(0, min(steps, _MOST) + 1))
    end = _settles(values, peak) if table is None else None
    found = {}
    if run[0] == 0:
        found["zero first rate"] = "the rate of step 0 is 0: the first update does nothing"
    if last < (1 - _JUMP) * peak and after.max() > last + _LITTLE * peak:
        step = steps - 1 + int(np.argmax(after > last + _LITTLE * peak))
        found["rebound"] = (
            f"after the run's last step the rate rises again, from {last:.3g} at step {steps - 1} to "
            f"{after.max():.3g}; by step {step} it is already higher"
        )
    elif end is not None and end > 1.01 * steps:
        final = float(values([_FAR])[0])
        if abs(last - final) > _LITTLE * peak:
            found["horizon too long"] = (
                f"the schedule ends at step {end}, the run at step {steps}: it stops at {last:.3g}, which is "
                f"{last / peak:.0%} of the peak, before it comes to {final:.3g}"
            )
    found |= _too_short(values, run, shown, peak, steps, end)
    found |= _jumps(run, shown, peak)
    return found


def _shown(steps: int) -> np.ndarray:
    """The steps of a run that are looked at, in order."""
    if steps <= _MOST:
        return np.arange(steps)
    parts = np.linspace(0, steps - 1, _MOST // 4).astype(np.int64)
    return np.unique(np.clip(parts[:, None] + np.arange(4), 0, steps - 1))


def _settles(values: Any, peak: float) -> int | None:
    """The first step from which on the value stays the same, or None if it never does."""

    def settled(count: int) -> bool:
        ahead = values(np.minimum(count + np.concatenate([[0], _AHEAD]), _FAR + count))
        return bool(np.all(ahead == ahead[0]))

    if not settled(_FAR - 2**25):
        return None
    low, high = -1, _FAR - 2**25
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if settled(middle) else (middle, high)
    before = values([max(high - 2, 0), high])
    fading = before[1] == 0 and 0 < abs(before[0]) < _UNDERFLOW * peak
    return None if fading else high


def _too_short(
    values: Any, run: np.ndarray, shown: np.ndarray, peak: float, steps: int, end: int | None
) -> dict[str, str]:
    moves = np.abs(run) > 1e-6 * peak
    idle = int(shown[moves][-1]) + 1  # from here on the run's rate is next to nothing
    stays = idle if end is None else min(idle, end)
    if stays > 0.99 * steps or stays >= steps - 1 or stays == 0:
        return {}
    before, after = values([stays - 1, min(stays + 1, steps - 1)])
    by_jump = abs(before - after) > _JUMP * peak
    if abs(after) > 0.5 * peak or (by_jump and abs(after) > 1e-3 * peak):
        return {}  # a constant rate, or the last stair
    says = f"the rate is down to {after:.3g} from step {stays} on, of {steps}"
    if stays * _EPOCHS <= steps:
        return {"steps like epochs": f"{says}: was a number of epochs given where steps are counted?"}
    return {"horizon too short": f"{says}: the rest of the run hardly moves" if after < 1e-3 * peak else says}


def _jumps(run: np.ndarray, shown: np.ndarray, peak: float) -> dict[str, str]:
    change, gap = np.abs(np.diff(run)), np.diff(shown)
    places = []
    for i in np.flatnonzero((change > _JUMP * peak) & (gap == 1)):
        sides = [change[j] for j in (i - 1, i + 1) if 0 <= j < len(change) and gap[j] == 1]
        smooth = bool(sides) and max(sides) < change[i] / 5
        stair = smooth and max(sides) == 0 and abs(run[i + 1]) < abs(run[i])
        if smooth and not stair:
            places.append(int(i))
    if not places:
        return {}
    texts = [f"from {run[i]:.3g} to {run[i + 1]:.3g} at step {shown[i + 1]}" for i in places[:3]]
    more = f", and {len(places) - 3} more" if len(places) > 3 else ""
    return {"jump": f"the rate jumps {', '.join(texts)}{more}"}
