"""Runs a command, in our terminal or as a process tree that ends as a whole."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, Protocol

from gpu_lint.errors import GpuLintError
from gpu_lint.interrupts import interrupts_deferred, interrupts_held_back
from gpu_lint.records import record
from gpu_lint.runtime.capture import Capture
from gpu_lint.runtime.processtree import PosixTree, adopting_orphans

TRACE_VARIABLE = "GPU_LINT_TRACE"
"""The variable by which processes of a command are known; its value is that of one run alone."""
_SLICE_SECONDS = 0.5
"""How often a wait looks for orphans that ended, and on Windows for Ctrl-C."""
_KILLED_SECONDS = 5.0
"""How long a killed command may take to be gone."""
_KILLED = 9
"""The number of the signal that kills."""
_IS_POSIX = os.name == "posix"


class LaunchError(GpuLintError):
    """A command that cannot be started."""


@record
class Ended:
    """How a command ended."""

    status: int
    """Its exit status; 128 + n where signal n ended it."""
    seconds: float
    timed_out: bool
    limits: tuple[str, ...] = ()
    """What of its processes or its output could not be ended or kept, in lines."""


class _Tree(Protocol):
    def reap(self) -> None: ...

    def end(self) -> tuple[str, ...]: ...


def run_here(command: Sequence[str], env: Mapping[str, str]) -> Ended:
    """Run a command in our terminal, with our standard streams, until it ends by itself.

    Ctrl-C reaches the command, which decides what comes of it; what asks us to end is handed on to
    it. Raises :class:`LaunchError`.
    """
    began = time.monotonic()
    children: list[subprocess.Popen[bytes]] = []

    def hand_on(number: int, frame: FrameType | None) -> None:
        for child in children:
            child.send_signal(number)

    def leave(number: int, frame: FrameType | None) -> None:
        """Let the command alone decide."""

    handlers = {"SIGINT": leave, "SIGQUIT": leave, "SIGTERM": hand_on, "SIGHUP": hand_on}
    with _handling(handlers):
        children.append(_start(command, env))
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                status = children[0].wait(_SLICE_SECONDS if not _IS_POSIX else None)
                return Ended(_status(status), time.monotonic() - began, False)


def run_tree(
    command: Sequence[str],
    env: Mapping[str, str],
    *,
    cwd: Path,
    timeout: float,
    output: Path,
) -> Ended:
    """Run a command apart from our terminal, and end all that it has started when it has ended, at
    the timeout in seconds, on Ctrl-C and when we are asked to end.

    Its standard input is empty; what it prints is in ``output``: the first and the last 8 MiB of
    it. ``env`` should set :data:`TRACE_VARIABLE` to a value of this run alone; one is set if not.
    Raises :class:`LaunchError`.
    """
    env = {**env}
    setting = f"{TRACE_VARIABLE}={env.setdefault(TRACE_VARIABLE, secrets.token_hex(16))}"
    began = time.monotonic()
    running: _Running | None = None
    limits: tuple[str, ...] = ()
    with _handling({"SIGTERM": _leave, "SIGHUP": _leave}), adopting_orphans():
        try:
            with interrupts_deferred():
                running = _Running(command, env, cwd, setting, output)
            is_ended = running.wait(began + timeout)
        finally:
            if running is not None:
                with _signals_held_back():
                    limits = running.end()
    return Ended(running.status, time.monotonic() - began, not is_ended, limits)


class _Running:
    """A command that runs apart from our terminal."""

    def __init__(
        self, command: Sequence[str], env: Mapping[str, str], cwd: Path, setting: str, output: Path
    ) -> None:
        self._child = _start(command, env, cwd, is_apart=True)
        self._tree = _tree_of(self._child, setting)
        assert self._child.stdout is not None
        try:
            with _signals_held_back():  # of the thread, for good: they are for this one
                self._capture = Capture(self._child.stdout, output)
        except OSError as error:
            self._tree.end()
            self._child.wait()
            self._child.stdout.close()
            raise LaunchError(f"{output} cannot be written: {error.strerror or error}") from error

    def wait(self, deadline: float) -> bool:
        """Return whether the command ends before a moment of the monotonic clock."""
        while (left := deadline - time.monotonic()) > 0:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(min(left, _SLICE_SECONDS))
                return True
            self._tree.reap()
        return False

    def end(self) -> tuple[str, ...]:
        """End all that still runs, and return what could not be done, in lines."""
        limits = self._tree.end()
        with contextlib.suppress(subprocess.TimeoutExpired):  # the tree's limits name it
            self._child.wait(_KILLED_SECONDS)
        return limits + self._capture.end()

    @property
    def status(self) -> int:
        """The exit status of the command; that of a killed one while the system keeps it."""
        code = self._child.returncode
        return _status(-_KILLED if code is None else code)


def _status(code: int) -> int:
    """Return the exit status that a shell would give for what ``Popen`` returns."""
    return 128 - code if code < 0 else code


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    """End this process after the command, as the signal would have; more of them change nothing."""
    signal.signal(number, signal.SIG_IGN)
    raise SystemExit(128 + number)


@contextlib.contextmanager
def _handling(handlers: Mapping[str, Callable[[int, FrameType | None], None]]) -> Iterator[None]:
    """Handle signals, by their names, that this system has and this process does not ignore."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {}
    try:
        for name, handler in handlers.items():
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, handler)
        yield
    finally:
        for number, handler_before in before.items():
            signal.signal(number, handler_before)


