"""Find the files of a repository that import some of it, directly or through others.

What is wrong with a module can depend on who imports it: a mask in it is in time in one program and
too late in another. Where files are named (a hook names the changed ones), those that import them
are judged with them, so that the verdict is the one that the whole repository gets.

A module is imported by its name, so only files whose bytes hold that name are scanned for imports:
25 ms for one name in the 49 MB of transformers, where scanning all of them takes a second
(``bench/importers.py``).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gpu_lint.discovery import discover
from gpu_lint.errors import SourceError
from gpu_lint.facts.importgraph import ImportGraph
from gpu_lint.repository import repository_of
from gpu_lint.settings import SettingsFinder
from gpu_lint.source import read_bytes

if TYPE_CHECKING:
    from gpu_lint.facts.reading import Reading
    from gpu_lint.untrusted import Overridden

MOST_FILES = 20_000
"""Python files of a repository that are searched for importers: five seconds' worth."""
_MOST_NAMES = 40
"""Names that are searched for in less time than all imports are scanned in."""
_KEPT_BYTES = 64 << 20
"""Of the files searched: what is read beyond that is read again for every round."""
_RELATIVE = b"from ."


@dataclass(frozen=True, slots=True)
class Importers:
    """The files that import some others, and the repositories that were too large to look."""

    files: tuple[Path, ...] = ()
    """Sorted by path, without the imported ones."""
    too_large: tuple[Path, ...] = ()


def importers_of(
    named: Iterable[Path],
    finder: SettingsFinder,
    most: int = MOST_FILES,
    *,
    respect_ignores: bool = True,
    overridden: Overridden | None = None,
) -> Importers:
    """Return the files that import the ``named`` ones, found in the repository of each as
    :func:`gpu_lint.discovery.discover` finds them.

    Files outside any repository have none: nothing says where their project ends. Raises
    :class:`gpu_lint.errors.ConfigError` for a broken configuration in a repository.
    """
    importers: list[Path] = []
    too_large: list[Path] = []
    by_root: dict[Path, list[Path]] = {}
    for path in named:
        if (root := repository_of(path)) is not None:
            by_root.setdefault(root, []).append(path)
    for root, paths in by_root.items():
        shown = Path(os.path.relpath(root)) if root == finder.root else root
        found = discover(
            [shown], finder, respect_ignores=respect_ignores, overridden=overridden, most=most
        )
        files = found.files
        if len(files) > most:
            too_large.append(root)
            continue
        starting = {os.path.abspath(path) for path in paths}
        by_file = {file: path for path in files if (file := os.path.abspath(path)) not in starting}
        importing = _Search(by_file, _graph(finder).edges).importers(starting)
        importers += (by_file[file] for file in importing)
    return Importers(tuple(sorted(importers, key=str)), tuple(too_large))


def _graph(finder: SettingsFinder) -> ImportGraph:
    """An import graph that reads a file properly only where its imports cannot be scanned."""

    def read(file: str) -> Reading | None:
        from gpu_lint.reads import read_beside

        return read_beside(file, finder)

    return ImportGraph(lambda: finder.rulebook.knowledge, read, (), data=_content)


class _Search:
    """Searches files for importers, round by round: of the named files, of their importers, …"""

    def __init__(self, files: Iterable[str], edges: Callable[[str], Collection[str]]) -> None:
        """``edges`` gives the files that a file imports."""
        self._waiting = dict.fromkeys(files)
        """The files of which it is not known what they import."""
        self._edges = edges
        self._importing: dict[str, list[str]] = {}
        """The files that import each, as far as they have been scanned."""
        self._kept: dict[str, bytes] = {}
        self._room = _KEPT_BYTES

    def importers(self, starting: Collection[str]) -> set[str]:
        """Return the files that import ``starting``, directly or not, without these."""
        found = set(starting)
        fresh = set(starting)
        while fresh:
            for file in self._candidates(fresh):
                del self._waiting[file]
                self._kept.pop(file, None)
                for other in self._edges(file):
                    self._importing.setdefault(other, []).append(file)
            before, unvisited = set(found), list(found)
            while unvisited:
                new = set(self._importing.get(unvisited.pop(), ())) - found
                found |= new
                unvisited += new
            fresh = found - before
        return found.difference(starting)

    def _candidates(self, imported: Collection[str]) -> list[str]:
        """The waiting files that may import some others: those that hold the name of one."""
        names: set[str] = set()
        packages: list[str] = []
        for file in imported:
            directory, base = os.path.split(file)
            name = os.path.splitext(base)[0]
            if name == "__init__":
                packages.append(os.path.join(directory, ""))
                name = os.path.basename(directory)
            names.add(name)
        if len(names) > _MOST_NAMES or not all(map(str.isascii, names)):
            return list(self._waiting)  # Python takes several spellings for one name
        words = [(name.encode(), _word(name)) for name in names]
        return [
            file
            for file in self._waiting
            if (data := self._content(file))
            and (
                any(name in data and word.search(data) for name, word in words)
                or (_RELATIVE in data and any(map(file.startswith, packages)))
            )
        ]

    def _content(self, file: str) -> bytes:
        data = self._kept.get(file)
        if data is None:
            data = _content(file) or b""
            if len(data) <= self._room:
                self._kept[file] = data
                self._room -= len(data)
        return data


def _word(name: str) -> re.Pattern[bytes]:
    """A pattern that finds a name where it is no part of a longer one."""
    return re.compile(rb"(?<![A-Za-z0-9_])" + re.escape(name.encode()) + rb"(?![A-Za-z0-9_])")


def _content(file: str) -> bytes | None:
    try:
        return read_bytes(file)
    except SourceError:
        return None
