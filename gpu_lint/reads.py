"""One file of a run: what it says, or why it cannot be read; and what becomes of it by edits."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from gpu_lint.codemod.splice import prove, splice
from gpu_lint.errors import SourceError, SyntaxFault
from gpu_lint.facts.quiet import parse_quietly
from gpu_lint.facts.reading import Reading, read_file
from gpu_lint.findings import Edit
from gpu_lint.notes import Note
from gpu_lint.settings import Settings, SettingsFinder
from gpu_lint.source import Source, decode_source, read_source


@dataclass
class Read:
    """One file with what it says and what is demanded of it; read when it is looked into."""

    file: str
    """The absolute path."""
    path: Path
    finder: SettingsFinder
    edits: tuple[tuple[Edit, ...], ...] = ()
    """What was changed in it, pass after pass, and is not written yet."""
    note: Note | None = None
    """What it shows by itself, where that was found out when it was changed."""
    may_change: bool = True
    """A fix may change it. A file that is judged because it imports a named one stays as it is."""
    is_new: bool = False
    """There is no such file: a fix may make it."""

    @classmethod
    def of(cls, source: Source, finder: SettingsFinder) -> Read:
        """A file whose content is known already. Raises as :attr:`reading` does."""
        found = cls(os.path.abspath(source.path), source.path, finder)
        found.source = source
        _ = found.reading
        return found

    def edited(self, edits: Collection[Edit], source: Source, note: Note | None = None) -> Read:
        """The same file after some edits, which gave it this source."""
        done = (*self.edits, tuple(sorted(edits)))
        found = Read(self.file, self.path, self.finder, done, note, is_new=self.is_new)
        found.source = source
        return found

    @cached_property
    def settings(self) -> Settings:
        return self.finder.for_file(self.path)

    @cached_property
    def source(self) -> Source:
        """Raises :class:`SourceError`."""
        source = decode_source(self.path, b"") if self.is_new else read_source(self.path)
        for edits in self.edits:
            source = splice(source, edits).source
        return source

    @property
    def is_on_disk(self) -> bool:
        """Whether its content is what the file holds, and not at hand."""
        return not self.is_new and "source" not in self.__dict__ and not self.edits

    @cached_property
    def reading(self) -> Reading | None:
        """None for a file with a syntax error. Raises :class:`SourceError` where it cannot be
        checked."""
        try:
            return read_file(self.source, self.finder.rulebook.knowledge, self.settings.limits)
        except SyntaxFault as fault:
            self._fault = fault
            return None

    @cached_property
    def fault(self) -> SyntaxFault | None:
        """Why there is no reading. Raises :class:`SourceError` where that is our parser's fault."""
        return None if self.reading is not None else _python_fault(self.source, self._fault)

    def forget(self) -> None:
        """Let go of the reading, which is many times the size of the file."""
        self.__dict__.pop("reading", None)

    def close(self) -> None:
        """Let go of the content, too: it is read again where somebody asks for it."""
        self.__dict__.pop("source", None)


def apply(before: Read, edits: Collection[Edit]) -> Read | str:
    """A file after some edits, read again, or why they cannot be trusted."""
    try:
        if before.reading is None:
            return f"the file cannot be read as a whole: {before.fault}"
    except SourceError as error:
        return f"the file {error}"
    try:
        spliced = splice(before.source, edits)
        after = before.edited(edits, spliced.source)
        if after.reading is None:
            return f"the result would not parse: {after.fault}"
    except SourceError as error:
        return f"the result {error}"
    refused = prove(before.reading, before.source, edits, spliced, after.reading)
    for one in (before, after):
        one.forget()
        one.source.forget()
    return refused or after


def read_beside(file: str, finder: SettingsFinder) -> Reading | None:
    """The reading of a file that is not checked itself; None where it cannot be read."""
    try:
        path = Path(file)
        limits = finder.for_file(path).limits
        return read_file(read_source(path), finder.rulebook.knowledge, limits)
    except (SourceError, SyntaxFault):
        return None


def _python_fault(source: Source, fault: SyntaxFault) -> SyntaxFault:
    """The fault in Python's own words.

    Raises :class:`SourceError` where Python has no objection: then it is our parser that does
    not know the syntax, and the file is no worse for it.
    """
    try:
        parse_quietly(source.text, "exec")
    except SyntaxError as error:
        lines = source.text.splitlines(keepends=True)
        row = min(max(error.lineno or 1, 1), max(len(lines), 1))
        column = max((error.offset or 1) - 1, 0)
        before = sum(map(len, lines[: row - 1]))
        return SyntaxFault(f"syntax error: {error.msg}", min(before + column, len(source.text)))
    except (ValueError, RecursionError, MemoryError):
        return fault
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    raise SourceError(
        f"is valid Python {version} that the parser cannot read ({fault}); it was not checked"
    )
