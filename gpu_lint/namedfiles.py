"""The files that a glob of a configuration names, without a walk out of its bounds.

Globs are as in :meth:`pathlib.Path.glob`: ``*``, ``?`` and ``[…]`` in a name, ``**`` for any
number of directories. ``**`` follows no links.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterator
from pathlib import Path

from gpu_lint.errors import ConfigError
from gpu_lint.repository import leads_outside

MOST_ENTRIES = 20_000
"""Names in directories that are looked at for one glob."""
_WILD = re.compile(r"[*?\[]")


class GlobError(ConfigError):
    """A glob that is not followed; its text goes on after the glob itself."""


def files_named(glob: str, home: Path, bounds: Path) -> Iterator[Path]:
    """Find the files that a glob names from the directory ``home`` on.

    Raises :class:`GlobError` where the glob, or a link that it names, leads out of the directory
    ``bounds``, and where there are too many names to look through.
    """
    parts = Path(glob).parts
    if not parts:
        raise GlobError("names no file")
    if Path(glob).is_absolute() or Path(glob).drive:
        raise GlobError("is an absolute path; name the files from the configuration's directory")
    first = next((n for n, part in enumerate(parts) if _WILD.search(part)), len(parts))
    if os.pardir in parts[first:]:
        raise GlobError("has a `..` behind a wildcard, which is not followed")
    start = home.joinpath(*parts[:first])
    if leads_outside(start, bounds):
        raise GlobError(f"leads outside {bounds}; what a configuration names must be in it")
    if first == len(parts):
        if os.path.lexists(start):
            yield start
        return
    for path in _Walk(bounds).below(start, parts[first:]):
        if leads_outside(path, bounds):
            raise GlobError(f"finds {path}, a link that leads outside {bounds}; remove it")
        yield path


class _Walk:
    """The search for one glob."""

    def __init__(self, bounds: Path) -> None:
        self._bounds = bounds
        self._left = MOST_ENTRIES

    def below(self, directory: Path, parts: tuple[str, ...]) -> Iterator[Path]:
        """The files below a directory that the parts of a glob name, each once."""
        seen: set[tuple[str, int]] = set()
        waiting = [(directory, 0)]
        while waiting:
            current, number = waiting.pop()
            if (str(current), number) in seen:
                continue
            seen.add((str(current), number))
            part, last = parts[number], number + 1 == len(parts)
            if part == "**" and not last:
                waiting.append((current, number + 1))
            elif not _WILD.search(part):
                found = current / part
                if last and os.path.lexists(found):
                    yield found
                elif not last and found.is_dir() and not leads_outside(found, self._bounds):
                    waiting.append((found, number + 1))
                continue
            for entry in self._entries(current):
                path = current / entry.name
                if part == "**":
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append((path, number))
                    elif last:
                        yield path
                elif fnmatch.fnmatch(entry.name, part):
                    if not entry.is_dir():
                        if last:
                            yield path
                    elif not last and not (
                        entry.is_symlink() and leads_outside(path, self._bounds)
                    ):
                        waiting.append((path, number + 1))

    def _entries(self, directory: Path) -> Iterator[os.DirEntry[str]]:
        try:
            with os.scandir(directory) as found:
                for entry in found:
                    self._left -= 1
                    if self._left < 0:
                        raise GlobError(
                            f"looks through more than {MOST_ENTRIES} names; name the directory of "
                            "the files"
                        )
                    yield entry
        except OSError:
            return
