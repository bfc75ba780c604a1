"""``fix --interactive``: what is asked, and what is written then."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import click
import pytest

from gpu_lint.cli import fix as fix_command
from tests.conftest import ROOT, run_cli
from tests.test_reports import LATE, POLICY, run

Project: TypeAlias = "Callable[[dict[str, str | bytes]], Path]"
HEADER_ALONE = POLICY + '[validation]\nrequired-in = "never"\n'
posix = pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")


class Terminal:
    """Answers questions in turn; an exception is raised instead."""

    def __init__(self, *answers: str | type[BaseException]) -> None:
        self._answers: Iterator[str | type[BaseException]] = iter(answers)
        self.asked: list[str] = []

    def prompt(self, text: str, **options: object) -> str:
        self.asked.append(text)
        answer = next(self._answers)
        if isinstance(answer, str):
            return answer
        raise answer


@pytest.fixture
def ask(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[list[str], set[str], str, int]]:
    """Runs ``fix --interactive`` on some files with some answers: what was asked, which files were
    changed, what was said, the exit status."""

    def run(
        files: dict[str, str], *answers: str | type[BaseException]
    ) -> tuple[list[str], set[str], str, int]:
        root = project({"gpu-lint.toml": HEADER_ALONE, **files})
        terminal = Terminal(*answers)
        monkeypatch.chdir(root)
        monkeypatch.setattr(click, "prompt", terminal.prompt)
        monkeypatch.setattr(fix_command, "_may_ask", lambda: True)
        done = run_cli("fix", "--interactive", "--no-cache")
        changed = {name for name, text in files.items() if (root / name).read_text() != text}
        return terminal.asked, changed, done.output, done.exit_code

    return run


FOUR = {f"{name}.py": LATE for name in "abcd"}


@pytest.mark.parametrize(
    ("answers", "asked", "changed"),
    [
        (("y", "n", "y", "n"), "abcd", {"a.py", "c.py"}),
        (("YES", " no ", "a"), "abc", {"a.py", "c.py", "d.py"}),
        (("all",), "a", {"a.py", "b.py", "c.py", "d.py"}),
        (("y", "quit"), "ab", {"a.py"}),
        (("q",), "a", set()),
        (("what?", "y", "", "n", "q"), "aabbc", {"a.py"}),
    ],
)
def test_what_was_accepted_is_written_and_nothing_else(
    ask: Callable[..., tuple[list[str], set[str], str, int]],
    answers: tuple[str, ...],
    asked: str,
    changed: set[str],
) -> None:
    questions, done, said, status = ask(FOUR, *answers)
    assert [question.split()[1] for question in questions] == [f"{name}.py" for name in asked]
    assert done == changed
    assert status == (0 if len(changed) == 4 else 1)
    assert ("what?" in answers) == ("y: change it; n: leave it" in said)
    assert '-os.environ["CUDA_VISIBLE_DEVICES"] = "1"' in said


@pytest.mark.parametrize("stop", [click.Abort, KeyboardInterrupt])
def test_ctrl_c_leaves_what_was_accepted_and_says_so(
    ask: Callable[..., tuple[list[str], set[str], str, int]], stop: type[BaseException]
) -> None:
    _, changed, said, status = ask(FOUR, "y", "n", "y", stop)
    assert changed == {"a.py", "c.py"}
    assert status == 130
    assert "interrupted; what was accepted is done: 2 files changed" in said
    assert "`gpu-lint undo " in said
    _, changed, said, status = ask(FOUR, stop)
    assert (changed, status) == (set(), 130)
    assert "interrupted; no file was changed" in said


def test_what_depends_on_a_refused_file_is_shown_again_or_left_out(
    ask: Callable[..., tuple[list[str], set[str], str, int]],
) -> None:
    """The header of a module needs the index of the program to change."""
    files = {
        "m.py": "import torch\n\n\ndef load(d):\n    return torch.zeros(1).to(d)\n",
        "run.py": 'from m import load\n\nif __name__ == "__main__":\n    load("cuda:1")\n',
    }
    questions, changed, _, _ = ask(files, "y", "n")
    assert [question.split()[1] for question in questions] == ["m.py", "run.py"]
    assert changed == set()
    questions, changed, _, _ = ask(files, "y", "y")
    assert changed == {"m.py", "run.py"}


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ((), "fix --interactive: there is no terminal to ask on"),
        (("-",), "fix --interactive: there is no terminal to ask on"),
        (("--diff",), "leave out --diff"),
    ],
)
def test_it_is_refused_in_one_line_where_nobody_can_be_asked(
    project: Project, options: tuple[str, ...], why: str
) -> None:
    root = project({"gpu-lint.toml": POLICY, "a.py": LATE})
    done = run("fix", "--interactive", *options, cwd=root)
    assert (done.returncode, done.stdout) == (2, b"")
    (line,) = done.stderr.decode().splitlines()
    assert why in line
    assert (root / "a.py").read_text() == LATE


@posix
def test_it_asks_on_a_terminal(project: Project) -> None:
    root = project({"gpu-lint.toml": POLICY, "a.py": LATE, "b.py": LATE})
    controller, terminal = os.openpty()
    os.write(controller, b"n\ny\n")
    done = subprocess.run(
        [sys.executable, "-m", "gpu_lint", "fix", "--interactive"],
        cwd=root,
        stdin=terminal,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    os.close(controller)
    os.close(terminal)
    assert b"Change a.py (1 of 2)? [y/n/all/quit]" in done.stderr
    assert b"1 file changed" in done.stderr
    assert done.returncode == 1
    assert (root / "a.py").read_text() == LATE
    assert "begin header" in (root / "b.py").read_text()
