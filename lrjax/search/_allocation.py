"""Which points of a sweep train on: rules that stop the hopeless ones early.

All seeds of a point stop together. A rule says at which steps it decides (its rungs) and what it keeps; it
has no state and draws no random numbers, so a decision follows from the measurements alone. Whatever a
rule would drop, the guards of `lrjax.search._guards` may keep.
"""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np

from lrjax import _check
from lrjax.answer import scores
from lrjax.search._guards import Guards, Standing, lines, ranking

_SHARE_BEFORE_FIRST = 16  # median stopping waits for a sixteenth of the steps, like halving by four


@runtime_checkable
class Allocation(Protocol):
    """A rule for which points of a sweep train on.

    Example:
      >>> isinstance(successive_halving(), Allocation)
      True
    """

    def rungs(self, steps: int, every: int) -> tuple[int, ...]:
        """The steps at which it decides.

        Args:
          steps: Updates per member, >= 1.
          every: Updates between evaluations, >= 1.

        Returns:
          Multiples of `every`, each once, increasing, above 0 and below `steps`; perhaps none.
        """
        ...

    def keep(self, standing: Standing) -> np.ndarray:
        """The points that train on.

        Args:
          standing: Where the sweep stands at a rung.

        Returns:
          bool `[points]`, a subset of those alive; none if all have failed.
        """
        ...


def successive_halving(
    reduction: int = 4, first: int | None = None, *, neighbours: int = 1, noise: bool = True
) -> Allocation:
    r"""Keeps the best of the points at a few rungs, and trains those on for several times as long.

    At the rungs $\text{steps} / \text{reduction}^k$, rounded up to the next evaluation, the best
    $\lceil n / \text{reduction} \rceil$ of the $n$ points that still train are kept, by the median over
    seeds; lower rates first among equals, then in the grid's order. To these come the points that the
    guards keep. A point of which half of the seeds or more have failed is dropped at any rung, and if
    all have, all are.

    Args:
      reduction: What the number of points is divided by at a rung, an integer >= 2.
      first: No point is judged before this many steps, >= 1. If `steps / reduction` comes earlier, `first`
        is the only rung; if `first` is not below `steps`, there is none. None for two rungs.
      neighbours: How many neighbours in rate of the best point are kept on each side, >= 0; points that
        failed are passed over. Rates that are too small look best early.
      noise: Whether points are kept that the seeds do not tell from the best: the mean of the paired
        differences is at most Student's t (95 %, one-sided) times its standard error. It keeps nothing
        with one seed, whose noise is unknown, and much with two. And whether all points are kept that have
        not failed, as long as the best one's loss is not 2 % below that before training: a plateau at
        the start tells nothing about rates.

    Returns:
      An `Allocation`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range.

    References:
      Jamieson & Talwalkar, *Non-stochastic Best Arm Identification and Hyperparameter Optimization*,
      arXiv:1502.07943 (2016). Li et al., *A System for Massively Parallel Hyperparameter Tuning*,
      arXiv:1810.05934 (2018), which does without common rungs. Wu et al., *Understanding Short-Horizon
      Bias in Stochastic Meta-Optimization*, arXiv:1803.02021 (2018).

    Example:
      >>> import numpy as np
      >>> halving = successive_halving(reduction=4)
      >>> halving.rungs(steps=1600, every=10)
      (100, 400)
      >>> losses = np.array([[4.0], [3.0], [1.0], [2.0], [3.0], [np.inf]])
      >>> points = {"learning_rate": np.array([0.01, 0.03, 0.1, 0.3, 1.0, 3.0])}
      >>> standing = Standing(100, losses, np.array([True] * 6), (), points, "learning_rate")
      >>> halving.keep(standing).tolist()
      [False, True, True, True, False, False]
    """
    call = "successive_halving"
    reduction = _check.integer(call, "reduction", reduction, low=2)
    return _SuccessiveHalving(reduction, _first(call, first), _guards(call, neighbours, noise))


