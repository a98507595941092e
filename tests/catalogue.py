"""Every public gradient transformation, once: what the laws, the oracles and optax are held against.

A new transformation gets a row (or several, one per structural mode) and with it every law. What
differs between transformations is data here; the tests ask no row for its name.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import jax
import optax
import pytest

import lrjax
from tests.oracles import papers

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
      needs_params: Whether `update` needs the parameters.
      complex_numbers: Whether complex leaves are claimed.
      quadratic: Numbers with which 400 steps find the minimum of a small quadratic, or None.
      edge: Numbers at the edge of their ranges, where zero gradients must stay finite too.
      compiled_rtol: How far fused may be from eager arithmetic, relative to the largest update.
      float32_rtol: How far float32 may be from the float64 oracle, relative to the largest update.
      optax_float32_rtol: The same from optax in float32.
      optax_float64_rtol: The same in float64.
      wide_fields: State fields kept in float32 where optax keeps half precision.
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
    needs_params: bool = False
    complex_numbers: bool = True
    quadratic: Mapping[str, float] | None = None
    edge: Mapping[str, float] = dataclasses.field(default_factory=dict)
    compiled_rtol: float = 1e-6
    float32_rtol: float = 1e-6
    optax_float32_rtol: float = 1e-6
    optax_float64_rtol: float = 1e-11
    wide_fields: tuple[str, ...] = ()
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


def _row(public: str, mode: str = "", /, *, static: Mapping[str, Any] = NOTHING, **fields: Any) -> Row:
    """A row whose optax counterpart and oracle, unless given, have its name and take its keywords."""
    for field, module in (("optax", optax), ("oracle", papers)):
        if field not in fields:
            fields[field] = functools.partial(getattr(module, public), **static)
    return Row(
        name=f"{public}[{mode}]" if mode else public,
        public=public,
        make=functools.partial(getattr(lrjax, public), **static),
        **fields,
    )


def _matrices(tree: Any) -> Any:
    """A mask: leaves of two or more axes."""
    return jax.tree.map(lambda x: x.ndim >= 2, tree)


def _times(factor: Any) -> Callable[[Any, Any], Any]:
    return lambda updates, params: jax.tree.map(lambda u: (factor * u).astype(u.dtype), updates)


def _old_style(decay: Any) -> lrjax.GradientTransformation:
    """A transformation whose `update` takes no extra keywords, as optax's have it."""
    init, update = lrjax.trace(decay)
    return lrjax.GradientTransformation(init, lambda u, s, p=None: update(u, s, p))


ADAM = {"b1": (0.9, 0.75), "b2": (0.999, 0.9), "eps": (1e-8, 1e-2), "eps_root": (0.0, 1e-2)}
RMS = {"decay": (0.9, 0.75), "eps": (1e-8, 1e-2), "initial_scale": (0.0, 0.5)}
# Debiased, the first variance is 0 and the first step g / sqrt(eps): v_0 > 0 makes it well posed.
STDDEV = {"decay": (0.9, 0.75), "eps": (1e-8, 1e-2), "initial_scale": (0.5, 1.0)}
# Only a b1 close to 1 lets the first gradient outvote a later one, and so changes a sign.
LION = {"b1": (0.9, 0.9975), "b2": (0.99, 0.5)}
DECAY = {"weight_decay": (1e-2, 0.25)}
RSS = {"initial_accumulator_value": (0.1, 0.5), "eps": (1e-7, 1e-2)}
ADADELTA = {"rho": (0.9, 0.5), "eps": (1e-6, 1e-2)}

_adam = functools.partial(
    _row,
    optax_float32_rtol=BIAS_CORRECTION,
    edge={"b1": 0.0, "b2": 0.0},
    wide_fields=("nu",),
    departures={"nu": HALF_WIDE},
)
_rms = functools.partial(_row, edge={"decay": 0.0}, wide_fields=("nu",), departures={"nu": HALF_WIDE})
_stddev = functools.partial(
    _row,
    edge={"decay": 0.0},
    wide_fields=("mu", "nu"),
    departures={"mu": "kept as wide as nu: their difference cancels", "nu": HALF_WIDE},
    compiled_rtol=CANCELS,
    float32_rtol=CANCELS,
)
_adadelta = functools.partial(
    _row, edge={"rho": 0.0}, wide_fields=("e_g", "e_x"), departures={"e_g": HALF_WIDE, "e_x": HALF_WIDE}
)
_rss = functools.partial(
    _row,
    edge={"initial_accumulator_value": 0.0, "eps": 0.0},
    wide_fields=("sum_of_squares",),
    departures={"sum_of_squares": HALF_WIDE},
)

