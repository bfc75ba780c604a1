"""The history of runs: what it holds, whose it is, how it stays small, and what goes wrong."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from gpu_lint.runtime import history
from gpu_lint.runtime.history import History, PastRun
from tests.conftest import run_cli

posix = pytest.mark.skipif(os.name != "posix", reason="modes and links are of POSIX")


def run_of(number: int = 0, **env: str) -> PastRun:
    return PastRun.of("verify", {"verdict": "violated", "number": number}, env)


def numbers(kept: History) -> list[int]:
    return [run["document"]["number"] for run in kept.runs()]


def test_a_run_is_one_line_without_secrets_and_other_variables(tmp_path: Path) -> None:
    kept = History(tmp_path / "state", 400, 50)
    env = {"CUDA_VISIBLE_DEVICES": "1", "HF_TOKEN": "hf_secret", "HOME": "/root"}
    assert kept.add(run_of(7, **env)) == ""
    (line,) = kept.path.read_text().splitlines()
    run = json.loads(line)
    assert run["schema"] == "gpu-lint.history/1"
    assert run["variables"] == {"CUDA_VISIBLE_DEVICES": "1"}
    assert (run["command"], run["root"]) == ("verify", os.getcwd())
    assert run["document"] == {"verdict": "violated", "number": 7}
    assert "secret" not in line


@posix
def test_it_is_for_its_owner_alone(tmp_path: Path) -> None:
    kept = History(tmp_path / "state", 400, 50)
    before = os.umask(0)
    try:
        kept.add(run_of())
        kept._most = 0
        kept.add(run_of())
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in kept.path.parent.iterdir()}
    assert modes["history.jsonl"] == 0o600
    assert set(modes.values()) == {0o600}
    assert kept.path.parent.stat().st_mode & 0o777 == 0o700


@posix
def test_it_is_written_through_no_link(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("mine\n")
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "history.jsonl").symlink_to(target)
    warning = History(tmp_path / "state", 400, 50).add(run_of())
    assert "cannot be written" in warning
    assert target.read_text() == "mine\n"


def test_old_runs_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = History(tmp_path, 400, 50)
    now = datetime.now(timezone.utc)
    for number, days in enumerate((500, 401, 399, 0)):
        monkeypatch.setattr(history, "_now", lambda days=days: now - timedelta(days=days))
        kept.add(run_of(number))
    assert numbers(kept) == [2, 3]


def test_the_oldest_runs_are_forgotten_where_it_grows_too_large(tmp_path: Path) -> None:
    kept = History(tmp_path, 400, 50)
    kept.add(run_of(0))
    kept._most = 10 * kept.path.stat().st_size
    for number in range(1, 40):
        assert kept.add(run_of(number)) == ""
        assert kept.path.stat().st_size <= kept._most
    found = numbers(kept)
    assert found == list(range(found[0], 40))
    assert len(found) >= 7
    kept._most = 1
    kept.add(run_of(41))
    assert numbers(kept) == [41]


def test_what_a_crash_left_is_no_run_and_loses_none(tmp_path: Path) -> None:
    kept = History(tmp_path, 400, 50)
    kept.add(run_of(1))
    with kept.path.open("ab") as file:
        file.write(b'{"schema": "gpu-lint.hist')
    kept.add(run_of(2))
    with kept.path.open("ab") as file:
        file.write(b'[]\n{"at": 3}\n\xff\n')
    assert numbers(kept) == [1, 2]
    kept._most = 1
    kept.add(run_of(3))
    assert numbers(kept) == [3]


def test_a_full_disk_is_one_warning_and_leaves_what_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = History(tmp_path, 400, 50)
    kept.add(run_of(1))
    before = kept.path.read_bytes()

    def full(kept: History) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(History, "_trim", full)
    warning = kept.add(run_of(2))
    assert warning.endswith(
        "cannot be written: No space left on device; `--no-history` writes none"
    )
    assert kept.path.read_bytes().startswith(before)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
def test_a_line_that_cannot_be_written_whole_is_taken_back(tmp_path: Path) -> None:
    code = f"""
import resource, signal, sys
from pathlib import Path
from gpu_lint.runtime.history import History, PastRun
kept = History(Path({str(tmp_path)!r}), 400, 50)
run = PastRun.of("verify", {{}}, {{}})
assert kept.add(run) == ""
size = kept.path.stat().st_size
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, size + 10))
warning = kept.add(run)
assert "cannot be written" in warning, warning
assert kept.path.stat().st_size == size
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr == ""


def test_a_directory_that_cannot_be_made_is_one_warning(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    warning = History(tmp_path / "file" / "state", 400, 50).add(run_of())
    assert "cannot be written: " in warning
    assert "\n" not in warning


def test_runs_at_the_same_time_lose_no_line(tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from gpu_lint.runtime.history import History, PastRun
for number in range(20):
    run = PastRun.of("verify", {{"number": number, "x": "x" * 5000}}, {{}})
    assert History(Path({str(tmp_path)!r}), 400, 50).add(run) == ""
"""
    children = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    assert [child.wait(60) for child in children] == [0, 0, 0]
    assert sorted(numbers(History(tmp_path, 400, 50))) == sorted(list(range(20)) * 3)


def test_clean_forgets_all_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPU_LINT_STATE_DIR", str(tmp_path / "state"))
    kept = History(tmp_path / "state", 400, 50)
    kept.add(run_of(1))
    kept.add(run_of(2))
    first, second = run_cli("clean", "--history"), run_cli("clean", "--history")
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert "deleted the history of 2 runs" in first.stdout
    assert "there is no history" in second.stdout
    assert not kept.path.exists()
