"""Schedules: how a number, most often the learning rate, moves during training."""

from lrjax.schedules._chebyshev import chebyshev_schedule
from lrjax.schedules._curves import (
    flat_cosine_schedule,
    k_decay,
    rex_schedule,
    tanh_decay,
)
from lrjax.schedules._cyclic import cyclic_schedule
from lrjax.schedules._decay import (
    constant_schedule,
    cosine_decay_schedule,
    exponential_decay,
    linear_schedule,
)
from lrjax.schedules._functions import MultiplicativeScheduleState, lambda_schedule, multiplicative_schedule
from lrjax.schedules._inverse import (
    bottou_schedule,
    inverse_sqrt_schedule,
    inverse_time_decay,
    noam_schedule,
    power_schedule,
    robbins_monro_schedule,
)
from lrjax.schedules._join import JoinSchedulesState, join_schedules
from lrjax.schedules._noise import NoisyScheduleState, noisy_schedule
from lrjax.schedules._onecycle import (
    cosine_onecycle_schedule,
    linear_onecycle_schedule,
    onecycle_momentum_schedule,
    onecycle_schedule,
)
from lrjax.schedules._piecewise import (
    constant_factor_schedule,
    multistep_schedule,
    piecewise_constant_schedule,
    piecewise_interpolate_schedule,
    step_schedule,
)
from lrjax.schedules._polynomial import linear_factor_schedule, polynomial_schedule
from lrjax.schedules._restarts import cosine_restarts_schedule, hard_restarts_schedule, sgdr_schedule
from lrjax.schedules._schedule import Schedule, ScheduleState, as_schedule
from lrjax.schedules._untuned import untuned_warmup_schedule
from lrjax.schedules._warmup import (
    warmup_constant_schedule,
    warmup_cosine_decay_schedule,
    warmup_exponential_decay_schedule,
    warmup_polynomial_decay_schedule,
    warmup_schedule,
)
from lrjax.schedules._wsd import infinite_schedule, tri_stage_schedule, wsd_schedule

__all__ = [
    "JoinSchedulesState",
    "MultiplicativeScheduleState",
    "NoisyScheduleState",
    "Schedule",
    "ScheduleState",
    "as_schedule",
    "bottou_schedule",
    "chebyshev_schedule",
    "constant_factor_schedule",
    "constant_schedule",
    "cosine_decay_schedule",
    "cosine_onecycle_schedule",
    "cosine_restarts_schedule",
    "cyclic_schedule",
    "exponential_decay",
    "flat_cosine_schedule",
    "hard_restarts_schedule",
    "infinite_schedule",
    "inverse_sqrt_schedule",
    "inverse_time_decay",
    "join_schedules",
    "k_decay",
    "lambda_schedule",
    "linear_factor_schedule",
    "linear_onecycle_schedule",
    "linear_schedule",
    "multiplicative_schedule",
    "multistep_schedule",
    "noam_schedule",
    "noisy_schedule",
    "onecycle_momentum_schedule",
    "onecycle_schedule",
    "piecewise_constant_schedule",
    "piecewise_interpolate_schedule",
    "polynomial_schedule",
    "power_schedule",
    "rex_schedule",
    "robbins_monro_schedule",
    "sgdr_schedule",
    "step_schedule",
    "tanh_decay",
    "tri_stage_schedule",
    "untuned_warmup_schedule",
    "warmup_constant_schedule",
    "warmup_cosine_decay_schedule",
    "warmup_exponential_decay_schedule",
    "warmup_polynomial_decay_schedule",
    "warmup_schedule",
    "wsd_schedule",
]
