"""Learning rates for JAX.

lrjax holds optimizers and schedules as pure `(init, update)` pairs, and an engine that trains many
learning rates at once in one compiled program.
"""

from lrjax.learning_rate import (
    ScaleByLearningRateState,
    ScaledScheduleState,
    get_learning_rate,
    get_learning_rates,
    scale_by_learning_rate,
    scale_learning_rate,
    set_learning_rate,
)
from lrjax.optimizers import (
    ScaleByAdaDeltaState,
    ScaleByAdamState,
    ScaleByLionState,
    ScaleByRmsState,
    ScaleByRmsWithCountState,
    ScaleByRssState,
    ScaleByRStdDevState,
    ScaleByRStdDevWithCountState,
    TraceState,
    adadelta,
    adagrad,
    adam,
    adamw,
    lion,
    rmsprop,
    scale_by_adadelta,
    scale_by_adam,
    scale_by_lion,
    scale_by_rms,
    scale_by_rss,
    scale_by_stddev,
    sgd,
    trace,
)
from lrjax.schedules import (
    JoinSchedulesState,
    Schedule,
    ScheduleState,
    constant_schedule,
    cosine_decay_schedule,
    exponential_decay,
    join_schedules,
    linear_schedule,
    warmup_cosine_decay_schedule,
)
from lrjax.transform import (
    EmptyState,
    GradientTransformation,
    GradientTransformationExtraArgs,
    apply_updates,
    chain,
    identity,
    stateless,
    with_extra_args_support,
)
from lrjax.transforms import MaskedNode, MaskedState, add_decayed_weights, masked

__version__ = "0.1.0"
