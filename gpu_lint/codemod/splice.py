"""Applying edits as byte splices, and proving that nothing else changed."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate

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

    An edit of one literal that two changes have in common is no conflict, nor is the text that both
    put into another file.
    """
    chosen: list[Change] = []
    taken: dict[str, list[Edit]] = {}
    for change in dict.fromkeys(changes):
        wanted = {file: change.edits_in(file) for file in change.files}
        if not any(
            _clashes(edit, other, is_elsewhere=file != change.file)
            for file, edits in wanted.items()
            for edit in edits
            for other in _beside(edit, taken.get(file, []))
        ):
            chosen.append(change)
            for file, edits in wanted.items():
                for edit in edits:
                    if edit not in _beside(edit, taken.setdefault(file, [])):
                        insort(taken[file], edit, key=lambda edit: edit.span)
    return chosen


def _clashes(edit: Edit, other: Edit, *, is_elsewhere: bool) -> bool:
    """Return whether two edits cannot both be made."""
    if edit == other and (is_elsewhere or edit.span.start != edit.span.end):
        return False
    return edit.span.overlaps(other.span) or edit.span == other.span


def _beside(edit: Edit, taken: list[Edit]) -> list[Edit]:
    """Return the edits that reach into the span of one, or to its ends; ``taken`` are in order and
    do not overlap."""
    first = last = bisect_left(taken, edit.span.start, key=lambda other: other.span.end)
    while last < len(taken) and taken[last].span.start <= edit.span.end:
        last += 1
    return taken[first:last]


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

    edited = _touching([edit.span for edit in edits])
    written = _touching(spliced.inserted)
    moved_to = following(edits, source.encoding)

    remaining = set(statement_spans(after.program.body, written))
    for span in statement_spans(before.program.body, edited):
        if edited(span):
            continue
        moved = moved_to(span)
        if moved not in remaining or (
            source.data[span.start : span.end] != spliced.source.data[moved.start : moved.end]
        ):
            return f"the statement on line {source.row(span.start)} would change"
        remaining.discard(moved)
    for span in remaining:
        if not written(span):
            return f"a statement would appear on line {spliced.source.row(span.start)}"
    return ""


def _touching(spans: Sequence[Span]) -> Callable[[Span], bool]:
    """Return what tells whether one of several spans touches a statement; the spans are in order
    and do not overlap."""
    ends = [span.end for span in spans]

    def touching(statement: Span) -> bool:
        first = bisect_left(ends, statement.start)
        return first < len(spans) and spans[first].start <= statement.end

    return touching


def following(edits: Iterable[Edit], encoding: str) -> Callable[[Span], Span]:
    """Return what tells where a place is after edits that do not overlap; one that an edit replaced
    is all that stands there instead."""
    ordered = sorted(set(edits), key=lambda edit: edit.span)
    starts = [edit.span.start for edit in ordered]
    sizes = [len(edit.content.encode(encoding)) for edit in ordered]
    longer = [
        size - (edit.span.end - edit.span.start) for edit, size in zip(ordered, sizes, strict=True)
    ]
    shifts = list(accumulate(longer, initial=0))

    def moved(at: int, *, to_end: bool) -> int:
        number = bisect_right(starts, at) - 1
        if number >= 0 and at < ordered[number].span.end:
            return starts[number] + shifts[number] + sizes[number] * to_end
        return at + shifts[number + 1]

    return lambda place: Span(moved(place.start, to_end=False), moved(place.end, to_end=True))
