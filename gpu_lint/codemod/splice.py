"""Applying edits as byte splices, and proving that nothing else changed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gpu_lint.errors import SourceError
from gpu_lint.facts import FileFacts
from gpu_lint.findings import Edit, Fix
from gpu_lint.source import Source, Span, decode_source


@dataclass(frozen=True, slots=True)
class Spliced:
    """A source after some fixes, with the spans that the edits' content takes in it."""

    source: Source
    inserted: tuple[Span, ...]


def choose(fixes: Iterable[Fix]) -> list[Fix]:
    """Fixes that can be applied together, earlier ones first; equal ones count once."""
    chosen: list[Fix] = []
    taken: set[Edit] = set()
    for fix in fixes:
        if fix in chosen:
            continue
        edits = set(fix.edits)
        if any(e.span.overlaps(t.span) or e.span == t.span for e in edits for t in taken):
            continue
        chosen.append(fix)
        taken |= edits
    return chosen


def splice(source: Source, fixes: Iterable[Fix]) -> Spliced:
    """Apply fixes that do not overlap.

    Raises :class:`SourceError` where the file's encoding cannot hold what an edit writes.
    """
    edits = sorted({edit for fix in fixes for edit in fix.edits}, key=lambda e: e.span)
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
    before: FileFacts, source: Source, fixes: Iterable[Fix], spliced: Spliced, after: FileFacts
) -> str:
    """Why a splice must not be trusted; empty when every statement outside it is unchanged."""
    edits = sorted({edit for fix in fixes for edit in fix.edits}, key=lambda e: e.span)
    remaining = set(after.statements)
    for span in before.statements:
        if any(_touches(edit.span, span) for edit in edits):
            continue
        moved = _moved(span, edits, source)
        if moved not in remaining or (
            source.data[span.start : span.end] != spliced.source.data[moved.start : moved.end]
        ):
            return f"the statement on line {source.row(span.start)} would change"
        remaining.discard(moved)
    for span in remaining:
        if not any(_touches(where, span) for where in spliced.inserted):
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
