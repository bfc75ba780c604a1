"""Writes files that the command line names, beside those that a fix replaces.

In a tree, such a file is written through no link: a committed ``report.json`` or ``gpu-lint.toml``
might lead to any file of the user. Elsewhere a link of the user's own, or of root's such as
``/dev/stdout``, is followed; another user's in a shared directory is not.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from gpu_lint.errors import ConfigError, SourceError
from gpu_lint.ownership import is_foreign, trusted_users
from gpu_lint.repository import Confinement, is_whole


def check_output(path: Path) -> None:
    """Raise :class:`ConfigError` if a report must not be written to ``path``."""
    _follows_link(path)


def write_output(path: Path, text: str) -> None:
    """Write a report, as UTF-8 with plain newlines. Raises :class:`ConfigError`."""
    follow = _follows_link(path)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0)
    flags |= getattr(os, "O_NOCTTY", 0) | (0 if follow else getattr(os, "O_NOFOLLOW", 0))
    try:
        with open(os.open(path, flags, 0o666), "wb") as file:
            file.write(text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise ConfigError(f"--output-file {path}: {error.strerror or error}") from error


def replace_file(path: Path, text: str) -> None:
    """Write a text file in one step, in place of a plain file or of none. Raises ``OSError``, and
    :class:`ConfigError` for a link."""
    if path.is_symlink():
        raise ConfigError(f"{path} is a link, which is not written through; remove it")
    import tempfile  # most runs write nothing

    handle, temporary = tempfile.mkstemp(prefix=".gpu-lint-", suffix=".tmp", dir=path.parent)
    try:
        with open(handle, "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, _mode_for(path))
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _mode_for(path: Path) -> int:
    """The permissions of a file that is replaced, or those that a new one gets."""
    try:
        return stat.S_IMODE(os.stat(path).st_mode)
    except FileNotFoundError:
        mask = os.umask(0o077)
        os.umask(mask)
        return 0o666 & ~mask


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
