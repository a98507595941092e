"""What became of a member in a chunk: found again at its last finite state where it diverged.

The programs that train do not test every number of every step, which would cost up to 40 % of the speed.
A member whose loss or final state is not finite is run again from the start of the chunk, to the step
where that began. What the repetition computes is what counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from lrjax.engine._member import Arrays
from lrjax.engine._program import Chunk, Programs


class Fault(NamedTuple):
    """Why a member cannot go on.

    Attributes:
      offset: The step within the chunk whose loss, or whose new state, is the first that is not finite.
      cause: "loss", "gradient", "parameters" or "blow-up".
      leaf: The first leaf that is not finite: of the batch, where the loss comes of that; of the
        gradient; of the state; or "".
    """

    offset: int
    cause: str
    leaf: str


class Outcome(NamedTuple):
    """What a member measured in a chunk.

    Attributes:
      metrics: float32 `[steps, metrics]`.
      fault: Why it cannot go on, or None.
    """

    metrics: np.ndarray
    fault: Fault | None


def healthy(metrics: np.ndarray, good: Any, loss: int) -> bool:
    """Whether a member's losses and its state are finite throughout a chunk."""
    return bool(good) and bool(np.isfinite(metrics[:, loss]).all())


def settle(
    programs: Programs,
    start: Arrays,
    numbers: Mapping[str, Any],
    selected: Any,
    count: int,
    chunk: Chunk | None = None,
) -> tuple[Arrays, Outcome]:
    """Runs one member through a chunk, as far as it stays finite.

    Args:
      programs: The programs of its group.
      start: Its state before the chunk.
      numbers: Its hyperparameters that are numbers.
      selected: What its batches are gathered from.
      count: The chunk's steps.
      chunk: What the chunk gave, if it has been run alone already.

    Returns:
      The state after the chunk, or the last finite one; and what was measured.
    """

    def run(steps: int) -> Chunk:
        return programs.replay(start, numbers, selected, steps)

    loss = programs.member.names.index("loss")
    chunk = run(count) if chunk is None else chunk
    metrics = np.asarray(chunk.metrics)[:count]
    if healthy(metrics, chunk.good, loss):
        return chunk.arrays, Outcome(metrics, None)
    offset, before = _last_finite(run, start, metrics[:, loss], bool(chunk.good))
    cause, leaf = cause_of(programs.diagnose(before, numbers, selected, offset))
    return before, Outcome(_until(metrics, offset), Fault(offset, cause, leaf))


def stood_still(
    programs: Programs, arrays: Arrays, numbers: Mapping[str, Any], selected: Any, metrics: Any, offset: int
) -> Outcome:
    """The outcome of a member that a lean program kept at its last finite state."""
    cause, leaf = cause_of(programs.diagnose(arrays, numbers, selected, offset))
    return Outcome(_until(metrics, offset), Fault(offset, cause, leaf))


def _last_finite(run: Any, start: Arrays, losses: np.ndarray, good: bool) -> tuple[int, Arrays]:
    """The first step that meets or makes a number that is not finite, and the state before it."""
    bad_losses = np.flatnonzero(~np.isfinite(losses))
    bad_after = len(losses)  # the state after so many steps is bad
    if len(bad_losses):
        step = int(bad_losses[0])
        before = run(step)
        if bool(before.good):
            return step, before.arrays
        bad_after = step
    elif good:
        raise AssertionError("nothing is wrong with this member")
    # The state turned bad in a step before: nearly always the one before, so that is tried first.
    fine_after, state, probe = 0, start, bad_after - 1
    while bad_after - fine_after > 1:
        attempt = run(probe)
        if bool(attempt.good):
            fine_after, state = probe, attempt.arrays
        else:
            bad_after = probe
        probe = (fine_after + bad_after) // 2
    return fine_after, state


def _until(metrics: np.ndarray, offset: int) -> np.ndarray:
    """The metrics of a member that stopped after the step at `offset`."""
    kept = np.array(metrics)
    kept[offset + 1 :] = np.nan
    return kept


def cause_of(flags: Mapping[str, Any]) -> tuple[str, str]:
    """What was first not finite, and where, of a step that a member diagnosed."""
    bad = [name for name, flag in flags.items() if not bool(flag)]

    def first(kind: str) -> str:
        return next((name.removeprefix(kind) for name in bad if name.startswith(kind)), "")

    if "loss" in bad:
        batch = [name for name in bad if name.startswith("batch")]
        return "loss", batch[0] if batch else ""
    if any(name.startswith("gradient") for name in bad):
        return "gradient", first("gradient")
    return "parameters", first("state")
