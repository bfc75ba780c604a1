"""Files that never end, never answer or are no files; patterns that take for ever: one line each."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pathspec import GitIgnoreSpec

from gpu_lint.errors import SourceError
from gpu_lint.globs import LONGEST, ignore_spec, usable
from gpu_lint.source import read_bytes

Project: TypeAlias = "Callable[[dict[str, str | bytes]], Path]"
LATE = "import os\nimport torch\ntorch.cuda.init()\nos.environ['CUDA_VISIBLE_DEVICES'] = '1'\n"
POLICY = '[gpu]\nvisible-devices = "1"\ndevice-order = "PCI_BUS_ID"\n'
ENDLESS = Path("/dev/zero")
posix = pytest.mark.skipif(
    not ENDLESS.exists() or not hasattr(os, "mkfifo"), reason="needs /dev/zero and named pipes"
)


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gpu_lint", *arguments]
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, check=False, timeout=60, stdin=-3
    )


def make(kind: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(ENDLESS)


WHAT = {"pipe": "it is a named pipe, not a regular file", "device": "it is a device, not a regular"}


@posix
@pytest.mark.parametrize("kind", WHAT)
@pytest.mark.parametrize(
    "name",
    ["zero.py", ".gitignore", ".git/info/exclude", "gpu-lint.toml", "pyproject.toml", "header.txt",
     "packs/x.toml"],
)  # fmt: skip
def test_what_is_no_regular_file_is_one_line_and_never_read(
    project: Project, name: str, kind: str
) -> None:
    policy = POLICY + '[header]\ntemplate = "header.txt"\n' * (name == "header.txt")
    policy = 'extend-rules = ["packs/*.toml"]\n' * name.startswith("packs") + policy
    root = project({"sub/a.py": LATE, "sub/gpu-lint.toml": policy.replace('"h', '"../h')})
    if name in ("header.txt", "packs/x.toml"):
        (root / "sub" / "gpu-lint.toml").rename(root / "gpu-lint.toml")
        (root / "gpu-lint.toml").write_text(policy, encoding="utf-8")
    make(kind, root / name)
    paths = [str(root / name), "sub"] if name == "zero.py" else ["."]
    done = run("check", "--no-cache", "--output-format", "concise", *paths, cwd=root)
    assert done.returncode == 2
    told = [line for line in done.stderr.splitlines() if Path(name).name in line]
    assert len(told) == 1
    leads_out = any(words in told[0] for words in ("leads out", "leaves the", "lies outside"))
    assert WHAT[kind] in told[0] or (kind == "device" and leads_out)
    if not name.endswith((".toml", ".txt")):
        assert "sub/a.py:4:1: GPU107" in done.stdout


@posix
@pytest.mark.parametrize("named", [".", "empty"])
def test_a_pipe_that_may_be_executed_is_no_script_and_is_not_waited_for(
    project: Project, named: str
) -> None:
    root = project({"a.py": "", "empty/readme.txt": ""})
    make("pipe", root / "empty" / "tool")
    (root / "empty" / "tool").chmod(0o755)
    done = run("check", "--no-cache", named, cwd=root)
    assert done.returncode == (0 if named == "." else 2)
    assert done.stderr.startswith("All clear: 1 file" if named == "." else "gpu-lint: empty holds")


@posix
def test_an_imported_module_that_never_ends_is_not_read(project: Project) -> None:
    root = project({"a.py": "import zero\n" + LATE})
    make("device", root / "zero.py")
    done = run("check", "--no-cache", "--output-format", "concise", "a.py", cwd=root)
    assert done.returncode == 1
    assert done.stdout.startswith("a.py:5:1: GPU107")


@posix
def test_a_fix_leaves_a_file_alone_that_has_become_a_pipe(project: Project) -> None:
    root = project({"a.py": LATE})
    env = root / "state"
    os.environ["GPU_LINT_STATE_DIR"] = str(env)
    try:
        assert run("fix", "-q", "a.py", cwd=root).returncode == 0
        (root / "a.py").unlink()
        make("pipe", root / "a.py")
        done = run("undo", cwd=root)
    finally:
        del os.environ["GPU_LINT_STATE_DIR"]
    assert done.returncode == 2
    assert "a.py cannot be read; it was left as it is" in done.stderr


def test_a_file_over_the_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"x" * 2000)
    assert len(read_bytes(path, 2000)) == 2000
    with pytest.raises(SourceError, match="more than 0 are not read"):
        read_bytes(path, 1999)


HARD = [
    "*a" * 40 + "b",
    "**/*a*/" * 8 + "b",
    "**/a/" * 20 + "b",
    "*[ab]" * 30 + "c",
    "?*" * 40 + "b",
]
NAMES = ["a" * 250 + ".py", "/".join(["a" * 100] * 10) + ".py"]


@pytest.mark.parametrize("pattern", HARD)
def test_a_pattern_of_many_wildcards_is_matched_at_once(pattern: str) -> None:
    for name in NAMES:
        assert not ignore_spec([pattern]).match_file(name)


@pytest.mark.parametrize("where", ["exclude", ".gitignore", "per-file-ignores", "overrides"])
def test_such_a_pattern_ends_wherever_it_stands(project: Project, where: str) -> None:
    pattern = "*a" * 40 + "b"
    text = {
        "exclude": f"exclude = ['{pattern}']\n",
        "per-file-ignores": f"[per-file-ignores]\n'{pattern}' = ['GPU1']\n",
        "overrides": f"[[overrides]]\npaths = ['{pattern}']\ngpu.visible-devices = 'GPU-1'\n",
    }.get(where, "")
    files: dict[str, str | bytes] = {"a" * 200 + ".py": LATE, "gpu-lint.toml": text}
    root = project({**files, **({where: pattern + "\n"} if where == ".gitignore" else {})})
    done = run("check", "--no-cache", "--output-format", "concise", cwd=root)
    assert done.returncode == 1
    assert "GPU107" in done.stdout


_PARTS = ["a", "b", "*", "**", "/", "?", "[ab]", "\\*", ".", "*a*", "**/", "/**/", "!"]
_SEGMENTS = st.lists(st.sampled_from("ab.*"), min_size=1, max_size=3).map("".join)


@given(
    pattern=st.lists(st.sampled_from(_PARTS), min_size=1, max_size=8).map("".join),
    path=st.lists(_SEGMENTS, min_size=1, max_size=4).map("/".join),
    slash=st.sampled_from(["", "/"]),
)
def test_patterns_mean_what_they_mean_to_pathspec(pattern: str, path: str, slash: str) -> None:
    try:
        theirs = GitIgnoreSpec.from_lines([pattern])
    except ValueError:
        with pytest.raises(ValueError):
            ignore_spec([pattern])
        return
    if "//" in pattern:  # names no path; pathspec lets `.` cross a slash there
        return
    ours = ignore_spec([pattern])
    assert ours.check_file(path + slash).include == theirs.check_file(path + slash).include


def test_a_line_that_is_no_pattern_is_told_of_and_the_others_are_followed(project: Project) -> None:
    files = {"a.py": LATE, "b.py": LATE, ".git/HEAD": "", ".gitignore": "b.py\na\\\n[z-a]\n"}
    done = run("check", "--no-cache", "--output-format", "concise", cwd=project({**files}))
    assert done.returncode == 2
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == ["a.py"]
    assert "gpu-lint: .gitignore is not followed in full: line 2 is no pattern" in done.stderr


def test_a_pattern_that_is_too_long_is_refused_with_its_key(project: Project) -> None:
    assert usable(["a" * (LONGEST + 1), "b"]) == (
        ["b"],
        f"line 1 has more than {LONGEST} characters",
    )
    root = project({"a.py": LATE, "gpu-lint.toml": f"exclude = ['{'*' * 1001}']\n"})
    done = run("check", "--no-cache", cwd=root)
    assert done.returncode == 2
    assert re.fullmatch(
        r"gpu-lint: .*gpu-lint.toml:1: exclude: '\*{40}'... has more than 1000 characters\n",
        done.stderr,
    )


def test_a_range_that_is_none_is_refused_with_its_key(project: Project) -> None:
    root = project({"a.py": LATE, "gpu-lint.toml": "exclude = ['x', '[z-a]*']\n"})
    done = run("check", "--no-cache", cwd=root)
    assert done.returncode == 2
    assert done.stderr.endswith("gpu-lint.toml:1: exclude: '[z-a]*' is no pattern\n")


def test_rule_packs_are_not_looked_for_through_directories_of_directories(project: Project) -> None:
    root = project({"a.py": LATE, "gpu-lint.toml": "extend-rules = ['**/**/**/x.toml']\n"})
    done = run("check", "--no-cache", cwd=root)
    assert done.returncode == 2
    assert "extend-rules: '**/**/**/x.toml': at most one `**` is accepted" in done.stderr
