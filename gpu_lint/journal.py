"""The journal: what every run that changes files must be able to give back.

A run is one zip archive in the user's state directory, complete and on disk before the first
file changes: ``run.json`` says which files, ``originals/N`` is what they held. The archive's
name says how far the run came, so a crash at any moment leaves a journal that can be used;
with any unzip program, too, if need be.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import struct
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from enum import Enum
from pathlib import Path

from gpu_lint import __version__
from gpu_lint.errors import JournalError
from gpu_lint.records import record

KEPT_SECONDS = 30 * 24 * 3600
"""Runs that are older are forgotten."""
KEPT_BYTES = 1 << 30
"""The oldest runs are forgotten while all together take more."""
_WAITED_SECONDS = 60
_FORMAT = 1
_BEGUN = ".begun.zip"
_NAME = re.compile(
    r"(?P<id>\d{8}-\d{6}-[0-9a-f]{8})(?:\.(?P<sequence>\d{1,9}))?\.(?P<state>begun|done|undone)\.zip"
)
_BY_HAND = """\
The originals of the files that one run of gpu-lint changed. `gpu-lint undo` puts them back.
By hand: run.json lists the paths; originals/0 is the content of the first, and so on.
"""


class State(Enum):
    """How far a run came."""

    BEGUN = "begun"
    """It writes, or was stopped while it did."""
    DONE = "done"
    UNDONE = "undone"


@record
class Entry:
    """One file of a run; what it held before and after, as SHA-256 in hexadecimal."""

    path: str
    """Absolute, of the file itself: links are resolved."""
    mode: int
    before: str | None
    """None if the file was not there."""
    after: str | None
    """None if the run took the file away."""


@record
class RunRecord:
    """One run that changed files, or was about to."""

    id: str
    archive: Path
    state: State
    undoes: str | None
    """The run that this one took back."""
    root: str
    """The directory of the project in which it took place."""
    entries: tuple[Entry, ...]
    sequence: int
    """How many runs of this journal were before it: clocks can be set back. 0 for old journals."""

    @property
    def started(self) -> datetime:
        """When it began, in local time."""
        began = datetime.strptime(self.id[:15], "%Y%m%d-%H%M%S")
        return began.replace(tzinfo=timezone.utc).astimezone()

    @contextlib.contextmanager
    def originals(self) -> Iterator[Callable[[int], bytes]]:
        """Gives what the file with a number held; the archive is opened once for all of them.

        Both raise :class:`JournalError`.
        """

        def original(number: int) -> bytes:
            try:
                data = archive.read(f"originals/{number}")
            except _BROKEN as error:
                raise _damaged(self.archive, error) from error
            if digest(data) != self.entries[number].before:
                raise JournalError(f"{self.archive} is damaged: it holds other content")
            return data

        try:
            archive = zipfile.ZipFile(self.archive)
        except _BROKEN as error:
            raise _damaged(self.archive, error) from error
        with archive:
            yield original

    def temporary(self, number: int) -> Path:
        """Where the new content of a file is written first, beside it."""
        return Path(self.entries[number].path).parent / f".gpu-lint-{self.id}-{number}.tmp"


_BROKEN = (
    OSError, zipfile.BadZipFile, zlib.error, struct.error, LookupError, ValueError, TypeError,
    EOFError, RuntimeError, ArithmeticError, MemoryError, AttributeError,
)  # fmt: skip
"""What reading an archive raises of which any byte may have changed."""


class Journal:
    """The runs of one user, in a directory that only that user can read."""

    def __init__(self, directory: Path, waiting: Callable[[], None] = lambda: None) -> None:
        """``waiting`` is told once if another run has to be waited for."""
        self.directory = directory
        self._runs = directory / "runs"
        self._waiting = waiting

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other runs from writing. The system frees the lock of a process that dies.

        Raises :class:`JournalError` if another run goes on writing for a minute, or the
        directory cannot be written.
        """
        from filelock import FileLock, Timeout

        try:
            for directory in (self.directory, self._runs):
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = FileLock(self.directory / "lock", mode=0o600)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                self._waiting()
                lock.acquire(timeout=_WAITED_SECONDS)
        except Timeout as error:
            raise JournalError(
                f"another gpu-lint has been writing for {_WAITED_SECONDS} s; nothing was changed, "
                "run this again later"
            ) from error
        except (OSError, NotImplementedError) as error:
            raise self._unwritable(error) from error
        try:
            yield
        finally:
            lock.release()

    def begin(
        self,
        root: Path,
        entries: Sequence[Entry],
        originals: Sequence[bytes],
        undoes: str | None = None,
    ) -> RunRecord:
        """Record a run before it changes anything; call it with the lock held.

        Raises :class:`JournalError`; then nothing may be changed.
        """
        moment = datetime.now(timezone.utc).strftime("%Y%m%d-%H%M%S")
        name = f"{moment}-{secrets.token_hex(4)}"
        sequence = max(map(_order, self._archives()), default=(0, ""))[0] + 1
        archive = self._runs / f"{name}.{sequence}{_BEGUN}"
        record = RunRecord(name, archive, State.BEGUN, undoes, str(root), tuple(entries), sequence)
        head = {
            "format": _FORMAT,
            "version": __version__,
            "undoes": undoes,
            "root": str(root),
            "entries": [asdict(entry) for entry in entries],
        }
        temporary = self._runs / f".{name}.tmp"
        try:
            with open(os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w+b") as file:
                with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as writer:
                    writer.writestr("README.txt", _BY_HAND)
                    writer.writestr("run.json", json.dumps(head, indent=1))
                    for number, data in enumerate(originals):
                        writer.writestr(f"originals/{number}", data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, archive)
            sync_directory(self._runs)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise self._unwritable(error) from error
        return record

    def end(self, record: RunRecord, state: State) -> None:
        """Note how far a run came, if that can be written: otherwise it counts as stopped
        half-way, and can be taken back as well."""
        with contextlib.suppress(OSError, JournalError):
            for archive in self._archives():  # it may have been tidied up since it was read
                if archive.name.startswith(record.id):
                    stem = archive.name.rsplit(".", 2)[0]
                    os.replace(archive, self._runs / f"{stem}.{state.value}.zip")
            sync_directory(self._runs)

    def forget(self, record: RunRecord) -> None:
        """Drop a run that changed nothing after all."""
        with contextlib.suppress(OSError):
            record.archive.unlink()

    def records(self) -> list[RunRecord]:
        """The runs that can be read, the oldest first."""
        found = []
        for archive in self._archives():
            with contextlib.suppress(JournalError):
                found.append(_read(archive))
        return found

    def damaged(self, after: int = -1) -> list[JournalError]:
        """Why runs cannot be read, the oldest first; of those ``after`` a sequence number."""
        found = []
        for archive in self._archives():
            try:
                if _order(archive)[0] > after:
                    _read(archive)
            except JournalError as error:
                found.append(error)
        return found

    def find(self, name: str) -> RunRecord:
        """The run with an id, or the one whose id begins or ends so. Raises
        :class:`JournalError`."""
        fits = [a for a in self._archives() if _matches(a.name.partition(".")[0], name)]
        if len(fits) != 1:
            what = "there is no run" if not fits else f"{len(fits)} runs are called"
            raise JournalError(f"{what} {name!r}; `gpu-lint undo --list` shows them")
        return _read(fits[0])

    @property
    def unfinished(self) -> bool:
        """Whether some run was stopped half-way, or is writing just now."""
        return any(archive.name.endswith(_BEGUN) for archive in self._archives())

    def tidy(self) -> None:
        """Remove what runs that were killed left behind, and forget old runs; call it with the
        lock held."""
        with contextlib.suppress(OSError):
            for path in self._runs.glob(".*.tmp"):
                path.unlink()
        for archive in self._archives():
            if archive.name.endswith(_BEGUN):
                with contextlib.suppress(JournalError):
                    record = _read(archive)
                    for number in range(len(record.entries)):
                        with contextlib.suppress(OSError):
                            record.temporary(number).unlink()
                    self.end(record, State.DONE)
        self._forget_old()

    def _forget_old(self) -> None:
        """Forget runs by age, then by size; the last one stays."""
        with contextlib.suppress(OSError):
            found = [(path, path.stat()) for path in self._archives()]
            total = sum(status.st_size for _, status in found)
            for path, status in found[:-1]:
                if time.time() - status.st_mtime > KEPT_SECONDS or total > KEPT_BYTES:
                    path.unlink()
                    total -= status.st_size

    def _archives(self) -> list[Path]:
        try:
            found = [
                path
                for path in self._runs.iterdir()
                if _NAME.fullmatch(path.name) and path.is_file()
            ]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise JournalError(
                f"the journal {self._runs} cannot be read: {error.strerror or error}"
            ) from error
        return sorted(found, key=_order)

    def _unwritable(self, error: OSError | NotImplementedError) -> JournalError:
        why = getattr(error, "strerror", None) or error
        return JournalError(
            f"the journal in {self.directory} cannot be written: {why}; nothing was changed. "
            "GPU_LINT_STATE_DIR names another place for it"
        )


def digest(data: bytes) -> str:
    """The SHA-256 of a content, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def sync_directory(directory: Path) -> None:
    """Make renames durable, where the system lets a directory be opened for that."""
    with contextlib.suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _matches(run: str, name: str) -> bool:
    return bool(name) and (run.startswith(name) or run.endswith(f"-{name}"))


def _read(archive: Path) -> RunRecord:
    name = _NAME.fullmatch(archive.name)
    assert name is not None
    try:
        with zipfile.ZipFile(archive) as reader:
            head = json.loads(reader.read("run.json"))
        entries = tuple(
            Entry(
                str(raw["path"]),
                int(raw["mode"]),
                None if raw["before"] is None else str(raw["before"]),
                None if raw["after"] is None else str(raw["after"]),
            )
            for raw in head["entries"]
        )
        undoes = None if head["undoes"] is None else str(head["undoes"])
        root = str(head["root"])
    except _BROKEN as error:
        raise _damaged(archive, error) from error
    state, sequence = State(name["state"]), int(name["sequence"] or 0)
    return RunRecord(name["id"], archive, state, undoes, root, entries, sequence)


def _order(archive: Path) -> tuple[int, str]:
    """What runs are sorted by: those of old journals, which have no number, by their time."""
    name = _NAME.fullmatch(archive.name)
    assert name is not None
    return int(name["sequence"] or 0), name["id"]


def _damaged(archive: Path, error: Exception) -> JournalError:
    return JournalError(f"{archive} cannot be read, or is damaged: {error}")
