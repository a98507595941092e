"""Schedules: how a number, most often the learning rate, moves during training."""

from lrjax.schedules._algebra import (
    CooldownState,
    RepeatState,
    cooldown,
    repeat,
    warmup,
)
from lrjax.schedules._chebyshev import (
    chebyshev_schedule,
)
from lrjax.schedules._curves import (
    flat_cosine_schedule,
    k_decay,
    rex_schedule,
    tanh_decay,
)
from lrjax.schedules._cyclic import (
    cyclic_schedule,
)
from lrjax.schedules._decay import (
    constant_schedule,
    cosine_decay_schedule,
    exponential_decay,
    linear_schedule,
)
from lrjax.schedules._driven import (
    HeldOutState,
)
from lrjax.schedules._expression import (
    schedule_from_text,
)
from lrjax.schedules._functions import (
    MultiplicativeScheduleState,
    lambda_schedule,
    multiplicative_schedule,
)
from lrjax.schedules._greedy import (
    GreedyState,
    greedy_schedule,
)
from lrjax.schedules._hypergradient import (
    HypergradientState,
    hypergradient_schedule,
)
from lrjax.schedules._inject import (
    InjectStatefulHyperparamsState,
    inject_hyperparams,
    inject_stateful_hyperparams,
    schedulable,
)
from lrjax.schedules._inverse import (
    bottou_schedule,
    inverse_sqrt_schedule,
    inverse_time_decay,
    noam_schedule,
    power_schedule,
    robbins_monro_schedule,
)
from lrjax.schedules._join import (
    JoinSchedulesState,
    join_schedules,
)
from lrjax.schedules._noise import (
    noisy_schedule,
)
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
from lrjax.schedules._plateau import (
    PlateauCooldownState,
    PlateauState,
    adaptive_schedule,
    plateau_cooldown_schedule,
    plateau_schedule,
)
from lrjax.schedules._polyak import (
    L4State,
    PolyakState,
    l4_schedule,
    polyak_schedule,
)
from lrjax.schedules._polynomial import (
    linear_factor_schedule,
    polynomial_schedule,
)
from lrjax.schedules._preview import (
    check_schedule,
)
from lrjax.schedules._reduce_on_plateau import (
    ReduceLROnPlateauState,
    reduce_on_plateau,
)
from lrjax.schedules._restarts import (
    cosine_restarts_schedule,
    hard_restarts_schedule,
    sgdr_schedule,
)
from lrjax.schedules._schedule import (
    CombinedScheduleState,
    Schedule,
    ScheduleState,
    as_schedule,
    as_timed,
    first_values,
    start,
    unset,
)
from lrjax.schedules._spike import (
    SpikeBackoffState,
    spike_backoff_schedule,
)
from lrjax.schedules._untuned import (
    untuned_warmup_schedule,
)
from lrjax.schedules._warmup import (
    warmup_constant_schedule,
    warmup_cosine_decay_schedule,
    warmup_exponential_decay_schedule,
    warmup_polynomial_decay_schedule,
    warmup_schedule,
)
from lrjax.schedules._wsd import (
    infinite_schedule,
    tri_stage_schedule,
    wsd_schedule,
)

__all__ = [
    "CombinedScheduleState",
    "CooldownState",
    "GreedyState",
    "HeldOutState",
    "HypergradientState",
    "InjectStatefulHyperparamsState",
    "JoinSchedulesState",
    "L4State",
    "MultiplicativeScheduleState",
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
    "as_timed",
    "bottou_schedule",
    "chebyshev_schedule",
    "check_schedule",
    "constant_factor_schedule",
    "constant_schedule",
    "cooldown",
    "cosine_decay_schedule",
    "cosine_onecycle_schedule",
    "cosine_restarts_schedule",
    "cyclic_schedule",
    "exponential_decay",
    "first_values",
    "flat_cosine_schedule",
    "greedy_schedule",
    "hard_restarts_schedule",
    "hypergradient_schedule",
    "infinite_schedule",
    "inject_hyperparams",
    "inject_stateful_hyperparams",
    "inverse_sqrt_schedule",
    "inverse_time_decay",
    "join_schedules",
    "k_decay",
    "l4_schedule",
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
    "plateau_cooldown_schedule",
    "plateau_schedule",
    "polyak_schedule",
    "polynomial_schedule",
    "power_schedule",
    "reduce_on_plateau",
    "repeat",
    "rex_schedule",
    "robbins_monro_schedule",
    "schedulable",
    "schedule_from_text",
    "sgdr_schedule",
    "spike_backoff_schedule",
    "start",
    "step_schedule",
    "tanh_decay",
    "tri_stage_schedule",
    "unset",
    "untuned_warmup_schedule",
    "warmup",
    "warmup_constant_schedule",
    "warmup_cosine_decay_schedule",
    "warmup_exponential_decay_schedule",
    "warmup_polynomial_decay_schedule",
    "warmup_schedule",
    "wsd_schedule",
]
