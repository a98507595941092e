"""Where the points of a sweep stand at a rung, and which of them no rule may drop.

A rung judges a short horizon, and short horizons mislead: they favour rates that are too small (Wu et al.
2018), near the best rate seeds move losses more than rates do, and on a plateau at the start all rates look
alike. The guards keep what a rung cannot tell from the best.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from lrjax.answer import scores, within_noise

_LEARNED = 0.02  # of the loss before training: less is no sign that training has begun


class Standing(NamedTuple):
    """Where a sweep stands at a rung.

    Attributes:
      step: Updates that every point still training has behind it.
      losses: float `[points, seeds]`, held-out losses, or means of the last training losses; infinity
        where a member failed, NaN for points that do not train any more.
      alive: bool `[points]`, which points still train.
      history: Step and losses at every earlier rung, oldest first, and of nothing but rungs.
      points: Each hyperparameter's value at each point, `[points]`.
      name: The hyperparameter that is the learning rate.
      start: The losses before training, `[points, seeds]`, or None if nobody knows them.

    Example:
      >>> import numpy as np
      >>> losses = np.array([[3.0, 3.1], [1.0, 1.2], [np.inf, np.inf]])
      >>> points = {"learning_rate": np.array([0.01, 0.1, 1.0])}
      >>> standing = Standing(100, losses, np.array([True] * 3), (), points, "learning_rate")
      >>> ranking(standing).tolist()
      [1, 0]
    """

    step: int
    losses: np.ndarray
    alive: np.ndarray
    history: tuple[tuple[int, np.ndarray], ...]
    points: dict[str, np.ndarray]
    name: str
    start: np.ndarray | None = None


def ranking(standing: Standing) -> np.ndarray:
    """The points that still train and have not failed, best first; lower rates first among equals.

    Args:
      standing: Where the sweep stands.

    Returns:
      Indices of points.

    Example:
      >>> import numpy as np
      >>> points = {"learning_rate": np.array([0.3, 0.1, 1.0])}
      >>> losses = np.array([[2.0], [2.0], [1.0]])
      >>> ranking(Standing(10, losses, np.array([True] * 3), (), points, "learning_rate")).tolist()
      [2, 1, 0]
    """
    score = scores(standing.losses)
    order = np.lexsort((_rates(standing), score))
    return order[(standing.alive & np.isfinite(score))[order]]


def lines(standing: Standing) -> list[np.ndarray]:
    """The points in groups that differ in their rate only, each group in order of rate.

    Args:
      standing: Where the sweep stands.

    Returns:
      Indices of points, one array a group; groups are in the order of their first point.

    Example:
      >>> import numpy as np
      >>> points = {"learning_rate": np.array([0.3, 0.1, 0.3]), "nesterov": np.array([True, True, False])}
      >>> losses = np.ones((3, 1))
      >>> found = lines(Standing(10, losses, np.array([True] * 3), (), points, "learning_rate"))
      >>> [line.tolist() for line in found]
      [[1, 0], [2]]
    """
    others = [values.tolist() for name, values in standing.points.items() if name != standing.name]
    groups: dict[Any, list[int]] = {}
    for index in range(len(standing.alive)):
        groups.setdefault(tuple(_identity(values[index]) for values in others), []).append(index)
    rates = _rates(standing)
    return [np.array(group)[np.argsort(rates[group], kind="stable")] for group in groups.values()]


@dataclasses.dataclass(frozen=True)
class Guards:
    """What a rung may not drop, in both directions of the rate.

    Attributes:
      neighbours: How many neighbours in rate of the best point are kept on each side, >= 0.
      noise: Whether points are kept that are within the paired seed noise of the best, and all of them
        as long as none has learned anything to speak of.

    Example:
      >>> import numpy as np
      >>> losses = np.array([[4.0], [3.0], [1.0], [2.0], [3.0]])
      >>> points = {"learning_rate": np.array([0.01, 0.03, 0.1, 0.3, 1.0])}
      >>> standing = Standing(100, losses, np.array([True] * 5), (), points, "learning_rate")
      >>> Guards(neighbours=1, noise=True).keep(standing, np.zeros(5, bool)).tolist()
      [False, True, True, True, False]
    """

    neighbours: int
    noise: bool

    def keep(self, standing: Standing, chosen: np.ndarray) -> np.ndarray:
        """The points to go on with: those chosen and those guarded, less those that failed.

        The best point is always among them. A point of which half of the seeds or more have failed is
        not: failed members do not come back, so its score at the end is infinity whatever the others
        do. If all points have failed, none is kept.

        Args:
          standing: Where the sweep stands.
          chosen: bool `[points]`, what the rule would keep by itself.

        Returns:
          bool `[points]`, a subset of those alive.
        """
        ranked = ranking(standing)
        kept = np.zeros(len(standing.alive), bool)
        if not len(ranked):
            return kept
        kept[ranked] = chosen[ranked]
        kept[self._around(standing, ranked)] = True
        if self.noise:
            best = standing.losses[ranked[0]]
            kept[[point for point in ranked if within_noise(standing.losses[point], best)]] = True
            if _nothing_learned(standing, ranked[0]):
                kept[ranked] = True
        return kept

    def _around(self, standing: Standing, ranked: np.ndarray) -> np.ndarray:
        """The best point and its neighbours in rate among those that still train and have not failed."""
        line = next(line for line in lines(standing) if ranked[0] in line)
        line = line[np.isin(line, ranked)]
        place = int(np.flatnonzero(line == ranked[0])[0])
        return line[max(0, place - self.neighbours) : place + self.neighbours + 1]


def _nothing_learned(standing: Standing, best: int) -> bool:
    """Whether not even the best point is a few percent better than before training."""
    if standing.start is None:
        return False
    start = standing.start[best]
    gains = np.where(np.isfinite(standing.losses[best]), start - standing.losses[best], 0.0)
    return bool(np.median(gains) < _LEARNED * np.median(np.abs(start)))


def _rates(standing: Standing) -> np.ndarray:
    """The learning rate of each point; all the same if the sweep is not over one."""
    values = standing.points.get(standing.name)
    return np.zeros(len(standing.alive)) if values is None else values.astype(float)


def _identity(value: Any) -> Any:
    return (type(value).__name__, value if value.__hash__ else id(value))
