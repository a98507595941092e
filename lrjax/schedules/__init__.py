"""Schedules: how a number, most often the learning rate, moves during training."""

from lrjax.schedules._decay import (
    constant_schedule,
    cosine_decay_schedule,
    exponential_decay,
    linear_schedule,
)
from lrjax.schedules._join import JoinSchedulesState, join_schedules
from lrjax.schedules._schedule import Schedule, ScheduleState, as_schedule
from lrjax.schedules._warmup import warmup_cosine_decay_schedule

__all__ = [
    "JoinSchedulesState",
    "Schedule",
    "ScheduleState",
    "as_schedule",
    "constant_schedule",
    "cosine_decay_schedule",
    "exponential_decay",
    "join_schedules",
    "linear_schedule",
    "warmup_cosine_decay_schedule",
]
