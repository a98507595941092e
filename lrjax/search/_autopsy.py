"""The autopsy of a divergence: a member trained again, alone, with an eye on every leaf of every step."""

from __future__ import annotations

import collections
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lrjax import _check, _tree
from lrjax.answer import Autopsy, judge
from lrjax.answer._autopsy import plain_path
from lrjax.answer._measured import point_at
from lrjax.engine._member import Arrays, Member
from lrjax.engine._replay import cause_of
from lrjax.results import SweepData
from lrjax.search import _alone
from lrjax.search._alone import SUSTAINED, TOLERANCE, Alone, Course, Run, Who, deviations
from lrjax.trials import Trial

_ROOTS = (".params", "['params']")  # where states keep their weights
_ORDER = ("batch", "loss", "gradient", "update", "state", "parameters")  # in which a step computes them


def autopsy(
    sweep: SweepData,
    trial: Trial,
    data: Any,
    of_data: Sequence[str],
    point: int | None = None,
    seed: int | None = None,
    before: int = 20,
) -> Autopsy:
    """Trains a member that diverged again, alone; see `Sweep.autopsy`.

    Args:
      sweep: What the sweep measured.
      trial: What it trained.
      data: What it trained on, or a function of hyperparameters that gives it.
      of_data: The names of these.
      point: The point's index, or None.
      seed: The seed's index, or None.
      before: How many steps before the first bad one are recorded.

    Returns:
      An `Autopsy`.
    """
    call = "autopsy"
    _alone.check_sweep(call, sweep, trial)
    before = _check.integer(call, "before", before, low=1)
    who = _chosen(sweep, point, seed)

    def attempt(alone: Alone) -> tuple[int, Autopsy]:
        found = _opened(sweep, who, alone, before)
        agrees = found.departs_at < 0 and found.step >= 0
        return -1 if agrees else max(found.departs_at, 0), found

    with _alone.pinned():
        readings = _alone.readings(call, sweep, trial, data, of_data, _watched_step)
        return _alone.best_reading(readings, who[0], attempt)


def _chosen(sweep: SweepData, point: int | None, seed: int | None) -> Who:
    """The member to look at: of those asked for that diverged, the one with the smallest rate."""
    asked = {"point": point, "seed": seed}
    given = {name: value for name, value in asked.items() if value is not None}
    for (name, value), size in zip(asked.items(), sweep.diverged_at.shape, strict=True):
        if value is not None and _check.integer("autopsy", name, value) >= size:
            raise _check.fail("autopsy", name, f"below {size}", value)
    diverged = [(int(p), int(s)) for p, s in np.argwhere(sweep.diverged_at >= 0)]
    if not diverged:
        raise _check.fail("autopsy", "sweep", "one with members that diverged", "one without")
    able = [w for w in diverged if point in (None, w[0]) and seed in (None, w[1])]
    if not able:
        shown = ", ".join(map(str, diverged[:5])) + (", ..." if len(diverged) > 5 else "")
        expected = f"of a member that diverged: (point, seed) = {shown}"
        got = " and ".join(f"{name} {value}" for name, value in given.items())
        raise _check.fail("autopsy", next(iter(given)), expected, f"{got}, which did not")
    unknown = _alone.undetermined(sweep)
    known = [who for who in able if who not in unknown]
    if not known:
        _alone.check_determined("autopsy", "point", sweep, able[0])
    rates = _rates(sweep)
    return min(known, key=lambda who: (0.0 if rates is None else rates[who[0]], who))


def _rates(sweep: SweepData) -> np.ndarray | None:
    """The learning rate of each point; None where not all points have one."""
    rates = sweep.points.get(sweep.name)
    return None if rates is None or rates.dtype == object else rates.astype(float)


def _highest_that_trained(sweep: SweepData, point: int) -> float | None:
    """The highest rate below a point's at which no seed failed, all else being equal."""
    rates = _rates(sweep)
    if rates is None:
        return None
    others = [values for name, values in sweep.points.items() if name != sweep.name]
    begun = np.isfinite(sweep.metrics["loss"]).any(axis=-1)
    trained = [
        float(rates[p])
        for p in np.flatnonzero((begun & ~judge(sweep).failed & (sweep.diverged_at < 0)).all(axis=1))
        if rates[p] < rates[point] and all(values[p] == values[point] for values in others)
    ]
    return max(trained, default=None)


# What is seen of a step.


