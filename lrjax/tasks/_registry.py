"""The built-in tasks by name, and tasks from a user's own file."""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from lrjax import _check
from lrjax.tasks import _characters, _digits, _digits_cnn, _logistic, _quadratic
from lrjax.tasks._task import Task

_BUILT_IN: dict[str, tuple[str, Callable[[], Task]]] = {
    "digits": (_digits.SUMMARY, _digits.digits),
    "digits-cnn": (_digits_cnn.SUMMARY, _digits_cnn.digits_cnn),
    "logistic": (_logistic.SUMMARY, _logistic.logistic),
    "quadratic-deep": (_quadratic.SUMMARY, _quadratic.quadratic_deep),
    "characters": (_characters.SUMMARY, _characters.characters),
}


def names() -> tuple[str, ...]:
    """The names of the built-in tasks.

    Returns:
      The names that `load` takes.

    Example:
      >>> import lrjax
      >>> lrjax.tasks.names()
      ('digits', 'digits-cnn', 'logistic', 'quadratic-deep', 'characters')
    """
    return tuple(_BUILT_IN)


def summaries() -> dict[str, str]:
    """One line about each built-in task; no data is loaded.

    Returns:
      A dict of name to summary, in the order of `names`.

    Example:
      >>> import lrjax
      >>> lrjax.tasks.summaries()["digits"]
      '8x8 handwritten digits, MLP 64-128-10, softmax cross-entropy, batch 64'
    """
    return {name: summary for name, (summary, _) in _BUILT_IN.items()}


def load(task: str) -> Task:
    """A task by name: a built-in one, or one from a Python file.

    Args:
      task: One of `names()`, or `"path/to/file.py:name"`, where `name` is a `Task` in that file or
        a function of no arguments that returns one. The file is executed, and may import what lies
        beside it.

    Returns:
      The `Task`.

    Raises:
      TypeError: If `task` is no string, or what it names is no task.
      ValueError: If there is no such built-in task, no such name in the file, or the file or the
        function in it raises (that error is the cause).
      FileNotFoundError: If there is no such file.
      ImportError: If a built-in task needs a package that is not installed.

    Example:
      >>> import lrjax
      >>> lrjax.tasks.load("quadratic-deep").steps
      700
    """
    if not isinstance(task, str):
        raise _fail_type("the name of a task", _check.describe(task))
    if task in _BUILT_IN:
        return _BUILT_IN[task][1]()
    path, colon, name = task.rpartition(":")
    if colon and path.endswith(".py"):
        return _from_file(Path(path).expanduser(), name)
    close = difflib.get_close_matches(task, _BUILT_IN, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    raise _fail(f"one of {', '.join(_BUILT_IN)}, or 'path/to/file.py:name'", f"{task!r}{hint}")


def _from_file(path: Path, name: str) -> Task:
    if not path.is_file():
        raise FileNotFoundError(str(_fail("a file that exists", f"'{path}'")))
    with _importable(path.resolve().parent):
        module = _execute(path)
        if not hasattr(module, name):
            candidates = ", ".join(_candidates(module)) or "no task"
            raise _fail(f"a name in '{path}', which has {candidates}", repr(name))
        found = getattr(module, name)
        if isinstance(found, Task):
            return found
        expected = "a `Task` or a function of no arguments that returns one"
        if not callable(found) or not _needs_nothing(found):
            shown = f"`{name}{inspect.signature(found)}`" if inspect.isfunction(found) else None
            raise _fail_type(expected, shown or _check.describe(found))
        try:
            made = found()
        except (Exception, SystemExit) as error:
            raise _fail("a function that runs", f"{name!r}, which raised {_one_line(error)}") from error
    if not isinstance(made, Task):
        raise _fail_type(expected, f"{name!r}, which returns {_check.describe(made)}")
    return made


@contextlib.contextmanager
def _importable(directory: Path) -> Iterator[None]:
    """Lets a file import what lies beside it, as it could if it were run as a script."""
    entry = str(directory)
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # the file may have changed the path itself
            sys.path.remove(entry)


def _execute(path: Path) -> ModuleType:
    """Runs the file as a module under a name of its own, which no other module has."""
    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]
    name = f"_lrjax_task_{digest}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # the path ends in .py
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and NamedTuples in the file look themselves up here
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise _fail("a file that runs", f"'{path}', which raised {_one_line(error)}") from error
    return module


def _candidates(module: ModuleType) -> list[str]:
    """The names in a module that hold a task, or a function of no arguments made there."""
    return [
        name
        for name, value in vars(module).items()
        if isinstance(value, Task)
        or (inspect.isfunction(value) and value.__module__ == module.__name__ and _needs_nothing(value))
    ]


def _needs_nothing(function: Callable[..., Any]) -> bool:
    """Whether a function can be called without arguments."""
    try:
        inspect.signature(function).bind()
    except (TypeError, ValueError):
        return False
    return True


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _fail(expected: str, got: str) -> ValueError:
    return _check.fail("tasks.load", "task", expected, got)


def _fail_type(expected: str, got: str) -> TypeError:
    return _check.fail_type("tasks.load", "task", expected, got)
