"""Ends every process that a command has started, on POSIX systems.

A process is the command's if it is in a session that is, if its parent is, or if it carries a
setting in its environment that nothing else has. On Linux this process adopts what lost its parent
meanwhile (``PR_SET_CHILD_SUBREAPER``), so that a daemon with an empty environment is found, too.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterator

from gpu_lint.runtime.processlist import Listed, ProcessList, process_list

GRACE_SECONDS = 2.0
"""How long processes may go on after they were asked to end."""
_ENDING_SECONDS = 10.0
"""How long they are killed again and again while there are any."""
_PAUSE_SECONDS = 0.02
_STOPPING_ROUNDS = 100
_SET_CHILD_SUBREAPER, _GET_CHILD_SUBREAPER = 36, 37
"""Of prctl(2)."""
_SHOWN = 5


@contextlib.contextmanager
def adopting_orphans() -> Iterator[None]:
    """Let processes below this one that lose their parent become its children, where the system
    can do so."""
    if sys.platform != "linux":
        yield
        return
    prctl = ctypes.CDLL(None).prctl
    before = ctypes.c_int()
    prctl(_GET_CHILD_SUBREAPER, ctypes.byref(before), 0, 0, 0)
    prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        prctl(_SET_CHILD_SUBREAPER, before.value, 0, 0, 0)


class PosixTree:
    """A command that leads a session of its own, and all that it has started."""

    def __init__(self, root: int, setting: str) -> None:
        """``root`` is the id of the command, which must not have been waited for yet; ``setting``
        is the ``NAME=VALUE`` that its processes carry."""
        self._root, self._setting = root, setting
        self._list: ProcessList | None = process_list()
        first = None if self._list is None else self._list.find(root)
        self._since = 0.0 if first is None else first.started
        self._sessions, self._members = {root}, {root}
        self._stopped: set[tuple[int, float]] = set()

    def reap(self) -> None:
        """Take the exit statuses of orphans that ended, so that they take up no place."""
        if self._list is None or sys.platform != "linux":
            return
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None or ended.si_pid == self._root:
                return
            one = self._list.find(ended.si_pid)
            if one is None or one.started < self._since:
                return
            with contextlib.suppress(ChildProcessError):
                os.waitpid(one.pid, os.WNOHANG)

    def end(self) -> tuple[str, ...]:
        """Ask all to end, kill those that do not, and return what could not be done, in lines."""
        if self._list is None:
            return self._end_session()
        left = self._signal(signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS
        while left and time.monotonic() < deadline:
            time.sleep(_PAUSE_SECONDS)
            left = self._alive()
        deadline = time.monotonic() + _ENDING_SECONDS
        while left and time.monotonic() < deadline:
            self._stop_all()
            self._signal(signal.SIGKILL, whole_groups=True)
            time.sleep(_PAUSE_SECONDS)
            left = self._alive()
        if not left:
            return ()
        shown = ", ".join(map(str, left[:_SHOWN])) + ", ..." * (len(left) > _SHOWN)
        return (f"processes of the command could not be ended: {shown}",)

    def _end_session(self) -> tuple[str, ...]:
        """End the processes of the session's first group, where others cannot be listed."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            for number in (signal.SIGTERM, signal.SIGKILL):
                os.killpg(self._root, number)
                deadline = time.monotonic() + GRACE_SECONDS
                while time.monotonic() < deadline:
                    time.sleep(_PAUSE_SECONDS)
                    os.killpg(self._root, 0)
        return (
            "processes that left the command's process group are not looked for without psutil",
        )

    def _stop_all(self) -> None:
        """Stop processes, which start no others then, until a round finds only stopped ones."""
        for _ in range(_STOPPING_ROUNDS):
            before = len(self._stopped)
            self._signal(signal.SIGSTOP, whole_groups=True)
            if len(self._stopped) == before:
                return

    def _alive(self) -> list[int]:
        return [one.pid for one in self._ours()]

    def _signal(self, number: signal.Signals, *, whole_groups: bool = False) -> list[int]:
        """Send a signal to each process as soon as it is seen, for it may be another one a moment
        later; a group is reached as one, even where its processes exchange each other."""
        reached = []
        for one in self._ours():
            reached.append(one.pid)
            if number is signal.SIGSTOP:
                self._stopped.add((one.pid, one.started))
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if whole_groups and one.session in self._sessions:
                    os.killpg(one.group, number)
                else:
                    os.kill(one.pid, number)
        return reached

    def _ours(self) -> Iterator[Listed]:
        """Yield the processes of the command that still run."""
        assert self._list is not None
        me = os.getpid()
        for one in self._list.running():
            if one.pid != me and one.started >= self._since and self._is_ours(one, me):
                self._members.add(one.pid)
                if not one.has_ended:
                    if one.session != os.getsid(0):
                        self._sessions.add(one.session)
                    yield one
                elif one.parent == me and one.pid != self._root:
                    with contextlib.suppress(ChildProcessError):
                        os.waitpid(one.pid, os.WNOHANG)

    def _is_ours(self, one: Listed, me: int) -> bool:
        assert self._list is not None
        if one.session in self._sessions or one.parent in self._members:
            return True
        is_orphan = one.parent == me and sys.platform == "linux"
        return is_orphan or self._list.carries(one.pid, self._setting)