def _watched_step(member: Member) -> _alone.Step:
    """A step that also tells which of its leaves are finite, and how large each is."""

    def step(arrays: Arrays, batch: Any, numbers: Mapping[str, Any]) -> tuple[Any, ...]:
        new, metrics, marked = member.marked_step(arrays, batch, numbers)
        finite = member.finite(arrays, batch, new, metrics, marked)
        batches = jax.tree_util.tree_leaves_with_path(batch)
        leaves = {"batch" + jax.tree_util.keystr(path): jnp.asarray(x) for path, x in batches}
        leaves |= marked
        weights = _weights(member, [name for name in marked if name.startswith("gradient")])
        for path, x, y in zip(member.frame.array_paths, arrays, new, strict=True):
            leaves["state" + path] = y
            if path in weights and jnp.issubdtype(x.dtype, jnp.inexact):
                x, y = _tree.wide(x), _tree.wide(y)
                leaves["weights" + path] = x
                leaves["half change" + path] = y / 2 - x / 2  # the whole may overflow where both are finite
        sizes = {name: _size(x) for name, x in leaves.items() if jnp.issubdtype(x.dtype, jnp.inexact)}
        return new, metrics, member.good(new, arrays), finite, sizes

    return step


def _size(x: jax.Array) -> jax.Array:
    """The largest magnitude of a leaf (NaN if one is), a unit, and the norm in units: none overflows."""
    x = _tree.wide(x)
    largest = jnp.max(jnp.abs(x), initial=0)
    unit = _tree.unit_for(largest)
    return jnp.stack([largest, unit, jnp.sqrt(jnp.sum(_tree.square(x / unit)))])


def _weights(member: Member, gradients: Sequence[str]) -> dict[str, str]:
    """Where the weights are among a state's arrays, and their paths without what all of them begin with.

    They are under `params`, or where the leaves of the marked gradient are; else any number may be one.
    """
    paths = [path for path in member.frame.array_paths if path not in member.frame.unset]
    slopes = sorted(name.removeprefix("gradient") for name in gradients)
    roots = [root for root in _ROOTS if any(_is_under(path, root) for path in paths)]
    if not roots and slopes and slopes[0]:
        ends = [path.removesuffix(slopes[0]) for path in paths if path.endswith(slopes[0])]
        roots = [root for root in ends if all(root + slope in paths for slope in slopes)]
        return {roots[0] + slope: slope for slope in slopes} if roots else {path: path for path in paths}
    root = roots[0] if roots else ""
    return {path: path.removeprefix(root) for path in paths if not root or _is_under(path, root)}


def _is_under(path: str, root: str) -> bool:
    return path.startswith(root) and path[len(root) : len(root) + 1] in ("", ".", "[")


# What becomes of it.


class _Seen(NamedTuple):
    """A step: by what a leaf is and where it stands, whether it was finite, and its `_size`."""

    step: int
    finite: dict[str, np.ndarray]
    sizes: dict[str, np.ndarray]


class _Fault(NamedTuple):
    """The first bad step; see the fields of `Autopsy`."""

    step: int
    first: str
    leaf: str
    kind: str
    bad: tuple[str, ...]


def _opened(sweep: SweepData, who: Who, alone: Alone, before: int) -> Autopsy:
    """The autopsy of a member, under one reading of what its point is."""
    course = Course(sweep, who, alone)
    run = course.begin()
    diverged_at = int(sweep.diverged_at[who])
    kept: collections.deque[Any] = collections.deque(maxlen=before + SUSTAINED)
    for step in course.steps([run], _alone.with_room(sweep, diverged_at)):
        kept.append((step, *run.seen))  # on the device still: only what is left at the end is fetched
        if run.diverged_at >= 0:
            break
    seen = [_Seen(*each) for each in jax.device_get(list(kept))]
    weights = _weights(alone.member, [name for name in seen[-1].sizes if name.startswith("gradient")])
    fault = _fault(run, seen[-1], weights)
    begin = (fault.step if fault.step >= 0 else seen[-1].step + 1) - before
    seen = [each for each in seen if each.step >= begin]
    steps = np.array([each.step for each in seen])
    names, rows = alone.member.names, np.array(run.rows)
    losses = rows[:, names.index("loss")].astype(float)
    rates = rows[steps, names.index("learning_rate")].astype(float) if "learning_rate" in names else None
    departs_at, deviation = _departure(sweep, who, losses)
    gradients = _norms(seen, "gradient", lambda path: path)
    updates = _norms(seen, "half change", weights.__getitem__, 2.0)
    sizes = _norms(seen, "weights", weights.__getitem__)
    return Autopsy(
        point=who[0],
        seed=who[1],
        hyperparams=point_at(sweep, who[0]),
        name=sweep.name,
        **fault._asdict(),
        steps=steps,
        losses=losses[steps],
        learning_rates=rates,
        gradient_norms=_together(gradients, len(steps)) if gradients else None,
        update_norms=_together(updates, len(steps)),
        weight_norms=_together(sizes, len(steps)),
        leaf_gradient_norms=gradients,
        leaf_update_norms=updates,
        leaf_weight_norms=sizes,
        first_loss=float(losses[0]),
        planned=sweep.steps,
        diverged_at=diverged_at,
        departs_at=departs_at,
        deviation=deviation,
        trained=_highest_that_trained(sweep, who[0]),
    )


