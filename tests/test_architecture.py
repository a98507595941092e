"""The arrows between lrjax's rooms point one way (DESIGN.md, "The rooms")."""

import ast
import graphlib
import inspect
import pathlib

import pytest

import lrjax

ROOT = pathlib.Path(lrjax.__file__).parent

# Room -> the rooms it may import. A room is a module or a package at the top of lrjax.
BASE = {"_types", "_check", "_values", "_files"}
CORE = BASE | {"_tree", "transform"}
RESULTS = BASE | {"_tree", "results"}
SEARCH = CORE | {
    "schedules",
    "trials",
    "data",
    "engine",
    "results",
    "answer",
    "plot",
    "report",
    "export",
    "science",
    "search",
    "compat",
}
ROOMS = {
    "_types": set(),
    "_check": {"_types"},
    "_values": set(),
    "_files": set(),
    "_tree": BASE,
    "_keys": set(),
    "tree": BASE | {"_tree"},
    "transform": BASE | {"_tree"},
    "transforms": CORE,
    "schedules": CORE,
    "learning_rate": CORE | {"transforms", "schedules"},
    "optimizers": CORE | {"transforms", "schedules", "learning_rate"},
    "contrib": CORE | {"transforms", "schedules", "learning_rate", "optimizers"},  # optax's second namespace
    "data": BASE | {"_tree", "_keys"},  # split from trials
    "trials": CORE | {"learning_rate"},  # knows the protocol, never the optimizers
    "engine": CORE | {"_keys", "data", "trials", "results"},  # never what is searched
    "results": BASE | {"_tree"},
    "answer": RESULTS,
    "plot": RESULTS | {"answer", "schedules"},
    "report": RESULTS | {"answer", "plot", "schedules"},
    "export": RESULTS | {"answer"},  # tables and logs for other programs
    "science": CORE | {"schedules", "trials"},
    "search": SEARCH | {"learning_rate"},  # a range test asks where a schedule ends
    "compat": SEARCH | {"transforms", "learning_rate", "optimizers"},
}
BELOW = set(ROOMS) | {"__init__"}
ROOMS["__init__"] = BELOW - {"__init__"} | {"tasks"}  # the package's front, which names every room
ROOMS["tasks"] = BELOW - {"__init__"}
ROOMS["cli"] = BELOW | {"tasks"}
ROOMS["__main__"] = {"cli"}

NEVER = {"optax", "flax", "torch", "pickle"}  # oracles and peers; and nothing stored may execute
ONLY_WHEN_CALLED = {  # extras
    "matplotlib",
    "sklearn",
    "orbax",
    "xarray",
    "pandas",
    "tensorboardX",
    "plotly",
    "optuna",
    "shtab",
}


def modules_of(root):
    """Dotted name below the root ("__init__", "schedules", "schedules._join") -> path."""
    found = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        parts = parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts
        found[".".join(parts)] = path
    return found


