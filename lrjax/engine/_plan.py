"""How to run the members: what is asked for, what is possible, what is likely best, what is measured.

What is known to be bad is ruled out by looking at the traced step: convolutions become grouped when
members are vmapped, and are slow inside of loops unless rewritten; some primitives cannot be vmapped at
all. What is left is measured, but only where the job is long enough to repay it.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax

from lrjax import _check
from lrjax.engine._inspect import Findings
from lrjax.results import Plan

_MEMBERS = ("pool", "sequential", "vmap", "unrolled", "sharded")
_STEPS = ("scan", "unrolled", "dispatch")
_EXPECTED = (
    "'auto', 'lean', or one of 'pool', 'sequential', 'vmap', 'unrolled', 'sharded', with '/scan', "
    "'/unrolled' or '/dispatch' and '/' and a width behind it if you like, as in 'vmap/scan/16'"
)

# Seconds on one CPU core, for the first guess only: an operation of a compiled loop, a floating-point
# operation of a matrix product, a byte that is read or written.
_PER_OPERATION, _PER_FLOP, _PER_BYTE = 0.01e-6, 1 / 100e9, 1 / 300e9
_SMALL = 8e-6  # seconds per step below which operations' overhead is what a step costs
_MOST_UNROLLED = 16  # members
_LONG = 4.0  # seconds below which nothing is measured
PROBE = 0.5  # seconds of running that tell how fast a plan is
_REPAYS = 6.0  # a job must take so many times as long as choosing


class Setting(NamedTuple):
    """What a plan is chosen for.

    Attributes:
      findings: What a step of one member holds.
      members: Members of the group.
      seeds: Seeds among them.
      devices: Devices to lay them out over.
      cores: Threads that can run at the same time.
      on_cpu: Whether the device is the CPU.
    """

    findings: Findings
    members: int
    seeds: int
    devices: int
    cores: int
    on_cpu: bool

    @property
    def rewrites(self) -> bool:
        """Whether the step holds what is faster in canonical form."""
        return self.on_cpu and self.findings.convolutions + self.findings.contractions > 0

    @property
    def seconds(self) -> float:
        """A guess at what a step of one member takes on one core."""
        f = self.findings
        return f.equations * _PER_OPERATION + f.flops * _PER_FLOP + f.bytes * _PER_BYTE


def cores() -> int:
    """Cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def parse(call: str, value: Any) -> Plan | None:
    """The plan that is asked for by name, or None for one that is to be chosen.

    Raises:
      TypeError: If it is neither a string nor a `Plan`.
      ValueError: If there is no such plan.
    """
    if isinstance(value, Plan):
        width = value.width
        fits = width is None or (type(width) is int and width >= 1)
        if value.members not in (*_MEMBERS, "mapped", "lean") or value.steps not in _STEPS or not fits:
            raise _check.fail(call, "plan", _EXPECTED, repr(value))
        return value
    if not isinstance(value, str):
        raise _check.fail_type(call, "plan", _EXPECTED, _check.describe(value))
    if value == "auto":
        return None
    if value == "lean":
        return Plan("lean", lean=True, why="asked for")
    members, *rest = value.split("/")
    width = rest.pop() if rest and rest[-1].isdecimal() else None
    steps = rest.pop() if rest else "scan"
    if members not in _MEMBERS or steps not in _STEPS or rest or (width and int(width) < 1):
        raise _check.fail(call, "plan", _EXPECTED, repr(value))
    return Plan(members, steps, None if width is None else int(width), why="asked for")


def complete(call: str, asked: Plan, setting: Setting) -> Plan:
    """A plan that is asked for, with what it leaves open.

    Raises:
      ValueError: If the trial cannot be run so.
    """
    plan = asked
    if plan.members == "lean":
        plan = dataclasses.replace(
            plan, members="pool" if setting.on_cpu and setting.devices == 1 else "vmap"
        )
    if plan.members == "sharded" or (setting.devices > 1 and not plan.alone):
        one_by_one = plan.members == "sharded" and setting.on_cpu and plan.steps == "scan" and not plan.lean
        members = "mapped" if one_by_one else "vmap" if plan.members == "sharded" else plan.members
        plan = dataclasses.replace(plan, members=members, devices=setting.devices)
    if setting.findings.unbatchable and not plan.alone:
        what = ", ".join(setting.findings.unbatchable)
        expected = f"'sequential', since the trial's step holds {what}, which cannot be vmapped"
        raise _check.fail(call, "plan", expected, repr(str(asked)))
    threads = setting.cores if plan.members == "pool" else 1
    return dataclasses.replace(plan, threads=threads, canonical=setting.rewrites)


