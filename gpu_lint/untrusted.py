"""A tree that must not have a say in its own check: what it would have said, counted, and which
files are a part of it and so cannot say it either."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gpu_lint.cache import DIRECTORY
from gpu_lint.errors import ConfigError, SourceError
from gpu_lint.repository import repository_of
from gpu_lint.settings import FILE_NAME
from gpu_lint.source import read_bytes
from gpu_lint.toml import parse_toml

IGNORE_FILES = (".gitignore", os.path.join(".git", "info", "exclude"))
_MOST_LINKS = 40
_LARGEST_COUNTED = 1 << 16
"""Bytes of a file that is only read to be counted."""


@dataclass(slots=True)
class Overridden:
    """What a tree holds that would have changed its own check: each file is counted once."""

    comments: int = 0
    """Suppression comments."""
    ignore_files: int = 0
    configurations: int = 0
    packs: int = 0
    """Entries of ``extend-rules``."""
    caches: int = 0
    _seen: set[str] = field(default_factory=set)

    def look(self, directory: Path) -> None:
        """Count what a directory holds."""
        where = os.path.realpath(directory)
        if where in self._seen or os.path.basename(where) == DIRECTORY:
            return
        self._seen.add(where)
        self.ignore_files += sum(_ignores(os.path.join(where, name)) for name in IGNORE_FILES)
        self.caches += os.path.lexists(os.path.join(where, DIRECTORY))
        for name in (FILE_NAME, "pyproject.toml"):
            packs = _configured(Path(where, name))
            if packs is not None:
                self.configurations += 1
                self.packs += packs

    def look_above(self, path: Path) -> None:
        """Count what the directories above a path hold, up to the root of its repository."""
        absolute = Path(os.path.abspath(path))
        root = repository_of(absolute)
        for directory in absolute.parents:
            if root is None or not directory.is_relative_to(root):
                return
            self.look(directory)

    @property
    def line(self) -> str:
        """What was overridden, in one line; empty where nothing was."""
        counted = [
            f"{number} {one if number == 1 else more}"
            for number, one, more in (
                (self.comments, "suppression comment", "suppression comments"),
                (self.ignore_files, "ignore file", "ignore files"),
                (self.configurations, "configuration", "configurations"),
                (self.packs, "entry of extend-rules", "entries of extend-rules"),
                (self.caches, "cache", "caches"),
            )
            if number
        ]
        if not counted:
            return ""
        *most, last = counted
        listed = f"{', '.join(most)} and {last}" if most else last
        return f"--untrusted: the tree's own {listed} had no say"


def _ignores(file: str) -> bool:
    """Return whether an ignore file names anything."""
    return any(line.strip() and not line.startswith(b"#") for line in _content(file).splitlines())


def _configured(path: Path) -> int | None:
    """Return how many entries ``extend-rules`` has in a configuration; None where there is no
    configuration of ours."""
    own = path.name == FILE_NAME
    if not (os.path.lexists(path) if own else b"gpu-lint" in _content(str(path))):
        return None
    table: Any = {}
    with suppress(ConfigError):  # one that is broken has no say either
        table = parse_toml(_content(str(path)).decode("utf-8", "replace"), path)
    if not own:
        tool = table.get("tool")
        table = tool.get("gpu-lint") if isinstance(tool, dict) else None
        if not isinstance(table, dict):
            return None
    packs = table.get("extend-rules")
    return len(packs) if isinstance(packs, list) else 0


def _content(file: str) -> bytes:
    """Return what a file of usual size holds; nothing of anything else, or of a link."""
    with suppress(OSError, SourceError):
        if stat.S_ISREG(os.lstat(file).st_mode):
            return read_bytes(file, _LARGEST_COUNTED)
    return b""


# --- what is a part of the tree --------------------------------------------------------------


def refuse_inside(option: str, path: Path, paths: Iterable[Path]) -> None:
    """Raise :class:`ConfigError` where the file or directory that an option names is a part of the
    tree that ``paths`` belong to, or is reached through a link in it."""
    trees = {_identity(tree): tree for path in paths for tree in _trees_of(path)}
    for place in _places(path):
        for directory in (place, *place.parents):
            if (tree := trees.get(_identity(directory))) is not None:
                raise ConfigError(
                    f"{option} {path}: lies in the tree that is checked ({tree}), where a branch "
                    "can change it; with --untrusted, name one outside of it, such as one in a "
                    "checkout of the base branch"
                )


def _identity(directory: Path) -> object:
    """Return what is the same for all names of a directory, however they are spelt."""
    try:
        status = os.stat(directory)
    except OSError:
        return str(directory)
    return status.st_dev, status.st_ino


def _trees_of(path: Path) -> Iterator[Path]:
    """Yield the repository of a path, as it is written and with its links followed; outside any
    repository the directory itself, or that of the file."""
    for absolute in (os.path.abspath(path), os.path.realpath(path)):
        directory = absolute if os.path.isdir(absolute) else os.path.dirname(absolute)
        yield repository_of(Path(directory)) or Path(directory)


def _places(file: Path, links: int = 0) -> Iterator[Path]:
    """Yield where a file is and where each link on the way to it is; the directories above these
    places have no links in them."""
    absolute = Path(os.path.abspath(file))
    for part in (absolute, *absolute.parents):
        is_link = part.is_symlink()
        if is_link or part == absolute:
            above = Path(os.path.realpath(part.parent))
            yield above / part.name
            if is_link and links < _MOST_LINKS:
                yield from _places(above / os.readlink(part), links + 1)
