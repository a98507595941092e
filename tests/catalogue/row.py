"""One row of the catalogue, and what many rows share."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import jax
import optax
import optax.contrib

import lrjax
from tests.oracles import adam_family, article, beyond, contrib, layerwise, papers, signs_and_others

FAMILIES = (adam_family, article, layerwise, signs_and_others, contrib, beyond)

NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclasses.dataclass(frozen=True, eq=False)
class Row:
    """One public transformation in one structural mode.

    Attributes:
      name: Unique; the test's id.
      public: The name in `lrjax` that the row covers.
      make: Keywords (numbers) -> the transformation.
      numbers: Every numeric hyperparameter of this mode -> (its default or a typical value, another
        value, which must lead to other updates).
      required: The numbers that cannot be left to their defaults.
      optax: Keywords (numbers) -> optax's counterpart, or None.
      oracle: The NumPy transcription in `tests.oracles.papers`, or None.
      descends: Whether updates point downhill (recipes) or along the gradient (ingredients).
      waits: Whether first updates may be zero: gathered for later, or held still.
      idle: The numbers that show only in cases that the laws do not bring about.
      needs_params: Whether `update` needs the parameters.
      complex_numbers: Whether complex leaves are claimed.
      signals: What the training step must tell `update` by keyword; `make`, `optax` and `oracle` take
        it from here where a law says nothing.
      rates: How many owners in the state a number `learning_rate` has; 0 if it is no rate.
      rate_beside: Whether the rate's owner stands beside a state that optax has alone.
      more_fields: State fields that optax does not have.
      must_follow: Whether updates make sense only to parameters that have followed those before; in half
        precision at least.
      finite_on_a_line: Whether steps stay finite where the gradient never changes: the distance to a
        minimum at infinity does not.
      rests_at_rate_zero: Whether rate 0 is the identity.
      rests_at_zero_gradient: Whether a coordinate without gradient stays where it is.
      parameters_follow: Whether parameters follow the updates in trajectories; those that grow with
        the parameters would leave every dtype.
      steps: How many steps it takes until every number has a say.
      quadratic: Numbers with which 400 steps find the minimum of a small quadratic, or None.
      edge: Numbers at the edge of their ranges, where zero gradients must stay finite too.
      compiled_rtol: How far fused may be from eager arithmetic, relative to the largest update.
      float32_rtol: How far float32 may be from the float64 oracle, relative to the largest update; None
        where random gradients leave float32 no digit.
      float64_rtol: The same in float64; scalars in the state are float32 there too.
      optax_float32_rtol: How far from optax in float32.
      optax_float64_rtol: The same in float64.
      wide_scalars: Whether scalars of the state are as wide as the widest parameter: a search compares
        values of the function.
      wide_fields: State fields kept in float32 where optax keeps half precision.
      oracle_shape: The shape of the parameters on which the oracle is tried.
      oracle_steps: For how many steps it is followed.
      departures: What differs from optax on purpose -> why: `wide_fields`, the rest.
    """

    name: str
    public: str
    make: Callable[..., Any]
    numbers: Mapping[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    required: tuple[str, ...] = ()
    optax: Callable[..., Any] | None = None
    oracle: Callable[..., Any] | None = None
    descends: bool = False
    waits: bool = False
    idle: tuple[str, ...] = ()
    needs_params: bool = False
    complex_numbers: bool = True
    signals: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    rates: int = 1
    rate_beside: bool = False
    more_fields: tuple[str, ...] = ()
    must_follow: bool = False
    finite_on_a_line: bool = True
    rests_at_rate_zero: bool = True
    rests_at_zero_gradient: bool = True
    parameters_follow: bool = True
    steps: int = 3
    quadratic: Mapping[str, float] | None = None
    edge: Mapping[str, float] = dataclasses.field(default_factory=dict)
    compiled_rtol: float = 1e-6
    float32_rtol: float | None = 1e-6
    float64_rtol: float = 1e-11
    optax_float32_rtol: float = 1e-6
    optax_float64_rtol: float = 1e-11
    wide_scalars: bool = False
    wide_fields: tuple[str, ...] = ()
    oracle_shape: tuple[int, ...] = (5,)
    oracle_steps: int = 40
    departures: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def typical(self) -> dict[str, float]:
        return {name: typical for name, (typical, _) in self.numbers.items()}

    @property
    def others(self) -> dict[str, float]:
        return {name: other for name, (_, other) in self.numbers.items()}

    def tx(self, **changes: Any) -> Any:
        return self.make(**{**self.typical, **changes})


# Rates are powers of 2: the rate in use is float32 by design, and these lose nothing there.
RATE = (1 / 64, 1 / 32)
HALF_WIDE = "kept in float32 for half-precision parameters: averages and sums stall in bfloat16"
# optax computes 1 - b**t in float32 as it stands, which at b = 0.999 is off by 1.3e-5 at t = 1.
BIAS_CORRECTION = 2e-5
# v - m**2 cancels: what is left carries the rounding of v, several times enlarged.
CANCELS = 2e-6
# Where fusion moves a sum by one float32 ulp, storing it in bfloat16 may round it the other way.
BFLOAT16 = 1e-2


def row(
    public: str,
    mode: str = "",
    /,
    *,
    static: Mapping[str, Any] = NOTHING,
    signals: Mapping[str, Any] = NOTHING,
    **fields: Any,
) -> Row:
    """A row whose optax counterpart and oracle, unless given, have its name and take its keywords."""
    if "optax" not in fields:
        fields["optax"] = functools.partial(_named(public, optax, optax.contrib), **static)
    if "oracle" not in fields:
        fields["oracle"] = functools.partial(_named(public, papers, *FAMILIES), **static)
    if signals and fields["optax"] is not None:
        made = optax.GradientTransformationExtraArgs
        fields["optax"] = functools.partial(_signalled, fields["optax"], signals, made)
    if signals and fields["oracle"] is not None:
        fields["oracle"] = functools.partial(fields["oracle"], **signals)
    make = functools.partial(getattr(lrjax, public), **static)
    return Row(
        name=f"{public}[{mode}]" if mode else public,
        public=public,
        make=functools.partial(_signalled, make, signals, lrjax.GradientTransformation) if signals else make,
        signals=signals,
        **fields,
    )


def _named(name: str, *modules: Any) -> Any:
    return next(getattr(module, name) for module in modules if hasattr(module, name))


def _signalled(make: Callable[..., Any], signals: Mapping[str, Any], made: Any, **numbers: Any) -> Any:
    """The transformation with signals for those who call its `update` without."""
    init, update = make(**numbers)
    return made(init, lambda u, s, p=None, **extra: update(u, s, p, **{**signals, **extra}))


def matrices(tree: Any) -> Any:
    """A mask: leaves of two or more axes."""
    return jax.tree.map(lambda x: x.ndim >= 2, tree)


ADAM = {"b1": (0.9, 0.75), "b2": (0.999, 0.9), "eps": (1e-8, 1e-2), "eps_root": (0.0, 1e-2)}
RMS = {"decay": (0.9, 0.75), "eps": (1e-8, 1e-2), "initial_scale": (0.0, 0.5)}
# Debiased, the first variance is 0 and the first step g / sqrt(eps): v_0 > 0 makes it well posed.
STDDEV = {"decay": (0.9, 0.75), "eps": (1e-8, 1e-2), "initial_scale": (0.5, 1.0)}
# Only a b1 close to 1 lets the first gradient outvote a later one, and so changes a sign.
LION = {"b1": (0.9, 0.9975), "b2": (0.99, 0.5)}
DECAY = {"weight_decay": (1e-2, 0.25)}
RSS = {"initial_accumulator_value": (0.1, 0.5), "eps": (1e-7, 1e-2)}
ADADELTA = {"rho": (0.9, 0.5), "eps": (1e-6, 1e-2)}

adam_row = functools.partial(
    row,
    optax_float32_rtol=BIAS_CORRECTION,
    edge={"b1": 0.0, "b2": 0.0},
    wide_fields=("nu",),
    departures={"nu": HALF_WIDE},
)
rms_row = functools.partial(row, edge={"decay": 0.0}, wide_fields=("nu",), departures={"nu": HALF_WIDE})
stddev_row = functools.partial(
    row,
    edge={"decay": 0.0},
    wide_fields=("mu", "nu"),
    departures={"mu": "kept as wide as nu: their difference cancels", "nu": HALF_WIDE},
    compiled_rtol=CANCELS,
    float32_rtol=CANCELS,
)
adadelta_row = functools.partial(
    row, edge={"rho": 0.0}, wide_fields=("e_g", "e_x"), departures={"e_g": HALF_WIDE, "e_x": HALF_WIDE}
)
rss_row = functools.partial(
    row,
    edge={"initial_accumulator_value": 0.0, "eps": 0.0},
    wide_fields=("sum_of_squares",),
    departures={"sum_of_squares": HALF_WIDE},
)
