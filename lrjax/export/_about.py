"""What stands beside the arrays: the answer, how the sweep was asked for, what it took."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from lrjax._values import encodable, strict
from lrjax.answer import Answer, RangeAnswer
from lrjax.results import RangeTestData, SweepData


def answer_json(answer: Answer | RangeAnswer) -> dict[str, Any]:
    """An answer as strict JSON: every field by its name, None for what is not finite.

    Args:
      answer: That of a sweep or a range test.

    Returns:
      A dict of plain values.

    Example:
      >>> import lrjax
      >>> task = lrjax.tasks.load("quadratic-deep")
      >>> grid = {"learning_rate": [0.01, 0.03]}
      >>> sweep = lrjax.sweep(task.trial(lrjax.sgd), grid, task.data, steps=20, progress=False)
      >>> lrjax.export.answer_json(sweep.answer)["point"]
      {'learning_rate': 0.03}
    """
    return strict(_fields(answer))


def attributes(data: SweepData, answer: Answer) -> dict[str, Any]:
    """What a data set says of itself, in kinds that netCDF holds, too: text, numbers, lists of numbers.

    What is not known is left out; what has parts of its own is JSON text.
    """
    flat: dict[str, Any] = {"learning_rate_name": data.name, "steps": data.steps}
    numbers = ("learning_rate", "index", "score", "plateau", "interval", "divergence_edge")
    measures = ("plateau_decades", "sensitivity", "indistinguishable", "recommendation")
    found = answer_json(answer)
    flat |= {f"answer_{name}": found[name] for name in (*numbers, *measures)}
    flat["answer_warnings"] = "\n".join(answer.warnings)
    flat |= {
        "answer_point": json.dumps(found["point"]),
        "judged_by": answer.judged_by,
        "plan": str(data.plan),
        "settings": json.dumps(strict(data.settings)),
        "cost": json.dumps(strict(dataclasses.asdict(data.cost))),
    }
    known = {name: value for name, value in flat.items() if value not in (None, [], "")}
    return {name: encodable(value) if isinstance(value, str) else value for name, value in known.items()}


def points_json(data: SweepData) -> list[dict[str, Any]]:
    """The points as strict JSON: the hyperparameters that each of them has.

    Args:
      data: A sweep's measurements.

    Returns:
      A dict for each point.

    Example:
      >>> import lrjax
      >>> task = lrjax.tasks.load("quadratic-deep")
      >>> grid = [{"learning_rate": 0.01}, {"learning_rate": 0.03, "momentum": 0.5}]
      >>> sweep = lrjax.sweep(task.trial(lrjax.sgd), grid, task.data, steps=20, progress=False)
      >>> lrjax.export.points_json(sweep)
      [{'learning_rate': 0.01}, {'learning_rate': 0.03, 'momentum': 0.5}]
    """
    absent = data.settings.get("absent", {})
    return [
        {
            name: strict(values[index])
            for name, values in data.points.items()
            if index not in absent.get(name, ())
        }
        for index in range(len(data.diverged_at))
    ]


def sweep_json(data: SweepData, answer: Answer) -> dict[str, Any]:
    """All that a sweep measured, and its answer, as strict JSON."""
    found = {name: value for name, value in _fields(data).items() if name != "states"}
    found |= {
        "points": points_json(data),
        "seeds": data.diverged_at.shape[1],
        "rungs": [{"step": step, "losses": losses, "kept": kept} for step, losses, kept in data.rungs],
    }
    return strict({"kind": "sweep", "answer": _fields(answer), **found})


def range_test_json(data: RangeTestData, answer: RangeAnswer) -> dict[str, Any]:
    """All that a range test measured, and its answer, as strict JSON."""
    return strict({"kind": "range test", "answer": _fields(answer), **_fields(data)})


def _fields(value: Any) -> dict[str, Any]:
    """A dataclass's fields, those in it that are dataclasses too."""
    return {
        field.name: _fields(one) if dataclasses.is_dataclass(one := getattr(value, field.name)) else one
        for field in dataclasses.fields(value)
    }