CATALOGUE: tuple[Row, ...] = (
    # Recipes.
    _row(
        "sgd",
        numbers={"learning_rate": RATE},
        required=("learning_rate",),
        oracle=papers.descend,
        descends=True,
        quadratic={"learning_rate": 0.25},
    ),
    _row(
        "sgd",
        "momentum",
        numbers={"learning_rate": RATE, "momentum": (0.9, 0.5)},
        required=("learning_rate", "momentum"),
        oracle=papers.momentum_descent,
        descends=True,
        quadratic={"learning_rate": 0.25},
    ),
    _row(
        "sgd",
        "nesterov",
        static={"nesterov": True},
        numbers={"learning_rate": RATE, "momentum": (0.9, 0.5)},
        required=("learning_rate", "momentum"),
        oracle=functools.partial(papers.momentum_descent, nesterov=True),
        descends=True,
        quadratic={"learning_rate": 0.25},
    ),
    _rms(
        "rmsprop",
        numbers={"learning_rate": RATE, **RMS},
        required=("learning_rate",),
        descends=True,
        quadratic={"learning_rate": 0.01},
    ),
    _rms(
        "rmsprop",
        "eps outside",
        static={"eps_in_sqrt": False},
        numbers={"learning_rate": RATE, **RMS},
        required=("learning_rate",),
        descends=True,
        quadratic={"learning_rate": 0.01},
    ),
    _rms(
        "rmsprop",
        "bias correction",
        static={"bias_correction": True},
        numbers={"learning_rate": RATE, **RMS},
        required=("learning_rate",),
        descends=True,
        quadratic={"learning_rate": 0.01},
    ),
    _stddev(
        "rmsprop",
        "centered",
        static={"centered": True},
        numbers={"learning_rate": RATE, **RMS},
        required=("learning_rate",),
        descends=True,
        quadratic={"learning_rate": 0.01, "eps": 1e-2},
    ),
    _rms(
        "rmsprop",
        "momentum",
        numbers={"learning_rate": RATE, **RMS, "momentum": (0.9, 0.5)},
        required=("learning_rate", "momentum"),
        descends=True,
        quadratic={"learning_rate": 0.002},
    ),
    _stddev(
        "rmsprop",
        "centered nesterov bias correction",
        static={"centered": True, "nesterov": True, "bias_correction": True},
        numbers={"learning_rate": RATE, **STDDEV, "momentum": (0.9, 0.5)},
        required=("learning_rate", "momentum", "initial_scale"),
        descends=True,
        quadratic={"learning_rate": 0.002, "eps": 1e-2},
    ),
    _adam(
        "adam",
        numbers={"learning_rate": RATE, **ADAM},
        required=("learning_rate",),
        descends=True,
        quadratic={"learning_rate": 0.05},
    ),
    _adam(
        "adam",
        "nesterov",
        static={"nesterov": True},
        numbers={"learning_rate": RATE, **ADAM},
        required=("learning_rate",),
        descends=True,
        quadratic={"learning_rate": 0.05},
    ),
    _adam(
        "adamw",
        numbers={"learning_rate": RATE, **ADAM, **DECAY},
        required=("learning_rate", "weight_decay"),
        descends=True,
        needs_params=True,
        quadratic={"learning_rate": 0.05},
    ),
    _adam(
        "adamw",
        "nesterov masked",
        static={"nesterov": True, "mask": _matrices},
        numbers={"learning_rate": RATE, **ADAM, **DECAY},
        required=("learning_rate", "weight_decay"),
        oracle=None,
        descends=True,
        needs_params=True,
        quadratic={"learning_rate": 0.05},
    ),
    _row(
        "lion",
        numbers={"learning_rate": RATE, **LION, **DECAY},
        required=("learning_rate", "weight_decay"),
        descends=True,
        needs_params=True,
        complex_numbers=False,
        quadratic={"learning_rate": 0.01},
    ),
    _rss(
        "adagrad",
        numbers={"learning_rate": RATE, **RSS},
        required=("learning_rate",),
        descends=True,
        quadratic={"learning_rate": 0.5},
    ),
    _adadelta(
        "adadelta",
        "no rate",
        numbers={**ADADELTA, **DECAY},
        required=("weight_decay",),
        optax=functools.partial(optax.adadelta, 1.0),
        departures={
            "e_g": HALF_WIDE,
            "e_x": HALF_WIDE,
            "learning_rate=None": "optax leaves the sign as it is and climbs; this descends",
        },
        descends=True,
        needs_params=True,
        quadratic={"eps": 1e-3},
    ),
    _adadelta(
        "adadelta",
        numbers={"learning_rate": RATE, **ADADELTA, **DECAY},
        required=("learning_rate", "weight_decay"),
        descends=True,
        needs_params=True,
        quadratic={"learning_rate": 1.0, "eps": 1e-3},
    ),
    # Ingredients.
    _row("trace", numbers={"decay": (0.9, 0.5)}, required=("decay",)),
    _row("trace", "nesterov", static={"nesterov": True}, numbers={"decay": (0.9, 0.5)}, required=("decay",)),
    _row(
        "trace",
        "accumulator bfloat16",
        static={"accumulator_dtype": "bfloat16"},
        numbers={"decay": (0.9, 0.5)},
        required=("decay",),
        oracle=None,
        complex_numbers=False,
        departures={"rounding": "the sum is rounded to the accumulator once; optax rounds the product too"},
        compiled_rtol=BFLOAT16,
        optax_float32_rtol=3 * BFLOAT16,
        optax_float64_rtol=BFLOAT16,
    ),
    _adam("scale_by_adam", numbers=ADAM),
    _adam("scale_by_adam", "nesterov", static={"nesterov": True}, numbers=ADAM),
    _adam(
        "scale_by_adam",
        "mu bfloat16",
        static={"mu_dtype": "bfloat16"},
        numbers=ADAM,
        oracle=None,
        complex_numbers=False,
        compiled_rtol=BFLOAT16,
        optax_float32_rtol=BFLOAT16,
        optax_float64_rtol=BFLOAT16,
    ),
    _rms("scale_by_rms", numbers=RMS),
    _rms("scale_by_rms", "eps outside", static={"eps_in_sqrt": False}, numbers=RMS),
    _rms("scale_by_rms", "bias correction", static={"bias_correction": True}, numbers=RMS),
    _stddev("scale_by_stddev", numbers=RMS),
    _stddev("scale_by_stddev", "eps outside", static={"eps_in_sqrt": False}, numbers=RMS),
    _stddev(
        "scale_by_stddev",
        "bias correction",
        static={"bias_correction": True},
        numbers=STDDEV,
        required=("initial_scale",),
    ),
    _row("scale_by_lion", numbers=LION, complex_numbers=False),
    _row(
        "scale_by_lion",
        "smooth",
        static={"mode": "smooth"},
        numbers={**LION, "smooth_beta": (1.0, 4.0)},
        complex_numbers=False,
    ),
    _row("scale_by_lion", "refined", static={"mode": "refined"}, numbers=LION, complex_numbers=False),
    _rss("scale_by_rss", numbers=RSS),
    _adadelta("scale_by_adadelta", numbers=ADADELTA),
    _row(
        "add_decayed_weights",
        numbers={"weight_decay": (1e-2, 0.25)},
        required=("weight_decay",),
        needs_params=True,
    ),
    _row(
        "add_decayed_weights",
        "masked",
        static={"mask": _matrices},
        numbers={"weight_decay": (1e-2, 0.25)},
        required=("weight_decay",),
        oracle=None,
        needs_params=True,
    ),
    _row(
        "scale_by_learning_rate",
        numbers={"learning_rate": RATE},
        required=("learning_rate",),
        oracle=papers.descend,
        descends=True,
    ),
    _row(
        "scale_by_learning_rate",
        "no flip",
        static={"flip_sign": False},
        numbers={"learning_rate": RATE},
        required=("learning_rate",),
        oracle=papers.ascend,
    ),
    _row("scale_by_learning_rate", "none", oracle=papers.identity),
    _row("identity"),
    # What transformations are put together with.
    Row(
        "chain",
        "chain",
        lambda decay, learning_rate: lrjax.chain(
            lrjax.trace(decay), lrjax.scale_by_learning_rate(learning_rate)
        ),
        numbers={"decay": (0.9, 0.5), "learning_rate": RATE},
        required=("decay", "learning_rate"),
        optax=lambda decay, learning_rate: optax.chain(
            optax.trace(decay), optax.scale_by_learning_rate(learning_rate)
        ),
        oracle=lambda gradients, theta, *, decay, learning_rate: papers.momentum_descent(
            gradients, theta, learning_rate=learning_rate, momentum=decay
        ),
        descends=True,
    ),
    Row("chain[empty]", "chain", lrjax.chain, oracle=papers.identity),  # optax refuses it
    Row(
        "masked",
        "masked",
        lambda decay: lrjax.masked(lrjax.trace(decay), _matrices),
        numbers={"decay": (0.9, 0.5)},
        required=("decay",),
        optax=lambda decay: optax.masked(optax.trace(decay), _matrices),
    ),
    Row(
        "stateless",
        "stateless",
        lambda factor: lrjax.stateless(_times(factor)),
        numbers={"factor": (0.5, 0.25)},
        required=("factor",),
        optax=lambda factor: optax.stateless(_times(factor)),
        oracle=papers.scale,
    ),
    Row(
        "with_extra_args_support",
        "with_extra_args_support",
        lambda decay: lrjax.with_extra_args_support(_old_style(decay)),
        numbers={"decay": (0.9, 0.5)},
        required=("decay",),
        optax=lambda decay: optax.with_extra_args_support(optax.trace(decay)),
        oracle=papers.trace,
    ),
)


def rows(**wanted: Any) -> list[Any]:
    """The rows, as `pytest.param`s, whose fields satisfy the given predicates."""

    def fits(row: Row) -> bool:
        return all(want(getattr(row, name)) for name, want in wanted.items())

    return [pytest.param(row, id=row.name) for row in CATALOGUE if fits(row)]
