"""What is asked for and can have no effect is one line, never silence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.conftest import check_text, codes, run_cli

Project: TypeAlias = "Callable[[dict[str, str]], Path]"
GPU = '[gpu]\nvisible-devices = "1"\ndevice-order = "PCI_BUS_ID"\n'
CLEAN = "print('nothing here')\n"


@pytest.fixture
def here(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Writes the files of a project and goes into it."""

    def write(files: dict[str, str]) -> Path:
        root = project(files)
        monkeypatch.chdir(root)
        return root

    return write


def told(*arguments: str) -> list[str]:
    """What the command line says on standard error, but for the last line."""
    return run_cli(*arguments).stderr.splitlines()[:-1]


# --- demands that do not count -------------------------------------------------------------------


@pytest.mark.parametrize("selector", ["GPU101", "GPU3", "missing-visible-devices"])
def test_rules_that_need_a_policy_are_named_where_there_is_none(
    here: Project, selector: str
) -> None:
    here({"a.py": CLEAN})
    (line,) = told("check", "--select", selector)
    assert line.startswith(f"gpu-lint: command line: select: {selector} is not run, because no ")


@pytest.mark.parametrize(
    ("policy", "selector"), [("", "GPU107"), ("", "GPU1"), ("", "ALL"), (GPU, "GPU101")]
)
def test_rules_that_run_are_not_named(here: Project, policy: str, selector: str) -> None:
    here({"a.py": CLEAN, "gpu-lint.toml": policy})
    assert told("check", "--select", selector) == []


def test_a_policy_for_some_files_is_one(here: Project) -> None:
    override = '[[overrides]]\npaths = ["sub/**"]\ngpu = { visible-devices = "0", device-order = "PCI_BUS_ID" }\n'
    here({"a.py": CLEAN, "gpu-lint.toml": f'[header]\nrequired-in = "all"\n{override}'})
    assert told("check", "--select", "GPU101") == []


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ('[header]\nrequired-in = "all"\n', "header.required-in"),
        ('[validation]\nfunction = "f"\n', "validation.function"),
        ('[gpu]\nalloc-conf = "max_split_size_mb:512"\n', "gpu.alloc-conf"),
        ("[gpu]\nmin-memory-gib = 20\n", "gpu.min-memory-gib"),
    ],
)
def test_what_a_policy_demands_without_a_gpu_is_told_of(
    here: Project, table: str, key: str
) -> None:
    root = here({"a.py": CLEAN, "gpu-lint.toml": table})
    line = f"gpu-lint: {root / 'gpu-lint.toml'}:2: {key} has no effect without gpu.visible-devices"
    for command in (["check"], ["fix"], ["check", "a.py"]):
        (found,) = told(*command)
        assert found.startswith(line)
    assert told("check", "--quiet") == []


# --- globs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "written",
    [
        r"'C:\foo'",
        r'"C:\foo"',  # TOML makes a form feed of it
        "'C:/foo/**'",
        r"'\\server\share'",
        r'"src\build"',
        "'~/code'",
        "'../other'",
        "'!C:/foo'",
    ],
)
@pytest.mark.parametrize(
    "line", ["exclude = [{}]", "include = ['*.py', {}]", "entry-points = [{}]", "per-file-ignores = {{ {} = ['GPU1'] }}"]
)  # fmt: skip
def test_a_glob_that_can_match_no_file_is_told_of(here: Project, line: str, written: str) -> None:
    here({"a.py": CLEAN, "gpu-lint.toml": line.format(written) + "\n"})
    (found,) = told("check")
    assert f"gpu-lint.toml:1: {line.split()[0]}: " in found
    assert "can match no file: " in found


def test_the_projects_own_absolute_path_is_told_of(here: Project) -> None:
    root = here({"a.py": CLEAN})
    (root / "gpu-lint.toml").write_text(f"exclude = ['{root}/old']\n")
    (found,) = told("check")
    assert f"it is an absolute path; globs are relative to {root}" in found


@pytest.mark.parametrize(
    "glob", ["nothing/of/the/kind/**", "/old", "src\\\\old", "*.ipynb", "!kept.py", "a..b"]
)
def test_a_glob_that_may_match_some_day_is_fine(here: Project, glob: str) -> None:
    here({"a.py": CLEAN, "gpu-lint.toml": f'exclude = ["{glob}"]\n'})
    assert told("check") == []


# --- no files ------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["check", "fix"])
def test_a_directory_without_python_files_is_2_and_says_so(here: Project, command: str) -> None:
    here({"empty/readme.txt": "", "other/x.md": "", ".git/hooks/x.py": ""})
    done = run_cli(command, "empty", "other")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == (
        "gpu-lint: empty holds no Python files\ngpu-lint: other holds no Python files\n"
    )


