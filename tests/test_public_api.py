"""What `import lrjax` gives: everything documented, annotated, and light to import."""

import importlib.metadata
import inspect
import json
import re
import subprocess
import sys

import pytest

import lrjax

HEAVY = [
    "matplotlib",
    "sklearn",
    "optax",
    "flax",
    "torch",
    "tqdm",
    "pandas",
    "xarray",
    "tensorboardX",
    "shtab",
]


def public_names():
    """The names in `__all__`, or without one those that are neither private nor modules."""
    listed = getattr(lrjax, "__all__", None)
    if listed is not None:
        return sorted(name for name in listed if not name.startswith("__"))
    return [
        name for name in dir(lrjax) if not name.startswith("_") and not inspect.ismodule(getattr(lrjax, name))
    ]


NAMES = public_names()
FUNCTIONS = [name for name in NAMES if inspect.isfunction(getattr(lrjax, name))]
CLASSES = [name for name in NAMES if inspect.isclass(getattr(lrjax, name))]


def section(doc, title):
    """The text under a title of a Google-style docstring, or None."""
    found = re.search(rf"^{title}:\n((?:[ ]+.*\n|\n)+)", inspect.cleandoc(doc) + "\n", re.MULTILINE)
    return found and found[1]


def documented(doc, title):
    """The names that a section of a docstring explains, each with at least a word."""
    text = section(doc, title) or ""
    indent = min((len(line) - len(line.lstrip()) for line in text.splitlines() if line.strip()), default=0)
    return re.findall(rf"^ {{{indent}}}\*{{0,2}}(\w+)(?: \(.*?\))?:[ \n]+\S", text, re.MULTILINE)


def parameters(function):
    return [p for p in inspect.signature(function).parameters.values() if p.name not in ("self", "cls")]


def public_methods(cls):
    """The methods that a public class defines itself, properties among them."""
    for name, member in vars(cls).items():
        if isinstance(member, property):
            yield name, member.fget
        elif isinstance(member, (staticmethod, classmethod)) and not name.startswith("_"):
            yield name, member.__func__
        elif inspect.isfunction(member) and not name.startswith("_"):
            yield name, member


METHODS = [
    pytest.param(method, id=f"{name}.{method_name}")
    for name in CLASSES
    for method_name, method in public_methods(getattr(lrjax, name))
]


def test_names_are_functions_classes_or_modules():
    assert len(NAMES) > 40
    assert len(set(NAMES)) == len(NAMES)
    for name in NAMES:
        value = getattr(lrjax, name)
        assert inspect.isfunction(value) or inspect.isclass(value) or inspect.ismodule(value), name


@pytest.mark.parametrize("name", FUNCTIONS + CLASSES)
def test_a_docstring_with_an_example(name):
    doc = inspect.getdoc(getattr(lrjax, name))
    assert doc, "no docstring"
    summary = doc.splitlines()[0]
    assert summary.endswith((".", ":")) or "$" in summary
    example = section(doc, "Example")
    assert example, "no `Example:` section"
    assert ">>> " in example


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_documents_every_parameter_and_what_it_returns(name):
    function = getattr(lrjax, name)
    doc = inspect.getdoc(function)
    assert documented(doc, "Args") == [p.name for p in parameters(function)]
    if inspect.signature(function).return_annotation not in (None, "None"):
        assert section(doc, "Returns"), "no `Returns:` section"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_annotated(name):
    signature = inspect.signature(getattr(lrjax, name))
    assert signature.return_annotation is not signature.empty, "no return annotation"
    assert [p.name for p in signature.parameters.values() if p.annotation is p.empty] == []


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_documents_every_field(name):
    cls = getattr(lrjax, name)
    fields = getattr(cls, "_fields", None) or getattr(cls, "__dataclass_fields__", ())
    explained = {
        name for part in cls.__mro__ for name in documented(inspect.getdoc(part) or "", "Attributes")
    }
    assert [field for field in fields if not field.startswith("_") and field not in explained] == []


@pytest.mark.parametrize("method", METHODS)
def test_a_method_is_documented_and_annotated(method):
    assert inspect.getdoc(method), "no docstring"
    signature = inspect.signature(method)
    assert signature.return_annotation is not signature.empty, "no return annotation"
    assert [p.name for p in parameters(method) if p.annotation is p.empty] == []


def test_the_reader_of_docstrings_sees_what_is_missing():
    doc = """One line.

    Args:
      first: The first,
        which: is long.
      *rest: The others.
      empty:

    Returns:
      Something.
    """
    assert documented(doc, "Args") == ["first", "rest"]
    assert section(doc, "Returns").strip() == "Something."
    assert section(doc, "Example") is None


@pytest.fixture(scope="module")
def fresh():
    """What a new interpreter has loaded after `import lrjax`."""
    code = "import sys, json, lrjax; print(json.dumps(sorted(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr
    return set(json.loads(result.stdout))


@pytest.mark.parametrize("module", HEAVY)
def test_importing_lrjax_leaves_out(fresh, module):
    assert "lrjax" in fresh
    assert module not in fresh


def test_the_version_is_the_distribution_s():
    assert lrjax.__version__ == importlib.metadata.version("lrjax")
