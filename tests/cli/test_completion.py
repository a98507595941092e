"""Scripts that complete commands in a shell."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

import lrjax


@pytest.mark.parametrize("shell", ["bash", "tcsh", "zsh"])
def test_a_script_for_each_shell_names_commands_and_options(call, shell):
    code, out, err = call("completion", shell)
    assert (code, err) == (0, "")
    for word in ("find", "range-test", "report", "--learning-rate", "--export", "tensorboard"):
        assert word.lstrip("-") in out


BASH = pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash to ask")


@BASH
@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["re"], ["report"]),
        (["find", "dig"], ["digits", "digits-cnn"]),
        (["find", "mi"], ["mine.py"]),
        (["sweep", "--learn"], ["--learning-rate"]),
        (["find", "digits", "--optimizer", "no"], ["noisy_sgd", "novograd"]),
        (["report", "som"], ["some"]),
        (["report", "some", "--output", "mi"], ["mine.py"]),
        (["schedule", "warmup(5)", "--out", "mi"], ["mine.py"]),
    ],
)
def test_bash_completes(call, here, words, found):
    (here / "some").mkdir()
    (here / "completion.bash").write_text(call("completion", "bash")[1])
    typed = " ".join(f"'{word}'" for word in ["lrjax", *words])
    ask = f'COMP_WORDS=({typed}); COMP_CWORD={len(words)}; _shtab_lrjax; printf "%s\\n" "${{COMPREPLY[@]}}"'
    done = subprocess.run(
        ["bash", "-c", f"source completion.bash; {ask}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert sorted(word.rstrip("/ ") for word in done.stdout.splitlines()) == found


def test_another_shell_is_refused(call):
    code, _, err = call("completion", "korn")
    assert code == 2
    assert "invalid choice: 'korn'" in err


def test_without_shtab_the_extra_is_named(call, monkeypatch):
    monkeypatch.setitem(sys.modules, "shtab", None)
    code, out, err = call("completion", "bash")
    assert (code, out) == (3, "")
    assert err == "lrjax: error: completion needs shtab: pip install 'lrjax[completion]'\n"


def test_every_built_in_task_is_offered(call):
    for shell in ("bash", "zsh"):
        script = call("completion", shell)[1]
        assert all(name in script for name in lrjax.tasks.names())