@contextlib.contextmanager
def _signals_held_back() -> Iterator[None]:
    """Let Ctrl-C, and what asks us to end, have their effect when this is done."""
    if not hasattr(signal, "pthread_sigmask"):
        with interrupts_held_back():
            yield
        return
    held = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, held)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _tree_of(child: subprocess.Popen[bytes], setting: str) -> _Tree:
    if sys.platform == "win32":
        from gpu_lint.runtime.jobobject import JobTree

        return JobTree(child)
    return PosixTree(child.pid, setting)


def _start(
    command: Sequence[str],
    env: Mapping[str, str],
    cwd: Path | None = None,
    *,
    is_apart: bool = False,
) -> subprocess.Popen[bytes]:
    """Start a command. Raises :class:`LaunchError`."""
    if not command or not command[0]:
        raise LaunchError("no command was given")
    program, *arguments = command
    if sys.platform == "win32":  # which looks for programs by our PATH, and for .exe alone
        program = shutil.which(program, path=env.get("PATH")) or program
    how: dict[str, Any] = {}
    if is_apart:
        how = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.STDOUT,
            "start_new_session": _IS_POSIX,
        }
        if sys.platform == "win32":
            from gpu_lint.runtime.jobobject import CREATION_FLAGS

            how["creationflags"] = CREATION_FLAGS
    try:
        return subprocess.Popen([program, *arguments], env=dict(env), cwd=cwd, **how)
    except ValueError as error:  # a null byte, for one
        raise LaunchError(f"{program!r} cannot be started: {error}") from error
    except OSError as error:
        raise LaunchError(_why_not(program, error, cwd)) from error


def _why_not(program: str, error: OSError, cwd: Path | None) -> str:
    """Return in one line why a command did not start, and what to do."""
    if cwd is not None and not cwd.is_dir():
        return f"{program!r} cannot be started in {cwd}, which is no directory"
    is_path = os.path.dirname(program) != ""
    path = os.path.join(cwd or "", program)
    if isinstance(error, FileNotFoundError):
        if is_path and os.path.lexists(path):
            return (
                f"{program!r} cannot be started: it is a broken link, or the interpreter that its "
                "first line names is missing"
            )
        return f"there is no file {program!r}" if is_path else f"there is no command {program!r}"
    if os.path.isdir(path) and is_path:
        return f"{program!r} is a directory, not a command"
    if isinstance(error, PermissionError) or error.errno == errno.ENOEXEC:
        what = (
            "is no program that this system runs"
            if error.errno == errno.ENOEXEC
            else "may not be run: permission denied"
        )
        hint = f"; `python {program}` runs it" if program.endswith(".py") else ""
        return f"{program!r} {what}{hint}"
    return f"{program!r} cannot be started: {error.strerror or error}"
