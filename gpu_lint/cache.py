"""What earlier runs found out, kept beside the project: plain JSON, nothing that can run.

A file that has not changed (same times of change and size, or same content) is not looked at
again. A cache that is damaged, old, or written by two runs at once costs time and nothing else.
One that came with the code that it speaks of might say what is not so: so each is authenticated
with a key that only this user has, and any other is as good as none. A directory that is a link,
or has links where our files are to be, might be any other directory: it is refused. Only files
whose names have our own form are written or deleted.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import re
import stat
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gpu_lint import __version__
from gpu_lint.errors import CacheError, SourceError
from gpu_lint.facts.skimmed import Imported, Skimmed
from gpu_lint.facts.touch import Touch
from gpu_lint.findings import Applicability, Edit, Finding, Fix, Judged, Misfit, MisfitKind
from gpu_lint.notes import Note, digest_of
from gpu_lint.rulebook import Rulebook, Severity
from gpu_lint.source import Span, read_bytes

DIRECTORY = ".gpu-lint-cache"
_FORMAT = 6
_SECRET_BYTES = 32
_LARGEST = 256 << 20
"""Bytes of an index that are read."""
_MOST_FILES = 200_000
_MOST_INDEXES = 32
_SETTLED = 2_000_000_000
"""Nanoseconds: a file that changed so shortly before it was read may change again unseen."""
_ABANDONED = 3600
"""Seconds after which an index that was begun is nobody's."""
_TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# A cache of gpu-lint; safe to delete.\n"
_OWN_FILES = {".gitignore": "*\n", "CACHEDIR.TAG": _TAG}
"""The files that mark the directory as a cache, with their content."""
_INDEX = re.compile(r"[0-9a-f]{32}\.json")
_BEGUN = ".gpu-lint-index-"
"""What the names of files begin with that become indexes when they are complete."""


@dataclass
class Cache:
    """The notes of one project; files are named by their absolute paths."""

    directory: Path
    _key: str
    _index: Path
    _secret: Path
    """The file that holds the user's key."""
    _notes: dict[str, Note] = field(default_factory=dict)
    _raw: dict[str, Any] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)

    @classmethod
    def open(cls, directory: Path, root: Path, rulebook: Rulebook, state: Path) -> Cache:
        """The cache of the project at ``root``; empty if there is none that can be used.
        ``state`` is the user's state directory. Raises :class:`CacheError` where the directory, or
        one of our files in it, is a link."""
        tool = f"{_FORMAT} {__version__} {rulebook.digest} {sys.version_info[:2]}"
        key = digest_of(tool.encode())
        index = directory / f"{digest_of(os.fsencode(root.absolute()))}.json"
        _refuse_links(directory, (*_OWN_FILES, index.name))
        cache = cls(directory, key, index, state / "cache-key")
        try:
            seal, _, text = read_bytes(index, _LARGEST).partition(b"\n")
            if not hmac.compare_digest(
                seal, _sealed(text, read_bytes(cache._secret, _SECRET_BYTES))
            ):
                return cache
            content = json.loads(text)
            if content["key"] == key and isinstance(content["files"], dict):
                cache._raw = content["files"]
        except (SourceError, ValueError, TypeError, KeyError, RecursionError):
            pass
        return cache

    def unchanged(self, file: str, status: os.stat_result) -> Note | None:
        """The note of a file that surely is as it was when the note was made."""
        note = self._note(file)
        if note is None or not note.changed:
            return None
        if note.touched != status.st_ctime_ns:
            return None
        if note.changed != status.st_mtime_ns or note.size != status.st_size:
            return None
        self._seen.add(file)
        return note

    def of_content(self, file: str, status: os.stat_result, digest: str) -> Note | None:
        """The note of a file that holds what it held, whatever its time of change."""
        note = self._note(file)
        if note is None or note.digest != digest:
            return None
        note.changed, note.touched = _settled(status), status.st_ctime_ns
        note.size, note.grown = status.st_size, True
        self._seen.add(file)
        return note

    def add(self, file: str, status: os.stat_result, note: Note) -> Note:
        """Take up a note that was begun of a file in this state."""
        note.changed, note.touched = _settled(status), status.st_ctime_ns
        self._notes[file] = note
        self._seen.add(file)
        return note

    def note(self, file: str) -> Note | None:
        """The note of a file that this run has looked at."""
        return self._notes.get(file) if file in self._seen else None

    def _note(self, file: str) -> Note | None:
        if file not in self._notes and file in self._raw:
            with contextlib.suppress(ValueError, TypeError, KeyError, IndexError, AttributeError):
                self._notes[file] = _read_note(self._raw[file])
        return self._notes.get(file)

    def save(self) -> None:
        """Write what is new, in one step; without any effect where that is impossible."""
        if not any(note.grown for note in self._notes.values()):
            return
        import tempfile  # most runs write nothing

        files = {file: value for file, value in self._raw.items() if file not in self._notes}
        if len(files) + len(self._notes) > _MOST_FILES:
            files = {}
        files.update({file: _written(note) for file, note in self._notes.items()})
        index = json.dumps({"key": self._key, "files": files}, separators=(",", ":"))
        text = index.encode("utf-8", "surrogatepass")
        with contextlib.suppress(OSError, SourceError, ValueError, CacheError):
            seal = _sealed(text, _secret_in(self._secret))
            _prepare(self.directory)
            _refuse_links(self.directory, (*_OWN_FILES, self._index.name))
            handle, name = tempfile.mkstemp(prefix=_BEGUN, dir=self.directory)
            try:
                with os.fdopen(handle, "wb") as stream:
                    stream.write(seal + b"\n" + text)
                os.replace(name, self._index)
            except OSError:
                os.unlink(name)
            _forget_old(self.directory)


