"""Whose files and directories are, on systems where files have owners.

A configuration that another user put into a shared directory, or a state directory that others
may write, would let that user decide what is checked and what is written. Windows keeps such
directories apart with access lists, which are not asked.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from gpu_lint.errors import StateError

_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def trusted_users() -> frozenset[int] | None:
    """Return the ids of the users whose files are trusted as this user's own: this one and root,
    and under ``sudo`` the one who called it. None where files have no owners."""
    if not hasattr(os, "geteuid"):
        return None
    users = {0, os.geteuid()}
    if os.geteuid() == 0 and (caller := os.environ.get("SUDO_UID", "")).isdecimal():
        users.add(int(caller))
    return frozenset(users)


def is_foreign(status: os.stat_result, trusted: frozenset[int] | None) -> bool:
    """Return whether a file belongs to none of the ``trusted`` users."""
    return trusted is not None and status.st_uid not in trusted


def own_state_directory(directory: Path) -> Path:
    """Return the directory of the journal and of the cache's key, if nobody else can change what
    is in it; it may be missing.

    Raises :class:`StateError` where it is a link of another user, belongs to another user (unless
    this is root), or may be written by others.
    """
    if not hasattr(os, "geteuid"):
        return directory
    user = os.geteuid()
    for path in (directory, directory / "runs"):
        try:
            link, status = os.lstat(path), os.stat(path)
        except OSError:
            continue  # what is missing is made; what cannot be read fails where it is
        why = _why_not_own(link, status, user)
        if why:
            raise StateError(
                f"the state directory {path} {why}; correct that, or name another directory with "
                "GPU_LINT_STATE_DIR"
            )
    return directory


def _why_not_own(link: os.stat_result, status: os.stat_result, user: int) -> str:
    if stat.S_ISLNK(link.st_mode) and is_foreign(link, trusted_users()):
        return f"is a link that another user made (uid {link.st_uid})"
    if user not in (0, status.st_uid):
        return f"belongs to another user (uid {status.st_uid})"
    if stat.S_ISDIR(status.st_mode) and status.st_mode & _WRITABLE_BY_OTHERS:
        mode = stat.S_IMODE(status.st_mode)
        return f"may be written by other users (mode {mode:04o}; `chmod go-w` takes that away)"
    return ""
