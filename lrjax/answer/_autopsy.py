"""Why a training diverged: what was measured of the steps before it, and what that means in plain words."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np

_LARGE = 0.1  # of the weights: updates from there on change them altogether within a few steps
_MATTERS = 0.01  # of the weights: an update below that does not break a model by itself
_NOTED = 2.0  # times its lowest value before, from which on growth is spoken of
_GROWN = 10.0  # times its lowest value before: more than noise
_SPIKE_STEPS = 2  # at the end of the records: what grew within them came at once
_CALM_STEPS = 3  # records before these, without which nothing is known of what was usual
_EARLY = 0.1  # of the planned steps, within which a warmup may help
_PATH = re.compile(r"\['([^']*)'\]|\[(\d+)\]|\.(\w+)")  # an entry, as JAX writes it


@dataclasses.dataclass(frozen=True, eq=False)
class Autopsy:
    """The last steps of a member that diverged; made by `Sweep.autopsy`.

    Norms are Euclidean: of all leaves together or, in what begins with `leaf_`, of each. A record is a step:
    its loss, its gradient, its update, and the weights before that.

    Attributes:
      point: The point's index.
      seed: The seed's index.
      hyperparams: The point's hyperparameters.
      name: The one that is the learning rate.
      step: The first bad step, from 0; of a "blow-up" the first of the steps in a row whose loss was far
        above its start. -1 if the member did not diverge when it was trained again.
      first: What went bad first in it: "batch", "loss", "gradient", "update", "parameters", "state" (what
        an optimizer or a model remembers), or "blow-up" of a loss that stayed finite. "" if nothing did.
      leaf: The path of the first leaf of that which was not finite, such as "layers/0/w"; or "".
      kind: "nan" (also where there are both) or "inf"; "" of a blow-up.
      bad: All that was not finite in that step or after it, such as "gradient layers/0/w".
      steps: int `[records]`, the steps that are recorded; the last is the one with which training ended.
      losses: float `[records]`, the training loss before each step.
      learning_rates: float `[records]`, the rate that each step used; None if the trial does not tell it.
      gradient_norms: float `[records]`; None if the trial does not mark its gradient.
      update_norms: float `[records]`, of what the step changed the weights by.
      weight_norms: float `[records]`, of the weights before the step.
      leaf_gradient_norms: The same by leaf; empty if gradients are not marked.
      leaf_update_norms: The same by leaf.
      leaf_weight_norms: The same by leaf.
      first_loss: The training loss of step 0.
      planned: Steps that the sweep had planned.
      diverged_at: The step at which the sweep says that the member diverged.
      departs_at: The first recorded step whose loss is not the sweep's, to 1e-5 of the largest until then;
        -1 for none.
      deviation: The largest such deviation.
      trained: The highest rate below this one at which the sweep trained, all else being equal; None if
        there is none.

    Example:
      >>> import lrjax
      >>> task = lrjax.tasks.load("quadratic-deep")
      >>> run, grid = task.trial(lrjax.sgd), {"learning_rate": [0.01, 1.0]}
      >>> sweep = lrjax.sweep(run, grid, task.data, steps=60, progress=False)
      >>> autopsy = sweep.autopsy(run, task.data)
      >>> autopsy.first, autopsy.kind, autopsy.trained
      ('loss', 'inf', 0.01)
    """

    point: int
    seed: int
    hyperparams: dict[str, Any]
    name: str
    step: int
    first: str
    leaf: str
    kind: str
    bad: tuple[str, ...]
    steps: np.ndarray
    losses: np.ndarray
    learning_rates: np.ndarray | None
    gradient_norms: np.ndarray | None
    update_norms: np.ndarray
    weight_norms: np.ndarray
    leaf_gradient_norms: dict[str, np.ndarray]
    leaf_update_norms: dict[str, np.ndarray]
    leaf_weight_norms: dict[str, np.ndarray]
    first_loss: float
    planned: int
    diverged_at: int
    departs_at: int
    deviation: float
    trained: float | None

    @property
    def ratios(self) -> np.ndarray:
        """The norm of each update over that of the weights, float `[records]`; infinite where these are 0."""
        return _ratio(self.update_norms, self.weight_norms)

    @property
    def leaf_ratios(self) -> dict[str, np.ndarray]:
        """The same by leaf."""
        norms = self.leaf_update_norms.items()
        return {leaf: _ratio(updates, self.leaf_weight_norms[leaf]) for leaf, updates in norms}

    @property
    def growth(self) -> dict[str, float]:
        """How many times the lowest norm before the first bad step a leaf's gradient had at the last; >= 1.

        Of its update where gradients are not marked.
        """
        norms = self.leaf_gradient_norms or self.leaf_update_norms
        return {leaf: _grown(values[self._before]) for leaf, values in norms.items()}

    @property
    def fastest(self) -> str:
        """The leaf that grew the most; "" if none did."""
        growth = self.growth
        leaf = max(growth, key=lambda name: growth[name], default="")
        return leaf if leaf and growth[leaf] > 1 else ""

    def summary(self) -> str:
        """What happened, what came before it and what to try: a few lines in plain words."""
        return "\n".join([*_headline(self), *_evidence(self), *_advice(self), *_departure(self)])

    def __str__(self) -> str:
        """The same as `summary`."""
        return self.summary()

    @property
    def _before(self) -> np.ndarray:
        """Which records are of steps before the first bad one."""
        return self.steps < self.step if self.step >= 0 else np.ones(len(self.steps), bool)


def plain_path(path: str) -> str:
    """A path as people write it.

    Args:
      path: One of `jax.tree_util.keystr`.

    Returns:
      Its entries between slashes; what is not such a path comes back as it is.

    Example:
      >>> plain_path(".params['layers'][0].w"), plain_path("[<flat index 0>]")
      ('params/layers/0/w', '[<flat index 0>]')
    """
    entries = list(_PATH.finditer(path))
    if "".join(entry[0] for entry in entries) != path:
        return path
    return "/".join(next(part for part in entry.groups() if part is not None) for entry in entries)


def _ratio(updates: np.ndarray, weights: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(updates == 0, 0.0, updates / weights)


def _grown(norms: np.ndarray) -> float:
    """The last of some norms over the lowest that is above 0; >= 1."""
    above = norms[(norms > 0) & np.isfinite(norms)]
    return float(max(1.0, above[-1] / above.min())) if len(above) else 1.0


# What happened.


def _headline(autopsy: Autopsy) -> list[str]:
    if autopsy.step < 0:
        last = autopsy.steps[-1]
        found = f"Trained alone, it did not diverge until step {last}; in the sweep it did at step"
        return [f"{found} {autopsy.diverged_at}.", _whose(autopsy)]
    became = f"became {'NaN' if autopsy.kind == 'nan' else autopsy.kind}"
    leaf = f"`{autopsy.leaf}`"
    count = autopsy.steps[-1] - autopsy.step + 1
    what = {
        "batch": f"{leaf} of the batch holds numbers that are not finite, and so the loss {became}",
        "loss": f"the loss {became}",
        "gradient": f"the gradient of {leaf} {became}; the loss was finite",
        "update": f"the update of {leaf} {became}; loss and gradient were finite",
        "parameters": f"the weights {leaf} {became}",
        "state": f"{leaf}, which is remembered beside the weights, {became}",
        "blow-up": f"the loss was far above its start, and so it stayed for {count} steps; all is finite",
    }[autopsy.first]
    return [f"Step {autopsy.step}: {what}.", _whose(autopsy)]


def _whose(autopsy: Autopsy) -> str:
    point = ", ".join(f"{name} = {_number(value)}" for name, value in autopsy.hyperparams.items())
    text = f"This is point {autopsy.point}, seed {autopsy.seed}" + (f": {point}" if point else "")
    asked, rates = autopsy.hyperparams.get(autopsy.name), autopsy.learning_rates
    if rates is None or not isinstance(asked, (int, float)) or autopsy.step < 0:
        return f"{text}."
    used = float(rates[autopsy.steps == autopsy.step][0])
    return f"{text}." if np.isclose(used, asked, rtol=1e-4) else f"{text}; the rate was then {used:.3g}."


# What came before.


def _evidence(autopsy: Autopsy) -> list[str]:
    if autopsy.step < 0:
        return []
    before = autopsy._before
    lines = [_losses(autopsy)]
    remembered = [name.removeprefix("state ") for name in autopsy.bad if name.startswith("state ")]
    if autopsy.first == "update" and remembered:
        lines.append(f"With it went `{remembered[0]}`, which the optimizer remembers.")
    if before.any():
        lines += [_updates(autopsy.ratios[before]), _gradients(autopsy)]
    return lines


def _losses(autopsy: Autopsy) -> str:
    """The loss at the start, before the first bad step, in it, and at the end."""
    wanted = (autopsy.step - 1, autopsy.step, autopsy.steps[-1])
    records = zip(autopsy.steps.tolist(), autopsy.losses.tolist(), strict=True)
    told = {0: autopsy.first_loss, **{step: loss for step, loss in records if step in wanted}}
    return "Loss: " + ", ".join(f"{loss:.3g} at step {step}" for step, loss in told.items()) + "."


def _updates(ratios: np.ndarray) -> str:
    """How large updates were against the weights; `ratios` are those before the first bad step."""
    large = _large(ratios)
    counted = large or len(ratios)
    typical = float(np.median(ratios[-counted:]))
    when, median = f"In the {counted} steps before,", " (median)"
    if counted == 1:
        when, median = "In the step before,", ""
    if not np.isfinite(typical):
        return f"{when} the weights were 0: no update is small against them."
    return (
        f"{when} the update was {_share(typical)} the weights{median}{'; 0.1 % is usual' if large else ''}."
    )


def _large(ratios: np.ndarray) -> int:
    """How many of the last updates in a row were large against the weights."""
    small = np.flatnonzero(~(ratios >= _LARGE))
    return len(ratios) - (int(small[-1]) + 1 if len(small) else 0)


def _gradients(autopsy: Autopsy) -> str:
    """How large the gradient was, and which leaf grew the most."""
    before, norms = autopsy._before, autopsy.gradient_norms
    if norms is None:
        text = (
            "The trial does not mark its gradient (`lrjax.trials.named_gradient`), so its norm is not known"
        )
    else:
        grown = _grown(norms[before])
        text = f"The gradient's norm was {norms[before][-1]:.3g} in the step before"
        if grown >= _NOTED:
            text += f", {grown:.3g} times the lowest of these {before.sum()} steps"
    growth, fastest = autopsy.growth, autopsy.fastest
    if len(growth) > 1 and fastest and growth[fastest] >= _NOTED:
        what = "gradient" if autopsy.leaf_gradient_norms else "update"
        text += f"; the {what} of `{fastest}` grew the most, {growth[fastest]:.3g} times"
    return f"{text}."


# What to try.


def _advice(autopsy: Autopsy) -> list[str]:
    if autopsy.step < 0:
        return []
    before = autopsy._before
    if autopsy.first == "batch":
        return ["Mend the data: that batch cannot be learned from, whatever the rate."]
    if not before.any() and autopsy.first in ("loss", "gradient", "state"):
        return ["No update came before, so the rate is not to blame: look at the first batch and weights."]
    if not before.any() or _rate_is_to_blame(autopsy):
        return [_cures(autopsy)]
    look = {
        "loss": "what the loss takes a logarithm or a root of, divides by or exponentiates",
        "gradient": "roots, norms and divisions near 0, whose slope may be infinite where they are not",
        "update": "what the optimizer divides by",
    }.get(autopsy.first, f"what a step does to `{autopsy.leaf}`")
    return [f"Little had grown before, so the rate is hardly to blame. Look at {look}."]


def _rate_is_to_blame(autopsy: Autopsy) -> bool:
    before = autopsy._before
    ratios, losses, norms = autopsy.ratios[before], autopsy.losses[before], autopsy.gradient_norms
    lowest = float(losses.min())
    climbed = losses[-1] - lowest >= (_GROWN - 1) * max(abs(lowest), abs(autopsy.first_loss))
    # A gradient alone may jump ten times by its noise, near the end of a training for instance.
    grew = norms is not None and _grown(norms[before]) >= _GROWN and ratios[-1] >= _MATTERS
    return bool(autopsy.first == "blow-up" or _large(ratios) or climbed or grew)


def _cures(autopsy: Autopsy) -> str:
    """What to try where the rate is too high, the likeliest first."""
    rate = "a rate 3 to 10 times smaller"
    if autopsy.trained is not None:
        rate = f"{autopsy.name} = {_number(autopsy.trained)} (the next below that trained in this sweep)"
    early = autopsy.step < _EARLY * autopsy.planned
    usual = _usual_before_a_spike(autopsy)
    if usual is not None:
        others = [rate, *(["a warmup"] if early else [])]
        return f"Try to clip the gradient's norm to {usual:.3g}, as it was before; or {' or '.join(others)}."
    others = [rate, *(["a warmup (it failed early)"] if early else [])]
    return f"Try {', '.join(others)}, or gradients clipped by their norm."


def _usual_before_a_spike(autopsy: Autopsy) -> float | None:
    """The norm that gradients had before it was ten times as large at once; None if it was not so."""
    if autopsy.gradient_norms is None:
        return None
    norms = autopsy.gradient_norms[autopsy._before]
    calm = norms[:-_SPIKE_STEPS]
    if len(calm) < _CALM_STEPS:
        return None
    usual = float(np.median(calm))
    sudden = norms[-1] >= _GROWN * usual and calm.max() < _GROWN * calm.min()
    return usual if sudden else None


# Whether what was trained again is what the sweep trained.


def _departure(autopsy: Autopsy) -> list[str]:
    lines = []
    if autopsy.step >= 0 and autopsy.steps[-1] != autopsy.diverged_at:
        lines.append(f"Alone it ended at step {autopsy.steps[-1]}, in the sweep at {autopsy.diverged_at}.")
    if autopsy.departs_at < 0:
        return lines
    text = f"From step {autopsy.departs_at} on, its loss is not that of the sweep"
    if autopsy.departs_at <= 1:
        return [*lines, f"{text}: other data, another trial, or another key?"]
    who = f"[({autopsy.point}, {autopsy.seed})]"
    by = f"by up to {_share(autopsy.deviation).removesuffix(' of')}"
    return [*lines, f"{text}, {by}; `sweep.verify(trial, data, {who})` tells whether rounding explains that."]


def _share(ratio: float) -> str:
    """A ratio for people: "40 % of", "25 times"."""
    return f"{ratio:.3g} times" if ratio >= 10 else f"{100 * ratio:.{3 if ratio >= 1 else 2}g} % of"


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, (int, float)) and not isinstance(value, bool) else str(value)
