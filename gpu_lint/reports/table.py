"""Rows of text as an aligned table that fits a terminal of any width, with nothing cut off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from gpu_lint.printable import printable
from gpu_lint.reports.cells import cells, fold

_GAPS = "  ", " "
"""What stands between two columns: the widest of these with which the table fits."""
_INDENT = "  "


class Column(NamedTuple):
    """A column of a table."""

    heading: str
    number: bool = False
    """Its cells are aligned to the right."""
    least: int = 0
    """The width, in cells, to which it may be folded where the table would be too wide; 0: it is
    never folded."""


def table(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None = None
) -> list[str]:
    """Return the lines of a table, the headings first if there are any.

    ``width`` is in cells; None is any width, with one line a row. Where even folded columns are
    too wide, each cell is a line of its own behind its heading.
    """
    rows = [[printable(text) for text in row] for row in rows]
    headings = [column.heading for column in columns]
    shown = [headings, *rows] if any(headings) else rows
    for gap in _GAPS:
        widths = [
            max((cells(row[number]) for row in shown), default=0) for number in range(len(columns))
        ]
        room = None if width is None else width - len(gap) * (len(columns) - 1)
        if room is None or _fit(widths, columns, room):
            return [line for row in shown for line in _lines(row, columns, widths, gap)]
    assert width is not None
    return list(_stacked(columns, rows, width))


def _fit(widths: list[int], columns: Sequence[Column], room: int) -> bool:
    """Narrow the columns that fold, the widest first; return whether the table fits then."""
    for _ in range(sum(widths) - room):
        wide = [n for n, column in enumerate(columns) if 0 < column.least < widths[n]]
        if not wide:
            return False
        widths[max(wide, key=lambda number: widths[number])] -= 1
    return True


def _lines(
    row: Sequence[str], columns: Sequence[Column], widths: list[int], gap: str
) -> Iterator[str]:
    folded = [list(fold(text, width)) for text, width in zip(row, widths, strict=True)]
    for number in range(max(map(len, folded))):
        line = []
        for parts, column, width in zip(folded, columns, widths, strict=True):
            text = parts[number] if number < len(parts) else ""
            space = " " * (width - cells(text))
            line.append(space + text if column.number else text + space)
        yield gap.join(line).rstrip()


def _stacked(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> Iterator[str]:
    for row in rows:
        for number, (column, text) in enumerate(zip(columns, row, strict=True)):
            if not text:
                continue
            indent = _INDENT if number else ""
            label = f"{column.heading}: " if number and column.heading else ""
            for part in fold(label + text, width - len(indent + _INDENT)):
                yield (indent + part).rstrip()
                indent = _INDENT * (2 if number else 1)
