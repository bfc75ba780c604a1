"""Whole lines of a source: what must be known to take some away or put some in."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import cached_property

from gpu_lint.facts.markers import HEADER_END
from gpu_lint.facts.program import Comment
from gpu_lint.facts.reading import Reading
from gpu_lint.findings import Edit
from gpu_lint.source import Source, Span

_LONG_QUOTES = ('"""', "'''")
_COOKIE = re.compile(rb"[ \t\f]*#.*?coding[:=]")
_HEADING = re.compile(r"#\s*([-=*#~_+])\1{2}|([-=*#~_+])\2{2}\s*$")
_OF_GPU = re.compile(r"gpu|cuda|device|card|visible|environ", re.IGNORECASE)
_LICENCE = re.compile(r"copyright|licen[cs]e|SPDX", re.IGNORECASE)


def head_rows(source: Source) -> int:
    """How many rows must stay the first: ``#!``, and the coding line of PEP 263."""
    spans = [source.line_span(number) for number in (1, 2) if number <= len(source.line_starts)]
    rows = [source.data[span.start : span.end] for span in spans]
    if any(row.strip() and not row.lstrip().startswith(b"#") for row in rows[:1]):
        rows = rows[:1]
    cookies = [number for number, row in enumerate(rows, start=1) if _COOKIE.match(row)]
    return max([*cookies, int(source.data.startswith(b"#!"))])


class Lines:
    """The lines (rows from 1) of a source and the comments on them."""

    def __init__(self, reading: Reading) -> None:
        self.source = reading.source
        self.layout = reading.layout
        self._reading = reading

    @cached_property
    def _by_row(self) -> dict[int, list[Comment]]:
        found: dict[int, list[Comment]] = {}
        for comment in self._reading.comments:
            found.setdefault(self.source.row(comment.span.start), []).append(comment)
        return found

    @cached_property
    def last(self) -> int:
        """The last row that holds anything."""
        starts = self.source.line_starts
        ends_empty = starts[-1] == len(self.source.data)
        return len(starts) - 1 if ends_empty else len(starts)

    @cached_property
    def _head(self) -> int:
        return head_rows(self.source)

    @cached_property
    def indent(self) -> str:
        """What a block of the file is indented by: a tab where no row begins with four blanks."""
        data = self.source.data
        return "\t" if b"\n\t" in data and b"\n    " not in data else "    "

    def rows(self, span: Span) -> range:
        """The rows that a statement stands on."""
        last = max(span.start, span.end - 1)
        return range(self.source.row(span.start), self.source.row(last) + 1)

    def start(self, row: int) -> int:
        """Offset of a row's first byte; of the file's end for the row behind the last."""
        starts = self.source.line_starts
        return starts[row - 1] if row <= len(starts) else len(self.source.data)

    def is_blank(self, row: int) -> bool:
        """Whether a row exists and holds only blanks."""
        return 1 <= row <= self.last and not self.source.line(row).strip()

    def is_comment(self, row: int, *, above_code: bool = False) -> bool:
        """Whether a row holds nothing but a comment. Where it stands ``above_code``, with nothing
        but comments and blanks between, it can only be part of a string that ends on it."""
        text = self.source.line(row).lstrip() if 1 <= row <= self.last else ""
        if not text.startswith("#"):
            return False
        if above_code and not any(quotes in text for quotes in _LONG_QUOTES):
            if row == 1 or not self.source.line(row - 1).endswith("\\"):
                return True
        return any(comment.own_line for comment in self._by_row.get(row, ()))

    def is_alone(self, span: Span) -> bool:
        """Whether nothing but blanks and a comment shares a statement's lines."""
        rows = self.rows(span)
        before = self.source.data[self.start(rows[0]) : span.start]
        end = self.start(rows[-1] + 1)
        after = self.source.slice(Span(span.end, end)).strip()
        return not before.strip() and (not after or after.startswith("#"))

    def comments_on(self, rows: range) -> list[Comment]:
        """The comments that start on some rows."""
        if b"#" not in self.source.data[self.start(rows[0]) : self.start(rows[-1] + 1)]:
            return []
        return [comment for row in rows for comment in self._by_row.get(row, ())]

    def attached_above(self, row: int) -> int:
        """The first row of the comment lines right above a row; the row itself without any.

        The end of a managed header belongs to what is above it; the lines that say which program
        runs the file and how it is encoded belong to the file.
        """
        head = self._head
        while (
            row - 1 > head
            and self.is_comment(row - 1, above_code=True)
            and self.source.line(row - 1).strip() != HEADER_END
        ):
            row -= 1
        return row

    def is_of_file(self, rows: range) -> bool:
        """Whether comments are the file's own: they begin it, but for the lines that must stay the
        first; or no code stands above, and they go on with its licence."""
        if rows.start == self._head + 1:
            return True
        above = range(self._head + 1, rows.start)
        return any(_LICENCE.search(self.source.line(row)) for row in rows) and all(
            self.is_blank(row) or self.is_comment(row, above_code=True) for row in above
        )

    def own_rows(self, span: Span) -> range | None:
        """The rows of a statement, with those of comments right above it; None where it is not
        alone on them."""
        rows = self.rows(span)
        return range(self.attached_above(rows[0]), rows[-1] + 1) if self.is_alone(span) else None

    def without_headings(self, taken: Collection[range]) -> list[range]:
        """Some rows of statements that are taken away, without the headings above them, such as
        ``# ---- model ----``, that go on to head what is left below."""
        gone = {row for rows in taken for row in rows}
        left = []
        for rows in taken:
            below = rows.stop
            while below in gone:
                below += 1
            first = rows.start
            if below <= self.last and not self.is_blank(below):
                while first < rows.stop and self._is_heading(first):
                    first += 1
            left.append(range(first, rows.stop))
        return left

    def _is_heading(self, row: int) -> bool:
        text = self.source.line(row).strip()
        return bool(self.is_comment(row) and _HEADING.search(text) and not _OF_GPU.search(text))

    def span(self, rows: range) -> Span:
        """The bytes of some rows, without the last end of line."""
        start = self.start(rows[0])
        text = self.source.data[start : self.start(rows[-1] + 1)]
        return Span(start, start + len(text.rstrip(b"\r\n")))

    def gap(self, row: int, removed: Collection[int] = ()) -> range:
        """The rows around the start of one that are blank, or removed."""
        top, bottom = row - 1, row
        while top in removed or self.is_blank(top):
            top -= 1
        while bottom in removed or self.is_blank(bottom):
            bottom += 1
        return range(top + 1, bottom)

    def fill(self, gap: range, text: str, above: int, below: int) -> Edit:
        """The edit that puts lines into a gap, with so many blank rows above and below them; none
        are left where the file begins or ends."""
        source, newline = self.source, self.source.newline
        at_start, at_end = gap.start == 1, gap.stop > self.last
        content = newline * (0 if at_start else above) + text
        content += newline * (1 if at_end else below + 1)
        span = Span(self.start(gap.start), self.start(gap.stop))
        if at_end and source.data and not source.data.endswith((b"\n", b"\r")):
            content = content.removesuffix(newline)
            if span.start == len(source.data) and not at_start:
                content = newline + content
        return Edit(span, content)

    def blanks_above(self, row: int) -> int:
        """How many blank rows stand right above a row."""
        return row - self.gap(row).start

    def blanks_below(self, row: int) -> int:
        """How many blank rows stand right below a row."""
        return self.gap(row + 1).stop - row - 1
