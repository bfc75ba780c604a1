"""Writes files that the command line names, beside those that a fix replaces.

In a tree, such a file is written through no link: a committed ``report.json`` or ``gpu-lint.toml``
might lead to any file of the user. Elsewhere a link of the user's own, or of root's such as
``/dev/stdout``, is followed; another user's in a shared directory is not.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path

from gpu_lint.errors import ConfigError, SourceError
from gpu_lint.ownership import is_foreign, trusted_users
from gpu_lint.repository import Confinement, is_whole

_AS_NAMED = getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
_NO_NEIGHBOUR = {errno.EACCES, errno.EPERM, errno.EBUSY, errno.EXDEV}
"""The directory takes no other file, or the file cannot be renamed over (a mounted one)."""


def check_output(path: Path) -> None:
    """Raise :class:`ConfigError` if a report must not be written to ``path``."""
    _follows_link(path)


def write_output(path: Path, text: str) -> None:
    """Write a report, as UTF-8 with plain newlines. Raises :class:`ConfigError`.

    The file is the old one or the new one at every moment. A device or a pipe, the target of a
    link, and a file in a directory that takes no other, are written as they are.
    """
    data = text.encode("utf-8", "backslashreplace")
    follow = _follows_link(path)
    try:
        if follow or not _can_replace(path, data):
            _write_in_place(path, data, follow)
    except OSError as error:
        why = error.strerror or error
        raise ConfigError(f"--output-file {path} cannot be written: {why}") from error


def replace_file(path: Path, text: str) -> None:
    """Write a text file in one step, in place of a plain file or of none. Raises ``OSError``, and
    :class:`ConfigError` for a link."""
    status = _status(path)
    if status is not None and stat.S_ISLNK(status.st_mode):
        raise ConfigError(f"{path} is a link, which is not written through; remove it")
    _replace(path, text.encode(), status)


def _can_replace(path: Path, data: bytes) -> bool:
    """Put a new file in the place of ``path``, and return whether that can be done there."""
    status = _status(path)
    if status is not None and not stat.S_ISREG(status.st_mode):
        return False
    try:
        _replace(path, data, status)
    except OSError as error:
        if status is None or error.errno not in _NO_NEIGHBOUR:
            raise
        return False
    return True


def _replace(path: Path, data: bytes, status: os.stat_result | None) -> None:
    """Put a new file in the place of the one of that status, with its permissions."""
    beside = path.with_name(f".gpu-lint-{os.urandom(8).hex()}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _AS_NAMED
    try:
        with open(os.open(beside, flags, 0o666), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if status is not None:
            os.chmod(beside, stat.S_IMODE(status.st_mode))
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise


def _write_in_place(path: Path, data: bytes, follow: bool) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOCTTY", 0)
    flags |= getattr(os, "O_BINARY", 0) if follow else _AS_NAMED
    with open(os.open(path, flags, 0o666), "wb") as file:
        file.write(data)


def _status(path: Path) -> os.stat_result | None:
    """The status of what has that name, a link itself; None where nothing has."""
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None


def _follows_link(path: Path) -> bool:
    """Whether a report goes through a link. Raises :class:`ConfigError` if it must not."""
    confinement = Confinement(Path.cwd())
    try:
        confinement.directory(path.parent)
        status = os.lstat(path)
    except SourceError as error:
        raise ConfigError(f"--output-file {path} {error}") from error
    except OSError:
        return False  # there is none yet; what is wrong besides, opening it will say
    tree = confinement.tree_of(os.path.dirname(os.path.abspath(path)))
    in_tree = tree is not None and not is_whole(tree)  # which would hold `/dev/stdout`, too
    is_link = stat.S_ISLNK(status.st_mode)
    if is_link and in_tree:
        raise ConfigError(
            f"--output-file {path}: is a link to {os.path.realpath(path)}, which is not written "
            "through; remove the link, or name its target"
        )
    if is_link and is_foreign(status, trusted_users()):
        raise ConfigError(
            f"--output-file {path}: is a link that another user made (uid {status.st_uid}), which "
            "is not written through; name another file"
        )
    if in_tree and not (is_link or stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        raise ConfigError(f"--output-file {path}: is no plain file; name another")
    return is_link