def _fault(run: Run, last: _Seen, weights: Mapping[str, str]) -> _Fault:
    """What went bad first in the step with which a run ended, if it did."""
    if run.diverged_at < 0:
        return _Fault(-1, "", "", "", ())
    if all(last.finite.values()):
        return _Fault(run.diverged_at - SUSTAINED + 1, "blow-up", "", "", ())
    bad = [name for name, good in last.finite.items() if not good]
    cause, path = cause_of(last.finite)
    changed = [name for name in bad if name.startswith("update")]
    states = [name.removeprefix("state") for name in bad if name.startswith("state")]
    if cause == "loss":
        name, first = (path, "batch") if path else ("loss", "loss")
    elif cause == "gradient":
        name, first = "gradient" + path, "gradient"
    elif changed:
        name, first = changed[0], "update"
    else:
        path = next((path for path in states if path in weights), path)
        name, first = "state" + path, "parameters" if path in weights else "state"
    size = run.rows[-1][run.loss] if name == "loss" else last.sizes[name][0]
    kind = "nan" if np.isnan(size) else "inf"
    shown = sorted((_shown(name, weights) for name in bad), key=lambda name: _ORDER.index(name[0]))
    leaf = _shown(name, weights)[1]
    return _Fault(run.diverged_at, first, leaf, kind, tuple(" ".join(part).strip() for part in shown))


def _shown(name: str, weights: Mapping[str, str]) -> tuple[str, str]:
    """What a leaf is, and its path in plain words."""
    kind = next(kind for kind in _ORDER if name.startswith(kind))
    path = name.removeprefix(kind)
    if kind == "state" and path in weights:
        return "parameters", _leaf(weights[path])
    return kind, "" if kind == "loss" else plain_path(path) if kind == "batch" else _leaf(path)


def _leaf(path: str) -> str:
    """The name of a leaf: weights may be one array, and so may a state."""
    return {"": "params", "the state itself": "state"}.get(path) or plain_path(path)


def _norms(
    seen: Sequence[_Seen], kind: str, relative: Callable[[str], str], factor: float = 1.0
) -> dict[str, np.ndarray]:
    """The norms of all leaves of a kind, by leaf, in float64, where they do not overflow."""
    tables: dict[str, np.ndarray] = {}
    for name in seen[-1].sizes:
        if name.startswith(kind):
            largest, unit, norm = np.array([each.sizes[name] for each in seen], float).T
            norms = np.where(np.isfinite(largest), unit * norm, largest)
            tables[_leaf(relative(name.removeprefix(kind)))] = factor * norms
    return tables


def _together(norms: Mapping[str, np.ndarray], count: int) -> np.ndarray:
    """The norm of all leaves together."""
    return functools.reduce(np.hypot, norms.values(), np.zeros(count))


def _departure(sweep: SweepData, who: Who, losses: np.ndarray) -> tuple[int, float]:
    """The first recorded step whose loss is not the sweep's, or -1; and the largest deviation."""
    length = min(len(losses), int(sweep.diverged_at[who]))
    compared = np.flatnonzero(sweep.recorded_steps < length)
    at = sweep.recorded_steps[compared]
    recorded = np.array(losses[:length])
    recorded[at] = sweep.metrics["loss"][who][compared]
    off = deviations(losses[:length], recorded)[at]
    return int(next(iter(at[off > TOLERANCE]), -1)), float(off.max(initial=0.0))