def hyperband(
    reduction: int = 4, brackets: int = 3, *, neighbours: int = 1, noise: bool = True
) -> Allocation:
    r"""Successive halving with several first rungs at once, should the earliest one mislead.

    Points are dealt out to brackets $s = \text{brackets} - 1, \dots, 0$ in proportion to
    $\text{reduction}^s / (s + 1)$. Bracket $s$ is a successive halving with $s$ rungs, from
    $\text{steps} / \text{reduction}^s$ on, and judged against its own points; the last one has no rung.
    The guards look at all points.

    A departure from the paper: it draws new random points for each bracket and runs one after the other.
    A grid's points are dealt out in turns along the rate, so that every bracket covers the whole range,
    and the brackets run together. Where evaluations are so rare that two rungs fall on one, there are
    fewer rungs, and more points train to the end.

    Args:
      reduction: What the number of points of a bracket is divided by at a rung, an integer >= 2.
      brackets: How many brackets, an integer >= 2.
      neighbours: How many neighbours in rate of the best point are kept on each side, >= 0; as in
        `successive_halving`.
      noise: Whether points are kept that the seeds do not tell from the best; as in `successive_halving`.

    Returns:
      An `Allocation`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range.

    References:
      Li, Jamieson, DeSalvo, Rostamizadeh & Talwalkar, *Hyperband: A Novel Bandit-Based Approach to
      Hyperparameter Optimization*, arXiv:1603.06560 (2018).

    Example:
      >>> import numpy as np
      >>> allocation = hyperband(reduction=2, brackets=2, neighbours=0)
      >>> allocation.rungs(steps=100, every=10)
      (50,)
      >>> points = {"learning_rate": np.array([0.01, 0.03, 0.1, 0.3])}
      >>> losses = np.array([[4.0], [3.0], [2.0], [1.0]])
      >>> standing = Standing(50, losses, np.array([True] * 4), (), points, "learning_rate")
      >>> allocation.keep(standing).tolist()  # the first and third are judged against each other
      [False, True, True, True]
    """
    call = "hyperband"
    reduction = _check.integer(call, "reduction", reduction, low=2)
    brackets = _check.integer(call, "brackets", brackets, low=2)
    return _Hyperband(reduction, brackets, _guards(call, neighbours, noise))


def median_stopping(first: int | None = None, *, neighbours: int = 1, noise: bool = True) -> Allocation:
    """Stops points whose best loss is worse than what the others had on average.

    At every evaluation from `first` on, a point is stopped if its lowest loss since then is higher than
    the median, over the other points that still train, of their mean loss since then. Losses are medians
    over seeds. The best point now is kept in any case.

    Args:
      first: No point is judged before this many steps, >= 1; None for a sixteenth of them.
      neighbours: How many neighbours in rate of the best point are kept on each side, >= 0; as in
        `successive_halving`.
      noise: Whether points are kept that the seeds do not tell from the best; as in `successive_halving`.

    Returns:
      An `Allocation`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range.

    References:
      Golovin et al., *Google Vizier: A Service for Black-Box Optimization*, KDD (2017).

    Example:
      >>> import numpy as np
      >>> allocation = median_stopping(first=20, neighbours=0)
      >>> allocation.rungs(steps=50, every=10)
      (20, 30, 40)
      >>> points = {"learning_rate": np.array([0.01, 0.1, 1.0])}
      >>> earlier, now = np.array([[5.0], [3.0], [6.0]]), np.array([[4.5], [1.0], [2.0]])
      >>> standing = Standing(30, now, np.array([True] * 3), ((20, earlier),), points, "learning_rate")
      >>> allocation.keep(standing).tolist()  # the others of the first had 2.0 and 4.0 on average
      [False, True, True]
    """
    call = "median_stopping"
    return _MedianStopping(_first(call, first), _guards(call, neighbours, noise))


def top_k(k: int, first: int | None = None, *, neighbours: int = 1, noise: bool = True) -> Allocation:
    """Decides once, and keeps the best few.

    Args:
      k: How many points are kept, by the median over seeds, >= 1.
      first: No point is judged before this many steps, >= 1; None for the first evaluation.
      neighbours: How many neighbours in rate of the best point are kept on each side, >= 0; as in
        `successive_halving`.
      noise: Whether points are kept that the seeds do not tell from the best; as in `successive_halving`.

    Returns:
      An `Allocation`.

    Raises:
      TypeError: If an argument is of the wrong kind.
      ValueError: If a number is out of its range.

    Example:
      >>> import numpy as np
      >>> allocation = top_k(2, first=15, neighbours=0)
      >>> allocation.rungs(steps=100, every=10)
      (20,)
      >>> points = {"learning_rate": np.array([0.01, 0.1, 1.0])}
      >>> losses = np.array([[3.0], [1.0], [2.0]])
      >>> standing = Standing(20, losses, np.array([True] * 3), (), points, "learning_rate")
      >>> allocation.keep(standing).tolist()
      [False, True, True]
    """
    k = _check.integer("top_k", "k", k, low=1)
    return _TopK(k, _first("top_k", first), _guards("top_k", neighbours, noise))


def capped(allocation: Allocation, most: int) -> Allocation:
    """The allocation that keeps at most so many of the points that another one keeps, the best ones."""
    return _Capped(allocation, most)


@dataclasses.dataclass(frozen=True, repr=False)
class _Capped:
    allocation: Allocation
    most: int

    def __repr__(self) -> str:
        return f"{self.allocation}, at most {self.most} points of each rung"

    def rungs(self, steps: int, every: int) -> tuple[int, ...]:
        return self.allocation.rungs(steps, every)

    def keep(self, standing: Standing) -> np.ndarray:
        kept = self.allocation.keep(standing)
        ranked = ranking(standing)
        chosen = np.zeros(len(kept), bool)
        chosen[ranked[kept[ranked]][: self.most]] = True
        return chosen


class _AsCalled:
    """Shows as the call that makes it: settings and reports quote that."""

    call: ClassVar[str]

    def __repr__(self) -> str:
        fields = dict(vars(self))
        guards = fields.pop("guards")
        fields |= {"neighbours": guards.neighbours, "noise": guards.noise}
        return f"{self.call}({', '.join(f'{name}={value!r}' for name, value in fields.items())})"


