"""What theory says of learning rates and schedules."""

from lrjax.science._bottou import bottou_initial_rate
from lrjax.science._schedule_bound import ScheduleBound, schedule_bound

__all__ = ["ScheduleBound", "bottou_initial_rate", "schedule_bound"]
