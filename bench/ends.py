"""Shows that every tree ends: public trees and hostile shapes, each against its limit.

:mod:`run` calls it. A check counts as ended if it gives a report within the limits of time and
memory; a crash, a missing report or an internal error does not. Memory is that of all processes
of the check together, summed up from ``/proc`` every few milliseconds; where there is none, it
is that of the largest one.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from shapes import SHAPES

MIB = 1 << 20
TREE_SECONDS = 15.0
SHAPE_SECONDS = 8.0
SHAPE_MIB = 1024
STOPPED_AFTER = 4.0
"""A check is stopped at so many times its limit of time."""
STOPPED_AT_MIB = 6 * 1024
UNENDED = "does not end"
INTERVAL = 0.02
"""Seconds between two looks at the memory."""
RATIOS = (
    ("gpu-lint, cold", "ruff", 2.0),
    ("gpu-lint, cold", "ast-grep", 0.36),
    ("gpu-lint, warm", "ruff", 0.65),
    ("gpu-lint, one file, cold", "ruff", 0.8),
)
"""A command of :mod:`run`, a peer, and the most that the one may take of the other's time."""
RATIO_MIB = 150
BEGIN, FINISH = "<!-- every tree ends: begin -->", "<!-- every tree ends: end -->"


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel of PyPI, of which the Python files are checked."""

    name: str
    """The folder it is unpacked to."""
    project: str
    version: str
    built: tuple[str, ...] = ()
    """Options of ``pip download`` for one that is not pure Python: which build is taken."""

    @property
    def title(self) -> str:
        return f"{self.name} {self.version}"


_BUILT = ("--only-binary=:all:", "--python-version", "3.11")
TREES = (
    Wheel("ms-swift", "ms-swift", "4.6.0"),
    Wheel("simpletuner", "simpletuner", "3.1.6"),
    Wheel("skypilot", "skypilot", "0.14.1"),
    Wheel("paddlex", "paddlex", "3.7.2"),
    Wheel("invokeai", "invokeai", "6.14.2"),
    Wheel(
        "torch",
        "torch",
        "2.14.1",
        (*_BUILT, "--platform", "macosx_14_0_arm64", "--platform", "macosx_11_0_arm64",
         "--platform", "manylinux_2_28_x86_64"),
    ),
    Wheel("unsloth", "unsloth", "2026.10.9"),
    Wheel("xinference", "xinference", "4.1.0"),
    Wheel("sglang", "sglang", "0.5.23", (*_BUILT, "--platform", "manylinux_2_34_x86_64")),
)  # fmt: skip
"""Five of them did not end in two minutes once."""
FIXED = Wheel("fastchat", "fschat", "0.2.36")
"""What is checked before and after a fix: headers made its check take six times as long once."""


@dataclass(frozen=True, slots=True)
class Check:
    """A check that must end."""

    name: str
    size: str
    command: tuple[str, ...]
    folder: Path
    seconds: float
    """The most that it may take."""
    mib: int | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """How a check ended."""

    seconds: float
    mib: float
    fault: str = ""
    """Why it is none that counts."""


def trees(tool: str, folder: Path, scratch: Path, policy: Path) -> Iterator[Check]:
    """The public trees, all of which lie in one folder; a copy of one is fixed before."""
    fixed = scratch / "fixed" / FIXED.name
    shutil.rmtree(fixed, ignore_errors=True)
    shutil.copytree(folder / FIXED.name, fixed)
    fix = [tool, "fix", "-q", "--no-cache", "--config", str(policy), str(fixed)]
    state = {**os.environ, "GPU_LINT_STATE_DIR": str(scratch / "state")}
    done = subprocess.run(fix, env=state, cwd=scratch, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        sys.exit(f"{FIXED.title} cannot be fixed: {done.stderr}")
    places = [(wheel.title, folder / wheel.name) for wheel in (*TREES, FIXED)]
    for title, path in (*places, (f"{FIXED.title}, after a fix", fixed)):
        files = sum(1 for _ in path.rglob("*.py"))
        if not files:
            sys.exit(f"no Python files in {path}")
        yield Check(title, f"{files:,} files", check(tool, "--isolated"), path, TREE_SECONDS)


def hostile(tool: str, scratch: Path) -> Iterator[Check]:
    """The hostile shapes, written anew."""
    folder = scratch / "shapes"
    shutil.rmtree(folder, ignore_errors=True)
    for shape in SHAPES.values():
        size = shape.write(folder / shape.name)
        assert size <= MIB, shape.name
        command = check(tool, *shape.arguments)
        path = folder / shape.name
        yield Check(shape.name, f"{size:,} bytes", command, path, SHAPE_SECONDS, SHAPE_MIB)


def check(tool: str, *arguments: str) -> tuple[str, ...]:
    """The command that checks the working directory, on two cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    two = ("-j", "2") if (cores or 1) > 2 else ()
    return (tool, "check", "--no-cache", "--output-format", "json", *two, *arguments, ".")


