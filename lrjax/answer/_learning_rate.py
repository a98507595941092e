"""Which learning rate: the answer to a sweep, from measured numbers alone."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np

from lrjax._values import as_text
from lrjax.answer import _warnings
from lrjax.answer._hopeless import hopeless, lines_of
from lrjax.answer._interval import interval
from lrjax.answer._ledger import medians
from lrjax.answer._measured import absent, dropped_at, final_losses, point_at, steps_text
from lrjax.answer._paired import fell, within_noise
from lrjax.answer._parabola import Parabola, parabola
from lrjax.answer._regime import regimes
from lrjax.answer._surroundings import best_surrounded
from lrjax.results import SweepData

_TOLERANCE = 0.02  # of the best score; the plateau's margin is this or the seeds' spread, if larger
_BY_CHANCE = 0.05  # of a curve that jumps around one level: its first value is seldom lower than so many
_RARE = 0.1  # of the seeds: a rate at which more of them fail is answered by no search that has another
_BAD = 2.0  # margins above the best from which on a neighbour is as bad as any; benchmarks/answer_quality.py


@dataclasses.dataclass(frozen=True, eq=False)
class Answer:
    r"""What a sweep says about the learning rate.

    Attributes:
      learning_rate: The rate to use: that of the best point, the one with the lowest score; None if no rate
        trained, none learned anything, or the rate does not matter (`hopeless`). Of a search
        (`find_learning_rate`), of the points that the seeds do not tell from the best one the point that does
        best averaged with those around it: the lowest of several equals is luck in part. A point at which
        more than one seed in ten fails is no search's best one, nor in its plateau, unless all are so.
      point: All hyperparameters at the chosen point; empty if there is none.
      index: The chosen point's index, or None.
      score: The chosen point's median over seeds of what `judged_by` names; NaN without one.
      judged_by: What the rates were compared by.
      scores: The same median for every point, `[points]`; infinity where half of the seeds or more
        failed (went non-finite, or ended worse than they began), and for a point that an allocation
        dropped: its last loss is of an earlier step, and no match for those of the end. Only where no
        point that was trained on has a score, those dropped last have. Of a point with fewer seeds than
        the best one, the median is shifted by what these seeds make of the best one's.
      failed: bool `[points, seeds]`, which members failed. Being dropped is no failure, nor is a training
        loss that jumps around where it began, without rise or fall.
      plateau: The lowest and highest of the rates around the chosen one that do as well as the best, up
        to 2 % of its score or the standard deviation over its seeds, whichever is larger; or None.
      divergence_edge: The lowest rate from which on every rate fails for at least half of the seeds, or
        stood above its start when an allocation dropped it; None if the highest rate still trains.
      recommendation: One sentence.
      warnings: What is wrong with the question, a sentence each.
      interval: Where the best rate lies, with a probability of 90 % as far as the seeds tell; None with one
        seed, one rate, or without a best rate.
      plateau_decades: How wide the plateau is, $\log_{10}$ of the ratio of its ends; NaN without one.
      sensitivity: How much a rate that is off costs: the mean over rates, in $\ln \eta$, of
        $\min(\ell, \ell_0) - \ell_*$, with the loss before training $\ell_0$ and the best one $\ell_*$.
        Of points that an allocation dropped, $\ell$ is the last loss. NaN without a best rate.
      indistinguishable: The points that the seeds do not tell from the best one, itself included, in the
        order of their scores: a paired test, one-sided, at 95 %. With one seed, the best one alone.
      regimes: str `[points, seeds]`, what each training curve shows: labels of `lrjax.answer.regime`.
      parabola: What a parabola through the losses around the best rate says, a `Parabola`; None where there
        are too few of them, or none opens upwards.
      best: The best point's index, or None: of a search, the lowest score among the points with the most
        seeds, and so the answered one once that alone has been confirmed with more.

    References:
      Wortsman et al., *Small-scale proxies for large-scale Transformer training instabilities*,
      arXiv:2309.14322 (2023), for the sensitivity.

    Example:
      >>> import lrjax
      >>> task = lrjax.tasks.load("quadratic-deep")
      >>> grid = {"learning_rate": [0.01, 0.03]}
      >>> sweep = lrjax.sweep(task.trial(lrjax.sgd), grid, task.data, steps=20, progress=False)
      >>> sweep.answer.learning_rate, sweep.answer.divergence_edge
      (0.03, None)
    """

    learning_rate: float | None
    point: dict[str, Any]
    index: int | None
    score: float
    judged_by: str
    scores: np.ndarray
    failed: np.ndarray
    plateau: tuple[float, float] | None
    divergence_edge: float | None
    recommendation: str
    warnings: tuple[str, ...]
    interval: tuple[float, float] | None
    plateau_decades: float
    sensitivity: float
    indistinguishable: tuple[int, ...]
    regimes: np.ndarray
    parabola: Parabola | None
    best: int | None


def judge(data: SweepData) -> Answer:
    """Chooses the learning rate by the median final loss over seeds, lower rates first among equals.

    In a search the rates around have a say where seeds do not tell; see `Answer.learning_rate`. There is no
    answer if all points failed, or if not even the best one's loss has fallen: by 2 %, or by what two seeds
    or more tell from chance (Student's t, paired with the losses before training, 95 %).

    Args:
      data: A sweep's measurements.

    Returns:
      An `Answer`.

    Example:
      >>> import numpy as np, lrjax
      >>> def loss(x, batch):
      ...     return (x - batch.mean()) ** 2
      >>> run = lrjax.trial(lambda key: np.float32(1.0), loss, lrjax.sgd)
      >>> data = lrjax.batches(np.zeros(4), batch_size=4)
      >>> sweep = lrjax.sweep(run, {"learning_rate": [0.01, 0.1, 1.5]}, data, steps=20, progress=False)
      >>> round(lrjax.answer.judge(sweep).learning_rate, 3)
      0.1
    """
    final, initial, judged_by = final_losses(data)
    unmeasured = (data.stopped_at >= 0) & np.isnan(final)
    dropped = dropped_at(data)
    labels = regimes(data)
    worse = (final > initial) & (dropped < 0)[:, None]  # early in training that may yet come right
    if judged_by == "training loss":
        worse &= ~_began_low(data, labels)
    failed = ~unmeasured & (~np.isfinite(final) | worse | (data.diverged_at >= 0))
    losses = np.where(unmeasured, np.nan, np.where(failed, np.inf, final))
    reached = _among_equals(_medians(losses), np.median(initial, axis=1), dropped)
    rates = _rates(data)
    safe = _safe(data, failed, unmeasured, reached)
    ranked = np.where(safe, reached, np.inf)
    best = _best(np.where(_most_seeds(unmeasured, ranked), ranked, np.inf), rates)
    if best is None or hopeless(data):
        return _no_answer(data, judged_by, reached, failed, rates, bool(unmeasured.all()))
    if not fell(initial[best], final[best]):
        return _no_answer(data, judged_by, reached, failed, rates, nothing_measured=False)
    scores = _compared(reached, losses, best)
    line = _line(data, best)
    margin = max(_TOLERANCE * abs(scores[best]), _spread(losses[best]))
    alike = _indistinguishable(losses, scores, best)
    among = [index for index in alike if safe[index] and scores[index] <= scores[best] + margin]
    around = np.where(np.isfinite(scores), scores, _no_worse_than_the_start(losses, initial))
    around = np.minimum(around, scores[best] + _BAD * margin)
    chosen = _chosen(data, rates, around, unmeasured, line, best, among)
    plateau = _plateau(rates, safe & (scores <= scores[best] + margin), line, chosen)
    edge = _edge(
        rates, failed, unmeasured, line, (dropped >= 0) & (_medians(losses) > np.median(initial, axis=1))
    )
    warnings = [
        *_warnings.interruption(data),
        *_warnings.of_search(data),
        *_warnings.of_grid(rates, line, best, plateau),
        *_warnings.of_allocation(data, best),
        *_warnings.of_seeds(failed, ~unmeasured, np.isfinite(scores), len(alike), chosen),
        *_warnings.of_curves(data, labels, chosen, rates),
        *_warnings.of_judging(judged_by),
    ]
    kept = line[dropped[line] == dropped[best]]
    place, answered = (int(np.flatnonzero(kept == index)[0]) for index in (best, chosen))
    return Answer(
        learning_rate=None if rates is None else float(rates[chosen]),
        point=point_at(data, chosen),
        index=chosen,
        score=float(scores[chosen]),
        judged_by=judged_by,
        scores=scores,
        failed=failed,
        plateau=plateau,
        divergence_edge=edge,
        recommendation=_recommendation(data, judged_by, chosen, scores[chosen], plateau, edge),
        warnings=tuple(warnings),
        interval=None
        if rates is None
        else interval(rates[kept], losses[kept], place, margin, answered, tried=rates[line]),
        plateau_decades=float("nan") if plateau is None else float(np.log10(plateau[1] / plateau[0])),
        sensitivity=_sensitivity(rates, losses, initial, line, float(scores[best])),
        indistinguishable=alike,
        regimes=labels,
        parabola=None if rates is None else parabola(rates[kept], losses[kept], place, margin),
        best=best,
    )


def _chosen(
    data: SweepData,
    rates: np.ndarray | None,
    around: np.ndarray,
    unmeasured: np.ndarray,
    line: np.ndarray,
    best: int,
    among: list[int],
) -> int:
    """The best point; of a search, one of those that do as well, by the costs `around` it."""
    if rates is None or "search" not in data.settings:
        return best
    counts = (~unmeasured).sum(axis=1)
    places = [place for place, i in enumerate(line) if i in among and counts[i] == counts[best]]
    return int(line[best_surrounded(rates[line], around[line], places)])


def _safe(data: SweepData, failed: np.ndarray, unmeasured: np.ndarray, reached: np.ndarray) -> np.ndarray:
    """Of a search, where few seeds fail; everywhere, if no such point has a score, and of a sweep."""
    share = failed.sum(axis=1) / np.maximum(1, (~unmeasured).sum(axis=1))
    safe = share <= _RARE
    if "search" not in data.settings or not np.isfinite(reached[safe]).any():
        return np.ones_like(safe)
    return safe


def _began_low(data: SweepData, labels: np.ndarray) -> np.ndarray:
    """Members whose loss did nothing but jump, its first value among others: no worse than at the start."""
    losses = data.metrics.get("loss")
    if losses is None:
        return np.zeros(labels.shape, bool)
    return (labels == "flat") & ((losses < losses[..., :1]).mean(axis=-1) > _BY_CHANCE)


def _medians(losses: np.ndarray) -> np.ndarray:
    """The median over the seeds that were measured; infinity where there are none."""
    found = medians(losses)
    return np.where(np.isnan(found), np.inf, found)


def _most_seeds(unmeasured: np.ndarray, reached: np.ndarray) -> np.ndarray:
    """The points with as many seeds as any that has a score: a search gives more to the best ones only."""
    counts = (~unmeasured).sum(axis=1)
    return counts == counts[np.isfinite(reached)].max(initial=0)


def _compared(reached: np.ndarray, losses: np.ndarray, best: int) -> np.ndarray:
    """Medians of points with fewer seeds than the best, as if they had those that are missing."""
    scores = reached.copy()
    for index in np.flatnonzero(np.isfinite(reached)):
        shared = losses[best][~np.isnan(losses[index])]
        if len(shared) < np.sum(~np.isnan(losses[best])) and np.isfinite(median := np.median(shared)):
            scores[index] += reached[best] - median
    return scores


def _indistinguishable(losses: np.ndarray, scores: np.ndarray, best: int) -> tuple[int, ...]:
    order = [int(index) for index in np.argsort(scores, kind="stable") if np.isfinite(scores[index])]
    alike = [index for index in order if index != best and within_noise(losses[index], losses[best])]
    return (best, *alike)


def _sensitivity(
    rates: np.ndarray | None, losses: np.ndarray, initial: np.ndarray, line: np.ndarray, lowest: float
) -> float:
    """The mean over the line of what a rate costs; a rate counts for the part of the axis next to it."""
    if rates is None:
        return float("nan")
    cost = _no_worse_than_the_start(losses, initial)[line] - lowest
    x = np.log(rates[line])
    gaps = np.diff(x)
    cells = np.ones(len(x))
    if gaps.any():  # or all points have one rate
        cells = np.append(gaps[:1], gaps) + np.append(gaps, gaps[-1:])
    return float(np.average(cost, weights=cells))


def _no_worse_than_the_start(losses: np.ndarray, initial: np.ndarray) -> np.ndarray:
    """Medians of all points, those that failed or were dropped among them, up to the first loss."""
    start = float(np.median(initial[np.isfinite(initial)])) if np.isfinite(initial).any() else np.inf
    return np.minimum(_medians(losses), start)


def _among_equals(scores: np.ndarray, starts: np.ndarray, dropped: np.ndarray) -> np.ndarray:
    """The scores of the points that were trained furthest among those that have one; infinity for others.

    Where these were dropped, so that all others failed, those that stood above their start did so, too.
    """
    reached = np.where(dropped < 0, np.inf, dropped)
    scored = np.isfinite(scores) & ~((dropped >= 0) & (scores > starts))
    furthest = reached[scored].max(initial=-np.inf)
    return np.where(scored & (reached == furthest), scores, np.inf)


def _no_answer(
    data: SweepData,
    judged_by: str,
    scores: np.ndarray,
    failed: np.ndarray,
    rates: np.ndarray | None,
    nothing_measured: bool,
) -> Answer:
    trained = bool(np.isfinite(scores).any())
    of_rates = not nothing_measured and not trained and not hopeless(data)
    lowest = f" Try rates below {rates.min():.3g}." if rates is not None and of_rates else ""
    if nothing_measured:
        verdict = "The sweep was stopped before anything was measured."
        warnings = [verdict]
    elif verdict := hopeless(data):
        warnings = [*_warnings.interruption(data), *_warnings.of_search(data)]
        warnings += _warnings.of_no_difference(data, verdict)
    elif trained:
        verdict = "No point lowered the loss by more than chance would."
        detail = "the seeds do not tell the best point's loss from what it was before training"
        learned = f"Nothing was learned: {detail}."
        warnings = [*_warnings.interruption(data), *_warnings.of_search(data), learned]
    else:
        verdict = "Every point failed."
        detail = "at least half of the seeds went non-finite or ended worse than they began, at every point"
        everything = f"Everything diverged: {detail}.{lowest}"
        warnings = [*_warnings.interruption(data), *_warnings.of_search(data), everything]
    return Answer(
        learning_rate=None,
        point={},
        index=None,
        score=float("nan"),
        judged_by=judged_by,
        scores=scores,
        failed=failed,
        plateau=None,
        divergence_edge=float(rates.min()) if rates is not None and of_rates else None,
        recommendation=f"No learning rate can be recommended. {verdict}{lowest}",
        warnings=tuple(warnings),
        interval=None,
        plateau_decades=float("nan"),
        sensitivity=float("nan"),
        indistinguishable=(),
        regimes=regimes(data),
        parabola=None,
        best=None,
    )


def _rates(data: SweepData) -> np.ndarray | None:
    """The learning rate of each point, or None if the sweep was not over one."""
    values = data.points.get(data.name)
    return None if values is None or values.dtype == object else values.astype(float)


def _best(scores: np.ndarray, rates: np.ndarray | None) -> int | None:
    if not np.isfinite(scores).any():
        return None
    order = np.arange(len(scores)) if rates is None else np.argsort(rates, kind="stable")
    return int(order[np.argmin(scores[order])])


def _line(data: SweepData, best: int) -> np.ndarray:
    """The points that differ from the best in their rate only, in order of rate."""
    return next((line for line in lines_of(data) if best in line), np.array([best]))


def _spread(losses: np.ndarray) -> float:
    kept = losses[np.isfinite(losses)]
    return float(np.std(kept, ddof=1)) if len(kept) > 1 else 0.0


def _plateau(
    rates: np.ndarray | None, good: np.ndarray, line: np.ndarray, chosen: int
) -> tuple[float, float] | None:
    if rates is None:
        return None
    position, good = int(np.flatnonzero(line == chosen)[0]), good[line]
    low = position - sum(1 for _ in itertools.takewhile(bool, good[:position][::-1]))
    high = position + sum(1 for _ in itertools.takewhile(bool, good[position + 1 :]))
    return float(rates[line[low]]), float(rates[line[high]])


def _edge(
    rates: np.ndarray | None, failed: np.ndarray, unmeasured: np.ndarray, line: np.ndarray, risen: np.ndarray
) -> float | None:
    """The lowest rate from which on all fail; above it those count, too, that had `risen` when dropped."""
    if rates is None:
        return None
    share = failed.sum(axis=1) / np.maximum(1, (~unmeasured).sum(axis=1))
    above = itertools.takewhile(lambda index: share[index] >= 0.5 or risen[index], line[::-1])
    failing = [index for index in above if share[index] >= 0.5]
    return float(rates[failing[-1]]) if failing else None


def _recommendation(
    data: SweepData,
    judged_by: str,
    best: int,
    score: float,
    plateau: tuple[float, float] | None,
    edge: float | None,
) -> str:
    chosen = (
        ", ".join(f"{name} = {as_text(value)}" for name, value in point_at(data, best).items())
        or "the only point"
    )
    seeds = int((~absent(data))[best].sum())
    said = f"Use {chosen}: median {judged_by} {score:.4g} over {seeds} seed{'s' * (seeds != 1)}"
    if (steps := steps_text(data, best)) != steps_text(data, None):
        said += f" after {steps}"
    if plateau is not None and plateau[0] < plateau[1]:
        said += f"; rates from {plateau[0]:.3g} to {plateau[1]:.3g} do as well"
    if edge is not None:
        said += f"; from {edge:.3g} on training fails"
    return said + "."
