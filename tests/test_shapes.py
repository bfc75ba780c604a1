"""Hostile shapes at a small size, and the tool that times them at their full size."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import Result

from tests.conftest import ROOT, run_cli

sys.path.insert(0, str(ROOT / "bench"))

import ends
from shapes import LARGEST, SHAPES, Link, Pipe, Shape

BLOCKING = [
    name
    for name, shape in SHAPES.items()
    if any(isinstance(content, (Link, Pipe)) for content in shape.build(shape.small).values())
]
PLAIN = [name for name in SHAPES if name not in BLOCKING]


def written(shape: Shape, folder: Path) -> Path:
    """The small tree of a shape."""
    try:
        shape.write(folder, small=True)
    except (OSError, AttributeError) as error:
        pytest.skip(f"this system makes no such file: {error}")
    return folder


def options(shape: Shape) -> list[str]:
    return ["check", "--no-cache", "-j", "1", "--output-format", "json", *shape.arguments]


def assert_report(status: int, report: str, errors: str) -> None:
    """There are findings, or one line that says which file cannot be checked."""
    assert status in (1, 2), errors
    assert "internal error" not in errors
    assert "Traceback" not in errors
    late, forked = {"GPU107", "GPU116"}, {"GPU207"}
    codes = {finding["code"] for finding in json.loads(report)}
    assert codes & (late | forked) or "gpu-lint: " in errors


@pytest.mark.parametrize("name", PLAIN)
def test_a_hostile_shape_ends_with_a_report(name: str, tmp_path: Path) -> None:
    shape = SHAPES[name]
    done: Result = run_cli(*options(shape), str(written(shape, tmp_path / "tree")))
    assert_report(done.exit_code, done.stdout, done.stderr)


@pytest.mark.parametrize("name", BLOCKING)
def test_a_tree_of_files_that_never_end_gives_a_report(name: str, tmp_path: Path) -> None:
    """A process of its own, since one that reads such a file can only be killed."""
    shape = SHAPES[name]
    tree = written(shape, tmp_path / "tree")
    command = [sys.executable, "-m", "gpu_lint", *options(shape), str(tree)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert_report(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_is_the_same_each_time_and_under_a_mebibyte(name: str) -> None:
    shape = SHAPES[name]
    assert shape.build(shape.small) == shape.build(shape.small)
    texts = [content for content in shape.build(shape.full).values() if isinstance(content, str)]
    assert 0 < sum(len(text.encode()) for text in texts) <= LARGEST
    assert shape.description


def told(program: str, folder: Path, seconds: float = 60.0, mib: int | None = None) -> ends.Result:
    """What the bench says of a check, for which a program of Python's stands."""
    command = (sys.executable, "-c", program)
    check = ends.Check("x", "1 file", command, folder, seconds, mib)
    return ends.measure(iter([check]), 1)[0]


@pytest.mark.parametrize(
    ("program", "fault"),
    [
        ("print('[]')", ""),
        ("print('[]'); raise SystemExit(2)", ""),
        ("print('[')", "no report"),
        ("print('[]'); raise SystemExit(3)", "exit status 3"),
        ("import sys; print('[]'); print('internal error', file=sys.stderr)", "internal error"),
        ("import os; os.kill(os.getpid(), 11)", "ended by signal 11"),
    ],
    ids=["report", "unreadable file", "half a report", "unknown status", "our fault", "crash"],
)
def test_only_a_check_with_a_report_has_ended(program: str, fault: str, tmp_path: Path) -> None:
    if "os.kill" in program and sys.platform == "win32":
        pytest.skip("Windows has no signals")
    assert told(program, tmp_path).fault == fault


def test_a_check_over_its_time_or_memory_is_named(tmp_path: Path) -> None:
    assert told("while True: pass", tmp_path, seconds=0.01).fault == "does not end"
    if sys.platform == "win32":
        pytest.skip("the peak of a process is not known on Windows")
    grows = "x = bytearray(64 << 20); print('[]')"
    assert told_apart(grows, tmp_path, 32) == "too much memory"
    assert told_apart(grows, tmp_path, 512) == "as it should"


def told_apart(program: str, folder: Path, mib: int) -> str:
    """The fault that the bench tells, by a process of its own: the system counts what the process
    that starts another has in memory, which is much after many tests."""
    script = (
        "import sys\nfrom pathlib import Path\nfrom tests.test_shapes import told\n"
        "found = told(sys.argv[1], Path(sys.argv[2]), mib=int(sys.argv[3]))\n"
        "print(found.fault or 'as it should')\n"
    )
    root = Path(__file__).parent.parent
    command = [sys.executable, "-c", script, program, str(folder), str(mib)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_memory_is_that_of_all_processes_of_a_check() -> None:
    child = "import sys; x = bytearray(64 << 20); print(flush=True); sys.stdin.read()"
    parent = (
        "import subprocess, sys\n"
        f"command = [sys.executable, '-c', {child!r}]\n"
        "started = [subprocess.Popen(command, stdin=-1, stdout=-1) for _ in range(2)]\n"
        "for one in started: one.stdout.readline()\n"
        "print(flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdin=-1, stdout=-1, start_new_session=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert ends.memory_of(process.pid) > 128 << 20
        process.communicate()


def test_a_ratio_over_what_is_allowed_is_named() -> None:
    seconds = {"gpu-lint, cold": 3.0, "gpu-lint, warm": 0.5, "ruff": 1.0}
    peaks = {"gpu-lint, cold": 20.0, "gpu-lint, warm": 200.0, "ruff": 30.0}
    assert [(one.name, one.fault) for one in ends.ratios(seconds, peaks)] == [
        ("gpu-lint, cold, of ruff", "too slow"),
        ("gpu-lint, warm, of ruff", "too much memory"),
    ]


def test_the_table_goes_between_the_marks_of_a_page(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text(f"a\n{ends.BEGIN}\nold\n{ends.FINISH}\nb\n", encoding="utf-8")
    row = ends.Result("call-chain", "5 bytes", (3.0, 1.0, 2.0), 9, "8 s", "too slow")
    ends.write_into(page, ends.table([row]))
    assert page.read_text(encoding="utf-8").splitlines() == [
        "a",
        ends.BEGIN,
        "| check | size | takes | peak MiB | allowed | kept |",
        "|---|---|---|---|---|---|",
        "| call-chain | 5 bytes | 2.00 s | 9 | 8 s | too slow |",
        ends.FINISH,
        "b",
    ]
    page.write_text("no marks", encoding="utf-8")
    with pytest.raises(ValueError, match="no <!--"):
        ends.write_into(page, "x")


def test_the_page_of_the_bench_has_the_marks() -> None:
    text = (ROOT / "bench" / "README.md").read_text(encoding="utf-8")
    assert text.index(ends.BEGIN) < text.index(ends.FINISH)