def candidates(setting: Setting) -> list[Plan]:
    """The plans that may be best, the likeliest first, each with what speaks for it."""
    f = setting.findings

    def plan(members: str, why: str, **options: Any) -> Plan:
        threads = setting.cores if members == "pool" else 1
        return Plan(members, canonical=setting.rewrites, threads=threads, why=why, **options)

    if f.callbacks or f.unbatchable:
        what = ", ".join(dict.fromkeys([*f.callbacks, *f.unbatchable]))
        return [plan("sequential", f"the step calls the host or devices ({what}), so members run in order")]
    if setting.devices > 1:
        members = "mapped" if setting.on_cpu else "vmap"
        return [
            plan(members, f"members are laid out over {setting.devices} devices", devices=setting.devices)
        ]
    if setting.members == 1:
        return [plan("sequential", "there is one member")]
    if setting.on_cpu:
        return _on_cpu(setting, plan)
    if f.convolutions:
        chosen = [plan("vmap", "members share one program on the device")]
        if setting.members <= _MOST_UNROLLED:
            chosen.append(plan("unrolled", "convolutions are not grouped when members are written out"))
        return [*chosen, plan("sequential", "convolutions are not grouped when members run in order")]
    return [plan("vmap", "small steps are launched once for all members")]


def _on_cpu(setting: Setting, plan: Callable[..., Plan]) -> list[Plan]:
    pool = plan("pool", "each core trains a member at a time")
    if setting.findings.convolutions:
        return [pool]  # vmapped convolutions become grouped, 2 to 5 times slower
    vmap = plan("vmap", "a step is so small that members share what each operation costs")
    return [vmap, pool] if setting.seconds < _SMALL else [pool, vmap]


def worth_measuring(found: Sequence[Plan], guess: float) -> bool:
    """Whether a job that may take so many seconds is long enough for its plans to be measured."""
    return len(found) > 1 and guess >= _LONG


def choose(
    found: Sequence[Plan],
    fit: Callable[[Plan], Plan],
    measure: Callable[[Plan, float | None], tuple[float, float]],
    members: int,
    member_steps: int,
    guess: float,
    report: Callable[[str], None],
) -> Plan:
    """The plan to run: the likeliest, or where the job is long the fastest measured.

    Args:
      found: The candidates, the likeliest first.
      fit: Gives a plan the width that fits the memory, which may take compiling.
      measure: Seconds per member-step of a plan, and seconds that compiling it took; told what another
        plan takes per member-step, if one has been measured.
      members: Members of the group.
      member_steps: Member-steps of the job.
      guess: Seconds that all of them may take.
      report: Told what is being done.
    """
    likeliest = fit(found[0])
    if len(found) == 1:
        return likeliest
    if not worth_measuring(found, guess):
        why = f"{likeliest.why}; the job is too short for measuring others to be repaid"
        return dataclasses.replace(likeliest, why=why)
    report("compiling")
    seconds, compiling = measure(likeliest, None)
    measured = {str(likeliest): seconds}
    running = seconds * member_steps
    trying = max(compiling, 0.2) + max(PROBE, 2 * seconds * members)  # seconds, for each of the others
    if running < _REPAYS * (len(found) - 1) * trying:
        why = f"{likeliest.why}; trying others would not be repaid in the {running:.2g} s the job takes"
        return dataclasses.replace(likeliest, why=why, measured=measured)
    plans = [likeliest]
    for plan in map(fit, found[1:]):
        report("probing")
        measured[str(plan)] = measure(plan, seconds)[0]
        plans.append(plan)
    best = min(plans, key=lambda plan: measured[str(plan)])
    return dataclasses.replace(best, why=f"{best.why}; measured the fastest", measured=measured)


def device_kind() -> str:
    """The kind of device that programs run on by default."""
    return jax.devices()[0].device_kind
