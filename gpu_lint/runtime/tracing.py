"""Runs a command under the recorder, and returns what its processes did to GPUs."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from gpu_lint.records import record
from gpu_lint.runtime.launch import TRACE_VARIABLE, Ended, run_here, run_tree
from gpu_lint.runtime.records import Process, Recorded, read_records, why_unrecorded
from gpu_lint.runtime.redaction import redact

PROBE = Path(__file__).parent / "probe"
"""What is put on ``PYTHONPATH``: a ``sitecustomize`` that starts the recorder."""


@record
class Traced:
    """A command that has run, and what was recorded of it."""

    command: tuple[str, ...]
    ended: Ended
    processes: tuple[Process, ...]
    unrecorded: tuple[str, ...]
    """Processes of which nothing is known, each with the reason."""
    limits: tuple[str, ...]


def trace_here(
    command: Sequence[str], *, env: Mapping[str, str], root: Path, finds_line: bool = True
) -> Traced:
    """Run a command in our terminal, recorded. ``root`` holds the code whose lines are named;
    without ``finds_line`` the line that initialises CUDA is not looked for, which costs nothing.
    Raises :class:`gpu_lint.runtime.launch.LaunchError`."""
    return _traced(command, env, root, finds_line, lambda env: run_here(command, env))


def trace_tree(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    root: Path,
    timeout: float,
    output: Path,
) -> Traced:
    """Run a command as a process tree of its own, recorded, for so many seconds at most; what it
    prints goes to a file. Raises :class:`gpu_lint.runtime.launch.LaunchError`."""

    def run(env: Mapping[str, str]) -> Ended:
        return run_tree(command, env, cwd=cwd, timeout=timeout, output=output)

    return _traced(command, env, root, True, run)


def recorded_environment(
    env: Mapping[str, str], folder: Path, root: Path, *, finds_line: bool = True
) -> dict[str, str]:
    """An environment in which Python processes record themselves into a folder."""
    known = env.get("PYTHONPATH")
    return {
        **env,
        "PYTHONPATH": os.pathsep.join([str(PROBE), *([known] if known else [])]),
        TRACE_VARIABLE: str(folder),
        "GPU_LINT_TRACE_ROOT": str(root),
        "GPU_LINT_TRACE_BEGAN": repr(time.monotonic()),
        "GPU_LINT_TRACE_LINE": "yes" if finds_line else "no",
    }


def _traced(
    command: Sequence[str],
    env: Mapping[str, str],
    root: Path,
    finds_line: bool,
    run: Callable[[Mapping[str, str]], Ended],
) -> Traced:
    with tempfile.TemporaryDirectory(prefix="gpu-lint-trace-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        ended = run(recorded_environment(env, folder, root, finds_line=finds_line))
        recorded = read_records(folder)
    limits = (*recorded.limits, *ended.limits)
    return Traced(
        tuple(command), ended, recorded.processes, tuple(_named(recorded, command)), limits
    )


def _named(recorded: Recorded, command: Sequence[str]) -> Iterable[str]:
    """The processes that did not record themselves, as lines."""
    if not recorded.processes:
        yield _line(command)
    for child in recorded.unrecorded:
        yield _line(child.argv)


def _line(argv: Sequence[str]) -> str:
    return f"{' '.join(redact(argv))} ({why_unrecorded(argv)})"
