"""Schedules from text: names of schedules, literals and arithmetic, read from the syntax tree.

What is not on the list below is refused, so that a text from anywhere does no more than make a schedule.
"""

from __future__ import annotations

import ast
import difflib
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lrjax.schedules._schedule import Schedule, as_schedule

_LONGEST = 5000  # characters
_OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.USub: operator.neg,
    ast.UAdd: lambda value: value,
}


def schedule_from_text(text: str, names: Mapping[str, Callable[..., Schedule]]) -> Schedule:
    """The schedule that a text describes, such as `0.5 * linear_schedule(1.0, 0.0, 100)`.

    Args:
      text: Calls of the names given, with numbers, strings, bools, None, lists, tuples, dicts and other
        calls as arguments, and `+`, `-`, `*`, `/` between them.
      names: What may be called.

    Raises:
      ValueError: If the text holds anything else; or what the schedule called raises.
      TypeError: What the schedule called raises.

    Example:
      >>> import lrjax
      >>> from lrjax.schedules import schedule_from_text
      >>> float(schedule_from_text("0.5 * warmup(4)", {"warmup": lrjax.warmup})(2))
      0.25
    """
    if len(text) > _LONGEST:
        raise ValueError(f"a schedule of {len(text)} characters; at most {_LONGEST} are read")
    try:
        tree = ast.parse(text.strip(), mode="eval")
        value = _value(tree.body, names)
    except SyntaxError as error:
        raise ValueError(f"{text.strip()!r} is not an expression: {error.msg}") from error
    except (RecursionError, MemoryError) as error:
        raise ValueError("the schedule is nested too deeply") from error
    return as_schedule("schedule_from_text", "text", value)


def _value(node: ast.AST, names: Mapping[str, Callable[..., Schedule]]) -> Any:
    def value(child: ast.AST) -> Any:
        return _value(child, names)

    match node:
        case ast.Constant(value=bool() | int() | float() | str() | None as literal):
            return literal
        case ast.List(elts=items):
            return [value(item) for item in items]
        case ast.Tuple(elts=items):
            return tuple(value(item) for item in items)
        case ast.Dict(keys=keys, values=items) if None not in keys:
            return {value(key): value(item) for key, item in zip(keys, items, strict=True) if key is not None}
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _arithmetic(node, _OPERATORS[type(op)], value(left), value(right))
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _OPERATORS:
            return _arithmetic(node, _OPERATORS[type(op)], value(operand))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords):
            return _named(name, names)(
                *(value(arg) for arg in args),
                **{_keyword(keyword): value(keyword.value) for keyword in keywords},
            )
        case ast.Name(id=name):
            _named(name, names)
            raise ValueError(f"{name} is to be called: {name}(...)")
    shown = ast.unparse(node)
    shown = shown if len(shown) <= 40 else f"{shown[:37]}..."
    raise ValueError(f"{shown!r} is not allowed: only names of schedules, literals and + - * /")


def _named(name: str, names: Mapping[str, Callable[..., Schedule]]) -> Callable[..., Schedule]:
    if name in names:
        return names[name]
    close = _alike(name, names)
    hint = f"; did you mean {' or '.join(close)}?" if close else f"; there are {', '.join(sorted(names))}"
    raise ValueError(f"{name!r} is not the name of a schedule{hint}")


def _alike(name: str, names: Iterable[str]) -> list[str]:
    """The names that share its words; if there are none, those that are spelled much alike."""
    words = set(name.split("_")) - {"schedule", "schedules", "decay"}
    sharing = [known for known in names if words and words <= set(known.split("_"))]
    if sharing:
        return difflib.get_close_matches(name, sharing, n=3, cutoff=0)
    return difflib.get_close_matches(name, names, n=3)


def _keyword(keyword: ast.keyword) -> str:
    if keyword.arg is None:
        raise ValueError("'**' is not allowed: only names of schedules, literals and + - * /")
    return keyword.arg


def _arithmetic(node: ast.AST, function: Callable[..., Any], *operands: Any) -> Any:
    if not all(isinstance(x, (int, float, Schedule)) and not isinstance(x, bool) for x in operands):
        raise ValueError(f"{ast.unparse(node)!r} is not arithmetic of numbers and schedules")
    try:
        return function(*operands)
    except (ZeroDivisionError, OverflowError) as error:
        raise ValueError(f"{ast.unparse(node)!r} has no value: {error}") from error
