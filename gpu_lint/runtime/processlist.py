"""Lists the processes of this machine on POSIX systems: from ``/proc`` on Linux, elsewhere through
psutil where that is installed."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any, Protocol

from gpu_lint.records import record


@record
class Listed:
    """One process that was there when it was listed."""

    pid: int
    parent: int
    group: int
    session: int
    started: float
    """When it began; only to be compared with that of others."""
    has_ended: bool
    """It waits only for its parent to ask for its exit status."""


class ProcessList(Protocol):
    """A way to list processes."""

    def running(self) -> Iterator[Listed]:
        """Yield the processes one by one, each as it is at that moment, and the newest first where
        that is known: the shorter one lives, the sooner it must be looked at."""

    def find(self, pid: int) -> Listed | None:
        """Return one process; None where it is gone, or may not be looked at."""

    def carries(self, pid: int, setting: str) -> bool:
        """Return whether a process began with ``NAME=VALUE`` in its environment; False where that
        may not be known."""


def process_list() -> ProcessList | None:
    """Return the way to list processes here; None where there is none."""
    if sys.platform == "linux":
        return _Proc()
    with contextlib.suppress(ImportError):
        return _Psutil(import_module("psutil"))
    return None


class _Proc:
    """Linux: ``/proc`` (proc(5))."""

    def running(self) -> Iterator[Listed]:
        for pid in sorted((int(n) for n in os.listdir("/proc") if n.isdecimal()), reverse=True):
            if (found := self.find(pid)) is not None:
                yield found

    def find(self, pid: int) -> Listed | None:
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            return None
        state, parent, group, session = fields[:4]
        return Listed(
            pid, int(parent), int(group), int(session), float(fields[19]), state in (b"Z", b"X")
        )

    def carries(self, pid: int, setting: str) -> bool:
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                return os.fsencode(setting) in file.read().split(b"\0")
        except OSError:
            return False


class _Psutil:
    """macOS and the BSDs, through psutil."""

    def __init__(self, psutil: Any) -> None:
        self._psutil = psutil

    def running(self) -> Iterator[Listed]:
        for pid in self._psutil.pids():
            if (found := self.find(pid)) is not None:
                yield found

    def find(self, pid: int) -> Listed | None:
        try:
            process = self._psutil.Process(pid)
            has_ended = process.status() == self._psutil.STATUS_ZOMBIE
            group, session = (0, 0) if has_ended else (os.getpgid(pid), os.getsid(pid))
            return Listed(pid, process.ppid(), group, session, process.create_time(), has_ended)
        except (self._psutil.Error, OSError):
            return None

    def carries(self, pid: int, setting: str) -> bool:
        name, _, value = setting.partition("=")
        try:
            return bool(self._psutil.Process(pid).environ().get(name) == value)
        except (self._psutil.Error, OSError):
            return False
