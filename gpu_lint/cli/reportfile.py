"""Writes a report to the file that ``--output-file`` names: all of it, or nothing."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path

from gpu_lint.errors import ConfigError

_EXCLUSIVE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
_NO_NEIGHBOUR = {errno.EACCES, errno.EPERM, errno.EBUSY, errno.EXDEV}
"""The directory takes no other file, or the file cannot be renamed over (a mounted one)."""


def write_report(path: Path, text: str) -> None:
    """Write a report in UTF-8. Raises :class:`ConfigError` where that fails.

    The file is the old one or the new one at every moment. A device or a pipe, and a file in a
    directory that takes no other, are written as they are.
    """
    data = text.encode("utf-8", "backslashreplace")
    try:
        if not _replace(path, data):
            path.write_bytes(data)
    except OSError as error:
        why = error.strerror or error
        raise ConfigError(f"--output-file {path} cannot be written: {why}") from error


def _replace(path: Path, data: bytes) -> bool:
    """Put a new file in the place of ``path``; whether that can be done there."""
    mode = None
    with contextlib.suppress(FileNotFoundError):
        mode = os.lstat(path).st_mode
        if not stat.S_ISREG(mode):
            return False
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with open(os.open(beside, _EXCLUSIVE, 0o666), "wb") as stream:
            stream.write(data)
        if mode is not None:
            os.chmod(beside, stat.S_IMODE(mode))
        os.replace(beside, path)
    except OSError as error:
        if mode is None or error.errno not in _NO_NEIGHBOUR:
            raise
        return False
    finally:
        with contextlib.suppress(OSError):
            beside.unlink()
    return True