def test_where_one_path_holds_a_python_file_the_others_need_none(here: Project) -> None:
    here({"empty/readme.txt": "", "src/a.py": CLEAN})
    done = run_cli("check", "empty", "src")
    assert (done.exit_code, done.stderr) == (0, "All clear: 1 file checked.\n")


def test_files_that_are_all_excluded_are_no_fault(here: Project) -> None:
    here({"old/a.py": CLEAN, "gpu-lint.toml": 'exclude = ["old"]\n'})
    line = "No Python files to check: all are excluded.\n"
    for arguments in (["check"], ["check", "old"], ["check", "--force-exclude", "old/a.py"]):
        done = run_cli(*arguments)
        assert (done.exit_code, done.stderr) == (0, line)


def test_what_git_ignores_is_excluded_and_no_fault(here: Project) -> None:
    here({"made/a.py": CLEAN, ".gitignore": "made/\n", ".git/HEAD": ""})
    assert run_cli("check").exit_code == 0


def test_a_hook_without_files_to_check_passes(here: Project) -> None:
    here({"empty/readme.txt": ""})
    done = run_cli("check", "--force-exclude", "empty")
    assert (done.exit_code, done.stderr) == (0, "No Python files found.\n")


def test_a_path_that_is_missing_is_2_even_for_a_hook(here: Project) -> None:
    here({"a.py": CLEAN})
    for arguments in (["nope.py"], ["--force-exclude", "nope.py"], ["a.py", "nope.py"]):
        assert run_cli("check", *arguments).exit_code == 2


# --- comments that are meant to silence -----------------------------------------------------------


@pytest.mark.parametrize(
    ("comment", "suggested"),
    [
        ("# gpu-lint: disable=GPU112", "# gpu-lint: ignore[GPU112] reason"),
        ("# gpu-lint: disable GPU112, gpu107", "# gpu-lint: ignore[GPU112, GPU107] reason"),
        ("# gpu-lint: disable", "# gpu-lint: ignore[CODE] reason"),
        ("# gpu-lint: skip", "# gpu-lint: ignore[CODE] reason"),
        ("# gpu-lint: skip-file", "# gpu-lint: ignore-file[CODE] reason"),
        ("# gpu-lint: noqa: GPU112", "# gpu-lint: ignore[GPU112] reason"),
        ("# gpu-lint: off because of the driver", "# gpu-lint: ignore[CODE] reason"),
        ("# gpu-lint: ignore-next-line", "# gpu-lint: ignore[CODE] reason"),
        ("# gpu-lint: igonre[GPU112]", "# gpu-lint: ignore[GPU112] reason"),
        ("# gpu-lint ignore", "# gpu-lint: ignore[CODE] reason"),
        ("# gpu-lint ignore[GPU112]", "# gpu-lint: ignore[GPU112] reason"),
        ("# gpulint: ignore", "# gpu-lint: ignore[CODE] reason"),
        ("# gpu_lint: ignore[GPU112]", "# gpu-lint: ignore[GPU112] reason"),
        ("# GPU-LINT: ignore[GPU112]", "# gpu-lint: ignore[GPU112] reason"),
        ("# type: ignore # gpu-lint: disable=GPU112", "# gpu-lint: ignore[GPU112] reason"),
    ],
)
def test_a_comment_that_is_meant_to_silence_is_gpu003(comment: str, suggested: str) -> None:
    found = check_text(f'import os\nos.environ["CUDA_VISIBLE_DEVICES"] = "1,1"  {comment}\n')
    assert codes(found) == [("GPU112", 2), ("GPU003", 2)]
    assert found.findings[1].message == f"this comment silences nothing; write `{suggested}`"


def test_a_suppression_behind_another_comment_is_gpu003() -> None:
    comment = "# type: ignore  # gpu-lint: ignore[GPU112]"
    found = check_text(f'import os\nos.environ["CUDA_VISIBLE_DEVICES"] = "1,1"  {comment}\n')
    assert codes(found) == [("GPU112", 2), ("GPU003", 2)]
    assert "put it first" in found.findings[1].message


@pytest.mark.parametrize(
    "comment",
    [
        "# gpu-lint ignores files over 4 MiB",
        "# gpu-lint: begin header",
        "# gpu-lint: validator",
        "# what gpu-lint: skip means",
        "# write `# gpu-lint: ignore[GPU201]` above it",
        "# gpu-lint is run in CI",
        "# gpu-lint skip is what others write",
        "# gpu-linting: skip",
    ],
)
def test_a_comment_about_gpu_lint_is_no_suppression(comment: str) -> None:
    assert codes(check_text(f"import os\n{comment}\n")) == []


def test_a_long_comment_is_read_once() -> None:
    comment = "# gpu-lint: ignore" + "_a-" * 20_000 + "!"
    assert codes(check_text(f"{comment}\n")) == [("GPU003", 1)]
