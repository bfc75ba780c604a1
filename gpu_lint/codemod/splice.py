"""Applying edits as byte splices, and proving that nothing else changed."""

from __future__ import annotations

from collections.abc import Iterable

from gpu_lint.errors import SourceError
from gpu_lint.facts.layout import statement_spans
from gpu_lint.facts.reading import Reading
from gpu_lint.findings import Edit, Fix
from gpu_lint.records import record
from gpu_lint.source import Source, Span, decode_source


@record
class Spliced:
    """A source after some fixes, with the spans that the edits' content takes in it."""

    source: Source
    inserted: tuple[Span, ...]


@record
class Change:
    """A fix of a finding in a file; its edits, there and elsewhere, are made all or none."""

    file: str
    fix: Fix

    @property
    def files(self) -> tuple[str, ...]:
        """The files that it changes, each once."""
        if not self.fix.elsewhere:
            return (self.file,)
        return tuple(dict.fromkeys((self.file, *(file for file, _ in self.fix.elsewhere))))

    def edits_in(self, file: str) -> tuple[Edit, ...]:
        """The edits that it makes in a file."""
        own = self.fix.edits if file == self.file else ()
        return own + tuple(e for other, es in self.fix.elsewhere if other == file for e in es)


def choose(changes: Iterable[Change]) -> list[Change]:
    """Changes that can be made together, earlier ones first; equal ones count once.

    An edit of one literal that two changes have in common is no conflict.
    """
    chosen: list[Change] = []
    taken: dict[str, set[Edit]] = {}
    for change in dict.fromkeys(changes):
        clash = any(
            (edit.span.overlaps(other.span) or edit.span == other.span)
            and (edit != other or edit.span.start == edit.span.end)
            for file in change.files
            for edit in change.edits_in(file)
            for other in taken.get(file, ())
        )
        if not clash:
            chosen.append(change)
            for file in change.files:
                taken.setdefault(file, set()).update(change.edits_in(file))
    return chosen


def splice(source: Source, edits: Iterable[Edit]) -> Spliced:
    """Apply edits that do not overlap.

    Raises :class:`SourceError` where the file's encoding cannot hold what an edit writes.
    """
    edits = sorted(set(edits), key=lambda edit: edit.span)
    data = bytearray()
    inserted: list[Span] = []
    position = 0
    for edit in edits:
        data += source.data[position : edit.span.start]
        start = len(data)
        try:
            data += edit.content.encode(source.encoding)
        except UnicodeEncodeError as error:
            raise SourceError(f"cannot hold the fix in its encoding {source.encoding}") from error
        inserted.append(Span(start, len(data)))
        position = edit.span.end
    data += source.data[position:]
    return Spliced(decode_source(source.path, bytes(data)), tuple(inserted))


def prove(
    before: Reading, source: Source, edits: Iterable[Edit], spliced: Spliced, after: Reading
) -> str:
    """Why a splice must not be trusted; empty when every statement outside it is unchanged.

    A statement that no edit touches is compared as a whole: the same bytes between the same
    borders hold the same statements.
    """
    edits = sorted(set(edits), key=lambda edit: edit.span)
    now = spliced.source
    if (now.encoding, now.bom) != (source.encoding, source.bom):
        return "the line that says how the file is encoded would lose its place"
    if source.data.startswith(b"#!") and now.line(1) != source.line(1):
        return "the line that says which program runs the file would lose its place"

    def edited(span: Span) -> bool:
        return any(_touches(edit.span, span) for edit in edits)

    def written(span: Span) -> bool:
        return any(_touches(where, span) for where in spliced.inserted)

    remaining = set(statement_spans(after.program.body, written))
    for span in statement_spans(before.program.body, edited):
        if edited(span):
            continue
        moved = _moved(span, edits, source)
        if moved not in remaining or (
            source.data[span.start : span.end] != spliced.source.data[moved.start : moved.end]
        ):
            return f"the statement on line {source.row(span.start)} would change"
        remaining.discard(moved)
    for span in remaining:
        if not written(span):
            return f"a statement would appear on line {spliced.source.row(span.start)}"
    return ""


def _touches(edit: Span, statement: Span) -> bool:
    return edit.start <= statement.end and statement.start <= edit.end


def _moved(span: Span, edits: list[Edit], source: Source) -> Span:
    shift = sum(
        len(edit.content.encode(source.encoding)) - (edit.span.end - edit.span.start)
        for edit in edits
        if edit.span.end <= span.start
    )
    return Span(span.start + shift, span.end + shift)
