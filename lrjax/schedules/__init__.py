"""Schedules: how a number, most often the learning rate, moves during training."""

from lrjax.schedules._algebra import CooldownState, RepeatState, cooldown, repeat, warmup
from lrjax.schedules._decay import (
    constant_schedule,
    cosine_decay_schedule,
    exponential_decay,
    linear_schedule,
)
from lrjax.schedules._driven import HeldOutState
from lrjax.schedules._expression import schedule_from_text
from lrjax.schedules._greedy import GreedyState, greedy_schedule
from lrjax.schedules._hypergradient import HypergradientState, hypergradient_schedule
from lrjax.schedules._inject import InjectStatefulHyperparamsState, inject_hyperparams, schedulable
from lrjax.schedules._join import JoinSchedulesState, join_schedules
from lrjax.schedules._plateau import (
    PlateauCooldownState,
    PlateauState,
    adaptive_schedule,
    plateau_cooldown_schedule,
    plateau_schedule,
)
from lrjax.schedules._polyak import L4State, PolyakState, l4_schedule, polyak_schedule
from lrjax.schedules._preview import check_schedule
from lrjax.schedules._reduce_on_plateau import ReduceLROnPlateauState, reduce_on_plateau
from lrjax.schedules._schedule import (
    CombinedScheduleState,
    Schedule,
    ScheduleState,
    as_schedule,
    start,
    unset,
)
from lrjax.schedules._spike import SpikeBackoffState, spike_backoff_schedule
from lrjax.schedules._warmup import warmup_cosine_decay_schedule

__all__ = [
    "CombinedScheduleState",
    "CooldownState",
    "GreedyState",
    "HeldOutState",
    "HypergradientState",
    "InjectStatefulHyperparamsState",
    "JoinSchedulesState",
    "L4State",
    "PlateauCooldownState",
    "PlateauState",
    "PolyakState",
    "ReduceLROnPlateauState",
    "RepeatState",
    "Schedule",
    "ScheduleState",
    "SpikeBackoffState",
    "adaptive_schedule",
    "as_schedule",
    "check_schedule",
    "constant_schedule",
    "cooldown",
    "cosine_decay_schedule",
    "exponential_decay",
    "greedy_schedule",
    "hypergradient_schedule",
    "inject_hyperparams",
    "join_schedules",
    "l4_schedule",
    "linear_schedule",
    "plateau_cooldown_schedule",
    "plateau_schedule",
    "polyak_schedule",
    "reduce_on_plateau",
    "repeat",
    "schedulable",
    "schedule_from_text",
    "spike_backoff_schedule",
    "start",
    "unset",
    "warmup",
    "warmup_cosine_decay_schedule",
]
