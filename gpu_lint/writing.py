"""The only module that changes a user's file: all replacements of a run, journalled first.

New content is written beside the file, flushed to disk and renamed over it, so that every file
is the old one or the new one at every moment, whatever happens to the process or the machine.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gpu_lint.errors import Interrupted, SourceError, Trouble, WriteError
from gpu_lint.interrupts import interrupts_deferred
from gpu_lint.journal import Entry, Journal, RunRecord, State, digest, sync_directory
from gpu_lint.records import record
from gpu_lint.repository import leads_outside
from gpu_lint.source import read_bytes

_CHANGED = "changed while it was checked; it was left as it is: run this again"
_MOVED = "leads elsewhere than when it was checked; it was left as it is: run this again"
STILL_NEEDED = "was left as it is: a file that was not given back may import it"
_HOPELESS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}
"""What will be wrong with every other file, too."""


@record
class Replacement:
    """A file's content, as it was read and as it is to be."""

    path: Path
    project: Path
    """The directory that no link in the path must leave."""
    before: bytes | None
    """None if there is no such file."""
    after: bytes | None
    """None takes the file away."""
    mode: int | None = None
    """The permissions to give; None keeps those it has."""
    needs: tuple[Path, ...] = ()
    """Files that must be there for this content to work: where one cannot be made, the file is
    left as it is."""

    @property
    def turn(self) -> int:
        """When its turn is: new files come first, those that are taken away last."""
        return 0 if self.before is None else 2 if self.after is None else 1


@dataclass
class Written:
    """What became of a run's files."""

    run: str | None = None
    """The id under which the run can be undone, if it changed anything."""
    changed: list[Path] = field(default_factory=list)
    standing: list[Path] = field(default_factory=list)
    """Files that somebody else had changed just so."""
    troubles: list[Trouble] = field(default_factory=list)
    """Files that are as they were, and why."""
    notices: list[Trouble] = field(default_factory=list)
    """What a user should know of files that were changed."""

    @property
    def done(self) -> list[Path]:
        """The files that are what they were to be."""
        return self.changed + self.standing


@record
class _Ready:
    """A replacement that may be made."""

    wanted: Replacement
    target: Path
    status: os.stat_result | None

    @property
    def entry(self) -> Entry:
        mode = self.wanted.mode
        if mode is None:
            mode = 0o644 if self.status is None else stat.S_IMODE(self.status.st_mode)
        before, after = (
            None if data is None else digest(data)
            for data in (self.wanted.before, self.wanted.after)
        )
        return Entry(str(self.target), mode, before, after)


@dataclass
class Writing:
    """Replaces the files of runs; ``all_or_nothing``: if one fails, none stays changed."""

    journal: Journal
    all_or_nothing: bool = False

    def replace(
        self, root: Path, wanted: Sequence[Replacement], undoes: str | None = None
    ) -> Written:
        """Replace files, as a run in the project at ``root``.

        A file that is no longer what was read, or that must not be written, is left as it is
        and told of. Raises :class:`gpu_lint.errors.JournalError` with every file as it was, and
        :class:`Interrupted` with what Ctrl-C left.
        """
        if not wanted and not self.journal.unfinished:
            return Written()
        with self.journal.locked():
            self.journal.tidy()
            done = Written()
            ready = list(_ready(sorted(wanted, key=lambda one: one.turn), done))
            if not ready or (self.all_or_nothing and done.troubles):
                return done
            record = self.journal.begin(
                root,
                [one.entry for one in ready],
                [one.wanted.before or b"" for one in ready],
                undoes,
            )
            done.run = record.id
            batch = _Batch(record, ready, done)
            try:
                batch.together() if self.all_or_nothing else batch.one_by_one()
            except KeyboardInterrupt as interrupt:
                with interrupts_deferred():
                    batch.settle(self.journal)
                raise Interrupted(_what_is_changed("interrupted", done, len(ready))) from interrupt
            batch.settle(self.journal)
            return done


def _ready(wanted: Sequence[Replacement], done: Written) -> Iterator[_Ready]:
    """The replacements that may be made; of the others, ``done`` is told why not."""
    for one in wanted:
        try:
            _check_needs(one, done)
            ready = _checked(one)
            if ready is None:
                done.standing.append(one.path)
            else:
                yield ready
        except WriteError as error:
            done.troubles.append(Trouble(one.path, str(error)))


def _checked(one: Replacement) -> _Ready | None:
    """A replacement that may be made; None if the file is already what it is to be."""
    target = Path(os.path.realpath(one.path))
    if leads_outside(target, one.project):
        raise WriteError(
            f"goes through a link that leaves the project in {one.project}, to {target}; it was "
            "left as it is"
        )
    try:
        now, status = _content(target), None
        if now is not None:
            status = target.stat()
            if not os.access(target, os.W_OK):
                raise WriteError("is read-only; it was left as it is")
    except OSError as error:
        raise _unwritable(error) from error
    if now == one.after:
        return None
    if now != one.before:
        raise WriteError(_CHANGED)
    return _Ready(one, target, status)


def _check_needs(one: Replacement, done: Written) -> None:
    """See that what a file needs is there, and that one which is taken away is needed no more.
    Raises :class:`WriteError`."""
    failed = {trouble.path for trouble in done.troubles}
    if lacking := next((path for path in one.needs if path in failed), None):
        raise WriteError(f"was left as it is: {lacking}, which it would import, was not written")
    if one.after is None and failed:
        raise WriteError(STILL_NEEDED)


def _check_place(one: _Ready) -> None:
    """See that a path still leads where it did when it was checked. Raises :class:`WriteError`."""
    if os.path.realpath(one.wanted.path) != str(one.target):
        raise WriteError(_MOVED)