def imports_of(path, module):
    """(absolute dotted name, whether it runs only when called) for everything a module imports."""
    package = (
        [ROOT.name, *module.split(".")] if path.stem == "__init__" else [ROOT.name, *module.split(".")[:-1]]
    )
    package = [ROOT.name] if module == "__init__" else package

    def visit(node, inside):
        inside = inside or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        inside = inside or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
        if isinstance(node, ast.Import):
            yield from ((alias.name, inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((f"{source}.{alias.name}", inside) for alias in node.names)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, inside)

    return list(visit(ast.parse(path.read_text()), False))


def faults_of(root, exported=()):
    """Every breach of the rules in the package at `root`, one line each."""
    modules, faults, graph = modules_of(root), [], {}
    for module, path in modules.items():
        room = module.split(".")[0]
        if room not in ROOMS:
            faults.append(f"{module}: the room {room} has no row in ROOMS")
        if module.split(".")[-1] in exported:
            faults.append(f"{module}: shares its name with a public function")
        graph[module] = set()
        for name, inside in imports_of(path, module):
            top, *rest = name.split(".")
            if top in NEVER or (top in ONLY_WHEN_CALLED and not inside):
                faults.append(f"{module}: imports {top}" + " outside functions" * (top not in NEVER))
            if top != ROOT.name:
                continue
            while rest and ".".join(rest) not in modules:
                rest = rest[:-1]  # the last parts name something in a module
            target = ".".join(rest) or "__init__"
            graph[module].add(target)
            other = target.split(".")[0]
            if other != room and other not in ROOMS.get(room, ()):
                faults.append(f"{module}: may not import {target}")
    try:
        list(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        faults.append(f"cycle: {' -> '.join(error.args[1])}")
    return list(dict.fromkeys(faults))


def public_functions():
    return {
        name for name, value in vars(lrjax).items() if inspect.isfunction(value) and not name.startswith("_")
    }


def test_lrjax_keeps_its_arrows():
    assert len(modules_of(ROOT)) > 15
    assert {"adam", "chain", "linear_schedule"} <= public_functions()
    assert faults_of(ROOT, public_functions()) == []


def test_the_table_has_no_cycles_and_no_strangers():
    assert set().union(*ROOMS.values()) <= ROOMS.keys()
    pairs = {room: {other for other in rooms if other != room} for room, rooms in ROOMS.items()}
    pairs["search"] -= {"compat"}  # either may call the other's lower half; modules still form no cycle
    list(graphlib.TopologicalSorter(pairs).static_order())
    assert not any({"cli", "__main__"} & rooms for room, rooms in ROOMS.items() if room != "__main__")
    assert {room for room, rooms in ROOMS.items() if "tasks" in rooms} == {"__init__", "cli"}
    users = {room for room, rooms in ROOMS.items() if "compat" in rooms}
    assert users == {"__init__", "compat", "search", "tasks", "cli"}


GOOD = {
    "__init__.py": "from lrjax.optimizers import adam\nfrom lrjax import plot",
    "_check.py": "import jax\nimport numpy as np",
    "transform.py": "from lrjax import _check",
    "optimizers/__init__.py": "from lrjax.optimizers._adam import adam",
    "optimizers/_adam.py": "from lrjax.transform import f\nfrom lrjax import _check\nfrom . import _lion",
    "optimizers/_lion.py": "import optaxlike",
    "plot/__init__.py": "if TYPE_CHECKING:\n  import matplotlib.axes\ndef f():\n  import matplotlib.pyplot",
    "plot/_iris.py": "class A:\n  def f(self):\n    from sklearn import datasets",
    "tasks/__init__.py": "from lrjax.optimizers import adam",
    "cli.py": "import lrjax.tasks",
    "__main__.py": "from lrjax.cli import main",
}


def plant(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_the_checker_accepts_a_good_tree(tmp_path):
    assert faults_of(plant(tmp_path, GOOD), {"adam", "draw"}) == []


@pytest.mark.parametrize(
    ("file", "text", "fault"),
    [
        ("transform.py", "import lrjax.optimizers", "transform: may not import optimizers"),
        ("transform.py", "import lrjax.optimizers._lion", "transform: may not import optimizers._lion"),
        ("transform.py", "from .optimizers import adam", "transform: may not import optimizers"),
        ("transform.py", "from . import optimizers", "transform: may not import optimizers"),
        ("transform.py", "def f():\n  import lrjax.optimizers", "transform: may not import optimizers"),
        ("transform.py", "if TYPE_CHECKING:\n  import lrjax.cli", "transform: may not import cli"),
        ("optimizers/_lion.py", "from ..plot import draw", "optimizers._lion: may not import plot"),
        ("optimizers/_lion.py", "import lrjax", "optimizers._lion: may not import __init__"),
        ("optimizers/_lion.py", "from lrjax import adam", "optimizers._lion: may not import __init__"),
        ("_check.py", "import optax", "_check: imports optax"),
        ("_check.py", "def f():\n  from torch.utils import data", "_check: imports torch"),
        ("_check.py", "class A:\n  import flax.linen", "_check: imports flax"),
        ("_check.py", "def f():\n  import pickle", "_check: imports pickle"),
        ("_check.py", "import matplotlib.pyplot", "_check: imports matplotlib outside functions"),
        ("_check.py", "try:\n  import sklearn\nfinally: 1", "_check: imports sklearn outside functions"),
        ("kitchen.py", "", "kitchen: the room kitchen has no row in ROOMS"),
        ("attic/__init__.py", "", "attic: the room attic has no row in ROOMS"),
        ("optimizers/adam.py", "", "optimizers.adam: shares its name with a public function"),
        ("plot/draw/__init__.py", "", "plot.draw: shares its name with a public function"),
        ("trials.py", "from lrjax.optimizers import adam", "trials: may not import optimizers"),
        ("engine/plan.py", "from lrjax.answer import judge", "engine.plan: may not import __init__"),
        ("search/grid.py", "from lrjax.tasks import digits", "search.grid: may not import tasks"),
    ],
)
def test_the_checker_finds_a_fault(tmp_path, file, text, fault):
    faults = faults_of(plant(tmp_path, GOOD | {file: text}), {"adam", "draw"})
    assert [found for found in faults if not found.startswith("cycle")] == [fault]


@pytest.mark.parametrize(
    "text", ["from lrjax.optimizers import _adam", "def f():\n  from ._adam import adam"]
)
def test_the_checker_finds_a_cycle(tmp_path, text):
    (fault,) = faults_of(plant(tmp_path, GOOD | {"optimizers/_lion.py": text}))
    assert fault.startswith("cycle: ")
    assert "optimizers._adam" in fault
