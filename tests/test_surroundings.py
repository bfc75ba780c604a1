"""A current directory, a home, streams and disks that are not what a program counts on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

Project: TypeAlias = "Callable[[dict[str, str | bytes]], Path]"
LATE = "import os\nimport torch\ntorch.cuda.init()\nos.environ['CUDA_VISIBLE_DEVICES'] = '1'\n"
FULL = Path("/dev/full")
FORMATS = ("full", "concise", "json", "github", "gitlab", "sarif", "junit")
posix = pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
full = pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")


def shell(script: str, cwd: Path, before: str = "") -> subprocess.CompletedProcess[str]:
    """Run a shell script in which ``$G`` is gpu-lint, started by some lines of Python."""
    program = f"{before}\nfrom gpu_lint.cli import main; main(prog_name='gpu-lint')"
    return subprocess.run(
        ["sh", "-c", script.replace("$G", '"$PYTHON" -c "$PROGRAM"')],
        cwd=cwd,
        env={**os.environ, "PYTHON": sys.executable, "PROGRAM": program},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@posix
@pytest.mark.parametrize("command", ["check", "fix", "undo", "graph", "config", "clean"])
def test_a_directory_that_was_deleted_is_one_line(project: Project, command: str) -> None:
    root = project({"sub/a.py": LATE})
    done = shell(f"cd sub && rm -r ../sub && exec $G {command}", root)
    assert done.returncode == 2
    assert done.stderr == (
        "gpu-lint: the current directory no longer exists; change to one that does\n"
    )


@posix
def test_starting_as_a_module_in_a_deleted_directory_is_one_line(project: Project) -> None:
    root = project({"sub/a.py": LATE})
    done = shell('cd sub && rm -r ../sub && exec "$PYTHON" -m gpu_lint check', root)
    assert done.returncode == 2
    assert "the current directory no longer exists" in done.stderr
    assert "Traceback" not in done.stderr


HOMELESS = """
import os, pwd
for name in ("HOME", "GPU_LINT_STATE_DIR", "XDG_STATE_HOME", "USERPROFILE"):
    os.environ.pop(name, None)
def unknown(*arguments): raise KeyError
pwd.getpwuid = pwd.getpwnam = unknown
"""


@posix
def test_a_user_without_a_home_can_check_and_is_told_where_undo_would_be_kept(
    project: Project,
) -> None:
    root = project({"a.py": LATE})
    done = shell("exec $G check --output-format concise", root, HOMELESS)
    assert (done.returncode, "GPU107" in done.stdout) == (1, True)
    done = shell("exec $G fix", root, HOMELESS)
    assert done.returncode == 2
    assert done.stderr == (
        "gpu-lint: there is no home directory to keep what `undo` needs; set HOME, or name a "
        "directory in GPU_LINT_STATE_DIR\n"
    )
    assert (root / "a.py").read_text(encoding="utf-8") == LATE
    assert sorted(path.name for path in root.iterdir()) == ["a.py"]


COMMANDS = [f"check --no-cache --output-format {form} a.py" for form in FORMATS]
COMMANDS += ["fix --diff a.py", "config", "rule", "rule GPU001", "graph .", "--help", "--version"]


@posix
@pytest.mark.parametrize("command", COMMANDS)
def test_an_output_that_was_closed_is_one_line(project: Project, command: str) -> None:
    done = shell(f"exec $G {command} >&-", project({"a.py": LATE}))
    assert done.returncode == 2
    assert done.stderr == "gpu-lint: the output cannot be written: Bad file descriptor\n"


@full
@pytest.mark.parametrize("command", COMMANDS)
def test_an_output_on_a_full_disk_is_one_line(project: Project, command: str) -> None:
    done = shell(f"exec $G {command} >{FULL}", project({"a.py": LATE}))
    assert done.returncode == 2
    assert done.stderr == "gpu-lint: the output cannot be written: No space left on device\n"


@posix
@pytest.mark.parametrize("streams", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_a_fix_writes_into_no_file_that_took_the_place_of_a_closed_stream(
    project: Project, streams: str
) -> None:
    root = project({"a.py": LATE})
    assert shell("exec $G fix -q a.py", root).returncode == 0
    wanted = (root / "a.py").read_bytes()
    (root / "a.py").write_text(LATE, encoding="utf-8")
    done = shell(f"exec $G fix a.py {streams}", root)
    assert done.returncode in (0, 2)
    assert (root / "a.py").read_bytes() == wanted


@full
def test_messages_on_a_full_disk_fail_the_run_and_the_report_is_whole(project: Project) -> None:
    done = shell(f"exec $G check --output-format concise a.py 2>{FULL}", project({"a.py": LATE}))
    assert done.returncode == 2
    assert "a.py:4:1: GPU107" in done.stdout


@posix
def test_a_graph_leaves_out_a_file_with_a_syntax_error_and_says_so(project: Project) -> None:
    broken = 'import torch\nif __name__ == "__main__":\n    f(:\n'
    done = shell("exec $G graph .", project({"a.py": LATE, "b.py": broken}))
    assert done.returncode == 2
    assert done.stdout.startswith("a.py  (entry point)")
    assert done.stderr == "gpu-lint: b.py is left out: syntax error: invalid syntax on line 3\n"
