"""What README and docs show runs, and what they name exists."""

from __future__ import annotations

import re
import runpy
import shlex
from pathlib import Path

import matplotlib as mpl
import pytest

import lrjax
from lrjax.cli._main import parser

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
IDS = [page.name for page in PAGES]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_python_examples_run(page, tmp_path, monkeypatch):
    examples = blocks(page, "python")
    monkeypatch.chdir(tmp_path)
    mpl.use("Agg")
    namespace: dict = {}
    for number, example in enumerate(examples):
        exec(compile(example, f"{page.name}, example {number + 1}", "exec"), namespace)


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_lrjax_commands_parse(page):
    for block in blocks(page, "sh"):
        for line in block.splitlines():
            words = shlex.split(line.rpartition("&&")[2])
            if words and words[0].endswith("lrjax"):
                assert callable(parser().parse_args(words[1:]).run)


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_links_and_pictures_exist(page):
    targets = re.findall(r"\]\(([^)]+)\)", page.read_text())
    for target in targets:
        if not target.startswith("http"):
            assert (page.parent / target.partition("#")[0]).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_names_of_lrjax_exist(page):
    for name in re.findall(r"lrjax((?:\.[a-zA-Z_]\w*)+)", page.read_text()):
        value = lrjax
        for part in name.strip(".").split("."):
            if part not in ("json", "npz"):
                value = getattr(value, part)


def test_the_list_of_names_is_up_to_date():
    made = runpy.run_path(str(ROOT / "docs" / "make_api.py"))["page"]()
    assert made == (ROOT / "docs" / "api.md").read_text(), "run `python docs/make_api.py`"


def test_the_readme_has_exactly_two_one_line_commands():
    commands = blocks(ROOT / "README.md", "sh")
    assert len(commands) == 2
    assert all(len(command.strip().splitlines()) == 1 for command in commands)
    assert "lrjax find digits" in commands[0]
    assert "pytest" in commands[1]


def test_the_readme_shows_one_picture_before_the_first_command():
    text = (ROOT / "README.md").read_text()
    assert text.count("![") == 1
    assert text.index("![") < text.index("```sh")


def test_the_readme_fits_one_screen():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 60


def test_every_optimizer_schedule_and_task_is_documented():
    optimizers = (ROOT / "docs" / "optimizers.md").read_text()
    schedules = (ROOT / "docs" / "schedules.md").read_text()
    assert [
        name for name in lrjax.optimizers.__all__ if name.islower() and f"`{name}`" not in optimizers
    ] == []
    public = [
        name for name in lrjax.schedules.__all__ if name.endswith(("_schedule", "_schedules", "_decay"))
    ]
    assert [name for name in public if name != "as_schedule" and f"`{name}`" not in schedules] == []
    tasks = (ROOT / "docs" / "command-line.md").read_text()
    assert [name for name in lrjax.tasks.names() if f"`{name}`" not in tasks] == []
