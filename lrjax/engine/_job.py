"""What to train, and how far it is: plain values between the engine and whoever asks it to train."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jax.sharding import Mesh

from lrjax.data import Data
from lrjax.engine._program import HeldOut as HeldOut
from lrjax.results import Plan
from lrjax.trials import Trial


class Rule(NamedTuple):
    """Which points train on: asked when all of them stand at the same step.

    Attributes:
      rungs: The steps at which it is asked, increasing, multiples of the evaluation interval.
      keep: `keep(step, losses [points, seeds], alive [points], history, start) -> kept [points]`; losses
        are infinite where a member failed and NaN where its point no longer trains (with patience they are
        the best until then), `history` holds what was asked before, `(step, losses)`, and `start` the
        losses before training.
      horizon: The hyperparameter that holds the schedule's horizon: points then start anew after each
        rung, and this number is scaled to the steps they get. None for points that just go on.
      name: What tells it from other rules.
    """

    rungs: tuple[int, ...]
    keep: Callable[[int, np.ndarray, np.ndarray, Sequence[tuple[int, np.ndarray]], np.ndarray], np.ndarray]
    horizon: str | None
    name: str


class Job(NamedTuple):
    """What to train; all values are checked already.

    Attributes:
      trial: The trial.
      points: The hyperparameters of each point.
      data: `data(hyperparameters of data) -> Data`.
      of_data: The names of those hyperparameters.
      steps: Updates per member.
      seeds: Members per point.
      key: The base of the members' keys.
      shared_order: Whether all seeds see the data in the order of seed index 0.
      evaluate_every: Updates between evaluations.
      record_every: Steps between recorded training metrics.
      held_out: What to evaluate on, or None.
      test: What to evaluate on after the last step, or None.
      name: The hyperparameter that is the learning rate.
      plan: How to run the members, or None to choose.
      mesh: The devices to lay members out over, or None.
      rule: Which points train on, or None for all.
      blow_up: How far above its first loss, in units of the larger of that loss's size and the best
        improvement on it, a member counts as diverged; None for no such rule.
      patience: Evaluations without a better held-out loss after which a member stops, or None.
      keep: Which states to hand out: "final", "best".
      sustained: For how many steps in a row a loss must be so far above.
      first_seed: The first seed's index, for a job that adds seeds to what another one trained.
    """

    trial: Trial
    points: Sequence[Mapping[str, Any]]
    data: Callable[[Mapping[str, Any]], Data]
    of_data: tuple[str, ...]
    steps: int
    seeds: int
    key: int
    shared_order: bool
    evaluate_every: int
    record_every: int
    held_out: HeldOut | None
    test: HeldOut | None
    name: str
    plan: Plan | None
    mesh: Mesh | None
    rule: Rule | None
    blow_up: float | None
    patience: int | None
    keep: tuple[str, ...]
    sustained: int = 20
    first_seed: int = 0


class Progress(NamedTuple):
    """How far a job is.

    Attributes:
      phase: What is being done: "checking", "compiling", "probing", "training", ...
      fraction: The part of all member-steps that is done or saved, in [0, 1].
      step: Updates that the members in training have behind them.
      alive: Members that have not diverged.
      members: All members.
      best: The best point's index so far, or None before anything finite is measured.
      loss: Its median loss over seeds, held out where there is held-out data; NaN without a best.
    """

    phase: str
    fraction: float
    step: int
    alive: int
    members: int
    best: int | None
    loss: float