@dataclasses.dataclass(frozen=True, repr=False)
class _SuccessiveHalving(_AsCalled):
    call: ClassVar[str] = "successive_halving"
    reduction: int
    first: int | None
    guards: Guards

    def rungs(self, steps: int, every: int) -> tuple[int, ...]:
        depth = 2 if self.first is None else 0
        if self.first is not None:
            while self.first * self.reduction ** (depth + 1) <= steps:
                depth += 1
            if depth == 0:
                return _once(self.first, steps, every)
        return _ladder(self.reduction, depth, steps, every)

    def keep(self, standing: Standing) -> np.ndarray:
        return self.guards.keep(standing, _best_share(standing, standing.alive, self.reduction))


@dataclasses.dataclass(frozen=True, repr=False)
class _Hyperband(_AsCalled):
    call: ClassVar[str] = "hyperband"
    reduction: int
    brackets: int
    guards: Guards

    def rungs(self, steps: int, every: int) -> tuple[int, ...]:
        return _ladder(self.reduction, self.brackets - 1, steps, every)

    def keep(self, standing: Standing) -> np.ndarray:
        bracket = self._dealt(standing)
        begun = min(len(standing.history) + 1, self.brackets - 1)  # each rung is the first of one more
        chosen = standing.alive & (bracket >= begun)
        for number in range(begun):
            chosen |= _best_share(standing, standing.alive & (bracket == number), self.reduction)
        return self.guards.keep(standing, chosen)

    def _dealt(self, standing: Standing) -> np.ndarray:
        """The bracket of each point, 0 for the one with the earliest rung.

        Each point in turn goes to the bracket that is furthest behind its share. Shares are integers, so
        that no rounding decides.
        """
        s = range(self.brackets - 1, -1, -1)
        common = math.lcm(*(i + 1 for i in s))
        shares = [self.reduction**i * (common // (i + 1)) for i in s]
        counts = [0] * self.brackets
        bracket = np.empty(len(standing.alive), int)
        for dealt, point in enumerate(np.concatenate(lines(standing)), start=1):
            behind = [share * dealt - sum(shares) * n for share, n in zip(shares, counts, strict=True)]
            bracket[point] = behind.index(max(behind))
            counts[bracket[point]] += 1
        return bracket


@dataclasses.dataclass(frozen=True, repr=False)
class _MedianStopping(_AsCalled):
    call: ClassVar[str] = "median_stopping"
    first: int | None
    guards: Guards

    def rungs(self, steps: int, every: int) -> tuple[int, ...]:
        first = -(-steps // _SHARE_BEFORE_FIRST) if self.first is None else self.first
        return tuple(range(-(-first // every) * every, steps, every))

    def keep(self, standing: Standing) -> np.ndarray:
        alive = np.flatnonzero(standing.alive)
        seen = np.stack([scores(losses) for _, losses in (*standing.history, (0, standing.losses))])[:, alive]
        lowest, means = seen.min(axis=0), seen.mean(axis=0)
        chosen = np.zeros(len(standing.alive), bool)
        for place, point in enumerate(alive):
            others = np.delete(means, place)
            chosen[point] = not len(others) or lowest[place] <= np.median(others)
        return self.guards.keep(standing, chosen)


@dataclasses.dataclass(frozen=True, repr=False)
class _TopK(_AsCalled):
    call: ClassVar[str] = "top_k"
    k: int
    first: int | None
    guards: Guards

    def rungs(self, steps: int, every: int) -> tuple[int, ...]:
        return _once(every if self.first is None else self.first, steps, every)

    def keep(self, standing: Standing) -> np.ndarray:
        chosen = np.zeros(len(standing.alive), bool)
        chosen[ranking(standing)[: self.k]] = True
        return self.guards.keep(standing, chosen)


def _best_share(standing: Standing, among: np.ndarray, reduction: int) -> np.ndarray:
    """The best 1/reduction, rounded up, of some of the points; the failed among them count, and lose."""
    chosen = np.zeros(len(among), bool)
    ranked = ranking(standing)
    chosen[ranked[among[ranked]][: -(-int(among.sum()) // reduction)]] = True
    return chosen


def _ladder(reduction: int, depth: int, steps: int, every: int) -> tuple[int, ...]:
    """The evaluations at or after steps / reduction**k for k up to depth, in integers, hence exactly."""
    rungs = {-(-steps // (reduction**k * every)) * every for k in range(1, depth + 1)}
    return tuple(sorted(rung for rung in rungs if rung < steps))


def _once(first: int, steps: int, every: int) -> tuple[int, ...]:
    rung = -(-first // every) * every
    return (rung,) if rung < steps else ()


def _first(call: str, first: int | None) -> int | None:
    return None if first is None else _check.integer(call, "first", first, low=1)


def _guards(call: str, neighbours: int, noise: bool) -> Guards:
    neighbours = _check.integer(call, "neighbours", neighbours)
    _check.boolean(call, "noise", noise)
    return Guards(neighbours, bool(noise))