def _sealed(text: bytes, secret: bytes) -> bytes:
    """What only the owner of a key can make of a text. Raises ``ValueError`` for no key."""
    if len(secret) != _SECRET_BYTES:
        raise ValueError("no key")
    return hashlib.blake2b(text, key=secret).hexdigest().encode()


def _secret_in(file: Path) -> bytes:
    """The user's key, made if there is none yet."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return read_bytes(file, _SECRET_BYTES)
    with open(descriptor, "wb") as stream:
        stream.write(secret := os.urandom(_SECRET_BYTES))
    return secret


def clean(directory: Path) -> int | None:
    """Delete our files in a cache directory, and the directory if no other is left in it: the
    number of others. None where there is no cache that is ours.

    Raises :class:`CacheError` for a link, ``OSError`` for what cannot be deleted.
    """
    _refuse_links(directory, _OWN_FILES)
    if not _holds(directory / "CACHEDIR.TAG", _TAG):
        return None
    for name, text in _OWN_FILES.items():
        if _holds(directory / name, text):
            (directory / name).unlink()
    others = 0
    for path in list(directory.iterdir()):
        if _is_index(path) or _is_begun(path):
            path.unlink()
        else:
            others += 1
    if not others:
        directory.rmdir()
    return others


def _refuse_links(directory: Path, names: Iterable[str]) -> None:
    """Raise :class:`CacheError` if a directory, or a name in it, is a link."""
    for path in (directory, *(directory / name for name in names)):
        if path.is_symlink() or _is_junction(path):
            raise CacheError(
                f"the cache {path} is a link, so no cache is used; remove the link, or name "
                "another directory with --cache-dir"
            )


def _is_junction(path: Path) -> bool:
    return os.name == "nt" and os.path.realpath(path.parent) != os.path.dirname(
        os.path.realpath(path)
    )


def _is_file(path: Path) -> bool:
    """Whether a path is a plain file, and no link to one."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def _holds(path: Path, text: str) -> bool:
    """Whether a path is a plain file with this content."""
    return _is_file(path) and path.read_bytes() == text.encode()


def _is_index(path: Path) -> bool:
    return _INDEX.fullmatch(path.name) is not None and _is_file(path)


def _is_begun(path: Path) -> bool:
    return path.name.startswith(_BEGUN) and _is_file(path)


