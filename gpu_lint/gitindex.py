"""The files that Git tracks, read from a repository's index.

Git itself is not run: the configuration of a repository can name programs for it to start. The
format is that of https://git-scm.com/docs/index-format, versions 2 to 4. Of an index that is
damaged, too large or split over two files nothing is read.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from gpu_lint.errors import SourceError
from gpu_lint.source import read_bytes

_LARGEST = 64 << 20
"""Bytes of an index that is read, and of the names in it: those of 600,000 files."""
_LARGEST_LINK = 4096
_STATUS = 40
"""Bytes of an entry before the object's name."""
_EXTENDED = 0x4000
_SPLIT = b"link"


def tracked_files(root: Path) -> tuple[str, ...]:
    """Return the files that Git tracks in the repository at ``root``, sorted, as paths from there
    with forward slashes; none where that cannot be told."""
    data = _content(_git_directory(root) / "index", _LARGEST)
    try:
        return tuple(sorted(map(os.fsdecode, _names(data))))
    except (ValueError, IndexError):
        return ()


def may_track(root: Path, names: Iterable[str]) -> bool:
    """Return whether Git may track one of some files, or a file below one of some directories, in
    the repository at ``root``; paths from there, with forward slashes. Errs to one side."""
    data = _content(_git_directory(root) / "index", _LARGEST)
    if data[:4] != b"DIRC":
        return False
    if data[4:8] not in (b"\0\0\0\2", b"\0\0\0\3"):
        return True  # names are shortened by what they have in common with the one before
    return any(
        data.find(name + end) >= 0 for name in map(os.fsencode, names) for end in (b"/", b"\0")
    )


def _git_directory(root: Path) -> Path:
    """Return where a repository keeps its index: in worktrees and submodules ``.git`` is a file
    that says it."""
    git = root / ".git"
    link = _content(git, _LARGEST_LINK)
    if link.startswith(b"gitdir:"):
        return root / os.fsdecode(link.removeprefix(b"gitdir:").strip(b" \r\n"))
    return git


def _content(path: Path, largest: int) -> bytes:
    """Return what a regular file of at most so many bytes holds; nothing of anything else."""
    try:
        return read_bytes(path, largest)
    except (SourceError, ValueError):  # of a null character in the path
        return b""


def _names(data: bytes) -> Iterator[bytes]:
    """Yield the name of each entry. Raises ``ValueError`` or ``IndexError`` for no index."""
    version, count = int.from_bytes(data[4:8], "big"), int.from_bytes(data[8:12], "big")
    size = _name_size(data)
    end = len(data) - size
    if data[:4] != b"DIRC" or version not in (2, 3, 4) or count > end // (_STATUS + size):
        raise ValueError("no index")
    at, name, total = 12, b"", 0
    for _ in range(count):
        flags = int.from_bytes(data[at + _STATUS + size : at + _STATUS + size + 2], "big")
        start = at + _STATUS + size + (4 if flags & _EXTENDED and version > 2 else 2)
        if version == 4:
            dropped, start = _offset(data, start)
            if dropped > len(name):
                raise ValueError("damaged")
            stop = data.index(b"\0", start, end)
            name = name[: len(name) - dropped] + data[start:stop]
            at = stop + 1
        else:
            stop = data.index(b"\0", start, end)
            name = data[start:stop]
            at += (stop - at) // 8 * 8 + 8
        total += len(name)
        if total > _LARGEST:
            raise ValueError("too large")
        yield name
    if data[at : at + 4] == _SPLIT:
        raise ValueError("the rest is in another file")


def _name_size(data: bytes) -> int:
    """Return how many bytes the name of an object has: those of the checksum at the end. Raises
    ``ValueError`` for a checksum that is wrong; one of zeros is none (``index.skipHash``)."""
    for size, digest in ((20, hashlib.sha1), (32, hashlib.sha256)):
        seal = data[-size:]
        if seal == digest(data[:-size], usedforsecurity=False).digest():
            return size
    if data.endswith(bytes(20)):
        return 32 if data.endswith(bytes(32)) else 20
    raise ValueError("damaged")


def _offset(data: bytes, at: int) -> tuple[int, int]:
    """Return a number in the variable width of pack files, and where it ends."""
    byte = data[at]
    value = byte & 0x7F
    while byte & 0x80:
        at += 1
        byte = data[at]
        value = (value + 1 << 7) | (byte & 0x7F)
        if value > len(data):
            raise ValueError("no index")
    return value, at + 1
