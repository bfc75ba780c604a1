"""Scripts without a suffix, found by their first line as the hook finds them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest
from identify.identify import tags_from_path

from gpu_lint.discovery import discover
from gpu_lint.rulebook import load_rulebook
from gpu_lint.settings import SettingsFinder
from gpu_lint.shebang import is_python_script
from tests.conftest import run_cli

Project: TypeAlias = "Callable[[dict[str, str | bytes]], Path]"
LATE = 'import os\nimport torch\ntorch.cuda.init()\nos.environ["CUDA_VISIBLE_DEVICES"] = "1"\n'
needs_modes = pytest.mark.skipif(os.name == "nt", reason="Windows files have no mode")


def script(path: Path, first_line: str | bytes, mode: int = 0o755) -> Path:
    path.write_bytes(first_line if isinstance(first_line, bytes) else first_line.encode())
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    "first_line",
    [
        "#!/usr/bin/python",
        "#!/usr/bin/python3",
        "#!/usr/bin/python3.11",
        "#! /usr/bin/env python3",
        "#!/usr/bin/env -S python3 -u",
        "#!/usr/bin/env python",
        "#!python3",
        "#!/opt/my\\ env/bin/python3 -E",
        "#!'/opt/my env/bin/python3'",
        "#!/usr/bin/env python3\r",
        "#!/bin/sh",
        "#!/usr/bin/env bash",
        "#!/usr/bin/env -S bash python3",
        "#!/usr/bin/ipython3",
        "#!/usr/bin/pythonista",
        "#!",
        "#!/usr/bin/env",
        "#! ",
        "# /usr/bin/python3",
        "\ufeff#!/usr/bin/python3",
        "",
        "x",
    ],
)
def test_a_first_line_says_what_identify_says(tmp_path: Path, first_line: str) -> None:
    path = script(tmp_path / "tool", f"{first_line}\nprint()\n")
    assert is_python_script(path) == ("python" in tags_from_path(str(path)))


@pytest.mark.parametrize(
    "first_line",
    [
        "#!/usr/bin/env pypy3",
        "#!/usr/bin/env -S uv run --script",
        "#!/usr/bin/env -S PYTHONPATH=lib python3",
        "#!/usr/bin/python3.14t",
    ],
)
def test_more_ways_to_start_python_than_identify_knows(tmp_path: Path, first_line: str) -> None:
    assert is_python_script(script(tmp_path / "tool", f"{first_line}\n"))


@pytest.mark.parametrize("content", [b"#!\xff\xfe python3\n", b"\0" * 300, b"#!" + b"a" * 9999])
def test_a_binary_file_is_no_script(tmp_path: Path, content: bytes) -> None:
    assert not is_python_script(script(tmp_path / "tool", content))


@needs_modes
def test_what_may_not_be_executed_is_no_script(tmp_path: Path) -> None:
    path = script(tmp_path / "tool", "#!/usr/bin/python3\n", 0o644)
    assert "python" not in tags_from_path(str(path))
    assert not is_python_script(path)


def test_check_finds_scripts_as_the_hook_does(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = project({"a.py": LATE, "LICENSE": "free\n", "sub/data.bin": b"\0", "old/x.txt": ""})
    for name in ("run", "sub/tool", "old/gone", "run.sh"):
        script(root / name, f"#!/usr/bin/env python3\n{LATE}")
    (root / "gpu-lint.toml").write_text('exclude = ["old"]\n')
    monkeypatch.chdir(root)
    done = run_cli("check", "--output-format", "concise")
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == ["a.py", "run", "sub/tool"]
    assert run_cli("fix").exit_code == 0
    assert (root / "run").read_text().startswith("#!/usr/bin/env python3\nimport os\n")


def test_a_script_that_is_started_by_its_name_need_not_be_executable(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = project({"LICENSE": "free\n", "NOTES": "#!not python\n"})
    script(root / "train", f"#!/usr/bin/env python3\n{LATE}", 0o644)
    monkeypatch.chdir(root)
    done = run_cli("check", "--output-format", "concise")
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == ["train"]


def test_an_include_of_the_projects_own_decides_alone(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = project({"a.py": "", "gpu-lint.toml": 'include = ["*.py"]\n'})
    script(root / "run", "#!/usr/bin/env python3\n")
    monkeypatch.chdir(root)
    found = discover([Path(".")], SettingsFinder(load_rulebook()))
    assert found.files == [Path("a.py")]


def test_a_directory_of_scripts_alone_holds_python(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = project({"gpu-lint.toml": 'exclude = ["bin"]\n', "bin/x.txt": ""})
    script(root / "bin" / "run", "#!/usr/bin/env python3\n")
    monkeypatch.chdir(root)
    assert run_cli("check", "bin").exit_code == 0


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_not_opened(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    root = project({"a.py": ""})
    os.mkfifo(root / "run", 0o755)
    monkeypatch.chdir(root)
    assert run_cli("check").exit_code == 0


EVERYWHERE = (
    '[gpu]\nvisible-devices = "1"\ndevice-order = "PCI_BUS_ID"\n[header]\nrequired-in = "all"\n'
)


def test_what_only_happens_to_parse_is_never_rewritten(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """JSON, notebooks and plain text that are named: one line each, and exit status 2."""
    others = {"package.json": '{"a": 1}\n', "nb.ipynb": '{"cells": []}\n', "notes.txt": "hello\n"}
    root = project({**others, "gpu-lint.toml": EVERYWHERE, "a.py": "import torch\n"})
    monkeypatch.chdir(root)
    script(root / "tool", "#!/usr/bin/env python3\nimport torch\n", 0o644)
    names = sorted((*others, "a.py", "tool"))
    for command in (["check"], ["fix"], ["fix", "--diff"], ["check", "--force-exclude"]):
        done = run_cli(*command, *names)
        assert done.exit_code == 2
        for name in others:
            assert done.stderr.count(f"{name} is not Python") == 1
    for name, text in others.items():
        assert (root / name).read_text() == text
        assert run_cli("check", name).exit_code == 2
    assert "begin header" in (root / "a.py").read_text()
    assert "begin header" in (root / "tool").read_text()


def test_what_include_names_is_python(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    include = 'include = ["*.py", "*.pyx"]\n'
    monkeypatch.chdir(project({"gpu-lint.toml": include + EVERYWHERE, "a.pyx": "import torch\n"}))
    assert run_cli("check", "a.pyx").exit_code == 1
