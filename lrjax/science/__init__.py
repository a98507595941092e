"""What theory says of learning rates and schedules."""

from lrjax.science._schedule_bound import ScheduleBound, schedule_bound

__all__ = ["ScheduleBound", "schedule_bound"]