def end(one: Check) -> Ending:
    """Run a check, and stop it where it goes far beyond its limits."""
    with tempfile.TemporaryFile() as report, tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        child = subprocess.Popen(
            one.command, cwd=one.folder, stdout=report, stderr=errors, start_new_session=True
        )
        peak, stopped = 0.0, ""
        while not stopped:
            ended = _wait(child, INTERVAL)
            peak = max(peak, ended if ended is not None else memory_of(child.pid) / MIB)
            seconds = time.perf_counter() - start
            if ended is not None:
                break
            if seconds > one.seconds * STOPPED_AFTER:
                stopped = UNENDED
            elif peak > STOPPED_AT_MIB:
                stopped = "memory without end"
        _stop(child)
        if stopped:
            return Ending(seconds, peak, stopped)
        report.seek(0)
        errors.seek(0)
        return Ending(seconds, peak, _fault(child.returncode, report.read(), errors.read()))


def _wait(child: subprocess.Popen[bytes], seconds: float) -> float | None:
    """Wait a moment; once it has ended, the peak of its largest process in MiB."""
    if not hasattr(os, "wait4"):
        try:
            child.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        return 0.0
    pid, status, usage = os.wait4(child.pid, os.WNOHANG)
    if not pid:
        time.sleep(seconds)
        return None
    child.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_maxrss / (MIB if sys.platform == "darwin" else 1024)


def memory_of(group: int) -> int:
    """The resident bytes of all processes of a group; 0 where there is no ``/proc``."""
    total = 0
    for entry in os.listdir("/proc") if os.path.isdir("/proc/self") else ():
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue  # it has ended meanwhile
        if int(fields[2]) == group:
            total += int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
    return total


def _stop(child: subprocess.Popen[bytes]) -> None:
    """End a check, and what it has left behind."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    else:
        child.kill()
    child.wait()


def _fault(status: int, report: bytes, errors: bytes) -> str:
    """Why what a check gave is no report; empty if it is one."""
    if status < 0:
        return f"ended by signal {-status}"
    if b"internal error" in errors or b"Traceback" in errors:
        return "internal error"
    try:
        json.loads(report)
    except ValueError:
        return "no report"
    return "" if status in (0, 1, 2) else f"exit status {status}"


@dataclass(frozen=True, slots=True)
class Result:
    """A row of the table, as ``results.json`` keeps it."""

    name: str
    size: str
    seconds: tuple[float, ...]
    peak_mib: int
    allowed: str
    fault: str = ""
    unit: str = "s"
    """What :attr:`seconds` are in: a ratio has ``×``."""

    @property
    def row(self) -> str:
        more = "> " if self.fault == UNENDED else ""
        figure = f"{more}{statistics.median(self.seconds):.2f} {self.unit}"
        kept = self.fault or "yes"
        return (
            f"| {self.name} | {self.size} | {figure} | {self.peak_mib} | {self.allowed} | {kept} |"
        )


def measure(checks: Iterator[Check], rounds: int) -> list[Result]:
    """Run checks, each so many times, and tell of each as it ends."""
    found = []
    for one in checks:
        endings: list[Ending] = []
        while len(endings) < rounds and not any(ending.fault for ending in endings):
            endings.append(end(one))
        seconds = tuple(round(ending.seconds, 2) for ending in endings)
        mib = max(ending.mib for ending in endings)
        allowed = f"{one.seconds:g} s" + (f", {one.mib} MiB" if one.mib else "")
        fault = endings[-1].fault
        if not fault and statistics.median(seconds) > one.seconds:
            fault = "too slow"
        elif not fault and one.mib is not None and mib > one.mib:
            fault = "too much memory"
        found.append(Result(one.name, one.size, seconds, round(mib), allowed, fault))
        print(found[-1].row, flush=True)
    return found


def ratios(seconds: dict[str, float], peaks: dict[str, float]) -> list[Result]:
    """What must not grow on transformers, by the medians and peaks of :mod:`run`'s commands."""
    found = []
    for command, peer, most in RATIOS:
        if command in seconds and peer in seconds:
            ratio = seconds[command] / seconds[peer]
            mib = round(peaks[command])
            fault = "too slow" if ratio > most else ""
            if not fault and mib > RATIO_MIB:
                fault = "too much memory"
            name, allowed = f"{command}, of {peer}", f"{most:g} ×, {RATIO_MIB} MiB"
            found.append(Result(name, "transformers", (ratio,), mib, allowed, fault, "×"))
    return found


def table(results: list[Result]) -> str:
    """The rows under their headings, in Markdown."""
    heads = "| check | size | takes | peak MiB | allowed | kept |\n|---|---|---|---|---|---|\n"
    return heads + "".join(f"{result.row}\n" for result in results)


def write_into(page: Path, text: str) -> None:
    """Put a text between the two marks of a page.

    Raises :class:`ValueError` if the page does not have both.
    """
    before, begin, rest = page.read_text(encoding="utf-8").partition(f"{BEGIN}\n")
    _, finish, after = rest.partition(FINISH)
    if not finish:
        raise ValueError(f"{page}: no {BEGIN} … {FINISH}")
    page.write_text(f"{before}{begin}{text}{finish}{after}", encoding="utf-8")
