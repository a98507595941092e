"""What a traced program holds: convolutions, calls to the host, and how much work it is."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax.extend.core as jex

from lrjax.engine import _contractions

# Newer JAX has one class for a jaxpr and a closed one.
JAXPRS = (jex.Jaxpr, getattr(jex, "ClosedJaxpr", jex.Jaxpr))

_HOST_CALLS = {"pure_callback", "io_callback", "debug_callback", "debug_print"}
# Their jaxpr combines two scalars; it is not a program of its own.
_COMBINERS = ("reduce", "scatter", "select_and_scatter")


class Findings(NamedTuple):
    """What `inspect` found in a program and in all programs nested in it.

    Attributes:
      convolutions: How many convolutions are written in it; a loop's body is written once.
      contractions: How many contractions over several dimensions that can be made one.
      callbacks: The primitives that call Python on the host, each once.
      unbatchable: The primitives that refuse `vmap` once their operands, or the predicate of the
        `cond` or `while` around them, differ between members, each once.
      flops: Two per multiply-add of matrix products and convolutions (the zeros of padding and
        dilation included), one per element of what any other equation returns.
      bytes: What all equations read and write, as if each went through memory.
      equations: How many equations are written in it, those that hold a program included.
    """

    convolutions: int = 0
    contractions: int = 0
    callbacks: tuple[str, ...] = ()
    unbatchable: tuple[str, ...] = ()
    flops: float = 0.0
    bytes: float = 0.0
    equations: int = 0


def inspect(closed_jaxpr: Any) -> Findings:
    """What a traced program holds.

    Work inside a `scan` counts once per iteration; inside a `while`, whose iterations are not known,
    once; of a `cond`, that of the costliest branch; inside a `shard_map`, that of one device.
    `jax.pmap` is such a `shard_map`, which `vmap` accepts, so that it is not told apart.

    Args:
      closed_jaxpr: What `jax.make_jaxpr` returns.

    Returns:
      The `Findings`.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from lrjax.engine._inspect import inspect
      >>> def decay(x):
      ...     return jax.lax.scan(lambda x, _: (0.9 * x, None), x, length=10)[0]
      >>> findings = inspect(jax.make_jaxpr(decay)(jnp.ones(3)))
      >>> findings.flops, findings.equations, findings.callbacks
      (30.0, 2, ())
    """
    total = Findings()
    for equation in closed_jaxpr.eqns:
        total = _together(total, _equation(equation))
    return total


def jaxprs_in(value: Any) -> Iterator[Any]:
    """The jaxprs, closed or not, that an equation's parameter is or holds in tuples and lists."""
    if isinstance(value, JAXPRS):
        yield value
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from jaxprs_in(part)


def _equation(equation: jex.JaxprEqn) -> Findings:
    name = equation.primitive.name
    inner = [inspect(jaxpr) for jaxpr in jaxprs_in(tuple(equation.params.values()))]
    if not inner or name.startswith(_COMBINERS):
        return Findings(
            convolutions=int(name == "conv_general_dilated"),
            contractions=int(_contractions.is_several(equation)),
            callbacks=(name,) if name in _HOST_CALLS else (),
            unbatchable=(name,) if _refuses_vmap(equation) else (),
            flops=_flops(equation),
            bytes=sum(_bytes(atom.aval) for atom in (*equation.invars, *equation.outvars)),
            equations=1,
        )
    total = Findings(equations=1)
    for findings in inner:
        total = _together(total, findings)
    if name == "scan":
        length = equation.params["length"]
        total = total._replace(flops=length * total.flops, bytes=length * total.bytes)
    if name == "cond":
        total = total._replace(flops=max(x.flops for x in inner), bytes=max(x.bytes for x in inner))
    if name in ("cond", "while") and "io_callback" in total.callbacks:
        total = total._replace(unbatchable=_union(total.unbatchable, ("io_callback",)))
    return total


def _together(a: Findings, b: Findings) -> Findings:
    return Findings(
        a.convolutions + b.convolutions,
        a.contractions + b.contractions,
        _union(a.callbacks, b.callbacks),
        _union(a.unbatchable, b.unbatchable),
        a.flops + b.flops,
        a.bytes + b.bytes,
        a.equations + b.equations,
    )


def _union(a: tuple[str, ...], b: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(a + b))


def _refuses_vmap(equation: jex.JaxprEqn) -> bool:
    params = equation.params
    if equation.primitive.name == "io_callback":
        return params["ordered"]
    return "vmap_method" in params and params["vmap_method"] is None  # pure_callback, ffi_call


def _flops(equation: jex.JaxprEqn) -> float:
    return _flops_per_element(equation) * sum(_size(out.aval) for out in equation.outvars)


def _flops_per_element(equation: jex.JaxprEqn) -> float:
    shapes = [_shape(atom.aval) for atom in equation.invars]
    if equation.primitive.name == "dot_general":
        (contracted, _), _ = equation.params["dimension_numbers"]
        return 2.0 * math.prod(shapes[0][axis] for axis in contracted)
    if equation.primitive.name == "conv_general_dilated":
        outputs = equation.params["dimension_numbers"].rhs_spec[0]
        return 2.0 * math.prod(length for axis, length in enumerate(shapes[1]) if axis != outputs)
    return 1.0


def _bytes(aval: Any) -> float:
    return float(_size(aval) * aval.dtype.itemsize) if hasattr(aval, "dtype") else 0.0


def _size(aval: Any) -> int:
    return math.prod(_shape(aval)) if hasattr(aval, "dtype") else 0  # a token holds nothing


def _shape(aval: Any) -> tuple[int, ...]:
    return getattr(aval, "shape", ())
