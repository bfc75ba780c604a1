"""The only module that changes a user's file."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from gpu_lint.errors import WriteError


def replace_file(path: Path, before: bytes, after: bytes) -> None:
    """Replace a file's content in one step, keeping its mode; a link stays a link.

    The new content is written beside the file, flushed to disk, and renamed over it, so that
    the file is the old one or the new one at every moment. Raises :class:`WriteError`, with
    the file untouched, where it is no longer what was read or cannot be written.
    """
    target = path.resolve()
    try:
        mode = target.stat().st_mode
        if not os.access(target, os.W_OK):
            raise WriteError("is read-only; the fix was not applied")
        if target.read_bytes() != before:
            raise WriteError("changed while it was checked; run the fix again")
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
    except OSError as error:
        raise WriteError(f"cannot be written: {error.strerror or error}") from error
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(after)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, mode & 0o7777)
        if target.read_bytes() != before:
            raise WriteError("changed while it was checked; run the fix again")
        os.replace(temporary, target)
    except OSError as error:
        raise WriteError(f"cannot be written: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    _sync_directory(target.parent)


def _sync_directory(directory: Path) -> None:
    """Make a rename durable, where the system lets a directory be opened for that."""
    with contextlib.suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