def _content(target: Path) -> bytes | None:
    if not os.path.lexists(target):
        return None
    try:
        return read_bytes(target)
    except SourceError as error:
        raise WriteError(f"{error}; it was left as it is") from error


def _stage(data: bytes | None, temporary: Path, mode: int, like: _Ready) -> None:
    """Write a new content, if there is one, beside a file. Raises :class:`WriteError`."""
    if data is None:
        return
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    flags |= getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
    try:
        with open(os.open(temporary, flags, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            if like.status is not None:
                _keep_owner(temporary, like.target, like.status)
            os.chmod(temporary, mode)
            os.fsync(file.fileno())
    except OSError as error:
        raise _unwritable(error) from error


def _put(temporary: Path, target: Path, expected: bytes | None, *, takes_away: bool) -> None:
    """Let a staged content, or nothing, take the place of what is expected. Raises
    :class:`WriteError`."""
    try:
        if _content(target) != expected:
            raise WriteError(_CHANGED)
        if takes_away:
            target.unlink()
        else:
            os.replace(temporary, target)
    except OSError as error:
        raise _unwritable(error) from error


def _unwritable(error: OSError) -> WriteError:
    failed = WriteError(f"cannot be written: {error.strerror or error}; it is as it was")
    failed.hopeless = error.errno in _HOPELESS
    return failed


@dataclass
class _Batch:
    """The files of one run while they are replaced."""

    record: RunRecord
    ready: Sequence[_Ready]
    done: Written
    replaced: list[int] = field(default_factory=list)

    def one_by_one(self) -> None:
        """Replace what can be replaced; stop where nothing more can be written."""
        for number, one in enumerate(self.ready):
            try:
                _check_needs(one.wanted, self.done)
                self._stage(number)
                self._put(number)
            except WriteError as error:
                message = str(error)
                if error.hopeless:
                    stopped = _what_is_changed("stopped", self.done, len(self.ready))
                    message = f"{message}; {stopped}"
                self.done.troubles.append(Trouble(one.wanted.path, message))
                if error.hopeless:
                    return
            finally:
                self._drop(number)

    def together(self) -> None:
        """Replace all, or leave all as they were."""
        numbers = range(len(self.ready))
        whole = False
        try:
            whole = all(self._tried(self._stage, number) for number in numbers) and all(
                self._tried(self._put, number) for number in numbers
            )
        finally:
            if not whole:
                with interrupts_deferred():
                    self._take_back()
            for number in numbers:
                self._drop(number)

    def _tried(self, step: Callable[[int], None], number: int) -> bool:
        try:
            step(number)
        except WriteError as error:
            self.done.troubles.append(Trouble(self.ready[number].wanted.path, str(error)))
            return False
        return True

    def settle(self, journal: Journal) -> None:
        """Make what was done durable, and note in the journal that it is."""
        for directory in {self.ready[number].target.parent for number in self.replaced}:
            sync_directory(directory)
        if not self.replaced:
            self.done.run = None
            journal.forget(self.record)
        else:
            journal.end(self.record, State.DONE)

    def _stage(self, number: int) -> None:
        one = self.ready[number]
        _check_place(one)
        mode = self.record.entries[number].mode
        _stage(one.wanted.after, self.record.temporary(number), mode, one)

    def _put(self, number: int) -> None:
        one = self.ready[number]
        with interrupts_deferred():
            _check_place(one)
            wanted, temporary = one.wanted, self.record.temporary(number)
            _put(temporary, one.target, wanted.before, takes_away=wanted.after is None)
            self.replaced.append(number)
            self.done.changed.append(one.wanted.path)
        if one.status is not None and one.status.st_nlink > 1 and wanted.after is not None:
            self.done.notices.append(
                Trouble(one.wanted.path, "has other names (hard links); they keep the old content")
            )

    def _take_back(self) -> None:
        """Give back what the files held that were replaced already."""
        for number in reversed(self.replaced.copy()):
            one, temporary = self.ready[number], self.record.temporary(number)
            self._drop(number)
            try:
                _check_place(one)
                before, after = one.wanted.before, one.wanted.after
                _stage(before, temporary, self.record.entries[number].mode, one)
                _put(temporary, one.target, after, takes_away=before is None)
            except (WriteError, OSError) as error:
                why = error.__cause__ if isinstance(error, WriteError) else error
                back = f"`gpu-lint undo {self.record.id}` gives it back"
                message = f"stays changed ({why or error}); {back}"
                self.done.troubles.append(Trouble(one.wanted.path, message))
            else:
                self.replaced.remove(number)
                self.done.changed.remove(one.wanted.path)

    def _drop(self, number: int) -> None:
        with contextlib.suppress(OSError):
            self.record.temporary(number).unlink()


def _keep_owner(temporary: Path, target: Path, status: os.stat_result) -> None:
    """Give a new file the owner, the group and the attributes of the old one, where allowed."""
    if hasattr(os, "chown"):
        for owner in (status.st_uid, -1):
            with contextlib.suppress(OSError):
                os.chown(temporary, owner, status.st_gid)
                break
    if hasattr(os, "listxattr"):
        with contextlib.suppress(OSError):
            for name in os.listxattr(target):
                with contextlib.suppress(OSError):
                    os.setxattr(temporary, name, os.getxattr(target, name))


def _what_is_changed(why: str, done: Written, count: int) -> str:
    changed = len(done.changed)
    if not changed:
        return f"{why}: every file is as it was"
    return (
        f"{why}: {changed} of {count} files {'is' if changed == 1 else 'are'} changed, the others "
        f"are as they were; `gpu-lint undo --list {done.run}` says which, `gpu-lint undo "
        f"{done.run}` takes it back"
    )
