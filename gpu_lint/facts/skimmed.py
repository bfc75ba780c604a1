"""Which modules a file imports, and whether it has a main guard: what is kept of every file."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple, TypeAlias

from gpu_lint.source import Span

BEFORE_ALL = Span(0, 0)
"""Where an import stands that comes before a program's first line: what ``python -m`` runs."""


class Imported(NamedTuple):
    """One name that an import brings in; ``name`` is empty for a module itself."""

    module: str
    level: int
    name: str
    start: int
    end: int
    is_deferred: bool = False
    """It does not run when the file is imported: it stands in a function, or behind the main
    guard."""

    @property
    def span(self) -> Span:
        """The import statement, or the call that imports by name."""
        return Span(self.start, self.end)


class Skimmed(NamedTuple):
    """What is told of a file without reading it."""

    imported: tuple[Imported, ...]
    guard: bool | None
    """Whether it has a main guard; None where it mentions one, and must be read to know."""

    @property
    def plain(self) -> Plain:
        """The same without our types: it goes from process to process in a quarter of the time."""
        return tuple(map(tuple, self.imported)), self.guard  # type: ignore[arg-type]

    @classmethod
    def of(cls, plain: Plain) -> Skimmed:
        imported, guard = plain
        return cls(tuple(map(_imported_of, imported)), guard)


Plain: TypeAlias = "tuple[tuple[tuple[str, int, str, int, int, bool], ...], bool | None]"
_imported_of = partial(tuple.__new__, Imported)