def _settled(status: os.stat_result) -> int:
    recent = time.time_ns() - status.st_mtime_ns < _SETTLED
    return 0 if recent else status.st_mtime_ns


def _prepare(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in _OWN_FILES.items():
        with contextlib.suppress(FileExistsError), open(directory / name, "xb") as file:
            file.write(text.encode())


def _forget_old(directory: Path) -> None:
    """Keep the indexes used last, and nothing that a run which was killed left behind."""
    found = sorted(directory.iterdir(), key=lambda path: path.lstat().st_mtime, reverse=True)
    for path in [path for path in found if _is_index(path)][_MOST_INDEXES:]:
        path.unlink()
    for path in found:
        if _is_begun(path) and time.time() - path.stat().st_mtime > _ABANDONED:
            path.unlink()


# --- as JSON ---------------------------------------------------------------------------------


def _written(note: Note) -> list[Any]:
    skimmed = note.skimmed
    imported = None
    if skimmed is not None:
        imported = [skimmed.guard, skimmed.imported]
    found = None
    if note.findings is not None:
        key, judged = note.findings
        unfit = [(one.kind.name, one.start, one.shown, one.name) for one in judged.unfit]
        those = [_finding_written(one) for one in judged.findings]
        found = [key, those, judged.in_part, unfit, judged.libraries, judged.is_broken]
    touch = None if note.touch is None else note.touch.value
    return [note.changed, note.touched, note.size, note.digest, note.alone.value, note.parses,
            touch, imported, note.decides, found]  # fmt: skip


def _read_note(raw: Any) -> Note:
    changed, touched, size, digest, alone, parses, touch, imported, decides, found = raw
    skimmed = None
    if imported is not None:
        guard, names = imported
        skimmed = Skimmed(
            tuple(
                Imported(str(m), int(lv), str(n), int(s), int(e), bool(d))
                for m, lv, n, s, e, d in names
            ),
            _truth(guard),
        )
    findings = None
    if found is not None:
        key, those, in_part, unfit, libraries, is_broken = found
        misfits = tuple(
            Misfit(MisfitKind[kind], int(start), int(shown), str(name))
            for kind, start, shown, name in unfit
        )
        judged = Judged(
            tuple(map(_finding_read, those)),
            bool(in_part),
            misfits,
            tuple(map(str, libraries)),
            bool(is_broken),
        )
        findings = str(key), judged
    return Note(
        int(changed),
        int(touched),
        int(size),
        str(digest),
        Touch(alone),
        _truth(parses),
        None if touch is None else Touch(touch),
        skimmed,
        _truth(decides),
        findings,
    )


def _truth(value: Any) -> bool | None:
    return None if value is None else bool(value)


def _span(start: Any, end: Any) -> Span:
    return Span(int(start), int(end))


def _finding_written(finding: Finding) -> list[Any]:
    fix = finding.fix
    raw = None
    if fix is not None:
        elsewhere = [[file, _edits_written(edits)] for file, edits in fix.elsewhere]
        raw = [fix.message, fix.applicability.value, _edits_written(fix.edits), elsewhere]
    return [finding.code, finding.name, finding.severity.value, finding.message,
            finding.span.start, finding.span.end, finding.note, raw]  # fmt: skip


def _edits_written(edits: tuple[Edit, ...]) -> list[list[Any]]:
    return [[edit.span.start, edit.span.end, edit.content] for edit in edits]


def _finding_read(raw: Any) -> Finding:
    code, name, severity, message, start, end, note, fix = raw
    read = None
    if fix is not None:
        text, applicability, edits, elsewhere = fix
        others = tuple((str(file), _edits_read(more)) for file, more in elsewhere)
        read = Fix(str(text), Applicability(applicability), _edits_read(edits), others)
    where = _span(start, end)
    return Finding(str(code), str(name), Severity(severity), str(message), where, str(note), read)


def _edits_read(raw: Any) -> tuple[Edit, ...]:
    return tuple(Edit(_span(start, end), str(content)) for start, end, content in raw)
