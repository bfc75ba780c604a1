"""The history: one line of JSON for each run of a command that asks the machine.

It is in the user's state directory, for that user alone. What cannot be written is one line of
warning, and changes no verdict.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from gpu_lint import __version__
from gpu_lint.records import record
from gpu_lint.runtime.environment import POLICY_VARIABLES
from gpu_lint.runtime.redaction import redact_text

SCHEMA = "gpu-lint.history/1"
_WAITED_SECONDS = 10
_LEFT_PERCENT = 90
"""Of the most bytes that it may take, so that not each run makes it anew."""
_FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


@record
class PastRun:
    """What is remembered of one run."""

    command: str
    """Ours: ``verify``, ``trace``."""
    root: str
    """The directory in which it took place."""
    variables: Mapping[str, str]
    """The variables of this process's environment that decide which GPU is used."""
    document: Mapping[str, Any]
    """What it found, as it is written for programs, without secrets."""

    @classmethod
    def of(cls, command: str, document: Mapping[str, Any], env: Mapping[str, str]) -> PastRun:
        """Make the record of a run in the current directory; of ``env`` only the variables of a
        policy are taken."""
        variables = {name: redact_text(env[name]) for name in POLICY_VARIABLES if name in env}
        return cls(command, str(Path.cwd()), variables, document)


class History:
    """The history of one user."""

    def __init__(self, directory: Path, days: int, mib: int) -> None:
        """``directory`` is the user's state directory; older runs than ``days`` are forgotten, and
        the oldest ones where all take more than ``mib``."""
        self._directory, self._days, self._most = directory, days, mib << 20
        self.path = directory / "history.jsonl"

    def add(self, run: PastRun) -> str:
        """Remember a run; return why that failed, in one line, or nothing."""
        line = json.dumps(
            {
                "schema": SCHEMA,
                "at": _now().isoformat(timespec="seconds"),
                "version": __version__,
                "command": run.command,
                "root": run.root,
                "variables": run.variables,
                "document": run.document,
            }
        )
        try:
            with self._locked():
                self._append(line.encode() + b"\n")
                self._trim()
        except (OSError, NotImplementedError) as error:
            why = getattr(error, "strerror", None) or error
            return (
                f"the history in {self.path} cannot be written: {why}; `--no-history` writes none"
            )
        return ""

    def runs(self) -> Iterator[dict[str, Any]]:
        """Yield what is remembered, the oldest first; lines that are damaged are left out. Raises
        ``OSError``."""
        if self.path.exists():
            for line in self._lines():
                if (run := _read(line)) is not None:
                    yield run

    def delete(self) -> int | None:
        """Forget all runs; return how many there were, or None where there is no history. Raises
        ``OSError``."""
        if not os.path.lexists(self.path):
            return None
        with self._locked():
            count = sum(1 for _ in self.runs())
            self.path.unlink()
        return count

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other runs from writing. Raises ``OSError``, also where another one goes on."""
        from filelock import FileLock, Timeout

        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = FileLock(self._directory / "history.lock", mode=0o600)
        try:
            lock.acquire(timeout=_WAITED_SECONDS)
        except Timeout as error:
            raise OSError(
                errno.EAGAIN, f"another gpu-lint has been writing for {_WAITED_SECONDS} s"
            ) from error
        try:
            yield
        finally:
            lock.release()

    def _append(self, line: bytes) -> None:
        """Write a line at the end, or leave the file as it was; what a crash left of another line
        is ended first."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | _FLAGS, 0o600)
        with open(descriptor, "r+b", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            if size:
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    line = b"\n" + line
            try:
                written = file.write(line)
                if written != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError:
                with contextlib.suppress(OSError):
                    file.truncate(size)
                raise

    def _trim(self) -> None:
        """Forget old runs, where there are any, in one step; the last one stays."""
        since = (_now() - timedelta(days=self._days)).isoformat(timespec="seconds")
        size = self.path.stat().st_size
        with open(self.path, "rb") as file:
            oldest = _read(file.readline())
        if size <= self._most and oldest is not None and _when(oldest) >= since:
            return
        room = self._most * _LEFT_PERCENT // 100 if size > self._most else self._most
        *earlier, last = self._lines()
        kept = [last]
        room -= len(last)
        for line in reversed(earlier):
            run = _read(line)
            if run is not None and _when(run) >= since:
                room -= len(line)
                if room < 0:
                    break
                kept.append(line)
        self._replace(b"".join(reversed(kept)))

    def _lines(self) -> list[bytes]:
        return self.path.read_bytes().splitlines(keepends=True)

    def _replace(self, data: bytes) -> None:
        beside = self._directory / f".history-{os.urandom(8).hex()}.tmp"
        try:
            with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, self.path)
        except BaseException:
            with contextlib.suppress(OSError):
                beside.unlink()
            raise


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _read(line: bytes) -> dict[str, Any] | None:
    """Return the run of a line; None for one that is damaged."""
    try:
        run = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return run if isinstance(run, dict) and isinstance(run.get("at"), str) else None


def _when(run: Mapping[str, Any]) -> str:
    """Return when a run took place: all are in UTC, so that texts compare as times do."""
    return str(run["at"])
